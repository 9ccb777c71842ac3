//! How fast one thread converts snapshots, beside reading the source once and writing as many bytes and, where a side is a
//! database, beside the bare crate `rocksdb` with the same rows and options.
//!
//! `cargo bench --bench convert -- --help`. Timed is the whole conversion: reading, checking, writing, reading back, publishing. A
//! megabyte is one of keys and values, a million bytes.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a program that measures may stop")]

#[path = "../measure/mod.rs"]
mod measure;

mod bare;

use std::ops::ControlFlow;
use std::sync::Arc;

use millpond::backend::{BackendConfig, KeyedBackend, KeyedSnapshotFormat};
use millpond::convert::{Destination, Format, Options as Conversion, Report, convert};
use millpond::format::manifest::SnapshotKind;
use millpond::ids::{CheckpointId, JobId, SubtaskIndex};
use millpond::key_group::Parallelism;
use millpond::random::SystemRandom;
use millpond::serializer::{Serializer, U64};
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SubtaskReport, Trust, assemble, publish};
use millpond::storage::{CommitOutcome, ObjectPath, Storage};
use serde_json::json;

use measure::job::{Job, clear, scratch_directory, target};
use measure::output::Case;
use measure::storage::SinkKind;
use measure::timing::{Samples, now};
use measure::workload::parameters;
use measure::{Element, Options, Output, SplitMix64};

/// Source, destination, max parallelism if it changes.
const CASES: [(Format, Format, Option<u32>, &str); 6] = [
    (Format::Canonical, Format::NativeRocksDb, None, "CanonicalToRocksDb"),
    (Format::NativeRocksDb, Format::Canonical, None, "RocksDbToCanonical"),
    (Format::Canonical, Format::NativeHeap, None, "CanonicalToHeap"),
    (Format::NativeHeap, Format::Canonical, None, "HeapToCanonical"),
    (Format::NativeHeap, Format::NativeRocksDb, None, "HeapToRocksDb"),
    (Format::Canonical, Format::Canonical, Some(1024), "Rehash"),
];

fn main() {
    let mut options =
        Options::from_arguments("Speed of conversions of a value state with u64 keys between local files.");
    options.rounds = options.rounds.min(5);
    let mut output = Output::new(&options);
    output.heading(
        "convert: one thread, local files in the page cache; baselines: bytes read and written once, bare RocksDB",
    );
    println!(
        "{:<20} {:<9} {:>8} | {:>8} {:>9} {:>9} | {:>10} {:>9}",
        "conversion", "value", "entries", "MB", "MB/s best", "median", "copied", "RocksDB"
    );
    for n in options.n.clone() {
        run::<u64>(n, &options, &mut output);
        run::<[u8; 100]>(n, &options, &mut output);
    }
}

fn run<V: Element>(n: usize, options: &Options, output: &mut Output) {
    let directory = scratch_directory(options);
    let storage = SinkKind::PageCache.storage(directory.path());
    let canonical = published::<V>(&storage, n);
    let wants = |name: &str| options.wants(&format!("{name}/{}", V::NAME));
    let databases = || CASES.iter().filter(|(from, to, ..)| [*from, *to].contains(&Format::NativeRocksDb));
    let rocks =
        databases().any(|(.., name)| wants(name)).then(|| bare::Rocks::measure(&storage, &canonical, directory.path()));
    for (from, to, max_parallelism, name) in CASES {
        if !wants(name) {
            continue;
        }
        let scratch = directory.path().join("scratch");
        let source = match from {
            Format::Canonical => canonical.clone(),
            _ => converted(&storage, &canonical, "source", &Conversion::new(from, &scratch)).0,
        };
        let conversion = Conversion { max_parallelism, ..Conversion::new(to, &scratch) };
        let (mut seconds, mut bytes) = (Samples::default(), 0);
        for _ in 0..options.rounds {
            let start = now();
            let (made, report) = converted(&storage, &source, "made", &conversion);
            seconds.push(start.elapsed().as_secs_f64());
            bytes = state_bytes(&report, n);
            remove(&storage, &made);
        }
        if source != canonical {
            remove(&storage, &source);
        }
        let copied = bare::copied_bytes_per_s(&storage, &canonical);
        let rate = |seconds: f64| bytes as f64 / seconds / 1e6;
        // A database that is made is also read back.
        let bare = rocks.and_then(|bare::Rocks { write_s, read_s }| match (from, to) {
            (_, Format::NativeRocksDb) => Some(rate(write_s + read_s)),
            (Format::NativeRocksDb, _) => Some(rate(read_s)),
            _ => None,
        });
        println!(
            "{name:<20} {:<9} {n:>8} | {:>8.1} {:>9.1} {:>9.1} | {:>10.1} {:>9}",
            V::NAME,
            bytes as f64 / 1e6,
            rate(seconds.least()),
            rate(seconds.median()),
            copied / 1e6,
            bare.map_or("-".to_owned(), |rate| format!("{rate:.1}"))
        );
        output.json(
            Case { operation: &format!("convert{name}"), key: "long", value: V::NAME, n },
            json!({
                "ms": seconds.median() * 1e3, "ms_min": seconds.least() * 1e3, "bytes": bytes,
                "bytes_per_s": rate(seconds.median()) * 1e6, "bytes_per_s_best": rate(seconds.least()) * 1e6,
                "baseline": "bytes read and written once", "baseline_bytes_per_s": copied,
                "bare_rocksdb_bytes_per_s": bare.map(|rate| rate * 1e6),
            }),
        );
    }
    clear(&*storage);
}

