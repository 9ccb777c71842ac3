//! A job of two subtasks whose whole state follows from how many records it has processed.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond::Result;
use millpond::backend::handle::{OperatorListHandle, ValueHandle};
use millpond::backend::operator::{OperatorBackend, OperatorParameters};
use millpond::backend::{BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat, SnapshotVersion};
use millpond::clock::ManualClock;
use millpond::codec::Writer;
use millpond::ids::{CheckpointId, SubtaskIndex};
use millpond::key_group::{KeyGroupRange, MaxParallelism, Parallelism, subtask_of_group};
use millpond::serializer::{Serializer, Str, U64};
use millpond::snapshot::{SnapshotReader, SnapshotTarget, SubtaskReport, Trust};
use millpond::state::{OperatorListDescriptor, OperatorListState, ValueDescriptor, ValueState};
use millpond::storage::{ObjectPath, Storage};

pub(super) const OPERATOR: &str = "work";
pub(super) const MAX: u32 = 4;
const KEYS: u64 = 5;
const SUMS: ValueDescriptor<U64> = ValueDescriptor::new("sums", U64);
const POSITIONS: OperatorListDescriptor<U64> = OperatorListDescriptor::split("positions", U64);

/// What state is kept on: the backend, and for one that needs it a local directory, which no crash of the disk touches and nobody
/// looks into afterwards.
#[derive(Default)]
pub(super) struct Ground {
    config: BackendConfig,
    #[cfg(feature = "rocksdb")]
    scratch: Option<tempfile::TempDir>,
}

impl Ground {
    #[cfg(feature = "rocksdb")]
    pub(super) fn rocksdb() -> Self {
        let scratch = crate::backend::rocksdb::scratch();
        let config = BackendConfig::rocksdb(crate::backend::rocksdb::small(scratch.path()));
        Ground { config, scratch: Some(scratch) }
    }

    /// A snapshot that may be in databases, which are our own.
    pub(super) fn open(&self, storage: &Arc<dyn Storage>, directory: &ObjectPath) -> Result<SnapshotReader> {
        let snapshot = SnapshotReader::open(Arc::clone(storage), directory.clone())?.trust(Trust::Own);
        #[cfg(feature = "rocksdb")]
        if let Some(scratch) = &self.scratch {
            return Ok(snapshot.with_scratch(scratch.path()));
        }
        Ok(snapshot)
    }
}

/// What the job has to hold after so many records.
pub(super) fn model(records: u64) -> Vec<String> {
    let sums = (0..KEYS.min(records)).map(|key| {
        let sum: u64 = (0..records).filter(|record| record % KEYS == key).map(weight).sum();
        format!("sum of key-{key} is {sum}")
    });
    let mut state: Vec<String> = sums.chain((0..records).map(|record| format!("position {record:04}"))).collect();
    state.sort();
    state
}

fn weight(record: u64) -> u64 {
    record * record + 1
}

pub(super) struct Work {
    subtasks: Vec<Subtask>,
    /// How many it has processed.
    pub(super) records: u64,
    /// Versions of the subtasks' snapshots, by the checkpoint they were taken for.
    versions: BTreeMap<CheckpointId, Vec<SnapshotVersion>>,
}

struct Subtask {
    keyed: KeyedBackend<Str>,
    operator: OperatorBackend,
    sums: ValueHandle<u64>,
    positions: OperatorListHandle<u64>,
}

fn max() -> MaxParallelism {
    MaxParallelism::new(MAX).unwrap()
}

impl Work {
    pub(super) fn new(ground: &Ground, parallelism: u32) -> Self {
        Self::over(ground, parallelism, None).unwrap()
    }

    pub(super) fn restore(ground: &Ground, snapshot: &SnapshotReader, parallelism: u32) -> Result<Self> {
        let mut work = Self::over(ground, parallelism, Some(snapshot))?;
        let positions = work.subtasks.iter_mut().map(|subtask| subtask.positions().map(|list| list.len() as u64));
        work.records = positions.sum::<Result<u64>>()?;
        Ok(work)
    }

