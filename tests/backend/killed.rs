//! A process that works and takes incremental checkpoints, killed again and again.
//!
//! The process is this test binary, run with one ignored test of this module. It says on its standard output which checkpoints
//! are there; whatever it said must be there when it is dead, and hold what it said. `MILLPOND_KILLS` sets how often it is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millpond::Result;
use millpond::backend::{BackendConfig, BackendKind, KeyedBackend, KeyedParameters, KeyedSnapshotFormat};
use millpond::clock::ManualClock;
use millpond::format::manifest::{Manifest, ObjectScope, SnapshotKind};
use millpond::ids::{CheckpointId, JobId, SubtaskIndex};
use millpond::key_group::{MaxParallelism, Parallelism};
use millpond::random::SystemRandom;
use millpond::serializer::{Str, U64};
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, Trust, assemble, publish};
use millpond::state::{ListDescriptor, ListState, MapDescriptor, MapState, ValueDescriptor, ValueState};
use millpond::storage::layout::{JobLayout, MANIFEST_NAME, SnapshotDirectory};
use millpond::storage::{Blob, CommitOutcome, LocalStorage, ObjectInfo, ObjectPath, ObjectWriter, Storage};

use super::from_environment;
use super::rocksdb::{scratch, small};

/// Kills in an ordinary run.
const KILLS: u64 = 20;
/// Says to the process at which storage operation of its recovery it dies; if there are fewer, it ends when it is recovered.
const DIES_AT: &str = "MILLPOND_KILLED_DIES_AT";
/// Says to the process where to work.
const DIRECTORY: &str = "MILLPOND_KILLED_DIRECTORY";

const UID: &str = "killed";
const JOB: JobId = JobId([0x6b; 16]);
const STEPS_PER_CHECKPOINT: u64 = 25;
const RETAINED: usize = 3;
const KEYS: u64 = 200;

const VALUE: ValueDescriptor<U64> = ValueDescriptor::new("value", U64);
const LIST: ListDescriptor<U64> = ListDescriptor::new("list", U64);
const MAP: MapDescriptor<Str, U64> = MapDescriptor::new("map", Str, U64);

/// The key whose value is the number of steps that were taken.
const POSITION: &str = "position";

type Map = BTreeMap<String, u64>;

/// What a step does: to which key, and what of three.
fn step(number: u64) -> (String, u64) {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    (format!("key-{}", mixed % KEYS), mixed / KEYS % 4)
}

/// What so many steps leave of every key: value, list, map.
fn expected(steps: u64) -> BTreeMap<String, (Option<u64>, Vec<u64>, Map)> {
    let mut content: BTreeMap<String, (Option<u64>, Vec<u64>, Map)> = BTreeMap::new();
    for number in 0..steps {
        let (key, what) = step(number);
        let (value, list, map) = content.entry(key).or_default();
        match what {
            0 => *value = Some(number),
            1 => list.push(number),
            2 => drop(map.insert(format!("item-{}", number % 3), number)),
            _ => list.clear(),
        }
    }
    content
}

struct Handles {
    value: millpond::backend::handle::ValueHandle<u64>,
    list: millpond::backend::handle::ListHandle<u64>,
    map: millpond::backend::handle::MapHandle<String, u64>,
}

fn register(backend: &mut KeyedBackend<Str>) -> Handles {
    Handles {
        value: backend.register_value(&VALUE).unwrap(),
        list: backend.register_list(&LIST).unwrap(),
        map: backend.register_map(&MAP).unwrap(),
    }
}

fn max() -> MaxParallelism {
    MaxParallelism::new(32).unwrap()
}

fn parameters() -> KeyedParameters {
    let range = max().all_groups();
    KeyedParameters { operator: UID.to_owned(), max_parallelism: max(), range, clock: Arc::new(ManualClock::new(0)) }
}

/// The checkpoints that are there, by what a listing says.
fn checkpoints(storage: &dyn Storage) -> BTreeSet<u64> {
    let objects = storage.list(Some(&JobLayout::new(JOB).root())).unwrap();
    let manifests = objects.iter().filter(|object| object.path.file_name() == MANIFEST_NAME);
    let id = |object: &millpond::storage::ObjectInfo| match SnapshotDirectory::parse(
        object.path.parent().unwrap().file_name(),
    )
    .unwrap()
    {
        SnapshotDirectory::Checkpoint(id) => id.0,
        SnapshotDirectory::Savepoint => panic!("{}", object.path),
    };
    manifests.map(id).collect()
}

