//! What an access to state costs on the RocksDB backend, beside the same access to the bare crate `rocksdb` with the same
//! options.
//!
//! `cargo bench --bench rocksdb_access -- --help`. Every line runs in turns with its baseline, as in `state_access`. The bare
//! side stores the same rows in the same order, in a database of its own with a memory budget of its own; its rows are ready before
//! the clock runs, and it copies what it reads into an integer or looks at it where it lies.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a program that measures may stop")]

mod bare;
#[path = "../measure/mod.rs"]
mod measure;

use std::path::Path;
use std::sync::{Arc, Mutex};

use millpond::backend::rocksdb::{Config, MemoryBudget};
use millpond::backend::{BackendConfig, KeyedBackend};
use millpond::serializer::U64;
use millpond::state::{
    ListDescriptor, ListState, MapDescriptor, MapState, ReducingDescriptor, ReducingState, ValueDescriptor, ValueState,
};

use bare::{Bare, Row};
use measure::job::scratch_directory;
use measure::output::Case;
use measure::timing::SideBySide;
use measure::workload::{FromId, parameters, visiting_order};
use measure::{Element, Options, Output, Records, SplitMix64, Stopwatch};

/// User keys of a map.
const USER_KEYS: u64 = 10;

/// Memory of each side; what Flink makes of 512 MB of managed memory.
const MEMORY_BYTES: usize = 447_392_426;

fn main() {
    let options = Options::from_arguments("Cost of state access on RocksDB, beside the bare crate.");
    let mut bench = Bench { output: Output::new(&options).of_backend("rocksdb"), options };
    bench.output.side_by_side_heading("RocksDB: best and median round in ns per operation; ratio = ours / bare");
    for n in bench.options.n.clone() {
        bench.values::<u64>(n);
        bench.values::<[u8; 100]>(n);
        bench.sums(n);
        bench.lists(n);
        bench.maps(n / USER_KEYS as usize);
    }
}

struct Bench {
    options: Options,
    output: Output,
}

/// The options that a backend gave its database and its state.
type Seen = Arc<Mutex<Option<rocksdb::Options>>>;

/// Both sides, in directories of their own.
struct Sides<H> {
    ours: KeyedBackend<U64>,
    state: H,
    bare: Bare,
    _directory: tempfile::TempDir,
}

impl<H> Sides<H> {
    fn new(options: &Options, register: impl Fn(&mut KeyedBackend<U64>) -> millpond::Result<H>) -> Self {
        let directory = scratch_directory(options);
        let (mut ours, ..) = backend(&directory.path().join("ours"));
        let state = register(&mut ours).expect("a state");
        // Of another backend, so that the two sides share no cache.
        let (mut other, of_database, of_state) = backend(&directory.path().join("other"));
        register(&mut other).expect("a state");
        let seen = |options: Seen| options.lock().expect("a lock").clone().expect("options");
        let bare = Bare::open(&directory.path().join("bare"), (seen(of_database), seen(of_state)));
        Sides { ours, state, bare, _directory: directory }
    }
}

/// A backend, and the options of its database and of the state that will be registered.
fn backend(directory: &Path) -> (KeyedBackend<U64>, Seen, Seen) {
    let (of_database, of_state) = (Seen::default(), Seen::default());
    let (database, state) = (Arc::clone(&of_database), Arc::clone(&of_state));
    let config = Config::in_directory(directory)
        .with_memory(MemoryBudget::new(MEMORY_BYTES))
        .with_database_options(move |options| *database.lock().expect("a lock") = Some(options.clone()))
        .with_options(move |_, options| *state.lock().expect("a lock") = Some(options.clone()));
    let backend = KeyedBackend::new(&BackendConfig::rocksdb(config), parameters(), U64).expect("a backend");
    (backend, of_database, of_state)
}

impl Bench {
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

    fn values<V: Element>(&mut self, n: usize) {
        let descriptor = ValueDescriptor::new("value", V::SERIALIZER);
        let mut sides = Sides::new(&self.options, |backend| backend.register_value(&descriptor));
        let Sides { ours, state, bare, .. } = &mut sides;
        let mut random = SplitMix64::new(1);
        for id in 0..n as u64 {
            let value = V::random(&mut random);
            bare.put_encoded(&Row::of(id).0, &value);
            ours.key(&id).and_then(|mut key| key.value(state)?.set(value)).expect("a write");
        }
        let (order, operations) = (visiting_order(n), self.options.operations);
        let mut records = (Records::<Row, ()>::existing(&order), Records::<u64, ()>::existing(&order));
        self.compare(
            case::<V>("valueGet", n),
            "get",
            |watch| records.0.walk(watch, operations, |row, ()| bare.get(&row.0).map_or(0, |it| touch(&it))),
            |watch| {
                records.1.walk(watch, operations, |key, ()| {
                    let mut key = ours.key(key).expect("a key of this subtask");
                    let mut value = key.value(state).expect("a state");
                    value.get().expect("a read").map_or(0, |value| value.touch())
                });
            },
        );
        let mut records = (Records::<Row, V>::existing(&order), Records::<u64, V>::existing(&order));
        self.compare(
            case::<V>("valueUpdate", n),
            "put",
            |watch| {
                records.0.walk(watch, operations, |row, value| {
                    bare.put_encoded(&row.0, &value);
                    0
                });
            },
            |watch| {
                records.1.walk(watch, operations, |key, value| {
                    ours.key(key).and_then(|mut key| key.value(state)?.set(value)).expect("a write");
                    0
                });
            },
        );
    }

