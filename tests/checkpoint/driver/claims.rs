//! What a job was started from: who owns it, and when it goes.

use std::sync::Arc;

use millpond::ErrorKind;
use millpond::checkpoint::driver::{LocalPlaces, Origin, Setup};
use millpond::checkpoint::inventory::dispose;
use millpond::checkpoint::pending::Kind;
use millpond::checkpoint::restore::ClaimMode;
use millpond::ids::JobId;
use millpond::storage::fault::{Action, Fault, FaultPlan, FaultStorage};
use millpond::storage::{LocalStorage, MemoryStorage, ObjectPath, Storage};

use crate::storage::fast_directory;

use super::world::{JOB, World, bytes_below, checkpoint_of, names, read_at, setup};

const OTHER: JobId = JobId([0xCD; 16]);

/// A job that leaves checkpoints 1 and 2, which share an object, and a savepoint.
fn leave(storage: &Arc<dyn Storage>) -> (World, ObjectPath) {
    let mut world = World::open(setup(storage, JOB, 1, 2), 0).unwrap();
    world.put(1, "shared by both");
    world.put(2, "old");
    world.checkpoint();
    world.put(2, "new");
    world.checkpoint();
    let savepoint = world.savepoint("", None).directory;
    (world, savepoint)
}

fn from(storage: &Arc<dyn Storage>, seed: u64, directory: &ObjectPath, claim: ClaimMode) -> Setup {
    let origin = Origin { place: String::new(), directory: directory.clone(), claim };
    Setup { origin: Some(origin), ..setup(storage, OTHER, seed, 1) }
}

fn there(storage: &Arc<dyn Storage>, directory: &ObjectPath) -> bool {
    names(storage).iter().any(|name| name.starts_with(&format!("{directory}/")))
}

/// Nothing below what was borrowed changes, whatever the borrower does and whenever it is started again (S-04).
#[test]
fn s_04_the_driver_never_touches_what_is_borrowed() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
    let (first, savepoint) = leave(&storage);
    let expected = first.state.clone();
    for (seed, directory) in [(5, checkpoint_of(JOB, 2)), (6, savepoint)] {
        let before = (bytes_below(&storage, &JOB.to_string()), bytes_below(&storage, directory.as_str()));
        let check = |what: &str| {
            let after = (bytes_below(&storage, &JOB.to_string()), bytes_below(&storage, directory.as_str()));
            assert!(before == after, "{directory} changed {what}");
        };
        let own = |seed| {
            let origin = Origin { place: String::new(), directory: directory.clone(), claim: ClaimMode::NoClaim };
            Setup { origin: Some(origin), ..setup(&storage, JobId([seed; 16]), u64::from(seed), 1) }
        };
        let mut world = World::open(own(seed), 100).unwrap();
        assert_eq!(world.state, expected);
        drop(world);
        // Started again before its first checkpoint, with and without being told where from.
        world = World::open(own(seed), 200).unwrap();
        assert_eq!(world.state, expected);
        check("before the first checkpoint");
        drop(world);
        world = World::open(Setup { origin: None, ..own(seed) }, 250).unwrap();
        assert_eq!(world.state, expected);
        let id = world.checkpoint();
        let (trigger, _) = world.told.triggers.last().unwrap();
        assert_eq!(trigger.base, None, "the first checkpoint builds on nothing");
        let own_objects = bytes_below(&storage, &JobId([seed; 16]).to_string());
        assert_eq!(own_objects.keys().filter(|name| name.contains("/shared/")).count(), 2, "it stored everything");
        check("with the first checkpoint");
        drop(world);
        world = World::open(own(seed), 300).unwrap();
        for round in 0..3 {
            world.put(1, &format!("{round}"));
            world.checkpoint();
            check("with later checkpoints");
        }
        assert!(world.kept()[0] > id);
    }
}

