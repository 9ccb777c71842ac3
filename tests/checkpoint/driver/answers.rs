//! What object stores answer to a conditional create (S-17), and what a coordinator makes of it.
//!
//! No store is asked here. What they may answer is played, as an adapter for them would hand it on:
//!
//! | what the store says | what happened | handed on as |
//! |---|---|---|
//! | 200, 201 | created | `Committed` |
//! | 412 (S3, GCS, Azure), 409 `BlobAlreadyExists` (Azure), 304 (proxies) | the name is taken: by somebody else, or by the first delivery of a request that was repeated | `NotCommitted`, a taken name |
//! | 409 `ConditionalRequestConflict` (S3) | somebody else writes the name at this moment; nothing was created | `NotCommitted`, a taken name |
//! | 429, 503 | refused | `NotCommitted`, unavailable |
//! | 500, 504, no answer in time, connection reset | created or not | `Unknown` |

use std::fmt;
use std::sync::{Arc, Mutex};

use millpond::checkpoint::driver::Start;
use millpond::storage::{Blob, CommitOutcome, MemoryStorage, ObjectInfo, ObjectPath, ObjectWriter, Storage};
use millpond::{Error, Result};

use super::world::{JOB, World, checkpoint_of, path, read_at, setup};

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new(64 << 20))
}

/// What a storage answers to a conditional create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Applied, and said so.
    Done,
    /// Not applied, and looks like a taken name.
    Conflict,
    /// Not applied, for whatever reason.
    Refused,
    /// Not applied, and the answer was lost.
    LostBefore,
    /// Applied, and the answer was lost.
    LostAfter,
    /// Applied, the request was delivered twice, and the second delivery found the name taken.
    Repeated,
}

impl Answer {
    const ODD: [Answer; 5] =
        [Answer::Conflict, Answer::Refused, Answer::LostBefore, Answer::LostAfter, Answer::Repeated];
}

/// Which creates are answered as told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Manifests,
    /// All of them, from this one on, counted from 0.
    From(usize),
}

/// A storage that answers conditional creates as told.
struct Answering {
    inner: Arc<dyn Storage>,
    which: Which,
    /// Conditional creates so far.
    creates: Mutex<usize>,
    answers: Mutex<Vec<Answer>>,
    /// Stored in place of the object before the first answer.
    foreign: Mutex<Option<Vec<u8>>>,
}

impl Answering {
    fn new(inner: &Arc<dyn Storage>, which: Which, answers: &[Answer]) -> Arc<Self> {
        Arc::new(Answering {
            inner: Arc::clone(inner),
            which,
            creates: Mutex::new(0),
            answers: Mutex::new(answers.to_vec()),
            foreign: Mutex::new(None),
        })
    }

    /// Whether every answer was given.
    fn is_through(&self) -> bool {
        self.answers.lock().unwrap().is_empty()
    }
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answering {:?}", self.inner)
    }
}

impl Storage for Answering {
    fn create(&self, path: &ObjectPath) -> Result<Box<dyn ObjectWriter>> {
        self.inner.create(path)
    }

    fn commit(&self, path: &ObjectPath, bytes: &[u8]) -> CommitOutcome {
        let mut creates = self.creates.lock().unwrap();
        let number = *creates;
        *creates += 1;
        let is_meant = match self.which {
            Which::Manifests => path.as_str().ends_with("_metadata"),
            Which::From(first) => number >= first,
        };
        if !is_meant {
            return self.inner.commit(path, bytes);
        }
        if let Some(foreign) = self.foreign.lock().unwrap().take() {
            let _ = self.inner.commit(path, &foreign);
        }
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.is_empty() { Answer::Done } else { answers.remove(0) };
        let taken = || CommitOutcome::NotCommitted(Error::invalid_input("an object of this name exists"));
        let lost = || CommitOutcome::Unknown(Error::uncertain("the answer was lost"));
        match answer {
            Answer::Done => self.inner.commit(path, bytes),
            Answer::Conflict => taken(),
            Answer::Refused => CommitOutcome::NotCommitted(Error::unavailable("try again")),
            Answer::LostBefore => lost(),
            Answer::LostAfter => {
                let _ = self.inner.commit(path, bytes);
                lost()
            }
            Answer::Repeated => {
                let _ = self.inner.commit(path, bytes);
                taken()
            }
        }
    }

    fn open(&self, path: &ObjectPath) -> Result<Blob> {
        self.inner.open(path)
    }

