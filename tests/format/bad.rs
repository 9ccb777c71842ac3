//! Bytes that must be refused, made from good ones by changing fields.

use millpond::ErrorKind;
use millpond::codec::Compression;
use millpond::format::FormatId;
use millpond::format::manifest::SnapshotKind;

use super::control;
use super::forge::Forge;
use super::samples;

/// A bad vector.
pub(super) struct Bad {
    pub(super) format: FormatId,
    pub(super) name: &'static str,
    /// What is wrong, for people.
    pub(super) what: &'static str,
    pub(super) forge: Forge,
    pub(super) kind: ErrorKind,
    pub(super) field: &'static str,
}

/// Whether the checksums are put right after the change.
enum Seal {
    Yes,
    No,
}
use Seal::{No, Yes};

/// Name, what is wrong, the field that the error names, whether it is sealed, the change.
type Change = (&'static str, &'static str, &'static str, Seal, fn(&mut Forge));

pub(super) fn all() -> Vec<Bad> {
    let mut all = Vec::new();
    all.extend(made(FormatId::Canonical, &samples::canonical_section(Compression::None).0, FRAME));
    all.extend(made(FormatId::Canonical, &samples::canonical_section(Compression::None).0, ENTRIES));
    all.extend(made(FormatId::Canonical, &samples::compressible_section(Compression::Lz4).0, COMPRESSED));
    all.extend(made(FormatId::NativeHeap, &samples::native_section().0, TYPED));
    all.extend(made(FormatId::Operator, &samples::operator_section().0, OPERATOR));
    let checkpoint = samples::manifest(SnapshotKind::Checkpoint).encode().unwrap();
    all.extend(made(FormatId::Manifest, &checkpoint, HEAD));
    all.extend(made(FormatId::Manifest, &checkpoint, HANDLES));
    all.extend(made(FormatId::Control, &control::claiming().encode().unwrap(), RECORD));
    all.extend(made(FormatId::Control, &control::lease().encode().unwrap(), LEASE));
    all.extend(made(FormatId::Manifest, &samples::database_manifest().encode().unwrap(), FILES));
    all.extend(made(FormatId::NativeRocksDb, &samples::identity().encode(), IDENTITY));
    all
}

fn made(format: FormatId, good: &[u8], changes: impl IntoIterator<Item = Change>) -> Vec<Bad> {
    let base = Forge::new(format, good);
    let bad = |(name, what, field, seal, change): Change| {
        let mut forge = base.clone();
        change(&mut forge);
        if matches!(seal, Yes) {
            forge.seal();
        }
        let newer = name.starts_with("unknown-version") || name.starts_with("later-");
        let kind = if newer { ErrorKind::Incompatible } else { ErrorKind::Corrupt };
        Bad { format, name, what, forge, kind, field }
    };
    changes.into_iter().map(bad).collect()
}

const FRAME: [Change; 27] = [
    ("wrong-magic", "the magic of a zip file", "magic", No, |f| f.set("magic", 0, b"PK\x03\x04\x0a")),
    ("text-transfer", "the line feed of the magic became CR LF", "magic", No, |f| f.set("magic", 0, b"\x8dMPD\r\n")),
    ("other-format", "a native heap section in place of a canonical one", "format", Yes, |f| f.set("format", 0, &[3])),
    ("unknown-format", "a format tag that nobody uses", "format", Yes, |f| f.set("format", 0, &[99])),
    ("unknown-version", "version 2", "version", No, |f| f.set("version", 0, &[0, 2])),
    ("unknown-version-0", "version 0", "version", No, |f| f.set("version", 0, &[0, 0])),
    ("header-crc", "the checksum of the header is wrong", "crc", No, |f| f.set("header crc", 0, &[0; 4])),
    ("foreign-operator", "an intact section of another operator", "operator id", Yes, |f| {
        f.set("operator id", 0, &[9; 16]);
    }),
    ("foreign-key-group", "an intact section of another key group", "owner", Yes, |f| f.set("owner", 0, &[0, 6])),
    ("unknown-record", "a record of kind 4", "record tag", Yes, |f| f.set("record", 0, &[4])),
    ("block-first", "a block before any state", "record tag", Yes, |f| {
        let start = f.find("record", 0);
        f.take_record(start);
    }),
    ("state-without-block", "a state without entries", "record tag", Yes, |f| {
        let start = f.find("record", 1);
        f.take_record(start);
    }),
    ("last-state-without-block", "the last state is without entries", "record tag", Yes, |f| {
        let start = f.find("record", 11);
        f.take_record(start);
    }),
    ("no-states", "a section without states", "record tag", Yes, |f| {
        while f.get("record", 0) != [3] {
            let start = f.find("record", 0);
            f.take_record(start);
        }
        for count in ["states", "blocks", "entries"] {
            let last = f.fields.iter().rposition(|(name, _)| name == count).unwrap();
            f.fields[last].1 = vec![0];
        }
    }),
    ("states-descend", "two states in the wrong order", "state name", Yes, |f| {
        let start = f.find("record", 0);
        let mut state = f.take_record(start);
        state.extend(f.take_record(start));
        let at = f.find("record", 2);
        f.insert(at, state);
    }),
    ("state-name-empty", "a state without a name", "state name", Yes, |f| {
        f.set("state name length", 0, &[0]);
        f.set("state name", 0, &[]);
    }),
    ("state-name-nul", "a NUL in a state's name", "state name", Yes, |f| f.set("state name", 0, b"de\0ays")),
    ("state-name-not-utf8", "a state's name is not UTF-8", "state name", Yes, |f| {
        f.set("state name", 0, b"de\xff\xffys")
    }),
    ("state-kind-unknown", "a kind of state that does not exist", "state kind", Yes, |f| f.set("state kind", 0, &[10])),
    ("state-kind-operator", "operator state in keyed data", "state kind", Yes, |f| f.set("state kind", 0, &[9])),
    ("name-length-beyond-end", "a name longer than the section", "state name", Yes, |f| {
        f.set("state name length", 0, &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]);
    }),
    ("name-length-not-shortest", "a length in two bytes where one is enough", "state name", Yes, |f| {
        f.set("state name length", 0, &[0x86, 0]);
    }),
    ("end-missing", "the end record is missing", "record tag", No, |f| {
        let end = f.find("end crc", 0) - 4;
        f.fields.truncate(end);
    }),
    ("end-twice", "the end record comes twice", "section", Yes, |f| {
        let end = f.find("end crc", 0);
        let again = f.fields[end - 4..=end].to_vec();
        f.insert(end + 1, again);
    }),
    ("end-states", "the count of states is wrong", "states", Yes, |f| f.set("states", 0, &[5])),
    ("end-blocks", "the count of blocks is wrong", "blocks", Yes, |f| f.set("blocks", 0, &[7])),
    ("end-entries", "the count of entries is wrong", "entries", Yes, |f| {
        let last = f.fields.iter().rposition(|(name, _)| name == "entries").unwrap();
        f.fields[last].1 = vec![99];
    }),
];

