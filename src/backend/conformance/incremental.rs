//! Snapshots that refer to what earlier ones stored.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cluster, Plan, Taken, cluster};
use crate::backend::handle::{ListHandle, TimerHandle, ValueHandle};
use crate::backend::{BackendConfig, KeyedSnapshotFormat, SnapshotVersion};
use crate::error::ErrorKind;
use crate::format::manifest::{ObjectRef, ObjectScope};
use crate::random::{RandomSource, SeededRandom};
use crate::serializer::{Str, U64};
use crate::state::{ListDescriptor, ListState, TimeDomain, TimerDescriptor, TimerState, ValueDescriptor, ValueState};
use crate::storage::ObjectPath;

const VALUE: ValueDescriptor<Str> = ValueDescriptor::new("value", Str);
const LIST: ListDescriptor<U64> = ListDescriptor::new("list", U64);
const TIMERS: TimerDescriptor = TimerDescriptor::new("timers");

const INCREMENTAL: KeyedSnapshotFormat = KeyedSnapshotFormat::Incremental;

/// By key: value, elements, moments of timers.
type Content = BTreeMap<String, (Option<String>, Vec<u64>, BTreeSet<i64>)>;

struct Job {
    cluster: Cluster<Str>,
    values: Vec<ValueHandle<String>>,
    lists: Vec<ListHandle<u64>>,
    timers: Vec<TimerHandle>,
}

/// A checkpoint that was written, and what it must restore to.
struct Stored {
    checkpoint: ObjectPath,
    versions: Vec<SnapshotVersion>,
    expected: Content,
}

impl Job {
    fn over(mut cluster: Cluster<Str>) -> Job {
        let values = cluster.register(|backend| backend.register_value(&VALUE)).unwrap();
        let lists = cluster.register(|backend| backend.register_list(&LIST)).unwrap();
        let timers = cluster.register(|backend| backend.register_timers(&TIMERS)).unwrap();
        Job { cluster, values, lists, timers }
    }

    fn filled(config: &BackendConfig, parallelism: u32, keys: u64) -> Job {
        let mut job = Job::over(cluster(config, parallelism));
        (0..keys).for_each(|number| job.set(number, 0));
        job
    }

    fn set(&mut self, number: u64, round: u64) {
        let key = format!("key-{number}");
        let (at, backend) = self.cluster.backend(&key).unwrap();
        let text = format!("{number}/{round} {}", "x".repeat(100));
        backend.key(&key).unwrap().value(&self.values[at]).unwrap().set(text).unwrap();
    }

    /// One change of some kind.
    fn change(&mut self, random: &SeededRandom, round: u64) {
        let drawn = random.next_u128().unwrap() as u64;
        let key = format!("key-{}", drawn % 50);
        let (at, backend) = self.cluster.backend(&key).unwrap();
        let mut context = backend.key(&key).unwrap();
        let moment = (drawn >> 16) as i64 % 5;
        match (drawn >> 8) % 8 {
            0 => context.value(&self.values[at]).unwrap().clear().unwrap(),
            1 => context
                .value(&self.values[at])
                .unwrap()
                .update(|value| *value = value.take().map(|it| it + "!"))
                .unwrap(),
            2 => context.list(&self.lists[at]).unwrap().add(round).unwrap(),
            3 => context.list(&self.lists[at]).unwrap().clear().unwrap(),
            4 => drop(context.timers(&self.timers[at]).unwrap().register(TimeDomain::Event, moment).unwrap()),
            5 => drop(context.timers(&self.timers[at]).unwrap().delete(TimeDomain::Event, moment).unwrap()),
            6 => drop(backend.pop_due_timer(&self.timers[at], TimeDomain::Event, moment).unwrap()),
            _ => self.set(drawn % 50, round),
        }
    }

    fn content(&self) -> Content {
        let mut content = Content::new();
        for (at, subtask) in self.cluster.subtasks.iter().enumerate() {
            let backend = &subtask.keyed;
            let value = |key: &String, (): &(), value: &String| {
                content.entry(key.clone()).or_default().0 = Some(value.clone());
            };
            backend.for_each_value(&self.values[at], value).unwrap();
            let list = |key: &String, (): &(), elements: &[u64]| {
                content.entry(key.clone()).or_default().1 = elements.to_vec();
            };
            backend.for_each_list(&self.lists[at], list).unwrap();
            let timer = |key: &String, (): &(), _, moment| {
                content.entry(key.clone()).or_default().2.insert(moment);
            };
            backend.for_each_timer(&self.timers[at], timer).unwrap();
        }
        content
    }

