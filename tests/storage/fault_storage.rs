//! The faults themselves: each does what it says.

use millpond::ErrorKind;
use millpond::storage::fault::{Action, Fault, FaultPlan, FaultStorage};
use millpond::storage::{CommitOutcome, MemoryStorage, Storage};

use super::{commit, path};

fn storage(plan: &FaultPlan) -> (MemoryStorage, FaultStorage<MemoryStorage>) {
    let memory = MemoryStorage::new(1000);
    (memory.clone(), FaultStorage::new(memory, plan.clone()))
}

#[test]
fn a_commit_is_done_or_not_as_the_fault_says() {
    for fault in Fault::ALL {
        let (memory, faulty) = storage(&FaultPlan::at(0, fault));
        let is_there = || memory.length(&path("a")).unwrap().is_some();
        match (fault, faulty.commit(&path("a"), b"bytes")) {
            (Fault::FailBefore | Fault::Partial | Fault::CrashBefore, CommitOutcome::NotCommitted(error)) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                assert!(!is_there());
            }
            (Fault::FailAfter | Fault::CrashAfter, CommitOutcome::Unknown(error)) => {
                assert_eq!(error.kind(), ErrorKind::Uncertain);
                assert!(is_there());
            }
            (Fault::Short, CommitOutcome::Committed) => assert!(is_there()),
            (fault, other) => panic!("{fault:?}: {other:?}"),
        }
    }
}

#[test]
fn nothing_is_done_after_a_crash() {
    let plan = FaultPlan::at(1, Fault::CrashAfter);
    let (memory, faulty) = storage(&plan);
    let mut writer = faulty.create(&path("w")).unwrap();
    assert!(matches!(faulty.commit(&path("a"), b"1"), CommitOutcome::Unknown(_)));
    assert!(matches!(faulty.commit(&path("b"), b"2"), CommitOutcome::NotCommitted(_)));
    assert!(writer.write(b"x").is_err());
    assert!(writer.finish().is_err());
    assert!(faulty.open(&path("a")).is_err());
    assert!(faulty.length(&path("a")).is_err());
    assert!(faulty.list(None).is_err());
    assert!(faulty.delete(&path("a")).is_err());
    assert_eq!(memory.list(None).unwrap().len(), 1);
    let faults: Vec<Option<Fault>> = plan.log().iter().map(|operation| operation.fault).collect();
    assert_eq!(faults[..2], [None, Some(Fault::CrashAfter)]);
    assert!(faults[2..].iter().all(|fault| *fault == Some(Fault::CrashBefore)));
}

#[test]
fn an_object_with_a_broken_write_cannot_be_finished() {
    for fault in [Fault::FailBefore, Fault::FailAfter, Fault::Partial] {
        let plan = FaultPlan::none().and_at_action(Action::Write, 1, fault);
        let (memory, faulty) = storage(&plan);
        let mut writer = faulty.create(&path("a")).unwrap();
        writer.write(b"fine").unwrap();
        assert!(writer.write(b"broken").is_err());
        assert!(writer.write(b"too late").is_err());
        assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(memory.length(&path("a")).unwrap(), None);
        assert_eq!(memory.used_bytes(), 0);
    }
}

#[test]
fn a_finish_that_was_done_is_uncertain() {
    let plan = FaultPlan::none().and_at_action(Action::Finish, 0, Fault::FailAfter);
    let (memory, faulty) = storage(&plan);
    let error = faulty.create(&path("a")).unwrap().finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Uncertain);
    assert_eq!(memory.length(&path("a")).unwrap(), Some(0));
}

#[test]
fn several_faults_hit_where_they_were_planned_and_the_log_tells() {
    let plan = FaultPlan::at(0, Fault::FailBefore).and_at_action(Action::Delete, 1, Fault::FailAfter);
    let (memory, faulty) = storage(&plan);
    assert!(!plan.has_fired());
    assert!(matches!(faulty.commit(&path("a"), b"1"), CommitOutcome::NotCommitted(_)));
    commit(&faulty, "a", b"1");
    faulty.delete(&path("b")).unwrap();
    assert_eq!(faulty.delete(&path("a")).unwrap_err().kind(), ErrorKind::Uncertain);
    assert_eq!(memory.length(&path("a")).unwrap(), None);
    let shown: Vec<String> = plan.log().iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["Commit a (FailBefore)", "Commit a", "Delete b", "Delete a (FailAfter)"]);
    assert_eq!(plan.count(), 4);
}
