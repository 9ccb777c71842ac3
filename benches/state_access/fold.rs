//! Reducing and aggregating state, beside `HashMap<K, u64>`.

use millpond::serializer::U64;
use millpond::state::{Aggregate, AggregatingDescriptor, AggregatingState, ReducingDescriptor, ReducingState};

use super::measure::Records;
use super::measure::workload::BareMap;
use super::measure::workload::RecordKey;
use super::{Bench, backend, case, visiting_order};

const BASELINE: &str = "HashMap<K, u64>";

struct Sum;

impl Aggregate for Sum {
    type Input = u64;
    type Accumulator = u64;
    type Output = u64;

    fn create() -> u64 {
        0
    }

    fn add(accumulator: &mut u64, input: u64) {
        *accumulator = accumulator.wrapping_add(input);
    }

    fn result(accumulator: &u64) -> u64 {
        *accumulator
    }
}

pub(crate) fn run<K: RecordKey>(bench: &mut Bench, n: usize) {
    if bench.wants_any::<K, u64>(&["reducingAdd"]) {
        let mut ours = backend::<K>();
        let sum = ReducingDescriptor::new("reducing", U64, |sum, number| *sum = sum.wrapping_add(number));
        let state = ours.register_reducing(&sum).expect("a state");
        compare(bench, n, "reducingAdd", |key: &K, number| {
            let mut context = ours.key(key).expect("a key of this subtask");
            context.reducing(&state).expect("a state of this backend").add(number).expect("an addition");
            0
        });
    }
    if bench.wants_any::<K, u64>(&["aggregatingAdd"]) {
        let mut ours = backend::<K>();
        let sum = AggregatingDescriptor::<Sum, U64>::new("aggregating", U64);
        let state = ours.register_aggregating(&sum).expect("a state");
        compare(bench, n, "aggregatingAdd", |key: &K, number| {
            let mut context = ours.key(key).expect("a key of this subtask");
            context.aggregating(&state).expect("a state of this backend").add(number).expect("an addition");
            0
        });
    }
}

fn compare<K: RecordKey>(bench: &mut Bench, n: usize, operation: &str, mut add: impl FnMut(&K, u64) -> u64) {
    let mut bare = BareMap::<K, u64>::default();
    let mut add_bare = |key: &K, number: u64| {
        match bare.get_mut(key) {
            Some(sum) => *sum = sum.wrapping_add(number),
            None => {
                bare.insert(key.clone(), number);
            }
        }
        0
    };
    let order = visiting_order(n);
    for id in 0..n as u64 {
        add_bare(&K::of(id), id);
        add(&K::of(id), id);
    }
    let mut records = (Records::<K, u64>::existing(&order), Records::<K, u64>::existing(&order));
    let operations = bench.options.operations;
    bench.compare(
        case::<K, u64>(operation, n),
        BASELINE,
        |watch| records.0.walk(watch, operations, &mut add_bare),
        |watch| records.1.walk(watch, operations, &mut add),
    );
}
