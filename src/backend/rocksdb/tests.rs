//! What only shows from inside: what iterators touch, and what compactions drop.

use std::sync::Arc;

use ::rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
use ::rocksdb::{BottommostLevelCompaction, CompactOptions};
use tempfile::TempDir;

use super::*;
use crate::backend::{self, BackendConfig};
use crate::clock::ManualClock;
use crate::key_group::MaxParallelism;
use crate::serializer::{Str, U64};
use crate::state::{
    ListDescriptor, ListState, MapDescriptor, MapState, TimeDomain, TimerDescriptor, TimerState, Ttl, TtlCleanup,
    ValueDescriptor, ValueState,
};

/// A directory in memory where the system has a file system there: databases are synced often.
fn scratch() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn parameters(clock: &ManualClock) -> KeyedParameters {
    let max_parallelism = MaxParallelism::new(16).unwrap();
    KeyedParameters {
        operator: "operator".to_owned(),
        max_parallelism,
        range: max_parallelism.all_groups(),
        clock: Arc::new(clock.clone()),
    }
}

fn config(directory: &TempDir) -> Config {
    Config::in_directory(directory.path()).with_memory(MemoryBudget::new(16 << 20)).with_write_buffers(1 << 20, 2)
}

/// A backend to register states with.
fn chosen(config: Config, clock: &ManualClock) -> backend::KeyedBackend<Str> {
    backend::KeyedBackend::new(&BackendConfig::rocksdb(config), parameters(clock), Str).unwrap()
}

/// What the chosen backend is.
fn inside(chosen: backend::KeyedBackend<Str>) -> KeyedBackend<Str> {
    match chosen {
        backend::KeyedBackend::RocksDb(backend) => backend,
        other => panic!("{:?}", other.kind()),
    }
}

/// Everything in files, and these merged, whatever they are.
fn compact(backend: &KeyedBackend<Str>, state: &str) {
    backend.states.iter().for_each(|state| state.rows_in(&backend.database).unwrap().settle().unwrap());
    let families: Vec<&str> = backend.states.iter().map(|state| state.family.as_str()).collect();
    drop(backend.database.checkpoint(families.into_iter()).unwrap());
    let mut options = CompactOptions::default();
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    let index = backend.names[state];
    let family = backend.database.family(&backend.states[index].family).unwrap();
    backend.database.db().compact_range_cf_opt(&family.handle(), None::<&[u8]>, None::<&[u8]>, &options);
}

/// Tombstones of a neighbouring key group on either side, and of keys on either side in the same one.
#[test]
fn s_28_a_map_is_read_without_its_neighbours_tombstones() {
    const TOMBSTONES: u32 = 250_000;
    let directory = scratch();
    let mut backend = chosen(config(&directory), &ManualClock::new(0));
    let map = backend.register_map(&MapDescriptor::new("map", Str, U64)).unwrap();
    let mut backend = inside(backend);
    let key = "key".to_owned();
    for number in 0..10 {
        backend.key(&key).unwrap().map(&map).unwrap().put(number.to_string(), number).unwrap();
    }
    backend.key(&key).unwrap();
    let row = backend.row.as_slice().to_vec();
    let family = backend.database.family(&backend.states[map.index].family).unwrap();
    let beside = |group: i32, before: &[u8]| {
        let group = u16::from_be_bytes([row[0], row[1]]).checked_add_signed(group as i16).unwrap();
        [&group.to_be_bytes()[..], before].concat()
    };
    // The key is 3, "key"; the next lower and the next higher bytes stand for other keys of the same group.
    let neighbours = [beside(-1, &[255]), beside(1, &[0]), beside(0, b"\x03kex"), beside(0, b"\x03kez")];
    for prefix in neighbours {
        for number in 0..TOMBSTONES {
            family.delete(&[&prefix[..], &number.to_be_bytes()].concat()).unwrap();
        }
    }
    set_perf_stats(PerfStatsLevel::EnableCount);
    let mut perf = PerfContext::default();
    perf.reset();
    let mut context = backend.key(&key).unwrap();
    let mut opened = context.map(&map).unwrap();
    assert_eq!(opened.entries().unwrap().count(), 10);
    assert!(!opened.is_empty().unwrap());
    let touched =
        perf.metric(PerfMetric::InternalKeySkippedCount) + perf.metric(PerfMetric::InternalDeleteSkippedCount);
    set_perf_stats(PerfStatsLevel::Disable);
    assert!(touched < 1000, "{touched} entries touched");
    opened.clear().unwrap();
    assert!(opened.is_empty().unwrap());
}

