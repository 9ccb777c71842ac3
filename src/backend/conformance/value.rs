//! Value state.

use super::{FORMATS, cluster, keys, single};
use crate::backend::BackendConfig;
use crate::serializer::{I64, List, Map, Opt, Str, Tuple2, U64};
use crate::state::{ListDescriptor, ListState, MapDescriptor, MapState, Ttl, ValueDescriptor, ValueState};

const VALUE: ValueDescriptor<U64> = ValueDescriptor::new("value", U64);

pub(super) fn a_value_is_what_was_last_set(config: &BackendConfig) {
    let mut backend = single(config);
    let handle = backend.register_value(&VALUE).unwrap();
    let (key, other) = ("key".to_owned(), "other".to_owned());
    let mut context = backend.key(&key).unwrap();
    assert_eq!(*context.current(), key);
    let mut value = context.value(&handle).unwrap();
    assert_eq!(value.get().unwrap(), None);
    value.clear().unwrap();
    value.update(|value| assert_eq!(*value, None)).unwrap();
    assert_eq!(value.get().unwrap(), None);
    value.set(1).unwrap();
    value.set(2).unwrap();
    assert_eq!(value.get().unwrap().as_deref(), Some(&2));
    value.update(|value| *value = value.map(|value| value + 5)).unwrap();
    assert_eq!(value.get().unwrap().as_deref(), Some(&7));
    value.update(|value| assert_eq!(value.take(), Some(7))).unwrap();
    assert_eq!(value.get().unwrap(), None);
    value.update(|value| *value = Some(u64::MAX)).unwrap();
    assert_eq!(context.value(&handle).unwrap().get().unwrap().as_deref(), Some(&u64::MAX));
    assert_eq!(backend.key(&other).unwrap().value(&handle).unwrap().get().unwrap(), None);
    backend.key(&key).unwrap().value(&handle).unwrap().clear().unwrap();
    assert_eq!(backend.key(&key).unwrap().value(&handle).unwrap().get().unwrap(), None);
    assert_eq!(backend.statistics("value").unwrap().unwrap().entries, 0);
    assert_eq!(backend.statistics("no such state").unwrap(), None);
}

pub(super) fn values_of_keys_that_begin_alike_stay_apart(config: &BackendConfig) {
    for format in FORMATS {
        let mut cluster = cluster(config, 2);
        let handles = cluster.register(|backend| backend.register_value(&VALUE)).unwrap();
        for (number, key) in keys().iter().enumerate() {
            let (at, backend) = cluster.backend(key).unwrap();
            backend.key(key).unwrap().value(&handles[at]).unwrap().set(number as u64).unwrap();
        }
        let mut restored = cluster.restart(format, 3).unwrap();
        let handles = restored.register(|backend| backend.register_value(&VALUE)).unwrap();
        for (number, key) in keys().iter().enumerate() {
            let (at, backend) = restored.backend(key).unwrap();
            let found = *backend.key(key).unwrap().value(&handles[at]).unwrap().get().unwrap().unwrap();
            assert_eq!(found, number as u64, "{key:?} in {format:?}");
        }
    }
}

const OPTION: ValueDescriptor<Opt<U64>> = ValueDescriptor::new("option", Opt::new(U64));
const NESTED: ValueDescriptor<Tuple2<Opt<Str>, List<Opt<I64>>>> =
    ValueDescriptor::new("nested", Tuple2(Opt::new(Str), List::new(Opt::new(I64)))).with_ttl(Ttl::new(1000));
const OPTIONS: ListDescriptor<Opt<U64>> = ListDescriptor::new("options", Opt::new(U64));
const TIMED_OPTIONS: ListDescriptor<Opt<U64>> =
    ListDescriptor::new("timed options", Opt::new(U64)).with_ttl(Ttl::new(1000));
const BY_NAME: MapDescriptor<Opt<Str>, Opt<Map<Str, Opt<U64>>>> =
    MapDescriptor::new("by name", Opt::new(Str), Opt::new(Map::new(Str, Opt::new(U64))));
const TIMED_BY_NAME: MapDescriptor<Str, Opt<U64>> =
    MapDescriptor::new("timed by name", Str, Opt::new(U64)).with_ttl(Ttl::new(1000));

pub(super) fn s_31_absent_values_inside_values_survive(config: &BackendConfig) {
    let key = "key".to_owned();
    for format in FORMATS {
        let mut cluster = cluster(config, 1);
        let mut is_restored = false;
        loop {
            let backend = &mut cluster.subtasks[0].keyed;
            let option = backend.register_value(&OPTION).unwrap();
            let nested = backend.register_value(&NESTED).unwrap();
            let options = backend.register_list(&OPTIONS).unwrap();
            let timed_options = backend.register_list(&TIMED_OPTIONS).unwrap();
            let by_name = backend.register_map(&BY_NAME).unwrap();
            let timed_by_name = backend.register_map(&TIMED_BY_NAME).unwrap();
            let mut context = backend.key(&key).unwrap();
            if !is_restored {
                context.value(&option).unwrap().set(None).unwrap();
                context.value(&nested).unwrap().set((None, vec![None, Some(0), None])).unwrap();
                context.list(&options).unwrap().set(vec![None, Some(1), None]).unwrap();
                context.list(&timed_options).unwrap().add(None).unwrap();
                context.map(&by_name).unwrap().put(None, None).unwrap();
                let inner = [("x".to_owned(), None)].into_iter().collect();
                context.map(&by_name).unwrap().put(Some(String::new()), Some(inner)).unwrap();
                context.map(&timed_by_name).unwrap().put(String::new(), None).unwrap();
            }
            assert_eq!(context.value(&option).unwrap().get().unwrap().as_deref(), Some(&None));
            let found = context.value(&nested).unwrap().get().unwrap().map(|value| value.into_owned());
            assert_eq!(found, Some((None, vec![None, Some(0), None])));
            assert_eq!(*context.list(&options).unwrap().get().unwrap(), [None, Some(1), None]);
            assert_eq!(*context.list(&timed_options).unwrap().get().unwrap(), [None]);
            let mut map = context.map(&by_name).unwrap();
            assert!(map.contains(&None).unwrap());
            assert_eq!(map.get(&None).unwrap().map(|value| value.into_owned()), Some(None));
            let inner = map.get(&Some(String::new())).unwrap().unwrap().into_owned().unwrap();
            assert_eq!(inner.into_iter().collect::<Vec<_>>(), [("x".to_owned(), None)]);
            assert_eq!(context.map(&timed_by_name).unwrap().get(&String::new()).unwrap().as_deref(), Some(&None));
            if is_restored {
                break;
            }
            cluster = cluster.restart(format, 1).unwrap();
            is_restored = true;
        }
    }
}
