//! Map state of ten entries per key, beside `HashMap<K, HashMap<u64, V>>`.

use std::sync::Arc;

use millpond::backend::KeyedBackend;
use millpond::backend::handle::MapHandle;
use millpond::serializer::U64;
use millpond::state::{MapDescriptor, MapState};

use super::measure::workload::RecordKey;
use super::measure::workload::{BareMap, visiting_order};
use super::measure::{Element, Records, SplitMix64};
use super::{Bench, backend, case};

const OPERATIONS: [&str; 5] = ["mapGet", "mapContains", "mapIterator", "mapPut", "mapPutNewKey"];
const BASELINE: &str = "HashMap<K, HashMap<u64, V>>";
const USER_KEYS: u64 = 10;

struct Sides<K: RecordKey, V: Element> {
    n: usize,
    order: Arc<[u32]>,
    bare: BareMap<K, BareMap<u64, V>>,
    ours: KeyedBackend<K::Serializer>,
    state: MapHandle<u64, V>,
}

pub(crate) fn run<K: RecordKey, V: Element>(bench: &mut Bench, n: usize) {
    if !bench.wants_any::<K, V>(&OPERATIONS) {
        return;
    }
    let mut sides = Sides::<K, V>::filled(n);
    sides.get(bench);
    sides.contains(bench);
    sides.iterate(bench);
    sides.put(bench);
    sides.put_new(bench);
}

/// Hands out the user keys in turn.
#[derive(Default)]
struct UserKeys(u64);

impl UserKeys {
    #[inline(always)]
    fn next(&mut self) -> u64 {
        self.0 = if self.0 + 1 == USER_KEYS { 0 } else { self.0 + 1 };
        self.0
    }
}

impl<K: RecordKey, V: Element> Sides<K, V> {
    fn filled(n: usize) -> Self {
        let mut ours = backend::<K>();
        let state = ours.register_map(&MapDescriptor::new("map", U64, V::SERIALIZER)).expect("a state");
        let mut bare: BareMap<K, BareMap<u64, V>> = BareMap::default();
        let mut random = SplitMix64::new(1);
        for id in 0..n as u64 {
            let key = K::of(id);
            let mut entries = BareMap::default();
            for user_key in 0..USER_KEYS {
                let value = V::random(&mut random);
                put(&mut ours, &state, &key, user_key, value);
                entries.insert(user_key, value);
            }
            bare.insert(key, entries);
        }
        Sides { n, order: visiting_order(n), bare, ours, state }
    }

    fn get(&mut self, bench: &mut Bench) {
        let Sides { n, order, bare, ours, state } = self;
        let operations = bench.options.operations;
        let mut records = (Records::<K, ()>::existing(order), Records::<K, ()>::existing(order));
        let mut user_keys = (UserKeys::default(), UserKeys::default());
        bench.compare(
            case::<K, V>("mapGet", *n),
            BASELINE,
            |watch| {
                records.0.walk(watch, operations, |key, ()| {
                    bare.get(key).and_then(|map| map.get(&user_keys.0.next())).map_or(0, V::touch)
                });
            },
            |watch| {
                records.1.walk(watch, operations, |key, ()| {
                    let mut context = ours.key(key).expect("a key of this subtask");
                    let mut map = context.map(state).expect("a state of this backend");
                    map.get(&user_keys.1.next()).expect("a value").map_or(0, |value| value.touch())
                });
            },
        );
    }

    /// Half of the user keys that are asked for are there.
    fn contains(&mut self, bench: &mut Bench) {
        let Sides { n, order, bare, ours, state } = self;
        let operations = bench.options.operations;
        let mut records = (Records::<K, ()>::existing(order), Records::<K, ()>::existing(order));
        let mut user_keys = (UserKeys::default(), UserKeys::default());
        bench.compare(
            case::<K, V>("mapContains", *n),
            BASELINE,
            |watch| {
                records.0.walk(watch, operations, |key, ()| {
                    u64::from(bare.get(key).is_some_and(|map| map.contains_key(&(user_keys.0.next() * 2))))
                });
            },
            |watch| {
                records.1.walk(watch, operations, |key, ()| {
                    let mut context = ours.key(key).expect("a key of this subtask");
                    let mut map = context.map(state).expect("a state of this backend");
                    u64::from(map.contains(&(user_keys.1.next() * 2)).expect("an answer"))
                });
            },
        );
    }

