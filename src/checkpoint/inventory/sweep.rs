//! Cleaning up where no coordinator runs: what nobody names and is old enough.
//!
//! A running coordinator knows which checkpoints are in the making and needs no ages. From outside only age tells an upload that
//! was abandoned from one that is still wanted. So nothing younger than a given age is touched: it must be longer than any
//! checkpoint of any job may take, and longer than clocks may differ. Should it be too short all the same, a checkpoint fails
//! to be published, because what it names is looked at before; what was published is never touched.
//!
//! What tasks own is never deleted from outside: see [`TaskOwned`](crate::snapshot::TaskOwned). Of a job that will not run again it may be
//! deleted by hand.
//!
//! A job of which some manifest, or the record, cannot be read is left alone: what it names is not known.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Condition, Inventory, JobInventory, Snapshot};
use crate::error::Result;
use crate::ids::JobId;
use crate::storage::{Leftover, ObjectPath, Storage, layout};

/// What is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sweep {
    /// Manifests that do not count any more; they go first.
    pub manifests: Vec<(ObjectPath, u64)>,
    /// Objects that no manifest that counts names.
    pub objects: Vec<(ObjectPath, u64)>,
    /// What unfinished writers left behind.
    pub leftovers: Vec<Leftover>,
    /// Number of the same that are too young, or whose age nobody knows.
    pub young: usize,
    /// Number of objects that tasks own and that are left alone, whatever their age.
    pub task_owned: usize,
    /// Bytes of these.
    pub task_owned_bytes: u64,
    /// Jobs that are left alone, and why.
    pub skipped: Vec<(JobId, String)>,
}

impl Sweep {
    /// Plans what to delete: everything that nobody needs and that is older than `older_than_ms` at `now_ms`.
    pub fn plan(storage: &Arc<dyn Storage>, now_ms: i64, older_than_ms: u64) -> Result<Self> {
        let inventory = Inventory::read(storage)?;
        let age = Age { storage, before_ms: now_ms.saturating_sub_unsigned(older_than_ms), always: older_than_ms == 0 };
        let mut sweep = Sweep::default();
        for job in &inventory.jobs {
            match obstacle(job) {
                Some(reason) => sweep.skipped.push((job.id, reason)),
                None => sweep.add_job(job, now_ms, &age)?,
            }
        }
        for savepoint in inventory.savepoints.iter().filter(|own| own.condition == Condition::Incomplete) {
            sweep.add_objects(savepoint.inside.iter().map(|(name, length)| (name.clone(), *length)), &age)?;
        }
        for leftover in storage.leftovers()? {
            if age.is_over(leftover.written_ms) {
                sweep.leftovers.push(leftover);
            } else {
                sweep.young = sweep.young.saturating_add(1);
            }
        }
        Ok(sweep)
    }

    fn add_job(&mut self, job: &JobInventory, now_ms: i64, age: &Age<'_>) -> Result<()> {
        let leased = |snapshot: &Snapshot| {
            job.leases.iter().any(|lease| Some(lease.checkpoint) == snapshot.id && lease.expires_ms > now_ms)
        };
        let mut names: BTreeSet<&ObjectPath> = job.holders().into_keys().collect();
        for snapshot in job.checkpoints.iter().filter(|snapshot| snapshot.condition == Condition::Retired) {
            let manifest = layout::manifest(&snapshot.directory)?;
            if leased(snapshot) || !age.is_over(age.storage.created_ms(&manifest)?) {
                names.extend(snapshot.names.keys());
                self.young = self.young.saturating_add(1);
            } else {
                let length = age.storage.length(&manifest)?.unwrap_or(0);
                self.manifests.push((manifest, length));
            }
        }
        let owned = job.task_owned();
        self.task_owned = self.task_owned.saturating_add(owned.len());
        self.task_owned_bytes = owned.values().fold(self.task_owned_bytes, |sum, length| sum.saturating_add(*length));
        let free = job.objects.iter().filter(|(name, _)| !names.contains(name) && !owned.contains_key(*name));
        let free: Vec<(ObjectPath, u64)> = free.map(|(name, length)| (name.clone(), *length)).collect();
        self.add_objects(free.into_iter(), age)
    }

    fn add_objects(&mut self, objects: impl Iterator<Item = (ObjectPath, u64)>, age: &Age<'_>) -> Result<()> {
        for (name, length) in objects {
            if age.is_over(age.storage.created_ms(&name)?) {
                self.objects.push((name, length));
            } else {
                self.young = self.young.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Whether there is nothing to delete.
    pub fn is_empty(&self) -> bool {
        self.manifests.is_empty() && self.objects.is_empty() && self.leftovers.is_empty()
    }

    /// Bytes that deleting frees.
    pub fn bytes(&self) -> u64 {
        let objects = self.manifests.iter().chain(&self.objects).map(|(_, length)| *length);
        objects.chain(self.leftovers.iter().map(|leftover| leftover.length)).fold(0, u64::saturating_add)
    }

    /// Deletes what was planned: manifests, then objects, then leftovers. It may stop anywhere and be planned anew.
    pub fn carry_out(&self, storage: &Arc<dyn Storage>) -> Result<()> {
        for (name, _) in self.manifests.iter().chain(&self.objects) {
            storage.delete(name).map_err(|error| error.in_file(name))?;
        }
        self.leftovers.iter().try_for_each(|leftover| storage.remove_leftover(leftover))
    }
}

/// Why nothing of this job may be deleted.
fn obstacle(job: &JobInventory) -> Option<String> {
    if let Some(failure) = &job.record_failure {
        return Some(format!("its record cannot be read: {failure}"));
    }
    let unclear = job.checkpoints.iter().find(|snapshot| snapshot.is_unclear())?;
    let reason = match &unclear.condition {
        Condition::Damaged { reason } | Condition::Unreadable { reason } => reason.as_str(),
        _ => "",
    };
    Some(format!("what {} names is not known: {reason}", unclear.directory))
}

/// What is old enough.
struct Age<'a> {
    storage: &'a Arc<dyn Storage>,
    before_ms: i64,
    always: bool,
}

impl Age<'_> {
    fn is_over(&self, created_ms: Option<i64>) -> bool {
        self.always || created_ms.is_some_and(|created_ms| created_ms <= self.before_ms)
    }
}