    fn store(&mut self) -> Stored {
        let (taken, expected) = (self.cluster.take().unwrap(), self.content());
        let versions = taken.versions();
        Stored { checkpoint: self.cluster.publish(taken, INCREMENTAL).unwrap(), versions, expected }
    }

    fn check(&self, stored: &Stored, parallelism: u32) {
        let restored = Cluster::restore(self.cluster.plan.clone(), Str, parallelism, &stored.checkpoint).unwrap();
        assert_eq!(Job::over(restored).content(), stored.expected, "{}", stored.checkpoint);
    }
}

/// Names of the shared objects of a checkpoint.
fn shared(plan: &Plan, checkpoint: &ObjectPath) -> BTreeMap<String, ObjectRef> {
    let manifest = plan.manifest(checkpoint).unwrap();
    let shared = manifest.objects().filter(|object| object.scope == ObjectScope::Shared);
    shared.map(|object| (object.name.clone(), object.clone())).collect()
}

fn bytes(objects: &BTreeMap<String, ObjectRef>) -> u64 {
    objects.values().map(|object| object.length).sum()
}

/// After a change of one key, little is stored; after none, nothing.
pub(super) fn incremental_snapshots_refer_to_what_did_not_change(config: &BackendConfig) {
    let mut job = Job::filled(config, 2, 2000);
    let first = job.store();
    job.cluster.confirm(&first.versions);
    let whole = shared(&job.cluster.plan, &first.checkpoint);
    assert!(bytes(&whole) > 2000 * 100, "{whole:?}");
    job.set(7, 1);
    let second = job.store();
    let mut added = shared(&job.cluster.plan, &second.checkpoint);
    added.retain(|name, _| !whole.contains_key(name));
    assert!(!added.is_empty() && bytes(&added) < bytes(&whole) / 4, "{added:?} after {whole:?}");
    job.cluster.confirm(&second.versions);
    let third = job.store();
    let before = shared(&job.cluster.plan, &second.checkpoint);
    assert!(shared(&job.cluster.plan, &third.checkpoint).keys().all(|name| before.contains_key(name)));
    for (stored, parallelism) in [(&first, 1), (&second, 3), (&third, 2)] {
        job.check(stored, parallelism);
    }
}

/// Every order in which three overlapping checkpoints can be confirmed, aborted or left open: the next one refers to the
/// newest confirmed and to nothing else.
pub(super) fn s_03_nothing_refers_to_what_is_not_confirmed(config: &BackendConfig) {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for outcomes in 0..27_u32 {
            let mut job = Job::filled(config, 1, 40);
            let base = job.store();
            job.cluster.confirm(&base.versions);
            let stored: Vec<Stored> = (1..4)
                .map(|round| {
                    job.set(round, round);
                    job.store()
                })
                .collect();
            let mut newest = &base;
            for at in order {
                match outcomes / 3_u32.pow(at as u32) % 3 {
                    0 => {
                        job.cluster.confirm(&stored[at].versions);
                        if stored[at].versions > newest.versions {
                            newest = &stored[at];
                        }
                    }
                    1 => job.cluster.reject(&stored[at].versions),
                    _ => {}
                }
            }
            let kept: Vec<ObjectPath> = vec![newest.checkpoint.clone()];
            job.cluster.plan.retain(&kept).unwrap();
            job.set(9, 9);
            let next = job.store();
            job.check(&next, 1);
            job.check(newest, 2);
        }
    }
}

/// A long chain, of which old checkpoints go at random: every one that is left restores, and the chain stays short.
pub(super) fn a_chain_of_incremental_snapshots_restores_at_every_link(config: &BackendConfig) {
    chain(config, 25, 1);
}

/// A chain of this many checkpoints: changes of every kind, overlapping snapshots, aborted ones, late news, random
/// retention. Everything retained is compared after every deletion. Returns how many comparisons there were.
pub fn chain(config: &BackendConfig, length: u64, seed: u64) -> usize {
    let mut chain = Chain::new(config, seed);
    (1..=length).for_each(|round| chain.step(round));
    chain.compare(1);
    chain.compared
}

