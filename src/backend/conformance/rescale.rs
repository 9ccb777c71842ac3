//! Restores at other parallelisms.

use std::collections::BTreeMap;

use super::{Cluster, FORMATS, Plan, cluster, keys};
use crate::backend::{BackendConfig, KeyedSnapshotFormat};
use crate::codec::Compression;
use crate::error::ErrorKind;
use crate::serializer::{Bytes, Str, U64};
use crate::state::{
    BroadcastDescriptor, BroadcastState, ListDescriptor, ListState, OperatorListDescriptor, OperatorListState,
    TimeDomain, TimerDescriptor, TimerState, ValueDescriptor, ValueState,
};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const VALUE: ValueDescriptor<U64> = ValueDescriptor::new("value", U64);
const LIST: ListDescriptor<Bytes> = ListDescriptor::new("list", Bytes);
const TIMERS: TimerDescriptor = TimerDescriptor::new("timers");

/// States of one type, registered by each subtask in an order of its own, one of them by one subtask alone.
pub(super) fn s_23_states_are_told_apart_by_name_alone(config: &BackendConfig) {
    for format in FORMATS {
        for rotation in 0..NAMES.len() {
            let mut first = cluster(config, 3);
            for key in keys() {
                let owner = first.owner(&key).unwrap();
                let mut names = NAMES.to_vec();
                names.rotate_left((rotation + owner * 2) % NAMES.len());
                for name in names.into_iter().filter(|name| *name != "e" || owner == 1) {
                    let backend = &mut first.subtasks[owner].keyed;
                    let handle = backend.register_value(&ValueDescriptor::new(name, U64)).unwrap();
                    backend.key(&key).unwrap().value(&handle).unwrap().set(u64::from(name.as_bytes()[0])).unwrap();
                }
            }
            let owners: BTreeMap<String, usize> =
                keys().into_iter().map(|key| (key.clone(), first.owner(&key).unwrap())).collect();
            let mut second = first.restart(format, 2).unwrap();
            for name in ["e", "c", "a", "d", "b"] {
                let descriptor = ValueDescriptor::new(name, U64);
                let handles = second.register(|backend| backend.register_value(&descriptor)).unwrap();
                for key in keys() {
                    let (at, backend) = second.backend(&key).unwrap();
                    let found =
                        backend.key(&key).unwrap().value(&handles[at]).unwrap().get().unwrap().map(|value| *value);
                    let is_there = name != "e" || owners[&key] == 1;
                    assert_eq!(found, is_there.then_some(u64::from(name.as_bytes()[0])), "{name} of {key:?}");
                }
            }
        }
    }
}

fn fill(cluster: &mut Cluster<Str>) {
    let values = cluster.register(|backend| backend.register_value(&VALUE)).unwrap();
    let lists = cluster.register(|backend| backend.register_list(&LIST)).unwrap();
    let timers = cluster.register(|backend| backend.register_timers(&TIMERS)).unwrap();
    for (number, key) in keys().iter().enumerate() {
        let (at, backend) = cluster.backend(key).unwrap();
        let mut context = backend.key(key).unwrap();
        context.value(&values[at]).unwrap().set(number as u64).unwrap();
        context.list(&lists[at]).unwrap().add_all((0..number % 4).map(|size| vec![1; size])).unwrap();
        context.timers(&timers[at]).unwrap().register(TimeDomain::Event, number as i64 - 30).unwrap();
    }
}

