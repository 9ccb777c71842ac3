use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::flink::Roots;
use crate::format::flink::metadata::StreamHandle;
use crate::storage::layout::MANIFEST_NAME;
use crate::storage::{Blob, ObjectPath, Storage};

/// A directory of a storage.
#[derive(Debug, Clone)]
pub struct Directory {
    storage: Arc<dyn Storage>,
    path: Option<ObjectPath>,
}

impl Directory {
    /// The directory `path` of a storage, `None` for its root.
    pub fn new(storage: Arc<dyn Storage>, path: Option<ObjectPath>) -> Self {
        Directory { storage, path }
    }

    /// Name of a file below the directory. A name that no object can have is
    /// [`Incompatible`](crate::ErrorKind::Incompatible).
    fn object(&self, below: &str) -> Result<ObjectPath> {
        let path = match &self.path {
            Some(path) => path.join(below),
            None => ObjectPath::parse(below),
        };
        path.map_err(|error| {
            Error::incompatible(format!("file {below:?} has a name that storages do not allow; rename it"))
                .because(error)
        })
    }

    /// Opens a file below the directory.
    pub(super) fn open(&self, below: &str) -> Result<(Blob, ObjectPath)> {
        let path = self.object(below)?;
        let blob = self.storage.open(&path).map_err(|error| error.in_file(&path))?;
        Ok((blob, path))
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => path.fmt(f),
            None => f.write_str("."),
        }
    }
}

/// Bytes that a handle leads to.
#[derive(Debug, Clone)]
pub struct Stream {
    bytes: Blob,
    file: String,
    start: u64,
}

impl Stream {
    /// The file that the bytes lie in; for inline state the metadata file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The bytes themselves.
    #[cfg(feature = "rocksdb")]
    pub(super) fn into_blob(self) -> Blob {
        self.bytes
    }

    /// Adds the file to an error, and the position of the stream in it to the error's offset.
    pub(super) fn locate(&self, error: Error) -> Error {
        if error.place().file.is_some() { error } else { error.offset_by(self.start).in_file(&self.file) }
    }
}

impl AsRef<[u8]> for Stream {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_slice()
    }
}

/// Where the files of a snapshot lie.
#[derive(Debug)]
pub(super) struct Files {
    own: Directory,
    roots: Roots<Directory>,
    /// Where the job's directory was when the snapshot was written, for what lies below none of `roots`.
    moved: Roots<Directory>,
}

impl Files {
    pub(super) fn new(own: Directory, roots: Roots<Directory>) -> Self {
        Files { own, roots, moved: Roots::new() }
    }

    /// Says that what was the directory `old` lies in `new` now, where no root says otherwise.
    pub(super) fn moved(&mut self, old: &str, new: Directory) -> Result<()> {
        self.moved.map(old, new)
    }

    pub(super) fn own(&self) -> &Directory {
        &self.own
    }

    /// Opens the stream of a handle, whose length must be the one that the handle says.
    pub(super) fn open(&self, handle: &StreamHandle) -> Result<Stream> {
        let stream = self.find(handle)?;
        let length = u64::try_from(stream.bytes.len()).unwrap_or(u64::MAX);
        if length == handle.size() {
            return Ok(stream);
        }
        let message = format!("the file has {length} bytes, its handle says {}; use another snapshot", handle.size());
        Err(Error::corrupt(message).at_offset(length.min(handle.size())).in_file(&stream.file))
    }

    /// Opens the stream of a handle, whatever its length is.
    pub(super) fn find(&self, handle: &StreamHandle) -> Result<Stream> {
        let handle = handle.plain();
        Ok(match handle {
            StreamHandle::Inline(inline) => {
                let file = format!("{}/{MANIFEST_NAME} (inline state)", self.own);
                Stream { bytes: Blob::from(inline.bytes.clone()), file, start: 0 }
            }
            StreamHandle::Relative { path, .. } => whole(&self.own, path)?,
            StreamHandle::File { uri, .. } => self.absolute(uri)?,
            StreamHandle::Segment(segment) => {
                let Stream { bytes, file, .. } = self.absolute(&segment.uri)?;
                let end = segment.start.saturating_add(segment.size);
                let bytes = bytes.slice(segment.start..end).map_err(|error| error.in_file(&file))?;
                Stream { bytes, file, start: segment.start }
            }
            StreamHandle::EmptySegment | StreamHandle::KeyGroups { .. } => {
                Stream { bytes: Blob::from(Vec::new()), file: "an empty segment".to_owned(), start: 0 }
            }
        })
    }

    fn absolute(&self, uri: &str) -> Result<Stream> {
        let resolved = self.roots.resolve(uri).or_else(|unknown| self.moved.resolve(uri).map_err(|_| unknown));
        let (directory, path) = resolved?;
        whole(directory, &path)
    }
}

fn whole(directory: &Directory, path: &str) -> Result<Stream> {
    let (bytes, path) = directory.open(path)?;
    Ok(Stream { bytes, file: path.to_string(), start: 0 })
}
