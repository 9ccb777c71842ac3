//! Timers taken out in order, and checkpoints compared as a whole.

use super::super::conformance::{Cluster, Plan};
use super::expected::{Address, Model, SetTimer};
use super::states::{ALL, Id, Kind, Registered};
use super::visit;
use crate::backend::{BackendConfig, KeyedSnapshotFormat};
use crate::key_group::MaxParallelism;
use crate::serializer::Str;
use crate::state::TimeDomain;
use crate::storage::ObjectPath;

/// Which timers to take out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) state: Id,
    pub(super) subtask: usize,
    pub(super) domain: TimeDomain,
    pub(super) up_to_ms: i64,
    /// How many at most.
    pub(super) most: usize,
}

/// Takes the timers of one subtask out that are due, and compares them with those of the model in order.
pub(super) fn pop_due(cluster: &mut Cluster<Str>, registered: &Registered, model: &mut Model, due: Due) {
    let Due { state, subtask, domain, up_to_ms, most } = due;
    let max = MaxParallelism::new(cluster.plan.max_parallelism).unwrap();
    let owned: Vec<SetTimer> =
        model.due(state, domain).filter(|timer| cluster.owner(&timer.key).unwrap() == subtask).cloned().collect();
    let backend = &mut cluster.subtasks[subtask].keyed;
    let next = match state {
        Id::timers => backend.next_timer_ms(&registered.timers[subtask], domain).unwrap(),
        _ => backend.next_timer_ms(&registered.window_timers[subtask], domain).unwrap(),
    };
    assert_eq!(next, owned.first().map(|timer| timer.timestamp_ms), "next timer of {state:?} on {subtask}");
    let mut expected = owned.into_iter().take_while(|timer| timer.timestamp_ms <= up_to_ms);
    for _ in 0..most {
        let due = match state {
            Id::timers => {
                let timer = backend.pop_due_timer(&registered.timers[subtask], domain, up_to_ms).unwrap();
                timer.map(|timer| (timer.key, 0, timer.timestamp_ms))
            }
            _ => {
                let timer = backend.pop_due_timer(&registered.window_timers[subtask], domain, up_to_ms).unwrap();
                timer.map(|timer| (timer.key, timer.namespace, timer.timestamp_ms))
            }
        };
        let found = due.map(|(key, namespace, timestamp_ms)| {
            SetTimer::new(&Address { state, key, namespace, user_key: String::new() }, domain, timestamp_ms, max)
        });
        let wanted = expected.next();
        assert_eq!(found, wanted, "due timer of {state:?} on {subtask} up to {up_to_ms}");
        match wanted {
            Some(timer) => model.timers.remove(&timer),
            None => return,
        };
    }
}

/// Restores a checkpoint beside the job and compares everything in it with the model's copy.
pub(super) fn compare(plan: &Plan, checkpoint: &ObjectPath, parallelism: u32, mut model: Model, now_ms: i64) {
    model.set_ms(now_ms);
    let mut cluster = Cluster::restore(plan.clone(), Str, parallelism, checkpoint).unwrap();
    let mut registered = Registered::default();
    for state in ALL {
        registered.register(*state, &mut cluster);
        visit::check(*state, &cluster, &registered, &model);
    }
    for state in ALL.iter().filter(|state| state.kind() == Kind::Timer) {
        for subtask in 0..cluster.subtasks.len() {
            for domain in [TimeDomain::Event, TimeDomain::Processing] {
                let all = Due { state: *state, subtask, domain, up_to_ms: i64::MAX, most: usize::MAX };
                pop_due(&mut cluster, &registered, &mut model, all);
            }
        }
    }
    assert!(model.timers.is_empty());
}

/// Restores a checkpoint on every backend, with nothing registered, and compares what they write in canonical bytes.
pub(super) fn check_same_bytes(plan: &Plan, configs: &[BackendConfig], checkpoint: &ObjectPath, parallelism: u32) {
    let digest = |config: &BackendConfig| {
        let plan = plan.clone().with_config(config.clone());
        let mut cluster = Cluster::restore(plan, Str, parallelism, checkpoint).unwrap();
        let again = cluster.checkpoint(KeyedSnapshotFormat::Canonical).unwrap();
        cluster.plan.manifest(&again).unwrap().keyed_digest().unwrap()
    };
    let digests: Vec<_> = configs.iter().map(digest).collect();
    assert!(digests.iter().all(|other| *other == digests[0]), "{checkpoint} is not the same bytes on every backend");
}
