//! A whole coordinator: takes the job over, checkpoints, retires, collects, is handed a snapshot of another job.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond::backend::KeyedSnapshotFormat;
use millpond::checkpoint::Config;
use millpond::checkpoint::driver::{Completed, Driver, Engine, Location, Origin, Setup, Start, Step};
use millpond::checkpoint::event::{Abort, Event, JobFailure, RequestId, Trigger};
use millpond::checkpoint::job::{Job, Operator};
use millpond::checkpoint::mistake::Mistake;
use millpond::checkpoint::pending::{Kind, Savepoint, SavepointFormat, Subtask};
use millpond::checkpoint::restore::ClaimMode;
use millpond::codec::{Digest, digest};
use millpond::ids::{CheckpointId, JobId, OperatorId, SubtaskIndex};
use millpond::key_group::{MaxParallelism, Parallelism};
use millpond::snapshot::{SnapshotReader, SnapshotTarget};
use millpond::storage::fault::Disk;
use millpond::storage::layout::{self, JobLayout};
use millpond::storage::{ObjectPath, Storage};

use super::audit::{Auditor, text};
use super::publishing::{check, mount};
use super::search::Program;
use super::witness::{Fact, Known, Witness};
use super::work::{Ground, MAX, OPERATOR, Work};

/// What a coordinator does, in this order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Deed {
    Checkpoint(KeyedSnapshotFormat),
    Savepoint(SavepointFormat),
    /// A checkpoint whose last subtask declines after all have written.
    Abort(KeyedSnapshotFormat),
}

/// A job, and the one it is started from, if it is.
pub(super) struct Driving {
    deeds: Vec<Deed>,
    retained: u32,
    parallelism: u32,
    /// The first life is that of another job, whose last checkpoint, or savepoint, is where this one starts.
    origin: Option<(Vec<Deed>, ClaimMode)>,
    mistake: Option<Mistake>,
    auditor: Auditor,
}

const FIRST: JobId = JobId([1; 16]);
const SECOND: JobId = JobId([2; 16]);

/// Long after everything that went before.
const LATER_MS: i64 = 10_000_000;

impl Driving {
    pub(super) fn new(deeds: Vec<Deed>, retained: u32, parallelism: u32) -> Self {
        Driving { deeds, retained, parallelism, origin: None, mistake: None, auditor: Auditor::default() }
    }

    pub(super) fn starting_from(self, deeds: Vec<Deed>, claim: ClaimMode) -> Self {
        Driving { origin: Some((deeds, claim)), ..self }
    }

    /// On another ground than memory.
    pub(super) fn on(self, ground: Ground) -> Self {
        Driving { auditor: Auditor::on(ground), ..self }
    }

    /// With a mistake in the coordinator.
    pub(super) fn erring(self, mistake: Mistake) -> Self {
        Driving { mistake: Some(mistake), ..self }
    }

    fn setup(&self, id: JobId, disk: &Disk, life: u64) -> Setup {
        // No two jobs draw the same names.
        let (storage, random) = mount(disk, life ^ u64::from(id.0[0]) << 24);
        let parallelism = Parallelism::new(self.parallelism, max()).unwrap();
        let job = Job::new(id, vec![Operator::new(OPERATOR, parallelism, max())]).unwrap();
        let planted = self.mistake;
        let config = Config { retained: self.retained, tolerable_failures: 99, planted, ..Config::default() };
        Setup { grace_ms: 0, skew_ms: 0, ..Setup::new(job, config, storage, random) }
    }

    /// One job from taking over to the end of its deeds.
    fn drive(&self, setup: Setup, deeds: &[Deed], disk: &Disk, witness: &mut Witness) -> Result<ObjectPath, String> {
        let mut life = Life::open(setup, disk, witness, &self.auditor.ground, self.parallelism)?;
        for deed in deeds {
            life.work.process(3);
            life.perform(*deed, disk, witness)?;
        }
        life.last.ok_or_else(|| "no deed left a snapshot".to_owned())
    }

    fn job(&self) -> JobId {
        if self.origin.is_some() { SECOND } else { FIRST }
    }
}

