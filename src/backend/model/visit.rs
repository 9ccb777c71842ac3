//! Visits of whole states, compared with the model.

use std::collections::{BTreeMap, BTreeSet};

use super::super::conformance::Cluster;
use super::expected::{Address, Model, SetTimer};
use super::states::{Id, Numbered, Registered, SumAndCount};
use crate::backend::KeyedBackend;
use crate::backend::handle::KeyedHandle;
use crate::key_group::MaxParallelism;
use crate::serializer::Str;
use crate::state::{Aggregate, TimeDomain};

/// A namespace as the model has it.
trait Namespace {
    fn number(&self) -> i64;
}

impl Namespace for () {
    fn number(&self) -> i64 {
        0
    }
}

impl Namespace for i64 {
    fn number(&self) -> i64 {
        *self
    }
}

/// What visits of one state showed.
struct Seen {
    state: Id,
    max: MaxParallelism,
    entries: BTreeMap<Address, Vec<u64>>,
    keys: BTreeSet<(String, i64)>,
    timers: BTreeSet<SetTimer>,
}

impl Seen {
    fn address(&self, key: &str, namespace: &impl Namespace, user_key: &str) -> Address {
        let (key, namespace, user_key) = (key.to_owned(), namespace.number(), user_key.to_owned());
        Address { state: self.state, key, namespace, user_key }
    }

    fn entry(&mut self, key: &str, namespace: &impl Namespace, user_key: &str, numbers: Vec<u64>) {
        let at = self.address(key, namespace, user_key);
        assert!(self.entries.insert(at.clone(), numbers).is_none(), "{at:?} is visited twice");
    }

    fn timer(&mut self, key: &str, namespace: &impl Namespace, domain: TimeDomain, timestamp_ms: i64) {
        let at = self.address(key, namespace, "");
        assert!(self.timers.insert(SetTimer::new(&at, domain, timestamp_ms, self.max)), "{at:?} is visited twice");
    }

    fn visit_keys<N>(&mut self, backend: &KeyedBackend<Str>, handle: &impl KeyedHandle<N>)
    where
        N: Namespace + crate::backend::Key,
    {
        let add = |key: &String, namespace: &N| {
            assert!(self.keys.insert((key.clone(), namespace.number())), "{key:?} is visited twice");
        };
        backend.for_each_key(handle, add).unwrap();
    }

    /// Visits the state on one subtask.
    fn visit(&mut self, backend: &KeyedBackend<Str>, registered: &Registered, subtask: usize) {
        macro_rules! visit {
            ($visit:ident($state:ident, $key:ident, $namespace:ident $(, $part:ident)*) => $user_key:expr, $numbers:expr) => {{
                let handle = &registered.$state[subtask];
                backend
                    .$visit(handle, |$key, $namespace $(, $part)*| self.entry($key, $namespace, $user_key, $numbers))
                    .unwrap();
                self.visit_keys(backend, handle);
            }};
        }
        macro_rules! value {
            ($state:ident) => {
                visit!(for_each_value($state, key, namespace, value) => "", vec![Numbered::number(value)])
            };
        }
        macro_rules! list {
            ($state:ident) => {{
                let handle = &registered.$state[subtask];
                let numbers = |list: &[_]| list.iter().map(Numbered::number).collect();
                backend
                    .for_each_list(handle, |key, namespace, list| self.entry(key, namespace, "", numbers(list)))
                    .unwrap();
                self.visit_keys(backend, handle);
            }};
        }
        macro_rules! map {
            ($state:ident) => {
                visit!(for_each_map_entry($state, key, namespace, user_key, value) => user_key, vec![Numbered::number(value)])
            };
        }
        macro_rules! sum {
            ($state:ident) => {
                visit!(for_each_reduced($state, key, namespace, sum) => "", vec![*sum])
            };
        }
        macro_rules! accumulator {
            ($state:ident) => {
                visit!(for_each_accumulator($state, key, namespace, sum) => "", vec![SumAndCount::result(sum)])
            };
        }
        macro_rules! timers {
            ($state:ident) => {{
                let add = |key: &String, namespace: &_, domain, at| self.timer(key, namespace, domain, at);
                backend.for_each_timer(&registered.$state[subtask], add).unwrap()
            }};
        }
        match self.state {
            Id::value => value!(value),
            Id::expiring_value => value!(expiring_value),
            Id::touched_value => value!(touched_value),
            Id::lingering_value => value!(lingering_value),
            Id::bytes_value => value!(bytes_value),
            Id::list => list!(list),
            Id::expiring_list => list!(expiring_list),
            Id::lingering_list => list!(lingering_list),
            Id::map => map!(map),
            Id::expiring_map => map!(expiring_map),
            Id::touched_map => map!(touched_map),
            Id::reducing => sum!(reducing),
            Id::expiring_reducing => sum!(expiring_reducing),
            Id::aggregating => accumulator!(aggregating),
            Id::touched_aggregating => accumulator!(touched_aggregating),
            Id::timers => timers!(timers),
            Id::window_timers => timers!(window_timers),
        }
    }
}

/// Compares one registered state of the whole cluster with the model.
pub(super) fn check(state: Id, cluster: &Cluster<Str>, registered: &Registered, model: &Model) {
    let max = MaxParallelism::new(cluster.plan.max_parallelism).unwrap();
    let mut seen = Seen { state, max, entries: BTreeMap::new(), keys: BTreeSet::new(), timers: BTreeSet::new() };
    for (subtask, it) in cluster.subtasks.iter().enumerate() {
        let before: BTreeSet<String> = seen.keys.iter().map(|(key, _)| key.clone()).collect();
        seen.visit(&it.keyed, registered, subtask);
        for (key, _) in seen.keys.iter().filter(|(key, _)| !before.contains(key)) {
            assert_eq!(cluster.owner(key).unwrap(), subtask, "{key:?} of {state:?} is on the wrong subtask");
        }
    }
    model.check_visit(state, &seen.entries);
    model.check_keys(state, &seen.keys);
    let expected: BTreeSet<SetTimer> = model.timers.iter().filter(|timer| timer.state == state).cloned().collect();
    assert_eq!(seen.timers, expected, "{state:?}");
}