const ENTRIES: [Change; 19] = [
    ("block-crc", "the checksum of a block is wrong", "crc", No, |f| f.set("block crc", 0, &[0; 4])),
    ("block-moved", "two records changed places, each with the checksum of its own place", "crc", No, |f| {
        let (first, second) = (f.find("block crc", 0), f.find("block crc", 1));
        let (a, b) = (f.fields[first].clone(), f.fields[second].clone());
        f.fields[first] = b;
        f.fields[second] = a;
    }),
    ("no-entries", "a block without entries", "entries", Yes, |f| f.set("entries", 0, &[0; 4])),
    ("entries-huge", "more entries than bytes", "entries", Yes, |f| f.set("entries", 0, &[0xFF; 4])),
    ("entries-too-many", "one entry more than there is", "key", Yes, |f| f.set("entries", 0, &[0, 0, 0, 2])),
    ("entries-too-few", "one entry less than there is", "block", Yes, |f| f.set("entries", 1, &[0, 0, 0, 1])),
    ("codec-unknown", "a codec that does not exist", "compression", Yes, |f| f.set("compression", 0, &[9])),
    ("raw-length", "the lengths of an uncompressed block differ", "raw length", Yes, |f| {
        f.set("raw length", 0, &[0, 0, 1, 0]);
    }),
    ("stored-length-huge", "a block longer than the section", "payload", Yes, |f| {
        f.set("stored length", 0, &[0xFF; 4])
    }),
    ("key-length-beyond-end", "a key longer than its block", "key", Yes, |f| f.set("key length", 0, &[0x7F])),
    ("key-length-overflow", "a length above 64 bits", "key", Yes, |f| {
        f.set("key length", 0, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]);
        grow(f, 0, 9);
    }),
    ("value-length-beyond-end", "a value longer than its block", "value", Yes, |f| f.set("value length", 0, &[0x7F])),
    ("keys-equal", "the same key twice", "key", Yes, |f| {
        let first = f.get("user key", 0).to_vec();
        f.set("user key", 1, &first);
    }),
    ("keys-descend", "keys in the wrong order", "key", Yes, |f| f.set("user key", 0, b"\x03SEA")),
    ("foreign-key", "a key that belongs to another key group", "key", Yes, |f| f.set("key", 0, b"\x06N39463")),
    ("key-too-short", "a key that ends before its last part", "string", Yes, |f| f.set("key", 0, b"\x07N804JB")),
    ("value-too-long", "a byte after the value", "value", Yes, |f| {
        let at = f.find("value length", 7);
        f.fields[at].1 = vec![5];
        let at = f.find("value", 4);
        f.fields[at].1.push(0);
        grow(f, 5, 1);
    }),
    ("time-domain", "a time domain that does not exist", "time domain", Yes, |f| f.set("time domain", 1, &[2])),
    ("list-empty", "a list without elements", "value", Yes, |f| {
        let at = f.find("value length", 0);
        f.fields[at].1 = vec![0];
        f.fields.drain(at + 1..at + 5);
        f.set("raw length", 0, &[0, 0, 0, 9]);
        f.set("stored length", 0, &[0, 0, 0, 9]);
    }),
];

