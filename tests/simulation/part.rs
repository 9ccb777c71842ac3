//! One subtask: it counts the records of the keys that are its own, from streams that can be read again from any position.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond::Result;
use millpond::backend::handle::ValueHandle;
use millpond::backend::{BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat, Snapshot, SnapshotVersion};
use millpond::clock::ManualClock;
use millpond::codec::Writer;
use millpond::ids::{CheckpointId, SubtaskIndex};
use millpond::key_group::{KeyGroupRange, MaxParallelism, Parallelism};
use millpond::serializer::{Serializer, Str, U64};
use millpond::snapshot::{SnapshotReader, SnapshotTarget, SubtaskReport};
use millpond::state::{ValueDescriptor, ValueState};

pub(super) const OPERATOR: &str = "counter";
pub(super) const KEYS: u64 = 8;
/// Records of each key.
pub(super) const RECORDS: u64 = 10;
const COUNTS: ValueDescriptor<U64> = ValueDescriptor::new("counts", U64);
const SUMS: ValueDescriptor<U64> = ValueDescriptor::new("sums", U64);

/// How many records of each key were processed.
pub(super) type Counts = BTreeMap<String, u64>;

pub(super) fn max() -> MaxParallelism {
    MaxParallelism::new(8).unwrap()
}

/// What the first records of a key add up to.
fn sum(records: u64) -> u64 {
    (1..=records).map(|number| number * number).sum()
}

pub(super) struct Part {
    index: SubtaskIndex,
    parallelism: Parallelism,
    keyed: KeyedBackend<Str>,
    counts: ValueHandle<u64>,
    sums: ValueHandle<u64>,
    keys: Vec<String>,
    turn: usize,
    versions: BTreeMap<CheckpointId, SnapshotVersion>,
    newest: Option<CheckpointId>,
}

/// What was taken and is not written yet.
pub(super) struct Taken {
    snapshot: Snapshot,
    pub(super) counts: Counts,
}

impl Part {
    pub(super) fn new(index: u32, parallelism: u32, snapshot: Option<&SnapshotReader>) -> Result<Self> {
        let parallelism = Parallelism::new(parallelism, max())?;
        let range = KeyGroupRange::of_subtask(index, parallelism, max())?;
        let parameters = KeyedParameters {
            operator: OPERATOR.to_owned(),
            max_parallelism: max(),
            range,
            clock: Arc::new(ManualClock::new(0)),
        };
        let config = BackendConfig::default();
        let mut keyed = match snapshot {
            None => KeyedBackend::new(&config, parameters, Str)?,
            Some(snapshot) => KeyedBackend::restore(&config, parameters, Str, &snapshot.operator(OPERATOR)?)?,
        };
        let (counts, sums) = (keyed.register_value(&COUNTS)?, keyed.register_value(&SUMS)?);
        let own = |key: &String| range.contains(max().group_of_hash(Str.key_hash(key, &mut Writer::new()).unwrap()));
        let keys = (0..KEYS).map(|key| format!("key-{key}")).filter(own).collect();
        let index = SubtaskIndex(index);
        Ok(Part { index, parallelism, keyed, counts, sums, keys, turn: 0, versions: BTreeMap::new(), newest: None })
    }

    pub(super) fn index(&self) -> SubtaskIndex {
        self.index
    }

    /// The newest checkpoint that it has taken a snapshot for.
    pub(super) fn newest(&self) -> Option<CheckpointId> {
        self.newest
    }

    /// Processes one record, if there is one.
    pub(super) fn process(&mut self) {
        self.turn += 1;
        let Some(key) = self.keys.get(self.turn % self.keys.len().max(1)) else { return };
        let mut context = self.keyed.key(key).unwrap();
        let count = context.value(&self.counts).unwrap().get().unwrap().map_or(0, |count| *count);
        if count == RECORDS {
            return;
        }
        context.value(&self.counts).unwrap().set(count + 1).unwrap();
        let mut total = context.value(&self.sums).unwrap();
        total.update(|total| *total = Some(total.unwrap_or(0) + (count + 1) * (count + 1))).unwrap();
    }

    /// What it has counted; panics if its state is none that processing could have led to.
    pub(super) fn counts(&self) -> Counts {
        let (mut counts, mut sums) = (Counts::new(), Counts::new());
        self.keyed.for_each_value(&self.counts, |key, (), count| counts.extend([(key.clone(), *count)])).unwrap();
        self.keyed.for_each_value(&self.sums, |key, (), sum| sums.extend([(key.clone(), *sum)])).unwrap();
        let expected: Counts = counts.iter().map(|(key, count)| (key.clone(), sum(*count))).collect();
        assert_eq!(sums, expected, "two states of a key are of different moments");
        assert!(counts.keys().all(|key| self.keys.contains(key)), "{counts:?} in the wrong subtask");
        counts
    }

    pub(super) fn is_done(&self) -> bool {
        let counts = self.counts();
        self.keys.iter().all(|key| counts.get(key) == Some(&RECORDS))
    }

    pub(super) fn take(&mut self, id: CheckpointId) -> Taken {
        self.newest = Some(id);
        let counts = self.counts();
        let snapshot = self.keyed.snapshot().unwrap();
        self.versions.insert(id, snapshot.version());
        Taken { snapshot, counts }
    }

    pub(super) fn end(&mut self, id: CheckpointId, complete: bool) {
        match self.versions.remove(&id) {
            Some(version) if complete => self.keyed.confirm(version),
            Some(version) => self.keyed.reject(version),
            None => {}
        }
    }

    pub(super) fn write(
        &self,
        taken: Taken,
        target: &SnapshotTarget,
        format: KeyedSnapshotFormat,
    ) -> Result<SubtaskReport> {
        Ok(SubtaskReport {
            operator: OPERATOR.to_owned(),
            subtask: self.index,
            parallelism: self.parallelism,
            max_parallelism: max(),
            key: Some(Str.snapshot()),
            states: taken.snapshot.states(),
            keyed: taken.snapshot.write(target, format, &|| true)?,
            operator_state: None,
        })
    }
}

/// Everything in a snapshot.
pub(super) fn read(snapshot: &SnapshotReader) -> Result<Counts> {
    for object in snapshot.manifest().objects() {
        snapshot.verified_object(object)?;
    }
    Ok(Part::new(0, 1, Some(snapshot))?.counts())
}
