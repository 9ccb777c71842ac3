//! The vectors in `formats/`: bytes with their meaning, and bytes that must be refused.
//!
//! To add some, see `formats/README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use millpond::codec::{Compression, digest};
use millpond::format::FormatId;
use millpond::format::annotate;
use millpond::format::control::Control;
use millpond::format::manifest::{Manifest, SnapshotKind};
use millpond::format::native_rocksdb::Identity;
use millpond::format::section::SectionReader;
use millpond::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use super::bad;
use super::control;
use super::forge::annotated;
use super::json as described;
use super::samples;
use super::sections::{self, contents};

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("formats")
}

/// A vector: format, name, and how its bytes came to be.
type Good = (FormatId, &'static str, fn() -> Vec<u8>);

const GOOD: [Good; 15] = [
    (FormatId::Manifest, "checkpoint", || samples::manifest(SnapshotKind::Checkpoint).encode().unwrap()),
    (FormatId::Manifest, "savepoint", || samples::manifest(SnapshotKind::Savepoint).encode().unwrap()),
    (FormatId::Manifest, "empty", || {
        Manifest { operators: vec![], ..samples::manifest(SnapshotKind::Checkpoint) }.encode().unwrap()
    }),
    (FormatId::Manifest, "database", || samples::database_manifest().encode().unwrap()),
    (FormatId::Manifest, "imported", || samples::imported_manifest().encode().unwrap()),
    (FormatId::Canonical, "all-kinds", || samples::canonical_section(Compression::None).0),
    (FormatId::Canonical, "lz4", || samples::compressible_section(Compression::Lz4).0),
    (FormatId::Canonical, "zstd", || samples::compressible_section(Compression::Zstd).0),
    (FormatId::NativeHeap, "all-kinds", || samples::native_section().0),
    (FormatId::Operator, "all-kinds", || samples::operator_section().0),
    (FormatId::NativeRocksDb, "identity", || samples::identity().encode()),
    (FormatId::Control, "record", || control::record().encode().unwrap()),
    (FormatId::Control, "claiming", || control::claiming().encode().unwrap()),
    (FormatId::Control, "lease", || control::lease().encode().unwrap()),
    (FormatId::Control, "seal", || control::seal().encode().unwrap()),
];

/// The vectors that this build can expand.
fn good() -> impl Iterator<Item = Good> {
    GOOD.into_iter().filter(|(_, name, _)| *name != "zstd" || cfg!(feature = "zstd"))
}

fn path(format: FormatId, directory: &str, name: &str, extension: &str) -> PathBuf {
    root().join(format.name()).join(directory).join(format!("{name}.{extension}"))
}

fn text(path: &Path) -> String {
    let mut text = String::new();
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.read_to_string(&mut text).unwrap();
    text
}

fn stored(format: FormatId, name: &str) -> Vec<u8> {
    annotate::parse(&text(&path(format, "vectors/v1", name, "hex"))).unwrap()
}

fn rendered(format: FormatId, bytes: &[u8]) -> String {
    annotate::render(bytes, &annotated(format, bytes))
}

/// Decodes a vector completely and describes what is in it.
pub(super) fn decode(format: FormatId, bytes: &[u8]) -> Result<Value> {
    if format == FormatId::Manifest {
        return Manifest::decode(bytes).map(|manifest| described::manifest(&manifest));
    }
    if format == FormatId::Control {
        return Control::decode(bytes).map(|control| control::describe(&control));
    }
    if format == FormatId::NativeRocksDb {
        return Identity::decode(bytes).map(|identity| described::identity(&identity));
    }
    let id = sections::id(format);
    let states = if format == FormatId::Operator { samples::operator_states() } else { samples::keyed_states() };
    Ok(described::section(id, &contents(bytes, id, &states)?, &samples::key(format), &states))
}

#[test]
fn vectors_decode_to_their_records() {
    for (format, name, _) in good() {
        let expected: Value = serde_json::from_str(&text(&path(format, "vectors/v1", name, "json"))).unwrap();
        assert_eq!(decode(format, &stored(format, name)).unwrap(), expected, "{format} {name}");
    }
}

#[test]
fn the_same_records_are_written_as_the_same_bytes() {
    for (format, name, encode) in good() {
        let bytes = stored(format, name);
        if name == "lz4" || name == "zstd" {
            // Another version of the codec's library may compress better; what it writes must say the same.
            assert_eq!(decode(format, &encode()).unwrap(), decode(format, &bytes).unwrap());
        } else {
            assert_eq!(described::hex(&encode()), described::hex(&bytes), "{format} {name}");
        }
        if format == FormatId::Manifest {
            assert_eq!(Manifest::decode(&bytes).unwrap().encode().unwrap(), bytes);
        }
    }
}

#[test]
fn the_annotation_is_reprinted_and_leaves_out_no_byte() {
    for (format, name, _) in good() {
        let bytes = stored(format, name);
        let mut next = 0;
        for field in annotated(format, &bytes) {
            assert_eq!(field.offset, next, "{format} {name}: {field:?}");
            next += field.length;
        }
        assert_eq!(next, bytes.len());
        assert_eq!(rendered(format, &bytes), text(&path(format, "vectors/v1", name, "hex")), "{format} {name}");
    }
}

#[cfg(not(feature = "zstd"))]
#[test]
fn a_codec_that_is_not_built_in_is_named() {
    let error = decode(FormatId::Canonical, &stored(FormatId::Canonical, "zstd")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.message().contains("feature `zstd`"), "{error}");
}

fn check_place(format: FormatId, error: &Error, length: usize, what: &str) {
    assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Incompatible), "{what}: {error}");
    let offset = error.place().offset.unwrap_or_else(|| panic!("{what}: no offset: {error}"));
    assert!(offset <= u64::try_from(length).unwrap(), "{what}: {error}");
    assert!(error.place().field.is_some(), "{what}: {error}");
    if matches!(format, FormatId::Canonical | FormatId::NativeHeap) {
        assert_eq!(error.place().key_group, Some(samples::GROUP.0), "{what}: {error}");
    }
}