/// Adds to both lengths of an uncompressed block.
fn grow(f: &mut Forge, block: usize, by: u8) {
    for name in ["raw length", "stored length"] {
        let mut length = f.get(name, block).to_vec();
        length[3] += by;
        f.set(name, block, &length);
    }
}

const COMPRESSED: [Change; 5] = [
    ("lz4-bomb", "a block that claims to become 1 GiB", "raw length", Yes, |f| {
        f.set("raw length", 0, &[0x40, 0, 0, 0]);
    }),
    ("lz4-ratio", "a block that claims to become 2,000 times as long", "raw length", Yes, |f| {
        f.set("raw length", 0, &[0x00, 0x04, 0, 0]);
    }),
    ("lz4-not-smaller", "a compressed block that is no smaller", "raw length", Yes, |f| {
        let stored = f.get("stored length", 0).to_vec();
        f.set("raw length", 0, &stored);
    }),
    ("lz4-too-short", "a block that expands to less than it claims", "payload", Yes, |f| {
        let mut raw = f.get("raw length", 0).to_vec();
        raw[3] += 1;
        f.set("raw length", 0, &raw);
    }),
    ("lz4-damaged", "a payload that is not LZ4", "payload", Yes, |f| {
        let length = f.get("payload", 0).len();
        f.set("payload", 0, &vec![0xFF; length]);
    }),
];

const TYPED: [Change; 6] = [
    ("list-empty", "a list without elements", "count", Yes, |f| f.set("count", 0, &[0])),
    ("map-empty", "a map without entries", "count", Yes, |f| f.set("count", 1, &[0])),
    ("count-huge", "more elements than bytes", "count", Yes, |f| f.set("count", 0, &[0x7F])),
    ("count-too-few", "one element less than there is", "block", Yes, |f| f.set("count", 0, &[1])),
    ("time-domain", "a time domain that does not exist", "time domain", Yes, |f| f.set("time domain", 0, &[2])),
    ("foreign-key", "a key that belongs to another key group", "key", Yes, |f| f.set("key", 0, b"\x06N39463")),
];

