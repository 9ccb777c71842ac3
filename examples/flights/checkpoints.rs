//! State and its checkpoints: everything the job asks of the library's backends, snapshots and storage.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use millpond::backend::handle::OperatorListHandle;
use millpond::backend::operator::{self, OperatorBackend, OperatorParameters};
use millpond::backend::{self, BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat};
use millpond::clock::{Clock, ManualClock, SystemClock};
use millpond::format::manifest::SnapshotKind;
use millpond::ids::{CheckpointId, JobId, SubtaskIndex};
use millpond::key_group::{KeyGroupRange, MaxParallelism, Parallelism};
use millpond::random::SystemRandom;
use millpond::serializer::{Serializer, Str, Tuple2, U32, U64};
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, assemble, publish};
use millpond::state::{OperatorListDescriptor, OperatorListState};
use millpond::storage::layout::{JobLayout, MANIFEST_NAME, SnapshotDirectory};
use millpond::storage::{CommitOutcome, LocalStorage, ObjectPath, Storage};
use millpond::{Error, Result};

use crate::split_reader::Position;

/// Identity of the job, fixed so that a restarted demo finds its checkpoints.
const JOB: JobId = JobId(*b"nyc-flights-2013");
/// Identity of the source.
const SOURCE_UID: &str = "flights";

/// The directory with the job's checkpoints.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    storage: Arc<dyn Storage>,
    layout: JobLayout,
}

/// A checkpoint to go on from.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) id: CheckpointId,
    reader: SnapshotReader,
}

impl Store {
    /// Opens a directory, which is created if it is missing.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        Ok(Store { storage: Arc::new(LocalStorage::create(directory)?), layout: JobLayout::new(JOB) })
    }

    /// The newest checkpoint that has a manifest; one without was not complete when the job died.
    pub(crate) fn latest(&self) -> Result<Restored> {
        let complete = self.directories()?.into_iter().rev().find(|(_, is_complete)| *is_complete);
        let (id, _) = complete.ok_or_else(|| Error::not_found("there is no complete checkpoint to restore"))?;
        let reader = SnapshotReader::open(Arc::clone(&self.storage), self.layout.checkpoint(id))?;
        Ok(Restored { id, reader })
    }

    /// A number above that of every checkpoint that was begun.
    pub(crate) fn next_id(&self) -> Result<CheckpointId> {
        Ok(self.directories()?.into_keys().next_back().unwrap_or(CheckpointId(0)).next())
    }

    /// The checkpoints of which anything is stored, and whether their manifest is.
    fn directories(&self) -> Result<BTreeMap<CheckpointId, bool>> {
        let mut directories = BTreeMap::new();
        for object in self.storage.list(Some(&self.layout.root()))? {
            let mut segments = object.path.segments().skip(1);
            let directory = segments.next().and_then(SnapshotDirectory::parse);
            if let Some(SnapshotDirectory::Checkpoint(id)) = directory {
                *directories.entry(id).or_default() |= segments.next() == Some(MANIFEST_NAME);
            }
        }
        Ok(directories)
    }

    fn target(&self, id: CheckpointId) -> SnapshotTarget {
        let directory: ObjectPath = self.layout.checkpoint(id);
        SnapshotTarget::new(Arc::clone(&self.storage), directory, Arc::new(SystemRandom))
    }

    /// Makes a checkpoint of its parts: writes the manifest, which is the moment it begins to exist. Returns the bytes
    /// of its state.
    pub(crate) fn publish(&self, id: CheckpointId, parts: Vec<Part>) -> Result<u64> {
        let label = SnapshotLabel {
            job: JOB,
            checkpoint: id,
            kind: SnapshotKind::Checkpoint,
            created_ms: SystemClock.now_ms(),
        };
        let manifest = assemble(label, parts.into_iter().map(|part| part.report).collect())?;
        match publish(&*self.storage, &self.layout.checkpoint(id), &manifest) {
            CommitOutcome::Committed => Ok(manifest.objects().map(|object| object.length).sum()),
            CommitOutcome::NotCommitted(error) | CommitOutcome::Unknown(error) => Err(error),
        }
    }
}

/// Which subtask state is opened for, and where from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subtask<'a> {
    pub(crate) store: &'a Store,
    pub(crate) restored: Option<&'a Restored>,
    pub(crate) backend: &'a BackendConfig,
    pub(crate) index: SubtaskIndex,
    pub(crate) parallelism: Parallelism,
    pub(crate) max_parallelism: MaxParallelism,
}

