//! Maps.

use std::collections::BTreeMap;

use super::{Compatibility, Serializer, SerializerSnapshot};
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};

/// `BTreeMap<K::Value, V::Value>`: varint count, then key and value of each entry, strictly ascending by the bytes of
/// the encoded key.
///
/// Entries out of order and keys that occur twice are refused on read, so that equal maps are equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Map<K, V> {
    key: K,
    value: V,
}

impl<K, V> Map<K, V> {
    /// A serializer of maps from what `key` serializes to what `value` serializes.
    pub const fn new(key: K, value: V) -> Self {
        Map { key, value }
    }
}

/// Where one entry lies in the scratch buffer: `start..split` is the key, `split..end` the value.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    split: usize,
    end: usize,
}

impl<K, V> Serializer for Map<K, V>
where
    K: Serializer<Value: Ord>,
    V: Serializer,
{
    type Value = BTreeMap<K::Value, V::Value>;

    fn snapshot(&self) -> SerializerSnapshot {
        SerializerSnapshot::Map(Box::new(self.key.snapshot()), Box::new(self.value.snapshot()))
    }

    /// Writes the entries in the order of their encoded keys. Where that is not the order of the keys themselves, the
    /// entries are written to memory and sorted.
    fn write(&self, map: &BTreeMap<K::Value, V::Value>, out: &mut Writer) -> Result<()> {
        let mut scratch = Writer::new();
        let mut spans = Vec::with_capacity(map.len());
        for (key, value) in map {
            let start = scratch.len();
            self.key.write(key, &mut scratch)?;
            let split = scratch.len();
            self.value.write(value, &mut scratch)?;
            spans.push(Span { start, split, end: scratch.len() });
        }
        let bytes = scratch.as_slice();
        let key = |span: &Span| bytes.get(span.start..span.split).unwrap_or_default();
        out.length(spans.len());
        if spans.is_sorted_by(|left, right| key(left) < key(right)) {
            out.raw(bytes);
            return Ok(());
        }
        spans.sort_unstable_by_key(key);
        if !spans.is_sorted_by(|left, right| key(left) < key(right)) {
            return Err(Error::invalid_input("two different keys of a map have the same encoding"));
        }
        for span in spans {
            out.raw(bytes.get(span.start..span.end).unwrap_or_default());
        }
        Ok(())
    }

    fn read(&self, input: &mut Reader<'_>) -> Result<BTreeMap<K::Value, V::Value>> {
        let min_len = self.key.min_len().saturating_add(self.value.min_len());
        collect(input, min_len, |input| self.key.read(input), |input| self.value.read(input))
    }

    fn min_len(&self) -> usize {
        1
    }

    fn compatibility(&self, written: &SerializerSnapshot) -> Compatibility {
        match written {
            SerializerSnapshot::Map(key, value) => {
                let keys = self.key.compatibility(key).of_part("map key");
                keys.and(self.value.compatibility(value).of_part("map value"))
            }
            other => Compatibility::of_identical(&self.snapshot(), other),
        }
    }

    fn read_written(
        &self,
        written: &SerializerSnapshot,
        input: &mut Reader<'_>,
    ) -> Result<BTreeMap<K::Value, V::Value>> {
        match written {
            SerializerSnapshot::Map(key, value) => collect(
                input,
                key.min_len().saturating_add(value.min_len()),
                |input| self.key.read_written(key, input),
                |input| self.value.read_written(value, input),
            ),
            other => Err(Compatibility::refusal(&self.snapshot(), other)),
        }
    }
}

fn collect<K: Ord, V>(
    input: &mut Reader<'_>,
    min_len: usize,
    mut read_key: impl FnMut(&mut Reader<'_>) -> Result<K>,
    mut read_value: impl FnMut(&mut Reader<'_>) -> Result<V>,
) -> Result<BTreeMap<K, V>> {
    let mut entries = Entries::read_count(input, min_len)?;
    let mut map = BTreeMap::new();
    while let Some(key) = entries.next_key(input, &mut read_key)? {
        let value = read_value(input)?;
        if map.insert(key, value).is_some() {
            return Err(input.corrupt("map key", "equals another key of the same map, though their bytes differ"));
        }
    }
    Ok(map)
}

/// Reads the entries of one map and checks that the bytes of their keys ascend.
pub(super) struct Entries<'a> {
    left: usize,
    previous: Option<&'a [u8]>,
}

impl<'a> Entries<'a> {
    /// Reads the number of entries, each at least `min_len` bytes long.
    pub(super) fn read_count(input: &mut Reader<'a>, min_len: usize) -> Result<Self> {
        Ok(Entries { left: input.count(min_len, "number of map entries")?, previous: None })
    }

    /// Reads the next key; the caller then reads its value. `None` after the last one.
    pub(super) fn next_key<K>(
        &mut self,
        input: &mut Reader<'a>,
        read: impl FnOnce(&mut Reader<'a>) -> Result<K>,
    ) -> Result<Option<K>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let start = input.clone();
        let key = read(input)?;
        let bytes = input.since(start.position());
        if self.previous.is_some_and(|previous| previous >= bytes) {
            return Err(start.corrupt("map key", "does not come after the key before it"));
        }
        self.previous = Some(bytes);
        Ok(Some(key))
    }
}
