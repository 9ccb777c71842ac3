//! Durability on request, ages, and what unfinished writers leave behind.

use super::{ErrorKind, Storage, assert_holds, commit, listed, path};
use crate::storage::Leftover;

pub(super) fn what_is_there_can_be_persisted(storage: &dyn Storage) {
    commit(storage, "a", b"x");
    commit(storage, "b/c", b"yz");
    for name in ["a", "b/c"] {
        storage.persist(&path(name)).unwrap();
    }
    assert_holds(storage, "a", b"x");
    assert_holds(storage, "b/c", b"yz");
    for missing in ["b", "b/d", "c/d"] {
        assert_eq!(storage.persist(&path(missing)).unwrap_err().kind(), ErrorKind::NotFound, "{missing}");
    }
    assert_eq!(listed(storage, None).len(), 2);
    assert_eq!(storage.leftovers().unwrap(), []);
}

pub(super) fn ages_are_those_of_objects(storage: &dyn Storage) {
    commit(storage, "a/b", b"x");
    commit(storage, "c", b"y");
    let (first, second) = (storage.created_ms(&path("a/b")).unwrap(), storage.created_ms(&path("c")).unwrap());
    assert_eq!(first.is_some(), second.is_some(), "a storage tells the age of all objects or of none");
    assert!(first <= second, "{first:?} is the age of the older one, {second:?} of the newer");
    assert_eq!(storage.created_ms(&path("d")).unwrap(), None);
}

/// A storage may have none. What it has is no object, and goes without taking one along.
pub(super) fn leftovers_are_no_objects_and_can_be_removed(storage: &dyn Storage) {
    commit(storage, "a/b", b"x");
    let mut writer = storage.create(&path("a/c")).unwrap();
    writer.write(b"yz").unwrap();
    let found = storage.leftovers().unwrap();
    assert!(found.len() <= 1, "{found:?}");
    for leftover in &found {
        assert!(leftover.length <= 2, "{leftover:?}");
        storage.remove_leftover(leftover).unwrap();
        storage.remove_leftover(leftover).unwrap();
    }
    assert_eq!(storage.leftovers().unwrap(), []);
    if !found.is_empty() {
        writer.finish().unwrap_err();
        assert_eq!(listed(storage, None).len(), 1);
    }
    for name in ["a/b", "a", "../a", ""] {
        let object = Leftover { name: name.to_owned(), length: 1, written_ms: None };
        assert_eq!(storage.remove_leftover(&object).unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
    }
    assert_holds(storage, "a/b", b"x");
}
