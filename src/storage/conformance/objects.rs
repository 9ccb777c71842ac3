//! Content of objects.

use super::{ErrorKind, Storage, assert_absent, assert_holds, commit, path, write};

pub(super) fn what_is_written_is_read(storage: &dyn Storage) {
    write(storage, "a/written", &[b"one", b"", b" and ", b"two"]);
    assert_holds(storage, "a/written", b"one and two");
    commit(storage, "a/committed", b"at once");
    assert_holds(storage, "a/committed", b"at once");
    assert_holds(storage, "a/written", b"one and two");
}

pub(super) fn empty_objects_exist(storage: &dyn Storage) {
    write(storage, "a/written", &[]);
    commit(storage, "committed", b"");
    assert_holds(storage, "a/written", b"");
    assert_holds(storage, "committed", b"");
}

/// Sizes around the borders where an implementation may change its ways, and several MiB in uneven pieces.
pub(super) fn large_objects_come_back_whole(storage: &dyn Storage) {
    let bytes: Vec<u8> = (0_u32..5 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for length in [1, 4095, 4096, 4097, 65_535, 65_536, 65_537] {
        let name = format!("sizes/{length}");
        commit(storage, &name, &bytes[..length]);
        assert_holds(storage, &name, &bytes[..length]);
    }
    let pieces: Vec<&[u8]> = bytes.chunks(99_991).collect();
    write(storage, "large", &pieces);
    assert_holds(storage, "large", &bytes);
    let blob = storage.open(&path("large")).unwrap();
    let slice = blob.slice(1_000_001..1_000_101).unwrap();
    drop(blob);
    assert_eq!(slice.as_slice(), &bytes[1_000_001..1_000_101]);
}

pub(super) fn missing_objects_are_not_found(storage: &dyn Storage) {
    for name in ["a", "a/b", "a/b/c"] {
        assert_absent(storage, name);
    }
    let error = storage.open(&path("a/b")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("a/b"), "{error}");
    commit(storage, "a/b", b"x");
    for name in ["a", "a/b/c", "a/bb", "a/B"] {
        assert_absent(storage, name);
    }
}

pub(super) fn opened_bytes_stay_readable(storage: &dyn Storage) {
    let bytes = vec![42; 200_000];
    commit(storage, "a", &bytes);
    let blob = storage.open(&path("a")).unwrap();
    storage.delete(&path("a")).unwrap();
    commit(storage, "a", b"another object of the same name");
    assert!(blob.as_slice() == bytes);
}
