//! Named bytes: where snapshots live. This layer never learns what the bytes mean.

use std::fmt;

use crate::error::{Error, Result};

/// Name of an object below the root of a [`Storage`]: `/`-separated segments.
///
/// Parsed once; a value of this type is always safe to join to a root: no empty segment, no `.` or `..`, no leading or
/// trailing `/`, only ASCII letters, digits and `-_.=+`, at most 255 bytes a segment and 1,024 in total.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectPath(String);

/// What became of a [`Storage::commit`].
#[derive(Debug)]
#[must_use = "an unknown outcome forbids deleting anything"]
pub enum CommitOutcome {
    /// The object is there, with exactly these bytes, and survives a crash.
    Committed,
    /// The object was certainly not created by this call. Its error says why; an object of that name may have been
    /// there before.
    NotCommitted(Error),
    /// Nobody can tell before reading the object.
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

/// A flat space of named, immutable objects.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Starts a new object. Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) if the name is taken. The object is visible to readers no
    /// earlier than [`ObjectWriter::finish`] returns.
    fn create(&self, path: &ObjectPath) -> Result<Box<dyn ObjectWriter>>;

    /// Creates an object in one step: afterwards it is there whole and durable, or not at all; an existing object is
    /// never changed.
    fn commit(&self, path: &ObjectPath, bytes: &[u8]) -> CommitOutcome;

    /// The whole content of an object.
    fn open(&self, path: &ObjectPath) -> Result<Blob>;

    /// Length of an object, or `None` if there is none of that name.
    fn length(&self, path: &ObjectPath) -> Result<Option<u64>>;

    /// Objects whose path begins with `prefix` followed by `/`, in path order; everything for `None`.
    fn list(&self, prefix: Option<&ObjectPath>) -> Result<Vec<ObjectInfo>>;

    /// Deletes an object; a missing one is not an error.
    fn delete(&self, path: &ObjectPath) -> Result<()>;
}

/// An object being written. Dropping it without [`finish`](Self::finish) abandons it; what was written so far may stay
/// behind under a name that no reader uses.
pub trait ObjectWriter: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes the object visible and durable: after `Ok` it survives a crash of the machine.
    fn finish(self: Box<Self>) -> Result<()>;
}
