use std::sync::Arc;

use super::home::Home;
use super::object::ObjectSink;
use crate::codec::Compression;
use crate::error::{Error, Result};
use crate::format::manifest::{ObjectScope, OperatorStateContent};
use crate::format::section::Sink;
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
    threads: usize,
}

impl SnapshotTarget {
    /// A snapshot in `directory`, which is one of [`layout`]'s; object names are drawn from `random`.
    pub fn new(storage: Arc<dyn Storage>, directory: ObjectPath, random: Arc<dyn RandomSource>) -> Self {
        SnapshotTarget { storage, directory, random, compression: Compression::None, threads: 1 }
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

    /// The same, with objects written on up to so many threads at a time, where a snapshot has several that do not depend on
    /// each other. The default is the calling thread alone.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// How many threads write at most.
    pub fn threads(&self) -> usize {
        self.threads
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
        self.new_object_in(ObjectScope::Exclusive)
    }

    /// Starts a new object in the job's `shared` directory, which later snapshots may name as well: see
    /// [`new_object_in`](Self::new_object_in).
    pub fn new_shared_object(&self) -> Result<ObjectSink> {
        self.new_object_in(ObjectScope::Shared)
    }

    /// Keeps a section of operator state: in the manifest up to so many bytes, in an object of its own beyond.
    pub(crate) fn operator_state(&self, bytes: Vec<u8>, inline_bytes: usize) -> Result<OperatorStateContent> {
        if bytes.len() <= inline_bytes {
            return Ok(OperatorStateContent::Inline(bytes));
        }
        let mut sink = self.new_object()?;
        sink.write(&bytes)?;
        Ok(sink.finish()?.map_or(OperatorStateContent::Inline(bytes), OperatorStateContent::Object))
    }

    /// Starts a new object in the directory of this scope, under a random name. Nothing is created before the first byte
    /// is written.
    ///
    /// Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) where a savepoint would depend on anything outside of its
    /// directory.
    pub fn new_object_in(&self, scope: ObjectScope) -> Result<ObjectSink> {
        let is_savepoint = SnapshotDirectory::parse(self.directory.file_name()) == Some(SnapshotDirectory::Savepoint);
        if is_savepoint && scope != ObjectScope::Exclusive {
            let message = "a savepoint stands alone and cannot be incremental; write it in another format";
            return Err(Error::invalid_input(message).in_file(&self.directory));
        }
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
