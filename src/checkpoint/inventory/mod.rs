//! What lies below the root of a storage: jobs, their checkpoints, savepoints, and what belongs to none of them.
//!
//! For looking at, and for cleaning up, where no coordinator runs. Everything is listed once and every manifest is read;
//! objects are not opened. Nothing is changed but by [`sweep`] and [`dispose`].

mod flink;
pub mod sweep;

pub use flink::{FlinkJob, FlinkSnapshot};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::driver::{self, Collection, Location};
use crate::error::{Error, ErrorKind, Result};
use crate::format::control::{Control, Lease, Record};
use crate::format::manifest::{Manifest, ObjectScope};
use crate::ids::{CheckpointId, JobId};
use crate::snapshot::object_path;
use crate::storage::layout::{self, JobLayout, MANIFEST_NAME, Member, SnapshotDirectory};
use crate::storage::{ObjectPath, Storage};

/// Everything below the root of a storage.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The jobs, ascending by id.
    pub jobs: Vec<JobInventory>,
    /// Savepoints, and other snapshots in directories right below the root, ascending by name.
    pub savepoints: Vec<Snapshot>,
    /// The jobs of Apache Flink, ascending by id.
    pub flink_jobs: Vec<FlinkJob>,
    /// Savepoints of Apache Flink, and other snapshots of its in directories right below the root, ascending by name.
    pub flink_savepoints: Vec<FlinkSnapshot>,
    /// Objects whose names belong to none of these.
    pub foreign: usize,
}

/// Everything below the directory of one job.
#[derive(Debug, Clone)]
pub struct JobInventory {
    /// The job.
    pub id: JobId,
    /// Who coordinates it, and what is decided; `None` if nobody ever has.
    pub record: Option<Record>,
    /// Why the record could not be read, if it is there. Then nobody knows which checkpoints count.
    pub record_failure: Option<String>,
    /// Its checkpoints, complete or not, ascending by number.
    pub checkpoints: Vec<Snapshot>,
    /// Who reads which checkpoint.
    pub leases: Vec<Lease>,
    /// Every object of the job that is no manifest and no control object, with its length.
    pub objects: BTreeMap<ObjectPath, u64>,
}

/// A directory of a snapshot.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The directory.
    pub directory: ObjectPath,
    /// The number in its name, if it is a checkpoint.
    pub id: Option<CheckpointId>,
    /// Whether a job can be restored from it.
    pub condition: Condition,
    /// Its manifest, if that can be read.
    pub manifest: Option<Manifest>,
    /// Objects that it names, with the length that it says.
    pub names: BTreeMap<ObjectPath, u64>,
    /// Objects in its directory, named or not, but for the manifest.
    pub inside: BTreeMap<ObjectPath, u64>,
}

/// Whether a job can be restored from a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Everything that the manifest names is there, with its length.
    Restorable,
    /// There is no manifest: it is in the making, or never was completed.
    Incomplete,
    /// It was given up.
    Sealed,
    /// It has been replaced by newer ones, or its writer was passed over: it does not count any more, and is on its way out.
    Retired,
    /// The manifest is damaged.
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// Objects that the manifest names are missing, or have another length.
    Missing {
        /// Which.
        objects: Vec<ObjectPath>,
    },
    /// The manifest cannot be read now, or not by this build.
    Unreadable {
        /// Why.
        reason: String,
    },
}

impl Snapshot {
    /// Bytes of the objects that it names, each counted once.
    pub fn bytes(&self) -> u64 {
        total(&self.names)
    }

    /// Whether the objects that its manifest names have to stay: everything that has a readable manifest, but what a record
    /// says is decided and not kept.
    pub fn is_live(&self) -> bool {
        self.manifest.is_some() && self.condition != Condition::Retired
    }

    /// Whether its manifest is there and may name anything.
    pub fn is_unclear(&self) -> bool {
        matches!(self.condition, Condition::Damaged { .. } | Condition::Unreadable { .. })
    }
}

