//! List state, beside `HashMap<K, Vec<V>>`.

use std::sync::Arc;

use millpond::backend::KeyedBackend;
use millpond::backend::handle::ListHandle;
use millpond::state::{ListDescriptor, ListState};

use super::measure::workload::RecordKey;
use super::measure::workload::{BareMap, visiting_order};
use super::measure::{Element, Records, SplitMix64};
use super::{Bench, backend, case};

const OPERATIONS: [&str; 3] = ["listGetAndIterate", "listAdd", "listAddNew"];
const BASELINE: &str = "HashMap<K, Vec<V>>";

struct Sides<K: RecordKey, V: Element> {
    n: usize,
    order: Arc<[u32]>,
    bare: BareMap<K, Vec<V>>,
    ours: KeyedBackend<K::Serializer>,
    state: ListHandle<V>,
}

pub(crate) fn run<K: RecordKey, V: Element>(bench: &mut Bench, n: usize) {
    if !bench.wants_any::<K, V>(&OPERATIONS) {
        return;
    }
    let mut sides = Sides::<K, V>::filled(n);
    sides.get(bench);
    sides.add(bench);
    sides.add_new(bench);
}

impl<K: RecordKey, V: Element> Sides<K, V> {
    /// Lists of one element.
    fn filled(n: usize) -> Self {
        let mut ours = backend::<K>();
        let state = ours.register_list(&ListDescriptor::new("list", V::SERIALIZER)).expect("a state");
        let mut bare = BareMap::default();
        let mut random = SplitMix64::new(1);
        for id in 0..n as u64 {
            let (key, element) = (K::of(id), V::random(&mut random));
            add(&mut ours, &state, &key, element);
            bare.insert(key, vec![element]);
        }
        Sides { n, order: visiting_order(n), bare, ours, state }
    }

    fn get(&mut self, bench: &mut Bench) {
        let Sides { n, order, bare, ours, state } = self;
        let operations = bench.options.operations;
        let mut records = (Records::<K, ()>::existing(order), Records::<K, ()>::existing(order));
        let sum = |list: &[V]| list.iter().fold(0u64, |sum, element| sum.wrapping_add(element.touch()));
        bench.compare(
            case::<K, V>("listGetAndIterate", *n),
            BASELINE,
            |watch| records.0.walk(watch, operations, |key, ()| bare.get(key).map_or(0, |list| sum(list))),
            |watch| {
                records.1.walk(watch, operations, |key, ()| {
                    let mut context = ours.key(key).expect("a key of this subtask");
                    sum(&context.list(state).expect("a state of this backend").get().expect("a list"))
                });
            },
        );
    }

    /// Every round adds four times to each list, which had one element before.
    fn add(&mut self, bench: &mut Bench) {
        let Sides { n, order, bare, ours, state } = self;
        let mut records = (Records::<K, V>::existing(order), Records::<K, V>::existing(order));
        let rounds = bench.options.rounds;
        bench.options.rounds = rounds.min(5);
        bench.compare(
            case::<K, V>("listAdd", *n),
            BASELINE,
            |watch| {
                records.0.walk_anew(watch, *n * 4, |key, element| {
                    match bare.get_mut(key) {
                        Some(list) => list.push(element),
                        None => {
                            bare.insert(key.clone(), vec![element]);
                        }
                    }
                    0
                });
                Records::<K, V>::existing(order).walk(&mut Default::default(), *n, |key, element| {
                    bare.insert(key.clone(), vec![element]);
                    0
                });
            },
            |watch| {
                records.1.walk_anew(watch, *n * 4, |key, element| add(ours, state, key, element));
                Records::<K, V>::existing(order).walk(&mut Default::default(), *n, |key, element| {
                    let mut context = ours.key(key).expect("a key of this subtask");
                    context.list(state).expect("a state of this backend").set(vec![element]).expect("an update");
                    0
                });
            },
        );
        bench.options.rounds = rounds;
    }

    fn add_new(&mut self, bench: &mut Bench) {
        let Sides { n, bare, ours, state, .. } = self;
        let operations = bench.options.operations;
        let fresh = || Records::<K, V>::fresh(*n, operations);
        let mut records = (fresh(), fresh());
        bench.compare(
            case::<K, V>("listAddNew", *n),
            BASELINE,
            |watch| {
                records.0.walk_anew(watch, operations, |key, element| {
                    bare.entry(key.clone()).or_default().push(element);
                    0
                });
                Records::<K, ()>::fresh(*n, operations)
                    .walk(&mut Default::default(), operations, |key, ()| u64::from(bare.remove(key).is_some()));
            },
            |watch| {
                records.1.walk_anew(watch, operations, |key, element| add(ours, state, key, element));
                Records::<K, ()>::fresh(*n, operations).walk(&mut Default::default(), operations, |key, ()| {
                    let mut context = ours.key(key).expect("a key of this subtask");
                    context.list(state).expect("a state of this backend").clear().expect("a clearing");
                    0
                });
            },
        );
    }
}

#[inline(always)]
fn add<K: RecordKey, V: Element>(
    ours: &mut KeyedBackend<K::Serializer>,
    state: &ListHandle<V>,
    key: &K,
    element: V,
) -> u64 {
    let mut context = ours.key(key).expect("a key of this subtask");
    context.list(state).expect("a state of this backend").add(element).expect("an addition");
    0
}
