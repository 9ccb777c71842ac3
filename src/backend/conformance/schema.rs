//! Types that change between one version of a program and the next.

use serde::{Deserialize, Serialize};

use super::{Cluster, FORMATS, cluster, keys};
use crate::backend::{BackendConfig, KeyedSnapshotFormat};
use crate::error::{Error, ErrorKind};
use crate::serializer::{I64, Msgpack, Opt, Str, Tuple2, U32, U64};
use crate::state::{
    BroadcastDescriptor, BroadcastState, ListDescriptor, ListState, MapDescriptor, MapState, OperatorListDescriptor,
    OperatorListState, ReducingDescriptor, TimerDescriptor, TimerState, ValueDescriptor, ValueState,
};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Plane {
    flights: u32,
    retired: bool,
    last: String,
}

/// `retired` removed, `airline` and `seats` added, the others in another order and one of them wider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct NewPlane {
    #[serde(default)]
    airline: String,
    last: String,
    seats: Option<u16>,
    flights: u64,
}

/// `flights` is a text, `home` has no default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct OtherPlane {
    flights: String,
    last: String,
    home: String,
}

const OLD: ValueDescriptor<Msgpack<Plane>> = ValueDescriptor::new("plane", Msgpack::new());
const NEW: ValueDescriptor<Msgpack<NewPlane>> = ValueDescriptor::new("plane", Msgpack::new());
const OTHER: ValueDescriptor<Msgpack<OtherPlane>> = ValueDescriptor::new("plane", Msgpack::new());
const OLD_LIST: ListDescriptor<Msgpack<Plane>> = ListDescriptor::new("planes", Msgpack::new());
const NEW_LIST: ListDescriptor<Msgpack<NewPlane>> = ListDescriptor::new("planes", Msgpack::new());
const OLD_MAP: MapDescriptor<Str, Tuple2<Opt<Msgpack<Plane>>, U64>> =
    MapDescriptor::new("by tail", Str, Tuple2(Opt::new(Msgpack::new()), U64));
const NEW_MAP: MapDescriptor<Str, Tuple2<Opt<Msgpack<NewPlane>>, U64>> =
    MapDescriptor::new("by tail", Str, Tuple2(Opt::new(Msgpack::new()), U64));

fn plane(number: u32) -> Plane {
    Plane { flights: number, retired: number.is_multiple_of(2), last: format!("airport {number}") }
}

fn new_plane(number: u32) -> NewPlane {
    NewPlane { airline: String::new(), last: format!("airport {number}"), seats: None, flights: u64::from(number) }
}

fn filled(config: &BackendConfig) -> Cluster<Str> {
    let mut cluster = cluster(config, 2);
    let values = cluster.register(|backend| backend.register_value(&OLD)).unwrap();
    let lists = cluster.register(|backend| backend.register_list(&OLD_LIST)).unwrap();
    let maps = cluster.register(|backend| backend.register_map(&OLD_MAP)).unwrap();
    for (number, key) in (0..).zip(keys()) {
        let (at, backend) = cluster.backend(&key).unwrap();
        let mut context = backend.key(&key).unwrap();
        context.value(&values[at]).unwrap().set(plane(number)).unwrap();
        context.list(&lists[at]).unwrap().add_all([plane(number), plane(number + 1)]).unwrap();
        context.map(&maps[at]).unwrap().put("some".to_owned(), (Some(plane(number)), 1)).unwrap();
        context.map(&maps[at]).unwrap().put("none".to_owned(), (None, 2)).unwrap();
    }
    cluster
}

/// Migrated at the first restart, read as it then is at the second; from both formats.
pub(super) fn fields_may_come_go_and_move(config: &BackendConfig) {
    for format in FORMATS {
        let mut cluster = filled(config);
        for restart in 0..2 {
            cluster = cluster.restart(format, 3 - restart).unwrap();
            let values = cluster.register(|backend| backend.register_value(&NEW)).unwrap();
            let lists = cluster.register(|backend| backend.register_list(&NEW_LIST)).unwrap();
            let maps = cluster.register(|backend| backend.register_map(&NEW_MAP)).unwrap();
            for (number, key) in (0..).zip(keys()) {
                let (at, backend) = cluster.backend(&key).unwrap();
                let mut context = backend.key(&key).unwrap();
                let value = context.value(&values[at]).unwrap().get().unwrap().map(|value| value.into_owned());
                assert_eq!(value, Some(new_plane(number)), "restart {restart}, {format:?}");
                let list = context.list(&lists[at]).unwrap().get().unwrap().into_owned();
                assert_eq!(list, [new_plane(number), new_plane(number + 1)]);
                let mut map = context.map(&maps[at]).unwrap();
                let some = map.get(&"some".to_owned()).unwrap().map(|value| value.into_owned());
                assert_eq!(some, Some((Some(new_plane(number)), 1)));
                let none = map.get(&"none".to_owned()).unwrap().map(|value| value.into_owned());
                assert_eq!(none, Some((None, 2)));
            }
        }
    }
}

