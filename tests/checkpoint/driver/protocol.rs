//! Two coordinators, readers and collectors of one job: who may do what.

use std::sync::Arc;

use millpond::ErrorKind;
use millpond::checkpoint::driver::{ReadLease, Setup};
use millpond::checkpoint::pending::Kind;
use millpond::checkpoint::restore::Fallback;
use millpond::ids::CheckpointId;
use millpond::random::SeededRandom;
use millpond::storage::{MemoryStorage, Storage};

use super::world::{JOB, World, checkpoint_of, commit, names, path, pick, read_at, setup};

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new(64 << 20))
}

/// A coordinator that was asleep stores its manifest: it does not count, now or later, and its number is not met again (S-14).
#[test]
fn s_14_a_coordinator_that_was_passed_over_stores_in_vain() {
    let storage = memory();
    let mut asleep = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    asleep.put(1, "first");
    asleep.checkpoint();
    let pending = asleep.trigger(Kind::Checkpoint);
    asleep.put(1, "never acknowledged");

    let mut world = World::open(setup(&storage, JOB, 2, 1), 100).unwrap();
    assert_eq!(world.state[&1], "first");
    asleep.acknowledge(pending);
    asleep.settle();
    assert_eq!(asleep.told.completed, [1]);
    assert!(asleep.driver.is_passed_over());
    assert!(asleep.told.failures[0].contains("another coordinator"), "{:?}", asleep.told.failures);
    let late = checkpoint_of(JOB, pending);
    assert!(storage.length(&path(&format!("{late}/_metadata"))).unwrap().is_some(), "the manifest was stored");

    // A third coordinator, before the second has any checkpoint of its own, is not deceived.
    let third = World::open(setup(&storage, JOB, 3, 1), 200).unwrap();
    assert_eq!(third.state[&1], "first");
    drop(third);
    world = World::open(setup(&storage, JOB, 4, 1), 300).unwrap();
    world.put(1, "second");
    let id = world.checkpoint();
    assert!(id > pending);
    assert_eq!(storage.length(&path(&format!("{late}/_metadata"))).unwrap(), None, "what it left is collected");
    assert_eq!(read_at(&storage, &checkpoint_of(JOB, id)).unwrap()[&1], "second");
}

/// The number of a record is free again, since old ones are deleted: that alone makes nobody a coordinator (S-14).
#[test]
fn s_14_a_record_number_that_is_free_again_is_no_licence_to_delete() {
    let storage = memory();
    let mut asleep = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    asleep.put(1, "a");
    asleep.checkpoint();
    let mut world = World::open(setup(&storage, JOB, 2, 2), 100).unwrap();
    for round in 0..6 {
        world.put(1, &format!("{round}"));
        world.checkpoint();
    }
    let numbers = || -> Vec<String> { names(&storage).into_iter().filter(|name| name.contains("/record-")).collect() };
    assert_eq!(numbers().len(), 2);
    let before = names(&storage);
    let error = asleep.driver.collect(asleep.now_ms).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted, "{error}");
    let after: Vec<String> = names(&storage).into_iter().filter(|name| !name.contains("/record-")).collect();
    assert_eq!(after, before.iter().filter(|name| !name.contains("/record-")).cloned().collect::<Vec<_>>());
    assert_eq!(World::open(setup(&storage, JOB, 3, 2), 200).unwrap().state, world.state);
}

/// What is uploaded and not yet published survives the greediest collector, or the publication fails (S-15).
#[test]
fn s_15_an_upload_survives_the_collector_or_the_publication_fails() {
    let storage = memory();
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    world.put(1, "a");
    world.checkpoint();
    world.put(1, "b");
    let pending = world.trigger(Kind::Checkpoint);
    world.acknowledge_one(pending, 0);
    for skew_ms in [0, 600_000, -600_000, 3_600_000] {
        world.driver.collect(world.now_ms + skew_ms).unwrap();
    }
    world.acknowledge_one(pending, 1);
    world.settle();
    assert_eq!(world.told.completed.last(), Some(&pending));
    assert_eq!(read_at(&storage, &checkpoint_of(JOB, pending)).unwrap()[&1], "b");

    // Somebody else deletes what was uploaded: no manifest may name it.
    world.put(1, "c");
    let before = names(&storage);
    let doomed = world.trigger(Kind::Checkpoint);
    world.acknowledge_one(doomed, 0);
    let uploaded: Vec<String> = names(&storage).into_iter().filter(|name| !before.contains(name)).collect();
    storage.delete(&path(&uploaded[0])).unwrap();
    world.acknowledge_one(doomed, 1);
    world.settle();
    assert_eq!(world.told.aborted, [doomed]);
    let answer = world.last_answer().unwrap().as_ref().unwrap_err().to_string();
    assert!(answer.contains("which is not there"), "{answer}");
    assert_eq!(world.kept(), [pending]);
}

