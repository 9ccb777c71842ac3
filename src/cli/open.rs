//! From a path to an opened snapshot.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use millpond::flink::{self, Directory};
use millpond::format::flink::Roots;
use millpond::snapshot::{SnapshotReader, Trust};
use millpond::storage::layout::{self, MANIFEST_NAME, SnapshotDirectory};
use millpond::storage::{Blob, CommitOutcome, LocalStorage, ObjectInfo, ObjectPath, ObjectWriter, Storage};
use millpond::{Error, ErrorKind};

use super::failure::Failure;

/// Snapshots that an error names at most.
const CANDIDATES_SHOWN: usize = 8;

/// First bytes of the metadata file of an Apache Flink snapshot.
const FLINK_MAGIC: [u8; 4] = [0x49, 0x60, 0x67, 0x2d];

/// The name under which a directory is known whose real name no object can have.
const ALIAS: &str = "snapshot";

/// Whether databases of a snapshot are opened.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Trusted {
    /// Open RocksDB files of the snapshot. Only for snapshots of your own: RocksDB is not made for files from strangers.
    #[arg(long)]
    trusted: bool,
}

impl Trusted {
    /// The snapshot, trusted as far as the user said.
    pub(super) fn apply(self, snapshot: SnapshotReader) -> SnapshotReader {
        let trust = if self.trusted { Trust::Own } else { Trust::Hostile };
        snapshot.trust(trust).with_scratch(std::env::temp_dir())
    }
}

/// What a user says about where the files of a snapshot lie, and what they are worth.
#[derive(Debug, Args)]
pub(super) struct Access {
    #[command(flatten)]
    trusted: Trusted,
    /// Where a directory lies now that the metadata of a Flink snapshot names by its old absolute path or URI. Can be given
    /// several times. The job's own directory, with chk-N and shared in it, is known without being named, wherever it was.
    #[arg(long = "root", value_name = "OLD=NEW")]
    roots: Vec<String>,
}

/// Which system wrote a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Millpond,
    Flink,
}

/// An opened snapshot, whichever system wrote it.
#[derive(Debug)]
pub(super) enum Opened {
    Millpond(SnapshotReader),
    Flink(flink::SnapshotReader),
}

/// A snapshot on the local file system, not opened yet.
#[derive(Debug)]
pub(super) struct Location {
    /// Which system wrote the snapshot, as the first bytes of its metadata say.
    pub(super) origin: Origin,
    /// Storage that holds the snapshot's directory and what lies beside it.
    pub(super) storage: Arc<dyn Storage>,
    /// The snapshot's directory in the storage.
    pub(super) directory: ObjectPath,
    /// The same directory in the file system.
    pub(super) path: PathBuf,
    /// What names of files in the storage are relative to.
    pub(super) root: PathBuf,
}

impl Location {
    /// Finds the snapshot that `path` names: its directory or its manifest.
    pub(super) fn find(path: &Path) -> Result<Self, Failure> {
        let absolute = absolute(path)?;
        let directory = match absolute.file_name() {
            Some(name) if name == MANIFEST_NAME && absolute.is_file() => {
                absolute.parent().map(Path::to_path_buf).unwrap_or_default()
            }
            _ if absolute.is_file() => return Err(not_a_directory(path)),
            _ => absolute,
        };
        let origin = check_manifest(path, &directory)?;
        Self::of_directory(origin, directory).map_err(|error| Failure::unreadable(&error))
    }

    fn of_directory(origin: Origin, path: PathBuf) -> millpond::Result<Self> {
        let parent = path.parent().unwrap_or(&path).to_path_buf();
        let name = path.file_name().and_then(|name| name.to_str()).map(ObjectPath::parse);
        if let Some(Ok(directory)) = name {
            let storage = Arc::new(LocalStorage::open(&parent)?);
            return Ok(Location { origin, storage, directory, path, root: parent });
        }
        let storage = Arc::new(Aliased { own: LocalStorage::open(&path)?, beside: LocalStorage::open(&parent)? });
        Ok(Location { origin, storage, directory: ObjectPath::parse(ALIAS)?, root: parent, path })
    }

    /// Opens the snapshot, whichever system wrote it.
    pub(super) fn open_any(&self, access: &Access) -> Result<Opened, Failure> {
        match self.origin {
            Origin::Millpond => self.open_trusted(access).map(Opened::Millpond),
            Origin::Flink => self.open_flink(access).map(Opened::Flink),
        }
    }

    /// Opens a snapshot of ours as far as the user trusts it.
    pub(super) fn open_trusted(&self, access: &Access) -> Result<SnapshotReader, Failure> {
        self.open().map(|snapshot| access.trusted.apply(snapshot))
    }

