//! Checks that no scenario of the register needs, each where nothing else would do what it does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millpond::ErrorKind;
use millpond::checkpoint::driver::{Origin, RESERVED_IDS, ReadLease, Setup, Step};
use millpond::checkpoint::gc::{Content, Role, View, plan};
use millpond::checkpoint::pending::{Kind, SubtaskSnapshot};
use millpond::checkpoint::restore::ClaimMode;
use millpond::checkpoint::{Action, Inheritance};
use millpond::format::control::Control;
use millpond::format::manifest::ObjectScope;
use millpond::ids::{CheckpointId, JobId};
use millpond::random::SeededRandom;
use millpond::snapshot::SnapshotReader;
use millpond::storage::fault::{Action as Call, Disk, Fault, FaultFileSystem, FaultPlan, FaultStorage};
use millpond::storage::{LocalStorage, MemoryStorage, Storage};

use super::driver::world::{JOB, World, checkpoint_of, commit, names, path, read_at, setup};
use super::job::{Job, Store, id, object};
use crate::simulation::weather::{Days, Weather, forget_interruption, interrupt_after};

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new(16 << 20))
}

fn role(name: &str) -> Option<Role> {
    match name.split_once('/')? {
        ("shared", _) => Some(Role::Shared),
        ("taskowned", _) => Some(Role::TaskOwned),
        ("chk-1", "_metadata") => Some(Role::Manifest(id(1))),
        ("chk-1", _) => Some(Role::Exclusive(id(1))),
        ("chk-5", _) => Some(Role::Exclusive(id(5))),
        _ => None,
    }
}

/// Checkpoint 1 is kept and names x; checkpoint 5 is pending.
fn view(listed: &[&str]) -> View<String> {
    View {
        listing: Some(listed.iter().map(|name| (*name).to_owned()).collect()),
        next_id: id(6),
        boundary: id(5),
        kept: [id(1)].into(),
        manifests: [(id(1), Content::Names(["shared/x".to_owned()].into()))].into(),
        leases: Vec::new(),
        epoch: 1,
        highest_epoch: 1,
        seen: BTreeMap::new(),
        now_ms: 0,
        grace_ms: 0,
        planted: super::planted(),
    }
}

fn refused(view: &View<String>) -> bool {
    plan(view, |name| role(name)).is_err_and(|error| error.kind() == ErrorKind::Unavailable)
}

#[test]
fn a_view_that_lacks_something_collects_nothing() {
    let listed = ["chk-1/_metadata", "shared/x"];
    assert!(plan(&view(&listed), |name| role(name)).unwrap().is_empty());
    let unread = View { manifests: BTreeMap::new(), kept: BTreeSet::new(), ..view(&listed) };
    assert!(refused(&unread), "a manifest was not read");
    let reason = String::new();
    let damaged = View { manifests: [(id(1), Content::Unreadable { reason })].into(), ..view(&listed) };
    assert!(refused(&View { boundary: id(1), kept: BTreeSet::new(), ..damaged }), "a manifest cannot be read");
    let missing = View { manifests: BTreeMap::new(), ..view(&["shared/x"]) };
    assert!(refused(&missing), "a kept checkpoint has no manifest");
    let blind = View { listing: None, ..view(&listed) };
    assert!(refused(&blind), "the listing broke off");
}

#[test]
fn seals_and_what_others_own_are_left_alone() {
    let sealed =
        View { manifests: [(id(1), Content::Sealed)].into(), kept: BTreeSet::new(), ..view(&["chk-1/_metadata"]) };
    assert!(plan(&sealed, |name| role(name)).unwrap().is_empty());
    assert!(plan(&view(&["chk-1/_metadata", "taskowned/log"]), |name| role(name)).unwrap().is_empty());
    // Seen when the next id was 5, and 5 is pending: shared, it would be nobody's.
    let seen = [("chk-5/o".to_owned(), millpond::checkpoint::gc::Seen { since_ms: 0, next_id: id(5) })].into();
    let pending = View { seen, ..view(&["chk-1/_metadata", "chk-5/o"]) };
    assert!(plan(&pending, |name| role(name)).unwrap().is_empty());
}

