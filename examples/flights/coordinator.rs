//! Drives the checkpoints of one attempt at the job, and ends it when the input is at its end.
//!
//! What is decided and stored is up to [`Driver`]; here it meets the threads of the job: commands go to the sources,
//! notifications to every subtask, notices come back.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use millpond::checkpoint::driver::{Engine, Restore};
use millpond::checkpoint::event::{JobFailure, Trigger};
use millpond::checkpoint::job::objects_of;
use millpond::checkpoint::{Driver, Event as Happened};
use millpond::clock::{Clock, SystemClock};
use millpond::ids::CheckpointId;
use millpond::snapshot::SnapshotTarget;
use millpond::{Error, ErrorKind, Result};

use crate::checkpoints::{Part, PendingPart};
use crate::event::Event;
use crate::source::Command;

/// How long the coordinator waits for news before it looks at the clock.
const TICK: Duration = Duration::from_millis(10);

/// What subtasks and writers tell the coordinator.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A part of a checkpoint is written, or could not be.
    Written(CheckpointId, Box<Part>),
    /// A part of a checkpoint could not be written.
    NotWritten(CheckpointId, millpond::checkpoint::pending::Subtask, Error),
    /// A source subtask is at the end of its input.
    Exhausted,
    /// A subtask has failed; it returns its error itself.
    Failed,
}

/// What a subtask is told about a checkpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Notification {
    /// It is complete: later ones may build on it.
    Completed(CheckpointId),
    /// It will never be complete.
    Aborted(CheckpointId),
}

/// Writes a part of a checkpoint on a thread of its own, so that the subtask can go on.
pub(crate) fn write_in_background(part: PendingPart, coordinator: &Sender<Notice>) {
    let coordinator = coordinator.clone();
    thread::spawn(move || {
        let (id, subtask) = (part.checkpoint(), part.subtask());
        let notice = match part.write() {
            Ok(part) => Notice::Written(id, Box::new(part)),
            Err(error) => Notice::NotWritten(id, subtask, error),
        };
        // A coordinator that has ended needs no part.
        let _ = coordinator.send(notice);
    });
}

/// Told what happens; breaks to abandon the job as a crash would.
pub(crate) type Observer<'a> = &'a mut dyn FnMut(Event) -> ControlFlow<()>;

/// See the module.
pub(crate) struct Coordinator<'a> {
    pub(crate) driver: &'a mut Driver,
    pub(crate) threads: Threads<'a>,
    pub(crate) notices: Receiver<Notice>,
    pub(crate) flights_read: Arc<AtomicU64>,
}

/// The threads of the job, and whoever watches it.
pub(crate) struct Threads<'a> {
    commands: Vec<Sender<Command>>,
    notifications: Vec<Sender<Notification>>,
    observer: Observer<'a>,
    taken: BTreeMap<CheckpointId, Taken>,
    ended: Option<Error>,
}

/// What is known of a checkpoint that is being taken.
#[derive(Debug, Default)]
struct Taken {
    begin_ms: i64,
    flights: u64,
    bytes: u64,
}

impl<'a> Threads<'a> {
    pub(crate) fn new(
        commands: Vec<Sender<Command>>,
        notifications: Vec<Sender<Notification>>,
        observer: Observer<'a>,
    ) -> Self {
        Threads { commands, notifications, observer, taken: BTreeMap::new(), ended: None }
    }

    fn command(&mut self, command: Command) {
        // A source that has ended says why itself.
        for source in &self.commands {
            let _ = source.send(command);
        }
    }

    fn notify(&mut self, notification: Notification) {
        for subtask in &self.notifications {
            let _ = subtask.send(notification);
        }
    }

    fn tell(&mut self, event: Event) {
        if (self.observer)(event).is_break() {
            self.ended.get_or_insert_with(abandoned);
        }
    }
}

/// The observer wants no more: the job ends as if it had been killed.
pub(crate) fn abandoned() -> Error {
    Error::aborted("the job was abandoned")
}

impl Engine for Threads<'_> {
    fn trigger(&mut self, trigger: &Trigger, _target: &SnapshotTarget) {
        let id = trigger.barrier.id;
        self.taken.insert(id, Taken { begin_ms: SystemClock.now_ms(), ..Taken::default() });
        self.command(Command::Checkpoint(id));
        self.tell(Event::Started { checkpoint: id.0 });
    }

    fn notify_complete(&mut self, id: CheckpointId) {
        self.notify(Notification::Completed(id));
        let later = self.taken.split_off(&id.next());
        if let Some(Taken { begin_ms, flights, bytes }) = std::mem::replace(&mut self.taken, later).remove(&id) {
            let millis = u64::try_from(SystemClock.now_ms() - begin_ms).unwrap_or_default();
            self.tell(Event::Completed { checkpoint: id.0, flights, bytes, millis });
        }
    }

    fn notify_abort(&mut self, id: CheckpointId) {
        self.taken.remove(&id);
        self.notify(Notification::Aborted(id));
        self.tell(Event::Aborted { checkpoint: id.0 });
    }

    fn fail(&mut self, failure: &JobFailure) {
        self.ended.get_or_insert_with(|| Error::unavailable(failure.to_string()));
    }
}

impl Coordinator<'_> {
    /// Runs until all sources are exhausted and have been told to finish.
    pub(crate) fn run(mut self, restore: Option<&Restore>) -> Result<()> {
        let sources = self.threads.commands.len();
        let mut exhausted = 0;
        self.driver.running(SystemClock.now_ms(), restore, &mut self.threads);
        loop {
            self.driver.settle(SystemClock.now_ms(), &mut self.threads);
            if let Some(error) = self.threads.ended.take() {
                return Err(error);
            }
            if exhausted == sources && self.driver.coordinator().pending().next().is_none() {
                self.threads.command(Command::Finish);
                return Ok(());
            }
            match self.notices.recv_timeout(TICK) {
                Ok(Notice::Written(id, part)) => self.add_part(id, *part),
                Ok(Notice::NotWritten(id, subtask, error)) => {
                    let event = Happened::Declined { id, subtask, reason: error.to_string() };
                    self.driver.handle(SystemClock.now_ms(), event, &mut self.threads);
                }
                Ok(Notice::Exhausted) => exhausted += 1,
                Ok(Notice::Failed) => return Err(Error::new(ErrorKind::Aborted, "a subtask has failed")),
                Err(RecvTimeoutError::Timeout) => {
                    let flights = self.flights_read.load(Ordering::Relaxed);
                    self.threads.tell(Event::Progress { flights });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Error::internal("every subtask has ended early")),
            }
        }
    }

    fn add_part(&mut self, id: CheckpointId, part: Part) {
        let Part { flights, subtask, report } = part;
        let reports = vec![report];
        if let Some(taken) = self.threads.taken.get_mut(&id) {
            taken.flights += flights;
            taken.bytes += objects_of(&reports).map(|object| object.length).sum::<u64>();
        }
        self.driver.acknowledge(SystemClock.now_ms(), id, subtask, reports, &mut self.threads);
    }
}

/// Waits, on a channel that nobody sends to.
pub(crate) fn pause(duration: Duration) {
    let (_sender, silence) = channel::<()>();
    let _ = silence.recv_timeout(duration);
}

/// Nobody is there: between two attempts at a job.
pub(crate) struct Nobody;

impl Engine for Nobody {
    fn trigger(&mut self, _: &Trigger, _: &SnapshotTarget) {}

    fn notify_complete(&mut self, _: CheckpointId) {}

    fn notify_abort(&mut self, _: CheckpointId) {}

    fn fail(&mut self, _: &JobFailure) {}
}
