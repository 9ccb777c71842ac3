//! Bodies of the fuzz targets: operations on a backend beside a plain model. Feature `test-util`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::handle::{ListHandle, MapHandle, TimerHandle, ValueHandle};
use super::{BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat, Snapshot};
use crate::clock::ManualClock;
use crate::codec::{Compression, Writer};
use crate::error::{Error, Result};
use crate::format::manifest::SnapshotKind;
use crate::ids::{CheckpointId, JobId, SubtaskIndex};
use crate::key_group::{MaxParallelism, Parallelism};
use crate::random::SeededRandom;
use crate::serializer::{Serializer, U64};
use crate::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, assemble, publish};
use crate::state::{
    ListDescriptor, ListState, MapDescriptor, MapState, TimeDomain, TimerDescriptor, TimerState, ValueDescriptor,
    ValueState,
};
use crate::storage::layout::JobLayout;
use crate::storage::{CommitOutcome, MemoryStorage, Storage};

const UID: &str = "fuzzed";
const JOB: JobId = JobId([1; 16]);

/// Few keys, so that operations meet.
const KEYS: u64 = 24;

/// Snapshots that are being written at the same time.
const OVERLAPPING: usize = 5;

const VALUE: ValueDescriptor<U64> = ValueDescriptor::new("value", U64);
const LIST: ListDescriptor<U64> = ListDescriptor::new("list", U64);
const MAP: MapDescriptor<U64, U64> = MapDescriptor::new("map", U64, U64);
const TIMERS: TimerDescriptor = TimerDescriptor::new("timers");

/// Any bytes as a sequence of [`model`](super::model): states of every kind, time to live, clocks, snapshots of all formats,
/// restarts.
pub fn fuzz_heap_model(bytes: &[u8]) {
    super::model::run_bytes(&BackendConfig::default(), bytes);
}

/// Any bytes as operations on keyed state on the heap, three bytes each: what is read always is what a model holds, and
/// so is what a snapshot restores to that was written while the state went on changing, however many overlap.
pub fn fuzz_heap_table(bytes: &[u8]) {
    let ran = run(bytes);
    assert_eq!(ran.map_err(|error| error.to_string()), Ok(()), "an operation failed");
}

fn run(bytes: &[u8]) -> Result<()> {
    let mut pair = Pair::new()?;
    let mut snapshots: Vec<(Snapshot, Model)> = Vec::new();
    let (operations, _) = bytes.as_chunks::<3>();
    for [operation, first, second] in operations {
        let chosen = usize::from(*first).checked_rem(snapshots.len());
        match (operation % 16, chosen) {
            (12, _) if snapshots.len() < OVERLAPPING => {
                snapshots.extend(pair.snapshot()?.map(|snapshot| (snapshot, pair.model.clone())));
            }
            (13 | 14, Some(chosen)) => {
                let (snapshot, expected) = snapshots.swap_remove(chosen);
                check_restored(snapshot, &expected, *second)?;
            }
            (15, Some(chosen)) => drop(snapshots.swap_remove(chosen)),
            (kind, _) => pair.apply(kind, u64::from(*first) % KEYS, u64::from(*second))?,
        }
    }
    pair.check()?;
    snapshots.into_iter().try_for_each(|(snapshot, expected)| check_restored(snapshot, &expected, 0))
}

/// What the state should be.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    values: BTreeMap<u64, u64>,
    lists: BTreeMap<u64, Vec<u64>>,
    maps: BTreeMap<(u64, u64), u64>,
    /// In the order in which they are due: timestamp, key group, key.
    timers: BTreeSet<(i64, u16, u64)>,
}

/// A backend and its model.
struct Pair {
    backend: KeyedBackend<U64>,
    value: ValueHandle<u64>,
    list: ListHandle<u64>,
    map: MapHandle<u64, u64>,
    timers: TimerHandle,
    model: Model,
}

impl Pair {
    fn new() -> Result<Self> {
        Self::open(KeyedBackend::new(&BackendConfig::default(), parameters()?, U64)?)
    }

    fn open(mut backend: KeyedBackend<U64>) -> Result<Self> {
        Ok(Pair {
            value: backend.register_value(&VALUE)?,
            list: backend.register_list(&LIST)?,
            map: backend.register_map(&MAP)?,
            timers: backend.register_timers(&TIMERS)?,
            backend,
            model: Model::default(),
        })
    }

