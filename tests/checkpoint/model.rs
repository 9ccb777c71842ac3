//! The coordinator against a hostile world: messages delayed, doubled and lost, a job that dies, storage that does what it
//! was asked and says it failed, says it does not know, or does it much later. A collector deletes whatever it may the
//! moment it may. The world knows the truth, and checks every action against it.

use std::collections::{BTreeMap, BTreeSet};

use millpond::checkpoint::config::Termination;
use millpond::checkpoint::event::{Abort, Outcome, RequestId, Slot, Ticket, Trigger};
use millpond::checkpoint::pending::{Kind, Metadata, Savepoint, SavepointFormat, Stop, Subtask, SubtaskSnapshot};
use millpond::checkpoint::{Action, Config, Coordinator, Event, Inheritance, Recovery};
use millpond::codec::digest;
use millpond::format::manifest::{ObjectRef, ObjectScope};
use millpond::ids::{CheckpointId, OperatorId, SubtaskIndex};
use millpond::random::{RandomSource, SeededRandom};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Metadata,
    Seal,
}

/// What the coordinator has said about a checkpoint.
#[derive(Debug, Clone)]
struct Known {
    kind: Kind,
    base: Option<CheckpointId>,
    ended: bool,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq)]
enum Line {
    Event(i64, Event<u64>),
    Action(Action<u64>),
}

struct World {
    random: SeededRandom,
    coordinator: Coordinator<u64>,
    config: Config,
    now_ms: i64,
    running: bool,
    subtasks: BTreeSet<Subtask>,
    finished: BTreeSet<Subtask>,
    /// Messages on their way, with the step at which they arrive at the earliest.
    mail: Vec<(u64, Event<u64>)>,
    /// Attempts to store that will go through later.
    delayed: Vec<CheckpointId>,
    slots: BTreeMap<CheckpointId, Stored>,
    manifests: BTreeMap<CheckpointId, BTreeSet<String>>,
    objects: BTreeMap<String, ObjectRef>,
    retired: BTreeSet<CheckpointId>,
    known: BTreeMap<CheckpointId, Known>,
    last_complete: Option<CheckpointId>,
    open_requests: BTreeSet<RequestId>,
    next_request: u64,
    step: u64,
    log: Vec<Line>,
    completions: u64,
}

