//! Canonical savepoints of keyed state: the same bytes whichever backend wrote them.
//!
//! A file is a [`KeyedHeader`] and one *block* for each key group that has entries; only the handle says where blocks
//! begin. A block is a run of entries per state. The top bit of an entry's first key byte says that the run ends, and a
//! state id or an end mark follows. Keys are composite: key group, key, namespace and, in maps, the user's key.
//! RocksDB has the same composite keys and values, without that bit.
//!
//! Sources: `FullSnapshotAsyncWriter`, `FullSnapshotRestoreOperation`, `SerializedCompositeKeyBuilder`,
//! `CompositeKeySerializationUtils`, `ListDelimitedSerializer`.

mod decode;
mod encode;
mod parts;
mod usual;

pub(crate) use decode::{Parts, PartsContent, StateDecoder};
pub use encode::{BlockWriter, KeyBytes, write_element, write_map_value};

use std::borrow::Cow;

use super::entry::KeyedEntry;
use super::header::KeyedHeader;
use super::key_group::Placement;
use super::primitive::Primitives;
use super::snappy;
use super::value::Usual;
use crate::codec::Reader;
use crate::error::Result;
use crate::key_group::{KeyGroup, MaxParallelism};

/// Ends a block where a state id would be.
const END_OF_BLOCK: u16 = 0xFFFF;

/// Top bit of the first byte of a key: the entry is the last of its run.
const LAST_OF_RUN: u8 = 0x80;

/// Between the elements of a list.
pub(in crate::format::flink) const LIST_DELIMITER: u8 = b',';

/// Number of bytes that the key group takes in front of every key: one up to 128 key groups, two above.
pub fn prefix_length(max: MaxParallelism) -> usize {
    if max.get() <= 128 { 1 } else { 2 }
}

/// The entries of one key group.
#[derive(Debug, Clone)]
pub struct Block<'a> {
    placement: Placement,
    bytes: Cow<'a, [u8]>,
    base: u64,
}

impl<'a> Block<'a> {
    /// The block of a key group. `bytes` reach from where the handle says that the group begins to where the next one
    /// does, or to the end of the stream; `base` is the position of the first of them. Expands a compressed block.
    pub fn open(
        header: &KeyedHeader,
        group: KeyGroup,
        max: MaxParallelism,
        bytes: &'a [u8],
        base: u64,
    ) -> Result<Self> {
        let expanded =
            snappy::expand(header.compressed, false, bytes, base).map_err(|error| error.in_key_group(group.0))?;
        // Offsets inside expanded bytes count from their beginning.
        let base = if header.compressed { 0 } else { base };
        Ok(Block { placement: Placement { group, max }, bytes: expanded, base })
    }

    /// The entries, without decoding keys and values. Ends after the first error.
    pub fn entries<'b>(&'b self, header: &'b KeyedHeader) -> Entries<'b> {
        let input = Reader::with_base(&self.bytes, self.base);
        Entries { header, placement: self.placement, input, run: Run::Start }
    }
}

/// Iterator over the entries of a [`Block`].
#[derive(Debug)]
pub struct Entries<'b> {
    header: &'b KeyedHeader,
    placement: Placement,
    input: Reader<'b>,
    run: Run,
}

#[derive(Debug, Clone, Copy)]
enum Run {
    Start,
    Of(u16),
    Ended,
}

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'b> {
    placement: Placement,
    /// Position of the state in the header.
    pub state_id: u16,
    /// The composite key without the key group in front.
    pub key: &'b [u8],
    /// The value.
    pub value: &'b [u8],
    /// Where `key` begins.
    pub key_offset: u64,
    /// Where `value` begins.
    pub value_offset: u64,
}

impl<'b> Iterator for Entries<'b> {
    type Item = Result<Entry<'b>>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.read().map_err(|error| error.in_key_group(self.placement.group.0)).transpose();
        if !matches!(item, Some(Ok(_))) {
            self.run = Run::Ended;
        }
        item
    }
}

