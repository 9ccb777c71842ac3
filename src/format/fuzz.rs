//! Bodies of the fuzz targets: what must hold for any bytes. Feature `test-util`.
//!
//! Each function decodes what it is given. If that succeeds, it encodes the result again and asserts that nothing
//! changed. Checksums, which random bytes never meet, are put right in a second round, so that what lies behind them is
//! reached.

use std::collections::BTreeMap;

use super::control::Control;
use super::java_type::JavaType;
use super::manifest::Manifest;
use super::native_rocksdb::{FileName, Identity};
use super::pair::{PairReader, PairWriter};
use super::record::{StateKind, StateMeta};
use super::schema::Schema;
use super::section::{Block, Owner, SectionId, SectionReader, fuzz_reseal};
use super::{FormatId, annotate, native_heap, native_rocksdb, preamble};
use crate::codec::checksum::Crc32;
use crate::codec::{Compression, Reader, Writer, digest};
use crate::error::Result;
use crate::ids::{OperatorId, SubtaskIndex};
use crate::key_group::{KeyGroup, MaxParallelism};
use crate::serializer::SerializerSnapshot;

/// Any bytes as a manifest, as they are and with preamble and digest put right.
pub fn fuzz_manifest(bytes: &[u8]) {
    read_manifest(bytes);
    let body = preamble::PREAMBLE_BYTES..bytes.len().saturating_sub(DIGEST_BYTES);
    let mut sealed = Writer::new();
    preamble::write(FormatId::Manifest, &mut sealed);
    sealed.raw(bytes.get(body).unwrap_or_default());
    let digest = digest(sealed.as_slice());
    sealed.raw(&digest.0);
    read_manifest(sealed.as_slice());
}

fn read_manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::decode(bytes) else { return };
    let again = manifest.encode();
    assert!(again.is_ok_and(|again| again == bytes), "a manifest changes when it is read and written");
    assert!(manifest.keyed_digest().is_ok());
    let schemas = annotate::Schemas { key: &SerializerSnapshot::Unit, states: &[] };
    let fields = annotate::annotate(bytes, schemas);
    assert!(fields.is_ok(), "what one reader of manifests accepts, the other refuses");
}

/// Any bytes as a Java type, a description and a key of it: a type is written as it was, and has a key group or none.
pub fn fuzz_java_type(bytes: &[u8]) {
    let mut input = Reader::new(bytes);
    let Ok(java) = JavaType::decode(&mut input) else { return };
    let mut out = Writer::new();
    assert!(java.encode(&mut out).is_ok(), "{java}");
    assert_eq!(bytes.get(..input.position()), Some(out.as_slice()), "{java}");
    let Ok(description) = SerializerSnapshot::decode(&mut input) else { return };
    let Ok(max) = MaxParallelism::new(128) else { return };
    if let Ok(Some(group)) = java.key_group(&description, input.rest(), max) {
        assert!(u32::from(group.0) < max.get());
    }
}

/// Any bytes as a control object, as they are and with preamble and digest put right.
pub fn fuzz_control(bytes: &[u8]) {
    read_control(bytes);
    let body = preamble::PREAMBLE_BYTES..bytes.len().saturating_sub(DIGEST_BYTES);
    let mut sealed = Writer::new();
    preamble::write(FormatId::Control, &mut sealed);
    sealed.raw(bytes.get(body).unwrap_or_default());
    let digest = digest(sealed.as_slice());
    sealed.raw(&digest.0);
    read_control(sealed.as_slice());
}

fn read_control(bytes: &[u8]) {
    let Ok(control) = Control::decode(bytes) else { return };
    let again = control.encode();
    assert!(again.is_ok_and(|again| again == bytes), "a control object changes when it is read and written");
    let schemas = annotate::Schemas { key: &SerializerSnapshot::Unit, states: &[] };
    assert!(annotate::annotate(bytes, schemas).is_ok(), "what one reader accepts, the other refuses");
}

/// Any bytes as a canonical section.
pub fn fuzz_canonical(bytes: &[u8]) {
    fuzz_section(bytes, FormatId::Canonical);
}

/// Any bytes as a native heap section.
pub fn fuzz_native_heap(bytes: &[u8]) {
    fuzz_section(bytes, FormatId::NativeHeap);
}

/// Any bytes as a section of operator state.
pub fn fuzz_operator(bytes: &[u8]) {
    fuzz_section(bytes, FormatId::Operator);
}

/// Any bytes as a section of one of the formats, as they are and with the header and all checksums put right.
pub fn fuzz_section(bytes: &[u8], format: FormatId) {
    read_section(bytes, format);
    let mut sealed = bytes.to_vec();
    fuzz_reseal(&mut sealed, format);
    read_section(&sealed, format);
}

/// Any bytes as what a database consists of beside its tables: an identity (as it is, and with the checksum put right), the
/// key of a row, the name of a file, the content of `CURRENT`, and a table.
pub fn fuzz_native_rocksdb(bytes: &[u8]) {
    read_identity(bytes);
    let body = bytes.get(..bytes.len().saturating_sub(4)).unwrap_or_default();
    let mut sealed = Writer::new();
    preamble::write(FormatId::NativeRocksDb, &mut sealed);
    sealed.raw(body.get(preamble::PREAMBLE_BYTES..).unwrap_or_default());
    let mut crc = Crc32::new();
    crc.update(sealed.as_slice());
    sealed.u32(crc.value());
    read_identity(sealed.as_slice());
    if let Ok((group, key)) = native_rocksdb::split_row_key(bytes) {
        let mut row = Writer::new();
        native_rocksdb::row_key(group, key, &mut row);
        assert!(row.as_slice() == bytes, "the key of a row changes when it is read and written");
    }
    let name = std::str::from_utf8(bytes).map(FileName::parse);
    if let Ok(Ok(name)) = name {
        assert!(name.to_string().as_bytes() == bytes, "two names are one file");
    }
    let _checked = native_rocksdb::check_current(bytes, FileName::Manifest(5));
    let _checked = native_rocksdb::check_table(bytes);
}