    /// `None` if versions of earlier snapshots still wait to be folded back.
    fn snapshot(&mut self) -> Result<Option<Snapshot>> {
        match self.backend.snapshot() {
            Err(error) if error.kind() == crate::ErrorKind::Unavailable => Ok(None),
            taken => taken.map(Some),
        }
    }

    fn apply(&mut self, kind: u8, key: u64, argument: u64) -> Result<()> {
        match kind {
            0..=2 => self.change_value(kind, key, argument),
            3..=5 => self.change_list(kind, key, argument),
            6..=8 => self.change_map(kind, key, argument),
            _ => self.change_timers(kind, key, argument),
        }
    }

    fn change_value(&mut self, kind: u8, key: u64, argument: u64) -> Result<()> {
        let (mut at, values) = (self.backend.key(&key)?, &mut self.model.values);
        let mut value = at.value(&self.value)?;
        match kind {
            0 => {
                values.insert(key, argument);
                value.set(argument)
            }
            1 => {
                values.remove(&key);
                value.clear()
            }
            _ => {
                let changed = values.get(&key).copied().unwrap_or(0) + argument;
                let changed = (!changed.is_multiple_of(3)).then_some(changed);
                match changed {
                    Some(changed) => values.insert(key, changed),
                    None => values.remove(&key),
                };
                value.update(|value| *value = changed)
            }
        }
    }

    fn change_list(&mut self, kind: u8, key: u64, argument: u64) -> Result<()> {
        let (mut at, lists) = (self.backend.key(&key)?, &mut self.model.lists);
        let mut list = at.list(&self.list)?;
        match kind {
            3 => {
                lists.entry(key).or_default().push(argument);
                list.add(argument)
            }
            4 => {
                lists.remove(&key);
                list.clear()
            }
            _ => {
                let elements: Vec<u64> = (0..argument % 4).collect();
                lists.insert(key, elements.clone());
                lists.retain(|_, elements| !elements.is_empty());
                list.set(elements)
            }
        }
    }

    fn change_map(&mut self, kind: u8, key: u64, argument: u64) -> Result<()> {
        let (mut at, maps) = (self.backend.key(&key)?, &mut self.model.maps);
        let mut map = at.map(&self.map)?;
        // More than the heap backend keeps side by side.
        let user_key = argument % 24;
        match kind {
            6 => {
                maps.insert((key, user_key), argument);
                map.put(user_key, argument)
            }
            7 => {
                maps.remove(&(key, user_key));
                map.remove(&user_key)
            }
            _ if user_key > 0 => {
                maps.insert((key, user_key), argument + 1);
                map.update(user_key, |value| *value = Some(argument + 1))
            }
            _ => {
                maps.retain(|(owner, _), _| *owner != key);
                map.clear()
            }
        }
    }

    fn change_timers(&mut self, kind: u8, key: u64, argument: u64) -> Result<()> {
        let at_ms = i64::try_from(argument % 32).unwrap_or_default();
        let timer = (at_ms, group_of(key)?, key);
        match kind {
            9 => {
                let registered = self.backend.key(&key)?.timers(&self.timers)?.register(TimeDomain::Event, at_ms)?;
                assert_eq!(registered, self.model.timers.insert(timer));
            }
            10 => {
                let deleted = self.backend.key(&key)?.timers(&self.timers)?.delete(TimeDomain::Event, at_ms)?;
                assert_eq!(deleted, self.model.timers.remove(&timer));
            }
            11 => {
                let popped = self.backend.pop_due_timer(&self.timers, TimeDomain::Event, at_ms)?;
                let due = self.model.timers.first().copied().filter(|due| due.0 <= at_ms);
                assert_eq!(popped.map(|timer| (timer.timestamp_ms, timer.key)), due.map(|due| (due.0, due.2)));
                if due.is_some() {
                    self.model.timers.pop_first();
                }
            }
            _ => {
                let next = self.backend.next_timer_ms(&self.timers, TimeDomain::Event)?;
                assert_eq!(next, self.model.timers.first().map(|timer| timer.0));
                assert_eq!(self.backend.clean_up(64)?, 0, "nothing expires here");
                self.check()?;
            }
        }
        Ok(())
    }

