//! When objects become visible, and that they stay what they are.

use super::{ErrorKind, Storage, assert_absent, assert_holds, assert_not_committed, commit, listed, path, write};

pub(super) fn nothing_is_visible_before_finish(storage: &dyn Storage) {
    let mut writer = storage.create(&path("a/b")).unwrap();
    assert_absent(storage, "a/b");
    writer.write(&[1; 300_000]).unwrap();
    assert_absent(storage, "a/b");
    assert_eq!(listed(storage, None), []);
    assert_eq!(listed(storage, Some("a")), []);
    writer.finish().unwrap();
    assert_holds(storage, "a/b", &[1; 300_000]);
}

pub(super) fn abandoned_writers_leave_nothing_visible(storage: &dyn Storage) {
    for bytes in [&[][..], &[1; 100_000]] {
        let mut writer = storage.create(&path("a/b")).unwrap();
        writer.write(bytes).unwrap();
        drop(writer);
        assert_absent(storage, "a/b");
        assert_eq!(listed(storage, None), []);
    }
    write(storage, "a/b", &[b"later"]);
    assert_holds(storage, "a/b", b"later");
}

pub(super) fn nothing_is_overwritten(storage: &dyn Storage) {
    write(storage, "a/b", &[b"first"]);
    assert_eq!(storage.create(&path("a/b")).err().unwrap().kind(), ErrorKind::InvalidInput);
    assert_not_committed(storage.commit(&path("a/b"), b"second"), ErrorKind::InvalidInput);
    // The same bytes are no excuse: the caller has to learn that somebody was there before.
    assert_not_committed(storage.commit(&path("a/b"), b"first"), ErrorKind::InvalidInput);
    assert_holds(storage, "a/b", b"first");
}

pub(super) fn the_first_to_finish_wins(storage: &dyn Storage) {
    let mut first = storage.create(&path("a/b")).unwrap();
    let mut second = storage.create(&path("a/b")).unwrap();
    first.write(b"first").unwrap();
    second.write(b"second").unwrap();
    second.finish().unwrap();
    let error = first.finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("a/b"), "{error}");
    assert_holds(storage, "a/b", b"second");
    assert_eq!(listed(storage, None), [("a/b".to_owned(), 6)]);
}

pub(super) fn a_deleted_name_can_be_used_again(storage: &dyn Storage) {
    commit(storage, "a/b/c", b"first");
    storage.delete(&path("a/b/c")).unwrap();
    write(storage, "a/b/c", &[b"second"]);
    assert_holds(storage, "a/b/c", b"second");
    // Nothing is left of what was a prefix, so it may become an object.
    storage.delete(&path("a/b/c")).unwrap();
    commit(storage, "a", b"third");
    assert_holds(storage, "a", b"third");
}
