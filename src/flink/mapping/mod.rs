//! How values of Flink's types are stored here.
//!
//! | Flink | stored by | for example |
//! |---|---|---|
//! | boolean, byte, short, int, long, char, float, double | [`Bool`], `I8` to `I64`, `U16` (a UTF-16 unit), `F32`, `F64` | `I64` |
//! | `String`, SQL text | [`Str`](crate::serializer::Str) | |
//! | `byte[]` | [`Bytes`](crate::serializer::Bytes) | |
//! | `BigInteger`, `BigDecimal`, `LocalDate`, `LocalTime`, `LocalDateTime` | `Str`: digits, ISO 8601 | |
//! | `java.util.Date`, `java.sql.Date`, `java.sql.Time` | `I64`: milliseconds since 1970 | |
//! | `TimeWindow` | [`Window`] | |
//! | no namespace, `GlobalWindow`, `Void` | [`Unit`](crate::serializer::Unit) | |
//! | nullable | [`Opt`](crate::serializer::Opt) of one of these | |
//! | a list of such values, which cannot be told apart | a value state of [`Custom`](crate::serializer::Custom) `flink-list:CLASS` version 1, with the serializer snapshot of the elements | the bytes as Flink has them |
//! | everything else that can be decoded | [`Msgpack`](crate::serializer::Msgpack) of any serde type | see below |
//! | Kryo, a user's `Value`, Avro, unknown | [`Custom`](crate::serializer::Custom) `flink:CLASS` version 1, with Flink's serializer snapshot as parameters | the bytes as Flink has them |
//!
//! Inside MessagePack a POJO is a struct with fields of the same names, a tuple or row a tuple, an array, list or set a
//! list, a map a map, an enum constant a unit variant, an `Either` a variant `Left` or `Right`, `Instant` a struct of
//! `seconds` and `nanos`, a timestamp one of `millis` and `nanos`, a window one of `start_ms` and `end_ms`, and everything
//! else what it is in the table. A part is optional where, and only where, it is null somewhere in the state. Sets and
//! maps are put into the order of their encodings.
//!
//! Two things cannot be kept by these types, and change them: text with unpaired surrogates makes a text state one of
//! bytes ([WTF-8](https://simonsapin.github.io/wtf-8/)), or a part of MessagePack anything. A SQL or DataStream row of another
//! kind than `+I` makes its part anything, too: it is a variant that is named after its kind, such as `+U`, around the tuple.

mod key;
mod pack;
mod part;
mod stored;
mod transcode;

use std::sync::Arc;

pub(super) use key::java_type;
use part::Part;
use stored::Stored;
#[cfg(any(test, feature = "test-util"))]
pub(super) use transcode::assert_transcoded_alike;

use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::flink::serializer::{Simple, Snapshot, TypeSerializer};
use crate::format::flink::{JavaString, Value};
use crate::serializer::{Bool, F32, F64, I8, I16, I32, I64, Serializer, SerializerSnapshot, TimeWindow, U16, Window};

/// Begins the names of types whose values only a program of Flink's understands.
pub(super) const OPAQUE: &str = "flink:";

/// Begins the names of types of whole lists of such values.
pub(super) const OPAQUE_LIST: &str = "flink-list:";

/// How values of one Flink type are stored. Encoding adds what it sees to the description.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mapping {
    /// A serializer of ours without parameters.
    Plain {
        kind: SerializerSnapshot,
        /// Text that is no UTF-8 was seen.
        odd_text: bool,
    },
    /// A value or null.
    Optional(Box<Mapping>),
    /// MessagePack.
    Msgpack(Part),
    /// Bytes that only the program understands.
    Opaque {
        /// Their class.
        class: Arc<str>,
        /// The serializer snapshot.
        snapshot: Vec<u8>,
        /// They are whole lists of such values, which cannot be told apart.
        is_list: bool,
    },
}

