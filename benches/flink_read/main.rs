//! How fast one thread reads, checks, imports and rewrites a savepoint of Flink's, and exports what was imported as one,
//! beside Flink restoring the same files.
//!
//! `cargo bench --bench flink_read -- --help`. Without `--input` a savepoint of `--n` entries is written by the crate itself,
//! with the states of the one that `benches/flink_restore.sh make` has Flink write. What Flink needs to restore the
//! input is measured by `benches/flink_restore.sh restore`; `--flink FILE` takes its results.
//!
//! Memory is what the process holds besides mapped files (`RssAnon`), looked at every few milliseconds, and the most that was
//! ever resident with them (`VmHWM`): mapped pages are the page cache's and can be taken back at any time.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a program that measures may stop")]

#[path = "../measure/mod.rs"]
mod measure;

mod memory;
mod sample;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use millpond::flink::export::{self, Target};
use millpond::flink::{self, Directory, ImportOptions, SnapshotReader, verify};
use millpond::format::flink::{Content, Roots};
use millpond::format::manifest::SnapshotKind;
use millpond::ids::{CheckpointId, JobId};
use millpond::random::SystemRandom;
use millpond::snapshot::verify::VerifyEvent;
use millpond::snapshot::{SnapshotLabel, SnapshotTarget, Trust, publish};
use millpond::storage::{CommitOutcome, LocalStorage, ObjectPath, Storage};
use serde_json::{Value, json};

use measure::job::{clear, scratch_directory};
use measure::output::Case;
use measure::storage::SinkKind;
use measure::timing::{Samples, now};
use measure::{Options, Output};
use memory::Watch;

/// Does something with all entries; how many there are.
type Operation = fn(&Input, &Work) -> u64;

const EXPORT: &str = "flinkExport";

const CASES: [(&str, Operation); 5] = [
    ("flinkRead", read),
    ("flinkVerify", verified),
    ("flinkImport", imported),
    ("flinkRewrite", rewritten),
    (EXPORT, exported),
];

/// What is measured.
struct Input {
    storage: Arc<dyn Storage>,
    directory: Option<ObjectPath>,
    name: String,
}

/// Where results go.
struct Work {
    storage: Arc<dyn Storage>,
    scratch: std::path::PathBuf,
    /// Where the input lies as a snapshot of the crate's own, once it was imported to be exported.
    own: Arc<dyn Storage>,
}

fn main() {
    let mut options = Options::from_arguments("Speed of reading savepoints of Apache Flink.");
    options.rounds = options.rounds.min(5);
    let mut output = Output::new(&options);
    match &options.input {
        Some(path) => {
            let storage: Arc<dyn Storage> = Arc::new(LocalStorage::open(path).expect("a directory"));
            let name = Path::new(path).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            run(&Input { storage, directory: None, name }, &options, &mut output);
        }
        None => {
            for n in options.n.clone() {
                let directory = scratch_directory(&options);
                let storage = SinkKind::PageCache.storage(directory.path());
                let written = sample::write(&storage, n);
                run(&Input { storage, directory: Some(written), name: format!("own-{n}") }, &options, &mut output);
            }
        }
    }
}

fn run(input: &Input, options: &Options, output: &mut Output) {
    let directory = scratch_directory(options);
    let [made, scratch, own] = ["made", "scratch", "own"].map(|name| directory.path().join(name));
    [&made, &scratch, &own].into_iter().for_each(|path| std::fs::create_dir(path).expect("a directory"));
    let (storage, own) = (SinkKind::PageCache.storage(&made), SinkKind::PageCache.storage(&own));
    let work = Work { storage, scratch, own };
    let baseline = options.flink.as_ref().map(|path| Restores::read(path, &input.name)).unwrap_or_default();
    let bytes = input.bytes();
    output.heading(&format!("{}: one thread, local files in the page cache, {:.1} MB", input.name, bytes as f64 / 1e6));
    baseline.explain();
    println!(
        "{:<13} {:>9} | {:>8} {:>8} | {:>7} {:>7} | {:>9} {:>9} | Flink's time over ours",
        "operation", "entries", "s best", "median", "M/s", "MB/s", "anon MB", "VmHWM MB"
    );
    for (operation, work_of) in CASES {
        if !options.wants(operation) {
            continue;
        }
        if operation == EXPORT {
            import_to(&work.own, input, &work);
        }
        let (mut seconds, mut entries) = (Samples::default(), 0);
        let watch = Watch::start();
        for _ in 0..options.rounds {
            let start = now();
            entries = work_of(input, &work);
            seconds.push(start.elapsed().as_secs_f64());
            clear(&*work.storage);
        }
        let memory = watch.stop();
        let median = seconds.median();
        println!(
            "{operation:<13} {entries:>9} | {:>8.3} {median:>8.3} | {:>7.2} {:>7.1} | {:>9.1} {:>9.1} | {}",
            seconds.least(),
            entries as f64 / median / 1e6,
            bytes as f64 / median / 1e6,
            memory.anonymous as f64 / 1e6,
            memory.resident as f64 / 1e6,
            baseline.ratios(median)
        );
        output.json(
            Case { operation, key: "mixed", value: &input.name, n: entries as usize },
            json!({
                "s": median, "s_min": seconds.least(), "bytes": bytes,
                "entries_per_s": entries as f64 / median, "bytes_per_s": bytes as f64 / median,
                "peak_anonymous_bytes": memory.anonymous, "peak_resident_bytes": memory.resident,
                "flink_over_ours": baseline.ratios_json(median),
            }),
        );
    }
}

