//! Time to live. What a read shows is a function of the moment of the write, the moment of the read and the time to live in
//! force at the read.

use super::{Cluster, FORMATS, Plan};
use crate::backend::handle::ValueHandle;
use crate::backend::{BackendConfig, BackendKind, KeyedBackend, KeyedSnapshotFormat};
use crate::serializer::{Str, U64};
use crate::state::{
    ListDescriptor, ListState, MapDescriptor, MapState, ReducingDescriptor, ReducingState, Ttl, TtlCleanup, TtlUpdate,
    TtlVisibility, ValueDescriptor, ValueState,
};

const VALUE: ValueDescriptor<U64> = ValueDescriptor::new("value", U64);

/// Expired values are removed by nothing but reads and writes of the same key.
const KEPT: TtlCleanup = TtlCleanup { per_access: 0, in_snapshots: false };

fn timed(time_to_live_ms: i64) -> ValueDescriptor<U64> {
    VALUE.with_ttl(Ttl::new(time_to_live_ms).with_cleanup(KEPT))
}

fn get(backend: &mut KeyedBackend<Str>, handle: &ValueHandle<u64>, key: &str) -> Option<u64> {
    backend.key(&key.to_owned()).unwrap().value(handle).unwrap().get().unwrap().map(|value| *value)
}

fn set(backend: &mut KeyedBackend<Str>, handle: &ValueHandle<u64>, key: &str, value: u64) {
    backend.key(&key.to_owned()).unwrap().value(handle).unwrap().set(value).unwrap();
}

/// One backend with a clock at 0, and the clock.
fn start(config: &BackendConfig) -> Cluster<Str> {
    Cluster::new(Plan::new(config), Str, 1).unwrap()
}

/// Off to on, on to off, shorter, longer and the same, with the read just before and just when the value expires.
pub(super) fn s_33_changes_of_time_to_live(config: &BackendConfig) {
    let lives = [None, Some(20), Some(100), Some(1000)];
    for format in FORMATS {
        for before in lives {
            for after in lives {
                // A value that was written without a stamp counts as written when it is taken over, at 50.
                let written_ms = if before.is_some() { 10 } else { 50 };
                let ends_ms = after.map_or(i64::MAX, |life| written_ms + life);
                for read_ms in [50, 109, 110, 149, 150, 1009, 1010, 1049, 1050] {
                    let what = format!("{before:?} to {after:?} read at {read_ms} from {format:?}");
                    let mut cluster = start(config);
                    let clock = cluster.plan.clock.clone();
                    clock.set_ms(10);
                    let descriptor = |life: Option<i64>| life.map_or(VALUE, timed);
                    let backend = &mut cluster.subtasks[0].keyed;
                    let handle = backend.register_value(&descriptor(before)).unwrap();
                    set(backend, &handle, "key", 7);
                    clock.set_ms(50);
                    let mut cluster = cluster.restart(format, 2).unwrap();
                    let handles = cluster.register(|backend| backend.register_value(&descriptor(after))).unwrap();
                    clock.set_ms(read_ms);
                    let (at, backend) = cluster.backend(&"key".to_owned()).unwrap();
                    assert_eq!(get(backend, &handles[at], "key"), (read_ms < ends_ms).then_some(7), "{what}");
                    if read_ms >= ends_ms {
                        assert_eq!(backend.statistics("value").unwrap().unwrap().entries, 0, "{what}");
                    }
                }
            }
        }
    }
}

/// A value that nothing has removed is back when the clock is, and one written in the future lives until then.
pub(super) fn s_33_a_clock_that_goes_backwards(config: &BackendConfig) {
    let mut cluster = start(config);
    let clock = cluster.plan.clock.clone();
    let backend = &mut cluster.subtasks[0].keyed;
    let handle = backend.register_value(&timed(100)).unwrap();
    clock.set_ms(1000);
    set(backend, &handle, "key", 1);
    clock.set_ms(1100);
    clock.set_ms(1099);
    assert_eq!(get(backend, &handle, "key"), Some(1));
    clock.set_ms(-5000);
    assert_eq!(get(backend, &handle, "key"), Some(1));
    set(backend, &handle, "key", 2);
    clock.set_ms(-4901);
    assert_eq!(get(backend, &handle, "key"), Some(2));
    clock.set_ms(1000);
    assert_eq!(get(backend, &handle, "key"), None);
    clock.set_ms(i64::MAX);
    set(backend, &handle, "key", 3);
    for now_ms in [i64::MAX - 1, i64::MIN] {
        clock.set_ms(now_ms);
        assert_eq!(get(backend, &handle, "key"), Some(3));
    }
    clock.set_ms(i64::MIN);
    set(backend, &handle, "key", 4);
    assert_eq!(get(backend, &handle, "key"), Some(4));
    clock.set_ms(0);
    assert_eq!(get(backend, &handle, "key"), None);
}

