use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::format::flink::primitive::Primitives;
use crate::key_group::{KeyGroup, KeyGroupRange, MAX_MAX_PARALLELISM};

/// Where each key group of a range begins in a stream (`KeyGroupRangeOffsets`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGroupOffsets {
    range: KeyGroupRange,
    offsets: Vec<Option<u64>>,
}

impl KeyGroupOffsets {
    /// One position for each key group of the range, in order, `None` where it has no bytes.
    ///
    /// Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) where there are more or fewer, or positions decrease.
    pub fn new(range: KeyGroupRange, offsets: Vec<Option<u64>>) -> Result<Self> {
        if offsets.len() != range.len() {
            let message = format!("{} positions for the {} key groups {range}", offsets.len(), range.len());
            return Err(Error::invalid_input(message));
        }
        if !offsets.iter().flatten().is_sorted() {
            return Err(Error::invalid_input("a key group begins before one with a lower number"));
        }
        Ok(KeyGroupOffsets { range, offsets })
    }

    /// The key groups.
    pub fn range(&self) -> KeyGroupRange {
        self.range
    }

    /// Each key group with the position at which it begins, `None` where it has no bytes.
    pub fn iter(&self) -> impl Iterator<Item = (KeyGroup, Option<u64>)> {
        self.range.iter().zip(self.offsets.iter().copied())
    }

    /// Where the key group begins, `None` where it has no bytes or is outside of the range.
    pub fn of(&self, group: KeyGroup) -> Option<u64> {
        self.range.index_of(group).and_then(|index| self.offsets.get(index).copied().flatten())
    }

    /// Each key group that has bytes, with their start and end in a stream of `size` bytes: a group ends where the next
    /// one begins.
    pub fn extents(&self, size: u64) -> Vec<(KeyGroup, u64, u64)> {
        let mut end = size;
        let mut extents: Vec<_> = self
            .range
            .iter()
            .rev()
            .zip(self.offsets.iter().rev())
            .filter_map(|(group, offset)| {
                let start = (*offset)?;
                Some((group, start, std::mem::replace(&mut end, start)))
            })
            .collect();
        extents.reverse();
        extents
    }

    /// Reads a range and its offsets. No bytes is -1 and, where the stream begins with a header, 0. Positions must not
    /// decrease.
    pub(super) fn read(input: &mut Reader<'_>, header_first: bool) -> Result<Self> {
        let range = read_range(input)?;
        let mut offsets = Vec::with_capacity(range.len().min(input.remaining() / 8));
        let mut highest = 0;
        for _ in 0..range.len() {
            let start = input.clone();
            let offset = match input.i64("key-group offset")? {
                -1 => None,
                0 if header_first => None,
                other => Some(u64::try_from(other).map_err(|_| {
                    start.corrupt("key-group offset", format!("is {other}, only -1 can stand for an empty key group"))
                })?),
            };
            if let Some(offset) = offset {
                if offset < highest {
                    let message = format!("is {offset}, before {highest}, where a lower key group begins");
                    return Err(start.corrupt("key-group offset", message));
                }
                highest = offset;
            }
            offsets.push(offset);
        }
        Ok(KeyGroupOffsets { range, offsets })
    }

    /// Checks that every offset lies inside a stream of `size` bytes. `place` is where the handle begins.
    pub(super) fn check_within(&self, size: u64, place: &Reader<'_>) -> Result<()> {
        match self.offsets.iter().rev().find_map(|offset| *offset) {
            Some(highest) if highest > size => Err(place.corrupt(
                "key-group offset",
                format!("{highest} is beyond the end of the stream, which has {size} bytes"),
            )),
            _ => Ok(()),
        }
    }
}

/// A key-group range: first group and number of groups.
pub(super) fn read_range(input: &mut Reader<'_>) -> Result<KeyGroupRange> {
    let start = input.clone();
    let first = input.i32("first key group")?;
    let count = input.i32("number of key groups")?;
    let range = || {
        let first = u16::try_from(first).ok()?;
        let last = u16::try_from(i64::from(first).checked_add(i64::from(count))?.checked_sub(1)?).ok()?;
        KeyGroupRange::new(KeyGroup(first), KeyGroup(last)).ok()
    };
    range().ok_or_else(|| {
        let message =
            format!("{count} key groups from {first} on are no range within 0 to {}", MAX_MAX_PARALLELISM - 1);
        start.corrupt("number of key groups", message)
    })
}
