//! A file system in memory that remembers what a crash may do to it.
//!
//! # What a crash of the machine may leave
//!
//! Content of a file is durable up to where it was synced; of the rest, nothing, a part, zeros or all may be there. A name
//! that was given or taken away is durable once *its directory* was synced; until then the name may stand for anything it
//! stood for since, whatever became of other names: a new directory may be missing with all that is in it, a removed file
//! may be back. That is as little as POSIX promises; images in which everything took effect in order, as most file systems
//! have it, are among them.
//!
//! # How it is used
//!
//! A process runs on a [`Disk`]. Afterwards there is a [`Moment`] before its first operation and after each that changed
//! anything. From each come the *images*: all file systems that the machine may find after a crash at that moment, or a
//! sample of them if there are too many. An image is a disk again, on which the next process runs, and so on to any depth.
//! [`Moment::killed`] is the disk that a process finds whose predecessor died while the machine stayed up: nothing is lost,
//! and nothing more is durable.
//!
//! ```
//! use std::sync::Arc;
//!
//! use millpond::random::SeededRandom;
//! use millpond::storage::fault::Disk;
//! use millpond::storage::{CommitOutcome, LocalStorage, ObjectPath, Storage};
//!
//! let disk = Disk::new();
//! let mount = |disk: &Disk| LocalStorage::over(Arc::new(disk.clone()), Arc::new(SeededRandom::new(1)));
//! let name = ObjectPath::parse("a/b")?;
//! assert!(matches!(mount(&disk).commit(&name, b"bytes"), CommitOutcome::Committed));
//! let told = disk.operations();
//! for moment in disk.moments() {
//!     for image in moment.images(64, 1) {
//!         match mount(&image).length(&name)? {
//!             Some(length) => assert_eq!(length, 5),
//!             None => assert!(moment.operation() < told),
//!         }
//!     }
//! }
//! # Ok::<(), millpond::Error>(())
//! ```
//!
//! Everything is deterministic: the same operations have the same moments, and the same seed picks the same images.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Action;
use crate::storage::Blob;
use crate::storage::filesystem::{File, FileMetadata, FileSystem};

mod image;
mod tree;

use image::{Choices, fingerprint};
use tree::{Node, Tree};

/// A file system that can be looked at as of any moment of its past. Clones are the same disk.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

struct State {
    tree: Tree,
    /// `None` if nobody will ask.
    moments: Option<Vec<Moment>>,
    operations: u64,
    syncs: u64,
    /// The sync that is reported as done and is not.
    skipped_sync: Option<u64>,
}

/// The disk between two operations.
#[derive(Clone)]
pub struct Moment {
    operation: u64,
    after: String,
    tree: Arc<Tree>,
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::over(Tree::new())
    }

    fn over(tree: Tree) -> Self {
        let start = Moment { operation: 0, after: "the start".to_owned(), tree: Arc::new(tree.clone()) };
        Self::with(tree, Some(vec![start]))
    }

    fn with(tree: Tree, moments: Option<Vec<Moment>>) -> Self {
        Disk(Arc::new(Mutex::new(State { tree, moments, operations: 0, syncs: 0, skipped_sync: None })))
    }

    /// The same disk, on which the sync with this number, from 0, of files and directories alike, is reported as done and
    /// is not: a mistake planted in whoever relies on it.
    #[must_use]
    pub fn skipping_sync(self, number: u64) -> Self {
        self.state().skipped_sync = Some(number);
        self
    }

    /// Number of operations so far that changed anything, syncs included.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Number of syncs so far.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// The disk before the first operation and after each. Empty for a [`copy`](Self::copy).
    pub fn moments(&self) -> Vec<Moment> {
        self.state().moments.clone().unwrap_or_default()
    }

    /// The same for two disks on which a process finds the same names and contents.
    pub fn fingerprint(&self) -> u64 {
        fingerprint(&self.state().tree)
    }

    /// The present moment.
    pub fn now(&self) -> Moment {
        let state = self.state();
        let tree = Arc::new(state.tree.clone());
        Moment { operation: state.operations, after: "the last operation".to_owned(), tree }
    }

    /// Another disk in the same state, which has no moments: to try something out.
    #[must_use]
    pub fn copy(&self) -> Disk {
        Disk::with(self.state().tree.clone(), None)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, action: Action, path: &str, run: impl FnOnce(&mut Tree) -> io::Result<T>) -> io::Result<T> {
        let state = &mut *self.state();
        let done = run(&mut state.tree)?;
        state.remember(action, path);
        Ok(done)
    }

    fn sync(&self, action: Action, path: &str, run: impl FnOnce(&mut Tree) -> io::Result<()>) -> io::Result<()> {
        let state = &mut *self.state();
        if state.skipped_sync != Some(state.syncs) {
            run(&mut state.tree)?;
        }
        state.syncs += 1;
        state.remember(action, path);
        Ok(())
    }
}

