//! The collector at work: it looks at everything, plans, and deletes. Nothing else in the crate deletes what a running job
//! has stored.
//!
//! No manifest names an object outside of its own root, so every root is collected by a plan of its own, from a complete
//! view of that root: the directory of the job, and what the job was started from, once it is claimed and no longer needed.

use std::collections::{BTreeMap, BTreeSet};

use super::chain;
use super::fence::{Fence, Wanted};
use super::lease;
use super::slot::{Found, Location};
use super::{Driver, SeenOrphans};
use crate::checkpoint::gc::{self, Content, Lease, Plan, Role, View};
use crate::checkpoint::mistake::Mistake;
use crate::checkpoint::shared_state;
use crate::error::{Error, Result};
use crate::format::manifest::Manifest;
use crate::ids::CheckpointId;
use crate::snapshot::object_path;
use crate::storage::layout::{self, JobLayout, Member, SnapshotDirectory};
use crate::storage::{ObjectPath, Storage};

/// Pause before a collection that failed is tried again, in milliseconds.
const RETRY_MS: i64 = 5_000;

/// When and how a driver collects.
#[derive(Debug)]
pub(super) struct Collector {
    /// How long an orphan is left alone, in milliseconds.
    pub(super) grace_ms: u64,
    /// How far the clocks of readers may be behind, in milliseconds.
    pub(super) skew_ms: u64,
    /// When to look again.
    pub(super) due_ms: Option<i64>,
    pub(super) seen: SeenOrphans,
    pub(super) last: Option<Collection>,
    pub(super) failure: Option<Error>,
}

/// What a collection did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collection {
    /// Manifests that are deleted, in this order, before the objects.
    pub manifests: Vec<ObjectPath>,
    /// Objects that are deleted.
    pub objects: Vec<ObjectPath>,
    /// Objects that no manifest names and that are left alone for now.
    pub orphans: usize,
    /// Names that are not ours.
    pub foreign: usize,
}

impl Collector {
    pub(super) fn new(grace_ms: u64, skew_ms: u64, now_ms: i64) -> Self {
        let (seen, last, failure) = (SeenOrphans::new(), None, None);
        Collector { grace_ms, skew_ms, due_ms: Some(now_ms), seen, last, failure }
    }

    /// There may be something to collect.
    pub(super) fn look_at(&mut self, at_ms: i64) {
        self.due_ms = Some(self.due_ms.map_or(at_ms, |due_ms| due_ms.min(at_ms)));
    }
}

impl Driver {
    /// What the last collection did.
    pub fn last_collection(&self) -> Option<&Collection> {
        self.collector.last.as_ref()
    }

    /// Why the last collection failed, if it did. Nothing is lost by that, and it is tried again.
    pub fn collection_failure(&self) -> Option<&Error> {
        self.collector.failure.as_ref()
    }

    /// What a collection would do now. Deletes nothing.
    pub fn plan_collection(&self, now_ms: i64) -> Result<Collection> {
        self.plan(now_ms).map(|plan| Collection::of(&plan))
    }

    /// Collects now. Fails with [`Unavailable`](crate::ErrorKind::Unavailable), and deletes nothing, if something could not be read.
    pub fn collect(&mut self, now_ms: i64) -> Result<Collection> {
        let collected = self.collect_all(now_ms);
        let collector = &mut self.collector;
        collector.failure = None;
        match collected {
            Ok(collection) => {
                let wait_ms = i64::try_from(collector.grace_ms).unwrap_or(i64::MAX).max(RETRY_MS);
                let again = (collection.orphans > 0).then_some(now_ms.saturating_add(wait_ms));
                collector.due_ms = again;
                collector.last = Some(collection.clone());
                Ok(collection)
            }
            Err(error) => {
                collector.due_ms = Some(now_ms.saturating_add(RETRY_MS));
                let told = Error::new(error.kind(), error.message());
                collector.failure = Some(error);
                Err(told)
            }
        }
    }

