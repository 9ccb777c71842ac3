//! The operating system's file system, held by the descriptor of a root directory.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{File, FileIdentity, FileKind, FileMetadata, FileSystem, explain};
use crate::error::Result;
use crate::storage::Blob;
use crate::storage::map::Mapping;

/// Files shorter than this are read: a map costs a page fault and a few system calls more than copying so little.
const MAP_FROM_BYTES: u64 = 64 * 1024;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Directories and files below a root directory.
///
/// The root is opened once; every name is resolved from its descriptor one segment at a time, none through a symbolic
/// link, so that no name leads out of it even while somebody else moves directories about. Directories are created with
/// mode 0700 and files with mode 0600, both narrowed further by the process's umask.
#[derive(Debug)]
pub struct SystemFileSystem {
    root: OwnedFd,
    root_path: PathBuf,
    mapping: bool,
    linking: bool,
}

impl SystemFileSystem {
    /// Opens an existing directory. [`NotFound`](crate::ErrorKind::NotFound) if there is none.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root_path = root.as_ref();
        let shown = root_path.display();
        let opened = rustix::fs::open(root_path, DIRECTORY, Mode::empty());
        let root = opened.map_err(|error| explain(error.into(), "cannot open the directory").in_file(shown))?;
        let root_path = std::path::absolute(root_path).unwrap_or_else(|_| root_path.to_owned());
        Ok(SystemFileSystem { root, root_path, mapping: true, linking: true })
    }

    /// Opens a directory and creates it first if it is missing, its ancestors too. On return the directory survives a
    /// crash.
    pub fn create(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        create_directories(root)
            .map_err(|error| explain(error, "cannot create the directory").in_file(root.display()))?;
        Self::open(root)
    }

    /// The same, but files are always read, never mapped: for directories where other programs may truncate files, and
    /// for network file systems that may fail in the middle of one (see the page of `map.rs`: SIGBUS).
    #[must_use]
    pub fn without_mapping(mut self) -> Self {
        self.mapping = false;
        self
    }

    /// The same, but files get no names outside of the root: for where programs that do not know that objects are immutable
    /// work on the directories that databases are restored to.
    #[must_use]
    pub fn without_linking(mut self) -> Self {
        self.linking = false;
        self
    }

    /// Opens the directory that holds the last segment of `path`, and returns that segment.
    fn parent<'p>(&self, path: &'p str) -> io::Result<(OwnedFd, &'p str)> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.directory(directory)?, check_segment(name)?))
    }

    fn directory(&self, path: &str) -> io::Result<OwnedFd> {
        // A descriptor of its own, so that reading the entries of the root starts at the first one.
        let mut directory = rustix::fs::openat(&self.root, ".", DIRECTORY, Mode::empty())?;
        if path.is_empty() {
            return Ok(directory);
        }
        for segment in path.split('/') {
            let opened =
                rustix::fs::openat(&directory, check_segment(segment)?, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
            directory = opened.map_err(|error| not_a_directory(&directory, segment, error))?;
        }
        Ok(directory)
    }
}

impl FileSystem for SystemFileSystem {
    fn full_path(&self, path: &str) -> String {
        self.root_path.join(path).display().to_string()
    }

