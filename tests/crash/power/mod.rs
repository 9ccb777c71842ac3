//! The machine loses power, or the process is killed, between any two operations of the file system; and again while the
//! next process recovers and goes on.
//!
//! What must hold in every image (S-18, S-21): what was acknowledged is there and restores to what it was; what was not is
//! complete or not to be seen; recovery finds the newest acknowledged checkpoint or a newer one, without being told.
//!
//! Every search prints what it tried. `MILLPOND_CRASH_IMAGES` sets the images of one moment, `MILLPOND_CRASH_ONE_OF` of how
//! many different images one gets a life that is crashed again, `MILLPOND_CRASH_ONE_KILL_OF` of how many moments one kills
//! the process.

mod audit;
mod driving;
mod publishing;
mod search;
mod witness;
mod work;

use millpond::backend::KeyedSnapshotFormat::{Canonical, Incremental, Native};
use millpond::checkpoint::mistake::Mistake;
use millpond::checkpoint::pending::SavepointFormat;
use millpond::checkpoint::restore::ClaimMode;
use millpond::storage::fault::Disk;

use self::search::{Effort, Program, Search, setting};
use driving::{Deed, Driving};
use publishing::{Publishing, Step};
use witness::Witness;
#[cfg(feature = "rocksdb")]
use work::Ground;

/// Effort of a search of depth 2 for every day, or the one that the environment asks for.
fn effort() -> Effort {
    let images = |everyday| usize::try_from(setting("MILLPOND_CRASH_IMAGES", everyday)).unwrap();
    Effort {
        depth: 2,
        images: images(16),
        later_images: images(4),
        one_of: setting("MILLPOND_CRASH_ONE_OF", 1_000),
        one_kill_of: setting("MILLPOND_CRASH_ONE_KILL_OF", 50),
        one_name_of: 1,
        seed: setting("MILLPOND_CRASH_SEED", 1),
    }
}

/// For a mistake that is there to be found.
const PATIENT: Effort =
    Effort { depth: 2, images: 64, later_images: 64, one_of: 10, one_kill_of: 1, one_name_of: 1, seed: 1 };

/// Images until a coordinator that makes this mistake is caught, if it is.
pub(crate) fn find(mistake: Mistake) -> Option<u64> {
    let claims = vec![Deed::Checkpoint(Native), Deed::Checkpoint(Native)];
    let deeds = vec![Deed::Checkpoint(Incremental), Deed::Abort(Native), Deed::Checkpoint(Incremental)];
    let programs = [
        Driving::new(deeds.clone(), 1, 1),
        Driving::new(deeds, 1, 1).starting_from(claims.clone(), ClaimMode::Claim),
        Driving::new(claims.clone(), 1, 1).starting_from(claims, ClaimMode::NoClaim),
    ];
    let mut images = 0;
    for program in programs.map(|program| program.erring(mistake)) {
        let effort = Effort { later_images: 16, one_of: 500, one_kill_of: 100, ..PATIENT };
        let (tally, found) = Search::new(&program, effort).deepen();
        images += tally.images;
        if found.is_err() {
            return Some(images);
        }
    }
    None
}

fn search(program: &dyn Program, name: &str, different: u64) {
    search_with(program, effort(), name, different);
}

fn search_with(program: &dyn Program, effort: Effort, name: &str, different: u64) {
    let mut search = Search::new(program, effort);
    search.run().unwrap();
    println!("{name}: {}", search.tally);
    assert!(search.tally.different > different, "{name}: {}", search.tally);
}

#[test]
fn s_18_what_was_acknowledged_survives_every_crash() {
    let program =
        Publishing::new(vec![Step::Checkpoint(Canonical), Step::Savepoint(Canonical), Step::Checkpoint(Native)], 2);
    search(&program, "checkpoints and a savepoint", 500);
}

#[test]
fn s_21_a_coordinator_survives_every_crash_and_those_of_its_recovery() {
    let deeds = vec![
        Deed::Checkpoint(Canonical),
        Deed::Checkpoint(Native),
        Deed::Savepoint(SavepointFormat::Canonical),
        Deed::Abort(Native),
        Deed::Checkpoint(Native),
    ];
    search(&Driving::new(deeds, 1, 1), "retention and collection", 500);
}

