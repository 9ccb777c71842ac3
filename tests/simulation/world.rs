//! Everything there is: a disk, the days of the storage on it, coordinators that may not know of each other, and somebody
//! who remembers what must not be lost.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use millpond::checkpoint::driver::{ReadLease, Setup};
use millpond::checkpoint::job::{Job, Operator};
use millpond::checkpoint::{Config, Driver};
use millpond::ids::{CheckpointId, JobId};
use millpond::key_group::Parallelism;
use millpond::random::SeededRandom;
use millpond::snapshot::SnapshotReader;
use millpond::storage::fault::Disk;
use millpond::storage::layout::{JobLayout, Member};
use millpond::storage::{LocalStorage, ObjectPath, Storage};
use millpond::{Error, ErrorKind, Result};

use super::node::{News, Node, pick};
use super::part::{self, Counts, KEYS, OPERATOR, RECORDS, max};
use super::weather::{self, Days, Weather};
use super::{Mistake, planted};

const JOB: JobId = JobId([9; 16]);
/// How far the clocks of two coordinators are apart at most.
const SKEW_MS: u64 = 40;
/// How long somebody reads a checkpoint.
const LEASE_MS: u64 = 60;

type Shared = Rc<RefCell<Node>>;

/// A coordinator that took over in the middle of what another was doing.
type Born = Rc<RefCell<Vec<Result<(Node, Counts)>>>>;

pub(super) struct World {
    random: SeededRandom,
    pub(super) now_ms: i64,
    disk: Disk,
    days: Arc<Days>,
    nodes: Vec<Shared>,
    /// What each coordinator started from, by its number.
    started: BTreeMap<u64, Counts>,
    /// What the snapshots of each checkpoint hold.
    taken: BTreeMap<CheckpointId, Counts>,
    /// What the world outside has seen: it must never be unseen.
    committed: Counts,
    savepoints: Vec<(CheckpointId, ObjectPath)>,
    reader: Option<(ReadLease, CheckpointId)>,
    next_number: u64,
    planted: Option<Mistake>,
    pub(super) log: Vec<String>,
    pub(super) completed: u64,
    pub(super) takeovers: u64,
}

