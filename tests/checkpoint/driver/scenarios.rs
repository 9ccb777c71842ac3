//! Bugs that others had, driven through the real driver on a real storage.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond::checkpoint::driver::{LocalPlaces, Origin, Setup};
use millpond::checkpoint::inventory::dispose;
use millpond::checkpoint::pending::{Kind, Savepoint, SavepointFormat};
use millpond::checkpoint::restore::ClaimMode;
use millpond::format::manifest::Manifest;
use millpond::ids::JobId;
use millpond::storage::{
    Blob, CommitOutcome, LocalStorage, MemoryStorage, ObjectInfo, ObjectPath, ObjectWriter, Storage,
};
use millpond::{Error, ErrorKind, Result};

use crate::storage::fast_directory;

use super::world::{JOB, World, checkpoint_of, names, path, read_at, setup};

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new(64 << 20))
}

fn shared(storage: &Arc<dyn Storage>) -> Vec<String> {
    names(storage).into_iter().filter(|name| name.contains("/shared/")).collect()
}

/// A savepoint takes nothing from the base of the next checkpoint, whether the user keeps it or not (S-02).
#[test]
fn s_02_the_driver_keeps_the_base_of_the_next_checkpoint_across_a_savepoint() {
    for deleted in [false, true] {
        let storage = memory();
        let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
        world.put(1, "of the base");
        world.put(2, "changes");
        world.checkpoint();
        let savepoint = world.savepoint("", None).directory;
        if deleted {
            dispose(&storage, &savepoint).unwrap();
        }
        world.driver.collect(world.now_ms).unwrap();
        world.put(2, "changed");
        let id = world.checkpoint();
        let (trigger, _) = world.told.triggers.last().unwrap();
        assert_eq!(trigger.base.map(|base| base.0), Some(1), "it builds on the checkpoint, not on the savepoint");
        let bytes = storage.open(&path(&format!("{}/_metadata", checkpoint_of(JOB, id)))).unwrap();
        let manifest = Manifest::decode(bytes.as_slice()).unwrap();
        assert!(manifest.objects().all(|object| shared(&storage).iter().any(|name| name.ends_with(&object.name))));
        let expected = world.state.clone();
        drop(world);
        assert_eq!(World::open(setup(&storage, JOB, 2, 1), 100).unwrap().state, expected);
    }
}

/// A checkpoint is aborted while a neighbour builds on the same base: the neighbour is restorable, and what only the aborted one
/// stored goes (S-03).
#[test]
fn s_03_the_driver_aborts_one_checkpoint_and_its_neighbour_stays_whole() {
    for moment in 0..4 {
        let storage = memory();
        let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
        world.put(1, "of the base");
        world.checkpoint();
        world.put(2, "of the aborted one");
        let doomed = world.trigger(Kind::Checkpoint);
        world.acknowledge_one(doomed, 0);
        if moment == 0 {
            world.decline(doomed, 1, "cancelled");
        }
        world.put(2, "of the neighbour");
        let neighbour = world.trigger(Kind::Checkpoint);
        world.acknowledge_one(neighbour, 0);
        if moment == 1 {
            world.decline(doomed, 1, "cancelled");
            world.driver.collect(world.now_ms).unwrap();
        }
        world.acknowledge_one(neighbour, 1);
        if moment == 2 {
            // Its manifest is on its way.
            world.decline(doomed, 1, "cancelled");
        }
        world.settle();
        // The last case: it completes, and that aborts the other one.
        world.acknowledge_one(doomed, 1);
        world.settle_for(60_000);
        assert_eq!((world.kept(), &world.told.aborted[..]), (vec![neighbour], &[doomed][..]), "moment {moment}");
        assert_eq!(read_at(&storage, &checkpoint_of(JOB, neighbour)).unwrap(), world.state, "moment {moment}");
        assert_eq!(shared(&storage).len(), world.state.len(), "moment {moment}: nothing is left of the aborted one");
    }
}

/// A savepoint is restored from wherever it was moved to (S-07).
#[expect(clippy::disallowed_methods, reason = "the user moves directories behind the storage's back")]
#[test]
fn s_07_a_savepoint_that_was_moved_is_restored_by_the_driver() {
    let root = fast_directory();
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::create(root.path().join("job")).unwrap());
    let place = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let base = Setup { places: Some(Arc::new(LocalPlaces)), ..setup(&storage, JOB, 1, 1) };
    let mut world = World::open(base.clone(), 0).unwrap();
    world.put(1, "one");
    world.put(12, "twelve");
    let savepoint = world.savepoint(&place("mine"), None);
    let expected = world.state.clone();
    drop(world);
    std::fs::rename(root.path().join("mine"), root.path().join("theirs")).unwrap();
    std::fs::rename(root.path().join("job"), root.path().join("gone")).unwrap();

    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::create(root.path().join("other")).unwrap());
    for (number, claim) in [(3, ClaimMode::NoClaim), (4, ClaimMode::Claim)] {
        let origin = Origin { place: place("theirs"), directory: savepoint.directory.clone(), claim };
        let job = JobId([number; 16]);
        let own = Setup { origin: Some(origin), places: base.places.clone(), ..setup(&storage, job, 9, 1) };
        let mut world = World::open(own, 0).unwrap();
        assert_eq!(world.state, expected);
        let id = world.checkpoint();
        assert_eq!(read_at(&storage, &checkpoint_of(job, id)).unwrap(), expected, "it needs nothing of the savepoint");
        let is_there = root.path().join("theirs").join(savepoint.directory.as_str()).exists();
        assert_eq!(is_there, claim == ClaimMode::NoClaim);
    }
}

