//! From a path to the storage with the jobs and savepoints in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond::Error;
use millpond::checkpoint::inventory::Inventory;
use millpond::ids::JobId;
use millpond::storage::layout::parse_job;
use millpond::storage::{LocalStorage, Storage};

use super::failure::Failure;
use super::open::absolute;

/// The root of a storage on the local file system.
pub(super) struct Base {
    pub(super) storage: Arc<dyn Storage>,
    /// Its directory, as the user named it.
    pub(super) path: PathBuf,
    /// The only job of interest, if the path named that.
    job: Option<JobId>,
}

impl Base {
    /// Opens a directory that has jobs in it, or the directory of one job.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let absolute = absolute(path)?;
        let job = absolute.file_name().and_then(|name| name.to_str()).and_then(parse_job);
        let root = match (job, absolute.parent()) {
            (Some(_), Some(parent)) => parent.to_path_buf(),
            _ => absolute,
        };
        let storage = LocalStorage::open(&root).map_err(|error| Failure::unreadable(&error))?;
        Ok(Base { storage: Arc::new(storage), path: root, job })
    }

    /// Reads what is there.
    pub(super) fn inventory(&self) -> Result<Inventory, Failure> {
        let mut inventory = Inventory::read(&self.storage).map_err(|error| self.failure(&error))?;
        if let Some(job) = self.job {
            inventory.jobs.retain(|own| own.id == job);
            inventory.flink_jobs.retain(|own| own.id == job);
            inventory.savepoints.clear();
            inventory.flink_savepoints.clear();
            inventory.foreign = 0;
        }
        Ok(inventory)
    }

    /// Whether the path named a single job.
    pub(super) fn job(&self) -> Option<JobId> {
        self.job
    }

    /// A failure with the full names of files.
    pub(super) fn failure(&self, error: &Error) -> Failure {
        Failure::reading(error, &self.path)
    }
}