/// The state of a [`chain`].
struct Chain {
    job: Job,
    random: SeededRandom,
    /// Taken and not written, with the base of that moment.
    taken: Option<(Taken, Content, Option<ObjectPath>)>,
    undecided: Vec<Stored>,
    kept: Vec<Stored>,
    /// The newest that was confirmed.
    base: Option<Stored>,
    compared: usize,
}

impl Chain {
    fn new(config: &BackendConfig, seed: u64) -> Self {
        let job = Job::filled(config, 2, 50);
        let random = SeededRandom::new(seed);
        Chain { job, random, taken: None, undecided: Vec::new(), kept: Vec::new(), base: None, compared: 0 }
    }

    fn below(&self, limit: usize) -> usize {
        (self.random.next_u128().unwrap() >> 64) as usize % limit
    }

    fn step(&mut self, round: u64) {
        (0..self.below(6)).for_each(|_| self.job.change(&self.random, round));
        let base = self.base.as_ref().map(|base| base.checkpoint.clone());
        let taken = (self.job.cluster.take().unwrap(), self.job.content(), base);
        let earlier = if self.below(3) == 0 { self.taken.replace(taken) } else { Some(taken) };
        if let Some((taken, expected, _)) = earlier {
            self.write(taken, expected);
        }
        while !self.undecided.is_empty() && self.below(3) > 0 {
            self.decide();
        }
        while self.kept.len() > 3 && self.below(2) == 0 {
            self.kept.remove(self.below(self.kept.len()));
        }
        let base_of_taken = self.taken.iter().filter_map(|(_, _, base)| base.clone());
        let names: Vec<ObjectPath> = self.all().map(|stored| stored.checkpoint.clone()).chain(base_of_taken).collect();
        self.job.cluster.plan.retain(&names).unwrap();
        self.compare(3);
    }

    fn write(&mut self, taken: Taken, expected: Content) {
        let versions = taken.versions();
        if self.below(8) == 0 {
            let error = self.job.cluster.publish_while(taken, INCREMENTAL, &|| false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Aborted, "{error}");
            return self.job.cluster.reject(&versions);
        }
        let checkpoint = self.job.cluster.publish(taken, INCREMENTAL).unwrap();
        self.undecided.push(Stored { checkpoint, versions, expected });
    }

    fn decide(&mut self) {
        let decided = self.undecided.remove(self.below(self.undecided.len()));
        if self.below(5) == 0 {
            return self.job.cluster.reject(&decided.versions);
        }
        self.job.cluster.confirm(&decided.versions);
        match &self.base {
            Some(base) if base.versions > decided.versions => self.kept.push(decided),
            _ => self.kept.extend(self.base.replace(decided)),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Stored> {
        self.kept.iter().chain(&self.undecided).chain(&self.base)
    }

    /// Compares one in so many of the checkpoints that are left.
    fn compare(&mut self, one_in: usize) {
        let chosen: Vec<&Stored> = self.all().filter(|_| self.below(one_in) == 0).collect();
        let count = chosen.len();
        chosen.into_iter().for_each(|stored| self.job.check(stored, 1 + self.below(3) as u32));
        self.compared += count;
    }
}

/// Where other snapshots cannot find the objects, they are stored again.
pub(super) fn a_base_counts_in_its_own_storage_only(config: &BackendConfig) {
    let mut job = Job::filled(config, 1, 40);
    let first = job.store();
    job.cluster.confirm(&first.versions);
    job.cluster.plan.storage = Plan::new(config).storage;
    let second = job.store();
    job.check(&second, 2);
}

pub(super) fn a_savepoint_is_never_incremental(config: &BackendConfig) {
    let mut job = Job::filled(config, 1, 4);
    let taken = job.cluster.take().unwrap();
    let error = job.cluster.publish_savepoint(taken, INCREMENTAL).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains("savepoint"), "{error}");
    let taken = job.cluster.take().unwrap();
    let stored = job.cluster.publish_savepoint(taken, KeyedSnapshotFormat::Native).unwrap();
    assert!(shared(&job.cluster.plan, &stored).is_empty());
}
