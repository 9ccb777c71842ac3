//! Canonical savepoints of keyed state: the same bytes whichever backend wrote them.
//!
//! A file is a [`KeyedHeader`] and one *block* for each key group that has entries; only the handle says where blocks
//! begin. A block is a run of entries per state. The top bit of an entry's first key byte says that the run ends, and a
//! state id or an end mark follows. Keys are composite: key group, key, namespace and, in maps, the user's key.
//! RocksDB has the same composite keys and values, without that bit.
//!
//! Sources: `FullSnapshotAsyncWriter`, `FullSnapshotRestoreOperation`, `SerializedCompositeKeyBuilder`,
//! `CompositeKeySerializationUtils`, `ListDelimitedSerializer`.

mod encode;
mod parts;

pub use encode::{BlockWriter, KeyBytes, write_element, write_map_value};

use std::borrow::Cow;

use super::entry::{Content, KeyedEntry, Layout};
use super::header::{KeyedHeader, StateInfo};
use super::key_group::Placement;
use super::primitive::Primitives;
use super::serializer::{Simple, Snapshot, TypeSerializer};
use super::snappy;
use super::value::Value;
use crate::codec::Reader;
use crate::error::{Error, ErrorKind, Result};
use crate::key_group::{KeyGroup, MaxParallelism};

/// Ends a block where a state id would be.
const END_OF_BLOCK: u16 = 0xFFFF;

/// Top bit of the first byte of a key: the entry is the last of its run.
const LAST_OF_RUN: u8 = 0x80;

/// Between the elements of a list.
const LIST_DELIMITER: u8 = b',';

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

    /// Decodes key and value, and checks that the key belongs to its key group where its hash code can be computed. A
    /// key or a state whose serializers are not known is
    /// [`Incompatible`](ErrorKind::Incompatible); a value that only its own program can interpret is
    /// [`Value::Opaque`].
    pub fn decode(&self, header: &KeyedHeader) -> Result<KeyedEntry> {
        let state = header
            .state(self.state_id)
            .ok_or_else(|| Error::incompatible(format!("state {} could not be read from the header", self.state_id)))?;
        let key = header.key.as_ref().ok_or_else(|| Error::incompatible("the key's serializer is not known"))?;
        self.decode_as(key, state).map_err(|error| error.in_state(&state.name))
    }

    /// Decodes key and value with the given serializers.
    fn decode_as(&self, key: &Snapshot, state: &StateInfo) -> Result<KeyedEntry> {
        let mut stored_key = Reader::with_base(self.key, self.key_offset);
        let mut stored_value = Reader::with_base(self.value, self.value_offset);
        match Layout::of(state)? {
            Layout::Queue { element } => {
                stored_value.finish("value of a timer")?;
                let timer = KeyedEntry::read_timer(element, self.placement, &mut stored_key)?;
                stored_key.finish("timer").map(|()| timer)
            }
            Layout::Value { namespace, value } => {
                let (key, namespace) = last_parts(key, namespace, self.placement, &mut stored_key)?;
                Ok(KeyedEntry { key, namespace, content: Content::Value(value.read_whole(&mut stored_value)?) })
            }
            Layout::List { namespace, element } => {
                let (key, namespace) = last_parts(key, namespace, self.placement, &mut stored_key)?;
                Ok(KeyedEntry { key, namespace, content: Content::Value(list(element, &mut stored_value)?) })
            }
            Layout::Map { namespace, user_key, user_value } => {
                let (key, namespace) = leading_parts(key, namespace, self.placement, &mut stored_key)?;
                let user_key = user_key.read_whole(&mut stored_key)?;
                let value = map_value(user_value, &mut stored_value)?;
                Ok(KeyedEntry { key, namespace, content: Content::MapEntry { user_key, value } })
            }
        }
    }
}

/// Reads key and namespace in front of a user's key. Their lengths follow them where both have variable lengths.
fn leading_parts(
    key: &Snapshot,
    namespace: &Snapshot,
    placement: Placement,
    input: &mut Reader<'_>,
) -> Result<(Value, Value)> {
    let measured = key.declared_length().is_none() && namespace.declared_length().is_none();
    let start = input.position();
    let key = placement.read_key(key, input)?;
    if measured {
        measure(input.since(start).len(), input, "length of the key")?;
    }
    let start = input.position();
    let namespace = namespace.read_value(input)?;
    if measured {
        measure(input.since(start).len(), input, "length of the namespace")?;
    }
    Ok((key, namespace))
}

/// Reads key and namespace that take all that is left. A key without a known end is opaque where the namespace has a
/// fixed length.
fn last_parts(
    key: &Snapshot,
    namespace: &Snapshot,
    placement: Placement,
    input: &mut Reader<'_>,
) -> Result<(Value, Value)> {
    let start = input.clone();
    match leading_parts(key, namespace, placement, input) {
        Ok(parts) => input.clone().finish("key").map(|()| parts),
        Err(error) if error.kind() == ErrorKind::Incompatible => {
            *input = start;
            let behind = stored_length(namespace).ok_or(error)?;
            let length = input.remaining().checked_sub(behind);
            let length = length.ok_or_else(|| input.corrupt("key", "is shorter than its namespace"))?;
            let key = key.read_whole(&mut input.slice(length, "key")?)?;
            Ok((key, namespace.read_whole(input)?))
        }
        Err(error) => Err(error),
    }
}

/// Number of bytes that a namespace takes, where it is fixed.
fn stored_length(namespace: &Snapshot) -> Option<usize> {
    match namespace.serializer {
        TypeSerializer::Simple(Simple::VoidNamespace) => Some(1),
        _ => namespace.declared_length(),
    }
}

/// Checks a length that follows what it measures: base 256, least significant byte first, no terminator.
fn measure(length: usize, input: &mut Reader<'_>, field: &'static str) -> Result<()> {
    let start = input.clone();
    let mut left = length;
    loop {
        let byte = usize::from(input.u8(field)?);
        if byte != left & 0xFF {
            return Err(start.corrupt(field, format!("does not say {length}, which is what was read")));
        }
        left >>= 8;
        if left == 0 {
            return Ok(());
        }
    }
}

/// A list: elements with a delimiter between them, which does not occur behind the last one. Elements without a known
/// end make the whole list opaque.
fn list(element: &Snapshot, input: &mut Reader<'_>) -> Result<Value> {
    let start = input.clone();
    let mut elements = Vec::new();
    while !input.is_empty() {
        match element.read_value(input) {
            Ok(value) => elements.push(value),
            Err(error) if error.kind() == ErrorKind::Incompatible => {
                *input = start;
                return element.opaque(input);
            }
            Err(error) => return Err(error),
        }
        if !input.is_empty() {
            input.expect(&[LIST_DELIMITER], "list delimiter")?;
            if input.is_empty() {
                return Err(input.corrupt("list delimiter", "is not followed by an element"));
            }
        }
    }
    Ok(Value::List(elements))
}

/// The value of a map entry: a flag that is 1 for null, else the value. Bytes behind a null are what some writers leave
/// there, and mean nothing.
fn map_value(user_value: &Snapshot, input: &mut Reader<'_>) -> Result<Value> {
    if input.bool("null flag")? {
        return Ok(Value::Null);
    }
    user_value.read_whole(input)
}

#[cfg(test)]
mod tests;
