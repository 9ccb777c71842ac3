//! Which timer is next: a radix heap (Ahuja, Mehlhorn, Orlin and Tarjan 1990).
//!
//! Timers come up in the order of time, and most are set for later than the next one that is due. The queue makes use of
//! that. Timers no later than the *front moment* lie in a small binary heap that knows the whole firing order. All others
//! lie unsorted in buckets, by the highest hexadecimal digit in which their moment differs from the front moment, and by
//! that digit of theirs; so a lower bucket holds earlier timers only. When the heap is empty, a moment of the lowest bucket
//! becomes the front moment, and the timers of that bucket move to the heap or to lower buckets: its earliest moment, or
//! its latest if it holds few timers, which then all move to the heap.
//!
//! Deleting a timer leaves its entry behind. Dead entries are dropped when they move to the heap, or when they come up; the
//! caller knows which timers are set. Asking for every timer that moves also brings what removing it will need from memory
//! at once for all of them, instead of one after another.
//!
//! Setting a timer appends to a vector. Until it fires, a timer moves at most once per digit below its first one, from one
//! vector to the end of another, which costs little because memory is walked in order. Now and then a call moves many at
//! once, as it does when a vector grows.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use crate::codec::Writer;
use crate::error::Result;
use crate::serializer::Serializer;
use crate::state::TimeDomain;

/// Bits of a digit.
const DIGIT_BITS: u32 = 4;

/// Digits of a moment, and the values of one: both sixteen.
const DIGITS: usize = 16;

/// Largest bucket that moves to the front as a whole.
const WHOLE: usize = 64;

/// Largest bucket whose memory is kept when it is emptied.
const KEPT_CAPACITY: usize = 256;

/// What a timer waits for, besides its key: acts as the namespace of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment<N> {
    pub(super) domain: TimeDomain,
    pub(super) timestamp_ms: i64,
    pub(super) namespace: N,
}

/// Domain and timestamp as one number, which costs half of hashing two.
impl<N: Hash> Hash for Moment<N> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i64(self.timestamp_ms.wrapping_mul(2).wrapping_add(i64::from(self.domain.tag())));
        self.namespace.hash(state);
    }
}

/// A timer in the queue.
#[derive(Debug)]
pub(super) struct Due<K, N> {
    /// Position of the key group in the range.
    pub(super) group: usize,
    pub(super) key: K,
    pub(super) moment: Moment<N>,
}

/// A timer with what decides among timers of the same moment.
#[derive(Debug)]
struct Ordered<K, N> {
    due: Due<K, N>,
    /// Encoded key and namespace.
    bytes: SmallVec<[u8; 16]>,
}

impl<K, N> Ordered<K, N> {
    fn rank(&self) -> (i64, usize, &[u8]) {
        (self.due.moment.timestamp_ms, self.due.group, &self.bytes)
    }
}

impl<K, N> Ord for Ordered<K, N> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl<K, N> PartialOrd for Ordered<K, N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K, N> PartialEq for Ordered<K, N> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<K, N> Eq for Ordered<K, N> {}

/// Encodes keys and namespaces, whose bytes decide the order of timers of one moment.
pub(super) struct KeyBytes<'a, K, N> {
    pub(super) key: &'a dyn Serializer<Value = K>,
    pub(super) namespace: &'a dyn Serializer<Value = N>,
    pub(super) scratch: &'a mut Writer,
}

impl<K: Clone + Send + Sync + 'static, N: Clone + Send + Sync + 'static> KeyBytes<'_, K, N> {
    fn of(&mut self, due: &Due<K, N>) -> Result<SmallVec<[u8; 16]>> {
        self.scratch.clear();
        self.key.write(&due.key, self.scratch)?;
        self.namespace.write(&due.moment.namespace, self.scratch)?;
        Ok(SmallVec::from_slice(self.scratch.as_slice()))
    }
}

/// Timers of one time domain.
#[derive(Debug)]
pub(super) struct Queue<K, N> {
    /// Timers up to the front moment.
    front: BinaryHeap<Reverse<Ordered<K, N>>>,
    front_moment: u64,
    /// One per digit and value of it, lowest digit first.
    buckets: Vec<Vec<Due<K, N>>>,
    /// The buckets that are not empty, one bit each, by digit.
    occupied: [u16; DIGITS],
    /// The digits that have buckets that are not empty, one bit each.
    digits: u16,
    len: usize,
    /// Entries beyond one for each timer that is set.
    dead: usize,
}

