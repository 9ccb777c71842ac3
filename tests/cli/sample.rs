//! Snapshots with state of every kind.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond::backend::operator::{OperatorBackend, OperatorParameters};
use millpond::backend::{BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat};
use millpond::clock::ManualClock;
use millpond::codec::{Compression, Writer};
use millpond::format::manifest::SnapshotKind;
use millpond::format::section::SectionReader;
use millpond::ids::{CheckpointId, JobId, SubtaskIndex};
use millpond::key_group::{KeyGroup, KeyGroupRange, MaxParallelism, Parallelism};
use millpond::random::SeededRandom;
use millpond::serializer::{
    F64, I64, List, Msgpack, Serializer, SerializerSnapshot, Str, TimeWindow, Tuple2, U32, U64, Window,
};
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, assemble, publish};
use millpond::state::*;
use millpond::storage::layout::JobLayout;
use millpond::storage::{CommitOutcome, LocalStorage, ObjectPath, Storage};
use serde::{Deserialize, Serialize};

pub(super) const JOB: JobId = JobId([0x4a; 16]);
pub(super) const KEYS: u64 = 40;
const MAX: u32 = 16;
const PARALLELISM: u32 = 2;

/// 2013-01-01 at noon.
pub(super) const NOON: i64 = 1_357_041_600_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Profile {
    flights: u64,
    last: Option<String>,
}

struct Mean;

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

const PROFILE: ValueDescriptor<Msgpack<Profile>> =
    ValueDescriptor::new("profile", Msgpack::new()).with_ttl(Ttl::new(30 * 86_400_000));
const HOURLY: ValueDescriptor<U64, Window> = ValueDescriptor::in_namespaces("hourly", U64, Window);
const DELAYS: ListDescriptor<I64> = ListDescriptor::new("delays", I64);
const DESTINATIONS: MapDescriptor<Str, U32> = MapDescriptor::new("destinations", Str, U32);
const WORST: ReducingDescriptor<I64> = ReducingDescriptor::new("worst", I64, |worst, new| *worst = (*worst).max(new));
const MEAN: AggregatingDescriptor<Mean, Tuple2<F64, U64>> = AggregatingDescriptor::new("mean", Tuple2(F64, U64));
const TIMERS: TimerDescriptor<Window> = TimerDescriptor::in_namespaces("timers", Window);
const OFFSETS: OperatorListDescriptor<U64> = OperatorListDescriptor::split("offsets", U64);
const SEEN: OperatorListDescriptor<Str> = OperatorListDescriptor::union("seen", Str);
const AIRLINES: BroadcastDescriptor<Str, Str> = BroadcastDescriptor::new("airlines", Str, Str);
const ROUTE: ValueDescriptor<List<U64>> = ValueDescriptor::new("route", List::new(U64));

/// How a sample is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) format: KeyedSnapshotFormat,
    pub(super) compression: Compression,
}

pub(super) const CANONICAL: Written =
    Written { format: KeyedSnapshotFormat::Canonical, compression: Compression::None };
pub(super) const NATIVE: Written = Written { format: KeyedSnapshotFormat::Native, compression: Compression::None };
pub(super) const COMPRESSED: Written =
    Written { format: KeyedSnapshotFormat::Canonical, compression: Compression::Lz4 };

/// Writes checkpoint `id` below `base` and returns its directory.
pub(super) fn write(base: &Path, id: u64, written: Written) -> PathBuf {
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::create(base).unwrap());
    let directory = JobLayout::new(JOB).checkpoint(CheckpointId(id));
    let target = SnapshotTarget::new(Arc::clone(&storage), directory.clone(), Arc::new(SeededRandom::new(id)))
        .with_compression(written.compression);
    let reports = (0..PARALLELISM)
        .flat_map(|subtask| [flights(subtask, &target, written.format), routes(subtask, &target, written.format)]);
    let label =
        SnapshotLabel { job: JOB, checkpoint: CheckpointId(id), kind: SnapshotKind::Checkpoint, created_ms: NOON };
    let manifest = assemble(label, reports.collect()).unwrap();
    assert!(matches!(publish(&*storage, &directory, &manifest), CommitOutcome::Committed));
    base.join(directory.as_str())
}

pub(super) fn key(index: u64) -> String {
    format!("N{index:05}")
}

pub(super) fn max() -> MaxParallelism {
    MaxParallelism::new(MAX).unwrap()
}

pub(super) fn group_of(key: &str) -> KeyGroup {
    let mut scratch = Writer::new();
    max().group_of_hash(Str.key_hash(&key.to_owned(), &mut scratch).unwrap())
}

fn parallelism() -> Parallelism {
    Parallelism::new(PARALLELISM, max()).unwrap()
}

fn backend<KS>(uid: &str, subtask: u32, key: KS) -> (KeyedBackend<KS>, KeyGroupRange)
where
    KS: Serializer<Value: millpond::backend::Key> + Clone,
{
    let range = KeyGroupRange::of_subtask(subtask, parallelism(), max()).unwrap();
    let clock = Arc::new(ManualClock::new(NOON));
    let parameters = KeyedParameters { operator: uid.to_owned(), max_parallelism: max(), range, clock };
    (KeyedBackend::new(&BackendConfig::default(), parameters, key).unwrap(), range)
}

