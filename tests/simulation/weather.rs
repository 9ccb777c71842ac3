//! A storage that has good and bad days: calls fail before or after they did something, answers are lost, and what was
//! given up for lost arrives later. Between its calls, other coordinators get their turn.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use millpond::random::{RandomSource, SeededRandom};
use millpond::storage::{Blob, CommitOutcome, Leftover, ObjectInfo, ObjectPath, ObjectWriter, Storage};
use millpond::{Error, Result};

/// Something that happens once.
type Act = Box<dyn FnOnce()>;

thread_local! {
    /// What happens in the middle of what somebody does with the storage: after so many calls, this.
    static INTERRUPTION: RefCell<Option<(u64, Act)>> = const { RefCell::new(None) };
}

/// After `calls` more calls, and before the next, `act` happens. At most one waits.
pub(crate) fn interrupt_after(calls: u64, act: impl FnOnce() + 'static) {
    INTERRUPTION.set(Some((calls, Box::new(act))));
}

pub(crate) fn forget_interruption() {
    INTERRUPTION.set(None);
}

fn tick() {
    let due = INTERRUPTION.with_borrow_mut(|waiting| match waiting {
        Some((0, _)) => waiting.take(),
        Some((calls, _)) => {
            *calls -= 1;
            None
        }
        None => None,
    });
    if let Some((_, act)) = due {
        act();
    }
}

/// The days that everybody who uses the storage shares.
#[derive(Debug)]
pub(crate) struct Days {
    random: SeededRandom,
    /// Faults of each kind in a thousand calls.
    severity: AtomicU64,
    /// Commits that arrive later.
    late: Mutex<Vec<(ObjectPath, Vec<u8>)>>,
    /// So many commits more do nothing, and nobody knows.
    lost: AtomicU64,
}

impl Days {
    pub(crate) fn new(seed: u64, severity: u64) -> Arc<Self> {
        let (random, late) = (SeededRandom::new(seed), Mutex::new(Vec::new()));
        Arc::new(Days { random, severity: AtomicU64::new(severity), late, lost: AtomicU64::new(0) })
    }

    pub(crate) fn calm(&self) {
        self.severity.store(0, Ordering::Relaxed);
    }

    /// The next commits are not done, and nobody knows.
    pub(crate) fn lose_commits(&self, count: u64) {
        self.lost.store(count, Ordering::Relaxed);
    }

    /// What did not arrive before the power went out never will.
    pub(crate) fn forget_late(&self) {
        self.late.lock().unwrap().clear();
    }

    pub(crate) fn take_late(&self) -> Option<(ObjectPath, Vec<u8>)> {
        self.late.lock().unwrap().pop()
    }

    /// Which kind of fault, from 0, this call meets.
    fn fault(&self, kinds: u64) -> Option<u64> {
        let severity = self.severity.load(Ordering::Relaxed);
        let drawn = u64::try_from(self.random.next_u128().unwrap() % 1000).unwrap();
        (drawn < severity * kinds).then(|| drawn / severity)
    }
}

fn refused(path: &ObjectPath) -> Error {
    Error::unavailable("bad weather: not done").in_file(path)
}

fn lost(path: &ObjectPath) -> Error {
    Error::uncertain("bad weather: the answer is lost").in_file(path)
}

/// A storage on these days.
#[derive(Debug)]
pub(crate) struct Weather {
    inner: Arc<dyn Storage>,
    days: Arc<Days>,
}

impl Weather {
    pub(crate) fn over(inner: Arc<dyn Storage>, days: Arc<Days>) -> Arc<dyn Storage> {
        Arc::new(Weather { inner, days })
    }

    /// A call that changes nothing.
    fn ask<T>(&self, path: &ObjectPath, call: impl FnOnce() -> Result<T>) -> Result<T> {
        tick();
        // Most of what is done is asking.
        match self.days.fault(1).filter(|_| self.days.fault(1).is_some()) {
            None => call(),
            Some(_) => Err(refused(path)),
        }
    }
}

impl Storage for Weather {
    fn create(&self, path: &ObjectPath) -> Result<Box<dyn ObjectWriter>> {
        tick();
        match self.days.fault(1) {
            None => self.inner.create(path),
            Some(_) => Err(refused(path)),
        }
    }

    fn commit(&self, path: &ObjectPath, bytes: &[u8]) -> CommitOutcome {
        tick();
        let lost_one = |left: u64| left.checked_sub(1);
        if self.days.lost.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lost_one).is_ok() {
            return CommitOutcome::Unknown(lost(path));
        }
        match self.days.fault(4) {
            None => self.inner.commit(path, bytes),
            Some(0) => CommitOutcome::NotCommitted(refused(path)),
            Some(1) => match self.inner.commit(path, bytes) {
                CommitOutcome::Committed => CommitOutcome::Unknown(lost(path)),
                other => other,
            },
            Some(2) => CommitOutcome::Unknown(lost(path)),
            Some(_) => {
                self.days.late.lock().unwrap().push((path.clone(), bytes.to_vec()));
                CommitOutcome::Unknown(lost(path))
            }
        }
    }

    fn open(&self, path: &ObjectPath) -> Result<Blob> {
        self.ask(path, || self.inner.open(path))
    }

    fn length(&self, path: &ObjectPath) -> Result<Option<u64>> {
        self.ask(path, || self.inner.length(path))
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> Result<Vec<ObjectInfo>> {
        tick();
        match self.days.fault(1) {
            None => self.inner.list(prefix),
            Some(_) => Err(Error::unavailable("bad weather: the listing broke off")),
        }
    }

    fn delete(&self, path: &ObjectPath) -> Result<()> {
        tick();
        match self.days.fault(2) {
            None => self.inner.delete(path),
            Some(0) => Err(refused(path)),
            Some(_) => self.inner.delete(path).and_then(|()| Err(lost(path))),
        }
    }

    fn persist(&self, path: &ObjectPath) -> Result<()> {
        self.ask(path, || self.inner.persist(path))
    }

    fn created_ms(&self, path: &ObjectPath) -> Result<Option<i64>> {
        self.ask(path, || self.inner.created_ms(path))
    }

    fn leftovers(&self) -> Result<Vec<Leftover>> {
        self.inner.leftovers()
    }

    fn remove_leftover(&self, leftover: &Leftover) -> Result<()> {
        self.inner.remove_leftover(leftover)
    }
}
