//! Timers on the heap: a table that says which timers are set, and a queue per time domain that says which is next.
//!
//! The table is the truth and is what snapshots see. The queues are derived: deleting a timer leaves its queue entry
//! behind, to be skipped when it comes up, and a queue that is mostly such entries is rebuilt.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher, Hash};

use smallvec::SmallVec;

use super::content::SharedSerializer;
use super::table::{Slot, Table, TableHasher, slot_hash};
use crate::backend::Key;
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::format::record::StateMeta;
use crate::key_group::KeyGroup;
use crate::state::{TimeDomain, Timer, TimerState};

/// What a timer waits for, besides its key: acts as the namespace of the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Moment<N> {
    pub(super) domain: TimeDomain,
    pub(super) timestamp_ms: i64,
    pub(super) namespace: N,
}

/// A queue entry. The derived order is the firing order: time, key group, bytes of key and namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    timestamp_ms: i64,
    group: u16,
    /// Encoded key and namespace.
    key: SmallVec<[u8; 16]>,
}

/// Queue entries that may be dead before a rebuild is worth it.
const FEW_DEAD: usize = 1024;

#[derive(Debug, Default)]
struct Queue {
    due: BinaryHeap<Reverse<Due>>,
    dead: usize,
}

/// All timers of one registration.
pub(super) struct Timers<K, N> {
    pub(super) meta: StateMeta,
    pub(super) table: Table<K, Moment<N>, ()>,
    pub(super) key: SharedSerializer<K>,
    pub(super) namespace: SharedSerializer<N>,
    hasher: TableHasher,
    first_group: u16,
    event: Queue,
    processing: Queue,
    scratch: Writer,
}

