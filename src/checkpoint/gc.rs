//! The one collector's plan: what may be deleted, and in which order.
//!
//! Nothing else in the crate deletes a stored object. The collector looks at everything, plans, then deletes; it may stop or
//! crash anywhere and start over. It deletes on proof, never on doubt: a leak costs space, a wrong deletion costs data.
//!
//! **What is deleted.** A manifest that the coordinator no longer keeps; with it, the objects that no other manifest names.
//! And orphans: objects that no manifest names because their checkpoint was aborted, or because a collector stopped
//! half-way.
//!
//! **Why an object in the making is safe.** Checkpoints are numbered, and the *boundary* is a number below which everything
//! is decided: each such checkpoint is stored, or never will be. An object that has no manifest may belong to a checkpoint in
//! the making, but only to one that was triggered before the object was seen. So the collector remembers, for each orphan,
//! the next checkpoint id at that moment, and deletes it only once the boundary has reached that id. No clock takes part in
//! this; the grace period comes on top, and only keeps young files for people to look at.
//!
//! **Why a stalled writer is harmless.** The boundary is stored before anything is deleted, and a writer reads it after it
//! has created its manifest: if its id lies below, it has been passed over, and its checkpoint counts for nothing (S-14). What
//! it left is a manifest below the boundary that the coordinator does not keep, and is deleted as such.
//!
//! **Order of looking**, on which the proof rests: list the objects, then note the next id; note the boundary and what is
//! kept, then read the manifests.
//!
//! **Order of deleting**: first store the boundary, then delete manifests, then objects, each step durable before the next
//! begins. So no manifest ever names an object that is gone.
//!
//! The plan is generic over the names; `storage::layout` tells what they mean, through a function that is passed in. What it
//! does not recognise is not ours and is never touched, nor is anything of the tasks' own, nor a savepoint.

use std::collections::{BTreeMap, BTreeSet};

use super::mistake::Mistake;
use crate::error::{Error, Result};
use crate::ids::CheckpointId;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The manifest slot of a checkpoint.
    Manifest(CheckpointId),
    /// An object of one checkpoint alone.
    Exclusive(CheckpointId),
    /// An object that several checkpoints may name.
    Shared,
    /// An object whose life the tasks decide.
    TaskOwned,
    /// Part of a savepoint: the user's.
    Savepoint,
}

/// What was found in a manifest slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<N> {
    /// A manifest that names these objects.
    Names(BTreeSet<N>),
    /// The mark of a checkpoint that was given up (see [`Action::SealSlot`](super::event::Action::SealSlot)). It stays.
    Sealed,
    /// It could not be read, or is damaged.
    Unreadable {
        /// Why.
        reason: String,
    },
}

/// Somebody reads a snapshot and wants it to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Which.
    pub id: CheckpointId,
    /// Until when, in milliseconds since the Unix epoch; never renewed for one already retired.
    pub expires_ms: i64,
}

/// When an orphan was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// At this time by the collector's own clock.
    pub since_ms: i64,
    /// The next checkpoint id was this.
    pub next_id: CheckpointId,
}

/// What is stored before anything is deleted, and read by every writer after it has created a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Boundary {
    /// Epoch of the coordinator that stored it.
    pub epoch: u64,
    /// Every checkpoint below this id is decided. It never decreases, and ids below it are never given again.
    pub below: CheckpointId,
}

impl Boundary {
    /// Whether a checkpoint that was just created counts. Otherwise its writer has been passed over and must stop.
    pub fn admits(&self, epoch: u64, id: CheckpointId) -> bool {
        epoch >= self.epoch && id >= self.below
    }
}

