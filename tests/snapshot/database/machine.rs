//! Random actions beside a model: checkpoints that are published, aborted and retried, rollbacks, compactions, lost
//! directories, retention that deletes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use millpond::format::manifest::Manifest;
use millpond::storage::MemoryStorage;

use super::job::{Job, Model, Numbers, collect, local_directory};

/// Sequences in an ordinary run; `MILLPOND_DATABASE_SEQUENCES` says otherwise.
const SEQUENCES: u64 = 24;
/// Threads that run them; `MILLPOND_DATABASE_THREADS` says otherwise. They wait for RocksDB's own threads most of the time.
const THREADS: u64 = 2;

/// What is kept of the checkpoints that completed.
#[derive(Default)]
struct Retained {
    manifests: BTreeMap<u64, Manifest>,
    models: BTreeMap<u64, Model>,
}

impl Retained {
    fn pick(&self, numbers: &mut Numbers) -> Option<u64> {
        let at = numbers.below(self.models.len().max(1) as u64);
        self.models.keys().nth(at as usize).copied()
    }
}

fn number_from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |number| number.parse().expect("a number"))
}

/// One checkpoint; it may be aborted half-way or lost before it is published, and a retry stores everything again.
fn checkpoint(job: &mut Job, id: u64, numbers: &mut Numbers, retained: &mut Retained) {
    let stop_after = match numbers.below(4) {
        0 => numbers.below(12),
        _ => u64::MAX,
    };
    let asked = std::cell::Cell::new(0);
    let stored = job.store(id, true, &|| {
        asked.set(asked.get() + 1);
        asked.get() <= stop_after
    });
    let Ok(handles) = stored else { return };
    if numbers.below(6) == 0 {
        return;
    }
    let manifest = job.publish(id, handles).unwrap();
    retained.manifests.insert(id, manifest);
    retained.models.insert(id, job.model.clone());
}

fn go_back(job: &mut Job, numbers: &mut Numbers, retained: &Retained, parallelism: u32) {
    match retained.pick(numbers) {
        // The empty version can be gone back to as well.
        Some(id) if numbers.below(8) > 0 => job.restore(id, parallelism, retained.models[&id].clone()).unwrap(),
        _ => job.begin(parallelism),
    }
}

/// Forgets checkpoints at random, and deletes what nobody names any more. An action of its own, so that checkpoints that
/// are being taken are not looked at.
fn retire(job: &Job, numbers: &mut Numbers, retained: &mut Retained, keep: usize) {
    while retained.models.len() > keep {
        let Some(id) = retained.pick(numbers).filter(|id| Some(*id) != job.base) else { continue };
        retained.models.remove(&id);
        retained.manifests.remove(&id);
    }
    collect(&*job.storage, &retained.manifests);
}

/// A number that is 1 most of the time, because databases are what takes the time.
fn parallelism(numbers: &mut Numbers) -> u32 {
    if numbers.below(3) > 0 { 1 } else { 1 + numbers.below(4) as u32 }
}

/// Runs one sequence, short for the most part; gives how many checkpoints of it were compared in the end.
fn run(seed: u64) -> usize {
    let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let actions = if numbers.below(16) == 0 { 60 } else { 8 + numbers.below(14) };
    let mut job = Job::new(Arc::new(MemoryStorage::new(1 << 28)), seed, parallelism(&mut numbers));
    let mut retained = Retained::default();
    job.change(&mut numbers, 100, 80);
    for id in 1..=actions {
        job.threads = 1 + numbers.below(3) as usize;
        match numbers.below(12) {
            0..5 => checkpoint(&mut job, id, &mut numbers, &mut retained),
            5 => {
                let parallelism = parallelism(&mut numbers);
                go_back(&mut job, &mut numbers, &retained, parallelism);
            }
            6 => {
                let parallelism = job.parts.len() as u32;
                go_back(&mut job, &mut numbers, &retained, parallelism);
            }
            7 => job.parts.iter().for_each(|part| part.compact()),
            8 => {
                let keep = 1 + numbers.below(4) as usize;
                retire(&job, &mut numbers, &mut retained, keep);
            }
            9 => {
                // The machine is gone; another one goes on.
                let parallelism = job.parts.len() as u32;
                job.parts.clear();
                job.local = local_directory();
                go_back(&mut job, &mut numbers, &retained, parallelism);
            }
            _ => {
                let count = numbers.below(200);
                job.change(&mut numbers, count, 80);
            }
        }
    }
    for (id, model) in &retained.models {
        assert_eq!(job.content(*id).unwrap(), *model, "seed {seed}, checkpoint {id}");
    }
    retained.models.len()
}