const OPERATOR: [Change; 4] = [
    ("keyed-kind", "keyed state in operator data", "state kind", Yes, |f| f.set("state kind", 0, &[3])),
    ("foreign-subtask", "an intact section of another subtask", "owner", Yes, |f| f.set("owner", 0, &[0, 0])),
    ("element-with-key", "an element of a list that has a key", "key", Yes, |f| {
        let at = f.find("key length", 2);
        f.fields[at].1 = vec![1];
        let at = f.find("value length", 2);
        f.fields[at].1 = vec![11];
    }),
    ("broadcast-descends", "broadcast entries in the wrong order", "key", Yes, |f| f.set("user key", 0, b"\x02ZZ")),
];

const HEAD: [Change; 24] = [
    ("wrong-magic", "not one of our files", "magic", No, |f| f.set("magic", 0, b"\x7fELF\x02")),
    ("other-format", "the bytes of a section", "format", Yes, |f| f.set("format", 0, &[2])),
    ("unknown-version", "version 2", "version", No, |f| f.set("version", 0, &[0, 2])),
    ("digest", "the digest is wrong", "digest", No, |f| f.set("digest", 0, &[0; 32])),
    ("too-short", "nothing but a preamble", "digest", No, |f| f.fields.truncate(3)),
    ("trailing-bytes", "bytes between body and digest", "body", Yes, |f| {
        let end = f.fields.len() - 1;
        f.insert(end, vec![("garbage".to_owned(), vec![0; 4])]);
    }),
    ("checkpoint-0", "checkpoint 0", "checkpoint id", Yes, |f| f.set("checkpoint id", 0, &[0; 8])),
    ("later-snapshot-kind", "a kind of snapshot from the future", "snapshot kind", Yes, |f| {
        f.set("snapshot kind", 0, &[9]);
    }),
    ("savepoint-shares", "a savepoint that needs a shared object", "object scope", Yes, |f| {
        f.set("snapshot kind", 0, &[2]);
    }),
    ("operators-huge", "more operators than bytes", "operators", Yes, |f| f.set("operators", 0, &[0xFF, 0xFF, 0x7F])),
    ("operators-too-few", "an operator more than announced", "body", Yes, |f| f.set("operators", 0, &[1])),
    ("operators-descend", "the operators are in the wrong order", "operator id", Yes, |f| {
        let second = f.find("operator id", 1);
        f.fields[second].1 = vec![0; 16];
    }),
    ("uid-of-another", "a uid that does not give the id", "uid", Yes, |f| f.set("uid", 1, b"aircrash")),
    ("parallelism-0", "parallelism 0", "parallelism", Yes, |f| f.set("parallelism", 0, &[0; 4])),
    ("parallelism-above-max", "parallelism above the max", "parallelism", Yes, |f| {
        f.set("parallelism", 0, &[0, 0, 0, 129]);
    }),
    ("max-parallelism-0", "max parallelism 0", "max parallelism", Yes, |f| f.set("max parallelism", 0, &[0; 4])),
    ("max-parallelism-huge", "max parallelism 32,769", "max parallelism", Yes, |f| {
        f.set("max parallelism", 0, &[0, 0, 0x80, 1]);
    }),
    ("later-assignment", "key groups assigned in a way from the future", "key-group assignment", Yes, |f| {
        f.set("key-group assignment", 0, &[77]);
    }),
    ("state-twice", "two states of one name", "state name", Yes, |f| {
        f.set("state name", 1, b"airlines");
        f.set("state name length", 1, &[8]);
    }),
    ("later-state-kind", "a kind of state from the future", "state kind", Yes, |f| f.set("state kind", 0, &[42])),
    ("state-name-nul", "a NUL in a state's name", "state name", Yes, |f| f.set("state name", 0, b"airlin\0s")),
    ("timed-not-a-flag", "a flag that is 2", "timed", Yes, |f| f.set("timed", 0, &[2])),
    ("broadcast-with-namespace", "broadcast state with namespaces", "namespace", Yes, |f| {
        f.set("namespace serializer", 0, &[3, 1, 0]);
    }),
    ("subtask-flags", "a flag that does not exist", "subtask flags", Yes, |f| f.set("subtask flags", 0, &[0x12])),
];

