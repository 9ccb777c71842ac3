//! A Flink savepoint that is being written: files first, the metadata last.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::flink::metadata::{InlineBytes, Metadata, StreamHandle};
use crate::random::RandomSource;
use crate::storage::{CommitOutcome, ObjectPath, ObjectWriter, Storage, layout};

/// State of at most so many bytes lies in the metadata, as Flink's own does by default.
const INLINE_BYTES: usize = 20 << 10;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// Where a savepoint is written. Its directory can be moved afterwards: files are named relative to it.
#[derive(Debug, Clone)]
pub struct Target {
    storage: Arc<dyn Storage>,
    directory: ObjectPath,
    random: Arc<dyn RandomSource>,
}

impl Target {
    /// A savepoint in `directory`; names of files are drawn from `random`.
    pub fn new(storage: Arc<dyn Storage>, directory: ObjectPath, random: Arc<dyn RandomSource>) -> Self {
        Target { storage, directory, random }
    }

    /// The storage.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The directory.
    pub fn directory(&self) -> &ObjectPath {
        &self.directory
    }

    /// Starts a file. Nothing is created before it is too large for the metadata.
    pub(super) fn file(&self) -> Result<FileSink<'_>> {
        let name = self.new_name()?;
        Ok(FileSink { target: self, name, buffer: Vec::new(), writer: None, length: 0 })
    }

    /// A name that nothing else has.
    pub(super) fn new_name(&self) -> Result<String> {
        layout::new_object_name(&*self.random)
    }

    /// Writes the metadata, which makes the savepoint one.
    pub(super) fn publish(&self, metadata: &Metadata) -> Result<()> {
        let path = layout::manifest(&self.directory)?;
        match self.storage.commit(&path, &metadata.encode()?) {
            CommitOutcome::Committed => Ok(()),
            CommitOutcome::NotCommitted(error) => Err(error.in_file(&path)),
            CommitOutcome::Unknown(error) => {
                Err(Error::uncertain("the savepoint may be there or not; open it to see").because(error).in_file(&path))
            }
        }
    }
}

/// A file of a savepoint.
pub(super) struct FileSink<'t> {
    target: &'t Target,
    name: String,
    buffer: Vec<u8>,
    writer: Option<Box<dyn ObjectWriter>>,
    length: u64,
}

impl FileSink<'_> {
    /// Number of bytes written so far.
    pub(super) fn position(&self) -> u64 {
        self.length
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if bytes.len() >= BUFFER_BYTES {
            self.flush()?;
            return self.append(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.append(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let path = self.target.directory.join(&self.name)?;
                none.insert(self.target.storage.create(&path).map_err(|error| error.in_file(&path))?)
            }
        };
        writer.write(bytes).map_err(|error| error.in_file(&self.name))
    }

    /// Makes the file durable; its handle.
    pub(super) fn finish(mut self) -> Result<StreamHandle> {
        if self.writer.is_none() && self.buffer.len() <= INLINE_BYTES {
            return Ok(StreamHandle::Inline(InlineBytes { name: self.name, bytes: self.buffer }));
        }
        self.flush()?;
        let FileSink { target: _, name, buffer: _, writer, length } = self;
        if let Some(writer) = writer {
            writer.finish().map_err(|error| error.in_file(&name))?;
        }
        Ok(StreamHandle::Relative { path: name, size: length })
    }
}
