//! One sequence of random steps.

use std::cell::{Cell, RefCell};

use super::super::conformance::{Cluster, Plan, Taken};
use super::Coverage;
use super::choices::Choices;
use super::expected::{Address, Model, SetTimer};
use super::operate::Beside;
use super::states::{ALL, Id, Kind, Registered};
use super::stored::Due;
use super::{stored, visit};
use crate::backend::{BackendConfig, KeyedSnapshotFormat, SnapshotVersion};
use crate::codec::Compression;
use crate::error::ErrorKind;
use crate::key_group::MaxParallelism;
use crate::serializer::Str;
use crate::state::{TimeDomain, TimerState};
use crate::storage::ObjectPath;

/// Keys; some are prefixes of others.
const KEYS: [&str; 8] =
    ["", "a", "aa", "ab", "b", "\0", "\u{10FFFF}", "a-rather-long-key-that-does-not-fit-anywhere-inline"];

const NAMESPACES: [i64; 4] = [0, 1, -1, i64::MAX];

const MOMENTS: [i64; 8] = [i64::MIN, -1, 0, 1, 2, 3, 1000, i64::MAX];

/// Snapshots that are taken and not written at the same time.
const MOST_TAKEN: usize = 5;

pub(super) struct Sequence<'s> {
    /// What the job may go on with after a restart.
    configs: &'s [BackendConfig],
    cluster: Cluster<Str>,
    registered: Registered,
    model: Model,
    taken: Vec<(Taken, Model, Option<ObjectPath>)>,
    stored: Vec<(ObjectPath, Model)>,
    /// Written, and neither confirmed nor rejected.
    undecided: Vec<(ObjectPath, Vec<SnapshotVersion>)>,
    /// The newest that was confirmed: what snapshots that are taken now may refer to.
    base: Option<(ObjectPath, Vec<SnapshotVersion>)>,
    choices: Choices,
    next: u64,
    max: MaxParallelism,
    /// Additional keys of this sequence.
    more_keys: usize,
    steps: &'s RefCell<Vec<String>>,
    pub(super) coverage: Coverage,
}

impl<'s> Sequence<'s> {
    pub(super) fn new(configs: &'s [BackendConfig], mut choices: Choices, steps: &'s RefCell<Vec<String>>) -> Self {
        let mut plan = Plan::new(&configs[choices.of_several(configs.len())]);
        plan.max_parallelism = choices.of(&[1, 7, 16, 16, 16, 128]);
        plan.compression = choices.of(&[
            Compression::None,
            if cfg!(feature = "lz4") { Compression::Lz4 } else { Compression::None },
            if cfg!(feature = "zstd") { Compression::Zstd } else { Compression::None },
        ]);
        let max = MaxParallelism::new(plan.max_parallelism).unwrap();
        let parallelism = 1 + choices.below(max.get().min(4) as usize) as u32;
        let mut cluster = Cluster::new(plan, Str, parallelism).unwrap();
        let mut registered = Registered::default();
        ALL.iter().for_each(|state| registered.register(*state, &mut cluster));
        let more_keys = choices.of(&[0, 0, 0, 10, 300]);
        Sequence {
            configs,
            cluster,
            registered,
            model: Model::default(),
            taken: Vec::new(),
            stored: Vec::new(),
            undecided: Vec::new(),
            base: None,
            choices,
            next: 0,
            max,
            more_keys,
            steps,
            coverage: Coverage::default(),
        }
    }

    pub(super) fn run(&mut self) {
        let steps = self.choices.of(&[10, 40, 60, 60, 100, 300]);
        for _ in 0..steps {
            if self.choices.is_over() {
                break;
            }
            self.step();
        }
        ALL.iter().for_each(|state| self.check(*state));
        let (taken, model) = (self.cluster.take().unwrap(), self.model.clone());
        self.write(taken, model);
        self.compare(self.stored.len() - 1);
    }

    fn log(&self, step: String) {
        self.steps.borrow_mut().push(step);
    }

