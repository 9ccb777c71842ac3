//! The life of a job without accidents: checkpoints, retention, savepoints, restarts, the end.

use std::sync::Arc;

use millpond::ErrorKind;
use millpond::checkpoint::config::{Retention, Termination};
use millpond::checkpoint::driver::{Opened, Setup, Start};
use millpond::checkpoint::pending::{Kind, Stop};
use millpond::checkpoint::{Driver, Event};
use millpond::storage::{LocalStorage, MemoryStorage, Storage};

use crate::storage::fast_directory;

use super::world::{JOB, State, World, bytes_below, checkpoint_of, config, names, path, read_at, setup};

/// In memory, and in a directory.
fn with_each(test: impl Fn(&Arc<dyn Storage>)) {
    let directory = fast_directory();
    let local: Arc<dyn Storage> = Arc::new(LocalStorage::create(directory.path()).unwrap());
    let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
    [memory, local].iter().for_each(test);
}

#[test]
fn a_job_takes_checkpoints_and_goes_on_from_the_latest() {
    with_each(|storage| {
        let mut world = World::open(setup(storage, JOB, 1, 1), 0).unwrap();
        assert_eq!(world.state, State::new());
        world.put(1, "a");
        world.put(9, "b");
        assert_eq!(world.checkpoint(), 1);
        world.put(9, "c");
        assert_eq!(world.checkpoint(), 2);
        assert_eq!(world.told.completed, [1, 2]);
        let expected = world.state.clone();
        world.put(9, "lost");
        drop(world);

        let mut world = World::open(setup(storage, JOB, 2, 1), 100).unwrap();
        assert_eq!(world.state, expected);
        // Ids of the first coordinator are never given again, also those of which there is no trace.
        assert_eq!(world.checkpoint(), 101);
        assert_eq!(world.driver.epoch(), 2);
    });
}

#[test]
fn retention_keeps_the_newest_and_deletes_what_only_older_ones_name() {
    with_each(|storage| {
        let mut world = World::open(setup(storage, JOB, 1, 2), 0).unwrap();
        for round in 0..6 {
            world.put(round, "new");
            world.put(15, &format!("round {round}"));
            world.checkpoint();
        }
        assert_eq!(world.kept(), [5, 6]);
        let left: Vec<String> = names(storage).into_iter().filter(|name| name.ends_with("_metadata")).collect();
        assert_eq!(left, [5, 6].map(|id| format!("{}/_metadata", checkpoint_of(JOB, id))));
        // Six groups written once, and two versions of the last.
        assert_eq!(names(storage).iter().filter(|name| name.contains("/shared/")).count(), 8);
        for (id, text) in [(5, "round 4"), (6, "round 5")] {
            assert_eq!(read_at(storage, &checkpoint_of(JOB, id)).unwrap()[&15], text);
        }
        let records = names(storage).into_iter().filter(|name| name.contains("/control/"));
        assert_eq!(records.count(), 2, "old records are deleted");
    });
}

#[test]
fn ids_are_reserved_before_they_are_used() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    for _ in 0..120 {
        world.checkpoint();
    }
    assert_eq!(world.kept(), [120]);
    world.driver.terminate(world.now_ms, Termination::Suspended, &mut world.told).unwrap();
    // Who leaves in order gives back what was not used.
    let mut world = World::open(setup(&storage, JOB, 2, 1), 1_000).unwrap();
    assert_eq!(world.checkpoint(), 121);
    drop(world);
    let mut world = World::open(setup(&storage, JOB, 2, 1), 2_000).unwrap();
    assert_eq!(world.checkpoint(), 221);
}

#[test]
fn a_restart_within_a_coordinator_goes_back_to_the_latest() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    world.put(3, "kept");
    world.checkpoint();
    let expected = world.state.clone();
    world.put(3, "lost");
    let pending = world.trigger(Kind::Checkpoint);
    world.acknowledge_one(pending, 0);
    world.driver.handle(world.now_ms, Event::JobFailed, &mut world.told);
    assert_eq!(world.told.aborted, Vec::<u64>::new(), "the subtasks are gone");
    let start = world.driver.start().unwrap();
    world.restart(start).unwrap();
    assert_eq!(world.state, expected);
    assert_eq!(world.checkpoint(), 3);
    // What the aborted checkpoint uploaded is an orphan, and goes.
    world.settle_for(60_000);
    assert_eq!(names(&storage).iter().filter(|name| name.contains("/shared/")).count(), 1);
}

