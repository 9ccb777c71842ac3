//! How fast one thread restores state, beside filling a bare map with entries that are typed already.
//!
//! `cargo bench --bench restore -- --help`. Timed is everything from opening the manifest to the answer to the first read.
//! Every restore is checked: the number of entries, and ten thousand values.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a program that measures may stop")]

#[path = "../measure/mod.rs"]
mod measure;

use std::hint::black_box;
use std::sync::Arc;

use serde_json::json;

use millpond::backend::{BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat};
use millpond::format::manifest::SnapshotKind;
use millpond::ids::{CheckpointId, JobId, SubtaskIndex};
use millpond::key_group::{KeyGroupRange, Parallelism};
use millpond::serializer::{Serializer, U64};
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, assemble, publish};
use millpond::state::ValueState;
use millpond::storage::{CommitOutcome, Storage};

use measure::job::{FORMATS, Job, STATE, clear, scratch_directory, target};
use measure::output::Case;
use measure::storage::SinkKind;
use measure::timing::{Samples, now};
use measure::workload::{BareMap, parameters};
use measure::{Element, Options, Output, SplitMix64};

/// Parallelism of the snapshot and of the restore.
const RESCALES: [(u32, u32, &str); 3] = [(1, 1, "Same"), (1, 2, "Rescale1to2"), (2, 1, "Rescale2to1")];

fn main() {
    let mut options = Options::from_arguments("Speed of restores of a value state with u64 keys from local files.");
    options.rounds = options.rounds.min(7);
    let mut bench = Bench { output: Output::new(&options), options };
    bench.output.heading("restore: one thread, from local files in the page cache; baseline: with_capacity and insert");
    println!(
        "{:<10} {:<12} {:<9} {:>8} | {:>9} {:>9} {:>9} | {:>10} {:>6}",
        "format", "parallelism", "value", "entries", "ms", "M/s best", "median", "bare M/s", "ratio"
    );
    for n in bench.options.n.clone() {
        bench.of::<u64>(n);
        bench.of::<[u8; 100]>(n);
    }
}

struct Bench {
    options: Options,
    output: Output,
}

/// The value that is stored for an id.
fn value_of<V: Element>(id: u64) -> V {
    V::random(&mut SplitMix64::new(id))
}

fn parameters_of(subtask: u32, parallelism: u32) -> KeyedParameters {
    let all = parameters();
    let range = KeyGroupRange::of_subtask(subtask, parallelism_of(parallelism), all.max_parallelism);
    KeyedParameters { range: range.expect("a subtask"), ..all }
}

fn parallelism_of(count: u32) -> Parallelism {
    Parallelism::new(count, parameters().max_parallelism).expect("a valid parallelism")
}

impl Bench {
    fn of<V: Element>(&mut self, n: usize) {
        let bare = bare_entries_per_s::<V>(n);
        for (format, name) in FORMATS {
            for (from, to, rescale) in RESCALES {
                if self.options.wants(&format!("{name}/{rescale}/{}", V::NAME)) {
                    self.restore::<V>(n, (format, name), (from, to, rescale), bare);
                }
            }
        }
    }

    fn restore<V: Element>(
        &mut self,
        n: usize,
        (format, name): (KeyedSnapshotFormat, &str),
        (from, to, rescale): (u32, u32, &str),
        bare: f64,
    ) {
        let directory = scratch_directory(&self.options);
        let storage = SinkKind::PageCache.storage(directory.path());
        let target = published::<V>(&storage, n, from, format);
        let (mut seconds, mut entries) = (Samples::default(), 0);
        for _ in 0..self.options.rounds {
            let start = now();
            let mut job = restored::<V>(&target, to, n);
            black_box(stored(&mut job, 0));
            seconds.push(start.elapsed().as_secs_f64());
            entries = check(&mut job, n, to);
        }
        clear(&*storage);
        let rate = |seconds: f64| entries as f64 / seconds / 1e6;
        println!(
            "{name:<10} {rescale:<12} {:<9} {entries:>8} | {:>9.1} {:>9.2} {:>9.2} | {:>10.2} {:>6.2}",
            V::NAME,
            seconds.median() * 1e3,
            rate(seconds.least()),
            rate(seconds.median()),
            bare / 1e6,
            bare / 1e6 / rate(seconds.median()),
        );
        let capital = if name == "native" { "Native" } else { "Canonical" };
        self.output.json(
            Case { operation: &format!("restore{capital}{rescale}"), key: "long", value: V::NAME, n },
            json!({
                "ms": seconds.median() * 1e3, "ms_min": seconds.least() * 1e3, "restored_entries": entries,
                "ops_per_s": rate(seconds.median()) * 1e6, "ops_per_s_best": rate(seconds.least()) * 1e6,
                "baseline": "HashMap with_capacity and insert", "baseline_ops_per_s": bare,
            }),
        );
    }
}

