//! The RocksDB backend on a local disk that is too small.
//!
//! The disk is real: a file system in memory of a few megabytes, mounted where only a child process sees it. The child is this test
//! binary, run with one ignored test of this module. Where no such file system can be had, the child may not write files longer than
//! a limit, which stops RocksDB as well. Checkpoints go elsewhere: that disk has room.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use millpond::backend::handle::ValueHandle;
use millpond::backend::rocksdb::Config;
use millpond::backend::{BackendConfig, BackendKind, KeyedBackend, KeyedParameters, KeyedSnapshotFormat};
use millpond::clock::ManualClock;
use millpond::format::manifest::SnapshotKind;
use millpond::ids::{CheckpointId, JobId, SubtaskIndex};
use millpond::key_group::{MaxParallelism, Parallelism};
use millpond::random::{RandomSource, SeededRandom, SystemRandom};
use millpond::serializer::{Bytes, Serializer, Str};
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, Trust, assemble, publish};
use millpond::state::{ValueDescriptor, ValueState};
use millpond::storage::layout::JobLayout;
use millpond::storage::{CommitOutcome, LocalStorage, Storage};
use millpond::{Error, ErrorKind, Result};

use super::rocksdb::{scratch, small};

/// Where the child works; below it `local` is the small disk and `checkpoints` the storage.
const DIRECTORY: &str = "MILLPOND_FULL_DISK_DIRECTORY";
/// What is small: `disk` or `files`.
const SMALL: &str = "MILLPOND_FULL_DISK_SMALL";

/// Size of the disk; most of it is taken by a file that goes when room is made.
const DISK_BYTES: usize = 48 << 20;
/// Files that the disk can hold.
const DISK_FILES: usize = 600;
/// Room beside that file.
const ROOM_BYTES: usize = 8 << 20;
/// Blocks of 512 bytes that a file may have where only files are limited.
const FILE_BLOCKS: usize = 400;

const UID: &str = "full-disk";
const JOB: JobId = JobId([0x66; 16]);
const VALUE: ValueDescriptor<Bytes> = ValueDescriptor::new("value", Bytes);
const VALUE_BYTES: usize = 2_000;

type Model = BTreeMap<String, Vec<u8>>;

/// A job whose state is random bytes, which nothing can compress.
struct Job {
    directory: PathBuf,
    storage: Arc<dyn Storage>,
    random: SeededRandom,
    backend: KeyedBackend<Str>,
    value: ValueHandle<Vec<u8>>,
    model: Model,
    /// Number of the next checkpoint.
    next: u64,
    /// What the checkpoints that completed hold.
    completed: BTreeMap<u64, Model>,
}

fn storage(directory: &Path) -> Arc<dyn Storage> {
    Arc::new(LocalStorage::create(directory.join("checkpoints")).unwrap())
}

fn config(kind: BackendKind, directory: &Path) -> BackendConfig {
    let config: Config = small(&directory.join("local"));
    if kind == BackendKind::RocksDb { BackendConfig::rocksdb(config) } else { BackendConfig::new(kind) }
}

fn parameters() -> KeyedParameters {
    let max = MaxParallelism::new(16).unwrap();
    let range = max.all_groups();
    KeyedParameters { operator: UID.to_owned(), max_parallelism: max, range, clock: Arc::new(ManualClock::new(0)) }
}

fn restored(kind: BackendKind, directory: &Path, id: u64) -> Result<(KeyedBackend<Str>, ValueHandle<Vec<u8>>)> {
    let reader = SnapshotReader::open(storage(directory), JobLayout::new(JOB).checkpoint(CheckpointId(id)))?;
    let elsewhere = scratch();
    let reader = reader.trust(Trust::Own).with_scratch(elsewhere.path());
    let mut backend = KeyedBackend::restore(&config(kind, directory), parameters(), Str, &reader.operator(UID)?)?;
    let value = backend.register_value(&VALUE)?;
    Ok((backend, value))
}

fn content(backend: &KeyedBackend<Str>, value: &ValueHandle<Vec<u8>>) -> Model {
    let mut model = Model::new();
    backend.for_each_value(value, |key, (), bytes| drop(model.insert(key.clone(), bytes.clone()))).unwrap();
    model
}

impl Job {
    fn begin(directory: &Path, next: u64) -> Self {
        let mut backend = KeyedBackend::new(&config(BackendKind::RocksDb, directory), parameters(), Str).unwrap();
        let value = backend.register_value(&VALUE).unwrap();
        let (storage, random) = (storage(directory), SeededRandom::new(1));
        let (model, completed) = (Model::new(), BTreeMap::new());
        Job { directory: directory.to_owned(), storage, random, backend, value, model, next, completed }
    }

