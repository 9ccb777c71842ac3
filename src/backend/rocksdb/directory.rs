//! The working directory of one backend: made for it, locked while it lives, gone afterwards.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::storage::ScratchDirectory;

/// A directory that belongs to one backend and its snapshots.
///
/// It is created for them, never taken over. The last owner that is dropped removes it; where the process is killed, whoever makes the next
/// one in the same place does.
#[derive(Debug)]
pub(super) struct WorkingDirectory {
    scratch: ScratchDirectory,
    /// Number of the next name that is given inside.
    next: AtomicU64,
}

impl WorkingDirectory {
    /// Makes a new directory in `parent`, which is created if it is not there; its name begins with `label`.
    pub(super) fn create_in(parent: &Path, label: &str) -> Result<Self> {
        Ok(WorkingDirectory { scratch: ScratchDirectory::create_in(parent, label)?, next: AtomicU64::new(0) })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// A name inside it that was not given before.
    pub(super) fn new_name(&self, label: &str) -> String {
        format!("{label}-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A path inside it that was not given before.
    pub(super) fn new_path(&self, label: &str) -> PathBuf {
        self.path().join(self.new_name(label))
    }

    /// Makes a directory inside it.
    pub(super) fn make(&self, label: &str) -> Result<PathBuf> {
        self.scratch.make(&self.new_name(label))
    }

    /// Removes a directory inside it.
    pub(super) fn discard(&self, name: &str) {
        self.scratch.discard(name);
    }
}