/// Says who, what, and both sides.
fn check_refusal(error: &Error, state: &str, parts: &[&str]) {
    assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    assert_eq!(error.place().operator.as_deref(), Some(super::UID), "{error}");
    assert_eq!(error.place().state.as_deref(), Some(state), "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{error} does not say {part}");
    }
}

/// At registration, before a record is processed; the state stays carried and a type that fits still gets it.
pub(super) fn types_that_do_not_fit_are_refused_with_both(config: &BackendConfig) {
    for format in FORMATS {
        let mut cluster = filled(config).restart(format, 1).unwrap();
        let backend = &mut cluster.subtasks[0].keyed;
        let error = backend.register_value(&OTHER).unwrap_err();
        check_refusal(&error, "plane", &["flights", "u32", "string", "home"]);
        let error = backend.register_value(&ValueDescriptor::new("plane", U32)).unwrap_err();
        check_refusal(&error, "plane", &["flights", "u32", "was", "now"]);
        let error = backend.register_list(&ListDescriptor::new("planes", Str)).unwrap_err();
        check_refusal(&error, "planes", &["element", "flights", "now string"]);
        let error = backend.register_map(&MapDescriptor::new("by tail", Str, U64)).unwrap_err();
        check_refusal(&error, "by tail", &["value", "flights", "u64"]);
        assert_eq!(backend.carried_states().len(), 3);
        let checkpoint = cluster.checkpoint(KeyedSnapshotFormat::Canonical).unwrap();
        assert_eq!(cluster.plan.dump(&checkpoint).unwrap()["plane"].len(), keys().len());
        let backend = &mut cluster.subtasks[0].keyed;
        let handle = backend.register_value(&NEW).unwrap();
        let mut entries = 0;
        backend.for_each_value(&handle, |_, (), _| entries += 1).unwrap();
        assert_eq!(entries, keys().len());
    }
}

const IN_NAMESPACE: ValueDescriptor<U64, Msgpack<Plane>> =
    ValueDescriptor::in_namespaces("in namespace", U64, Msgpack::new());
const BY_PLANE: MapDescriptor<Msgpack<Plane>, U64> = MapDescriptor::new("by plane", Msgpack::new(), U64);
const PLANE_TIMERS: TimerDescriptor<Msgpack<Plane>> = TimerDescriptor::in_namespaces("plane timers", Msgpack::new());

/// Their bytes decide where entries belong, so that not even a change that could be read is accepted.
pub(super) fn keys_and_namespaces_stay_as_they_are(config: &BackendConfig) {
    for format in FORMATS {
        let mut cluster = cluster(config, 1);
        let backend = &mut cluster.subtasks[0].keyed;
        let in_namespace = backend.register_value(&IN_NAMESPACE).unwrap();
        let by_plane = backend.register_map(&BY_PLANE).unwrap();
        let timers = backend.register_timers(&PLANE_TIMERS).unwrap();
        let key = "key".to_owned();
        let mut context = backend.key(&key).unwrap();
        context.value_in(&in_namespace, &plane(1)).unwrap().set(1).unwrap();
        context.map(&by_plane).unwrap().put(plane(1), 1).unwrap();
        context.timers_in(&timers, &plane(1)).unwrap().register(crate::state::TimeDomain::Event, 1).unwrap();
        let checkpoint = cluster.checkpoint(format).unwrap();

        let error = Cluster::restore(cluster.plan.clone(), I64, 1, &checkpoint).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        for part in ["keys", "string", "i64", super::UID] {
            assert!(error.to_string().contains(part), "{error} does not say {part}");
        }

        let mut restored = Cluster::restore(cluster.plan, Str, 1, &checkpoint).unwrap();
        let backend = &mut restored.subtasks[0].keyed;
        let changed = ValueDescriptor::in_namespaces("in namespace", U64, Msgpack::<NewPlane>::new());
        check_refusal(
            &backend.register_value(&changed).unwrap_err(),
            "in namespace",
            &["namespace", "cannot be migrated"],
        );
        let changed = MapDescriptor::new("by plane", Msgpack::<NewPlane>::new(), U64);
        check_refusal(&backend.register_map(&changed).unwrap_err(), "by plane", &["user key", "cannot be migrated"]);
        let changed = TimerDescriptor::in_namespaces("plane timers", Msgpack::<NewPlane>::new());
        check_refusal(
            &backend.register_timers(&changed).unwrap_err(),
            "plane timers",
            &["namespace", "cannot be migrated"],
        );
        let changed = TimerDescriptor::in_namespaces("plane timers", U64);
        check_refusal(&backend.register_timers(&changed).unwrap_err(), "plane timers", &["namespace", "u64"]);
        assert_eq!(backend.carried_states().len(), 3);
        backend.register_value(&IN_NAMESPACE).unwrap();
        backend.register_map(&BY_PLANE).unwrap();
        backend.register_timers(&PLANE_TIMERS).unwrap();
    }
}