impl Subtask<'_> {
    fn operator_state(&self, uid: &str) -> Result<OperatorBackend> {
        let parameters =
            OperatorParameters { operator: uid.to_owned(), subtask: self.index, parallelism: self.parallelism };
        match self.restored {
            Some(restored) => OperatorBackend::restore(parameters, &restored.reader.operator(uid)?),
            None => Ok(OperatorBackend::new(parameters)),
        }
    }

    fn keyed_state(&self, uid: &str, clock: ManualClock) -> Result<KeyedBackend<Str>> {
        let parameters = KeyedParameters {
            operator: uid.to_owned(),
            max_parallelism: self.max_parallelism,
            range: KeyGroupRange::of_subtask(self.index.0, self.parallelism, self.max_parallelism)?,
            clock: Arc::new(clock),
        };
        match self.restored {
            Some(restored) => KeyedBackend::restore(self.backend, parameters, Str, &restored.reader.operator(uid)?),
            None => KeyedBackend::new(self.backend, parameters, Str),
        }
    }

    fn identity(&self, uid: &'static str) -> Identity {
        Identity {
            uid,
            store: self.store.clone(),
            index: self.index,
            parallelism: self.parallelism,
            max_parallelism: self.max_parallelism,
        }
    }
}

/// What a subtask has to say of itself in every checkpoint.
#[derive(Debug, Clone)]
struct Identity {
    uid: &'static str,
    store: Store,
    index: SubtaskIndex,
    parallelism: Parallelism,
    max_parallelism: MaxParallelism,
}

/// The state of one subtask of a keyed operator; keys are strings.
pub(crate) struct KeyedState {
    pub(crate) backend: KeyedBackend<Str>,
    pub(crate) operator: OperatorBackend,
    identity: Identity,
}

impl KeyedState {
    /// State of the operator with this uid: restored, or empty. Time to live goes by `clock`.
    pub(crate) fn open(uid: &'static str, subtask: Subtask<'_>, clock: ManualClock) -> Result<Self> {
        Ok(KeyedState {
            backend: subtask.keyed_state(uid, clock)?,
            operator: subtask.operator_state(uid)?,
            identity: subtask.identity(uid),
        })
    }

    /// Freezes all state as it is now.
    pub(crate) fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<PendingPart> {
        Ok(PendingPart {
            checkpoint,
            identity: self.identity.clone(),
            keyed: Some(self.backend.snapshot()?),
            operator: self.operator.snapshot(),
            flights: 0,
        })
    }
}

/// The state of one source subtask: its positions, an operator list that is split when the parallelism changes.
pub(crate) struct SourceState {
    backend: OperatorBackend,
    positions: OperatorListHandle<(u32, u64)>,
    identity: Identity,
}

impl SourceState {
    /// State of the source: restored, or empty.
    pub(crate) fn open(subtask: Subtask<'_>) -> Result<Self> {
        let mut backend = subtask.operator_state(SOURCE_UID)?;
        let positions = backend.register_list(&OperatorListDescriptor::split("positions", Tuple2(U32, U64)))?;
        Ok(SourceState { backend, positions, identity: subtask.identity(SOURCE_UID) })
    }

    /// The positions that were restored.
    pub(crate) fn positions(&mut self) -> Result<Vec<Position>> {
        let list = self.backend.list(&self.positions)?;
        Ok(list.get()?.iter().map(|&(split, offset)| Position { split, offset }).collect())
    }

    /// Stores these positions.
    pub(crate) fn snapshot(
        &mut self,
        checkpoint: CheckpointId,
        positions: &[Position],
        flights: u64,
    ) -> Result<PendingPart> {
        let elements = positions.iter().map(|position| (position.split, position.offset)).collect();
        self.backend.list(&self.positions)?.set(elements)?;
        let operator = self.backend.snapshot();
        Ok(PendingPart { checkpoint, identity: self.identity.clone(), keyed: None, operator, flights })
    }
}

/// A subtask's part of a checkpoint, frozen but not written.
#[derive(Debug)]
pub(crate) struct PendingPart {
    checkpoint: CheckpointId,
    identity: Identity,
    keyed: Option<backend::Snapshot>,
    operator: operator::Snapshot,
    flights: u64,
}

/// A subtask's part of a checkpoint, durable.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) checkpoint: CheckpointId,
    /// Flights that a source subtask had read.
    pub(crate) flights: u64,
    report: SubtaskReport,
}

impl PendingPart {
    /// Writes the part, on whatever thread.
    pub(crate) fn write(self) -> Result<Part> {
        let PendingPart { checkpoint, identity, keyed, operator, flights } = self;
        let Identity { uid, store, index, parallelism, max_parallelism } = identity;
        let target = store.target(checkpoint);
        let mut report = SubtaskReport {
            operator: uid.to_owned(),
            subtask: index,
            parallelism,
            max_parallelism,
            key: None,
            states: operator.states(),
            keyed: None,
            operator_state: operator.write(&target)?,
        };
        if let Some(keyed) = keyed {
            report.key = Some(Str.snapshot());
            report.states.extend(keyed.states());
            report.keyed = keyed.write(&target, KeyedSnapshotFormat::Canonical, &|| true)?;
        }
        Ok(Part { checkpoint, flights, report })
    }
}
