//! The working directory of one backend: made for it, locked while it lives, gone afterwards.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Name of the file whose lock says that the directory is in use.
const LOCK: &str = "IN-USE";

/// A directory that belongs to one backend and its snapshots.
///
/// It is created for them, never taken over: what lies there already, whoever left it, is neither read nor deleted. The last
/// owner that is dropped removes it.
#[derive(Debug)]
pub(super) struct WorkingDirectory {
    path: PathBuf,
    lock: Option<File>,
    /// Number of the last directory that was made inside.
    last: AtomicU64,
}

impl WorkingDirectory {
    /// Makes a new directory in `parent`, which is created if it is not there; its name begins with `label`.
    pub(super) fn create_in(parent: &Path, label: &str) -> Result<Self> {
        DirBuilder::new().recursive(true).create(parent).map_err(|error| failed("cannot create", parent, error))?;
        let mut number = 0_u64;
        loop {
            let path = parent.join(format!("{label}-{number}"));
            match DirBuilder::new().create(&path) {
                Ok(()) => return Self::lock(path),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number = number.saturating_add(1),
                Err(error) => return Err(failed("cannot create", &path, error)),
            }
        }
    }

    /// Makes exactly this directory. One that is there already is refused, whether it is in use or left over.
    #[cfg(test)]
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        match DirBuilder::new().create(&path) {
            Ok(()) => Self::lock(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(occupied(&path)),
            Err(error) => Err(failed("cannot create", &path, error)),
        }
    }

    fn lock(path: PathBuf) -> Result<Self> {
        let lock = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path.join(LOCK))
            .map_err(|error| failed("cannot lock", &path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(WorkingDirectory { path, lock: Some(lock), last: AtomicU64::new(0) }),
            Err(TryLockError::WouldBlock) => Err(occupied(&path)),
            Err(TryLockError::Error(error)) => Err(failed("cannot lock", &path, error)),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside it that was not given before.
    pub(super) fn new_path(&self, label: &str) -> PathBuf {
        self.path.join(format!("{label}-{}", self.last.fetch_add(1, Ordering::Relaxed)))
    }

    /// Makes a directory inside it.
    pub(super) fn make(&self, label: &str) -> Result<PathBuf> {
        let path = self.new_path(label);
        DirBuilder::new().create(&path).map_err(|error| failed("cannot create", &path, error))?;
        Ok(path)
    }
}

impl Drop for WorkingDirectory {
    fn drop(&mut self) {
        remove(&self.path);
        // Given back last: as long as something is left of the directory, it is in use.
        drop(self.lock.take());
    }
}

/// Removes a directory that this backend has made, with everything in it. What cannot be removed stays.
#[expect(clippy::disallowed_methods, reason = "made by this backend for itself, and locked")]
pub(super) fn remove(path: &Path) {
    drop(std::fs::remove_dir_all(path));
}

fn occupied(path: &Path) -> Error {
    Error::invalid_input(
        "the working directory is occupied; give every backend its own, or remove what a process that is gone has left",
    )
    .in_file(path.display())
}

fn failed(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(format!("{what} the working directory")).in_file(path.display()).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn s_22_an_occupied_directory_is_refused_and_nothing_in_it_deleted() {
        let root = tempfile::tempdir().unwrap();
        let first = WorkingDirectory::create(root.path().join("a")).unwrap();
        let kept = first.make("kept").unwrap();
        let error = WorkingDirectory::create(first.path().to_owned()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("occupied") && error.to_string().contains("/a"), "{error}");
        assert!(kept.exists());
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn directories_of_one_label_are_distinct_and_what_was_left_stays() {
        let root = tempfile::tempdir().unwrap();
        let left = root.path().join("op-0");
        DirBuilder::new().create(&left).unwrap();
        let all: Vec<_> = (0..8).map(|_| WorkingDirectory::create_in(root.path(), "op").unwrap()).collect();
        let paths: std::collections::BTreeSet<_> = all.iter().map(|it| it.path().to_owned()).collect();
        assert_eq!(paths.len(), 8);
        assert!(!paths.contains(&left));
        drop(all);
        assert!(left.exists());
        assert!(paths.iter().all(|path| !path.exists()));
    }
}
