//! Names of everything stored: the only place that makes them up or takes them apart.
//!
//! ```text
//! {base}/                          root of a Storage
//!   {job-id}/                      32 hexadecimal digits
//!     shared/{object}              used by several checkpoints
//!     taskowned/{object}           never collected with a checkpoint
//!     chk-{N}/{object}             exclusive to checkpoint N
//!     chk-{N}/_metadata            its manifest: the checkpoint exists once this does; or a seal: it never will
//!     control/record-{n}           who coordinates the job, and what is decided; the highest number counts
//!     control/lease-{object}       somebody reads a checkpoint
//!   savepoint-{6}-{12}/            first 6 digits of the job id, 12 random ones
//!     {object}  _metadata
//! ```
//!
//! An object's own name is 32 random hexadecimal digits and says nothing about what it holds: two writers, two attempts
//! or two incarnations of a process never meet under one name, whatever their local files are called. The directories are
//! Flink's; digits are lower-case.

use crate::error::Result;
use crate::ids::{CheckpointId, JobId};
use crate::random::RandomSource;

use super::ObjectPath;

/// Name of the manifest within a snapshot's directory.
pub const MANIFEST_NAME: &str = "_metadata";

const CHECKPOINT_PREFIX: &str = "chk-";
const SAVEPOINT_PREFIX: &str = "savepoint-";
const SHARED: &str = "shared";
const TASK_OWNED: &str = "taskowned";
const CONTROL: &str = "control";
const RECORD_PREFIX: &str = "record-";
const LEASE_PREFIX: &str = "lease-";

/// Digits of the job id in a savepoint's name.
const SAVEPOINT_JOB_DIGITS: usize = 6;

/// Random digits in a savepoint's name.
const SAVEPOINT_RANDOM_DIGITS: usize = 12;

/// Digits of an object's name.
const OBJECT_DIGITS: usize = 32;

/// The directories of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLayout {
    job: JobId,
}

impl JobLayout {
    /// The directories of `job`.
    pub const fn new(job: JobId) -> Self {
        JobLayout { job }
    }

    /// The job.
    pub const fn job(&self) -> JobId {
        self.job
    }

    /// `{job-id}`: everything of the job but its savepoints.
    pub fn root(&self) -> ObjectPath {
        ObjectPath::of_layout(self.job.to_string())
    }

    /// `{job-id}/shared`: objects that several checkpoints use.
    pub fn shared(&self) -> ObjectPath {
        self.below(SHARED)
    }

    /// `{job-id}/taskowned`: objects that belong to subtasks, not to a checkpoint.
    pub fn task_owned(&self) -> ObjectPath {
        self.below(TASK_OWNED)
    }

    /// `{job-id}/chk-N`: objects of that checkpoint alone, and its manifest.
    pub fn checkpoint(&self, id: CheckpointId) -> ObjectPath {
        self.below(&format!("{CHECKPOINT_PREFIX}{id}"))
    }

    /// `{job-id}/control`: what coordinators, collectors and readers agree by.
    pub fn control(&self) -> ObjectPath {
        self.below(CONTROL)
    }

    /// `{job-id}/control/record-n`.
    pub fn record(&self, number: u64) -> ObjectPath {
        self.below(&format!("{CONTROL}/{RECORD_PREFIX}{number}"))
    }

    /// A new name for a lease: `{job-id}/control/lease-` and 32 random digits.
    pub fn new_lease(&self, random: &dyn RandomSource) -> Result<ObjectPath> {
        Ok(self.below(&format!("{CONTROL}/{LEASE_PREFIX}{}", random_digits(random)?)))
    }

    /// What an object of this job is by its name; `None` if this module does not write such a name below the job.
    pub fn member(&self, path: &ObjectPath) -> Option<Member> {
        let mut segments = path.segments();
        if segments.next() != Some(self.job.to_string().as_str()) {
            return None;
        }
        let (directory, name) = (segments.next()?, segments.next()?);
        if segments.next().is_some() {
            return None;
        }
        match (directory, SnapshotDirectory::parse(directory)) {
            (_, Some(SnapshotDirectory::Checkpoint(id))) if name == MANIFEST_NAME => Some(Member::Manifest(id)),
            (_, Some(SnapshotDirectory::Checkpoint(id))) => is_object_name(name).then_some(Member::Exclusive(id)),
            (SHARED, _) => is_object_name(name).then_some(Member::Shared),
            (TASK_OWNED, _) => is_object_name(name).then_some(Member::TaskOwned),
            (CONTROL, _) => control_member(name),
            _ => None,
        }
    }

