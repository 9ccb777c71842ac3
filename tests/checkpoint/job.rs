//! A job small enough to read a scenario by: a coordinator, two subtasks, and a storage that several jobs can share.

use std::collections::{BTreeMap, BTreeSet};

use millpond::checkpoint::event::{Outcome, RequestId, Slot, Ticket};
use millpond::checkpoint::gc::{self, Boundary, Content, Lease, Plan, Role, Seen, View};
use millpond::checkpoint::pending::{Kind, Metadata, Savepoint, SavepointFormat, Subtask, SubtaskSnapshot};
use millpond::checkpoint::restore::{Fallback, Reading, choose_latest};
use millpond::checkpoint::{Action, Config, Coordinator, Event, Inheritance};
use millpond::codec::digest;
use millpond::format::manifest::{ObjectRef, ObjectScope};
use millpond::ids::{CheckpointId, OperatorId, SubtaskIndex};

pub(super) type Snapshot = SubtaskSnapshot<()>;

/// Objects with their contents, manifest slots, and what collectors and writers agree by.
#[derive(Clone, Default)]
pub(super) struct Store {
    pub(super) objects: BTreeMap<String, String>,
    pub(super) slots: BTreeMap<CheckpointId, Option<Metadata<()>>>,
    pub(super) boundary: Option<Boundary>,
    pub(super) epoch: u64,
    pub(super) seen: BTreeMap<String, Seen>,
    pub(super) leases: Vec<Lease>,
}

pub(super) struct Job {
    pub(super) coordinator: Coordinator<()>,
    pub(super) epoch: u64,
    pub(super) now_ms: i64,
    pub(super) retired: Vec<CheckpointId>,
}

pub(super) fn id(id: u64) -> CheckpointId {
    CheckpointId(id)
}

pub(super) fn subtask(index: u32) -> Subtask {
    Subtask { operator: OperatorId::from_uid("a"), index: SubtaskIndex(index) }
}

pub(super) fn object(name: &str, content: &str) -> ObjectRef {
    let digest = digest(content.as_bytes());
    ObjectRef { scope: ObjectScope::Shared, name: name.into(), length: content.len() as u64, digest }
}

pub(super) fn role(name: &str) -> Option<Role> {
    match name.split_once('/') {
        Some(("shared", _)) => Some(Role::Shared),
        Some((checkpoint, "_metadata")) => checkpoint.strip_prefix("chk-")?.parse().ok().map(id).map(Role::Manifest),
        _ => None,
    }
}

fn manifest_name(id: CheckpointId) -> String {
    format!("chk-{id}/_metadata")
}

impl Store {
    pub(super) fn upload(&mut self, name: &str, content: &str) -> ObjectRef {
        self.objects.insert(format!("shared/{name}"), content.into());
        object(name, content)
    }

    /// Creates a manifest unless its slot is taken.
    pub(super) fn store(&mut self, metadata: &Metadata<()>) -> bool {
        let taken = self.slots.contains_key(&metadata.id);
        if !taken {
            self.slots.insert(metadata.id, Some(metadata.clone()));
        }
        !taken
    }

    pub(super) fn slot(&self, metadata: &Metadata<()>) -> Slot {
        match self.slots.get(&metadata.id) {
            None => Slot::Absent,
            Some(None) => Slot::Sealed,
            Some(Some(stored)) if stored == metadata => Slot::Ours,
            Some(Some(_)) => Slot::Foreign,
        }
    }

    /// Everything a manifest names is there, with the content it says. Those below the boundary that nobody keeps are on
    /// their way out.
    pub(super) fn audit(&self, kept: &[u64]) {
        for id in kept {
            self.restore(*id);
        }
    }

    /// Reads one checkpoint: the contents of its objects by name.
    pub(super) fn restore(&self, number: u64) -> BTreeMap<String, String> {
        let Some(Some(metadata)) = self.slots.get(&id(number)) else { panic!("checkpoint {number} has no manifest") };
        let mut contents = BTreeMap::new();
        for object in metadata.shared() {
            let content = self.objects.get(&format!("shared/{}", object.name));
            let content = content.unwrap_or_else(|| panic!("checkpoint {number} names {}, which is gone", object.name));
            assert_eq!(digest(content.as_bytes()), object.digest, "checkpoint {number}, object {}", object.name);
            contents.insert(object.name.clone(), content.clone());
        }
        contents
    }

    /// What a collector of this job sees.
    pub(super) fn view(&self, job: &Job, grace_ms: u64) -> View<String> {
        let slots = self.slots.iter().map(|(id, slot)| {
            let names = |metadata: &Metadata<()>| {
                Content::Names(metadata.shared().map(|object| format!("shared/{}", object.name)).collect())
            };
            (*id, slot.as_ref().map_or(Content::Sealed, names))
        });
        View {
            listing: Some(self.objects.keys().cloned().chain(self.slots.keys().map(|id| manifest_name(*id))).collect()),
            next_id: job.coordinator.next_id(),
            boundary: job.coordinator.boundary(),
            kept: job.coordinator.completed().in_use().collect(),
            manifests: slots.collect(),
            leases: self.leases.clone(),
            epoch: job.epoch,
            highest_epoch: self.epoch,
            seen: self.seen.clone(),
            now_ms: job.now_ms,
            grace_ms,
            #[cfg(feature = "test-util")]
            planted: super::planted(),
        }
    }

    pub(super) fn plan(&self, job: &Job, grace_ms: u64) -> millpond::Result<Plan<String>> {
        gc::plan(&self.view(job, grace_ms), |name| role(name))
    }