#[test]
fn every_truncation_is_found() {
    for (format, name, _) in good() {
        let bytes = stored(format, name);
        for length in 0..bytes.len() {
            let error = decode(format, &bytes[..length]).unwrap_err();
            check_place(format, &error, length, &format!("{format} {name} cut at {length}"));
        }
    }
}

#[test]
fn every_flipped_bit_is_found_and_placed() {
    for (format, name, _) in good() {
        let bytes = stored(format, name);
        let blocks = block_ranges(format, &bytes);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = decode(format, &damaged).unwrap_err();
            check_place(format, &error, bytes.len(), &format!("{format} {name} bit {bit}"));
            if let Some((_, _, state)) = blocks.iter().find(|(start, end, _)| (*start..*end).contains(&(bit / 8))) {
                assert_eq!(error.place().state.as_ref(), Some(state), "{format} {name} bit {bit}: {error}");
            }
        }
    }
}

/// Where the blocks of a section lie, and the states they are of.
fn block_ranges(format: FormatId, bytes: &[u8]) -> Vec<(usize, usize, String)> {
    if matches!(format, FormatId::Manifest | FormatId::Control | FormatId::NativeRocksDb) {
        return vec![];
    }
    SectionReader::new(bytes, 0, sections::id(format))
        .unwrap()
        .map(|block| {
            let block = block.unwrap();
            let start = usize::try_from(block.offset).unwrap();
            let end = start + 14 + usize::try_from(block.stored_bytes).unwrap() + 4;
            (start, end, block.state.to_owned())
        })
        .collect()
}

fn error_json(error: &Error) -> Value {
    let place = error.place();
    json!({
        "kind": error.kind().as_str(),
        "message": error.message(),
        "offset": place.offset,
        "field": place.field,
        "operator": place.operator,
        "state": place.state,
        "key_group": place.key_group,
    })
}

#[test]
fn bad_vectors_give_exactly_the_stated_error() {
    for case in bad::all() {
        let file = |extension| path(case.format, "bad/v1", case.name, extension);
        let bytes = annotate::parse(&text(&file("hex"))).unwrap();
        let expected: Value = serde_json::from_str(&text(&file("json"))).unwrap();
        let error = decode(case.format, &bytes).unwrap_err();
        assert_eq!(error_json(&error), expected, "{} {}", case.format, case.name);
        assert_eq!((error.kind(), error.place().field), (case.kind, Some(case.field)), "{} {}", case.format, case.name);
    }
}

/// Files of the register and their digests, as `formats/CHECKSUMS` has them.
fn checksums() -> BTreeMap<String, String> {
    let line = |line: &str| {
        let (digest, file) = line.split_once("  ").unwrap();
        (file.to_owned(), digest.to_owned())
    };
    text(&root().join("CHECKSUMS")).lines().map(line).collect()
}