impl Mapping {
    /// The mapping of what a serializer writes, without time to live around it.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let plain = |kind| Mapping::Plain { kind, odd_text: false };
        match &snapshot.serializer {
            TypeSerializer::Simple(simple) => match plain_kind(*simple) {
                Some(kind) => plain(kind),
                None => Self::of_composite(snapshot),
            },
            TypeSerializer::DecimalData { .. } => plain(SerializerSnapshot::String),
            TypeSerializer::External(inner) => Mapping::of(inner),
            TypeSerializer::Nullable { inner, .. } => match Mapping::of(inner) {
                Mapping::Msgpack(part) => Mapping::Msgpack(part),
                inner => inner.optional(),
            },
            _ => Self::of_composite(snapshot),
        }
    }

    fn of_composite(snapshot: &Snapshot) -> Self {
        let is_opaque = matches!(
            snapshot.serializer,
            TypeSerializer::Simple(Simple::Variant | Simple::Bitmap | Simple::JavaObject)
                | TypeSerializer::RawValueData(_)
                | TypeSerializer::BinaryRowData { .. }
        );
        match Part::of(snapshot) {
            Some(part) if snapshot.has_known_end() && !is_opaque => Mapping::Msgpack(part),
            _ => Self::opaque(snapshot, false),
        }
    }

    fn opaque(snapshot: &Snapshot, is_list: bool) -> Self {
        Mapping::Opaque { class: snapshot.opaque_class(), snapshot: snapshot.bytes.clone(), is_list }
    }

    /// The mapping of whole lists whose elements have no end that could be found.
    pub(super) fn of_list(element: &Snapshot) -> Self {
        Self::opaque(element, true)
    }

    /// No value at all.
    pub(super) fn unit() -> Self {
        Mapping::Plain { kind: SerializerSnapshot::Unit, odd_text: false }
    }

    /// The same or null. MessagePack has null already.
    pub(super) fn optional(self) -> Self {
        match self {
            mapping @ (Mapping::Msgpack(_) | Mapping::Optional(_)) => mapping,
            mapping => Mapping::Optional(Box::new(mapping)),
        }
    }

    /// Whether null cannot be stored.
    pub(super) fn refuses_null(&self) -> bool {
        matches!(self, Mapping::Plain { .. } | Mapping::Opaque { .. })
    }

    /// What describes the values that were encoded so far.
    pub(super) fn description(&self) -> SerializerSnapshot {
        match self {
            Mapping::Plain { odd_text: true, .. } => SerializerSnapshot::Bytes,
            Mapping::Plain { kind, .. } => kind.clone(),
            Mapping::Optional(inner) => SerializerSnapshot::Option(Box::new(inner.description())),
            Mapping::Msgpack(part) => SerializerSnapshot::Msgpack(part.shape()),
            Mapping::Opaque { class, snapshot, is_list } => {
                let prefix = if *is_list { OPAQUE_LIST } else { OPAQUE };
                let name = format!("{prefix}{class}");
                SerializerSnapshot::Custom { name, version: 1, parameters: snapshot.clone() }
            }
        }
    }

    /// Appends the encoding of a value.
    ///
    /// A value that the type has no room for is [`Incompatible`](crate::ErrorKind::Incompatible).
    pub(super) fn encode(&mut self, value: &Value, out: &mut Writer) -> Result<()> {
        match self {
            Mapping::Plain { kind, odd_text } => encode_plain(kind, odd_text, value, out),
            Mapping::Optional(inner) => {
                out.u8(u8::from(*value != Value::Null));
                if *value == Value::Null { Ok(()) } else { inner.encode(value, out) }
            }
            Mapping::Msgpack(part) => {
                part.observe(value)?;
                // Most values fit, and then the buffer never grows.
                let mut bytes = Vec::with_capacity(256);
                Stored::write(value, &mut bytes)?;
                out.bytes(&bytes);
                Ok(())
            }
            Mapping::Opaque { class, .. } => match value {
                Value::Opaque { bytes, .. } => {
                    out.bytes(bytes);
                    Ok(())
                }
                _ => Err(part::only_some_decoded(class)),
            },
        }
    }
}