/// From every parallelism to every other: the same entries, each in the group of its key, and the same bytes when written
/// canonically. Timers are polled and restored without a current key.
pub(super) fn s_26_every_entry_is_in_the_group_of_its_key(config: &BackendConfig) {
    let mut reference = None;
    for from in 1..=8 {
        let mut first = cluster(config, from);
        fill(&mut first);
        for (format, to) in FORMATS.into_iter().flat_map(|format| (1..=8).map(move |to| (format, to))) {
            let checkpoint = first.checkpoint(format).unwrap();
            let mut second = Cluster::restore(first.plan.clone(), Str, to, &checkpoint).unwrap();
            if to % 2 == 0 {
                let timers = second.register(|backend| backend.register_timers(&TIMERS)).unwrap();
                for (subtask, timers) in second.subtasks.iter_mut().zip(timers) {
                    while let Some(timer) = subtask.keyed.pop_due_timer(&timers, TimeDomain::Event, -20).unwrap() {
                        let mut context = subtask.keyed.key(&timer.key).unwrap();
                        context.timers(&timers).unwrap().register(TimeDomain::Event, timer.timestamp_ms).unwrap();
                        if timer.timestamp_ms == -20 {
                            break;
                        }
                        context.timers(&timers).unwrap().delete(TimeDomain::Event, timer.timestamp_ms).unwrap();
                        context.timers(&timers).unwrap().register(TimeDomain::Processing, timer.timestamp_ms).unwrap();
                        context.timers(&timers).unwrap().delete(TimeDomain::Processing, timer.timestamp_ms).unwrap();
                    }
                }
                continue_check(&mut second);
                continue;
            }
            let canonical = second.checkpoint(KeyedSnapshotFormat::Canonical).unwrap();
            let found = (
                second.plan.dump(&canonical).unwrap(),
                second.plan.manifest(&canonical).unwrap().keyed_digest().unwrap(),
            );
            assert_eq!(found.0["value"].len(), keys().len());
            assert_eq!(found.0["timers"].len(), keys().len());
            assert_eq!(*reference.get_or_insert_with(|| found.clone()), found, "from {from} to {to} by {format:?}");
        }
    }
}

/// Writing checks groups, and so does the dump.
fn continue_check(cluster: &mut Cluster<Str>) {
    let checkpoint = cluster.checkpoint(KeyedSnapshotFormat::Canonical).unwrap();
    let dump = cluster.plan.dump(&checkpoint).unwrap();
    assert!(dump["timers"].len() <= keys().len() && dump["timers"].len() > 40, "{} timers", dump["timers"].len());
}

pub(super) fn s_27_another_max_parallelism_names_both(config: &BackendConfig) {
    for format in FORMATS {
        let mut first = cluster(config, 2);
        fill(&mut first);
        let checkpoint = first.checkpoint(format).unwrap();
        for other in [1, 15, 17, 32_768] {
            let plan = Plan { max_parallelism: other, ..first.plan.clone() };
            let error = Cluster::restore(plan, Str, 1, &checkpoint).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
            for part in ["16", &other.to_string(), super::UID] {
                assert!(error.to_string().contains(part), "{error} does not say {part}");
            }
        }
        let too_many = Cluster::restore(first.plan.clone(), Str, 17, &checkpoint).unwrap_err();
        assert_eq!(too_many.kind(), ErrorKind::InvalidInput, "{too_many}");
    }
}

const SPLIT: OperatorListDescriptor<Bytes> = OperatorListDescriptor::split("split", Bytes);
const UNION: OperatorListDescriptor<U64> = OperatorListDescriptor::union("union", U64);
const EMPTY: OperatorListDescriptor<U64> = OperatorListDescriptor::split("an empty one", U64);
const RULES: BroadcastDescriptor<Str, U64> = BroadcastDescriptor::new("rules", Str, U64);

fn element(number: u64) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(8 + (number % 20) as usize, 0);
    bytes
}

/// Elements put into every operator state of the only subtask.
fn fill_operator(cluster: &mut Cluster<Str>, elements: u64) {
    let operator = &mut cluster.subtasks[0].operator;
    let split = operator.register_list(&SPLIT).unwrap();
    operator.list(&split).unwrap().set((0..elements).map(element).collect()).unwrap();
    let union = operator.register_list(&UNION).unwrap();
    operator.list(&union).unwrap().set((0..elements).collect()).unwrap();
    let rules = operator.register_broadcast(&RULES).unwrap();
    for number in 0..elements {
        operator.broadcast(&rules).unwrap().put(number.to_string(), number).unwrap();
    }
    operator.register_list(&EMPTY).unwrap();
}

/// The elements of the split list, of all subtasks in their order; checks that they are cut evenly.
fn split_elements(cluster: &mut Cluster<Str>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut counts = Vec::new();
    for subtask in &mut cluster.subtasks {
        let handle = subtask.operator.register_list(&SPLIT).unwrap();
        let list = subtask.operator.list(&handle).unwrap();
        all.extend_from_slice(list.get().unwrap());
        counts.push(list.get().unwrap().len());
    }
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "uneven: {counts:?}");
    all
}

