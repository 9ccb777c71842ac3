//! One object on its way from a temporary file to its name.

use std::io;
use std::sync::Arc;

use super::Shared;
use crate::error::{Error, Result};
use crate::storage::filesystem::{File, FileKind, FileMetadata, explain};
use crate::storage::{CommitOutcome, ObjectPath, ObjectWriter, layout};

/// An object being written, under its temporary name.
pub(super) struct Writer {
    shared: Arc<Shared>,
    path: ObjectPath,
    directory: String,
    name: String,
    /// `None` once closed.
    file: Option<Box<dyn File>>,
    written_bytes: u64,
    failed: bool,
}

impl Writer {
    pub(super) fn create(shared: &Arc<Shared>, path: &ObjectPath) -> Result<Self> {
        shared.check_free(path)?;
        let directory = path.parent().map_or_else(String::new, |parent| parent.to_string());
        let name = layout::new_temporary_name(&*shared.random)?;
        let name = if directory.is_empty() { name } else { format!("{directory}/{name}") };
        let created = shared.directories.create_file(&*shared.files, &directory, &name);
        let file = created.map_err(|(place, error)| {
            explain(error, &format!("cannot create {path}")).in_file(shared.files.full_path(&place))
        })?;
        let shared = Arc::clone(shared);
        Ok(Writer { shared, path: path.clone(), directory, name, file: Some(file), written_bytes: 0, failed: false })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| !self.failed) else {
            return Err(self.shared.at(&self.path, crate::storage::broken()));
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = match file.write(rest) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let count = written.map_err(|error| {
                let what = format!("cannot write {} bytes after the first {}", rest.len(), self.written_bytes);
                self.shared.failed(self.path.as_str(), error, &what)
            })?;
            self.written_bytes = self.written_bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Syncs and closes the file.
    fn seal(&mut self) -> Result<()> {
        let Some(mut file) = self.file.take().filter(|_| !self.failed) else {
            return Err(self.shared.at(&self.path, crate::storage::broken()));
        };
        file.sync().map_err(|error| {
            let what = format!("cannot make {} bytes durable; the object has to be written again", self.written_bytes);
            self.shared.failed(self.path.as_str(), error, &what)
        })
    }

    pub(super) fn publish(mut self) -> CommitOutcome {
        if let Err(error) = self.seal() {
            return CommitOutcome::NotCommitted(error);
        }
        if let Err(error) = self.shared.files.link(&self.name, self.path.as_str())
            && let Some(outcome) = self.judge(error)
        {
            return outcome;
        }
        self.remove();
        match self.shared.files.sync_directory(&self.directory) {
            Ok(()) => CommitOutcome::Committed,
            Err(error) => {
                CommitOutcome::Unknown(self.uncertain(error, "the object is there but may be lost in a crash"))
            }
        }
    }

    /// What a failed link means; `None` if the object got its name all the same.
    ///
    /// A file server may have linked although the answer was lost, so the error alone decides nothing.
    fn judge(&self, error: io::Error) -> Option<CommitOutcome> {
        let files = &self.shared.files;
        match (files.metadata(&self.name), files.metadata(self.path.as_str())) {
            (Ok(Some(own)), Ok(Some(there))) if own.identity == there.identity => None,
            (Ok(Some(_)), Ok(Some(FileMetadata { kind: FileKind::File, .. }))) => {
                Some(CommitOutcome::NotCommitted(self.shared.at(&self.path, crate::storage::taken().because(error))))
            }
            (Ok(Some(_)), Ok(_)) if is_definite(&error) => {
                let error = self.shared.failed(self.path.as_str(), error, "cannot give the object its name");
                Some(CommitOutcome::NotCommitted(error))
            }
            _ => Some(CommitOutcome::Unknown(self.uncertain(error, "it is not known whether the object got its name"))),
        }
    }

    fn uncertain(&self, error: io::Error, what: &str) -> Error {
        let message = format!("{what}: {error}; read it before deleting anything");
        self.shared.at(&self.path, Error::uncertain(message).because(error))
    }

    /// Removes the temporary name. Failing to costs nothing but the space.
    fn remove(&mut self) {
        let _ = self.shared.files.remove_file(&self.name);
        self.name.clear();
    }
}

impl ObjectWriter for Writer {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let appended = self.append(bytes);
        self.failed |= appended.is_err();
        appended
    }

    fn finish(self: Box<Self>) -> Result<()> {
        match self.publish() {
            CommitOutcome::Committed => Ok(()),
            CommitOutcome::NotCommitted(error) | CommitOutcome::Unknown(error) => Err(error),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            self.file = None;
            self.remove();
        }
    }
}

/// Whether the error says that an operation did not happen, rather than that its fate is not known.
fn is_definite(error: &io::Error) -> bool {
    use io::ErrorKind as Io;
    matches!(
        error.kind(),
        Io::AlreadyExists
            | Io::InvalidInput
            | Io::NotADirectory
            | Io::PermissionDenied
            | Io::QuotaExceeded
            | Io::ReadOnlyFilesystem
            | Io::StorageFull
            | Io::TooManyLinks
            | Io::Unsupported
    )
}
