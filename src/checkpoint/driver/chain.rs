//! The chain of control records: who coordinates the job, and what is decided.
//!
//! A record is created under the next number, never overwritten, and the highest number counts. Whoever finds a record
//! of somebody else above its own last one has been passed over. Old records are deleted, so a number alone proves
//! nothing: a coordinator that was asleep may find the next number free again. Therefore every look begins with a listing,
//! and so does the check after a record was created.

use std::sync::Arc;

use crate::checkpoint::config::Config;
use crate::checkpoint::mistake::Mistake;
use crate::error::{Error, ErrorKind, Result};
use crate::format::control::{Control, Record};
use crate::ids::CheckpointId;
use crate::random::RandomSource;
use crate::storage::layout::{JobLayout, Member};
use crate::storage::{CommitOutcome, Storage};

/// Ids that a coordinator reserves at once. What it has not used when it goes is skipped.
pub const RESERVED_IDS: u64 = 100;

/// How often a record is tried under the next number.
const ATTEMPTS: u32 = 8;

/// Records that are left behind the newest.
const KEPT_RECORDS: u64 = 1;

/// The chain, and this coordinator's place in it.
#[derive(Debug)]
pub(super) struct Chain {
    storage: Arc<dyn Storage>,
    layout: JobLayout,
    last: Record,
    first: CheckpointId,
    /// Whether the job was given back, or may have been.
    released: bool,
    never_passed_over: bool,
    never_persists: bool,
}

/// The record of a job that counts; `None` for one that nobody has coordinated yet.
pub fn read(storage: &dyn Storage, layout: &JobLayout) -> Result<Option<Record>> {
    let listed = storage.list(Some(&layout.control()))?;
    let numbers = listed.iter().filter_map(|info| match layout.member(&info.path) {
        Some(Member::Record(number)) => Some(number),
        _ => None,
    });
    let Some(mut number) = numbers.max() else { return Ok(None) };
    // A listing may lag behind; reading does not.
    while storage.length(&layout.record(number.saturating_add(1)))?.is_some() {
        number = number.saturating_add(1);
    }
    let path = layout.record(number);
    let record = storage.open(&path).and_then(|bytes| Control::decode(bytes.as_slice()));
    match record.map_err(|error| error.in_file(&path))? {
        Control::Record(record) if (record.job, record.number) == (layout.job(), number) => Ok(Some(record)),
        _ => Err(Error::corrupt("this is not the record that its name says").in_file(&path)),
    }
}

impl Chain {
    /// Takes over the job: from now on every other coordinator is passed over. What was decided before stays decided.
    /// `first` is the lowest id that may be given, as far as the names of checkpoints tell.
    pub(super) fn take_over(
        storage: &Arc<dyn Storage>,
        layout: JobLayout,
        first: CheckpointId,
        random: &dyn RandomSource,
        now_ms: i64,
    ) -> Result<Self> {
        let holder = random.next_u128()?.to_be_bytes();
        for _ in 0..ATTEMPTS {
            let before = read(&**storage, &layout)?;
            let first = before.as_ref().map_or(first, |record| record.reserved.max(first));
            let (number, epoch) = before.as_ref().map_or((0, 0), |record| (record.number, record.epoch));
            let wanted = Record {
                job: layout.job(),
                number: number.saturating_add(1),
                epoch: epoch.saturating_add(1),
                holder,
                created_ms: now_ms,
                reserved: CheckpointId(first.0.saturating_add(RESERVED_IDS)),
                below: before.as_ref().map_or(CheckpointId(1), |record| record.below),
                kept: before.as_ref().map(|record| record.kept.clone()).unwrap_or_default(),
                origin: before.as_ref().and_then(|record| record.origin.clone()),
                claimed: before.as_ref().is_some_and(|record| record.claimed),
            };
            let outcome = create(&**storage, &layout, &wanted)?;
            let found = read(&**storage, &layout)?;
            match found {
                Some(found) if found == wanted => {
                    settle(&**storage, &layout, &wanted, outcome)?;
                    return Ok(Chain {
                        storage: Arc::clone(storage),
                        layout,
                        last: wanted,
                        first,
                        released: false,
                        never_passed_over: false,
                        never_persists: false,
                    });
                }
                Some(found) if found.number > number => {}
                _ => return Err(not_created(outcome)),
            }
        }
        Err(Error::unavailable("several coordinators are taking over this job at the same time; start one of them"))
    }

