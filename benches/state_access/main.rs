//! What an access to state costs, beside the same access to a bare map with the same hasher.
//!
//! `cargo bench --bench state_access -- --help`. Every line runs in turns with its baseline: a round of one, a round of the
//! other, over the same keys in the same order. `benches/README.md` says what the columns mean and what came out.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a program that measures may stop")]

mod fold;
mod list;
mod map;
#[path = "../measure/mod.rs"]
mod measure;
mod timer;
mod value;

use millpond::backend::{BackendConfig, KeyedBackend};

use measure::output::Case;
use measure::timing::SideBySide;
use measure::workload::RecordKey;
use measure::workload::{parameters, visiting_order};
use measure::{Element, Options, Output, Stopwatch};

/// Larger maps of ten entries each do not fit the memory of a small machine twice.
const MOST_MAPS: usize = 1_000_000;
const MOST_WIDE_MAPS: usize = 500_000;

fn main() {
    let options = Options::from_arguments("Cost of state access, beside a bare map.");
    let mut bench = Bench { output: Output::new(&options), options };
    bench.output.side_by_side_heading("state access: best and median round in ns per operation; ratio = ours / bare");
    for n in bench.options.n.clone() {
        value::run::<u64, u64>(&mut bench, n);
        value::run::<u64, [u8; 100]>(&mut bench, n);
        value::run::<String, u64>(&mut bench, n);
        value::run::<String, [u8; 100]>(&mut bench, n);
        list::run::<u64, u64>(&mut bench, n);
        list::run::<u64, [u8; 100]>(&mut bench, n);
        list::run::<String, u64>(&mut bench, n);
        map::run::<u64, u64>(&mut bench, n.min(MOST_MAPS));
        map::run::<String, u64>(&mut bench, n.min(MOST_MAPS));
        map::run::<u64, [u8; 100]>(&mut bench, n.min(MOST_WIDE_MAPS));
        fold::run::<u64>(&mut bench, n);
        fold::run::<String>(&mut bench, n);
        timer::run::<u64>(&mut bench, n);
        timer::run::<String>(&mut bench, n);
    }
}

struct Bench {
    options: Options,
    output: Output,
}

impl Bench {
    /// Whether any of the operations is to be run with these types.
    fn wants_any<K: RecordKey, V: Element>(&self, operations: &[&str]) -> bool {
        operations.iter().any(|operation| self.options.wants(&case::<K, V>(operation, 0).name()))
    }

    fn compare(
        &mut self,
        case: Case<'_>,
        baseline: &str,
        bare: impl FnMut(&mut Stopwatch),
        ours: impl FnMut(&mut Stopwatch),
    ) {
        if self.options.wants(&case.name()) {
            let sides = SideBySide::measure(self.options.rounds, bare, ours);
            self.output.side_by_side(case, baseline, &sides);
        }
    }
}

fn case<K: RecordKey, V: Element>(operation: &str, n: usize) -> Case<'_> {
    Case { operation, key: K::NAME, value: V::NAME, n }
}

fn backend<K: RecordKey>() -> KeyedBackend<K::Serializer> {
    KeyedBackend::new(&BackendConfig::default(), parameters(), K::SERIALIZER).expect("a backend")
}
