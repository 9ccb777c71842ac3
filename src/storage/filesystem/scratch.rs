//! Local directories that a process works in, and that go with it.
//!
//! Some work needs files of its own: a database, a sort that does not fit into memory. They lie in a [`ScratchDirectory`], in a place that the
//! caller names. Nothing that has to last lies there.
//!
//! # Who owns a directory
//!
//! Every directory holds a file `IN-USE`, which its owner keeps locked for as long as it lives. The operating system gives a lock back when
//! the process ends, however it ends; so a directory whose lock can be had belongs to nobody any more. Whoever makes a directory first
//! removes those in the same place that are without owner, whichever process, operator or user of this type has left them.
//!
//! Removed is only what a `ScratchDirectory` has made: a directory, not a link to one, that belongs to the same user, whose name ends with `-` and
//! a number, with a regular file `IN-USE` in it that holds exactly the sentence written there. That file goes last, so that a removal which was
//! interrupted is taken up again. Whatever else lies in the place is left alone.
//!
//! The place must be on a file system where locks mean something: local ones, not shared between machines unless these see each
//! other's locks.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::explain;
use crate::error::{Error, ErrorKind, Result};

/// Name of the file whose lock says that the directory is in use.
const LOCK: &str = "IN-USE";

/// What that file says.
const MARK: &[u8] = b"A working directory of millpond, in use for as long as this file is locked.\n";

/// Directories tried for a free name.
const ATTEMPTS: u64 = 1 << 20;

/// Levels of directories inside that are removed.
const DEPTH: usize = 4;

/// A local directory that was made for one purpose; dropping it removes it, with what lies in it.
///
/// See the [module page](self) for what becomes of it when the process is killed.
#[derive(Debug)]
pub struct ScratchDirectory {
    path: PathBuf,
    /// Closed last: as long as something is left of the directory, it is in use.
    _lock: File,
}

impl ScratchDirectory {
    /// Makes a new directory in `parent`, which is created if it is not there; its name begins with `label`. Directories without
    /// owner are removed before, which costs a look at every directory in `parent`; other things that lie there are left alone.
    pub fn create_in(parent: &Path, label: &str) -> Result<Self> {
        DirBuilder::new().recursive(true).create(parent).map_err(|error| failed("cannot create", parent, error))?;
        remove_abandoned(parent);
        for number in 0..ATTEMPTS {
            let path = parent.join(format!("{label}-{number}"));
            match make(&path) {
                Ok(()) => return Self::take(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("cannot create", &path, error)),
            }
        }
        Err(Error::unavailable("every name for a working directory is taken; empty it").in_file(parent.display()))
    }

