//! Objects that tasks own.
//!
//! What a task writes for itself, whatever becomes of checkpoints: the records that a sink holds back until a checkpoint has completed, the log of
//! an operator. Such an object lies in `{job}/taskowned/`, under a random name like every other; nobody but its owner deletes it.
//!
//! The owner remembers it in its operator state, as a [`Reference`], so that it finds it again after a restart. For a sink:
//!
//! 1. Write what came since the last barrier with [`TaskOwned::create`]; [`ObjectSink::finish`] gives an [`ObjectRef`] with length and digest.
//! 2. At the barrier, put [`TaskOwned::reference`] of it into the list state, before that is snapshotted.
//! 3. Once the checkpoint has completed, [`TaskOwned::read`] it, hand the records over, and then [`TaskOwned::delete`] it.
//! 4. After a restart, [`TaskOwned::resolve`] what the state holds. An object that is not there any more
//!    ([`NotFound`](crate::ErrorKind::NotFound)) was handed over: its owner deleted it after that.
//!
//! # What holds
//!
//! - No collector deletes a task-owned object, whether a manifest names it or not. A task that dies between writing an object and
//!   remembering it leaves it for good; `millpond checkpoints` and `millpond gc` say how much lies there.
//! - Only what was written by this type is deleted by it: an object of that scope, whose content is still what was written.
//! - A savepoint stands alone. A reference for a savepoint is the content itself, up to [`MOST_COPIED_BYTES`]; a
//!   longer object is refused, and has to be handed over before.
//! - A snapshot in another job or storage gets no reference to an object here.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::home::Home;
use super::object::ObjectSink;
use super::target::{SnapshotTarget, object_path};
use crate::codec::{Digest, digest};
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{ObjectRef, ObjectScope};
use crate::format::section::Sink;
use crate::ids::JobId;
use crate::random::RandomSource;
use crate::storage::layout::{self, JobLayout, SnapshotDirectory};
use crate::storage::{Blob, ObjectPath, Storage};

/// Bytes of an object that are copied into a savepoint at most.
pub const MOST_COPIED_BYTES: u64 = 16 << 20;

/// The task-owned objects of a job. See the [module page](self).
#[derive(Clone)]
pub struct TaskOwned {
    storage: Arc<dyn Storage>,
    layout: JobLayout,
    random: Arc<dyn RandomSource>,
}

/// How operator state refers to a task-owned object: for instance as elements of a list, with
/// [`Msgpack`](crate::serializer::Msgpack) as their serializer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reference {
    /// It lies in a job's `taskowned` directory.
    Object {
        /// The job.
        job: [u8; 16],
        /// Its name.
        name: String,
        /// Its length in bytes.
        length: u64,
        /// BLAKE3 of its bytes.
        digest: [u8; 32],
    },
    /// Its bytes, in a savepoint.
    Content(Vec<u8>),
}

impl TaskOwned {
    /// The task-owned objects of `job`; names of new ones are drawn from `random`.
    ///
    /// Snapshots that are to refer to them are written to the same storage, the same [`Arc`].
    pub fn new(storage: Arc<dyn Storage>, job: JobId, random: Arc<dyn RandomSource>) -> Self {
        TaskOwned { storage, layout: JobLayout::new(job), random }
    }

    /// Starts a new object. Nothing is created before the first byte is written, and nobody sees it before it is finished.
    pub fn create(&self) -> Result<ObjectSink> {
        let name = layout::new_object_name(&*self.random)?;
        let path = self.layout.task_owned().join(&name)?;
        Ok(ObjectSink::new(Arc::clone(&self.storage), path, ObjectScope::TaskOwned, name))
    }

    /// Writes an object in one go. Fails with [`InvalidInput`](ErrorKind::InvalidInput) if there are no bytes.
    pub fn write(&self, bytes: &[u8]) -> Result<ObjectRef> {
        let mut sink = self.create()?;
        sink.write(bytes)?;
        sink.finish()?
            .ok_or_else(|| Error::invalid_input("an object without content is not stored; write at least a byte"))
    }

    /// The content of an object, after a check of its length and digest. [`NotFound`](ErrorKind::NotFound) if it was deleted.
    pub fn read(&self, object: &ObjectRef) -> Result<Blob> {
        let path = self.path(object)?;
        let blob = self.storage.open(&path).map_err(|error| error.in_file(&path))?;
        let (length, found) = (u64::try_from(blob.as_slice().len()).unwrap_or(u64::MAX), digest(blob.as_slice()));
        if (length, found) == (object.length, object.digest) {
            return Ok(blob);
        }
        let message = format!(
            "the object has {length} bytes with digest {found}, its owner wrote {} with digest {}; restore a checkpoint \
             from before it was written",
            object.length, object.digest
        );
        Err(Error::corrupt(message).in_file(path).in_field("digest"))
    }