impl<'b> Entries<'b> {
    fn read(&mut self) -> Result<Option<Entry<'b>>> {
        if let Some(entry) = self.usual() {
            return Ok(Some(entry));
        }
        let state_id = match self.run {
            Run::Start => {
                let start = self.input.clone();
                let id = self.input.u16("state id")?;
                self.check_id(id, &start)?
            }
            Run::Of(id) => id,
            Run::Ended => return Ok(None),
        };
        let mut key = self.input.frame("key")?;
        let last = self.prefix(&mut key)?;
        let mut value = self.input.frame("value")?;
        let entry = Entry {
            placement: self.placement,
            state_id,
            key_offset: key.offset(),
            key: key.raw(key.remaining(), "key")?,
            value_offset: value.offset(),
            value: value.raw(value.remaining(), "value")?,
        };
        self.run = Run::Of(state_id);
        if last {
            self.run = self.next_run()?;
        }
        Ok(Some(entry))
    }

    /// The next entry, if it is neither the first nor the last of its run and nothing is wrong with it.
    #[inline]
    fn usual(&mut self) -> Option<Entry<'b>> {
        let Run::Of(state_id) = self.run else { return None };
        let mut input = Usual::new(self.input.rest());
        let length = input.count(1)?;
        let key = input.raw(length)?;
        let (group, key) = match prefix_length(self.placement.max) {
            1 => key.split_first_chunk().map(|([low], key)| (u16::from(*low), key))?,
            _ => key.split_first_chunk().map(|(group, key)| (u16::from_be_bytes(*group), key))?,
        };
        // The mark of the last entry makes it another number.
        if group != self.placement.group.0 {
            return None;
        }
        let length = input.count(1)?;
        let value = input.raw(length)?;
        let left = input.rest().len();
        self.input.raw(self.input.remaining().checked_sub(left)?, "entry").ok()?;
        let value_offset = self.input.offset().saturating_sub(u64::try_from(value.len()).unwrap_or(u64::MAX));
        let behind = value.len().saturating_add(4).saturating_add(key.len());
        let key_offset = self.input.offset().saturating_sub(u64::try_from(behind).unwrap_or(u64::MAX));
        Some(Entry { placement: self.placement, state_id, key, value, key_offset, value_offset })
    }

    /// Reads the key group in front of a key and says whether the entry is the last of its run.
    fn prefix(&self, key: &mut Reader<'b>) -> Result<bool> {
        let start = key.clone();
        let bytes = key.raw(prefix_length(self.placement.max), "key group")?;
        let (first, rest) = bytes.split_first().ok_or_else(|| start.corrupt("key group", "is missing"))?;
        let number = rest.iter().fold(u16::from(first & !LAST_OF_RUN), |number, byte| (number << 8) | u16::from(*byte));
        let group = self.placement.group;
        if number != group.0 {
            let message = format!("is {number} in the block of key group {group}");
            return Err(start.corrupt("key group", message));
        }
        Ok(first & LAST_OF_RUN != 0)
    }

    fn next_run(&mut self) -> Result<Run> {
        let start = self.input.clone();
        match self.input.u16("next state id")? {
            END_OF_BLOCK => {
                self.input.clone().finish("end of key group")?;
                Ok(Run::Ended)
            }
            id => self.check_id(id, &start).map(Run::Of),
        }
    }

    fn check_id(&self, id: u16, place: &Reader<'_>) -> Result<u16> {
        if self.header.has_id(id) {
            return Ok(id);
        }
        Err(place.corrupt("state id", format!("is {id}, the file has {} states", self.header.state_count)))
    }
}

impl<'b> Entry<'b> {
    /// An entry of a RocksDB database, whose keys and values are those of canonical files: the key group in front of the
    /// key is taken off and returned. Offsets of errors count from the beginning of the key or the value.
    pub fn of_database(state_id: u16, key: &'b [u8], value: &'b [u8], max: MaxParallelism) -> Result<(KeyGroup, Self)> {
        let mut input = Reader::new(key);
        let start = input.clone();
        let prefix = input.raw(prefix_length(max), "key group")?;
        let number = prefix.iter().fold(0u16, |number, byte| (number << 8) | u16::from(*byte));
        if u32::from(number) >= max.get() {
            return Err(start.corrupt("key group", format!("is {number}, the max parallelism is {max}")));
        }
        let group = KeyGroup(number);
        let placement = Placement { group, max };
        let key_offset = input.offset();
        let key = input.raw(input.remaining(), "key")?;
        Ok((group, Entry { placement, state_id, key, value, key_offset, value_offset: 0 }))
    }

    /// An entry with the composite key and the value of canonical files, wherever it lies: offsets of errors count from
    /// the beginning of the key or the value.
    pub fn of_pair(state_id: u16, group: KeyGroup, max: MaxParallelism, key: &'b [u8], value: &'b [u8]) -> Self {
        Entry { placement: Placement { group, max }, state_id, key, value, key_offset: 0, value_offset: 0 }
    }

    /// Decodes key and value, and checks that the key belongs to its key group where its hash code can be computed. A
    /// key or a state whose serializers are not known is
    /// [`Incompatible`](crate::ErrorKind::Incompatible); a value that only its own program can interpret is
    /// [`Value::Opaque`](super::Value::Opaque).
    pub fn decode(&self, header: &KeyedHeader) -> Result<KeyedEntry> {
        StateDecoder::of(header, self.state_id)?.decode(self)
    }
}

#[cfg(test)]
mod tests;