fn pick(random: &SeededRandom, bound: u64) -> u64 {
    u64::try_from(random.next_u128().unwrap() % u128::from(bound)).unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let random = SeededRandom::new(seed);
        let concurrent = u32::try_from(1 + pick(&random, 3)).unwrap();
        let config = Config {
            min_pause_ms: if concurrent == 1 { pick(&random, 200) } else { 0 },
            timeout_ms: 500 + pick(&random, 2_000),
            tolerable_failures: u32::try_from(pick(&random, 5)).unwrap(),
            max_concurrent: concurrent,
            retained: u32::try_from(1 + pick(&random, 3)).unwrap(),
            unaligned: concurrent == 1 && pick(&random, 2) == 0,
            ..Config::every(100 + pick(&random, 400))
        };
        let config = super::configured(config);
        let coordinator = Coordinator::new(config.clone(), Inheritance::default()).unwrap();
        let subtasks = (0..3).map(|index| Subtask { operator: OperatorId::from_uid("a"), index: SubtaskIndex(index) });
        World {
            random,
            coordinator,
            config,
            now_ms: 1_000_000,
            running: false,
            subtasks: subtasks.collect(),
            finished: BTreeSet::new(),
            mail: Vec::new(),
            delayed: Vec::new(),
            slots: BTreeMap::new(),
            manifests: BTreeMap::new(),
            objects: BTreeMap::new(),
            retired: BTreeSet::new(),
            known: BTreeMap::new(),
            last_complete: None,
            open_requests: BTreeSet::new(),
            next_request: 0,
            step: 0,
            log: Vec::new(),
            completions: 0,
        }
    }

    fn chance(&self, percent: u64) -> bool {
        pick(&self.random, 100) < percent
    }

    fn send(&mut self, event: Event<u64>) {
        self.log.push(Line::Event(self.now_ms, event.clone()));
        for action in self.coordinator.handle(self.now_ms, event) {
            self.log.push(Line::Action(action.clone()));
            self.act(action);
        }
        let wake_at_ms = self.coordinator.wake_at_ms();
        assert!(wake_at_ms.is_none_or(|wake_at_ms| wake_at_ms > self.now_ms), "asks to be woken in the past");
    }

    fn mail(&mut self, event: Event<u64>) {
        let copies = if self.chance(5) { 2 } else { 1 };
        for _ in 0..copies {
            let delay = if self.chance(10) { pick(&self.random, 60) } else { pick(&self.random, 6) };
            self.mail.push((self.step + delay, event.clone()));
        }
    }

    fn act(&mut self, action: Action<u64>) {
        match action {
            Action::Trigger(trigger) => self.on_trigger(&trigger),
            Action::Publish { metadata, ticket, .. } => self.on_publish(&metadata, ticket),
            Action::ReadSlot { metadata, ticket } => {
                let found = self.look(metadata.id);
                self.mail(Event::SlotRead { id: metadata.id, ticket, found });
            }
            Action::SealSlot { metadata, ticket } => {
                if self.chance(85) {
                    self.slots.entry(metadata.id).or_insert(Stored::Seal);
                }
                let found = match self.look(metadata.id) {
                    Slot::Absent => Slot::Unreadable { reason: "not sealed".into() },
                    found => found,
                };
                self.mail(Event::SlotRead { id: metadata.id, ticket, found });
            }
            Action::NotifyComplete(id) => self.on_complete(id),
            Action::NotifyAbort(id) => self.on_abort(id),
            Action::Answer { request, result } => self.on_answer(request, &result),
            Action::StopJob(id) => {
                assert_eq!(self.slots.get(&id), Some(&Stored::Metadata));
                assert!(self.known[&id].kind.stop().is_some());
            }
            Action::FailJob(_) => self.running = false,
            Action::Retire(ids) => self.on_retire(&ids),
        }
    }

    fn look(&self, id: CheckpointId) -> Slot {
        match self.slots.get(&id) {
            _ if self.chance(10) => Slot::Unreadable { reason: "timeout".into() },
            Some(Stored::Metadata) => Slot::Ours,
            Some(Stored::Seal) => Slot::Sealed,
            None => Slot::Absent,
        }
    }

    fn on_trigger(&mut self, trigger: &Trigger) {
        let id = trigger.barrier.id;
        assert!(self.running, "triggered without a job");
        assert!(self.known.last_key_value().is_none_or(|(last, _)| *last < id), "ids increase");
        if self.config.unaligned {
            let others = self.coordinator.pending().filter(|other| *other != id);
            let collecting = others.filter(|other| !self.manifests.contains_key(other)).count();
            assert_eq!(collecting, 0, "barriers of two checkpoints at once");
        }
        let known = Known { kind: trigger.kind.clone(), base: trigger.base, ended: false };
        self.known.insert(id, known);
        for subtask in self.subtasks.difference(&self.finished).copied().collect::<Vec<_>>() {
            let event = match pick(&self.random, 100) {
                0..3 => Event::Declined { id, subtask, reason: "unlucky".into() },
                3..6 => continue,
                _ => Event::Acknowledged { id, subtask, snapshot: self.snapshot(trigger) },
            };
            self.mail(event);
        }
    }

    /// Uploads one object and reuses some of the base's; sometimes lies about what it may reuse.
    fn snapshot(&mut self, trigger: &Trigger) -> SubtaskSnapshot<u64> {
        if trigger.kind.is_savepoint() {
            return SubtaskSnapshot::exclusive(trigger.barrier.id.0);
        }
        let name = format!("{:032x}", self.random.next_u128().unwrap());
        let digest = digest(name.as_bytes());
        let object = ObjectRef { scope: ObjectScope::Shared, name: name.clone(), length: 1, digest };
        self.objects.insert(name, object.clone());
        let held = trigger.base.and_then(|base| self.manifests.get(&base)).cloned().unwrap_or_default();
        let mut reused: Vec<ObjectRef> = Vec::new();
        for name in held {
            let object = self.objects.get(&name).unwrap_or_else(|| panic!("{name} of the base is gone"));
            reused.extend((pick(&self.random, 3) > 0).then(|| object.clone()));
        }
        if self.chance(1) {
            reused.extend(self.objects.values().next().cloned());
        }
        SubtaskSnapshot { handle: trigger.barrier.id.0, uploaded: vec![object], reused }
    }

    fn on_publish(&mut self, metadata: &Metadata<u64>, ticket: Ticket) {
        let id = metadata.id;
        let known = &self.known[&id];
        assert!(!known.ended, "{id} is published after its end");
        let covered: BTreeSet<Subtask> = metadata.snapshots.keys().chain(&metadata.finished).copied().collect();
        assert_eq!(covered, self.subtasks, "{id} is published without everybody");
        let names: BTreeSet<String> = metadata.shared().map(|object| object.name.clone()).collect();
        self.manifests.insert(id, names);
        let reason = || "storage".to_string();
        let outcome = match pick(&self.random, 100) {
            _ if self.slots.get(&id) == Some(&Stored::Seal) => Outcome::NotCommitted { reason: "sealed".into() },
            0..70 => {
                self.store(id);
                Outcome::Committed
            }
            70..78 => {
                self.store(id);
                Outcome::Unknown { reason: reason() }
            }
            78..86 => {
                self.delayed.push(id);
                Outcome::Unknown { reason: reason() }
            }
            86..90 => Outcome::Unknown { reason: reason() },
            _ if self.slots.contains_key(&id) => Outcome::NotCommitted { reason: "taken".into() },
            _ => Outcome::NotCommitted { reason: reason() },
        };
        self.mail(Event::Published { id, ticket, outcome });
    }

    /// The metadata gets there, unless the slot is sealed. From now on everything it names must be there.
    fn store(&mut self, id: CheckpointId) {
        if *self.slots.entry(id).or_insert(Stored::Metadata) == Stored::Metadata && !self.retired.contains(&id) {
            for name in &self.manifests[&id] {
                assert!(self.objects.contains_key(name), "{id} is stored and names {name}, which is gone");
            }
        }
    }

    fn on_complete(&mut self, id: CheckpointId) {
        assert_eq!(self.slots.get(&id), Some(&Stored::Metadata), "{id} is announced but not stored");
        assert!(self.last_complete < Some(id), "{id} is announced after {:?}", self.last_complete);
        self.last_complete = Some(id);
        self.completions += 1;
        let known = &self.known[&id];
        assert!(!known.kind.is_savepoint() || known.kind.stop().is_some(), "side effects of a savepoint");
    }

    fn on_abort(&mut self, id: CheckpointId) {
        if let Some(known) = self.known.get_mut(&id) {
            known.ended = true;
        }
        assert_ne!(self.slots.get(&id), Some(&Stored::Metadata), "{id} is announced as aborted but stored");
        assert!(self.slots.contains_key(&id) || !self.delayed.contains(&id), "{id} may still be stored");
    }

    fn on_answer(&mut self, request: RequestId, result: &Result<CheckpointId, Abort>) {
        assert!(self.open_requests.remove(&request), "{request:?} is answered twice");
        if let Ok(id) = result {
            assert_eq!(self.slots.get(id), Some(&Stored::Metadata), "{id} is reported but not stored");
        }
    }

    fn on_retire(&mut self, ids: &[CheckpointId]) {
        let pending: BTreeSet<CheckpointId> = self.coordinator.pending().collect();
        for id in ids {
            assert!(self.retired.insert(*id), "{id} is retired twice");
            assert_eq!(self.slots.get(id), Some(&Stored::Metadata), "{id} is retired but not stored");
            assert!(!self.known[id].kind.is_savepoint(), "savepoint {id} is retired");
            let builds_on_it =
                |pending: &&CheckpointId| self.known.get(*pending).is_some_and(|known| known.base == Some(*id));
            assert_eq!(pending.iter().find(builds_on_it), None, "base {id} is retired");
        }
        let newest: Vec<CheckpointId> = self.live_checkpoints().collect();
        if self.running {
            assert!(!newest.is_empty(), "nothing is left to recover from");
            assert!(ids.iter().all(|id| *id < newest[newest.len() - 1]));
        }
        self.collect(ids);
    }

    fn live_checkpoints(&self) -> impl Iterator<Item = CheckpointId> {
        let stored = self.slots.iter().filter(|(_, stored)| **stored == Stored::Metadata).map(|(id, _)| *id);
        stored.filter(|id| !self.retired.contains(id) && !self.known[id].kind.is_savepoint())
    }

    /// The greediest collector allowed: everything that only retired manifests name.
    fn collect(&mut self, retired: &[CheckpointId]) {
        let live: BTreeSet<&String> = self.live_checkpoints().flat_map(|id| &self.manifests[&id]).collect();
        let dead: Vec<String> =
            retired.iter().flat_map(|id| &self.manifests[id]).filter(|name| !live.contains(name)).cloned().collect();
        for name in dead {
            self.objects.remove(&name);
        }
    }

    fn restart(&mut self) {
        let recovered = match self.coordinator.recovery() {
            Recovery::Undecided(_) => return,
            Recovery::Initial => None,
            Recovery::From(metadata) => Some(metadata.id),
        };
        let counts = |id: &&CheckpointId| {
            let kind = &self.known[*id].kind;
            !kind.is_savepoint() || kind.stop().is_some()
        };
        let stored = self.slots.iter().filter(|(_, stored)| **stored == Stored::Metadata).map(|(id, _)| id);
        let newest = stored.filter(counts).max().copied();
        assert_eq!(recovered, newest, "recovers from the newest that is stored");
        let later = self.delayed.iter().filter(|id| !self.slots.contains_key(id)).filter(counts);
        assert_eq!(later.copied().max().filter(|id| Some(*id) > recovered), None, "a newer one may still be stored");
        self.running = true;
        self.last_complete = None;
        self.finished.clear();
        self.send(Event::Running { subtasks: self.subtasks.clone(), finished: BTreeSet::new() });
    }

    fn request(&mut self) {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.open_requests.insert(request);
        let stop = match pick(&self.random, 6) {
            0 => Some(Stop::Suspend),
            1 => Some(Stop::Drain),
            _ => None,
        };
        let savepoint = Savepoint { target: format!("/{}", request.0), format: SavepointFormat::Canonical, stop };
        let kind = if self.chance(40) { Kind::Checkpoint } else { Kind::Savepoint(savepoint) };
        self.send(Event::Request { request, kind });
    }

    fn step(&mut self) {
        self.step += 1;
        self.now_ms += i64::try_from(pick(&self.random, 60)).unwrap();
        if self.chance(1) {
            self.now_ms -= 5_000;
        }
        match pick(&self.random, 100) {
            0 => {
                self.running = false;
                self.send(Event::JobFailed);
            }
            1 | 2 => self.request(),
            3 if self.running => {
                let subtask = *self.subtasks.iter().next().unwrap();
                self.finished.insert(subtask);
                self.send(Event::SubtaskFinished(subtask));
            }
            4..14 if !self.running => self.restart(),
            14..20 => self.deliver_delayed(),
            20..80 => self.deliver(),
            _ => self.send(Event::Tick),
        }
    }

    fn deliver(&mut self) {
        let due: Vec<usize> = (0..self.mail.len()).filter(|at| self.mail[*at].0 <= self.step).collect();
        if !due.is_empty() {
            let at = due[usize::try_from(pick(&self.random, due.len() as u64)).unwrap()];
            let (_, event) = self.mail.swap_remove(at);
            self.send(event);
        }
    }

    fn deliver_delayed(&mut self) {
        if !self.delayed.is_empty() {
            let at = usize::try_from(pick(&self.random, self.delayed.len() as u64)).unwrap();
            let id = self.delayed.swap_remove(at);
            self.store(id);
        }
    }

    /// The job ends: everything still open must come to an end.
    fn settle(&mut self) {
        self.running = false;
        self.send(Event::Terminated(Termination::Suspended));
        for _ in 0..10_000 {
            if self.coordinator.pending().next().is_none() {
                break;
            }
            self.now_ms = self.coordinator.wake_at_ms().unwrap_or(self.now_ms).max(self.now_ms);
            while !self.mail.is_empty() {
                self.step += 100;
                self.deliver();
            }
            self.send(Event::Tick);
        }
        assert_eq!(self.coordinator.pending().count(), 0, "undecided for ever");
        assert!(self.open_requests.is_empty(), "{:?} got no answer", self.open_requests);
        while !self.delayed.is_empty() {
            self.deliver_delayed();
        }
        for id in self.live_checkpoints() {
            assert!(self.manifests[&id].iter().all(|name| self.objects.contains_key(name)), "{id} is incomplete");
        }
    }
}