    fn collect_all(&mut self, now_ms: i64) -> Result<Collection> {
        if self.coordinator.is_publishing() && !self.errs(Mistake::CollectsWhilePublishing) {
            return Err(Error::unavailable("nothing is collected: a manifest may be on its way"));
        }
        let plan = self.plan(now_ms)?;
        if !plan.is_empty() {
            if !self.errs(Mistake::DeletesBeforeRecord) {
                self.record(now_ms, plan.boundary.below)?;
            }
            let leased = if self.errs(Mistake::LeasesReadOnce) { Vec::new() } else { self.leases()? };
            let taken = |name: &ObjectPath| match self.layout.member(name) {
                Some(Member::Manifest(id)) => leased.iter().any(|lease| lease.id == id && lease.expires_ms > now_ms),
                _ => false,
            };
            if let Some(name) = plan.manifests.iter().find(|name| taken(name)) {
                return Err(Error::unavailable(format!("nothing is collected: somebody has begun to read {name}")));
            }
            let mut order: Vec<&ObjectPath> = plan.manifests.iter().chain(&plan.objects).collect();
            if self.errs(Mistake::ObjectsBeforeManifests) {
                order.reverse();
            }
            for name in order {
                self.storage.delete(name)?;
            }
        }
        let mut collection = Collection::of(&plan);
        self.collector.seen = plan.seen;
        self.collect_origin(now_ms, &mut collection)?;
        self.tidy_control(now_ms)?;
        Ok(collection)
    }

    /// Stores what counts from now on.
    pub(super) fn record(&mut self, now_ms: i64, below: CheckpointId) -> Result<()> {
        let kept: Vec<CheckpointId> =
            self.coordinator.completed().in_use().collect::<BTreeSet<_>>().into_iter().collect();
        let reserved = self.chain.last().reserved;
        self.chain.append(now_ms, |record| {
            record.below = below.max(record.below).min(reserved);
            record.kept.clone_from(&kept);
        })
    }

    fn leases(&self) -> Result<Vec<Lease>> {
        let skew_ms = if self.errs(Mistake::SkewIgnored) { 0 } else { self.collector.skew_ms };
        let later = |lease: Lease| Lease { expires_ms: lease.expires_ms.saturating_add_unsigned(skew_ms), ..lease };
        Ok(lease::read_all(&*self.storage, &self.layout)?.into_iter().map(|(_, lease)| later(lease)).collect())
    }

    /// The order of looking is that of [`gc`].
    fn plan(&self, now_ms: i64) -> Result<Plan<ObjectPath>> {
        let is_partial = self.coordinator.registry().view() == shared_state::View::Partial;
        if is_partial && !self.errs(Mistake::CollectsPartialView) {
            return Err(Error::unavailable(
                "nothing is collected: some checkpoints could not be read when the job was taken over, and what they name \
                 may be in use; repair or remove them, and start again",
            ));
        }
        let listing = list(&*self.storage, &self.layout)?;
        let next_id = self.coordinator.next_id();
        let boundary = self.coordinator.boundary();
        let in_use = self.coordinator.completed().in_use();
        let kept = in_use.filter(|id| !self.elsewhere.contains_key(id)).collect();
        let leases = self.leases()?;
        let manifests = read_manifests(&*self.storage, &self.layout, &listing);
        let highest = chain::read(&*self.storage, &self.layout)?;
        let view = View {
            listing: Some(listing),
            next_id,
            boundary,
            kept,
            manifests,
            leases,
            epoch: self.chain.last().epoch,
            highest_epoch: highest.map_or(0, |record| record.epoch),
            seen: self.collector.seen.clone(),
            now_ms,
            grace_ms: self.collector.grace_ms,
            #[cfg(feature = "test-util")]
            planted: self.coordinator.config().planted,
        };
        gc::plan(&view, |name| role(&self.layout, name))
    }

