//! Snapshots in miniature: what the vectors in `formats/` contain.

use millpond::codec::{Compression, Writer, digest};
use millpond::format::java_type::JavaType;
use millpond::format::manifest::{
    KeyGroupAssignment, KeyedHandle, Manifest, ObjectRef, ObjectScope, OperatorSnapshot, OperatorStateContent,
    OperatorStateHandle, SectionRef, SnapshotKind, SubtaskSnapshot,
};
use millpond::format::native_rocksdb::{FileName, Identity};
use millpond::format::record::{StateKind, StateMeta};
use millpond::format::schema::{EVENT_TIME, PROCESSING_TIME};
use millpond::format::section::{Owner, SectionSummary, StateTotals};
use millpond::format::{FormatId, canonical, native_heap, operator};
use millpond::ids::{CheckpointId, JobId, OperatorId, SubtaskIndex};
use millpond::key_group::{KeyGroup, KeyGroupRange, MaxParallelism, Parallelism};
use millpond::serializer::SerializerSnapshot as S;
use millpond::serializer::shape::{Field, Shape};

/// Key group of the only key of the section samples, `"N804JB"` at max parallelism 128.
pub(super) const GROUP: KeyGroup = KeyGroup(5);

pub(super) fn max() -> MaxParallelism {
    MaxParallelism::new(128).unwrap()
}

/// The operator of the section samples.
pub(super) fn aircraft() -> OperatorId {
    OperatorId::from_uid("aircraft")
}

/// Serializer of the keys.
pub(super) fn key(format: FormatId) -> S {
    if format == FormatId::Operator { S::Unit } else { S::String }
}

fn state(name: &str, kind: StateKind, namespace: S, user_key: S, value: S, timed: bool) -> StateMeta {
    StateMeta { name: name.to_owned(), kind, namespace, user_key, value, timed }
}

/// All keyed kinds; keys are strings.
pub(super) fn keyed_states() -> Vec<StateMeta> {
    let field = |name: &str, shape| Field { name: name.to_owned(), shape };
    let profile = Shape::Struct {
        name: "Profile".to_owned(),
        fields: vec![field("flights", Shape::U64), field("last_airport", Shape::Option(Box::new(Shape::String)))],
    };
    vec![
        state("delays", StateKind::List, S::Unit, S::Unit, S::I32, false),
        state("destinations", StateKind::Map, S::Unit, S::String, S::U64, true),
        state("mean-delay", StateKind::Aggregating, S::Unit, S::Unit, S::Tuple(vec![S::I64, S::U64]), false),
        state("profile", StateKind::Value, S::Unit, S::Unit, S::Msgpack(profile), true),
        state("window", StateKind::Timer, S::Window, S::Unit, S::Unit, false),
        state("worst-delay", StateKind::Reducing, S::Window, S::Unit, S::I32, false),
    ]
}

/// All operator kinds.
pub(super) fn operator_states() -> Vec<StateMeta> {
    vec![
        state("airlines", StateKind::Broadcast, S::Unit, S::String, S::String, false),
        state("positions", StateKind::OperatorList, S::Unit, S::Unit, S::Tuple(vec![S::U32, S::U64]), false),
        state("watermarks", StateKind::OperatorUnion, S::Unit, S::Unit, S::I64, false),
    ]
}

pub(super) fn bytes(encode: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::new();
    encode(&mut out);
    out.into_bytes()
}

fn ordered_i32(value: i32) -> [u8; 4] {
    (value.cast_unsigned() ^ (1 << 31)).to_be_bytes()
}

fn window(out: &mut Writer, start: i64, end: i64) {
    out.ordered_i64(start);
    out.ordered_i64(end);
}

/// `{"flights": 2, "last_airport": "JFK"}` in MessagePack, with its length.
fn profile(out: &mut Writer) {
    out.bytes(b"\x82\xa7flights\x02\xaclast_airport\xa3JFK");
}

type Pair = (Vec<u8>, Vec<u8>);

