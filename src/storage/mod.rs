//! Named bytes: where snapshots live. This layer never learns what the bytes mean.
//!
//! # Words
//!
//! An **object** is a named, immutable string of bytes. It comes to be whole or not at all ([`Storage::create`] and
//! [`ObjectWriter::finish`], or [`Storage::commit`]), it never changes, and it goes when somebody deletes it. Names are
//! [`ObjectPath`]s, made by [`layout`] and by nothing else. There are no directories: a **prefix** is a way to ask for
//! several objects at once. As in a file system, though, a name is either an object or a prefix of others, never both.
//!
//! # What holds for every storage
//!
//! - Nobody ever sees part of an object. A writer that is dropped, fails or dies leaves nothing that a reader can find.
//! - An existing object is never overwritten: of any number of writers racing for a name, at most one wins.
//! - What was acknowledged survives a crash of the machine (of the process only, for [`MemoryStorage`]).
//! - A **deletion** is not made durable: a deleted object may be back after a crash, unless
//!   [`Storage::persist_deletions`] was called.
//! - A call that fails with [`Unavailable`](crate::ErrorKind::Unavailable) changed nothing that a reader can see; one
//!   that may have is [`Uncertain`](crate::ErrorKind::Uncertain), or [`CommitOutcome::Unknown`] from a commit.
//!
//! `storage::conformance` (feature `test-util`) tests these for any implementation, and `storage::fault` breaks any
//! implementation at a chosen operation.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};

mod blob;
#[cfg(feature = "test-util")]
pub mod conformance;
#[cfg(feature = "test-util")]
pub mod fault;
pub mod filesystem;
#[cfg(feature = "test-util")]
pub mod fuzz;
pub mod layout;
mod local;
mod map;
mod memory;
pub mod path;

pub use blob::Blob;
#[cfg(unix)]
pub use filesystem::SystemFileSystem;
pub use filesystem::scratch::ScratchDirectory;
pub use filesystem::{File, FileIdentity, FileKind, FileMetadata, FileSystem};
pub use local::LocalStorage;
pub use memory::MemoryStorage;
pub use path::ObjectPath;

/// What became of a [`Storage::commit`].
#[derive(Debug)]
#[must_use = "an unknown outcome forbids deleting anything"]
pub enum CommitOutcome {
    /// The object is there, with exactly these bytes, and survives a crash.
    Committed,
    /// The object was certainly not created by this call. Its error says why; an object of that name may have been
    /// there before.
    NotCommitted(Error),
    /// Nobody can tell before reading the object, and even an object that can be read may be lost in a crash. What it
    /// refers to must not be deleted, nor what it was meant to replace.
    Unknown(Error),
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub path: ObjectPath,
    /// Its length in bytes.
    pub length: u64,
}

/// What a writer that was dropped, failed or died left behind: no object, and never part of one that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The storage's own name for it: no [`ObjectPath`].
    pub name: String,
    /// Its length in bytes, as far as the storage knows.
    pub length: u64,
    /// When it was last written, in milliseconds since the Unix epoch, by the clock of the storage, if that tells.
    pub written_ms: Option<i64>,
}

