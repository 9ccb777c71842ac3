//! Starts checkpoints, collects their parts, publishes them, and ends the job when the input is at its end.
//!
//! One checkpoint at a time, no timeouts, no retention: just enough for one job. A checkpoint exists once its manifest
//! is durable, which is after every subtask has written its part.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use millpond::clock::{Clock, SystemClock};
use millpond::ids::CheckpointId;
use millpond::{Error, Result};

use crate::checkpoints::{Part, PendingPart, Store};
use crate::event::Event;
use crate::source::Command;

/// How long the coordinator waits for news before it looks at the clock.
const TICK: Duration = Duration::from_millis(10);

/// What subtasks and writers tell the coordinator.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A part of a checkpoint is written, or could not be.
    Written(Result<Box<Part>>),
    /// A source subtask is at the end of its input.
    Exhausted,
    /// A subtask has failed; it returns its error itself.
    Failed,
}

/// Writes a part of a checkpoint on a thread of its own, so that the subtask can go on.
pub(crate) fn write_in_background(part: PendingPart, coordinator: &Sender<Notice>) {
    let coordinator = coordinator.clone();
    thread::spawn(move || {
        // A coordinator that has ended needs no part.
        let _ = coordinator.send(Notice::Written(part.write().map(Box::new)));
    });
}

/// Told what happens; breaks to abandon the job as a crash would.
pub(crate) type Observer<'a> = &'a mut dyn FnMut(Event) -> ControlFlow<()>;

/// See the module.
pub(crate) struct Coordinator<'a> {
    pub(crate) store: &'a Store,
    pub(crate) commands: Vec<Sender<Command>>,
    pub(crate) notices: Receiver<Notice>,
    /// Number of subtasks, each of which contributes one part.
    pub(crate) subtasks: usize,
    pub(crate) flights_read: Arc<AtomicU64>,
    pub(crate) interval_ms: i64,
    pub(crate) next_id: CheckpointId,
    pub(crate) observer: Observer<'a>,
}

/// The checkpoint being taken.
struct Pending {
    id: CheckpointId,
    begin_ms: i64,
    parts: Vec<Part>,
}

impl Coordinator<'_> {
    /// Runs until all sources are exhausted and have been told to finish.
    pub(crate) fn run(mut self) -> Result<()> {
        let mut pending: Option<Pending> = None;
        let mut due_ms = SystemClock.now_ms() + self.interval_ms;
        let mut exhausted = 0;
        loop {
            match self.notices.recv_timeout(TICK) {
                Ok(Notice::Written(part)) => pending = self.add_part(pending, *part?)?,
                Ok(Notice::Exhausted) => exhausted += 1,
                Ok(Notice::Failed) => return Err(Error::aborted("a subtask has failed")),
                Err(RecvTimeoutError::Timeout) => self.tell_progress()?,
                Err(RecvTimeoutError::Disconnected) => return Err(Error::internal("every subtask has ended early")),
            }
            if pending.is_some() {
                continue;
            }
            if exhausted == self.commands.len() {
                return self.command(Command::Finish);
            }
            let now_ms = SystemClock.now_ms();
            if now_ms >= due_ms {
                due_ms = now_ms + self.interval_ms;
                pending = Some(self.start(now_ms)?);
            }
        }
    }

    fn start(&mut self, begin_ms: i64) -> Result<Pending> {
        let id = self.next_id;
        self.next_id = id.next();
        self.command(Command::Checkpoint(id))?;
        self.tell(Event::Started { checkpoint: id.0 })?;
        Ok(Pending { id, begin_ms, parts: Vec::new() })
    }

    /// Publishes the checkpoint with its last part.
    fn add_part(&mut self, pending: Option<Pending>, part: Part) -> Result<Option<Pending>> {
        let Some(mut pending) = pending.filter(|pending| pending.id == part.checkpoint) else {
            return Err(Error::internal(format!("a part of checkpoint {} came out of turn", part.checkpoint)));
        };
        pending.parts.push(part);
        if pending.parts.len() < self.subtasks {
            return Ok(Some(pending));
        }
        let Pending { id, begin_ms, parts } = pending;
        let flights = parts.iter().map(|part| part.flights).sum();
        let bytes = self.store.publish(id, parts)?;
        let millis = u64::try_from(SystemClock.now_ms() - begin_ms).unwrap_or_default();
        self.tell(Event::Completed { checkpoint: id.0, flights, bytes, millis })?;
        Ok(None)
    }

    fn command(&self, command: Command) -> Result<()> {
        self.commands
            .iter()
            .try_for_each(|source| source.send(command).map_err(|_| Error::aborted("a source has ended early")))
    }

    fn tell_progress(&mut self) -> Result<()> {
        let flights = self.flights_read.load(Ordering::Relaxed);
        self.tell(Event::Progress { flights })
    }

    fn tell(&mut self, event: Event) -> Result<()> {
        match (self.observer)(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::aborted("the job was abandoned")),
        }
    }
}