fn read_identity(bytes: &[u8]) {
    let Ok(identity) = Identity::decode(bytes) else { return };
    assert!(identity.encode() == bytes, "an identity changes when it is read and written");
    let schemas = annotate::Schemas { key: &SerializerSnapshot::Unit, states: &[] };
    assert!(annotate::annotate(bytes, schemas).is_ok(), "what one reader of identities accepts, the other refuses");
}

/// Bytes of the digest at the end of a manifest.
const DIGEST_BYTES: usize = 32;

/// Neutral entries: keys and values.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// What a section holds: state, kind, entries; and whether each state has but one block, small and not compressed.
struct Contents {
    states: BTreeMap<String, (StateKind, Pairs)>,
    plain: bool,
}

fn read_section(bytes: &[u8], format: FormatId) {
    let Some(id) = claimed_id(bytes, format) else { return };
    let Ok(contents) = read_contents(bytes, id) else { return };
    let Ok(again) = write_contents(&contents, id) else {
        assert!(format == FormatId::NativeHeap, "entries were read that cannot be written");
        return;
    };
    if contents.plain && format != FormatId::NativeHeap {
        assert!(again == bytes, "a section changes when it is read and written");
    }
    let read_again = read_contents(&again, id);
    assert!(read_again.is_ok_and(|again| again.states == contents.states), "entries change when they are written");
}

/// The section that the header claims to be.
fn claimed_id(bytes: &[u8], format: FormatId) -> Option<SectionId> {
    let mut input = Reader::new(bytes);
    input.raw(preamble::PREAMBLE_BYTES, "preamble").ok()?;
    let operator = OperatorId(<[u8; 16]>::try_from(input.raw(16, "operator id").ok()?).ok()?);
    let number = input.u16("owner").ok()?;
    let owner = match format {
        FormatId::Operator => Owner::Subtask(SubtaskIndex(u32::from(number))),
        _ => Owner::KeyGroup(KeyGroup(number)),
    };
    Some(SectionId { format, operator, owner })
}

fn read_contents(bytes: &[u8], id: SectionId) -> Result<Contents> {
    let mut contents = Contents { states: BTreeMap::new(), plain: true };
    let mut order = PairReader::new();
    for block in SectionReader::new(bytes, 0, id)? {
        let block = block?;
        contents.plain &= block.is_first && block.compression == Compression::None && block.payload.len() < 64 << 10;
        let mut pairs = Vec::new();
        read_pairs(&block, &mut order, &mut pairs)?;
        let entry = contents.states.entry(block.state.to_owned()).or_insert_with(|| (block.kind, Vec::new()));
        entry.1.append(&mut pairs);
    }
    Ok(contents)
}

fn read_pairs(block: &Block<'_>, order: &mut PairReader, pairs: &mut Pairs) -> Result<()> {
    let state = state(block.state, block.kind);
    let schema = Schema { key: &SerializerSnapshot::String, state: &state };
    if block.section.format != FormatId::NativeHeap {
        for pair in order.pairs(block) {
            let (key, value) = pair?;
            let _checked = schema.check_parts(key, value).and_then(|()| schema.split_key(key).map(|_| ()));
            pairs.push((key.to_vec(), value.to_vec()));
        }
        return Ok(());
    }
    let mut entries = native_heap::Entries::new(block, schema);
    while let Some((key, value)) = entries.next_pair()? {
        let parts = schema.check_parts(key, value);
        assert!(parts.is_ok(), "a typed entry gives a pair that is not valid");
        pairs.push((key.to_vec(), value.to_vec()));
    }
    Ok(())
}

/// Writes neutral entries again, a state at a time.
fn write_contents(contents: &Contents, id: SectionId) -> Result<Vec<u8>> {
    if id.format == FormatId::NativeHeap {
        let mut out = native_heap::writer(Vec::new(), id.operator, Compression::None);
        out.begin(id.owner)?;
        for (name, (kind, pairs)) in &contents.states {
            out.begin_state(name, *kind)?;
            let state = state(name, *kind);
            let schema = Schema { key: &SerializerSnapshot::String, state: &state };
            for (key, value) in pairs {
                out.entry(|out| native_heap::write_pair(&schema, key, value, out))?;
            }
        }
        out.finish()?;
        return out.close();
    }
    let mut out = PairWriter::new(Vec::new(), id.format, id.operator, Compression::None);
    out.begin(id.owner)?;
    for (name, (kind, pairs)) in &contents.states {
        out.begin_state(name, *kind)?;
        pairs.iter().try_for_each(|(key, value)| out.pair(key, value))?;
    }
    out.finish()?;
    out.close()
}

/// Serializers for a state of this kind, some with namespaces or stamps, chosen by its name.
fn state(name: &str, kind: StateKind) -> StateMeta {
    use SerializerSnapshot as S;
    let odd = name.len() % 2 == 1 && kind.is_keyed();
    StateMeta {
        name: name.to_owned(),
        kind,
        namespace: if odd { S::Window } else { S::Unit },
        user_key: if matches!(kind, StateKind::Map | StateKind::Broadcast) { S::String } else { S::Unit },
        value: match kind {
            StateKind::Timer => S::Unit,
            StateKind::List if odd => S::Unit,
            StateKind::Aggregating => S::Tuple(vec![S::I64, S::U64]),
            _ => S::Option(Box::new(S::Bytes)),
        },
        timed: odd && kind != StateKind::Timer,
    }
}
