//! The checkpoint coordinator as a state machine: [`Coordinator::handle`] takes what happened and returns what to do.
//!
//! It holds no clock, thread or storage; a driver carries out the [`Action`]s and reports back with [`Event`]s. Events may
//! come late, twice or not at all. The life of a checkpoint:
//!
//! 1. *Trigger*: by the schedule or a request. Subtasks forward the barrier, take their snapshots and acknowledge.
//! 2. *Collecting*: until every subtask has acknowledged or finished. A decline, an unsafe acknowledgement or the timeout
//!    aborts it; so does the completion of a newer one.
//! 3. *Publishing*: the metadata, which names everything, is stored last. Only then is the checkpoint complete. If the
//!    outcome is unknown, the slot is read; if nothing is there after several attempts, it is sealed, so that an attempt
//!    still under way cannot succeed behind our back. Until that is decided nothing is retired and no job restarts from an
//!    older checkpoint.
//! 4. *Complete*: subtasks are told; older ones beyond the retained number are retired.
//!
//! Invariants:
//!
//! - Ids strictly increase and are never used again.
//! - Completion is announced after the metadata is stored, in ascending order.
//! - A checkpoint references shared objects only of its *base*, the newest completed checkpoint at its trigger, and those
//!   uploaded for it. The base is not retired before the checkpoint that builds on it has ended.
//! - A savepoint references no shared object, subsumes nothing, is no base, and is never retired.
//! - No action deletes anything. What aborted checkpoints left behind is found by the collector.
//! - Once fenced, the coordinator does nothing but turn down requests.

mod collection;
mod ending;
mod publication;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::barrier::{Alignment, Barrier, Delivery};
use super::completed::CompletedCheckpoints;
use super::config::Config;
use super::event::{Abort, Action, Event, RequestId, Trigger};
use super::mistake::Mistake;
use super::pending::{Kind, Metadata, Pending, Progress, Subtask};
use super::restore::ClaimMode;
use super::shared_state::{SharedStateRegistry, View};
use super::trigger::{Elapsed, Schedule};
use crate::error::{Error, Result};
use crate::ids::CheckpointId;

/// Requests that may wait for their turn.
pub const MAX_QUEUED_REQUESTS: usize = 1_000;

/// Decides about the checkpoints of one job. `H` points to the snapshot of a subtask and is opaque here.
#[derive(Debug, Clone)]
pub struct Coordinator<H> {
    config: Config,
    elapsed: Elapsed,
    schedule: Schedule,
    phase: Phase,
    next_id: CheckpointId,
    subtasks: BTreeSet<Subtask>,
    finished: BTreeSet<Subtask>,
    queue: VecDeque<(RequestId, Kind)>,
    pending: BTreeMap<CheckpointId, Pending<H>>,
    completed: CompletedCheckpoints<H>,
    registry: SharedStateRegistry,
    /// The newest checkpoint that the running subtasks were told of.
    notified: Option<CheckpointId>,
    consecutive_failures: u32,
    /// The savepoint that the job was stopped with.
    stopped_with: Option<Arc<Metadata<H>>>,
    /// The job has ended and keeps no checkpoint.
    discard: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No subtasks, or not all of them yet.
    Waiting,
    Running,
    /// Stopping with the savepoint of this id.
    Stopping(CheckpointId),
    /// The savepoint is complete and the subtasks are finishing.
    Stopped,
    Terminated,
    Fenced,
}

/// What a job (re)starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery<H> {
    /// The metadata of these checkpoints may or may not be stored: wait until that is decided.
    Undecided(Vec<CheckpointId>),
    /// This checkpoint, or the savepoint that the job was being stopped with.
    From(Arc<Metadata<H>>),
    /// No checkpoint of this job is complete: start as it was started first.
    Initial,
}

/// What a coordinator takes over from the past.
#[derive(Debug, Clone)]
pub struct Inheritance<H> {
    /// Completed checkpoints that this job owns, in any order: its own of earlier runs and claimed ones. A borrowed one
    /// (no claim) does not belong here; so nothing builds on it and nothing retires it.
    pub completed: Vec<Metadata<H>>,
    /// Larger than every id ever used, also by attempts that failed.
    pub next_id: CheckpointId,
    /// Whether all completed checkpoints could be read.
    pub view: View,
}