    /// Deletes what the job was started from, once it belongs to the job and no checkpoint is restored from it any more.
    fn collect_origin(&mut self, now_ms: i64, collection: &mut Collection) -> Result<()> {
        let record = self.chain.last().clone();
        let Some(origin) = record.origin.filter(|_| record.claimed) else { return Ok(()) };
        let needed = self.coordinator.completed().in_use().any(|id| id == origin.checkpoint);
        if needed && !self.errs(Mistake::OriginTooSoon) {
            return Ok(());
        }
        if record.kept.contains(&origin.checkpoint) {
            self.record(now_ms, self.coordinator.boundary())?;
        }
        let directory = ObjectPath::parse(&origin.directory)?;
        let location = self.locate(&origin.place, directory)?;
        let deleted = delete_snapshot(&location, origin.checkpoint, &*self.random, now_ms)?;
        collection.manifests.extend(deleted.manifests);
        collection.objects.extend(deleted.objects);
        // As long as the deletion may be undone, the next start has to finish it.
        if !self.errs(Mistake::OriginForgottenTooSoon) {
            for directory in directories_of(&location) {
                location.storage.persist_deletions(&directory)?;
            }
        }
        self.chain.append(now_ms, |record| record.claimed = false)?;
        self.elsewhere.remove(&origin.checkpoint);
        Ok(())
    }

    fn tidy_control(&self, now_ms: i64) -> Result<()> {
        self.chain.prune()?;
        for (path, lease) in lease::read_all(&*self.storage, &self.layout)? {
            if lease.expires_ms.saturating_add_unsigned(self.collector.skew_ms) <= now_ms {
                self.storage.delete(&path)?;
            }
        }
        Ok(())
    }
}

impl Collection {
    pub(super) fn of(plan: &Plan<ObjectPath>) -> Self {
        Collection {
            manifests: plan.manifests.clone(),
            objects: plan.objects.clone(),
            orphans: plan.seen.len(),
            foreign: plan.foreign,
        }
    }
}

/// What the job stored, without what its coordinators agree by.
pub(super) fn list(storage: &dyn Storage, layout: &JobLayout) -> Result<BTreeSet<ObjectPath>> {
    let listed = storage.list(Some(&layout.root()))?.into_iter().map(|info| info.path);
    let is_control = |name: &ObjectPath| matches!(layout.member(name), Some(Member::Record(_) | Member::Lease));
    Ok(listed.filter(|name| !is_control(name)).collect())
}

pub(super) fn role(layout: &JobLayout, name: &ObjectPath) -> Option<Role> {
    match layout.member(name)? {
        Member::Manifest(id) => Some(Role::Manifest(id)),
        Member::Exclusive(id) => Some(Role::Exclusive(id)),
        Member::Shared => Some(Role::Shared),
        Member::TaskOwned => Some(Role::TaskOwned),
        Member::Record(_) | Member::Lease => None,
    }
}

pub(super) fn read_manifests(
    storage: &dyn Storage,
    layout: &JobLayout,
    listing: &BTreeSet<ObjectPath>,
) -> BTreeMap<CheckpointId, Content<ObjectPath>> {
    let mut manifests = BTreeMap::new();
    for name in listing {
        if let Some(Member::Manifest(id)) = layout.member(name) {
            let content = content(storage, &layout.checkpoint(id));
            let unreadable = |error: Error| Content::Unreadable { reason: error.to_string() };
            manifests.insert(id, content.unwrap_or_else(unreadable));
        }
    }
    manifests
}

/// What a manifest names. One that is gone since it was listed names nothing any more, but says so.
fn content(storage: &dyn Storage, directory: &ObjectPath) -> Result<Content<ObjectPath>> {
    let path = layout::manifest(directory)?;
    let bytes = storage.open(&path)?;
    if crate::format::control::Control::is_control(bytes.as_slice()) {
        crate::format::control::Control::decode(bytes.as_slice())?;
        return Ok(Content::Sealed);
    }
    let manifest = Manifest::decode(bytes.as_slice())?;
    names(&manifest, directory).map(Content::Names)
}

