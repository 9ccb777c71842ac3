//! Incremental checkpoints and restores of the RocksDB backend.
//!
//! `cargo bench --bench rocksdb_snapshot -- --help`. An increment is compared with the tables that it has and the one before had
//! not, by a look into RocksDB's directory: what is stored above that is overhead. A restore is compared with reading and writing
//! files of the same length. Every restore is checked: ten thousand values.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a program that measures may stop")]

#[path = "../measure/mod.rs"]
mod measure;

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use millpond::backend::rocksdb::{Config, MemoryBudget};
use millpond::backend::{BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat};
use millpond::format::manifest::{KeyedHandle, ObjectScope, SnapshotKind};
use millpond::ids::{CheckpointId, JobId, SubtaskIndex};
use millpond::key_group::{KeyGroupRange, Parallelism};
use millpond::serializer::{Serializer, U64};
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, Trust, assemble, publish};
use millpond::state::ValueState;
use millpond::storage::{CommitOutcome, Storage};

use measure::job::{Job, clear, scratch_directory, target};
use measure::output::Case;
use measure::storage::SinkKind;
use measure::timing::{Samples, now};
use measure::workload::parameters;
use measure::{Element, Options, Output, SplitMix64};

/// Percent of the keys that change before an increment.
const CHANGES: [usize; 2] = [1, 10];

/// Parallelism of the snapshot and of the restore.
const RESCALES: [(u32, u32, &str); 3] = [(1, 1, "Same"), (1, 2, "Rescale1to2"), (2, 1, "Rescale2to1")];

/// Threads that store and fetch files.
const THREADS: usize = 2;

fn main() {
    let mut options = Options::from_arguments("Incremental checkpoints and restores of the RocksDB backend.");
    options.rounds = options.rounds.min(5);
    let mut bench = Bench { output: Output::new(&options), options };
    for n in bench.options.n.clone() {
        bench.of::<u64>(n);
        bench.of::<[u8; 100]>(n);
    }
}

struct Bench {
    options: Options,
    output: Output,
}

fn config(directory: &Path) -> BackendConfig {
    let config = Config::in_directory(directory).with_memory(MemoryBudget::new(512 << 20));
    BackendConfig::rocksdb(config.with_transfer_threads(THREADS as u8))
}

/// The value that is stored for an id.
fn value_of<V: Element>(id: u64) -> V {
    V::random(&mut SplitMix64::new(id))
}

fn parallelism_of(count: u32) -> Parallelism {
    Parallelism::new(count, parameters().max_parallelism).expect("a valid parallelism")
}

fn parameters_of(subtask: u32, parallelism: u32) -> KeyedParameters {
    let all = parameters();
    let range = KeyGroupRange::of_subtask(subtask, parallelism_of(parallelism), all.max_parallelism);
    KeyedParameters { range: range.expect("a subtask"), ..all }
}

/// Tables in a directory of databases, with their lengths. Links to them in other directories are not counted again.
fn tables(directory: &Path, found: &mut BTreeMap<String, u64>) {
    for entry in std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry")) {
        let (name, metadata) = (entry.file_name().to_string_lossy().into_owned(), entry.metadata().expect("metadata"));
        if metadata.is_dir() {
            tables(&entry.path(), found);
        } else if name.ends_with(".sst") {
            found.insert(name, metadata.len());
        }
    }
}

fn tables_of(directory: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    tables(directory, &mut found);
    found
}

impl Bench {
    fn of<V: Element>(&mut self, n: usize) {
        let directory = scratch_directory(&self.options);
        if self.options.wants(&format!("incremental/{}", V::NAME)) {
            self.output.heading("increments: bytes stored against bytes of the tables that RocksDB wrote meanwhile");
            self.increments::<V>(n, directory.path());
        }
        for rescale in RESCALES {
            if self.options.wants(&format!("restore/{}/{}", rescale.2, V::NAME)) {
                self.restore::<V>(n, directory.path(), rescale);
            }
        }
    }