fn flights(subtask: u32, target: &SnapshotTarget, format: KeyedSnapshotFormat) -> SubtaskReport {
    let (mut backend, range) = backend("flights", subtask, Str);
    let profile = backend.register_value(&PROFILE).unwrap();
    let hourly = backend.register_value(&HOURLY).unwrap();
    let delays = backend.register_list(&DELAYS).unwrap();
    let destinations = backend.register_map(&DESTINATIONS).unwrap();
    let worst = backend.register_reducing(&WORST).unwrap();
    let mean = backend.register_aggregating(&MEAN).unwrap();
    let timers = backend.register_timers(&TIMERS).unwrap();
    for index in (0..KEYS).filter(|index| range.contains(group_of(&key(*index)))) {
        let key = key(index);
        let window = TimeWindow { start_ms: NOON, end_ms: NOON + 3_600_000 };
        let mut at = backend.key(&key).unwrap();
        let last = (index % 2 == 0).then(|| "JFK".to_owned());
        at.value(&profile).unwrap().set(Profile { flights: index, last }).unwrap();
        at.value_in(&hourly, &window).unwrap().set(index).unwrap();
        for n in 0..3 {
            at.list(&delays).unwrap().add(index as i64 * 10 + n).unwrap();
            at.map(&destinations).unwrap().put(format!("D{n}"), index as u32).unwrap();
        }
        at.reducing(&worst).unwrap().add(-(index as i64)).unwrap();
        at.aggregating(&mean).unwrap().add(0.5).unwrap();
        at.timers_in(&timers, &window).unwrap().register(TimeDomain::Event, window.end_ms).unwrap();
    }
    let snapshot = backend.snapshot().unwrap();
    let (operator_states, operator_state) = {
        let snapshot = operator_state(subtask).snapshot();
        (snapshot.states(), snapshot.write(target).unwrap())
    };
    let mut states = snapshot.states();
    states.extend(operator_states);
    let keyed = snapshot.write(target, format, &|| true).unwrap();
    SubtaskReport { states, keyed, operator_state, ..report("flights", subtask, Str.snapshot()) }
}

/// Operator state: small in the first subtask, so large in the second that it gets a file of its own.
fn operator_state(subtask: u32) -> OperatorBackend {
    let subtask_index = SubtaskIndex(subtask);
    let parameters =
        OperatorParameters { operator: "flights".to_owned(), subtask: subtask_index, parallelism: parallelism() };
    let mut backend = OperatorBackend::new(parameters);
    let offsets = backend.register_list(&OFFSETS).unwrap();
    let seen = backend.register_list(&SEEN).unwrap();
    let airlines = backend.register_broadcast(&AIRLINES).unwrap();
    backend.list(&offsets).unwrap().set(vec![u64::from(subtask) * 100, 7]).unwrap();
    let count = if subtask == 0 { 2 } else { 3000 };
    backend.list(&seen).unwrap().set((0..count).map(|n| format!("seen-{n}")).collect()).unwrap();
    backend.broadcast(&airlines).unwrap().put("UA".to_owned(), "United \u{1b}[31mAir".to_owned()).unwrap();
    backend
}

fn routes(subtask: u32, target: &SnapshotTarget, format: KeyedSnapshotFormat) -> SubtaskReport {
    const KEY: Tuple2<Str, U32> = Tuple2(Str, U32);
    let (mut backend, range) = backend("routes", subtask, KEY);
    let route = backend.register_value(&ROUTE).unwrap();
    for n in 0..20u32 {
        let key = ("JFK".to_owned(), n);
        let mut scratch = Writer::new();
        if range.contains(max().group_of_hash(KEY.key_hash(&key, &mut scratch).unwrap())) {
            backend.key(&key).unwrap().value(&route).unwrap().set(vec![u64::from(n); 3]).unwrap();
        }
    }
    let snapshot = backend.snapshot().unwrap();
    let states = snapshot.states();
    let keyed = snapshot.write(target, format, &|| true).unwrap();
    SubtaskReport { states, keyed, ..report("routes", subtask, KEY.snapshot()) }
}

fn report(uid: &str, subtask: u32, key: SerializerSnapshot) -> SubtaskReport {
    SubtaskReport {
        operator: uid.to_owned(),
        subtask: SubtaskIndex(subtask),
        parallelism: parallelism(),
        max_parallelism: max(),
        key: Some(key),
        states: Vec::new(),
        keyed: None,
        operator_state: None,
    }
}

/// Opens a snapshot directory.
pub(super) fn open(directory: &Path) -> SnapshotReader {
    let name = directory.file_name().unwrap().to_str().unwrap();
    let storage = Arc::new(LocalStorage::open(directory.parent().unwrap()).unwrap());
    SnapshotReader::open(storage, ObjectPath::parse(name).unwrap()).unwrap()
}

/// Where a block lies.
#[derive(Debug)]
pub(super) struct BlockPlace {
    pub(super) file: PathBuf,
    pub(super) offset: u64,
    pub(super) group: u16,
}

/// The first block of a state.
pub(super) fn first_block(directory: &Path, uid: &str, state: &str) -> BlockPlace {
    let snapshot = open(directory);
    let operator = snapshot.operator(uid).unwrap();
    for section in operator.sections(max().all_groups()) {
        let section = section.unwrap();
        for block in SectionReader::new(&section.bytes, section.offset, section.id).unwrap() {
            let block = block.unwrap();
            if block.state == state {
                let file = directory.parent().unwrap().join(&section.object);
                return BlockPlace { file, offset: block.offset, group: section.group.0 };
            }
        }
    }
    panic!("{state} has no block");
}

/// Flips a bit of a file.
pub(super) fn flip(file: &Path, offset: u64) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[offset as usize] ^= 0x10;
    std::fs::write(file, bytes).unwrap();
}

/// The files of a snapshot, manifest included.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
