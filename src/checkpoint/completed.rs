//! Completed checkpoints: which are kept, and which may be retired.
//!
//! The newest `k` stay for recovery. An older one is *subsumed*, and becomes *retired* as soon as no pending checkpoint
//! builds on it. Savepoints are not in here: they belong to the user, count for nothing, and subsume nothing (FLINK-21351).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::pending::Metadata;
use crate::ids::CheckpointId;

/// The completed checkpoints of a job.
#[derive(Debug, Clone)]
pub struct CompletedCheckpoints<H> {
    retained: usize,
    kept: BTreeMap<CheckpointId, Arc<Metadata<H>>>,
    subsumed: BTreeSet<CheckpointId>,
}

impl<H> CompletedCheckpoints<H> {
    /// An empty set that keeps this many, at least one.
    pub fn new(retained: u32) -> Self {
        let retained = usize::try_from(retained).unwrap_or(usize::MAX).max(1);
        CompletedCheckpoints { retained, kept: BTreeMap::new(), subsumed: BTreeSet::new() }
    }

    /// Adds one and subsumes what is too old now, which may be the one just added if it comes late. Adding one again, also
    /// after it was subsumed, changes nothing.
    pub fn add(&mut self, metadata: Arc<Metadata<H>>) {
        if self.subsumed.contains(&metadata.id) {
            return;
        }
        self.kept.insert(metadata.id, metadata);
        while self.kept.len() > self.retained {
            self.subsumed.extend(self.kept.pop_first().map(|(id, _)| id));
        }
    }

    /// The newest, from which the job recovers and on which the next checkpoint builds.
    pub fn latest(&self) -> Option<&Arc<Metadata<H>>> {
        self.kept.last_key_value().map(|(_, metadata)| metadata)
    }

    /// The one with this id, if it is kept.
    pub fn get(&self, id: CheckpointId) -> Option<&Arc<Metadata<H>>> {
        self.kept.get(&id)
    }

    /// Ids of those kept, ascending.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = CheckpointId> {
        self.kept.keys().copied()
    }

    /// Subsumed ones that are not retired yet, ascending.
    pub fn subsumed(&self) -> impl Iterator<Item = CheckpointId> {
        self.subsumed.iter().copied()
    }

    /// Ids of those kept and of those that are not retired yet, for [`gc::View::kept`](super::gc::View).
    pub fn in_use(&self) -> impl Iterator<Item = CheckpointId> {
        self.ids().chain(self.subsumed())
    }

    /// Takes out every subsumed one that `in_use` does not claim.
    pub fn retire(&mut self, in_use: impl Fn(CheckpointId) -> bool) -> Vec<CheckpointId> {
        let (keep, retired) = std::mem::take(&mut self.subsumed).into_iter().partition(|id| in_use(*id));
        self.subsumed = keep;
        let mut retired: Vec<CheckpointId> = BTreeSet::into_iter(retired).collect();
        retired.sort_unstable();
        retired
    }

    /// Subsumes all: the job has ended and keeps none.
    pub fn subsume_all(&mut self) {
        self.subsumed.extend(std::mem::take(&mut self.kept).into_keys());
    }
}

#[cfg(test)]
mod tests;
