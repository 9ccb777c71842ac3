//! Value state, beside `HashMap<K, V>`.

use std::sync::Arc;

use millpond::backend::KeyedBackend;
use millpond::backend::handle::ValueHandle;
use millpond::state::{ValueDescriptor, ValueState};

use super::measure::workload::RecordKey;
use super::measure::workload::{BareMap, visiting_order};
use super::measure::{Element, Records, SplitMix64};
use super::{Bench, backend, case};

const OPERATIONS: [&str; 4] = ["valueGet", "valueUpdate", "valueModify", "valueAdd"];
const BASELINE: &str = "HashMap<K, V>";

struct Sides<K: RecordKey, V: Element> {
    n: usize,
    order: Arc<[u32]>,
    bare: BareMap<K, V>,
    ours: KeyedBackend<K::Serializer>,
    state: ValueHandle<V>,
}

pub(crate) fn run<K: RecordKey, V: Element>(bench: &mut Bench, n: usize) {
    if !bench.wants_any::<K, V>(&OPERATIONS) {
        return;
    }
    let mut sides = Sides::<K, V>::filled(n);
    sides.get(bench);
    sides.update(bench);
    sides.modify(bench);
    sides.add(bench);
}

impl<K: RecordKey, V: Element> Sides<K, V> {
    fn filled(n: usize) -> Self {
        let mut ours = backend::<K>();
        let state = ours.register_value(&ValueDescriptor::new("value", V::SERIALIZER)).expect("a state");
        let mut bare = BareMap::default();
        let mut random = SplitMix64::new(1);
        for id in 0..n as u64 {
            let (key, value) = (K::of(id), V::random(&mut random));
            set(&mut ours, &state, &key, value);
            bare.insert(key, value);
        }
        Sides { n, order: visiting_order(n), bare, ours, state }
    }

    fn get(&mut self, bench: &mut Bench) {
        let Sides { n, order, bare, ours, state } = self;
        let operations = bench.options.operations;
        let mut records = (Records::<K, ()>::existing(order), Records::<K, ()>::existing(order));
        bench.compare(
            case::<K, V>("valueGet", *n),
            BASELINE,
            |watch| records.0.walk(watch, operations, |key, ()| bare.get(key).map_or(0, V::touch)),
            |watch| {
                records.1.walk(watch, operations, |key, ()| {
                    let mut context = ours.key(key).expect("a key of this subtask");
                    let mut value = context.value(state).expect("a state of this backend");
                    value.get().expect("a value").map_or(0, |value| value.touch())
                });
            },
        );
    }

    fn update(&mut self, bench: &mut Bench) {
        let Sides { n, order, bare, ours, state } = self;
        let operations = bench.options.operations;
        let mut records = (Records::<K, V>::existing(order), Records::<K, V>::existing(order));
        bench.compare(
            case::<K, V>("valueUpdate", *n),
            BASELINE,
            |watch| {
                records.0.walk(watch, operations, |key, value| {
                    K::put(bare, key, value);
                    0
                });
            },
            |watch| records.1.walk(watch, operations, |key, value| set(ours, state, key, value)),
        );
    }

    /// Reads and writes in one operation.
    fn modify(&mut self, bench: &mut Bench) {
        let Sides { n, order, bare, ours, state } = self;
        let operations = bench.options.operations;
        let mut records = (Records::<K, V>::existing(order), Records::<K, V>::existing(order));
        bench.compare(
            case::<K, V>("valueModify", *n),
            BASELINE,
            |watch| {
                records.0.walk(watch, operations, |key, value| {
                    bare.get_mut(key).map_or(0, |slot| std::mem::replace(slot, value).touch())
                });
            },
            |watch| {
                records.1.walk(watch, operations, |key, value| {
                    let mut context = ours.key(key).expect("a key of this subtask");
                    let mut slot = context.value(state).expect("a state of this backend");
                    let mut before = 0;
                    slot.update(|slot| before = slot.replace(value).map_or(0, |old| old.touch())).expect("an update");
                    before
                });
            },
        );
    }

    fn add(&mut self, bench: &mut Bench) {
        let Sides { n, bare, ours, state, .. } = self;
        let operations = bench.options.operations;
        let fresh = || Records::<K, V>::fresh(*n, operations);
        let (mut records, mut again) = ((fresh(), fresh()), fresh());
        let mut untimed = Default::default();
        bench.compare(
            case::<K, V>("valueAdd", *n),
            BASELINE,
            |watch| {
                records.0.walk_anew(watch, operations, |key, value| {
                    K::put(bare, key, value);
                    0
                });
                again.walk_anew(&mut untimed, operations, |key, _| u64::from(bare.remove(key).is_some()));
            },
            |watch| {
                records.1.walk_anew(watch, operations, |key, value| set(ours, state, key, value));
                Records::<K, ()>::fresh(*n, operations).walk(&mut Default::default(), operations, |key, ()| {
                    let mut context = ours.key(key).expect("a key of this subtask");
                    context.value(state).expect("a state of this backend").clear().expect("a clearing");
                    0
                });
            },
        );
    }
}

#[inline(always)]
fn set<K: RecordKey, V: Element>(
    ours: &mut KeyedBackend<K::Serializer>,
    state: &ValueHandle<V>,
    key: &K,
    value: V,
) -> u64 {
    let mut context = ours.key(key).expect("a key of this subtask");
    context.value(state).expect("a state of this backend").set(value).expect("an update");
    0
}
