//! Updates while another thread writes a snapshot, beside updates while nothing else goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use millpond::backend::KeyedSnapshotFormat;
use millpond::storage::Storage;

use super::Bench;
use super::measure::job::{FORMATS, Job, clear, resident_bytes, scratch_directory, target, write};
use super::measure::output::Case;
use super::measure::storage::SinkKind;
use super::measure::timing::{Latencies, Samples, now};
use super::measure::{Element, Stopwatch};

/// Updates between two looks at whether the snapshot is written.
const BLOCK: usize = 2048;

pub(crate) fn run(bench: &mut Bench) {
    if !bench.options.wants("during") {
        return;
    }
    bench.output.heading(
        "during: updates of uniformly drawn keys while another thread writes a snapshot into the page cache; latencies in \
         microseconds (with 25 ns for reading the clock)",
    );
    println!(
        "{:<10} {:<9} {:>8} | {:>8} {:>8} {:>6} | {:>7} {:>8} {:>8} {:>8} {:>9} | {:>9} {:>9} | {:>9} {:>8}",
        "format",
        "value",
        "n",
        "idle M/s",
        "during",
        "share",
        "writing",
        "p50",
        "p99",
        "p99.9",
        "max",
        "idle 99.9",
        "layered",
        "more MB",
        "settling"
    );
    for n in bench.options.n.clone() {
        of::<u64>(bench, n);
        of::<[u8; 100]>(bench, n);
    }
}

/// What several snapshots came to.
#[derive(Default)]
struct Findings {
    idle_rate: Samples,
    during_rate: Samples,
    writing_ms: Samples,
    settling_ms: Samples,
    layered: Samples,
    more_bytes: Samples,
    idle: Latencies,
    during: Latencies,
}

fn of<V: Element>(bench: &mut Bench, n: usize) {
    let directory = scratch_directory(&bench.options);
    let storage = SinkKind::PageCache.storage(directory.path());
    let mut job = Job::<V>::filled(n);
    job.update(n);
    for (format, name) in FORMATS {
        let mut findings = Findings::default();
        for round in 0..bench.options.rounds as u64 {
            rate(&mut job, &storage, round, format, &mut findings);
            clear(&*storage);
            latencies(&mut job, &storage, round, format, &mut findings);
            clear(&*storage);
        }
        report::<V>(bench, n, name, &findings);
    }
}

/// Starts writing a snapshot and calls `work` again and again until that is done.
fn while_writing<V: Element>(
    job: &mut Job<V>,
    storage: &Arc<dyn Storage>,
    round: u64,
    format: KeyedSnapshotFormat,
    mut work: impl FnMut(&mut Job<V>),
) -> f64 {
    let target = target(storage, round);
    let done = AtomicBool::new(false);
    let snapshot = job.snapshot();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let start = now();
            write(snapshot, &target, format);
            done.store(true, Ordering::Release);
            start.elapsed().as_secs_f64()
        });
        while !done.load(Ordering::Acquire) {
            work(job);
        }
        writer.join().expect("a written snapshot")
    })
}

fn rate<V: Element>(
    job: &mut Job<V>,
    storage: &Arc<dyn Storage>,
    round: u64,
    format: KeyedSnapshotFormat,
    findings: &mut Findings,
) {
    let idle = job.update(job.n / 2);
    findings.idle_rate.push(idle.operations() as f64 / idle.seconds());
    let before_bytes = resident_bytes();
    let mut during = Stopwatch::default();
    let writing = while_writing(job, storage, round, format, |job| during.add(job.update(BLOCK)));
    findings.during_rate.push(during.operations() as f64 / during.seconds());
    findings.writing_ms.push(writing * 1e3);
    findings.layered.push(job.layered_changes() as f64);
    findings.more_bytes.push(resident_bytes().saturating_sub(before_bytes) as f64);
    findings.settling_ms.push(job.settle().seconds() * 1e3);
}

fn latencies<V: Element>(
    job: &mut Job<V>,
    storage: &Arc<dyn Storage>,
    round: u64,
    format: KeyedSnapshotFormat,
    findings: &mut Findings,
) {
    for _ in 0..job.n / 2 / BLOCK {
        job.update_timing_each(BLOCK, &mut findings.idle);
    }
    while_writing(job, storage, round, format, |job| job.update_timing_each(BLOCK, &mut findings.during));
    job.settle();
}

fn report<V: Element>(bench: &mut Bench, n: usize, format: &str, findings: &Findings) {
    let Findings { idle_rate, during_rate, writing_ms, settling_ms, layered, more_bytes, idle, during } = findings;
    let us = |latencies: &Latencies, share: f64| latencies.quantile_ns(share) as f64 / 1e3;
    let share = during_rate.median() / idle_rate.median();
    println!(
        "{format:<10} {:<9} {n:>8} | {:>8.2} {:>8.2} {share:>6.2} | {:>5.0}ms {:>8.2} {:>8.2} {:>8.2} {:>9.1} | {:>9.2} {:>9.0} | {:>9.1} {:>6.0}ms",
        V::NAME,
        idle_rate.median() / 1e6,
        during_rate.median() / 1e6,
        writing_ms.median(),
        us(during, 0.5),
        us(during, 0.99),
        us(during, 0.999),
        us(during, 1.0),
        us(idle, 0.999),
        layered.median(),
        more_bytes.median() / 1e6,
        settling_ms.median(),
    );
    bench.output.json(
        Case { operation: "valueUpdateDuringSnapshot", key: "long", value: V::NAME, n },
        json!({
            "format": format, "ops_per_s": during_rate.median(), "idle_ops_per_s": idle_rate.median(), "share": share,
            "async_ms": writing_ms.median(), "settling_ms": settling_ms.median(),
            "p50_us": us(during, 0.5), "p99_us": us(during, 0.99), "p999_us": us(during, 0.999), "max_us": us(during, 1.0),
            "idle_p999_us": us(idle, 0.999), "idle_max_us": us(idle, 1.0),
            "layered_changes": layered.median(), "more_resident_bytes": more_bytes.median(),
        }),
    );
}
