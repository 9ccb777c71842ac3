//! Visits of whole states.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cluster, Plan, cluster};
use crate::backend::BackendConfig;
use crate::serializer::{I64, Str, U64};
use crate::state::{MapDescriptor, MapState, Ttl, TtlUpdate, ValueDescriptor, ValueState};

const WINDOWED: ValueDescriptor<U64, I64> = ValueDescriptor::in_namespaces("windowed", U64, I64);
const MAP: MapDescriptor<Str, U64> = MapDescriptor::new("map", Str, U64);

pub(super) fn visits_show_what_is_live_and_touch_nothing(config: &BackendConfig) {
    let mut cluster = Cluster::new(Plan::new(config), Str, 1).unwrap();
    let clock = cluster.plan.clock.clone();
    let touched = Ttl::new(100).with_update(TtlUpdate::OnReadAndWrite);
    let backend = &mut cluster.subtasks[0].keyed;
    let handle = backend.register_map(&MAP.with_ttl(touched)).unwrap();
    let key = "key".to_owned();
    for number in 0..4 {
        clock.set_ms(number as i64 * 30);
        backend.key(&key).unwrap().map(&handle).unwrap().put(number.to_string(), number).unwrap();
    }
    for (now_ms, expected) in [(99, 4), (100, 3), (129, 3), (130, 2), (189, 1), (190, 0)] {
        clock.set_ms(now_ms);
        let mut entries = 0;
        backend.for_each_map_entry(&handle, |_, (), _, _| entries += 1).unwrap();
        let mut keys = 0;
        backend.for_each_key(&handle, |_, ()| keys += 1).unwrap();
        assert_eq!((entries, keys), (expected, expected.min(1)), "at {now_ms}");
    }
}

/// Entries from before, between and after two snapshots, changed and removed in all these times.
pub(super) fn visits_are_complete_while_snapshots_overlap(config: &BackendConfig) {
    let mut cluster = cluster(config, 2);
    let handles = cluster.register(|backend| backend.register_value(&WINDOWED)).unwrap();
    let mut expected: BTreeMap<(String, i64), u64> = BTreeMap::new();
    let mut taken = Vec::new();
    for round in 0..5_u64 {
        for number in 0..200_u64 {
            let (key, namespace) = (format!("key-{}", (number * 7 + round) % 60), (number % 3) as i64);
            let (at, backend) = cluster.backend(&key).unwrap();
            let mut context = backend.key(&key).unwrap();
            let mut value = context.value_in(&handles[at], &namespace).unwrap();
            if (number + round) % 4 == 0 {
                value.clear().unwrap();
                expected.remove(&(key, namespace));
            } else {
                value.set(number * 10 + round).unwrap();
                expected.insert((key, namespace), number * 10 + round);
            }
        }
        let mut found = BTreeMap::new();
        let mut keys = BTreeSet::new();
        for (subtask, handle) in cluster.subtasks.iter().zip(&handles) {
            let add = |key: &String, namespace: &i64, value: &u64| {
                assert!(found.insert((key.clone(), *namespace), *value).is_none(), "{key} is visited twice");
            };
            subtask.keyed.for_each_value(handle, add).unwrap();
            let add = |key: &String, namespace: &i64| assert!(keys.insert((key.clone(), *namespace)));
            subtask.keyed.for_each_key(handle, add).unwrap();
        }
        assert_eq!(found, expected, "round {round}");
        assert!(keys.iter().eq(expected.keys()), "round {round}");
        let entries: usize =
            cluster.subtasks.iter().map(|it| it.keyed.statistics("windowed").unwrap().unwrap().entries).sum();
        assert_eq!(entries, expected.len());
        taken.push(cluster.take().unwrap());
    }
}