    fn increments<V: Element>(&mut self, n: usize, directory: &Path) {
        let local = directory.join("local");
        let storage = SinkKind::PageCache.storage(directory);
        let mut job = filled::<V>(n, &local, parameters());
        let mut known = store(&mut job, &storage, 1, &local);
        for (id, percent) in (2..).zip(CHANGES) {
            job.update(n * percent / 100);
            let made = store(&mut job, &storage, id, &local);
            let is_new = |object: &&millpond::format::manifest::ObjectRef| {
                object.scope == ObjectScope::Exclusive || known.handle.objects.iter().all(|old| old.name != object.name)
            };
            let stored: u64 = made.handle.objects.iter().filter(is_new).map(|object| object.length).sum();
            let new_tables = made.tables.iter().filter(|(name, _)| !known.tables.contains_key(*name));
            let written: u64 = new_tables.map(|(_, length)| length).sum();
            let Increment { pause, seconds, .. } = made;
            println!(
                "{percent:>3} % changed  {:<9} {n:>8} keys | stored {:>10.2} MB, new tables {:>10.2} MB, ratio {:>6.4} | \
                 pause {:>7.1} ms, with writing {:>8.1} ms",
                V::NAME,
                stored as f64 / 1e6,
                written as f64 / 1e6,
                stored as f64 / written as f64,
                pause * 1e3,
                seconds * 1e3,
            );
            self.output.json(
                Case { operation: &format!("incremental{percent}"), key: "long", value: V::NAME, n },
                json!({
                    "stored_bytes": stored, "new_table_bytes": written, "pause_ms": pause * 1e3, "ms": seconds * 1e3,
                    "backend": "rocksdb", "baseline": "tables that RocksDB wrote",
                }),
            );
            known = made;
        }
        clear(&*storage);
    }

    fn restore<V: Element>(&mut self, n: usize, directory: &Path, (from, to, rescale): (u32, u32, &str)) {
        let storage = SinkKind::PageCache.storage(directory);
        let (target, bytes) = published::<V>(&storage, n, from, &directory.join("local"));
        let mut seconds = Samples::default();
        for _ in 0..self.options.rounds {
            let start = now();
            let mut job = restored::<V>(&target, to, n, &directory.join("local"));
            black_box(stored(&mut job, 0));
            seconds.push(start.elapsed().as_secs_f64());
            check(&mut job, n);
        }
        clear(&*storage);
        let entries = n as f64 / f64::from(to);
        println!(
            "restore {rescale:<12} {:<9} {n:>8} keys, {:>8.1} MB in files | {:>9.1} ms, best {:>9.1} | {:>6.2} M entries/s",
            V::NAME,
            bytes as f64 / 1e6,
            seconds.median() * 1e3,
            seconds.least() * 1e3,
            entries / seconds.median() / 1e6,
        );
        self.output.json(
            Case { operation: &format!("restoreNative{rescale}"), key: "long", value: V::NAME, n },
            json!({
                "ms": seconds.median() * 1e3, "ms_min": seconds.least() * 1e3, "file_bytes": bytes, "backend": "rocksdb",
                "ops_per_s": entries / seconds.median(), "ops_per_s_best": entries / seconds.least(),
            }),
        );
    }
}

fn filled<V: Element>(n: usize, local: &Path, parameters: KeyedParameters) -> Job<V> {
    let backend = KeyedBackend::new(&config(local), parameters, U64).expect("a backend");
    let mut job = Job::over(backend, n);
    for id in 0..n as u64 {
        if is_of(&job, id) {
            job.set(&id, value_of(id));
        }
    }
    job
}

/// An increment that was stored.
struct Increment {
    handle: KeyedHandle,
    /// Its tables, with the lengths that the files have.
    tables: BTreeMap<String, u64>,
    /// How long the processing thread stood still.
    pause: f64,
    /// How long all of it took.
    seconds: f64,
}