#[test]
fn incremental_checkpoints_survive_every_crash() {
    let deeds = vec![
        Deed::Checkpoint(Incremental),
        Deed::Checkpoint(Incremental),
        Deed::Abort(Incremental),
        Deed::Checkpoint(Incremental),
        Deed::Checkpoint(Incremental),
    ];
    search(&Driving::new(deeds, 2, 1), "incremental checkpoints", 500);
}

#[test]
fn a_claim_survives_every_crash() {
    let before = vec![Deed::Checkpoint(Native), Deed::Checkpoint(Native)];
    let program = Driving::new(vec![Deed::Checkpoint(Native), Deed::Checkpoint(Native)], 1, 1);
    search(&program.starting_from(before, ClaimMode::Claim), "claiming a checkpoint", 500);
}

#[test]
fn borrowing_survives_every_crash() {
    let before = vec![Deed::Checkpoint(Native), Deed::Savepoint(SavepointFormat::Native)];
    let program = Driving::new(vec![Deed::Checkpoint(Native), Deed::Checkpoint(Native)], 1, 1);
    search(&program.starting_from(before, ClaimMode::NoClaim), "borrowing a savepoint", 500);
}

/// Native and incremental snapshots of RocksDB: uploads, publication, retention and collection, and recovery.
#[cfg(feature = "rocksdb")]
#[test]
fn databases_survive_every_crash() {
    let deeds = vec![
        Deed::Checkpoint(Incremental),
        Deed::Abort(Incremental),
        Deed::Checkpoint(Incremental),
        Deed::Savepoint(SavepointFormat::Native),
        Deed::Checkpoint(Incremental),
    ];
    let program = Driving::new(deeds, 1, 1).on(Ground::rocksdb());
    search_with(&program, effort_on_databases(), "databases", 200);
}

/// A job goes on from a database that belonged to another.
#[cfg(feature = "rocksdb")]
#[test]
fn claimed_databases_survive_every_crash() {
    let before = vec![Deed::Checkpoint(Incremental), Deed::Checkpoint(Incremental)];
    let program = Driving::new(vec![Deed::Checkpoint(Incremental), Deed::Checkpoint(Incremental)], 1, 1);
    let program = program.on(Ground::rocksdb()).starting_from(before, ClaimMode::Claim);
    search_with(&program, effort_on_databases(), "claimed databases", 50);
}

/// A database takes long to open, so that fewer images are tried and fewer lives lived; `MILLPOND_CRASH_DATABASES` sets how many
/// times as many.
#[cfg(feature = "rocksdb")]
fn effort_on_databases() -> Effort {
    let more = setting("MILLPOND_CRASH_DATABASES", 1);
    let images = usize::try_from(2 * more).unwrap();
    Effort {
        images,
        later_images: images / 2,
        one_of: 400 / more,
        one_kill_of: 400 / more,
        one_name_of: (24 / more).max(1),
        ..effort()
    }
}

/// Every sync is needed, in a first life and in the one that comes after a crash: without it some crash breaks a promise.
/// One object a snapshot: of several in one directory, the last makes the names of all durable.
#[test]
fn s_18_every_forgotten_sync_is_found() {
    let program = Publishing::new(vec![Step::Checkpoint(Canonical), Step::Savepoint(Native)], 1);
    let disk = Disk::new();
    program.live(&disk, &mut Witness::default()).unwrap();
    let mut images = Vec::new();
    for (life, number) in (0..2).flat_map(|life| (0..disk.syncs()).map(move |number| (life, number))) {
        let (tally, found) = Search::new(&program, PATIENT).without_sync(life, number).deepen();
        let Err(violation) = found else { panic!("nobody misses sync {number} of life {life}: {tally}") };
        println!("sync {number} of life {life}: image {}: {violation}", tally.images);
        images.push(tally.images);
    }
    images.sort_unstable();
    let (median, most) = (images[images.len() / 2], images[images.len() - 1]);
    println!("{} forgotten syncs found, median {median} images, at most {most}", images.len());
}
