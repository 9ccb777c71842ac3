//! What an access to state costs on the RocksDB backend, beside the same access to the bare crate `rocksdb` with the same
//! options.
//!
//! `cargo bench --bench rocksdb_access -- --help`. Every line runs in turns with its baseline, as in `state_access`. The bare
//! side writes the same number of rows with keys two bytes shorter (it has no key groups), finds nothing by name, and
//! copies what it reads into an integer or an array.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a program that measures may stop")]

mod bare;
#[path = "../measure/mod.rs"]
mod measure;

use std::sync::{Arc, Mutex};

use millpond::backend::rocksdb::{Config, MemoryBudget};
use millpond::backend::{BackendConfig, KeyedBackend};
use millpond::serializer::{Serializer, U64};
use millpond::state::{
    ListDescriptor, ListState, MapDescriptor, MapState, ReducingDescriptor, ReducingState, ValueDescriptor, ValueState,
};

use bare::Bare;
use measure::job::scratch_directory;
use measure::output::Case;
use measure::timing::SideBySide;
use measure::workload::{parameters, visiting_order};
use measure::{Element, Options, Output, Records, SplitMix64, Stopwatch};

/// User keys of a map.
const USER_KEYS: u64 = 10;

/// Memory of each side.
const MEMORY_BYTES: usize = 256 << 20;

