//! Storing the metadata, and finding out whether it was stored.

use super::super::event::{Abort, Action, JobFailure, Outcome, Slot, Ticket};
use super::super::mistake::Mistake;
use super::super::pending::{Pending, Publication};
use super::{Coordinator, Now, Phase};
use crate::ids::CheckpointId;

/// Attempts to store metadata before giving up.
const MAX_ATTEMPTS: u32 = 3;

/// Pause before looking again at a slot that could not be read.
const RETRY_MS: u64 = 1_000;

impl<H> Coordinator<H> {
    pub(super) fn publish_if_collected(&mut self, id: CheckpointId, actions: &mut Vec<Action<H>>) {
        actions.extend(self.pending.get_mut(&id).and_then(Pending::close).map(Publication::publish));
    }

    /// That it is stored, and what fills the slot, stays true for ever and is believed whenever it is said. Everything else
    /// is only true of the moment, so only the report of the step under way counts.
    pub(super) fn on_published(
        &mut self,
        now: Now,
        id: CheckpointId,
        ticket: Ticket,
        outcome: Outcome,
        actions: &mut Vec<Action<H>>,
    ) {
        let Some(publication) = self.pending.get_mut(&id).and_then(Pending::publication_mut) else { return };
        let awaited = publication.ticket == ticket || self.config.errs(Mistake::BelievesLateReports);
        match outcome {
            Outcome::Committed => return self.complete(now, id, actions),
            Outcome::PassedOver if self.config.errs(Mistake::PassedOverIsCommitted) => {
                return self.complete(now, id, actions);
            }
            Outcome::Unknown { .. } if self.config.errs(Mistake::UnknownIsFailure) => {
                return self.give_up(now, id, actions);
            }
            Outcome::NotCommitted { .. } if self.config.errs(Mistake::RefusalIsFinal) => {
                return self.give_up(now, id, actions);
            }
            Outcome::PassedOver => return self.fence(id, actions),
            Outcome::NotCommitted { reason } if awaited => publication.reason = reason,
            Outcome::Unknown { reason } if awaited => (publication.reason, publication.uncertain) = (reason, true),
            Outcome::NotCommitted { .. } | Outcome::Unknown { .. } => return,
        }
        // Even a certain failure may mean that the name is taken: by an attempt that was repeated on the way, or by
        // another coordinator. Only a look at the slot tells (S-17).
        actions.push(publication.look());
    }

    pub(super) fn on_slot_read(
        &mut self,
        now: Now,
        id: CheckpointId,
        ticket: Ticket,
        found: Slot,
        actions: &mut Vec<Action<H>>,
    ) {
        let Some(publication) = self.pending.get_mut(&id).and_then(Pending::publication_mut) else { return };
        let awaited = publication.ticket == ticket || self.config.errs(Mistake::BelievesLateReports);
        match found {
            Slot::Ours => self.complete(now, id, actions),
            Slot::Foreign if self.config.errs(Mistake::ForeignIsOurs) => self.complete(now, id, actions),
            Slot::Sealed if self.config.errs(Mistake::SealedIsOurs) => self.complete(now, id, actions),
            Slot::Unreadable { .. } if self.config.errs(Mistake::UnreadableIsAbsent) => {
                self.on_absent(now, id, actions)
            }
            Slot::Foreign => self.on_foreign(now, id, actions),
            Slot::Sealed => self.give_up(now, id, actions),
            Slot::Unreadable { reason } if awaited => {
                publication.reason = reason;
                publication.retry_ms = Some(now.elapsed_ms.saturating_add(RETRY_MS));
            }
            Slot::Absent if awaited => self.on_absent(now, id, actions),
            Slot::Unreadable { .. } | Slot::Absent => {}
        }
    }

    fn on_absent(&mut self, now: Now, id: CheckpointId, actions: &mut Vec<Action<H>>) {
        let wanted = matches!(self.phase, Phase::Running | Phase::Stopping(_));
        let Some(pending) = self.pending.get_mut(&id) else { return };
        let again = wanted && !pending.overdue;
        let Some(publication) = pending.publication_mut() else { return };
        if again && !publication.sealing && publication.attempt < MAX_ATTEMPTS {
            actions.push(publication.publish());
        } else if publication.uncertain && !self.config.errs(Mistake::GivesUpUnsealed) {
            publication.sealing = true;
            actions.push(publication.look());
        } else {
            self.give_up(now, id, actions);
        }
    }

    fn give_up(&mut self, now: Now, id: CheckpointId, actions: &mut Vec<Action<H>>) {
        let publication = self.pending.get(&id).and_then(Pending::publication);
        let reason = publication.map(|publication| publication.reason.clone()).unwrap_or_default();
        self.abort(now, id, Abort::NotPublished { reason }, actions);
    }

    fn on_foreign(&mut self, now: Now, id: CheckpointId, actions: &mut Vec<Action<H>>) {
        if self.pending.get(&id).is_some_and(|pending| pending.kind.is_savepoint()) {
            let reason = "the directory already holds another snapshot; choose another one".to_string();
            return self.abort(now, id, Abort::NotPublished { reason }, actions);
        }
        self.fence(id, actions);
    }

    pub(super) fn fence(&mut self, id: CheckpointId, actions: &mut Vec<Action<H>>) {
        self.phase = Phase::Fenced;
        self.turn_down_queued(&Abort::Fenced, actions);
        for pending in std::mem::take(&mut self.pending).into_values() {
            actions.extend(pending.request.map(|request| Action::Answer { request, result: Err(Abort::Fenced) }));
        }
        actions.push(Action::FailJob(JobFailure::Fenced { id }));
    }

    /// Looks again at slots that could not be read.
    pub(super) fn retry_slots(&mut self, now: Now, actions: &mut Vec<Action<H>>) {
        for publication in self.pending.values_mut().filter_map(Pending::publication_mut) {
            if publication.retry_ms.is_some_and(|retry_ms| retry_ms <= now.elapsed_ms) {
                actions.push(publication.look());
            }
        }
    }
}
