//! An external merge sort: pairs by place and key, in memory that does not grow with their number.
//!
//! Pairs are collected in one buffer. When that is full it is sorted and written to a file, a *run*; in the end the runs are
//! merged, in several rounds if there are more than can be open at the same time. What fits into the buffer never touches
//! the disk. A single pair larger than the buffer makes a run of its own. Without a directory for files everything stays in
//! memory.

mod run;
mod scratch;

use std::collections::VecDeque;

pub use scratch::Scratch;

use crate::error::{Error, Result};
use crate::key_group::KeyGroup;
use run::{Merge, RunWriter};
use scratch::ScratchFile;

/// Runs that are merged at a time.
const FAN_IN: usize = 64;

/// Least memory that sorting is done with, in bytes.
const LEAST_MEMORY_BYTES: usize = 1 << 20;

/// Where a pair belongs: key group, then position of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The key group.
    pub group: KeyGroup,
    /// Position of the state among those that are sorted together.
    pub state: u16,
}

/// Takes pairs in any order and gives them back ascending.
#[derive(Debug)]
pub struct Sorter<'s> {
    scratch: Option<&'s Scratch>,
    memory_bytes: usize,
    bytes: Vec<u8>,
    items: Vec<Item>,
    runs: VecDeque<ScratchFile>,
    spilled_bytes: u64,
}

/// Takes a pair.
pub type PairVisit<'v> = &'v mut dyn FnMut(Place, &[u8], &[u8]) -> Result<()>;

/// A pair in the buffer: its key, and right behind it its value. Small, since sorting is moving items.
#[derive(Debug, Clone, Copy)]
struct Item {
    /// The place and the first bytes of the key, so that most comparisons touch nothing else.
    head: u128,
    start: usize,
    key_len: u32,
    value_len: u32,
}

impl<'s> Sorter<'s> {
    /// Sorts in `memory_bytes`, of which it takes at least one MiB, and with files in `scratch`; in as much memory as it
    /// needs if there is none.
    pub fn new(scratch: Option<&'s Scratch>, memory_bytes: usize) -> Self {
        let memory_bytes = memory_bytes.max(LEAST_MEMORY_BYTES);
        Sorter { scratch, memory_bytes, bytes: Vec::new(), items: Vec::new(), runs: VecDeque::new(), spilled_bytes: 0 }
    }

    /// Bytes written to runs so far.
    pub fn spilled_bytes(&self) -> u64 {
        self.spilled_bytes
    }

    /// Bytes for keys and values; the other half is for the items.
    fn room_bytes(&self) -> usize {
        self.memory_bytes / 2
    }

    fn room_items(&self) -> usize {
        self.memory_bytes / 2 / size_of::<Item>()
    }

    /// Adds a pair. Files that cannot be written are [`Unavailable`](crate::ErrorKind::Unavailable); a key or a value of
    /// 4 GiB and more, which no snapshot can hold, is [`InvalidInput`](crate::ErrorKind::InvalidInput).
    pub fn push(&mut self, place: Place, key: &[u8], value: &[u8]) -> Result<()> {
        let needed = key.len().saturating_add(value.len());
        let is_full =
            self.bytes.len().saturating_add(needed) > self.room_bytes() || self.items.len() >= self.room_items();
        if let Some(scratch) = self.scratch.filter(|_| is_full && !self.items.is_empty()) {
            self.spill(scratch)?;
        }
        if self.bytes.capacity() == 0 && self.scratch.is_some() {
            // All at once, so that growing never needs the old and the new buffer at the same time.
            self.bytes.reserve_exact(self.room_bytes());
            self.items.reserve_exact(self.room_items());
        }
        let item = Item {
            head: head(place, key),
            start: self.bytes.len(),
            key_len: stored_length(key)?,
            value_len: stored_length(value)?,
        };
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.items.push(item);
        Ok(())
    }

    /// Gives every pair to `visit`, ascending by place and key, and forgets them. A key that comes twice is
    /// [`Corrupt`](crate::ErrorKind::Corrupt).
    pub fn drain(&mut self, visit: PairVisit<'_>) -> Result<()> {
        let Some(scratch) = self.scratch.filter(|_| !self.runs.is_empty()) else {
            self.sort();
            self.check_distinct()?;
            self.for_each(visit)?;
            self.clear();
            return Ok(());
        };
        let mut last = Last::default();
        let mut checked = |place: Place, key: &[u8], value: &[u8]| {
            last.check(place, key)?;
            visit(place, key, value)
        };
        self.spill(scratch)?;
        (self.bytes, self.items) = (Vec::new(), Vec::new());
        while self.runs.len() > FAN_IN {
            let merged: Vec<ScratchFile> = self.runs.drain(..FAN_IN).collect();
            let mut out = RunWriter::create(scratch, self.buffer_bytes())?;
            Merge::new(&merged, self.buffer_bytes())?.run(&mut |place, key, value| out.pair(place, key, value))?;
            self.finish(out)?;
        }
        let merged: Vec<ScratchFile> = self.runs.drain(..).collect();
        Merge::new(&merged, self.buffer_bytes())?.run(&mut checked)
    }

