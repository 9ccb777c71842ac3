//! Timers on the heap: a table that says which timers are set, and a queue per time domain that says which is next.
//!
//! The table is the truth and is what snapshots see. The queues are derived: deleting a timer leaves its queue entry
//! behind, to be skipped when it comes up, and a queue that is mostly such entries is rebuilt from the table.

use std::hash::{BuildHasher, Hash};

use super::queue::{Due, KeyBytes, Queue};
use super::table::{Slot, Table, TableHasher, slot_hash};
use crate::backend::Key;
use crate::backend::registration::SharedSerializer;
use crate::codec::Writer;
use crate::error::Result;
use crate::format::record::StateMeta;
use crate::state::{TimeDomain, Timer, TimerState};

/// What a timer waits for, besides its key: acts as the namespace of the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Moment<N> {
    pub(super) domain: TimeDomain,
    pub(super) timestamp_ms: i64,
    pub(super) namespace: N,
}

/// Queue entries that may be dead before a rebuild is worth it.
const FEW_DEAD: usize = 1024;

/// The timers of one domain in firing order.
#[derive(Debug)]
struct Agenda<K, N> {
    queue: Queue<K, N>,
    /// Entries of the queue beyond one for each timer that is set.
    dead: usize,
}

impl<K, N> Default for Agenda<K, N> {
    fn default() -> Self {
        Agenda { queue: Queue::default(), dead: 0 }
    }
}

/// All timers of one registration.
pub(super) struct Timers<K, N> {
    pub(super) meta: StateMeta,
    pub(super) table: Table<K, Moment<N>, ()>,
    pub(super) key: SharedSerializer<K>,
    pub(super) namespace: SharedSerializer<N>,
    hasher: TableHasher,
    event: Agenda<K, N>,
    processing: Agenda<K, N>,
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
            event: Agenda::default(),
            processing: Agenda::default(),
            scratch: Writer::new(),
        }
    }

    /// The agenda of a domain, and how its timers are encoded.
    #[inline]
    fn agenda_mut(&mut self, domain: TimeDomain) -> (&mut Agenda<K, N>, KeyBytes<'_, K, N>) {
        let agenda = match domain {
            TimeDomain::Event => &mut self.event,
            TimeDomain::Processing => &mut self.processing,
        };
        (agenda, KeyBytes { key: &*self.key, namespace: &*self.namespace, scratch: &mut self.scratch })
    }

    #[inline]
    pub(super) fn register(&mut self, group: usize, key_hash: u64, key: &K, moment: &Moment<N>) -> Result<bool> {
        // The key was encoded to find its key group; that the namespace can be encoded shows here.
        self.scratch.clear();
        self.namespace.write(&moment.namespace, &mut self.scratch)?;
        let slot = Slot { group, hash: slot_hash(&self.hasher, key_hash, moment), key, namespace: moment };
        let mut is_new = false;
        self.table.update(slot, |timer| is_new = timer.replace(()).is_none());
        if is_new {
            let (agenda, mut bytes) = self.agenda_mut(moment.domain);
            agenda.queue.push(due(group, key, moment), &mut bytes)?;
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
        let (agenda, _) = self.agenda_mut(moment.domain);
        agenda.dead += 1;
        if agenda.dead > FEW_DEAD && agenda.dead > agenda.queue.len() / 2 {
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
        let (agenda, mut bytes) = self.agenda_mut(domain);
        *agenda = Agenda::default();
        set.into_iter().try_for_each(|due| agenda.queue.push(due, &mut bytes))
    }

    /// Takes the next timer out that is due at `up_to_ms`.
    #[inline]
    pub(super) fn pop_due(&mut self, domain: TimeDomain, up_to_ms: i64) -> Result<Option<Timer<K, N>>> {
        loop {
            let (agenda, mut bytes) = self.agenda_mut(domain);
            if agenda.queue.next_ms(&mut bytes)?.is_none_or(|next_ms| next_ms > up_to_ms) {
                return Ok(None);
            }
            let Some(Due { timestamp_ms, group, key, namespace }) = agenda.queue.pop(&mut bytes)? else {
                return Ok(None);
            };
            let moment = Moment { domain, timestamp_ms, namespace };
            let hash = slot_hash(&self.hasher, self.hasher.hash_one(&key), &moment);
            if self.table.remove(Slot { group, hash, key: &key, namespace: &moment }) {
                return Ok(Some(Timer { timestamp_ms, key, namespace: moment.namespace }));
            }
            let (agenda, _) = self.agenda_mut(domain);
            agenda.dead = agenda.dead.saturating_sub(1);
        }
    }

    /// Timestamp of the next timer, dropping dead entries in front of it.
    #[inline]
    pub(super) fn next_due_ms(&mut self, domain: TimeDomain) -> Result<Option<i64>> {
        loop {
            let (agenda, mut bytes) = self.agenda_mut(domain);
            let next_ms = agenda.queue.next_ms(&mut bytes)?;
            if agenda.dead == 0 {
                return Ok(next_ms);
            }
            let Some(Due { timestamp_ms, group, key, namespace }) = agenda.queue.pop(&mut bytes)? else {
                return Ok(None);
            };
            let moment = Moment { domain, timestamp_ms, namespace };
            let hash = slot_hash(&self.hasher, self.hasher.hash_one(&key), &moment);
            let is_set = self.table.get(Slot { group, hash, key: &key, namespace: &moment }).is_some();
            let (agenda, mut bytes) = self.agenda_mut(domain);
            if is_set {
                agenda.queue.push(due(group, &key, &moment), &mut bytes)?;
                return Ok(next_ms);
            }
            agenda.dead = agenda.dead.saturating_sub(1);
        }
    }
}

#[inline]
fn due<K: Clone, N: Clone>(group: usize, key: &K, moment: &Moment<N>) -> Due<K, N> {
    Due { timestamp_ms: moment.timestamp_ms, group, key: key.clone(), namespace: moment.namespace.clone() }
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
    #[inline]
    fn moment(&self, domain: TimeDomain, timestamp_ms: i64) -> Moment<N> {
        Moment { domain, timestamp_ms, namespace: self.namespace.clone() }
    }
}

impl<K, N> TimerState for TimersAt<'_, K, N>
where
    K: Key,
    N: Key,
{
    #[inline]
    fn register(&mut self, domain: TimeDomain, timestamp_ms: i64) -> Result<bool> {
        let moment = self.moment(domain, timestamp_ms);
        self.timers.register(self.group, self.key_hash, self.key, &moment)
    }

    fn delete(&mut self, domain: TimeDomain, timestamp_ms: i64) -> Result<bool> {
        let moment = self.moment(domain, timestamp_ms);
        self.timers.delete(self.group, self.key_hash, self.key, &moment)
    }
}