fn store<V: Element>(job: &mut Job<V>, storage: &Arc<dyn Storage>, id: u64, local: &Path) -> Increment {
    let start = now();
    let snapshot = job.snapshot();
    let pause = start.elapsed().as_secs_f64();
    let (version, mut tables) = (snapshot.version(), tables_of(local));
    let start = now();
    let target = target(storage, id).with_threads(THREADS);
    let handle = snapshot.write(&target, KeyedSnapshotFormat::Incremental, &|| true).expect("a written snapshot");
    let seconds = pause + start.elapsed().as_secs_f64();
    job.backend.confirm(version);
    let handle = handle.expect("a snapshot with entries");
    // What was merged in the background at that moment is in the directory, but not in the checkpoint.
    let named: BTreeSet<String> = handle.files.iter().map(ToString::to_string).collect();
    tables.retain(|name, _| named.contains(name));
    Increment { handle, tables, pause, seconds }
}

/// Takes and publishes a checkpoint of `n` entries at a parallelism; gives the length of its files as well.
fn published<V: Element>(
    storage: &Arc<dyn Storage>,
    n: usize,
    parallelism: u32,
    local: &Path,
) -> (SnapshotTarget, u64) {
    let target = target(storage, 1).with_threads(THREADS);
    let reports: Vec<SubtaskReport> = (0..parallelism)
        .map(|index| {
            let mut job = filled::<V>(n, local, parameters_of(index, parallelism));
            let snapshot = job.snapshot();
            SubtaskReport {
                operator: job.backend.parameters().operator.clone(),
                subtask: SubtaskIndex(index),
                parallelism: parallelism_of(parallelism),
                max_parallelism: job.backend.parameters().max_parallelism,
                key: Some(U64.snapshot()),
                states: snapshot.states(),
                keyed: snapshot.write(&target, KeyedSnapshotFormat::Native, &|| true).expect("a written snapshot"),
                operator_state: None,
            }
        })
        .collect();
    let handles = reports.iter().filter_map(|report| report.keyed.as_ref());
    let bytes = handles.flat_map(|handle| &handle.objects).map(|object| object.length).sum();
    let (job, checkpoint) = (JobId([7; 16]), CheckpointId(1));
    let label = SnapshotLabel { job, checkpoint, kind: SnapshotKind::Checkpoint, created_ms: 0 };
    let outcome = publish(&**storage, target.directory(), &assemble(label, reports).expect("a manifest"));
    assert!(matches!(outcome, CommitOutcome::Committed), "{outcome:?}");
    (target, bytes)
}

/// Whether an id belongs to whatever subtask's job this is.
fn is_of<V: Element>(job: &Job<V>, id: u64) -> bool {
    let parameters = job.backend.parameters();
    let hash = U64.key_hash(&id, &mut millpond::codec::Writer::new()).expect("a hash");
    parameters.range.contains(parameters.max_parallelism.group_of_hash(hash))
}

/// The first subtask.
fn restored<V: Element>(target: &SnapshotTarget, parallelism: u32, n: usize, local: &Path) -> Job<V> {
    let reader = SnapshotReader::open(Arc::clone(target.storage()), target.directory().clone()).expect("a snapshot");
    let reader = reader.trust(Trust::Own);
    let parameters = parameters_of(0, parallelism);
    let operator = reader.operator(&parameters.operator).expect("an operator");
    Job::over(KeyedBackend::restore(&config(local), parameters, U64, &operator).expect("a restored backend"), n)
}

fn stored<V: Element>(job: &mut Job<V>, id: u64) -> Option<u64> {
    if !is_of(job, id) {
        return None;
    }
    let mut context = job.backend.key(&id).expect("a key of this subtask");
    let mut value = context.value(&job.state).expect("a state of this backend");
    value.get().expect("a value").map(|value| value.touch())
}

/// Compares entries with what was stored.
fn check<V: Element>(job: &mut Job<V>, n: usize) {
    for id in (0..n as u64).step_by((n / 10_000).max(1)) {
        if is_of(job, id) {
            assert_eq!(stored(job, id), Some(value_of::<V>(id).touch()), "key {id}");
        }
    }
}