    fn create_file(&self, path: &str) -> io::Result<Box<dyn File>> {
        let (directory, name) = self.parent(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory, name, flags, Mode::from_raw_mode(FILE_MODE))?;
        Ok(Box::new(SystemFile(file.into())))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        Ok(rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(DIRECTORY_MODE))?)
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        std::fs::File::from(self.directory(path)?).sync_all()
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let (from_directory, from) = self.parent(from)?;
        let (to_directory, to) = self.parent(to)?;
        match rustix::fs::linkat(&from_directory, from, &to_directory, to, AtFlags::empty()) {
            #[cfg(any(target_os = "linux", target_os = "macos"))]
            Err(Errno::OPNOTSUPP | Errno::PERM | Errno::NOSYS | Errno::MLINK) => {
                let flags = rustix::fs::RenameFlags::NOREPLACE;
                Ok(rustix::fs::renameat_with(&from_directory, from, &to_directory, to, flags)?)
            }
            linked => Ok(linked?),
        }
    }

    fn link_outside(&self, from: &str, to: &Path) -> io::Result<bool> {
        if !self.linking {
            return Ok(false);
        }
        let (directory, name) = self.parent(from)?;
        match rustix::fs::linkat(&directory, name, CWD, to, AtFlags::empty()) {
            Ok(()) => {}
            // Another file system, one without links, or one that keeps strangers' files from being linked.
            Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS | Errno::NOSYS | Errno::MLINK) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        // Looked at where it cannot be exchanged any more: a symbolic link was linked, not followed.
        let stat = rustix::fs::statat(CWD, to, AtFlags::SYMLINK_NOFOLLOW)?;
        match kind_of(FileType::from_raw_mode(stat.st_mode)) {
            FileKind::File => Ok(true),
            kind => {
                rustix::fs::unlinkat(CWD, to, AtFlags::empty())?;
                Err(refuse(kind))
            }
        }
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(&directory, name, AtFlags::empty())?)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        let (directory, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(&directory, name, AtFlags::REMOVEDIR)?)
    }

    fn read_directory(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::new(self.directory(path)?)? {
            let entry = entry?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    fn metadata(&self, path: &str) -> io::Result<Option<FileMetadata>> {
        let found = self
            .parent(path)
            .and_then(|(directory, name)| Ok(rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?));
        match found {
            Ok(stat) => {
                let kind = kind_of(FileType::from_raw_mode(stat.st_mode));
                let length = if kind == FileKind::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 };
                #[allow(clippy::useless_conversion, reason = "the widths differ between platforms")]
                let identity = FileIdentity { device: stat.st_dev.into(), number: stat.st_ino.into() };
                Ok(Some(FileMetadata { kind, length, identity }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn modified_ms(&self, path: &str) -> io::Result<Option<i64>> {
        let found = self
            .parent(path)
            .and_then(|(directory, name)| Ok(rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?));
        match found {
            #[allow(clippy::useless_conversion, reason = "the widths differ between platforms")]
            Ok(stat) => {
                let nanoseconds = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
                Ok(Some(i64::from(stat.st_mtime).saturating_mul(1_000).saturating_add(nanoseconds / 1_000_000)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_file(&self, path: &str) -> io::Result<Blob> {
        let (directory, name) = self.parent(path)?;
        // Without NONBLOCK, opening a named pipe waits for somebody to write to it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory, name, flags, Mode::empty()).map_err(|error| match error {
            Errno::LOOP => refuse(FileKind::SymbolicLink),
            // What opening a socket gives.
            Errno::NXIO => refuse(FileKind::Special),
            other => other.into(),
        })?;
        let stat = rustix::fs::fstat(&file)?;
        match kind_of(FileType::from_raw_mode(stat.st_mode)) {
            FileKind::File => {}
            FileKind::Directory => return Err(io::ErrorKind::IsADirectory.into()),
            kind => return Err(refuse(kind)),
        }
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        read_or_map(&file.into(), length, self.mapping && length >= MAP_FROM_BYTES)
    }
}

fn read_or_map(file: &std::fs::File, length: u64, map: bool) -> io::Result<Blob> {
    if map
        && let Ok(length) = usize::try_from(length)
        && let Ok(mapping) = Mapping::of_object(file, length)
    {
        return Ok(Blob::mapped(mapping));
    }
    read_whole(file, length).map(Blob::from)
}

/// As many bytes as there are, up to `length`.
fn read_whole(input: impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more, so that the end is seen without growing. A length that was made up costs an error, not an abort.
    let capacity = usize::try_from(length).map_or(usize::MAX, |length| length.saturating_add(1));
    bytes.try_reserve_exact(capacity).map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error))?;
    input.take(length).read_to_end(&mut bytes)?;
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// A file being written.
struct SystemFile(std::fs::File);

impl File for SystemFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// Creates the missing ones among a directory and its ancestors, outermost first, and makes each durable before the
/// next. The parent of the innermost one that existed is synced too: whoever created it may have died before doing so.
fn create_directories(directory: &Path) -> io::Result<()> {
    let directory = std::path::absolute(directory)?;
    let missing: Vec<&Path> = directory.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    let existing = missing.last().map_or(directory.as_path(), |outermost| outermost.parent().unwrap_or(outermost));
    if let Some(parent) = existing.parent() {
        match sync(parent) {
            // A directory that this user may not even open is not one in which this crate created anything.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    for ancestor in missing.into_iter().rev() {
        match std::fs::DirBuilder::new().mode(DIRECTORY_MODE).create(ancestor) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => created?,
        }
        if let Some(parent) = ancestor.parent() {
            sync(parent)?;
        }
    }
    Ok(())
}

fn sync(directory: &Path) -> io::Result<()> {
    let directory = rustix::fs::open(directory, DIRECTORY, Mode::empty())?;
    std::fs::File::from(directory).sync_all()
}

fn check_segment(segment: &str) -> io::Result<&str> {
    if matches!(segment, "" | "." | "..") || segment.contains(['/', '\0']) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{segment:?} is not a name in a directory")));
    }
    Ok(segment)
}

fn kind_of(file_type: FileType) -> FileKind {
    match file_type {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::SymbolicLink,
        _ => FileKind::Special,
    }
}

/// Tells a symbolic link, which must not go unnoticed, from a file, below which there is simply nothing.
fn not_a_directory(parent: &OwnedFd, name: &str, error: Errno) -> io::Error {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    match (error, stat) {
        (Errno::LOOP | Errno::NOTDIR, Ok(stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
            let message = format!("{name:?} is a symbolic link, which is not followed; use a directory");
            io::Error::new(io::ErrorKind::InvalidData, message)
        }
        _ => error.into(),
    }
}

fn refuse(kind: FileKind) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{kind}, not a regular file"))
}

#[cfg(all(test, feature = "test-util"))]
mod tests {
    use super::*;
    use crate::storage::fault::Trickle;

    /// However the bytes trickle in, what is read is what was there when the file was opened, or all that is left of it.
    #[test]
    fn s_32_an_object_is_read_in_pieces() {
        let bytes: Vec<u8> = (0..10_000_u32).map(|number| number as u8).collect();
        for seed in 0..20 {
            for length in [0, 1, 31, 32, 33, 8_192, 9_999, 10_000] {
                let read = read_whole(Trickle::new(bytes.as_slice(), seed), length as u64).unwrap();
                assert!(read == bytes[..length], "{length} bytes, seed {seed}");
            }
            assert!(read_whole(Trickle::new(bytes.as_slice(), seed), 20_000).unwrap() == bytes);
        }
    }

    /// A length that the file system made up costs an error.
    #[test]
    fn s_39_a_length_that_is_not_true_reserves_nothing() {
        let error = read_whole(io::empty(), u64::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }
}
