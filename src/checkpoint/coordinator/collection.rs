//! Collecting what the subtasks acknowledge.

use super::super::event::{Abort, Action};
use super::super::mistake::Mistake;
use super::super::pending::{Pending, Subtask, SubtaskSnapshot};
use super::{Coordinator, Now};
use crate::error::{Error, Result};
use crate::format::manifest::{ObjectRef, ObjectScope};
use crate::ids::CheckpointId;

impl<H> Coordinator<H> {
    pub(super) fn on_acknowledged(
        &mut self,
        now: Now,
        id: CheckpointId,
        subtask: Subtask,
        snapshot: SubtaskSnapshot<H>,
        actions: &mut Vec<Action<H>>,
    ) {
        // Late, duplicate or from a subtask that never existed: its objects, if any, are the collector's.
        let Some(pending) = self.pending.get(&id).filter(|pending| pending.owes(subtask)) else { return };
        if let Err(error) = self.check_snapshot(pending, &snapshot) {
            let reason = error.message().to_string();
            return self.abort(now, id, Abort::Refused { subtask, reason }, actions);
        }
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.acknowledge(subtask, snapshot);
        }
        self.publish_if_collected(id, actions);
    }

    /// Refuses what could make the checkpoint name an object that is gone or is another than its writer thinks.
    fn check_snapshot(&self, pending: &Pending<H>, snapshot: &SubtaskSnapshot<H>) -> Result<()> {
        let is_savepoint = pending.kind.is_savepoint() && !self.config.errs(Mistake::SavepointShares);
        if let (true, Some(object)) = (is_savepoint, snapshot.shared().next()) {
            return Err(Error::invalid_input(format!(
                "a savepoint must be self-contained, but the snapshot references shared object {}",
                object.name
            )));
        }
        let elsewhere = |object: &&ObjectRef| object.scope != ObjectScope::Shared;
        let elsewhere = snapshot.shared().find(elsewhere).filter(|_| !self.config.errs(Mistake::ScopeUnchecked));
        if let Some(object) = elsewhere {
            return Err(Error::invalid_input(format!("object {} is named as shared but lies elsewhere", object.name)));
        }
        for object in &snapshot.reused {
            self.check_reuse(pending.base, object)?;
        }
        for object in &snapshot.uploaded {
            if !self.config.errs(Mistake::AcceptsTwoContents) {
                self.registry.check(object)?;
            }
            if !self.config.errs(Mistake::AcceptsTwoPendingContents) {
                self.pending.values().try_for_each(|other| other.check(object))?;
            }
        }
        Ok(())
    }

    fn check_reuse(&self, base: Option<CheckpointId>, object: &ObjectRef) -> Result<()> {
        match base {
            _ if self.config.errs(Mistake::ReusesAnything) => Ok(()),
            Some(base) if self.registry.holds(base, object) => Ok(()),
            Some(base) => Err(Error::invalid_input(format!(
                "shared object {} is taken over from checkpoint {base}, which does not reference it, or not with this content",
                object.name
            ))),
            None => Err(Error::invalid_input(format!(
                "shared object {} is taken over, but there is no checkpoint to take it from",
                object.name
            ))),
        }
    }

    pub(super) fn on_subtask_finished(&mut self, subtask: Subtask, actions: &mut Vec<Action<H>>) {
        if !self.subtasks.contains(&subtask) || !self.finished.insert(subtask) {
            return;
        }
        let waiting: Vec<CheckpointId> =
            self.pending.values().filter(|pending| pending.owes(subtask)).map(|pending| pending.id).collect();
        for id in waiting {
            if let Some(pending) = self.pending.get_mut(&id) {
                pending.finish(subtask);
            }
            self.publish_if_collected(id, actions);
        }
    }
}