#[test]
fn an_object_that_lies_elsewhere_is_no_shared_one() {
    let mut store = Store::default();
    let mut job = Job::start(&mut store, Job::config(1), Inheritance::default());
    let number = job.trigger();
    let elsewhere = millpond::format::manifest::ObjectRef { scope: ObjectScope::Exclusive, ..object("x", "X") };
    let snapshot = SubtaskSnapshot { handle: (), uploaded: vec![elsewhere], reused: Vec::new() };
    assert!(job.acknowledge(number, 0, snapshot).contains(&Action::NotifyAbort(id(number))));
}

/// Every directory sync fails once; whatever is acknowledged all the same is there after any crash.
#[test]
fn s_18_what_counts_after_an_unknown_outcome_is_durable() {
    let mut acknowledged = 0;
    for failing in 0..16 {
        let live = Disk::new();
        let faults = FaultPlan::none().and_at_action(Call::SyncDirectory, failing, Fault::FailBefore);
        let files = Arc::new(FaultFileSystem::new(Arc::new(live.clone()), faults));
        let storage: Arc<dyn Storage> = Arc::new(LocalStorage::over(files, Arc::new(SeededRandom::new(1))));
        let Ok(mut world) = World::open(setup(&storage, JOB, 1, 1), 0) else { continue };
        world.put(1, "one");
        world.trigger(Kind::Checkpoint);
        let Some(number) = world.told.triggers.last().map(|(trigger, _)| trigger.barrier.id.0) else { continue };
        world.acknowledge(number);
        world.settle_for(5_000);
        if !world.told.completed.contains(&number) {
            continue;
        }
        acknowledged += 1;
        for image in live.now().images(64, 1) {
            let storage: Arc<dyn Storage> =
                Arc::new(LocalStorage::over(Arc::new(image), Arc::new(SeededRandom::new(2))));
            let restored = World::open(setup(&storage, JOB, 2, 1), 10_000).unwrap();
            assert_eq!(restored.state, world.state, "directory sync {failing} failed");
        }
    }
    assert!(acknowledged > 5, "{acknowledged}");
}

/// Every directory sync fails once; once a manifest was deleted, the record on whose word it was is there after any crash,
/// and the job goes on from what was acknowledged.
#[test]
fn s_18_nothing_is_deleted_on_the_word_of_a_record_that_may_be_lost() {
    let mut deletions = 0;
    for failing in 0..40 {
        let live = Disk::new();
        let faults = FaultPlan::none().and_at_action(Call::SyncDirectory, failing, Fault::FailBefore);
        let files = Arc::new(FaultFileSystem::new(Arc::new(live.clone()), faults));
        let storage: Arc<dyn Storage> = Arc::new(LocalStorage::over(files, Arc::new(SeededRandom::new(1))));
        let Ok(mut world) = World::open(setup(&storage, JOB, 1, 1), 0) else { continue };
        for text in ["one", "two", "three"] {
            world.put(1, text);
            world.trigger(Kind::Checkpoint);
            let Some(number) = world.told.triggers.last().map(|(trigger, _)| trigger.barrier.id.0) else { continue };
            world.acknowledge(number);
            world.settle_for(5_000);
            if !world.told.completed.contains(&number) {
                break;
            }
            let moments = live.moments();
            let deleted = |after: &str| after.starts_with("RemoveFile") && after.contains("_metadata");
            let Some(moment) = moments.iter().rev().find(|moment| deleted(moment.after())) else { continue };
            deletions += 1;
            moment.images(32, failing).for_each(|image| goes_on(image, &world));
        }
    }
    assert!(deletions > 5, "{deletions}");
}