/// A flat space of named, immutable objects. See the [module page](self) for what holds.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Starts a new object. Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) if the name is taken, or if an
    /// object has a part of the name for its own. The object is visible to readers no earlier than
    /// [`ObjectWriter::finish`] is called.
    fn create(&self, path: &ObjectPath) -> Result<Box<dyn ObjectWriter>>;

    /// Creates an object in one step: afterwards it is there whole and durable, or not at all; an existing object is
    /// never changed.
    fn commit(&self, path: &ObjectPath, bytes: &[u8]) -> CommitOutcome;

    /// The whole content of an object, mapped rather than read where that is possible.
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none of that name.
    fn open(&self, path: &ObjectPath) -> Result<Blob>;

    /// Gives an object a further name outside of the storage, `to`, which stands for nothing yet; `false`, and nothing done, where
    /// that cannot be: the storage is not in the file system that `to` lies in, or that has no such names. Whoever needs the bytes
    /// there copies them then.
    ///
    /// The file at `to` *is* the object. It may be read and removed, and never written, truncated or given other
    /// permissions; removing it leaves the object, and deleting the object leaves it.
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no object of that name. The default is for a storage that is elsewhere.
    fn link(&self, _path: &ObjectPath, _to: &Path) -> Result<bool> {
        Ok(false)
    }

    /// Length of an object in bytes, or `None` if there is none of that name.
    fn length(&self, path: &ObjectPath) -> Result<Option<u64>>;

    /// Objects whose path begins with `prefix` followed by `/`, in path order; everything for `None`. An object that
    /// comes or goes during the call may be in the list or not; a part that cannot be listed is an error, never left out.
    fn list(&self, prefix: Option<&ObjectPath>) -> Result<Vec<ObjectInfo>>;

    /// Deletes an object; a missing one is not an error. Blobs opened before stay readable.
    fn delete(&self, path: &ObjectPath) -> Result<()>;

    /// Makes an object that can be read survive a crash, or fails. Needed before anybody relies on an object whose
    /// creation had an [`Unknown`](CommitOutcome::Unknown) outcome. [`NotFound`](crate::ErrorKind::NotFound) if it is not
    /// there. The default is for a storage where what can be read is durable.
    fn persist(&self, path: &ObjectPath) -> Result<()> {
        self.length(path)?.map(|_| ()).ok_or_else(|| missing().in_file(path))
    }

    /// Makes deletions of objects right below `prefix` survive a crash, or fails. The default is for a storage where what is
    /// deleted stays deleted.
    fn persist_deletions(&self, _prefix: &ObjectPath) -> Result<()> {
        Ok(())
    }

    /// When an object came to be, in milliseconds since the Unix epoch by the clock of the storage; `None` if there is no
    /// such object, or the storage does not tell. That clock may be wrong: nothing but patience may depend on it.
    fn created_ms(&self, _path: &ObjectPath) -> Result<Option<i64>> {
        Ok(None)
    }

    /// What writers left behind, in name order: temporary files, open uploads. Those of writers still at work are among
    /// them. The default is for a storage that keeps nothing of an unfinished object.
    fn leftovers(&self) -> Result<Vec<Leftover>> {
        Ok(Vec::new())
    }

    /// Removes a leftover; a missing one is not an error. The writer it belongs to, if it is still at work, fails.
    fn remove_leftover(&self, leftover: &Leftover) -> Result<()> {
        Err(Error::invalid_input(format!("{:?} is no leftover of this storage", leftover.name)))
    }
}

impl<S: Storage + ?Sized> Storage for Arc<S> {
    fn create(&self, path: &ObjectPath) -> Result<Box<dyn ObjectWriter>> {
        (**self).create(path)
    }

    fn commit(&self, path: &ObjectPath, bytes: &[u8]) -> CommitOutcome {
        (**self).commit(path, bytes)
    }

    fn open(&self, path: &ObjectPath) -> Result<Blob> {
        (**self).open(path)
    }

    fn link(&self, path: &ObjectPath, to: &Path) -> Result<bool> {
        (**self).link(path, to)
    }

    fn length(&self, path: &ObjectPath) -> Result<Option<u64>> {
        (**self).length(path)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> Result<Vec<ObjectInfo>> {
        (**self).list(prefix)
    }

    fn delete(&self, path: &ObjectPath) -> Result<()> {
        (**self).delete(path)
    }

    fn persist(&self, path: &ObjectPath) -> Result<()> {
        (**self).persist(path)
    }

    fn persist_deletions(&self, prefix: &ObjectPath) -> Result<()> {
        (**self).persist_deletions(prefix)
    }

    fn created_ms(&self, path: &ObjectPath) -> Result<Option<i64>> {
        (**self).created_ms(path)
    }

    fn leftovers(&self) -> Result<Vec<Leftover>> {
        (**self).leftovers()
    }

    fn remove_leftover(&self, leftover: &Leftover) -> Result<()> {
        (**self).remove_leftover(leftover)
    }
}

/// An object being written. Dropping it without [`finish`](Self::finish) abandons it; what was written so far may stay
/// behind under a name that no reader uses.
pub trait ObjectWriter: Send {
    /// Appends bytes. Not buffered: a call costs a system call or more where the storage is a file system, so callers
    /// write blocks. After an error the object cannot be finished any more.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes the object visible and durable: after `Ok` it survives a crash of the machine. After
    /// [`Uncertain`](crate::ErrorKind::Uncertain) it may be there, whole; after any other error it is not.
    fn finish(self: Box<Self>) -> Result<()>;
}

fn taken() -> Error {
    Error::invalid_input("an object of this name exists and is never overwritten; choose another name")
}

fn missing() -> Error {
    Error::not_found("there is no such object")
}

fn below_object(object: &ObjectPath) -> Error {
    Error::invalid_input(format!("{object} is an object, so nothing can be created below it; choose another name"))
}

fn above_object(below: &ObjectPath) -> Error {
    Error::invalid_input(format!("{below} exists below this name, so it cannot be an object; choose another name"))
}

fn broken() -> Error {
    Error::invalid_input("an earlier call for this object failed, so it cannot be continued; write a new one")
}