/// A reader's lease keeps a checkpoint, and the reader learns when it is over (S-16).
#[test]
fn s_16_a_slow_restore_finishes_or_learns_that_its_lease_is_over() {
    let storage = memory();
    let random = SeededRandom::new(5);
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    world.put(1, "read me");
    let id = world.checkpoint();
    let take = |id, now_ms| {
        let storage = Arc::clone(&storage);
        ReadLease::take(storage, (JOB, CheckpointId(id)), "a test", now_ms, 10_000, &random)
    };
    let mut lease = take(id, world.now_ms).unwrap();
    for round in 0..5 {
        world.put(1, &format!("{round}"));
        world.checkpoint();
        world.now_ms += 1_000;
    }
    assert_eq!(read_at(&storage, &checkpoint_of(JOB, id)).unwrap()[&1], "read me");
    lease.check(world.now_ms).unwrap();
    // It has been given up: nobody else can begin to read it, and going on is not promised either.
    assert_eq!(take(id, world.now_ms).unwrap_err().kind(), ErrorKind::Aborted);
    lease.renew(world.now_ms, 10_000, &random).unwrap();
    world.now_ms += 9_000;
    world.checkpoint();
    lease.check(world.now_ms).unwrap();
    assert_eq!(read_at(&storage, &checkpoint_of(JOB, id)).unwrap()[&1], "read me");
    world.now_ms += 1_000;
    world.checkpoint();
    let error = lease.check(world.now_ms).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted);
    assert!(error.message().contains("ended"), "{error}");
    assert_eq!(read_at(&storage, &checkpoint_of(JOB, id)).unwrap_err().kind(), ErrorKind::NotFound);
    world.checkpoint();
    assert!(!names(&storage).iter().any(|name| name.contains("/lease-")), "leases that are over are collected");
}

#[test]
fn a_lease_that_is_released_keeps_nothing() {
    let storage = memory();
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    let id = world.checkpoint();
    let random = SeededRandom::new(5);
    let lease =
        ReadLease::take(Arc::clone(&storage), (JOB, CheckpointId(id)), "a test", 0, 1_000_000, &random).unwrap();
    lease.release().unwrap();
    world.checkpoint();
    assert_eq!(read_at(&storage, &checkpoint_of(JOB, id)).unwrap_err().kind(), ErrorKind::NotFound);
}

/// Files of the user's below the job's directory are not seen (S-13).
#[test]
fn s_13_the_driver_deletes_only_what_it_knows() {
    let storage = memory();
    let foreign =
        ["notes.txt", "chk-1/notes.txt", "shared/readme", "chk-007/x", "control/record-x", "chk-1/sub/_metadata"];
    for name in foreign {
        commit(&storage, &format!("{JOB}/{name}"), b"mine");
    }
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    for round in 0..4 {
        world.put(1, &format!("{round}"));
        world.checkpoint();
    }
    for name in foreign {
        assert!(storage.length(&path(&format!("{JOB}/{name}"))).unwrap().is_some(), "{name}");
    }
    assert_eq!(world.driver.last_collection().unwrap().foreign, foreign.len());
}

/// A plan deletes nothing; the collection then does what the plan said.
#[test]
fn a_dry_run_says_what_would_be_deleted() {
    let storage = memory();
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    world.put(1, "a");
    world.checkpoint();
    world.put(1, "b");
    let id = world.trigger(Kind::Checkpoint);
    world.acknowledge_one(id, 0);
    world.acknowledge_one(id, 1);
    // Publish only.
    world.driver.step(world.now_ms, &mut world.told);
    let before = names(&storage);
    let planned = world.driver.plan_collection(world.now_ms).unwrap();
    assert_eq!((planned.manifests.len(), planned.objects.len()), (1, 1), "{planned:?}");
    assert_eq!(names(&storage), before);
    assert_eq!(world.driver.collect(world.now_ms).unwrap(), planned);
}

/// A damaged latest checkpoint is an error that names the others; falling back has to be asked for, and deletes nothing (S-10).
#[test]
fn s_10_the_driver_does_not_fall_back_unasked() {
    let storage = memory();
    let mut world = World::open(setup(&storage, JOB, 1, 3), 0).unwrap();
    for round in 0..3 {
        world.put(1, &format!("{round}"));
        world.checkpoint();
    }
    drop(world);
    let manifest = path(&format!("{}/_metadata", checkpoint_of(JOB, 3)));
    let mut bytes = storage.open(&manifest).unwrap().as_slice().to_vec();
    bytes[40] ^= 1;
    storage.delete(&manifest).unwrap();
    commit(&storage, manifest.as_str(), &bytes);
    let error = World::open(setup(&storage, JOB, 2, 3), 100).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("intact ones: 2, 1"), "{error}");

    let before: Vec<String> = names(&storage).into_iter().filter(|name| !name.contains("/control/")).collect();
    let fallback = Setup { fallback: Fallback::NewestIntact, ..setup(&storage, JOB, 3, 3) };
    let mut world = World::open(fallback, 200).unwrap();
    assert_eq!(world.state[&1], "1");
    world.settle();
    let error = world.driver.collection_failure().unwrap();
    assert!(error.message().contains("could not be read"), "{error}");
    let after: Vec<String> = names(&storage).into_iter().filter(|name| !name.contains("/control/")).collect();
    assert_eq!(after, before);
}

