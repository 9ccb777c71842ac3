//! Which key group a key belongs to, as Flink computes it: from Java's `hashCode`.
//!
//! Sources: `KeyGroupRangeAssignment`, `MathUtils.murmurHash`, `MurmurHashUtils`, and the JDK's documentation of
//! `hashCode`.

use super::primitive::{Primitives, ascii, ascii_hash, utf16_units};
use super::serializer::{Simple, Snapshot, TypeSerializer};
use super::value::{Form, Usual, Value};
use crate::codec::Reader;
use crate::error::Result;
use crate::key_group::{KeyGroup, MaxParallelism};

/// The key group of a Java hash code.
pub fn of_hash(java_hash: i32, max: MaxParallelism) -> KeyGroup {
    let group = murmur(java_hash).checked_rem(max.get()).unwrap_or(0);
    KeyGroup(u16::try_from(group).unwrap_or(u16::MAX))
}

/// The key group of a key, `None` where its hash code cannot be computed: see [`java_hash`].
pub fn of_key(serializer: &Snapshot, key: &Value, encoded: &[u8], max: MaxParallelism) -> Option<KeyGroup> {
    java_hash(serializer, key, encoded).map(|hash| of_hash(hash, max))
}

/// Java's hash code of a value, `None` where it depends on a program's own code or on the identity of an object: POJOs,
/// enums, arrays, and everything opaque. `encoded` is the value as its serializer wrote it, which is what SQL rows are
/// hashed by.
pub fn java_hash(serializer: &Snapshot, value: &Value, encoded: &[u8]) -> Option<i32> {
    match &serializer.serializer {
        TypeSerializer::RowData { .. } | TypeSerializer::BinaryRowData { .. } => of_binary_row(encoded.get(4..)?),
        serializer => of_value(serializer, value),
    }
}

/// Where a key was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placement {
    pub(super) group: KeyGroup,
    pub(super) max: MaxParallelism,
}

impl Placement {
    /// Reads a key and checks that it belongs to the key group, where its hash code can be computed.
    pub(super) fn read_key<F: Form>(self, serializer: &Snapshot, input: &mut Reader<'_>) -> Result<F> {
        if self.has_usual(&serializer.serializer, &mut Usual::new(input.rest())) {
            return serializer.read_as(input);
        }
        let start = input.clone();
        let key = serializer.read_as(input)?;
        let encoded = input.since(start.position());
        match hash_of_encoded(serializer, encoded).map(|hash| of_hash(hash, self.max)) {
            Some(group) if group != self.group => {
                let message = format!("belongs to key group {group} and is stored in key group {}", self.group);
                Err(start.corrupt("key", message))
            }
            _ => Ok(key),
        }
    }

    /// Reads a key of a usual type; whether there is one that belongs to the key group.
    #[inline]
    pub(super) fn has_usual(self, serializer: &TypeSerializer, input: &mut Usual<'_>) -> bool {
        let hash = match serializer {
            TypeSerializer::Simple(Simple::Long) => input.array().map(|bytes| fold(i64::from_be_bytes(bytes))),
            TypeSerializer::Simple(Simple::Int) => input.array().map(i32::from_be_bytes),
            TypeSerializer::Simple(Simple::String) => input.text().map(ascii_hash),
            _ => None,
        };
        hash.is_some_and(|hash| of_hash(hash, self.max) == self.group)
    }
}

/// Java's hash code of a value that was decoded once, see [`java_hash`]. The usual types of keys are not decoded again.
fn hash_of_encoded(serializer: &Snapshot, encoded: &[u8]) -> Option<i32> {
    let mut input = Reader::new(encoded);
    match &serializer.serializer {
        TypeSerializer::Simple(Simple::Long) => input.i64("long").ok().map(fold),
        TypeSerializer::Simple(Simple::Int) => input.i32("int").ok(),
        TypeSerializer::Simple(Simple::String) => {
            let Ok(Some(units)) = input.strval_units("string") else { return None };
            match ascii(&mut input, units) {
                Ok(Some(text)) => Some(ascii_hash(text.as_bytes())),
                _ => utf16_units(&mut input, units, "string").ok().map(|text| text.java_hash()),
            }
        }
        _ => java_hash(serializer, &serializer.read_value(&mut input).ok()?, encoded),
    }
}

