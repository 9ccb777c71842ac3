//! What went past, state by state: counted, and summed up in a checksum that the order does not change.

use crate::codec::Writer;
use crate::codec::checksum::xxh3;
use crate::key_group::KeyGroup;

/// What went past of every state of an operator.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    states: Vec<Count>,
    scratch: Writer,
}

/// What went past of one state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Entries, as neutral pairs.
    pub(super) entries: u64,
    /// Bytes of their keys and values.
    pub(super) bytes: u64,
    /// Sum of the XXH3-64 of key group, key and value of each.
    sum: u64,
}

impl Tally {
    pub(super) fn new(states: usize) -> Self {
        Tally { states: vec![Count::default(); states], scratch: Writer::new() }
    }

    /// Adds a pair of the state at a position.
    #[inline]
    pub(super) fn add(&mut self, state: usize, group: Option<KeyGroup>, key: &[u8], value: &[u8]) {
        let Tally { states, scratch } = self;
        let Some(count) = states.get_mut(state) else { return };
        scratch.clear();
        scratch.u64(xxh3(key));
        scratch.u64(xxh3(value));
        scratch.u32(group.map_or(u32::MAX, |group| u32::from(group.0)));
        count.entries = count.entries.saturating_add(1);
        let bytes = u64::try_from(key.len().saturating_add(value.len())).unwrap_or(u64::MAX);
        count.bytes = count.bytes.saturating_add(bytes);
        count.sum = count.sum.wrapping_add(xxh3(scratch.as_slice()));
    }

    /// What went past of the state at a position.
    pub(super) fn count(&self, state: usize) -> Count {
        self.states.get(state).copied().unwrap_or_default()
    }

    /// Position of the first state of which something else went past.
    pub(super) fn differs_from(&self, other: &Tally) -> Option<usize> {
        let longest = self.states.len().max(other.states.len());
        (0..longest).find(|state| self.states.get(*state) != other.states.get(*state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entry = (Option<u16>, &'static [u8], &'static [u8]);

    fn tally(entries: &[Entry]) -> Tally {
        let mut tally = Tally::new(1);
        entries.iter().for_each(|(group, key, value)| tally.add(0, group.map(KeyGroup), key, value));
        tally
    }

    #[test]
    fn every_difference_shows_and_order_does_not() {
        let entries: [Entry; 2] = [(Some(1), b"a", b"b"), (Some(2), b"c", b"")];
        assert_eq!(tally(&entries).differs_from(&tally(&[entries[1], entries[0]])), None);
        let others: [&[Entry]; 5] = [
            &[(Some(1), b"a", b"b")],
            &[(Some(1), b"a", b"b"), (Some(2), b"", b"c")],
            &[(Some(1), b"a", b"b"), (Some(3), b"c", b"")],
            &[(Some(1), b"a", b"b"), (None, b"c", b"")],
            &[(Some(1), b"a", b"b"), (Some(1), b"a", b"b")],
        ];
        for other in others {
            assert_eq!(tally(&entries).differs_from(&tally(other)), Some(0), "{other:?}");
        }
    }
}