    /// What each open file may buffer.
    fn buffer_bytes(&self) -> usize {
        self.memory_bytes / (FAN_IN + 1)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    fn sort(&mut self) {
        let Sorter { bytes, items, .. } = self;
        // By numbers alone first; few items are left to be compared by their whole keys.
        items.sort_unstable_by_key(|item| item.head);
        for alike in items.chunk_by_mut(|a, b| a.head == b.head).filter(|alike| alike.len() > 1) {
            alike.sort_unstable_by(|a, b| a.key(bytes).cmp(b.key(bytes)));
        }
    }

    /// Looks for a key that comes twice among sorted items.
    fn check_distinct(&self) -> Result<()> {
        let is_same = |a: &Item, b: &Item| a.head == b.head && a.key(&self.bytes) == b.key(&self.bytes);
        let twice = self.items.windows(2).find_map(|pair| match pair {
            [a, b] if is_same(a, b) => Some(a.place()),
            _ => None,
        });
        twice.map_or(Ok(()), |place| Err(comes_twice(place)))
    }

    fn for_each(&self, visit: PairVisit<'_>) -> Result<()> {
        self.items.iter().try_for_each(|item| visit(item.place(), item.key(&self.bytes), item.value(&self.bytes)))
    }

    fn spill(&mut self, scratch: &Scratch) -> Result<()> {
        self.sort();
        let mut out = RunWriter::create(scratch, self.buffer_bytes())?;
        self.for_each(&mut |place, key, value| out.pair(place, key, value))?;
        self.clear();
        self.finish(out)
    }

    fn finish(&mut self, out: RunWriter) -> Result<()> {
        let run = out.finish()?;
        self.spilled_bytes = self.spilled_bytes.saturating_add(run.length);
        self.runs.push_back(run);
        Ok(())
    }
}

impl Item {
    #[inline]
    fn key<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        part(bytes, self.start, self.key_len)
    }

    #[inline]
    fn value<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let key_len = usize::try_from(self.key_len).unwrap_or(usize::MAX);
        part(bytes, self.start.saturating_add(key_len), self.value_len)
    }

    #[inline]
    fn place(&self) -> Place {
        let [group_high, group_low, state_high, state_low, ..] = self.head.to_be_bytes();
        let group = KeyGroup(u16::from_be_bytes([group_high, group_low]));
        Place { group, state: u16::from_be_bytes([state_high, state_low]) }
    }
}

#[inline]
fn part(bytes: &[u8], start: usize, length: u32) -> &[u8] {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    bytes.get(start..start.saturating_add(length)).unwrap_or_default()
}

/// Bytes of a key that are in its item's head.
const HEAD_KEY_BYTES: usize = 12;

/// Group, state and the first bytes of the key as a number that orders like them; shorter keys are filled up.
#[inline]
fn head(place: Place, key: &[u8]) -> u128 {
    let mut head = [0; 4 + HEAD_KEY_BYTES];
    let (of_place, prefix) = head.split_at_mut(4);
    let [group_high, group_low] = place.group.0.to_be_bytes();
    let [state_high, state_low] = place.state.to_be_bytes();
    of_place.copy_from_slice(&[group_high, group_low, state_high, state_low]);
    match key.first_chunk::<HEAD_KEY_BYTES>() {
        Some(first) => prefix.copy_from_slice(first),
        None => prefix.iter_mut().zip(key).for_each(|(to, from)| *to = *from),
    }
    u128::from_be_bytes(head)
}

#[inline]
fn stored_length(bytes: &[u8]) -> Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| {
        Error::invalid_input(format!("a key or a value of {} bytes, at most {} fit", bytes.len(), u32::MAX))
    })
}

#[cold]
fn comes_twice(place: Place) -> Error {
    Error::corrupt("the same key comes twice in the source").in_key_group(place.group.0)
}

/// The pair before.
#[derive(Default)]
struct Last {
    place: Option<Place>,
    key: Vec<u8>,
}

