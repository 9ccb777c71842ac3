//! Encoding values by their serializers: what [`decode`](super::decode) reads.

use std::sync::Arc;

use super::decode::{RECORD, RECORD_WITH_TIME, STREAM, WATERMARK};
use super::{BigInteger, LocalDate, LocalTime, RowKind, Value, sql_encode};
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::flink::primitive::JavaString;
use crate::format::flink::serializer::{Pojo, Simple, Snapshot, Subclass, TypeSerializer};
use crate::format::flink::write::WritePrimitives;

/// Stands for null where a month, an hour or a minute would be.
const NULL_PART: u8 = 0x80;

impl Snapshot {
    /// Appends the encoding of a value.
    ///
    /// A value that was read is written byte for byte as it was, except for big integers that a constant of the JDK
    /// abbreviates, which are written in full. A value that is not of the serializer's type is an
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) error. [`Value::Opaque`] is written as it is.
    pub fn write_value(&self, value: &Value, out: &mut Writer) -> Result<()> {
        write(&self.serializer, value, out)
    }
}

/// A value of another type than the serializer's.
fn mismatch(serializer: &str, value: &Value) -> Error {
    Error::invalid_input(format!("{} cannot be written by the serializer of {serializer}", value.type_name()))
}

pub(super) fn write(serializer: &TypeSerializer, value: &Value, out: &mut Writer) -> Result<()> {
    match (serializer, value) {
        (TypeSerializer::Simple(simple), value) => write_simple(*simple, value, out),
        (TypeSerializer::GenericArray { component, .. }, Value::List(elements)) => {
            out.items(elements.len(), "number of elements")?;
            elements.iter().try_for_each(|element| {
                out.bool(*element != Value::Null);
                if *element == Value::Null { Ok(()) } else { component.write_value(element, out) }
            })
        }
        (TypeSerializer::Enum { class, constants }, Value::Enum(name)) => constant(class, constants, name, out),
        (TypeSerializer::List(element), Value::List(elements)) => {
            out.items(elements.len(), "number of elements")?;
            elements.iter().try_for_each(|value| element.write_value(value, out))
        }
        (TypeSerializer::Set(element), Value::Set(elements)) => {
            out.items(elements.len(), "number of elements")?;
            elements.iter().try_for_each(|value| unless_null(element, value, out))
        }
        (TypeSerializer::Map(key, map_value) | TypeSerializer::SortedMap(key, map_value), Value::Map(entries)) => {
            out.items(entries.len(), "number of map entries")?;
            entries.iter().try_for_each(|(k, v)| {
                key.write_value(k, out)?;
                unless_null(map_value, v, out)
            })
        }
        (TypeSerializer::LinkedList { null_mask, element }, Value::List(elements)) => {
            linked_list(*null_mask, element, elements, out)
        }
        (TypeSerializer::Tuple { fields, class }, Value::Tuple(values)) => {
            same_arity(class, fields.len(), values.len())?;
            fields.iter().zip(values).try_for_each(|(field, value)| field.write_value(value, out))
        }
        (TypeSerializer::Pojo(described), value) => pojo(described, value, out),
        (TypeSerializer::External(inner), value) => inner.write_value(value, out),
        (TypeSerializer::WindowKey(key), Value::Tuple(parts)) => match parts.as_slice() {
            [Value::Long(window), value] => {
                out.i64(*window);
                key.write_value(value, out)
            }
            _ => Err(mismatch("a window key", value)),
        },
        (serializer, value) => write_wrapped(serializer, value, out),
    }
}

