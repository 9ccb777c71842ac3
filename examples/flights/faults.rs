//! What goes wrong on purpose with `--faults`: tasks that fail, checkpoints that take too long, storage that refuses.
//!
//! Everything is counted, so that a run is the same every time as far as threads allow.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millpond::ids::CheckpointId;
use millpond::storage::{Blob, CommitOutcome, Leftover, ObjectInfo, ObjectPath, ObjectWriter, Storage};
use millpond::{Error, Result};

use crate::coordinator::pause;

/// Parts of the input after which a task fails, in percent.
const TASKS_FAIL_AT_PERCENT: [u64; 2] = [35, 70];
/// Of so many checkpoints one takes too long.
const SLOW_EVERY: u64 = 6;
/// The object that cannot be created the first time. It takes twice as many every time, so that a checkpoint gets through
/// however many objects it has.
const CREATE_FAILS_AT: u64 = 61;
/// Of so many manifests and records one is stored, but the answer is lost.
const ANSWER_LOST_EVERY: u64 = 7;

/// What goes wrong, and has gone wrong so far. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Option<Arc<Plan>>);

#[derive(Debug)]
struct Plan {
    /// Flights read after which a task fails, descending.
    tasks_fail_at: Mutex<Vec<u64>>,
    /// How long a slow part takes.
    slow: Duration,
    creates: AtomicU64,
    commits: AtomicU64,
}

impl Faults {
    /// Faults in a job of so many flights whose checkpoints may take so long.
    pub(crate) fn in_job(flights: u64, timeout_ms: u64) -> Self {
        let mut tasks_fail_at = TASKS_FAIL_AT_PERCENT.map(|percent| flights * percent / 100).to_vec();
        tasks_fail_at.reverse();
        Faults(Some(Arc::new(Plan {
            tasks_fail_at: Mutex::new(tasks_fail_at),
            slow: Duration::from_millis(timeout_ms + timeout_ms / 2),
            creates: AtomicU64::new(0),
            commits: AtomicU64::new(0),
        })))
    }

    /// What was passed when the job was restored does not fail any more.
    pub(crate) fn skip(&self, restored: u64) {
        if let Some(plan) = &self.0 {
            plan.failures().retain(|at| *at > restored);
        }
    }

    /// Fails the task that reads so many flights, if its time has come.
    pub(crate) fn on_read(&self, flights: u64) -> Result<()> {
        let Some(plan) = &self.0 else { return Ok(()) };
        let mut failures = plan.failures();
        match failures.last() {
            Some(at) if flights >= *at => {
                failures.pop();
                Err(Error::unavailable(format!("injected: the task fails after {flights} flights")))
            }
            _ => Ok(()),
        }
    }

    /// Takes the time of a part that is too slow, if it is this one.
    pub(crate) fn on_write(&self, checkpoint: CheckpointId, is_first: bool) {
        if let Some(plan) = &self.0
            && is_first
            && checkpoint.0.is_multiple_of(SLOW_EVERY)
        {
            pause(plan.slow);
        }
    }

    /// The storage, with faults.
    pub(crate) fn over(&self, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
        match &self.0 {
            None => storage,
            Some(plan) => Arc::new(Unreliable { storage, plan: Arc::clone(plan) }),
        }
    }
}

impl Plan {
    fn failures(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.tasks_fail_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A storage that refuses now and then, or loses the answer.
struct Unreliable {
    storage: Arc<dyn Storage>,
    plan: Arc<Plan>,
}

impl fmt::Debug for Unreliable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unreliable {:?}", self.storage)
    }
}

/// Counts, and says whether it is the turn of a fault.
fn is_turn(counter: &AtomicU64, every: u64) -> bool {
    (counter.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every)
}

impl Storage for Unreliable {
    fn create(&self, path: &ObjectPath) -> Result<Box<dyn ObjectWriter>> {
        let created = self.plan.creates.fetch_add(1, Ordering::Relaxed) + 1;
        if created.is_multiple_of(CREATE_FAILS_AT) && (created / CREATE_FAILS_AT).is_power_of_two() {
            return Err(Error::unavailable("injected: the storage refuses").in_file(path));
        }
        self.storage.create(path)
    }

    fn commit(&self, path: &ObjectPath, bytes: &[u8]) -> CommitOutcome {
        match self.storage.commit(path, bytes) {
            CommitOutcome::Committed if is_turn(&self.plan.commits, ANSWER_LOST_EVERY) => {
                CommitOutcome::Unknown(Error::uncertain("injected: the answer is lost").in_file(path))
            }
            outcome => outcome,
        }
    }

    fn open(&self, path: &ObjectPath) -> Result<Blob> {
        self.storage.open(path)
    }

    fn link(&self, path: &ObjectPath, to: &Path) -> Result<bool> {
        self.storage.link(path, to)
    }

    fn length(&self, path: &ObjectPath) -> Result<Option<u64>> {
        self.storage.length(path)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> Result<Vec<ObjectInfo>> {
        self.storage.list(prefix)
    }

    fn delete(&self, path: &ObjectPath) -> Result<()> {
        self.storage.delete(path)
    }

    fn persist(&self, path: &ObjectPath) -> Result<()> {
        self.storage.persist(path)
    }

    fn created_ms(&self, path: &ObjectPath) -> Result<Option<i64>> {
        self.storage.created_ms(path)
    }

    fn leftovers(&self) -> Result<Vec<Leftover>> {
        self.storage.leftovers()
    }

    fn remove_leftover(&self, leftover: &Leftover) -> Result<()> {
        self.storage.remove_leftover(leftover)
    }
}