    fn step(&mut self) {
        match self.choices.below(100) {
            0..74 => self.operate(),
            74..78 => self.move_clock(),
            78..81 => {
                let budget = self.choices.of(&[0, 1, 3, 10, 1000]);
                self.log(format!("clean up {budget}"));
                self.cluster.subtasks.iter_mut().for_each(|subtask| {
                    subtask.keyed.clean_up(budget).unwrap();
                });
            }
            81 => self.decide(),
            82..84 => {
                let state = self.choices.of(ALL);
                self.check(state);
            }
            84..90 => self.take(),
            90..94 => self.finish_one(),
            94..96 => self.compare_one(),
            96..98 => self.restart(),
            _ => self.register_late(),
        }
    }

    fn key(&mut self) -> String {
        match self.choices.below(KEYS.len() + self.more_keys) {
            known if known < KEYS.len() => KEYS[known].to_owned(),
            more => format!("key-{more}"),
        }
    }

    fn operate(&mut self) {
        let state = self.choices.of(ALL);
        if !self.registered.has(state) {
            return;
        }
        if state.kind() == Kind::Timer {
            return self.operate_timers(state);
        }
        self.coverage.operations += 1;
        let key = self.key();
        let namespace = if state.is_namespaced() { self.choices.of(&NAMESPACES) } else { 0 };
        let at = Address { state, key: key.clone(), namespace, user_key: String::new() };
        self.log(format!("{} {key:?} {namespace}", state.name()));
        let Sequence { cluster, registered, model, choices, next, .. } = self;
        let beside = Beside { model, choices, at, next };
        let (owner, backend) = cluster.backend(&key).unwrap();
        let mut context = backend.key(&key).unwrap();
        macro_rules! open {
            ($open:ident, $operate:ident, $state:ident) => {
                beside.$operate(context.$open(&registered.$state[owner]).unwrap())
            };
        }
        macro_rules! open_in {
            ($open:ident, $operate:ident, $state:ident) => {
                beside.$operate(context.$open(&registered.$state[owner], &namespace).unwrap())
            };
        }
        let done = match state {
            Id::value => open!(value, value, value),
            Id::expiring_value => open!(value, value, expiring_value),
            Id::lingering_value => open!(value, value, lingering_value),
            Id::touched_value => open_in!(value_in, value, touched_value),
            Id::bytes_value => open_in!(value_in, value, bytes_value),
            Id::list => open!(list, list, list),
            Id::lingering_list => open!(list, list, lingering_list),
            Id::expiring_list => open_in!(list_in, list, expiring_list),
            Id::map => open!(map, map, map),
            Id::touched_map => open!(map, map, touched_map),
            Id::expiring_map => open_in!(map_in, map, expiring_map),
            Id::reducing => open!(reducing, reducing, reducing),
            Id::expiring_reducing => open_in!(reducing_in, reducing, expiring_reducing),
            Id::aggregating => open!(aggregating, aggregating, aggregating),
            Id::touched_aggregating => open_in!(aggregating_in, aggregating, touched_aggregating),
            Id::timers | Id::window_timers => "nothing",
        };
        self.log(format!("  {done}"));
    }