/// `MathUtils.murmurHash`: never negative.
fn murmur(code: i32) -> u32 {
    let word = code.cast_unsigned();
    let hash = finish(mix(0, word) ^ 4).cast_signed();
    match hash {
        i32::MIN => 0,
        hash => hash.unsigned_abs(),
    }
}

/// Adds one word to a MurmurHash3 (x86, 32 bits).
fn mix(hash: u32, word: u32) -> u32 {
    let word = word.wrapping_mul(0xCC9E_2D51).rotate_left(15).wrapping_mul(0x1B87_3593);
    (hash ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xE654_6B64)
}

/// Mixes the bits of a MurmurHash3 for the last time.
fn finish(hash: u32) -> u32 {
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85EB_CA6B);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(0xC2B2_AE35);
    hash ^ (hash >> 16)
}

/// `BinaryRowData.hashCode()`: MurmurHash3 with seed 42 over little-endian words.
pub(crate) fn of_binary_row(row: &[u8]) -> Option<i32> {
    let (words, rest) = row.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    let hash = words.iter().fold(42, |hash, word| mix(hash, u32::from_be_bytes(*word).swap_bytes()));
    Some(finish(hash ^ u32::try_from(row.len()).ok()?).cast_signed())
}

fn of_value(serializer: &TypeSerializer, value: &Value) -> Option<i32> {
    match (serializer, value) {
        (TypeSerializer::Simple(simple), value) => of_simple(*simple, value),
        (TypeSerializer::Tuple { class, fields }, Value::Tuple(values)) if TypeSerializer::is_java_tuple(class) => {
            let mut hashes = fields.iter().zip(values).map(|(field, value)| or_null(&field.serializer, value));
            let first = hashes.next()??;
            hashes.try_fold(first, |hash, field| Some(hash.wrapping_mul(31).wrapping_add(field?)))
        }
        (TypeSerializer::Row { fields, .. }, Value::Row { kind, fields: values }) => {
            let deep = fields.iter().zip(values).try_fold(1i32, |hash, (field, value)| {
                Some(hash.wrapping_mul(31).wrapping_add(deep(&field.serializer, value)?))
            })?;
            Some(i32::from(kind.number()).wrapping_mul(31).wrapping_add(deep))
        }
        (TypeSerializer::List(element), Value::List(values)) => values.iter().try_fold(1i32, |hash, value| {
            Some(hash.wrapping_mul(31).wrapping_add(or_null(&element.serializer, value)?))
        }),
        (TypeSerializer::Map(key, map_value), Value::Map(entries)) => entries.iter().try_fold(0i32, |sum, (k, v)| {
            let hash = or_null(&key.serializer, k)? ^ or_null(&map_value.serializer, v)?;
            Some(sum.wrapping_add(hash))
        }),
        (TypeSerializer::Either(left, _), Value::Left(value)) => or_null(&left.serializer, value),
        (TypeSerializer::Either(_, right), Value::Right(value)) => or_null(&right.serializer, value),
        (TypeSerializer::Nullable { inner, .. }, value) => or_null(&inner.serializer, value),
        _ => None,
    }
}