impl State {
    fn remember(&mut self, action: Action, path: &str) {
        self.operations += 1;
        let Some(moments) = &mut self.moments else { return };
        let tree = Arc::new(self.tree.clone());
        moments.push(Moment { operation: self.operations, after: format!("{action:?} {path}"), tree });
    }
}

impl Moment {
    /// Number of operations before it.
    pub fn operation(&self) -> u64 {
        self.operation
    }

    /// The operation that it comes after, in words.
    pub fn after(&self) -> &str {
        &self.after
    }

    /// Number of images that there are, different or not.
    pub fn count_images(&self) -> u128 {
        Choices::of(&self.tree).count()
    }

    /// The disks that the machine may find if it crashes now: all of them if there are at most `limit`, otherwise a sample
    /// of `limit` that depends on the seed alone. Some may be alike (see [`Disk::fingerprint`]).
    pub fn images(&self, limit: usize, seed: u64) -> impl Iterator<Item = Disk> {
        let (tree, choices) = (Arc::clone(&self.tree), Choices::of(&self.tree));
        let picked = choices.pick(limit, seed ^ self.operation.rotate_left(32));
        picked.into_iter().map(move |picked| Disk::over(choices.image(&tree, &picked)))
    }

    /// The disk that the next process finds if only the process dies now: what was not synced is there and still not
    /// durable.
    pub fn killed(&self) -> Disk {
        Disk::over((*self.tree).clone())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, after {}", self.operation, self.after)
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Moment({self})")
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Disk(after {} operations)", self.operations())
    }
}

impl FileSystem for Disk {
    fn full_path(&self, path: &str) -> String {
        format!("disk:/{path}")
    }

    fn create_file(&self, path: &str) -> io::Result<Box<dyn File>> {
        let node = self.change(Action::CreateFile, path, |tree| tree.create_file(path))?;
        Ok(Box::new(OpenFile { disk: self.clone(), node, path: path.to_owned() }))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.change(Action::CreateDirectory, path, |tree| tree.create_directory(path))
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.sync(Action::SyncDirectory, path, |tree| tree.sync_directory(path))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(Action::Link, to, |tree| tree.link(from, to))
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.change(Action::RemoveFile, path, |tree| tree.remove_file(path))
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.change(Action::RemoveDirectory, path, |tree| tree.remove_directory(path))
    }

    fn read_directory(&self, path: &str) -> io::Result<Vec<String>> {
        self.state().tree.names(path)
    }

    fn metadata(&self, path: &str) -> io::Result<Option<FileMetadata>> {
        self.state().tree.metadata(path)
    }

    fn read_file(&self, path: &str) -> io::Result<Blob> {
        self.state().tree.read(path).map(Blob::from)
    }
}

/// A file open for appending, whatever becomes of its names.
struct OpenFile {
    disk: Disk,
    node: Node,
    path: String,
}

impl File for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.change(Action::WriteFile, &self.path, |tree| {
            tree.append(self.node, bytes);
            Ok(bytes.len())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.sync(Action::SyncFile, &self.path, |tree| {
            tree.sync_file(self.node);
            Ok(())
        })
    }
}