/// After the time to live and a compaction nothing is left, of what reads would still show everything.
#[test]
fn s_33_compactions_drop_what_is_expired_and_nothing_else() {
    let directory = scratch();
    let clock = ManualClock::new(0);
    let mut backend = chosen(config(&directory), &clock);
    let ttl = Ttl::new(100);
    let value = backend.register_value(&ValueDescriptor::new("value", U64).with_ttl(ttl)).unwrap();
    let list = backend.register_list(&ListDescriptor::new("list", U64).with_ttl(ttl)).unwrap();
    let map = backend.register_map(&MapDescriptor::new("map", U64, U64).with_ttl(ttl)).unwrap();
    let kept = TtlCleanup { per_access: 0, in_snapshots: false };
    let by_hand = ValueDescriptor::new("by hand", U64).with_ttl(ttl.with_cleanup(kept));
    let by_hand = backend.register_value(&by_hand).unwrap();
    let mut backend = inside(backend);
    for number in 0..100_u64 {
        clock.set_ms(number as i64);
        let key = number.to_string();
        let mut context = backend.key(&key).unwrap();
        context.value(&value).unwrap().set(number).unwrap();
        context.list(&list).unwrap().add_all([number, number + 1]).unwrap();
        context.map(&map).unwrap().put(number, number).unwrap();
        context.value(&by_hand).unwrap().set(number).unwrap();
    }
    let entries = |backend: &KeyedBackend<Str>, name: &str| backend.statistics(name).unwrap().unwrap().entries;
    for (now_ms, left) in [(99, 100), (149, 50), (198, 1), (199, 0)] {
        clock.set_ms(now_ms);
        for state in ["value", "list", "map", "by hand"] {
            compact(&backend, state);
        }
        for state in ["value", "map"] {
            assert_eq!(entries(&backend, state), left, "{state} at {now_ms}");
        }
        // Appended elements are merged before they can be judged, and lists are dropped as a whole.
        assert!(entries(&backend, "list") >= left, "at {now_ms}");
        assert_eq!(entries(&backend, "by hand"), 100, "at {now_ms}");
        let mut shown = 0;
        backend.for_each_list(&list, |_, (), elements| shown += elements.len()).unwrap();
        assert_eq!(shown, left * 2, "at {now_ms}");
    }
    compact(&backend, "list");
    assert_eq!(entries(&backend, "list"), 0);
}

/// A window that is far smaller than what is set: timers set and deleted on either side of its end, with everything fired in
/// order in the end, and nothing that was deleted.
#[test]
fn timers_beyond_the_window_are_neither_lost_nor_revived() {
    let directory = scratch();
    let mut backend = chosen(config(&directory), &ManualClock::new(0));
    let timers = backend.register_timers(&TimerDescriptor::new("timers")).unwrap();
    let mut backend = inside(backend);
    let mut expected = std::collections::BTreeSet::new();
    let key = "key".to_owned();
    for step in 0..20_000_i64 {
        let at = step * 7919 % 10_007;
        let mut context = backend.key(&key).unwrap();
        let mut opened = context.timers(&timers).unwrap();
        if step % 3 == 2 {
            assert_eq!(opened.delete(TimeDomain::Event, at).unwrap(), expected.remove(&at), "at {at}");
        } else {
            assert_eq!(opened.register(TimeDomain::Event, at).unwrap(), expected.insert(at), "at {at}");
        }
        if step % 100 == 0 {
            let due = backend.pop_due_timer(&timers, TimeDomain::Event, 5000).unwrap().map(|timer| timer.timestamp_ms);
            assert_eq!(due, expected.first().copied().filter(|first| *first <= 5000));
            due.map(|due| expected.remove(&due));
        }
    }
    assert!(expected.len() > 3000);
    for at in expected {
        assert_eq!(backend.next_timer_ms(&timers, TimeDomain::Event).unwrap(), Some(at));
        let fired = backend.pop_due_timer(&timers, TimeDomain::Event, i64::MAX).unwrap().unwrap();
        assert_eq!((fired.timestamp_ms, fired.key.as_str()), (at, "key"));
    }
    assert_eq!(backend.pop_due_timer(&timers, TimeDomain::Event, i64::MAX).unwrap(), None);
}

#[test]
fn metrics_say_what_the_database_holds() {
    let directory = scratch();
    let budget = MemoryBudget::new(16 << 20);
    let config = config(&directory).with_memory(budget.clone()).with_statistics(true);
    let clock = ManualClock::new(0);
    let second = KeyedBackend::new(&config, parameters(&clock), Str).unwrap();
    let mut first = chosen(config, &clock);
    let value = first.register_value(&ValueDescriptor::new("value", Str)).unwrap();
    let mut first = inside(first);
    for number in 0..1000 {
        let key = number.to_string();
        first.key(&key).unwrap().value(&value).unwrap().set("x".repeat(100)).unwrap();
    }
    let before = first.metrics().unwrap();
    assert!(before.buffered_bytes >= 100_000, "{before:?}");
    assert_eq!((before.live_file_bytes, before.estimated_entries), (0, 1000));
    drop(first.snapshot().unwrap());
    let after = first.metrics().unwrap();
    assert!(after.live_file_bytes > 10_000 && after.file_bytes >= after.live_file_bytes, "{after:?}");
    assert!(after.counters.unwrap().flushed_bytes > 0, "{after:?}");
    let key = "7".to_owned();
    assert!(first.key(&key).unwrap().value(&value).unwrap().get().unwrap().is_some());
    let read = first.metrics().unwrap();
    assert!(read.counters.unwrap().cache_misses + read.counters.unwrap().cache_hits > 0, "{read:?}");
    assert_eq!(read.cache_bytes, second.metrics().unwrap().cache_bytes, "the cache is shared");
    assert!(budget.used_bytes() > 0 && budget.bytes() == 16 << 20);
    let of_state = first.state_metrics("value").unwrap().unwrap();
    assert_eq!((of_state.estimated_entries, of_state.live_file_bytes), (1000, after.live_file_bytes));
    assert!(of_state.files > 0 && of_state.young_files <= of_state.files, "{of_state:?}");
    assert_eq!(first.state_metrics("no such state").unwrap(), None);
}

#[test]
fn a_backend_needs_a_directory_and_says_so() {
    let error = KeyedBackend::new(&Config::default(), parameters(&ManualClock::new(0)), Str).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("no working directory"), "{error}");
    let directory = scratch();
    let file = directory.path().join("file");
    std::fs::File::create(&file).unwrap();
    let blocked = config(&directory).with_directory(file.join("inside"));
    let error = KeyedBackend::new(&blocked, parameters(&ManualClock::new(0)), Str).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Unavailable);
    assert!(error.to_string().contains("inside"), "{error}");
}