/// Values of which something is said, and alternatives.
fn write_wrapped(serializer: &TypeSerializer, value: &Value, out: &mut Writer) -> Result<()> {
    match (serializer, value) {
        (TypeSerializer::Either(left, _), Value::Left(value)) => {
            out.bool(true);
            left.write_value(value, out)
        }
        (TypeSerializer::Either(_, right), Value::Right(value)) => {
            out.bool(false);
            right.write_value(value, out)
        }
        (TypeSerializer::Union(one, _), Value::Left(value)) => {
            out.u8(1);
            one.write_value(value, out)
        }
        (TypeSerializer::Union(_, two), Value::Right(value)) => {
            out.u8(2);
            two.write_value(value, out)
        }
        (TypeSerializer::Optional(inner), value) => {
            out.bool(*value != Value::Null);
            if *value == Value::Null { Ok(()) } else { inner.write_value(value, out) }
        }
        (TypeSerializer::NullAwareMap(key, map_value), Value::Map(entries)) => {
            out.items(entries.len(), "number of map entries")?;
            entries.iter().try_for_each(|(k, v)| {
                unless_null(key, k, out)?;
                unless_null(map_value, v, out)
            })
        }
        (TypeSerializer::StreamElement(element), Value::Pojo { fields, .. }) => stream_element(element, fields, out),
        (TypeSerializer::Row { with_kind, fields }, Value::Row { kind, fields: values }) => {
            row(*with_kind, fields, *kind, values, out)
        }
        (TypeSerializer::Nullable { padding, .. }, Value::Null) => {
            out.bool(true);
            out.raw(&vec![0; *padding]);
            Ok(())
        }
        (TypeSerializer::Nullable { inner, .. }, value) => {
            out.bool(false);
            inner.write_value(value, out)
        }
        (TypeSerializer::Ttl(inner), Value::Timed { last_access, value }) => {
            out.i64(*last_access);
            inner.write_value(value, out)
        }
        (TypeSerializer::Timer { key, namespace }, Value::Timer { timestamp, key: k, namespace: n }) => {
            out.ordered_i64(*timestamp);
            key.write_value(k, out)?;
            namespace.write_value(n, out)
        }
        (serializer, value) => write_sql(serializer, value, out),
    }
}

fn write_sql(serializer: &TypeSerializer, value: &Value, out: &mut Writer) -> Result<()> {
    match (serializer, value) {
        (TypeSerializer::RowData { types, .. }, Value::RowData { kind, fields }) => {
            out.frame("row", |out| sql_encode::row(types.iter(), *kind, fields, out))
        }
        (TypeSerializer::ArrayData(element), Value::List(elements)) => {
            out.frame("array", |out| sql_encode::array(element, elements, out))
        }
        (TypeSerializer::MapData(key, map_value), Value::Map(entries)) => {
            out.frame("map", |out| sql_encode::map(key, map_value, entries, out))
        }
        (TypeSerializer::BinaryRowData { .. } | TypeSerializer::RawValueData(_), Value::Opaque { bytes, .. }) => {
            out.bytes32(bytes, "value")
        }
        (TypeSerializer::DecimalData { precision, scale }, Value::BigDecimal(number)) => {
            sql_encode::decimal(*precision, *scale, number, out)
        }
        (TypeSerializer::TimestampData { precision }, Value::TimestampData { millis, nanos }) => {
            sql_encode::timestamp(*precision, *millis, *nanos, out)
        }
        (_, Value::Opaque { bytes, .. }) => {
            out.raw(bytes);
            Ok(())
        }
        (serializer, value) => Err(mismatch(serializer.name(), value)),
    }
}

