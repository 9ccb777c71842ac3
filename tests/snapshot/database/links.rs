//! Tables of restored databases that are further names of stored objects.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond::random::SystemRandom;
use millpond::snapshot::database::{ScratchDirectory, assemble, fetch};
use millpond::storage::{LocalStorage, Storage, SystemFileSystem};
use millpond::{Error, ErrorKind};

use super::job::{Job, Numbers, UID, collect, local_directory, path_of};

/// A job that stores below `root`, with one checkpoint.
fn job_in(root: &Path, seed: u64) -> (Job, Numbers) {
    let mut numbers = Numbers(seed);
    let mut job = Job::new(Arc::new(LocalStorage::create(root).unwrap()), seed, 1);
    job.change(&mut numbers, 2_000, 500);
    job.checkpoint(1).unwrap();
    (job, numbers)
}

/// Fetches the first checkpoint through `storage`, and gives for each file its name and the number of its names.
fn fetched(job: &mut Job, storage: Arc<dyn Storage>) -> Vec<(String, u64)> {
    job.storage = storage;
    let snapshot = job.open(1).unwrap();
    let handle = snapshot.manifest().operators[0].subtasks[0].keyed.clone().unwrap();
    let scratch = ScratchDirectory::create_in(job.local.path(), "fetched").unwrap();
    let directory = scratch.make("files").unwrap();
    fetch(&snapshot, &handle, &directory, 2, &|| true).unwrap();
    let entries = directory.read_dir().unwrap().map(|entry| entry.unwrap());
    entries.map(|it| (it.file_name().into_string().unwrap(), it.metadata().unwrap().nlink())).collect()
}

/// Every stored file, with the number of its names.
fn names_of_objects(root: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in root.read_dir().unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(names_of_objects(&entry.path()));
        } else {
            found.push((entry.path(), entry.metadata().unwrap().nlink()));
        }
    }
    found
}

#[test]
fn tables_are_linked_and_everything_else_is_copied() {
    let root = local_directory();
    let (mut job, _) = job_in(root.path(), 70);
    let storage = Arc::clone(&job.storage);
    let files = fetched(&mut job, Arc::clone(&storage));
    assert!(files.iter().filter(|(name, _)| name.ends_with(".sst")).count() > 1, "{files:?}");
    for (name, names) in files {
        assert_eq!(names, if name.ends_with(".sst") { 2 } else { 1 }, "{name}");
    }
    let files = SystemFileSystem::open(root.path()).unwrap().without_linking();
    let unlinked = Arc::new(LocalStorage::over(Arc::new(files), Arc::new(SystemRandom)));
    assert!(fetched(&mut job, unlinked).iter().all(|(_, names)| *names == 1));
    assert!(names_of_objects(root.path()).iter().all(|(_, names)| *names == 1));
}

#[test]
fn between_two_file_systems_everything_is_copied() {
    let root = tempfile::tempdir().unwrap();
    let (mut job, _) = job_in(root.path(), 71);
    if root.path().metadata().unwrap().dev() == job.local.path().metadata().unwrap().dev() {
        println!("skipped: there is one file system for temporary files only");
        return;
    }
    let storage = Arc::clone(&job.storage);
    assert!(fetched(&mut job, storage).iter().all(|(_, names)| *names == 1));
    let model = job.model.clone();
    job.restore(1, 2, model).unwrap();
    job.checkpoint(2).unwrap();
    assert_eq!(job.content(2).unwrap(), job.model);
}

/// Whatever a database does with its files, and however its directory goes, what is stored stays, byte for byte.
#[test]
fn what_becomes_of_a_restored_database_does_not_touch_what_is_stored() {
    let root = local_directory();
    let (mut job, mut numbers) = job_in(root.path(), 72);
    let model = job.model.clone();
    for (id, parallelism) in (2_u64..).zip([1, 2, 3, 1]) {
        job.restore(1, parallelism, model.clone()).unwrap();
        let is_linked = |(_, names): &(PathBuf, u64)| *names > 1;
        assert!(names_of_objects(root.path()).iter().any(is_linked), "nothing is linked at parallelism {parallelism}");
        job.change(&mut numbers, 2_000, 500);
        job.parts.iter().for_each(|part| part.compact());
        job.checkpoint(id).unwrap();
        job.change(&mut numbers, 200, 500);
        job.parts.iter().for_each(|part| part.compact());
        job.parts.clear();
        assert!(!names_of_objects(root.path()).iter().any(is_linked), "the directory is gone");
        for stored in [1, id] {
            let tally = job.open(stored).unwrap().verify(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
            assert!(tally.is_intact(), "checkpoint {stored}: {tally:?}");
        }
        assert_eq!(job.content(1).unwrap(), model);
    }
}

#[test]
fn a_restored_database_outlives_the_objects_it_came_from() {
    let root = local_directory();
    let (mut job, mut numbers) = job_in(root.path(), 73);
    let model = job.model.clone();
    job.restore(1, 1, model).unwrap();
    collect(&*job.storage, &Default::default());
    assert_eq!(names_of_objects(root.path()).len(), 0);
    job.change(&mut numbers, 100, 500);
    let handles = job.store(2, false, &|| true).unwrap();
    job.publish(2, handles).unwrap();
    assert_eq!(job.content(2).unwrap(), job.model);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "damages an object behind the storage's back")]
fn a_damaged_table_is_refused_before_rocksdb_sees_the_link() {
    let root = local_directory();
    let (mut job, _) = job_in(root.path(), 74);
    job.parts.clear();
    let manifest = job.open(1).unwrap().manifest().clone();
    let handle = manifest.operators[0].subtasks[0].keyed.clone().unwrap();
    let (name, object) = handle.database_files().find(|(name, _)| name.is_table()).unwrap();
    let path = root.path().join(path_of(1, object).as_str());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let snapshot = job.open(1).unwrap();
    let operator = snapshot.operator(UID).unwrap();
    let directory = local_directory();
    let groups = operator.max_parallelism().all_groups();
    let restored = assemble(&operator, groups, directory.path(), job.local.path(), 2, &|| true);
    let error: Error = restored.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains(&name.to_string()) && error.message().contains("the digest is"), "{error}");
    assert!(!error.message().contains("RocksDB") && !directory.path().join("LOG").exists(), "{error}");
}
