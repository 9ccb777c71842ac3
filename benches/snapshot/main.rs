//! What a snapshot costs the thread that goes on working, and how fast it is written.
//!
//! `cargo bench --bench snapshot -- --help`; `--only pause,during,write,abort` chooses parts. `benches/README.md` says what
//! the columns mean and what came out.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a program that measures may stop")]

mod during;
#[path = "../measure/mod.rs"]
mod measure;
mod memory;
mod pause;
mod writing;

use measure::{Options, Output};

fn main() {
    let mut options = Options::from_arguments("Cost of snapshots of a value state with u64 keys.");
    options.rounds = options.rounds.min(7);
    let mut bench = Bench { output: Output::new(&options), options };
    pause::run(&mut bench);
    writing::run(&mut bench);
    during::run(&mut bench);
    memory::run(&mut bench);
}

struct Bench {
    options: Options,
    output: Output,
}