impl<H> Inheritance<H> {
    /// A new job that starts from a snapshot of another, or from a savepoint of its own past.
    ///
    /// Claimed, it becomes a completed checkpoint of this job: the next one may build on it, and it is retired when newer ones
    /// have taken its place. Not claimed, it is no checkpoint of this job at all: the next one uploads everything, and until
    /// that is complete [`Coordinator::recovery`] answers [`Recovery::Initial`].
    pub fn starting_from(source: Metadata<H>, claim: ClaimMode) -> Self {
        let next_id = source.id.next();
        let completed = match claim {
            ClaimMode::Claim => vec![source],
            ClaimMode::NoClaim => Vec::new(),
        };
        Inheritance { completed, next_id, view: View::Complete }
    }
}

impl<H> Default for Inheritance<H> {
    /// Nothing: a new job.
    fn default() -> Self {
        Inheritance { completed: Vec::new(), next_id: CheckpointId(1), view: View::Complete }
    }
}

impl<H> Coordinator<H> {
    /// A coordinator for a job that is about to start. Fails if the configuration contradicts itself, an inherited id is
    /// not below the next one, or two inherited checkpoints disagree about a shared object.
    pub fn new(config: Config, inheritance: Inheritance<H>) -> Result<Self> {
        config.validate()?;
        let mut coordinator = Coordinator {
            schedule: Schedule::new(&config, 0),
            elapsed: Elapsed::default(),
            phase: Phase::Waiting,
            next_id: inheritance.next_id,
            subtasks: BTreeSet::new(),
            finished: BTreeSet::new(),
            queue: VecDeque::new(),
            pending: BTreeMap::new(),
            completed: CompletedCheckpoints::new(config.retained),
            registry: registry(&config, inheritance.view),
            notified: None,
            consecutive_failures: 0,
            stopped_with: None,
            discard: false,
            config,
        };
        for metadata in inheritance.completed {
            coordinator.inherit(metadata)?;
        }
        Ok(coordinator)
    }

    fn inherit(&mut self, metadata: Metadata<H>) -> Result<()> {
        if metadata.id >= self.next_id {
            return Err(Error::invalid_input(format!(
                "checkpoint {} is completed, but the next id would be {}; ids must never be used again",
                metadata.id, self.next_id
            )));
        }
        self.registry.register(metadata.id, metadata.shared())?;
        self.completed.add(Arc::new(metadata));
        Ok(())
    }

    /// Takes what happened and returns what to do, in that order. Every call also looks at the time.
    pub fn handle(&mut self, now_ms: i64, event: Event<H>) -> Vec<Action<H>> {
        let now = Now { wall_ms: now_ms, elapsed_ms: self.elapsed.advance(now_ms) };
        let mut actions = Vec::new();
        self.dispatch(now, event, &mut actions);
        self.on_time(now, &mut actions);
        self.retire(&mut actions);
        self.trigger(now, &mut actions);
        actions
    }

    fn dispatch(&mut self, now: Now, event: Event<H>, actions: &mut Vec<Action<H>>) {
        match event {
            Event::Request { request, kind } => self.on_request(now, request, kind, actions),
            _ if self.phase == Phase::Fenced => {}
            Event::Tick => {}
            Event::Running { subtasks, finished } => self.on_running(now, subtasks, finished, actions),
            Event::Acknowledged { id, subtask, snapshot } => self.on_acknowledged(now, id, subtask, snapshot, actions),
            Event::Declined { id, subtask, reason } => {
                if self.pending.get(&id).is_some_and(|pending| pending.owes(subtask)) {
                    self.abort(now, id, Abort::Declined { subtask, reason }, actions);
                }
            }
            Event::SubtaskFinished(subtask) => self.on_subtask_finished(subtask, actions),
            Event::Published { id, ticket, outcome } => self.on_published(now, id, ticket, outcome, actions),
            Event::SlotRead { id, ticket, found } => self.on_slot_read(now, id, ticket, found, actions),
            Event::JobFailed => self.on_job_failed(now, actions),
            Event::PassedOver => self.fence(self.next_id, actions),
            Event::Terminated(termination) => self.on_terminated(now, termination, actions),
        }
    }