/// What is claimed goes once no checkpoint that is kept is restored from it, and takes along nothing that another names (S-04).
#[test]
fn s_04_the_driver_deletes_what_is_claimed_when_nothing_names_it() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
    let (mut first, savepoint) = leave(&storage);
    let expected = first.state.clone();
    let claimed = checkpoint_of(JOB, 2);
    let mut world = World::open(from(&storage, 5, &claimed, ClaimMode::Claim), 100).unwrap();
    assert_eq!(world.state, expected);
    world.settle();
    assert!(there(&storage, &claimed), "it is the latest checkpoint");
    drop(world);

    // It is known to the next coordinator, without being told.
    let mut world = World::open(Setup { origin: None, ..from(&storage, 6, &claimed, ClaimMode::Claim) }, 200).unwrap();
    assert_eq!(world.state, expected);
    world.put(1, "own");
    world.checkpoint();
    assert!(!there(&storage, &claimed), "nothing is restored from it any more");
    assert_eq!(read_at(&storage, &checkpoint_of(JOB, 1)).unwrap()[&2], "old", "what another checkpoint names stays");
    assert!(there(&storage, &savepoint));
    assert_eq!(names(&storage).iter().filter(|name| name.starts_with(&format!("{JOB}/shared"))).count(), 2);

    // Its former job, had it gone on, would have learnt of it.
    first.put(3, "late");
    let id = first.trigger(Kind::Checkpoint);
    first.acknowledge(id);
    first.settle();
    assert!(first.driver.is_passed_over());
    assert_eq!(first.told.completed, [1, 2]);
}

#[test]
fn a_claimed_savepoint_goes_with_everything_it_names_and_nothing_else() {
    let root = fast_directory();
    let directory = root.path();
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::create(directory.join("job")).unwrap());
    let place = directory.join("mine").to_str().unwrap().to_owned();
    let setup = Setup { places: Some(Arc::new(LocalPlaces)), ..setup(&storage, JOB, 1, 1) };
    let mut world = World::open(setup.clone(), 0).unwrap();
    world.put(1, "one");
    let savepoint = world.savepoint(&place, None);
    assert_eq!(savepoint.place, place);
    let expected = world.state.clone();
    drop(world);
    std::fs::File::create(directory.join("mine/notes.txt")).unwrap();
    let inside = directory.join("mine").join(savepoint.directory.as_str());
    std::fs::File::create(inside.join("notes.txt")).unwrap();

    let origin = Origin { place, directory: savepoint.directory.clone(), claim: ClaimMode::Claim };
    let random = Arc::new(millpond::random::SeededRandom::new(9));
    let job = super::world::job_of(OTHER, 2);
    let mut world = World::open(Setup { job, random, origin: Some(origin), ..setup }, 100).unwrap();
    assert_eq!(world.state, expected);
    world.checkpoint();
    let left: Vec<_> = std::fs::read_dir(&inside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
    assert!(directory.join("mine/notes.txt").exists());
    assert_eq!(read_at(&storage, &checkpoint_of(OTHER, world.kept()[0])).unwrap(), expected, "it is self-contained");
}

/// A savepoint that a job would have to be restored from stays, whoever wants it to go.
#[test]
fn a_savepoint_that_a_job_depends_on_is_not_disposed_of() {
    for (claim, why) in [(ClaimMode::Claim, "has claimed it"), (ClaimMode::NoClaim, "no checkpoint of its own yet")] {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
        let (_, savepoint) = leave(&storage);
        let mut world = World::open(from(&storage, 5, &savepoint, claim), 100).unwrap();
        let before = bytes_below(&storage, savepoint.as_str());
        let error = dispose(&storage, &savepoint).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.message().contains(why) && error.message().contains(&OTHER.to_string()), "{error}");
        assert!(bytes_below(&storage, savepoint.as_str()) == before);
        world.checkpoint();
        world.settle();
        match claim {
            ClaimMode::Claim => assert!(!there(&storage, &savepoint), "it belonged to the job"),
            ClaimMode::NoClaim => drop(dispose(&storage, &savepoint).unwrap()),
        }
        assert!(!there(&storage, &savepoint));
    }
}

/// A deletion that a crash undid is finished by the next start: what is left of a claimed snapshot without its manifest goes as
/// well, and what other checkpoints name stays.
#[test]
fn what_a_crash_leaves_of_a_claimed_snapshot_goes_with_the_next_start() {
    for is_savepoint in [false, true] {
        let crashes = (0..).take_while(|number| undo_deletion(is_savepoint, *number)).count();
        assert!(crashes > 0, "nothing is made durable");
    }
}