    fn sums(&mut self, n: usize) {
        let sum = ReducingDescriptor::new("sum", U64, |sum, number| *sum = sum.wrapping_add(number));
        let mut sides = Sides::new(&self.options, |backend| backend.register_reducing(&sum));
        let Sides { ours, state, bare, .. } = &mut sides;
        for id in 0..n as u64 {
            bare.put(&Row::of(id).0, &id.to_be_bytes());
            ours.key(&id).and_then(|mut key| key.reducing(state)?.add(id)).expect("a write");
        }
        let (order, operations) = (visiting_order(n), self.options.operations);
        let mut records = (Records::<Row, u64>::existing(&order), Records::<u64, u64>::existing(&order));
        self.compare(
            case::<u64>("reducingAdd", n),
            "get and put",
            |watch| {
                records.0.walk(watch, operations, |row, number| {
                    let sum = bare.get(&row.0).map_or(0, |sum| touch(&sum));
                    bare.put(&row.0, &sum.wrapping_add(number).to_be_bytes());
                    0
                });
            },
            |watch| {
                records.1.walk(watch, operations, |key, number| {
                    ours.key(key).and_then(|mut key| key.reducing(state)?.add(number)).expect("a write");
                    0
                });
            },
        );
    }

    fn lists(&mut self, n: usize) {
        let descriptor = ListDescriptor::new("list", U64);
        let mut sides = Sides::new(&self.options, |backend| backend.register_list(&descriptor));
        let Sides { ours, state, bare, .. } = &mut sides;
        let (order, operations) = (visiting_order(n), self.options.operations);
        let mut records = (Records::<Row, u64>::existing(&order), Records::<u64, u64>::existing(&order));
        self.compare(
            case::<u64>("listAdd", n),
            "merge",
            |watch| {
                records.0.walk(watch, operations, |row, number| {
                    // An element is its length and its bytes.
                    let mut element = [8; 9];
                    element[1..].copy_from_slice(&number.to_be_bytes());
                    bare.merge(&row.0, &element);
                    0
                });
            },
            |watch| {
                records.1.walk(watch, operations, |key, number| {
                    ours.key(key).and_then(|mut key| key.list(state)?.add(number)).expect("a write");
                    0
                });
            },
        );
    }

    fn maps(&mut self, n: usize) {
        let descriptor = MapDescriptor::new("map", U64, U64);
        let mut sides = Sides::new(&self.options, |backend| backend.register_map(&descriptor));
        let Sides { ours, state, bare, .. } = &mut sides;
        for id in 0..n as u64 {
            for user_key in 0..USER_KEYS {
                bare.put(&Row::of(id).with(user_key), &id.to_be_bytes());
                ours.key(&id).and_then(|mut key| key.map(state)?.put(user_key, id)).expect("a write");
            }
        }
        let (order, operations) = (visiting_order(n), self.options.operations);
        let mut records = (Records::<Row, ()>::existing(&order), Records::<u64, ()>::existing(&order));
        self.compare(
            case::<u64>("mapIterator", n),
            "bounded iterator",
            |watch| records.0.walk(watch, operations / 10, |row, ()| bare.sum(row)),
            |watch| {
                records.1.walk(watch, operations / 10, |key, ()| {
                    let mut key = ours.key(key).expect("a key of this subtask");
                    let mut map = key.map(state).expect("a state");
                    let entries = map.entries().expect("entries");
                    entries.fold(0_u64, |sum, entry| sum.wrapping_add(*entry.expect("an entry").1))
                });
            },
        );
        let mut records = (Records::<Row, u64>::existing(&order), Records::<u64, u64>::existing(&order));
        self.compare(
            case::<u64>("mapPut", n),
            "put",
            |watch| {
                records.0.walk(watch, operations, |row, number| {
                    bare.put(&row.with(number % USER_KEYS), &number.to_be_bytes());
                    0
                });
            },
            |watch| {
                records.1.walk(watch, operations, |key, number| {
                    let put = ours.key(key).and_then(|mut key| key.map(state)?.put(number % USER_KEYS, number));
                    put.expect("a write");
                    0
                });
            },
        );
    }
}

fn case<V: Element>(operation: &str, n: usize) -> Case<'_> {
    Case { operation, key: "long", value: V::NAME, n }
}

/// The first eight bytes as a number.
fn touch(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
