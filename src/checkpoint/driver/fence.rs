//! Deleting from the directory of a job that nobody of this program coordinates: a snapshot that was claimed, and what is
//! left of a job that has ended.
//!
//! Whoever deletes there takes the job over first, as a coordinator would, and gives it back in the end. So a coordinator that
//! lives all the same is passed over before anything goes, and learns that before it relies on what is gone; and whatever it
//! still stores counts for nothing. Without the chain nothing is deleted: [`gc::plan`] decides, from a complete view, as it
//! does for a running job.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::chain::{self, Chain};
use super::collection::{Collection, list, read_manifests, role};
use super::opening::highest_listed;
use super::{SeenOrphans, lease};
use crate::checkpoint::gc::{self, Content, View};
use crate::error::{Error, Result};
use crate::ids::CheckpointId;
use crate::random::RandomSource;
use crate::storage::layout::{self, JobLayout};
use crate::storage::{ObjectPath, Storage};

/// What is to go beside orphans.
#[derive(Debug, Clone, Copy)]
pub(in crate::checkpoint) struct Wanted<'w> {
    /// A checkpoint that is in use no more.
    pub(in crate::checkpoint) gone: Option<CheckpointId>,
    /// When the orphans came to be, as far as that is known; the others count as new.
    pub(in crate::checkpoint) seen: &'w BTreeMap<ObjectPath, i64>,
    /// How old an orphan has to be, in milliseconds.
    pub(in crate::checkpoint) grace_ms: u64,
}

/// A job that is held so that something of it can be deleted.
#[derive(Debug)]
pub(in crate::checkpoint) struct Fence {
    storage: Arc<dyn Storage>,
    layout: JobLayout,
    chain: Chain,
}

impl Fence {
    /// Passes over whoever coordinates the job.
    pub(in crate::checkpoint) fn raise(
        storage: &Arc<dyn Storage>,
        layout: JobLayout,
        random: &dyn RandomSource,
        now_ms: i64,
    ) -> Result<Self> {
        let first = highest_listed(&**storage, layout)?.next();
        let chain = Chain::take_over(storage, layout, first, random, now_ms)?;
        Ok(Fence { storage: Arc::clone(storage), layout, chain })
    }

    /// Deletes what nobody needs. Fails, and nothing is deleted, if anything that may count cannot be read.
    pub(in crate::checkpoint) fn collect(&mut self, wanted: Wanted<'_>, now_ms: i64) -> Result<Collection> {
        let listing = list(&*self.storage, &self.layout)?;
        let manifests = read_manifests(&*self.storage, &self.layout, &listing);
        let kept = self.kept(&manifests, wanted.gone)?;
        let next_id = self.chain.first_id();
        let below = next_id.max(self.chain.last().below);
        let seen = listing.iter().map(|name| {
            let since_ms = wanted.seen.get(name).copied().unwrap_or(now_ms);
            (name.clone(), gc::Seen { since_ms, next_id })
        });
        let view = View {
            next_id,
            boundary: below,
            kept: kept.clone(),
            manifests,
            leases: lease::read_all(&*self.storage, &self.layout)?.into_iter().map(|(_, lease)| lease).collect(),
            epoch: self.chain.last().epoch,
            highest_epoch: chain::read(&*self.storage, &self.layout)?.map_or(0, |record| record.epoch),
            seen: seen.collect::<SeenOrphans>(),
            now_ms,
            grace_ms: wanted.grace_ms,
            listing: Some(listing),
            #[cfg(feature = "test-util")]
            planted: None,
        };
        let plan = gc::plan(&view, |name| role(&self.layout, name))?;
        if !plan.is_empty() {
            self.decide(below, kept, now_ms)?;
            let leased = lease::read_all(&*self.storage, &self.layout)?;
            if leased.iter().any(|(_, lease)| !view.leases.contains(lease)) {
                return Err(Error::unavailable("nothing is deleted: somebody has begun to read a checkpoint"));
            }
            for name in plan.manifests.iter().chain(&plan.objects) {
                self.storage.delete(name).map_err(|error| error.in_file(name))?;
            }
        }
        Ok(Collection::of(&plan))
    }

    /// The checkpoints that count, without the one that is to go.
    fn kept(
        &self,
        manifests: &BTreeMap<CheckpointId, Content<ObjectPath>>,
        gone: Option<CheckpointId>,
    ) -> Result<BTreeSet<CheckpointId>> {
        let record = self.chain.last();
        let counts = |id: &CheckpointId| *id >= record.below || record.kept.binary_search(id).is_ok();
        // One that was recorded and is gone is a reason to stop, unless the snapshot that is to go was handed to somebody else
        // since, who must not depend on what became of the others.
        let recorded = if gone.is_none() { record.kept.as_slice() } else { &[] };
        let mut kept: BTreeSet<CheckpointId> = recorded.iter().copied().collect();
        for (id, content) in manifests.iter().filter(|(id, _)| counts(id) && Some(**id) != gone) {
            match content {
                Content::Names(_) => drop(kept.insert(*id)),
                Content::Sealed => {}
                Content::Unreadable { reason } => {
                    return Err(Error::unavailable(format!(
                        "nothing is deleted: what checkpoint {id} of job {} names is not known: {reason}",
                        self.layout.job()
                    )));
                }
            }
        }
        kept.retain(|id| Some(*id) != gone);
        Ok(kept)
    }

    /// Stores what counts from now on, so that nothing that a stalled coordinator still stores ever does.
    fn decide(&mut self, below: CheckpointId, kept: BTreeSet<CheckpointId>, now_ms: i64) -> Result<()> {
        for id in kept.iter().filter(|id| self.chain.last().kept.binary_search(id).is_err()) {
            // Whoever created the manifest may have died before it was durable.
            self.storage.persist(&layout::manifest(&self.layout.checkpoint(*id))?)?;
        }
        let kept: Vec<CheckpointId> = kept.into_iter().collect();
        self.chain.append(now_ms, |record| {
            record.below = below;
            record.kept.clone_from(&kept);
        })
    }

    /// Gives the job back: the next coordinator finds that nobody is at work.
    pub(in crate::checkpoint) fn lower(mut self, now_ms: i64) -> Result<()> {
        let unused = self.chain.first_id();
        self.chain.release(now_ms, unused)?;
        self.chain.prune()
    }
}