fn write_simple(simple: Simple, value: &Value, out: &mut Writer) -> Result<()> {
    match (simple, value) {
        (Simple::Boolean | Simple::BooleanValue, Value::Bool(value)) => out.bool(*value),
        (Simple::Byte | Simple::ByteValue, Value::Byte(value)) => out.u8(value.cast_unsigned()),
        (Simple::Short | Simple::ShortValue, Value::Short(value)) => out.i16(*value),
        (Simple::Int | Simple::IntValue, Value::Int(value)) => out.i32(*value),
        (Simple::Long | Simple::LongValue, Value::Long(value)) => out.i64(*value),
        (Simple::Char | Simple::CharValue, Value::Char(value)) => out.u16(*value),
        (Simple::Float | Simple::FloatValue, Value::Float(value)) => out.u32(value.to_bits()),
        (Simple::Double | Simple::DoubleValue, Value::Double(value)) => out.u64(value.to_bits()),
        (Simple::String, Value::Null) => out.strval(None),
        (Simple::String, Value::String(text)) => out.strval(Some(text)),
        (Simple::StringValue, Value::String(text)) => mutable_string(text, out),
        (Simple::BigInt | Simple::BigDec, Value::Null) => out.i32(0),
        (Simple::BigInt, Value::BigInteger(number)) => big_integer(number, out)?,
        (Simple::BigDec, Value::BigDecimal(number)) => {
            big_integer(&number.unscaled, out)?;
            out.i32(number.scale);
        }
        (Simple::Date | Simple::SqlDate | Simple::SqlTime, Value::Null) => out.i64(i64::MIN),
        (Simple::Date | Simple::SqlDate | Simple::SqlTime, Value::Date(millis)) => out.i64(*millis),
        (Simple::SqlTimestamp, Value::Timestamp { millis, nanos }) => moment(*millis, *nanos, out),
        (Simple::SqlTimestamp, Value::Null) => moment(i64::MIN, 0, out),
        (Simple::Instant, Value::Instant { seconds, nanos }) => moment(*seconds, *nanos, out),
        (Simple::Instant, Value::Null) => moment(i64::MIN, i32::MIN, out),
        (Simple::LocalDate, Value::LocalDate(value)) => date(Some(*value), out),
        (Simple::LocalTime, Value::LocalTime(value)) => time(Some(*value), out)?,
        (Simple::LocalDateTime, Value::LocalDateTime(day, of_day)) => {
            date(Some(*day), out);
            time(Some(*of_day), out)?;
        }
        (Simple::LocalDate, Value::Null) => date(None, out),
        (Simple::LocalTime, Value::Null) => time(None, out)?,
        (Simple::LocalDateTime, Value::Null) => {
            date(None, out);
            time(None, out)?;
        }
        (Simple::Void | Simple::VoidNamespace | Simple::DataView | Simple::ScalaUnit, Value::Null)
        | (Simple::GlobalWindow | Simple::SqlGlobalWindow, Value::GlobalWindow) => out.u8(0),
        (Simple::SqlCountWindow, Value::Long(value)) => out.i64(*value),
        (Simple::SortedLong, Value::Long(value)) => out.ordered_i64(*value),
        (Simple::NullValue, Value::Null) => {}
        (Simple::TimeWindow | Simple::SqlTimeWindow, Value::Window { start, end }) => {
            out.i64(*start);
            out.i64(*end);
        }
        (Simple::Tuple0, Value::Tuple(fields)) if fields.is_empty() => out.u8(0x2A),
        (Simple::EventId, Value::Tuple(parts)) => match parts.as_slice() {
            [Value::Int(id), Value::Long(time)] => {
                out.i32(*id);
                out.i64(*time);
            }
            _ => return Err(mismatch("an event id", value)),
        },
        (simple, value) => return write_sequence(simple, value, out),
    }
    Ok(())
}

