use std::borrow::Cow;

use super::{JavaType, sql};
use crate::codec::Reader;
use crate::error::Result;
use crate::format::flink::value::{BigDecimal, BigInteger, LocalDate, LocalTime};
use crate::format::flink::{JavaString, key_group};
use crate::key_group::{KeyGroup, MaxParallelism};
use crate::serializer::{SerializerSnapshot, Value};

impl JavaType {
    /// The key group that Flink puts a key into, from the key's encoding here. `None` where the hash code cannot be
    /// computed or the key is no value of this type.
    ///
    /// Costs the decoding of the key; text, int and long are decoded in place.
    pub fn key_group(
        &self,
        description: &SerializerSnapshot,
        encoded: &[u8],
        max: MaxParallelism,
    ) -> Result<Option<KeyGroup>> {
        let mut input = Reader::new(encoded);
        let hash = match (self, description) {
            (JavaType::String, SerializerSnapshot::String) => Some(of_text(input.str("key")?)),
            (JavaType::Long, SerializerSnapshot::I64) => Some(fold(input.ordered_i64("key")?)),
            _ => self.hash(&Value::read(description, &mut input)?),
        };
        Ok(hash.map(|hash| key_group::of_hash(hash, max)))
    }

    /// Java's hash code of a value that was decoded without its type.
    fn hash(&self, value: &Value) -> Option<i32> {
        match (self, value) {
            (_, Value::Unit) => Some(0),
            (JavaType::Boolean, Value::Bool(value)) => Some(if *value { 1231 } else { 1237 }),
            (JavaType::Byte | JavaType::Short | JavaType::Int | JavaType::Char, number) => {
                i32::try_from(integer(number)?).ok()
            }
            (JavaType::Long | JavaType::Date, number) => integer(number).map(fold),
            (JavaType::Float, Value::F32(value)) => {
                Some(if value.is_nan() { 0x7FC0_0000 } else { value.to_bits().cast_signed() })
            }
            (JavaType::Double, Value::F64(value)) if value.is_nan() => Some(0x7FF8_0000),
            (JavaType::Double, Value::F64(value)) => Some(fold(value.to_bits().cast_signed())),
            (JavaType::String, Value::String(text)) => Some(of_text(text)),
            (JavaType::String, Value::Bytes(bytes)) => Some(JavaString::from_wtf8(bytes)?.java_hash()),
            (JavaType::BigInteger, Value::String(text)) => Some(BigInteger::parse(text)?.java_hash()),
            (JavaType::BigDecimal, Value::String(text)) => Some(BigDecimal::parse(text)?.java_hash()),
            (JavaType::Timestamp, moment) => field(moment, "millis").map(fold),
            (JavaType::Instant, moment) => {
                let nanos = i32::try_from(field(moment, "nanos")?).ok()?;
                Some(fold(field(moment, "seconds")?).wrapping_add(nanos.wrapping_mul(51)))
            }
            (JavaType::LocalDate, Value::String(text)) => Some(LocalDate::parse(text)?.java_hash()),
            (JavaType::LocalTime, Value::String(text)) => Some(fold(LocalTime::parse(text)?.nano_of_day())),
            (JavaType::LocalDateTime, Value::String(text)) => {
                let (day, time) = text.split_once('T')?;
                Some(LocalDate::parse(day)?.java_hash() ^ fold(LocalTime::parse(time)?.nano_of_day()))
            }
            (JavaType::Tuple(parts), value) => of_tuple(parts, value),
            (JavaType::Row(parts), value) => of_row(parts, value),
            (JavaType::SqlRow(types), value) => sql::hash(types, list(value)?),
            (JavaType::List(element), value) => list(value)?
                .iter()
                .try_fold(1i32, |hash, value| Some(hash.wrapping_mul(31).wrapping_add(element.hash(value)?))),
            (JavaType::Map(key, value), map) => entries(map)?.iter().try_fold(0i32, |sum, (entry_key, entry_value)| {
                Some(sum.wrapping_add(key.hash(entry_key)? ^ value.hash(entry_value)?))
            }),
            _ => None,
        }
    }
}

fn of_text(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The lower half of a number and its upper half, exclusively or-ed.
fn fold(number: i64) -> i32 {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    i32::from_be_bytes([a, b, c, d]) ^ i32::from_be_bytes([e, f, g, h])
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::I64(value) => Some(*value),
        Value::U64(value) => i64::try_from(*value).ok(),
        _ => None,
    }
}

/// A field of a point in time.
fn field(value: &Value, name: &str) -> Option<i64> {
    let Value::Record(fields) = value else { return None };
    fields.iter().find(|(field, _)| field == name).and_then(|(_, value)| integer(value))
}

/// The fields of a tuple or row, which MessagePack shows as a list, and the elements of a list.
fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::List(fields) | Value::Tuple(fields) => Some(fields),
        _ => None,
    }
}

