//! Real backends under the driver: incremental checkpoints with retention, restarts, savepoints, relocated copies.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use millpond::Result;
use millpond::backend::handle::ValueHandle;
use millpond::backend::{BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat, SnapshotVersion};
use millpond::checkpoint::Driver;
use millpond::checkpoint::driver::{Completed, Engine, Opened, Setup, Start};
use millpond::checkpoint::event::{Abort, JobFailure, RequestId, Trigger};
use millpond::checkpoint::pending::{Kind, Savepoint, SavepointFormat};
use millpond::clock::ManualClock;
use millpond::codec::Writer;
use millpond::ids::{CheckpointId, SubtaskIndex};
use millpond::key_group::{KeyGroupRange, Parallelism};
use millpond::random::SeededRandom;
use millpond::serializer::{Serializer, Str, U64};
use millpond::snapshot::{SnapshotReader, SnapshotTarget, SubtaskReport, Trust, relocate};
use millpond::state::{ValueDescriptor, ValueState};
use millpond::storage::{MemoryStorage, Storage};

use crate::backend::rocksdb::{scratch, small};

use super::world::{JOB, UID, config, job_of, max, names, path, subtask};

const COUNT: ValueDescriptor<U64> = ValueDescriptor::new("count", U64);

type Counts = BTreeMap<String, u64>;

fn group_of(key: &String) -> u16 {
    let mut scratch = Writer::new();
    max().group_of_hash(Str.key_hash(key, &mut scratch).unwrap()).0
}

/// Two subtasks that count.
struct Counters {
    subtasks: Vec<(KeyedBackend<Str>, ValueHandle<u64>)>,
    taken: BTreeMap<CheckpointId, Vec<SnapshotVersion>>,
    written: Vec<(CheckpointId, u32, SubtaskReport)>,
    answers: Vec<Completed>,
    completed: u64,
}

impl Counters {
    fn start(config: &BackendConfig, snapshot: Option<&SnapshotReader>) -> Result<Self> {
        let mut subtasks = Vec::new();
        for index in 0..2 {
            let parameters = KeyedParameters {
                operator: UID.to_owned(),
                max_parallelism: max(),
                range: KeyGroupRange::of_subtask(index, Parallelism::new(2, max())?, max())?,
                clock: Arc::new(ManualClock::new(0)),
            };
            let mut backend = match snapshot {
                Some(snapshot) => KeyedBackend::restore(config, parameters, Str, &snapshot.operator(UID)?)?,
                None => KeyedBackend::new(config, parameters, Str)?,
            };
            let count = backend.register_value(&COUNT)?;
            subtasks.push((backend, count));
        }
        let (taken, written, answers) = (BTreeMap::new(), Vec::new(), Vec::new());
        Ok(Counters { subtasks, taken, written, answers, completed: 0 })
    }

    fn add(&mut self, key: &str) {
        let key = key.to_owned();
        let at = usize::from(group_of(&key) >= 8);
        let (backend, count) = &mut self.subtasks[at];
        let mut state = backend.key(&key).unwrap();
        state.value(count).unwrap().update(|count| *count = Some(count.unwrap_or(0) + 1)).unwrap();
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for (backend, count) in &self.subtasks {
            let mut note = |key: &String, (): &(), count: &u64| {
                counts.insert(key.clone(), *count);
            };
            backend.for_each_value(count, &mut note).unwrap();
        }
        counts
    }
}

impl Engine for Counters {
    fn trigger(&mut self, trigger: &Trigger, target: &SnapshotTarget) {
        let format = match &trigger.kind {
            Kind::Checkpoint => KeyedSnapshotFormat::Incremental,
            Kind::Savepoint(Savepoint { format: SavepointFormat::Native, .. }) => KeyedSnapshotFormat::Native,
            Kind::Savepoint(_) => KeyedSnapshotFormat::Canonical,
        };
        let id = trigger.barrier.id;
        for (index, (backend, _)) in (0..).zip(&mut self.subtasks) {
            let snapshot = backend.snapshot().unwrap();
            self.taken.entry(id).or_default().push(snapshot.version());
            let report = SubtaskReport {
                operator: UID.to_owned(),
                subtask: SubtaskIndex(index),
                parallelism: Parallelism::new(2, max()).unwrap(),
                max_parallelism: max(),
                key: Some(Str.snapshot()),
                states: snapshot.states(),
                keyed: snapshot.write(target, format, &|| true).unwrap(),
                operator_state: None,
            };
            self.written.push((id, index, report));
        }
    }

    fn notify_complete(&mut self, id: CheckpointId) {
        self.completed += 1;
        let versions = self.taken.remove(&id).unwrap_or_default();
        self.subtasks.iter_mut().zip(versions).for_each(|((backend, _), version)| backend.confirm(version));
    }

    fn notify_abort(&mut self, id: CheckpointId) {
        let versions = self.taken.remove(&id).unwrap_or_default();
        self.subtasks.iter_mut().zip(versions).for_each(|((backend, _), version)| backend.reject(version));
    }

    fn answer(&mut self, _: RequestId, result: std::result::Result<Completed, Abort>) {
        self.answers.extend(result.ok());
    }

