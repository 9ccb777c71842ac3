//! Deletion.

use super::{Storage, assert_absent, assert_holds, commit, listed, path};

pub(super) fn deletion_is_idempotent_and_exact(storage: &dyn Storage) {
    for name in ["a/b", "a/bc", "a/c/d", "b"] {
        commit(storage, name, name.as_bytes());
    }
    storage.delete(&path("nothing/here")).unwrap();
    storage.delete(&path("a/b/below")).unwrap();
    for _ in 0..2 {
        storage.delete(&path("a/b")).unwrap();
        assert_absent(storage, "a/b");
    }
    for name in ["a/bc", "a/c/d", "b"] {
        assert_holds(storage, name, name.as_bytes());
    }
}

pub(super) fn deleting_a_prefix_deletes_nothing(storage: &dyn Storage) {
    commit(storage, "a/b/c", b"x");
    for prefix in ["a", "a/b"] {
        storage.delete(&path(prefix)).unwrap();
    }
    assert_holds(storage, "a/b/c", b"x");
}

/// The last object of a prefix goes while another one is being written below it.
pub(super) fn deletion_does_not_disturb_writers(storage: &dyn Storage) {
    commit(storage, "a/b/old", b"old");
    let mut writer = storage.create(&path("a/b/new")).unwrap();
    writer.write(b"ne").unwrap();
    storage.delete(&path("a/b/old")).unwrap();
    storage.delete(&path("a/b/new")).unwrap();
    writer.write(b"w").unwrap();
    writer.finish().unwrap();
    assert_holds(storage, "a/b/new", b"new");
    assert_eq!(listed(storage, None).len(), 1);
}