impl Last {
    fn check(&mut self, place: Place, key: &[u8]) -> Result<()> {
        if self.place == Some(place) && self.key == key {
            return Err(comes_twice(place));
        }
        self.place = Some(place);
        self.key.clear();
        self.key.extend_from_slice(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{RandomSource, SeededRandom};

    type Pair = (Place, Vec<u8>, Vec<u8>);

    fn drained(sorter: &mut Sorter<'_>) -> Result<Vec<Pair>> {
        let mut pairs = Vec::new();
        sorter.drain(&mut |place, key, value| {
            pairs.push((place, key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        Ok(pairs)
    }

    /// Pairs with keys of which many begin alike.
    fn pairs(count: usize, value_bytes: usize) -> Vec<Pair> {
        let random = SeededRandom::new(count as u64);
        let pair = |number: usize| {
            let drawn = random.next_u128().unwrap();
            let place = Place { group: KeyGroup(drawn as u16 % 4), state: (drawn >> 16) as u16 % 2 };
            let key = [vec![b'k'; (drawn >> 32) as usize % 12], number.to_be_bytes().to_vec()].concat();
            (place, key, vec![number as u8; value_bytes])
        };
        (0..count).map(pair).collect()
    }

    #[test]
    fn pairs_come_back_in_order_from_memory_and_from_runs() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::create_in(directory.path()).unwrap();
        for (count, value_bytes, spills) in [(0, 0, false), (1000, 5, false), (60_000, 30, true), (200, 1 << 16, true)]
        {
            let pairs = pairs(count, value_bytes);
            let mut sorter = Sorter::new(Some(&scratch), 0);
            // The second time it begins with an emptied sorter.
            for _ in 0..2 {
                pairs.iter().for_each(|(place, key, value)| sorter.push(*place, key, value).unwrap());
                let mut sorted = pairs.clone();
                sorted.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
                assert!(drained(&mut sorter).unwrap() == sorted, "{count} pairs");
                assert_eq!(sorter.spilled_bytes() > 0, spills, "{count} pairs");
            }
            // What says that the directory is in use stays.
            assert_eq!(std::fs::read_dir(scratch.path().unwrap()).unwrap().count(), 1, "runs are removed");
        }
        drop(scratch);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn more_runs_than_can_be_open_are_merged_in_rounds() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::create_in(directory.path()).unwrap();
        let mut sorter = Sorter::new(Some(&scratch), 0);
        let mut expected = Vec::new();
        for number in (0..3 * FAN_IN).rev() {
            let (place, key) = (Place { group: KeyGroup(0), state: 0 }, number.to_be_bytes().to_vec());
            // Larger than the buffer, so that each is a run.
            let value = vec![number as u8; 600_000];
            sorter.push(place, &key, &value).unwrap();
            expected.push((place, key));
        }
        expected.reverse();
        let mut found = Vec::new();
        sorter
            .drain(&mut |place, key, value| {
                assert_eq!(value.len(), 600_000);
                found.push((place, key.to_vec()));
                Ok(())
            })
            .unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn without_a_directory_everything_stays_in_memory() {
        let pairs = pairs(60_000, 30);
        let mut sorter = Sorter::new(None, 0);
        pairs.iter().for_each(|(place, key, value)| sorter.push(*place, key, value).unwrap());
        let mut sorted = pairs.clone();
        sorted.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        assert!(drained(&mut sorter).unwrap() == sorted);
        assert_eq!(sorter.spilled_bytes(), 0);
    }

    #[test]
    fn a_directory_is_made_for_the_first_file() {
        let directory = tempfile::tempdir().unwrap();
        let parent = directory.path().join("later");
        let scratch = Scratch::later_in(&parent);
        let mut sorter = Sorter::new(Some(&scratch), 0);
        sorter.push(Place { group: KeyGroup(0), state: 0 }, b"k", b"v").unwrap();
        assert_eq!(drained(&mut sorter).unwrap().len(), 1);
        assert!(!parent.exists());
        pairs(60_000, 30).iter().for_each(|(place, key, value)| sorter.push(*place, key, value).unwrap());
        assert!(parent.exists());
    }

    #[test]
    fn a_key_that_comes_twice_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::create_in(directory.path()).unwrap();
        for between in [0, 60_000] {
            let mut sorter = Sorter::new(Some(&scratch), 0);
            let place = Place { group: KeyGroup(0), state: 0 };
            sorter.push(place, b"twice", b"1").unwrap();
            pairs(between, 30).iter().for_each(|(place, key, value)| sorter.push(*place, key, value).unwrap());
            sorter.push(place, b"twice", b"2").unwrap();
            assert_eq!(drained(&mut sorter).unwrap_err().kind(), crate::ErrorKind::Corrupt);
        }
    }
}
