//! Storage that gives less than there is and does not say so: short and empty reads.

use std::ops::ControlFlow;
use std::sync::Arc;

use millpond::ErrorKind;
use millpond::backend::KeyedSnapshotFormat::{self, Canonical, Incremental, Native};
use millpond::storage::fault::{Action, Fault, FaultPlan, FaultStorage};
use millpond::storage::{MemoryStorage, ObjectPath, Storage};

use super::job::Job;
use super::plan;

fn over(memory: &MemoryStorage, plan: FaultPlan) -> Arc<dyn Storage> {
    Arc::new(FaultStorage::new(memory.clone(), plan))
}

/// A checkpoint; an incremental one refers to another.
fn stored(memory: &MemoryStorage, format: KeyedSnapshotFormat) -> (ObjectPath, Vec<String>) {
    let clean: Arc<dyn Storage> = Arc::new(memory.clone());
    let mut job = Job::start(&clean);
    job.process(0..40);
    job.checkpoint(1, format).unwrap();
    job.process(40..44);
    (job.checkpoint(2, format).unwrap(), job.state())
}

/// Every way to cut every read that `read` does, with the number of these.
fn cuts(memory: &MemoryStorage, read: &dyn Fn(&Arc<dyn Storage>)) -> Vec<FaultPlan> {
    let counted = FaultPlan::none();
    read(&over(memory, counted.clone()));
    let reads = counted.log().iter().filter(|operation| operation.action == Action::Open).count() as u64;
    assert!(reads >= 4, "{reads} reads");
    let at = |read| Fault::READS.map(|fault| FaultPlan::none().and_at_action(Action::Open, read, fault));
    (0..reads).flat_map(at).collect()
}

/// A restore that is given too little fails and names the object, and the next try succeeds.
#[test]
fn s_32_a_restore_notices_every_short_read() {
    for format in [Canonical, Native, Incremental] {
        let memory = MemoryStorage::new(16 << 20);
        let (checkpoint, state) = stored(&memory, format);
        let plans = cuts(&memory, &|storage| drop(Job::restore(storage, &checkpoint, 3).unwrap()));
        for (number, plan) in plans.into_iter().enumerate() {
            let storage = over(&memory, plan.clone());
            let refused = Job::restore(&storage, &checkpoint, 3).err();
            let error = refused.unwrap_or_else(|| panic!("{format:?}, {number}: nobody notices"));
            assert!(plan.has_fired());
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{format:?}, {number}: {error}");
            assert!(error.place().file.is_some(), "{format:?}, {number}: {error}");
            assert_eq!(Job::restore(&storage, &checkpoint, 3).unwrap().state(), state);
        }
    }
}

/// Looking through a snapshot is stopped by a short manifest, and finds every other short object.
#[test]
fn s_32_verify_notices_every_short_read() {
    for format in [Canonical, Native, Incremental] {
        let memory = MemoryStorage::new(16 << 20);
        let (checkpoint, _) = stored(&memory, format);
        let verify = |storage: &Arc<dyn Storage>| -> millpond::Result<bool> {
            let snapshot = plan(storage).open(&checkpoint)?;
            snapshot.verify(&mut |_| ControlFlow::Continue(())).map(|tally| tally.is_intact())
        };
        for (number, plan) in cuts(&memory, &|storage| assert!(verify(storage).unwrap())).into_iter().enumerate() {
            match verify(&over(&memory, plan)) {
                Ok(is_intact) => assert!(!is_intact, "{format:?}, {number}: nobody notices"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{format:?}, {number}: {error}"),
            }
        }
    }
}
