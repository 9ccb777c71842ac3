//! The local directory for what does not fit into memory.

use std::cell::{Cell, OnceCell};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::storage::ScratchDirectory;

/// A directory of our own inside the one that the caller named. Dropping it removes it.
#[derive(Debug)]
pub struct Scratch {
    parent: PathBuf,
    /// The directory, once it was made.
    directory: OnceCell<ScratchDirectory>,
    files: Cell<u64>,
}

/// A file that was written and can be read once. Dropping it removes it.
#[derive(Debug)]
pub(super) struct ScratchFile {
    path: PathBuf,
    pub(super) length: u64,
}

impl Scratch {
    /// Makes a new directory in `parent`, which is created if it is not there. What lies there already is left alone,
    /// unless work that was killed has left it.
    pub fn create_in(parent: &Path) -> Result<Self> {
        let scratch = Self::later_in(parent);
        scratch.path()?;
        Ok(scratch)
    }

    /// The same, with the directory made when the first file is, which may be never.
    pub fn later_in(parent: impl Into<PathBuf>) -> Self {
        Scratch { parent: parent.into(), directory: OnceCell::new(), files: Cell::new(0) }
    }

    /// Where the directory is, which is made if it was not yet.
    pub fn path(&self) -> Result<&Path> {
        if let Some(directory) = self.directory.get() {
            return Ok(directory.path());
        }
        let directory = ScratchDirectory::create_in(&self.parent, "millpond-sort")?;
        Ok(self.directory.get_or_init(|| directory).path())
    }

    /// Starts a new file; `finish` it with the length that was written.
    pub(super) fn create(&self) -> Result<(PathBuf, Box<dyn Write>)> {
        let number = self.files.get();
        self.files.set(number.saturating_add(1));
        let path = self.path()?.join(format!("run-{number}"));
        let file =
            OpenOptions::new().write(true).create_new(true).open(&path).map_err(|error| unwritten(&path, error))?;
        Ok((path, Box::new(file)))
    }
}

impl ScratchFile {
    pub(super) fn new(path: PathBuf, length: u64) -> Self {
        ScratchFile { path, length }
    }

    pub(super) fn open(&self) -> Result<Box<dyn Read>> {
        let file = File::open(&self.path).map_err(|error| self.unread(error))?;
        Ok(Box::new(file))
    }

    pub(super) fn unread(&self, error: io::Error) -> Error {
        Error::unavailable("cannot read a file that was written here").in_file(self.path.display()).because(error)
    }
}

/// The error of a write: most likely the disk is full.
pub(super) fn unwritten(path: &Path, error: io::Error) -> Error {
    Error::unavailable("cannot write to the scratch directory; give it room for the whole state")
        .in_file(path.display())
        .because(error)
}

impl Drop for ScratchFile {
    #[expect(clippy::disallowed_methods, reason = "a file that was made here")]
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}
