//! A job with state of every kind, and ways to convert its snapshots.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond::backend::conformance::{Cluster, Plan};
use millpond::backend::{BackendConfig, KeyedSnapshotFormat};
use millpond::convert::{Destination, Format, Options, Report, convert};
use millpond::format::manifest::Manifest;
use millpond::random::SystemRandom;
use millpond::serializer::{Bytes, F64, I64, Str, Tuple2, U32, U64};
use millpond::snapshot::{SnapshotReader, Trust};
use millpond::state::*;
use millpond::storage::{MemoryStorage, ObjectPath, Storage};
use millpond::{Error, Result};

pub(super) const KEYS: u64 = 300;

pub(super) struct Mean;

impl Aggregate for Mean {
    type Input = f64;
    type Accumulator = (f64, u64);
    type Output = f64;

    fn create() -> (f64, u64) {
        (0.0, 0)
    }

    fn add(accumulator: &mut (f64, u64), input: f64) {
        *accumulator = (accumulator.0 + input, accumulator.1 + 1);
    }

    fn result(accumulator: &(f64, u64)) -> f64 {
        accumulator.0 / accumulator.1 as f64
    }
}

pub(super) const VALUE: ValueDescriptor<Str> = ValueDescriptor::new("value", Str);
pub(super) const EXPIRING: ValueDescriptor<U64, I64> =
    ValueDescriptor::in_namespaces("expiring", U64, I64).with_ttl(Ttl::new(1000));
pub(super) const LIST: ListDescriptor<Bytes> = ListDescriptor::new("list", Bytes);
pub(super) const EXPIRING_LIST: ListDescriptor<U32> =
    ListDescriptor::new("expiring-list", U32).with_ttl(Ttl::new(1000));
pub(super) const MAP: MapDescriptor<Str, U32> = MapDescriptor::new("map", Str, U32);
pub(super) const REDUCING: ReducingDescriptor<I64> = ReducingDescriptor::new("reducing", I64, |sum, more| *sum += more);
pub(super) const MEAN: AggregatingDescriptor<Mean, Tuple2<F64, U64>> =
    AggregatingDescriptor::new("mean", Tuple2(F64, U64));
pub(super) const TIMERS: TimerDescriptor<I64> = TimerDescriptor::in_namespaces("timers", I64);
pub(super) const SPLIT: OperatorListDescriptor<Bytes> = OperatorListDescriptor::split("split", Bytes);
pub(super) const UNION: OperatorListDescriptor<Str> = OperatorListDescriptor::union("union", Str);
pub(super) const BROADCAST: BroadcastDescriptor<Str, U64> = BroadcastDescriptor::new("broadcast", Str, U64);

pub(super) fn key(number: u64) -> String {
    format!("{}key-{number}", "k".repeat((number % 13) as usize))
}

/// A cluster with this state; `config` may be of any backend.
pub(super) fn filled(config: &BackendConfig, parallelism: u32, max_parallelism: u32) -> Cluster<Str> {
    let mut plan = Plan::new(config);
    plan.max_parallelism = max_parallelism;
    let mut cluster = Cluster::new(plan, Str, parallelism).unwrap();
    let values = cluster.register(|backend| backend.register_value(&VALUE)).unwrap();
    let expiring = cluster.register(|backend| backend.register_value(&EXPIRING)).unwrap();
    let lists = cluster.register(|backend| backend.register_list(&LIST)).unwrap();
    let expiring_lists = cluster.register(|backend| backend.register_list(&EXPIRING_LIST)).unwrap();
    let maps = cluster.register(|backend| backend.register_map(&MAP)).unwrap();
    let reducing = cluster.register(|backend| backend.register_reducing(&REDUCING)).unwrap();
    let means = cluster.register(|backend| backend.register_aggregating(&MEAN)).unwrap();
    let timers = cluster.register(|backend| backend.register_timers(&TIMERS)).unwrap();
    for number in 0..KEYS {
        let key = key(number);
        let (at, backend) = cluster.backend(&key).unwrap();
        let mut context = backend.key(&key).unwrap();
        context.value(&values[at]).unwrap().set(format!("value {number}")).unwrap();
        context.value_in(&expiring[at], &(number as i64 % 3)).unwrap().set(number).unwrap();
        context.list(&lists[at]).unwrap().add_all((0..number % 4).map(|size| vec![1; size as usize])).unwrap();
        context.list(&expiring_lists[at]).unwrap().add_all(0..(number % 3) as u32).unwrap();
        for user_key in 0..number % 5 {
            context.map(&maps[at]).unwrap().put(format!("user-{user_key}"), number as u32).unwrap();
        }
        context.reducing(&reducing[at]).unwrap().add(-(number as i64)).unwrap();
        context.aggregating(&means[at]).unwrap().add(number as f64).unwrap();
        let domain = if number % 2 == 0 { TimeDomain::Event } else { TimeDomain::Processing };
        context.timers_in(&timers[at], &1).unwrap().register(domain, number as i64 - 100).unwrap();
    }
    let split = cluster.register_operator(|backend| backend.register_list(&SPLIT)).unwrap();
    let union = cluster.register_operator(|backend| backend.register_list(&UNION)).unwrap();
    let broadcast = cluster.register_operator(|backend| backend.register_broadcast(&BROADCAST)).unwrap();
    for (at, subtask) in cluster.subtasks.iter_mut().enumerate() {
        for number in 0..7 + at {
            subtask.operator.list(&split[at]).unwrap().add(vec![at as u8; number]).unwrap();
        }
        subtask.operator.list(&union[at]).unwrap().add(format!("of {at}")).unwrap();
        subtask.operator.broadcast(&broadcast[at]).unwrap().put("answer".to_owned(), 42).unwrap();
    }
    cluster
}