fn fields<'v>(parts: &[JavaType], value: &'v Value) -> Option<&'v [Value]> {
    list(value).filter(|fields| fields.len() == parts.len())
}

/// The entries of a map, which MessagePack shows as a record where all keys are text.
fn entries(value: &Value) -> Option<Vec<(Cow<'_, Value>, &Value)>> {
    match value {
        Value::Map(entries) => Some(entries.iter().map(|(key, value)| (Cow::Borrowed(key), value)).collect()),
        Value::Record(fields) => {
            Some(fields.iter().map(|(name, value)| (Cow::Owned(Value::String(name.clone())), value)).collect())
        }
        _ => None,
    }
}

/// `Tuple2.hashCode()` and its like.
fn of_tuple(parts: &[JavaType], value: &Value) -> Option<i32> {
    let mut hashes = parts.iter().zip(fields(parts, value)?).map(|(part, field)| part.hash(field));
    let first = hashes.next()??;
    hashes.try_fold(first, |hash, field| Some(hash.wrapping_mul(31).wrapping_add(field?)))
}

/// `Row.hashCode()` of a row of kind `+I`.
fn of_row(parts: &[JavaType], value: &Value) -> Option<i32> {
    let mut fields = parts.iter().zip(fields(parts, value)?);
    fields.try_fold(1i32, |hash, (part, field)| Some(hash.wrapping_mul(31).wrapping_add(deep(part, field)?)))
}

/// What a field adds to the hash code of its row: lists and maps are looked into, anything else is hashed as an array that
/// holds it.
fn deep(java: &JavaType, value: &Value) -> Option<i32> {
    match (java, value) {
        (_, Value::Unit) => Some(0),
        (JavaType::List(element), value) => list(value)?
            .iter()
            .try_fold(1i32, |hash, value| Some(hash.wrapping_mul(31).wrapping_add(deep(element, value)?))),
        (JavaType::Map(key, map_value), map) => entries(map)?
            .iter()
            .try_fold(1i32, |sum, (k, v)| Some(sum.wrapping_add(deep(key, k)? ^ deep(map_value, v)?))),
        (java, value) => Some(java.hash(value)?.wrapping_add(31)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Writer;
    use crate::serializer::{I64, Msgpack, Serializer, Str};

    fn group<S: Serializer>(java: &JavaType, serializer: S, key: &S::Value) -> Option<u16> {
        let mut out = Writer::new();
        serializer.write(key, &mut out).unwrap();
        let max = MaxParallelism::new(128).unwrap();
        java.key_group(&serializer.snapshot(), out.as_slice(), max).unwrap().map(|group| group.0)
    }

    #[test]
    fn keys_are_put_where_flink_puts_them() {
        let text = |key: &str| group(&JavaType::String, Str, &key.to_owned());
        assert_eq!(["k0", "k1", "k2", "k3", "k4"].map(text), [97, 19, 82, 10, 18].map(Some));
        let max = MaxParallelism::new(128).unwrap();
        let of_hash = |hash| Some(key_group::of_hash(hash, max).0);
        assert_eq!(group(&JavaType::Long, I64, &(1 << 32)), of_hash(1));
        let row = JavaType::Row(vec![JavaType::String, JavaType::Int]);
        assert_eq!(group(&row, Msgpack::new(), &("a".to_owned(), 5)), of_hash(4965));
        let tuple = JavaType::Tuple(vec![JavaType::String, JavaType::Long]);
        assert_eq!(group(&tuple, Msgpack::new(), &("a".to_owned(), 5i64)), of_hash(97 * 31 + 5));
        let decimal = JavaType::BigDecimal;
        assert_eq!(group(&decimal, Str, &"12.34".to_owned()), of_hash(1234 * 31 + 2));
        assert_eq!(group(&JavaType::LocalDate, Str, &"2024-02-03".to_owned()), of_hash((2024 << 11) + 128 + 3));
        let map = JavaType::Map(Box::new(JavaType::String), Box::new(JavaType::Int));
        let entries = std::collections::BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        assert_eq!(group(&map, Msgpack::new(), &entries), of_hash((97 ^ 1) + (98 ^ 2)));
        let row = |parts| JavaType::Row(parts);
        let list = || JavaType::List(Box::new(JavaType::String));
        let key = (vec!["a".to_owned(), "b".to_owned()], 5);
        assert_eq!(group(&row(vec![list(), JavaType::Int]), Msgpack::new(), &key), of_hash(157_795));
        assert_eq!(group(&row(vec![map, JavaType::Int]), Msgpack::new(), &(entries, 5)), of_hash(10_948));
        let nested = row(vec![row(vec![JavaType::String]), JavaType::Int]);
        assert_eq!(group(&nested, Msgpack::new(), &(("a".to_owned(),), 5)), of_hash(6887));
        assert_eq!(group(&JavaType::Class("x".to_owned()), Str, &"a".to_owned()), None);
        assert_eq!(group(&JavaType::Int, Str, &"a".to_owned()), None, "another type");
    }
}
