//! A savepoint of Flink's, written by this crate.

use std::sync::Arc;

use millpond::backend::{BackendConfig, Key, KeyedBackend, KeyedParameters, KeyedSnapshotFormat};
use millpond::flink::export::{self, Target};
use millpond::format::manifest::SnapshotKind;
use millpond::ids::{CheckpointId, JobId, SubtaskIndex};
use millpond::key_group::Parallelism;
use millpond::random::SystemRandom;
use millpond::serializer::{I64, Msgpack, Serializer, Str};
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, assemble, publish};
use millpond::state::{ListDescriptor, ListState, MapDescriptor, MapState, ValueDescriptor, ValueState};
use millpond::storage::{CommitOutcome, ObjectPath, Storage};
use serde::{Deserialize, Serialize};

use super::measure::workload::{mix, parameters};

/// What the POJO of a job would be here.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Profile {
    id: i64,
    name: String,
    score: f64,
    visits: i32,
    active: bool,
}

/// Entries of a key.
const ENTRIES: usize = 5;

const COUNT: ValueDescriptor<I64> = ValueDescriptor::new("count", I64);
const PROFILE: ValueDescriptor<Msgpack<Profile>> = ValueDescriptor::new("profile", Msgpack::new());
const SUMS: MapDescriptor<Str, I64> = MapDescriptor::new("sums", Str, I64);
const RECENT: ListDescriptor<I64> = ListDescriptor::new("recent", I64);

/// Writes a savepoint of `n` entries, half of them below numbers and half of them below text; its directory.
pub(crate) fn write(storage: &Arc<dyn Storage>, n: usize) -> ObjectPath {
    let keys = (n / 2 / ENTRIES) as i64;
    let (own, flink) = (path("own"), path("flink"));
    let target = SnapshotTarget::new(Arc::clone(storage), own.clone(), Arc::new(SystemRandom));
    let reports = vec![
        subtask("long-keys", I64, (0..keys).map(|id| (id, id)), &target),
        subtask("string-keys", Str, (0..keys).map(|id| (id, hex(id))), &target),
    ];
    let label = SnapshotLabel {
        job: JobId([7; 16]),
        checkpoint: CheckpointId(1),
        kind: SnapshotKind::Savepoint,
        created_ms: 0,
    };
    let manifest = assemble(label, reports).expect("a manifest");
    let outcome = publish(&**storage, &own, &manifest);
    assert!(matches!(outcome, CommitOutcome::Committed), "{outcome:?}");
    let source = SnapshotReader::open(Arc::clone(storage), own.clone()).expect("a snapshot");
    let target = Target::new(Arc::clone(storage), flink.clone(), Arc::new(SystemRandom));
    let mut report = export::Report::default();
    let mut options = export::Options::default();
    options.classes.insert("Profile".to_owned(), "FlinkRestore$Profile".to_owned());
    export::export(&source, &target, &options, &mut report).expect("a savepoint");
    for object in storage.list(Some(&own)).expect("a list of objects") {
        storage.delete(&object.path).expect("a deletion");
    }
    flink
}

fn path(name: &str) -> ObjectPath {
    ObjectPath::parse(name).expect("a path")
}

fn hex(id: i64) -> String {
    format!("{:016x}", mix(id.cast_unsigned()))
}

/// Five entries a key: a number, a struct, two entries of a map, a list of three numbers.
fn subtask<S: Serializer + Clone>(
    operator: &str,
    serializer: S,
    keys: impl Iterator<Item = (i64, S::Value)>,
    target: &SnapshotTarget,
) -> SubtaskReport
where
    S::Value: Key,
{
    let parameters = KeyedParameters { operator: operator.to_owned(), ..parameters() };
    let max_parallelism = parameters.max_parallelism;
    let key = serializer.snapshot();
    let mut backend = KeyedBackend::new(&BackendConfig::default(), parameters, serializer).expect("a backend");
    let count = backend.register_value(&COUNT).expect("a state");
    let profile = backend.register_value(&PROFILE).expect("a state");
    let sums = backend.register_map(&SUMS).expect("a state");
    let recent = backend.register_list(&RECENT).expect("a state");
    for (id, key) in keys {
        let mut context = backend.key(&key).expect("a key");
        let random = |offset: i64| mix((id + offset).cast_unsigned()).cast_signed();
        context.value(&count).expect("a state").set(random(0)).expect("an update");
        let name = (0..4).map(|offset| hex(id + offset)).collect();
        let (score, visits, active) = (id as f64 / 7.0, (id % 1000) as i32, id % 3 == 0);
        context.value(&profile).expect("a state").set(Profile { id, name, score, visits, active }).expect("an update");
        let mut map = context.map(&sums).expect("a state");
        map.put(format!("sum-{}", id % 64), random(1)).expect("an update");
        map.put(format!("max-{}", id % 64), random(2)).expect("an update");
        let mut list = context.list(&recent).expect("a state");
        (0..3).for_each(|offset| list.add(id + offset).expect("an update"));
    }
    let snapshot = backend.snapshot().expect("a snapshot");
    SubtaskReport {
        operator: operator.to_owned(),
        subtask: SubtaskIndex(0),
        parallelism: Parallelism::new(1, max_parallelism).expect("a parallelism"),
        max_parallelism,
        key: Some(key),
        states: snapshot.states(),
        keyed: snapshot.write(target, KeyedSnapshotFormat::Canonical, &|| true).expect("a written snapshot"),
        operator_state: None,
    }
}