impl<K, N> Default for Queue<K, N> {
    fn default() -> Self {
        let buckets = std::iter::repeat_with(Vec::new).take(DIGITS * DIGITS).collect();
        let occupied = [0; DIGITS];
        Queue { front: BinaryHeap::new(), front_moment: 0, buckets, occupied, digits: 0, len: 0, dead: 0 }
    }
}

/// A number whose unsigned order is that of timestamps.
#[inline]
fn ordered(timestamp_ms: i64) -> u64 {
    timestamp_ms.cast_unsigned() ^ (1 << 63)
}

/// A digit or its value, to index with.
#[inline]
fn index(number: impl TryInto<usize>) -> usize {
    number.try_into().unwrap_or(usize::MAX)
}

impl<K, N> Queue<K, N>
where
    K: Clone + Send + Sync + 'static,
    N: Clone + Send + Sync + 'static,
{
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a timer. Where its key or namespace cannot be encoded, this fails or a later call does; the timer is lost.
    #[inline(always)]
    pub(super) fn push(&mut self, due: Due<K, N>, bytes: &mut KeyBytes<'_, K, N>) -> Result<()> {
        if self.len == 0 {
            // Nothing is left whose order the front moment keeps; from the lowest one, every timer goes into a bucket.
            self.front_moment = 0;
        }
        self.place(due, bytes)?;
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    #[inline(always)]
    fn place(&mut self, due: Due<K, N>, bytes: &mut KeyBytes<'_, K, N>) -> Result<()> {
        let moment = ordered(due.moment.timestamp_ms);
        if moment <= self.front_moment {
            let bytes = bytes.of(&due)?;
            self.front.push(Reverse(Ordered { due, bytes }));
            return Ok(());
        }
        let digit = (moment ^ self.front_moment).ilog2() / DIGIT_BITS;
        let value = moment >> (digit * DIGIT_BITS) & 0xF;
        let position = index(digit) * DIGITS + index(value);
        if let (Some(bucket), Some(occupied)) = (self.buckets.get_mut(position), self.occupied.get_mut(index(digit))) {
            bucket.push(due);
            *occupied |= 1 << value;
            self.digits |= 1 << digit;
        }
        Ok(())
    }

    /// Notes that a timer whose entry is in the queue was deleted.
    pub(super) fn deleted(&mut self) {
        self.dead = self.dead.saturating_add(1);
    }

    /// Notes that an entry that was taken out was that of a deleted timer.
    pub(super) fn was_dead(&mut self) {
        self.dead = self.dead.saturating_sub(1);
    }

    /// Number of entries of deleted timers.
    pub(super) fn dead(&self) -> usize {
        self.dead
    }

    /// Moment of the next entry. `is_set` says which timers are set.
    #[inline]
    pub(super) fn next_ms(
        &mut self,
        bytes: &mut KeyBytes<'_, K, N>,
        is_set: impl Fn(&Due<K, N>) -> bool,
    ) -> Result<Option<i64>> {
        while self.front.is_empty() && self.digits != 0 {
            self.refill(bytes, &is_set)?;
        }
        Ok(self.front.peek().map(|Reverse(next)| next.due.moment.timestamp_ms))
    }

    /// Takes the entry out whose moment [`next_ms`](Self::next_ms) gave.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Due<K, N>> {
        let Reverse(Ordered { due, .. }) = self.front.pop()?;
        self.len = self.len.saturating_sub(1);
        Some(due)
    }

    /// Empties the lowest bucket into the front and lower buckets.
    #[inline(never)]
    fn refill(&mut self, bytes: &mut KeyBytes<'_, K, N>, is_set: &impl Fn(&Due<K, N>) -> bool) -> Result<()> {
        let digit = self.digits.trailing_zeros();
        let Some(occupied) = self.occupied.get_mut(index(digit)) else { return Ok(()) };
        let value = occupied.trailing_zeros();
        *occupied &= !(1 << value);
        if *occupied == 0 {
            self.digits &= !(1 << digit);
        }
        let position = index(digit) * DIGITS + index(value);
        let Some(bucket) = self.buckets.get_mut(position) else { return Ok(()) };
        let mut emptied = std::mem::take(bucket);
        let moments = emptied.iter().map(|due| ordered(due.moment.timestamp_ms));
        if emptied.len() <= WHOLE {
            self.front_moment = moments.max().unwrap_or(self.front_moment);
            let before = emptied.len();
            emptied.retain(is_set);
            let dropped = before - emptied.len();
            self.len = self.len.saturating_sub(dropped);
            self.dead = self.dead.saturating_sub(dropped);
        } else {
            self.front_moment = moments.min().unwrap_or(self.front_moment);
        }
        let mut outcome = Ok(());
        for due in emptied.drain(..) {
            outcome = outcome.and(self.place(due, bytes));
        }
        if emptied.capacity() <= KEPT_CAPACITY
            && let Some(bucket) = self.buckets.get_mut(position)
        {
            *bucket = emptied;
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serializer::{I64, Unit};

    fn due(timestamp_ms: i64, group: usize, key: i64) -> Due<i64, ()> {
        Due { group, key, moment: Moment { domain: TimeDomain::Event, timestamp_ms, namespace: () } }
    }

    fn with_bytes<R>(run: impl FnOnce(&mut KeyBytes<'_, i64, ()>) -> R) -> R {
        run(&mut KeyBytes { key: &I64, namespace: &Unit, scratch: &mut Writer::new() })
    }

    fn next_ms(queue: &mut Queue<i64, ()>) -> Option<i64> {
        with_bytes(|bytes| queue.next_ms(bytes, |_| true)).unwrap()
    }

    fn pop(queue: &mut Queue<i64, ()>) -> Option<Due<i64, ()>> {
        next_ms(queue)?;
        queue.pop()
    }

    fn rank(due: &Due<i64, ()>) -> (i64, usize, i64) {
        (due.moment.timestamp_ms, due.group, due.key)
    }

    #[test]
    fn timers_come_in_order_whatever_is_set_in_between() {
        let mut random = 7u64;
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from((random >> 33) % below).unwrap()
        };
        for spread in [1, 3, 1000, 1 << 30] {
            let (mut queue, mut model) = (Queue::default(), std::collections::BTreeSet::new());
            for step in 0..5000i64 {
                let timer = due(draw(spread) - 500 + step % 50, usize::try_from(draw(4)).unwrap(), step);
                model.insert(rank(&timer));
                with_bytes(|bytes| queue.push(timer, bytes)).unwrap();
                if draw(3) == 0 {
                    let expected = model.pop_first();
                    assert_eq!(next_ms(&mut queue), expected.map(|(at, ..)| at));
                    assert_eq!(pop(&mut queue).as_ref().map(rank), expected);
                }
                assert_eq!(queue.len(), model.len());
            }
            while let Some(expected) = model.pop_first() {
                assert_eq!(pop(&mut queue).as_ref().map(rank), Some(expected));
            }
            assert!(pop(&mut queue).is_none());
        }
    }

    #[test]
    fn entries_of_deleted_timers_are_dropped_on_their_way_to_the_front() {
        let mut queue = Queue::default();
        for key in 0..1000 {
            with_bytes(|bytes| queue.push(due(key * 37 % 1000, 0, key), bytes)).unwrap();
        }
        (0..500).for_each(|_| queue.deleted());
        let is_set = |due: &Due<i64, ()>| due.moment.timestamp_ms % 2 == 1;
        let mut fired = Vec::new();
        while with_bytes(|bytes| queue.next_ms(bytes, is_set)).unwrap().is_some() {
            fired.extend(queue.pop().filter(is_set).map(|due| due.moment.timestamp_ms));
        }
        assert_eq!(fired, (0..500).map(|half| half * 2 + 1).collect::<Vec<_>>());
        assert_eq!(queue.len(), 0);
        assert!(queue.dead() < 500, "some were dropped before they came up");
    }

    #[test]
    fn the_first_and_the_last_moment_there_are_can_be_set() {
        let mut queue = Queue::default();
        for at in [i64::MAX, 0, i64::MIN, -1] {
            with_bytes(|bytes| queue.push(due(at, 0, 0), bytes)).unwrap();
        }
        let order: Vec<i64> = std::iter::from_fn(|| pop(&mut queue)).map(|due| due.moment.timestamp_ms).collect();
        assert_eq!(order, [i64::MIN, -1, 0, i64::MAX]);
    }
}
