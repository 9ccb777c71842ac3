//! Inputs that take more memory than they look like.

use millpond::codec::{Compression, Digest, Writer, digest};
use millpond::format::FormatId;
#[cfg(feature = "lz4")]
use millpond::format::canonical;
use millpond::format::manifest::{
    KeyGroupAssignment, KeyedHandle, Manifest, ObjectRef, ObjectScope, OperatorSnapshot, SectionRef, SnapshotKind,
    SubtaskSnapshot,
};
use millpond::format::preamble;
use millpond::format::record::{StateKind, StateMeta};
use millpond::format::section::{Owner, SectionId, SectionReader, StateTotals};
use millpond::ids::{CheckpointId, JobId, OperatorId, SubtaskIndex};
use millpond::key_group::{KeyGroup, KeyGroupRange, MaxParallelism, Parallelism};
use millpond::serializer::shape::Field;
use millpond::serializer::{SerializerSnapshot as S, Shape};

const OPERATOR: OperatorId = OperatorId([7; 16]);

fn manifest(operators: Vec<OperatorSnapshot>) -> Vec<u8> {
    let (job, checkpoint, kind) = (JobId([1; 16]), CheckpointId(1), SnapshotKind::Checkpoint);
    Manifest { job, checkpoint, kind, created_ms: 0, writer: "w".to_owned(), operators }.encode().unwrap()
}

fn operator(states: Vec<StateMeta>, subtasks: Vec<SubtaskSnapshot>) -> OperatorSnapshot {
    let max_parallelism = MaxParallelism::new(32_768).unwrap();
    let parallelism = Parallelism::new(subtasks.len() as u32, max_parallelism).unwrap();
    let (assignment, key) = (KeyGroupAssignment::Xxh3, Some(S::Unit));
    OperatorSnapshot { id: OPERATOR, uid: None, parallelism, max_parallelism, assignment, key, states, subtasks }
}

fn state(name: String, value: S) -> StateMeta {
    StateMeta { name, kind: StateKind::Value, namespace: S::Unit, user_key: S::Unit, value, timed: false }
}

fn without_state(index: u32) -> SubtaskSnapshot {
    SubtaskSnapshot { index: SubtaskIndex(index), finished: true, keyed: None, operator: None }
}

/// A body between a right preamble and a right digest.
pub(super) fn sealed(body: &[u8]) -> Vec<u8> {
    let mut out = Writer::new();
    preamble::write(FormatId::Manifest, &mut out);
    out.raw(body);
    let digest = digest(out.as_slice());
    out.raw(&digest.0);
    out.into_bytes()
}

/// The smallest states and the smallest subtasks, so many of each.
pub(super) fn manifest_of_parts(count: u32) -> Vec<u8> {
    let states = (0..count).map(|number| state(format!("{number:04}"), S::Unit)).collect();
    manifest(vec![operator(states, (0..count).map(without_state).collect())])
}

/// Nothing but subtasks, each of which is a single byte.
pub(super) fn manifest_of_subtasks(count: u32) -> Vec<u8> {
    manifest(vec![operator(Vec::new(), (0..count).map(without_state).collect())])
}

fn keyed(index: u32, subtasks: u32, states: &[StateMeta], sections: u64) -> SubtaskSnapshot {
    let max = MaxParallelism::new(32_768).unwrap();
    let range = KeyGroupRange::of_subtask(index, Parallelism::new(subtasks, max).unwrap(), max).unwrap();
    let name = format!("{index:032x}");
    let object = ObjectRef { scope: ObjectScope::Exclusive, name, length: 1_000 * sections, digest: Digest([9; 32]) };
    let section = |number: u64| SectionRef {
        group: KeyGroup(range.first().0 + number as u16),
        object: 0,
        offset: 1_000 * number,
        length: 1_000,
        checksum: number,
        entries: states.len() as u64,
    };
    let totals =
        states.iter().map(|state| StateTotals { name: state.name.as_str().into(), entries: sections, bytes: 1 });
    let handle = KeyedHandle {
        format: FormatId::Canonical,
        range,
        assignment: KeyGroupAssignment::Xxh3,
        objects: vec![object],
        sections: (0..sections).map(section).collect(),
        files: Vec::new(),
        states: totals.collect(),
    };
    SubtaskSnapshot { index: SubtaskIndex(index), finished: false, keyed: Some(Box::new(handle)), operator: None }
}

/// A few states with names as long as they may be, and totals of each for every subtask.
pub(super) fn manifest_of_totals(subtasks: u32) -> Vec<u8> {
    let states: Vec<StateMeta> =
        (0..8).map(|number| state(format!("{number}{}", "n".repeat(4_000)), S::Unit)).collect();
    let subtasks = (0..subtasks).map(|index| keyed(index, subtasks, &states, 1)).collect();
    manifest(vec![operator(states, subtasks)])
}

/// A job as there are: ten states of types with fields, 64 subtasks, all key groups in use.
pub(super) fn honest_manifest() -> Vec<u8> {
    let field = |number: usize| Field { name: format!("field-{number}"), shape: Shape::Option(Box::new(Shape::U64)) };
    let shape = Shape::Struct { name: "Profile".to_owned(), fields: (0..12).map(field).collect() };
    let states: Vec<StateMeta> =
        (0..10).map(|number| state(format!("state-of-number-{number}"), S::Msgpack(shape.clone()))).collect();
    let subtasks = (0..64).map(|index| keyed(index, 64, &states, 512)).collect();
    manifest(vec![operator(states, subtasks)])
}

