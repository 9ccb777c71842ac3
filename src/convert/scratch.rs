//! The local directory for what does not fit into memory.

use std::cell::Cell;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Names tried for a directory of our own.
const ATTEMPTS: u32 = 1 << 16;

/// A directory of our own inside the one that the caller named. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    files: Cell<u64>,
}

/// A file that was written and can be read once. Dropping it removes it.
#[derive(Debug)]
pub(super) struct ScratchFile {
    path: PathBuf,
    pub(super) length: u64,
}

impl Scratch {
    /// Makes a new directory in `parent`, which is created if it is not there. What lies there already is left alone.
    pub(super) fn create_in(parent: &Path) -> Result<Self> {
        let failed = |path: &Path, error| {
            Error::unavailable("cannot create the scratch directory").in_file(path.display()).because(error)
        };
        DirBuilder::new().recursive(true).create(parent).map_err(|error| failed(parent, error))?;
        for number in 0..ATTEMPTS {
            let path = parent.join(format!("millpond-convert-{number}"));
            match DirBuilder::new().create(&path) {
                Ok(()) => return Ok(Scratch { path, files: Cell::new(0) }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&path, error)),
            }
        }
        Err(Error::unavailable("every name for a scratch directory is taken; empty it").in_file(parent.display()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts a new file; `finish` it with the length that was written.
    pub(super) fn create(&self) -> Result<(PathBuf, Box<dyn Write>)> {
        let number = self.files.get();
        self.files.set(number.saturating_add(1));
        let path = self.path.join(format!("run-{number}"));
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

impl Drop for Scratch {
    #[expect(clippy::disallowed_methods, reason = "a directory that was made here, with what this process put there")]
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            drop(std::fs::remove_file(entry.path()));
        }
        drop(std::fs::remove_dir(&self.path));
    }
}