fn max() -> MaxParallelism {
    MaxParallelism::new(MAX).unwrap()
}

impl Program for Driving {
    fn live(&self, disk: &Disk, witness: &mut Witness) -> Result<(), String> {
        let mut setup = self.setup(self.job(), disk, witness.life);
        if let Some((deeds, claim)) = &self.origin {
            if witness.handed().is_none() {
                let first = self.setup(FIRST, disk, witness.life);
                let directory = self.drive(first, deeds, disk, witness)?;
                let stored = stored(&setup.storage, &directory)?;
                witness.tell(disk.operations(), Fact::Handed { directory, stored });
            }
            setup.origin = origin(witness, *claim);
        }
        self.drive(setup, &self.deeds, disk, witness)?;
        // Nothing was undone in a first life.
        self.examine(&disk.copy(), witness)
    }

    fn look(&self, disk: &Disk, witness: &Witness) -> Result<(), String> {
        self.examine(disk, witness)
    }
}

impl Driving {
    /// What the next coordinator finds, and what is left when it has collected.
    fn examine(&self, disk: &Disk, witness: &Witness) -> Result<(), String> {
        let mut witness = witness.clone();
        check(&mount(disk, witness.life).0, &self.auditor, &witness)?;
        // Under another number than any life that goes on from here.
        witness.life += 1_000_000;
        let mut setup = self.setup(FIRST, disk, witness.life);
        if let (Some((_, claim)), Some(_)) = (&self.origin, witness.handed()) {
            setup = self.setup(SECOND, disk, witness.life);
            setup.origin = origin(&witness, *claim);
        }
        let storage = setup.storage.clone();
        let mut life = Life::open(setup, disk, &mut witness, &self.auditor.ground, self.parallelism)?;
        life.settle(LATER_MS, disk, &mut witness);
        life.settle(2 * LATER_MS, disk, &mut witness);
        let known = check(&storage, &self.auditor, &witness)?;
        life.check_nothing_left(&storage, &self.auditor, &known)?;
        check_untouched(&storage, &witness, self.origin.as_ref().map(|(_, claim)| *claim))
    }
}

fn origin(witness: &Witness, claim: ClaimMode) -> Option<Origin> {
    witness.handed().map(|(directory, _)| Origin { place: String::new(), directory: directory.clone(), claim })
}

/// What a snapshot consists of.
fn stored(storage: &Arc<dyn Storage>, directory: &ObjectPath) -> Result<BTreeMap<ObjectPath, Digest>, String> {
    let snapshot = SnapshotReader::open(storage.clone(), directory.clone()).map_err(text)?;
    let objects = snapshot.manifest().objects().map(|object| snapshot.object_path(object));
    let paths = objects.chain([layout::manifest(directory)]).collect::<Result<Vec<_>, _>>().map_err(text)?;
    paths.into_iter().map(|path| Ok((path.clone(), digest(&storage.open(&path).map_err(text)?)))).collect()
}

/// What was borrowed is as it was, to the last bit.
fn check_untouched(storage: &Arc<dyn Storage>, witness: &Witness, claim: Option<ClaimMode>) -> Result<(), String> {
    let (Some((directory, before)), Some(ClaimMode::NoClaim)) = (witness.handed(), claim) else { return Ok(()) };
    let now = stored(storage, directory)?;
    match before.iter().find(|(path, digest)| now.get(*path) != Some(digest)) {
        Some((path, _)) => Err(format!("{path} was borrowed and is gone or different")),
        None => Ok(()),
    }
}

/// A coordinator and its subtasks.
struct Life {
    driver: Driver,
    hands: Hands,
    work: Work,
    layout: JobLayout,
    last: Option<ObjectPath>,
    requests: u64,
    /// What the job was started from, if it belongs to the job.
    claimed: Option<(ObjectPath, CheckpointId)>,
}

/// What the driver asked for.
#[derive(Default)]
struct Hands {
    triggered: Vec<(Trigger, SnapshotTarget)>,
    answers: BTreeMap<RequestId, Result<Completed, Abort>>,
    /// Checkpoints that ended, and whether they are complete.
    ended: Vec<(CheckpointId, bool)>,
    failed: Option<String>,
}

