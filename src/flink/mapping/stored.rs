//! Flink's values as MessagePack, as serde would write the types they are read as.

use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, Serializer};

use super::text;
use crate::error::{Error, Result};
use crate::format::flink::value::RowKind;
use crate::format::flink::{JavaString, Value};

/// A value that serde writes.
pub(super) struct Stored<'v>(&'v Value);

impl Stored<'_> {
    /// Appends the MessagePack of a value.
    pub(super) fn write(value: &Value, out: &mut Vec<u8>) -> Result<()> {
        let mut serializer = rmp_serde::Serializer::new(out).with_struct_map();
        Stored(value)
            .serialize(&mut serializer)
            .map_err(|error| Error::incompatible("a value that cannot be stored as MessagePack").because(error))
    }
}

impl Serialize for Stored<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null | Value::GlobalWindow => to.serialize_unit(),
            Value::Bool(value) => to.serialize_bool(*value),
            Value::Byte(value) => to.serialize_i8(*value),
            Value::Short(value) => to.serialize_i16(*value),
            Value::Int(value) => to.serialize_i32(*value),
            Value::Long(value) | Value::Date(value) => to.serialize_i64(*value),
            Value::Char(unit) => to.serialize_u16(*unit),
            Value::Float(value) => to.serialize_f32(*value),
            Value::Double(value) => to.serialize_f64(*value),
            Value::String(odd @ JavaString::Units(_)) => to.serialize_bytes(&odd.to_wtf8()),
            Value::Bytes(bytes) | Value::Opaque { bytes, .. } => to.serialize_bytes(bytes),
            Value::Timestamp { millis, nanos } | Value::TimestampData { millis, nanos } => {
                pair(to, ("millis", millis), ("nanos", nanos))
            }
            Value::Instant { seconds, nanos } => pair(to, ("seconds", seconds), ("nanos", nanos)),
            Value::Window { start, end } => pair(to, ("start_ms", start), ("end_ms", end)),
            Value::List(values) => sequence(to, values.iter().map(Stored)),
            Value::Set(values) => sequence(to, sorted(values, |value| value)?.into_iter().map(Stored)),
            Value::Map(entries) => {
                let mut map = to.serialize_map(Some(entries.len()))?;
                for (key, value) in sorted(entries, |(key, _)| key)? {
                    map.serialize_entry(&Stored(key), &Stored(value))?;
                }
                map.end()
            }
            Value::Row { kind, fields } | Value::RowData { kind, fields } if *kind != RowKind::Insert => {
                to.serialize_newtype_variant("Row", kind.number().into(), kind.symbol(), &Fields(fields))
            }
            Value::Tuple(fields) | Value::Row { fields, .. } | Value::RowData { fields, .. } => {
                Fields(fields).serialize(to)
            }
            Value::Pojo { fields, .. } => {
                let mut map = to.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(name, field)| map.serialize_entry(&**name, &Stored(field)))?;
                map.end()
            }
            Value::Enum(name) => to.serialize_str(name),
            Value::Left(value) => to.serialize_newtype_variant("Either", 0, "Left", &Stored(value)),
            Value::Right(value) => to.serialize_newtype_variant("Either", 1, "Right", &Stored(value)),
            other => match text(other) {
                Some(text) => to.serialize_str(&text),
                None => Err(S::Error::custom("a value that occurs only by itself")),
            },
        }
    }
}

/// Fields by position.
struct Fields<'v>(&'v [Value]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut tuple = to.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|field| tuple.serialize_element(&Stored(field)))?;
        tuple.end()
    }
}

fn sequence<'v, S: Serializer>(to: S, values: impl ExactSizeIterator<Item = Stored<'v>>) -> Result<S::Ok, S::Error> {
    let mut sequence = to.serialize_seq(Some(values.len()))?;
    for value in values {
        sequence.serialize_element(&value)?;
    }
    sequence.end()
}

/// A struct of two fields.
fn pair<S: Serializer>(
    to: S,
    first: (&'static str, &impl Serialize),
    second: (&'static str, &impl Serialize),
) -> Result<S::Ok, S::Error> {
    let mut fields = to.serialize_struct("Pair", 2)?;
    fields.serialize_field(first.0, first.1)?;
    fields.serialize_field(second.0, second.1)?;
    fields.end()
}

/// Items in the order of the encodings of their keys, so that equal collections give equal bytes.
fn sorted<T, E: serde::ser::Error>(items: &[T], key: impl Fn(&T) -> &Value) -> Result<Vec<&T>, E> {
    let mut keyed = Vec::with_capacity(items.len());
    for item in items {
        let mut bytes = Vec::new();
        Stored::write(key(item), &mut bytes).map_err(E::custom)?;
        keyed.push((bytes, item));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}