fn open(storage: &Arc<dyn Storage>, id: u64, scratch: &Path) -> SnapshotReader {
    let directory = JobLayout::new(JOB).checkpoint(CheckpointId(id));
    let reader = SnapshotReader::open(Arc::clone(storage), directory).unwrap();
    reader.trust(Trust::Own).with_scratch(scratch)
}

fn storage(directory: &Path) -> Arc<dyn Storage> {
    let root = directory.join("checkpoints");
    std::fs::create_dir_all(&root).unwrap();
    Arc::new(LocalStorage::open(&root).unwrap())
}

fn config(kind: BackendKind, directory: &Path) -> BackendConfig {
    match kind {
        BackendKind::Heap => BackendConfig::new(kind),
        _ => BackendConfig::rocksdb(small(&directory.join("local"))),
    }
}

fn restore(kind: BackendKind, directory: &Path, storage: &Arc<dyn Storage>, id: u64) -> KeyedBackend<Str> {
    let reader = open(storage, id, &directory.join("scratch"));
    KeyedBackend::restore(&config(kind, directory), parameters(), Str, &reader.operator(UID).unwrap()).unwrap()
}

fn take(backend: &mut KeyedBackend<Str>, storage: &Arc<dyn Storage>, id: u64) {
    let directory = JobLayout::new(JOB).checkpoint(CheckpointId(id));
    let target = SnapshotTarget::new(Arc::clone(storage), directory.clone(), Arc::new(SystemRandom)).with_threads(2);
    let snapshot = backend.snapshot().unwrap();
    let (version, states) = (snapshot.version(), snapshot.states());
    let keyed = snapshot.write(&target, KeyedSnapshotFormat::Incremental, &|| true).unwrap();
    let report = SubtaskReport {
        operator: UID.to_owned(),
        subtask: SubtaskIndex(0),
        parallelism: Parallelism::new(1, max()).unwrap(),
        max_parallelism: max(),
        key: Some(millpond::serializer::Serializer::snapshot(&Str)),
        states,
        keyed,
        operator_state: None,
    };
    let checkpoint = CheckpointId(id);
    let label = SnapshotLabel { job: JOB, checkpoint, kind: SnapshotKind::Checkpoint, created_ms: 0 };
    let manifest = assemble(label, vec![report]).unwrap();
    assert!(matches!(publish(&**storage, &directory, &manifest), CommitOutcome::Committed));
    backend.confirm(version);
}

/// A storage in whose hands the process dies.
#[derive(Debug)]
struct Mortal {
    inner: Arc<dyn Storage>,
    left: AtomicU64,
}

impl Mortal {
    fn live(&self) -> &dyn Storage {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            std::process::abort();
        }
        &*self.inner
    }
}

impl Storage for Mortal {
    fn create(&self, path: &ObjectPath) -> Result<Box<dyn ObjectWriter>> {
        self.live().create(path)
    }

    fn commit(&self, path: &ObjectPath, bytes: &[u8]) -> CommitOutcome {
        self.live().commit(path, bytes)
    }

    fn open(&self, path: &ObjectPath) -> Result<Blob> {
        self.live().open(path)
    }

    fn link(&self, path: &ObjectPath, to: &Path) -> Result<bool> {
        self.live().link(path, to)
    }

