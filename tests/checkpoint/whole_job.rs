//! Whole jobs in one thread, by seed: two sources, two counting operators, one transactional sink, the coordinator, and a
//! world that delays messages, kills the job and loses answers from storage. What the sink has committed in the end is
//! every record once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use millpond::checkpoint::barrier::{Alignment, Barrier, Delivery};
use millpond::checkpoint::event::{Outcome, RequestId, Slot, Trigger};
use millpond::checkpoint::pending::{Kind, Metadata, Savepoint, SavepointFormat, Stop, Subtask, SubtaskSnapshot};
use millpond::checkpoint::{Action, Config, Coordinator, Event, Inheritance, Recovery};
use millpond::ids::{CheckpointId, OperatorId, SubtaskIndex};
use millpond::random::{RandomSource, SeededRandom};
use millpond::task::{Element, Gate, Output};

const SOURCES: usize = 2;
const COUNTERS: usize = 2;
const RECORDS: u64 = 40;

/// A record: where it was produced and which it was; a counter adds how many of its key it has seen.
type Record = (u64, u64, u64);

/// What a subtask stores, and what a checkpoint gives back to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    /// Source: position.
    position: u64,
    /// Counter: records per key.
    counts: BTreeMap<u64, u64>,
    /// Sink: transactions that were prepared but not known to be committed when the snapshot was taken.
    prepared: BTreeMap<CheckpointId, Vec<Record>>,
    /// Records that a barrier overtook, per input.
    channel: Vec<Vec<Record>>,
}

/// One queue between two subtasks. An unaligned barrier goes to its front; it remembers how many records it overtook.
#[derive(Default)]
struct Channel {
    queue: VecDeque<(Element<Record>, usize)>,
}

impl Channel {
    fn push(&mut self, element: Element<Record>) {
        self.queue.push_back((element, 0));
    }

    fn push_barrier(&mut self, barrier: Barrier) {
        if barrier.alignment == Alignment::Unaligned {
            let overtaken = self.records().count();
            self.queue.push_front((Element::Barrier(barrier), overtaken));
        } else {
            self.push(Element::Barrier(barrier));
        }
    }

    fn records(&self) -> impl Iterator<Item = Record> {
        self.queue.iter().filter_map(|(element, _)| match element {
            Element::Record(record) => Some(*record),
            _ => None,
        })
    }
}

/// A snapshot that waits for the rest of its channel state.
struct Collecting {
    id: CheckpointId,
    state: State,
}

struct Task {
    subtask: Subtask,
    gate: Option<Gate<Record>>,
    state: State,
    /// Sink: records since the last barrier.
    open: Vec<Record>,
    collecting: Option<Collecting>,
    /// Records stored as channel state per checkpoint and input.
    stored: BTreeMap<CheckpointId, Vec<Vec<Record>>>,
    paused: bool,
}

struct World {
    random: SeededRandom,
    coordinator: Coordinator<State>,
    now_ms: i64,
    tasks: Vec<Task>,
    /// By sending and receiving task.
    channels: BTreeMap<(usize, usize), Channel>,
    mail: VecDeque<Event<State>>,
    slots: BTreeMap<CheckpointId, Arc<Metadata<State>>>,
    committed: BTreeMap<CheckpointId, Vec<Record>>,
    running: bool,
    stopped: bool,
    failures: u32,
    /// Records that were restored from channel state.
    overtaken: usize,
    delivery: Delivery,
}

fn subtask_of(task: usize) -> Subtask {
    let (name, first) = match task {
        _ if task < SOURCES => ("source", 0),
        _ if task < SOURCES + COUNTERS => ("counter", SOURCES),
        _ => ("sink", SOURCES + COUNTERS),
    };
    Subtask { operator: OperatorId::from_uid(name), index: SubtaskIndex(u32::try_from(task - first).unwrap()) }
}

fn inputs_of(task: usize) -> std::ops::Range<usize> {
    match task {
        _ if task < SOURCES => 0..0,
        _ if task < SOURCES + COUNTERS => 0..SOURCES,
        _ => SOURCES..SOURCES + COUNTERS,
    }
}

fn outputs_of(task: usize) -> std::ops::Range<usize> {
    match task {
        _ if task < SOURCES => SOURCES..SOURCES + COUNTERS,
        _ if task < SOURCES + COUNTERS => SOURCES + COUNTERS..SOURCES + COUNTERS + 1,
        _ => 0..0,
    }
}

