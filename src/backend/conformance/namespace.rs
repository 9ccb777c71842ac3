//! Namespaces.

use super::{FORMATS, cluster, single};
use crate::backend::BackendConfig;
use crate::serializer::{Str, TimeWindow, U64, Window};
use crate::state::{ListDescriptor, ListState, MapDescriptor, MapState, ValueDescriptor, ValueState};

const WINDOWED: ValueDescriptor<U64, Window> = ValueDescriptor::in_namespaces("windowed", U64, Window);
const NAMED: ListDescriptor<U64, Str> = ListDescriptor::in_namespaces("named", U64, Str);
const MAPS: MapDescriptor<Str, U64, Str> = MapDescriptor::in_namespaces("maps", Str, U64, Str);

pub(super) fn namespaces_stay_apart(config: &BackendConfig) {
    let mut backend = single(config);
    let handle = backend.register_value(&WINDOWED).unwrap();
    let key = "key".to_owned();
    let window = |start_ms| TimeWindow { start_ms, end_ms: start_ms + 10 };
    for start_ms in -50..50 {
        let mut context = backend.key(&key).unwrap();
        context.value_in(&handle, &window(start_ms)).unwrap().set((start_ms + 50) as u64).unwrap();
    }
    for start_ms in (-50..50).step_by(2) {
        backend.key(&key).unwrap().value_in(&handle, &window(start_ms)).unwrap().clear().unwrap();
    }
    for start_ms in -51..51 {
        let mut context = backend.key(&key).unwrap();
        let is_there = start_ms % 2 != 0 && (-50..50).contains(&start_ms);
        let expected = is_there.then(|| (start_ms + 50) as u64);
        assert_eq!(context.value_in(&handle, &window(start_ms)).unwrap().get().unwrap().as_deref(), expected.as_ref());
    }
    let mut seen = Vec::new();
    backend.for_each_key(&handle, |_, window| seen.push(window.start_ms)).unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (-50..50).filter(|start| start % 2 != 0).collect::<Vec<i64>>());
}

/// Every split of the same letters between key, namespace and user key is a place of its own.
pub(super) fn s_29_keys_and_namespaces_never_run_together(config: &BackendConfig) {
    let texts = ["", "a", "aa", "aaa", "\u{1}", "\u{1}a", "\u{2}aa", "\0"].map(str::to_owned);
    for format in FORMATS {
        let mut cluster = cluster(config, 1);
        let mut is_restored = false;
        loop {
            let backend = &mut cluster.subtasks[0].keyed;
            let (named, maps) = (backend.register_list(&NAMED).unwrap(), backend.register_map(&MAPS).unwrap());
            let mut number = 0;
            for key in &texts {
                for namespace in &texts {
                    let mut context = backend.key(key).unwrap();
                    if is_restored {
                        assert_eq!(*context.list_in(&named, namespace).unwrap().get().unwrap(), [number], "{format:?}");
                    } else {
                        context.list_in(&named, namespace).unwrap().add(number).unwrap();
                    }
                    let mut map = context.map_in(&maps, namespace).unwrap();
                    for user_key in &texts {
                        number += 1;
                        if is_restored {
                            assert_eq!(map.get(user_key).unwrap().as_deref(), Some(&number), "{format:?}");
                        } else {
                            map.put(user_key.clone(), number).unwrap();
                        }
                    }
                    assert_eq!(map.entries().unwrap().count(), texts.len());
                }
            }
            if is_restored {
                break;
            }
            cluster = cluster.restart(format, 1).unwrap();
            is_restored = true;
        }
    }
}