/// The serializer of ours that stores what a simple one of Flink's does, if there is one.
fn plain_kind(simple: Simple) -> Option<SerializerSnapshot> {
    Some(match simple {
        Simple::Boolean | Simple::BooleanValue => SerializerSnapshot::Bool,
        Simple::Byte | Simple::ByteValue => SerializerSnapshot::I8,
        Simple::Short | Simple::ShortValue => SerializerSnapshot::I16,
        Simple::Int | Simple::IntValue => SerializerSnapshot::I32,
        Simple::Long
        | Simple::LongValue
        | Simple::Date
        | Simple::SqlDate
        | Simple::SqlTime
        | Simple::SqlCountWindow
        | Simple::SortedLong => SerializerSnapshot::I64,
        Simple::Char | Simple::CharValue => SerializerSnapshot::U16,
        Simple::Float | Simple::FloatValue => SerializerSnapshot::F32,
        Simple::Double | Simple::DoubleValue => SerializerSnapshot::F64,
        Simple::String
        | Simple::StringValue
        | Simple::StringData
        | Simple::BigInt
        | Simple::BigDec
        | Simple::LocalDate
        | Simple::LocalTime
        | Simple::LocalDateTime => SerializerSnapshot::String,
        Simple::ByteArray => SerializerSnapshot::Bytes,
        Simple::TimeWindow | Simple::SqlTimeWindow => SerializerSnapshot::Window,
        Simple::VoidNamespace
        | Simple::GlobalWindow
        | Simple::SqlGlobalWindow
        | Simple::Void
        | Simple::NullValue
        | Simple::ScalaUnit
        | Simple::DataView => SerializerSnapshot::Unit,
        _ => return None,
    })
}

fn encode_plain(kind: &SerializerSnapshot, odd_text: &mut bool, value: &Value, out: &mut Writer) -> Result<()> {
    match (kind, value) {
        (SerializerSnapshot::Unit, _) => Ok(()),
        (SerializerSnapshot::Bool, Value::Bool(value)) => Bool.write(value, out),
        (SerializerSnapshot::I8, Value::Byte(value)) => I8.write(value, out),
        (SerializerSnapshot::I16, Value::Short(value)) => I16.write(value, out),
        (SerializerSnapshot::I32, Value::Int(value)) => I32.write(value, out),
        (SerializerSnapshot::I64, Value::Long(value) | Value::Date(value)) => I64.write(value, out),
        (SerializerSnapshot::U16, Value::Char(unit)) => U16.write(unit, out),
        (SerializerSnapshot::F32, Value::Float(value)) => F32.write(value, out),
        (SerializerSnapshot::F64, Value::Double(value)) => F64.write(value, out),
        (SerializerSnapshot::Bytes, Value::Bytes(bytes)) => {
            out.bytes(bytes);
            Ok(())
        }
        (SerializerSnapshot::Window, Value::Window { start, end }) => {
            Window.write(&TimeWindow { start_ms: *start, end_ms: *end }, out)
        }
        (SerializerSnapshot::String, value) => {
            if let Value::String(text @ JavaString::Units(_)) = value {
                *odd_text = true;
                // Text and bytes are encoded alike; only the description differs.
                out.bytes(&text.to_wtf8());
                return Ok(());
            }
            match text(value) {
                Some(text) => {
                    out.str(&text);
                    Ok(())
                }
                None => Err(misfit(kind, value)),
            }
        }
        (kind, value) => Err(misfit(kind, value)),
    }
}

fn misfit(kind: &SerializerSnapshot, value: &Value) -> Error {
    match value {
        Value::Null => Error::incompatible(format!("a value is null, which type {kind} does not have")),
        _ => Error::incompatible(format!("a value is not of type {kind}")),
    }
}

/// The text that stands for a value of a type that is stored as text.
fn text(value: &Value) -> Option<std::borrow::Cow<'_, str>> {
    Some(match value {
        Value::String(JavaString::Text(text)) => text.into(),
        Value::BigInteger(number) => number.to_string().into(),
        Value::BigDecimal(number) => number.to_string().into(),
        Value::LocalDate(day) => day.to_string().into(),
        Value::LocalTime(time) => time.to_string().into(),
        Value::LocalDateTime(day, time) => format!("{day}T{time}").into(),
        _ => return None,
    })
}
