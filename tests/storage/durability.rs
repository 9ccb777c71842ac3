//! The order in which storage in a directory makes things durable, read off the operations it asks for.

use std::io;
use std::sync::Arc;

use millpond::ErrorKind;
use millpond::random::SeededRandom;
use millpond::storage::fault::{Action, Fault, FaultFileSystem, FaultPlan};
use millpond::storage::{CommitOutcome, LocalStorage, Storage, SystemFileSystem};

use super::{commit, fast_directory, listed, path};

fn over(root: &tempfile::TempDir, plan: &FaultPlan) -> LocalStorage {
    let files = Arc::new(SystemFileSystem::open(root.path()).unwrap());
    LocalStorage::over(Arc::new(FaultFileSystem::new(files, plan.clone())), Arc::new(SeededRandom::new(5)))
}

/// What was asked for since the last call, without the questions and with `*` for temporary names.
fn trace(plan: &FaultPlan, from: &mut usize) -> Vec<String> {
    let log = plan.log();
    let new = log[*from..].iter().filter(|operation| operation.action != Action::Metadata);
    let shown = new.map(|operation| match operation.path.split_once("/.") {
        Some((directory, _)) => format!("{:?} {directory}/*", operation.action),
        None => operation.to_string(),
    });
    let shown = shown.collect();
    *from = log.len();
    shown
}

/// Scenario S-19: file, then directory, and every new ancestor, each before anything refers to it.
#[test]
fn s19_everything_is_durable_before_something_refers_to_it() {
    let root = fast_directory();
    let plan = FaultPlan::none();
    let storage = over(&root, &plan);
    let mut seen = 0;
    let object = |name: &str| {
        [
            "CreateFile job/chk-1/*".to_owned(),
            "WriteFile job/chk-1/*".to_owned(),
            "SyncFile job/chk-1/*".to_owned(),
            format!("Link job/chk-1/{name}"),
            "RemoveFile job/chk-1/*".to_owned(),
            "SyncDirectory job/chk-1".to_owned(),
        ]
    };
    let directories =
        ["CreateDirectory job", "SyncDirectory ", "CreateDirectory job/chk-1", "SyncDirectory job"].map(String::from);

    commit(&storage, "job/chk-1/a", b"bytes");
    assert_eq!(trace(&plan, &mut seen), [&directories[..], &object("a")].concat());

    let mut writer = storage.create(&path("job/chk-1/b")).unwrap();
    writer.write(b"bytes").unwrap();
    writer.finish().unwrap();
    assert_eq!(trace(&plan, &mut seen), object("b"));

    // Whoever created the directories may have died before syncing them.
    commit(&over(&root, &plan), "job/chk-1/c", b"bytes");
    assert_eq!(trace(&plan, &mut seen), [&directories[..], &object("c")].concat());
    assert_eq!(plan.violations(), [""; 0]);
}

#[test]
fn a_missing_sync_would_be_noticed() {
    use millpond::storage::FileSystem;
    let root = fast_directory();
    let plan = FaultPlan::none();
    let files = FaultFileSystem::new(Arc::new(SystemFileSystem::open(root.path()).unwrap()), plan.clone());
    files.create_directory("d").unwrap();
    let mut file = files.create_file("d/.tmp").unwrap();
    file.sync().unwrap();
    file.write(b"more").unwrap();
    files.link("d/.tmp", "d/a").unwrap();
    let violations = plan.violations();
    assert_eq!(violations.len(), 2, "{violations:?}");
    assert!(violations[0].contains("d/.tmp is created before the name of d was synced"), "{violations:?}");
    assert!(violations[1].contains("d/a gets its name before its content was synced"), "{violations:?}");
}

/// Scenario S-20: after a failed sync the file is given up, whatever a second sync would say; the object can be written
/// again, to another file.
#[test]
fn s20_a_file_that_failed_to_sync_is_never_used() {
    let root = fast_directory();
    let plan = FaultPlan::none().and_at_action(Action::SyncFile, 0, Fault::FailBefore);
    let storage = over(&root, &plan);
    let CommitOutcome::NotCommitted(error) = storage.commit(&path("a/b"), b"bytes") else {
        panic!("a commit whose file could not be synced was not refused");
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("written again"), "{error}");
    assert_eq!(listed(&storage), [""; 0]);
    commit(&storage, "a/b", b"bytes");

    let synced: Vec<String> =
        plan.log().into_iter().filter(|op| op.action == Action::SyncFile).map(|op| op.path).collect();
    assert_eq!(synced.len(), 2);
    assert_ne!(synced[0], synced[1], "the second attempt is another file");
    assert_eq!(plan.violations(), [""; 0]);
}

/// Scenario S-20 for directories: each directory sync of a commit fails once.
#[test]
fn s20_a_directory_that_failed_to_sync_is_created_anew_or_the_outcome_is_unknown() {
    for failing in 0..3 {
        let root = fast_directory();
        let plan = FaultPlan::none().and_at_action(Action::SyncDirectory, failing, Fault::FailBefore);
        let storage = over(&root, &plan);
        match storage.commit(&path("a/b/c"), b"bytes") {
            CommitOutcome::NotCommitted(error) if failing < 2 => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                let unsynced = ["a", "a/b"][usize::try_from(failing).unwrap()];
                assert!(!root.path().join(unsynced).exists(), "{unsynced} stayed, with a name that may be lost");
                commit(&storage, "a/b/c", b"bytes");
            }
            CommitOutcome::Unknown(error) if failing == 2 => {
                assert_eq!(error.kind(), ErrorKind::Uncertain);
                assert_eq!(*storage.open(&path("a/b/c")).unwrap(), *b"bytes");
            }
            other => panic!("directory sync {failing} failed, and the outcome is {other:?}"),
        }
        assert_eq!(plan.violations(), [""; 0]);
    }
}

/// A directory that was there before and cannot be synced cannot be trusted by this storage again, for as long as it is
/// not empty.
#[test]
fn s20_a_directory_that_cannot_be_created_anew_is_not_used() {
    let root = fast_directory();
    commit(&over(&root, &FaultPlan::none()), "a/b", b"old");
    let plan = FaultPlan::none().and_at_action(Action::SyncDirectory, 0, Fault::FailBefore);
    let storage = over(&root, &plan);
    for _ in 0..2 {
        let error = storage.create(&path("a/c")).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    storage.delete(&path("a/b")).unwrap();
    commit(&storage, "a/c", b"new");
}

#[test]
fn a_link_that_was_made_and_reported_as_failed_counts() {
    let root = fast_directory();
    let plan = FaultPlan::none().and_at_action(Action::Link, 0, Fault::FailAfter).with_error(io::ErrorKind::TimedOut);
    let storage = over(&root, &plan);
    commit(&storage, "a/b", b"bytes");
    assert!(plan.has_fired());
    assert_eq!(*storage.open(&path("a/b")).unwrap(), *b"bytes");
}

#[test]
fn a_link_of_which_nothing_is_known_is_unknown() {
    let root = fast_directory();
    let broken_link = || {
        let plan = FaultPlan::none().and_at_action(Action::Link, 0, Fault::FailBefore);
        over(&root, &plan.with_error(io::ErrorKind::TimedOut))
    };
    let outcome = broken_link().commit(&path("a/b"), b"bytes");
    assert!(matches!(outcome, CommitOutcome::Unknown(_)), "{outcome:?}");
    let error = broken_link().create(&path("a/c")).unwrap().finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Uncertain);
}
