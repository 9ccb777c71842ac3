//! Registration, handles and names.

use super::{Cluster, FORMATS, Plan, cluster, single};
use crate::backend::BackendConfig;
use crate::error::ErrorKind;
use crate::ids::MAX_NAME_BYTES;
use crate::serializer::{I64, Str, U32, U64};
use crate::state::{
    ListDescriptor, MapDescriptor, OperatorListDescriptor, ReducingDescriptor, TimerDescriptor, Ttl, ValueDescriptor,
    ValueState,
};

const VALUE: ValueDescriptor<U64> = ValueDescriptor::new("state", U64);

pub(super) fn registering_twice_is_registering_once(config: &BackendConfig) {
    let mut backend = single(config);
    let first = backend.register_value(&VALUE).unwrap();
    let second = backend.register_value(&VALUE).unwrap();
    let key = "key".to_owned();
    backend.key(&key).unwrap().value(&first).unwrap().set(7).unwrap();
    assert_eq!(backend.key(&key).unwrap().value(&second).unwrap().get().unwrap().as_deref(), Some(&7));
    assert_eq!(backend.snapshot().unwrap().states().len(), 1);
}

pub(super) fn a_name_means_one_state(config: &BackendConfig) {
    let mut cluster = cluster(config, 1);
    let subtask = &mut cluster.subtasks[0];
    let backend = &mut subtask.keyed;
    let handle = backend.register_value(&VALUE).unwrap();
    let errors = [
        backend.register_value(&ValueDescriptor::new("state", U32)).unwrap_err(),
        backend.register_value(&ValueDescriptor::in_namespaces("state", U64, I64)).unwrap_err(),
        backend.register_value(&VALUE.with_ttl(Ttl::new(5))).unwrap_err(),
        backend.register_list(&ListDescriptor::new("state", U64)).unwrap_err(),
        backend.register_map(&MapDescriptor::new("state", U64, U64)).unwrap_err(),
        backend.register_reducing(&ReducingDescriptor::new("state", U64, |_, _| {})).unwrap_err(),
        backend.register_timers(&TimerDescriptor::new("state")).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        for part in ["\"state\"", "already registered", "another name", super::UID] {
            assert!(error.to_string().contains(part), "{error} does not say {part}");
        }
    }
    let key = "key".to_owned();
    backend.key(&key).unwrap().value(&handle).unwrap().set(1).unwrap();
    subtask.operator.register_list(&OperatorListDescriptor::split("other", U64)).unwrap();
    let error = subtask.operator.register_list(&OperatorListDescriptor::union("other", U64)).unwrap_err();
    assert!(error.to_string().contains("already registered"), "{error}");
}

pub(super) fn foreign_handles_are_refused(config: &BackendConfig) {
    let mut other = single(config);
    let numbers = other.register_value(&VALUE).unwrap();
    let second = other.register_list(&ListDescriptor::new("second", U64)).unwrap();
    let timers = other.register_timers(&TimerDescriptor::new("timers")).unwrap();
    let mut backend = single(config);
    let texts = backend.register_value(&ValueDescriptor::new("text", Str)).unwrap();
    let key = "key".to_owned();
    backend.key(&key).unwrap().value(&texts).unwrap().set("kept".to_owned()).unwrap();
    let mut context = backend.key(&key).unwrap();
    let errors = [
        context.value(&numbers).err().unwrap(),
        context.list(&second).err().unwrap(),
        context.timers(&timers).err().unwrap(),
        backend.for_each_value(&numbers, |_, (), _| panic!("visited")).unwrap_err(),
        backend.for_each_key(&second, |_, ()| panic!("visited")).unwrap_err(),
        backend.next_timer_ms(&timers, crate::state::TimeDomain::Event).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("not issued by this backend"), "{error}");
    }
    let found = backend.key(&key).unwrap().value(&texts).unwrap().get().unwrap().map(|text| text.into_owned());
    assert_eq!(found.as_deref(), Some("kept"));
}

pub(super) fn keys_of_other_subtasks_are_refused(config: &BackendConfig) {
    let mut cluster = cluster(config, 4);
    for key in super::keys() {
        let owner = cluster.owner(&key).unwrap();
        for (index, subtask) in cluster.subtasks.iter_mut().enumerate() {
            match subtask.keyed.key(&key) {
                Ok(_) => assert_eq!(index, owner),
                Err(error) => {
                    assert_ne!(index, owner);
                    assert_eq!(error.kind(), ErrorKind::InvalidInput);
                    assert_eq!(error.place().operator.as_deref(), Some(super::UID));
                    assert!(error.place().key_group.is_some() && error.to_string().contains("key group"), "{error}");
                }
            }
        }
    }
}