#[test]
fn s_06_every_retained_checkpoint_holds_what_it_was_taken_of() {
    let sequences = number_from_environment("MILLPOND_DATABASE_SEQUENCES", SEQUENCES);
    let first = number_from_environment("MILLPOND_DATABASE_SEED", 1);
    let threads = number_from_environment("MILLPOND_DATABASE_THREADS", THREADS);
    let (next, compared) = (AtomicU64::new(first), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + sequences {
                        return;
                    }
                    compared.fetch_add(run(seed), Ordering::Relaxed);
                }
            });
        }
    });
    println!("{sequences} sequences, {} retained checkpoints compared", compared.into_inner());
}

#[test]
fn every_retained_one_of_a_chain_of_200_increments_restores() {
    let mut job = Job::new(Arc::new(MemoryStorage::new(1 << 29)), 200, 2);
    let mut numbers = Numbers(200);
    let mut retained = Retained::default();
    for id in 1..=200 {
        job.change(&mut numbers, 40, 300);
        if numbers.below(10) == 0 {
            job.parts.iter().for_each(|part| part.compact());
        }
        let manifest = job.checkpoint(id).unwrap();
        retained.manifests.insert(id, manifest);
        retained.models.insert(id, job.model.clone());
        let keep = 3 + numbers.below(6) as usize;
        retire(&job, &mut numbers, &mut retained, keep);
        if id % 40 == 0 {
            for (id, model) in &retained.models {
                assert_eq!(job.content(*id).unwrap(), *model, "checkpoint {id}");
            }
        }
    }
    for (id, model) in retained.models.clone() {
        job.restore(id, 1 + (id % 3) as u32, model.clone()).unwrap();
        job.checkpoint(1_000 + id).unwrap();
        assert_eq!(job.content(1_000 + id).unwrap(), model, "checkpoint {id} after being restored");
    }
}

#[test]
fn overlapping_checkpoints_complete_or_are_aborted_in_every_order() {
    // Three are taken before the first is decided; then each is published or dropped, in every order.
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (order, published) in orders.iter().flat_map(|order| (0..8).map(move |published| (order, published))) {
        let mut job = Job::new(Arc::new(MemoryStorage::new(1 << 28)), 300, 1);
        let mut numbers = Numbers(300);
        let mut retained = Retained::default();
        job.change(&mut numbers, 60, 40);
        retained.manifests.insert(1, job.checkpoint(1).unwrap());
        let mut taken = Vec::new();
        for id in 2..5 {
            job.change(&mut numbers, 30, 40);
            taken.push((id, Some(job.store(id, true, &|| true).unwrap()), job.model.clone()));
        }
        for at in order {
            let (id, handles, model) = &mut taken[*at];
            let Some(handles) = handles.take().filter(|_| published >> *at & 1 == 1) else { continue };
            retained.manifests.insert(*id, job.publish(*id, handles).unwrap());
            retained.models.insert(*id, model.clone());
        }
        collect(&*job.storage, &retained.manifests);
        job.change(&mut numbers, 30, 40);
        retained.manifests.insert(5, job.checkpoint(5).unwrap());
        retained.models.insert(5, job.model.clone());
        for (id, model) in &retained.models {
            assert_eq!(
                job.content(*id).unwrap(),
                *model,
                "order {order:?}, published {published:03b}, checkpoint {id}"
            );
        }
    }
}