fn at_least(counts: &Counts, floor: &Counts) -> bool {
    floor.iter().all(|(key, count)| counts.get(key).is_some_and(|found| found >= count))
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let random = SeededRandom::new(seed);
        let severity = [0, 4, 12][usize::try_from(pick(&random, 3)).unwrap()];
        World {
            days: Days::new(seed ^ 0xDA75, severity),
            random,
            now_ms: 1_000,
            disk: Disk::new().copy(),
            nodes: Vec::new(),
            started: BTreeMap::new(),
            taken: BTreeMap::new(),
            committed: Counts::new(),
            savepoints: Vec::new(),
            reader: None,
            next_number: 0,
            planted: planted(),
            log: Vec::new(),
            completed: 0,
            takeovers: 0,
        }
    }

    fn note(&mut self, line: String) {
        self.log.push(format!("{} {line}", self.now_ms));
    }

    /// The storage as this coordinator, or reader, has it.
    fn storage(&self, number: u64) -> Arc<dyn Storage> {
        let temporary = Arc::new(SeededRandom::new(number << 20 ^ 0x7E39));
        let local = Arc::new(LocalStorage::over(Arc::new(self.disk.clone()), temporary));
        Weather::over(local, Arc::clone(&self.days))
    }

    fn setup(&self, number: u64) -> Setup {
        let parallelism = Parallelism::new(1 + u32::try_from(number % 3).unwrap(), max()).unwrap();
        let job = Job::new(JOB, vec![Operator::new(OPERATOR, parallelism, max())]).unwrap();
        let config = Config {
            max_concurrent: 2,
            retained: 1 + u32::try_from(number % 2).unwrap(),
            tolerable_failures: 3,
            timeout_ms: 60,
            planted: self.planted,
            ..Config::every(15)
        };
        let random = Arc::new(SeededRandom::new(number << 20 ^ 0x0B1E));
        Setup { grace_ms: 10, skew_ms: 2 * SKEW_MS, ..Setup::new(job, config, self.storage(number), random) }
    }

    /// What makes a new coordinator, whenever it is called.
    fn birth(&mut self) -> impl FnOnce() -> Result<(Node, Counts)> + 'static {
        let number = self.next_number;
        self.next_number += 1;
        let skew_ms = i64::try_from(pick(&self.random, SKEW_MS)).unwrap() - i64::try_from(SKEW_MS / 2).unwrap();
        let (setup, now_ms) = (self.setup(number), self.now_ms);
        move || Node::open(setup, number, number ^ 0x5EED, now_ms, skew_ms)
    }

    /// A coordinator has taken over, or could not.
    fn welcome(&mut self, born: Result<(Node, Counts)>) {
        match born {
            Err(error) => {
                let tolerable =
                    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Aborted | ErrorKind::Uncertain);
                assert!(tolerable, "a coordinator cannot start: {error}");
                self.note(format!("no takeover: {}", error.kind()));
            }
            Ok((node, counts)) => {
                let from = node.driver.coordinator().completed().latest().map(|latest| latest.id);
                self.note(format!("{} starts from {from:?}: {counts:?}", node.number));
                let taken = from.map(|id| self.taken[&id].clone()).unwrap_or_default();
                assert_eq!(counts, taken, "{from:?} is not what was taken for it");
                assert!(at_least(&counts, &self.committed), "{counts:?} is behind {:?}", self.committed);
                self.started.insert(node.number, counts);
                self.takeovers += 1;
                self.nodes.push(Rc::new(RefCell::new(node)));
            }
        }
    }

    /// Takes in what has happened to the coordinators.
    fn hear(&mut self) {
        for node in self.nodes.clone() {
            let news = std::mem::take(&mut node.borrow_mut().news);
            let number = node.borrow().number;
            for news in news {
                match news {
                    News::Took { id, counts } => self.taken.entry(id).or_default().extend(counts),
                    News::Complete(id) => self.complete(number, id),
                    News::Savepoint { id, directory } => {
                        self.note(format!("{number} has savepoint {id}"));
                        self.savepoints.push((id, directory));
                    }
                    News::Failed(reason) => self.note(format!("{number} failed: {reason}")),
                }
            }
        }
    }

    /// The side effects of a checkpoint are let out. Whoever came later must know of them.
    fn complete(&mut self, number: u64, id: CheckpointId) {
        let counts = self.taken[&id].clone();
        self.note(format!("{number} completes {id}"));
        for (later, started) in self.started.range(number + 1..) {
            assert!(
                at_least(started, &counts),
                "{later} began before {number} completed {id}: {started:?}, {counts:?}"
            );
        }
        for (key, count) in counts {
            let seen = self.committed.entry(key).or_default();
            *seen = count.max(*seen);
        }
        self.completed += 1;
    }

    /// A coordinator does a piece of work; in the middle of it, another one may.
    fn work(&mut self, node: &Shared) {
        let born: Born = Rc::default();
        let now_ms = self.now_ms;
        let calls = pick(&self.random, 10);
        match pick(&self.random, 60) {
            0 => {
                let (birth, born) = (self.birth(), Rc::clone(&born));
                weather::interrupt_after(calls, move || born.borrow_mut().push(birth()));
            }
            1..15 => {
                let at = usize::try_from(pick(&self.random, self.nodes.len() as u64)).unwrap();
                let other = Rc::clone(&self.nodes[at]);
                weather::interrupt_after(calls, move || {
                    if let Ok(mut other) = other.try_borrow_mut() {
                        other.step(now_ms);
                    }
                });
            }
            _ => {}
        }
        node.borrow_mut().step(now_ms);
        weather::forget_interruption();
        let born = born.take();
        born.into_iter().for_each(|born| self.welcome(born));
    }

    /// One thing happens.
    pub(super) fn step(&mut self) {
        self.now_ms += i64::try_from(pick(&self.random, 3)).unwrap();
        if self.nodes.is_empty() {
            let birth = self.birth();
            self.welcome(birth());
            return;
        }
        let at = usize::try_from(pick(&self.random, self.nodes.len() as u64)).unwrap();
        let node = Rc::clone(&self.nodes[at]);
        match pick(&self.random, 400) {
            0..60 => node.borrow_mut().process(),
            60..220 => node.borrow_mut().deliver(self.now_ms),
            220..372 => self.work(&node),
            372..376 => node.borrow_mut().request(self.now_ms, true),
            376..380 => node.borrow_mut().fail(self.now_ms),
            380..388 => self.read(),
            388..391 => self.arrive(),
            391..394 => self.kill(at),
            394..396 if self.nodes.len() < 3 => {
                // Its lease is lost, and it does not know.
                let birth = self.birth();
                self.welcome(birth());
            }
            396 => self.lose_power(),
            _ => self.now_ms += i64::try_from(pick(&self.random, 30)).unwrap(),
        }
        self.hear();
        self.restart();
        self.nodes.retain(|node| !node.borrow().is_over());
    }

    fn restart(&mut self) {
        for node in self.nodes.clone() {
            let restarted = node.borrow_mut().restart(self.now_ms);
            match restarted {
                None => {}
                Some(Ok(counts)) => {
                    let number = node.borrow().number;
                    self.note(format!("{number} restarts from {counts:?}"));
                    let zombie = self.started.range(number + 1..).next().is_some();
                    assert!(zombie || at_least(&counts, &self.committed), "{counts:?} is behind {:?}", self.committed);
                }
                Some(Err(error)) => {
                    // Somebody else has taken over and what it would start from may be gone, or storage is not there.
                    self.note(format!("no restart: {}", error.kind()));
                    self.nodes.retain(|other| !Rc::ptr_eq(other, &node));
                }
            }
        }
    }

    fn kill(&mut self, at: usize) {
        let node = self.nodes.remove(at);
        self.note(format!("{} is killed", node.borrow().number));
    }

    /// A commit that was given up for lost is done after all.
    fn arrive(&mut self) {
        if let Some((path, bytes)) = self.days.take_late() {
            let temporary = Arc::new(SeededRandom::new(self.next_number << 20 ^ 0x1A7E));
            let local = LocalStorage::over(Arc::new(self.disk.clone()), temporary);
            let outcome = local.commit(&path, &bytes);
            self.note(format!("{path} arrives: {}", matches!(outcome, millpond::storage::CommitOutcome::Committed)));
        }
    }

    fn lose_power(&mut self) {
        self.nodes.clear();
        self.reader = None;
        self.days.forget_late();
        let images: Vec<Disk> = self.disk.now().images(12, pick(&self.random, u64::MAX)).collect();
        let at = usize::try_from(pick(&self.random, images.len() as u64)).unwrap();
        self.disk = images[at].copy();
        self.note("power is lost".to_owned());
    }

    /// Somebody else takes a lease, reads, or gives it up.
    fn read(&mut self) {
        let storage = self.storage(1 << 30);
        let Some((lease, id)) = self.reader.take() else {
            let Some(id) = self.nodes[0].borrow().driver.coordinator().completed().ids().last() else { return };
            let random = SeededRandom::new(pick(&self.random, u64::MAX));
            let lease = ReadLease::take(storage, (JOB, id), "somebody", self.now_ms, LEASE_MS, &random);
            self.reader = lease.ok().map(|lease| (lease, id));
            return;
        };
        if lease.check(self.now_ms).is_err() {
            return;
        }
        let read = SnapshotReader::open(storage, JobLayout::new(JOB).checkpoint(id))
            .and_then(|snapshot| part::read(&snapshot));
        match read {
            Ok(counts) => assert_eq!(counts, self.taken[&id], "what is read is not what was taken for {id}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "leased checkpoint {id}: {error}"),
        }
        self.reader = Some((lease, id));
    }

    /// The weather clears up, and whatever was begun is brought to an end.
    pub(super) fn calm_down(&mut self) {
        self.days.calm();
        while self.days.take_late().is_some() {}
        self.nodes.clear();
        self.reader = None;
        let birth = self.birth();
        let (node, counts) = birth().unwrap_or_else(|error| panic!("a calm start: {error}"));
        self.welcome(Ok((node, counts)));
        let node = Rc::clone(&self.nodes[0]);
        for _ in 0..20_000 {
            self.now_ms += 1;
            node.borrow_mut().process();
            node.borrow_mut().deliver(self.now_ms);
            node.borrow_mut().step(self.now_ms);
            self.hear();
            let all: Counts = (0..KEYS).map(|key| (format!("key-{key}"), RECORDS)).collect();
            if self.committed == all && node.borrow().is_done() {
                break;
            }
        }
        assert!(self.committed.values().all(|count| *count == RECORDS), "no end in sight: {:?}", self.committed);
        self.settle(&node);
    }

    /// With nobody writing, what is stored is what is kept, and every part of it is as it was written.
    fn settle(&mut self, node: &Shared) {
        for _ in 0..2_000 {
            self.now_ms += 1_000;
            node.borrow_mut().deliver(self.now_ms);
            if node.borrow().is_idle() && node.borrow().driver.coordinator().pending().next().is_none() {
                break;
            }
            node.borrow_mut().step(self.now_ms);
        }
        self.hear();
        let mut node = node.borrow_mut();
        let collect = |driver: &mut Driver, now_ms| driver.collect(now_ms).map(drop);
        for round in 1..5 {
            let collected = collect(&mut node.driver, self.now_ms + round * 10_000_000);
            collected.unwrap_or_else(|error| panic!("a calm collection: {error}"));
        }
        let kept: Vec<CheckpointId> = node.driver.coordinator().completed().in_use().collect();
        let storage = self.storage(1 << 31);
        let mut named = std::collections::BTreeSet::new();
        let own = kept.iter().map(|id| (*id, JobLayout::new(JOB).checkpoint(*id)));
        for (id, directory) in own.chain(self.savepoints.iter().cloned()) {
            let counts =
                self.check(&storage, &directory, &mut named).unwrap_or_else(|error| panic!("{directory}: {error}"));
            assert_eq!(counts, self.taken[&id], "{directory}");
        }
        for info in storage.list(Some(&JobLayout::new(JOB).root())).unwrap() {
            let control = matches!(JobLayout::new(JOB).member(&info.path), Some(Member::Record(_) | Member::Lease));
            let seal =
                matches!(JobLayout::new(JOB).member(&info.path), Some(Member::Manifest(id)) if !kept.contains(&id));
            assert!(
                control || seal && self.is_seal(&storage, &info.path) || named.contains(&info.path),
                "{} stays",
                info.path
            );
        }
    }

    fn is_seal(&self, storage: &Arc<dyn Storage>, path: &ObjectPath) -> bool {
        storage.open(path).is_ok_and(|bytes| millpond::format::control::Control::is_control(&bytes))
    }

    /// Reads a snapshot to the last bit, and adds what it consists of.
    fn check(
        &self,
        storage: &Arc<dyn Storage>,
        directory: &ObjectPath,
        named: &mut std::collections::BTreeSet<ObjectPath>,
    ) -> Result<Counts, Error> {
        let snapshot = SnapshotReader::open(Arc::clone(storage), directory.clone())?;
        named.insert(millpond::storage::layout::manifest(directory)?);
        for object in snapshot.manifest().objects() {
            named.insert(snapshot.object_path(object)?);
        }
        part::read(&snapshot)
    }
}
