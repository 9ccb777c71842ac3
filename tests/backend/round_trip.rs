//! State of every kind, snapshotted while it changes, and restored at other parallelisms from every format.

use std::sync::Arc;

use millpond::backend::handle::{AggregatingHandle, ListHandle, MapHandle, ReducingHandle, TimerHandle, ValueHandle};
use millpond::backend::{BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat, Snapshot};
use millpond::clock::ManualClock;
use millpond::format::manifest::{Manifest, SnapshotKind};
use millpond::ids::{CheckpointId, JobId, SubtaskIndex};
use millpond::key_group::{KeyGroupRange, MaxParallelism, Parallelism, subtask_of_group};
use millpond::random::SeededRandom;
use millpond::serializer::{Bytes, I64, Serializer, Str, TimeWindow, Tuple2, U32, U64, Window};
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, assemble, publish};
use millpond::state::*;
use millpond::storage::layout::JobLayout;
use millpond::storage::{CommitOutcome, MemoryStorage, ObjectPath, Storage};

const UID: &str = "operator";

struct Mean;

impl Aggregate for Mean {
    type Input = i64;
    type Accumulator = (i64, u64);
    type Output = f64;

    fn create() -> (i64, u64) {
        (0, 0)
    }

    fn add(accumulator: &mut (i64, u64), input: i64) {
        accumulator.0 += input;
        accumulator.1 += 1;
    }

    fn result(accumulator: &(i64, u64)) -> f64 {
        accumulator.0 as f64 / accumulator.1 as f64
    }
}

const VALUE: ValueDescriptor<U64> = ValueDescriptor::new("value", U64);
const WINDOWED: ValueDescriptor<U64, Window> = ValueDescriptor::in_namespaces("windowed", U64, Window);
const LIST: ListDescriptor<Bytes> = ListDescriptor::new("list", Bytes);
const MAP: MapDescriptor<Str, U32> = MapDescriptor::new("map", Str, U32);
const REDUCING: ReducingDescriptor<I64> =
    ReducingDescriptor::new("reducing", I64, |worst, new| *worst = (*worst).max(new));
const MEAN: AggregatingDescriptor<Mean, Tuple2<I64, U64>> = AggregatingDescriptor::new("mean", Tuple2(I64, U64));
const TIMERS: TimerDescriptor = TimerDescriptor::new("timers");

struct Job {
    backend: KeyedBackend<Str>,
    value: ValueHandle<u64>,
    windowed: ValueHandle<u64, TimeWindow>,
    list: ListHandle<Vec<u8>>,
    map: MapHandle<String, u32>,
    reducing: ReducingHandle<i64>,
    mean: AggregatingHandle<Mean>,
    timers: TimerHandle,
}

impl Job {
    fn open(mut backend: KeyedBackend<Str>) -> Job {
        Job {
            value: backend.register_value(&VALUE).unwrap(),
            windowed: backend.register_value(&WINDOWED).unwrap(),
            list: backend.register_list(&LIST).unwrap(),
            map: backend.register_map(&MAP).unwrap(),
            reducing: backend.register_reducing(&REDUCING).unwrap(),
            mean: backend.register_aggregating(&MEAN).unwrap(),
            timers: backend.register_timers(&TIMERS).unwrap(),
            backend,
        }
    }

    fn process(&mut self, key: &String, n: u64) {
        let mut at = self.backend.key(key).unwrap();
        at.value(&self.value).unwrap().update(|value| *value = Some(value.unwrap_or(0) + n)).unwrap();
        let window = TimeWindow { start_ms: (n % 3) as i64 * 1000, end_ms: (n % 3) as i64 * 1000 + 1000 };
        at.value_in(&self.windowed, &window).unwrap().set(n).unwrap();
        at.list(&self.list).unwrap().add(n.to_string().into_bytes()).unwrap();
        at.map(&self.map).unwrap().put(format!("k{}", n % 5), n as u32).unwrap();
        at.reducing(&self.reducing).unwrap().add(n as i64 - 50).unwrap();
        at.aggregating(&self.mean).unwrap().add(n as i64).unwrap();
        at.timers(&self.timers).unwrap().register(TimeDomain::Event, n as i64 % 7).unwrap();
    }

