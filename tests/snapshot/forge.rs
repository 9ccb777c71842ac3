//! Snapshots whose checksums are right, whatever is in them.

use std::sync::Arc;

use millpond::codec::{Compression, Writer};
use millpond::format::FormatId;
use millpond::format::canonical;
use millpond::format::manifest::{
    KeyGroupAssignment, KeyedHandle, Manifest, OperatorSnapshot, SectionRef, SnapshotKind, SubtaskSnapshot,
};
use millpond::format::record::{StateKind, StateMeta};
use millpond::format::section::{Owner, StateTotals};
use millpond::ids::{CheckpointId, JobId, OperatorId, SubtaskIndex};
use millpond::key_group::{KeyGroup, KeyGroupRange, MaxParallelism, Parallelism};
use millpond::random::SeededRandom;
use millpond::serializer::SerializerSnapshot;
use millpond::snapshot::SnapshotTarget;
use millpond::storage::{CommitOutcome, MemoryStorage, ObjectPath, Storage, layout};

pub(super) const UID: &str = "operator";

/// An entry: the state it is stored under, its key and its value.
pub(super) type Pair = (&'static str, Vec<u8>, Vec<u8>);

pub(super) fn max() -> MaxParallelism {
    MaxParallelism::new(8).unwrap()
}

pub(super) fn storage() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new(1 << 24))
}

/// Value state `a` of strings and value state `b` of u32, both under string keys.
pub(super) fn states() -> Vec<StateMeta> {
    let state = |name: &str, value| StateMeta {
        name: name.to_owned(),
        kind: StateKind::Value,
        namespace: SerializerSnapshot::Unit,
        user_key: SerializerSnapshot::Unit,
        value,
        timed: false,
    };
    vec![state("a", SerializerSnapshot::String), state("b", SerializerSnapshot::U32)]
}

/// The encoding of a string.
pub(super) fn text(text: &str) -> Vec<u8> {
    let mut out = Writer::new();
    out.str(text);
    out.into_bytes()
}

/// Keys of a group, in the order of their bytes.
pub(super) fn keys_of(group: u16) -> Vec<Vec<u8>> {
    let keys = (0..200).map(|n| text(&format!("key-{n:03}")));
    keys.filter(|key| max().group_of_key(key) == KeyGroup(group)).collect()
}

/// Entries of both states for a few keys of every group.
pub(super) fn sound() -> Vec<(u16, Vec<Pair>)> {
    let group = |group: u16| {
        let keys: Vec<Vec<u8>> = keys_of(group).into_iter().take(3).collect();
        let mut pairs: Vec<Pair> = keys.iter().map(|key| ("a", key.clone(), text("value"))).collect();
        pairs.extend(keys.into_iter().map(|key| ("b", key, vec![0, 0, 0, 7])));
        (group, pairs)
    };
    (0..8).map(group).collect()
}

/// Stores a canonical snapshot of one subtask with these entries; `change` may lie in the manifest.
pub(super) fn store(
    storage: &Arc<dyn Storage>,
    groups: &[(u16, Vec<Pair>)],
    change: impl FnOnce(&mut Manifest),
) -> ObjectPath {
    let directory = ObjectPath::parse("chk-1").unwrap();
    let target = SnapshotTarget::new(Arc::clone(storage), directory.clone(), Arc::new(SeededRandom::new(1)));
    let id = OperatorId::from_uid(UID);
    let mut writer = canonical::writer(target.new_object().unwrap(), id, Compression::None);
    let (mut sections, mut totals): (Vec<SectionRef>, Vec<StateTotals>) = (Vec::new(), Vec::new());
    for (group, pairs) in groups {
        writer.begin(Owner::KeyGroup(KeyGroup(*group))).unwrap();
        let mut last = "";
        for (state, key, value) in pairs {
            if *state != last {
                writer.begin_state(state, StateKind::Value).unwrap();
                last = state;
            }
            writer.pair(key, value).unwrap();
        }
        let summary = writer.finish().unwrap().unwrap();
        sections.push(SectionRef::new(&summary, 0).unwrap());
        for state in summary.states {
            match totals.iter_mut().find(|total| total.name == state.name) {
                Some(total) => {
                    total.entries += state.entries;
                    total.bytes += state.bytes;
                }
                None => totals.push(state),
            }
        }
    }
    let object = writer.close().unwrap().finish().unwrap().unwrap();
    let (format, range) = (FormatId::Canonical, max().all_groups());
    let assignment = KeyGroupAssignment::Xxh3;
    let keyed =
        KeyedHandle { format, range, assignment, objects: vec![object], sections, files: vec![], states: totals };
    let mut manifest = manifest(id, keyed);
    change(&mut manifest);
    let path = layout::manifest(&directory).unwrap();
    assert!(matches!(storage.commit(&path, &manifest.encode().unwrap()), CommitOutcome::Committed));
    directory
}

fn manifest(id: OperatorId, keyed: KeyedHandle) -> Manifest {
    Manifest {
        job: JobId([1; 16]),
        checkpoint: CheckpointId(1),
        kind: SnapshotKind::Checkpoint,
        created_ms: 0,
        writer: "a test".to_owned(),
        operators: vec![OperatorSnapshot {
            id,
            uid: Some(UID.to_owned()),
            parallelism: Parallelism::new(1, max()).unwrap(),
            max_parallelism: max(),
            assignment: KeyGroupAssignment::Xxh3,
            key: Some(SerializerSnapshot::String),
            states: states(),
            subtasks: vec![SubtaskSnapshot { keyed: Some(Box::new(keyed)), ..SubtaskSnapshot::empty(SubtaskIndex(0)) }],
        }],
    }
}

/// The only keyed handle of the manifest.
pub(super) fn handle(manifest: &mut Manifest) -> &mut KeyedHandle {
    manifest.operators[0].subtasks[0].keyed.as_mut().unwrap()
}

pub(super) fn range(first: u16, last: u16) -> KeyGroupRange {
    KeyGroupRange::new(KeyGroup(first), KeyGroup(last)).unwrap()
}