    /// Compares what single reads and what visits find with the model.
    fn check(&mut self) -> Result<()> {
        assert_eq!(self.visited()?, self.model);
        for key in 0..KEYS {
            let mut at = self.backend.key(&key)?;
            let value = at.value(&self.value)?.get()?.map(|value| *value);
            assert_eq!(value.as_ref(), self.model.values.get(&key));
            let elements = self.model.lists.get(&key).map(Vec::as_slice).unwrap_or_default();
            assert_eq!(&*at.list(&self.list)?.get()?, elements);
            for user_key in 0..8 {
                let mapped = at.map(&self.map)?.get(&user_key)?.map(|value| *value);
                assert_eq!(mapped.as_ref(), self.model.maps.get(&(key, user_key)));
            }
        }
        Ok(())
    }

    fn visited(&self) -> Result<Model> {
        let (mut seen, mut timers) = (Model::default(), Vec::new());
        self.backend.for_each_value(&self.value, |key, (), value| {
            assert_eq!(seen.values.insert(*key, *value), None, "visited twice");
        })?;
        self.backend.for_each_list(&self.list, |key, (), elements| {
            assert_eq!(seen.lists.insert(*key, elements.to_vec()), None, "visited twice");
        })?;
        self.backend.for_each_map_entry(&self.map, |key, (), user_key, value| {
            assert_eq!(seen.maps.insert((*key, *user_key), *value), None, "visited twice");
        })?;
        self.backend.for_each_timer(&self.timers, |key, (), _, at_ms| timers.push((at_ms, *key)))?;
        for (at_ms, key) in timers {
            assert!(seen.timers.insert((at_ms, group_of(key)?, key)), "visited twice");
        }
        Ok(seen)
    }
}

/// Writes a snapshot, restores it, and compares. `how` decides format and compression.
fn check_restored(snapshot: Snapshot, expected: &Model, how: u8) -> Result<()> {
    let format = if how.is_multiple_of(2) { KeyedSnapshotFormat::Canonical } else { KeyedSnapshotFormat::Native };
    let compression = if cfg!(feature = "lz4") && how & 2 == 2 { Compression::Lz4 } else { Compression::None };
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 24));
    let directory = JobLayout::new(JOB).checkpoint(CheckpointId(1));
    let target = SnapshotTarget::new(Arc::clone(&storage), directory.clone(), Arc::new(SeededRandom::new(1)));
    let report = SubtaskReport {
        operator: UID.to_owned(),
        subtask: SubtaskIndex(0),
        parallelism: Parallelism::new(1, max()?)?,
        max_parallelism: max()?,
        key: Some(U64.snapshot()),
        states: snapshot.states(),
        keyed: snapshot.write(&target.with_compression(compression), format, &|| true)?,
        operator_state: None,
    };
    let (checkpoint, kind) = (CheckpointId(1), SnapshotKind::Checkpoint);
    let manifest = assemble(SnapshotLabel { job: JOB, checkpoint, kind, created_ms: 0 }, vec![report])?;
    match publish(&*storage, &directory, &manifest) {
        CommitOutcome::Committed => {}
        CommitOutcome::NotCommitted(error) | CommitOutcome::Unknown(error) => return Err(error),
    }
    let reader = SnapshotReader::open(storage, directory)?;
    let operator = reader.operator(UID)?;
    let restored = KeyedBackend::restore(&BackendConfig::default(), parameters()?, U64, &operator)?;
    let mut pair = Pair::open(restored)?;
    pair.model = expected.clone();
    pair.check()
}

fn max() -> Result<MaxParallelism> {
    MaxParallelism::new(4)
}

fn parameters() -> Result<KeyedParameters> {
    Ok(KeyedParameters {
        operator: UID.to_owned(),
        max_parallelism: max()?,
        range: max()?.all_groups(),
        clock: Arc::new(ManualClock::new(0)),
    })
}

fn group_of(key: u64) -> Result<u16> {
    let hash = U64.key_hash(&key, &mut Writer::new())?;
    Ok::<_, Error>(max()?.group_of_hash(hash).0)
}
