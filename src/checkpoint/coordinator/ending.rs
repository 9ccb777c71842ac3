//! How checkpoints end: complete, aborted, expired, or with the job.

use std::sync::Arc;

use super::super::config::Termination;
use super::super::event::{Abort, Action, JobFailure};
use super::super::mistake::Mistake;
use super::super::pending::{Kind, Pending, Stop};
use super::{Coordinator, Now, Phase};
use crate::ids::CheckpointId;

impl<H> Coordinator<H> {
    fn has_subtasks(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Stopping(_) | Phase::Stopped)
    }

    pub(super) fn complete(&mut self, now: Now, id: CheckpointId, actions: &mut Vec<Action<H>>) {
        let Some(pending) = self.pending.remove(&id) else { return };
        actions.extend(pending.request.map(|request| Action::Answer { request, result: Ok(id) }));
        match &pending.kind {
            Kind::Checkpoint => self.complete_checkpoint(now, &pending, actions),
            Kind::Savepoint(_) if self.config.errs(Mistake::SavepointSubsumes) => {
                self.complete_checkpoint(now, &pending, actions);
            }
            Kind::Savepoint(savepoint) if savepoint.stop.is_some() => self.complete_stop(&pending, actions),
            // Side effects are left to the next checkpoint: the job would not recover from this savepoint.
            Kind::Savepoint(_) => {}
        }
    }

    fn complete_checkpoint(&mut self, now: Now, pending: &Pending<H>, actions: &mut Vec<Action<H>>) {
        let id = pending.id;
        let Some(publication) = pending.publication() else { return };
        if !pending.overdue {
            self.schedule.on_end(now.elapsed_ms);
        }
        // Names and contents were compared with all others when they were acknowledged.
        let registered = self.registry.register(id, publication.metadata.shared());
        debug_assert!(registered.is_ok(), "{registered:?}");
        let newest = self.completed.latest().is_none_or(|latest| latest.id < id);
        self.completed.add(Arc::clone(&publication.metadata));
        if self.discard {
            self.completed.subsume_all();
        }
        if newest {
            self.consecutive_failures = 0;
            self.subsume_older(now, id, actions);
        }
        if self.has_subtasks() && self.notified < Some(id) {
            self.notified = Some(id);
            actions.push(Action::NotifyComplete(id));
        }
    }

    /// Aborts older checkpoints that are still being collected. One that is being published goes on: nobody can stop that.
    fn subsume_older(&mut self, now: Now, by: CheckpointId, actions: &mut Vec<Action<H>>) {
        let older =
            self.pending.range(..by).filter(|(_, pending)| pending.is_collecting() && !pending.kind.is_savepoint());
        for id in older.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.abort(now, id, Abort::Subsumed { by }, actions);
        }
    }

    fn complete_stop(&mut self, pending: &Pending<H>, actions: &mut Vec<Action<H>>) {
        self.stopped_with = pending.publication().map(|publication| Arc::clone(&publication.metadata));
        if self.phase == Phase::Stopping(pending.id) {
            self.phase = Phase::Stopped;
            self.notified = Some(pending.id);
            actions.extend([Action::NotifyComplete(pending.id), Action::StopJob(pending.id)]);
        }
    }

    pub(super) fn abort(&mut self, now: Now, id: CheckpointId, abort: Abort, actions: &mut Vec<Action<H>>) {
        let Some(pending) = self.pending.remove(&id) else { return };
        if self.has_subtasks() && self.notified < Some(id) {
            actions.push(Action::NotifyAbort(id));
        }
        if let Some(request) = pending.request {
            actions.push(Action::Answer { request, result: Err(abort.clone()) });
        }
        if self.phase == Phase::Stopping(id) {
            self.phase = Phase::Running;
            if pending.kind.stop() == Some(Stop::Drain) {
                self.fail_job(now, JobFailure::DrainFailed(abort), actions);
            }
        } else if pending.kind == Kind::Checkpoint && !pending.overdue {
            self.schedule.on_end(now.elapsed_ms);
            self.count_failure(now, id, abort, actions);
        }
    }

    /// Failures of checkpoints older than the newest completed one say nothing about the present.
    fn count_failure(&mut self, now: Now, id: CheckpointId, abort: Abort, actions: &mut Vec<Action<H>>) {
        let outdated = self.completed.latest().is_some_and(|latest| latest.id > id);
        if outdated || !abort.is_failure() || !self.has_subtasks() {
            return;
        }
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        let (consecutive, tolerable) = (self.consecutive_failures, self.config.tolerable_failures);
        if consecutive > tolerable {
            self.fail_job(now, JobFailure::TooManyFailures { consecutive, tolerable, last: abort }, actions);
        }
    }

    fn fail_job(&mut self, now: Now, failure: JobFailure, actions: &mut Vec<Action<H>>) {
        actions.push(Action::FailJob(failure));
        self.on_job_failed(now, actions);
    }

    pub(super) fn on_job_failed(&mut self, now: Now, actions: &mut Vec<Action<H>>) {
        if self.has_subtasks() {
            self.phase = Phase::Waiting;
            self.turn_down_queued(&Abort::JobFailed, actions);
            self.abort_collecting(now, &Abort::JobFailed, actions);
        }
    }

    /// Ends everything that still waits for subtasks.
    pub(super) fn abort_collecting(&mut self, now: Now, abort: &Abort, actions: &mut Vec<Action<H>>) {
        let collecting = self.pending.values().filter(|pending| pending.is_collecting());
        for id in collecting.map(|pending| pending.id).collect::<Vec<_>>() {
            self.abort(now, id, abort.clone(), actions);
        }
    }

    /// Clears the way for a savepoint that stops the job. Other savepoints go on.
    pub(super) fn abort_checkpoints_for_stop(&mut self, now: Now, actions: &mut Vec<Action<H>>) {
        let checkpoints =
            self.pending.values().filter(|pending| pending.is_collecting() && !pending.kind.is_savepoint());
        for id in checkpoints.map(|pending| pending.id).collect::<Vec<_>>() {
            self.abort(now, id, Abort::Stopping, actions);
        }
    }

    pub(super) fn turn_down_queued(&mut self, abort: &Abort, actions: &mut Vec<Action<H>>) {
        let queued = std::mem::take(&mut self.queue);
        actions.extend(queued.into_iter().map(|(request, _)| Action::Answer { request, result: Err(abort.clone()) }));
    }

    pub(super) fn on_terminated(&mut self, now: Now, termination: Termination, actions: &mut Vec<Action<H>>) {
        self.phase = Phase::Terminated;
        self.turn_down_queued(&Abort::NotRunning, actions);
        self.abort_collecting(now, &Abort::NotRunning, actions);
        if self.config.retention.discards_on(termination) || self.config.errs(Mistake::SuspensionDiscards) {
            self.discard = true;
            self.completed.subsume_all();
        }
    }

    /// Expires what took too long and looks again at slots that could not be read.
    pub(super) fn on_time(&mut self, now: Now, actions: &mut Vec<Action<H>>) {
        let expired = self.pending.values().filter(|pending| !pending.overdue && pending.expires_ms <= now.elapsed_ms);
        for id in expired.map(|pending| pending.id).collect::<Vec<_>>() {
            self.expire(now, id, actions);
        }
        self.retry_slots(now, actions);
    }

    fn expire(&mut self, now: Now, id: CheckpointId, actions: &mut Vec<Action<H>>) {
        let abort = Abort::Expired { timeout_ms: self.config.timeout_ms };
        let Some(pending) = self.pending.get_mut(&id) else { return };
        let is_checkpoint = pending.kind == Kind::Checkpoint;
        let Some(publication) = pending.publication_mut() else {
            return self.abort(now, id, abort, actions);
        };
        // Its metadata may be stored any moment: it can be neither aborted nor forgotten, only outlived.
        publication.uncertain = true;
        pending.overdue = true;
        if is_checkpoint {
            self.schedule.on_end(now.elapsed_ms);
            self.count_failure(now, id, abort, actions);
        }
    }
}