    /// A new name for a savepoint of this job: `savepoint-` with the first 6 digits of the job id and 12 random ones. The
    /// path is one segment, relative to the directory that the user chose.
    pub fn new_savepoint(&self, random: &dyn RandomSource) -> Result<ObjectPath> {
        let mut job = self.job.to_string();
        job.truncate(SAVEPOINT_JOB_DIGITS);
        let mut digits = random_digits(random)?;
        digits.truncate(SAVEPOINT_RANDOM_DIGITS);
        Ok(ObjectPath::of_layout(format!("{SAVEPOINT_PREFIX}{job}-{digits}")))
    }

    fn below(&self, name: &str) -> ObjectPath {
        ObjectPath::of_layout(format!("{}/{name}", self.job))
    }
}

/// What an object below a job's directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Member {
    /// `chk-N/_metadata`.
    Manifest(CheckpointId),
    /// `chk-N/{object}`.
    Exclusive(CheckpointId),
    /// `shared/{object}`.
    Shared,
    /// `taskowned/{object}`.
    TaskOwned,
    /// `control/record-n`.
    Record(u64),
    /// `control/lease-{object}`.
    Lease,
}

fn control_member(name: &str) -> Option<Member> {
    if let Some(number) = name.strip_prefix(RECORD_PREFIX) {
        return parse_number(number).map(Member::Record);
    }
    name.strip_prefix(LEASE_PREFIX).filter(|rest| is_object_name(rest)).map(|_| Member::Lease)
}

/// A number from 1 in the only form in which this module writes it.
fn parse_number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|&number: &u64| number > 0 && number.to_string() == text)
}

/// What the name of a directory says about the snapshot in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotDirectory {
    /// `chk-N`.
    Checkpoint(CheckpointId),
    /// `savepoint-{6 digits}-{12 digits}`.
    Savepoint,
}

impl SnapshotDirectory {
    /// Reads a directory's name; `None` if it is not one that this module writes (`chk-0`, `chk-007`, capital digits).
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(number) = name.strip_prefix(CHECKPOINT_PREFIX) {
            return parse_number(number).map(|id| SnapshotDirectory::Checkpoint(CheckpointId(id)));
        }
        let (job, random) = name.strip_prefix(SAVEPOINT_PREFIX)?.split_once('-')?;
        let fits = is_digits(job, SAVEPOINT_JOB_DIGITS) && is_digits(random, SAVEPOINT_RANDOM_DIGITS);
        fits.then_some(SnapshotDirectory::Savepoint)
    }
}

/// Where the manifest of the snapshot in `directory` lies.
pub fn manifest(directory: &ObjectPath) -> Result<ObjectPath> {
    directory.join(MANIFEST_NAME)
}

/// A name for a new object: 128 random bits as 32 digits.
pub fn new_object_name(random: &dyn RandomSource) -> Result<String> {
    random_digits(random)
}

/// Whether `name` is one that [`new_object_name`] can give: 32 lower-case hexadecimal digits.
pub fn is_object_name(name: &str) -> bool {
    is_digits(name, OBJECT_DIGITS)
}

/// Reads the name of a job's directory; `None` if it is not 32 lower-case hexadecimal digits.
pub fn parse_job(name: &str) -> Option<JobId> {
    if is_object_name(name) { name.parse().ok() } else { None }
}

/// A name for a file that is being written: no [`ObjectPath`] begins with a dot, so no reader can ask for it.
pub(super) fn new_temporary_name(random: &dyn RandomSource) -> Result<String> {
    Ok(format!(".{}.tmp", random_digits(random)?))
}

/// Whether `name` is one that [`new_temporary_name`] can give.
pub(super) fn is_temporary_name(name: &str) -> bool {
    name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".tmp")).is_some_and(is_object_name)
}