impl World {
    fn new(seed: u64, delivery: Delivery) -> Self {
        let random = SeededRandom::new(seed);
        let unaligned = delivery == Delivery::ExactlyOnce && !seed.is_multiple_of(3);
        let config = Config {
            delivery,
            unaligned,
            aligned_timeout_ms: (unaligned && seed % 3 == 1).then_some(15),
            max_concurrent: if unaligned { 1 } else { 2 },
            timeout_ms: 400,
            tolerable_failures: 1_000,
            ..Config::every(40)
        };
        let coordinator = Coordinator::new(super::configured(config), Inheritance::default()).unwrap();
        World {
            random,
            coordinator,
            now_ms: 0,
            tasks: Vec::new(),
            channels: BTreeMap::new(),
            mail: VecDeque::new(),
            slots: BTreeMap::new(),
            committed: BTreeMap::new(),
            running: false,
            stopped: false,
            failures: 0,
            overtaken: 0,
            delivery,
        }
    }

    fn pick(&self, bound: usize) -> usize {
        usize::try_from(self.random.next_u128().unwrap() % u128::try_from(bound).unwrap()).unwrap()
    }

    fn send(&mut self, event: Event<State>) {
        for action in self.coordinator.handle(self.now_ms, event) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action<State>) {
        match action {
            Action::Trigger(trigger) => self.inject(&trigger),
            Action::Publish { metadata, ticket, .. } => {
                let id = metadata.id;
                let unknown = || Outcome::Unknown { reason: "timeout".into() };
                let outcome = match self.pick(10) {
                    0 => Outcome::NotCommitted { reason: "full".into() },
                    1 => unknown(),
                    lucky => {
                        self.slots.insert(id, metadata);
                        if lucky == 2 { unknown() } else { Outcome::Committed }
                    }
                };
                self.mail.push_back(Event::Published { id, ticket, outcome });
            }
            Action::ReadSlot { metadata, ticket } | Action::SealSlot { metadata, ticket } => {
                // Nothing is on its way in this storage, so an absent slot is as good as a sealed one.
                let found = if self.slots.contains_key(&metadata.id) { Slot::Ours } else { Slot::Absent };
                let found = if self.pick(5) == 0 { Slot::Unreadable { reason: "busy".into() } } else { found };
                let sealed = found == Slot::Absent && self.pick(2) == 0;
                let found = if sealed { Slot::Sealed } else { found };
                self.mail.push_back(Event::SlotRead { id: metadata.id, ticket, found });
            }
            Action::NotifyComplete(id) => self.commit(id),
            Action::NotifyAbort(id) => self.abort(id),
            Action::StopJob(_) => self.stopped = true,
            Action::FailJob(_) => self.kill(),
            Action::Answer { .. } | Action::Retire(_) => {}
        }
    }

    /// Sources inject the barrier; nobody else has an input that could end here.
    fn inject(&mut self, trigger: &Trigger) {
        for task in 0..SOURCES {
            self.tasks[task].paused |= trigger.kind.stop().is_some();
            self.snapshot(task, trigger.barrier);
        }
    }

    fn commit(&mut self, id: CheckpointId) {
        let sink = self.tasks.last_mut().unwrap();
        let later = sink.state.prepared.split_off(&id.next());
        for (id, records) in std::mem::replace(&mut sink.state.prepared, later) {
            self.committed.entry(id).or_insert(records);
        }
    }

    fn abort(&mut self, id: CheckpointId) {
        for task in 0..self.tasks.len() {
            let mut outputs = Vec::new();
            if let Some(gate) = &mut self.tasks[task].gate {
                gate.abort(id, &mut outputs).unwrap();
            }
            self.run_outputs(task, outputs);
            self.forget(task, id);
        }
    }

    fn forget(&mut self, task: usize, id: CheckpointId) {
        let task = &mut self.tasks[task];
        task.stored.remove(&id);
        if task.collecting.as_ref().is_some_and(|collecting| collecting.id == id) {
            task.collecting = None;
        }
    }

    fn snapshot(&mut self, task: usize, barrier: Barrier) {
        for output in outputs_of(task) {
            self.channels.get_mut(&(task, output)).unwrap().push_barrier(barrier);
        }
        let own = &mut self.tasks[task];
        if outputs_of(task).is_empty() {
            own.state.prepared.insert(barrier.id, std::mem::take(&mut own.open));
        }
        let state = own.state.clone();
        let unaligned = barrier.alignment == Alignment::Unaligned && own.gate.is_some();
        if unaligned && self.delivery == Delivery::ExactlyOnce {
            own.collecting = Some(Collecting { id: barrier.id, state });
        } else {
            self.acknowledge(task, barrier.id, state);
        }
    }