    /// Opens a snapshot of ours.
    pub(super) fn open(&self) -> Result<SnapshotReader, Failure> {
        self.check_own()?;
        SnapshotReader::open(Arc::clone(&self.storage), self.directory.clone()).map_err(|error| {
            // Neither system's, so it is nobody's manifest, or its first bytes are damaged.
            let is_foreign = error.kind() == ErrorKind::Corrupt && error.place().field == Some("magic");
            let says = "this is no snapshot's metadata, or is damaged: it begins neither as millpond's does nor as Apache Flink's";
            match error.place().file.clone() {
                Some(file) if is_foreign => self.failure(&Error::corrupt(says).in_file(file).in_field("magic")),
                _ => self.failure(&error),
            }
        })
    }

    /// Fails if the snapshot is not ours, and says who does the like for others.
    pub(super) fn check_own(&self) -> Result<(), Failure> {
        if self.origin == Origin::Millpond {
            return Ok(());
        }
        Err(Failure::unreadable(&Error::incompatible(format!(
            "{} is a snapshot of Apache Flink; this command works on those of millpond (a copy that stands alone is made by \
             millpond convert --to flink; what is not needed any more is for Flink to dispose of)",
            self.path.display()
        ))))
    }

    /// Opens a snapshot of ours to be checked, as far as the user trusts it; what is wrong with its manifest is the check's
    /// to say.
    pub(super) fn open_checked(&self, access: &Access) -> millpond::Result<SnapshotReader> {
        let opened = SnapshotReader::open(Arc::clone(&self.storage), self.directory.clone());
        opened.map(|snapshot| access.trusted.apply(snapshot))
    }

    /// Opens a snapshot of Flink's. Absolute paths are followed below the directory above it, where checkpoints share
    /// files, by its name of now and by the one it had, and below the roots that were named.
    pub(super) fn open_flink(&self, access: &Access) -> Result<flink::SnapshotReader, Failure> {
        let own = Directory::new(Arc::clone(&self.storage), Some(self.directory.clone()));
        let above = Directory::new(Arc::clone(&self.storage), None);
        let mut roots = Roots::new();
        if let Some(path) = self.root.to_str() {
            // A directory with a name that no URI can have holds nothing that an absolute URI could name.
            let _ = roots.map(path, above.clone());
        }
        for root in &access.roots {
            let (old, new) = root.split_once('=').ok_or_else(|| {
                Failure::usage(format!("root {root:?} is not of the form OLD=NEW; see millpond help"))
            })?;
            let storage = LocalStorage::open(new).map_err(|error| Failure::unreadable(&error))?;
            let directory = Directory::new(Arc::new(storage), None);
            roots.map(old, directory).map_err(|error| Failure::misfit(&error))?;
        }
        let opened = flink::SnapshotReader::open(own, roots).map_err(|error| self.failure(&error))?;
        let trust = if access.trusted.trusted { Trust::Own } else { Trust::Hostile };
        Ok(opened.beside(above).trust(trust).with_scratch(std::env::temp_dir()))
    }

    /// Checks that nothing is written into the snapshot's own directory, where it would look like a part of it.
    pub(super) fn check_outside(&self, path: &Path) -> Result<(), Failure> {
        let named = |above: &Path| if above.as_os_str().is_empty() { PathBuf::from(".") } else { above.to_path_buf() };
        let above = path.ancestors().skip(1).find_map(|above| fs::canonicalize(named(above)).ok());
        let inside = above.is_some_and(|above| above.starts_with(&self.path));
        if !inside {
            return Ok(());
        }
        let (path, own) = (path.display(), self.path.display());
        Err(Failure::usage(format!("{path} lies in the snapshot {own} itself; name a directory outside of it")))
    }

    /// Whether there is a file of this name in the storage.
    pub(super) fn has(&self, file: &Path) -> bool {
        self.root.join(file).exists()
    }

    /// A failure to read the snapshot, with the full names of its files.
    pub(super) fn failure(&self, error: &Error) -> Failure {
        Failure::reading(error, &self.root)
    }
}

/// The full path of something that is there.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    fs::canonicalize(path).map_err(|error| cannot_open(path, error))
}

/// A directory on the local file system that is to become a snapshot.
#[derive(Debug)]
pub(super) struct NewSnapshot {
    /// Storage that holds the directory.
    pub(super) storage: Arc<dyn Storage>,
    /// The directory in the storage.
    pub(super) directory: ObjectPath,
    /// The same directory in the file system.
    pub(super) path: PathBuf,
    /// What names of files in the storage are relative to.
    pub(super) root: PathBuf,
}