impl JobInventory {
    /// How many live checkpoints name each object.
    pub fn holders(&self) -> BTreeMap<&ObjectPath, usize> {
        holders(self.checkpoints.iter().filter(|snapshot| snapshot.is_live()).map(|own| &own.names))
    }

    /// Bytes that would be freed if this checkpoint alone went: of objects that no other live one names.
    pub fn exclusive_bytes(&self, snapshot: &Snapshot) -> u64 {
        exclusive_bytes(&snapshot.names, &self.holders())
    }

    /// Objects that tasks own, with their lengths: only these know what they still need of them.
    pub fn task_owned(&self) -> BTreeMap<ObjectPath, u64> {
        let layout = JobLayout::new(self.id);
        let own = self.objects.iter().filter(|(name, _)| layout.member(name) == Some(Member::TaskOwned));
        own.map(|(name, length)| (name.clone(), *length)).collect()
    }

    /// Objects that no live checkpoint names, and no task owns, with their lengths. Those of checkpoints in the making are among
    /// them.
    pub fn unreferenced(&self) -> BTreeMap<ObjectPath, u64> {
        let (holders, owned) = (self.holders(), self.task_owned());
        let free = self.objects.iter().filter(|(name, _)| !holders.contains_key(*name) && !owned.contains_key(*name));
        free.map(|(name, length)| (name.clone(), *length)).collect()
    }
}

impl Inventory {
    /// Looks at everything. Fails if the storage cannot be listed; what cannot be read besides is in the result.
    pub fn read(storage: &Arc<dyn Storage>) -> Result<Self> {
        let mut objects: BTreeMap<ObjectPath, u64> = BTreeMap::new();
        objects.extend(storage.list(None)?.into_iter().map(|info| (info.path, info.length)));
        let look = Look { storage, objects: &objects };
        let mut found = Inventory::default();
        let mut others = Vec::new();
        for id in objects.keys().filter_map(job_of).collect::<BTreeSet<JobId>>() {
            match look.flink_job(id) {
                Some(job) => found.flink_jobs.push(job),
                None => others.push(id),
            }
        }
        let mut savepoints: BTreeSet<ObjectPath> = BTreeSet::new();
        let mut members: BTreeMap<JobId, BTreeSet<&ObjectPath>> = BTreeMap::new();
        for path in objects.keys() {
            match job_of(path) {
                Some(job) if JobLayout::new(job).member(path).is_some() && others.binary_search(&job).is_ok() => {
                    members.entry(job).or_default().insert(path);
                }
                Some(job) if others.binary_search(&job).is_err() => {}
                _ if is_savepoint(path) => savepoints.extend(path.parent()),
                _ => found.foreign = found.foreign.saturating_add(1),
            }
        }
        found.jobs = members.into_iter().map(|(job, paths)| look.job(job, &paths)).collect();
        for directory in savepoints {
            if look.is_of_flink(&directory) {
                found.flink_savepoints.push(look.flink_snapshot(directory, None));
            } else {
                found.savepoints.push(look.snapshot(directory, None));
            }
        }
        Ok(found)
    }
}

/// The job in whose directory an object lies.
fn job_of(path: &ObjectPath) -> Option<JobId> {
    path.segments().next().and_then(layout::parse_job)
}

/// Sum of the lengths of objects.
fn total(objects: &BTreeMap<ObjectPath, u64>) -> u64 {
    objects.values().fold(0, |sum, length| sum.saturating_add(*length))
}

/// How many snapshots name each object.
fn holders<'a>(names: impl Iterator<Item = &'a BTreeMap<ObjectPath, u64>>) -> BTreeMap<&'a ObjectPath, usize> {
    let mut holders = BTreeMap::new();
    for name in names.flat_map(BTreeMap::keys) {
        let count: &mut usize = holders.entry(name).or_default();
        *count = count.saturating_add(1);
    }
    holders
}