    fn acknowledge(&mut self, task: usize, id: CheckpointId, state: State) {
        let subtask = self.tasks[task].subtask;
        let event = match self.pick(60) {
            0 => Event::Declined { id, subtask, reason: "unlucky".into() },
            _ => Event::Acknowledged { id, subtask, snapshot: SubtaskSnapshot::exclusive(state) },
        };
        self.mail.push_back(event);
    }

    /// Hands the next element of a random channel to its receiver.
    fn transfer(&mut self) {
        let full: Vec<(usize, usize)> =
            self.channels.iter().filter(|(_, channel)| !channel.queue.is_empty()).map(|(ends, _)| *ends).collect();
        if full.is_empty() {
            return;
        }
        let (from, to) = full[self.pick(full.len())];
        let input = from - inputs_of(to).start;
        let channel = self.channels.get_mut(&(from, to)).unwrap();
        let (element, overtaken) = channel.queue.pop_front().unwrap();
        let task = &mut self.tasks[to];
        if let Element::Barrier(barrier) = &element {
            // What the barrier overtook in this queue is channel state.
            let records: Vec<Record> = channel.records().take(overtaken).collect();
            let inputs = inputs_of(to).len();
            task.stored.entry(barrier.id).or_insert_with(|| vec![Vec::new(); inputs])[input].extend(records);
        }
        let mut outputs = Vec::new();
        task.gate.as_mut().unwrap().push(input, element, &mut outputs).unwrap();
        self.run_outputs(to, outputs);
    }

    fn run_outputs(&mut self, task: usize, outputs: Vec<Output<Record>>) {
        for output in outputs {
            match output {
                Output::Record { input, record, store_for } => {
                    if let Some(id) = store_for {
                        let inputs = inputs_of(task).len();
                        let stored = self.tasks[task].stored.entry(id).or_insert_with(|| vec![Vec::new(); inputs]);
                        stored[input].push(record);
                    }
                    self.process(task, record);
                }
                Output::Snapshot(barrier) => self.snapshot(task, barrier),
                Output::ChannelStateComplete(id) => {
                    if let Some(Collecting { mut state, .. }) = self.tasks[task].collecting.take() {
                        state.channel = self.tasks[task].stored.remove(&id).unwrap_or_default();
                        self.acknowledge(task, id, state);
                    }
                }
                Output::Abort(id, _) => {
                    self.forget(task, id);
                    for output in outputs_of(task) {
                        self.channels.get_mut(&(task, output)).unwrap().push(Element::Cancellation(id));
                    }
                    let subtask = self.tasks[task].subtask;
                    self.mail.push_back(Event::Declined { id, subtask, reason: "no barrier".into() });
                }
                Output::End { .. } => {}
            }
        }
    }

    fn process(&mut self, task: usize, record: Record) {
        let own = &mut self.tasks[task];
        if outputs_of(task).is_empty() {
            own.open.push(record);
            return;
        }
        let (source, number, _) = record;
        let count = own.state.counts.entry(number % 3).or_default();
        *count += 1;
        let counted = (source, number, *count);
        let output = outputs_of(task).start;
        self.channels.get_mut(&(task, output)).unwrap().push(Element::Record(counted));
    }

    fn produce(&mut self) {
        let source = self.pick(SOURCES);
        let own = &mut self.tasks[source];
        if own.paused || own.state.position == RECORDS {
            return;
        }
        let number = own.state.position;
        own.state.position += 1;
        let to = SOURCES + usize::try_from(number % 3).unwrap() % COUNTERS;
        let record = (u64::try_from(source).unwrap(), number, 0);
        self.channels.get_mut(&(source, to)).unwrap().push(Element::Record(record));
    }

    fn kill(&mut self) {
        self.running = false;
        self.failures += 1;
        (self.tasks, self.channels) = (Vec::new(), BTreeMap::new());
        // Messages of the dead are still on their way.
    }

    fn restart(&mut self) {
        let restored = match self.coordinator.recovery() {
            Recovery::Undecided(_) => return,
            Recovery::Initial => None,
            Recovery::From(metadata) => Some(metadata),
        };
        self.running = true;
        for task in 0..SOURCES + COUNTERS + 1 {
            let subtask = subtask_of(task);
            let snapshot = restored.as_ref().and_then(|metadata| metadata.snapshots.get(&subtask));
            let mut state = snapshot.map(|snapshot| snapshot.handle.clone()).unwrap_or_default();
            let inputs = inputs_of(task);
            let stored = std::mem::take(&mut state.channel);
            self.overtaken += stored.iter().map(Vec::len).sum::<usize>();
            for from in inputs.clone() {
                let channel = self.channels.entry((from, task)).or_default();
                let records = stored.get(from - inputs.start).into_iter().flatten();
                records.for_each(|record| channel.push(Element::Record(*record)));
            }
            let gate = (!inputs.is_empty()).then(|| Gate::new(inputs.len(), self.delivery).unwrap());
            let (open, collecting, stored) = (Vec::new(), None, BTreeMap::new());
            self.tasks.push(Task { subtask, gate, state, open, collecting, stored, paused: false });
        }
        if let Some(metadata) = &restored {
            // A restored sink commits what the checkpoint had prepared.
            self.commit(metadata.id);
        }
        let subtasks: BTreeSet<Subtask> = self.tasks.iter().map(|task| task.subtask).collect();
        self.send(Event::Running { subtasks, finished: BTreeSet::new() });
    }