impl Engine for Hands {
    fn trigger(&mut self, trigger: &Trigger, target: &SnapshotTarget) {
        self.triggered.push((trigger.clone(), target.clone()));
    }

    fn notify_complete(&mut self, id: CheckpointId) {
        self.ended.push((id, true));
    }

    fn notify_abort(&mut self, id: CheckpointId) {
        self.ended.push((id, false));
    }

    fn answer(&mut self, request: RequestId, result: Result<Completed, Abort>) {
        self.answers.insert(request, result);
    }

    fn stop(&mut self, _: CheckpointId) {}

    fn fail(&mut self, failure: &JobFailure) {
        self.failed = Some(failure.to_string());
    }
}

impl Life {
    /// Takes the job over, and checks that it starts from the newest that was acknowledged, or a newer one.
    fn open(
        setup: Setup,
        disk: &Disk,
        witness: &mut Witness,
        ground: &Ground,
        parallelism: u32,
    ) -> Result<Self, String> {
        let layout = JobLayout::new(setup.job.id());
        let claimed = setup.origin.as_ref().filter(|origin| origin.claim == ClaimMode::Claim);
        let claimed = claimed.map(|origin| {
            let snapshot = SnapshotReader::open(setup.storage.clone(), origin.directory.clone());
            (origin.directory.clone(), snapshot.map_or(CheckpointId(0), |snapshot| snapshot.manifest().checkpoint))
        });
        let opened = Driver::open(setup, 0).map_err(text)?;
        let (work, from) = match &opened.start {
            Start::Undecided(ids) => return Err(format!("undecided at the start: {ids:?}")),
            Start::Empty => (Work::new(ground, parallelism), None),
            Start::From(restore) => {
                let Location { storage, directory, .. } = &restore.location;
                let snapshot = ground.open(storage, directory).map_err(text)?;
                (Work::restore(ground, &snapshot, parallelism).map_err(text)?, Some(restore))
            }
        };
        let expected = newest(&layout, witness);
        if work.records < expected {
            return Err(format!("job {} starts from {} records, not {expected}", layout.job(), work.records));
        }
        let mut driver = opened.driver;
        let mut hands = Hands::default();
        driver.running(0, from, &mut hands);
        let life = Life { driver, hands, work, layout, last: None, requests: 0, claimed };
        life.release(disk, witness);
        Ok(life)
    }

    fn perform(&mut self, deed: Deed, disk: &Disk, witness: &mut Witness) -> Result<(), String> {
        let (kind, format) = match deed {
            Deed::Checkpoint(format) | Deed::Abort(format) => (Kind::Checkpoint, format),
            Deed::Savepoint(format) => {
                let written = match format {
                    SavepointFormat::Canonical => KeyedSnapshotFormat::Canonical,
                    SavepointFormat::Native => KeyedSnapshotFormat::Native,
                };
                (Kind::Savepoint(Savepoint { target: String::new(), format, stop: None }), written)
            }
        };
        self.requests += 1;
        let request = RequestId(self.requests);
        self.driver.request(0, request, kind, &mut self.hands);
        self.release(disk, witness);
        let Some((trigger, target)) = self.hands.triggered.pop() else {
            return Err(format!("nothing was triggered: {:?}, {:?}", self.hands.answers, self.hands.failed));
        };
        let directory = target.directory().clone();
        witness.tell(disk.operations(), Fact::Began { directory: directory.clone(), records: self.work.records });
        let id = trigger.barrier.id;
        let reports = self.work.write(id, &target, format).map_err(text)?;
        let last = reports.len() - 1;
        for (index, report) in reports.into_iter().enumerate() {
            let subtask = Subtask { operator: OperatorId::from_uid(OPERATOR), index: SubtaskIndex(index as u32) };
            if index == last && matches!(deed, Deed::Abort(_)) {
                let event = Event::Declined { id, subtask, reason: "planned".to_owned() };
                self.driver.handle(0, event, &mut self.hands);
            } else {
                self.driver.acknowledge(0, id, subtask, vec![report], &mut self.hands);
            }
            self.release(disk, witness);
        }
        self.settle(0, disk, witness);
        self.tell_work();
        match (self.hands.answers.remove(&request), deed) {
            (Some(Ok(_)), Deed::Checkpoint(_) | Deed::Savepoint(_)) => self.last = Some(directory),
            (Some(Err(_)), Deed::Abort(_)) => {}
            (other, _) => return Err(format!("{deed:?} ended in {other:?}, {:?}", self.hands.failed)),
        }
        Ok(())
    }