#[test]
fn a_checkpoint_that_was_complete_and_vanished_is_damage() {
    let storage = memory();
    let mut world = World::open(setup(&storage, JOB, 1, 2), 0).unwrap();
    world.put(1, "a");
    world.checkpoint();
    world.checkpoint();
    world.driver.collect(world.now_ms).unwrap();
    drop(world);
    drop(World::open(setup(&storage, JOB, 2, 2), 50).unwrap());
    storage.delete(&path(&format!("{}/_metadata", checkpoint_of(JOB, 2)))).unwrap();
    let error = World::open(setup(&storage, JOB, 3, 2), 100).err().unwrap();
    assert!(error.message().contains("its manifest is gone"), "{error}");
}

#[test]
fn a_manifest_of_another_job_is_not_mistaken_for_ones_own() {
    let storage = memory();
    let mut world = World::open(setup(&storage, JOB, 1, 2), 0).unwrap();
    world.put(1, "a");
    let id = world.checkpoint();
    let bytes = storage.open(&path(&format!("{}/_metadata", checkpoint_of(JOB, id)))).unwrap();
    let other = millpond::ids::JobId([0xCD; 16]);
    commit(&storage, &format!("{}/_metadata", checkpoint_of(other, 1)), bytes.as_slice());
    let error = World::open(setup(&storage, other, 2, 1), 100).err().unwrap();
    assert!(error.message().contains("somebody has copied files"), "{error}");
}

/// Two coordinators that take over from each other at random: what one acknowledges, the next restores.
#[test]
fn coordinators_that_take_over_from_each_other_lose_nothing() {
    for seed in 0..30 {
        let (storage, random) = (memory(), SeededRandom::new(seed));
        let mut worlds = vec![World::open(setup(&storage, JOB, 1_000 + seed, 2), 0).unwrap()];
        let mut acknowledged = worlds[0].state.clone();
        for round in 0..60u64 {
            let at = usize::try_from(pick(&random, worlds.len() as u64)).unwrap();
            let is_current = at + 1 == worlds.len();
            let world = &mut worlds[at];
            world.now_ms = i64::try_from(round * 10).unwrap();
            match pick(&random, 6) {
                0 => {
                    let next = setup(&storage, JOB, 2_000 + seed * 100 + round, 2);
                    let next = World::open(next, i64::try_from(round * 10).unwrap()).unwrap();
                    assert_eq!(next.state, acknowledged, "seed {seed}, round {round}");
                    worlds.push(next);
                }
                1 if !world.driver.is_passed_over() => drop(world.driver.collect(world.now_ms)),
                _ if !world.driver.is_passed_over() => {
                    world.put(u16::try_from(pick(&random, 16)).unwrap(), &format!("{round}"));
                    let completed = world.told.completed.len();
                    world.checkpoint();
                    let acknowledges = world.told.completed.len() > completed;
                    assert_eq!(acknowledges, is_current, "seed {seed}, round {round}");
                    if acknowledges {
                        acknowledged = world.state.clone();
                    }
                }
                _ => {}
            }
        }
    }
}

/// What the bank of mistakes tries (see `checkpoint::bank`).
#[cfg(feature = "test-util")]
pub(in crate::checkpoint) const CASES: &[(&str, fn())] = &[
    ("s_14_a_coordinator_that_was_passed_over_stores_in_vain", s_14_a_coordinator_that_was_passed_over_stores_in_vain),
    (
        "s_14_a_record_number_that_is_free_again_is_no_licence_to_delete",
        s_14_a_record_number_that_is_free_again_is_no_licence_to_delete,
    ),
    (
        "s_15_an_upload_survives_the_collector_or_the_publication_fails",
        s_15_an_upload_survives_the_collector_or_the_publication_fails,
    ),
    (
        "s_16_a_slow_restore_finishes_or_learns_that_its_lease_is_over",
        s_16_a_slow_restore_finishes_or_learns_that_its_lease_is_over,
    ),
    ("a_lease_that_is_released_keeps_nothing", a_lease_that_is_released_keeps_nothing),
    ("s_13_the_driver_deletes_only_what_it_knows", s_13_the_driver_deletes_only_what_it_knows),
    ("a_dry_run_says_what_would_be_deleted", a_dry_run_says_what_would_be_deleted),
    ("s_10_the_driver_does_not_fall_back_unasked", s_10_the_driver_does_not_fall_back_unasked),
    ("a_checkpoint_that_was_complete_and_vanished_is_damage", a_checkpoint_that_was_complete_and_vanished_is_damage),
    ("a_manifest_of_another_job_is_not_mistaken_for_ones_own", a_manifest_of_another_job_is_not_mistaken_for_ones_own),
    (
        "coordinators_that_take_over_from_each_other_lose_nothing",
        coordinators_that_take_over_from_each_other_lose_nothing,
    ),
];
