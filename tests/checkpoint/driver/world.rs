//! A job small enough to look through: one operator of two subtasks, whose state is a string per key group. Each string is
//! an object in `shared/`, written again only when it has changed, so every checkpoint is incremental.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond::Result;
use millpond::checkpoint::driver::{Completed, Engine, Opened, Restore, Setup, Start, Step};
use millpond::checkpoint::event::{Abort, JobFailure, RequestId, Trigger};
use millpond::checkpoint::job::{Job, Operator, Reports};
use millpond::checkpoint::pending::{Kind, Savepoint, SavepointFormat, Stop, Subtask};
use millpond::checkpoint::{Config, Driver};
use millpond::codec::digest;
use millpond::format::FormatId;
use millpond::format::manifest::{KeyGroupAssignment, KeyedHandle, ObjectRef, ObjectScope, SectionRef};
use millpond::format::record::{StateKind, StateMeta};
use millpond::ids::{CheckpointId, JobId, OperatorId, SubtaskIndex};
use millpond::key_group::{KeyGroup, KeyGroupRange, MaxParallelism, Parallelism};
use millpond::random::{RandomSource, SeededRandom};
use millpond::serializer::SerializerSnapshot as S;
use millpond::snapshot::{SnapshotReader, SnapshotTarget, SubtaskReport};
use millpond::storage::layout::{self, JobLayout};
use millpond::storage::{CommitOutcome, ObjectPath, Storage};

pub(crate) const JOB: JobId = JobId([0xAB; 16]);
pub(crate) const UID: &str = "words";

/// More work than there ever is at one time.
const MOST_STEPS: u32 = 10_000;

/// State of the whole job: a string per key group.
pub(crate) type State = BTreeMap<u16, String>;

pub(crate) fn max() -> MaxParallelism {
    MaxParallelism::new(16).unwrap()
}

pub(crate) fn job_of(id: JobId, parallelism: u32) -> Job {
    let parallelism = Parallelism::new(parallelism, max()).unwrap();
    Job::new(id, vec![Operator::new(UID, parallelism, max())]).unwrap()
}

pub(crate) fn config(retained: u32) -> Config {
    let config =
        Config { retained, max_concurrent: 3, tolerable_failures: 99, timeout_ms: 10_000, ..Config::default() };
    crate::checkpoint::configured(config)
}

pub(crate) fn setup(storage: &Arc<dyn Storage>, id: JobId, seed: u64, retained: u32) -> Setup {
    let random = Arc::new(SeededRandom::new(seed));
    Setup { grace_ms: 0, skew_ms: 0, ..Setup::new(job_of(id, 2), config(retained), Arc::clone(storage), random) }
}

pub(crate) fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).unwrap()
}

/// What the driver asked for.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) triggers: Vec<(Trigger, SnapshotTarget)>,
    pub(crate) completed: Vec<u64>,
    pub(crate) aborted: Vec<u64>,
    pub(crate) answers: BTreeMap<u64, std::result::Result<Completed, Abort>>,
    pub(crate) stopped: Option<u64>,
    pub(crate) failures: Vec<String>,
}

impl Engine for Told {
    fn trigger(&mut self, trigger: &Trigger, target: &SnapshotTarget) {
        self.triggers.push((trigger.clone(), target.clone()));
    }

    fn notify_complete(&mut self, id: CheckpointId) {
        self.completed.push(id.0);
    }

    fn notify_abort(&mut self, id: CheckpointId) {
        self.aborted.push(id.0);
    }

    fn answer(&mut self, request: RequestId, result: std::result::Result<Completed, Abort>) {
        assert!(self.answers.insert(request.0, result).is_none(), "request {request:?} is answered twice");
    }

    fn stop(&mut self, id: CheckpointId) {
        self.stopped = Some(id.0);
    }

    fn fail(&mut self, failure: &JobFailure) {
        self.failures.push(failure.to_string());
    }
}

/// A running job.
pub(crate) struct World {
    pub(crate) driver: Driver,
    pub(crate) told: Told,
    pub(crate) random: SeededRandom,
    pub(crate) now_ms: i64,
    pub(crate) state: State,
    /// Where each key group's string was stored by each checkpoint that may become a base.
    stored: BTreeMap<u64, BTreeMap<u16, ObjectRef>>,
    requests: u64,
}

impl World {
    /// Takes the job over and restores it.
    pub(crate) fn open(setup: Setup, now_ms: i64) -> Result<World> {
        assert_eq!(setup.job.subtasks().len(), 2);
        let Opened { driver, start, .. } = Driver::open(setup, now_ms)?;
        let random = SeededRandom::new(driver.epoch().wrapping_mul(77));
        let (told, stored) = (Told::default(), BTreeMap::new());
        let mut world = World { driver, told, random, now_ms, state: State::new(), stored, requests: 0 };
        world.restart(start)?;
        Ok(world)
    }