#[test]
fn savepoints_go_where_the_user_wants_and_stay() {
    with_each(|storage| {
        let mut world = World::open(setup(storage, JOB, 1, 1), 0).unwrap();
        world.put(1, "one");
        world.checkpoint();
        let savepoint = world.savepoint("", None);
        assert!(savepoint.directory.as_str().starts_with("savepoint-ababab-"), "{savepoint:?}");
        let expected = world.state.clone();
        let stored = bytes_below(storage, savepoint.directory.as_str());
        for round in 0..4 {
            world.put(1, &format!("{round}"));
            world.checkpoint();
        }
        assert_eq!(read_at(storage, &savepoint.directory).unwrap(), expected);
        assert_eq!(bytes_below(storage, savepoint.directory.as_str()), stored);
        world.driver.terminate(world.now_ms, Termination::Finished, &mut world.told).unwrap();
        assert_eq!(bytes_below(storage, savepoint.directory.as_str()), stored);
    });
}

#[test]
fn a_savepoint_elsewhere_needs_a_way_to_get_there() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    let format = millpond::checkpoint::pending::SavepointFormat::Canonical;
    let savepoint = millpond::checkpoint::pending::Savepoint { target: "elsewhere".into(), format, stop: None };
    world.driver.request(
        world.now_ms,
        millpond::checkpoint::event::RequestId(7),
        Kind::Savepoint(savepoint),
        &mut world.told,
    );
    let answer = world.told.answers[&7].as_ref().unwrap_err().to_string();
    assert!(answer.contains("Setup::places"), "{answer}");
}

#[test]
fn a_job_stops_with_a_savepoint_and_goes_on_from_it() {
    for stop in [Stop::Suspend, Stop::Drain] {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
        let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
        world.put(1, "one");
        world.checkpoint();
        world.put(1, "two");
        let savepoint = world.savepoint("", Some(stop));
        assert_eq!(world.told.stopped, Some(savepoint.id.0));
        assert_eq!(world.told.completed.last(), Some(&savepoint.id.0), "side effects are committed");
        let expected = world.state.clone();
        // A failure now restarts from the savepoint, although it is no checkpoint.
        match world.driver.start().unwrap() {
            Start::From(restore) => assert_eq!(restore.location.directory, savepoint.directory),
            other => panic!("{other:?}"),
        }
        world.driver.terminate(world.now_ms, Termination::Finished, &mut world.told).unwrap();
        let left = bytes_below(&storage, &JOB.to_string());
        assert!(left.keys().all(|name| name.contains("/control/")), "{left:?}");
        assert_eq!(read_at(&storage, &savepoint.directory).unwrap(), expected);
    }
}

#[test]
fn what_is_kept_when_the_job_ends_is_configured() {
    use Retention::{DeleteOnCancellation, None, RetainOnCancellation};
    use Termination::{Cancelled, Failed, Finished, Suspended};
    let cases = [
        (RetainOnCancellation, Cancelled, true),
        (RetainOnCancellation, Failed, true),
        (RetainOnCancellation, Finished, false),
        (DeleteOnCancellation, Cancelled, false),
        (DeleteOnCancellation, Failed, true),
        (None, Failed, false),
        (None, Suspended, true),
    ];
    for (retention, termination, stays) in cases {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
        let own = setup(&storage, JOB, 1, 1);
        let own = Setup { config: millpond::checkpoint::Config { retention, ..config(1) }, ..own };
        let mut world = World::open(own, 0).unwrap();
        world.put(1, "one");
        world.checkpoint();
        world.driver.terminate(world.now_ms, termination, &mut world.told).unwrap();
        let there = storage.length(&path(&format!("{}/_metadata", checkpoint_of(JOB, 1)))).unwrap().is_some();
        assert_eq!(there, stays, "{retention:?} {termination:?}");
        assert_eq!(names(&storage).iter().any(|name| name.contains("/shared/")), stays);
    }
}

