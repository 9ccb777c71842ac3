//! Map state.

use std::collections::BTreeMap;

use super::{FORMATS, cluster, single};
use crate::backend::handle::MapHandle;
use crate::backend::{BackendConfig, KeyedBackend};
use crate::random::{RandomSource, SeededRandom};
use crate::serializer::{Str, U64, Unit};
use crate::state::{MapDescriptor, MapState};

const MAP: MapDescriptor<Str, U64> = MapDescriptor::new("map", Str, U64);
const SET: MapDescriptor<Str, Unit> = MapDescriptor::new("set", Str, Unit);

type Handle = MapHandle<String, u64>;

fn entries(backend: &mut KeyedBackend<Str>, handle: &Handle, key: &String) -> BTreeMap<String, u64> {
    let mut context = backend.key(key).unwrap();
    let mut map = context.map(handle).unwrap();
    let mut found = BTreeMap::new();
    for entry in map.entries().unwrap() {
        let (user_key, value) = entry.unwrap();
        assert!(found.insert(user_key.into_owned(), *value).is_none(), "a user key comes twice");
    }
    found
}

/// Sizes around the borders of pages and hash tables; removals, insertions, updates and reads in between.
pub(super) fn s_29_a_map_is_a_btree_map_while_it_changes(config: &BackendConfig) {
    let mut backend = single(config);
    let handle = backend.register_map(&MAP).unwrap();
    let random = SeededRandom::new(29);
    for size in [0, 1, 2, 15, 16, 17, 127, 128, 129, 255, 256, 257] {
        let key = format!("of {size}");
        let mut expected = BTreeMap::new();
        for number in 0..size {
            backend.key(&key).unwrap().map(&handle).unwrap().put(number.to_string(), number).unwrap();
            expected.insert(number.to_string(), number);
        }
        assert_eq!(entries(&mut backend, &handle, &key), expected);
        for step in 0..60_u64 {
            let drawn = random.next_u128().unwrap();
            let user_key = ((drawn as u64) % (size + 2)).to_string();
            let mut context = backend.key(&key).unwrap();
            let mut map = context.map(&handle).unwrap();
            match (drawn >> 64) % 4 {
                0 => {
                    map.remove(&user_key).unwrap();
                    expected.remove(&user_key);
                }
                1 => {
                    map.put(user_key.clone(), step).unwrap();
                    expected.insert(user_key.clone(), step);
                }
                2 => map
                    .update(user_key.clone(), |value| {
                        assert_eq!(*value, expected.remove(&user_key));
                        *value = (step % 3 > 0).then_some(step);
                        expected.extend(value.map(|value| (user_key.clone(), value)));
                    })
                    .unwrap(),
                _ => {
                    let first = map.entries().unwrap().next().map(|entry| entry.unwrap().0.into_owned());
                    assert_eq!(first.is_none(), map.is_empty().unwrap());
                }
            }
            assert_eq!(map.get(&user_key).unwrap().as_deref(), expected.get(&user_key));
            assert_eq!(map.contains(&user_key).unwrap(), expected.contains_key(&user_key));
            assert_eq!(map.is_empty().unwrap(), expected.is_empty());
            if step % 10 == 0 {
                assert_eq!(entries(&mut backend, &handle, &key), expected, "of {size} after {step} steps");
            }
        }
        assert_eq!(entries(&mut backend, &handle, &key), expected);
    }
}

/// Key, user key and value side by side in bytes: no two of these may be taken for each other.
pub(super) fn s_29_maps_of_keys_that_begin_alike_stay_apart(config: &BackendConfig) {
    let texts = ["", "a", "aa", "aaa", "\u{1}", "\u{1}a", "\0", "\0\0"];
    for format in FORMATS {
        let mut cluster = cluster(config, 2);
        let handles = cluster.register(|backend| backend.register_map(&MAP)).unwrap();
        let sets = cluster.register(|backend| backend.register_map(&SET)).unwrap();
        let mut number = 0;
        for key in texts {
            let key = key.to_owned();
            let (at, backend) = cluster.backend(&key).unwrap();
            for user_key in texts {
                let mut context = backend.key(&key).unwrap();
                context.map(&handles[at]).unwrap().put(user_key.to_owned(), number).unwrap();
                context.map(&sets[at]).unwrap().put(user_key.to_owned(), ()).unwrap();
                number += 1;
            }
            backend.key(&key).unwrap().map(&handles[at]).unwrap().remove(&"aa".to_owned()).unwrap();
        }
        let mut restored = cluster.restart(format, 5).unwrap();
        let handles = restored.register(|backend| backend.register_map(&MAP)).unwrap();
        let sets = restored.register(|backend| backend.register_map(&SET)).unwrap();
        for (row, key) in texts.iter().enumerate() {
            let key = (*key).to_owned();
            let (at, backend) = restored.backend(&key).unwrap();
            let numbered =
                texts.iter().enumerate().map(|(column, text)| ((*text).to_owned(), (row * 8 + column) as u64));
            let expected: BTreeMap<String, u64> = numbered.filter(|(user_key, _)| user_key != "aa").collect();
            assert_eq!(entries(backend, &handles[at], &key), expected, "{key:?} in {format:?}");
            let mut context = backend.key(&key).unwrap();
            let mut set = context.map(&sets[at]).unwrap();
            assert_eq!(set.entries().unwrap().count(), texts.len());
            assert!(!set.contains(&"b".to_owned()).unwrap());
        }
    }
}

pub(super) fn an_empty_map_is_no_map(config: &BackendConfig) {
    let mut backend = single(config);
    let handle = backend.register_map(&MAP).unwrap();
    let (key, user_key) = ("key".to_owned(), "user".to_owned());
    for empty in 0..4 {
        let mut context = backend.key(&key).unwrap();
        let mut map = context.map(&handle).unwrap();
        map.update(user_key.clone(), |_| {}).unwrap();
        map.remove(&user_key).unwrap();
        map.put(user_key.clone(), 1).unwrap();
        match empty {
            0 => map.remove(&user_key).unwrap(),
            1 => map.update(user_key.clone(), |value| *value = None).unwrap(),
            2 => map.clear().unwrap(),
            _ => {
                map.put("other".to_owned(), 2).unwrap();
                map.remove(&user_key).unwrap();
                map.remove(&"other".to_owned()).unwrap();
            }
        }
        assert!(map.is_empty().unwrap());
        let mut keys = 0;
        backend.for_each_key(&handle, |_, ()| keys += 1).unwrap();
        assert_eq!((keys, backend.statistics("map").unwrap().unwrap().entries), (0, 0), "emptied by {empty}");
    }
}
