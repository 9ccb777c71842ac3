//! Storage that breaks on purpose, at a chosen operation, in a chosen way.
//!
//! A [`FaultPlan`] counts operations and says which of them goes wrong. [`FaultStorage`] applies it to any
//! [`Storage`](super::Storage), [`FaultFileSystem`] to any [`FileSystem`](super::FileSystem), so that a fault can also hit
//! in the middle of what a storage call does. A test runs its scenario once without a fault to learn the number of
//! operations, then once for every operation and fault, and looks each time whether what had to hold still holds:
//!
//! ```
//! use millpond::storage::fault::{Fault, FaultPlan, FaultStorage};
//! use millpond::storage::{CommitOutcome, MemoryStorage, ObjectPath, Storage};
//!
//! let name = ObjectPath::parse("a")?;
//! let scenario = |storage: &dyn Storage| storage.commit(&name, b"bytes");
//!
//! let clean = FaultPlan::none();
//! let _ = scenario(&FaultStorage::new(MemoryStorage::new(100), clean.clone()));
//! for operation in 0..clean.count() {
//!     for fault in Fault::ALL {
//!         let memory = MemoryStorage::new(100);
//!         let outcome = scenario(&FaultStorage::new(memory.clone(), FaultPlan::at(operation, fault)));
//!         assert!(!matches!(outcome, CommitOutcome::NotCommitted(_)) || memory.length(&name)?.is_none());
//!     }
//! }
//! # Ok::<(), millpond::Error>(())
//! ```
//!
//! A plan over a file system also keeps an eye on durability: see [`FaultPlan::violations`]. A [`Disk`] is a file system that
//! shows what a crash of the machine may leave of it, at any of its operations.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::storage::Blob;

mod audit;
mod disk;
mod file_system;
mod object;
mod trickle;

use audit::Audit;
pub use disk::{Disk, Moment};
pub use file_system::FaultFileSystem;
pub use object::FaultStorage;
pub use trickle::Trickle;

/// How an operation goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It is not done and reported as failed.
    FailBefore,
    /// It is done and reported as failed.
    FailAfter,
    /// A write does the first half of its bytes and is reported as failed; anything else is as
    /// [`FailBefore`](Self::FailBefore).
    Partial,
    /// A write to a file does the first half of its bytes and says so, as it may; nothing else is affected.
    Short,
    /// It is not done, and neither is any operation after it: all are reported as failed.
    CrashBefore,
    /// It is done and reported as failed, and no operation after it is done.
    CrashAfter,
    /// Reading an object or file gives the first half of its bytes and says nothing; nothing else is affected.
    ShortRead,
    /// Reading an object or file gives no bytes and says nothing; nothing else is affected.
    EmptyRead,
}

impl Fault {
    /// Every fault of a storage that says what it did.
    pub const ALL: [Fault; 6] =
        [Fault::FailBefore, Fault::FailAfter, Fault::Partial, Fault::Short, Fault::CrashBefore, Fault::CrashAfter];

    /// Faults of a storage that gives less than there is and does not say so.
    pub const READS: [Fault; 2] = [Fault::ShortRead, Fault::EmptyRead];
}

/// What an operation does. The first nine are those of a storage and its writers, the others those of a file system and
/// its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named after the methods they stand for")]
pub enum Action {
    Create,
    Write,
    Finish,
    Commit,
    Open,
    Length,
    List,
    Delete,
    Persist,
    CreateFile,
    WriteFile,
    SyncFile,
    CreateDirectory,
    SyncDirectory,
    Link,
    RemoveFile,
    RemoveDirectory,
    ReadDirectory,
    Metadata,
    ReadFile,
}

/// An operation that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub action: Action,
    /// To which object or file. For a link, the new name.
    pub path: String,
    /// What went wrong with it. Operations after a crash count as [`Fault::CrashBefore`].
    pub fault: Option<Fault>,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.action, self.path)?;
        self.fault.map_or(Ok(()), |fault| write!(f, " ({fault:?})"))
    }
}

/// Which operations go wrong, and what happened so far. Clones are the same plan.
#[derive(Debug, Clone)]
pub struct FaultPlan(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// By number of the operation, from 0.
    by_number: BTreeMap<u64, Fault>,
    /// By action, and number among the operations with this action, from 0.
    by_action: BTreeMap<(Action, u64), Fault>,
    error: io::ErrorKind,
    crashed: bool,
    log: Vec<Operation>,
    /// How often each action is in the log.
    counts: BTreeMap<Action, u64>,
    audit: Audit,
}