/// Everything the collector has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View<N> {
    /// Everything below the root of the job, or `None` if the listing broke off.
    pub listing: Option<BTreeSet<N>>,
    /// The id the next checkpoint will get, noted after the listing.
    pub next_id: CheckpointId,
    /// Every checkpoint below this id is decided. Noted before the manifests were read.
    pub boundary: CheckpointId,
    /// Completed checkpoints that are kept, or subsumed but still in use. Noted with the boundary.
    pub kept: BTreeSet<CheckpointId>,
    /// What was found in every manifest slot that is listed.
    pub manifests: BTreeMap<CheckpointId, Content<N>>,
    /// Leases, expired ones included.
    pub leases: Vec<Lease>,
    /// Epoch of this collector's coordinator.
    pub epoch: u64,
    /// The highest epoch found in storage.
    pub highest_epoch: u64,
    /// What earlier plans said about orphans. Losing it costs time, not safety.
    pub seen: BTreeMap<N, Seen>,
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// How long an orphan is left alone, in milliseconds.
    pub grace_ms: u64,
    /// A mistake that a test has planted.
    #[cfg(feature = "test-util")]
    pub planted: Option<Mistake>,
}

impl<N> View<N> {
    #[cfg(feature = "test-util")]
    fn errs(&self, mistake: Mistake) -> bool {
        self.planted == Some(mistake)
    }

