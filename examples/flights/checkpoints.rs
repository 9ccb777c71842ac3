//! State and its checkpoints: everything the job asks of the library's backends, snapshots and storage.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use millpond::Result;
use millpond::backend::handle::OperatorListHandle;
use millpond::backend::operator::{self, OperatorBackend, OperatorParameters};
use millpond::backend::{self, BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat, SnapshotVersion};
use millpond::checkpoint::driver::{Origin, Restore};
use millpond::checkpoint::job::{Job, Operator};
use millpond::checkpoint::pending;
use millpond::checkpoint::restore::ClaimMode;
use millpond::clock::ManualClock;
use millpond::convert::{self, Destination, Format};
use millpond::ids::{CheckpointId, JobId, OperatorId, SubtaskIndex};
use millpond::key_group::{KeyGroupRange, MaxParallelism, Parallelism};
use millpond::random::SystemRandom;
use millpond::serializer::{Serializer, Str, Tuple2, U32, U64};
use millpond::snapshot::{SnapshotReader, SnapshotTarget, SubtaskReport, Trust};
use millpond::state::{OperatorListDescriptor, OperatorListState};
use millpond::storage::layout::JobLayout;
use millpond::storage::{LocalStorage, ObjectPath, Storage};

use crate::coordinator::Notification;
use crate::faults::Faults;
use crate::split_reader::Position;
use crate::{aircraft, airports};

/// Identity of the job, fixed so that a restarted demo finds its checkpoints.
const JOB: JobId = JobId(*b"nyc-flights-2013");
/// Identity of the source.
const SOURCE_UID: &str = "flights";

/// The directory with the job's checkpoints.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) storage: Arc<dyn Storage>,
    layout: JobLayout,
    faults: Faults,
}

/// A checkpoint to go on from.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) id: CheckpointId,
    reader: SnapshotReader,
}

impl Store {
    /// Opens a directory, which is created if it is missing.
    pub(crate) fn open(directory: &Path, faults: Faults) -> Result<Self> {
        let storage = faults.over(Arc::new(LocalStorage::create(directory)?));
        Ok(Store { storage, layout: JobLayout::new(JOB), faults })
    }

    fn target(&self, id: CheckpointId) -> SnapshotTarget {
        let directory: ObjectPath = self.layout.checkpoint(id);
        SnapshotTarget::new(Arc::clone(&self.storage), directory, Arc::new(SystemRandom))
    }
}

impl Restored {
    /// Opens what the driver says is to be restored. All of it was written here, so RocksDB may have its files.
    pub(crate) fn open(restore: &Restore) -> Result<Self> {
        Ok(Restored { id: restore.id, reader: restore.open()?.trust(Trust::Own) })
    }
}

/// A snapshot that does not belong to this job's checkpoints, to start from.
pub(crate) fn origin(path: &Path) -> Result<Origin> {
    let (place, directory) = located(path)?;
    Ok(Origin { place: place.display().to_string(), directory, claim: ClaimMode::NoClaim })
}

/// Writes a checkpoint again as a savepoint in `to`, for the RocksDB backend; gives the number of entries.
pub(crate) fn convert_to_rocksdb(checkpoints: &Path, id: CheckpointId, to: &Path) -> Result<u64> {
    let storage = Arc::new(LocalStorage::open(checkpoints)?);
    let source = SnapshotReader::open(storage, JobLayout::new(JOB).checkpoint(id))?;
    let (place, directory) = located(to)?;
    let storage = Arc::new(LocalStorage::create(place)?);
    let destination = Destination { storage, directory, random: Arc::new(SystemRandom) };
    let options = convert::Options::new(Format::NativeRocksDb, place);
    let report = convert::convert(&source, &destination, &options, &mut |_| ControlFlow::Continue(()))?;
    Ok(report.operators.iter().flat_map(|operator| &operator.states).map(|state| state.entries).sum())
}

/// The directory above a snapshot, and the snapshot's own name.
fn located(path: &Path) -> Result<(&Path, ObjectPath)> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Ok((path.parent().unwrap_or(path), ObjectPath::parse(name)?))
}

/// The job as its checkpoints know it.
pub(crate) fn job(parallelism: Parallelism, max_parallelism: MaxParallelism) -> Result<Job> {
    let operators = [SOURCE_UID, aircraft::UID, airports::UID];
    Job::new(JOB, operators.map(|uid| Operator::new(uid, parallelism, max_parallelism)).to_vec())
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
    /// Checkpoints of which nothing was heard yet.
    taken: BTreeMap<CheckpointId, SnapshotVersion>,
}

impl KeyedState {
    /// State of the operator with this uid: restored, or empty. Time to live goes by `clock`.
    pub(crate) fn open(uid: &'static str, subtask: Subtask<'_>, clock: ManualClock) -> Result<Self> {
        Ok(KeyedState {
            backend: subtask.keyed_state(uid, clock)?,
            operator: subtask.operator_state(uid)?,
            identity: subtask.identity(uid),
            taken: BTreeMap::new(),
        })
    }

    /// Freezes all state as it is now.
    pub(crate) fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<PendingPart> {
        let keyed = self.backend.snapshot()?;
        self.taken.insert(checkpoint, keyed.version());
        Ok(PendingPart {
            checkpoint,
            identity: self.identity.clone(),
            keyed: Some(keyed),
            operator: self.operator.snapshot(),
            flights: 0,
        })
    }

    /// Later snapshots build on what a completed checkpoint stored, and never on what an aborted one did.
    pub(crate) fn notify(&mut self, notification: Notification) {
        match notification {
            Notification::Completed(id) => {
                if let Some(version) = self.taken.remove(&id) {
                    self.backend.confirm(version);
                }
                self.taken.retain(|taken, _| *taken > id);
            }
            Notification::Aborted(id) => {
                if let Some(version) = self.taken.remove(&id) {
                    self.backend.reject(version);
                }
            }
        }
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
    /// Flights that a source subtask had read.
    pub(crate) flights: u64,
    pub(crate) subtask: pending::Subtask,
    pub(crate) report: SubtaskReport,
}

impl PendingPart {
    /// The checkpoint it belongs to.
    pub(crate) fn checkpoint(&self) -> CheckpointId {
        self.checkpoint
    }

    /// The subtask it is of.
    pub(crate) fn subtask(&self) -> pending::Subtask {
        pending::Subtask { operator: OperatorId::from_uid(self.identity.uid), index: self.identity.index }
    }

    /// Writes the part, on whatever thread.
    pub(crate) fn write(self) -> Result<Part> {
        let subtask = self.subtask();
        let PendingPart { checkpoint, identity, keyed, operator, flights } = self;
        let Identity { uid, store, index, parallelism, max_parallelism } = identity;
        store.faults.on_write(checkpoint, uid == SOURCE_UID && index.0 == 0);
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
            report.keyed = keyed.write(&target, KeyedSnapshotFormat::Incremental, &|| true)?;
        }
        Ok(Part { flights, subtask, report })
    }
}
