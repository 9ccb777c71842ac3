//! Tests of what is peculiar to local storage; the contract is tested by `storage::conformance`.

#![expect(clippy::disallowed_methods, reason = "tests put foreign files next to objects")]

use std::os::unix::fs::symlink;
use std::path::Path;

use super::super::{CommitOutcome, LocalStorage, ObjectPath, Storage};
use crate::ErrorKind;

fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).unwrap()
}

fn commit(storage: &LocalStorage, name: &str, bytes: &[u8]) {
    let outcome = storage.commit(&path(name), bytes);
    assert!(matches!(outcome, CommitOutcome::Committed), "{outcome:?}");
}

fn listed(storage: &LocalStorage) -> Vec<String> {
    storage.list(None).unwrap().into_iter().map(|info| info.path.to_string()).collect()
}

fn names_in(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn an_object_is_a_file_and_nothing_is_left_beside_it() {
    let root = tempfile::tempdir().unwrap();
    let storage = LocalStorage::create(root.path().join("base")).unwrap();
    let mut writer = storage.create(&path("a/b/c")).unwrap();
    writer.write(b"one ").unwrap();
    writer.write(b"two").unwrap();
    assert_eq!(listed(&storage), [""; 0]);
    writer.finish().unwrap();
    assert_eq!(std::fs::read(root.path().join("base/a/b/c")).unwrap(), b"one two");
    assert_eq!(names_in(&root.path().join("base/a/b")), ["c"]);
}

#[test]
fn an_abandoned_writer_removes_its_temporary_file() {
    let root = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open(root.path()).unwrap();
    let mut writer = storage.create(&path("a/b")).unwrap();
    writer.write(&[1; 1000]).unwrap();
    assert_eq!(names_in(&root.path().join("a")).len(), 1);
    drop(writer);
    assert_eq!(names_in(&root.path().join("a")), [""; 0]);
}

#[test]
fn deletion_touches_one_file_and_the_directories_that_are_empty_then() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("precious"), b"1").unwrap();
    let root = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open(root.path()).unwrap();
    commit(&storage, "job/chk-1/a", b"1");
    commit(&storage, "job/chk-2/a", b"2");
    std::fs::write(root.path().join("job/chk-2/notes to self"), b"mine").unwrap();
    symlink(outside.path(), root.path().join("job/link")).unwrap();
    symlink(outside.path().join("precious"), root.path().join("job/chk-2/object")).unwrap();

    assert_eq!(listed(&storage), ["job/chk-1/a", "job/chk-2/a"]);
    storage.delete(&path("job/chk-1/a")).unwrap();
    assert!(!root.path().join("job/chk-1").exists());
    storage.delete(&path("job/chk-2/a")).unwrap();
    assert!(root.path().join("job/chk-2/notes to self").exists());
    for name in ["job/chk-2/object", "job/link"] {
        let error = storage.delete(&path(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    // Through the link, and the directory itself, which is no object.
    assert!(storage.delete(&path("job/link/precious")).is_err());
    storage.delete(&path("job/chk-2")).unwrap();
    assert_eq!(std::fs::read(outside.path().join("precious")).unwrap(), b"1");
    assert!(root.path().join("job/chk-2").exists());
}
