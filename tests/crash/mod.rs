//! A fault at every storage operation of taking a checkpoint, and at every operation of restoring one (S-20).
//!
//! However the checkpoint goes wrong: the previous one still opens and restores to exactly what it held; the new one is
//! there as a whole or not at all, and in accord with what its publisher was told; and the next one succeeds.

#[cfg(unix)]
mod files;
mod job;
mod objects;
pub(crate) mod power;
mod short;

use std::sync::Arc;

use job::Job;
use millpond::backend::KeyedSnapshotFormat;
use millpond::backend::conformance::Plan;
use millpond::ids::CheckpointId;
use millpond::storage::fault::{Fault, FaultPlan};
use millpond::storage::{CommitOutcome, ObjectPath, Storage};
use millpond::{Error, ErrorKind};

const FORMATS: [KeyedSnapshotFormat; 2] = [KeyedSnapshotFormat::Canonical, KeyedSnapshotFormat::Native];

/// What the publisher of a checkpoint was told.
#[derive(Debug)]
enum Told {
    Committed,
    /// It certainly does not exist.
    Failed(Error),
    Unknown,
}

/// A storage with one checkpoint in it, and the same storage with faults.
struct Place {
    clean: Arc<dyn Storage>,
    faulty: Arc<dyn Storage>,
}

/// Takes a checkpoint, goes on, takes another one on the faulty storage, and checks what is there afterwards. Gives what
/// was told of the second.
fn crash(place: &Place, format: KeyedSnapshotFormat, what: &dyn std::fmt::Display) -> Told {
    let mut job = Job::start(&place.clean);
    job.process(0..40);
    let first = job.state();
    let previous = job.checkpoint(1, format).unwrap();
    job.process(40..70);
    let second = job.state();
    assert_ne!(first, second);

    let (told, directory) = attempt(&mut job, place, format);
    let there = look(place, &previous, &directory, &first, &second, what);
    match &told {
        Told::Committed => assert!(there, "{what}: told committed, but it is not there"),
        Told::Failed(error) => assert!(!there, "{what}: told {error}, but it is there"),
        Told::Unknown => {}
    }

    let retried = job.checkpoint(3, format).unwrap_or_else(|error| panic!("{what}: the next checkpoint: {error}"));
    assert_eq!(Job::restore(&place.clean, &retried, 3).unwrap().state(), second, "{what}: the next checkpoint");

    let mut restarted = Job::restore(&place.clean, &previous, 1).unwrap();
    restarted.process(40..70);
    let again = restarted.checkpoint(4, format).unwrap();
    assert_eq!(Job::restore(&place.clean, &again, 2).unwrap().state(), second, "{what}: the same work done again");
    told
}

fn attempt(job: &mut Job, place: &Place, format: KeyedSnapshotFormat) -> (Told, ObjectPath) {
    let directory = job.directory(2);
    let told = match job.try_checkpoint(CheckpointId(2), format, &place.faulty) {
        Ok((CommitOutcome::Committed, _)) => Told::Committed,
        Ok((CommitOutcome::NotCommitted(error), _)) | Err(error) => Told::Failed(error),
        Ok((CommitOutcome::Unknown(_), _)) => Told::Unknown,
    };
    (told, directory)
}

/// Looks at the storage as the next process would: checks the previous checkpoint, and whether the new one is there.
fn look(
    place: &Place,
    previous: &ObjectPath,
    new: &ObjectPath,
    first: &[String],
    second: &[String],
    what: &dyn std::fmt::Display,
) -> bool {
    let restored = Job::restore(&place.clean, previous, 1);
    assert_eq!(restored.unwrap().state(), first, "{what}: the previous checkpoint");
    match Job::restore(&place.clean, new, 2) {
        Ok(mut job) => {
            assert_eq!(job.state(), second, "{what}: the new checkpoint");
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{what}: {error}");
            false
        }
    }
}

/// Crashes at every operation in every way; `make` gives a new place with the faults of a plan. Gives the number of crashes
/// and how many of them were told to have committed, failed, or nobody knows.
fn crash_everywhere(format: KeyedSnapshotFormat, make: &dyn Fn(FaultPlan) -> Place) -> (u64, [u64; 3]) {
    let counted = FaultPlan::none();
    assert!(matches!(crash(&make(counted.clone()), format, &"no fault"), Told::Committed));
    let operations = counted.log();
    assert_eq!(counted.violations(), [""; 0]);
    let mut told = [0; 3];
    let mut crashes = 0;
    for (number, operation) in operations.iter().enumerate() {
        for fault in Fault::ALL {
            let plan = FaultPlan::at(number as u64, fault);
            let what = format!("{format:?}, {fault:?} at {number} of {}, {operation}", operations.len());
            let outcome = crash(&make(plan.clone()), format, &what);
            assert!(plan.has_fired(), "{what}");
            assert_eq!(plan.violations(), [""; 0], "{what}");
            crashes += 1;
            told[match outcome {
                Told::Committed => 0,
                Told::Failed(_) => 1,
                Told::Unknown => 2,
            }] += 1;
        }
    }
    (crashes, told)
}

/// Restores with a failure at every operation: an error that says so, and the next try succeeds.
fn fail_restores(
    place: &dyn Fn(FaultPlan) -> Arc<dyn Storage>,
    clean: &Arc<dyn Storage>,
    format: KeyedSnapshotFormat,
) -> u64 {
    let mut job = Job::start(clean);
    job.process(0..40);
    let state = job.state();
    let checkpoint = job.checkpoint(1, format).unwrap();
    let counted = FaultPlan::none();
    assert_eq!(Job::restore(&place(counted.clone()), &checkpoint, 3).unwrap().state(), state);
    for number in 0..counted.count() {
        let storage = place(FaultPlan::at(number, Fault::FailBefore));
        let error = Job::restore(&storage, &checkpoint, 3).err().unwrap_or_else(|| panic!("operation {number}"));
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.place().file.is_some(), "{error}");
        assert_eq!(Job::restore(&storage, &checkpoint, 3).unwrap().state(), state, "after a failure at {number}");
    }
    counted.count()
}

fn plan(storage: &Arc<dyn Storage>) -> Plan {
    Plan::new(&millpond::backend::BackendConfig::default()).with_storage(storage.clone())
}