    pub(super) fn carry_out(&mut self, plan: Plan<String>) {
        if !plan.is_empty() {
            let below = plan.boundary.below.max(self.boundary.map_or(id(1), |boundary| boundary.below));
            self.boundary = Some(Boundary { below, ..plan.boundary });
        }
        for name in &plan.manifests {
            let Some(Role::Manifest(id)) = role(name) else { panic!("{name}") };
            self.slots.remove(&id);
        }
        for name in &plan.objects {
            self.objects.remove(name);
        }
        self.seen = plan.seen;
    }

    /// The greediest collector: no grace, as often as it changes something.
    pub(super) fn collect(&mut self, job: &Job) {
        for _ in 0..3 {
            let plan = self.plan(job, 0).unwrap();
            self.carry_out(plan);
        }
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.objects.keys().map(|name| name.trim_start_matches("shared/")).collect()
    }
}

impl Job {
    pub(super) fn config(retained: u32) -> Config {
        let config =
            Config { retained, max_concurrent: 2, tolerable_failures: 99, timeout_ms: 10_000, ..Config::default() };
        super::configured(config)
    }

    /// A coordinator of the next epoch, its job running.
    pub(super) fn start(store: &mut Store, config: Config, inheritance: Inheritance<()>) -> Self {
        store.epoch += 1;
        let coordinator = Coordinator::new(config, inheritance).unwrap();
        let mut job = Job { coordinator, epoch: store.epoch, now_ms: 0, retired: Vec::new() };
        job.run();
        job
    }

    /// A new coordinator that knows only what is stored.
    pub(super) fn recover(store: &mut Store, config: Config) -> Self {
        let readings =
            store.slots.iter().map(|(id, slot)| (*id, slot.clone().map_or(Reading::Sealed, Reading::Complete)));
        let below = store.boundary.map_or(id(1), |boundary| boundary.below);
        let latest = choose_latest(readings.collect(), below, Fallback::Refuse).unwrap();
        let completed = latest.older.into_iter().chain(latest.chosen).map(|(_, metadata)| metadata).collect();
        let inheritance = Inheritance { completed, next_id: latest.next_id, view: latest.view };
        Job::start(store, config, inheritance)
    }

    pub(super) fn run(&mut self) {
        let subtasks: BTreeSet<Subtask> = [subtask(0), subtask(1)].into();
        self.send(Event::Running { subtasks, finished: BTreeSet::new() });
    }

    pub(super) fn send(&mut self, event: Event<()>) -> Vec<Action<()>> {
        self.now_ms += 1;
        let actions = self.coordinator.handle(self.now_ms, event);
        for action in &actions {
            if let Action::Retire(ids) = action {
                self.retired.extend(ids);
            }
        }
        actions
    }

    fn request(&mut self, kind: Kind) -> u64 {
        let actions = self.send(Event::Request { request: RequestId(0), kind });
        let triggered = actions.iter().find_map(|action| match action {
            Action::Trigger(trigger) => Some(trigger.barrier.id.0),
            _ => None,
        });
        triggered.unwrap_or_else(|| panic!("nothing was triggered: {actions:?}"))
    }

    pub(super) fn trigger(&mut self) -> u64 {
        self.request(Kind::Checkpoint)
    }

    pub(super) fn trigger_savepoint(&mut self) -> u64 {
        let format = SavepointFormat::Canonical;
        self.request(Kind::Savepoint(Savepoint { target: "/savepoint".into(), format, stop: None }))
    }

    pub(super) fn acknowledge(&mut self, number: u64, index: u32, snapshot: Snapshot) -> Vec<Action<()>> {
        self.send(Event::Acknowledged { id: id(number), subtask: subtask(index), snapshot })
    }

    pub(super) fn decline(&mut self, number: u64, index: u32) {
        self.send(Event::Declined { id: id(number), subtask: subtask(index), reason: "cancelled".into() });
    }

    pub(super) fn published(&mut self, number: u64, ticket: Ticket, outcome: Outcome) -> Vec<Action<()>> {
        self.send(Event::Published { id: id(number), ticket, outcome })
    }

    /// Stores and completes what is to be published.
    pub(super) fn publish(&mut self, store: &mut Store, actions: &[Action<()>]) {
        for action in actions {
            if let Action::Publish { metadata, ticket, .. } = action {
                assert!(store.store(metadata), "the slot of {} is taken", metadata.id);
                let number = metadata.id.0;
                if !metadata.kind.is_savepoint() {
                    store.restore(number);
                }
                self.published(number, *ticket, Outcome::Committed);
            }
        }
    }

    /// Takes a whole checkpoint in which subtask 0 has these shared objects and subtask 1 has none.
    pub(super) fn checkpoint(&mut self, store: &mut Store, uploads: &[(&str, &str)], reused: &[ObjectRef]) -> u64 {
        let number = self.trigger();
        let uploaded = uploads.iter().map(|(name, content)| store.upload(name, content)).collect();
        self.finish(store, number, uploaded, reused);
        number
    }

    pub(super) fn finish(&mut self, store: &mut Store, number: u64, uploaded: Vec<ObjectRef>, reused: &[ObjectRef]) {
        self.acknowledge(number, 0, SubtaskSnapshot { handle: (), uploaded, reused: reused.to_vec() });
        let actions = self.acknowledge(number, 1, SubtaskSnapshot::exclusive(()));
        assert!(!actions.is_empty(), "checkpoint {number} was not accepted");
        self.publish(store, &actions);
    }

    pub(super) fn kept(&self) -> Vec<u64> {
        self.coordinator.completed().ids().map(|id| id.0).collect()
    }
}
