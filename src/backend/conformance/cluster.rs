//! A small job in one thread: all subtasks of one operator, their checkpoints and restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::operator::{self, OperatorBackend, OperatorParameters};
use crate::backend::{
    BackendConfig, Key, KeyedBackend, KeyedParameters, KeyedSnapshotFormat, Snapshot, SnapshotVersion,
};
use crate::clock::ManualClock;
use crate::codec::{Compression, Writer};
use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::canonical::PairReader;
use crate::format::manifest::{Manifest, SnapshotKind};
use crate::format::native_heap::Entries;
use crate::format::record::StateMeta;
use crate::format::schema::Schema;
use crate::format::section::SectionReader;
use crate::ids::{CheckpointId, JobId, SubtaskIndex};
use crate::key_group::{KeyGroupRange, MaxParallelism, Parallelism, subtask_of_group};
use crate::random::SystemRandom;
use crate::serializer::Serializer;
use crate::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, Trust, assemble, publish};
use crate::storage::layout::{self, JobLayout};
use crate::storage::{CommitOutcome, MemoryStorage, ObjectPath, Storage};

/// Max parallelism unless a case asks for another.
pub const MAX_PARALLELISM: u32 = 16;

/// The job.
const JOB: JobId = JobId([7; 16]);

/// The uid of the operator unless a case asks for another.
pub const UID: &str = "operator";

/// What a cluster is made of and stays the same over restarts.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The backend.
    pub config: BackendConfig,
    /// Uid of the operator.
    pub operator: String,
    /// Max parallelism of the operator.
    pub max_parallelism: u32,
    /// The clock that time to live goes by.
    pub clock: ManualClock,
    /// Where checkpoints go.
    pub storage: Arc<dyn Storage>,
    /// How their blocks are compressed.
    pub compression: Compression,
    /// Number of the last checkpoint; no number is used twice.
    pub(super) last: Arc<AtomicU64>,
}

impl Plan {
    /// This backend, a clock at 0, a storage in memory, no compression.
    pub fn new(config: &BackendConfig) -> Self {
        Plan {
            config: config.clone(),
            operator: UID.to_owned(),
            max_parallelism: MAX_PARALLELISM,
            clock: ManualClock::new(0),
            storage: Arc::new(MemoryStorage::new(1 << 30)),
            compression: Compression::None,
            last: Arc::default(),
        }
    }

    /// The same, on another backend.
    #[must_use]
    pub fn with_config(mut self, config: BackendConfig) -> Self {
        self.config = config;
        self
    }

    /// The same, in another storage.
    #[must_use]
    pub fn with_storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    fn max(&self) -> Result<MaxParallelism> {
        MaxParallelism::new(self.max_parallelism)
    }

    fn parallelism(&self, count: u32) -> Result<Parallelism> {
        Parallelism::new(count, self.max()?)
    }

    fn keyed(&self, subtask: u32, parallelism: Parallelism) -> Result<KeyedParameters> {
        let max = self.max()?;
        Ok(KeyedParameters {
            operator: self.operator.clone(),
            max_parallelism: max,
            range: KeyGroupRange::of_subtask(subtask, parallelism, max)?,
            clock: Arc::new(self.clock.clone()),
        })
    }

    fn of_operator(&self, subtask: u32, parallelism: Parallelism) -> OperatorParameters {
        OperatorParameters { operator: self.operator.clone(), subtask: SubtaskIndex(subtask), parallelism }
    }

    /// Opens a checkpoint.
    pub fn open(&self, checkpoint: &ObjectPath) -> Result<SnapshotReader> {
        let reader = SnapshotReader::open(Arc::clone(&self.storage), checkpoint.clone())?;
        Ok(reader.trust(Trust::Own).with_scratch(std::env::temp_dir()))
    }

    /// The description of a checkpoint.
    pub fn manifest(&self, checkpoint: &ObjectPath) -> Result<Manifest> {
        Ok(self.open(checkpoint)?.manifest().clone())
    }
}

/// The state of one subtask.
#[derive(Debug)]
pub struct Subtask<KS: Serializer> {
    /// Keyed state.
    pub keyed: KeyedBackend<KS>,
    /// Operator state.
    pub operator: OperatorBackend,
}

/// Snapshots of all subtasks that were taken and not yet written.
#[derive(Debug)]
pub struct Taken {
    parts: Vec<(Snapshot, operator::Snapshot)>,
}

impl Taken {
    /// Their versions, by subtask.
    pub fn versions(&self) -> Vec<SnapshotVersion> {
        self.parts.iter().map(|(keyed, _)| keyed.version()).collect()
    }
}

/// Neutral pairs of a checkpoint's keyed state: by state name, then by key group and key.
pub type Dump = BTreeMap<String, BTreeMap<(u16, Vec<u8>), Vec<u8>>>;

/// All subtasks of an operator. `KS` is the serializer of the keys.
#[derive(Debug)]
pub struct Cluster<KS: Serializer> {
    /// What it is made of.
    pub plan: Plan,
    /// The subtasks in order.
    pub subtasks: Vec<Subtask<KS>>,
    key: KS,
}