/// What to do about an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    Before,
    After,
    /// Half of a write; then a failure or not.
    Half {
        fail: bool,
    },
    /// Of what is read, the first half or nothing.
    Cut {
        empty: bool,
    },
}

impl Verdict {
    /// What a reader gets to see.
    fn cut(self, blob: Blob) -> Blob {
        match self {
            Verdict::Cut { empty: true } => Blob::from(Vec::new()),
            Verdict::Cut { empty: false } => Blob::from(half(&blob).to_vec()),
            _ => blob,
        }
    }
}

impl FaultPlan {
    /// Nothing goes wrong; operations are counted and logged.
    pub fn none() -> Self {
        FaultPlan(Arc::new(Mutex::new(State {
            by_number: BTreeMap::new(),
            by_action: BTreeMap::new(),
            error: io::ErrorKind::Other,
            crashed: false,
            log: Vec::new(),
            counts: BTreeMap::new(),
            audit: Audit::default(),
        })))
    }

    /// The operation with this number, from 0, goes wrong.
    pub fn at(operation: u64, fault: Fault) -> Self {
        Self::none().and_at(operation, fault)
    }

    /// One operation more goes wrong.
    #[must_use]
    pub fn and_at(self, operation: u64, fault: Fault) -> Self {
        self.state().by_number.insert(operation, fault);
        self
    }

    /// Of the operations that do `action`, the one with this number, from 0, goes wrong.
    #[must_use]
    pub fn and_at_action(self, action: Action, number: u64, fault: Fault) -> Self {
        self.state().by_action.insert((action, number), fault);
        self
    }

    /// Failures of a file system are of this kind, for example
    /// [`StorageFull`](io::ErrorKind::StorageFull); without this call, of none in particular.
    #[must_use]
    pub fn with_error(self, kind: io::ErrorKind) -> Self {
        self.state().error = kind;
        self
    }

    /// Number of operations so far.
    pub fn count(&self) -> u64 {
        u64::try_from(self.state().log.len()).unwrap_or(u64::MAX)
    }

    /// The operations so far.
    pub fn log(&self) -> Vec<Operation> {
        self.state().log.clone()
    }

    /// Whether a fault was injected yet.
    pub fn has_fired(&self) -> bool {
        self.state().log.iter().any(|operation| operation.fault.is_some())
    }

    /// Mistakes that were seen in the use of a file system, whatever the faults: a file that is synced again after its
    /// sync failed, a file that gets its name although its content is not synced, a directory that is used before its
    /// own name is synced.
    pub fn violations(&self) -> Vec<String> {
        self.state().audit.violations().to_vec()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation and decides about it.
    fn begin(&self, action: Action, path: &str) -> Verdict {
        let state = &mut *self.state();
        let number = u64::try_from(state.log.len()).unwrap_or(u64::MAX);
        let same = state.counts.entry(action).or_default();
        let chosen = state.by_number.get(&number).or_else(|| state.by_action.get(&(action, *same))).copied();
        *same += 1;
        let fault = if state.crashed { Some(Fault::CrashBefore) } else { chosen };
        state.log.push(Operation { action, path: path.to_owned(), fault });
        state.crashed |= matches!(fault, Some(Fault::CrashBefore | Fault::CrashAfter));
        let is_write = matches!(action, Action::Write | Action::WriteFile);
        let is_read = matches!(action, Action::Open | Action::ReadFile);
        match fault {
            Some(Fault::Partial) if is_write => Verdict::Half { fail: true },
            Some(Fault::Short) if action == Action::WriteFile => Verdict::Half { fail: false },
            Some(Fault::ShortRead) if is_read => Verdict::Cut { empty: false },
            Some(Fault::EmptyRead) if is_read => Verdict::Cut { empty: true },
            None | Some(Fault::Short | Fault::ShortRead | Fault::EmptyRead) => Verdict::Pass,
            Some(Fault::FailBefore | Fault::Partial | Fault::CrashBefore) => Verdict::Before,
            Some(Fault::FailAfter | Fault::CrashAfter) => Verdict::After,
        }
    }

    fn io_error(&self) -> io::Error {
        io::Error::new(self.state().error, "injected fault")
    }

    fn not_done(&self, path: &str) -> Error {
        Error::unavailable("injected fault: not done").in_file(path)
    }

    fn done(&self, path: &str) -> Error {
        Error::uncertain("injected fault: done, but reported as failed").in_file(path)
    }
}

/// The part that gets through before it is broken off.
fn half(bytes: &[u8]) -> &[u8] {
    bytes.get(..bytes.len().div_ceil(2)).unwrap_or_default()
}
