//! Flink's values as millpond's own dynamic ones, which tools print and export.

use super::Value;
use crate::format::flink::primitive::JavaString;
use crate::serializer::{TimeWindow, Value as Dynamic};

impl From<Value> for Dynamic {
    /// Keeps what a person wants to see. Java's kinds of integers become one, an enum constant, a big number and a date
    /// become text, a POJO becomes a record, a row a record of its kind and fields. Text that is not well-formed stays
    /// opaque, as its UTF-16 units in big-endian order.
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Dynamic::Unit,
            Value::Bool(value) => Dynamic::Bool(value),
            Value::Byte(value) => Dynamic::I64(value.into()),
            Value::Short(value) => Dynamic::I64(value.into()),
            Value::Int(value) => Dynamic::I64(value.into()),
            Value::Long(value) | Value::Date(value) => Dynamic::I64(value),
            Value::Char(unit) => match char::from_u32(unit.into()) {
                Some(character) => Dynamic::String(character.into()),
                None => string(JavaString::Units(vec![unit])),
            },
            Value::Float(value) => Dynamic::F32(value),
            Value::Double(value) => Dynamic::F64(value),
            Value::String(text) => string(text),
            Value::Bytes(bytes) => Dynamic::Bytes(bytes),
            Value::BigInteger(number) => Dynamic::String(number.to_string()),
            Value::BigDecimal(number) => Dynamic::String(number.to_string()),
            Value::LocalDate(day) => Dynamic::String(day.to_string()),
            Value::LocalTime(moment) => Dynamic::String(moment.to_string()),
            Value::LocalDateTime(day, moment) => Dynamic::String(format!("{day}T{moment}")),
            Value::Timestamp { millis, nanos } | Value::TimestampData { millis, nanos } => {
                record([("millis", Dynamic::I64(millis)), ("nanos", Dynamic::I64(nanos.into()))])
            }
            Value::Instant { seconds, nanos } => {
                record([("seconds", Dynamic::I64(seconds)), ("nanos", Dynamic::I64(nanos.into()))])
            }
            Value::List(elements) | Value::Set(elements) => Dynamic::List(all(elements)),
            Value::Map(entries) => {
                Dynamic::Map(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
            }
            Value::Tuple(fields) => Dynamic::Tuple(all(fields)),
            Value::Row { kind, fields } | Value::RowData { kind, fields } => record([
                ("row_kind", Dynamic::String(kind.symbol().to_owned())),
                ("fields", Dynamic::Tuple(all(fields))),
            ]),
            Value::Pojo { fields, .. } => {
                Dynamic::Record(fields.into_iter().map(|(name, value)| (name.to_string(), value.into())).collect())
            }
            Value::Enum(name) => Dynamic::String(name.to_string()),
            Value::Left(value) => record([("left", (*value).into())]),
            Value::Right(value) => record([("right", (*value).into())]),
            Value::Window { start, end } => Dynamic::Window(TimeWindow { start_ms: start, end_ms: end }),
            Value::GlobalWindow => Dynamic::String("global window".to_owned()),
            Value::Timed { last_access, value } => {
                record([("last_access", Dynamic::I64(last_access)), ("value", (*value).into())])
            }
            Value::Timer { timestamp, key, namespace } => record([
                ("timestamp", Dynamic::I64(timestamp)),
                ("key", (*key).into()),
                ("namespace", (*namespace).into()),
            ]),
            Value::Opaque { class, bytes } => Dynamic::Opaque { type_name: class.to_string(), bytes },
        }
    }
}

fn all(values: Vec<Value>) -> Vec<Dynamic> {
    values.into_iter().map(Dynamic::from).collect()
}

fn record<const N: usize>(fields: [(&str, Dynamic); N]) -> Dynamic {
    Dynamic::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn string(text: JavaString) -> Dynamic {
    match text {
        JavaString::Text(text) => Dynamic::String(text),
        JavaString::Units(units) => Dynamic::Opaque {
            type_name: "java.lang.String".to_owned(),
            bytes: units.into_iter().flat_map(u16::to_be_bytes).collect(),
        },
    }
}