const HANDLES: [Change; 20] = [
    ("later-data-format", "keyed state in a format from the future", "format", Yes, |f| f.set("format", 1, &[50])),
    ("operator-format", "keyed state in the operator format", "format", Yes, |f| f.set("format", 1, &[4])),
    ("range-reversed", "a range that ends before it begins", "first key group", Yes, |f| {
        f.set("first key group", 0, &[0, 43]);
    }),
    ("range-beyond-max", "a range beyond the max parallelism", "last key group", Yes, |f| {
        f.set("last key group", 1, &[0, 128]);
    }),
    ("ranges-overlap", "ranges that overlap", "first key group", Yes, |f| f.set("first key group", 1, &[0, 42])),
    ("group-outside-range", "a section outside the range", "key group", Yes, |f| f.set("key group", 0, &[0, 43])),
    ("group-twice", "two sections of one key group", "key group", Yes, |f| f.set("key group", 2, &[0, 43])),
    ("object-index", "a section in an object that is not listed", "object index", Yes, |f| {
        f.set("object index", 0, &[9])
    }),
    ("section-overlap", "sections that overlap", "section offset", Yes, |f| f.set("section offset", 3, &[0xD7, 4])),
    ("section-gap", "a gap between sections", "section offset", Yes, |f| f.set("section offset", 3, &[0xD9, 4])),
    ("section-beyond-end", "a section that ends after its object", "section length", Yes, |f| {
        f.set("section length", 3, &[0x91, 3]);
    }),
    ("section-overflow", "offset and length do not fit 64 bits", "section length", Yes, |f| {
        f.set("section length", 2, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]);
    }),
    ("section-too-short", "a section of one byte", "section length", Yes, |f| f.set("section length", 0, &[1])),
    ("bytes-left-over", "bytes of an object that no section has", "sections", Yes, |f| {
        f.set("section length", 3, &[0x8F, 3]);
    }),
    ("object-name-escapes", "a name that leads out of the directory", "object name", Yes, |f| {
        f.set("object name", 0, b"../402abc4b2a76b9719d911017c592d");
    }),
    ("object-name-upper-case", "a name that some systems confuse with another", "object name", Yes, |f| {
        f.set("object name", 0, b"5D41402ABC4B2A76B9719D911017C592");
    }),
    ("object-twice", "an exclusive object named twice", "object name", Yes, |f| {
        let first = f.get("object name", 0).to_vec();
        f.set("object name", 1, &first);
    }),
    ("totals", "entries of states and of sections differ", "totals", Yes, |f| f.set("state entries", 0, &[9])),
    ("totals-of-operator-state", "operator state among the keyed totals", "state index", Yes, |f| {
        f.set("state index", 0, &[0]);
    }),
    ("place-of-operator-state", "neither inline nor an object", "operator state", Yes, |f| {
        f.set("operator state", 0, &[3]);
    }),
];

const RECORD: [Change; 16] = [
    ("wrong-magic", "not one of our files", "magic", No, |f| f.set("magic", 0, b"\x7fELF\x02")),
    ("other-format", "the bytes of a manifest", "format", Yes, |f| f.set("format", 0, &[1])),
    ("unknown-version", "version 2", "version", No, |f| f.set("version", 0, &[0, 2])),
    ("digest", "the digest is wrong", "digest", No, |f| f.set("digest", 0, &[0; 32])),
    ("too-short", "nothing but a preamble", "digest", No, |f| f.fields.truncate(3)),
    ("trailing-bytes", "bytes between body and digest", "digest", Yes, |f| f.set("claimed", 0, &[1, 0])),
    ("later-kind", "a kind from the future", "kind", Yes, |f| f.set("kind", 0, &[4])),
    ("number-0", "records are numbered from 1", "number", Yes, |f| f.set("number", 0, &[0; 8])),
    ("epoch-0", "epochs are numbered from 1", "epoch", Yes, |f| f.set("epoch", 0, &[0; 8])),
    ("below-beyond-reserved", "ids are decided that were not given", "below", Yes, |f| {
        f.set("below", 0, &[0, 0, 0, 0, 0, 0, 0, 202]);
    }),
    ("kept-beyond-reserved", "an id is kept that was not given", "kept", Yes, |f| {
        f.set("kept", 0, &[0, 0, 0, 0, 0, 0, 0, 201]);
    }),
    ("kept-descends", "two kept ids that are equal", "kept", Yes, |f| {
        f.set("kept count", 0, &[2]);
        f.set("kept", 0, &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9]);
    }),
    ("kept-huge", "more kept ids than there are bytes", "kept", Yes, |f| {
        f.set("kept count", 0, &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]);
    }),
    ("origin-not-a-flag", "a flag that is 2", "origin", Yes, |f| f.set("origin", 0, &[2])),
    ("place-control", "a line feed in the place", "place", Yes, |f| f.set("place", 0, b"back\np")),
    ("directory-empty", "an origin without a directory", "directory", Yes, |f| {
        f.set("directory length", 0, &[0]);
        f.set("directory", 0, &[]);
    }),
];