/// The neutral entries of the keyed samples: state by state in the order of [`keyed_states`].
pub(super) fn keyed_pairs() -> Vec<Vec<Pair>> {
    let key = |more: &dyn Fn(&mut Writer)| {
        bytes(|out| {
            out.str("N804JB");
            more(out);
        })
    };
    let timer = |domain, timestamp| {
        bytes(|out| {
            out.u8(domain);
            out.ordered_i64(timestamp);
            out.str("N804JB");
            window(out, 0, 3_600_000);
        })
    };
    let counted = |stamp, count| {
        bytes(|out| {
            out.ordered_i64(stamp);
            out.u64(count);
        })
    };
    vec![
        vec![(
            key(&|_| ()),
            bytes(|out| {
                out.bytes(&ordered_i32(-4));
                out.bytes(&ordered_i32(11));
            }),
        )],
        vec![
            (key(&|out| out.str("BOS")), counted(1_357_034_400_000, 3)),
            (key(&|out| out.str("ORD")), counted(1_357_038_000_000, 1)),
        ],
        vec![(
            key(&|_| ()),
            bytes(|out| {
                out.ordered_i64(7);
                out.u64(2);
            }),
        )],
        vec![(
            key(&|_| ()),
            bytes(|out| {
                out.ordered_i64(1_357_038_000_000);
                profile(out);
            }),
        )],
        vec![(timer(EVENT_TIME, 3_599_999), vec![]), (timer(PROCESSING_TIME, -1), vec![])],
        vec![(key(&|out| window(out, 0, 3_600_000)), ordered_i32(11).to_vec())],
    ]
}

/// The canonical section.
pub(super) fn canonical_section(compression: Compression) -> (Vec<u8>, SectionSummary) {
    let mut out = canonical::writer(Vec::new(), aircraft(), compression);
    out.begin(Owner::KeyGroup(GROUP)).unwrap();
    for (state, pairs) in keyed_states().iter().zip(keyed_pairs()) {
        out.begin_state(&state.name, state.kind).unwrap();
        pairs.iter().for_each(|(key, value)| out.pair(key, value).unwrap());
    }
    let summary = out.finish().unwrap().unwrap();
    (out.close().unwrap(), summary)
}

/// A canonical section with a block that is worth compressing: one list of equal elements.
pub(super) fn compressible_section(compression: Compression) -> (Vec<u8>, SectionSummary) {
    let mut out = canonical::writer(Vec::new(), aircraft(), compression);
    out.begin(Owner::KeyGroup(GROUP)).unwrap();
    out.begin_state("delays", StateKind::List).unwrap();
    let element = ordered_i32(5);
    let key = bytes(|out| out.str("N804JB"));
    let value = bytes(|out| (0..24).for_each(|_| out.bytes(&element)));
    out.pair(&key, &value).unwrap();
    let summary = out.finish().unwrap().unwrap();
    (out.close().unwrap(), summary)
}

/// The native heap section with the same entries, typed, and those of the map in one entry.
pub(super) fn native_section() -> (Vec<u8>, SectionSummary) {
    let mut out = native_heap::writer(Vec::new(), aircraft(), Compression::None);
    out.begin(Owner::KeyGroup(GROUP)).unwrap();
    for (state, pairs) in keyed_states().iter().zip(keyed_pairs()) {
        out.begin_state(&state.name, state.kind).unwrap();
        let schema = millpond::format::schema::Schema { key: &S::String, state };
        if state.kind == StateKind::Map {
            out.entry(|out| {
                out.str("N804JB");
                out.length(pairs.len());
                for (key, value) in &pairs {
                    out.raw(schema.split_key(key)?.user_key);
                    out.raw(value);
                }
                Ok(())
            })
            .unwrap();
        } else {
            pairs.iter().for_each(|(key, value)| {
                out.entry(|out| native_heap::write_pair(&schema, key, value, out)).unwrap();
            });
        }
    }
    let summary = out.finish().unwrap().unwrap();
    (out.close().unwrap(), summary)
}