/// One seed; on failure the log shows everything that led to it.
fn run(seed: u64, steps: u64) -> (u64, Vec<Line>) {
    let mut world = World::new(seed);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.restart();
        (0..steps).for_each(|_| world.step());
        world.settle();
    }));
    if let Err(panic) = outcome {
        let from = world.log.len().saturating_sub(60);
        eprintln!("seed {seed}, the last of {} lines:", world.log.len());
        world.log[from..].iter().for_each(|line| eprintln!("{line:?}"));
        std::panic::resume_unwind(panic);
    }
    (world.completions, world.log)
}

/// One seed; panics if anything is lost.
#[cfg(feature = "test-util")]
pub(super) fn check(seed: u64) {
    run(seed, 600);
}

/// `MILLPOND_SEEDS=10000 cargo test --test main checkpoint::model` runs more of them, `MILLPOND_SEED=7` one again.
#[test]
fn nothing_acknowledged_is_lost_in_a_hostile_world() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = number("MILLPOND_SEED").map_or(0..number("MILLPOND_SEEDS").unwrap_or(500), |seed| seed..seed + 1);
    let count = seeds.end - seeds.start;
    let completions: u64 = seeds.map(|seed| run(seed, 600).0).sum();
    assert!(completions > 2 * count, "only {completions} checkpoints completed: the test tests nothing");
}