    fn operate_timers(&mut self, state: Id) {
        self.coverage.operations += 1;
        let domain = self.choices.of(&[TimeDomain::Event, TimeDomain::Processing]);
        let moment = self.choices.of(&MOMENTS);
        if self.choices.once_in(4) {
            let subtask = self.choices.below(self.cluster.subtasks.len());
            let most = self.choices.of(&[1, 3, usize::MAX]);
            self.log(format!("pop {state:?} {domain:?} on {subtask} up to {moment}, at most {most}"));
            let Sequence { cluster, registered, model, .. } = self;
            let due = Due { state, subtask, domain, up_to_ms: moment, most };
            return stored::pop_due(cluster, registered, model, due);
        }
        let key = self.key();
        let namespace = if state.is_namespaced() { self.choices.of(&NAMESPACES) } else { 0 };
        let is_deletion = self.choices.once_in(3);
        self.log(format!("{state:?} {key:?} {namespace} {domain:?} {moment} deletion {is_deletion}"));
        let at = Address { state, key: key.clone(), namespace, user_key: String::new() };
        let timer = SetTimer::new(&at, domain, moment, self.max);
        let (owner, backend) = self.cluster.backend(&key).unwrap();
        let mut context = backend.key(&key).unwrap();
        let mut timers: Box<dyn TimerState> = match state {
            Id::timers => Box::new(context.timers(&self.registered.timers[owner]).unwrap()),
            _ => Box::new(context.timers_in(&self.registered.window_timers[owner], &namespace).unwrap()),
        };
        if is_deletion {
            assert_eq!(timers.delete(domain, moment).unwrap(), self.model.timers.remove(&timer), "delete");
        } else {
            assert_eq!(timers.register(domain, moment).unwrap(), self.model.timers.insert(timer), "register");
        }
    }

    fn move_clock(&mut self) {
        let now_ms = self.now_ms() + self.choices.of(&[1, 5, 20, 49, 50, 51, 200, -1, -30, -60]);
        self.log(format!("clock {now_ms}"));
        self.cluster.plan.clock.set_ms(now_ms);
        self.model.set_ms(now_ms);
    }

    fn now_ms(&self) -> i64 {
        crate::clock::Clock::now_ms(&self.cluster.plan.clock)
    }

    fn check(&self, state: Id) {
        if self.registered.has(state) {
            self.log(format!("visit {}", state.name()));
            visit::check(state, &self.cluster, &self.registered, &self.model);
        }
    }

    fn take(&mut self) {
        if self.taken.len() < MOST_TAKEN {
            self.log("take".to_owned());
            let taken = self.cluster.take().unwrap();
            let base = self.base.as_ref().map(|(checkpoint, _)| checkpoint.clone());
            self.taken.push((taken, self.model.clone(), base));
        }
    }

    /// Writes or aborts one of the snapshots that were taken.
    fn finish_one(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        let (taken, model, _) = self.taken.remove(self.choices.below(self.taken.len()));
        match self.choices.below(6) {
            0 => {
                self.log("drop".to_owned());
                self.coverage.aborted += 1;
            }
            1 => self.abort(taken, model),
            _ => self.write(taken, model),
        }
    }

    fn format(&mut self) -> KeyedSnapshotFormat {
        self.choices.of(&[
            KeyedSnapshotFormat::Canonical,
            KeyedSnapshotFormat::Native,
            KeyedSnapshotFormat::Incremental,
        ])
    }

