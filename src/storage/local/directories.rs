//! Directories that are made durable before anything is put into them.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::storage::filesystem::{File, FileSystem};

/// How often a directory is created again after another process removed it as empty.
const ATTEMPTS: u32 = 8;

/// What is known about the directories of one storage.
#[derive(Default)]
pub(super) struct Directories {
    /// The lock is held while directories are created and removed, and while the first file of an object is put into one:
    /// so none vanishes, or is used before it is durable, between two steps of this process.
    known: Mutex<HashMap<String, Durability>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    /// Its name was synced in the directory above it, and so on up to the root.
    Durable,
    /// Syncing its name failed. A later sync that succeeds proves nothing: the entry may have been dropped from what is
    /// written. Only removing and creating it again would help, and it could not be removed.
    Suspect,
}

impl Directories {
    /// Creates the file `name` in `directory`, which is created first if it is missing. On failure also says at which
    /// path.
    pub(super) fn create_file(
        &self,
        files: &dyn FileSystem,
        directory: &str,
        name: &str,
    ) -> Result<Box<dyn File>, (String, io::Error)> {
        let mut attempts = 1;
        loop {
            let mut known = self.lock();
            make_durable(&mut known, files, directory)?;
            match files.create_file(name) {
                // Another process removed the directory because it was empty.
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempts < ATTEMPTS => {
                    known.retain(|_, durability| *durability == Durability::Suspect);
                    attempts += 1;
                }
                created => return created.map_err(|error| (directory.to_owned(), error)),
            }
        }
    }

    /// Removes a directory if it is empty; says whether it did.
    pub(super) fn remove_empty(&self, files: &dyn FileSystem, directory: &str) -> bool {
        let mut known = self.lock();
        let removed = files.remove_directory(directory).is_ok();
        if removed {
            known.remove(directory);
        }
        removed
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Durability>> {
        // Entries are added after the fact they state, so a lost one only costs a sync.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Creates the missing ones among a directory and its ancestors, outermost first, and makes each durable before the next.
fn make_durable(
    known: &mut HashMap<String, Durability>,
    files: &dyn FileSystem,
    directory: &str,
) -> Result<(), (String, io::Error)> {
    let ends = directory.match_indices('/').map(|(end, _)| end).chain([directory.len()]);
    let mut parent = "";
    for current in ends.filter_map(|end| directory.get(..end)).filter(|current| !current.is_empty()) {
        if known.get(current) != Some(&Durability::Durable) {
            make_one_durable(known, files, parent, current)?;
        }
        parent = current;
    }
    Ok(())
}

fn make_one_durable(
    known: &mut HashMap<String, Durability>,
    files: &dyn FileSystem,
    parent: &str,
    directory: &str,
) -> Result<(), (String, io::Error)> {
    if known.get(directory) == Some(&Durability::Suspect) {
        files.remove_directory(directory).map_err(|error| {
            let message = format!("it could not be made durable before and cannot be created anew ({error})");
            (directory.to_owned(), io::Error::other(message))
        })?;
        known.remove(directory);
    }
    match files.create_directory(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err((directory.to_owned(), error)),
        _ => {}
    }
    if let Err(error) = files.sync_directory(parent) {
        if files.remove_directory(directory).is_err() {
            known.insert(directory.to_owned(), Durability::Suspect);
        }
        return Err((directory.to_owned(), error));
    }
    known.insert(directory.to_owned(), Durability::Durable);
    Ok(())
}
