//! Timers on the heap: a table that says which timers are set, and a queue per time domain that says which is next.
//!
//! The table is the truth and is what snapshots see. The queues are derived: deleting a timer leaves its queue entry
//! behind, to be dropped later, and a queue that is mostly such entries is rebuilt from the table.

use std::hash::BuildHasher;

use super::queue::{Due, KeyBytes, Moment, Queue};
use super::table::{Slot, Table, TableHasher, slot_hash};
use crate::backend::Key;
use crate::backend::registration::SharedSerializer;
use crate::codec::Writer;
use crate::error::Result;
use crate::format::record::StateMeta;
use crate::state::{TimeDomain, Timer, TimerState};

/// Queue entries that may be dead before a rebuild is worth it.
const FEW_DEAD: usize = 1024;

/// All timers of one registration.
pub(super) struct Timers<K, N> {
    pub(super) meta: StateMeta,
    pub(super) table: Table<K, Moment<N>, ()>,
    pub(super) key: SharedSerializer<K>,
    pub(super) namespace: SharedSerializer<N>,
    hasher: TableHasher,
    event: Queue<K, N>,
    processing: Queue<K, N>,
    scratch: Writer,
}

/// The queue of a domain, what encodes its timers, and the table.
type Parts<'a, K, N> = (&'a mut Queue<K, N>, KeyBytes<'a, K, N>, &'a mut Table<K, Moment<N>, ()>);

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
            event: Queue::default(),
            processing: Queue::default(),
            scratch: Writer::new(),
        }
    }

    #[inline(always)]
    fn parts(&mut self, domain: TimeDomain) -> Parts<'_, K, N> {
        let queue = match domain {
            TimeDomain::Event => &mut self.event,
            TimeDomain::Processing => &mut self.processing,
        };
        let bytes = KeyBytes { key: &*self.key, namespace: &*self.namespace, scratch: &mut self.scratch };
        (queue, bytes, &mut self.table)
    }

    #[inline(always)]
    pub(super) fn register(&mut self, group: usize, key_hash: u64, key: &K, moment: &Moment<N>) -> Result<bool> {
        // The key was encoded to find its key group; that the namespace can be encoded shows here.
        if size_of::<N>() > 0 {
            self.scratch.clear();
            self.namespace.write(&moment.namespace, &mut self.scratch)?;
        }
        let slot = Slot { group, hash: slot_hash(&self.hasher, key_hash, moment), key, namespace: moment };
        let is_new = self.table.insert(slot, ());
        if is_new {
            let (queue, mut bytes, _) = self.parts(moment.domain);
            queue.push(due(group, key, moment), &mut bytes)?;
        }
        Ok(is_new)
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
        let (queue, ..) = self.parts(moment.domain);
        queue.deleted();
        if queue.dead() > FEW_DEAD && queue.dead() > queue.len() / 2 {
            self.rebuild(moment.domain)?;
        }
        Ok(true)
    }

    /// Fills a queue anew with the timers that are set.
    fn rebuild(&mut self, domain: TimeDomain) -> Result<()> {
        let mut set = Vec::new();
        for group in 0..self.table.group_count() {
            self.table.for_each(group, |key, moment, ()| {
                if moment.domain == domain {
                    set.push(due(group, key, moment));
                }
            });
        }
        let (queue, mut bytes, _) = self.parts(domain);
        *queue = Queue::default();
        set.into_iter().try_for_each(|due| queue.push(due, &mut bytes))
    }

    /// Takes the next timer out that is due at `up_to_ms`.
    #[inline]
    pub(super) fn pop_due(&mut self, domain: TimeDomain, up_to_ms: i64) -> Result<Option<Timer<K, N>>> {
        let hasher = self.hasher.clone();
        let (queue, mut bytes, table) = self.parts(domain);
        loop {
            let next_ms = queue.next_ms(&mut bytes, |due| is_set(table, due))?;
            if next_ms.is_none_or(|next_ms| next_ms > up_to_ms) {
                return Ok(None);
            }
            let Some(due) = queue.pop() else { return Ok(None) };
            if table.remove(slot(&hasher, &due)) {
                let Due { key, moment: Moment { timestamp_ms, namespace, .. }, .. } = due;
                return Ok(Some(Timer { timestamp_ms, key, namespace }));
            }
            queue.was_dead();
        }
    }

    /// Timestamp of the next timer, dropping dead entries in front of it.
    #[inline]
    pub(super) fn next_due_ms(&mut self, domain: TimeDomain) -> Result<Option<i64>> {
        let (queue, mut bytes, table) = self.parts(domain);
        loop {
            let next_ms = queue.next_ms(&mut bytes, |due| is_set(table, due))?;
            if queue.dead() == 0 {
                return Ok(next_ms);
            }
            let Some(next) = queue.pop() else { return Ok(None) };
            if is_set(table, &next) {
                queue.push(next, &mut bytes)?;
                return Ok(next_ms);
            }
            queue.was_dead();
        }
    }
}

#[inline]
fn due<K: Clone, N: Clone>(group: usize, key: &K, moment: &Moment<N>) -> Due<K, N> {
    Due { group, key: key.clone(), moment: moment.clone() }
}

/// Where the table keeps a timer.
#[inline]
fn slot<'a, K: Key, N: Key>(hasher: &TableHasher, due: &'a Due<K, N>) -> Slot<'a, K, Moment<N>> {
    let Due { group, key, moment } = due;
    Slot { group: *group, hash: slot_hash(hasher, hasher.hash_one(key), moment), key, namespace: moment }
}

#[inline]
fn is_set<K: Key, N: Key>(table: &Table<K, Moment<N>, ()>, due: &Due<K, N>) -> bool {
    table.get(slot(table.hasher(), due)).is_some()
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
    #[inline(always)]
    fn moment(&self, domain: TimeDomain, timestamp_ms: i64) -> Moment<N> {
        Moment { domain, timestamp_ms, namespace: self.namespace.clone() }
    }
}

impl<K, N> TimerState for TimersAt<'_, K, N>
where
    K: Key,
    N: Key,
{
    #[inline(always)]
    fn register(&mut self, domain: TimeDomain, timestamp_ms: i64) -> Result<bool> {
        let moment = self.moment(domain, timestamp_ms);
        self.timers.register(self.group, self.key_hash, self.key, &moment)
    }

    fn delete(&mut self, domain: TimeDomain, timestamp_ms: i64) -> Result<bool> {
        let moment = self.moment(domain, timestamp_ms);
        self.timers.delete(self.group, self.key_hash, self.key, &moment)
    }
}