impl Input {
    fn open(&self, work: &Work) -> SnapshotReader {
        let directory = Directory::new(Arc::clone(&self.storage), self.directory.clone());
        let reader = SnapshotReader::open(directory, Roots::new()).expect("a savepoint");
        reader.trust(Trust::Own).with_scratch(&work.scratch)
    }

    /// Bytes of all files.
    fn bytes(&self) -> u64 {
        let objects = self.storage.list(self.directory.as_ref()).expect("a list of objects");
        objects.iter().map(|object| object.length).sum()
    }
}

/// Decodes every entry; map entries count one by one.
fn read(input: &Input, work: &Work) -> u64 {
    let reader = input.open(work);
    let mut entries = 0;
    for operator in reader.operators() {
        let keyed = operator.keyed().expect("keyed state");
        let walked = keyed.visit(operator.max_parallelism().all_groups(), &|_| true, &mut |_, _, entry| {
            entries += match std::hint::black_box(entry).content {
                Content::Map(entries) => entries.len() as u64,
                _ => 1,
            };
            Ok(ControlFlow::Continue(()))
        });
        assert!(walked.expect("decoded entries").is_continue());
    }
    entries
}

fn verified(input: &Input, work: &Work) -> u64 {
    let reader = input.open(work);
    let tally = verify(&reader, &mut |event| {
        assert!(!matches!(event, VerifyEvent::Found(_)), "the savepoint is damaged");
        ControlFlow::Continue(())
    });
    tally.expect("a verdict").entries
}

/// Converts to the crate's own canonical format.
fn imported(input: &Input, work: &Work) -> u64 {
    import_to(&work.storage, input, work)
}

fn import_to(storage: &Arc<dyn Storage>, input: &Input, work: &Work) -> u64 {
    let reader = input.open(work);
    let directory = path("imported");
    let target = SnapshotTarget::new(Arc::clone(storage), directory.clone(), Arc::new(SystemRandom));
    let label = SnapshotLabel {
        job: JobId([7; 16]),
        checkpoint: CheckpointId(1),
        kind: SnapshotKind::Savepoint,
        created_ms: 0,
    };
    let imported = flink::import(&reader, label, &target, &ImportOptions::default(), &|_| true).expect("an import");
    let outcome = publish(&**storage, &directory, &imported.manifest);
    assert!(matches!(outcome, CommitOutcome::Committed), "{outcome:?}");
    let subtasks = imported.manifest.operators.iter().flat_map(|operator| &operator.subtasks);
    subtasks.flat_map(|subtask| &subtask.keyed).flat_map(|keyed| &keyed.states).map(|state| state.entries).sum()
}

/// Writes a snapshot of the crate's own as a canonical savepoint of Flink's with the types of the input, and reads it back.
fn exported(input: &Input, work: &Work) -> u64 {
    let own = millpond::snapshot::SnapshotReader::open(Arc::clone(&work.own), path("imported")).expect("a snapshot");
    let like = input.open(work);
    let target = Target::new(Arc::clone(&work.storage), path("exported"), Arc::new(SystemRandom));
    let mut report = export::Report::default();
    let options = export::Options { like: Some(&like), ..export::Options::default() };
    export::export(&own, &target, &options, &mut report).expect("a savepoint");
    entries(&report)
}

fn path(name: &str) -> ObjectPath {
    ObjectPath::parse(name).expect("a path")
}

fn entries(report: &export::Report) -> u64 {
    report.operators.iter().flat_map(|operator| &operator.states).map(|state| state.entries).sum()
}

/// Writes a canonical savepoint of Flink's and reads it back, as every rewrite does.
fn rewritten(input: &Input, work: &Work) -> u64 {
    let reader = input.open(work);
    let target = Target::new(Arc::clone(&work.storage), path("rewritten"), Arc::new(SystemRandom));
    let mut report = export::Report::default();
    let bytes = Cell::new(0);
    let count = |step| {
        if let export::Progress::Written(more) = step {
            bytes.set(bytes.get() + more);
        }
    };
    let options = export::Options { progress: &count, ..export::Options::default() };
    export::rewrite(&reader, &target, &options, &mut report).expect("a savepoint");
    entries(&report)
}

/// What Flink needs for the same files: a name and seconds.
#[derive(Default)]
struct Restores(Vec<(String, f64)>);

impl Restores {
    /// The last results of each kind for the snapshot of this name.
    fn read(path: &str, snapshot: &str) -> Self {
        let lines = std::fs::read_to_string(path).expect("Flink's results");
        let mut restores: Vec<(String, f64)> = Vec::new();
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            if line.get("snapshot").and_then(Value::as_str) != Some(snapshot) {
                continue;
            }
            let backend = line.get("backend").and_then(Value::as_str).unwrap_or("?");
            let buffered = line.get("buffered").and_then(Value::as_bool) == Some(true);
            let name = if buffered { format!("{backend} buffered") } else { backend.to_owned() };
            let seconds = line.get("best_s").and_then(Value::as_f64).expect("seconds");
            restores.retain(|(known, _)| *known != name);
            restores.push((name, seconds));
        }
        Restores(restores)
    }

    fn explain(&self) {
        if self.0.is_empty() {
            println!("no baseline: benches/flink_restore.sh measures Flink, --flink FILE takes its results");
        }
        for (name, seconds) in &self.0 {
            println!("Flink restores it on {name} in {seconds:.2} s, best round");
        }
    }

    fn ratios(&self, ours: f64) -> String {
        let ratio = |(name, seconds): &(String, f64)| format!("{name} {:.1}", seconds / ours);
        self.0.iter().map(ratio).collect::<Vec<_>>().join(", ")
    }

    fn ratios_json(&self, ours: f64) -> Value {
        self.0
            .iter()
            .map(|(name, seconds)| (name.clone(), json!(seconds / ours)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}