pub(super) fn reads_touch_where_they_should(config: &BackendConfig) {
    for update in [TtlUpdate::OnWrite, TtlUpdate::OnReadAndWrite] {
        let reads_count = update == TtlUpdate::OnReadAndWrite;
        let ttl = Ttl::new(100).with_update(update);
        let mut cluster = start(config);
        let clock = cluster.plan.clock.clone();
        let backend = &mut cluster.subtasks[0].keyed;
        let value = backend.register_value(&VALUE.with_ttl(ttl)).unwrap();
        let list = backend.register_list(&ListDescriptor::new("list", U64).with_ttl(ttl)).unwrap();
        let map = backend.register_map(&MapDescriptor::new("map", U64, U64).with_ttl(ttl)).unwrap();
        let sum = ReducingDescriptor::new("sum", U64, |sum, value| *sum += value).with_ttl(ttl);
        let sum = backend.register_reducing(&sum).unwrap();
        let key = "key".to_owned();
        let mut context = backend.key(&key).unwrap();
        context.value(&value).unwrap().set(1).unwrap();
        context.list(&list).unwrap().add(1).unwrap();
        context.map(&map).unwrap().put(1, 1).unwrap();
        context.map(&map).unwrap().put(2, 2).unwrap();
        context.reducing(&sum).unwrap().add(1).unwrap();
        clock.set_ms(60);
        let mut context = backend.key(&key).unwrap();
        assert!(context.value(&value).unwrap().get().unwrap().is_some());
        assert_eq!(context.list(&list).unwrap().get().unwrap().len(), 1);
        assert!(context.map(&map).unwrap().get(&1).unwrap().is_some());
        assert!(context.map(&map).unwrap().contains(&2).unwrap());
        assert!(context.reducing(&sum).unwrap().get().unwrap().is_some());
        clock.set_ms(120);
        let mut context = backend.key(&key).unwrap();
        assert_eq!(context.value(&value).unwrap().get().unwrap().is_some(), reads_count);
        assert_eq!(!context.list(&list).unwrap().get().unwrap().is_empty(), reads_count);
        assert_eq!(context.map(&map).unwrap().get(&1).unwrap().is_some(), reads_count);
        assert_eq!(context.reducing(&sum).unwrap().get().unwrap().is_some(), reads_count);
        assert!(context.map(&map).unwrap().get(&2).unwrap().is_none(), "contains never touches");
    }
}

pub(super) fn expired_values_show_only_where_they_should(config: &BackendConfig) {
    for visibility in [TtlVisibility::NeverReturnExpired, TtlVisibility::ReturnUntilCleanedUp] {
        let lingers = visibility == TtlVisibility::ReturnUntilCleanedUp;
        let ttl = Ttl::new(100).with_visibility(visibility).with_cleanup(KEPT);
        let mut cluster = start(config);
        let clock = cluster.plan.clock.clone();
        let backend = &mut cluster.subtasks[0].keyed;
        let value = backend.register_value(&VALUE.with_ttl(ttl)).unwrap();
        let sum = ReducingDescriptor::new("sum", U64, |sum, value| *sum += value).with_ttl(ttl);
        let sum = backend.register_reducing(&sum).unwrap();
        set(backend, &value, "read", 1);
        set(backend, &value, "updated", 2);
        set(backend, &value, "unread", 3);
        let key = "key".to_owned();
        backend.key(&key).unwrap().reducing(&sum).unwrap().add(5).unwrap();
        clock.set_ms(100);
        assert_eq!(get(backend, &value, "read"), lingers.then_some(1));
        let updated = "updated".to_owned();
        let mut seen = None;
        backend.key(&updated).unwrap().value(&value).unwrap().update(|value| seen = *value).unwrap();
        assert_eq!(seen, lingers.then_some(2));
        assert_eq!(get(backend, &value, "updated"), lingers.then_some(2), "an update that changed nothing touches");
        backend.key(&key).unwrap().reducing(&sum).unwrap().add(7).unwrap();
        let mut context = backend.key(&key).unwrap();
        assert_eq!(context.reducing(&sum).unwrap().get().unwrap().as_deref(), Some(&7), "folding starts anew");
        let mut live = Vec::new();
        backend.for_each_value(&value, |key, (), value| live.push((key.clone(), *value))).unwrap();
        let expected = if lingers { vec![("updated".to_owned(), 2)] } else { Vec::new() };
        assert_eq!(live, expected);
    }
}

