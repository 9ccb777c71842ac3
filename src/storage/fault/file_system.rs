//! Faults below a storage.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Action, FaultPlan, Verdict, half};
use crate::storage::Blob;
use crate::storage::filesystem::{File, FileMetadata, FileSystem};

/// A [`FileSystem`] that fails as planned. Each call is one operation, and so is each write and sync of a file.
#[derive(Debug)]
pub struct FaultFileSystem {
    inner: Arc<dyn FileSystem>,
    plan: FaultPlan,
}

impl FaultFileSystem {
    /// `inner`, with the faults of `plan`.
    pub fn new(inner: Arc<dyn FileSystem>, plan: FaultPlan) -> Self {
        FaultFileSystem { inner, plan }
    }

    fn perform<T>(&self, action: Action, path: &str, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.plan.perform(action, path, run)
    }
}

impl FaultPlan {
    fn perform<T>(&self, action: Action, path: &str, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.perform_as(self.begin(action, path), run)
    }

    fn perform_as<T>(&self, verdict: Verdict, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match verdict {
            Verdict::Pass | Verdict::Cut { .. } => run(),
            Verdict::Before | Verdict::Half { .. } => Err(self.io_error()),
            Verdict::After => run().and_then(|_| Err(self.io_error())),
        }
    }
}

impl FileSystem for FaultFileSystem {
    fn full_path(&self, path: &str) -> String {
        self.inner.full_path(path)
    }

    fn create_file(&self, path: &str) -> io::Result<Box<dyn File>> {
        let inner = self.perform(Action::CreateFile, path, || {
            let file = self.inner.create_file(path)?;
            self.plan.state().audit.file_created(path);
            Ok(file)
        })?;
        Ok(Box::new(FaultFile { inner, path: path.to_owned(), plan: self.plan.clone() }))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.perform(Action::CreateDirectory, path, || {
            self.inner.create_directory(path)?;
            self.plan.state().audit.directory_created(path);
            Ok(())
        })
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.perform(Action::SyncDirectory, path, || self.inner.sync_directory(path))?;
        self.plan.state().audit.directory_synced(path);
        Ok(())
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.plan.state().audit.linking(from, to);
        self.perform(Action::Link, to, || self.inner.link(from, to))
    }

    fn link_outside(&self, from: &str, to: &Path) -> io::Result<bool> {
        self.perform(Action::ReadFile, from, || self.inner.link_outside(from, to))
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.perform(Action::RemoveFile, path, || self.inner.remove_file(path))
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.perform(Action::RemoveDirectory, path, || {
            self.inner.remove_directory(path)?;
            self.plan.state().audit.directory_removed(path);
            Ok(())
        })
    }

    fn read_directory(&self, path: &str) -> io::Result<Vec<String>> {
        self.perform(Action::ReadDirectory, path, || self.inner.read_directory(path))
    }

    fn metadata(&self, path: &str) -> io::Result<Option<FileMetadata>> {
        self.perform(Action::Metadata, path, || self.inner.metadata(path))
    }

    fn modified_ms(&self, path: &str) -> io::Result<Option<i64>> {
        self.perform(Action::Metadata, path, || self.inner.modified_ms(path))
    }

    fn read_file(&self, path: &str) -> io::Result<Blob> {
        let verdict = self.plan.begin(Action::ReadFile, path);
        self.plan.perform_as(verdict, || self.inner.read_file(path)).map(|blob| verdict.cut(blob))
    }
}

struct FaultFile {
    inner: Box<dyn File>,
    path: String,
    plan: FaultPlan,
}

impl File for FaultFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.plan.state().audit.file_written(&self.path);
        match self.plan.begin(Action::WriteFile, &self.path) {
            Verdict::Pass | Verdict::Cut { .. } => self.inner.write(bytes),
            Verdict::Before => Err(self.plan.io_error()),
            Verdict::After => self.inner.write(bytes).and_then(|_| Err(self.plan.io_error())),
            Verdict::Half { fail } => {
                let written = self.inner.write(half(bytes))?;
                if fail { Err(self.plan.io_error()) } else { Ok(written) }
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let synced = self.plan.perform(Action::SyncFile, &self.path, || self.inner.sync());
        self.plan.state().audit.file_synced(&self.path, synced.is_ok());
        synced
    }
}
