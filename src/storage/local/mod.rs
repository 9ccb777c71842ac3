//! Objects as files of a local file system.
//!
//! # Order of operations
//!
//! An object becomes visible in steps, each of which makes durable what the next one refers to:
//!
//! 1. Missing directories are created outermost first, and after each the directory above it is synced. A directory that
//!    is used for the first time is treated like a new one: whoever created it may have died before syncing.
//! 2. The bytes go to a new file `.{random}.tmp` in the directory of the object.
//! 3. The file is synced.
//! 4. The file gets the object's name by a hard link, which fails if the name is taken, and loses the temporary one.
//! 5. The directory is synced.
//!
//! A crash before step 4 leaves at most a temporary file, which no reader finds. After a crash between 4 and 5 the object
//! is there or not, and whole if it is: that outcome is *unknown*, and so is every failure in between.
//!
//! A file that could not be synced is never used: its bytes may be gone although they can still be read (Linux marks the
//! pages clean), so the temporary file is removed and the object has to be written again.
//!
//! # Foreign files
//!
//! Users put files of their own next to snapshots. Names that are no [`ObjectPath`] are not seen. A symbolic link, pipe or
//! device under an object's name is an error to open and to delete, is not listed and not followed. A deletion removes one
//! file, and then the directories above it that this made empty; it never looks below a directory.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::filesystem::{FileKind, FileMetadata, FileSystem, explain};
use super::{Blob, CommitOutcome, Leftover, ObjectInfo, ObjectPath, ObjectWriter, Storage, layout};
use crate::error::{Error, Result};
use crate::random::RandomSource;

mod directories;
mod leftovers;
mod writer;

use directories::Directories;
use writer::Writer;

/// A [`Storage`] in a directory of a [`FileSystem`]. Clones are the same storage.
///
/// `open` and `create` are there on Unix; elsewhere [`over`](Self::over) takes any file system.
#[derive(Clone)]
pub struct LocalStorage(Arc<Shared>);

struct Shared {
    files: Arc<dyn FileSystem>,
    random: Arc<dyn RandomSource>,
    directories: Directories,
}