    fn length(&self, path: &ObjectPath) -> Result<Option<u64>> {
        self.live().length(path)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> Result<Vec<ObjectInfo>> {
        self.live().list(prefix)
    }

    fn delete(&self, path: &ObjectPath) -> Result<()> {
        self.live().delete(path)
    }
}

/// Deletes the oldest checkpoints, manifest first, and what no other names.
fn retire(storage: &Arc<dyn Storage>, scratch: &Path) {
    let mut there = checkpoints(&**storage);
    let layout = JobLayout::new(JOB);
    while there.len() > RETAINED {
        let oldest = there.pop_first().unwrap();
        storage.delete(&layout.checkpoint(CheckpointId(oldest)).join(MANIFEST_NAME).unwrap()).unwrap();
    }
    let manifests: Vec<Manifest> = there.iter().map(|id| open(storage, *id, scratch).manifest().clone()).collect();
    let shared = manifests.iter().flat_map(Manifest::objects).filter(|object| object.scope == ObjectScope::Shared);
    let shared: BTreeSet<&str> = shared.map(|object| object.name.as_str()).collect();
    for object in storage.list(Some(&layout.root())).unwrap() {
        let (directory, name) = (object.path.parent().unwrap(), object.path.file_name());
        let is_named = match SnapshotDirectory::parse(directory.file_name()) {
            Some(SnapshotDirectory::Checkpoint(id)) => there.contains(&id.0),
            _ => shared.contains(name),
        };
        if !is_named {
            storage.delete(&object.path).unwrap();
        }
    }
}

#[test]
#[ignore = "the process that is killed; run by the test of this module"]
fn process_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let storage = storage(directory);
    let mut id = checkpoints(&*storage).last().copied().unwrap_or(0);
    if let Some(dies_at) = from_environment(DIES_AT) {
        let mortal: Arc<dyn Storage> = Arc::new(Mortal { inner: storage, left: AtomicU64::new(dies_at) });
        let mut backend = restore(BackendKind::RocksDb, directory, &mortal, id);
        register(&mut backend);
        println!("recovered");
        return;
    }
    let mut backend = match id {
        0 => KeyedBackend::new(&config(BackendKind::RocksDb, directory), parameters(), Str).unwrap(),
        id => restore(BackendKind::RocksDb, directory, &storage, id),
    };
    let handles = register(&mut backend);
    let position = POSITION.to_owned();
    let mut steps = backend.key(&position).unwrap().value(&handles.value).unwrap().get().unwrap().map_or(0, |it| *it);
    loop {
        for _ in 0..STEPS_PER_CHECKPOINT {
            let (key, what) = step(steps);
            let mut context = backend.key(&key).unwrap();
            match what {
                0 => context.value(&handles.value).unwrap().set(steps).unwrap(),
                1 => context.list(&handles.list).unwrap().add(steps).unwrap(),
                2 => context.map(&handles.map).unwrap().put(format!("item-{}", steps % 3), steps).unwrap(),
                _ => context.list(&handles.list).unwrap().clear().unwrap(),
            }
            steps += 1;
            backend.key(&position).unwrap().value(&handles.value).unwrap().set(steps).unwrap();
        }
        id += 1;
        take(&mut backend, &storage, id);
        println!("checkpoint {id} {steps}");
        std::io::stdout().flush().unwrap();
        retire(&storage, &directory.join("scratch"));
    }
}

fn command(directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["backend::killed::process_that_is_killed", "--exact", "--ignored", "--nocapture"]);
    command.env(DIRECTORY, directory);
    command
}

/// The process, running.
struct Life {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// A checkpoint that a line speaks of, with its steps.
fn said(line: &str) -> Option<(u64, u64)> {
    // The test runner's own words may stand before it.
    let (_, numbers) = line.split_once("checkpoint ")?;
    let (id, steps) = numbers.split_once(' ')?;
    Some((id.parse().unwrap(), steps.parse().unwrap()))
}

impl Life {
    fn begin(directory: &Path) -> Self {
        let mut child = command(directory).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Life { child, lines }
    }

    /// Waits for the next checkpoint.
    fn checkpoint(&mut self) -> (u64, u64) {
        loop {
            let line = self.lines.next().expect("the process ended by itself").unwrap();
            if let Some(checkpoint) = said(&line) {
                return checkpoint;
            }
        }
    }

    /// Kills the process, and gives the checkpoints that it still spoke of.
    fn kill(mut self) -> impl Iterator<Item = (u64, u64)> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // What was cut off in the middle was not said.
        self.lines.map_while(Result::ok).filter_map(|line| said(&line))
    }
}

/// Runs the process until it said something and a little longer, kills it, and gives the last checkpoint that it said is
/// there, with its steps.
fn life(directory: &Path, patience: Duration) -> (u64, u64) {
    let mut life = Life::begin(directory);
    let first = life.checkpoint();
    let (_never, wait) = std::sync::mpsc::channel::<()>();
    let _ = wait.recv_timeout(patience);
    life.kill().last().unwrap_or(first)
}

fn check(directory: &Path, said: (u64, u64)) -> u64 {
    let storage = storage(directory);
    let there = checkpoints(&*storage);
    let newest = *there.last().expect("a checkpoint that was acknowledged is gone");
    assert!(newest >= said.0, "checkpoint {} was acknowledged, the newest is {newest}", said.0);
    // On the heap, so that a mistake common to writing and reading databases shows.
    let mut backend = restore(BackendKind::Heap, directory, &storage, newest);
    let handles = register(&mut backend);
    let position = POSITION.to_owned();
    let steps = *backend.key(&position).unwrap().value(&handles.value).unwrap().get().unwrap().unwrap();
    assert!(steps >= said.1 && (newest > said.0 || steps == said.1), "checkpoint {newest} holds {steps} steps");
    let expected = expected(steps);
    for number in 0..KEYS {
        let key = format!("key-{number}");
        let mut context = backend.key(&key).unwrap();
        let (value, list, map) = expected.get(&key).cloned().unwrap_or_default();
        assert_eq!(context.value(&handles.value).unwrap().get().unwrap().map(|it| *it), value, "{key}");
        assert_eq!(context.list(&handles.list).unwrap().get().unwrap().to_vec(), list, "{key}");
        let mut found = context.map(&handles.map).unwrap();
        let found: Map =
            found.entries().unwrap().map(|entry| entry.map(|(it, n)| (it.into_owned(), *n)).unwrap()).collect();
        assert_eq!(found, map, "{key}");
    }
    steps
}

