//! How long taking a snapshot blocks the processing thread, beside cloning a bare map.

use serde_json::json;

use super::Bench;
use super::measure::job::Job;
use super::measure::output::Case;
use super::measure::timing::{Samples, now};
use super::measure::workload::BareMap;
use super::measure::{Element, SplitMix64};

pub(crate) fn run(bench: &mut Bench) {
    if !bench.options.wants("pause") {
        return;
    }
    bench.output.heading("pause: time to take a snapshot, 10 % of the keys rewritten before each; microseconds");
    println!(
        "{:<9} {:>8} | {:>8} {:>8} {:>8} | {:>14} {:>9}",
        "value", "n", "least", "median", "most", "clone of a map", "ratio"
    );
    let mut sizes = bench.options.n.clone();
    sizes.insert(0, 100_000);
    for n in sizes {
        of::<u64>(bench, n);
        of::<[u8; 100]>(bench, n);
    }
}

fn of<V: Element>(bench: &mut Bench, n: usize) {
    let mut job = Job::<V>::filled(n);
    let mut pauses = Samples::default();
    for _ in 0..bench.options.rounds.max(5) * 3 {
        job.update(n / 10);
        let start = now();
        let snapshot = job.snapshot();
        pauses.push(start.elapsed().as_secs_f64() * 1e6);
        drop(snapshot);
        job.settle();
    }
    drop(job);
    let clone_us = clone_us::<V>(n);
    println!(
        "{:<9} {n:>8} | {:>8.1} {:>8.1} {:>8.1} | {clone_us:>14.0} {:>9.6}",
        V::NAME,
        pauses.least(),
        pauses.median(),
        pauses.most(),
        pauses.median() / clone_us
    );
    bench.output.json(
        Case { operation: "snapshotPause", key: "long", value: V::NAME, n },
        json!({
            "sync_ms": pauses.median() / 1e3, "sync_ms_min": pauses.least() / 1e3, "sync_ms_max": pauses.most() / 1e3,
            "baseline": "clone of HashMap<u64, V>", "baseline_ms": clone_us / 1e3,
        }),
    );
}

/// Least of three clones: the snapshot of a program that has nothing but a map.
fn clone_us<V: Element>(n: usize) -> f64 {
    let mut random = SplitMix64::new(1);
    let bare: BareMap<u64, V> = (0..n as u64).map(|id| (id, V::random(&mut random))).collect();
    let mut clones = Samples::default();
    for _ in 0..3 {
        let start = now();
        let clone = std::hint::black_box(bare.clone());
        clones.push(start.elapsed().as_secs_f64() * 1e6);
        drop(clone);
    }
    clones.least()
}