/// What a field adds to the hash code of its row (`RowUtils.deepHashCodeInternal`): lists and maps are looked into, anything
/// else is hashed as an array that holds it.
fn deep(serializer: &TypeSerializer, value: &Value) -> Option<i32> {
    match (serializer, value) {
        (_, Value::Null) => Some(0),
        (TypeSerializer::Nullable { inner, .. }, value) => deep(&inner.serializer, value),
        (TypeSerializer::List(element), Value::List(values)) => values
            .iter()
            .try_fold(1i32, |hash, value| Some(hash.wrapping_mul(31).wrapping_add(deep(&element.serializer, value)?))),
        (TypeSerializer::Map(key, map_value), Value::Map(entries)) => entries.iter().try_fold(1i32, |sum, (k, v)| {
            Some(sum.wrapping_add(deep(&key.serializer, k)? ^ deep(&map_value.serializer, v)?))
        }),
        (serializer, value) => Some(of_value(serializer, value)?.wrapping_add(31)),
    }
}

fn or_null(serializer: &TypeSerializer, value: &Value) -> Option<i32> {
    if *value == Value::Null { Some(0) } else { of_value(serializer, value) }
}

fn of_simple(simple: Simple, value: &Value) -> Option<i32> {
    // Some of Flink's mutable values have hash codes of their own.
    Some(match value {
        _ if simple == Simple::StringData => return None,
        Value::Null if simple == Simple::NullValue => 53,
        Value::Bool(value) if simple == Simple::BooleanValue => i32::from(*value),
        Value::Long(value) if simple == Simple::LongValue => fold(*value).wrapping_add(43),
        Value::Double(value) if simple == Simple::DoubleValue => of_double(*value).wrapping_add(31),
        Value::Bool(value) => {
            if *value {
                1231
            } else {
                1237
            }
        }
        Value::Byte(value) => i32::from(*value),
        Value::Short(value) => i32::from(*value),
        Value::Int(value) => *value,
        Value::Long(value) | Value::Date(value) | Value::Timestamp { millis: value, .. } => fold(*value),
        Value::Char(value) => i32::from(*value),
        Value::Float(value) if value.is_nan() => 0x7FC0_0000,
        Value::Float(value) => value.to_bits().cast_signed(),
        Value::Double(value) => of_double(*value),
        Value::String(text) => text.java_hash(),
        Value::BigInteger(number) => number.java_hash(),
        Value::BigDecimal(number) => number.java_hash(),
        Value::Instant { seconds, nanos } => fold(*seconds).wrapping_add(nanos.wrapping_mul(51)),
        Value::LocalDate(date) => date.java_hash(),
        Value::LocalTime(time) => fold(time.nano_of_day()),
        Value::LocalDateTime(date, time) => date.java_hash() ^ fold(time.nano_of_day()),
        _ => return None,
    })
}

fn of_double(value: f64) -> i32 {
    if value.is_nan() { 0x7FF8_0000 } else { fold(value.to_bits().cast_signed()) }
}

