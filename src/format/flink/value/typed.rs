//! Flink's values as a program's own types, through serde.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::Value;
use crate::error::{Error, Result};
use crate::format::flink::primitive::JavaString;

/// Turns a value into a type of the caller's.
///
/// A POJO becomes a struct with fields of the same names, in any order; a tuple or a row a tuple, or a struct whose
/// fields are in the same order. An enum constant becomes a unit variant of its name, an `Either` a variant `Left` or
/// `Right`. Null is `None` or `()`. A big integer becomes an integer if it fits, else text; a decimal, a date and a
/// time of day become text. Points in time become structs of `seconds` or `millis` and `nanos`, windows of `start` and
/// `end`, timers of `timestamp`, `key` and `namespace`. Time to live is transparent. An opaque value is bytes.
///
/// A type that does not fit is [`Incompatible`](crate::ErrorKind::Incompatible), with the field.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T> {
    T::deserialize(Typed(value)).map_err(|mismatch| Error::incompatible(mismatch.to_string()))
}

/// A value that does not fit a type.
#[derive(Debug)]
struct Mismatch {
    message: String,
    /// Names of the fields around it, innermost first.
    path: Vec<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            let path: Vec<&str> = self.path.iter().rev().map(String::as_str).collect();
            write!(f, "field {}: ", path.join("."))?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mismatch {}

impl serde::de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Mismatch { message: message.to_string(), path: Vec::new() }
    }
}

/// A value that serde reads.
struct Typed(Value);