/// Every directory sync fails once; an id that was given is not given again after any crash, whatever became of the record that
/// reserved it.
#[test]
fn s_18_no_id_is_given_on_the_word_of_a_record_that_may_be_lost() {
    let mut beyond = 0;
    for failing in 0..10 {
        let live = Disk::new();
        let faults = FaultPlan::none().and_at_action(Call::SyncDirectory, failing, Fault::FailBefore);
        let files = Arc::new(FaultFileSystem::new(Arc::new(live.clone()), faults));
        let storage: Arc<dyn Storage> = Arc::new(LocalStorage::over(files, Arc::new(SeededRandom::new(1))));
        let mut patient = setup(&storage, JOB, 1, 1);
        patient.config.tolerable_failures = 1_000;
        let Ok(mut world) = World::open(patient, 0) else { continue };
        let mut last = 0;
        // More than one record reserves.
        for _ in 0..RESERVED_IDS + 20 {
            world.trigger(Kind::Checkpoint);
            let given = world.told.triggers.last().map_or(0, |(trigger, _)| trigger.barrier.id.0);
            if given > last {
                world.decline(given, 0, "not now");
                last = given;
            }
            world.settle_for(10);
        }
        beyond += u32::from(last > RESERVED_IDS);
        for image in live.now().images(64, failing) {
            let storage: Arc<dyn Storage> =
                Arc::new(LocalStorage::over(Arc::new(image), Arc::new(SeededRandom::new(2))));
            let mut next = World::open(setup(&storage, JOB, 2, 1), world.now_ms + 10_000).unwrap();
            let given = next.trigger(Kind::Checkpoint);
            assert!(given > last, "id {given} is given again after {last}; directory sync {failing} failed");
        }
    }
    assert!(beyond > 5, "{beyond}");
}

/// Whether a job can be taken over from a disk, in the state of `world`.
fn goes_on(image: Disk, world: &World) {
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::over(Arc::new(image), Arc::new(SeededRandom::new(2))));
    let mut restored = World::open(setup(&storage, JOB, 2, 1), world.now_ms + 10_000).unwrap();
    assert_eq!(restored.state, world.state);
    restored.checkpoint();
    restored.settle_for(5_000);
    assert_eq!(restored.kept().len(), 1);
}

/// Somebody else's bytes in the slot are not taken for the manifest.
#[test]
fn s_17_the_driver_compares_what_it_finds() {
    let storage = memory();
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    let number = world.trigger(Kind::Checkpoint);
    commit(&storage, &format!("{}/_metadata", checkpoint_of(JOB, number)), b"not a manifest");
    world.acknowledge(number);
    world.settle();
    assert!(world.told.completed.is_empty());
    assert_eq!(world.told.failures.len(), 1, "another coordinator was here");
}

/// Once a checkpoint is given up, an attempt that is still on its way cannot succeed any more.
#[test]
fn s_09_the_driver_seals_what_it_gives_up() {
    let storage = memory();
    let days = Days::new(1, 0);
    let weather = Weather::over(storage.clone(), days.clone());
    let mut world = World::open(setup(&weather, JOB, 1, 1), 0).unwrap();
    let number = world.trigger(Kind::Checkpoint);
    world.acknowledge(number);
    days.lose_commits(3);
    for now_ms in 0..40 {
        if world.driver.step(world.now_ms + now_ms, &mut world.told) == (Step::Idle { wake_at_ms: None }) {
            break;
        }
    }
    assert!(world.told.completed.is_empty());
    let slot = storage.open(&path(&format!("{}/_metadata", checkpoint_of(JOB, number)))).unwrap();
    assert!(Control::is_control(&slot), "the slot is free for whatever arrives late");
}

/// A lease that is taken at any moment of a collection either comes too late or holds.
#[test]
fn s_16_a_lease_taken_while_the_collector_works_holds() {
    let mut granted = 0;
    for calls in 0..60 {
        let storage = memory();
        let weather = Weather::over(storage.clone(), Days::new(1, 0));
        let mut world = World::open(setup(&weather, JOB, 1, 1), 0).unwrap();
        world.put(1, "old");
        let old = world.checkpoint();
        let reader: Arc<std::sync::Mutex<Option<ReadLease>>> = Arc::default();
        let (lease, place) = (reader.clone(), storage.clone());
        world.put(1, "new");
        let number = world.trigger(Kind::Checkpoint);
        world.acknowledge(number);
        interrupt_after(calls, move || {
            let random = SeededRandom::new(5);
            let taken = ReadLease::take(place, (JOB, CheckpointId(old)), "somebody", 100, 10_000, &random);
            *lease.lock().unwrap() = taken.ok();
        });
        world.now_ms = 100;
        world.settle();
        forget_interruption();
        if reader.lock().unwrap().is_some() {
            granted += 1;
            let state = read_at(&storage, &checkpoint_of(JOB, old)).unwrap();
            assert_eq!(state[&1], "old", "after {calls} calls");
        }
    }
    assert!(granted > 3, "{granted}");
}