    #[cfg(not(feature = "test-util"))]
    const fn errs(&self, _: Mistake) -> bool {
        false
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<N> {
    /// Store this boundary first, unless nothing is to be deleted.
    pub boundary: Boundary,
    /// Then delete these manifests, ascending by id.
    pub manifests: Vec<N>,
    /// Then delete these objects, ascending by name.
    pub objects: Vec<N>,
    /// To be given to the next plan: orphans that are not deleted yet.
    pub seen: BTreeMap<N, Seen>,
    /// Names that are not ours.
    pub foreign: usize,
}

impl<N> Plan<N> {
    /// Whether nothing is to be deleted.
    pub fn is_empty(&self) -> bool {
        self.manifests.is_empty() && self.objects.is_empty()
    }
}

/// Plans a collection. Fails with [`Unavailable`](crate::ErrorKind::Unavailable), and nothing may be deleted, if the view is
/// incomplete; with [`Aborted`](crate::ErrorKind::Aborted) if another coordinator has taken over.
///
/// `role` tells what a name stands for; `None` is not ours.
pub fn plan<N: Ord + Clone + std::fmt::Display>(view: &View<N>, role: impl Fn(&N) -> Option<Role>) -> Result<Plan<N>> {
    let listing = check_complete(view, &role)?;
    let retired: BTreeSet<CheckpointId> = view.manifests.keys().copied().filter(|id| is_retired(view, *id)).collect();
    let named = |wanted: bool| {
        let manifests = view.manifests.iter().filter(move |(id, _)| retired.contains(id) == wanted);
        manifests.filter_map(|(_, content)| names(content)).flatten().collect::<BTreeSet<&N>>()
    };
    let (dead, live) = (named.clone()(true), named(false));
    let collects = |name: &N| dead.contains(name) && view.errs(Mistake::CollectsShared);
    let mut plan = Plan {
        boundary: Boundary { epoch: view.epoch, below: view.boundary },
        manifests: Vec::new(),
        objects: Vec::new(),
        seen: BTreeMap::new(),
        foreign: 0,
    };
    for name in listing {
        match role(name) {
            None if view.errs(Mistake::CollectsForeign) => plan.objects.push(name.clone()),
            None => plan.foreign += 1,
            Some(Role::TaskOwned) if view.errs(Mistake::CollectsTaskOwned) => plan.objects.push(name.clone()),
            Some(Role::TaskOwned | Role::Savepoint) => {}
            Some(Role::Manifest(id)) => {
                if is_retired(view, id) {
                    plan.manifests.push(name.clone());
                }
            }
            Some(Role::Shared | Role::Exclusive(_)) if live.contains(name) && !collects(name) => {}
            Some(Role::Shared | Role::Exclusive(_)) if dead.contains(name) => plan.objects.push(name.clone()),
            Some(Role::Shared) => collect_orphan(view, name, true, &mut plan),
            Some(Role::Exclusive(id)) => collect_orphan(view, name, id < view.boundary, &mut plan),
        }
    }
    Ok(plan)
}

/// Plans the deletion of one savepoint, which only its owner can ask for: its manifest, then what it names. Fails with
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it names anything outside of its directory.
pub fn plan_disposal<N: Ord + Clone + std::fmt::Display>(
    manifest: N,
    names: &BTreeSet<N>,
    is_inside: impl Fn(&N) -> bool,
) -> Result<(N, Vec<N>)> {
    match names.iter().find(|name| !is_inside(name)) {
        Some(outside) => Err(Error::invalid_input(format!(
            "{manifest} names {outside}, which is not in its directory: this is not a self-contained savepoint, and what it \
             names may be in use elsewhere"
        ))),
        None => Ok((manifest, names.iter().cloned().collect())),
    }
}

fn names<N>(content: &Content<N>) -> Option<&BTreeSet<N>> {
    match content {
        Content::Names(names) => Some(names),
        Content::Sealed | Content::Unreadable { .. } => None,
    }
}

/// Whether the checkpoint is decided, not kept, not being read, and there is a manifest to delete. One that is damaged is
/// deleted, too, if it is not kept: what it named becomes an orphan.
fn is_retired<N>(view: &View<N>, id: CheckpointId) -> bool {
    let holds = |lease: &Lease| lease.expires_ms > view.now_ms || view.errs(Mistake::LeasesNeverEnd);
    let leased = view.leases.iter().any(|lease| lease.id == id && holds(lease));
    let sealed = match view.manifests.get(&id) {
        None => true,
        Some(Content::Sealed) => !view.errs(Mistake::CollectsSeals),
        Some(Content::Names(_) | Content::Unreadable { .. }) => false,
    };
    let decided = id < view.boundary || view.errs(Mistake::CollectsUndecided);
    let kept = view.kept.contains(&id) && !view.errs(Mistake::CollectsKept);
    decided && !kept && (!leased || view.errs(Mistake::CollectsLeased)) && !sealed
}

fn check_complete<N: Ord + std::fmt::Display>(
    view: &View<N>,
    role: impl Fn(&N) -> Option<Role>,
) -> Result<&BTreeSet<N>> {
    let disabled = |why: String| Error::unavailable(format!("nothing is collected: {why}"));
    if view.epoch != view.highest_epoch && !view.errs(Mistake::CollectsFenced) {
        let (ours, other) = (view.epoch, view.highest_epoch);
        return Err(Error::aborted(format!("nothing is collected: epoch {other} has taken over from epoch {ours}")));
    }
    let listing = view.listing.as_ref().ok_or_else(|| disabled("the listing is incomplete".into()))?;
    for name in listing {
        if let Some(Role::Manifest(id)) = role(name)
            && !view.manifests.contains_key(&id)
            && !view.errs(Mistake::UnreadIsEmpty)
        {
            return Err(disabled(format!("{name} is listed, but was not read")));
        }
    }
    for (id, content) in &view.manifests {
        if let Content::Unreadable { reason } = content
            && !is_retired(view, *id)
            && !view.errs(Mistake::UnreadableIsEmpty)
        {
            return Err(disabled(format!("checkpoint {id} is in use, but its manifest cannot be read: {reason}")));
        }
    }
    match view.kept.iter().find(|id| !matches!(view.manifests.get(id), Some(Content::Names(_)))) {
        Some(id) if !view.errs(Mistake::KeptMayBeMissing) => {
            Err(disabled(format!("checkpoint {id} is kept, but has no manifest")))
        }
        _ => Ok(listing),
    }
}

/// Deletes an orphan, or remembers it. `decided` tells whether its own checkpoint, where its name tells one, is.
fn collect_orphan<N: Ord + Clone>(view: &View<N>, name: &N, decided: bool, plan: &mut Plan<N>) {
    let first = Seen { since_ms: view.now_ms, next_id: view.next_id };
    let mut seen = view.seen.get(name).copied().unwrap_or(first);
    // A clock that went back makes it as young as can be.
    seen.since_ms = seen.since_ms.min(view.now_ms);
    let age_ms = u64::try_from(view.now_ms.saturating_sub(seen.since_ms)).unwrap_or(0);
    let decided = decided || view.errs(Mistake::CollectsPendingDirectory);
    let unneeded = seen.next_id <= view.boundary || view.errs(Mistake::CollectsUploads);
    let old = age_ms >= view.grace_ms || view.errs(Mistake::GraceIgnored);
    if decided && unneeded && old && !view.errs(Mistake::OrphansStay) {
        plan.objects.push(name.clone());
    } else {
        plan.seen.insert(name.clone(), seen);
    }
}

#[cfg(test)]
mod tests;