/// Refused at registration, or kept exactly.
pub(super) fn s_36_odd_state_names(config: &BackendConfig) {
    let longest: &'static str = Box::leak("n".repeat(MAX_NAME_BYTES).into_boxed_str());
    let too_long: &'static str = Box::leak("n".repeat(MAX_NAME_BYTES + 1).into_boxed_str());
    for name in ["", "nul\0", "new\nline", "\u{7F}", too_long] {
        let mut cluster = cluster(config, 1);
        let error = cluster.subtasks[0].keyed.register_value(&ValueDescriptor::new(name, U64)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let operator = &mut cluster.subtasks[0].operator;
        let error = operator.register_list(&OperatorListDescriptor::split(name, U64)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    let names = [
        "default",
        "Default",
        "DEFAULT",
        " ",
        "state ",
        "state",
        "../state",
        "a/b",
        "a\\b",
        ".",
        "..",
        "_metadata",
        "caf\u{E9}",
        "cafe\u{301}",
        "\u{10FFFF}",
        "%00",
        longest,
    ];
    let key = "key".to_owned();
    for format in FORMATS {
        let mut cluster = cluster(config, 1);
        for (number, name) in names.into_iter().enumerate() {
            let backend = &mut cluster.subtasks[0].keyed;
            let handle = backend.register_value(&ValueDescriptor::new(name, U64)).unwrap();
            backend.key(&key).unwrap().value(&handle).unwrap().set(number as u64).unwrap();
        }
        let mut restored = cluster.restart(format, 1).unwrap();
        for (number, name) in names.into_iter().enumerate().rev() {
            let backend = &mut restored.subtasks[0].keyed;
            let handle = backend.register_value(&ValueDescriptor::new(name, U64)).unwrap();
            let found = backend.key(&key).unwrap().value(&handle).unwrap().get().unwrap().map(|value| *value);
            assert_eq!(found, Some(number as u64), "{name:?} in {format:?}");
        }
        assert!(restored.subtasks[0].keyed.carried_states().is_empty());
    }
}

/// Operators whose names differ in case or normalization only, or not at all, at work and restored side by side.
pub(super) fn s_22_operators_with_like_names_in_one_process(config: &BackendConfig) {
    let uids = ["op", "OP", "Op", "op ", "caf\u{E9}", "cafe\u{301}", "op", "op"];
    let key = "key".to_owned();
    let plans: Vec<Plan> = uids.iter().map(|uid| Plan { operator: (*uid).to_owned(), ..Plan::new(config) }).collect();
    for format in FORMATS {
        let checkpoints: Vec<_> = std::thread::scope(|scope| {
            let work = |number: u64, plan: Plan| {
                let mut cluster = Cluster::new(plan, Str, 1).unwrap();
                let backend = &mut cluster.subtasks[0].keyed;
                let handle = backend.register_value(&VALUE).unwrap();
                backend.key(&key).unwrap().value(&handle).unwrap().set(number).unwrap();
                cluster.checkpoint(format).unwrap()
            };
            let work: Vec<_> =
                (0..).zip(&plans).map(|(number, plan)| scope.spawn(move || work(number, plan.clone()))).collect();
            work.into_iter().map(|work| work.join().unwrap()).collect()
        });
        for (number, (plan, checkpoint)) in plans.iter().zip(checkpoints).enumerate() {
            let mut restored = Cluster::restore(plan.clone(), Str, 1, &checkpoint).unwrap();
            let backend = &mut restored.subtasks[0].keyed;
            let handle = backend.register_value(&VALUE).unwrap();
            let found = backend.key(&key).unwrap().value(&handle).unwrap().get().unwrap().map(|value| *value);
            assert_eq!(found, Some(number as u64));
            let stranger = Plan { operator: "stranger".to_owned(), ..plan.clone() };
            let error = Cluster::restore(stranger, Str, 1, &checkpoint).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.to_string().contains(uids[number]), "{error} names no {:?}", uids[number]);
        }
    }
}