/// However far a collector gets, every manifest that is there is complete.
#[test]
fn a_collector_that_stops_leaves_no_manifest_that_names_what_is_gone() {
    let mut stopped = 0;
    for deletion in 0..12 {
        let memory = MemoryStorage::new(16 << 20);
        let plan = FaultPlan::none().and_at_action(Call::Delete, deletion, Fault::CrashBefore);
        let storage: Arc<dyn Storage> = Arc::new(FaultStorage::new(memory.clone(), plan.clone()));
        let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
        for round in 0..4u16 {
            world.put(round, "word");
            world.put(9, &format!("{round}"));
            let number = world.trigger(Kind::Checkpoint);
            world.acknowledge(number);
            world.settle();
        }
        stopped += u32::from(plan.has_fired());
        let memory: Arc<dyn Storage> = Arc::new(memory);
        for name in names(&memory).iter().filter_map(|name| name.strip_suffix("/_metadata")) {
            let read = SnapshotReader::open(memory.clone(), path(name)).and_then(|snapshot| {
                snapshot.manifest().objects().try_for_each(|object| snapshot.object(object).map(drop))
            });
            read.unwrap_or_else(|error| panic!("{name} after {deletion} deletions: {error}"));
        }
    }
    assert!(stopped > 3, "{stopped}");
}

#[test]
fn nothing_is_collected_while_a_manifest_may_be_on_its_way() {
    let days = Days::new(1, 0);
    let weather = Weather::over(memory(), days.clone());
    let mut world = World::open(setup(&weather, JOB, 1, 1), 0).unwrap();
    let number = world.trigger(Kind::Checkpoint);
    days.lose_commits(1);
    world.acknowledge(number);
    assert_eq!(world.driver.step(world.now_ms, &mut world.told), Step::Worked);
    let refused = world.driver.collect(world.now_ms).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
}