    fn abort(&mut self, taken: Taken, model: Model) {
        let format = self.format();
        let groups = self.choices.below(self.max.get() as usize);
        self.log(format!("abort {format:?} after {groups} groups"));
        let left = Cell::new(groups);
        let keep_going = || left.replace(left.get().saturating_sub(1)) > 0;
        let versions = taken.versions();
        match self.cluster.publish_while(taken, format, &keep_going) {
            // It was done before it was asked that often.
            Ok(checkpoint) => {
                assert!(groups > 0);
                self.undecided.push((checkpoint.clone(), versions));
                self.stored.push((checkpoint, model));
                self.coverage.checkpoints += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Aborted, "{error}");
                self.coverage.aborted += 1;
            }
        }
    }

    fn write(&mut self, taken: Taken, model: Model) {
        let format = self.format();
        self.log(format!("write {format:?} as {}", self.stored.len()));
        let versions = taken.versions();
        let checkpoint = self.cluster.publish(taken, format).unwrap();
        self.undecided.push((checkpoint.clone(), versions));
        self.stored.push((checkpoint, model));
        self.coverage.checkpoints += 1;
    }

    /// Tells the backends what became of a checkpoint, in any order and more than once; deletes what nobody needs.
    fn decide(&mut self) {
        if self.undecided.is_empty() {
            return;
        }
        let at = self.choices.below(self.undecided.len());
        let (checkpoint, versions) = self.undecided[at].clone();
        if !self.choices.once_in(5) {
            self.undecided.remove(at);
        }
        let is_rejected = self.choices.once_in(5);
        self.log(format!("reject {is_rejected} {checkpoint}"));
        if is_rejected {
            self.cluster.reject(&versions);
            self.undecided.retain(|(undecided, _)| *undecided != checkpoint);
            self.stored.retain(|(stored, _)| *stored != checkpoint);
        } else {
            self.cluster.confirm(&versions);
            if self.base.as_ref().is_none_or(|(_, newest)| *newest < versions) {
                self.base = Some((checkpoint, versions));
            }
        }
        self.delete_the_rest();
    }

    /// Deletes some checkpoints, and every object that no other needs and no snapshot may refer to.
    fn delete_the_rest(&mut self) {
        while self.stored.len() > 3 && self.choices.once_in(3) {
            let (deleted, _) = self.stored.remove(self.choices.below(self.stored.len()));
            self.undecided.retain(|(undecided, _)| *undecided != deleted);
        }
        let stored = self.stored.iter().map(|(checkpoint, _)| checkpoint);
        let bases =
            self.base.iter().map(|(base, _)| base).chain(self.taken.iter().filter_map(|(_, _, base)| base.as_ref()));
        let needed: Vec<ObjectPath> = stored.chain(bases).cloned().collect();
        self.cluster.plan.retain(&needed).unwrap();
    }

    fn config(&mut self) -> BackendConfig {
        self.configs[self.choices.of_several(self.configs.len())].clone()
    }

    fn parallelism(&mut self) -> u32 {
        1 + self.choices.below(self.max.get().min(6) as usize) as u32
    }

    fn compare_one(&mut self) {
        if !self.stored.is_empty() {
            let index = self.choices.below(self.stored.len());
            self.compare(index);
        }
    }

    fn compare(&mut self, index: usize) {
        let parallelism = self.parallelism();
        self.log(format!("compare {index} at {parallelism}"));
        let (checkpoint, model) = self.stored[index].clone();
        let plan = self.cluster.plan.clone().with_config(self.config());
        stored::compare(&plan, &checkpoint, parallelism, model, self.now_ms());
        if self.configs.len() > 1 {
            stored::check_same_bytes(&plan, self.configs, &checkpoint, parallelism);
        }
        self.coverage.compared += 1;
    }

    /// Goes on from a checkpoint, with some of the states registered.
    fn restart(&mut self) {
        if self.stored.is_empty() {
            return;
        }
        let (index, parallelism) = (self.choices.below(self.stored.len()), self.parallelism());
        let plan = self.cluster.plan.clone().with_config(self.config());
        self.log(format!("restart from {index} at {parallelism} on {}", plan.config.kind));
        let (checkpoint, mut model) = self.stored[index].clone();
        model.set_ms(self.now_ms());
        self.cluster = Cluster::restore(plan, Str, parallelism, &checkpoint).unwrap();
        self.model = model;
        self.taken.clear();
        self.undecided.clear();
        // A backend may refer to what it was restored from.
        self.base = Some((checkpoint.clone(), Vec::new()));
        self.registered = Registered::default();
        let one_in = self.choices.of(&[1, 2, 5]);
        for state in ALL {
            if self.choices.once_in(one_in) {
                self.registered.register(*state, &mut self.cluster);
            }
        }
        self.coverage.restarts += 1;
    }

    fn register_late(&mut self) {
        let missing: Vec<Id> = ALL.iter().copied().filter(|state| !self.registered.has(*state)).collect();
        if !missing.is_empty() {
            let state = self.choices.of(&missing);
            self.log(format!("register {}", state.name()));
            self.registered.register(state, &mut self.cluster);
            self.check(state);
            self.coverage.late_registrations += 1;
        }
    }
}