#[expect(clippy::disallowed_methods, reason = "what a killed process left in a directory of this test")]
fn lose_local_files(directory: &Path) {
    for part in ["local", "scratch"] {
        drop(std::fs::remove_dir_all(directory.join(part)));
    }
}

#[test]
fn a_process_that_is_killed_loses_no_acknowledged_checkpoint() {
    let kills = from_environment("MILLPOND_KILLS").unwrap_or(KILLS);
    let directory = scratch();
    let mut steps = 0;
    for kill in 0..kills {
        // Sometimes what the last life left is there, sometimes not: nobody depends on it.
        if kill % 3 != 0 {
            lose_local_files(directory.path());
        }
        let patience = Duration::from_micros(kill.wrapping_mul(0x9E37_79B9) % 40_000);
        steps = check(directory.path(), life(directory.path(), patience));
    }
    println!("{kills} kills, {steps} steps, every acknowledged checkpoint restored");
}

/// The directories in which somebody works, or has worked.
fn working_directories(directory: &Path) -> BTreeSet<PathBuf> {
    directory.join("local").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn s_22_what_a_killed_process_left_is_removed_by_the_next_and_what_a_living_one_has_is_not() {
    const ROCKSDB: BackendKind = BackendKind::RocksDb;
    let directory = scratch();
    std::fs::create_dir_all(directory.path().join("local/of-the-user-1")).unwrap();
    let users = working_directories(directory.path());
    let mut life = Life::begin(directory.path());
    life.checkpoint();
    let of_child: BTreeSet<_> = working_directories(directory.path()).difference(&users).cloned().collect();
    assert_eq!(of_child.len(), 1);
    // The process goes on, whoever else comes.
    let mut first = KeyedBackend::new(&config(ROCKSDB, directory.path()), parameters(), Str).unwrap();
    let handles = register(&mut first);
    let living = working_directories(directory.path());
    assert!(living.is_superset(&of_child) && living.len() == users.len() + 2, "{living:?}");
    life.checkpoint();
    life.checkpoint();
    let _ = life.kill().count();
    assert!(working_directories(directory.path()).is_superset(&of_child), "nobody has come yet");
    let second = KeyedBackend::new(&config(ROCKSDB, directory.path()), parameters(), Str).unwrap();
    let left = working_directories(directory.path());
    assert!(left.len() == users.len() + 2 && left.is_superset(&users), "{left:?}");
    let key = "key".to_owned();
    first.key(&key).unwrap().value(&handles.value).unwrap().set(1).unwrap();
    drop(first.snapshot().unwrap());
    drop((first, second));
    assert_eq!(working_directories(directory.path()), users);
}

/// The process dies in the middle of its recovery, at every storage operation of it in turn, each time in what the lives before have left.
#[test]
fn s_21_a_recovery_that_is_killed_at_every_operation_is_done_again() {
    let directory = scratch();
    let said = life(directory.path(), Duration::from_millis(30));
    let storage = storage(directory.path());
    let stored = |storage: &dyn Storage| -> BTreeMap<ObjectPath, Blob> {
        let listed = storage.list(None).unwrap().into_iter();
        listed.map(|info| (info.path.clone(), storage.open(&info.path).unwrap())).collect()
    };
    let before = stored(&*storage);
    let deaths = (0..1_000_u64).find(|dies_at| {
        let output = command(directory.path()).env(DIES_AT, dies_at.to_string()).output().unwrap();
        let is_recovered = String::from_utf8_lossy(&output.stdout).contains("recovered");
        assert_eq!(output.status.success(), is_recovered, "{output:?}");
        assert!(stored(&*storage) == before, "recovery changed what is stored");
        // What earlier deaths left is gone.
        let left = working_directories(directory.path()).len();
        assert!(left <= usize::from(!is_recovered), "{left} directories after a death at {dies_at}");
        is_recovered
    });
    let deaths = deaths.expect("recovery ends");
    assert!(deaths > 10, "only {deaths} operations");
    check(directory.path(), said);
    let said = life(directory.path(), Duration::from_millis(30));
    check(directory.path(), said);
}