impl NewSnapshot {
    /// Takes a path apart whose parent must be there, and where there is nothing yet, or an empty directory. It must not lie in
    /// the directory of `source`.
    pub(super) fn find(path: &Path, source: &Location) -> Result<Self, Failure> {
        let shown = path.display();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            Failure::usage(format!("{shown} cannot be the name of a snapshot's directory: its last part is no text"))
        })?;
        let directory = ObjectPath::parse(name).map_err(|error| {
            let message = format!("{shown} cannot be the name of a snapshot's directory");
            Failure::misfit(&Error::invalid_input(message).because(error))
        })?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let root = fs::canonicalize(parent).map_err(|error| cannot_open(parent, error))?;
        let path = root.join(name);
        if path.is_file() {
            return Err(Failure::usage(format!("{shown} is a file; name a directory that does not exist")));
        }
        if path.join(MANIFEST_NAME).exists() {
            return Err(Failure::usage(format!("{shown} is a snapshot already; name a directory that does not exist")));
        }
        // What cannot be listed cannot be written to either, which is said then.
        if fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Failure::usage(format!("{shown} is not empty; name a directory that does not exist")));
        }
        source.check_outside(&path)?;
        let storage = LocalStorage::open(&root).map_err(|error| Failure::unreadable(&error))?;
        Ok(NewSnapshot { storage: Arc::new(storage), directory, path, root })
    }
}

/// Writes a file, or writes it anew.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = fs::File::create(path).and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| cannot_write(path, error))
}

/// A directory that is made now, or is there and empty.
pub(super) fn new_directory(path: &Path) -> Result<(), Failure> {
    let refused = |what: &str| {
        let message = format!("{} {what}; name a directory that does not exist", path.display());
        Failure::misfit(&Error::invalid_input(message))
    };
    let error = match fs::create_dir(path) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(refused("is not empty")),
        },
        Err(_) if path.is_file() => Err(refused("is a file")),
        Err(_) => {
            let message = format!("cannot make the directory {}", path.display());
            Err(Failure::unreadable(&Error::unavailable(message).because(error)))
        }
    }
}

/// A file that has its name only once it is whole. Until then its name ends with `.partial`; it goes away if that never
/// happens.
#[derive(Debug)]
pub(super) struct NewFile {
    path: PathBuf,
    partial: PathBuf,
}

impl NewFile {
    /// Begins a file that must not exist; what is written goes to the second part.
    pub(super) fn create(path: PathBuf) -> Result<(Self, Box<dyn Write + Send>), Failure> {
        let mut partial = path.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        if path.symlink_metadata().is_ok() {
            let message = format!("{} is there already; name a file that does not exist", path.display());
            return Err(Failure::misfit(&Error::invalid_input(message)));
        }
        let file = fs::File::create(&partial).map_err(|error| cannot_write(&path, error))?;
        Ok((NewFile { path, partial }, Box::new(BufWriter::new(file))))
    }

    /// The name that the file will have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file, all of which was written, its name; its length.
    #[expect(clippy::disallowed_methods, reason = "the file is the user's, outside of every storage")]
    pub(super) fn finish(self) -> Result<u64, Failure> {
        let finished = fs::File::open(&self.partial).and_then(|file| {
            file.sync_all()?;
            fs::rename(&self.partial, &self.path)?;
            file.metadata()
        });
        finished.map(|metadata| metadata.len()).map_err(|error| cannot_write(&self.path, error))
    }
}

impl Drop for NewFile {
    #[expect(clippy::disallowed_methods, reason = "the file is the user's, outside of every storage")]
    fn drop(&mut self) {
        // Nothing has this name once the file is whole; a file that cannot be removed says by its name what it is.
        let _ = fs::remove_file(&self.partial);
    }
}

fn cannot_write(path: &Path, error: std::io::Error) -> Failure {
    let message = format!("cannot write {}", path.display());
    Failure::unreadable(&Error::unavailable(message).because(error))
}

fn cannot_open(path: &Path, error: std::io::Error) -> Failure {
    let message = match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is nothing at {}", path.display()),
        _ => format!("cannot open {}", path.display()),
    };
    Failure::unreadable(&Error::unavailable(message).because(error))
}

fn not_a_directory(path: &Path) -> Failure {
    let message = format!("{} is not a snapshot; name its directory or its {MANIFEST_NAME} file", path.display());
    Failure::unreadable(&Error::not_found(message))
}

