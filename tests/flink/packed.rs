//! Whole snapshots as one string of bytes, and what a reader makes of changed ones: truncated at every byte, with every bit flipped.

use std::collections::BTreeSet;

use millpond::codec::Writer;
use millpond::flink::SnapshotReader;
use millpond::flink::fuzz::fuzz_flink_snapshot;
use millpond::format::flink::header::{KeyedHeader, StateInfo, StateType};
use millpond::format::flink::key_group;
use millpond::format::flink::keyed::BlockWriter;
use millpond::format::flink::metadata::{
    ChangelogDelta, ChangelogHandle, InlineBytes, KeyGroupOffsets, KeyGroupsBody, KeyGroupsHandle, KeyedHandle,
    Metadata, Operator, Progress, StreamHandle, Subtask, SubtaskState, Version,
};
use millpond::format::flink::serializer::{Simple, Snapshot, TypeSerializer};
use millpond::ids::{OperatorId, SubtaskIndex};
use millpond::key_group::{KeyGroup, MaxParallelism, Parallelism};

use crate::format::flink::files::{self, Files};
use crate::format::flink::fixtures::{self, Fixture};

/// Snapshots up to this size are changed in every place.
const SMALL_BYTES: usize = 12_000;

/// The metadata and every file that it names, each with its length in front.
fn packed(fixture: &Fixture) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut push = |part: &[u8]| {
        packed.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        packed.extend(part);
    };
    push(&fixture.metadata_bytes());
    let mut known = BTreeSet::new();
    let snapshot: SnapshotReader = files::open(fixture);
    let read = Files::of(fixture);
    let operators: Vec<_> = snapshot.operators().collect();
    for stream in operators.iter().flat_map(|operator| operator.streams()) {
        let name = match stream.handle.plain() {
            StreamHandle::Relative { path, .. } => path.clone(),
            StreamHandle::File { uri, .. } => uri.clone(),
            StreamHandle::Segment(segment) => segment.uri.clone(),
            _ => continue,
        };
        if known.insert(name) {
            push(&read.read(stream.handle));
        }
    }
    packed
}

/// Snapshots that are small and whole, by name: the repository's, and checkpoints of the changelog backend put together here.
pub(crate) fn small() -> Vec<(String, Vec<u8>)> {
    let mut committed = fixtures::committed();
    // Logs are no files of one size.
    committed.retain(|fixture| fixture.kind != "checkpoint-changelog");
    let all = committed.into_iter().map(|fixture| (fixture.name.clone(), packed(&fixture)));
    let made = [true, false].map(|materialized| (format!("changelog {materialized}"), changelog(materialized)));
    made.into_iter().chain(all).filter(|(_, packed)| packed.len() <= SMALL_BYTES).collect()
}

#[test]
fn a_whole_snapshot_is_read_or_refused_wherever_it_is_cut_or_flipped() {
    let mut changed = 0u64;
    for (name, packed) in small() {
        fuzz_flink_snapshot(&packed);
        // Coarse steps, of which the first differ per snapshot: all steps together meet every byte and every bit.
        let step = step();
        for length in (0..packed.len()).skip(name.len() % step).step_by(step) {
            fuzz_flink_snapshot(&packed[..length]);
            changed += 1;
        }
        let mut damaged = packed.clone();
        for bit in (0..packed.len() * 8).skip(name.len() % step).step_by(step) {
            damaged[bit / 8] ^= 1 << (bit % 8);
            fuzz_flink_snapshot(&damaged);
            damaged[bit / 8] ^= 1 << (bit % 8);
            changed += 1;
        }
    }
    println!("{changed} changed snapshots");
    assert!(changed > 500, "{changed}");
}

/// Every how many bytes and bits something is changed: 1 with `MILLPOND_FLINK_EVERY_BIT`.
fn step() -> usize {
    if std::env::var_os("MILLPOND_FLINK_EVERY_BIT").is_some() { 1 } else { 211 }
}

/// Descriptions of a value, a list, a map and a queue of timers.
fn states() -> Vec<StateInfo> {
    let simple = |kind| Snapshot::simple(kind).unwrap();
    let boxed = |kind| Box::new(simple(kind));
    let of = |serializer| Snapshot::of(serializer).unwrap();
    let keyed = |name: &str, kind: &str, value: Snapshot| StateInfo {
        name: name.to_owned(),
        state_type: StateType::KeyValue,
        options: vec![("KEYED_STATE_TYPE".to_owned(), kind.to_owned())],
        serializers: vec![
            ("NAMESPACE_SERIALIZER".to_owned(), simple(Simple::VoidNamespace)),
            ("VALUE_SERIALIZER".to_owned(), value),
        ],
    };
    let timer = TypeSerializer::Timer { key: boxed(Simple::Long), namespace: boxed(Simple::VoidNamespace) };
    vec![
        keyed("v", "VALUE", simple(Simple::Int)),
        keyed("l", "LIST", of(TypeSerializer::List(boxed(Simple::Short)))),
        keyed("m", "MAP", of(TypeSerializer::Map(boxed(Simple::String), boxed(Simple::Int)))),
        StateInfo {
            name: "_timer_state/event_t".to_owned(),
            state_type: StateType::PriorityQueue,
            options: Vec::new(),
            serializers: vec![("VALUE_SERIALIZER".to_owned(), of(timer))],
        },
    ]
}

fn header(states: Vec<StateInfo>) -> KeyedHeader {
    let key = Some(Snapshot::simple(Simple::Long).unwrap());
    KeyedHeader { compressed: false, key, state_count: states.len(), states, unreadable: None }
}

fn written(header: &KeyedHeader) -> Vec<u8> {
    let mut out = Writer::new();
    header.write(&mut out).unwrap();
    out.into_bytes()
}

