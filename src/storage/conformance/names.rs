//! Names.

use super::{ErrorKind, Storage, assert_absent, assert_holds, assert_not_committed, commit, path};
use crate::storage::path::{MAX_PATH_BYTES, MAX_SEGMENT_BYTES};

/// Every name that [`ObjectPath`](crate::storage::ObjectPath) lets through is usable.
pub(super) fn extreme_names_work(storage: &dyn Storage) {
    let segment = "s".repeat(MAX_SEGMENT_BYTES);
    let longest = [segment.as_str(); 4].join("/");
    assert_eq!(longest.len() + 1, MAX_PATH_BYTES);
    let deepest = ["d"; 512].join("/");
    for name in [segment.as_str(), longest[1..].trim_start_matches('/'), &deepest, "_metadata", "+=", "a_-.b", "0"] {
        commit(storage, name, name.as_bytes());
        assert_holds(storage, name, name.as_bytes());
        storage.delete(&path(name)).unwrap();
        assert_absent(storage, name);
    }
}

pub(super) fn a_name_is_an_object_or_a_prefix(storage: &dyn Storage) {
    commit(storage, "a/b", b"object");
    for name in ["a/b/c", "a/b/c/d", "a"] {
        let error = storage.create(&path(name)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
        assert_not_committed(storage.commit(&path(name), b"x"), ErrorKind::InvalidInput);
        assert_absent(storage, name);
    }
    assert_holds(storage, "a/b", b"object");
}
