//! Restoring at other parallelisms.

use std::sync::Arc;

use millpond::storage::MemoryStorage;

use super::job::{Job, Numbers, collect, local_directory};

#[test]
fn what_was_written_is_restored_at_every_parallelism_and_goes_on() {
    let mut job = Job::new(Arc::new(MemoryStorage::new(1 << 28)), 1, 1);
    let mut numbers = Numbers(1);
    // Splits, merges, ranges that lie across, and back, with changes in between.
    for (id, parallelism) in (1_u64..).zip([2, 1, 3, 2, 5, 1, 16, 4, 4, 3]) {
        job.threads = id as usize % 3 + 1;
        job.change(&mut numbers, 400, 150);
        job.checkpoint(id).unwrap();
        let model = job.model.clone();
        assert_eq!(job.content(id).unwrap(), model, "checkpoint {id}");
        job.restore(id, parallelism, model).unwrap();
    }
}

#[test]
fn rows_outside_of_the_range_never_come_back() {
    let mut job = Job::new(Arc::new(MemoryStorage::new(1 << 28)), 2, 1);
    let mut numbers = Numbers(2);
    job.change(&mut numbers, 2_000, 300);
    job.parts[0].compact();
    job.checkpoint(1).unwrap();
    let model = job.model.clone();
    job.restore(1, 2, model).unwrap();
    // Both halves delete and change what the other half still has in its files.
    job.change(&mut numbers, 2_000, 300);
    job.checkpoint(2).unwrap();
    let model = job.model.clone();
    assert_eq!(job.content(2).unwrap(), model);
    for (id, parallelism) in [(2, 1), (3, 2), (4, 1)] {
        job.restore(id, parallelism, job.model.clone()).unwrap();
        job.parts.iter().for_each(|part| part.compact());
        job.change(&mut numbers, 50, 300);
        job.checkpoint(id + 1).unwrap();
        assert_eq!(job.content(id + 1).unwrap(), job.model, "after restoring {id} at parallelism {parallelism}");
    }
}

#[test]
fn s_21_recovery_needs_nothing_local() {
    let mut job = Job::new(Arc::new(MemoryStorage::new(1 << 28)), 3, 2);
    let mut numbers = Numbers(3);
    job.change(&mut numbers, 500, 100);
    job.checkpoint(1).unwrap();
    let model = job.model.clone();
    job.change(&mut numbers, 500, 100);
    job.parts.clear();
    // Another machine: nothing of the first one's directory is there, or it is there and worthless.
    job.local = local_directory();
    std::fs::create_dir_all(job.local.path().join("part-0/db")).unwrap();
    std::fs::File::create(job.local.path().join("part-0/db/CURRENT")).unwrap();
    job.restore(1, 2, model).unwrap();
    job.checkpoint(2).unwrap();
    assert_eq!(job.content(2).unwrap(), job.model);
}

#[test]
fn a_restored_database_is_the_base_of_the_next_increment() {
    let mut job = Job::new(Arc::new(MemoryStorage::new(1 << 28)), 4, 1);
    let mut numbers = Numbers(4);
    job.change(&mut numbers, 3_000, 1_000);
    let first = job.checkpoint(1).unwrap();
    for parallelism in [1, 2] {
        job.restore(1, parallelism, job.model.clone()).unwrap();
        let id = 1 + u64::from(parallelism);
        let next = job.checkpoint(id).unwrap();
        let again = next.objects().filter(|object| first.objects().any(|known| known == *object)).count();
        assert!(again > 0, "parallelism {parallelism}: nothing of the first checkpoint is referred to");
        collect(&*job.storage, &[(1, first.clone()), (id, next)].into_iter().collect());
        assert_eq!(job.content(id).unwrap(), job.model);
    }
}