/// A canonical snapshot of `n` entries in one subtask; its directory.
fn published<V: Element>(storage: &Arc<dyn Storage>, n: usize) -> ObjectPath {
    let target = target(storage, 1);
    let parameters = parameters();
    let max_parallelism = parameters.max_parallelism;
    let backend = KeyedBackend::new(&BackendConfig::default(), parameters, U64).expect("a backend");
    let mut job = Job::<V>::over(backend, n);
    (0..n as u64).for_each(|id| job.set(&id, V::random(&mut SplitMix64::new(id))));
    let snapshot = job.snapshot();
    let report = SubtaskReport {
        operator: job.backend.parameters().operator.clone(),
        subtask: SubtaskIndex(0),
        parallelism: Parallelism::new(1, max_parallelism).expect("a parallelism"),
        max_parallelism,
        key: Some(U64.snapshot()),
        states: snapshot.states(),
        keyed: snapshot.write(&target, KeyedSnapshotFormat::Canonical, &|| true).expect("a written snapshot"),
        operator_state: None,
    };
    let (job, checkpoint, kind) = (JobId([7; 16]), CheckpointId(1), SnapshotKind::Checkpoint);
    let manifest = assemble(SnapshotLabel { job, checkpoint, kind, created_ms: 0 }, vec![report]).expect("a manifest");
    let outcome = publish(&**storage, target.directory(), &manifest);
    assert!(matches!(outcome, CommitOutcome::Committed), "{outcome:?}");
    target.directory().clone()
}

/// Converts into a directory of this name.
fn converted(
    storage: &Arc<dyn Storage>,
    source: &ObjectPath,
    name: &str,
    conversion: &Conversion,
) -> (ObjectPath, Report) {
    let reader = SnapshotReader::open(Arc::clone(storage), source.clone()).expect("a snapshot");
    let reader = reader.trust(Trust::Own).with_scratch(&conversion.scratch);
    let directory = ObjectPath::parse(name).expect("a path");
    let destination =
        Destination { storage: Arc::clone(storage), directory: directory.clone(), random: Arc::new(SystemRandom) };
    let report = convert(&reader, &destination, conversion, &mut |_| ControlFlow::Continue(())).expect("a conversion");
    (directory, report)
}

/// Bytes of keys and values; checks that all were converted.
fn state_bytes(report: &Report, n: usize) -> u64 {
    let states = || report.operators.iter().flat_map(|operator| &operator.states);
    assert_eq!(states().map(|state| state.entries).sum::<u64>(), n as u64);
    states().map(|state| state.bytes).sum()
}

fn remove(storage: &Arc<dyn Storage>, directory: &ObjectPath) {
    for object in storage.list(Some(directory)).expect("a list of objects") {
        storage.delete(&object.path).expect("a deletion");
    }
}