    fn length(&self, path: &ObjectPath) -> Result<Option<u64>> {
        self.inner.length(path)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> Result<Vec<ObjectInfo>> {
        self.inner.list(prefix)
    }

    fn delete(&self, path: &ObjectPath) -> Result<()> {
        self.inner.delete(path)
    }
}

/// Whatever the storage answers to the creation of the manifest, a read decides: not there is tried again, ours is success,
/// somebody else's is the end of this coordinator (S-17).
#[test]
fn s_17_the_driver_decides_every_answer_to_a_conditional_create_by_reading() {
    for first in Answer::ODD {
        for second in [Answer::Done].into_iter().chain(Answer::ODD) {
            for is_foreign in [false, true] {
                let inner = memory();
                let answering = Answering::new(&inner, Which::Manifests, &[first, second]);
                *answering.foreign.lock().unwrap() = is_foreign.then(|| b"something else".to_vec());
                let storage: Arc<dyn Storage> = answering;
                let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
                world.put(1, "a");
                let id = world.checkpoint();
                let what = format!("{first:?}, {second:?}, foreign {is_foreign}");
                assert_eq!(world.driver.is_passed_over(), is_foreign, "{what}");
                assert_eq!(world.told.completed == [id], !is_foreign, "{what}");
                if !is_foreign {
                    assert_eq!(read_at(&inner, &checkpoint_of(JOB, id)).unwrap(), world.state, "{what}");
                    drop(world);
                    assert_eq!(World::open(setup(&inner, JOB, 2, 1), 10).unwrap().state[&1], "a", "{what}");
                }
            }
        }
    }
}

/// A checkpoint whose manifest nobody ever sees arrive is sealed, and a manifest that arrives after that does not count.
#[test]
fn a_manifest_that_arrives_after_its_seal_is_not_there() {
    let inner = memory();
    let storage: Arc<dyn Storage> = Answering::new(&inner, Which::Manifests, &[Answer::LostBefore; 3]);
    let mut world = World::open(setup(&storage, JOB, 1, 1), 0).unwrap();
    world.put(1, "a");
    let id = world.checkpoint();
    assert_eq!((&world.told.completed[..], &world.told.aborted[..]), (&[][..], &[id][..]));
    let slot = path(&format!("{}/_metadata", checkpoint_of(JOB, id)));
    let late = inner.commit(&slot, b"the manifest, late");
    assert!(matches!(late, CommitOutcome::NotCommitted(_)), "{late:?}");
    assert!(matches!(world.driver.start().unwrap(), Start::Empty));
    world.checkpoint();
    drop(world);
    assert_eq!(World::open(setup(&inner, JOB, 2, 1), 10).unwrap().state[&1], "a");
}

/// A life in which every conditional create, of records as of manifests, is answered in every way, once or twice in a row: what
/// was acknowledged is what the next coordinator finds, ids are given once, and nothing that is referenced is missing (S-17).
#[test]
fn s_17_every_conditional_create_may_be_answered_in_every_way() {
    let twice = Answer::ODD.into_iter().flat_map(|first| Answer::ODD.map(|second| vec![first, second]));
    let mut lives = 0;
    for answers in Answer::ODD.into_iter().map(|answer| vec![answer]).chain(twice) {
        for number in 0.. {
            let inner = memory();
            let answering = Answering::new(&inner, Which::From(number), &answers);
            let storage: Arc<dyn Storage> = answering.clone();
            let what = format!("{answers:?} from create {number}");
            let acknowledged = live(&storage, &what);
            if !answering.is_through() {
                break;
            }
            let mut world =
                World::open(setup(&inner, JOB, 9, 2), 1_000_000).unwrap_or_else(|error| panic!("{what}: {error}"));
            if let Some((id, state)) = acknowledged {
                let kept = *world.kept().last().unwrap();
                assert!(kept > id || kept == id && world.state == state, "{what}: {:?} after {id}", world.state);
            }
            world.put(14, "after");
            let id = world.checkpoint();
            assert_eq!(world.kept().last(), Some(&id), "{what}");
            assert_eq!(read_at(&inner, &checkpoint_of(JOB, id)).unwrap(), world.state, "{what}");
            lives += 1;
        }
    }
    assert!(lives > 150, "{lives} lives");
}

/// Takes the job over, however often that takes, and three checkpoints; gives the last that was acknowledged.
fn live(storage: &Arc<dyn Storage>, what: &str) -> Option<(u64, super::world::State)> {
    let mut tries = (1..6).map(|seed| World::open(setup(storage, JOB, seed, 2), 0));
    let mut world = tries.find_map(|opened| opened.ok()).unwrap_or_else(|| panic!("{what}: it cannot be taken over"));
    let mut acknowledged = None;
    for round in 0..3u16 {
        world.put(round, "new");
        let completed = world.told.completed.len();
        world.checkpoint();
        world.settle_for(5_000);
        if world.told.completed.len() > completed {
            acknowledged = Some((*world.told.completed.last().unwrap(), world.state.clone()));
        }
    }
    assert!(world.told.completed.is_sorted_by(|a, b| a < b), "{what}: {:?}", world.told.completed);
    acknowledged
}

/// What the bank of mistakes tries (see `checkpoint::bank`).
#[cfg(feature = "test-util")]
pub(in crate::checkpoint) const CASES: &[(&str, fn())] = &[
    (
        "s_17_the_driver_decides_every_answer_to_a_conditional_create_by_reading",
        s_17_the_driver_decides_every_answer_to_a_conditional_create_by_reading,
    ),
    ("a_manifest_that_arrives_after_its_seal_is_not_there", a_manifest_that_arrives_after_its_seal_is_not_there),
];
