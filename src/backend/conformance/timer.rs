//! Timers.

use super::{FORMATS, cluster, single};
use crate::backend::handle::TimerHandle;
use crate::backend::{BackendConfig, KeyedBackend};
use crate::codec::Writer;
use crate::serializer::{I64, Serializer, Str};
use crate::state::{TimeDomain, TimerDescriptor, TimerState};

const TIMERS: TimerDescriptor = TimerDescriptor::new("timers");
const WINDOWS: TimerDescriptor<I64> = TimerDescriptor::in_namespaces("windows", I64);

const BORDERS: [i64; 8] = [i64::MIN, i64::MIN + 1, -1, 0, 1, 255, i64::MAX - 1, i64::MAX];
const DOMAINS: [TimeDomain; 2] = [TimeDomain::Event, TimeDomain::Processing];

type Fired = (i64, String, i64);

fn pop_all(
    backend: &mut KeyedBackend<Str>,
    handle: &TimerHandle<i64>,
    domain: TimeDomain,
    up_to_ms: i64,
) -> Vec<Fired> {
    let mut fired = Vec::new();
    while let Some(timer) = backend.pop_due_timer(handle, domain, up_to_ms).unwrap() {
        fired.push((timer.timestamp_ms, timer.key, timer.namespace));
    }
    fired
}

/// Time, then key group, then the bytes of key and namespace.
fn in_firing_order(mut timers: Vec<Fired>) -> Vec<Fired> {
    let max = crate::key_group::MaxParallelism::new(super::MAX_PARALLELISM).unwrap();
    timers.sort_by_key(|(timestamp_ms, key, namespace)| {
        let mut bytes = Writer::new();
        Str.write(key, &mut bytes).unwrap();
        let group = max.group_of_key(bytes.as_slice());
        I64.write(namespace, &mut bytes).unwrap();
        (*timestamp_ms, group, bytes.into_bytes())
    });
    timers
}

fn set_borders(backend: &mut KeyedBackend<Str>, handle: &TimerHandle<i64>) -> Vec<Fired> {
    let mut all = Vec::new();
    for key in super::keys().into_iter().take(20) {
        for timestamp_ms in BORDERS {
            for namespace in [0, -1, i64::MIN] {
                let mut context = backend.key(&key).unwrap();
                let mut timers = context.timers_in(handle, &namespace).unwrap();
                for domain in DOMAINS {
                    assert!(timers.register(domain, timestamp_ms).unwrap());
                }
                all.push((timestamp_ms, key.clone(), namespace));
            }
        }
    }
    in_firing_order(all)
}

pub(super) fn s_34_timers_fire_in_order_at_the_borders_of_time(config: &BackendConfig) {
    let mut backend = single(config);
    let handle = backend.register_timers(&WINDOWS).unwrap();
    let all = set_borders(&mut backend, &handle);
    for domain in DOMAINS {
        let mut left = all.clone();
        for up_to_ms in [i64::MIN, -2, -1, 0, 0, 100, i64::MAX - 1, i64::MAX, i64::MAX] {
            assert_eq!(backend.next_timer_ms(&handle, domain).unwrap(), left.first().map(|(at, _, _)| *at));
            let later = left.split_off(left.partition_point(|(at, _, _)| *at <= up_to_ms));
            assert_eq!(pop_all(&mut backend, &handle, domain, up_to_ms), left, "{domain:?} up to {up_to_ms}");
            left = later;
        }
        assert!(left.is_empty());
        assert_eq!(backend.next_timer_ms(&handle, domain).unwrap(), None);
    }
}

/// None lost and none fired twice, wherever firing stops, at any parallelism after it.
pub(super) fn s_34_a_restart_in_the_middle_of_firing(config: &BackendConfig) {
    for format in FORMATS {
        for (fired_before, parallelism) in [(0, 2), (1, 1), (7, 3), (100, 5), (479, 2), (480, 1)] {
            let mut first = cluster(config, 1);
            let handle = first.subtasks[0].keyed.register_timers(&WINDOWS).unwrap();
            let all = set_borders(&mut first.subtasks[0].keyed, &handle);
            for expected in &all[..fired_before] {
                let timer =
                    first.subtasks[0].keyed.pop_due_timer(&handle, TimeDomain::Event, i64::MAX).unwrap().unwrap();
                assert_eq!((timer.timestamp_ms, timer.key, timer.namespace), *expected);
            }
            let mut second = first.restart(format, parallelism).unwrap();
            let handles = second.register(|backend| backend.register_timers(&WINDOWS)).unwrap();
            for (domain, rest) in [(TimeDomain::Event, &all[fired_before..]), (TimeDomain::Processing, &all[..])] {
                for (at, handle) in handles.iter().enumerate() {
                    let of_subtask = rest.iter().filter(|(_, key, _)| second.owner(key).unwrap() == at);
                    let expected: Vec<Fired> = of_subtask.cloned().collect();
                    let found = pop_all(&mut second.subtasks[at].keyed, handle, domain, i64::MAX);
                    assert_eq!(found, expected, "{format:?} after {fired_before} at {parallelism}");
                }
            }
        }
    }
}