/// Whether `text` is exactly `count` lower-case hexadecimal digits.
fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn random_digits(random: &dyn RandomSource) -> Result<String> {
    Ok(format!("{:032x}", random.next_u128()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    const JOB: JobId = JobId([0xab; 16]);

    #[test]
    fn directories_are_those_of_flink() {
        let layout = JobLayout::new(JOB);
        let job = "ab".repeat(16);
        assert_eq!(layout.root().as_str(), job);
        assert_eq!(layout.shared().as_str(), format!("{job}/shared"));
        assert_eq!(layout.task_owned().as_str(), format!("{job}/taskowned"));
        let checkpoint = layout.checkpoint(CheckpointId(12));
        assert_eq!(checkpoint.as_str(), format!("{job}/chk-12"));
        assert_eq!(manifest(&checkpoint).unwrap().as_str(), format!("{job}/chk-12/_metadata"));
    }

    #[test]
    fn names_of_snapshots_are_read_back() {
        let savepoint = JobLayout::new(JOB).new_savepoint(&SeededRandom::new(1)).unwrap();
        assert!(savepoint.as_str().starts_with("savepoint-ababab-"), "{savepoint}");
        assert_eq!(savepoint.as_str().len(), "savepoint-".len() + 6 + 1 + 12);
        assert_eq!(SnapshotDirectory::parse(savepoint.as_str()), Some(SnapshotDirectory::Savepoint));
        for id in [1, 12, u64::MAX] {
            let expected = SnapshotDirectory::Checkpoint(CheckpointId(id));
            assert_eq!(SnapshotDirectory::parse(&format!("chk-{id}")), Some(expected));
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        let names = [
            "chk-",
            "chk-0",
            "chk-007",
            "chk-+1",
            "chk--1",
            "chk-1 ",
            "chk-1.tmp",
            "chk-18446744073709551616",
            "CHK-1",
            "shared",
            "savepoint-",
            "savepoint-ababab",
            "savepoint-ABABAB-000000000000",
            "savepoint-ababab-0",
            "_metadata",
            "",
            "savepoint-ababab-0000000000000",
            "savepoint-aababab-000000000000",
        ];
        for name in names {
            assert_eq!(SnapshotDirectory::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn members_of_a_job_are_told_by_name() {
        let layout = JobLayout::new(JOB);
        let object = "0123456789abcdef".repeat(2);
        let of = |path: &str| layout.member(&ObjectPath::parse(path).unwrap());
        let below = |rest: &str| of(&format!("{JOB}/{rest}"));
        assert_eq!(below("chk-3/_metadata"), Some(Member::Manifest(CheckpointId(3))));
        assert_eq!(below(&format!("chk-3/{object}")), Some(Member::Exclusive(CheckpointId(3))));
        assert_eq!(below(&format!("shared/{object}")), Some(Member::Shared));
        assert_eq!(below(&format!("taskowned/{object}")), Some(Member::TaskOwned));
        assert_eq!(layout.member(&layout.record(7)), Some(Member::Record(7)));
        let lease = layout.new_lease(&SeededRandom::new(5)).unwrap();
        assert_eq!(layout.member(&lease), Some(Member::Lease));
        let foreign =
            ["chk-3/notes.txt", "shared/x", "control/record-0", "control/record-07", "control/lease-x", "other/a"];
        for name in foreign {
            assert_eq!(below(name), None, "{name}");
        }
        assert_eq!(below(&format!("chk-3/{object}/{object}")), None);
        assert_eq!(of(&format!("{}/chk-3/_metadata", "cd".repeat(16))), None);
    }

    #[test]
    fn object_names_are_32_lower_case_digits() {
        let random = SeededRandom::new(3);
        let name = new_object_name(&random).unwrap();
        assert!(is_object_name(&name), "{name}");
        assert_ne!(name, new_object_name(&random).unwrap());
        for bad in ["", "ab", &name.to_uppercase(), &format!("{name}0"), &name.replace(&name[..1], "g")] {
            assert!(!is_object_name(bad), "{bad:?}");
        }
        assert_eq!(parse_job(&JOB.to_string()), Some(JOB));
        assert_eq!(parse_job(&JOB.to_string().to_uppercase()), None);
    }

    #[test]
    fn a_temporary_name_is_no_object_path() {
        let name = new_temporary_name(&SeededRandom::new(4)).unwrap();
        assert!(ObjectPath::parse(&name).is_err(), "{name}");
        assert!(is_temporary_name(&name), "{name}");
        assert!(!is_temporary_name(".notes.tmp") && !is_temporary_name(name.trim_start_matches('.')), "{name}");
    }
}
