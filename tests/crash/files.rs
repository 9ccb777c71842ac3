//! Faults in the calls that local storage makes to the file system.

use std::io;
use std::sync::Arc;

use millpond::ErrorKind;
use millpond::random::SystemRandom;
use millpond::storage::fault::{Action, Fault, FaultFileSystem, FaultPlan};
use millpond::storage::{LocalStorage, Storage, SystemFileSystem};

use super::{FORMATS, Place, Told, crash, crash_everywhere, fail_restores};
use crate::storage::fast_directory;

fn over(root: &tempfile::TempDir, plan: FaultPlan) -> Arc<dyn Storage> {
    let files = Arc::new(SystemFileSystem::open(root.path()).unwrap());
    Arc::new(LocalStorage::over(Arc::new(FaultFileSystem::new(files, plan)), Arc::new(SystemRandom)))
}

fn place(root: &tempfile::TempDir, plan: FaultPlan) -> Place {
    Place { clean: Arc::new(LocalStorage::open(root.path()).unwrap()), faulty: over(root, plan) }
}

#[test]
fn s_20_a_checkpoint_survives_a_fault_at_every_operation() {
    for format in FORMATS {
        let roots = std::cell::RefCell::new(None);
        let (crashes, [committed, failed, unknown]) = crash_everywhere(format, &|plan| {
            let root = fast_directory();
            let place = place(&root, plan);
            *roots.borrow_mut() = Some(root);
            place
        });
        println!("{format:?}: {crashes} crashes: {committed} committed, {failed} failed, {unknown} unknown");
        assert!(crashes > 200 && committed > 0 && failed > 100 && unknown > 0, "{crashes}");
    }
}

#[test]
fn a_restore_survives_a_fault_at_every_operation() {
    for format in FORMATS {
        let root = fast_directory();
        let clean: Arc<dyn Storage> = Arc::new(LocalStorage::open(root.path()).unwrap());
        let operations = fail_restores(&|plan| over(&root, plan), &clean, format);
        assert!(operations >= 5, "{operations}");
    }
}

/// Every write, every new file and every new directory of a checkpoint, refused for this reason.
fn refuse(kind: io::ErrorKind, actions: &[Action], says: &str) {
    for format in FORMATS {
        let counted = FaultPlan::none();
        let root = fast_directory();
        crash(&place(&root, counted.clone()), format, &"no fault");
        let mut refused = 0;
        for action in actions {
            let count = counted.log().iter().filter(|operation| operation.action == *action).count();
            for number in 0..count as u64 {
                let root = fast_directory();
                let plan = FaultPlan::none().and_at_action(*action, number, Fault::FailBefore).with_error(kind);
                match crash(&place(&root, plan), format, &format!("{kind:?} at {action:?} {number}")) {
                    Told::Failed(error) => {
                        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                        assert!(error.to_string().contains(says), "{error}");
                        assert!(error.place().file.is_some(), "{error}");
                    }
                    other => panic!("{kind:?} at {action:?} {number}: {other:?}"),
                }
                refused += 1;
            }
        }
        assert!(refused > 0);
    }
}

#[test]
fn a_full_disk_is_an_error_that_says_so() {
    refuse(io::ErrorKind::StorageFull, &[Action::WriteFile, Action::CreateFile], "the disk is full; free some space");
}

#[test]
fn an_unwritable_directory_is_an_error_that_says_so() {
    refuse(io::ErrorKind::PermissionDenied, &[Action::CreateDirectory, Action::CreateFile], "permission denied");
}
