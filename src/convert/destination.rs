use std::path::Path;
use std::sync::Arc;

use super::options::Options;
use crate::error::{Error, Result};
use crate::format::manifest::Manifest;
use crate::random::RandomSource;
use crate::snapshot::{SnapshotReader, SnapshotTarget, Trust, publish};
use crate::storage::{CommitOutcome, ObjectPath, Storage, layout};

/// Where a converted snapshot goes: a directory of a storage in which nothing is.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The storage.
    pub storage: Arc<dyn Storage>,
    /// The directory of the new snapshot.
    pub directory: ObjectPath,
    /// What object names are drawn from.
    pub random: Arc<dyn RandomSource>,
}

impl Destination {
    /// Refuses a directory in which something is.
    pub(super) fn check_empty(&self) -> Result<()> {
        let there = self.storage.list(Some(&self.directory))?;
        if there.is_empty() && self.storage.length(&self.directory)?.is_none() {
            return Ok(());
        }
        let manifest = layout::manifest(&self.directory)?;
        let is_object = |path: &ObjectPath| layout::is_object_name(path.file_name());
        let message = if there.iter().any(|object| object.path == manifest) {
            "the destination is a snapshot already; name a directory that does not exist".to_owned()
        } else if !there.is_empty() && there.iter().all(|object| is_object(&object.path)) {
            let count = there.len();
            format!(
                "the destination holds {count} objects and no manifest, as a conversion leaves them that did not finish; \
                 remove the directory and run it again"
            )
        } else {
            "there is something else at the destination; name a directory that does not exist".to_owned()
        };
        Err(Error::invalid_input(message).in_file(&self.directory))
    }

    pub(super) fn target(&self, options: &Options) -> SnapshotTarget {
        SnapshotTarget::new(Arc::clone(&self.storage), self.directory.clone(), Arc::clone(&self.random))
            .with_compression(options.compression)
    }

    /// A reader of what was written and is not published.
    pub(super) fn reader(&self, manifest: &Manifest, scratch: &Path) -> SnapshotReader {
        SnapshotReader::unpublished(Arc::clone(&self.storage), self.directory.clone(), manifest.clone())
            .trust(Trust::Own)
            .with_scratch(scratch)
    }

    pub(super) fn publish(&self, manifest: &Manifest) -> Result<()> {
        match publish(&*self.storage, &self.directory, manifest) {
            CommitOutcome::Committed => Ok(()),
            CommitOutcome::NotCommitted(error) => Err(error),
            CommitOutcome::Unknown(error) => {
                let message =
                    "nobody can tell whether the manifest was stored; look whether the destination is a snapshot";
                Err(Error::uncertain(message).in_file(&self.directory).because(error))
            }
        }
    }
}
