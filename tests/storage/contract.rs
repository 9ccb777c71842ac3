//! The conformance suite over every implementation.

use std::sync::Arc;

use millpond::storage::fault::{FaultPlan, FaultStorage};
use millpond::storage::{MemoryStorage, Storage, conformance};

const LIMIT_BYTES: u64 = 64 << 20;

#[test]
fn memory() {
    conformance::run(|_| MemoryStorage::new(LIMIT_BYTES));
}

#[test]
fn memory_behind_a_pointer() {
    conformance::run(|_| -> Arc<dyn Storage> { Arc::new(MemoryStorage::new(LIMIT_BYTES)) });
}

#[test]
fn fault_storage_without_faults() {
    conformance::run(|_| FaultStorage::new(MemoryStorage::new(LIMIT_BYTES), FaultPlan::none()));
}

#[cfg(unix)]
mod local {
    use std::sync::Arc;

    use millpond::random::{SeededRandom, SystemRandom};
    use millpond::storage::fault::{FaultFileSystem, FaultPlan};
    use millpond::storage::{LocalStorage, SystemFileSystem, conformance};

    use crate::storage::fast_directory;

    #[test]
    fn mapped() {
        let root = tempfile::tempdir().unwrap();
        conformance::run(|case| LocalStorage::create(root.path().join(case)).unwrap());
    }

    #[test]
    fn read() {
        let root = fast_directory();
        conformance::run(|case| {
            let files = SystemFileSystem::create(root.path().join(case)).unwrap().without_mapping();
            LocalStorage::over(Arc::new(files), Arc::new(SystemRandom))
        });
    }

    /// Also: no case makes local storage use a file or directory before it is synced.
    #[test]
    fn over_a_fault_file_system_without_faults() {
        let root = fast_directory();
        let plan = FaultPlan::none();
        conformance::run(|case| {
            let files = Arc::new(SystemFileSystem::create(root.path().join(case)).unwrap());
            let files = FaultFileSystem::new(files, plan.clone());
            LocalStorage::over(Arc::new(files), Arc::new(SeededRandom::new(1)))
        });
        assert_eq!(plan.violations(), [""; 0]);
        assert!(plan.count() > 1000, "{} operations", plan.count());
    }
}