/// Owner, neutral key and neutral value.
pub(super) type StoredEntry = (String, Vec<u8>, Vec<u8>);

/// A snapshot somewhere.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) directory: ObjectPath,
}

impl Stored {
    pub(super) fn of(cluster: &mut Cluster<Str>, format: KeyedSnapshotFormat) -> Stored {
        let directory = cluster.checkpoint(format).unwrap();
        Stored { storage: Arc::clone(&cluster.plan.storage), directory }
    }

    pub(super) fn open(&self, scratch: &Path) -> SnapshotReader {
        let reader = SnapshotReader::open(Arc::clone(&self.storage), self.directory.clone()).unwrap();
        reader.trust(Trust::Own).with_scratch(scratch)
    }

    pub(super) fn manifest(&self) -> Manifest {
        SnapshotReader::open(Arc::clone(&self.storage), self.directory.clone()).unwrap().manifest().clone()
    }

    /// Converts into a storage of its own.
    pub(super) fn convert(&self, options: &Options) -> Result<(Stored, Report)> {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 30));
        let converted = Stored { storage, directory: ObjectPath::parse("converted").unwrap() };
        let report = self.convert_to(&converted, options)?;
        Ok((converted, report))
    }

    pub(super) fn convert_to(&self, to: &Stored, options: &Options) -> Result<Report> {
        let destination = Destination {
            storage: Arc::clone(&to.storage),
            directory: to.directory.clone(),
            random: Arc::new(SystemRandom),
        };
        let source = self.open(&options.scratch);
        convert(&source, &destination, options, &mut |_| ControlFlow::Continue(()))
    }

    /// Every entry of every state as it is stored: by state, then key group and key (or subtask and position).
    pub(super) fn content(&self, scratch: &Path) -> BTreeMap<String, Vec<StoredEntry>> {
        let reader = self.open(scratch);
        let mut content: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for operator in reader.operators() {
            for state in operator.states() {
                let entries = content.entry(state.name.clone()).or_default();
                operator
                    .state(&state.name)
                    .unwrap()
                    .pairs(|place, key, value| {
                        entries.push((place.owner.to_string(), key.to_vec(), value.to_vec()));
                        Ok(ControlFlow::Continue(()))
                    })
                    .unwrap();
                if state.kind.is_keyed() {
                    entries.sort();
                }
            }
        }
        content
    }
}

/// Options for a conversion with nothing in the scratch directory before or after.
pub(super) fn options(to: Format, scratch: &Path) -> Options {
    Options::new(to, scratch)
}

/// A directory that is empty in the end.
pub(super) struct EmptyDirectory(tempfile::TempDir);

impl EmptyDirectory {
    pub(super) fn new() -> Self {
        EmptyDirectory(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    pub(super) fn check(&self) {
        let left: Vec<_> = std::fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// The parts of an error that a user acts on.
pub(super) fn text(error: &Error) -> String {
    error.to_string()
}
