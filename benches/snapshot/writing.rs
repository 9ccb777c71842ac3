//! How fast one thread writes a snapshot, beside writing as many bytes that are there already.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use millpond::storage::{ObjectPath, Storage};

use super::Bench;
use super::measure::Element;
use super::measure::job::{FORMATS, Job, bytes, clear, scratch_directory, target, write};
use super::measure::output::Case;
use super::measure::storage::SinkKind;
use super::measure::timing::{Samples, now};

/// What the format layer hands over at once.
const PIECE_BYTES: usize = 256 << 10;

pub(crate) fn run(bench: &mut Bench) {
    if !bench.options.wants("write") {
        return;
    }
    bench.output.heading("writing: one thread, nothing else going on; 10 % of the keys rewritten before each snapshot");
    println!(
        "{:<10} {:<9} {:>8} {:<11} | {:>8} {:>8} {:>8} | {:>9} | {:>9} {:>6}",
        "format", "value", "n", "into", "MB", "MB/s", "median", "M entr./s", "bare MB/s", "share"
    );
    for n in bench.options.n.clone() {
        of::<u64>(bench, n);
        of::<[u8; 100]>(bench, n);
    }
}

fn of<V: Element>(bench: &mut Bench, n: usize) {
    let directory = scratch_directory(&bench.options);
    let mut job = Job::<V>::filled(n);
    for sink in SinkKind::ALL {
        for (format, name) in FORMATS {
            let storage = sink.storage(directory.path());
            let (mut seconds, mut length) = (Samples::default(), 0);
            for round in 0..bench.options.rounds as u64 {
                job.update(n / 10);
                let snapshot = job.snapshot();
                let target = target(&storage, round);
                let start = now();
                let handle = write(snapshot, &target, format);
                seconds.push(start.elapsed().as_secs_f64());
                length = bytes(&handle);
                clear(&*storage);
                job.settle();
            }
            let bare = bare_seconds(sink, directory.path(), length);
            report::<V>(bench, n, sink, name, length, &seconds, bare);
        }
    }
}

/// Least time of three to hand ready bytes to the same storage.
fn bare_seconds(sink: SinkKind, directory: &Path, length: u64) -> f64 {
    let storage: Arc<dyn Storage> = sink.storage(directory);
    let piece: Vec<u8> = (0..PIECE_BYTES).map(|at| (at % 251) as u8).collect();
    let mut seconds = Samples::default();
    for round in 0..3 {
        let path = ObjectPath::parse(&format!("bare-{round}")).expect("a name");
        let start = now();
        let mut writer = storage.create(&path).expect("an object");
        for _ in 0..length.div_ceil(PIECE_BYTES as u64) {
            writer.write(&piece).expect("a write");
        }
        writer.finish().expect("a finished object");
        seconds.push(start.elapsed().as_secs_f64());
        clear(&*storage);
    }
    seconds.least()
}

fn report<V: Element>(
    bench: &mut Bench,
    n: usize,
    sink: SinkKind,
    format: &str,
    length: u64,
    seconds: &Samples,
    bare_seconds: f64,
) {
    let megabytes = length as f64 / 1e6;
    println!(
        "{format:<10} {:<9} {n:>8} {:<11} | {megabytes:>8.1} {:>8.0} {:>8.0} | {:>9.2} | {:>9.0} {:>6.2}",
        V::NAME,
        sink.name(),
        megabytes / seconds.least(),
        megabytes / seconds.median(),
        n as f64 / seconds.median() / 1e6,
        megabytes / bare_seconds,
        bare_seconds / seconds.median(),
    );
    let operation = if format == "native" { "snapshotNative" } else { "snapshotCanonical" };
    bench.output.json(
        Case { operation, key: "long", value: V::NAME, n },
        json!({
            "into": sink.name(), "bytes": length, "mb_per_s": megabytes / seconds.median(),
            "mb_per_s_best": megabytes / seconds.least(), "ops_per_s": n as f64 / seconds.median(),
            "async_ms": seconds.median() * 1e3, "baseline": "ready bytes", "baseline_mb_per_s": megabytes / bare_seconds,
        }),
    );
}
