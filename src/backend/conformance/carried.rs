//! Restored state that nobody registers.

use super::{Cluster, FORMATS, cluster, keys};
use crate::backend::{BackendConfig, KeyedSnapshotFormat};
use crate::serializer::{Bytes, I64, Msgpack, Str, U64};
use crate::state::{
    ListDescriptor, ListState, MapDescriptor, MapState, ReducingDescriptor, ReducingState, TimeDomain, TimerDescriptor,
    TimerState, Ttl, ValueDescriptor, ValueState,
};

const TOUCHED: ValueDescriptor<U64> = ValueDescriptor::new("registered", U64);
const VALUE: ValueDescriptor<Msgpack<(u8, Option<String>)>> = ValueDescriptor::new("value", Msgpack::new());
const TIMED: ValueDescriptor<U64> = ValueDescriptor::new("timed", U64).with_ttl(Ttl::new(10));
const LIST: ListDescriptor<Bytes, I64> = ListDescriptor::in_namespaces("list", Bytes, I64);
const MAP: MapDescriptor<Str, Str> = MapDescriptor::new("map", Str, Str).with_ttl(Ttl::new(10));
const SUM: ReducingDescriptor<U64> = ReducingDescriptor::new("sum", U64, |sum, value| *sum += value);
const TIMERS: TimerDescriptor<I64> = TimerDescriptor::in_namespaces("timers", I64);

fn filled(config: &BackendConfig) -> Cluster<Str> {
    let mut cluster = cluster(config, 2);
    for (number, key) in (0_u64..).zip(keys()) {
        let (_, backend) = cluster.backend(&key).unwrap();
        let (registered, value) = (backend.register_value(&TOUCHED).unwrap(), backend.register_value(&VALUE).unwrap());
        let (timed, list) = (backend.register_value(&TIMED).unwrap(), backend.register_list(&LIST).unwrap());
        let (map, sum) = (backend.register_map(&MAP).unwrap(), backend.register_reducing(&SUM).unwrap());
        let timers = backend.register_timers(&TIMERS).unwrap();
        let mut context = backend.key(&key).unwrap();
        context.value(&registered).unwrap().set(number).unwrap();
        context.value(&value).unwrap().set((number as u8, (number % 2 == 0).then(|| key.clone()))).unwrap();
        context.value(&timed).unwrap().set(number).unwrap();
        context.list_in(&list, &(number as i64)).unwrap().add_all([vec![], vec![1; number as usize]]).unwrap();
        context.map(&map).unwrap().put(key.clone(), String::new()).unwrap();
        context.map(&map).unwrap().put("second".to_owned(), key.clone()).unwrap();
        context.reducing(&sum).unwrap().add(number).unwrap();
        context.timers_in(&timers, &-1).unwrap().register(TimeDomain::Processing, number as i64).unwrap();
    }
    // Larger than a block.
    let large = "large".to_owned();
    let (_, backend) = cluster.backend(&large).unwrap();
    let list = backend.register_list(&LIST).unwrap();
    backend.key(&large).unwrap().list_in(&list, &0).unwrap().set(vec![vec![5; 100_000]; 3]).unwrap();
    cluster
}

/// Through restarts at all parallelisms, by either format, while another state is in use and the clock goes on: what nobody
/// registered is the same, byte for byte, and so is what a full registration makes of it.
pub(super) fn s_24_unregistered_state_survives_byte_for_byte(config: &BackendConfig) {
    let mut cluster = filled(config);
    let original = cluster.checkpoint(KeyedSnapshotFormat::Canonical).unwrap();
    let expected = cluster.plan.dump(&original).unwrap();
    let digest = cluster.plan.manifest(&original).unwrap().keyed_digest().unwrap();
    assert_eq!(expected.len(), 7);
    let formats = FORMATS.into_iter().chain(FORMATS).chain([KeyedSnapshotFormat::Native; 2]);
    for (format, parallelism) in formats.zip([3, 1, 16, 5, 2, 7]) {
        cluster = cluster.restart(format, parallelism).unwrap();
        cluster.plan.clock.advance_ms(1000);
        let handles = cluster.register(|backend| backend.register_value(&TOUCHED)).unwrap();
        for (number, key) in (0_u64..).zip(keys()) {
            let (at, backend) = cluster.backend(&key).unwrap();
            let mut context = backend.key(&key).unwrap();
            let mut value = context.value(&handles[at]).unwrap();
            assert_eq!(value.get().unwrap().as_deref(), Some(&number));
            value.set(1).unwrap();
            value.set(number).unwrap();
        }
        cluster.subtasks.iter_mut().for_each(|subtask| {
            subtask.keyed.clean_up(1000).unwrap();
        });
        let checkpoint = cluster.checkpoint(KeyedSnapshotFormat::Canonical).unwrap();
        let found = cluster.plan.dump(&checkpoint).unwrap();
        for name in expected.keys() {
            let is_same = found.get(name) == Some(&expected[name]);
            assert!(is_same, "{name} has changed after {format:?} at {parallelism}");
            assert_eq!(cluster.plan.state(&checkpoint, name).unwrap(), cluster.plan.state(&original, name).unwrap());
        }
        let manifest = cluster.plan.manifest(&checkpoint).unwrap();
        assert_eq!(manifest.keyed_digest().unwrap(), digest, "after {format:?} at {parallelism}");
    }
}

/// After snapshots, in any order, with records in between.
pub(super) fn s_24_unregistered_state_can_be_registered_later(config: &BackendConfig) {
    for format in FORMATS {
        let mut cluster = filled(config).restart(format, 3).unwrap();
        let names = |cluster: &Cluster<Str>| {
            let states = cluster.subtasks[0].keyed.carried_states();
            states.into_iter().map(|state| state.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&cluster), ["list", "map", "registered", "sum", "timed", "timers", "value"]);
        let early = cluster.take().unwrap();
        let sums = cluster.register(|backend| backend.register_reducing(&SUM)).unwrap();
        let lists = cluster.register(|backend| backend.register_list(&LIST)).unwrap();
        assert_eq!(names(&cluster), ["map", "registered", "timed", "timers", "value"]);
        for (number, key) in (0_u64..).zip(keys()) {
            let (at, backend) = cluster.backend(&key).unwrap();
            let mut context = backend.key(&key).unwrap();
            context.reducing(&sums[at]).unwrap().add(1).unwrap();
            assert_eq!(context.reducing(&sums[at]).unwrap().get().unwrap().as_deref(), Some(&(number + 1)));
            let list = context.list_in(&lists[at], &(number as i64)).unwrap().get().unwrap().into_owned();
            assert_eq!(list, [vec![], vec![1; number as usize]]);
        }
        let checkpoint = cluster.publish(early, format).unwrap();
        let mut before = Cluster::restore(cluster.plan, Str, 1, &checkpoint).unwrap();
        let sum = before.subtasks[0].keyed.register_reducing(&SUM).unwrap();
        let total = |backend: &crate::backend::KeyedBackend<Str>| {
            let mut total = 0;
            backend.for_each_reduced(&sum, |_, (), sum| total += sum).unwrap();
            total
        };
        let count = keys().len() as u64;
        assert_eq!(total(&before.subtasks[0].keyed), count * (count - 1) / 2);
    }
}