impl<K, N> std::fmt::Debug for Timers<K, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timers").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl<K, N> Timers<K, N>
where
    K: Key,
    N: Key,
{
    pub(super) fn new(
        meta: StateMeta,
        groups: usize,
        first_group: KeyGroup,
        hasher: TableHasher,
        key: SharedSerializer<K>,
        namespace: SharedSerializer<N>,
    ) -> Self {
        Timers {
            meta,
            table: Table::new(groups, hasher.clone()),
            key,
            namespace,
            hasher,
            first_group: first_group.0,
            event: Queue::default(),
            processing: Queue::default(),
            scratch: Writer::new(),
        }
    }

    fn queue_mut(&mut self, domain: TimeDomain) -> &mut Queue {
        match domain {
            TimeDomain::Event => &mut self.event,
            TimeDomain::Processing => &mut self.processing,
        }
    }

    pub(super) fn register(&mut self, group: usize, key_hash: u64, key: &K, moment: &Moment<N>) -> Result<bool> {
        let slot = Slot { group, hash: slot_hash(&self.hasher, key_hash, moment), key, namespace: moment };
        if self.table.get(slot).is_some() {
            return Ok(false);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        self.key.write(key, &mut scratch)?;
        self.namespace.write(&moment.namespace, &mut scratch)?;
        let due = Due {
            timestamp_ms: moment.timestamp_ms,
            group: self.first_group.saturating_add(u16::try_from(group).unwrap_or(u16::MAX)),
            key: SmallVec::from_slice(scratch.as_slice()),
        };
        self.scratch = scratch;
        self.table.set(slot, ());
        self.queue_mut(moment.domain).due.push(Reverse(due));
        Ok(true)
    }

    /// Sets a timer that a snapshot held.
    pub(super) fn register_restored(&mut self, group: usize, key: &K, moment: &Moment<N>) -> Result<()> {
        let key_hash = self.hasher.hash_one(key);
        self.register(group, key_hash, key, moment).map(|_| ())
    }

    fn delete(&mut self, group: usize, key_hash: u64, key: &K, moment: &Moment<N>) -> Result<bool> {
        let slot = Slot { group, hash: slot_hash(&self.hasher, key_hash, moment), key, namespace: moment };
        if !self.table.remove(slot) {
            return Ok(false);
        }
        let queue = self.queue_mut(moment.domain);
        queue.dead += 1;
        if queue.dead > FEW_DEAD && queue.dead > queue.due.len() / 2 {
            self.rebuild(moment.domain)?;
        }
        Ok(true)
    }

    /// Drops queue entries whose timer is no longer set, and duplicates of those that are.
    fn rebuild(&mut self, domain: TimeDomain) -> Result<()> {
        let mut entries = std::mem::take(self.queue_mut(domain)).due.into_vec();
        entries.sort_unstable();
        entries.dedup();
        let mut kept = Vec::with_capacity(entries.len());
        for Reverse(due) in entries {
            if self.is_set(domain, &due)? {
                kept.push(Reverse(due));
            }
        }
        self.queue_mut(domain).due = BinaryHeap::from(kept);
        Ok(())
    }

    fn decode(&self, due: &Due) -> Result<(K, N)> {
        let mut input = Reader::new(&due.key);
        Ok((self.key.read(&mut input)?, self.namespace.read(&mut input)?))
    }

    fn is_set(&self, domain: TimeDomain, due: &Due) -> Result<bool> {
        let (key, namespace) = self.decode(due)?;
        let moment = Moment { domain, timestamp_ms: due.timestamp_ms, namespace };
        Ok(self.table.get(self.slot(due, &key, &moment)).is_some())
    }

    fn slot<'a>(&self, due: &Due, key: &'a K, moment: &'a Moment<N>) -> Slot<'a, K, Moment<N>> {
        Slot {
            group: usize::from(due.group.saturating_sub(self.first_group)),
            hash: slot_hash(&self.hasher, self.hasher.hash_one(key), moment),
            key,
            namespace: moment,
        }
    }

    /// Takes the next timer out that is due at `up_to_ms`.
    pub(super) fn pop_due(&mut self, domain: TimeDomain, up_to_ms: i64) -> Result<Option<Timer<K, N>>> {
        loop {
            let queue = self.queue_mut(domain);
            match queue.due.peek() {
                Some(Reverse(next)) if next.timestamp_ms <= up_to_ms => {}
                _ => return Ok(None),
            }
            let Some(Reverse(due)) = queue.due.pop() else { return Ok(None) };
            let (key, namespace) = self.decode(&due)?;
            let moment = Moment { domain, timestamp_ms: due.timestamp_ms, namespace };
            let slot = self.slot(&due, &key, &moment);
            if self.table.remove(slot) {
                return Ok(Some(Timer { timestamp_ms: due.timestamp_ms, key, namespace: moment.namespace }));
            }
            let queue = self.queue_mut(domain);
            queue.dead = queue.dead.saturating_sub(1);
        }
    }

    /// Timestamp of the next timer, dropping dead entries in front of it.
    pub(super) fn next_due_ms(&mut self, domain: TimeDomain) -> Result<Option<i64>> {
        loop {
            let Some(Reverse(due)) = self.queue_mut(domain).due.peek().cloned() else { return Ok(None) };
            if self.is_set(domain, &due)? {
                return Ok(Some(due.timestamp_ms));
            }
            let queue = self.queue_mut(domain);
            queue.due.pop();
            queue.dead = queue.dead.saturating_sub(1);
        }
    }
}

/// The timers of one key and namespace.
pub struct TimersAt<'a, K, N> {
    pub(super) timers: &'a mut Timers<K, N>,
    pub(super) group: usize,
    pub(super) key_hash: u64,
    pub(super) key: &'a K,
    pub(super) namespace: &'a N,
}

impl<K, N> TimersAt<'_, K, N>
where
    N: Clone,
{
    fn moment(&self, domain: TimeDomain, timestamp_ms: i64) -> Moment<N> {
        Moment { domain, timestamp_ms, namespace: self.namespace.clone() }
    }
}

impl<K, N> TimerState for TimersAt<'_, K, N>
where
    K: Key,
    N: Key,
{
    fn register(&mut self, domain: TimeDomain, timestamp_ms: i64) -> Result<bool> {
        let moment = self.moment(domain, timestamp_ms);
        self.timers.register(self.group, self.key_hash, self.key, &moment)
    }

    fn delete(&mut self, domain: TimeDomain, timestamp_ms: i64) -> Result<bool> {
        let moment = self.moment(domain, timestamp_ms);
        self.timers.delete(self.group, self.key_hash, self.key, &moment)
    }
}