/// What should be in `formats/`, by path below it.
fn generated() -> BTreeMap<String, String> {
    let pretty = |value: &Value| format!("{value:#}\n");
    let mut files = BTreeMap::new();
    let mut add = |path: PathBuf, content: String| {
        let below = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        assert!(files.insert(below, content).is_none(), "{} twice", path.display());
    };
    for (format, name, encode) in good() {
        let bytes = encode();
        add(path(format, "vectors/v1", name, "hex"), rendered(format, &bytes));
        add(path(format, "vectors/v1", name, "json"), pretty(&decode(format, &bytes).unwrap()));
    }
    for case in bad::all() {
        let error = decode(case.format, &case.forge.unsealed()).unwrap_err();
        add(path(case.format, "bad/v1", case.name, "hex"), case.forge.render(case.what));
        add(path(case.format, "bad/v1", case.name, "json"), pretty(&error_json(&error)));
    }
    files
}

#[test]
fn no_vector_changed_since_it_was_written() {
    let listed = checksums();
    for (file, expected) in &listed {
        let found = digest(text(&root().join(file)).as_bytes()).to_string();
        assert_eq!(found, *expected, "{file} is not what it was; restore it, old bytes are read for ever");
    }
    let mut wanted: BTreeSet<String> = generated().into_keys().collect();
    if cfg!(not(feature = "zstd")) {
        wanted.extend(["hex", "json"].map(|extension| format!("canonical/vectors/v1/zstd.{extension}")));
    }
    assert_eq!(listed.into_keys().collect::<BTreeSet<_>>(), wanted, "run the generator, see formats/README.md");
}

/// What a bad vector gives, if that is not what it should.
fn unexpected(case: &bad::Bad) -> Option<String> {
    let what = format!("{} {}", case.format, case.name);
    match decode(case.format, &case.forge.unsealed()) {
        Ok(_) => Some(format!("{what}: no error, expected field {:?}", case.field)),
        Err(error) if (error.kind(), error.place().field) == (case.kind, Some(case.field)) => None,
        Err(error) => Some(format!("{what}: {error}, expected field {:?}", case.field)),
    }
}

/// Writes the vectors that are not there yet. One that is there is never changed: where this build would write it
/// differently, that is reported as a failure.
#[test]
#[ignore = "writes into the source tree; see formats/README.md"]
fn write_missing_vectors() {
    let unexpected: Vec<String> = bad::all().iter().filter_map(unexpected).collect();
    assert!(unexpected.is_empty(), "nothing was written, since these give other errors:\n{}", unexpected.join("\n"));
    let mut listed = checksums();
    let mut differ = Vec::new();
    for (file, content) in generated() {
        let target = root().join(&file);
        if listed.contains_key(&file) || target.exists() {
            if text(&target) != content && !file.ends_with("lz4.hex") && !file.ends_with("zstd.hex") {
                differ.push(file);
            }
            continue;
        }
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        File::create(&target).unwrap().write_all(content.as_bytes()).unwrap();
        listed.insert(file, digest(content.as_bytes()).to_string());
    }
    let lines: String = listed.iter().map(|(file, digest)| format!("{digest}  {file}\n")).collect();
    File::create(root().join("CHECKSUMS")).unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(differ.is_empty(), "these exist and this build would write them differently: {differ:?}");
}

/// Whether a cell of the register is the name of a format.
fn named(cell: &str) -> bool {
    cell.len() > 2 && cell.starts_with('`') && cell.ends_with('`') && !cell.contains(' ')
}

#[test]
fn the_register_lists_every_format_once() {
    let register = text(&root().join("README.md"));
    for format in FormatId::ALL {
        let row = format!("| {} | `{}` | {} |", format.tag(), format.name(), format.version());
        assert_eq!(register.matches(&row).count(), 1, "formats/README.md must have one row beginning with {row:?}");
        assert!(root().join(format.name()).join("SPEC.md").exists(), "{format} has no SPEC.md");
    }
    let is_row = |line: &&str| line.strip_prefix("| ").is_some_and(|rest| rest.split(" | ").nth(1).is_some_and(named));
    let rows = register.lines().filter(is_row).count();
    assert_eq!(rows, FormatId::ALL.len(), "rows in formats/README.md");
}
