//! Which files are stored, how often, and what is left behind when that fails.

use std::cell::Cell;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use millpond::ErrorKind;
use millpond::codec::digest;
use millpond::format::manifest::{ObjectRef, ObjectScope};
use millpond::format::native_rocksdb::FileName;
use millpond::storage::fault::{Fault, FaultPlan, FaultStorage};
use millpond::storage::{MemoryStorage, Storage};

use super::job::{Job, Numbers, collect, content, path_of};

fn job(seed: u64) -> (Job, Numbers) {
    let mut numbers = Numbers(seed);
    let mut job = Job::new(Arc::new(MemoryStorage::new(1 << 28)), seed, 1);
    job.change(&mut numbers, 2_000, 500);
    (job, numbers)
}

#[test]
fn an_increment_stores_new_tables_only() {
    let (mut job, mut numbers) = job(10);
    let first = job.checkpoint(1).unwrap();
    let before: u64 = job.storage.list(None).unwrap().iter().map(|object| object.length).sum();
    job.change(&mut numbers, 20, 500);
    let second = job.checkpoint(2).unwrap();
    let known: HashSet<_> = first.objects().collect();
    let new: u64 = second.objects().filter(|object| !known.contains(object)).map(|object| object.length).sum();
    let manifest = job.storage.length(&Job::directory(2).join("_metadata").unwrap()).unwrap().unwrap();
    let after: u64 = job.storage.list(None).unwrap().iter().map(|object| object.length).sum();
    assert_eq!(after - before, new + manifest);
    assert!(new < before / 4, "{new} new bytes after a change of 20 rows, {before} before");
    for object in second.objects() {
        assert!(millpond::storage::layout::is_object_name(&object.name), "{}", object.name);
    }
}

#[test]
fn what_an_object_is_said_to_be_is_what_it_is_and_what_the_local_file_was() {
    let (mut job, _) = job(11);
    for threads in [1, 4] {
        job.threads = threads;
        let id = threads as u64;
        let directory = job.parts[0].checkpoint();
        let handle =
            millpond::snapshot::database::store(&directory, job.parts[0].range, &job.target(id), None, &|| true)
                .unwrap();
        assert_eq!(handle.files[0], FileName::Current);
        for (name, object) in handle.database_files() {
            let stored = job.storage.open(&path_of(id, object)).unwrap();
            let local = std::fs::File::open(directory.join(name.to_string())).unwrap();
            let local = std::io::read_to_string(local).map(String::into_bytes).unwrap_or_else(|_| {
                let mut bytes = Vec::new();
                let mut file = std::fs::File::open(directory.join(name.to_string())).unwrap();
                std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
                bytes
            });
            assert_eq!(stored.as_slice(), local);
            assert_eq!((object.length, object.digest), (local.len() as u64, digest(&local)), "{name}");
            assert_eq!(object.scope, ObjectScope::Exclusive);
        }
    }
}

#[test]
fn s_05_one_local_name_with_two_contents_is_two_objects() {
    let (mut job, mut numbers) = job(12);
    job.checkpoint(1).unwrap();
    let model = job.model.clone();
    // Two lives after the same checkpoint create the same local names with other rows in them.
    let mut lives = Vec::new();
    for id in [2, 3] {
        job.restore(1, 1, model.clone()).unwrap();
        job.change(&mut numbers, 300, 500);
        let manifest = job.checkpoint(id).unwrap();
        lives.push((id, manifest, job.model.clone()));
    }
    let names = |manifest: &millpond::format::manifest::Manifest| {
        let handle = manifest.operators[0].subtasks[0].keyed.clone().unwrap();
        handle.database_files().map(|(name, object)| (name, object.clone())).collect::<Vec<_>>()
    };
    let (second, third) = (names(&lives[0].1), names(&lives[1].1));
    let both = second
        .iter()
        .filter(|(name, object)| third.iter().any(|(other, it)| other == name && it.digest != object.digest));
    let both: Vec<_> = both.collect();
    assert!(both.iter().any(|(name, _)| name.is_table()), "the two lives have no local name in common");
    for (name, object) in both {
        assert!(third.iter().all(|(_, other)| other.name != object.name), "{name}");
    }
    for (id, _, model) in &lives {
        assert_eq!(job.content(*id).unwrap(), *model);
    }
}

#[test]
fn what_an_aborted_checkpoint_stored_is_never_referred_to() {
    let (mut job, mut numbers) = job(13);
    job.checkpoint(1).unwrap();
    job.change(&mut numbers, 300, 500);
    // Stored, and never published: its objects go.
    let aborted = job.store(2, true, &|| true).unwrap();
    let first = job.open(1).unwrap().manifest().clone();
    collect(&*job.storage, &[(1, first)].into_iter().collect());
    let third = job.checkpoint(3).unwrap();
    let is_gone = |object: &&ObjectRef| job.storage.length(&path_of(2, object)).unwrap().is_none();
    let gone: Vec<&ObjectRef> = aborted[0].objects.iter().filter(is_gone).collect();
    assert!(gone.iter().any(|object| object.scope == ObjectScope::Shared), "nothing new was stored");
    assert!(gone.iter().all(|object| third.objects().all(|other| other.name != object.name)));
    assert_eq!(job.content(3).unwrap(), job.model);
}

#[test]
fn a_store_that_is_stopped_leaves_only_what_nobody_names() {
    let (mut job, mut numbers) = job(14);
    let first = job.checkpoint(1).unwrap();
    job.change(&mut numbers, 300, 500);
    for (id, threads) in (2_u64..).zip([1, 1, 1, 1, 3, 3]) {
        job.threads = threads;
        let left = Cell::new(id * 3 - 5);
        let keep_going = || {
            left.set(left.get().saturating_sub(1));
            left.get() > 0 && threads == 1
        };
        assert_eq!(job.store(id, true, &keep_going).unwrap_err().kind(), ErrorKind::Aborted);
    }
    collect(&*job.storage, &[(1, first.clone())].into_iter().collect());
    let expected: BTreeSet<_> = first.objects().map(|object| path_of(1, object)).collect();
    let left: BTreeSet<_> = job.storage.list(None).unwrap().into_iter().map(|object| object.path).collect();
    assert_eq!(left.len(), expected.len() + 1);
    job.threads = 1;
    job.checkpoint(9).unwrap();
    assert_eq!(job.content(9).unwrap(), job.model);
}

#[test]
fn a_storage_that_fails_at_any_operation_loses_no_checkpoint() {
    let (mut job, mut numbers) = job(15);
    let memory: Arc<dyn Storage> = Arc::clone(&job.storage);
    job.checkpoint(1).unwrap();
    let model = job.model.clone();
    job.change(&mut numbers, 200, 500);
    let mut at = 0;
    loop {
        job.storage = Arc::new(FaultStorage::new(Arc::clone(&memory), FaultPlan::at(at, Fault::FailBefore)));
        let stored = job.store(at + 2, true, &|| true);
        job.storage = Arc::clone(&memory);
        assert_eq!(content(&job.open(1).unwrap()).unwrap(), model);
        match stored {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            Ok(handles) => {
                job.publish(at + 2, handles).unwrap();
                assert_eq!(job.content(at + 2).unwrap(), job.model);
                break;
            }
        }
        at += 1;
    }
    assert!(at > 10, "only {at} operations");
}