/// By clean-up on request, by clean-up at accesses to other keys, and by leaving them out of snapshots.
pub(super) fn expired_values_are_removed_in_the_end(config: &BackendConfig) {
    let fill = |config: &BackendConfig, ttl: Ttl| {
        let mut cluster = start(config);
        let handle = cluster.subtasks[0].keyed.register_value(&VALUE.with_ttl(ttl)).unwrap();
        for number in 0..500 {
            set(&mut cluster.subtasks[0].keyed, &handle, &format!("key {number}"), number);
        }
        cluster.plan.clock.set_ms(99);
        set(&mut cluster.subtasks[0].keyed, &handle, "live", 1);
        cluster.plan.clock.set_ms(100);
        (cluster, handle)
    };
    let entries = |backend: &KeyedBackend<Str>| backend.statistics("value").unwrap().unwrap().entries;

    let (mut cluster, handle) = fill(config, Ttl::new(100).with_cleanup(KEPT));
    let backend = &mut cluster.subtasks[0].keyed;
    assert_eq!(entries(backend), 501);
    let mut removed = 0;
    for _ in 0..10_000 {
        removed += backend.clean_up(10).unwrap();
    }
    assert_eq!((removed, entries(backend)), (500, 1));
    assert_eq!(get(backend, &handle, "live"), Some(1));

    let by_access = TtlCleanup { per_access: 4, in_snapshots: false };
    let (mut cluster, handle) = fill(config, Ttl::new(100).with_cleanup(by_access));
    let backend = &mut cluster.subtasks[0].keyed;
    for _ in 0..10_000 {
        assert_eq!(get(backend, &handle, "live"), Some(1));
    }
    assert_eq!(entries(backend), 1);

    for format in FORMATS {
        for in_snapshots in [false, true] {
            let ttl = Ttl::new(100).with_cleanup(TtlCleanup { per_access: 0, in_snapshots });
            let (cluster, _) = fill(config, ttl);
            // A database is stored as it is, with what no compaction has met yet.
            let is_database = format != KeyedSnapshotFormat::Canonical && config.kind != BackendKind::Heap;
            let mut cluster = cluster.restart(format, 1).unwrap();
            cluster.plan.clock.set_ms(0);
            cluster.subtasks[0].keyed.register_value(&VALUE.with_ttl(ttl)).unwrap();
            let expected = if in_snapshots && !is_database { 1 } else { 501 };
            assert_eq!(entries(&cluster.subtasks[0].keyed), expected, "{format:?}");
        }
    }
}

pub(super) fn elements_and_entries_expire_one_by_one(config: &BackendConfig) {
    for format in FORMATS {
        let ttl = Ttl::new(100);
        let list_of = ListDescriptor::new("list", U64).with_ttl(ttl);
        let map_of = MapDescriptor::new("map", U64, U64).with_ttl(ttl);
        let mut cluster = start(config);
        let clock = cluster.plan.clock.clone();
        let key = "key".to_owned();
        let backend = &mut cluster.subtasks[0].keyed;
        let (list, map) = (backend.register_list(&list_of).unwrap(), backend.register_map(&map_of).unwrap());
        for number in 0..10 {
            clock.set_ms(number as i64 * 10);
            let mut context = backend.key(&key).unwrap();
            context.list(&list).unwrap().add(number).unwrap();
            context.map(&map).unwrap().put(number, number).unwrap();
        }
        let mut cluster = cluster.restart(format, 1).unwrap();
        let backend = &mut cluster.subtasks[0].keyed;
        let (list, map) = (backend.register_list(&list_of).unwrap(), backend.register_map(&map_of).unwrap());
        for gone in 0..=10 {
            clock.set_ms(99 + gone as i64 * 10);
            let expected: Vec<u64> = (gone..10).collect();
            let mut visited = Vec::new();
            backend.for_each_list(&list, |_, (), live| visited.extend_from_slice(live)).unwrap();
            assert_eq!(visited, expected);
            let mut context = backend.key(&key).unwrap();
            assert_eq!(*context.list(&list).unwrap().get().unwrap(), expected, "{format:?}");
            let mut map = context.map(&map).unwrap();
            let mut found: Vec<u64> = map.entries().unwrap().map(|entry| *entry.unwrap().1).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{format:?}");
            assert_eq!(map.is_empty().unwrap(), expected.is_empty());
            assert_eq!(map.contains(&5).unwrap(), gone <= 5);
        }
    }
}