    fn on_running(
        &mut self,
        now: Now,
        subtasks: BTreeSet<Subtask>,
        finished: BTreeSet<Subtask>,
        actions: &mut Vec<Action<H>>,
    ) {
        if self.phase == Phase::Terminated {
            return;
        }
        self.on_job_failed(now, actions);
        self.phase = Phase::Running;
        (self.subtasks, self.finished) = (subtasks, finished);
        (self.notified, self.consecutive_failures) = (None, 0);
        self.schedule.restart(now.elapsed_ms);
    }

    fn on_request(&mut self, now: Now, request: RequestId, kind: Kind, actions: &mut Vec<Action<H>>) {
        let refused = match self.phase {
            Phase::Fenced => Some(Abort::Fenced),
            Phase::Waiting | Phase::Terminated => Some(Abort::NotRunning),
            Phase::Stopping(_) | Phase::Stopped => Some(Abort::Stopping),
            Phase::Running if self.is_stop_queued() => Some(Abort::Stopping),
            Phase::Running if self.all_finished() => Some(Abort::AllFinished),
            Phase::Running if self.queue.len() >= MAX_QUEUED_REQUESTS => Some(Abort::TooManyRequests),
            Phase::Running => None,
        };
        if let Some(abort) = refused {
            actions.push(Action::Answer { request, result: Err(abort) });
            return;
        }
        if kind.stop().is_some() {
            self.turn_down_queued(&Abort::Stopping, actions);
            self.abort_checkpoints_for_stop(now, actions);
        }
        self.queue.push_back((request, kind));
    }

    fn is_stop_queued(&self) -> bool {
        self.queue.iter().any(|(_, kind)| kind.stop().is_some())
    }

    fn all_finished(&self) -> bool {
        self.subtasks.is_subset(&self.finished)
    }

    /// Checkpoints that take up one of the concurrent places.
    fn under_way(&self) -> usize {
        self.pending.values().filter(|pending| !pending.overdue).count()
    }

    /// Starts whatever may start now: requests first, then the schedule.
    fn trigger(&mut self, now: Now, actions: &mut Vec<Action<H>>) {
        while self.phase == Phase::Running && !self.all_finished() {
            if let Some((_, kind)) = self.queue.front() {
                if !self.may_start(kind) {
                    return;
                }
                if let Some((request, kind)) = self.queue.pop_front() {
                    self.start(now, kind, Some(request), actions);
                }
            } else if self.schedule.due_ms(self.under_way()).is_some_and(|due_ms| due_ms <= now.elapsed_ms) {
                self.start(now, Kind::Checkpoint, None, actions);
            } else {
                return;
            }
        }
        if self.phase == Phase::Running {
            self.turn_down_queued(&Abort::AllFinished, actions);
        }
    }