impl<KS> Cluster<KS>
where
    KS: Serializer<Value: Key> + Clone,
{
    /// A cluster without state.
    pub fn new(plan: Plan, key: KS, parallelism: u32) -> Result<Self> {
        let count = plan.parallelism(parallelism)?;
        let subtask = |index| {
            Ok(Subtask {
                keyed: KeyedBackend::new(&plan.config, plan.keyed(index, count)?, key.clone())?,
                operator: OperatorBackend::new(plan.of_operator(index, count)),
            })
        };
        let subtasks = (0..parallelism).map(subtask).collect::<Result<_>>()?;
        Ok(Cluster { plan, subtasks, key })
    }

    /// A cluster with the state of a checkpoint.
    pub fn restore(plan: Plan, key: KS, parallelism: u32, checkpoint: &ObjectPath) -> Result<Self> {
        let count = plan.parallelism(parallelism)?;
        let reader = plan.open(checkpoint)?;
        let operator = reader.operator(&plan.operator)?;
        let subtask = |index| {
            Ok(Subtask {
                keyed: KeyedBackend::restore(&plan.config, plan.keyed(index, count)?, key.clone(), &operator)?,
                operator: OperatorBackend::restore(plan.of_operator(index, count), &operator)?,
            })
        };
        let subtasks = (0..parallelism).map(subtask).collect::<Result<_>>()?;
        Ok(Cluster { plan, subtasks, key })
    }

    /// Number of subtasks.
    pub fn parallelism(&self) -> u32 {
        u32::try_from(self.subtasks.len()).unwrap_or(u32::MAX)
    }

    /// Index of the subtask that holds a key.
    pub fn owner(&self, key: &KS::Value) -> Result<usize> {
        let max = self.plan.max()?;
        let group = max.group_of_hash(self.key.key_hash(key, &mut Writer::new())?);
        Ok(subtask_of_group(group, self.plan.parallelism(self.parallelism())?, max) as usize)
    }

    /// The backend that holds a key, and its index.
    pub fn backend(&mut self, key: &KS::Value) -> Result<(usize, &mut KeyedBackend<KS>)> {
        let owner = self.owner(key)?;
        let subtask = self.subtasks.get_mut(owner).ok_or_else(|| Error::internal("no subtask owns the key"))?;
        Ok((owner, &mut subtask.keyed))
    }

    /// Registers a keyed state with every subtask.
    pub fn register<H>(&mut self, register: impl Fn(&mut KeyedBackend<KS>) -> Result<H>) -> Result<Vec<H>> {
        self.subtasks.iter_mut().map(|subtask| register(&mut subtask.keyed)).collect()
    }

    /// Registers an operator state with every subtask.
    pub fn register_operator<H>(&mut self, register: impl Fn(&mut OperatorBackend) -> Result<H>) -> Result<Vec<H>> {
        self.subtasks.iter_mut().map(|subtask| register(&mut subtask.operator)).collect()
    }

    /// Takes a snapshot of every subtask.
    pub fn take(&mut self) -> Result<Taken> {
        let part = |subtask: &mut Subtask<KS>| Ok((subtask.keyed.snapshot()?, subtask.operator.snapshot()));
        Ok(Taken { parts: self.subtasks.iter_mut().map(part).collect::<Result<_>>()? })
    }

    /// Writes what was taken and publishes it; gives the checkpoint's directory.
    pub fn publish(&self, taken: Taken, format: KeyedSnapshotFormat) -> Result<ObjectPath> {
        self.publish_while(taken, format, &|| true)
    }

    /// As [`publish`](Self::publish), asking `keep_going` as [`Snapshot::write`] does.
    pub fn publish_while(
        &self,
        taken: Taken,
        format: KeyedSnapshotFormat,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<ObjectPath> {
        let checkpoint = CheckpointId(self.plan.last.fetch_add(1, Ordering::Relaxed)).next();
        let (outcome, directory) = self.publish_as(checkpoint, taken, format, keep_going)?;
        match outcome {
            CommitOutcome::Committed => Ok(directory),
            CommitOutcome::NotCommitted(error) | CommitOutcome::Unknown(error) => Err(error),
        }
    }

    /// Writes what was taken and publishes it as a checkpoint of this number. An error means that nothing was published.
    pub fn publish_as(
        &self,
        checkpoint: CheckpointId,
        taken: Taken,
        format: KeyedSnapshotFormat,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<(CommitOutcome, ObjectPath)> {
        let directory = JobLayout::new(JOB).checkpoint(checkpoint);
        let label = SnapshotLabel { job: JOB, checkpoint, kind: SnapshotKind::Checkpoint, created_ms: 0 };
        let outcome = self.publish_in(&directory, label, taken, format, keep_going)?;
        Ok((outcome, directory))
    }

    /// Writes what was taken and publishes it as a savepoint.
    pub fn publish_savepoint(&self, taken: Taken, format: KeyedSnapshotFormat) -> Result<ObjectPath> {
        let directory = JobLayout::new(JOB).new_savepoint(&SystemRandom)?;
        let checkpoint = CheckpointId(self.plan.last.fetch_add(1, Ordering::Relaxed)).next();
        let label = SnapshotLabel { job: JOB, checkpoint, kind: SnapshotKind::Savepoint, created_ms: 0 };
        match self.publish_in(&directory, label, taken, format, &|| true)? {
            CommitOutcome::Committed => Ok(directory),
            CommitOutcome::NotCommitted(error) | CommitOutcome::Unknown(error) => Err(error),
        }
    }

    fn publish_in(
        &self,
        directory: &ObjectPath,
        label: SnapshotLabel,
        taken: Taken,
        format: KeyedSnapshotFormat,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<CommitOutcome> {
        let storage = Arc::clone(&self.plan.storage);
        let target = SnapshotTarget::new(Arc::clone(&storage), directory.clone(), Arc::new(SystemRandom))
            .with_compression(self.plan.compression);
        let mut reports = Vec::with_capacity(taken.parts.len());
        for (index, (keyed, operator)) in taken.parts.into_iter().enumerate() {
            reports.push(SubtaskReport {
                operator: self.plan.operator.clone(),
                subtask: SubtaskIndex(u32::try_from(index).unwrap_or(u32::MAX)),
                parallelism: self.plan.parallelism(self.parallelism())?,
                max_parallelism: self.plan.max()?,
                key: Some(self.key.snapshot()),
                states: keyed.states().into_iter().chain(operator.states()).collect(),
                keyed: keyed.write(&target, format, keep_going)?,
                operator_state: operator.write(&target)?,
            });
        }
        let manifest = assemble(label, reports)?;
        Ok(publish(&*storage, directory, &manifest))
    }

    /// Tells every subtask that the checkpoint of these versions completed.
    pub fn confirm(&mut self, versions: &[SnapshotVersion]) {
        self.subtasks.iter_mut().zip(versions).for_each(|(subtask, version)| subtask.keyed.confirm(*version));
    }

    /// Tells every subtask that the checkpoint of these versions was aborted.
    pub fn reject(&mut self, versions: &[SnapshotVersion]) {
        self.subtasks.iter_mut().zip(versions).for_each(|(subtask, version)| subtask.keyed.reject(*version));
    }

    /// Takes a checkpoint.
    pub fn checkpoint(&mut self, format: KeyedSnapshotFormat) -> Result<ObjectPath> {
        let taken = self.take()?;
        self.publish(taken, format)
    }

    /// Takes a checkpoint and goes on from it at another parallelism, with nothing registered.
    pub fn restart(mut self, format: KeyedSnapshotFormat, parallelism: u32) -> Result<Self> {
        let checkpoint = self.checkpoint(format)?;
        Self::restore(self.plan, self.key, parallelism, &checkpoint)
    }
}

impl Plan {
    /// Every keyed entry of a checkpoint, as its file says. Fails if an entry is not in the group of its key.
    pub fn dump(&self, checkpoint: &ObjectPath) -> Result<Dump> {
        let reader = self.open(checkpoint)?;
        let operator = reader.operator(&self.operator)?;
        let (max, states) = (self.max()?, operator.states());
        let mut dump = Dump::new();
        let Some(key) = operator.key() else { return Ok(dump) };
        for section in operator.sections(max.all_groups()) {
            let section = section?;
            let blocks = SectionReader::new(section.bytes.as_slice(), section.offset, section.id)?;
            let mut pairs = PairReader::new();
            for block in blocks.with_checksum(section.checksum) {
                let block = block?;
                let schema = Schema::find(key, states, block.state, block.kind)?;
                let entries = dump.entry(block.state.to_owned()).or_default();
                let mut add = |key: &[u8], value: &[u8]| {
                    schema.check_group(key, section.group, &operator.description().assignment, max)?;
                    schema.check_parts(key, value)?;
                    match entries.insert((section.group.0, key.to_vec()), value.to_vec()) {
                        None => Ok(()),
                        Some(_) => Err(Error::corrupt("a key comes twice")),
                    }
                };
                if section.id.format == FormatId::NativeHeap {
                    let mut entries = Entries::new(&block, schema);
                    while let Some((key, value)) = entries.next_pair()? {
                        add(key, value)?;
                    }
                } else {
                    pairs.pairs(&block).try_for_each(|pair| pair.and_then(|(key, value)| add(key, value)))?;
                }
            }
        }
        Ok(dump)
    }

    /// Deletes everything that these checkpoints do not need.
    pub fn retain(&self, checkpoints: &[ObjectPath]) -> Result<()> {
        let mut needed = BTreeSet::new();
        for checkpoint in checkpoints {
            let reader = self.open(checkpoint)?;
            needed.insert(layout::manifest(checkpoint)?);
            for object in reader.manifest().objects() {
                needed.insert(reader.object_path(object)?);
            }
        }
        for object in self.storage.list(None)? {
            if !needed.contains(&object.path) {
                self.storage.delete(&object.path)?;
            }
        }
        Ok(())
    }

    /// Description of a state of a checkpoint.
    pub fn state(&self, checkpoint: &ObjectPath, name: &str) -> Result<Option<StateMeta>> {
        let reader = self.open(checkpoint)?;
        Ok(reader.operator(&self.operator)?.description().state(name).cloned())
    }
}