    fn fail(&mut self, failure: &JobFailure) {
        panic!("{failure}");
    }
}

/// Asks for a snapshot and takes it. Of an abandoned one the second subtask declines.
fn take(driver: &mut Driver, counters: &mut Counters, now_ms: i64, kind: Kind, abandon: bool) {
    driver.request(now_ms, RequestId(1), kind, counters);
    for (id, index, report) in std::mem::take(&mut counters.written) {
        if abandon && index == 1 {
            use millpond::checkpoint::Event;
            let event = Event::Declined { id, subtask: subtask(1), reason: "cancelled".to_owned() };
            driver.handle(now_ms, event, counters);
        } else {
            driver.acknowledge(now_ms, id, subtask(index), vec![report], counters);
        }
    }
    driver.settle(now_ms, counters);
}

fn open(storage: &Arc<dyn Storage>, config: &BackendConfig, seed: u64) -> (Driver, Counters) {
    let random = Arc::new(SeededRandom::new(seed));
    let own = Setup::new(job_of(JOB, 2), self::config(1), Arc::clone(storage), random);
    let now_ms = i64::try_from(seed * 100_000).unwrap();
    let Opened { mut driver, start, .. } = Driver::open(Setup { grace_ms: 0, skew_ms: 0, ..own }, now_ms).unwrap();
    let restore = match &start {
        Start::From(restore) => Some(restore),
        _ => None,
    };
    let snapshot = restore.map(|restore| restore.open().unwrap());
    let mut counters = Counters::start(config, snapshot.as_ref()).unwrap();
    driver.running(now_ms, restore, &mut counters);
    (driver, counters)
}

#[test]
fn incremental_checkpoints_of_every_backend_survive_retention_restarts_and_copies() {
    let directory = scratch();
    for backend in [BackendConfig::default(), BackendConfig::rocksdb(small(directory.path()))] {
        let what = format!("{:?}", backend.kind);
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(256 << 20));
        let (mut driver, mut counters) = open(&storage, &backend, 1);
        (0..300).for_each(|key| counters.add(&format!("key-{key}")));
        let mut now_ms = 100_000;
        let mut committed = Counts::new();
        for round in 0..18u64 {
            (0..5).for_each(|key| counters.add(&format!("key-{}", key * 7 + round)));
            now_ms += 10;
            let abandon = round % 5 == 3;
            let completed = counters.completed;
            take(&mut driver, &mut counters, now_ms, Kind::Checkpoint, abandon);
            assert_eq!(counters.completed == completed, abandon, "{what}, round {round}");
            if !abandon {
                committed = counters.counts();
            }
            if round % 6 == 5 {
                counters.add("lost with the crash");
                drop((driver, counters));
                (driver, counters) = open(&storage, &backend, 2 + round);
                now_ms = i64::try_from((2 + round) * 100_000).unwrap();
                assert_eq!(counters.counts(), committed, "{what}, round {round}");
            }
        }
        driver.settle(now_ms + 60_000, &mut counters);
        assert!(driver.collection_failure().is_none(), "{what}: {:?}", driver.collection_failure());
        let manifests = names(&storage).into_iter().filter(|name| name.ends_with("/_metadata")).count();
        assert_eq!(manifests, 1, "{what}");
        copies(&storage, &backend, &mut driver, &mut counters, now_ms + 60_000);
    }
}

/// A copy of the latest checkpoint, and savepoints of both formats, hold what the job holds.
fn copies(
    storage: &Arc<dyn Storage>,
    backend: &BackendConfig,
    driver: &mut Driver,
    counters: &mut Counters,
    now_ms: i64,
) {
    take(driver, counters, now_ms, Kind::Checkpoint, false);
    let latest = driver.coordinator().completed().latest().unwrap().id;
    let source = driver.find(latest).unwrap().open().unwrap().trust(Trust::Own);
    assert!(source.manifest().objects().any(|object| object.scope == millpond::format::manifest::ObjectScope::Shared));
    let random = Arc::new(SeededRandom::new(99));
    let target = SnapshotTarget::new(Arc::clone(storage), path("savepoint-copied"), random);
    relocate(&source, &target, &mut |_, _| ControlFlow::Continue(())).unwrap();
    let mut directories = vec![path("savepoint-copied")];
    for format in [SavepointFormat::Canonical, SavepointFormat::Native] {
        let kind = Kind::Savepoint(Savepoint { target: String::new(), format, stop: None });
        take(driver, counters, now_ms, kind, false);
        directories.push(counters.answers.last().unwrap().directory.clone());
    }
    let expected = counters.counts();
    for name in names(storage).into_iter().filter(|name| name.starts_with(&JOB.to_string())) {
        storage.delete(&path(&name)).unwrap();
    }
    for directory in directories {
        let scratch = scratch();
        let copy = SnapshotReader::open(Arc::clone(storage), directory.clone()).unwrap();
        let copy = copy.trust(Trust::Own).with_scratch(scratch.path());
        let verified = copy.verify(&mut |_| ControlFlow::Continue(())).unwrap();
        assert!(verified.is_intact(), "{directory}: {verified:?}");
        assert_eq!(Counters::start(backend, Some(&copy)).unwrap().counts(), expected, "{directory}");
    }
}