#[test]
fn the_same_seed_gives_the_same_log() {
    for seed in 0..20 {
        assert_eq!(run(seed, 300).1, run(seed, 300).1);
    }
}

/// Any event at any time, most of them nonsense.
fn nonsense(random: &SeededRandom) -> Event<u64> {
    let id = CheckpointId(pick(random, 8));
    let index = u32::try_from(pick(random, 3)).unwrap();
    let subtask = Subtask { operator: OperatorId::from_uid("a"), index: SubtaskIndex(index) };
    let ticket = Ticket(u32::try_from(pick(random, 4)).unwrap());
    let reason = || "nonsense".to_string();
    let stop = [None, Some(Stop::Suspend), Some(Stop::Drain)][usize::try_from(pick(random, 3)).unwrap()];
    let savepoint = Savepoint { target: "/s".into(), format: SavepointFormat::Native, stop };
    match pick(random, 40) {
        0 => Event::JobFailed,
        1 | 2 => {
            Event::Running { subtasks: (0..=index).map(|index| at(subtask, index)).collect(), finished: [].into() }
        }
        3 => Event::SubtaskFinished(subtask),
        4 if pick(random, 10) == 0 => Event::Terminated(Termination::Cancelled),
        5..8 => Event::Request { request: RequestId(0), kind: Kind::Savepoint(savepoint) },
        8..12 => Event::Request { request: RequestId(0), kind: Kind::Checkpoint },
        12 => Event::Declined { id, subtask, reason: reason() },
        13 => Event::Published { id, ticket, outcome: Outcome::Unknown { reason: reason() } },
        14 => Event::Published { id, ticket, outcome: Outcome::NotCommitted { reason: reason() } },
        15 => Event::Published { id, ticket, outcome: Outcome::Committed },
        16 => Event::SlotRead { id, ticket, found: Slot::Absent },
        17 => Event::SlotRead { id, ticket, found: Slot::Sealed },
        18 => Event::SlotRead { id, ticket, found: Slot::Unreadable { reason: reason() } },
        19..34 => Event::Acknowledged { id, subtask, snapshot: SubtaskSnapshot::exclusive(0) },
        _ => Event::Tick,
    }
}