    fn write(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let drawn = self.random.next_u128().unwrap();
            let key = format!("key-{}", drawn % 1_500);
            let bytes: Vec<u8> = (0..VALUE_BYTES / 16)
                .flat_map(|at| drawn.wrapping_mul(2 * at as u128 + 1).rotate_left(at as u32).to_be_bytes())
                .collect();
            self.backend.key(&key)?.value(&self.value)?.set(bytes.clone())?;
            self.model.insert(key, bytes);
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        let id = self.next;
        let directory = JobLayout::new(JOB).checkpoint(CheckpointId(id));
        let snapshot = self.backend.snapshot()?;
        self.next += 1;
        let (version, states) = (snapshot.version(), snapshot.states());
        let target = SnapshotTarget::new(Arc::clone(&self.storage), directory.clone(), Arc::new(SystemRandom));
        let keyed = snapshot.write(&target, KeyedSnapshotFormat::Incremental, &|| true)?;
        let report = SubtaskReport {
            operator: UID.to_owned(),
            subtask: SubtaskIndex(0),
            parallelism: Parallelism::new(1, parameters().max_parallelism)?,
            max_parallelism: parameters().max_parallelism,
            key: Some(Str.snapshot()),
            states,
            keyed,
            operator_state: None,
        };
        let label =
            SnapshotLabel { job: JOB, checkpoint: CheckpointId(id), kind: SnapshotKind::Checkpoint, created_ms: 0 };
        let manifest = assemble(label, vec![report])?;
        assert!(matches!(publish(&*self.storage, &directory, &manifest), CommitOutcome::Committed));
        self.backend.confirm(version);
        self.completed.insert(id, self.model.clone());
        Ok(())
    }

    /// Goes on from the newest checkpoint, in a new directory; the one so far goes first.
    fn restart(self) -> Result<Self> {
        let Job { directory, storage, random, backend, next, completed, .. } = self;
        drop(backend);
        assert_eq!(working_directories(&directory), 0, "a directory outlives its backend");
        let (id, model) = completed.last_key_value().unwrap();
        let (backend, value) = restored(BackendKind::RocksDb, &directory, *id)?;
        let model = model.clone();
        assert!(content(&backend, &value) == model, "checkpoint {id} restores to something else");
        Ok(Job { directory, storage, random, backend, value, model, next, completed })
    }

    /// Every checkpoint that completed holds what it was taken of.
    fn check(&self) {
        assert!(!self.completed.is_empty());
        for (id, model) in &self.completed {
            let (backend, value) = restored(BackendKind::Heap, &self.directory, *id).unwrap();
            assert!(content(&backend, &value) == *model, "checkpoint {id}");
        }
    }

    /// Writes and checkpoints until that fails; gives the error.
    fn fill(&mut self) -> Error {
        for _ in 0..200 {
            if let Err(error) = self.write(100).and_then(|()| self.checkpoint()) {
                return error;
            }
        }
        panic!("the disk is never full");
    }
}

fn working_directories(directory: &Path) -> usize {
    let entries = directory.join("local").read_dir().unwrap().map(|entry| entry.unwrap());
    entries.filter(|entry| entry.file_type().unwrap().is_dir()).count()
}

/// The error names what is full and says so.
fn check_error(error: &Error, directory: &Path) {
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.message().contains("full") || error.message().contains("No space left"), "{error}");
    let file = error.place().file.as_deref().unwrap_or_default();
    assert!(file.starts_with(&*directory.join("local").to_string_lossy()), "{error}");
}

/// A file that takes all of the disk but `left` bytes.
struct Ballast(PathBuf);

impl Ballast {
    fn new(directory: &Path, left: usize) -> Self {
        let path = directory.join("local/ballast");
        let mut file = std::fs::File::create(&path).unwrap();
        (0..(DISK_BYTES - left) >> 16).for_each(|_| file.write_all(&[1; 1 << 16]).unwrap());
        Ballast(path)
    }
}

impl Drop for Ballast {
    #[expect(clippy::disallowed_methods, reason = "makes room on the disk of the test")]
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

/// Files of no length, as many as fit.
struct EmptyFiles(Vec<PathBuf>);

impl EmptyFiles {
    fn all(directory: &Path) -> Self {
        let paths = (0..=DISK_FILES).map(|number| directory.join(format!("local/empty-{number}")));
        EmptyFiles(paths.take_while(|path| std::fs::File::create(path).is_ok()).collect())
    }

