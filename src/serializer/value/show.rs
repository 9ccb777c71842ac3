//! Values for people, and for JSON.

use std::fmt::{self, Write};

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeStruct, Serializer};

use super::Value;
use crate::serializer::TimeWindow;

/// Bytes in hexadecimal.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Value {
    /// Control characters in text are escaped, so that a stored string cannot take over a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Unit => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::U64(value) => write!(f, "{value}"),
            Value::I64(value) => write!(f, "{value}"),
            Value::F32(value) => write!(f, "{value:?}"),
            Value::F64(value) => write!(f, "{value:?}"),
            Value::String(text) => write!(f, "{text:?}"),
            Value::Bytes(bytes) => write!(f, "0x{}", Hex(bytes)),
            Value::Window(window) => write!(f, "{window}"),
            Value::List(values) => between(f, '[', ']', values, |f, value| write!(f, "{value}")),
            Value::Tuple(values) => between(f, '(', ')', values, |f, value| write!(f, "{value}")),
            Value::Map(entries) => between(f, '{', '}', entries, |f, (key, value)| write!(f, "{key}: {value}")),
            Value::Record(fields) => between(f, '{', '}', fields, |f, (name, value)| {
                if is_plain_name(name) { write!(f, "{name}: {value}") } else { write!(f, "{name:?}: {value}") }
            }),
            Value::Opaque { type_name, bytes } => write!(f, "<{type_name}: 0x{}>", Hex(bytes)),
        }
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn between<T>(
    f: &mut fmt::Formatter<'_>,
    open: char,
    close: char,
    items: &[T],
    show: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_char(open)?;
    for (index, item) in items.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { ", " })?;
        show(f, item)?;
    }
    f.write_char(close)
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Unit => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::U64(value) => serializer.serialize_u64(*value),
            Value::I64(value) => serializer.serialize_i64(*value),
            Value::F32(value) if value.is_finite() => serializer.serialize_f32(*value),
            Value::F64(value) if value.is_finite() => serializer.serialize_f64(*value),
            Value::F32(value) => serializer.collect_str(value),
            Value::F64(value) => serializer.collect_str(value),
            Value::String(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.collect_str(&Hex(bytes)),
            Value::Window(TimeWindow { start_ms, end_ms }) => {
                let mut window = serializer.serialize_struct("TimeWindow", 2)?;
                window.serialize_field("start_ms", start_ms)?;
                window.serialize_field("end_ms", end_ms)?;
                window.end()
            }
            Value::List(values) | Value::Tuple(values) => serializer.collect_seq(values),
            Value::Map(entries) => map(entries, serializer),
            Value::Record(fields) => serializer.collect_map(fields.iter().map(|(name, value)| (name, value))),
            Value::Opaque { type_name, bytes } => {
                let mut opaque = serializer.serialize_struct("Opaque", 2)?;
                opaque.serialize_field("type", type_name)?;
                opaque.serialize_field("bytes", &Hex(bytes).to_string())?;
                opaque.end()
            }
        }
    }
}

fn map<S: Serializer>(entries: &[(Value, Value)], serializer: S) -> Result<S::Ok, S::Error> {
    if !entries.iter().all(|(key, _)| matches!(key, Value::String(_))) {
        return serializer.collect_seq(entries);
    }
    let mut map = serializer.serialize_map(Some(entries.len()))?;
    for (key, value) in entries {
        map.serialize_entry(key, value)?;
    }
    map.end()
}
