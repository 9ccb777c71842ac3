//! What is peculiar to storage in a directory: the files it leaves, foreign files, and what the user is told.

#![expect(clippy::disallowed_methods, reason = "tests look at files behind the storage's back")]

use std::os::unix::fs::{PermissionsExt, symlink};

use millpond::ErrorKind;
use millpond::storage::{Blob, CommitOutcome, LocalStorage, Storage};

use super::{commit, fast_directory, files_below, listed, path};

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
    assert_eq!(files_below(root.path()), ["base/a/b/c"]);
}

#[test]
fn an_abandoned_writer_removes_its_temporary_file() {
    let root = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open(root.path()).unwrap();
    let mut writer = storage.create(&path("a/b")).unwrap();
    writer.write(&[1; 1000]).unwrap();
    let files = files_below(root.path());
    assert!(files.len() == 1 && files[0].starts_with("a/.") && files[0].ends_with(".tmp"), "{files:?}");
    drop(writer);
    assert_eq!(files_below(root.path()), [""; 0]);
}

#[test]
fn what_a_dead_process_left_behind_is_not_seen_and_not_in_the_way() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("a")).unwrap();
    std::fs::write(root.path().join("a/.0123456789abcdef0123456789abcdef.tmp"), b"half an obj").unwrap();
    let storage = LocalStorage::open(root.path()).unwrap();
    assert_eq!(listed(&storage), [""; 0]);
    commit(&storage, "a/b", b"object");
    assert_eq!(listed(&storage), ["a/b"]);
    storage.delete(&path("a/b")).unwrap();
    assert_eq!(files_below(root.path()), ["a/.0123456789abcdef0123456789abcdef.tmp"]);
}

/// Scenario S-13: the scope of a deletion is one object. Files of the user's beside the objects, links and what they
/// point to stay; directories that a deletion made empty go.
#[test]
fn s13_deletion_touches_one_object_and_nothing_of_the_users() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("precious"), b"1").unwrap();
    let root = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open(root.path()).unwrap();
    for name in ["job/chk-1/a", "job/chk-2/a"] {
        commit(&storage, name, name.as_bytes());
    }
    std::fs::write(root.path().join("job/chk-2/notes to self"), b"mine").unwrap();
    symlink(outside.path(), root.path().join("job/link")).unwrap();
    symlink(outside.path().join("precious"), root.path().join("job/chk-2/object")).unwrap();

    assert_eq!(listed(&storage), ["job/chk-1/a", "job/chk-2/a"]);
    storage.delete(&path("job/chk-1/a")).unwrap();
    assert!(!root.path().join("job/chk-1").exists(), "a directory that a deletion made empty is removed");
    storage.delete(&path("job/chk-2/a")).unwrap();
    for name in ["job/chk-2/object", "job/link", "job/link/precious"] {
        let error = storage.delete(&path(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    storage.delete(&path("job/chk-2")).unwrap();
    storage.delete(&path("job")).unwrap();

    assert_eq!(files_below(root.path()), ["job/chk-2/notes to self", "job/chk-2/object", "job/link"]);
    assert_eq!(files_below(outside.path()), ["precious"]);
    storage.delete(&path("job/chk-2")).unwrap();
}

#[test]
fn links_and_pipes_in_place_of_objects_are_refused_with_their_name() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), b"secret").unwrap();
    let storage = LocalStorage::open(root.path()).unwrap();
    symlink(outside.path().join("secret"), root.path().join("link")).unwrap();
    symlink(outside.path(), root.path().join("directory")).unwrap();
    for name in ["link", "directory/secret"] {
        let errors = [storage.open(&path(name)).unwrap_err(), storage.length(&path(name)).unwrap_err()];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
    }
    for name in ["link", "directory", "directory/new"] {
        let outcome = storage.commit(&path(name), b"x");
        assert!(matches!(outcome, CommitOutcome::NotCommitted(_)), "{outcome:?}");
    }
    assert_eq!(listed(&storage), [""; 0]);
    assert_eq!(files_below(outside.path()), ["secret"]);
    assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"secret");
}

/// The user is told which directory, and what to do. Run as root, permission bits stop nobody, so `/sys/kernel`, where not even
/// root may create files, stands in.
#[test]
fn an_unwritable_directory_is_named_with_advice() {
    let root = tempfile::tempdir().unwrap();
    let own = root.path().join("locked");
    std::fs::create_dir(&own).unwrap();
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o500)).unwrap();
    let is_root = std::fs::File::create(own.join("probe")).is_ok();
    let locked = if is_root { "/sys/kernel".into() } else { own };
    let Ok(storage) = LocalStorage::open(&locked) else {
        return assert!(!locked.exists(), "{} cannot be opened", locked.display());
    };
    for name in ["object", "new-directory/object"] {
        let error = storage.create(&path(name)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let text = error.to_string();
        assert!(text.contains(locked.to_str().unwrap()) && text.contains("choose another directory"), "{text}");
    }
}

#[test]
fn a_root_that_is_missing_or_a_file_is_named() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("missing");
    let error = LocalStorage::open(&missing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
    std::fs::write(&missing, b"").unwrap();
    for opened in [LocalStorage::open(&missing), LocalStorage::create(&missing)] {
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("not a directory"), "{error}");
    }
}

/// Another process may remove a directory that is empty at the moment, at any moment.
#[test]
fn a_directory_that_vanishes_is_created_again() {
    let root = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open(root.path()).unwrap();
    commit(&storage, "a/b/c", b"1");
    std::fs::remove_file(root.path().join("a/b/c")).unwrap();
    std::fs::remove_dir(root.path().join("a/b")).unwrap();
    std::fs::remove_dir(root.path().join("a")).unwrap();
    commit(&storage, "a/b/c", b"2");
    assert_eq!(*storage.open(&path("a/b/c")).unwrap(), *b"2");
}

/// Somebody swaps a directory for a link to another one while objects below it are written, read and deleted.
#[test]
fn a_directory_that_turns_into_a_link_leads_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("object"), b"secret").unwrap();
    let root = fast_directory();
    let (real, aside) = (root.path().join("d"), root.path().join("aside"));
    let storage = LocalStorage::open(root.path()).unwrap();
    std::thread::scope(|scope| {
        let objects = scope.spawn(|| (0..500).find_map(|round| use_objects_in_d(&storage, round)));
        while !objects.is_finished() {
            let _ = std::fs::rename(&real, &aside);
            let _ = symlink(outside.path(), &real);
            let _ = std::fs::remove_file(&real);
            let _ = std::fs::rename(&aside, &real);
        }
        assert_eq!(objects.join().unwrap(), None, "bytes read from outside the root");
    });
    assert_eq!(files_below(outside.path()), ["object"]);
    assert_eq!(std::fs::read(outside.path().join("object")).unwrap(), b"secret");
}

/// Whatever these calls return, they may only be about the directory; returns bytes that are not from there.
fn use_objects_in_d(storage: &LocalStorage, round: u32) -> Option<Blob> {
    let name = path(&format!("d/{round}"));
    let _ = storage.commit(&name, b"inside");
    let read = [storage.open(&name), storage.open(&path("d/object"))];
    let _ = storage.delete(&path("d/object"));
    let _ = storage.delete(&name);
    read.into_iter().flatten().find(|blob| **blob != *b"inside")
}
