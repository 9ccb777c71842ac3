//! Databases that must not reach RocksDB, and what is said of them.

use std::sync::Arc;

use millpond::format::manifest::{KeyedHandle, ObjectRef};
use millpond::format::native_rocksdb::FileName;
use millpond::snapshot::database::{ScratchDirectory, assemble};
use millpond::snapshot::{SnapshotReader, Trust};
use millpond::storage::{MemoryStorage, Storage};
use millpond::{Error, ErrorKind};

use super::job::{Job, Numbers, content, path_of, publish_handles, states};

/// A database, stored and published; `change` may lie in its handle.
fn stored(change: impl FnOnce(&Arc<dyn Storage>, &mut KeyedHandle)) -> Job {
    let mut job = Job::new(Arc::new(MemoryStorage::new(1 << 26)), 50, 1);
    job.change(&mut Numbers(50), 300, 60);
    let mut handles = job.store(1, false, &|| true).unwrap();
    change(&job.storage, &mut handles[0]);
    publish_handles(&*job.storage, 1, handles).unwrap();
    job
}

/// Replaces an object by another one with these bytes; the handle names that, with length and digest put right.
fn replace(storage: &Arc<dyn Storage>, object: &mut ObjectRef, bytes: &[u8]) {
    object.name = format!("{:032x}", bytes.len() + 7);
    object.length = bytes.len() as u64;
    object.digest = millpond::codec::digest(bytes);
    let mut writer = storage.create(&path_of(1, object)).unwrap();
    writer.write(bytes).unwrap();
    writer.finish().unwrap();
}

fn bytes_of(storage: &Arc<dyn Storage>, object: &ObjectRef) -> Vec<u8> {
    storage.open(&path_of(1, object)).unwrap().as_slice().to_vec()
}

fn at(handle: &mut KeyedHandle, wanted: impl Fn(FileName) -> bool) -> &mut ObjectRef {
    let position = handle.files.iter().position(|name| wanted(*name)).unwrap();
    &mut handle.objects[position]
}

/// What both ways to the files of a database say; neither leaves anything local.
fn refusal(job: &Job) -> Error {
    let by_walk = content(&job.open(1).unwrap()).unwrap_err();
    let snapshot = job.open(1).unwrap();
    let operator = snapshot.operator(super::job::UID).unwrap();
    let scratch = ScratchDirectory::create_in(job.local.path(), "hostile").unwrap();
    let directory = scratch.make("db").unwrap();
    let by_restore = assemble(
        &operator,
        millpond::key_group::MaxParallelism::new(16).unwrap().all_groups(),
        &directory,
        job.local.path(),
        2,
        &|| true,
    )
    .unwrap_err();
    assert_eq!(by_walk.kind(), by_restore.kind(), "{by_walk} / {by_restore}");
    by_restore
}

/// Whether RocksDB was asked: it leaves a log of its own where it was.
fn has_reached_rocksdb(error: &Error) -> bool {
    error.message().contains("RocksDB")
}

#[test]
fn s_38_a_snapshot_that_is_not_trusted_never_reaches_rocksdb() {
    let job = stored(|_, _| {});
    let snapshot = SnapshotReader::open(Arc::clone(&job.storage), Job::directory(1)).unwrap();
    let snapshot = snapshot.with_scratch(job.local.path());
    let error = content(&snapshot).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.message().contains("--trusted"), "{error}");
    let operator = snapshot.operator(super::job::UID).unwrap();
    let groups = operator.max_parallelism().all_groups();
    assert!(operator.sections(groups).next().unwrap().is_err());
    let directory = tempfile::tempdir().unwrap();
    let restored = assemble(&operator, groups, directory.path(), job.local.path(), 1, &|| true);
    assert_eq!(restored.unwrap_err().kind(), ErrorKind::Incompatible);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    assert_eq!(content(&snapshot.trust(Trust::Own)).unwrap(), job.model);
}

#[test]
fn files_that_are_not_those_of_the_manifest_are_refused_by_name() {
    type Case = (&'static str, ErrorKind, fn(&Arc<dyn Storage>, &mut KeyedHandle));
    let cases: [Case; 5] = [
        ("file CURRENT of the database", ErrorKind::NotFound, |storage, handle| {
            storage.delete(&path_of(1, at(handle, |name| name == FileName::Current))).unwrap();
        }),
        (".sst of the database", ErrorKind::NotFound, |storage, handle| {
            storage.delete(&path_of(1, at(handle, FileName::is_table))).unwrap();
        }),
        ("bytes long, the manifest says", ErrorKind::Corrupt, |storage, handle| {
            let object = at(handle, FileName::is_table);
            let bytes = bytes_of(storage, object);
            let (length, digest) = (object.length, object.digest);
            replace(storage, object, &bytes[..bytes.len() - 1]);
            (object.length, object.digest) = (length, digest);
        }),
        ("the digest is", ErrorKind::Corrupt, |storage, handle| {
            let object = at(handle, FileName::is_table);
            let mut bytes = bytes_of(storage, object);
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            let digest = object.digest;
            replace(storage, object, &bytes);
            object.digest = digest;
        }),
        ("the digest is", ErrorKind::Corrupt, |storage, handle| {
            let object = at(handle, |name| matches!(name, FileName::Manifest(_)));
            let mut bytes = bytes_of(storage, object);
            bytes[20] ^= 0x80;
            let digest = object.digest;
            replace(storage, object, &bytes);
            object.digest = digest;
        }),
    ];
    for (message, kind, change) in cases {
        let error = refusal(&stored(change));
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(message) && error.place().file.is_some(), "{error}");
        assert!(!has_reached_rocksdb(&error), "{error}");
    }
}

