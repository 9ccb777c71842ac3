//! What the driver asks of the program around it.

use std::fmt;
use std::sync::Arc;

use crate::checkpoint::event::{Abort, JobFailure, RequestId, Trigger};
use crate::error::Result;
use crate::ids::CheckpointId;
use crate::snapshot::SnapshotTarget;
use crate::storage::{ObjectPath, Storage};

/// What runs the subtasks. Called while the driver handles an event; answers come later, as events.
///
/// Nothing here can fail: a subtask that cannot be told has failed, and with it the job
/// ([`Event::JobFailed`](crate::checkpoint::Event::JobFailed)).
pub trait Engine {
    /// Tell every running subtask to start this checkpoint and to write its part to `target`. What it reports is handed to
    /// [`Driver::acknowledge`](super::Driver::acknowledge).
    fn trigger(&mut self, trigger: &Trigger, target: &SnapshotTarget);

    /// Tell every subtask that this checkpoint is complete; it implies all earlier ones.
    fn notify_complete(&mut self, id: CheckpointId);

    /// Tell every subtask that this checkpoint will never be complete. It may not have heard of it.
    fn notify_abort(&mut self, id: CheckpointId);

    /// A request has ended: where its snapshot is, or why there is none. For programs that make requests.
    fn answer(&mut self, _request: RequestId, _result: Result<Completed, Abort>) {}

    /// The savepoint that the job was to stop with is complete: let the subtasks finish. For programs that ask for that.
    fn stop(&mut self, _id: CheckpointId) {}

    /// Fail the job; its restart strategy decides what then.
    fn fail(&mut self, failure: &JobFailure);
}

/// A completed snapshot that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// Its number.
    pub id: CheckpointId,
    /// Which storage it lies in, in the words of the program; empty for the storage of the job.
    pub place: String,
    /// Its directory in that storage.
    pub directory: ObjectPath,
}

/// Storages outside of the job's own, by the words that the program has for them: where savepoints go, and where a job is
/// started from. The empty word is the job's own storage and is never asked for.
pub trait Places: Send + Sync + fmt::Debug {
    /// Opens the storage of a place.
    fn open(&self, place: &str) -> Result<Arc<dyn Storage>>;
}

/// Places are directories of the operating system's file system, created where missing.
#[cfg(unix)]
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalPlaces;

#[cfg(unix)]
impl Places for LocalPlaces {
    fn open(&self, place: &str) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(crate::storage::LocalStorage::create(place)?))
    }
}
