//! Leases: somebody reads a checkpoint of a running job and wants it to stay.
//!
//! The order makes it safe. A reader stores its lease, then reads the chain of records: if the checkpoint no longer counts
//! there, it is too late. A collector stores a record, then reads the leases: if one is there, it deletes nothing of that
//! checkpoint. So one of them notices the other. Both go by their own clocks; the collector adds what clocks may differ.

use std::sync::Arc;

use super::chain;
use crate::checkpoint::gc;
use crate::error::{Error, ErrorKind, Result};
use crate::format::control::{Control, Lease};
use crate::ids::{CheckpointId, JobId};
use crate::random::RandomSource;
use crate::storage::layout::{JobLayout, Member};
use crate::storage::{CommitOutcome, ObjectPath, Storage};

/// A lease on a checkpoint. Dropping it leaves it to expire; [`release`](Self::release) ends it.
#[derive(Debug)]
pub struct ReadLease {
    storage: Arc<dyn Storage>,
    layout: JobLayout,
    path: ObjectPath,
    lease: Lease,
}

impl ReadLease {
    /// Takes a lease for `duration_ms` on a checkpoint that can be restored. `reader` says who reads, for people.
    ///
    /// Fails with [`Aborted`](ErrorKind::Aborted) if the checkpoint has been given up.
    pub fn take(
        storage: Arc<dyn Storage>,
        (job, checkpoint): (JobId, CheckpointId),
        reader: &str,
        now_ms: i64,
        duration_ms: u64,
        random: &dyn RandomSource,
    ) -> Result<Self> {
        let layout = JobLayout::new(job);
        let expires_ms = now_ms.saturating_add_unsigned(duration_ms);
        let lease = Lease { job, checkpoint, expires_ms, reader: reader.to_owned() };
        let path = layout.new_lease(random)?;
        store(&*storage, &path, &lease)?;
        let taken = ReadLease { storage, layout, path, lease };
        match taken.check_counts() {
            Ok(()) => Ok(taken),
            Err(error) => {
                // One that stays behind protects for nothing until it expires.
                let _ = taken.release();
                Err(error)
            }
        }
    }

    fn check_counts(&self) -> Result<()> {
        let id = self.lease.checkpoint;
        match chain::read(&*self.storage, &self.layout)? {
            Some(record) if id < record.below && record.kept.binary_search(&id).is_err() => {
                Err(Error::aborted(format!("checkpoint {id} has been given up; take the latest one")))
            }
            _ => Ok(()),
        }
    }

    /// Until when it holds, in milliseconds since the Unix epoch.
    pub fn expires_ms(&self) -> i64 {
        self.lease.expires_ms
    }

    /// Fails with [`Aborted`](ErrorKind::Aborted) if the lease is over: whatever was read meanwhile may be incomplete and
    /// must not be used.
    pub fn check(&self, now_ms: i64) -> Result<()> {
        let Lease { checkpoint, expires_ms, .. } = &self.lease;
        if now_ms < *expires_ms {
            return Ok(());
        }
        Err(Error::aborted(format!(
            "the lease on checkpoint {checkpoint} ended {} ms ago, so its objects may be gone; take a longer lease, or renew \
             it in time",
            now_ms.saturating_sub(*expires_ms)
        )))
    }

    /// Goes on for `duration_ms` from now. Fails as [`check`](Self::check) does, and as [`take`](Self::take) does.
    pub fn renew(&mut self, now_ms: i64, duration_ms: u64, random: &dyn RandomSource) -> Result<()> {
        self.check(now_ms)?;
        let lease = Lease { expires_ms: now_ms.saturating_add_unsigned(duration_ms), ..self.lease.clone() };
        let path = self.layout.new_lease(random)?;
        store(&*self.storage, &path, &lease)?;
        let old = std::mem::replace(&mut self.path, path);
        self.lease = lease;
        self.storage.delete(&old)
    }

    /// Ends the lease. What fails to be deleted expires.
    pub fn release(self) -> Result<()> {
        self.storage.delete(&self.path)
    }
}

fn store(storage: &dyn Storage, path: &ObjectPath, lease: &Lease) -> Result<()> {
    match storage.commit(path, &Control::Lease(lease.clone()).encode()?) {
        CommitOutcome::Committed => Ok(()),
        // It may not last beyond a crash, but then neither does its reader, which cannot go on without it.
        CommitOutcome::Unknown(error) => storage.persist(path).map_err(|_| error),
        CommitOutcome::NotCommitted(error) => Err(error),
    }
}

/// The leases of a job, with their names.
pub(super) fn read_all(storage: &dyn Storage, layout: &JobLayout) -> Result<Vec<(ObjectPath, gc::Lease)>> {
    let mut leases = Vec::new();
    for info in storage.list(Some(&layout.control()))? {
        if layout.member(&info.path) != Some(Member::Lease) {
            continue;
        }
        let bytes = match storage.open(&info.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error.in_file(&info.path)),
        };
        match Control::decode(bytes.as_slice()).map_err(|error| error.in_file(&info.path))? {
            Control::Lease(Lease { checkpoint, expires_ms, .. }) => {
                leases.push((info.path, gc::Lease { id: checkpoint, expires_ms }));
            }
            _ => return Err(Error::corrupt("this is not the lease that its name says").in_file(&info.path)),
        }
    }
    Ok(leases)
}
