//! A plain model of keyed state, driven beside a backend with random operations.
//!
//! A *sequence* starts a [`Cluster`](super::conformance::Cluster) and does random things to it and to the model: operations on
//! states of every kind, with and without namespaces and time to live; timers; visits; clean-up; clocks that go forwards and
//! backwards; snapshots that overlap, are written late, or are aborted half-way; restarts at another parallelism from any
//! checkpoint so far, with only some states registered. After each read, and of each checkpoint as a whole, what the backend
//! shows must be what the model allows.
//!
//! Everything a sequence does follows from its seed, or from the bytes a fuzzer gives it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod choices;
mod expected;
mod operate;
mod sequence;
mod states;
mod stored;
mod visit;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use choices::Choices;
use sequence::Sequence;

use super::BackendConfig;

/// What sequences did, to be sure that they did it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Operations on states and timers.
    pub operations: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Snapshots aborted.
    pub aborted: u64,
    /// Restarts from a checkpoint.
    pub restarts: u64,
    /// Checkpoints compared as a whole.
    pub compared: u64,
    /// States registered later than the others of their backend.
    pub late_registrations: u64,
}

impl Coverage {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Coverage) -> Coverage {
        Coverage {
            operations: self.operations + other.operations,
            checkpoints: self.checkpoints + other.checkpoints,
            aborted: self.aborted + other.aborted,
            restarts: self.restarts + other.restarts,
            compared: self.compared + other.compared,
            late_registrations: self.late_registrations + other.late_registrations,
        }
    }
}

/// Runs the sequence of a seed; panics with the seed and the last steps if backend and model disagree.
pub fn run_seed(config: &BackendConfig, seed: u64) -> Coverage {
    run_seed_across(std::slice::from_ref(config), seed)
}

/// As [`run_seed`], with every restart and every comparison on one of several backends. Of every checkpoint that is compared, the
/// canonical bytes that each of them gives again must be the same.
pub fn run_seed_across(configs: &[BackendConfig], seed: u64) -> Coverage {
    run(configs, Choices::of_seed(seed), &format!("seed {seed}"))
}

/// Runs the sequence that these bytes choose; they end it. For fuzzing.
pub fn run_bytes(config: &BackendConfig, bytes: &[u8]) -> Coverage {
    run(std::slice::from_ref(config), Choices::of_bytes(bytes), "these bytes")
}

/// Number of steps shown of a sequence that failed.
const SHOWN_STEPS: usize = 40;

fn run(configs: &[BackendConfig], choices: Choices, source: &str) -> Coverage {
    let steps = RefCell::new(Vec::new());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut sequence = Sequence::new(configs, choices, &steps);
        sequence.run();
        sequence.coverage
    }));
    outcome.unwrap_or_else(|reason| {
        let text = reason.downcast_ref::<String>().map(String::as_str).or(reason.downcast_ref().copied());
        let steps = steps.borrow();
        let shown = &steps[steps.len().saturating_sub(SHOWN_STEPS)..];
        panic!("{source}, step {}: {}\n{}", steps.len(), text.unwrap_or("panicked"), shown.join("\n"));
    })
}