    /// Makes a directory that is there and empty one's own.
    fn take(path: PathBuf) -> Result<Self> {
        let taken = take_lock(&path.join(LOCK)).map_err(|error| failed("cannot lock", &path, error));
        if taken.is_err() {
            remove(&path);
        }
        Ok(ScratchDirectory { _lock: taken?, path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory inside it.
    pub fn make(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        make(&path).map_err(|error| failed("cannot create", &path, error))?;
        Ok(path)
    }

    /// Removes a directory inside it, with what lies in it. What cannot be removed stays until this one goes.
    pub fn discard(&self, name: &str) {
        empty(&self.path.join(name), DEPTH);
        drop(std::fs::remove_dir(self.path.join(name)));
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Creates and locks the file that says that a directory is in use. It is locked before it says so.
fn take_lock(path: &Path) -> io::Result<File> {
    let mut lock = OpenOptions::new().write(true).create_new(true).open(path)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(io::Error::other("somebody else has locked it")),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    lock.write_all(MARK)?;
    Ok(lock)
}

/// Removes the directories in `parent` whose owner is gone. What cannot be read or removed stays.
fn remove_abandoned(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| {
            let number = name.rsplit_once('-').map(|(_, number)| number);
            number.is_some_and(|number| number.parse::<u64>().is_ok_and(|parsed| parsed.to_string() == number))
        });
        if is_ours
            && entry.metadata().is_ok_and(|metadata| metadata.is_dir() && is_own(&metadata, parent))
            && let Some(_lock) = lock_of_the_dead(&entry.path().join(LOCK))
        {
            remove(&entry.path());
        }
    }
}

/// The lock of a directory whose owner is gone; `None` if there is an owner, or this is not what [`take_lock`] makes.
fn lock_of_the_dead(path: &Path) -> Option<File> {
    if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        return None;
    }
    let mut lock = OpenOptions::new().read(true).write(true).open(path).ok()?;
    lock.try_lock().ok()?;
    let mut mark = Vec::new();
    let limit = u64::try_from(MARK.len()).unwrap_or(u64::MAX).saturating_add(1);
    Read::by_ref(&mut lock).take(limit).read_to_end(&mut mark).ok()?;
    // Between opening and locking, another process may have removed the directory and a third made it anew.
    (mark == MARK && is_at(&lock, path)).then_some(lock)
}

/// Whether an open file is the one that this name leads to.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Whether a directory in `parent` belongs to the user that this process runs as: in a place where strangers may work as well, theirs could be
/// exchanged for links while they are looked at.
#[cfg(unix)]
fn is_own(directory: &std::fs::Metadata, parent: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    // Where the system does not say who one is, the owner of the place is meant.
    let own = Path::new("/proc/self").metadata().or_else(|_| parent.metadata());
    own.is_ok_and(|own| own.uid() == directory.uid())
}

/// Not known here.
#[cfg(not(unix))]
fn is_own(_directory: &std::fs::Metadata, _parent: &Path) -> bool {
    false
}

/// Not known here, so nothing is taken for abandoned.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    false
}

/// Removes a directory of which the lock is held, that one last. What cannot be removed stays.
#[expect(clippy::disallowed_methods, reason = "a directory that this type has made, whose lock is held")]
fn remove(path: &Path) {
    if empty(path, DEPTH) {
        drop(std::fs::remove_file(path.join(LOCK)));
        drop(std::fs::remove_dir(path));
    }
}

/// Removes the files in a directory, but for a lock, and `depth` levels of directories; says whether nothing else is left.
/// Links are removed, not followed.
#[expect(clippy::disallowed_methods, reason = "in a directory that this type has made")]
fn empty(path: &Path, depth: usize) -> bool {
    let mut is_empty = true;
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        is_empty &= match depth.checked_sub(1) {
            Some(depth) if is_directory => {
                let is_empty = empty(&entry.path(), depth);
                drop(std::fs::remove_file(entry.path().join(LOCK)));
                is_empty && std::fs::remove_dir(entry.path()).is_ok()
            }
            _ => entry.file_name() == LOCK || std::fs::remove_file(entry.path()).is_ok(),
        };
    }
    is_empty
}

#[cfg(unix)]
fn make(path: &Path) -> io::Result<()> {
    std::os::unix::fs::DirBuilderExt::mode(&mut DirBuilder::new(), 0o700).create(path)
}

#[cfg(not(unix))]
fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().create(path)
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    let explained = explain(error, &format!("{what} the working directory"));
    // Whatever it is, it is about a place that the caller chose and may yet put right.
    let kind = match explained.kind() {
        ErrorKind::NotFound | ErrorKind::InvalidInput => ErrorKind::Unavailable,
        kind => kind,
    };
    Error::new(kind, explained.message()).in_file(path.display()).because(explained)
}

#[cfg(test)]
#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "tests put foreign files next to directories")]
mod tests {
    use super::*;

    /// As if the process that made it had been killed: the directory is there, the lock is not.
    fn abandon(directory: ScratchDirectory) -> PathBuf {
        let path = directory.path.clone();
        directory._lock.unlock().unwrap();
        std::mem::forget(directory);
        path
    }

    #[test]
    fn a_directory_goes_with_its_owner_and_everything_in_it() {
        let root = tempfile::tempdir().unwrap();
        let directory = ScratchDirectory::create_in(&root.path().join("deep/er"), "op").unwrap();
        let inner = directory.make("db").unwrap();
        std::fs::write(inner.join("file"), b"1").unwrap();
        let nested = ScratchDirectory::create_in(&inner, "merge").unwrap();
        nested.make("files").unwrap();
        std::mem::forget(nested);
        directory.discard("none");
        directory.make("checkpoint").unwrap();
        directory.discard("checkpoint");
        assert!(!directory.path().join("checkpoint").exists());
        drop(directory);
        assert_eq!(root.path().join("deep/er").read_dir().unwrap().count(), 0);
    }