    /// Takes over the mistakes that a test has planted.
    pub(super) fn plant(&mut self, config: &Config) {
        self.never_passed_over = config.errs(Mistake::NeverPassedOver);
        self.never_persists = config.errs(Mistake::RecordNotPersisted);
    }

    /// The last record of this coordinator.
    pub(super) fn last(&self) -> &Record {
        &self.last
    }

    /// The first id that this coordinator may give.
    pub(super) fn first_id(&self) -> CheckpointId {
        self.first
    }

    /// Stores a further record. Fails with [`Aborted`](ErrorKind::Aborted) if another coordinator has taken over; after
    /// any other error the record may be there or not, and the next one settles that.
    pub(super) fn append(&mut self, now_ms: i64, change: impl Fn(&mut Record)) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let mut wanted = self.last.clone();
            wanted.number = wanted.number.saturating_add(1);
            wanted.created_ms = now_ms;
            change(&mut wanted);
            let outcome = create(&*self.storage, &self.layout, &wanted)?;
            let found = read(&*self.storage, &self.layout)?.ok_or_else(|| vanished(&self.layout))?;
            if found == wanted {
                if !self.never_persists {
                    settle(&*self.storage, &self.layout, &wanted, outcome)?;
                }
                self.last = wanted;
                return Ok(());
            }
            if !self.is_own(&found) {
                return Err(passed_over(&found, &self.last));
            }
            if found.number == self.last.number {
                return Err(not_created(outcome));
            }
            // An earlier attempt, whose outcome was not known, has arrived.
            self.last = found;
        }
        Err(Error::unavailable("the record could not be stored under any number"))
    }

    /// The last record: nobody coordinates the job any more. Ids from `unused` on were not given.
    pub(super) fn release(&mut self, now_ms: i64, unused: CheckpointId) -> Result<()> {
        self.released = true;
        self.append(now_ms, |record| {
            record.reserved = unused.max(record.below);
            record.holder = Record::NOBODY;
        })
    }

    /// Whether no other coordinator has taken over.
    pub(super) fn is_current(&self) -> Result<bool> {
        let found = read(&*self.storage, &self.layout)?.ok_or_else(|| vanished(&self.layout))?;
        Ok(self.is_own(&found))
    }

    fn is_own(&self, record: &Record) -> bool {
        let is_holder = record.holder == self.last.holder || self.released && record.is_released();
        record.epoch == self.last.epoch && is_holder || self.never_passed_over
    }

    /// Deletes records that no longer count.
    pub(super) fn prune(&self) -> Result<()> {
        for info in self.storage.list(Some(&self.layout.control()))? {
            if let Some(Member::Record(number)) = self.layout.member(&info.path)
                && number.saturating_add(KEPT_RECORDS) < self.last.number
            {
                self.storage.delete(&info.path)?;
            }
        }
        Ok(())
    }
}

fn create(storage: &dyn Storage, layout: &JobLayout, record: &Record) -> Result<CommitOutcome> {
    let bytes = Control::Record(record.clone()).encode()?;
    Ok(storage.commit(&layout.record(record.number), &bytes))
}

/// Makes sure that a record that was found lasts.
fn settle(storage: &dyn Storage, layout: &JobLayout, record: &Record, outcome: CommitOutcome) -> Result<()> {
    match outcome {
        CommitOutcome::Committed => Ok(()),
        CommitOutcome::NotCommitted(_) | CommitOutcome::Unknown(_) => storage.persist(&layout.record(record.number)),
    }
}

fn not_created(outcome: CommitOutcome) -> Error {
    match outcome {
        CommitOutcome::Committed => Error::corrupt("a record was stored and is not there"),
        CommitOutcome::NotCommitted(error) if error.kind() == ErrorKind::InvalidInput => {
            Error::unavailable("a record of the next number is there, but cannot be found yet; try again")
                .because(error)
        }
        CommitOutcome::NotCommitted(error) | CommitOutcome::Unknown(error) => error,
    }
}

fn vanished(layout: &JobLayout) -> Error {
    Error::corrupt(format!("the records of job {} are gone; somebody deleted them", layout.job()))
}

fn passed_over(found: &Record, own: &Record) -> Error {
    Error::aborted(format!("another coordinator has taken over: epoch {} follows epoch {}", found.epoch, own.epoch))
}