/// The neutral entries of the operator sample, in the order of [`operator_states`].
pub(super) fn operator_pairs() -> Vec<Vec<Pair>> {
    let text = |text: &str| bytes(|out| out.str(text));
    let position = |file, line| {
        bytes(|out| {
            out.u32(file);
            out.u64(line);
        })
    };
    vec![
        vec![(text("AA"), text("American Airlines Inc.")), (text("UA"), text("United Air Lines Inc."))],
        vec![(vec![], position(1, 70_000)), (vec![], position(0, 336_776))],
        vec![(vec![], bytes(|out| out.ordered_i64(1_357_038_000_000)))],
    ]
}

/// The operator state of subtask 1.
pub(super) fn operator_section() -> (Vec<u8>, SectionSummary) {
    let mut out = operator::writer(Vec::new(), aircraft(), Compression::None);
    out.begin(Owner::Subtask(SubtaskIndex(1))).unwrap();
    for (state, pairs) in operator_states().iter().zip(operator_pairs()) {
        out.begin_state(&state.name, state.kind).unwrap();
        pairs.iter().for_each(|(key, value)| out.pair(key, value).unwrap());
    }
    let summary = out.finish().unwrap().unwrap();
    (out.close().unwrap(), summary)
}

fn object(scope: ObjectScope, name: &str, length: u64) -> ObjectRef {
    ObjectRef { scope, name: name.to_owned(), length, digest: digest(name.as_bytes()) }
}

/// An operator of three subtasks with all kinds of state, as a savepoint could hold it: two subtasks have keyed state,
/// the last one has finished.
fn aircraft_operator(shared: bool) -> OperatorSnapshot {
    let mut states: Vec<StateMeta> = keyed_states().into_iter().chain(operator_states()).collect();
    states.sort_by(|a, b| a.name.cmp(&b.name));
    let parallelism = Parallelism::new(3, max()).unwrap();
    let range = |index| KeyGroupRange::of_subtask(index, parallelism, max()).unwrap();
    let (section, summary) = canonical_section(Compression::None);
    let length = u64::try_from(section.len()).unwrap();
    let first = KeyedHandle {
        format: FormatId::Canonical,
        range: range(0),
        assignment: KeyGroupAssignment::Xxh3,
        objects: vec![object(ObjectScope::Exclusive, "5d41402abc4b2a76b9719d911017c592", length)],
        sections: vec![SectionRef::new(&summary, 0).unwrap()],
        files: vec![],
        states: summary.states,
    };
    let scope = if shared { ObjectScope::Shared } else { ObjectScope::Exclusive };
    let section = |group, object, offset, length, entries| SectionRef {
        group: KeyGroup(group),
        object,
        offset,
        length,
        checksum: 0x0123_4567_89AB_CDEF,
        entries,
    };
    let second = KeyedHandle {
        format: FormatId::NativeHeap,
        range: range(1),
        assignment: KeyGroupAssignment::Xxh3,
        objects: vec![
            object(ObjectScope::Exclusive, "7d793037a0760186574b0282f2f435e7", 1000),
            object(scope, "9e107d9d372bb6826bd81d3542a419d6", 300),
        ],
        sections: vec![section(43, 0, 0, 600, 7), section(50, 1, 0, 300, 2), section(60, 0, 600, 400, 1)],
        files: vec![],
        states: vec![],
    };
    let (inline, summary) = operator_section();
    let inline = OperatorStateHandle { content: OperatorStateContent::Inline(inline), states: summary.states };
    let subtask = |index, finished, keyed: Option<KeyedHandle>, operator| SubtaskSnapshot {
        index: SubtaskIndex(index),
        finished,
        keyed: keyed.map(Box::new),
        operator,
    };
    OperatorSnapshot {
        id: aircraft(),
        uid: Some("aircraft".to_owned()),
        parallelism,
        max_parallelism: max(),
        assignment: KeyGroupAssignment::Xxh3,
        key: Some(S::String),
        states,
        subtasks: vec![
            subtask(0, false, Some(first), None),
            subtask(1, false, Some(second), Some(inline)),
            subtask(2, true, None, None),
        ],
    }
}

