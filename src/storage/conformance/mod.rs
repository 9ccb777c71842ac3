//! What every [`Storage`] has to do, as functions that fail by panicking.
//!
//! [`run`] gives each case of [`CASES`] an empty storage of its own. What cannot be seen through the trait (survival of a
//! crash, faults below the storage) is tested per implementation.
//!
//! ```
//! use millpond::storage::{MemoryStorage, conformance};
//!
//! conformance::run(|_case| MemoryStorage::new(64 << 20));
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use super::{CommitOutcome, ObjectPath, Storage};
use crate::error::ErrorKind;

mod deletion;
mod leftovers;
mod listing;
mod names;
mod objects;
mod publishing;
mod races;

/// A case: it takes an empty storage and panics if that does not do what it has to.
pub type Case = fn(&dyn Storage);

/// Every case, with its name.
pub const CASES: &[(&str, Case)] = &[
    ("what_is_written_is_read", objects::what_is_written_is_read),
    ("empty_objects_exist", objects::empty_objects_exist),
    ("large_objects_come_back_whole", objects::large_objects_come_back_whole),
    ("missing_objects_are_not_found", objects::missing_objects_are_not_found),
    ("opened_bytes_stay_readable", objects::opened_bytes_stay_readable),
    ("nothing_is_visible_before_finish", publishing::nothing_is_visible_before_finish),
    ("abandoned_writers_leave_nothing_visible", publishing::abandoned_writers_leave_nothing_visible),
    ("nothing_is_overwritten", publishing::nothing_is_overwritten),
    ("the_first_to_finish_wins", publishing::the_first_to_finish_wins),
    ("a_deleted_name_can_be_used_again", publishing::a_deleted_name_can_be_used_again),
    ("lists_are_complete_and_in_path_order", listing::lists_are_complete_and_in_path_order),
    ("prefixes_are_whole_segments", listing::prefixes_are_whole_segments),
    ("an_object_is_not_below_itself", listing::an_object_is_not_below_itself),
    ("deletion_is_idempotent_and_exact", deletion::deletion_is_idempotent_and_exact),
    ("deleting_a_prefix_deletes_nothing", deletion::deleting_a_prefix_deletes_nothing),
    ("deletion_does_not_disturb_writers", deletion::deletion_does_not_disturb_writers),
    ("what_is_there_can_be_persisted", leftovers::what_is_there_can_be_persisted),
    ("ages_are_those_of_objects", leftovers::ages_are_those_of_objects),
    ("leftovers_are_no_objects_and_can_be_removed", leftovers::leftovers_are_no_objects_and_can_be_removed),
    ("extreme_names_work", names::extreme_names_work),
    ("a_name_is_an_object_or_a_prefix", names::a_name_is_an_object_or_a_prefix),
    ("one_of_sixteen_commits_wins", races::one_of_sixteen_commits_wins),
    ("one_of_sixteen_writers_wins", races::one_of_sixteen_writers_wins),
    ("writers_and_deletions_in_one_place", races::writers_and_deletions_in_one_place),
];

/// Runs every case on a storage of its own, which `make` creates empty; it is given the name of the case.
pub fn run<S: Storage>(make: impl Fn(&'static str) -> S) {
    for (name, case) in CASES {
        let storage = make(name);
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&storage)));
        if let Err(reason) = passed {
            let text = reason.downcast_ref::<String>().map(String::as_str).or(reason.downcast_ref().copied());
            panic!("{name}, on {storage:?}: {}", text.unwrap_or("panicked"));
        }
    }
}

fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).unwrap()
}

fn commit(storage: &dyn Storage, name: &str, bytes: &[u8]) {
    let outcome = storage.commit(&path(name), bytes);
    assert!(matches!(outcome, CommitOutcome::Committed), "commit of {name}: {outcome:?}");
}

fn write(storage: &dyn Storage, name: &str, pieces: &[&[u8]]) {
    let mut writer = storage.create(&path(name)).unwrap();
    for piece in pieces {
        writer.write(piece).unwrap();
    }
    writer.finish().unwrap();
}

fn listed(storage: &dyn Storage, prefix: Option<&str>) -> Vec<(String, u64)> {
    let prefix = prefix.map(path);
    let objects = storage.list(prefix.as_ref()).unwrap();
    objects.into_iter().map(|info| (info.path.to_string(), info.length)).collect()
}

#[track_caller]
fn assert_absent(storage: &dyn Storage, name: &str) {
    assert_eq!(storage.length(&path(name)).unwrap(), None, "length of {name}");
    assert_eq!(storage.open(&path(name)).unwrap_err().kind(), ErrorKind::NotFound, "open of {name}");
    assert!(!listed(storage, None).iter().any(|(listed, _)| listed == name), "{name} is listed");
}

#[track_caller]
fn assert_holds(storage: &dyn Storage, name: &str, bytes: &[u8]) {
    let blob = storage.open(&path(name)).unwrap();
    assert!(blob.as_slice() == bytes, "{name} holds {} bytes, or others than the {} expected", blob.len(), bytes.len());
    let length = u64::try_from(bytes.len()).unwrap();
    assert_eq!(storage.length(&path(name)).unwrap(), Some(length), "length of {name}");
    assert!(listed(storage, None).contains(&(name.to_owned(), length)), "{name} is not listed with its length");
}

#[track_caller]
fn assert_not_committed(outcome: CommitOutcome, kind: ErrorKind) {
    match outcome {
        CommitOutcome::NotCommitted(error) => assert_eq!(error.kind(), kind, "{error:?}"),
        other => panic!("expected that nothing is committed, but the outcome is {other:?}"),
    }
}