    /// Everything there is under a key, as text.
    fn describe(&mut self, key: &String) -> String {
        let mut at = self.backend.key(key).unwrap();
        let value = at.value(&self.value).unwrap().get().unwrap().map(|value| value.into_owned());
        let list = at.list(&self.list).unwrap().get().unwrap().into_owned();
        let mut map: Vec<(String, u32)> = at
            .map(&self.map)
            .unwrap()
            .entries()
            .unwrap()
            .map(|entry| {
                let (user_key, value) = entry.unwrap();
                (user_key.into_owned(), value.into_owned())
            })
            .collect();
        map.sort();
        let windows: Vec<Option<u64>> = (0..3)
            .map(|start| {
                let window = TimeWindow { start_ms: start * 1000, end_ms: start * 1000 + 1000 };
                at.value_in(&self.windowed, &window).unwrap().get().unwrap().map(|value| value.into_owned())
            })
            .collect();
        let worst = at.reducing(&self.reducing).unwrap().get().unwrap().map(|worst| worst.into_owned());
        let mean = at.aggregating(&self.mean).unwrap().get().unwrap();
        format!("{value:?} {list:?} {map:?} {windows:?} {worst:?} {mean:?}")
    }
}

fn max() -> MaxParallelism {
    MaxParallelism::new(16).unwrap()
}

fn parameters(subtask: u32, parallelism: u32) -> KeyedParameters {
    let parallelism = Parallelism::new(parallelism, max()).unwrap();
    KeyedParameters {
        operator: UID.to_owned(),
        max_parallelism: max(),
        range: KeyGroupRange::of_subtask(subtask, parallelism, max()).unwrap(),
        clock: Arc::new(ManualClock::new(0)),
    }
}

struct Cluster {
    storage: Arc<dyn Storage>,
    jobs: Vec<Job>,
}

impl Cluster {
    fn new(parallelism: u32) -> Cluster {
        let jobs = (0..parallelism)
            .map(|index| {
                Job::open(KeyedBackend::new(&BackendConfig::default(), parameters(index, parallelism), Str).unwrap())
            })
            .collect();
        Cluster { storage: Arc::new(MemoryStorage::new(1 << 30)), jobs }
    }

    fn job(&mut self, key: &String) -> &mut Job {
        let mut scratch = millpond::codec::Writer::new();
        let group = max().group_of_hash(Str.key_hash(key, &mut scratch).unwrap());
        let parallelism = Parallelism::new(self.jobs.len() as u32, max()).unwrap();
        &mut self.jobs[subtask_of_group(group, parallelism, max()) as usize]
    }

    fn snapshots(&mut self) -> Vec<Snapshot> {
        self.jobs.iter_mut().map(|job| job.backend.snapshot().unwrap()).collect()
    }

    fn publish(&self, id: u64, snapshots: Vec<Snapshot>, format: KeyedSnapshotFormat) -> ObjectPath {
        let directory = JobLayout::new(JobId([7; 16])).checkpoint(CheckpointId(id));
        let target = SnapshotTarget::new(self.storage.clone(), directory.clone(), Arc::new(SeededRandom::new(id)));
        let parallelism = Parallelism::new(self.jobs.len() as u32, max()).unwrap();
        let reports = snapshots.into_iter().enumerate().map(|(index, snapshot)| SubtaskReport {
            operator: UID.to_owned(),
            subtask: SubtaskIndex(index as u32),
            parallelism,
            max_parallelism: max(),
            key: Some(Str.snapshot()),
            states: snapshot.states(),
            keyed: snapshot.write(&target, format, &|| true).unwrap(),
            operator_state: None,
        });
        let label = SnapshotLabel {
            job: JobId([7; 16]),
            checkpoint: CheckpointId(id),
            kind: SnapshotKind::Checkpoint,
            created_ms: 0,
        };
        let manifest = assemble(label, reports.collect()).unwrap();
        assert!(matches!(publish(&*self.storage, &directory, &manifest), CommitOutcome::Committed));
        directory
    }

    fn restore(&self, directory: &ObjectPath, parallelism: u32) -> Cluster {
        let reader = SnapshotReader::open(self.storage.clone(), directory.clone()).unwrap();
        let operator = reader.operator(UID).unwrap();
        let jobs = (0..parallelism)
            .map(|index| {
                Job::open(
                    KeyedBackend::restore(&BackendConfig::default(), parameters(index, parallelism), Str, &operator)
                        .unwrap(),
                )
            })
            .collect();
        Cluster { storage: self.storage.clone(), jobs }
    }

    fn manifest(&self, directory: &ObjectPath) -> Manifest {
        SnapshotReader::open(self.storage.clone(), directory.clone()).unwrap().manifest().clone()
    }
}