fn described(description: &S) -> Vec<u8> {
    let mut out = Writer::new();
    description.encode(&mut out).unwrap();
    out.into_bytes()
}

/// Descriptions with as many parts as their bytes allow.
pub(super) fn descriptions() -> Vec<(&'static str, Vec<u8>)> {
    let nameless = || Field { name: String::new(), shape: Shape::Unit };
    let shape = |shape| described(&S::Msgpack(shape));
    vec![
        ("a tuple of units", described(&S::Tuple(vec![S::Unit; 4_000]))),
        ("tuples of nothing", described(&S::Tuple(vec![S::Tuple(vec![]); 4_000]))),
        ("a shape of units", shape(Shape::Tuple(vec![Shape::Unit; 200_000]))),
        ("a shape of empty tuples", shape(Shape::Tuple(vec![Shape::Tuple(vec![]); 200_000]))),
        (
            "a struct of nameless fields",
            shape(Shape::Struct { name: String::new(), fields: vec![nameless(); 200_000] }),
        ),
    ]
}

/// Values of a byte or less per part, with their descriptions.
pub(super) fn values() -> Vec<(&'static str, S, Vec<u8>)> {
    let count = |count: usize, element: &[u8]| {
        let mut out = Writer::new();
        out.length(count);
        (0..count).for_each(|_| out.raw(element));
        out.into_bytes()
    };
    let list = |element| S::List(Box::new(element));
    // MessagePack: an array of nils.
    let array = [&[0xDD][..], &300_000u32.to_be_bytes(), &vec![0xC0; 300_000]].concat();
    let mut msgpack = Writer::new();
    msgpack.bytes(&array);
    vec![
        ("a list of flags", list(S::Bool), count(300_000, &[1])),
        ("a list of empty lists", list(list(S::Bool)), count(300_000, &[0])),
        ("a list of missing options", list(S::Option(Box::new(S::U64))), count(300_000, &[0])),
        ("a list of empty strings", list(S::String), count(300_000, &[0])),
        ("an array of nils", S::Msgpack(Shape::Any), msgpack.into_bytes()),
    ]
}

fn id(format: FormatId) -> SectionId {
    let owner = match format {
        FormatId::Operator => Owner::Subtask(SubtaskIndex(0)),
        _ => Owner::KeyGroup(KeyGroup(3)),
    };
    SectionId { format, operator: OPERATOR, owner }
}

/// A section of so many blocks, none compressed.
pub(super) fn section_of_blocks(format: FormatId, blocks: u32) -> Vec<u8> {
    let mut out = millpond::format::section::SectionWriter::new(Vec::new(), format, OPERATOR, Compression::None);
    out.begin(id(format).owner).unwrap();
    let kind = if format == FormatId::Operator { StateKind::OperatorList } else { StateKind::Value };
    out.begin_state("s", kind).unwrap();
    for number in 0..blocks {
        out.entry(|out| {
            out.u32(number);
            out.raw(&[5; 70_000]);
            Ok(())
        })
        .unwrap();
    }
    out.finish().unwrap();
    out.close().unwrap()
}

/// Steps through all blocks of a section that is good.
pub(super) fn walk(bytes: &[u8], format: FormatId) {
    SectionReader::new(bytes, 0, id(format)).unwrap().for_each(|block| drop(block.unwrap()));
}

/// Steps through the blocks of a canonical section, which is what it says it is, until it is refused.
#[cfg(feature = "lz4")]
pub(super) fn walk_any(bytes: &[u8]) {
    let operator = OperatorId(bytes[8..24].try_into().unwrap());
    let owner = Owner::KeyGroup(KeyGroup(u16::from_be_bytes([bytes[24], bytes[25]])));
    let blocks = SectionReader::new(bytes, 0, SectionId { format: FormatId::Canonical, operator, owner }).unwrap();
    assert!(blocks.map(|block| block.map(drop)).any(|block| block.is_err()), "it should be refused");
}

/// A section with a block that is much longer than what is stored, and its raw length.
#[cfg(feature = "lz4")]
pub(super) fn compressed_section() -> (Vec<u8>, u64) {
    let mut out = canonical::writer(Vec::new(), OPERATOR, Compression::Lz4);
    out.begin(Owner::KeyGroup(KeyGroup(3))).unwrap();
    out.begin_state("s", StateKind::Value).unwrap();
    let value = vec![0; 4 << 20];
    out.pair(b"k", &value).unwrap();
    out.finish().unwrap();
    (out.close().unwrap(), value.len() as u64)
}

/// Sections that declare more than they may, with right checksums.
#[cfg(feature = "lz4")]
pub(super) fn bombs() -> Vec<(String, Vec<u8>)> {
    let vectors = ["lz4-bomb", "lz4-ratio", "raw-length", "stored-length-huge", "entries-huge"];
    let read = |name: &str| {
        let path = format!("{}/formats/canonical/bad/v1/{name}.hex", env!("CARGO_MANIFEST_DIR"));
        millpond::format::annotate::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    vectors.iter().map(|name| ((*name).to_owned(), read(name))).collect()
}
