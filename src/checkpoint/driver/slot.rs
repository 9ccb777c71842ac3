//! Where the manifest of a snapshot belongs, and what is found there.

use std::sync::Arc;

use crate::checkpoint::restore::Reading;
use crate::error::{Error, ErrorKind, Result};
use crate::format::control::Control;
use crate::format::manifest::Manifest;
use crate::ids::{CheckpointId, JobId};
use crate::snapshot::SnapshotReader;
use crate::storage::layout::{self, JobLayout};
use crate::storage::{Blob, ObjectPath, Storage};

/// A snapshot's directory in some storage.
#[derive(Debug, Clone)]
pub struct Location {
    /// Which storage, in the words of the program; empty for the storage of the job.
    pub place: String,
    /// The storage.
    pub storage: Arc<dyn Storage>,
    /// The directory.
    pub directory: ObjectPath,
}

/// How thoroughly a snapshot is looked at before a job starts from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Depth {
    /// The manifest, and that every object is there with its length.
    Lengths,
    /// The digest of every object as well. Reads everything.
    Digests,
}

/// What stands in a slot.
pub(super) enum Found {
    Nothing,
    Seal,
    Bytes(Blob),
}

impl Location {
    /// Opens the snapshot.
    pub fn open(&self) -> Result<SnapshotReader> {
        SnapshotReader::open(Arc::clone(&self.storage), self.directory.clone())
    }

    /// Whether this is the directory of a checkpoint in the job's own storage.
    pub(super) fn is_of(&self, job: JobId, id: CheckpointId) -> bool {
        self.place.is_empty() && self.directory == JobLayout::new(job).checkpoint(id)
    }

    pub(super) fn slot(&self) -> Result<ObjectPath> {
        layout::manifest(&self.directory)
    }

    /// Reads the slot, whatever is in it.
    pub(super) fn find(&self) -> Result<Found> {
        let path = self.slot()?;
        match self.storage.open(&path) {
            Ok(bytes) if Control::is_control(bytes.as_slice()) => match Control::decode(bytes.as_slice()) {
                Ok(Control::Seal(_)) => Ok(Found::Seal),
                _ => Ok(Found::Bytes(bytes)),
            },
            Ok(bytes) => Ok(Found::Bytes(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Reads the snapshot as far as it takes to say whether a job can start from it. `check` may refuse the manifest before
    /// its objects are looked at.
    pub fn read(&self, depth: Depth, check: impl FnOnce(&Manifest) -> Result<()>) -> Reading<Manifest> {
        match self.find() {
            Ok(Found::Nothing) => Reading::Absent,
            Ok(Found::Seal) => Reading::Sealed,
            Ok(Found::Bytes(_)) => match self.read_objects(depth, check) {
                Ok(manifest) => Reading::Complete(manifest),
                Err(error) => judge(&error),
            },
            Err(error) => judge(&error),
        }
    }

    fn read_objects(&self, depth: Depth, check: impl FnOnce(&Manifest) -> Result<()>) -> Result<Manifest> {
        let snapshot = self.open()?;
        check(snapshot.manifest())?;
        self.check_objects(&snapshot, depth)?;
        Ok(snapshot.manifest().clone())
    }

    /// Fails unless every object that the manifest names is there, as long as it says and, if asked for, with its digest.
    fn check_objects(&self, snapshot: &SnapshotReader, depth: Depth) -> Result<()> {
        for object in snapshot.manifest().objects() {
            check_length(&*self.storage, &snapshot.object_path(object)?, object.length)?;
            if depth == Depth::Digests {
                snapshot.verified_object(object)?;
            }
        }
        Ok(())
    }
}

/// Whether an error says that the bytes are wrong, or that they could not be read.
fn judge<M>(error: &Error) -> Reading<M> {
    let reason = error.to_string();
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::NotFound | ErrorKind::Incompatible | ErrorKind::InvalidInput => {
            Reading::Damaged { reason }
        }
        _ => Reading::Unavailable { reason },
    }
}

/// Fails unless an object is there and has this length.
pub(super) fn check_length(storage: &dyn Storage, path: &ObjectPath, length: u64) -> Result<()> {
    let found = storage.length(path).map_err(|error| error.in_file(path))?;
    let error = match found {
        Some(found) if found == length => return Ok(()),
        Some(found) => Error::corrupt(format!("the object is {found} bytes long, the manifest says {length}")),
        None => Error::corrupt("the manifest names this object, which is not there"),
    };
    Err(error.in_file(path))
}