/// Checks that there is a manifest, and says whose it is, or what there is instead.
fn check_manifest(path: &Path, directory: &Path) -> Result<Origin, Failure> {
    let manifest = directory.join(MANIFEST_NAME);
    let mut magic = [0; FLINK_MAGIC.len()];
    match fs::File::open(&manifest).and_then(|mut file| file.read_exact(&mut magic)) {
        Ok(()) if magic == FLINK_MAGIC => Ok(Origin::Flink),
        Ok(()) => Ok(Origin::Millpond),
        // Too short for any magic: opening it will say so.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(Origin::Millpond),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(no_manifest(path, directory)),
        Err(error) => Err(cannot_open(&manifest, error)),
    }
}

/// The error about a directory without a manifest: lists the snapshots below it.
fn no_manifest(path: &Path, directory: &Path) -> Failure {
    let shown = path.display();
    let candidates = match candidates(directory, 2) {
        Ok(candidates) => candidates,
        Err(error) => return cannot_open(directory, error),
    };
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut message = match candidates.len() {
        0 if SnapshotDirectory::parse(name).is_some() => {
            format!("{shown} has no {MANIFEST_NAME} file: the snapshot was never completed, or was deleted")
        }
        0 => format!("{shown} is not a snapshot: it has no {MANIFEST_NAME} file, and no snapshot lies below it"),
        1 => format!("{shown} is not a snapshot, but has one below it:"),
        count => format!("{shown} is not a snapshot, but has {count} below it; name one of them:"),
    };
    for (index, (_, candidate)) in candidates.iter().take(CANDIDATES_SHOWN).enumerate() {
        let separator = if index == 0 { " " } else { ", " };
        let candidate = path.join(candidate.strip_prefix(directory).unwrap_or(candidate));
        let _ = write!(message, "{separator}{}", candidate.display());
    }
    if candidates.len() > CANDIDATES_SHOWN {
        let _ = write!(message, " and {} more", candidates.len() - CANDIDATES_SHOWN);
    }
    Failure::unreadable(&Error::not_found(message))
}

/// Snapshots below a directory, those with the highest numbers first; `depth` levels of directories are searched.
fn candidates(directory: &Path, depth: u32) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if path.join(MANIFEST_NAME).is_file() {
            let number = match SnapshotDirectory::parse(name) {
                Some(SnapshotDirectory::Checkpoint(id)) => id.0,
                _ => 0,
            };
            found.push((number, path));
        } else if depth > 1 && layout::parse_job(name).is_some() {
            found.extend(candidates(&path, depth - 1).unwrap_or_default());
        }
    }
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    Ok(found)
}

/// A snapshot in a directory whose name is no [`ObjectPath`], with its neighbours; for reading
/// and deleting.
#[derive(Debug)]
struct Aliased {
    own: LocalStorage,
    beside: LocalStorage,
}

impl Aliased {
    fn resolve(&self, path: &ObjectPath) -> millpond::Result<(&LocalStorage, ObjectPath)> {
        match path.as_str().strip_prefix(ALIAS).and_then(|rest| rest.strip_prefix('/')) {
            Some(rest) => Ok((&self.own, ObjectPath::parse(rest)?)),
            None => Ok((&self.beside, path.clone())),
        }
    }

    fn read_only() -> Error {
        Error::invalid_input("nothing can be stored here; rename the directory to write to it")
    }
}

impl Storage for Aliased {
    fn create(&self, _: &ObjectPath) -> millpond::Result<Box<dyn ObjectWriter>> {
        Err(Self::read_only())
    }

    fn commit(&self, _: &ObjectPath, _: &[u8]) -> CommitOutcome {
        CommitOutcome::NotCommitted(Self::read_only())
    }

    fn open(&self, path: &ObjectPath) -> millpond::Result<Blob> {
        let (storage, path) = self.resolve(path)?;
        storage.open(&path)
    }

    fn link(&self, path: &ObjectPath, to: &Path) -> millpond::Result<bool> {
        let (storage, path) = self.resolve(path)?;
        storage.link(&path, to)
    }

    fn length(&self, path: &ObjectPath) -> millpond::Result<Option<u64>> {
        let (storage, path) = self.resolve(path)?;
        storage.length(&path)
    }

    fn list(&self, _: Option<&ObjectPath>) -> millpond::Result<Vec<ObjectInfo>> {
        Err(Error::invalid_input("this storage cannot be listed; rename the directory"))
    }

    fn delete(&self, path: &ObjectPath) -> millpond::Result<()> {
        let (storage, path) = self.resolve(path)?;
        storage.delete(&path)
    }
}
