//! Whole jobs in one thread, by seed: real coordinators, drivers, backends and storage, on a disk that loses power, in a
//! world that delays and repeats messages, loses answers, lets commits arrive late, kills processes, sets clocks apart, and
//! lets a second coordinator take over in the middle of what the first is doing.
//!
//! What must hold: what a completed checkpoint has let out is never taken back, by whichever coordinator comes next; a reader
//! with a lease reads what was written; in the end every record is counted once, every snapshot that is kept reads as it was
//! taken, and nothing else is left.
//!
//! `MILLPOND_SEEDS=10000 cargo test --features test-util --test main simulation` runs more seeds; a failure names its seed,
//! and `MILLPOND_SEED=7` runs that one again and prints what happened.

mod node;
mod part;
pub(crate) mod weather;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub(crate) use millpond::checkpoint::mistake::Mistake;

use crate::checkpoint::planted;
use world::World;

/// What is done before the weather clears up.
const STEPS: u64 = 700;

/// What came of a job.
struct Outcome {
    log: Vec<String>,
    completed: u64,
    takeovers: u64,
}

fn run(seed: u64) -> Outcome {
    let mut world = World::new(seed);
    let lived = catch_unwind(AssertUnwindSafe(|| {
        (0..STEPS).for_each(|_| world.step());
        world.calm_down();
    }));
    weather::forget_interruption();
    if let Err(violation) = lived {
        if planted().is_none() {
            let from = if std::env::var_os("MILLPOND_SEED").is_some() { 0 } else { world.log.len().saturating_sub(30) };
            eprintln!("{}", world.log[from..].join("\n"));
            eprintln!("MILLPOND_SEED={seed} cargo test --features test-util --test main simulation -- --nocapture");
        }
        resume_unwind(violation);
    }
    Outcome { log: world.log, completed: world.completed, takeovers: world.takeovers }
}

/// One seed; panics if anything is lost.
pub(crate) fn check(seed: u64) {
    run(seed);
}

#[test]
fn nothing_is_lost_in_any_world() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = number("MILLPOND_SEED").map_or(0..number("MILLPOND_SEEDS").unwrap_or(200), |seed| seed..seed + 1);
    let count = seeds.end - seeds.start;
    let (mut completed, mut takeovers) = (0, 0);
    for seed in seeds {
        let outcome = run(seed);
        completed += outcome.completed;
        takeovers += outcome.takeovers;
    }
    println!("{count} seeds: {completed} checkpoints completed, {takeovers} takeovers");
    assert!(completed > 3 * count && takeovers > 2 * count, "the test tests nothing");
}

#[test]
fn the_same_seed_gives_the_same_events() {
    for seed in 0..5 {
        let (one, other) = (run(seed).log, run(seed).log);
        assert!(one.len() > 10, "{one:?}");
        let differs = one.iter().zip(&other).find(|(one, other)| one != other);
        assert_eq!((differs, one.len()), (None, other.len()), "seed {seed}");
    }
}
