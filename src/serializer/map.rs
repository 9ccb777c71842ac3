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
    mut key: impl FnMut(&mut Reader<'_>) -> Result<K>,
    mut value: impl FnMut(&mut Reader<'_>) -> Result<V>,
) -> Result<BTreeMap<K, V>> {
    let mut map = BTreeMap::new();
    read_entries(
        input,
        min_len,
        |input| key(input),
        |input, key| {
            map.insert(key, value(input)?);
            Ok(())
        },
    )?;
    Ok(map)
}

/// Reads the entries of a map, each at least `min_len` bytes long, and checks that their keys ascend.
pub(super) fn read_entries<K>(
    input: &mut Reader<'_>,
    min_len: usize,
    mut read_key: impl FnMut(&mut Reader<'_>) -> Result<K>,
    mut read_value: impl FnMut(&mut Reader<'_>, K) -> Result<()>,
) -> Result<()> {
    let count = input.count(min_len, "number of map entries")?;
    let mut previous: Option<&[u8]> = None;
    for _ in 0..count {
        let start = input.clone();
        let key = read_key(input)?;
        let bytes = input.since(start.position());
        if previous.is_some_and(|previous| previous >= bytes) {
            return Err(start.corrupt("map key", "does not come after the key before it"));
        }
        previous = Some(bytes);
        read_value(input, key)?;
    }
    Ok(())
}
