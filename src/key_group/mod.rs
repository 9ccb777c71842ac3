//! Key groups: the unit in which keyed state is distributed.
//!
//! Vocabulary: a job has a *max parallelism* `m` that never changes without re-hashing; every key belongs to one of the
//! `m` *key groups*; a subtask owns a contiguous *key-group range*. Rescaling moves whole groups between subtasks.
//!
//! The group of a key is `floor(h * m / 2^32)` where `h` is the upper half of XXH3-64 (seed 0) of the serialized key.
//! Ranges are split as Flink splits them (`KeyGroupRangeAssignment`), so both agree on who owns which group.

use std::fmt;

use crate::codec::checksum::xxh3;
use crate::error::{Error, Result};

/// Largest max parallelism.
pub const MAX_MAX_PARALLELISM: u32 = 32_768;

/// Number of key groups of a job: 1 to [`MAX_MAX_PARALLELISM`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MaxParallelism(u32);

impl MaxParallelism {
    /// Checks the bounds.
    pub fn new(count: u32) -> Result<Self> {
        if (1..=MAX_MAX_PARALLELISM).contains(&count) {
            return Ok(MaxParallelism(count));
        }
        Err(Error::invalid_input(format!("max parallelism is {count}, it must be 1 to {MAX_MAX_PARALLELISM}")))
    }

    /// Number of key groups.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// All key groups.
    pub fn all_groups(self) -> KeyGroupRange {
        KeyGroupRange { first: 0, last: narrow(self.0.saturating_sub(1)) }
    }

    /// The key group of a key, from its serialized bytes.
    #[inline]
    pub fn group_of_key(self, serialized_key: &[u8]) -> KeyGroup {
        self.group_of_hash(key_hash(serialized_key))
    }

    /// The key group of a key, from its [`key_hash`].
    #[inline]
    pub fn group_of_hash(self, key_hash: u64) -> KeyGroup {
        // Masked, so that no check is left of narrowing what is below the max parallelism anyway.
        KeyGroup(narrow_wide((((key_hash >> 32) * u64::from(self.0)) >> 32) & 0xFFFF))
    }
}

impl fmt::Display for MaxParallelism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The hash that decides a key's group: XXH3-64 with seed 0 of the serialized key.
#[inline]
pub fn key_hash(serialized_key: &[u8]) -> u64 {
    xxh3(serialized_key)
}

fn narrow(group: u32) -> u16 {
    u16::try_from(group).unwrap_or(u16::MAX)
}

#[inline]
fn narrow_wide(group: u64) -> u16 {
    u16::try_from(group).unwrap_or(u16::MAX)
}

/// Number of a key group, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyGroup(pub u16);

impl fmt::Display for KeyGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of parallel instances of an operator: 1 to its max parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Parallelism(u32);

impl Parallelism {
    /// Checks the bounds against the max parallelism.
    pub fn new(count: u32, max: MaxParallelism) -> Result<Self> {
        if (1..=max.get()).contains(&count) {
            return Ok(Parallelism(count));
        }
        Err(Error::invalid_input(format!("parallelism is {count}, it must be 1 to the max parallelism, {max}")))
    }

    /// Number of subtasks.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Parallelism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A contiguous, never empty range of key groups; both ends are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyGroupRange {
    first: u16,
    last: u16,
}

impl KeyGroupRange {
    /// The groups from `first` to `last`, both included.
    pub fn new(first: KeyGroup, last: KeyGroup) -> Result<Self> {
        if first <= last && u32::from(last.0) < MAX_MAX_PARALLELISM {
            return Ok(KeyGroupRange { first: first.0, last: last.0 });
        }
        Err(Error::invalid_input(format!("key-group range {first} to {last} is empty or too large")))
    }

    /// The groups of subtask `index` of `parallelism`: from `ceil(index * m / p)` to `floor(((index + 1) * m - 1) / p)`.
    pub fn of_subtask(index: u32, parallelism: Parallelism, max: MaxParallelism) -> Result<Self> {
        let (p, m) = (u64::from(parallelism.get()), u64::from(max.get()));
        if u64::from(index) >= p || p > m {
            return Err(Error::invalid_input(format!(
                "subtask {index} of parallelism {parallelism} with max parallelism {max} does not exist"
            )));
        }
        let index = u64::from(index);
        let first = (index * m).div_ceil(p);
        let last = ((index + 1) * m - 1) / p;
        Ok(KeyGroupRange { first: narrow_wide(first), last: narrow_wide(last) })
    }

    /// The lowest group.
    pub const fn first(self) -> KeyGroup {
        KeyGroup(self.first)
    }

    /// The highest group.
    pub const fn last(self) -> KeyGroup {
        KeyGroup(self.last)
    }

    /// Number of groups.
    pub fn len(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// Always false: a range holds at least one group.
    pub const fn is_empty(self) -> bool {
        false
    }

    /// Whether the group lies in the range.
    #[inline]
    pub fn contains(self, group: KeyGroup) -> bool {
        self.first <= group.0 && group.0 <= self.last
    }

    /// Position of the group within the range, from 0.
    #[inline]
    pub fn index_of(self, group: KeyGroup) -> Option<usize> {
        // One comparison: what lies below the first group wraps around to above the last.
        let index = group.0.wrapping_sub(self.first);
        (index <= self.last.wrapping_sub(self.first)).then_some(usize::from(index))
    }

    /// The groups both ranges hold.
    pub fn intersect(self, other: Self) -> Option<Self> {
        let first = self.first.max(other.first);
        let last = self.last.min(other.last);
        (first <= last).then_some(KeyGroupRange { first, last })
    }

    /// The groups in ascending order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = KeyGroup> + ExactSizeIterator {
        (usize::from(self.first)..usize::from(self.last) + 1)
            .map(|group| KeyGroup(u16::try_from(group).unwrap_or(u16::MAX)))
    }
}

impl fmt::Display for KeyGroupRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.first, self.last)
    }
}

/// The subtask that owns a key group: `group * p / m`.
pub fn subtask_of_group(group: KeyGroup, parallelism: Parallelism, max: MaxParallelism) -> u32 {
    let subtask = u64::from(group.0) * u64::from(parallelism.get()) / u64::from(max.get());
    u32::try_from(subtask).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_disjoint_complete_and_agree_with_the_owner() {
        for m in [1, 2, 7, 127, 128, 129, 1000, 32_768] {
            let max = MaxParallelism::new(m).unwrap();
            for p in [1, 2, 3, 5, 7, 100, m].into_iter().filter(|p| *p <= m) {
                let parallelism = Parallelism::new(p, max).unwrap();
                let mut next = 0u32;
                for index in 0..p {
                    let range = KeyGroupRange::of_subtask(index, parallelism, max).unwrap();
                    assert_eq!(u32::from(range.first().0), next, "m {m} p {p} subtask {index}");
                    for group in range.iter() {
                        assert_eq!(subtask_of_group(group, parallelism, max), index);
                    }
                    next = u32::from(range.last().0) + 1;
                }
                assert_eq!(next, m);
            }
        }
    }

    #[test]
    fn the_hash_is_fixed_for_ever() {
        let max = MaxParallelism::new(128).unwrap();
        let groups: Vec<u16> = ["a", "b", "N14228"].iter().map(|key| max.group_of_key(key.as_bytes()).0).collect();
        assert_eq!(key_hash(b""), 0x2D06_8005_38D3_94C2);
        assert_eq!(groups, GOLDEN_GROUPS);
    }

    const GOLDEN_GROUPS: [u16; 3] = [115, 43, 2];
}
