use std::sync::Arc;

use super::home::Home;
use super::object::ObjectSink;
use crate::codec::Compression;
use crate::error::{Error, Result};
use crate::format::manifest::ObjectScope;
use crate::random::RandomSource;
use crate::storage::layout::{self, SnapshotDirectory};
use crate::storage::{ObjectPath, Storage};

/// Where a snapshot is written, and how.
#[derive(Debug, Clone)]
pub struct SnapshotTarget {
    storage: Arc<dyn Storage>,
    directory: ObjectPath,
    random: Arc<dyn RandomSource>,
    compression: Compression,
}

impl SnapshotTarget {
    /// A snapshot in `directory`, which is one of [`layout`]'s; object names are drawn from `random`.
    pub fn new(storage: Arc<dyn Storage>, directory: ObjectPath, random: Arc<dyn RandomSource>) -> Self {
        SnapshotTarget { storage, directory, random, compression: Compression::None }
    }

    /// The same, with compressed blocks. The default is none.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// How blocks are compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The storage.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The directory of the snapshot.
    pub fn directory(&self) -> &ObjectPath {
        &self.directory
    }

    /// Where other snapshots can share its objects.
    pub fn home(&self) -> Home {
        Home::of(&self.storage, &self.directory)
    }

    /// Starts a new object that belongs to this snapshot alone. Nothing is created before the first byte is written.
    pub fn new_object(&self) -> Result<ObjectSink> {
        self.object(ObjectScope::Exclusive)
    }

    /// Starts a new object in the job's `shared` directory, which later snapshots may name as well. Nothing is created
    /// before the first byte is written.
    ///
    /// Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) for a savepoint, which must not depend on anything
    /// outside its directory.
    pub fn new_shared_object(&self) -> Result<ObjectSink> {
        if SnapshotDirectory::parse(self.directory.file_name()) == Some(SnapshotDirectory::Savepoint) {
            let message = "a savepoint stands alone and cannot be incremental; write it in another format";
            return Err(Error::invalid_input(message).in_file(&self.directory));
        }
        self.object(ObjectScope::Shared)
    }

    fn object(&self, scope: ObjectScope) -> Result<ObjectSink> {
        let name = layout::new_object_name(&*self.random)?;
        let path = object_path(&self.directory, scope, &name)?;
        Ok(ObjectSink::new(Arc::clone(&self.storage), path, scope, name))
    }
}

/// Where an object lies that a manifest in `directory` names.
pub fn object_path(directory: &ObjectPath, scope: ObjectScope, name: &str) -> Result<ObjectPath> {
    let beside = |folder: &str| match directory.parent() {
        Some(parent) => parent.join(folder)?.join(name),
        None => ObjectPath::parse(folder)?.join(name),
    };
    match scope {
        ObjectScope::Exclusive => directory.join(name),
        ObjectScope::Shared => beside("shared"),
        ObjectScope::TaskOwned => beside("taskowned"),
    }
    .map_err(|error| Error::corrupt(format!("object name {name:?} cannot be used")).because(error))
}