/// Bytes of what one snapshot names and no other.
fn exclusive_bytes(names: &BTreeMap<ObjectPath, u64>, holders: &BTreeMap<&ObjectPath, usize>) -> u64 {
    let alone = names.iter().filter(|(name, _)| holders.get(name).copied().unwrap_or(0) <= 1);
    alone.fold(0, |sum, (_, length)| sum.saturating_add(*length))
}

/// Whether this is an object of a savepoint, or the manifest of a snapshot that somebody has moved.
fn is_savepoint(path: &ObjectPath) -> bool {
    let first = path.segments().next().unwrap_or_default();
    let is_one_below = path.segments().count() == 2;
    let is_named = matches!(SnapshotDirectory::parse(first), Some(SnapshotDirectory::Savepoint))
        && (path.file_name() == MANIFEST_NAME || layout::is_object_name(path.file_name()));
    is_one_below && (is_named || path.file_name() == MANIFEST_NAME)
}

/// One look at a storage.
struct Look<'a> {
    storage: &'a Arc<dyn Storage>,
    objects: &'a BTreeMap<ObjectPath, u64>,
}

impl Look<'_> {
    fn job(&self, id: JobId, paths: &BTreeSet<&ObjectPath>) -> JobInventory {
        let layout = JobLayout::new(id);
        let (record, record_failure) = match driver::read_record(&**self.storage, &layout) {
            Ok(record) => (record, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let mut job = JobInventory {
            id,
            record,
            record_failure,
            checkpoints: Vec::new(),
            leases: Vec::new(),
            objects: BTreeMap::new(),
        };
        let mut ids = BTreeSet::new();
        for path in paths {
            let length = self.objects.get(*path).copied().unwrap_or(0);
            match layout.member(path) {
                Some(Member::Manifest(id)) => drop(ids.insert(id)),
                Some(Member::Exclusive(id)) => {
                    ids.insert(id);
                    job.objects.insert((*path).clone(), length);
                }
                Some(Member::Shared | Member::TaskOwned) => drop(job.objects.insert((*path).clone(), length)),
                Some(Member::Lease) => job.leases.extend(self.lease(path)),
                Some(Member::Record(_)) | None => {}
            }
        }
        for id in ids {
            let mut snapshot = self.snapshot(layout.checkpoint(id), Some(id));
            let passed = |record: &Record| id < record.below && record.kept.binary_search(&id).is_err();
            if job.record.as_ref().is_some_and(passed) && snapshot.manifest.is_some() {
                snapshot.condition = Condition::Retired;
            }
            job.checkpoints.push(snapshot);
        }
        job
    }

    /// Everything below a directory.
    fn below(&self, directory: &ObjectPath) -> impl Iterator<Item = (&ObjectPath, &u64)> {
        let prefix = format!("{directory}/");
        let from = self.objects.range(directory.clone()..);
        let within = prefix.clone();
        from.skip_while(move |(path, _)| path.as_str() < prefix.as_str())
            .take_while(move |(path, _)| path.as_str().starts_with(&within))
    }

    fn lease(&self, path: &ObjectPath) -> Option<Lease> {
        let bytes = self.storage.open(path).ok()?;
        match Control::decode(bytes.as_slice()) {
            Ok(Control::Lease(lease)) => Some(lease),
            _ => None,
        }
    }

    fn snapshot(&self, directory: ObjectPath, id: Option<CheckpointId>) -> Snapshot {
        let (condition, manifest) = self.manifest(&directory);
        let mut names = BTreeMap::new();
        for object in manifest.iter().flat_map(Manifest::objects) {
            if let Ok(path) = object_path(&directory, object.scope, &object.name) {
                names.insert(path, object.length);
            }
        }
        let wrong = names.iter().filter(|(name, length)| self.objects.get(*name) != Some(*length));
        let missing: Vec<ObjectPath> = wrong.map(|(name, _)| name.clone()).collect();
        let condition = if missing.is_empty() { condition } else { Condition::Missing { objects: missing } };
        let is_inside =
            |path: &ObjectPath| path.parent().as_ref() == Some(&directory) && layout::is_object_name(path.file_name());
        let inside = self.below(&directory).filter(|(path, _)| is_inside(path));
        let inside = inside.map(|(path, length)| (path.clone(), *length)).collect();
        Snapshot { directory, id, condition, manifest, names, inside }
    }

    fn manifest(&self, directory: &ObjectPath) -> (Condition, Option<Manifest>) {
        let read = layout::manifest(directory).and_then(|path| {
            let bytes = self.storage.open(&path)?;
            match Control::is_control(bytes.as_slice()) {
                true => Control::decode(bytes.as_slice()).map(|_| None),
                false => Manifest::decode(bytes.as_slice()).map(Some),
            }
        });
        match read {
            Ok(Some(manifest)) => (Condition::Restorable, Some(manifest)),
            Ok(None) => (Condition::Sealed, None),
            Err(error) if error.kind() == ErrorKind::NotFound => (Condition::Incomplete, None),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                (Condition::Damaged { reason: error.to_string() }, None)
            }
            Err(error) => (Condition::Unreadable { reason: error.to_string() }, None),
        }
    }
}