fn main() {
    let options = Options::from_arguments("Cost of state access on RocksDB, beside the bare crate.");
    let mut bench = Bench { output: Output::new(&options), options };
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

/// Both sides, in directories of their own, with the options that the backend gave its state.
struct Sides {
    ours: KeyedBackend<U64>,
    options: Arc<Mutex<Option<(rocksdb::Options, rocksdb::Options)>>>,
    directory: tempfile::TempDir,
}

impl Sides {
    fn new(options: &Options) -> Self {
        let directory = scratch_directory(options);
        let seen = Arc::new(Mutex::new(None));
        let (of_database, of_state) = (Arc::new(Mutex::new(None)), Arc::clone(&seen));
        let database = Arc::clone(&of_database);
        let config = Config::in_directory(directory.path().join("ours"))
            .with_memory(MemoryBudget::new(MEMORY_BYTES))
            .with_database_options(move |options| {
                *database.lock().expect("a lock") = Some(options.clone());
            })
            .with_options(move |_, options| {
                let database = of_database.lock().expect("a lock").clone().expect("options of the database");
                *of_state.lock().expect("a lock") = Some((database, options.clone()));
            });
        let ours = KeyedBackend::new(&BackendConfig::rocksdb(config), parameters(), U64).expect("a backend");
        Sides { ours, options: seen, directory }
    }

    /// A bare database; the state of ours is registered by now.
    fn bare(&self) -> Bare {
        let (database, state) = self.options.lock().expect("a lock").clone().expect("a registered state");
        Bare::open(&self.directory.path().join("bare"), &database, state)
    }
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
        let mut sides = Sides::new(&self.options);
        let state = sides.ours.register_value(&ValueDescriptor::new("value", V::SERIALIZER)).expect("a state");
        let bare = sides.bare();
        let mut random = SplitMix64::new(1);
        for id in 0..n as u64 {
            let value = V::random(&mut random);
            bare.put(&id.to_be_bytes(), &encoded(&value));
            sides.ours.key(&id).and_then(|mut key| key.value(&state)?.set(value)).expect("a write");
        }
        let (order, operations, ours) = (visiting_order(n), self.options.operations, &mut sides.ours);
        let mut records = (Records::<u64, ()>::existing(&order), Records::<u64, ()>::existing(&order));
        self.compare(
            case::<V>("valueGet", n),
            "get",
            |watch| {
                records.0.walk(watch, operations, |key, ()| bare.get(&key.to_be_bytes()).map_or(0, |it| touch(&it)))
            },
            |watch| {
                records.1.walk(watch, operations, |key, ()| {
                    let mut key = ours.key(key).expect("a key of this subtask");
                    let mut value = key.value(&state).expect("a state");
                    value.get().expect("a read").map_or(0, |value| value.touch())
                });
            },
        );
        let mut records = (Records::<u64, V>::existing(&order), Records::<u64, V>::existing(&order));
        self.compare(
            case::<V>("valueUpdate", n),
            "put",
            |watch| {
                records.0.walk(watch, operations, |key, value| {
                    bare.put(&key.to_be_bytes(), &encoded(&value));
                    0
                });
            },
            |watch| {
                records.1.walk(watch, operations, |key, value| {
                    ours.key(key).and_then(|mut key| key.value(&state)?.set(value)).expect("a write");
                    0
                });
            },
        );
    }

    fn sums(&mut self, n: usize) {
        let mut sides = Sides::new(&self.options);
        let sum = ReducingDescriptor::new("sum", U64, |sum, number| *sum = sum.wrapping_add(number));
        let state = sides.ours.register_reducing(&sum).expect("a state");
        let bare = sides.bare();
        for id in 0..n as u64 {
            bare.put(&id.to_be_bytes(), &id.to_be_bytes());
            sides.ours.key(&id).and_then(|mut key| key.reducing(&state)?.add(id)).expect("a write");
        }
        let (order, operations, ours) = (visiting_order(n), self.options.operations, &mut sides.ours);
        let mut records = (Records::<u64, u64>::existing(&order), Records::<u64, u64>::existing(&order));
        self.compare(
            case::<u64>("reducingAdd", n),
            "get and put",
            |watch| {
                records.0.walk(watch, operations, |key, number| {
                    let row = key.to_be_bytes();
                    let sum = bare.get(&row).map_or(0, |sum| touch(&sum));
                    bare.put(&row, &sum.wrapping_add(number).to_be_bytes());
                    0
                });
            },
            |watch| {
                records.1.walk(watch, operations, |key, number| {
                    ours.key(key).and_then(|mut key| key.reducing(&state)?.add(number)).expect("a write");
                    0
                });
            },
        );
    }

    fn lists(&mut self, n: usize) {
        let mut sides = Sides::new(&self.options);
        let state = sides.ours.register_list(&ListDescriptor::new("list", U64)).expect("a state");
        let bare = sides.bare();
        let (order, operations, ours) = (visiting_order(n), self.options.operations, &mut sides.ours);
        let mut records = (Records::<u64, u64>::existing(&order), Records::<u64, u64>::existing(&order));
        self.compare(
            case::<u64>("listAdd", n),
            "merge",
            |watch| {
                records.0.walk(watch, operations, |key, number| {
                    bare.merge(&key.to_be_bytes(), &number.to_be_bytes());
                    0
                });
            },
            |watch| {
                records.1.walk(watch, operations, |key, number| {
                    ours.key(key).and_then(|mut key| key.list(&state)?.add(number)).expect("a write");
                    0
                });
            },
        );
    }

    fn maps(&mut self, n: usize) {
        let mut sides = Sides::new(&self.options);
        let state = sides.ours.register_map(&MapDescriptor::new("map", U64, U64)).expect("a state");
        let bare = sides.bare();
        let row = |key: u64, user_key: u64| [key.to_be_bytes(), user_key.to_be_bytes()].concat();
        for id in 0..n as u64 {
            for user_key in 0..USER_KEYS {
                bare.put(&row(id, user_key), &id.to_be_bytes());
                sides.ours.key(&id).and_then(|mut key| key.map(&state)?.put(user_key, id)).expect("a write");
            }
        }
        let (order, operations, ours) = (visiting_order(n), self.options.operations, &mut sides.ours);
        let mut records = (Records::<u64, u64>::existing(&order), Records::<u64, u64>::existing(&order));
        self.compare(
            case::<u64>("mapPut", n),
            "put",
            |watch| {
                records.0.walk(watch, operations, |key, number| {
                    bare.put(&row(*key, number % USER_KEYS), &number.to_be_bytes());
                    0
                });
            },
            |watch| {
                records.1.walk(watch, operations, |key, number| {
                    let put = ours.key(key).and_then(|mut key| key.map(&state)?.put(number % USER_KEYS, number));
                    put.expect("a write");
                    0
                });
            },
        );
        let mut records = (Records::<u64, ()>::existing(&order), Records::<u64, ()>::existing(&order));
        self.compare(
            case::<u64>("mapIterate", n),
            "bounded iterator",
            |watch| records.0.walk(watch, operations / 10, |key, ()| bare.sum(&key.to_be_bytes())),
            |watch| {
                records.1.walk(watch, operations / 10, |key, ()| {
                    let mut key = ours.key(key).expect("a key of this subtask");
                    let mut map = key.map(&state).expect("a state");
                    let entries = map.entries().expect("entries");
                    entries.fold(0_u64, |sum, entry| sum.wrapping_add(*entry.expect("an entry").1))
                });
            },
        );
    }
}

fn case<V: Element>(operation: &str, n: usize) -> Case<'_> {
    Case { operation, key: "long", value: V::NAME, n }
}

/// The bytes of a value, as the backend stores them.
fn encoded<V: Element>(value: &V) -> Vec<u8> {
    let mut out = millpond::codec::Writer::new();
    V::SERIALIZER.write(value, &mut out).expect("an encoding");
    out.into_bytes()
}

/// The first eight bytes as a number.
fn touch(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
