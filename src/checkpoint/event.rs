//! What the coordinator is told and what it asks for.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::barrier::Barrier;
use super::config::Termination;
use super::pending::{Kind, Metadata, Subtask, SubtaskSnapshot};
use crate::ids::CheckpointId;

/// Number that the caller gives to a request, to find the answer by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Number of a step of storing one checkpoint's metadata. The report of a step gives it back, so that a report that comes
/// twice, or late, is not taken for that of a later step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u32);

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<H> {
    /// Nothing but time passed; to be sent when [`wake_at_ms`](super::Coordinator::wake_at_ms) has come.
    Tick,
    /// The job (re)started and every subtask is ready for barriers.
    Running {
        /// All subtasks.
        subtasks: BTreeSet<Subtask>,
        /// Those of them that had finished in the checkpoint the job was restored from.
        finished: BTreeSet<Subtask>,
    },
    /// A user asks for a checkpoint or a savepoint. Answered by [`Action::Answer`], once.
    Request {
        /// To find the answer by.
        request: RequestId,
        /// What is asked for.
        kind: Kind,
    },
    /// A subtask has made its snapshot durable.
    Acknowledged {
        /// Checkpoint it belongs to.
        id: CheckpointId,
        /// The subtask.
        subtask: Subtask,
        /// What it wrote.
        snapshot: SubtaskSnapshot<H>,
    },
    /// A subtask cannot take part.
    Declined {
        /// Checkpoint it declines.
        id: CheckpointId,
        /// The subtask.
        subtask: Subtask,
        /// Why.
        reason: String,
    },
    /// A subtask has processed all its input. It must have acknowledged or declined every checkpoint whose barrier it saw.
    SubtaskFinished(Subtask),
    /// [`Action::Publish`] has ended.
    Published {
        /// Checkpoint whose metadata was to be stored.
        id: CheckpointId,
        /// The ticket of the action.
        ticket: Ticket,
        /// How it ended.
        outcome: Outcome,
    },
    /// [`Action::ReadSlot`] or [`Action::SealSlot`] has ended.
    SlotRead {
        /// Checkpoint whose metadata was looked for.
        id: CheckpointId,
        /// The ticket of the action.
        ticket: Ticket,
        /// What was there.
        found: Slot,
    },
    /// The job failed; its subtasks are gone or going.
    JobFailed,
    /// Another coordinator has taken over the job, as found elsewhere than in a publication.
    PassedOver,
    /// The job, or this coordinator's part in it, ends.
    Terminated(Termination),
}

/// How an attempt to store metadata ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is there and durable.
    Committed,
    /// This attempt stored nothing. The name may have been taken by an earlier attempt or by somebody else.
    NotCommitted {
        /// Why.
        reason: String,
    },
    /// The boundary read after storing does not admit this coordinator or this id any more: another has taken over, and
    /// what was stored counts for nothing (see [`Boundary`](super::gc::Boundary)).
    PassedOver,
    /// Nobody can tell without looking.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// What stands where the metadata of a checkpoint belongs, judged by a fresh read and by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// Exactly the metadata that was to be stored.
    Ours,
    /// Something else: another coordinator was here, or the user's directory was not empty.
    Foreign,
    /// Nothing.
    Absent,
    /// The mark that [`Action::SealSlot`] leaves: the metadata is not there and never will be.
    Sealed,
    /// It could not be read; that says nothing.
    Unreadable {
        /// Why.
        reason: String,
    },
}

/// Something to do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<H> {
    /// Tell every running subtask to start this checkpoint. Those without an input that is still open inject the barrier;
    /// the others wait for it to come through their inputs, or inject it when the last of these ends without it.
    Trigger(Trigger),
    /// Store the metadata, creating its object; never replace one. Everything it names must be durable already, and is
    /// checked to be there, with its length, before. For a checkpoint, read the boundary afterwards; only if it admits the
    /// checkpoint is that committed. Ends in [`Event::Published`].
    Publish {
        /// What to store.
        metadata: Arc<Metadata<H>>,
        /// Attempts so far, this one included. Every attempt stores the same bytes.
        attempt: u32,
        /// To be given back.
        ticket: Ticket,
    },
    /// Read the slot of this metadata. Ends in [`Event::SlotRead`].
    ReadSlot {
        /// Whose slot.
        metadata: Arc<Metadata<H>>,
        /// To be given back.
        ticket: Ticket,
    },
    /// Create a mark in the slot of this metadata if nothing is there, then read it. Once the mark is there, an attempt
    /// still on its way can no longer succeed. Ends in [`Event::SlotRead`].
    SealSlot {
        /// Whose slot.
        metadata: Arc<Metadata<H>>,
        /// To be given back.
        ticket: Ticket,
    },
    /// Tell every subtask that this checkpoint is complete; it implies all earlier ones.
    NotifyComplete(CheckpointId),
    /// Tell every subtask that this checkpoint will never be complete.
    NotifyAbort(CheckpointId),
    /// Answer a request.
    Answer {
        /// Which.
        request: RequestId,
        /// The id of the completed checkpoint, or why there is none.
        result: Result<CheckpointId, Abort>,
    },
    /// The job was asked to stop with this savepoint, which is complete: let the subtasks finish.
    StopJob(CheckpointId),
    /// Fail the job; its restart strategy decides what then.
    FailJob(JobFailure),
    /// These checkpoints are no longer kept. The collector may delete their metadata, and then what no other names.
    Retire(Vec<CheckpointId>),
}

