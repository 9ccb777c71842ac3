//! A checkpoint on its way: what has been acknowledged, what is still owed, and how far its metadata is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::event::{Action, RequestId, Ticket};
use super::shared_state::check_same;
use crate::error::Result;
use crate::format::manifest::ObjectRef;
use crate::ids::{CheckpointId, OperatorId, SubtaskIndex};

/// A parallel instance of an operator, or of a chain of operators under the id of its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subtask {
    /// The operator.
    pub operator: OperatorId,
    /// Which of its instances.
    pub index: SubtaskIndex,
}

impl fmt::Display for Subtask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.operator, self.index)
    }
}

/// Format of the files of a savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SavepointFormat {
    /// The same for every backend.
    Canonical,
    /// The backend's own.
    Native,
}

/// A savepoint as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Savepoint {
    /// Directory of the caller's choice.
    pub target: String,
    /// Format of its files.
    pub format: SavepointFormat,
    /// Whether the job stops with it.
    pub stop: Option<Stop>,
}

/// How a job stops with a savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stop {
    /// Sources pause behind the barrier; the job can go on later as if nothing had happened.
    Suspend,
    /// Sources end: the last watermark and the end of input run through the job before the barrier, so every timer fires.
    /// There is no way back from the middle of it.
    Drain,
}

/// What kind of checkpoint it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The job's own, for recovery.
    Checkpoint,
    /// The user's.
    Savepoint(Savepoint),
}

impl Kind {
    /// Whether the user owns it.
    pub fn is_savepoint(&self) -> bool {
        matches!(self, Kind::Savepoint(_))
    }

    /// How the job stops with it, if it does.
    pub fn stop(&self) -> Option<Stop> {
        match self {
            Kind::Checkpoint => None,
            Kind::Savepoint(savepoint) => savepoint.stop,
        }
    }
}

/// What a subtask acknowledges with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubtaskSnapshot<H> {
    /// Points to its state.
    pub handle: H,
    /// Shared objects that it uploaded for this checkpoint.
    pub uploaded: Vec<ObjectRef>,
    /// Shared objects that it took over from the base that the trigger named.
    pub reused: Vec<ObjectRef>,
}

impl<H> SubtaskSnapshot<H> {
    /// A snapshot without shared objects.
    pub fn exclusive(handle: H) -> Self {
        SubtaskSnapshot { handle, uploaded: Vec::new(), reused: Vec::new() }
    }

    /// All shared objects it references.
    pub fn shared(&self) -> impl Iterator<Item = &ObjectRef> + Clone {
        self.uploaded.iter().chain(&self.reused)
    }
}

/// Everything that the metadata of a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata<H> {
    /// Its id.
    pub id: CheckpointId,
    /// Its kind.
    pub kind: Kind,
    /// When it was triggered, in milliseconds since the Unix epoch.
    pub triggered_at_ms: i64,
    /// The state of each subtask that was running.
    pub snapshots: BTreeMap<Subtask, SubtaskSnapshot<H>>,
    /// Subtasks that had finished: on restore they have nothing left to do.
    pub finished: BTreeSet<Subtask>,
}

impl<H> Metadata<H> {
    /// All shared objects it references; one that several subtasks reference comes several times.
    pub fn shared(&self) -> impl Iterator<Item = &ObjectRef> + Clone {
        self.snapshots.values().flat_map(SubtaskSnapshot::shared)
    }
}

/// How far a pending checkpoint is.
#[derive(Debug, Clone)]
pub(super) enum Progress<H> {
    /// Waiting for these subtasks.
    Collecting { owed: BTreeSet<Subtask> },
    /// The metadata is being stored, or nobody knows whether it was.
    Publishing(Publication<H>),
}

/// The state of storing the metadata.
#[derive(Debug, Clone)]
pub(super) struct Publication<H> {
    pub(super) metadata: Arc<Metadata<H>>,
    /// Attempts so far.
    pub(super) attempt: u32,
    /// The step under way.
    pub(super) ticket: Ticket,
    /// Whether some attempt may have stored it.
    pub(super) uncertain: bool,
    /// Whether the slot is being sealed.
    pub(super) sealing: bool,
    /// The last failure.
    pub(super) reason: String,
    /// Elapsed time of the next look at the slot, if it could not be read.
    pub(super) retry_ms: Option<u64>,
}

impl<H> Publication<H> {
    pub(super) fn publish(&mut self) -> Action<H> {
        self.attempt = self.attempt.saturating_add(1);
        Action::Publish { metadata: Arc::clone(&self.metadata), attempt: self.attempt, ticket: self.next_ticket() }
    }

