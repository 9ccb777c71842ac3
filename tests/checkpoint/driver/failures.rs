//! Storage that fails at every operation, and answers that are lost.

use std::sync::Arc;

use millpond::ErrorKind;
use millpond::checkpoint::driver::Start;
use millpond::storage::fault::{Action, Fault, FaultPlan, FaultStorage};
use millpond::storage::{MemoryStorage, Storage};

use super::world::{JOB, World, checkpoint_of, path, read_at, setup};

fn over(memory: &MemoryStorage, plan: FaultPlan) -> Arc<dyn Storage> {
    Arc::new(FaultStorage::new(memory.clone(), plan))
}

/// What a run told its caller: the state of the last checkpoint that was acknowledged.
fn run(storage: &Arc<dyn Storage>) -> Option<super::world::State> {
    let mut world = World::open(setup(storage, JOB, 1, 1), 0).ok()?;
    let mut acknowledged = None;
    for round in 0..4u16 {
        world.put(round, "new");
        world.put(15, &format!("round {round}"));
        let completed = world.told.completed.len();
        world.checkpoint();
        world.settle_for(5_000);
        if world.told.completed.len() > completed {
            acknowledged = Some(world.state.clone());
        }
    }
    acknowledged
}

/// One fault at every operation of a whole life: what was acknowledged is restored by the next coordinator, and nothing that
/// is referenced is missing.
#[test]
fn a_fault_at_any_operation_loses_nothing() {
    let counted = FaultPlan::none();
    assert!(run(&over(&MemoryStorage::new(64 << 20), counted.clone())).is_some());
    let mut faults = 0;
    for (number, operation) in (0..).zip(counted.log()) {
        let reads = if operation.action == Action::Open { &Fault::READS[..] } else { &[] };
        let told = [Fault::FailBefore, Fault::FailAfter, Fault::CrashBefore, Fault::CrashAfter];
        for fault in told.into_iter().chain(reads.iter().copied()) {
            let memory = MemoryStorage::new(64 << 20);
            let plan = FaultPlan::at(number, fault);
            let acknowledged = run(&over(&memory, plan.clone()));
            let what = format!("{fault:?} at {number}");
            assert!(plan.has_fired(), "{what}");
            let clean: Arc<dyn Storage> = Arc::new(memory);
            let mut world = World::open(setup(&clean, JOB, 2, 1), 1_000_000).unwrap();
            if let Some(acknowledged) = acknowledged {
                let newer = world.state.len() >= acknowledged.len();
                assert!(newer && world.state[&15] >= acknowledged[&15], "{what}: {:?}", world.state);
            }
            // The next one goes on, and cleans up.
            world.put(14, "after");
            let id = world.checkpoint();
            assert_eq!(world.kept(), [id], "{what}");
            world.settle_for(100_000);
            assert!(world.driver.collection_failure().is_none(), "{what}");
            let expected = world.state.clone();
            assert_eq!(read_at(&clean, &checkpoint_of(JOB, id)).unwrap(), expected, "{what}");
            let shared = super::world::names(&clean).into_iter().filter(|name| name.contains("/shared/")).count();
            assert_eq!(shared, expected.len(), "{what}: no orphans are left");
            faults += 1;
        }
    }
    assert!(faults > 200, "{faults}");
}