    fn step(&mut self, calm: bool) {
        self.now_ms += 1;
        match self.pick(200) {
            0 if !calm && self.running => {
                self.kill();
                self.send(Event::JobFailed);
            }
            _ if !self.running => {
                self.restart();
                self.deliver();
                self.send(Event::Tick);
            }
            1..60 => self.produce(),
            60..150 => self.transfer(),
            150..190 => self.deliver(),
            _ => {
                for task in 0..self.tasks.len() {
                    let mut outputs = Vec::new();
                    if let Some(gate) = &mut self.tasks[task].gate {
                        gate.on_time(self.now_ms, &mut outputs).unwrap();
                    }
                    self.run_outputs(task, outputs);
                }
                self.send(Event::Tick);
            }
        }
    }

    fn deliver(&mut self) {
        if !self.mail.is_empty() {
            let at = self.pick(self.mail.len().min(4));
            if let Some(event) = self.mail.remove(at) {
                self.send(event);
            }
        }
    }

    fn drained(&self) -> bool {
        let produced = self.running && self.tasks[..SOURCES].iter().all(|task| task.state.position == RECORDS);
        produced && self.channels.values().all(|channel| channel.records().next().is_none())
    }

    /// Runs to the end, stops with a savepoint, and returns what was committed.
    fn run(&mut self) -> Vec<Record> {
        let mut step = 0u64;
        while !self.stopped {
            step += 1;
            assert!(step < 300_000, "no end in sight");
            self.step(step > 6_000);
            if step > 6_000 && step.is_multiple_of(2_000) && self.drained() {
                let savepoint =
                    Savepoint { target: "/end".into(), format: SavepointFormat::Canonical, stop: Some(Stop::Suspend) };
                self.send(Event::Request { request: RequestId(step), kind: Kind::Savepoint(savepoint) });
            }
        }
        self.committed.values().flatten().copied().collect()
    }
}

/// Every record once, counted without gap or repetition.
fn check_exactly_once(seed: u64, committed: &[Record]) {
    let mut produced: Vec<(u64, u64)> = committed.iter().map(|(source, number, _)| (*source, *number)).collect();
    produced.sort_unstable();
    let expected: Vec<(u64, u64)> =
        (0..2).flat_map(|source| (0..RECORDS).map(move |number| (source, number))).collect();
    assert_eq!(produced, expected, "seed {seed}");
    for key in 0..3 {
        let mut counts: Vec<u64> =
            committed.iter().filter(|(_, number, _)| number % 3 == key).map(|(_, _, count)| *count).collect();
        counts.sort_unstable();
        assert_eq!(counts, (1..=u64::try_from(counts.len()).unwrap()).collect::<Vec<_>>(), "seed {seed}, key {key}");
    }
}

/// One job; panics if anything is lost or repeated.
#[cfg(feature = "test-util")]
pub(super) fn run(seed: u64) {
    check_exactly_once(seed, &World::new(seed, Delivery::ExactlyOnce).run());
}

#[test]
fn exactly_once_survives_failures() {
    let (mut failures, mut overtaken) = (0, 0);
    for seed in 0..150 {
        let mut world = World::new(seed, Delivery::ExactlyOnce);
        let committed = world.run();
        check_exactly_once(seed, &committed);
        failures += world.failures;
        overtaken += world.overtaken;
    }
    assert!(failures > 1_000 && overtaken > 1_000, "{failures} failures, {overtaken} records: the test tests nothing");
}

#[test]
fn at_least_once_loses_nothing() {
    for seed in 0..50 {
        let committed = World::new(seed, Delivery::AtLeastOnce).run();
        let found: BTreeSet<(u64, u64)> = committed.iter().map(|(source, number, _)| (*source, *number)).collect();
        assert_eq!(found.len(), usize::try_from(2 * RECORDS).unwrap(), "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_job() {
    for seed in 0..5 {
        let run = || World::new(seed, Delivery::ExactlyOnce).run();
        assert_eq!(run(), run());
    }
}
