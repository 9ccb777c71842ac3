//! Names of everything stored: the only place that makes them up or takes them apart.
//!
//! ```text
//! {base}/                          root of a Storage
//!   {job-id}/                      32 hexadecimal digits
//!     shared/{object}              used by several checkpoints
//!     taskowned/{object}           never collected with a checkpoint
//!     chk-{N}/{object}             exclusive to checkpoint N
//!     chk-{N}/_metadata            its manifest: the checkpoint exists once this does
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
            let id = number.parse().ok().filter(|&id: &u64| id > 0 && id.to_string() == number)?;
            return Some(SnapshotDirectory::Checkpoint(CheckpointId(id)));
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
    }
}
