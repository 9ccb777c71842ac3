//! Where measured snapshots go.

use std::io;
use std::path::Path;
use std::sync::Arc;

use millpond::random::SystemRandom;
use millpond::storage::{
    Blob, CommitOutcome, File, FileMetadata, FileSystem, LocalStorage, MemoryStorage, ObjectInfo, ObjectPath,
    ObjectWriter, Storage, SystemFileSystem,
};

/// A kind of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SinkKind {
    /// Forgets what it gets: what is left is the cost of making the bytes.
    Nothing,
    Memory,
    /// Files that are not synced, so that bytes land in the page cache.
    PageCache,
    /// Files that are durable before the snapshot counts as written.
    Disk,
}

impl SinkKind {
    pub(crate) const ALL: [SinkKind; 4] = [SinkKind::Nothing, SinkKind::Memory, SinkKind::PageCache, SinkKind::Disk];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            SinkKind::Nothing => "nothing",
            SinkKind::Memory => "memory",
            SinkKind::PageCache => "page cache",
            SinkKind::Disk => "disk",
        }
    }

    /// An empty storage; files go below `directory`.
    pub(crate) fn storage(self, directory: &Path) -> Arc<dyn Storage> {
        match self {
            SinkKind::Nothing => Arc::new(Forgetful),
            SinkKind::Memory => Arc::new(MemoryStorage::new(u64::MAX)),
            SinkKind::PageCache => {
                let files = SystemFileSystem::open(directory).expect("the directory opens");
                Arc::new(LocalStorage::over(Arc::new(Unsynced(files)), Arc::new(SystemRandom)))
            }
            SinkKind::Disk => Arc::new(LocalStorage::open(directory).expect("the directory opens")),
        }
    }
}

/// A file system whose syncs do nothing.
#[derive(Debug)]
struct Unsynced(SystemFileSystem);

struct UnsyncedFile(Box<dyn File>);

impl File for UnsyncedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FileSystem for Unsynced {
    fn full_path(&self, path: &str) -> String {
        self.0.full_path(path)
    }

    fn create_file(&self, path: &str) -> io::Result<Box<dyn File>> {
        Ok(Box::new(UnsyncedFile(self.0.create_file(path)?)))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.0.create_directory(path)
    }

    fn sync_directory(&self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.link(from, to)
    }

    fn link_outside(&self, from: &str, to: &Path) -> io::Result<bool> {
        self.0.link_outside(from, to)
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.0.remove_file(path)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.0.remove_directory(path)
    }

    fn read_directory(&self, path: &str) -> io::Result<Vec<String>> {
        self.0.read_directory(path)
    }

    fn metadata(&self, path: &str) -> io::Result<Option<FileMetadata>> {
        self.0.metadata(path)
    }

    fn read_file(&self, path: &str) -> io::Result<Blob> {
        self.0.read_file(path)
    }
}

/// Takes objects and keeps nothing.
#[derive(Debug)]
struct Forgetful;

impl ObjectWriter for Forgetful {
    fn write(&mut self, _bytes: &[u8]) -> millpond::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> millpond::Result<()> {
        Ok(())
    }
}

impl Storage for Forgetful {
    fn create(&self, _path: &ObjectPath) -> millpond::Result<Box<dyn ObjectWriter>> {
        Ok(Box::new(Forgetful))
    }

    fn commit(&self, _path: &ObjectPath, _bytes: &[u8]) -> CommitOutcome {
        CommitOutcome::Committed
    }

    fn open(&self, path: &ObjectPath) -> millpond::Result<Blob> {
        Err(millpond::Error::not_found(format!("{path} was forgotten")))
    }

    fn length(&self, _path: &ObjectPath) -> millpond::Result<Option<u64>> {
        Ok(None)
    }

    fn list(&self, _prefix: Option<&ObjectPath>) -> millpond::Result<Vec<ObjectInfo>> {
        Ok(Vec::new())
    }

    fn delete(&self, _path: &ObjectPath) -> millpond::Result<()> {
        Ok(())
    }
}