fn check_operator(cluster: &mut Cluster<Str>, elements: u64) {
    assert_eq!(split_elements(cluster), (0..elements).map(element).collect::<Vec<_>>());
    let wanted: Vec<u64> = (0..elements).collect();
    let subtasks = cluster.subtasks.len();
    for (index, subtask) in cluster.subtasks.iter_mut().enumerate() {
        let operator = &mut subtask.operator;
        let union = operator.register_list(&UNION).unwrap();
        assert_eq!(operator.list(&union).unwrap().get().unwrap(), wanted, "subtask {index} of {subtasks}");
        // Each keeps its part, so that the next restore puts the whole together again.
        let cut = |index| wanted.len() * index / subtasks;
        operator.list(&union).unwrap().set(wanted[cut(index)..cut(index + 1)].to_vec()).unwrap();
        let rules = operator.register_broadcast(&RULES).unwrap();
        let mut found: Vec<u64> =
            operator.broadcast(&rules).unwrap().entries().unwrap().into_iter().map(|(_, number)| *number).collect();
        found.sort_unstable();
        assert_eq!(found, wanted, "subtask {index} of {subtasks}");
        let empty = operator.register_list(&EMPTY).unwrap();
        assert!(operator.list(&empty).unwrap().get().unwrap().is_empty());
    }
}

fn compressions() -> Vec<Compression> {
    let mut all = vec![Compression::None];
    if cfg!(feature = "lz4") {
        all.push(Compression::Lz4);
    }
    if cfg!(feature = "zstd") {
        all.push(Compression::Zstd);
    }
    all
}

/// 1 to 3 to 2 to 1; split, union, broadcast and empty lists, all in their order.
pub(super) fn s_25_operator_state_is_redistributed(config: &BackendConfig) {
    for compression in compressions() {
        for elements in [0, 1, 6, 10_000] {
            let mut cluster = Cluster::new(Plan { compression, ..Plan::new(config) }, Str, 1).unwrap();
            fill_operator(&mut cluster, elements);
            for parallelism in [3, 2, 1] {
                cluster = cluster.restart(KeyedSnapshotFormat::Canonical, parallelism).unwrap();
                check_operator(&mut cluster, elements);
            }
        }
    }
}

/// The same, through restarts in which nobody registers anything: nothing is lost, nothing multiplies, and the order stays.
pub(super) fn s_25_operator_state_nobody_registers_is_cut_anew(config: &BackendConfig) {
    for compression in compressions() {
        for elements in [0, 1, 6, 10_000] {
            let mut cluster = Cluster::new(Plan { compression, ..Plan::new(config) }, Str, 1).unwrap();
            fill_operator(&mut cluster, elements);
            for parallelism in [3, 3, 2, 1] {
                cluster = cluster.restart(KeyedSnapshotFormat::Native, parallelism).unwrap();
                let carried = cluster.subtasks[0].operator.carried_states().count();
                assert_eq!(carried, if elements == 0 { 0 } else { 3 }, "{elements} elements at {parallelism}");
            }
            check_operator(&mut cluster, elements);
        }
    }
}

/// One restart and another at the same parallelism: every element is where it was, in its order, registered or not.
pub(super) fn s_25_operator_lists_stay_at_unchanged_parallelism(config: &BackendConfig) {
    const SPLIT: OperatorListDescriptor<U64> = OperatorListDescriptor::split("stays", U64);
    for registers in [true, false] {
        let mut cluster = Cluster::new(Plan::new(config), Str, 3).unwrap();
        let handles = cluster.register_operator(|operator| operator.register_list(&SPLIT)).unwrap();
        let elements =
            |subtask: usize| -> Vec<u64> { (0..[5, 0, 9][subtask]).map(|it| 100 * subtask as u64 + it).collect() };
        for (at, handle) in handles.iter().enumerate() {
            cluster.subtasks[at].operator.list(handle).unwrap().set(elements(at)).unwrap();
        }
        for restart in 1..=2 {
            cluster = cluster.restart(KeyedSnapshotFormat::Native, 3).unwrap();
            if registers || restart == 2 {
                let handles = cluster.register_operator(|operator| operator.register_list(&SPLIT)).unwrap();
                for (at, handle) in handles.iter().enumerate() {
                    let list = cluster.subtasks[at].operator.list(handle).unwrap();
                    assert_eq!(list.get().unwrap(), elements(at), "restart {restart}, subtask {at}");
                }
            }
        }
    }
}