    fn over(ground: &Ground, parallelism: u32, snapshot: Option<&SnapshotReader>) -> Result<Self> {
        let count = Parallelism::new(parallelism, max())?;
        let subtask = |index| {
            let keyed = KeyedParameters {
                operator: OPERATOR.to_owned(),
                max_parallelism: max(),
                range: KeyGroupRange::of_subtask(index, count, max())?,
                clock: Arc::new(ManualClock::new(0)),
            };
            let operator =
                OperatorParameters { operator: OPERATOR.to_owned(), subtask: SubtaskIndex(index), parallelism: count };
            let config = &ground.config;
            let (mut keyed, mut operator) = match snapshot {
                None => (KeyedBackend::new(config, keyed, Str)?, OperatorBackend::new(operator)),
                Some(snapshot) => {
                    let there = snapshot.operator(OPERATOR)?;
                    (KeyedBackend::restore(config, keyed, Str, &there)?, OperatorBackend::restore(operator, &there)?)
                }
            };
            let (sums, positions) = (keyed.register_value(&SUMS)?, operator.register_list(&POSITIONS)?);
            Ok(Subtask { keyed, operator, sums, positions })
        };
        Ok(Work {
            subtasks: (0..parallelism).map(subtask).collect::<Result<_>>()?,
            records: 0,
            versions: BTreeMap::new(),
        })
    }

    pub(super) fn process(&mut self, records: u64) {
        let count = Parallelism::new(self.subtasks.len() as u32, max()).unwrap();
        for record in self.records..self.records + records {
            let key = format!("key-{}", record % KEYS);
            let group = max().group_of_hash(Str.key_hash(&key, &mut Writer::new()).unwrap());
            let subtask = &mut self.subtasks[subtask_of_group(group, count, max()) as usize];
            let mut context = subtask.keyed.key(&key).unwrap();
            let mut sum = context.value(&subtask.sums).unwrap();
            sum.update(|sum| *sum = Some(sum.unwrap_or(0) + weight(record))).unwrap();
            subtask.operator.list(&subtask.positions).unwrap().add(record).unwrap();
        }
        self.records += records;
    }

    pub(super) fn state(&mut self) -> Result<Vec<String>> {
        let mut state = Vec::new();
        for subtask in &mut self.subtasks {
            let keyed = &subtask.keyed;
            keyed.for_each_value(&subtask.sums, |key, (), sum| state.push(format!("sum of {key} is {sum}")))?;
            state.extend(subtask.positions()?.into_iter().map(|record| format!("position {record:04}")));
        }
        state.sort();
        Ok(state)
    }

    /// The checkpoint is complete, or will never be.
    pub(super) fn end(&mut self, id: CheckpointId, complete: bool) {
        for (subtask, version) in self.subtasks.iter_mut().zip(self.versions.remove(&id).unwrap_or_default()) {
            match complete {
                true => subtask.keyed.confirm(version),
                false => subtask.keyed.reject(version),
            }
        }
    }

    /// Takes and writes the snapshots of all subtasks.
    pub(super) fn write(
        &mut self,
        id: CheckpointId,
        target: &SnapshotTarget,
        format: KeyedSnapshotFormat,
    ) -> Result<Vec<SubtaskReport>> {
        let parallelism = Parallelism::new(self.subtasks.len() as u32, max())?;
        let mut reports = Vec::new();
        for (index, subtask) in self.subtasks.iter_mut().enumerate() {
            let (keyed, operator) = (subtask.keyed.snapshot()?, subtask.operator.snapshot());
            self.versions.entry(id).or_default().push(keyed.version());
            reports.push(SubtaskReport {
                operator: OPERATOR.to_owned(),
                subtask: SubtaskIndex(index as u32),
                parallelism,
                max_parallelism: max(),
                key: Some(Str.snapshot()),
                states: keyed.states().into_iter().chain(operator.states()).collect(),
                keyed: keyed.write(target, format, &|| true)?,
                operator_state: operator.write(target)?,
            });
        }
        Ok(reports)
    }
}

impl Subtask {
    fn positions(&mut self) -> Result<Vec<u64>> {
        Ok(self.operator.list(&self.positions)?.get()?.to_vec())
    }
}