/// The handle of a database: what belongs to one checkpoint is exclusive, tables are shared with others.
fn database() -> KeyedHandle {
    let objects = vec![
        object(ObjectScope::Exclusive, "0cc175b9c0f1b6a831c399e269772661", 16),
        object(ObjectScope::Exclusive, "92eb5ffee6ae2fec3ad71c777531578f", 412),
        object(ObjectScope::Shared, "4a8a08f09d37b73795649038408b5f33", 1_733),
        object(ObjectScope::Shared, "8277e0910d750195b448797616e091ad", 67_108_992),
    ];
    KeyedHandle {
        format: FormatId::NativeRocksDb,
        range: max().all_groups(),
        assignment: KeyGroupAssignment::Xxh3,
        objects,
        sections: vec![],
        files: vec![FileName::Current, FileName::Manifest(5), FileName::Table(7), FileName::Table(1_000_012)],
        states: vec![],
    }
}

/// A checkpoint of one operator of one subtask, whose keyed state is a database.
pub(crate) fn database_manifest() -> Manifest {
    let mut manifest = manifest(SnapshotKind::Checkpoint);
    manifest.operators = vec![OperatorSnapshot {
        parallelism: Parallelism::new(1, max()).unwrap(),
        states: keyed_states(),
        subtasks: vec![SubtaskSnapshot {
            keyed: Some(Box::new(database())),
            ..SubtaskSnapshot::empty(SubtaskIndex(0))
        }],
        ..aircraft_operator(true)
    }];
    manifest
}

/// A savepoint whose keys Flink assigned to key groups: by the hash code of a tuple.
pub(crate) fn imported_manifest() -> Manifest {
    let java =
        JavaType::Tuple(vec![JavaType::String, JavaType::Row(vec![JavaType::Int, JavaType::Class("x.P".into())])]);
    let assignment = KeyGroupAssignment::Flink(java);
    let mut manifest = manifest(SnapshotKind::Savepoint);
    manifest.operators.retain(|operator| operator.key.is_some());
    for operator in &mut manifest.operators {
        operator.assignment = assignment.clone();
        for handle in operator.subtasks.iter_mut().filter_map(|subtask| subtask.keyed.as_mut()) {
            handle.assignment = assignment.clone();
        }
    }
    manifest
}

/// What a database says of itself.
pub(crate) fn identity() -> Identity {
    Identity { operator: aircraft(), max_parallelism: max() }
}

/// An operator without uid and without keyed state.
fn source_operator() -> OperatorSnapshot {
    let content = object(ObjectScope::Exclusive, "e4d909c290d0fb1ca068ffaddf22cbd0", 96);
    OperatorSnapshot {
        id: OperatorId([0xEE; 16]),
        uid: None,
        parallelism: Parallelism::new(1, max()).unwrap(),
        max_parallelism: max(),
        assignment: KeyGroupAssignment::Xxh3,
        key: None,
        states: vec![state("offsets", StateKind::OperatorList, S::Unit, S::Unit, S::U64, false)],
        subtasks: vec![SubtaskSnapshot {
            index: SubtaskIndex(0),
            finished: false,
            keyed: None,
            operator: Some(OperatorStateHandle {
                content: OperatorStateContent::Object(content),
                states: vec![StateTotals { name: "offsets".into(), entries: 1, bytes: 10 }],
            }),
        }],
    }
}

/// A checkpoint with one object shared with other checkpoints, or a savepoint with none.
pub(crate) fn manifest(kind: SnapshotKind) -> Manifest {
    let mut manifest = Manifest {
        job: JobId([0xAB; 16]),
        checkpoint: CheckpointId(42),
        kind,
        created_ms: 1_357_034_400_000,
        writer: "millpond 0.1.0".to_owned(),
        operators: vec![source_operator(), aircraft_operator(kind == SnapshotKind::Checkpoint)],
    };
    manifest.sort();
    manifest
}