/// The start of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The barrier.
    pub barrier: Barrier,
    /// What it is for.
    pub kind: Kind,
    /// The one checkpoint whose shared objects may be used again; it stays until this one has ended. `None` asks for
    /// everything to be uploaded.
    pub base: Option<CheckpointId>,
}

/// Why a checkpoint, or a request for one, ended without completing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Abort {
    /// It took too long.
    Expired {
        /// The timeout, in milliseconds.
        timeout_ms: u64,
    },
    /// A subtask declined.
    Declined {
        /// The subtask.
        subtask: Subtask,
        /// Why.
        reason: String,
    },
    /// What a subtask acknowledged would have made the checkpoint unsafe.
    Refused {
        /// The subtask.
        subtask: Subtask,
        /// Why.
        reason: String,
    },
    /// A newer checkpoint completed first.
    Subsumed {
        /// The newer one.
        by: CheckpointId,
    },
    /// Its metadata was certainly not stored.
    NotPublished {
        /// Why.
        reason: String,
    },
    /// The job failed.
    JobFailed,
    /// The job stops with a savepoint.
    Stopping,
    /// The job is not running.
    NotRunning,
    /// Every subtask has finished; there is nothing to take a snapshot of.
    AllFinished,
    /// Too many requests are waiting.
    TooManyRequests,
    /// Another coordinator has taken over.
    Fenced,
}

impl Abort {
    /// Whether it counts against the tolerable failures.
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Abort::Expired { .. } | Abort::Declined { .. } | Abort::Refused { .. } | Abort::NotPublished { .. } => true,
            Abort::Subsumed { .. }
            | Abort::JobFailed
            | Abort::Stopping
            | Abort::NotRunning
            | Abort::AllFinished
            | Abort::TooManyRequests
            | Abort::Fenced => false,
        }
    }
}

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Abort::Expired { timeout_ms } => write!(f, "not complete {timeout_ms} ms after its trigger"),
            Abort::Declined { subtask, reason } => write!(f, "subtask {subtask} declined: {reason}"),
            Abort::Refused { subtask, reason } => write!(f, "the snapshot of subtask {subtask} was refused: {reason}"),
            Abort::Subsumed { by } => write!(f, "checkpoint {by} completed first"),
            Abort::NotPublished { reason } => write!(f, "its metadata was not stored: {reason}"),
            Abort::JobFailed => f.write_str("the job failed"),
            Abort::Stopping => f.write_str("the job is stopping with a savepoint"),
            Abort::NotRunning => f.write_str("the job is not running"),
            Abort::AllFinished => f.write_str("every subtask has finished"),
            Abort::TooManyRequests => f.write_str("too many requests are waiting"),
            Abort::Fenced => f.write_str("another coordinator has taken over"),
        }
    }
}

/// Why the coordinator fails the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobFailure {
    /// Too many checkpoints failed in a row.
    TooManyFailures {
        /// How many.
        consecutive: u32,
        /// How many were allowed.
        tolerable: u32,
        /// What became of the last one.
        last: Abort,
    },
    /// A savepoint that drained the job failed: its timers have fired and its sources have ended, so it can only go on
    /// from the last checkpoint.
    DrainFailed(Abort),
    /// Another coordinator has published in place of this one. It must do nothing more.
    Fenced {
        /// The checkpoint whose slot was taken.
        id: CheckpointId,
    },
}

impl fmt::Display for JobFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobFailure::TooManyFailures { consecutive, tolerable, last } => {
                write!(f, "{consecutive} checkpoints failed in a row, {tolerable} are tolerated; the last: {last}")
            }
            JobFailure::DrainFailed(abort) => write!(f, "the savepoint that drained the job failed: {abort}"),
            JobFailure::Fenced { id } => write!(f, "another coordinator has published checkpoint {id}"),
        }
    }
}