/// Arrays of primitives, and values that only have a length.
fn write_sequence(simple: Simple, value: &Value, out: &mut Writer) -> Result<()> {
    let element = match (simple, value) {
        (Simple::ByteArray, Value::Bytes(bytes)) => return out.bytes32(bytes, "byte array"),
        (Simple::StringData, Value::String(JavaString::Text(text))) => return out.bytes32(text.as_bytes(), "string"),
        (Simple::Bitmap, Value::Opaque { bytes, .. }) => return out.bytes32(bytes, "bitmap"),
        (Simple::Variant | Simple::JavaObject, Value::Opaque { bytes, .. }) => {
            out.raw(bytes);
            return Ok(());
        }
        (Simple::BooleanArray, Value::List(_)) => Simple::Boolean,
        (Simple::CharArray, Value::List(_)) => Simple::Char,
        (Simple::ShortArray, Value::List(_)) => Simple::Short,
        (Simple::IntArray | Simple::DeweyNumber, Value::List(_)) => Simple::Int,
        (Simple::LongArray, Value::List(_)) => Simple::Long,
        (Simple::FloatArray, Value::List(_)) => Simple::Float,
        (Simple::DoubleArray, Value::List(_)) => Simple::Double,
        (Simple::StringArray, Value::List(_)) => Simple::String,
        (simple, value) => return Err(mismatch(simple.class(), value)),
    };
    let Value::List(elements) = value else { return Err(mismatch(simple.class(), value)) };
    out.items(elements.len(), "array length")?;
    elements.iter().try_for_each(|value| write_simple(element, value, out))
}

fn moment(first: i64, nanos: i32, out: &mut Writer) {
    out.i64(first);
    out.i32(nanos);
}

fn date(date: Option<LocalDate>, out: &mut Writer) {
    let (year, month, day) = date.map_or((i32::MIN, NULL_PART, 0), |date| (date.year, date.month, date.day));
    out.i32(year);
    out.raw(&[month, day]);
}

fn time(time: Option<LocalTime>, out: &mut Writer) -> Result<()> {
    match time {
        None => {
            out.raw(&[NULL_PART, NULL_PART, 0]);
            out.i32(i32::MIN);
            Ok(())
        }
        Some(LocalTime { hour, minute, second, nanos }) => {
            out.raw(&[hour, minute, second]);
            out.non_negative(nanos, "nanoseconds")
        }
    }
}

/// `types.StringValue`: the count is not one higher.
fn mutable_string(text: &JavaString, out: &mut Writer) {
    match text {
        JavaString::Text(text) => {
            out.length(text.encode_utf16().count());
            text.encode_utf16().for_each(|unit| out.varint(unit.into()));
        }
        JavaString::Units(units) => {
            out.length(units.len());
            units.iter().for_each(|unit| out.varint((*unit).into()));
        }
    }
}

fn big_integer(number: &BigInteger, out: &mut Writer) -> Result<()> {
    let bytes = number.as_bytes();
    out.items(bytes.len().saturating_add(4), "big integer")?;
    out.raw(bytes);
    Ok(())
}

fn constant(class: &str, constants: &[Arc<str>], name: &str, out: &mut Writer) -> Result<()> {
    match constants.iter().position(|constant| **constant == *name) {
        Some(index) => out.items(index, "enum constant"),
        None => Err(Error::invalid_input(format!("the enum {class} has no constant {name}"))),
    }
}

/// A value behind a flag that is 1 where there is none.
fn unless_null(serializer: &Snapshot, value: &Value, out: &mut Writer) -> Result<()> {
    out.bool(*value == Value::Null);
    if *value == Value::Null { Ok(()) } else { serializer.write_value(value, out) }
}

/// A record with or without a time, or a watermark, by what it has.
fn stream_element(element: &Snapshot, fields: &[(Arc<str>, Value)], out: &mut Writer) -> Result<()> {
    let field = |name: &str| fields.iter().find(|(field, _)| **field == *name).map(|(_, value)| value);
    match (field(&STREAM.timestamp), field(&STREAM.value)) {
        (Some(Value::Long(time)), None) => {
            out.u8(WATERMARK);
            out.i64(*time);
            Ok(())
        }
        (Some(Value::Long(time)), Some(value)) => {
            out.u8(RECORD_WITH_TIME);
            out.i64(*time);
            element.write_value(value, out)
        }
        (None | Some(Value::Null), Some(value)) => {
            out.u8(RECORD);
            element.write_value(value, out)
        }
        _ => Err(Error::invalid_input("a stream element has a time, a value, or both")),
    }
}