impl LocalStorage {
    /// Storage in an existing directory of the operating system's file system.
    #[cfg(unix)]
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::over(Arc::new(super::SystemFileSystem::open(root)?), Arc::new(crate::random::SystemRandom)))
    }

    /// Storage in a directory of the operating system's file system, which is created durably if it is missing.
    #[cfg(unix)]
    pub fn create(root: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::over(Arc::new(super::SystemFileSystem::create(root)?), Arc::new(crate::random::SystemRandom)))
    }

    /// Storage in the root of `files`, with temporary names drawn from `random`.
    pub fn over(files: Arc<dyn FileSystem>, random: Arc<dyn RandomSource>) -> Self {
        LocalStorage(Arc::new(Shared { files, random, directories: Directories::default() }))
    }

    fn list_directory(&self, directory: Option<&ObjectPath>, found: &mut Listing) -> Result<()> {
        let name = directory.map_or("", ObjectPath::as_str);
        let names = match self.0.files.read_directory(name) {
            Ok(names) => names,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(self.0.failed(name, error, "cannot list the directory")),
        };
        for name in names {
            let joined = directory.map_or_else(|| ObjectPath::parse(&name), |directory| directory.join(&name));
            // Other names belong to files being written or to somebody else.
            let Ok(path) = joined else { continue };
            match self.0.metadata(&path)? {
                Some(FileMetadata { kind: FileKind::File, length, .. }) => {
                    found.objects.push(ObjectInfo { path, length })
                }
                Some(FileMetadata { kind: FileKind::Directory, .. }) => found.directories.push(path),
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Removes the directories above a deleted object that are empty now. Only tidiness: failures are not reported.
    fn remove_empty_ancestors(&self, path: &ObjectPath) {
        let mut ancestor = path.parent();
        while let Some(directory) = ancestor {
            if !self.0.directories.remove_empty(&*self.0.files, directory.as_str()) {
                return;
            }
            ancestor = directory.parent();
        }
    }
}

/// What a walk has found so far, and where it still has to go.
#[derive(Default)]
struct Listing {
    objects: Vec<ObjectInfo>,
    directories: Vec<ObjectPath>,
}

impl Storage for LocalStorage {
    fn create(&self, path: &ObjectPath) -> Result<Box<dyn ObjectWriter>> {
        Ok(Box::new(Writer::create(&self.0, path)?))
    }

    fn commit(&self, path: &ObjectPath, bytes: &[u8]) -> CommitOutcome {
        let written = Writer::create(&self.0, path).and_then(|mut writer| {
            writer.write(bytes)?;
            Ok(writer)
        });
        match written {
            Ok(writer) => writer.publish(),
            Err(error) => CommitOutcome::NotCommitted(error),
        }
    }

    fn open(&self, path: &ObjectPath) -> Result<Blob> {
        self.0.files.read_file(path.as_str()).map_err(|error| {
            if is_absent(&error) || error.kind() == io::ErrorKind::IsADirectory {
                return self.0.at(path, super::missing().because(error));
            }
            self.0.failed(path.as_str(), error, "cannot read the object")
        })
    }

    fn link(&self, path: &ObjectPath, to: &Path) -> Result<bool> {
        self.0.files.link_outside(path.as_str(), to).map_err(|error| {
            if is_absent(&error) && matches!(self.length(path), Ok(None)) {
                return self.0.at(path, super::missing().because(error));
            }
            self.0.failed(path.as_str(), error, &format!("cannot link the object to {}", to.display()))
        })
    }

    fn length(&self, path: &ObjectPath) -> Result<Option<u64>> {
        match self.0.metadata(path)? {
            Some(FileMetadata { kind: FileKind::File, length, .. }) => Ok(Some(length)),
            Some(FileMetadata { kind: FileKind::Directory, .. }) | None => Ok(None),
            Some(FileMetadata { kind, .. }) => Err(self.0.not_an_object(path, kind)),
        }
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> Result<Vec<ObjectInfo>> {
        let mut found = Listing::default();
        match prefix {
            None => self.list_directory(None, &mut found)?,
            Some(prefix) => match self.0.metadata(prefix)? {
                Some(FileMetadata { kind: FileKind::Directory, .. }) => found.directories.push(prefix.clone()),
                _ => return Ok(Vec::new()),
            },
        }
        while let Some(directory) = found.directories.pop() {
            self.list_directory(Some(&directory), &mut found)?;
        }
        found.objects.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found.objects)
    }

    fn delete(&self, path: &ObjectPath) -> Result<()> {
        match self.0.metadata(path)? {
            Some(FileMetadata { kind: FileKind::File, .. }) => {}
            Some(FileMetadata { kind: FileKind::Directory, .. }) | None => return Ok(()),
            Some(FileMetadata { kind, .. }) => return Err(self.0.not_an_object(path, kind)),
        }
        match self.0.files.remove_file(path.as_str()) {
            Ok(()) => {}
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(self.0.failed(path.as_str(), error, "cannot delete the object")),
        }
        self.remove_empty_ancestors(path);
        Ok(())
    }

    /// The object gets a second name for a moment, so that its directory is written anew: a directory that could not be
    /// synced may count as written although it was not.
    fn persist(&self, path: &ObjectPath) -> Result<()> {
        if self.length(path)?.is_none() {
            return Err(self.0.at(path, super::missing()));
        }
        let directory = path.parent().map_or_else(String::new, |parent| parent.to_string());
        let name = layout::new_temporary_name(&*self.0.random)?;
        let name = if directory.is_empty() { name } else { format!("{directory}/{name}") };
        let linked = self.0.files.link(path.as_str(), &name);
        let removed = linked.and_then(|()| self.0.files.remove_file(&name));
        let synced = removed.and_then(|()| self.0.files.sync_directory(&directory));
        synced.map_err(|error| self.0.failed(path.as_str(), error, "cannot make the object durable"))
    }

    /// Syncs the directory, or what is left above it.
    fn persist_deletions(&self, prefix: &ObjectPath) -> Result<()> {
        let mut directory = Some(prefix.clone());
        loop {
            let name = directory.as_ref().map_or("", ObjectPath::as_str);
            match self.0.files.sync_directory(name) {
                Err(error) if is_absent(&error) && directory.is_some() => {
                    directory = directory.as_ref().and_then(ObjectPath::parent);
                }
                synced => return synced.map_err(|error| self.0.failed(name, error, "cannot make deletions durable")),
            }
        }
    }

    fn created_ms(&self, path: &ObjectPath) -> Result<Option<i64>> {
        let modified = self.0.files.modified_ms(path.as_str());
        match modified {
            Err(error) if is_absent(&error) => Ok(None),
            modified => modified.map_err(|error| self.0.failed(path.as_str(), error, "cannot look at the file")),
        }
    }

    fn leftovers(&self) -> Result<Vec<Leftover>> {
        leftovers::find(&self.0)
    }

    fn remove_leftover(&self, leftover: &Leftover) -> Result<()> {
        leftovers::remove(&self.0, leftover)
    }
}

impl fmt::Debug for LocalStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalStorage({})", self.0.files.full_path(""))
    }
}

impl Shared {
    fn at(&self, path: &ObjectPath, error: Error) -> Error {
        error.in_file(self.files.full_path(path.as_str()))
    }

    fn failed(&self, path: &str, error: io::Error, what: &str) -> Error {
        explain(error, what).in_file(self.files.full_path(path))
    }

    fn not_an_object(&self, path: &ObjectPath, kind: FileKind) -> Error {
        self.at(path, Error::corrupt(format!("{kind} is in place of an object; it is neither followed nor removed")))
    }

    fn metadata(&self, path: &ObjectPath) -> Result<Option<FileMetadata>> {
        match self.files.metadata(path.as_str()) {
            Ok(metadata) => Ok(metadata),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.failed(path.as_str(), error, "cannot look at the file")),
        }
    }

    fn check_free(&self, path: &ObjectPath) -> Result<()> {
        match self.metadata(path)? {
            None => Ok(()),
            Some(FileMetadata { kind: FileKind::File, .. }) => Err(self.at(path, super::taken())),
            Some(FileMetadata { kind, .. }) => {
                let error = Error::invalid_input(format!("{kind} has the name of this object; choose another name"));
                Err(self.at(path, error))
            }
        }
    }
}

/// Whether the error only says that there is nothing of that name.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
