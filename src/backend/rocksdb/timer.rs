//! Timers: a row per timer, in firing order within each key group, and the next ones of each domain in memory.

use super::context::Of;
use super::database::Family;
use super::queue::Queue;
use super::typed::{Content, Takeover};
use crate::backend::Key;
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::format::native_rocksdb::{prefix_successor, row_key};
use crate::format::record::StateMeta;
use crate::key_group::{KeyGroup, KeyGroupRange};
use crate::serializer::Compatibility;
use crate::state::{TimeDomain, TimerState};

/// Length of what precedes the timestamp in a row: key group and domain.
const PREFIX: usize = 3;

/// The next timers of both domains.
#[derive(Debug)]
pub(super) struct Agendas {
    event: Queue,
    processing: Queue,
}

impl Agendas {
    /// Of timers over this many key groups, of which there are none, or nobody knows which.
    pub(super) fn new(groups: usize, is_empty: bool) -> Self {
        Agendas { event: Queue::new(groups, is_empty), processing: Queue::new(groups, is_empty) }
    }

    pub(super) fn of(&mut self, domain: TimeDomain) -> &mut Queue {
        match domain {
            TimeDomain::Event => &mut self.event,
            TimeDomain::Processing => &mut self.processing,
        }
    }
}

impl Content for Agendas {
    fn compatibility(&self, _written: &StateMeta) -> Compatibility {
        Compatibility::AsIs
    }

    fn take_over(&self, _takeover: &Takeover<'_>, _value: &[u8], _out: &mut Writer) -> Result<()> {
        Ok(())
    }
}

/// The part of a timer's row that a queue knows.
pub(super) fn timer_of(row: &[u8]) -> &[u8] {
    row.get(PREFIX..).unwrap_or_default()
}

/// The next timer of a domain: its key group, the position of that, and its bytes. The groups are those of `range`.
pub(super) fn next(
    agendas: &mut Agendas,
    family: Family<'_>,
    range: KeyGroupRange,
    domain: TimeDomain,
) -> Result<Option<(KeyGroup, usize, Vec<u8>)>> {
    let group_at = |position: usize| {
        let first = usize::from(range.first().0);
        KeyGroup(u16::try_from(first.saturating_add(position)).unwrap_or(u16::MAX))
    };
    let mut load = |position: usize, above: Option<&[u8]>, most: usize| {
        let mut prefix = Writer::new();
        row_key(group_at(position), &[domain.tag()], &mut prefix);
        load_rows(family, prefix.as_slice(), above, most)
    };
    let next = agendas.of(domain).next(&mut load)?;
    Ok(next.map(|(position, timer)| (group_at(position), position, timer.to_vec())))
}

/// The first timers whose rows begin with `prefix`, above another one if one is given.
fn load_rows(family: Family<'_>, prefix: &[u8], above: Option<&[u8]>, most: usize) -> Result<Vec<Box<[u8]>>> {
    let mut lower = prefix.to_vec();
    if let Some(above) = above {
        lower.extend_from_slice(above);
        lower.push(0);
    }
    let upper = prefix_successor(prefix).unwrap_or_else(|| vec![u8::MAX; 2]);
    let mut rows = family.rows(&lower, &upper)?;
    let mut loaded = Vec::new();
    while loaded.len() < most
        && let Some((row, _)) = rows.next_row()?
    {
        loaded.push(timer_of(row).into());
    }
    Ok(loaded)
}

/// The timestamp that a timer's bytes begin with.
pub(super) fn timestamp_ms(timer: &[u8]) -> Result<i64> {
    Reader::new(timer).ordered_i64("timestamp")
}

/// The timers of one key and namespace.
pub struct TimersAt<'a, K, N> {
    pub(super) family: Family<'a>,
    pub(super) agendas: &'a mut Agendas,
    /// Position of the key group in the range.
    pub(super) group: usize,
    /// Key group, key and namespace.
    pub(super) row: &'a mut Writer,
    pub(super) scratch: &'a mut Writer,
    pub(super) of: Of<K, N>,
}

impl<K, N> TimersAt<'_, K, N> {
    /// Puts the row of a timer into the scratch.
    #[inline]
    fn enter(&mut self, domain: TimeDomain, timestamp_ms: i64) {
        let (group, key) = self.row.as_slice().split_at_checked(2).unwrap_or_default();
        self.scratch.clear();
        self.scratch.raw(group);
        self.scratch.u8(domain.tag());
        self.scratch.ordered_i64(timestamp_ms);
        self.scratch.raw(key);
    }

    /// Whether the timer in the scratch is set.
    #[inline]
    fn is_set(&mut self, domain: TimeDomain) -> Result<bool> {
        match self.agendas.of(domain).contains(self.group, timer_of(self.scratch.as_slice())) {
            Some(is_set) => Ok(is_set),
            None => self.family.contains(self.scratch.as_slice()),
        }
    }
}

impl<K, N> TimerState for TimersAt<'_, K, N>
where
    K: Key,
    N: Key,
{
    #[inline]
    fn register(&mut self, domain: TimeDomain, timestamp_ms: i64) -> Result<bool> {
        self.enter(domain, timestamp_ms);
        if self.is_set(domain)? {
            return Ok(false);
        }
        self.family.put(self.scratch.as_slice(), &[])?;
        self.agendas.of(domain).insert(self.group, timer_of(self.scratch.as_slice()));
        Ok(true)
    }

    fn delete(&mut self, domain: TimeDomain, timestamp_ms: i64) -> Result<bool> {
        self.enter(domain, timestamp_ms);
        if !self.is_set(domain)? {
            return Ok(false);
        }
        self.family.delete(self.scratch.as_slice())?;
        self.agendas.of(domain).remove(self.group, timer_of(self.scratch.as_slice()));
        Ok(true)
    }
}
