//! What local storage needs from a file system, and nothing more.
//!
//! [`LocalStorage`](super::LocalStorage) is written against [`FileSystem`] so that its order of operations can be
//! watched, broken and replayed by tests: a fault at the n-th call, a crash that loses whatever was not synced.
//! [`SystemFileSystem`] is the real one.
//!
//! # Words
//!
//! A **name path** is relative to the root that the file system was opened with: segments separated by `/`, none empty, `.`
//! or `..`; the empty string is the root itself. It is an [`ObjectPath`](super::ObjectPath) or one with a temporary name at
//! its end. Errors are those of [`std::io`]: the [`kind`](io::Error::kind) decides what happens next, the text is shown.

use std::fmt;
use std::io;
use std::path::Path;

use super::Blob;
use crate::error::{Error, ErrorKind};

pub mod scratch;
#[cfg(unix)]
mod system;
#[cfg(unix)]
pub use system::SystemFileSystem;

/// A tree of directories and files below a root that no operation leaves.
///
/// No operation follows a symbolic link below the root. What is durable when is said at each operation; what is not said
/// to be durable may be lost in a crash, in any part and any order.
pub trait FileSystem: Send + Sync + fmt::Debug {
    /// A path in full, as a user would type it; for messages.
    fn full_path(&self, path: &str) -> String;

    /// Creates an empty file that only its owner may read and write, and opens it for appending. Fails with
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if the name is taken by anything.
    fn create_file(&self, path: &str) -> io::Result<Box<dyn File>>;

    /// Creates a directory that only its owner may enter. Fails with [`AlreadyExists`](io::ErrorKind::AlreadyExists) if
    /// the name is taken by anything.
    fn create_directory(&self, path: &str) -> io::Result<()>;

    /// Makes the entries of a directory durable: creations, links and removals of names in it, not below it.
    fn sync_directory(&self, path: &str) -> io::Result<()>;

    /// Gives a file a further name in one step. Fails with [`AlreadyExists`](io::ErrorKind::AlreadyExists) if `to` is
    /// taken by anything. Where there are no hard links, the old name may be gone afterwards.
    fn link(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives a complete file a further name outside of the root, `to`, a path of the operating system, in one step; `false`, and
    /// nothing done, where it cannot have one. Fails with [`AlreadyExists`](io::ErrorKind::AlreadyExists) if `to` is taken by
    /// anything, and with [`InvalidData`](io::ErrorKind::InvalidData) if `from` is anything but a regular file. Nothing becomes durable.
    fn link_outside(&self, _from: &str, _to: &Path) -> io::Result<bool> {
        Ok(false)
    }

    /// Removes the name of a file, or of anything else that is not a directory. Bytes of the file that are mapped stay.
    fn remove_file(&self, path: &str) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_directory(&self, path: &str) -> io::Result<()>;

    /// Names in a directory, in no order, without `.` and `..` and without those that are not UTF-8.
    fn read_directory(&self, path: &str) -> io::Result<Vec<String>>;

    /// What a name stands for, or `None` if it stands for nothing.
    fn metadata(&self, path: &str) -> io::Result<Option<FileMetadata>>;

    /// When the content of a file was last changed, in milliseconds since the Unix epoch by the clock of the file system;
    /// `None` if the name stands for nothing, or the file system does not tell.
    fn modified_ms(&self, _path: &str) -> io::Result<Option<i64>> {
        Ok(None)
    }

    /// The content of a file that is complete and never changes. Fails with
    /// [`InvalidData`](io::ErrorKind::InvalidData) if the name is a symbolic link or anything but a regular file.
    fn read_file(&self, path: &str) -> io::Result<Blob>;
}

/// A file open for appending.
pub trait File: Send {
    /// Appends a part of the bytes, at least one unless there are none, and returns how many.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes the content and the length durable; not the name. After an error the content may be lost although it can
    /// still be read, and a further call that succeeds does not mean that it is there.
    fn sync(&mut self) -> io::Result<()>;
}

/// What a name in a directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMetadata {
    /// Its kind.
    pub kind: FileKind,
    /// Length in bytes; only of a regular file.
    pub length: u64,
    /// The same for two names of one file, different for two files that are there at the same time.
    pub identity: FileIdentity,
}

/// Which file a name leads to: device and inode, or whatever the file system tells its files apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// Device, volume or the like.
    pub device: u64,
    /// Number of the file on it.
    pub number: u64,
}

/// Kind of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, wherever it points.
    SymbolicLink,
    /// A named pipe, socket or device.
    Special,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::File => "a regular file",
            FileKind::Directory => "a directory",
            FileKind::SymbolicLink => "a symbolic link",
            FileKind::Special => "a pipe, socket or device",
        })
    }
}

/// What an error of a file system means to somebody who wanted to do `what` to a file.
pub(super) fn explain(error: io::Error, what: &str) -> Error {
    use io::ErrorKind as Io;
    let writable = "choose another directory or let this user write there";
    let (kind, reason) = match error.kind() {
        Io::NotFound => (ErrorKind::NotFound, "it does not exist".to_owned()),
        Io::PermissionDenied => (ErrorKind::Unavailable, format!("permission denied; {writable}")),
        Io::ReadOnlyFilesystem => (ErrorKind::Unavailable, format!("the file system is read-only; {writable}")),
        Io::StorageFull => (ErrorKind::Unavailable, "the disk is full; free some space".to_owned()),
        Io::QuotaExceeded => (ErrorKind::Unavailable, "the disk quota is used up; free some space".to_owned()),
        Io::FileTooLarge => (ErrorKind::Unavailable, "the file would be larger than the limit for a file".to_owned()),
        Io::OutOfMemory => (ErrorKind::Unavailable, "no memory for its content".to_owned()),
        Io::AlreadyExists => (ErrorKind::InvalidInput, "the name is taken".to_owned()),
        Io::NotADirectory => (ErrorKind::InvalidInput, "a part of the path is not a directory".to_owned()),
        Io::InvalidInput | Io::InvalidFilename => (ErrorKind::InvalidInput, error.to_string()),
        Io::InvalidData => (ErrorKind::Corrupt, error.to_string()),
        _ => (ErrorKind::Unavailable, error.to_string()),
    };
    Error::new(kind, format!("{what}: {reason}")).because(error)
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