/// The machine goes down when something is made durable for the given time after a claim; whether there was such a time.
fn undo_deletion(is_savepoint: bool, number: u64) -> bool {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
    let (_, savepoint) = leave(&storage);
    let claimed = if is_savepoint { savepoint } else { checkpoint_of(JOB, 2) };
    let plan = FaultPlan::none();
    let faulty: Arc<dyn Storage> = Arc::new(FaultStorage::new(Arc::clone(&storage), plan.clone()));
    drop(World::open(from(&faulty, 5, &claimed, ClaimMode::Claim), 100).unwrap());
    // Another epoch than the former job's, whose object names this world would draw.
    let mut world = World::open(from(&faulty, 5, &claimed, ClaimMode::Claim), 100).unwrap();
    let mut before = bytes_below(&storage, claimed.as_str());
    before.extend(bytes_below(&storage, &format!("{JOB}/shared")));
    let earlier = plan.log().iter().filter(|operation| operation.action == Action::Persist).count() as u64;
    let plan = plan.and_at_action(Action::Persist, earlier + number, Fault::CrashBefore);
    world.put(1, "own");
    let id = world.trigger(Kind::Checkpoint);
    world.acknowledge(id);
    world.settle();
    assert_eq!(world.told.completed, [id], "{claimed}, crash {number}");
    drop(world);
    // Its manifest is gone for good, and its objects are back.
    let is_gone = storage.length(&ObjectPath::parse(&format!("{claimed}/_metadata")).unwrap()).unwrap().is_none();
    for (name, bytes) in before.iter().filter(|(name, _)| is_gone && !name.ends_with("_metadata")) {
        if storage.length(&ObjectPath::parse(name).unwrap()).unwrap().is_none() {
            super::world::commit(&storage, name, bytes);
        }
    }
    let mut world = World::open(Setup { origin: None, ..from(&storage, 6, &claimed, ClaimMode::Claim) }, 200).unwrap();
    assert_eq!(world.state[&1], "own", "{claimed}, crash {number}");
    world.settle();
    if plan.has_fired() {
        assert!(!there(&storage, &claimed), "{claimed}, crash {number}");
        let shared = names(&storage).iter().filter(|name| name.starts_with(&format!("{JOB}/shared"))).count();
        assert_eq!(shared, if is_savepoint { 3 } else { 2 }, "{claimed}, crash {number}");
    }
    assert_eq!(read_at(&storage, &checkpoint_of(JOB, 1)).unwrap()[&2], "old");
    plan.has_fired()
}

#[test]
fn a_job_with_checkpoints_of_its_own_is_not_started_from_something_else() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
    let (world, savepoint) = leave(&storage);
    drop(world);
    let mut other = World::open(setup(&storage, OTHER, 5, 1), 0).unwrap();
    other.checkpoint();
    drop(other);
    let error = World::open(from(&storage, 6, &savepoint, ClaimMode::NoClaim), 100).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("has checkpoints of its own"), "{error}");
}

#[test]
fn an_origin_that_is_not_there_or_not_whole_is_an_error() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
    let (_world, savepoint) = leave(&storage);
    let gone = ObjectPath::parse("savepoint-ababab-000000000000").unwrap();
    let error = World::open(from(&storage, 5, &gone, ClaimMode::Claim), 100).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let own = from(&storage, 5, &checkpoint_of(OTHER, 1), ClaimMode::Claim);
    assert_eq!(World::open(own, 100).err().unwrap().kind(), ErrorKind::NotFound);
    let object =
        names(&storage).into_iter().find(|name| name.starts_with(savepoint.as_str()) && !name.ends_with("_metadata"));
    storage.delete(&ObjectPath::parse(&object.unwrap()).unwrap()).unwrap();
    let error = World::open(from(&storage, 5, &savepoint, ClaimMode::NoClaim), 100).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.message().contains("take another one"), "{error}");
}

/// What the bank of mistakes tries (see `checkpoint::bank`).
#[cfg(feature = "test-util")]
pub(in crate::checkpoint) const CASES: &[(&str, fn())] = &[
    ("s_04_the_driver_never_touches_what_is_borrowed", s_04_the_driver_never_touches_what_is_borrowed),
    (
        "s_04_the_driver_deletes_what_is_claimed_when_nothing_names_it",
        s_04_the_driver_deletes_what_is_claimed_when_nothing_names_it,
    ),
    (
        "a_claimed_savepoint_goes_with_everything_it_names_and_nothing_else",
        a_claimed_savepoint_goes_with_everything_it_names_and_nothing_else,
    ),
    (
        "a_job_with_checkpoints_of_its_own_is_not_started_from_something_else",
        a_job_with_checkpoints_of_its_own_is_not_started_from_something_else,
    ),
    ("an_origin_that_is_not_there_or_not_whole_is_an_error", an_origin_that_is_not_there_or_not_whole_is_an_error),
    ("a_savepoint_that_a_job_depends_on_is_not_disposed_of", a_savepoint_that_a_job_depends_on_is_not_disposed_of),
    (
        "what_a_crash_leaves_of_a_claimed_snapshot_goes_with_the_next_start",
        what_a_crash_leaves_of_a_claimed_snapshot_goes_with_the_next_start,
    ),
];