/// What announces a state under a number.
fn announcement(number: u16, state: StateInfo) -> Vec<u8> {
    let is_queue = state.state_type == StateType::PriorityQueue;
    let empty = written(&header(Vec::new())).len();
    let mut change = vec![8, 0, 0, 0, 7];
    change.extend(&written(&header(vec![state]))[empty..]);
    if !is_queue {
        // Neither time to live nor a default value.
        change.extend([0, 0]);
    }
    change.extend(number.to_be_bytes());
    change.push(if is_queue { 3 } else { 0 });
    change
}

/// An operation on a state, for key 7 if the state has keys.
fn change(operation: u8, number: u16, body: &[u8]) -> Vec<u8> {
    let scope: &[u8] = if number == 3 { &[] } else { &[0, 0, 0, 0, 0, 0, 0, 7, 0] };
    [&[operation], &number.to_be_bytes()[..], scope, body].concat()
}

fn group() -> KeyGroup {
    key_group::of_hash(7, MaxParallelism::new(128).unwrap())
}

/// A change set with announcements of all states and changes of every kind.
fn set(announced: bool) -> Vec<u8> {
    let timer: &[u8] = &[0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0];
    let changes = vec![
        change(1, 0, &[0, 0, 0, 5]),
        change(5, 1, &[0, 2]),
        change(6, 2, &[2, b'a', 0, 0, 0, 9]),
        change(3, 2, &[0, 0, 0, 1, 2, b'b', 1]),
        change(7, 2, &[2, b'c']),
        change(5, 3, &[&[0, 0, 0, 1], timer].concat()),
    ];
    let announcements: Vec<Vec<u8>> =
        (0u16..).zip(states()).map(|(number, state)| announcement(number, state)).collect();
    let mut out = Vec::new();
    let number = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let mut run = |group: i32, changes: &[Vec<u8>]| {
        out.extend(number(changes.len()));
        out.extend(group.to_be_bytes());
        for change in changes {
            out.extend(number(change.len()));
            out.extend(change);
        }
    };
    if announced {
        run(-1, &announcements);
    }
    run(i32::from(group().0), &changes);
    [&number(1 + usize::from(announced)), out.as_slice()].concat()
}

/// Logs with one change set each.
pub(crate) fn logs() -> Vec<Vec<u8>> {
    [true, false].map(|announced| [vec![0], set(announced)].concat()).to_vec()
}

/// Entries that were materialized.
fn base() -> KeyedHandle {
    let max = MaxParallelism::new(128).unwrap();
    let range = max.all_groups();
    let header = header(states());
    let mut file = written(&header);
    let start = u64::try_from(file.len()).unwrap();
    let mut block = BlockWriter::new(&header, group(), max).unwrap();
    let key = &[0, 0, 0, 0, 0, 0, 0, 7, 0][..];
    block.entry(0, key, &[0, 0, 0, 1]).unwrap();
    block.entry(1, key, &[0, 1]).unwrap();
    block.entry(2, &[key, &[2, b'c']].concat(), &[0, 0, 0, 0, 3]).unwrap();
    file.extend(block.finish().unwrap().unwrap());
    let offsets = range.iter().map(|other| (other == group()).then_some(start)).collect();
    KeyedHandle::KeyGroups(KeyGroupsHandle {
        body: KeyGroupsBody::Canonical,
        offsets: KeyGroupOffsets::new(range, offsets).unwrap(),
        stream: inline(file),
        id: None,
    })
}

fn inline(bytes: Vec<u8>) -> StreamHandle {
    StreamHandle::Inline(InlineBytes { name: "bytes".to_owned(), bytes })
}

/// A log and changes in the metadata, behind what was materialized.
fn handle(materialized: bool, log: &[u8]) -> ChangelogHandle {
    let range = MaxParallelism::new(128).unwrap().all_groups();
    // The handle does not count the flag.
    let size = u64::try_from(log.len() - 1).unwrap();
    ChangelogHandle {
        range,
        checkpointed_size: -1,
        materialized: if materialized { vec![base()] } else { Vec::new() },
        changes: vec![
            ChangelogDelta::Stream {
                range,
                parts: vec![(0, StreamHandle::Relative { path: "log".to_owned(), size })],
                size: 0,
                checkpointed_size: 0,
                id: "one".to_owned(),
                storage: "filesystem".to_owned(),
            },
            ChangelogDelta::Inline {
                range,
                from: 1,
                to: 2,
                changes: vec![(Some(group().0), change(5, 1, &[0, 4]))],
                id: "two".to_owned(),
            },
        ],
        materialization_id: 0,
        checkpoint_id: Some(1),
        id: "three".to_owned(),
    }
}

/// A checkpoint of the changelog backend.
pub(crate) fn changelog(materialized: bool) -> Vec<u8> {
    let max = MaxParallelism::new(128).unwrap();
    let log = logs().remove(0);
    let state = SubtaskState {
        managed_operator: None,
        raw_operator: None,
        managed_keyed: Some(KeyedHandle::Changelog(handle(materialized, &log))),
        raw_keyed: None,
        input_channels: Vec::new(),
        result_subpartitions: Vec::new(),
    };
    let operator = Operator {
        name: None,
        uid: None,
        id: OperatorId::from_uid("o"),
        parallelism: Parallelism::new(1, max).unwrap(),
        max_parallelism: max,
        coordinator: None,
        progress: Progress::Running(vec![Subtask { index: SubtaskIndex(0), state: Some(Box::new(state)) }]),
    };
    let metadata = Metadata {
        version: Version::V3,
        checkpoint_id: 1,
        master_states: Vec::new(),
        operators: vec![operator],
        properties: None,
    };
    let metadata = metadata.encode().unwrap();
    let part = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    [part(&metadata), part(&log)].concat()
}