    #[expect(clippy::disallowed_methods, reason = "makes room on the disk of the test")]
    fn remove(&mut self, count: usize) {
        let left = self.0.len().saturating_sub(count);
        self.0.drain(left..).for_each(|path| std::fs::remove_file(path).unwrap());
    }
}

fn full_while_writing(directory: &Path) {
    let ballast = Ballast::new(directory, ROOM_BYTES);
    let mut job = Job::begin(directory, 1);
    check_error(&job.fill(), directory);
    // Whatever is tried now fails as clearly or works; what completed is untouched.
    for _ in 0..20 {
        if let Err(error) = job.write(1).and_then(|()| job.checkpoint()) {
            check_error(&error, directory);
        }
    }
    job.check();
    drop(ballast);
    let mut job = job.restart().unwrap();
    for _ in 0..10 {
        job.write(100).unwrap();
        job.checkpoint().unwrap();
    }
    job.check();
}

/// Every file that a checkpoint's directory needs is once the first that does not fit.
fn full_while_linking(directory: &Path) {
    let mut job = Job::begin(directory, 1_000);
    job.write(600).unwrap();
    job.checkpoint().unwrap();
    let (mut failed, mut left) = (0, 0);
    loop {
        // Nothing is left to be written out: only the directory and its links are needed.
        drop(job.backend.snapshot().unwrap());
        let mut files = EmptyFiles::all(directory);
        files.remove(left);
        let taken = job.backend.snapshot().map(drop);
        files.remove(usize::MAX);
        match taken {
            Err(error) => check_error(&error, directory),
            Ok(()) => break,
        }
        failed += 1;
        left += 1;
        job.write(1).unwrap();
        job.checkpoint().unwrap();
    }
    assert!(failed > 3, "only {failed} checkpoints did not fit");
    job.check();
    job.restart().unwrap().checkpoint().unwrap();
}

fn full_while_restoring(directory: &Path) {
    let mut job = Job::begin(directory, 2_000);
    job.write(2_000).unwrap();
    job.checkpoint().unwrap();
    let (id, model) = job.completed.last_key_value().unwrap();
    drop(job.backend);
    for left in [1 << 16, 1 << 18, 1 << 19, 1 << 20, 3 << 20 >> 1] {
        let ballast = Ballast::new(directory, left);
        let error = restored(BackendKind::RocksDb, directory, *id).unwrap_err();
        check_error(&error, directory);
        assert_eq!(working_directories(directory), 0, "{left} bytes left");
        drop(ballast);
    }
    let mut files = EmptyFiles::all(directory);
    let mut failed = 0;
    let (backend, value) = loop {
        match restored(BackendKind::RocksDb, directory, *id) {
            Err(error) => check_error(&error, directory),
            Ok(restored) => break restored,
        }
        assert_eq!(working_directories(directory), 0);
        failed += 1;
        files.remove(1);
    };
    assert!(failed > 3, "only {failed} restores did not fit");
    assert!(content(&backend, &value) == *model);
}

#[test]
#[ignore = "works on a small disk; run by the test of this module"]
fn process_on_a_small_disk() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    if std::env::var(SMALL).as_deref() == Ok("disk") {
        full_while_writing(directory);
        full_while_linking(directory);
        full_while_restoring(directory);
        return;
    }
    let mut job = Job::begin(directory, 1);
    let error = job.fill();
    check_error(&error, directory);
    println!("completed {}", job.completed.len());
    job.check();
}

/// Runs the child below a shell command; `None` if the command cannot do what it is for.
fn run(directory: &Path, small: &str, command: &str) -> Option<String> {
    let output = Command::new("sh")
        .args(["-c", command, "sh"])
        .arg(directory.join("local"))
        .arg(std::env::current_exe().unwrap())
        .args(["backend::full_disk::process_on_a_small_disk", "--exact", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(SMALL, small)
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !said.contains("running 1 test") {
        println!("not possible here: {errors}");
        return None;
    }
    assert!(output.status.success(), "{said}\n{errors}");
    Some(said.into_owned())
}

#[test]
fn a_full_local_disk_is_a_clear_error_and_loses_no_checkpoint() {
    let directory = scratch();
    std::fs::create_dir(directory.path().join("local")).unwrap();
    let mount =
        format!("mount -t tmpfs -o size={DISK_BYTES},nr_inodes={DISK_FILES} tmpfs \"$1\" && shift && exec \"$@\"");
    let mount = format!("exec unshare -rm sh -c '{mount}' sh \"$@\"");
    if run(directory.path(), "disk", &mount).is_none() {
        println!("skipped: no small file system can be mounted");
    }
}

#[test]
fn a_limit_of_file_sizes_is_a_clear_error_and_loses_no_checkpoint() {
    let directory = scratch();
    std::fs::create_dir(directory.path().join("local")).unwrap();
    let limit = format!("trap '' XFSZ; shift; ulimit -f {FILE_BLOCKS} && exec \"$@\"");
    let Some(said) = run(directory.path(), "files", &limit) else {
        println!("skipped: file sizes cannot be limited");
        return;
    };
    let completed: u64 = said.split("completed ").nth(1).unwrap().lines().next().unwrap().trim().parse().unwrap();
    // Without the limit the job goes on.
    let (mut backend, value) = restored(BackendKind::RocksDb, directory.path(), completed).unwrap();
    let before = content(&backend, &value);
    assert!(!before.is_empty());
    backend.key(&"more".to_owned()).unwrap().value(&value).unwrap().set(vec![1; 1 << 20]).unwrap();
    drop(backend.snapshot().unwrap());
    assert_eq!(content(&backend, &value).len(), before.len() + 1);
}