/// The lower half of a number and its upper half, exclusively or-ed.
fn fold(number: i64) -> i32 {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    i32::from_be_bytes([a, b, c, d]) ^ i32::from_be_bytes([e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::flink::JavaString;
    use crate::format::flink::value::{LocalDate, RowKind};

    fn of(serializer: TypeSerializer) -> Snapshot {
        Snapshot { class: String::new(), version: 3, serializer, bytes: Vec::new() }
    }

    fn simple(simple: Simple) -> Snapshot {
        of(TypeSerializer::Simple(simple))
    }

    fn text(text: &str) -> Value {
        Value::String(JavaString::Text(text.to_owned()))
    }

    #[test]
    fn groups_are_those_of_flink() {
        let max = MaxParallelism::new(128).unwrap();
        let groups: Vec<u16> = ["k0", "k1", "k2", "k3", "k4"]
            .iter()
            .map(|key| of_key(&simple(Simple::String), &text(key), &[], max).unwrap().0)
            .collect();
        assert_eq!(groups, [97, 19, 82, 10, 18]);
    }

    #[test]
    fn hash_codes_are_those_of_java() {
        let row =
            of(TypeSerializer::Row { with_kind: true, fields: vec![simple(Simple::String), simple(Simple::Int)] });
        let value = Value::Row { kind: RowKind::Insert, fields: vec![text("a"), Value::Int(5)] };
        assert_eq!(java_hash(&row, &value, &[]), Some(4965));
        let hash = |simple_kind, value| java_hash(&simple(simple_kind), &value, &[]);
        assert_eq!(hash(Simple::Long, Value::Long(-1)), Some(0));
        assert_eq!(hash(Simple::Long, Value::Long(1 << 32)), Some(1));
        assert_eq!(hash(Simple::Double, Value::Double(1.0)), Some(1_072_693_248));
        assert_eq!(hash(Simple::Boolean, Value::Bool(false)), Some(1237));
        let date = LocalDate { year: 2024, month: 2, day: 3 };
        assert_eq!(hash(Simple::LocalDate, Value::LocalDate(date)), Some((2024 << 11) + 128 + 3));
        assert_eq!(hash(Simple::IntValue, Value::Int(1)), Some(1));
        assert_eq!(hash(Simple::StringData, text("a")), None);
        assert_eq!(
            java_hash(&of(TypeSerializer::Enum { class: String::new(), constants: Vec::new() }), &Value::Null, &[]),
            None
        );
    }

    /// Figures of a JVM, by `hashCode()` of the object.
    #[test]
    fn every_simple_key_is_hashed_as_the_jvm_does() {
        use crate::format::flink::value::{BigDecimal, BigInteger, LocalTime};
        let decimal = |text: &str| Value::BigDecimal(BigDecimal::parse(text).unwrap());
        let integer = |text: &str| Value::BigInteger(BigInteger::parse(text).unwrap());
        let day = |year, month, day| LocalDate { year, month, day };
        let time = |hour, minute, second, nanos| LocalTime { hour, minute, second, nanos };
        let cases = [
            (Simple::Char, Value::Char(0x78), 120),
            (Simple::Boolean, Value::Bool(true), 1231),
            (Simple::Float, Value::Float(1.5), 1_069_547_520),
            (Simple::Float, Value::Float(f32::NAN), 2_143_289_344),
            (Simple::Float, Value::Float(-0.0), i32::MIN),
            (Simple::Double, Value::Double(-2.25), -1_073_610_752),
            (Simple::Double, Value::Double(f64::NAN), 2_146_959_360),
            (Simple::BigInt, integer("123456789012345678901234567890"), 1_915_528_825),
            (Simple::BigInt, integer("-123456789012345678901234567890"), -1_915_528_825),
            (Simple::BigInt, integer("-1"), -1),
            (Simple::BigInt, integer("0"), 0),
            (Simple::BigDec, decimal("12.34"), 38_256),
            (Simple::BigDec, decimal("-12.34"), -38_252),
            (Simple::BigDec, decimal("-123456789012345678901234567890.123"), 285_907_330),
            (Simple::BigDec, decimal("5E+3"), 152),
            (Simple::BigDec, decimal("-9223372036854775807.5"), -118_047),
            (Simple::BigDec, decimal("-92233720368547758.08"), -2_147_483_646),
            (Simple::BigDec, decimal("-4294967.297"), -989),
            (Simple::Instant, Value::Instant { seconds: -5, nanos: 999_999_999 }, -539_607_599),
            (Simple::LocalDate, Value::LocalDate(day(2024, 2, 3)), 4_145_283),
            (Simple::LocalDate, Value::LocalDate(day(-44, 3, 15)), 88_271),
            (Simple::LocalTime, Value::LocalTime(time(23, 59, 59, 123_456_789)), 1_561_349_505),
            (Simple::LocalDateTime, Value::LocalDateTime(day(2024, 2, 3), time(4, 5, 6, 7)), 30_980_580),
            (Simple::Date, Value::Date(-1_234_567_890_123), 1_912_276_437),
            (Simple::SqlTimestamp, Value::Timestamp { millis: 1_700_000_000_123, nanos: 123_456_789 }, -807_048_720),
            (Simple::SqlTime, Value::Date(12_345_678), 12_345_678),
            (Simple::StringValue, text("ab"), 3105),
            (Simple::LongValue, Value::Long(1 << 33), 45),
            (Simple::LongValue, Value::Long(-5), 47),
            (Simple::BooleanValue, Value::Bool(true), 1),
            (Simple::DoubleValue, Value::Double(1.5), 1_073_217_567),
            (Simple::ByteValue, Value::Byte(-3), -3),
            (Simple::NullValue, Value::Null, 53),
        ];
        for (kind, value, expected) in cases {
            assert_eq!(java_hash(&simple(kind), &value, &[]), Some(expected), "{kind:?} {value:?}");
        }
    }

    /// Figures of a JVM with Flink's tuples and rows.
    #[test]
    fn every_composed_key_is_hashed_as_the_jvm_does() {
        let boxed = |kind| Box::new(simple(kind));
        let tuple = |kinds: &[Simple]| {
            let fields = kinds.iter().map(|kind| simple(*kind)).collect();
            TypeSerializer::Tuple { class: "org.apache.flink.api.java.tuple.Tuple".to_owned(), fields }
        };
        let row = |fields: Vec<TypeSerializer>| {
            let fields = fields.into_iter().map(of).collect();
            TypeSerializer::Row { with_kind: true, fields }
        };
        let rows = |fields| Value::Row { kind: RowKind::Insert, fields };
        let list = || TypeSerializer::List(boxed(Simple::String));
        let map = || TypeSerializer::Map(boxed(Simple::String), boxed(Simple::Int));
        let int = || TypeSerializer::Simple(Simple::Int);
        let entries = || Value::Map(vec![(text("a"), Value::Int(1)), (text("b"), Value::Int(2))]);
        let left = TypeSerializer::Either(boxed(Simple::String), boxed(Simple::Long));
        let either = Value::Right(Box::new(Value::Long(5)));
        assert_eq!(java_hash(&of(left), &either, &[]), Some(5));
        let nested = TypeSerializer::Tuple {
            class: "org.apache.flink.api.java.tuple.Tuple2".to_owned(),
            fields: vec![of(tuple(&[Simple::String, Simple::Int])), simple(Simple::Long)],
        };
        let ab = || Value::List(vec![text("a"), text("b")]);
        let cases = [
            (tuple(&[Simple::String, Simple::Long]), Value::Tuple(vec![text("a"), Value::Long(5)]), 3012),
            (nested, Value::Tuple(vec![Value::Tuple(vec![text("x"), Value::Int(1)]), Value::Long(2)]), 115_353),
            (list(), Value::List(vec![text("a"), Value::Null, text("b")]), 123_106),
            (map(), entries(), 192),
            (row(vec![int(), int()]), rows(vec![Value::Null, Value::Int(5)]), 997),
            (row(vec![row(vec![int()]), int()]), rows(vec![rows(vec![Value::Int(97)]), Value::Int(5)]), 6887),
            (row(vec![list(), int()]), rows(vec![ab(), Value::Int(5)]), 157_795),
            (row(vec![map(), int()]), rows(vec![entries(), Value::Int(5)]), 10_948),
            (row(Vec::new()), rows(Vec::new()), 1),
        ];
        for (kind, value, expected) in cases {
            assert_eq!(java_hash(&of(kind), &value, &[]), Some(expected), "{value:?}");
        }
        let three = of(tuple(&[Simple::String, Simple::Long, Simple::Int]));
        let nulls = Value::Tuple(vec![Value::Null, Value::Long(5), Value::Null]);
        assert_eq!(java_hash(&three, &nulls, &[]), Some(155));
    }

    #[test]
    fn sql_rows_are_hashed_by_their_bytes() {
        let hex = "00000030 00 00000000000000 05 00000000000000 61626300000000 83 0D000000 20000000 \
            6C6F6E67657220737472696E67 000000";
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
        let row = of(TypeSerializer::BinaryRowData { arity: 3 });
        assert_eq!(java_hash(&row, &Value::Null, &bytes), Some(-812_889_337));
    }
}