/// Deletes a savepoint: its manifest, then the objects that it names. Nothing else in its directory is touched, and nothing
/// if it names an object outside of it, or if it is a checkpoint, which belongs to a job.
///
/// Refused as well if a job in this storage depends on it: one that was started from it and has claimed it, or has no checkpoint
/// of its own yet.
pub fn dispose(storage: &Arc<dyn Storage>, directory: &ObjectPath) -> Result<Collection> {
    let location = Location { place: String::new(), storage: Arc::clone(storage), directory: directory.clone() };
    let snapshot = location.open().map_err(|error| error.in_file(directory))?;
    let manifest = snapshot.manifest();
    let outside = manifest.objects().find(|object| object.scope != ObjectScope::Exclusive);
    let is_checkpoint = manifest.kind == crate::format::manifest::SnapshotKind::Checkpoint;
    if is_checkpoint || outside.is_some() {
        return Err(Error::invalid_input(
            "this is a checkpoint, not a savepoint: it belongs to its job, whose other checkpoints may use the same files; \
             end the job, or let it retire the checkpoint",
        )
        .in_file(directory));
    }
    check_unused(storage, directory).map_err(|error| error.in_file(directory))?;
    driver::delete_self_contained(&location)
}

/// Fails if the record of some job says that the job restarts from this snapshot.
fn check_unused(storage: &Arc<dyn Storage>, directory: &ObjectPath) -> Result<()> {
    let listed = storage.list(None)?;
    let jobs = listed.iter().filter_map(|info| info.path.segments().next().and_then(layout::parse_job));
    for job in jobs.collect::<BTreeSet<JobId>>() {
        let layout = JobLayout::new(job);
        let Some(record) = driver::read_record(&**storage, &layout)? else { continue };
        let Some(origin) = &record.origin else { continue };
        let counts = |id| id >= record.below || record.kept.binary_search(&id).is_ok();
        let is_own = |path| matches!(layout.member(path), Some(Member::Manifest(id)) if counts(id));
        let depends = record.claimed || !listed.iter().any(|info| is_own(&info.path));
        if depends && origin.place.is_empty() && origin.directory == directory.as_str() {
            let why = if record.claimed { "and has claimed it" } else { "and has no checkpoint of its own yet" };
            return Err(Error::invalid_input(format!(
                "job {job} was started from this savepoint {why}; wait for its next checkpoint, or delete the job's directory \
                 first, if it is never to run again"
            )));
        }
    }
    Ok(())
}