fn names(manifest: &Manifest, directory: &ObjectPath) -> Result<BTreeSet<ObjectPath>> {
    manifest.objects().map(|object| object_path(directory, object.scope, &object.name)).collect()
}

/// Where the objects of a snapshot lie.
fn directories_of(location: &Location) -> Vec<ObjectPath> {
    let shared = job_of(&location.directory).map(|(layout, _)| layout.shared());
    [location.directory.clone()].into_iter().chain(shared).collect()
}

/// Deletes a snapshot that nobody needs any more: a savepoint with what it names, or a checkpoint of another job with what
/// no other checkpoint of that job names. The other job's coordinator, if it still runs, is passed over first.
pub(super) fn delete_snapshot(
    location: &Location,
    id: CheckpointId,
    random: &dyn crate::random::RandomSource,
    now_ms: i64,
) -> Result<Collection> {
    match job_of(&location.directory) {
        Some((layout, checkpoint)) if checkpoint == id => delete_checkpoint(location, layout, id, random, now_ms),
        _ => {
            let mut deleted = delete_self_contained(location)?;
            // What a crash has brought back of an earlier deletion, without its manifest.
            for info in location.storage.list(Some(&location.directory))? {
                let is_inside = info.path.parent().as_ref() == Some(&location.directory);
                if is_inside && layout::is_object_name(info.path.file_name()) {
                    location.storage.delete(&info.path)?;
                    deleted.objects.push(info.path);
                }
            }
            Ok(deleted)
        }
    }
}

/// The job and number of a checkpoint, by its directory: `{job-id}/chk-N`.
pub(super) fn job_of(directory: &ObjectPath) -> Option<(JobLayout, CheckpointId)> {
    let mut segments = directory.segments();
    let job = layout::parse_job(segments.next()?)?;
    match (SnapshotDirectory::parse(segments.next()?), segments.next()) {
        (Some(SnapshotDirectory::Checkpoint(id)), None) => Some((JobLayout::new(job), id)),
        _ => None,
    }
}

/// Deletes a savepoint, or another snapshot that names nothing outside of its directory: its manifest, then what it names.
pub(in crate::checkpoint) fn delete_self_contained(location: &Location) -> Result<Collection> {
    let manifest = match location.find()? {
        Found::Nothing => return Ok(Collection::default()),
        Found::Seal => {
            return Err(Error::invalid_input("there is no snapshot, only the mark of one that was given up"));
        }
        Found::Bytes(bytes) => Manifest::decode(bytes.as_slice()),
    };
    let slot = location.slot()?;
    let manifest = manifest.map_err(|error| error.in_file(&slot))?;
    let names = names(&manifest, &location.directory)?;
    let (slot, objects) = gc::plan_disposal(slot, &names, |name| name.is_below(&location.directory))?;
    for name in std::iter::once(&slot).chain(&objects) {
        location.storage.delete(name).map_err(|error| error.in_file(name))?;
    }
    Ok(Collection { manifests: vec![slot], objects, ..Collection::default() })
}

/// What a crash has left of an earlier deletion goes as well: nobody writes there any more, so what no manifest names is old.
fn delete_checkpoint(
    location: &Location,
    layout: JobLayout,
    id: CheckpointId,
    random: &dyn crate::random::RandomSource,
    now_ms: i64,
) -> Result<Collection> {
    let mut fence = Fence::raise(&location.storage, layout, random, now_ms)?;
    let deleted = fence.collect(Wanted { gone: Some(id), seen: &BTreeMap::new(), grace_ms: 0 }, now_ms)?;
    fence.lower(now_ms)?;
    Ok(Collection { orphans: 0, ..deleted })
}
