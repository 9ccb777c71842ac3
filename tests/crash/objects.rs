//! Faults in the calls of a storage.

use std::sync::Arc;

use millpond::ErrorKind;
use millpond::storage::fault::FaultStorage;
use millpond::storage::{MemoryStorage, Storage};

use super::{FORMATS, Place, Told, crash, crash_everywhere, fail_restores};

#[test]
fn a_checkpoint_survives_a_fault_at_every_call() {
    for format in FORMATS {
        let (crashes, [committed, failed, unknown]) = crash_everywhere(format, &|plan| {
            let memory = MemoryStorage::new(16 << 20);
            let faulty = Arc::new(FaultStorage::new(memory.clone(), plan));
            Place { clean: Arc::new(memory), faulty }
        });
        println!("{format:?}: {crashes} crashes: {committed} committed, {failed} failed, {unknown} unknown");
        assert!(crashes > 70 && committed > 0 && failed > 50 && unknown > 0, "{crashes}");
    }
}

#[test]
fn a_restore_survives_a_fault_at_every_call() {
    for format in FORMATS {
        let memory = MemoryStorage::new(16 << 20);
        let clean: Arc<dyn Storage> = Arc::new(memory.clone());
        let operations = fail_restores(&|plan| Arc::new(FaultStorage::new(memory.clone(), plan)), &clean, format);
        assert!(operations >= 5, "{operations}");
    }
}

#[test]
fn full_memory_is_an_error_that_says_so() {
    for format in FORMATS {
        for limit in [0, 1000, 20_000, 60_000] {
            let place =
                Place { clean: Arc::new(MemoryStorage::new(16 << 20)), faulty: Arc::new(MemoryStorage::new(limit)) };
            match crash(&place, format, &format!("{limit} bytes")) {
                Told::Failed(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                    assert!(error.to_string().contains("memory storage is full"), "{error}");
                }
                other => panic!("{limit} bytes were enough: {other:?}"),
            }
        }
    }
}