    /// Goes on from what the driver says.
    pub(crate) fn restart(&mut self, start: Start) -> Result<()> {
        let restore = match start {
            Start::Undecided(ids) => panic!("{ids:?} are undecided"),
            Start::Empty => None,
            Start::From(restore) => Some(restore),
        };
        self.state = State::new();
        if let Some(restore) = &restore {
            self.restore(restore)?;
        }
        self.driver.running(self.now_ms, restore.as_ref(), &mut self.told);
        Ok(())
    }

    fn restore(&mut self, restore: &Restore) -> Result<()> {
        let snapshot = restore.open()?;
        self.state = read(&snapshot)?;
        // A checkpoint of another directory is no base: its objects are not in ours.
        if restore.location.directory == JobLayout::new(self.driver.job().id()).checkpoint(restore.id) {
            let operator = snapshot.operator(UID)?;
            let keyed = operator.description().subtasks.iter().filter_map(|subtask| subtask.keyed.as_ref());
            let stored = keyed.flat_map(|keyed| {
                keyed.sections.iter().map(|section| (section.group.0, keyed.section(section.group).unwrap().1.clone()))
            });
            self.stored.insert(restore.id.0, stored.collect());
        }
        Ok(())
    }

    pub(crate) fn put(&mut self, group: u16, text: &str) {
        self.state.insert(group, text.to_owned());
    }

    /// The objects of one subtask: those of the base where the string is the same, new ones for the others.
    pub(crate) fn write(&mut self, trigger: &Trigger, target: &SnapshotTarget, index: u32) -> Result<Reports> {
        let parallelism = Parallelism::new(2, max()).unwrap();
        let range = KeyGroupRange::of_subtask(index, parallelism, max()).unwrap();
        let scope = if trigger.kind.is_savepoint() { ObjectScope::Exclusive } else { ObjectScope::Shared };
        let base = trigger.base.and_then(|base| self.stored.get(&base.0)).cloned().unwrap_or_default();
        let (mut objects, mut sections) = (Vec::new(), Vec::new());
        let mut stored = BTreeMap::new();
        for (group, text) in self.state.iter().filter(|(group, _)| range.contains(KeyGroup(**group))) {
            let bytes = content(*group, text);
            let same = base.get(group).filter(|object| object.digest == digest(&bytes) && object.scope == scope);
            let object = match same {
                Some(object) => object.clone(),
                None => self.upload(target, scope, &bytes)?,
            };
            let (length, position) = (object.length, u32::try_from(objects.len()).unwrap());
            sections.push(SectionRef {
                group: KeyGroup(*group),
                object: position,
                offset: 0,
                length,
                checksum: 1,
                entries: 1,
            });
            stored.insert(*group, object.clone());
            objects.push(object);
        }
        if !trigger.kind.is_savepoint() {
            self.stored.entry(trigger.barrier.id.0).or_default().extend(stored);
        }
        let state = StateMeta {
            name: "word".to_owned(),
            kind: StateKind::Value,
            namespace: S::Unit,
            user_key: S::Unit,
            value: S::String,
            timed: false,
        };
        Ok(vec![SubtaskReport {
            operator: UID.to_owned(),
            subtask: SubtaskIndex(index),
            parallelism,
            max_parallelism: max(),
            key: Some(S::String),
            states: vec![state],
            keyed: Some(KeyedHandle {
                format: FormatId::NativeHeap,
                range,
                assignment: KeyGroupAssignment::Xxh3,
                objects,
                sections,
                files: vec![],
                states: vec![],
            }),
            operator_state: None,
        }])
    }

    fn upload(&self, target: &SnapshotTarget, scope: ObjectScope, bytes: &[u8]) -> Result<ObjectRef> {
        let name = layout::new_object_name(&self.random)?;
        let path = millpond::snapshot::object_path(target.directory(), scope, &name)?;
        let mut writer = target.storage().create(&path)?;
        writer.write(bytes)?;
        writer.finish()?;
        Ok(ObjectRef { scope, name, length: bytes.len() as u64, digest: digest(bytes) })
    }

    /// Asks for a snapshot and has both subtasks write and acknowledge it. Its number.
    pub(crate) fn take(&mut self, kind: Kind) -> u64 {
        let id = self.trigger(kind);
        self.acknowledge(id);
        self.settle();
        id
    }

    pub(crate) fn checkpoint(&mut self) -> u64 {
        self.take(Kind::Checkpoint)
    }