pub(super) fn a_timer_is_set_once(config: &BackendConfig) {
    let mut backend = single(config);
    let (handle, other) = (backend.register_timers(&TIMERS).unwrap(), backend.register_timers(&WINDOWS).unwrap());
    let key = "key".to_owned();
    let mut context = backend.key(&key).unwrap();
    for (domain, is_new) in [(TimeDomain::Event, true), (TimeDomain::Event, false), (TimeDomain::Processing, true)] {
        assert_eq!(context.timers(&handle).unwrap().register(domain, 5).unwrap(), is_new);
    }
    assert!(context.timers_in(&other, &0).unwrap().register(TimeDomain::Event, 5).unwrap());
    assert!(backend.pop_due_timer(&handle, TimeDomain::Event, 5).unwrap().is_some());
    assert_eq!(backend.pop_due_timer(&handle, TimeDomain::Event, i64::MAX).unwrap(), None);
    assert!(backend.pop_due_timer(&handle, TimeDomain::Processing, 5).unwrap().is_some());
    assert!(backend.key(&key).unwrap().timers(&handle).unwrap().register(TimeDomain::Event, 5).unwrap());
    assert!(backend.pop_due_timer(&handle, TimeDomain::Event, 5).unwrap().is_some(), "set again after it fired");
    assert!(backend.pop_due_timer(&other, TimeDomain::Event, 5).unwrap().is_some());
}

/// So many deletions that what is left behind by them is tidied up, with the same timers set again in between.
pub(super) fn deleted_timers_never_fire(config: &BackendConfig) {
    let mut backend = single(config);
    let handle = backend.register_timers(&TIMERS).unwrap();
    let key = "key".to_owned();
    for round in 0..3 {
        let mut context = backend.key(&key).unwrap();
        let mut timers = context.timers(&handle).unwrap();
        for at in 0..3000 {
            assert!(timers.register(TimeDomain::Event, at).unwrap());
        }
        for at in 0..3000 {
            assert!(timers.delete(TimeDomain::Event, at).unwrap());
            assert!(!timers.delete(TimeDomain::Event, at).unwrap());
            assert!(!timers.delete(TimeDomain::Processing, at).unwrap());
            if at % 10 == round {
                assert!(timers.register(TimeDomain::Event, at).unwrap());
            }
        }
        for at in (round..3000).step_by(10) {
            assert_eq!(backend.next_timer_ms(&handle, TimeDomain::Event).unwrap(), Some(at));
            let timer = backend.pop_due_timer(&handle, TimeDomain::Event, i64::MAX).unwrap().unwrap();
            assert_eq!(timer.timestamp_ms, at);
        }
        assert_eq!(backend.next_timer_ms(&handle, TimeDomain::Event).unwrap(), None);
        assert_eq!(backend.pop_due_timer(&handle, TimeDomain::Event, i64::MAX).unwrap(), None);
    }
    assert_eq!(backend.statistics("timers").unwrap().unwrap().entries, 0);
}

/// So many that no backend holds all in one place, deleted below, at and above what fires next, between two checkpoints: from
/// the older one all fire, from the newer one those that were not deleted, in order.
pub(super) fn deleted_timers_stay_deleted_over_restarts(config: &BackendConfig) {
    const COUNT: i64 = 5000;
    for format in FORMATS {
        let mut first = cluster(config, 1);
        let handle = first.subtasks[0].keyed.register_timers(&TIMERS).unwrap();
        let keys = ["one", "other"].map(str::to_owned);
        for at in 0..COUNT {
            for key in &keys {
                let mut context = first.subtasks[0].keyed.key(key).unwrap();
                assert!(context.timers(&handle).unwrap().register(TimeDomain::Event, at).unwrap());
            }
        }
        let whole = first.checkpoint(format).unwrap();
        let is_deleted = |at: i64| at < 10 || at % 3 == 0 || at > COUNT - 10;
        for at in (0..COUNT).rev().filter(|at| is_deleted(*at)) {
            let mut context = first.subtasks[0].keyed.key(&keys[0]).unwrap();
            assert!(context.timers(&handle).unwrap().delete(TimeDomain::Event, at).unwrap());
        }
        let plan = first.plan.clone();
        let mut fired = Vec::new();
        let mut second = first.restart(format, 1).unwrap();
        for restart in 0..2 {
            let handle = second.subtasks[0].keyed.register_timers(&TIMERS).unwrap();
            let until = if restart == 0 { COUNT / 2 } else { i64::MAX };
            while let Some(timer) = second.subtasks[0].keyed.pop_due_timer(&handle, TimeDomain::Event, until).unwrap() {
                fired.push((timer.timestamp_ms, timer.key));
            }
            second = second.restart(format, 1).unwrap();
        }
        assert!(fired.is_sorted_by_key(|(at, _)| *at));
        let of_one: Vec<i64> = fired.iter().filter(|(_, key)| *key == keys[0]).map(|(at, _)| *at).collect();
        assert_eq!(of_one, (0..COUNT).filter(|at| !is_deleted(*at)).collect::<Vec<_>>(), "{format:?}");
        assert_eq!(fired.len() - of_one.len(), COUNT as usize, "{format:?}");
        let mut older = super::Cluster::restore(plan, Str, 1, &whole).unwrap();
        let handle = older.subtasks[0].keyed.register_timers(&TIMERS).unwrap();
        let mut count = 0;
        while older.subtasks[0].keyed.pop_due_timer(&handle, TimeDomain::Event, i64::MAX).unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, COUNT * 2, "{format:?}");
    }
}