/// The answer to storing the manifest is lost: nothing is deleted before a read decides, and then everybody agrees (S-09, S-17).
#[test]
fn s_09_the_driver_decides_an_unknown_outcome_by_reading() {
    for (fault, reads_fail) in [(Fault::FailAfter, 0), (Fault::FailAfter, 2), (Fault::FailBefore, 0)] {
        let memory = MemoryStorage::new(64 << 20);
        let clean: Arc<dyn Storage> = Arc::new(memory.clone());
        let mut world = World::open(setup(&clean, JOB, 1, 1), 0).unwrap();
        world.put(1, "a");
        world.checkpoint();
        world.driver.terminate(0, millpond::checkpoint::config::Termination::Suspended, &mut world.told).unwrap();
        drop(world);

        // Opening commits two records; the third commit is the manifest's.
        let mut plan = FaultPlan::none().and_at_action(Action::Commit, 2, fault);
        let opens = {
            let counted = FaultPlan::none();
            drop(World::open(setup(&over(&memory, counted.clone()), JOB, 2, 1), 10).unwrap());
            counted.log().iter().filter(|operation| operation.action == Action::Open).count()
        };
        for read in 0..reads_fail {
            plan = plan.and_at_action(Action::Open, u64::try_from(opens).unwrap() + read, Fault::FailBefore);
        }
        let mut world = World::open(setup(&over(&memory, plan), JOB, 3, 1), 20).unwrap();
        world.put(1, "b");
        world.checkpoint();
        if reads_fail > 0 {
            assert_eq!(world.told.completed, Vec::<u64>::new());
            assert!(matches!(world.driver.start().unwrap(), Start::Undecided(_)));
            assert_eq!(world.driver.collect(world.now_ms).unwrap_err().kind(), ErrorKind::Unavailable);
            assert_eq!(read_at(&clean, &checkpoint_of(JOB, 1)).unwrap()[&1], "a", "the older one stays");
        }
        world.settle_for(5_000);
        let id = *world.told.completed.last().unwrap_or_else(|| panic!("{fault:?}, {reads_fail}"));
        assert_eq!(world.kept(), [id]);
        assert_eq!(read_at(&clean, &checkpoint_of(JOB, id)).unwrap()[&1], "b");
    }
}

/// A manifest that never gets through is given up for good: its slot is sealed.
#[test]
fn a_checkpoint_that_cannot_be_stored_is_sealed() {
    let memory = MemoryStorage::new(64 << 20);
    // Three attempts with answers lost on the way there: nobody knows, until the mark is in place.
    let plan =
        (2..5).fold(FaultPlan::none(), |plan, number| plan.and_at_action(Action::Commit, number, Fault::FailBefore));
    let storage = over(&memory, plan);
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    world.put(1, "a");
    let id = world.checkpoint();
    assert_eq!((world.told.completed.len(), &world.told.aborted[..]), (0, &[id][..]));
    assert!(matches!(world.driver.start().unwrap(), Start::Empty));
    let slot = path(&format!("{}/_metadata", checkpoint_of(JOB, id)));
    assert_eq!(storage.length(&slot).unwrap(), None, "these failures were certain, so nothing had to be sealed");
    assert_eq!(world.checkpoint(), id + 1);
    assert_eq!(world.told.completed, [id + 1]);
}

/// A coordinator that goes away, however it goes, deletes nothing (S-11).
#[test]
fn s_11_a_driver_that_goes_away_deletes_nothing() {
    let memory = MemoryStorage::new(64 << 20);
    let plan = FaultPlan::none();
    let storage = over(&memory, plan.clone());
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    world.put(1, "a");
    world.checkpoint();
    let pending = world.trigger(millpond::checkpoint::pending::Kind::Checkpoint);
    world.acknowledge_one(pending, 0);
    let before = (plan.count(), super::world::names(&storage));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _dropped_by_the_panic = world;
        std::panic::resume_unwind(Box::new("the process is in trouble"));
    }));
    assert!(panicked.is_err());
    assert_eq!(plan.count(), before.0 + 1, "only the listing of this test");
    assert_eq!(super::world::names(&storage), before.1);
    assert_eq!(World::open(setup(&storage, JOB, 2, 1), 10).unwrap().state[&1], "a");
}

/// What the bank of mistakes tries (see `checkpoint::bank`).
#[cfg(feature = "test-util")]
pub(in crate::checkpoint) const CASES: &[(&str, fn())] = &[
    ("a_fault_at_any_operation_loses_nothing", a_fault_at_any_operation_loses_nothing),
    ("s_09_the_driver_decides_an_unknown_outcome_by_reading", s_09_the_driver_decides_an_unknown_outcome_by_reading),
    ("a_checkpoint_that_cannot_be_stored_is_sealed", a_checkpoint_that_cannot_be_stored_is_sealed),
    ("s_11_a_driver_that_goes_away_deletes_nothing", s_11_a_driver_that_goes_away_deletes_nothing),
];