    #[test]
    fn s_22_eight_of_one_label_are_distinct_and_none_takes_anothers() {
        let root = tempfile::tempdir().unwrap();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let root = root.path().to_owned();
                std::thread::spawn(move || ScratchDirectory::create_in(&root, "op").unwrap())
            })
            .collect();
        let all: Vec<ScratchDirectory> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let paths: std::collections::BTreeSet<_> = all.iter().map(|it| it.path().to_owned()).collect();
        assert_eq!(paths.len(), 8);
        assert!(paths.iter().all(|path| path.join(LOCK).exists()));
        drop(all);
        assert!(paths.iter().all(|path| !path.exists()));
    }

    #[test]
    fn what_the_dead_have_left_goes_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("precious"), b"1").unwrap();
        let living = ScratchDirectory::create_in(root.path(), "op").unwrap();
        std::fs::write(living.path().join("file"), b"1").unwrap();
        let dead = ScratchDirectory::create_in(root.path(), "other").unwrap();
        std::fs::write(dead.make("db").unwrap().join("file"), b"1").unwrap();
        std::os::unix::fs::symlink(outside.path(), dead.path().join("link")).unwrap();
        let at = |name: &str| root.path().join(name);
        // Everything that resembles one, and is none.
        std::fs::create_dir(at("users-1")).unwrap();
        std::fs::write(at("users-1/IN-USE"), b"").unwrap();
        std::fs::create_dir(at("users-2")).unwrap();
        std::fs::write(at("users-2/IN-USE"), [MARK, b"more"].concat()).unwrap();
        std::fs::create_dir(at("users-3")).unwrap();
        std::fs::create_dir(at("users-4x")).unwrap();
        std::fs::write(at("users-4x/IN-USE"), MARK).unwrap();
        std::fs::create_dir(at("users-5")).unwrap();
        std::os::unix::fs::symlink(at("users-4x/IN-USE"), at("users-5/IN-USE")).unwrap();
        std::os::unix::fs::symlink(at("users-4x"), at("users-6")).unwrap();
        std::fs::create_dir(at("users-007")).unwrap();
        std::fs::write(at("users-007/IN-USE"), MARK).unwrap();
        std::fs::write(at("file-1"), MARK).unwrap();
        std::fs::create_dir(at("strangers-1")).unwrap();
        std::fs::write(at("strangers-1/IN-USE"), MARK).unwrap();
        let is_given_away = std::os::unix::fs::chown(at("strangers-1"), Some(12_345), None).is_ok();
        let dead = abandon(dead);
        let before = root.path().read_dir().unwrap().count() - usize::from(!is_given_away);
        let next = ScratchDirectory::create_in(root.path(), "third").unwrap();
        assert!(!dead.exists() && living.path().join("file").exists());
        assert_eq!(root.path().read_dir().unwrap().count(), before - 1 + 1, "{next:?}");
        assert!(outside.path().join("precious").exists());
    }

    #[test]
    fn a_removal_that_was_interrupted_is_taken_up_again() {
        let root = tempfile::tempdir().unwrap();
        let dead = abandon(ScratchDirectory::create_in(root.path(), "op").unwrap());
        // Deeper than anything that is removed.
        std::fs::create_dir_all(dead.join("1/2/3/4/5/6")).unwrap();
        let next = ScratchDirectory::create_in(root.path(), "op").unwrap();
        assert!(dead.join(LOCK).exists() && next.path() != dead);
        std::fs::remove_dir_all(dead.join("1")).unwrap();
        let other = ScratchDirectory::create_in(root.path(), "op").unwrap();
        assert_eq!(other.path(), dead);
    }

    #[test]
    fn a_place_that_cannot_be_used_is_named() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), b"").unwrap();
        let error = ScratchDirectory::create_in(&root.path().join("file/below"), "op").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("file/below"), "{error}");
    }
}