fn same_arity(what: &str, described: usize, given: usize) -> Result<()> {
    if described == given {
        return Ok(());
    }
    Err(Error::invalid_input(format!("{what} has {described} fields, the value has {given}")))
}

/// Bits, most significant first (`MaskUtils`).
fn mask(bits: impl Iterator<Item = bool>, out: &mut Writer) {
    let bits: Vec<bool> = bits.collect();
    for chunk in bits.chunks(8) {
        let byte = chunk.iter().zip(0u32..).fold(0u8, |byte, (bit, place)| byte | ((u8::from(*bit) << 7) >> place));
        out.u8(byte);
    }
}

fn linked_list(null_mask: bool, element: &Snapshot, elements: &[Value], out: &mut Writer) -> Result<()> {
    out.items(elements.len(), "number of elements")?;
    if null_mask {
        mask(elements.iter().map(|value| *value == Value::Null), out);
    }
    elements
        .iter()
        .filter(|value| !null_mask || **value != Value::Null)
        .try_for_each(|value| element.write_value(value, out))
}

fn row(with_kind: bool, fields: &[Snapshot], kind: RowKind, values: &[Value], out: &mut Writer) -> Result<()> {
    same_arity("the row", fields.len(), values.len())?;
    let number = kind.number();
    let kind_bits = [number & 1 != 0, number & 2 != 0];
    let kind_bits = if with_kind { kind_bits.as_slice() } else { &[] };
    mask(kind_bits.iter().copied().chain(values.iter().map(|value| *value == Value::Null)), out);
    fields
        .iter()
        .zip(values)
        .filter(|(_, value)| **value != Value::Null)
        .try_for_each(|(field, value)| field.write_value(value, out))
}

fn pojo(described: &Pojo, value: &Value, out: &mut Writer) -> Result<()> {
    let class = match value {
        Value::Null => {
            out.u8(1);
            return Ok(());
        }
        Value::Pojo { class, fields } if *class == described.class => return pojo_fields(described, fields, out),
        Value::Opaque { class, bytes } if *class == described.class => {
            out.raw(bytes);
            return Ok(());
        }
        Value::Pojo { class, .. } | Value::Opaque { class, .. } => class,
        value => return Err(mismatch(&described.class, value)),
    };
    let of_class = |subclass: &&Subclass| *subclass.class == **class;
    let registered = described.registered.iter().position(|subclass| of_class(&subclass));
    let (subclass, tag) = match registered {
        Some(tag) => (described.registered.get(tag), u8::try_from(tag).ok()),
        None => (described.unregistered.iter().find(of_class), None),
    };
    let serializer = subclass.and_then(|subclass| subclass.serializer.as_ref());
    let Some(serializer) = serializer else {
        let message = format!("{class} is no subclass of {} that its serializer knows", described.class);
        return Err(Error::invalid_input(message));
    };
    match tag {
        Some(tag) => out.raw(&[8, tag]),
        None => {
            out.u8(4);
            out.utf(class, "subclass")?;
        }
    }
    serializer.write_value(value, out)
}

fn pojo_fields(described: &Pojo, fields: &[(Arc<str>, Value)], out: &mut Writer) -> Result<()> {
    same_arity(&described.class, described.fields.len(), fields.len())?;
    out.u8(2);
    for (field, (name, value)) in described.fields.iter().zip(fields) {
        if field.name != *name {
            let message = format!("field {name} of {} is where field {} has to be", described.class, field.name);
            return Err(Error::invalid_input(message));
        }
        out.bool(*value == Value::Null);
        if *value == Value::Null {
            continue;
        }
        let serializer = field.serializer.as_ref().ok_or_else(|| {
            Error::invalid_input(format!("field {} of {} has lost its serializer", field.name, described.class))
        })?;
        serializer.write_value(value, out)?;
    }
    Ok(())
}