    /// A requested checkpoint waits for room; a savepoint does not, unless an unaligned barrier could overtake its own.
    fn may_start(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Checkpoint => self.schedule.has_room(self.under_way()),
            Kind::Savepoint(_) => !self.config.unaligned || !self.pending.values().any(Pending::is_collecting),
        }
    }

    fn start(&mut self, now: Now, kind: Kind, request: Option<RequestId>, actions: &mut Vec<Action<H>>) {
        let id = self.next_id;
        self.next_id = id.next();
        let owed = self.subtasks.difference(&self.finished).copied().collect();
        let mut pending = Pending::new(id, kind.clone(), now.wall_ms, owed, self.finished.clone());
        pending.request = request;
        pending.expires_ms = now.elapsed_ms.saturating_add(self.config.timeout_ms);
        if kind.stop().is_some() {
            self.phase = Phase::Stopping(id);
        }
        if kind == Kind::Checkpoint {
            self.schedule.on_trigger(now.elapsed_ms);
            pending.base = self.completed.latest().map(|latest| latest.id);
        }
        let barrier = Barrier { id, alignment: self.alignment(now, &kind) };
        actions.push(Action::Trigger(Trigger { barrier, kind, base: pending.base }));
        self.pending.insert(id, pending);
    }

    fn alignment(&self, now: Now, kind: &Kind) -> Alignment {
        match self.config.aligned_timeout_ms {
            _ if kind.is_savepoint() || !self.config.unaligned => Alignment::Aligned,
            _ if self.config.delivery == Delivery::AtLeastOnce => Alignment::Aligned,
            None => Alignment::Unaligned,
            Some(timeout_ms) => {
                Alignment::AlignedUntil { deadline_ms: now.wall_ms.saturating_add_unsigned(timeout_ms) }
            }
        }
    }

    /// Retires what is subsumed, unless the outcome of a publication is unknown.
    fn retire(&mut self, actions: &mut Vec<Action<H>>) {
        let uncertain = |pending: &Pending<H>| pending.publication().is_some_and(|publication| publication.uncertain);
        let uncertain = self.pending.values().any(uncertain) && !self.config.errs(Mistake::RetiresWhileUncertain);
        if self.phase == Phase::Fenced || uncertain {
            return;
        }
        let bases: BTreeSet<CheckpointId> = self.pending.values().filter_map(|pending| pending.base).collect();
        let is_base = |id| bases.contains(&id) && !self.config.errs(Mistake::RetiresBases);
        let retired = self.completed.retire(is_base);
        retired.iter().for_each(|id| self.registry.forget(*id));
        if !retired.is_empty() {
            actions.push(Action::Retire(retired));
        }
    }

    /// When to call [`handle`](Self::handle) with [`Event::Tick`] if nothing else happens; `None` if time alone changes
    /// nothing.
    pub fn wake_at_ms(&self) -> Option<i64> {
        if self.phase == Phase::Fenced {
            return None;
        }
        let timers = self.pending.values().flat_map(|pending| {
            let expires_ms = (!pending.overdue).then_some(pending.expires_ms);
            let retry_ms = pending.publication().and_then(|publication| publication.retry_ms);
            expires_ms.into_iter().chain(retry_ms)
        });
        let scheduled = self.phase == Phase::Running && self.queue.is_empty() && !self.all_finished();
        let due_ms = if scheduled { self.schedule.due_ms(self.under_way()) } else { None };
        timers.chain(due_ms).min().map(|elapsed_ms| self.elapsed.wall_ms(elapsed_ms))
    }

    /// What the job (re)starts from.
    pub fn recovery(&self) -> Recovery<H> {
        let may_be_newer = |pending: &&Pending<H>| {
            let counts = !pending.kind.is_savepoint() || pending.kind.stop().is_some();
            counts && matches!(pending.progress, Progress::Publishing(_))
        };
        let undecided: Vec<CheckpointId> =
            self.pending.values().filter(may_be_newer).map(|pending| pending.id).collect();
        if !undecided.is_empty() && !self.config.errs(Mistake::RecoversUndecided) {
            return Recovery::Undecided(undecided);
        }
        let newest = self.completed.latest().into_iter().chain(&self.stopped_with).max_by_key(|metadata| metadata.id);
        newest.map_or(Recovery::Initial, |metadata| Recovery::From(Arc::clone(metadata)))
    }

    /// Every checkpoint below this id is decided: stored, or never to be. For [`gc::View::boundary`](super::gc::View).
    pub fn boundary(&self) -> CheckpointId {
        self.pending().next().unwrap_or(self.next_id)
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Completed checkpoints that are kept.
    pub fn completed(&self) -> &CompletedCheckpoints<H> {
        &self.completed
    }

    /// Shared objects of the completed checkpoints.
    pub fn registry(&self) -> &SharedStateRegistry {
        &self.registry
    }

    /// Whether the metadata of some checkpoint may be on its way: what it names must not be deleted.
    pub fn is_publishing(&self) -> bool {
        self.pending.values().any(|pending| pending.publication().is_some())
    }

    /// Ids of the pending checkpoints, ascending.
    pub fn pending(&self) -> impl Iterator<Item = CheckpointId> {
        self.pending.keys().copied()
    }

    /// The id that the next checkpoint gets; every earlier one has been used.
    pub fn next_id(&self) -> CheckpointId {
        self.next_id
    }
}

#[cfg(feature = "test-util")]
fn registry(config: &Config, view: View) -> SharedStateRegistry {
    SharedStateRegistry::new(view).planted(config.planted)
}

#[cfg(not(feature = "test-util"))]
fn registry(_: &Config, view: View) -> SharedStateRegistry {
    SharedStateRegistry::new(view)
}

/// One moment, by both clocks.
#[derive(Debug, Clone, Copy)]
struct Now {
    wall_ms: i64,
    elapsed_ms: u64,
}
