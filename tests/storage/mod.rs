//! Storage: the contract for every implementation, and what happens when something below it breaks.

mod contract;
#[cfg(unix)]
mod directory;
mod disk;
#[cfg(unix)]
mod durability;
#[cfg(unix)]
mod fault_file_system;
mod fault_storage;

use std::path::Path;

use millpond::storage::{CommitOutcome, ObjectPath, Storage};

fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).unwrap()
}

#[track_caller]
fn commit(storage: &dyn Storage, name: &str, bytes: &[u8]) {
    let outcome = storage.commit(&path(name), bytes);
    assert!(matches!(outcome, CommitOutcome::Committed), "{outcome:?}");
}

fn listed(storage: &dyn Storage) -> Vec<String> {
    storage.list(None).unwrap().into_iter().map(|info| info.path.to_string()).collect()
}

/// A directory for tests that sync thousands of times: in memory where that is offered, else a usual temporary one.
pub(crate) fn fast_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Every file below a directory, as paths relative to it.
fn files_below(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            } else {
                files.push(entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}