/// A failure at any call of a takeover is an error, never an older state.
#[test]
fn s_10_a_takeover_never_goes_back_behind_what_it_cannot_read() {
    let memory = MemoryStorage::new(16 << 20);
    let clean: Arc<dyn Storage> = Arc::new(memory.clone());
    let mut world = World::open(setup(&clean, JOB, 1, 3), 0).unwrap();
    for round in 0..3u16 {
        world.put(round, "word");
        world.checkpoint();
    }
    for call in 0..60 {
        let faulty: Arc<dyn Storage> =
            Arc::new(FaultStorage::new(memory.clone(), FaultPlan::at(call, Fault::FailBefore)));
        match World::open(setup(&faulty, JOB, 10 + call, 3), 100) {
            Ok(next) => assert_eq!(next.state, world.state, "call {call}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "call {call}: {error}"),
        }
    }
}

/// The coordinator of the job whose checkpoint was claimed does not delete it any more.
#[test]
fn s_04_a_claim_passes_the_former_owner_over() {
    let storage = memory();
    let mut former = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    former.put(1, "claimed");
    let claimed = former.checkpoint();
    let origin = Origin { place: String::new(), directory: checkpoint_of(JOB, claimed), claim: ClaimMode::Claim };
    let other = JobId([0x77; 16]);
    let heir = World::open(Setup { origin: Some(origin), ..setup(&storage, other, 2, 1) }, 50).unwrap();
    former.now_ms = 100;
    for round in 0..3u16 {
        former.put(1, &format!("later {round}"));
        if former.driver.is_passed_over() {
            break;
        }
        let number = former.trigger(Kind::Checkpoint);
        former.acknowledge(number);
        former.settle();
    }
    assert_eq!(read_at(&storage, &checkpoint_of(JOB, claimed)).unwrap(), heir.state);
}

/// A savepoint can be moved and copied; a checkpoint that shares objects cannot be read elsewhere, and says so.
#[test]
fn s_07_a_savepoint_is_read_wherever_it_is_copied_to() {
    let (storage, elsewhere) = (memory(), memory());
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    world.put(1, "word");
    let savepoint = world.savepoint("", None).directory;
    let number = world.checkpoint();
    let copy = |from: &str, to: &str| {
        for info in storage.list(Some(&path(from))).unwrap() {
            let bytes = storage.open(&info.path).unwrap();
            commit(&elsewhere, &format!("{to}{}", info.path.as_str().strip_prefix(from).unwrap()), &bytes);
        }
    };
    copy(savepoint.as_str(), "archive/2026");
    copy(checkpoint_of(JOB, number).as_str(), "archive/chk-1");
    for info in storage.list(Some(&savepoint)).unwrap() {
        storage.delete(&info.path).unwrap();
    }
    assert_eq!(read_at(&elsewhere, &path("archive/2026")).unwrap(), world.state);
    let lost = read_at(&elsewhere, &path("archive/chk-1")).unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::NotFound, "{lost}");
    assert!(lost.place().file.as_deref().is_some_and(|file| file.starts_with("archive/shared/")), "{lost}");
    let origin = Origin { place: String::new(), directory: path("archive/2026"), claim: ClaimMode::Claim };
    let other = JobId([0x77; 16]);
    let heir = World::open(Setup { origin: Some(origin), ..setup(&elsewhere, other, 2, 1) }, 50).unwrap();
    assert_eq!(heir.state, world.state);
}

/// What the bank of mistakes tries (see `checkpoint::bank`).
pub(super) const CASES: &[(&str, fn())] = &[
    ("a_view_that_lacks_something_collects_nothing", a_view_that_lacks_something_collects_nothing),
    ("seals_and_what_others_own_are_left_alone", seals_and_what_others_own_are_left_alone),
    ("an_object_that_lies_elsewhere_is_no_shared_one", an_object_that_lies_elsewhere_is_no_shared_one),
    ("s_18_what_counts_after_an_unknown_outcome_is_durable", s_18_what_counts_after_an_unknown_outcome_is_durable),
    (
        "s_18_nothing_is_deleted_on_the_word_of_a_record_that_may_be_lost",
        s_18_nothing_is_deleted_on_the_word_of_a_record_that_may_be_lost,
    ),
    (
        "s_18_no_id_is_given_on_the_word_of_a_record_that_may_be_lost",
        s_18_no_id_is_given_on_the_word_of_a_record_that_may_be_lost,
    ),
    ("s_17_the_driver_compares_what_it_finds", s_17_the_driver_compares_what_it_finds),
    ("s_09_the_driver_seals_what_it_gives_up", s_09_the_driver_seals_what_it_gives_up),
    ("s_16_a_lease_taken_while_the_collector_works_holds", s_16_a_lease_taken_while_the_collector_works_holds),
    (
        "a_collector_that_stops_leaves_no_manifest_that_names_what_is_gone",
        a_collector_that_stops_leaves_no_manifest_that_names_what_is_gone,
    ),
    (
        "nothing_is_collected_while_a_manifest_may_be_on_its_way",
        nothing_is_collected_while_a_manifest_may_be_on_its_way,
    ),
    (
        "s_10_a_takeover_never_goes_back_behind_what_it_cannot_read",
        s_10_a_takeover_never_goes_back_behind_what_it_cannot_read,
    ),
    ("s_07_a_savepoint_is_read_wherever_it_is_copied_to", s_07_a_savepoint_is_read_wherever_it_is_copied_to),
    ("s_04_a_claim_passes_the_former_owner_over", s_04_a_claim_passes_the_former_owner_over),
];
