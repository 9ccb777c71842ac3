//! Backends beside the reference model.
//!
//! `MILLPOND_MODEL_SEQUENCES` sets how many sequences run, `MILLPOND_MODEL_SEED` the first seed; a failure names the seed, and
//! the two together replay it: `MILLPOND_MODEL_SEED=123 MILLPOND_MODEL_SEQUENCES=1 cargo test --features test-util model`.

use std::sync::atomic::{AtomicU64, Ordering};

use millpond::backend::model::{Coverage, run_bytes, run_seed_across};
use millpond::backend::{BackendConfig, BackendKind};

use super::from_environment;
#[cfg(feature = "rocksdb")]
use super::rocksdb::{scratch, small};

const SEQUENCES: u64 = 3000;

/// Fewer, because every restart opens databases.
#[cfg(feature = "rocksdb")]
const ROCKSDB_SEQUENCES: u64 = 25;

fn run(configs: &[BackendConfig], sequences: u64) {
    let first = from_environment("MILLPOND_MODEL_SEED").unwrap_or(0);
    let count = from_environment("MILLPOND_MODEL_SEQUENCES").unwrap_or(sequences);
    let next = AtomicU64::new(0);
    let work = || {
        let mut coverage = Coverage::default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return coverage;
            }
            coverage = coverage.and(run_seed_across(configs, first.wrapping_add(index)));
        }
    };
    let coverage = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        workers.into_iter().fold(Coverage::default(), |sum, worker| match worker.join() {
            Ok(coverage) => sum.and(coverage),
            Err(reason) => std::panic::resume_unwind(reason),
        })
    });
    println!("{count} sequences: {coverage:?}");
    if count >= 1000 {
        let Coverage { operations, checkpoints, aborted, restarts, compared, late_registrations } = coverage;
        let least = [operations / 40, checkpoints, aborted * 2, restarts * 2, compared, late_registrations * 4];
        assert!(least.iter().all(|done| *done >= count), "too little was done: {coverage:?}");
    }
}

#[test]
fn heap() {
    run(&[BackendConfig::new(BackendKind::Heap)], SEQUENCES);
}

#[cfg(feature = "rocksdb")]
#[test]
fn rocksdb() {
    let directory = scratch();
    run(&[BackendConfig::rocksdb(small(directory.path()))], ROCKSDB_SEQUENCES);
}

/// Restarts that change the backend; canonical bytes that do not show which one wrote them.
#[cfg(feature = "rocksdb")]
#[test]
fn heap_and_rocksdb() {
    let directory = scratch();
    run(&[BackendConfig::default(), BackendConfig::rocksdb(small(directory.path()))], ROCKSDB_SEQUENCES);
}

#[test]
fn sequences_follow_bytes() {
    let config = BackendConfig::default();
    let bytes: Vec<u8> = (0..4000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    assert!(run_bytes(&config, &bytes).operations > 5);
    assert_eq!(run_bytes(&config, &bytes), run_bytes(&config, &bytes));
    assert_eq!(run_bytes(&config, &[]), Coverage { checkpoints: 1, compared: 1, ..Coverage::default() });
}