fn keys() -> Vec<String> {
    (0..60).map(|index| format!("key-{index}")).collect()
}

fn describe_all(cluster: &mut Cluster) -> Vec<String> {
    keys().iter().map(|key| cluster.job(key).describe(key)).collect()
}

#[test]
fn a_snapshot_shows_the_state_at_its_moment_at_any_parallelism_in_any_format() {
    for format in [KeyedSnapshotFormat::Canonical, KeyedSnapshotFormat::Native] {
        let mut cluster = Cluster::new(3);
        for n in 0..1000u64 {
            let key = &keys()[n as usize % 60];
            cluster.job(key).process(key, n);
        }
        let expected = describe_all(&mut cluster);
        let snapshots = cluster.snapshots();
        for n in 0..500u64 {
            let key = &keys()[n as usize % 50];
            cluster.job(key).process(key, n * 3);
        }
        let later = describe_all(&mut cluster);
        assert_ne!(expected, later);
        let directory = cluster.publish(1, snapshots, format);
        assert_eq!(describe_all(&mut cluster), later);
        for parallelism in [1, 2, 3, 5, 16] {
            let mut restored = cluster.restore(&directory, parallelism);
            assert_eq!(describe_all(&mut restored), expected, "{format:?} at {parallelism}");
        }
    }
}

#[test]
fn canonical_bytes_do_not_depend_on_history_or_parallelism() {
    let mut first = Cluster::new(1);
    for n in 0..600u64 {
        let key = &keys()[n as usize % 60];
        first.job(key).process(key, n);
    }
    let snapshots = first.snapshots();
    let directory = first.publish(1, snapshots, KeyedSnapshotFormat::Canonical);
    let digest = first.manifest(&directory).keyed_digest().unwrap();
    for (id, parallelism) in [(2, 2), (3, 7), (4, 16)] {
        let mut other = first.restore(&directory, parallelism);
        let junk = "not-there-before".to_owned();
        let job = other.job(&junk);
        job.process(&junk, 1);
        let mut at = job.backend.key(&junk).unwrap();
        at.value(&job.value).unwrap().clear().unwrap();
        at.value_in(&job.windowed, &TimeWindow { start_ms: 1000, end_ms: 2000 }).unwrap().clear().unwrap();
        at.list(&job.list).unwrap().clear().unwrap();
        at.map(&job.map).unwrap().clear().unwrap();
        at.reducing(&job.reducing).unwrap().clear().unwrap();
        at.aggregating(&job.mean).unwrap().clear().unwrap();
        assert!(at.timers(&job.timers).unwrap().delete(TimeDomain::Event, 1).unwrap());
        let snapshots = other.snapshots();
        let again = other.publish(id, snapshots, KeyedSnapshotFormat::Canonical);
        assert_eq!(other.manifest(&again).keyed_digest().unwrap(), digest, "parallelism {parallelism}");
    }
}

#[test]
fn visits_find_everything_that_the_keys_hold() {
    let mut cluster = Cluster::new(2);
    for n in 0..300u64 {
        let key = &keys()[n as usize % 60];
        cluster.job(key).process(key, n);
    }
    let mut seen = [0usize; 8];
    for job in &cluster.jobs {
        job.backend.for_each_key(&job.windowed, |_, _| seen[0] += 1).unwrap();
        job.backend.for_each_value(&job.value, |_, (), _| seen[1] += 1).unwrap();
        job.backend
            .for_each_value(&job.windowed, |_, window, n| seen[2] += (n % 3 * 1000 == window.start_ms as u64) as usize)
            .unwrap();
        job.backend.for_each_list(&job.list, |_, (), list| seen[3] += list.len()).unwrap();
        job.backend
            .for_each_map_entry(&job.map, |_, (), user_key, n| seen[4] += (*user_key == format!("k{}", n % 5)) as usize)
            .unwrap();
        job.backend.for_each_reduced(&job.reducing, |_, (), _| seen[5] += 1).unwrap();
        job.backend.for_each_accumulator(&job.mean, |_, (), (_, count)| seen[6] += *count as usize).unwrap();
        job.backend
            .for_each_timer(&job.timers, |_, (), domain, _| seen[7] += (domain == TimeDomain::Event) as usize)
            .unwrap();
    }
    assert_eq!(seen, [60, 60, 60, 300, 60, 60, 300, 300]);
}