    /// Looks at the slot; once it is to be sealed, every look seals it.
    pub(super) fn look(&mut self) -> Action<H> {
        let (metadata, ticket) = (Arc::clone(&self.metadata), self.next_ticket());
        if self.sealing { Action::SealSlot { metadata, ticket } } else { Action::ReadSlot { metadata, ticket } }
    }

    /// There is one step under way at a time, so the latest ticket is the only one whose report is awaited.
    fn next_ticket(&mut self) -> Ticket {
        self.ticket = Ticket(self.ticket.0.saturating_add(1));
        self.retry_ms = None;
        self.ticket
    }
}

/// A pending checkpoint.
#[derive(Debug, Clone)]
pub(super) struct Pending<H> {
    pub(super) id: CheckpointId,
    pub(super) kind: Kind,
    /// Who asked for it, if somebody did.
    pub(super) request: Option<RequestId>,
    /// The completed checkpoint whose shared objects it may reference again.
    pub(super) base: Option<CheckpointId>,
    /// Elapsed time of the trigger plus the timeout.
    pub(super) expires_ms: u64,
    /// Its time is over, but its metadata may be stored; it no longer takes the place of another.
    pub(super) overdue: bool,
    pub(super) progress: Progress<H>,
    triggered_at_ms: i64,
    snapshots: BTreeMap<Subtask, SubtaskSnapshot<H>>,
    finished: BTreeSet<Subtask>,
    /// Shared objects acknowledged so far, by name.
    objects: BTreeMap<String, ObjectRef>,
}

impl<H> Pending<H> {
    /// One that waits for the subtasks `owed`, the others having finished. `triggered_at_ms` is wall-clock time.
    pub(super) fn new(
        id: CheckpointId,
        kind: Kind,
        triggered_at_ms: i64,
        owed: BTreeSet<Subtask>,
        finished: BTreeSet<Subtask>,
    ) -> Self {
        Pending {
            id,
            kind,
            request: None,
            base: None,
            expires_ms: u64::MAX,
            overdue: false,
            progress: Progress::Collecting { owed },
            triggered_at_ms,
            snapshots: BTreeMap::new(),
            finished,
            objects: BTreeMap::new(),
        }
    }

    pub(super) fn is_collecting(&self) -> bool {
        matches!(self.progress, Progress::Collecting { .. })
    }

    pub(super) fn publication(&self) -> Option<&Publication<H>> {
        match &self.progress {
            Progress::Publishing(publication) => Some(publication),
            Progress::Collecting { .. } => None,
        }
    }

    pub(super) fn publication_mut(&mut self) -> Option<&mut Publication<H>> {
        match &mut self.progress {
            Progress::Publishing(publication) => Some(publication),
            Progress::Collecting { .. } => None,
        }
    }

    pub(super) fn owes(&self, subtask: Subtask) -> bool {
        matches!(&self.progress, Progress::Collecting { owed } if owed.contains(&subtask))
    }

    /// Fails if an object acknowledged here has the same name as this one and another content.
    pub(super) fn check(&self, object: &ObjectRef) -> Result<()> {
        self.objects.get(&object.name).map_or(Ok(()), |known| check_same(object, known))
    }

    /// Takes what a subtask that still owes it acknowledges.
    pub(super) fn acknowledge(&mut self, subtask: Subtask, snapshot: SubtaskSnapshot<H>) {
        if let Progress::Collecting { owed } = &mut self.progress {
            owed.remove(&subtask);
            self.objects.extend(snapshot.shared().map(|object| (object.name.clone(), object.clone())));
            self.snapshots.insert(subtask, snapshot);
        }
    }

    /// A subtask finished instead of acknowledging: it had processed everything before the barrier could reach it.
    pub(super) fn finish(&mut self, subtask: Subtask) {
        if let Progress::Collecting { owed } = &mut self.progress {
            owed.remove(&subtask);
            self.finished.insert(subtask);
        }
    }

    /// Goes on to publishing once nobody owes anything.
    pub(super) fn close(&mut self) -> Option<&mut Publication<H>> {
        match &self.progress {
            Progress::Collecting { owed } if owed.is_empty() => {}
            _ => return None,
        }
        let metadata = Metadata {
            id: self.id,
            kind: self.kind.clone(),
            triggered_at_ms: self.triggered_at_ms,
            snapshots: std::mem::take(&mut self.snapshots),
            finished: std::mem::take(&mut self.finished),
        };
        self.progress = Progress::Publishing(Publication {
            metadata: Arc::new(metadata),
            attempt: 0,
            ticket: Ticket(0),
            uncertain: false,
            sealing: false,
            reason: String::new(),
            retry_ms: None,
        });
        self.publication_mut()
    }
}