/// Cancelled after each object: nothing is left once the grace is over, and the next checkpoint is whole (S-08).
#[test]
fn s_08_the_driver_leaves_no_orphans_of_a_cancelled_checkpoint() {
    let storage = memory();
    let mut world = World::open(Setup { grace_ms: 30_000, ..setup(&storage, JOB, 1, 1) }, 0).unwrap();
    for group in 0..16 {
        world.put(group, "first");
    }
    world.checkpoint();
    for written in 0..2 {
        (0..16).for_each(|group| world.put(group, &format!("never complete {written}")));
        let id = world.trigger(Kind::Checkpoint);
        (0..=written).for_each(|index| world.write_only(id, index));
        world.decline(id, 1, "cancelled");
        world.settle();
        assert_eq!(
            shared(&storage).len(),
            16 + (written as usize + 1) * 8,
            "young ones are left for people to look at"
        );
        world.settle_for(100_000);
        assert_eq!(shared(&storage).len(), 16, "{written}");
    }
    world.checkpoint();
    assert_eq!(read_at(&storage, &checkpoint_of(JOB, 4)).unwrap(), world.state);
}

/// How a checkpoint is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Unreadable,
    Truncated,
    WrongDigest,
    ObjectGone,
}

/// A storage that cannot read some names now.
#[derive(Debug)]
struct Unreadable {
    inner: Arc<dyn Storage>,
    names: Vec<ObjectPath>,
}

impl Storage for Unreadable {
    fn create(&self, path: &ObjectPath) -> Result<Box<dyn ObjectWriter>> {
        self.inner.create(path)
    }

    fn commit(&self, path: &ObjectPath, bytes: &[u8]) -> CommitOutcome {
        self.inner.commit(path, bytes)
    }

    fn open(&self, path: &ObjectPath) -> Result<Blob> {
        if self.names.contains(path) {
            return Err(Error::unavailable("the storage does not answer").in_file(path));
        }
        self.inner.open(path)
    }

