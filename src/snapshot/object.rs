use std::sync::Arc;

use crate::codec::Digest;
use crate::error::{Error, Result};
use crate::format::manifest::{ObjectRef, ObjectScope};
use crate::format::section::Sink;
use crate::storage::{ObjectPath, ObjectWriter, Storage};

/// Writes one object of a snapshot and keeps account of its length and digest.
///
/// The object is created with the first byte, so that state without entries leaves nothing in storage.
pub struct ObjectSink {
    storage: Arc<dyn Storage>,
    path: ObjectPath,
    scope: ObjectScope,
    name: String,
    writer: Option<Box<dyn ObjectWriter>>,
    length: u64,
    hasher: blake3::Hasher,
}

impl ObjectSink {
    pub(super) fn new(storage: Arc<dyn Storage>, path: ObjectPath, scope: ObjectScope, name: String) -> Self {
        ObjectSink { storage, path, scope, name, writer: None, length: 0, hasher: blake3::Hasher::new() }
    }

    /// Makes the object durable; `None` if nothing was written.
    pub fn finish(self) -> Result<Option<ObjectRef>> {
        let Some(writer) = self.writer else { return Ok(None) };
        writer.finish().map_err(|error| error.in_file(&self.path))?;
        let digest = Digest(*self.hasher.finalize().as_bytes());
        Ok(Some(ObjectRef { scope: self.scope, name: self.name, length: self.length, digest }))
    }
}

impl Sink for ObjectSink {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.writer.is_none() {
            self.writer = Some(self.storage.create(&self.path).map_err(|error| error.in_file(&self.path))?);
        }
        let Some(writer) = &mut self.writer else { return Err(Error::internal("an object without a writer")) };
        writer.write(bytes).map_err(|error| error.in_file(&self.path))?;
        self.hasher.update(bytes);
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}

impl std::fmt::Debug for ObjectSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectSink").field("path", &self.path).field("length", &self.length).finish_non_exhaustive()
    }
}