    pub(crate) fn savepoint(&mut self, target: &str, stop: Option<Stop>) -> Completed {
        let format = SavepointFormat::Canonical;
        let id = self.take(Kind::Savepoint(Savepoint { target: target.to_owned(), format, stop }));
        let answer = self.told.answers.get(&self.requests).cloned();
        match answer {
            Some(Ok(completed)) if completed.id.0 == id => completed,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn trigger(&mut self, kind: Kind) -> u64 {
        self.requests += 1;
        self.now_ms += 1;
        self.driver.request(self.now_ms, RequestId(self.requests), kind, &mut self.told);
        self.told.triggers.last().map_or_else(|| panic!("nothing was triggered"), |(trigger, _)| trigger.barrier.id.0)
    }

    pub(crate) fn last_answer(&self) -> Option<&std::result::Result<Completed, Abort>> {
        self.told.answers.get(&self.requests)
    }

    pub(crate) fn acknowledge(&mut self, id: u64) {
        for index in 0..2 {
            self.acknowledge_one(id, index);
        }
    }

    pub(crate) fn acknowledge_one(&mut self, id: u64, index: u32) {
        let of = |(trigger, _): &&(Trigger, SnapshotTarget)| trigger.barrier.id.0 == id;
        let (trigger, target) = self.told.triggers.iter().find(of).unwrap().clone();
        self.now_ms += 1;
        match self.write(&trigger, &target, index) {
            Ok(reports) => {
                let (id, subtask) = (CheckpointId(id), subtask(index));
                self.driver.acknowledge(self.now_ms, id, subtask, reports, &mut self.told);
            }
            Err(error) => self.decline(id, index, &error.to_string()),
        }
    }

    /// Stores what a subtask has, without telling anybody.
    pub(crate) fn write_only(&mut self, id: u64, index: u32) {
        let of = |(trigger, _): &&(Trigger, SnapshotTarget)| trigger.barrier.id.0 == id;
        let (trigger, target) = self.told.triggers.iter().find(of).unwrap().clone();
        self.write(&trigger, &target, index).unwrap();
    }

    pub(crate) fn decline(&mut self, id: u64, index: u32, reason: &str) {
        use millpond::checkpoint::Event;
        let event = Event::Declined { id: CheckpointId(id), subtask: subtask(index), reason: reason.to_owned() };
        self.driver.handle(self.now_ms, event, &mut self.told);
    }

    pub(crate) fn settle(&mut self) {
        for _ in 0..MOST_STEPS {
            if self.driver.step(self.now_ms, &mut self.told) != Step::Worked {
                return;
            }
        }
        panic!("no end in sight");
    }

    /// Steps until idle, letting time pass where something waits for it. At most so many milliseconds.
    pub(crate) fn settle_for(&mut self, most_ms: i64) {
        let end_ms = self.now_ms + most_ms;
        for step in 0.. {
            assert!(step < MOST_STEPS, "no end in sight");
            match self.driver.step(self.now_ms, &mut self.told) {
                Step::Worked => {}
                Step::Idle { wake_at_ms: Some(at_ms) } if at_ms <= end_ms => self.now_ms = at_ms.max(self.now_ms),
                Step::Idle { .. } => break,
            }
        }
        self.now_ms = end_ms;
        self.settle();
    }

    pub(crate) fn kept(&self) -> Vec<u64> {
        self.driver.coordinator().completed().ids().map(|id| id.0).collect()
    }
}

pub(crate) fn subtask(index: u32) -> Subtask {
    Subtask { operator: OperatorId::from_uid(UID), index: SubtaskIndex(index) }
}

/// The bytes of an object: long enough to pass for a section.
fn content(group: u16, text: &str) -> Vec<u8> {
    format!("{:64}{group:5}{text}", "").into_bytes()
}

/// Everything in a snapshot, with digests compared.
pub(crate) fn read(snapshot: &SnapshotReader) -> Result<State> {
    let mut state = State::new();
    for subtask in &snapshot.operator(UID)?.description().subtasks {
        for section in subtask.keyed.iter().flat_map(|keyed| &keyed.sections) {
            let (_, object) = subtask.keyed.as_ref().unwrap().section(section.group).unwrap();
            let bytes = snapshot.verified_object(object)?;
            let text = String::from_utf8(bytes.as_slice().to_vec()).unwrap();
            assert_eq!(text[64..69].trim().parse(), Ok(section.group.0));
            state.insert(section.group.0, text[69..].to_owned());
        }
    }
    Ok(state)
}

/// Reads one snapshot from storage alone.
pub(crate) fn read_at(storage: &Arc<dyn Storage>, directory: &ObjectPath) -> Result<State> {
    read(&SnapshotReader::open(Arc::clone(storage), directory.clone())?)
}

pub(crate) fn checkpoint_of(job: JobId, id: u64) -> ObjectPath {
    JobLayout::new(job).checkpoint(CheckpointId(id))
}

pub(crate) fn names(storage: &Arc<dyn Storage>) -> Vec<String> {
    storage.list(None).unwrap().into_iter().map(|info| info.path.to_string()).collect()
}

/// Names and contents of everything below a prefix.
pub(crate) fn bytes_below(storage: &Arc<dyn Storage>, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let listed = storage.list(Some(&path(prefix))).unwrap().into_iter();
    listed.map(|info| (info.path.to_string(), storage.open(&info.path).unwrap().as_slice().to_vec())).collect()
}

pub(crate) fn commit(storage: &Arc<dyn Storage>, name: &str, bytes: &[u8]) {
    let outcome = storage.commit(&path(name), bytes);
    assert!(matches!(outcome, CommitOutcome::Committed), "{outcome:?}");
}

pub(crate) fn pick(random: &SeededRandom, bound: u64) -> u64 {
    u64::try_from(random.next_u128().unwrap() % u128::from(bound)).unwrap()
}