#[test]
fn current_that_says_anything_else_is_refused_whatever_its_digest() {
    let contents =
        [&b"MANIFEST-000001\n"[..], b"MANIFEST-000005", b"../../MANIFEST-000005\n", b"MANIFEST-000005\n\n", b"\0"];
    for bad in contents {
        let error = refusal(&stored(|storage, handle| {
            let object = at(handle, |name| name == FileName::Current);
            assert_ne!(bytes_of(storage, object), bad);
            replace(storage, object, bad);
        }));
        assert_eq!((error.kind(), error.place().field), (ErrorKind::Corrupt, Some("CURRENT")), "{error}");
        assert!(!has_reached_rocksdb(&error), "{error}");
    }
}

#[test]
fn tables_that_are_not_block_based_or_have_no_checksums_are_refused_whatever_their_digest() {
    let cases: [(usize, u8); 2] = [(1, 0x92), (53, 0)];
    for (from_end, byte) in cases {
        let error = refusal(&stored(|storage, handle| {
            let object = at(handle, FileName::is_table);
            let mut bytes = bytes_of(storage, object);
            let position = bytes.len() - from_end;
            bytes[position] = byte;
            replace(storage, object, &bytes);
        }));
        assert_eq!((error.kind(), error.place().field), (ErrorKind::Corrupt, Some("footer")), "{error}");
        assert!(error.message().contains(".sst of the database") && !has_reached_rocksdb(&error), "{error}");
    }
}

#[test]
fn a_database_of_another_operator_or_with_other_states_is_refused() {
    let job = stored(|_, _| {});
    let snapshot = job.open(1).unwrap();
    let handle = snapshot.manifest().operators[0].subtasks[0].keyed.clone().unwrap();
    let scratch = ScratchDirectory::create_in(job.local.path(), "other").unwrap();
    let directory = scratch.make("db").unwrap();
    millpond::snapshot::database::fetch(&snapshot, &handle, &directory, 1, &|| true).unwrap();
    let open = millpond::snapshot::database::Database::open;
    let mut identity = super::job::identity();
    open(&directory, &identity, &states()).unwrap();
    let error = open(&directory, &identity, &states()[..2]).unwrap_err();
    assert_eq!((error.kind(), error.place().field), (ErrorKind::Corrupt, Some("column family")), "{error}");
    identity.max_parallelism = millpond::key_group::MaxParallelism::new(17).unwrap();
    let error = open(&directory, &identity, &states()).unwrap_err();
    assert_eq!((error.kind(), error.place().field), (ErrorKind::Corrupt, Some("identity")), "{error}");
}

#[test]
fn every_damaged_byte_of_a_table_is_found() {
    let job = stored(|_, _| {});
    let snapshot = job.open(1).unwrap();
    let handle = snapshot.manifest().operators[0].subtasks[0].keyed.clone().unwrap();
    for (name, object) in handle.database_files() {
        let bytes = bytes_of(&job.storage, object);
        for at in (0..bytes.len()).step_by(bytes.len() / 7 + 1) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_ne!(millpond::codec::digest(&damaged), object.digest, "{name}");
        }
    }
    let tally = snapshot.verify(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert!(tally.is_intact() && tally.databases == 1 && tally.entries == job.model.len() as u64, "{tally:?}");
}

#[test]
fn verify_without_trust_checks_the_files_and_says_that_rows_were_not() {
    let job = stored(|_, _| {});
    let snapshot = SnapshotReader::open(Arc::clone(&job.storage), Job::directory(1)).unwrap();
    let tally = snapshot.verify(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!((tally.damaged, tally.unread, tally.databases, tally.incomplete_databases), (0, 1, 0, 1));
    let damaged = stored(|storage, handle| {
        let object = at(handle, FileName::is_table);
        let mut bytes = bytes_of(storage, object);
        bytes[9] ^= 1;
        let digest = object.digest;
        replace(storage, object, &bytes);
        object.digest = digest;
    });
    let snapshot = SnapshotReader::open(Arc::clone(&damaged.storage), Job::directory(1)).unwrap();
    let tally = snapshot.verify(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!((tally.damaged, tally.incomplete_databases), (1, 1), "{tally:?}");
}