fn at(subtask: Subtask, index: u32) -> Subtask {
    Subtask { index: SubtaskIndex(index), ..subtask }
}

#[test]
fn nonsense_neither_panics_nor_spins_nor_reuses_ids() {
    let mut triggered = 0;
    for seed in 0..2_000 {
        let random = SeededRandom::new(seed);
        let config = Config { tolerable_failures: 3, max_concurrent: 2, timeout_ms: 50, ..Config::every(20) };
        let mut coordinator = Coordinator::new(config, Inheritance::default()).unwrap();
        let (mut now_ms, mut last) = (0i64, CheckpointId(0));
        for _ in 0..150 {
            now_ms += i64::try_from(pick(&random, 12)).unwrap() - 2;
            for action in coordinator.handle(now_ms, nonsense(&random)) {
                if let Action::Trigger(trigger) = action {
                    assert!(trigger.barrier.id > last, "seed {seed}");
                    last = trigger.barrier.id;
                    triggered += 1;
                }
            }
            assert!(coordinator.wake_at_ms().is_none_or(|wake_at_ms| wake_at_ms > now_ms), "seed {seed}");
            assert!(coordinator.pending().all(|id| id <= last) && coordinator.boundary() <= coordinator.next_id());
        }
    }
    assert!(triggered > 4_000, "only {triggered} triggered: the test tests nothing");
}