    /// Deletes an object; a missing one is not an error. Only its owner may, and only when no checkpoint that may still be restored needs
    /// it. Fails with [`InvalidInput`](ErrorKind::InvalidInput) if it is not task-owned, and if something else than what was written has
    /// its name.
    pub fn delete(&self, object: &ObjectRef) -> Result<()> {
        let path = self.path(object)?;
        match self.storage.length(&path).map_err(|error| error.in_file(&path))? {
            None => Ok(()),
            Some(length) if length == object.length => self.storage.delete(&path).map_err(|error| error.in_file(&path)),
            Some(length) => {
                let message =
                    format!("the object has {length} bytes, its owner wrote {}; it is not deleted", object.length);
                Err(Error::invalid_input(message).in_file(path))
            }
        }
    }

    /// What to keep in operator state that is written to `target`.
    ///
    /// For a checkpoint of this job, a reference to the object. For a savepoint, its content, read and checked; fails with
    /// [`InvalidInput`](ErrorKind::InvalidInput) if that is longer than [`MOST_COPIED_BYTES`]. Fails likewise where the target
    /// is in another job or storage.
    pub fn reference(&self, object: &ObjectRef, target: &SnapshotTarget) -> Result<Reference> {
        let path = self.path(object)?;
        if SnapshotDirectory::parse(target.directory().file_name()) == Some(SnapshotDirectory::Savepoint) {
            return self.content(object, path);
        }
        if target.home() != Home::of_job(&self.storage, &self.layout) {
            let message = format!(
                "a snapshot in {} cannot refer to what tasks of job {} own; write a savepoint, which takes a copy",
                target.directory(),
                self.layout.job()
            );
            return Err(Error::invalid_input(message).in_file(path));
        }
        let (job, name) = (self.layout.job().0, object.name.clone());
        Ok(Reference::Object { job, name, length: object.length, digest: object.digest.0 })
    }

    fn content(&self, object: &ObjectRef, path: ObjectPath) -> Result<Reference> {
        if object.length > MOST_COPIED_BYTES {
            let message = format!(
                "a savepoint stands alone and would need a copy of {} bytes, the most is {MOST_COPIED_BYTES}; finish what \
                 the object is for and delete it before taking the savepoint, or take a checkpoint",
                object.length
            );
            return Err(Error::invalid_input(message).in_file(path));
        }
        Ok(Reference::Content(self.read(object)?.as_slice().to_vec()))
    }

    /// The object that restored state refers to. Content from a savepoint, and what belongs to another job from which this one was
    /// started, is written to an object of this job's own; the other job's stays.
    ///
    /// Fails with [`NotFound`](ErrorKind::NotFound) if the object was deleted, which its owner does once it is done with it.
    pub fn resolve(&self, reference: &Reference) -> Result<ObjectRef> {
        let (job, object) = match reference {
            Reference::Content(bytes) => return self.write(bytes),
            Reference::Object { job, name, length, digest } => {
                let (name, digest) = (name.clone(), Digest(*digest));
                (JobId(*job), ObjectRef { scope: ObjectScope::TaskOwned, name, length: *length, digest })
            }
        };
        if job != self.layout.job() {
            let other = TaskOwned { layout: JobLayout::new(job), ..self.clone() };
            return self.write(other.read(&object)?.as_slice());
        }
        let path = self.path(&object)?;
        match self.storage.length(&path).map_err(|error| error.in_file(&path))? {
            Some(_) => Ok(object),
            None => Err(Error::not_found("the object is not there any more: its owner has deleted it").in_file(path)),
        }
    }

    fn path(&self, object: &ObjectRef) -> Result<ObjectPath> {
        if object.scope != ObjectScope::TaskOwned || !layout::is_object_name(&object.name) {
            let message = format!("{:?} is a {} object, not one that tasks own", object.name, object.scope.name());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        object_path(&self.layout.task_owned(), ObjectScope::Exclusive, &object.name)
    }
}

impl fmt::Debug for TaskOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskOwned")
            .field("storage", &self.storage)
            .field("job", &self.layout.job())
            .finish_non_exhaustive()
    }
}