    /// Works until nothing is left to do, telling after each piece what is acknowledged and what may go.
    fn settle(&mut self, now_ms: i64, disk: &Disk, witness: &mut Witness) {
        for step in 0.. {
            assert!(step < 10_000, "no end in sight");
            if self.driver.step(now_ms, &mut self.hands) != Step::Worked {
                return;
            }
            for completed in self.hands.answers.values().flatten() {
                if !witness.is_acknowledged(&completed.directory) {
                    witness.tell(disk.operations(), Fact::Acknowledged(completed.directory.clone()));
                }
            }
            self.release(disk, witness);
        }
    }

    /// Whatever the coordinator does not keep may go from now on. Savepoints are kept by their user.
    fn release(&self, disk: &Disk, witness: &mut Witness) {
        let kept: Vec<CheckpointId> = self.driver.coordinator().completed().in_use().collect();
        let pending: Vec<CheckpointId> = self.driver.coordinator().pending().collect();
        let keeps = |directory: &ObjectPath| {
            let all = kept.iter().chain(&pending);
            all.map(|id| self.layout.checkpoint(*id)).any(|own| own == *directory)
        };
        let claimed = self.claimed.as_ref().filter(|(_, id)| !kept.contains(id)).map(|(directory, _)| directory);
        for (directory, known) in witness.snapshots() {
            let own = directory.is_below(&self.layout.root()) && !keeps(&directory);
            if !known.released && (own || claimed == Some(&directory)) {
                witness.tell(disk.operations(), Fact::Released(directory));
            }
        }
    }

    /// Tells the subtasks what became of their snapshots.
    fn tell_work(&mut self) {
        for (id, complete) in std::mem::take(&mut self.hands.ended) {
            self.work.end(id, complete);
        }
    }

    /// With nobody writing, and after the grace, nothing is left that no snapshot in use names.
    fn check_nothing_left(
        &self,
        storage: &Arc<dyn Storage>,
        auditor: &Auditor,
        known: &BTreeMap<ObjectPath, Known>,
    ) -> Result<(), String> {
        let audit = auditor.audit(storage).map_err(text)?;
        let claimed = |path: &ObjectPath| {
            self.claimed.as_ref().is_some_and(|(directory, _)| path == directory || path.is_below(directory))
        };
        let own = |path: &ObjectPath| {
            path.is_below(&self.layout.root()) && !path.is_below(&self.layout.control()) || claimed(path)
        };
        if let Some(orphan) = audit.unreferenced.iter().find(|path| own(path)) {
            return Err(format!("{orphan} is in use by nobody and stays"));
        }
        let released =
            |directory: &&ObjectPath| own(directory) && known.get(*directory).is_some_and(|known| known.released);
        match audit.intact.keys().chain(audit.broken.iter().map(|(directory, _)| directory)).find(released) {
            Some(directory) => Err(format!("{directory} was given up and stays")),
            None => Ok(()),
        }
    }
}

/// Records of the newest checkpoint of a job that was acknowledged.
fn newest(layout: &JobLayout, witness: &Witness) -> u64 {
    let known = witness.snapshots();
    let own = known.iter().filter(|(directory, known)| directory.is_below(&layout.root()) && known.acknowledged);
    let handed = witness.handed().filter(|_| layout.job() == SECOND);
    let handed = handed.and_then(|(directory, _)| known.get(directory)).map(|known| known.records);
    own.map(|(_, known)| known.records).chain(handed).max().unwrap_or(0)
}