const LEASE: [Change; 2] = [
    ("lease-checkpoint-0", "a lease of no checkpoint", "checkpoint id", Yes, |f| f.set("checkpoint id", 0, &[0; 8])),
    ("lease-reader-empty", "nobody reads", "reader", Yes, |f| {
        f.set("reader length", 0, &[0]);
        f.set("reader", 0, &[]);
    }),
];

const FILES: [Change; 10] = [
    ("file-name-escapes", "a name that leads out of the directory", "file name", Yes, |f| {
        f.set("file name", 2, b"../007.sst");
    }),
    ("file-name-options", "options, which are never stored", "file name", Yes, |f| {
        f.set("file name length", 2, &[14]);
        f.set("file name", 2, b"OPTIONS-000007");
    }),
    ("file-name-blob", "a blob file, which no table may refer to", "file name", Yes, |f| {
        f.set("file name length", 2, &[11]);
        f.set("file name", 2, b"000007.blob");
    }),
    ("file-name-digits", "a table number with a sign", "file name", Yes, |f| f.set("file name", 2, b"+00007.sst")),
    ("file-twice", "two objects are one file", "files", Yes, |f| {
        f.set("file name length", 3, &[10]);
        f.set("file name", 3, b"000007.sst");
    }),
    ("files-descend", "files in the wrong order", "files", Yes, |f| {
        f.set("file name length", 3, &[10]);
        f.set("file name", 3, b"000006.sst");
    }),
    ("files-without-current", "a database without CURRENT", "files", Yes, |f| {
        f.set("file name length", 0, &[15]);
        f.set("file name", 0, b"MANIFEST-000004");
    }),
    ("files-without-manifest", "a database without a manifest", "files", Yes, |f| {
        f.set("file name length", 1, &[10]);
        f.set("file name", 1, b"000005.sst");
    }),
    ("files-huge", "more files than bytes", "files", Yes, |f| f.set("files", 0, &[0xFF, 0xFF, 0x7F])),
    ("files-in-savepoint", "a savepoint with a shared table", "object scope", Yes, |f| {
        f.set("snapshot kind", 0, &[2]);
    }),
];

const IDENTITY: [Change; 7] = [
    ("wrong-magic", "not one of our databases", "magic", No, |f| f.set("magic", 0, b"rocks")),
    ("other-format", "the identity claims to be a section", "format", Yes, |f| f.set("format", 0, &[2])),
    ("unknown-version", "version 2", "version", Yes, |f| f.set("version", 0, &[0, 2])),
    ("crc", "the checksum is wrong", "crc", No, |f| f.set("crc", 0, &[0; 4])),
    ("max-parallelism-0", "max parallelism 0", "max parallelism", Yes, |f| f.set("max parallelism", 0, &[0; 4])),
    ("max-parallelism-huge", "max parallelism 32,769", "max parallelism", Yes, |f| {
        f.set("max parallelism", 0, &[0, 0, 0x80, 1]);
    }),
    ("trailing-bytes", "bytes after the checksum", "identity", No, |f| {
        let end = f.fields.len();
        f.insert(end, vec![("garbage".to_owned(), vec![0; 4])]);
    }),
];