impl<'de> IntoDeserializer<'de, Mismatch> for Typed {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Typed {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null | Value::GlobalWindow => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Byte(value) => visitor.visit_i8(value),
            Value::Short(value) => visitor.visit_i16(value),
            Value::Int(value) => visitor.visit_i32(value),
            Value::Long(value) | Value::Date(value) => visitor.visit_i64(value),
            Value::Char(unit) => match char::from_u32(unit.into()) {
                Some(character) => visitor.visit_char(character),
                None => visitor.visit_u16(unit),
            },
            Value::Float(value) => visitor.visit_f32(value),
            Value::Double(value) => visitor.visit_f64(value),
            Value::String(text) => string(text, visitor),
            Value::Bytes(bytes) | Value::Opaque { bytes, .. } => visitor.visit_byte_buf(bytes),
            Value::BigInteger(number) => match number.to_i64() {
                Some(number) => visitor.visit_i64(number),
                None => visitor.visit_string(number.to_string()),
            },
            Value::BigDecimal(number) => visitor.visit_string(number.to_string()),
            Value::LocalDate(date) => visitor.visit_string(date.to_string()),
            Value::LocalTime(time) => visitor.visit_string(time.to_string()),
            Value::LocalDateTime(date, time) => visitor.visit_string(format!("{date}T{time}")),
            Value::Timestamp { millis, nanos } | Value::TimestampData { millis, nanos } => {
                fields([("millis", Value::Long(millis)), ("nanos", Value::Int(nanos))], visitor)
            }
            Value::Instant { seconds, nanos } => {
                fields([("seconds", Value::Long(seconds)), ("nanos", Value::Int(nanos))], visitor)
            }
            Value::Window { start, end } => fields([("start", Value::Long(start)), ("end", Value::Long(end))], visitor),
            Value::Timer { timestamp, key, namespace } => {
                fields([("timestamp", Value::Long(timestamp)), ("key", *key), ("namespace", *namespace)], visitor)
            }
            Value::List(elements)
            | Value::Set(elements)
            | Value::Tuple(elements)
            | Value::Row { fields: elements, .. }
            | Value::RowData { fields: elements, .. } => sequence(elements, visitor),
            Value::Map(entries) => {
                let entries = entries.into_iter().map(|(key, value)| (Typed(key), Typed(value)));
                let mut access = MapDeserializer::new(entries);
                let value = visitor.visit_map(&mut access)?;
                access.end().map(|()| value)
            }
            Value::Pojo { fields: named, .. } => {
                let named: Vec<(String, Value)> =
                    named.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
                visitor.visit_map(Fields { left: named.into_iter(), current: None })
            }
            Value::Enum(name) => visitor.visit_str(&name),
            Value::Timed { value, .. } => Typed(*value).deserialize_any(visitor),
            either @ (Value::Left(_) | Value::Right(_)) => visitor.visit_enum(Variant(either)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            Value::Timed { value, .. } => Typed(*value).deserialize_option(visitor),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Timed { value, .. } => visitor.visit_enum(Variant(*value)),
            value => visitor.visit_enum(Variant(value)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

fn string<'de, V: Visitor<'de>>(text: JavaString, visitor: V) -> Result<V::Value, Mismatch> {
    match text {
        JavaString::Text(text) => visitor.visit_string(text),
        JavaString::Units(_) => {
            Err(serde::de::Error::invalid_value(Unexpected::Other("text with an unpaired surrogate"), &visitor))
        }
    }
}

fn sequence<'de, V: Visitor<'de>>(elements: Vec<Value>, visitor: V) -> Result<V::Value, Mismatch> {
    let mut access = SeqDeserializer::new(elements.into_iter().map(Typed));
    let value = visitor.visit_seq(&mut access)?;
    access.end().map(|()| value)
}

fn fields<'de, V: Visitor<'de>, const N: usize>(named: [(&str, Value); N], visitor: V) -> Result<V::Value, Mismatch> {
    let named: Vec<(String, Value)> = named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    visitor.visit_map(Fields { left: named.into_iter(), current: None })
}

/// Named fields. Errors gain the name of the field they come from.
struct Fields {
    left: std::vec::IntoIter<(String, Value)>,
    current: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        self.current = self.left.next();
        let name = self.current.as_ref().map(|(name, _)| name.as_str());
        name.map(|name| seed.deserialize(name.into_deserializer())).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mismatch> {
        let (name, value) =
            self.current.take().ok_or_else(|| serde::de::Error::custom("a value was asked for before its name"))?;
        seed.deserialize(Typed(value)).map_err(|mut mismatch| {
            mismatch.path.push(name);
            mismatch
        })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// An enum constant, or one of two types.
struct Variant(Value);

impl<'de> EnumAccess<'de> for Variant {
    type Error = Mismatch;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Mismatch> {
        let name: &str = match &self.0 {
            Value::Enum(name) => name,
            Value::String(JavaString::Text(text)) => text,
            Value::Left(_) => "Left",
            Value::Right(_) => "Right",
            _ => return Err(serde::de::Error::custom("a value that is neither a constant nor one of two types")),
        };
        let variant = seed.deserialize(IntoDeserializer::<Mismatch>::into_deserializer(name))?;
        Ok((variant, self))
    }
}

impl Variant {
    fn content(self) -> Typed {
        match self.0 {
            Value::Left(value) | Value::Right(value) => Typed(*value),
            _ => Typed(Value::Null),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = Mismatch;

    fn unit_variant(self) -> Result<(), Mismatch> {
        serde::Deserialize::deserialize(self.content())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Mismatch> {
        seed.deserialize(self.content())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Mismatch> {
        self.content().deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.content().deserialize_any(visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::super::{BigInteger, LocalDate, RowKind};
    use super::*;
    use crate::error::ErrorKind;

    #[derive(Debug, PartialEq, Deserialize)]
    enum Color {
        Red,
        #[serde(rename = "DEEP_BLUE")]
        DeepBlue,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Person {
        name: String,
        id: i64,
        score: Option<f64>,
        color: Color,
        tags: BTreeMap<String, u8>,
    }

    fn text(text: &str) -> Value {
        Value::String(JavaString::Text(text.to_owned()))
    }

    fn person(id: Value) -> Value {
        let fields = vec![
            ("id".into(), id),
            ("ignored".into(), Value::List(vec![Value::Null])),
            ("color".into(), Value::Enum("DEEP_BLUE".into())),
            ("score".into(), Value::Null),
            ("name".into(), text("n")),
            ("tags".into(), Value::Map(vec![(text("a"), Value::Int(7))])),
        ];
        Value::Pojo { class: "P".into(), fields }
    }

    #[test]
    fn a_pojo_is_a_struct_by_field_name() {
        let expected = Person {
            name: "n".into(),
            id: 5,
            score: None,
            color: Color::DeepBlue,
            tags: BTreeMap::from([("a".to_owned(), 7)]),
        };
        let timed = Value::Timed { last_access: 1, value: Box::new(person(Value::Long(5))) };
        assert_eq!(from_value::<Person>(timed).unwrap(), expected);
        let nested = Value::Pojo { class: "Q".into(), fields: vec![("p".into(), person(text("x")))] };
        let error = from_value::<BTreeMap<String, Person>>(nested).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert!(error.message().starts_with("field p.id: invalid type: string"), "{error}");
    }

    #[test]
    fn tuples_and_rows_are_tuples_or_structs_by_position() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Pair {
            first: String,
            second: Option<i32>,
        }
        let fields = || vec![text("a"), Value::Null];
        let pair = || Pair { first: "a".into(), second: None };
        assert_eq!(from_value::<Pair>(Value::Tuple(fields())).unwrap(), pair());
        assert_eq!(from_value::<Pair>(Value::Row { kind: RowKind::Insert, fields: fields() }).unwrap(), pair());
        assert_eq!(from_value::<(String, Option<i32>)>(Value::Tuple(fields())).unwrap(), ("a".into(), None));
        let long = Value::Tuple(vec![text("a"), Value::Null, Value::Null]);
        assert!(from_value::<Pair>(long).is_err(), "a field must not be lost");
    }

    #[test]
    fn numbers_fit_or_are_refused() {
        assert_eq!(from_value::<u8>(Value::Long(255)).unwrap(), 255);
        assert!(from_value::<u8>(Value::Long(256)).is_err());
        assert_eq!(from_value::<i64>(Value::BigInteger(BigInteger::from(-9))).unwrap(), -9);
        let large = BigInteger::from_bytes(&[1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(from_value::<String>(Value::BigInteger(large)).unwrap(), "18446744073709551616");
        assert_eq!(from_value::<char>(Value::Char(0x41)).unwrap(), 'A');
        let date = LocalDate { year: 2024, month: 2, day: 3 };
        assert_eq!(from_value::<String>(Value::LocalDate(date)).unwrap(), "2024-02-03");
    }

    #[test]
    fn either_is_an_enum() {
        #[derive(Debug, PartialEq, Deserialize)]
        enum Either {
            Left(i32),
            Right { seconds: i64, nanos: i32 },
        }
        assert_eq!(from_value::<Either>(Value::Left(Box::new(Value::Int(1)))).unwrap(), Either::Left(1));
        let instant = Value::Instant { seconds: 5, nanos: 6 };
        let right = Either::Right { seconds: 5, nanos: 6 };
        assert_eq!(from_value::<Either>(Value::Right(Box::new(instant))).unwrap(), right);
        assert_eq!(from_value::<Color>(Value::Enum("Red".into())).unwrap(), Color::Red);
        assert!(from_value::<Color>(Value::Enum("Green".into())).is_err());
        assert!(from_value::<Color>(Value::Int(0)).is_err());
    }

    #[test]
    fn text_that_no_rust_string_can_hold_is_refused() {
        let error = from_value::<String>(Value::String(JavaString::Units(vec![0xD83D]))).unwrap_err();
        assert!(error.message().contains("unpaired surrogate"), "{error}");
    }
}
