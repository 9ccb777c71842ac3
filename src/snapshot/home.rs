use std::sync::Arc;

use crate::storage::layout::JobLayout;
use crate::storage::{ObjectPath, Storage};

/// The directory of a job in a storage: what its snapshots can share objects in.
///
/// Two homes are the same if they are the same storage, not merely storages of the same content, and the same directory.
#[derive(Debug, Clone)]
pub struct Home {
    storage: Arc<dyn Storage>,
    /// `None` is the root of the storage.
    directory: Option<ObjectPath>,
}

impl Home {
    /// The home of the snapshot in `snapshot`.
    pub(super) fn of(storage: &Arc<dyn Storage>, snapshot: &ObjectPath) -> Self {
        Home { storage: Arc::clone(storage), directory: snapshot.parent() }
    }

    /// The home of a job's checkpoints.
    pub(super) fn of_job(storage: &Arc<dyn Storage>, job: &JobLayout) -> Self {
        Home { storage: Arc::clone(storage), directory: Some(job.root()) }
    }
}

impl PartialEq for Home {
    fn eq(&self, other: &Self) -> bool {
        self.directory == other.directory && std::ptr::addr_eq(Arc::as_ptr(&self.storage), Arc::as_ptr(&other.storage))
    }
}

impl Eq for Home {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    #[test]
    fn a_home_is_a_directory_of_one_storage() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 10));
        let other: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 10));
        let home = |storage: &Arc<dyn Storage>, path: &str| Home::of(storage, &ObjectPath::parse(path).unwrap());
        assert_eq!(home(&storage, "job/chk-1"), home(&Arc::clone(&storage), "job/chk-2"));
        assert_ne!(home(&storage, "job/chk-1"), home(&storage, "other/chk-1"));
        assert_ne!(home(&storage, "job/chk-1"), home(&other, "job/chk-1"));
        assert_eq!(home(&storage, "savepoint-1"), home(&storage, "savepoint-2"));
    }
}