#[test]
fn a_new_parallelism_and_finished_subtasks_are_restored() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    world.put(1, "one");
    world.put(12, "twelve");
    world.driver.handle(0, Event::SubtaskFinished(super::world::subtask(1)), &mut world.told);
    let id = world.trigger(Kind::Checkpoint);
    world.acknowledge_one(id, 0);
    world.settle();
    assert_eq!(world.told.completed, [1]);
    let open = |parallelism| {
        let own = Setup { job: super::world::job_of(JOB, parallelism), ..setup(&storage, JOB, 3, 1) };
        let Opened { start, .. } = Driver::open(own, 10).unwrap();
        let Start::From(restore) = start else { panic!("{start:?}") };
        restore.finished
    };
    assert_eq!(open(2), [super::world::subtask(1)].into(), "it has nothing left to do");
    assert_eq!(open(3), [].into(), "what the others had left is divided anew");
}

#[test]
fn state_that_nobody_takes_is_an_error_or_a_report() {
    use millpond::checkpoint::job::{Job, Operator};
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    world.put(1, "one");
    world.checkpoint();
    let (parallelism, max) = (world.driver.job().operators()[0].parallelism, super::world::max());
    let operators = vec![Operator::new("sentences", parallelism, max), Operator::generated(&[], 0, parallelism, max)];
    let renamed = || Setup { job: Job::new(JOB, operators.clone()).unwrap(), ..setup(&storage, JOB, 1, 1) };
    let error = Driver::open(renamed(), 10).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.message().contains("operator \"words\" (states word)"), "{error}");
    let opened = Driver::open(Setup { allow_non_restored: true, ..renamed() }, 20).unwrap();
    let Start::From(restore) = opened.start else { panic!() };
    assert_eq!(restore.non_restored, [("words".to_owned(), vec!["word".to_owned()])]);
    assert_eq!(restore.matching.new, [0, 1]);
    assert!(restore.matching.warnings[0].contains("has no uid"), "{:?}", restore.matching.warnings);
}

#[test]
fn another_max_parallelism_is_refused_before_anything_runs() {
    use millpond::checkpoint::job::{Job, Operator};
    use millpond::key_group::{MaxParallelism, Parallelism};
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 << 20));
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    world.put(1, "one");
    world.checkpoint();
    let max = MaxParallelism::new(32).unwrap();
    let operator = Operator::new(super::world::UID, Parallelism::new(2, max).unwrap(), max);
    let other = Setup { job: Job::new(JOB, vec![operator]).unwrap(), ..setup(&storage, JOB, 1, 1) };
    let error = Driver::open(other, 10).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.message().contains("16") && error.message().contains("32"), "{error}");
}

/// What the bank of mistakes tries (see `checkpoint::bank`).
#[cfg(feature = "test-util")]
pub(in crate::checkpoint) const CASES: &[(&str, fn())] = &[
    ("a_job_takes_checkpoints_and_goes_on_from_the_latest", a_job_takes_checkpoints_and_goes_on_from_the_latest),
    (
        "retention_keeps_the_newest_and_deletes_what_only_older_ones_name",
        retention_keeps_the_newest_and_deletes_what_only_older_ones_name,
    ),
    ("ids_are_reserved_before_they_are_used", ids_are_reserved_before_they_are_used),
    ("a_restart_within_a_coordinator_goes_back_to_the_latest", a_restart_within_a_coordinator_goes_back_to_the_latest),
    ("savepoints_go_where_the_user_wants_and_stay", savepoints_go_where_the_user_wants_and_stay),
    ("a_savepoint_elsewhere_needs_a_way_to_get_there", a_savepoint_elsewhere_needs_a_way_to_get_there),
    ("a_job_stops_with_a_savepoint_and_goes_on_from_it", a_job_stops_with_a_savepoint_and_goes_on_from_it),
    ("what_is_kept_when_the_job_ends_is_configured", what_is_kept_when_the_job_ends_is_configured),
    ("a_new_parallelism_and_finished_subtasks_are_restored", a_new_parallelism_and_finished_subtasks_are_restored),
    ("state_that_nobody_takes_is_an_error_or_a_report", state_that_nobody_takes_is_an_error_or_a_report),
    (
        "another_max_parallelism_is_refused_before_anything_runs",
        another_max_parallelism_is_refused_before_anything_runs,
    ),
];
