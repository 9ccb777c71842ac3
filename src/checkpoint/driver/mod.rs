//! The driver: carries out on a storage, and on an [`Engine`], what the coordinator decides.
//!
//! It owns the [`Coordinator`] of one job and is itself owned by one thread. [`Driver::open`] takes the job over and finds
//! what it starts from; events go in by [`Driver::handle`]; [`Driver::step`] does one piece of work at a time: it stores or
//! looks for a manifest, lets the coordinator look at the time, reserves ids, or collects what nobody needs any more. Time
//! comes with each call, storage and randomness at the beginning. A driver that is dropped changes nothing; what
//! it left half done is found and finished by the next.
//!
//! # What is stored, and in which order
//!
//! *Taking over* creates the next control record with a higher epoch; from then on every other coordinator of the job
//! is passed over. Only then are the slots of checkpoints read. A further record then says which of them count, so that
//! a manifest that a predecessor still creates never will. Ids are reserved by record before they are used: two coordinators
//! never give the same one, not even to checkpoints that left no trace.
//!
//! *Publishing* looks at everything the manifest names, creates the manifest, and reads the chain again. *Collecting*
//! reads everything, plans (see [`gc`](super::gc)), stores a record that says what counts from now on, looks at the leases
//! again, and only then deletes.
//!
//! # Failures
//!
//! What cannot be read or stored now is tried again later; what is damaged is an error that names the alternatives. After
//! another coordinator has taken over, the engine is told to fail the job, and nothing is done any more.

mod chain;
mod collection;
mod engine;
mod fence;
mod lease;
mod opening;
mod publication;
mod slot;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::config::Termination;
use super::event::{Action, Event, RequestId, Ticket, Trigger};
use super::gc::Seen;
use super::job::{Job, Reports, objects_of};
use super::mistake::Mistake;
use super::pending::{Kind, Metadata, Subtask, SubtaskSnapshot};
use super::{Coordinator, Recovery};
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::ObjectScope;
use crate::ids::CheckpointId;
use crate::random::RandomSource;
use crate::snapshot::SnapshotTarget;
use crate::storage::layout::JobLayout;
use crate::storage::{ObjectPath, Storage};

pub use chain::{RESERVED_IDS, read as read_record};
pub use collection::Collection;
pub(super) use collection::delete_self_contained;
#[cfg(unix)]
pub use engine::LocalPlaces;
pub use engine::{Completed, Engine, Places};
pub(super) use fence::{Fence, Wanted};
pub use lease::ReadLease;
pub use opening::{Opened, Origin, Restore, Setup};
pub use slot::{Depth, Location};

use chain::Chain;
use collection::Collector;

/// Drives the checkpoints of one job.
#[derive(Debug)]
pub struct Driver {
    job: Job,
    layout: JobLayout,
    storage: Arc<dyn Storage>,
    random: Arc<dyn RandomSource>,
    places: Option<Arc<dyn Places>>,
    coordinator: Coordinator<Reports>,
    chain: Chain,
    work: VecDeque<Work>,
    /// Snapshots that are not in a directory of this job: savepoints, and what the job was started from.
    elsewhere: BTreeMap<CheckpointId, Location>,
    /// The checkpoint that each pending one builds on.
    bases: BTreeMap<CheckpointId, Option<CheckpointId>>,
    collector: Collector,
    /// What the job was started from, to be restored again as long as it has no checkpoint of its own.
    origin: Option<Restore>,
    allow_non_restored: bool,
    passed_over: bool,
}

/// A piece of work on the storage.
#[derive(Debug)]
enum Work {
    Publish { metadata: Arc<Metadata<Reports>>, ticket: Ticket },
    ReadSlot { metadata: Arc<Metadata<Reports>>, ticket: Ticket },
    SealSlot { metadata: Arc<Metadata<Reports>>, ticket: Ticket },
}

/// What a [`Driver::step`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something; there may be more to do.
    Worked,
    /// Nothing: call again at this time, in milliseconds since the Unix epoch, or after the next event.
    Idle {
        /// `None` if time alone changes nothing.
        wake_at_ms: Option<i64>,
    },
}

/// What the job (re)starts from.
#[derive(Debug)]
pub enum Start {
    /// Checkpoints whose outcome is not known yet: go on with [`Driver::step`] and ask again.
    Undecided(Vec<CheckpointId>),
    /// Nothing: every operator begins empty.
    Empty,
    /// This snapshot.
    From(Restore),
}