    fn length(&self, path: &ObjectPath) -> Result<Option<u64>> {
        self.inner.length(path)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> Result<Vec<ObjectInfo>> {
        self.inner.list(prefix)
    }

    fn delete(&self, path: &ObjectPath) -> Result<()> {
        self.inner.delete(path)
    }
}

/// Each subset of three checkpoints, broken in each way: what cannot be read now may be read later and is never passed over,
/// what is damaged is not passed over unasked, and nothing is deleted from a view with holes (S-10).
#[test]
fn s_10_the_driver_passes_over_nothing_that_it_cannot_read() {
    for broken in [Broken::Unreadable, Broken::Truncated, Broken::WrongDigest, Broken::ObjectGone] {
        for subset in 0..8u64 {
            let inner = memory();
            let mut world = World::open(setup(&inner, JOB, 1, 3), 0).unwrap();
            for id in 1..=3 {
                world.put(id, &format!("only of {id}"));
                world.put(9, &format!("latest of {id}"));
                world.checkpoint();
            }
            drop(world);
            let hit: Vec<u64> = (1..=3).filter(|id| subset >> (id - 1) & 1 == 1).collect();
            let slots: Vec<ObjectPath> =
                hit.iter().map(|id| path(&format!("{}/_metadata", checkpoint_of(JOB, *id)))).collect();
            slots.iter().for_each(|slot| damage(&inner, slot, broken));
            let names_unreadable = if broken == Broken::Unreadable { slots.clone() } else { vec![] };
            let storage: Arc<dyn Storage> = Arc::new(Unreadable { inner: Arc::clone(&inner), names: names_unreadable });
            let data = || names(&inner).into_iter().filter(|name| !name.contains("/control/")).collect::<Vec<_>>();
            let before = data();
            let opened = World::open(setup(&storage, JOB, 2, 3), 100);
            let what = format!("{broken:?}, {hit:?}");
            match (hit.contains(&3), opened) {
                (true, Err(error)) => {
                    let kind = if broken == Broken::Unreadable { ErrorKind::Unavailable } else { ErrorKind::Corrupt };
                    assert_eq!(error.kind(), kind, "{what}: {error}");
                    let intact: Vec<String> =
                        [2, 1].iter().filter(|id| !hit.contains(id)).map(ToString::to_string).collect();
                    let names_them = intact.is_empty() || error.message().contains(&intact.join(", "));
                    assert!(kind == ErrorKind::Unavailable || names_them, "{what}: {error}");
                }
                (false, Ok(mut world)) => {
                    assert_eq!(world.state[&9], "latest of 3", "{what}");
                    world.settle();
                    assert_eq!(world.driver.collection_failure().is_some(), !hit.is_empty(), "{what}");
                }
                (_, opened) => panic!("{what}: {:?}", opened.err()),
            }
            assert_eq!(data(), before, "{what}");
        }
    }
}

fn damage(storage: &Arc<dyn Storage>, slot: &ObjectPath, broken: Broken) {
    let bytes = storage.open(slot).unwrap().as_slice().to_vec();
    let replace = |bytes: &[u8]| {
        storage.delete(slot).unwrap();
        assert!(matches!(storage.commit(slot, bytes), CommitOutcome::Committed));
    };
    match broken {
        Broken::Unreadable => {}
        Broken::Truncated => replace(&bytes[..bytes.len() / 2]),
        Broken::WrongDigest => {
            let mut bytes = bytes;
            *bytes.last_mut().unwrap() ^= 1;
            replace(&bytes);
        }
        Broken::ObjectGone => {
            // The one that no other checkpoint names.
            let manifest = Manifest::decode(&bytes).unwrap();
            let mut holders: BTreeMap<String, usize> = BTreeMap::new();
            for other in names(storage).iter().filter(|name| name.ends_with("_metadata")) {
                if let Ok(other) = Manifest::decode(storage.open(&path(other)).unwrap().as_slice()) {
                    other.objects().for_each(|object| *holders.entry(object.name.clone()).or_default() += 1);
                }
            }
            let alone = manifest.objects().find(|object| holders[&object.name] == 1).unwrap();
            storage.delete(&path(&format!("{JOB}/shared/{}", alone.name))).unwrap();
        }
    }
}

/// Savepoints are asked for and answered later, any number at a time, in either format.
#[test]
fn savepoints_are_detached() {
    let storage = memory();
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    world.put(1, "one");
    let kind = |format| Kind::Savepoint(Savepoint { target: String::new(), format, stop: None });
    let first = world.trigger(kind(SavepointFormat::Canonical));
    let second = world.trigger(kind(SavepointFormat::Native));
    assert_eq!(world.told.answers.len(), 0);
    let formats = |(trigger, _): &(millpond::checkpoint::event::Trigger, _)| match &trigger.kind {
        Kind::Savepoint(savepoint) => savepoint.format,
        Kind::Checkpoint => panic!(),
    };
    let triggered: Vec<SavepointFormat> = world.told.triggers.iter().map(formats).collect();
    assert_eq!(triggered, [SavepointFormat::Canonical, SavepointFormat::Native]);
    world.acknowledge(second);
    world.acknowledge(first);
    world.settle();
    let places: Vec<ObjectPath> =
        (1..=2).map(|request| world.told.answers[&request].clone().unwrap().directory).collect();
    assert_ne!(places[0], places[1]);
    places.iter().for_each(|place| assert_eq!(read_at(&storage, place).unwrap(), world.state));
    assert_eq!(world.kept(), Vec::<u64>::new());
}

/// What the bank of mistakes tries (see `checkpoint::bank`).
#[cfg(feature = "test-util")]
pub(in crate::checkpoint) const CASES: &[(&str, fn())] = &[
    (
        "s_02_the_driver_keeps_the_base_of_the_next_checkpoint_across_a_savepoint",
        s_02_the_driver_keeps_the_base_of_the_next_checkpoint_across_a_savepoint,
    ),
    (
        "s_03_the_driver_aborts_one_checkpoint_and_its_neighbour_stays_whole",
        s_03_the_driver_aborts_one_checkpoint_and_its_neighbour_stays_whole,
    ),
    (
        "s_07_a_savepoint_that_was_moved_is_restored_by_the_driver",
        s_07_a_savepoint_that_was_moved_is_restored_by_the_driver,
    ),
    (
        "s_08_the_driver_leaves_no_orphans_of_a_cancelled_checkpoint",
        s_08_the_driver_leaves_no_orphans_of_a_cancelled_checkpoint,
    ),
    (
        "s_10_the_driver_passes_over_nothing_that_it_cannot_read",
        s_10_the_driver_passes_over_nothing_that_it_cannot_read,
    ),
    ("savepoints_are_detached", savepoints_are_detached),
];