    /// One operation visits all ten entries.
    fn iterate(&mut self, bench: &mut Bench) {
        let Sides { n, order, bare, ours, state } = self;
        let operations = bench.options.operations;
        let mut records = (Records::<K, ()>::existing(order), Records::<K, ()>::existing(order));
        let fold = |sum: u64, user_key: u64, value: &V| sum.wrapping_add(user_key).wrapping_add(value.touch());
        bench.compare(
            case::<K, V>("mapIterator", *n),
            BASELINE,
            |watch| {
                records.0.walk(watch, operations, |key, ()| {
                    let Some(map) = bare.get(key) else { return 0 };
                    map.iter().fold(0, |sum, (user_key, value)| fold(sum, *user_key, value))
                });
            },
            |watch| {
                records.1.walk(watch, operations, |key, ()| {
                    let mut context = ours.key(key).expect("a key of this subtask");
                    let mut map = context.map(state).expect("a state of this backend");
                    map.entries().expect("entries").fold(0, |sum, entry| {
                        let (user_key, value) = entry.expect("an entry");
                        fold(sum, *user_key, &value)
                    })
                });
            },
        );
    }

    fn put(&mut self, bench: &mut Bench) {
        let Sides { n, order, bare, ours, state } = self;
        let operations = bench.options.operations;
        let mut records = (Records::<K, V>::existing(order), Records::<K, V>::existing(order));
        let mut user_keys = (UserKeys::default(), UserKeys::default());
        bench.compare(
            case::<K, V>("mapPut", *n),
            BASELINE,
            |watch| {
                records.0.walk(watch, operations, |key, value| {
                    put_bare(bare, key, user_keys.0.next(), value);
                    0
                });
            },
            |watch| {
                records.1.walk(watch, operations, |key, value| put(ours, state, key, user_keys.1.next(), value));
            },
        );
    }

    fn put_new(&mut self, bench: &mut Bench) {
        let Sides { n, bare, ours, state, .. } = self;
        let operations = bench.options.operations;
        let fresh = || Records::<K, V>::fresh(*n, operations);
        let mut records = (fresh(), fresh());
        bench.compare(
            case::<K, V>("mapPutNewKey", *n),
            BASELINE,
            |watch| {
                records.0.walk_anew(watch, operations, |key, value| {
                    put_bare(bare, key, 1, value);
                    0
                });
                Records::<K, ()>::fresh(*n, operations)
                    .walk(&mut Default::default(), operations, |key, ()| u64::from(bare.remove(key).is_some()));
            },
            |watch| {
                records.1.walk_anew(watch, operations, |key, value| put(ours, state, key, 1, value));
                Records::<K, ()>::fresh(*n, operations).walk(&mut Default::default(), operations, |key, ()| {
                    let mut context = ours.key(key).expect("a key of this subtask");
                    context.map(state).expect("a state of this backend").clear().expect("a clearing");
                    0
                });
            },
        );
    }
}

/// Clones the key only if it has no map yet.
#[inline(always)]
fn put_bare<K: RecordKey, V: Element>(bare: &mut BareMap<K, BareMap<u64, V>>, key: &K, user_key: u64, value: V) {
    match bare.get_mut(key) {
        Some(map) => {
            map.insert(user_key, value);
        }
        None => {
            let mut map = BareMap::default();
            map.insert(user_key, value);
            bare.insert(key.clone(), map);
        }
    }
}

#[inline(always)]
fn put<K: RecordKey, V: Element>(
    ours: &mut KeyedBackend<K::Serializer>,
    state: &MapHandle<u64, V>,
    key: &K,
    user_key: u64,
    value: V,
) -> u64 {
    let mut context = ours.key(key).expect("a key of this subtask");
    context.map(state).expect("a state of this backend").put(user_key, value).expect("an update");
    0
}