impl Driver {
    /// Tells what happened. The engine is called for everything that is to be done at once; work on the storage waits for
    /// [`step`](Self::step).
    pub fn handle(&mut self, now_ms: i64, event: Event<Reports>, engine: &mut dyn Engine) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.coordinator.handle(now_ms, event) {
                self.carry_out(now_ms, action, engine, &mut events);
            }
        }
    }

    /// The job (re)started: every subtask is ready for barriers. `start` is what it was restored from.
    pub fn running(&mut self, now_ms: i64, start: Option<&Restore>, engine: &mut dyn Engine) {
        let finished = start.map(|restore| restore.finished.clone()).unwrap_or_default();
        self.handle(now_ms, Event::Running { subtasks: self.job.subtasks(), finished }, engine);
    }

    /// A subtask has made its part of a checkpoint durable. Shared objects that the base of the checkpoint holds are taken
    /// over from it, the others count as uploaded.
    pub fn acknowledge(
        &mut self,
        now_ms: i64,
        id: CheckpointId,
        subtask: Subtask,
        reports: Reports,
        engine: &mut dyn Engine,
    ) {
        let event = match self.job.check(subtask, &reports) {
            Err(error) => Event::Declined { id, subtask, reason: error.message().to_owned() },
            Ok(()) => {
                let base = self.bases.get(&id).copied().flatten();
                let shared = objects_of(&reports).filter(|object| object.scope == ObjectScope::Shared);
                let held = |object: &&_| base.is_some_and(|base| self.coordinator.registry().holds(base, object));
                let (reused, uploaded) = shared.cloned().partition(|object| held(&object));
                Event::Acknowledged { id, subtask, snapshot: SubtaskSnapshot { handle: reports, uploaded, reused } }
            }
        };
        self.handle(now_ms, event, engine);
    }

    /// Asks for a checkpoint or a savepoint; [`Engine::answer`] gets the answer.
    pub fn request(&mut self, now_ms: i64, request: RequestId, kind: Kind, engine: &mut dyn Engine) {
        self.handle(now_ms, Event::Request { request, kind }, engine);
    }

    /// Does one piece of work, if there is any.
    pub fn step(&mut self, now_ms: i64, engine: &mut dyn Engine) -> Step {
        if self.passed_over {
            return Step::Idle { wake_at_ms: None };
        }
        if let Some(work) = self.work.pop_front() {
            let event = self.perform(work);
            self.handle(now_ms, event, engine);
            return Step::Worked;
        }
        let wake_at_ms = self.coordinator.wake_at_ms();
        if wake_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.handle(now_ms, Event::Tick, engine);
            return Step::Worked;
        }
        let due_ms = self.collector.due_ms.filter(|_| !self.coordinator.is_publishing());
        if due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            if let Err(error) = self.collect(now_ms) {
                self.note(now_ms, &error, engine);
            }
            return Step::Worked;
        }
        Step::Idle { wake_at_ms: wake_at_ms.into_iter().chain(due_ms).min() }
    }

    /// Steps until there is nothing to do at this time.
    pub fn settle(&mut self, now_ms: i64, engine: &mut dyn Engine) {
        while self.step(now_ms, engine) == Step::Worked {}
    }

    /// Ends the job, or this coordinator's part in it, and does what is left to do. Ids that were reserved and not used are
    /// given back.
    pub fn terminate(&mut self, now_ms: i64, termination: Termination, engine: &mut dyn Engine) -> Result<()> {
        self.handle(now_ms, Event::Terminated(termination), engine);
        while let Some(work) = self.work.pop_front() {
            let event = self.perform(work);
            self.handle(now_ms, event, engine);
        }
        if self.passed_over {
            return Err(Error::aborted("another coordinator has taken over the job"));
        }
        if self.coordinator.is_publishing() {
            return Err(Error::uncertain("it is not known whether a checkpoint was stored; the next start will tell"));
        }
        self.collect(now_ms)?;
        self.chain.release(now_ms, self.coordinator.next_id())
    }

    /// What the job restarts from after a failure.
    pub fn start(&self) -> Result<Start> {
        match self.coordinator.recovery() {
            Recovery::Undecided(ids) => Ok(Start::Undecided(ids)),
            Recovery::From(metadata) => {
                let location = self.location(metadata.id)?;
                Restore::new(&self.job, location, self.allow_non_restored).map(Start::From)
            }
            Recovery::Initial => Ok(self.origin.clone().map_or(Start::Empty, Start::From)),
        }
    }

    /// What the coordinator knows.
    pub fn coordinator(&self) -> &Coordinator<Reports> {
        &self.coordinator
    }

    /// The job.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Epoch of this coordinator.
    pub fn epoch(&self) -> u64 {
        self.chain.last().epoch
    }

    /// Whether another coordinator has taken over. Then nothing is done any more.
    pub fn is_passed_over(&self) -> bool {
        self.passed_over
    }

    /// Where a completed checkpoint or savepoint of this job lies.
    pub fn find(&self, id: CheckpointId) -> Result<Location> {
        self.location(id)
    }

    fn carry_out(
        &mut self,
        now_ms: i64,
        action: Action<Reports>,
        engine: &mut dyn Engine,
        events: &mut VecDeque<Event<Reports>>,
    ) {
        match action {
            Action::Trigger(trigger) => match self.prepare_trigger(now_ms, &trigger) {
                Ok(target) => engine.trigger(&trigger, &target),
                Err(error) => self.decline(trigger.barrier.id, &error, events),
            },
            Action::Publish { metadata, ticket, attempt: _ } => self.work.push_back(Work::Publish { metadata, ticket }),
            Action::ReadSlot { metadata, ticket } => self.work.push_back(Work::ReadSlot { metadata, ticket }),
            Action::SealSlot { metadata, ticket } => self.work.push_back(Work::SealSlot { metadata, ticket }),
            Action::NotifyComplete(id) => {
                self.bases.retain(|pending, _| *pending > id);
                engine.notify_complete(id);
            }
            Action::NotifyAbort(id) => {
                self.bases.remove(&id);
                self.collector.look_at(now_ms);
                engine.notify_abort(id);
            }
            Action::Answer { request, result } => {
                let location = |id| {
                    let location = self.location(id).unwrap_or_else(|_| self.own(id));
                    Completed { id, place: location.place, directory: location.directory }
                };
                engine.answer(request, result.map(location));
            }
            Action::StopJob(id) => engine.stop(id),
            Action::FailJob(failure) => {
                self.passed_over |= matches!(failure, super::event::JobFailure::Fenced { .. });
                engine.fail(&failure);
            }
            Action::Retire(_) => self.collector.look_at(now_ms),
        }
    }

    /// Reserves the id of a checkpoint, and finds the directory that its objects go to.
    fn prepare_trigger(&mut self, now_ms: i64, trigger: &Trigger) -> Result<SnapshotTarget> {
        let id = trigger.barrier.id;
        if id >= self.chain.last().reserved && !self.errs(Mistake::IdsNotReserved) {
            let reserved = CheckpointId(id.0.saturating_add(RESERVED_IDS));
            self.chain.append(now_ms, |record| record.reserved = reserved)?;
        }
        let location = match &trigger.kind {
            Kind::Checkpoint => self.own(id),
            Kind::Savepoint(savepoint) => {
                let directory = self.layout.new_savepoint(&*self.random)?;
                let location = self.locate(&savepoint.target, directory)?;
                self.elsewhere.insert(id, location.clone());
                location
            }
        };
        self.bases.insert(id, trigger.base);
        Ok(SnapshotTarget::new(location.storage, location.directory, Arc::clone(&self.random)))
    }

    /// Whether this mistake is made. Never, without tests.
    fn errs(&self, mistake: Mistake) -> bool {
        self.coordinator.config().errs(mistake)
    }

    /// A directory in a place of the program's.
    fn locate(&self, place: &str, directory: ObjectPath) -> Result<Location> {
        let storage = opening::open_place(&self.storage, self.places.as_ref(), place)?;
        Ok(Location { place: place.to_owned(), storage, directory })
    }

    /// A checkpoint that cannot even begin: as if every subtask had declined it.
    fn decline(&self, id: CheckpointId, error: &Error, events: &mut VecDeque<Event<Reports>>) {
        let reason = error.to_string();
        let declined = |subtask| Event::Declined { id, subtask, reason: reason.clone() };
        events.extend(self.job.subtasks().into_iter().map(declined));
        if error.kind() == ErrorKind::Aborted {
            events.push_back(Event::PassedOver);
        }
    }

    /// A failure of the collector is no failure of the job, unless it means that somebody else has taken over.
    fn note(&mut self, now_ms: i64, error: &Error, engine: &mut dyn Engine) {
        if error.kind() == ErrorKind::Aborted {
            self.handle(now_ms, Event::PassedOver, engine);
        }
    }
}

/// When orphans were first seen, by name.
type SeenOrphans = BTreeMap<ObjectPath, Seen>;
