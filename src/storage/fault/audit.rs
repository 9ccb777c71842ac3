//! Watches the use of a file system for mistakes that only a crash would punish.

use std::collections::{HashMap, HashSet};

/// What was not synced yet, and what should not have been done because of that.
///
/// Fed with what the caller asked for, and with whether the file system said that it worked.
#[derive(Debug, Default)]
pub(super) struct Audit {
    files: HashMap<String, Content>,
    /// Directories whose own names were not synced.
    unsynced_directories: HashSet<String>,
    violations: Vec<String>,
}

/// What is known of the content of a file that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Unsynced,
    Synced,
    /// A sync failed, and the bytes with it.
    Lost,
}

impl Audit {
    pub(super) fn violations(&self) -> &[String] {
        &self.violations
    }

    pub(super) fn file_created(&mut self, path: &str) {
        let directory = parent(path);
        if self.unsynced_directories.contains(directory) {
            self.violations.push(format!("{path} is created before the name of {directory} was synced"));
        }
        self.files.insert(path.to_owned(), Content::Unsynced);
    }

    pub(super) fn file_written(&mut self, path: &str) {
        if self.files.get(path) == Some(&Content::Synced) {
            self.files.insert(path.to_owned(), Content::Unsynced);
        }
    }

    pub(super) fn file_synced(&mut self, path: &str, worked: bool) {
        if self.files.get(path) == Some(&Content::Lost) {
            self.violations.push(format!("{path} is synced again after its sync failed"));
            return;
        }
        self.files.insert(path.to_owned(), if worked { Content::Synced } else { Content::Lost });
    }

    pub(super) fn linking(&mut self, from: &str, to: &str) {
        match self.files.get(from) {
            Some(Content::Unsynced) => {
                self.violations.push(format!("{to} gets its name before its content was synced"))
            }
            Some(Content::Lost) => self.violations.push(format!("{to} gets its name although its sync failed")),
            Some(Content::Synced) | None => {}
        }
    }

    pub(super) fn directory_created(&mut self, path: &str) {
        self.unsynced_directories.insert(path.to_owned());
    }

    pub(super) fn directory_removed(&mut self, path: &str) {
        self.unsynced_directories.remove(path);
    }

    pub(super) fn directory_synced(&mut self, path: &str) {
        self.unsynced_directories.retain(|directory| parent(directory) != path);
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