pub(super) fn kinds_stay_as_they_are(config: &BackendConfig) {
    for format in FORMATS {
        let mut cluster = filled(config).restart(format, 1).unwrap();
        let backend = &mut cluster.subtasks[0].keyed;
        let as_list = backend.register_list(&ListDescriptor::new("plane", Msgpack::<Plane>::new())).unwrap_err();
        check_refusal(&as_list, "plane", &["holds value state", "registers list state"]);
        let as_value = backend.register_value(&ValueDescriptor::new("by tail", U64)).unwrap_err();
        check_refusal(&as_value, "by tail", &["holds map state", "registers value state"]);
        let reducing = ReducingDescriptor::new("plane", Msgpack::<Plane>::new(), |_, _| {});
        check_refusal(&backend.register_reducing(&reducing).unwrap_err(), "plane", &["value state", "reducing state"]);
        let timers = backend.register_timers(&TimerDescriptor::new("planes")).unwrap_err();
        check_refusal(&timers, "planes", &["list state", "timer state"]);
    }
}

pub(super) fn operator_state_changes_its_types_alike(config: &BackendConfig) {
    let mut cluster = cluster(config, 2);
    for subtask in &mut cluster.subtasks {
        let operator = &mut subtask.operator;
        let list = operator.register_list(&OperatorListDescriptor::split("list", Msgpack::<Plane>::new())).unwrap();
        operator.list(&list).unwrap().set(vec![plane(1), plane(1)]).unwrap();
        let rules = BroadcastDescriptor::new("rules", Str, Msgpack::<Plane>::new());
        let rules = operator.register_broadcast(&rules).unwrap();
        operator.broadcast(&rules).unwrap().put("rule".to_owned(), plane(2)).unwrap();
    }
    let mut cluster = cluster.restart(KeyedSnapshotFormat::Canonical, 3).unwrap();
    for subtask in &mut cluster.subtasks {
        let operator = &mut subtask.operator;
        let other = operator.register_list(&OperatorListDescriptor::split("list", U64)).unwrap_err();
        check_refusal(&other, "list", &["flights", "u64"]);
        let other =
            operator.register_list(&OperatorListDescriptor::split("rules", Msgpack::<Plane>::new())).unwrap_err();
        check_refusal(&other, "rules", &["broadcast state", "operator-list state"]);
        let other = BroadcastDescriptor::new("rules", U64, Msgpack::<Plane>::new());
        check_refusal(&operator.register_broadcast(&other).unwrap_err(), "rules", &["key", "string", "u64"]);
        let list = operator.register_list(&OperatorListDescriptor::split("list", Msgpack::<NewPlane>::new())).unwrap();
        for found in operator.list(&list).unwrap().get().unwrap() {
            assert_eq!(*found, new_plane(1));
        }
        let rules = BroadcastDescriptor::new("rules", Str, Msgpack::<NewPlane>::new());
        let rules = operator.register_broadcast(&rules).unwrap();
        assert_eq!(operator.broadcast(&rules).unwrap().get(&"rule".to_owned()).unwrap(), Some(&new_plane(2)));
    }
}