/// Takes and publishes a snapshot of `n` entries at a parallelism.
fn published<V: Element>(
    storage: &Arc<dyn Storage>,
    n: usize,
    parallelism: u32,
    format: KeyedSnapshotFormat,
) -> SnapshotTarget {
    let target = target(storage, 1);
    let reports = (0..parallelism).map(|index| {
        let parameters = parameters_of(index, parallelism);
        let backend = KeyedBackend::new(&BackendConfig::default(), parameters, U64).expect("a backend");
        let mut job = Job::<V>::over(backend, n);
        (0..n as u64)
            .filter(|id| is_of(&job, *id))
            .collect::<Vec<_>>()
            .iter()
            .for_each(|id| job.set(id, value_of(*id)));
        let snapshot = job.snapshot();
        SubtaskReport {
            operator: job.backend.parameters().operator.clone(),
            subtask: SubtaskIndex(index),
            parallelism: parallelism_of(parallelism),
            max_parallelism: job.backend.parameters().max_parallelism,
            key: Some(U64.snapshot()),
            states: snapshot.states(),
            keyed: snapshot.write(&target, format, &|| true).expect("a written snapshot"),
            operator_state: None,
        }
    });
    let label = SnapshotLabel {
        job: JobId([7; 16]),
        checkpoint: CheckpointId(1),
        kind: SnapshotKind::Checkpoint,
        created_ms: 0,
    };
    let manifest = assemble(label, reports.collect()).expect("a manifest");
    let outcome = publish(&**storage, target.directory(), &manifest);
    assert!(matches!(outcome, CommitOutcome::Committed), "{outcome:?}");
    target
}

/// Whether an id belongs to the first subtask's or whatever subtask's job this is.
fn is_of<V: Element>(job: &Job<V>, id: u64) -> bool {
    let parameters = job.backend.parameters();
    let hash = U64.key_hash(&id, &mut millpond::codec::Writer::new()).expect("a hash");
    parameters.range.contains(parameters.max_parallelism.group_of_hash(hash))
}

/// The first subtask.
fn restored<V: Element>(target: &SnapshotTarget, parallelism: u32, n: usize) -> Job<V> {
    let reader = SnapshotReader::open(Arc::clone(target.storage()), target.directory().clone()).expect("a snapshot");
    let parameters = parameters_of(0, parallelism);
    let operator = reader.operator(&parameters.operator).expect("an operator");
    let config = BackendConfig::default();
    Job::over(KeyedBackend::restore(&config, parameters, U64, &operator).expect("a restored backend"), n)
}

fn stored<V: Element>(job: &mut Job<V>, id: u64) -> Option<u64> {
    if !is_of(job, id) {
        return None;
    }
    let mut context = job.backend.key(&id).expect("a key of this subtask");
    let mut value = context.value(&job.state).expect("a state of this backend");
    value.get().expect("a value").map(|value| value.touch())
}

/// Compares entries with what was stored; returns their number.
fn check<V: Element>(job: &mut Job<V>, n: usize, parallelism: u32) -> usize {
    for id in (0..n as u64).step_by((n / 10_000).max(1)) {
        if is_of(job, id) {
            assert_eq!(stored(job, id), Some(value_of::<V>(id).touch()), "key {id}");
        }
    }
    let entries = job.backend.statistics(STATE).ok().flatten().map_or(0, |statistics| statistics.entries);
    assert!(parallelism > 1 || entries == n, "{entries} of {n} entries were restored");
    entries
}

/// Least time of three to put entries into a map of the right capacity.
fn bare_entries_per_s<V: Element>(n: usize) -> f64 {
    let mut random = SplitMix64::new(1);
    let entries: Vec<(u64, V)> = (0..n as u64).map(|id| (id, V::random(&mut random))).collect();
    let mut seconds = Samples::default();
    for _ in 0..3 {
        let start = now();
        let mut bare = BareMap::with_capacity_and_hasher(n, Default::default());
        for (key, value) in &entries {
            bare.insert(*key, *value);
        }
        seconds.push(start.elapsed().as_secs_f64());
        black_box(bare);
    }
    n as f64 / seconds.least()
}
