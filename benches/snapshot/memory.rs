//! What a snapshot that is aborted gives back.

use serde_json::json;

use super::Bench;
use super::measure::Element;
use super::measure::job::{Job, resident_bytes};
use super::measure::output::Case;

pub(crate) fn run(bench: &mut Bench) {
    if !bench.options.wants("abort") {
        return;
    }
    bench.output.heading("abort: a snapshot is held while half of the keys are rewritten, then dropped unwritten");
    println!(
        "{:<9} {:>8} | {:>10} {:>10} {:>10} | {:>10} {:>10}",
        "value", "n", "MB before", "MB held", "MB after", "layered", "after"
    );
    for n in bench.options.n.clone() {
        of::<u64>(bench, n);
        of::<[u8; 100]>(bench, n);
    }
}

fn of<V: Element>(bench: &mut Bench, n: usize) {
    let mut job = Job::<V>::filled(n);
    job.update(n / 2);
    let before = resident_bytes();
    let snapshot = job.snapshot();
    job.update(n / 2);
    let (held, layered) = (resident_bytes(), job.layered_changes());
    drop(snapshot);
    job.settle();
    let (after, left) = (resident_bytes(), job.layered_changes());
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "{:<9} {n:>8} | {:>10.1} {:>10.1} {:>10.1} | {layered:>10} {left:>10}",
        V::NAME,
        megabytes(before),
        megabytes(held),
        megabytes(after)
    );
    bench.output.json(
        Case { operation: "snapshotAbort", key: "long", value: V::NAME, n },
        json!({
            "before_bytes": before, "held_bytes": held, "after_bytes": after,
            "layered_changes": layered, "layered_changes_after": left,
        }),
    );
}
