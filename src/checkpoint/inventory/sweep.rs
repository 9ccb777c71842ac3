//! Cleaning up where no coordinator runs: what nobody names and is old enough.
//!
//! A running coordinator knows which checkpoints are in the making and needs no ages. From outside only age tells an upload that
//! was abandoned from one that is still wanted. So nothing younger than a given age is touched: it must be longer than any
//! checkpoint of any job may take, and longer than clocks may differ. Should it be too short all the same, a checkpoint fails
//! to be published, because what it names is looked at before; what was published is never touched.
//!
//! A job whose coordinator has not ended in order, and that has stored anything within that age, may be running, and is left
//! alone: it cleans up after itself. Any other is taken over before something of it is deleted, and given back afterwards. So
//! a coordinator that lives all the same is passed over and learns it, as if another had been started, and the plan is made anew
//! from what is there then. Savepoints in the making and leftovers of writers belong to no job that could be asked: age alone
//! decides about them.
//!
//! What tasks own is never deleted from outside: see [`TaskOwned`](crate::snapshot::TaskOwned). Of a job that will not run again it may be
//! deleted by hand.
//!
//! A job of which some manifest, or the record, cannot be read is left alone: what it names is not known. So are the jobs and
//! savepoints of Apache Flink, which cleans up by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Condition, Inventory, JobInventory, Snapshot};
use crate::checkpoint::driver::{Collection, Fence, Wanted};
use crate::error::Result;
use crate::ids::JobId;
use crate::random::RandomSource;
use crate::storage::layout::JobLayout;
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
            let obstacle = match obstacle(job) {
                None => sign_of_life(job, now_ms, &age)?,
                found => found,
            };
            match obstacle {
                Some(reason) => sweep.skipped.push((job.id, reason)),
                None => sweep.add_job(job, now_ms, &age)?,
            }
        }
        for job in &inventory.flink_jobs {
            sweep.skipped.push((job.id, "it is a job of Apache Flink, which cleans up by itself".to_owned()));
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

    /// Deletes what was planned, and says what was deleted. It may stop anywhere and be planned anew.
    ///
    /// Every job that something is deleted of is taken over. What has become of it since the plan decides: less may be deleted, and
    /// nothing of a job that cannot be read any more, which is then among those that were left alone.
    pub fn carry_out(&self, storage: &Arc<dyn Storage>, random: &dyn RandomSource, now_ms: i64) -> Result<Sweep> {
        let lengths: BTreeMap<&ObjectPath, u64> =
            self.manifests.iter().chain(&self.objects).map(|(name, length)| (name, *length)).collect();
        let job_of = |name: &ObjectPath| name.segments().next().and_then(layout::parse_job);
        let jobs: BTreeSet<JobId> = lengths.keys().filter_map(|name| job_of(name)).collect();
        let mut done = Sweep {
            manifests: Vec::new(),
            objects: Vec::new(),
            leftovers: Vec::new(),
            skipped: self.skipped.clone(),
            ..self.clone()
        };
        let with_length = |name: &ObjectPath| (name.clone(), lengths.get(name).copied().unwrap_or(0));
        for job in jobs {
            match self.sweep_job(storage, JobLayout::new(job), random, now_ms) {
                Ok(deleted) => {
                    done.manifests.extend(deleted.manifests.iter().map(with_length));
                    done.objects.extend(deleted.objects.iter().map(with_length));
                }
                Err(error) => done.skipped.push((job, error.to_string())),
            }
        }
        for (name, length) in self.objects.iter().filter(|(name, _)| job_of(name).is_none()) {
            storage.delete(name).map_err(|error| error.in_file(name))?;
            done.objects.push((name.clone(), *length));
        }
        for leftover in &self.leftovers {
            storage.remove_leftover(leftover)?;
            done.leftovers.push(leftover.clone());
        }
        Ok(done)
    }

    fn sweep_job(
        &self,
        storage: &Arc<dyn Storage>,
        layout: JobLayout,
        random: &dyn RandomSource,
        now_ms: i64,
    ) -> Result<Collection> {
        // What was planned is old, and what came since is new.
        let old_ms = now_ms.saturating_sub(1);
        let seen = self.objects.iter().map(|(name, _)| (name.clone(), old_ms)).collect();
        let mut fence = Fence::raise(storage, layout, random, now_ms)?;
        let deleted = fence.collect(Wanted { gone: None, seen: &seen, grace_ms: 1 }, now_ms);
        let lowered = fence.lower(now_ms);
        deleted.and_then(|deleted| lowered.map(|()| deleted))
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

/// Why the job may be running: its coordinator has not ended, and something was stored not long ago.
fn sign_of_life(job: &JobInventory, now_ms: i64, age: &Age<'_>) -> Result<Option<String>> {
    let Some(record) = job.record.as_ref().filter(|record| !record.is_released()) else { return Ok(None) };
    let manifests = job.checkpoints.iter().filter(|snapshot| snapshot.manifest.is_some());
    let manifests = manifests.map(|snapshot| layout::manifest(&snapshot.directory)).collect::<Result<Vec<_>>>()?;
    let record_path = JobLayout::new(job.id).record(record.number);
    for name in [record_path].into_iter().chain(manifests).chain(job.unreferenced().into_keys()) {
        let created_ms = age.storage.created_ms(&name)?;
        if !age.is_over(created_ms) {
            let when = created_ms.map_or_else(
                || "nobody knows when".to_owned(),
                |created_ms| format!("{} s ago", now_ms.saturating_sub(created_ms) / 1_000),
            );
            return Ok(Some(format!(
                "it may be running: its coordinator (epoch {}) has not ended, and {name} was stored {when}; a running job \
                 cleans up after itself, so stop it, or wait until it has been silent for the given age",
                record.epoch
            )));
        }
    }
    Ok(None)
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
