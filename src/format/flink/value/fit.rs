//! Values of ours as values of a Flink type.

use std::sync::Arc;

use super::decode::STREAM;
use super::{BigDecimal, BigInteger, LocalDate, LocalTime, RowKind, Value};
use crate::error::{Error, Result};
use crate::format::flink::serializer::{Pojo, Simple, Snapshot, TypeSerializer};
use crate::format::flink::{JavaString, LogicalKind, LogicalType};
use crate::serializer::Value as Dynamic;

/// A value as one that the serializer writes. [`Incompatible`](crate::ErrorKind::Incompatible) where the type cannot hold
/// it.
pub(crate) fn fit(value: Dynamic, snapshot: &Snapshot) -> Result<Value> {
    of(value, &snapshot.serializer)
}

fn misfit(what: &str, value: &Dynamic) -> Error {
    Error::incompatible(format!("the value {} does not fit Flink's type {what}", shortened(value)))
}

/// The beginning of a value's text.
fn shortened(value: &Dynamic) -> String {
    let text = value.to_string();
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn of(value: Dynamic, serializer: &TypeSerializer) -> Result<Value> {
    let boxed = |value: Dynamic, inner: &Snapshot| of(value, &inner.serializer).map(Box::new);
    Ok(match (serializer, value) {
        (_, Dynamic::Opaque { type_name, bytes }) => Value::Opaque { class: type_name.into(), bytes },
        (TypeSerializer::Simple(simple), value) => simple_value(*simple, value)?,
        (TypeSerializer::Nullable { .. } | TypeSerializer::Optional(_), Dynamic::Unit) => Value::Null,
        (
            TypeSerializer::Nullable { inner, .. } | TypeSerializer::External(inner) | TypeSerializer::Optional(inner),
            value,
        ) => of(value, &inner.serializer)?,
        (TypeSerializer::List(element), value) => Value::List(elements(value, element)?),
        (TypeSerializer::Set(element), value) => Value::Set(elements(value, element)?),
        (
            TypeSerializer::LinkedList { element, .. } | TypeSerializer::GenericArray { component: element, .. },
            value,
        ) => Value::List(each(list(value)?, |value| or_null(value, &element.serializer))?),
        (TypeSerializer::Map(key, map_value) | TypeSerializer::SortedMap(key, map_value), value) => {
            let entries = entries(value)?.into_iter();
            Value::Map(
                entries
                    .map(|(k, v)| Ok((of(k, &key.serializer)?, or_null(v, &map_value.serializer)?)))
                    .collect::<Result<_>>()?,
            )
        }
        (TypeSerializer::NullAwareMap(key, map_value), value) => {
            let entries = entries(value)?.into_iter();
            let fitted = entries.map(|(k, v)| Ok((or_null(k, &key.serializer)?, or_null(v, &map_value.serializer)?)));
            Value::Map(fitted.collect::<Result<_>>()?)
        }
        (TypeSerializer::StreamElement(element), Dynamic::Record(fields)) => stream_element(fields, element)?,
        (TypeSerializer::Tuple { class, fields }, value) => {
            let values = same_arity(class, fields.len(), sequence(value)?)?;
            Value::Tuple(zip(fields, values, of)?)
        }
        (TypeSerializer::Row { fields, .. }, value) => {
            let (kind, value) = row_kind(value);
            let values = same_arity("Row", fields.len(), sequence(value)?)?;
            Value::Row { kind, fields: zip(fields, values, or_null)? }
        }
        (TypeSerializer::RowData { types, .. }, value) => {
            let (kind, value) = row_kind(value);
            let values = same_arity("RowData", types.len(), sequence(value)?)?;
            let fields = types.iter().zip(values).map(|(field, value)| fit_sql(value, field)).collect::<Result<_>>()?;
            Value::RowData { kind, fields }
        }
        (TypeSerializer::Pojo(_), Dynamic::Unit) => Value::Null,
        (TypeSerializer::Pojo(described), value) => pojo(described, value)?,
        (TypeSerializer::Enum { .. }, Dynamic::String(name)) => Value::Enum(name.into()),
        (TypeSerializer::Either(left, right) | TypeSerializer::Union(left, right), Dynamic::Record(mut fields)) => {
            match (fields.pop(), fields.is_empty()) {
                (Some((side, value)), true) if side == "Left" => Value::Left(boxed(value, left)?),
                (Some((side, value)), true) if side == "Right" => Value::Right(boxed(value, right)?),
                (_, _) => return Err(Error::incompatible("an Either that is neither Left nor Right")),
            }
        }
        (TypeSerializer::DecimalData { .. }, Dynamic::String(text)) => Value::BigDecimal(decimal(&text)?),
        (TypeSerializer::TimestampData { .. }, value) => {
            let (millis, nanos) = moment(&value, "millis")?;
            Value::TimestampData { millis, nanos }
        }
        (serializer, value) => return Err(misfit(serializer.name(), &value)),
    })
}

/// A value in a place that has nulls of its own.
fn or_null(value: Dynamic, serializer: &TypeSerializer) -> Result<Value> {
    if value == Dynamic::Unit { Ok(Value::Null) } else { of(value, serializer) }
}

fn each(values: Vec<Dynamic>, convert: impl Fn(Dynamic) -> Result<Value>) -> Result<Vec<Value>> {
    values.into_iter().map(convert).collect()
}

fn zip(
    fields: &[Snapshot],
    values: Vec<Dynamic>,
    convert: impl Fn(Dynamic, &TypeSerializer) -> Result<Value>,
) -> Result<Vec<Value>> {
    fields.iter().zip(values).map(|(field, value)| convert(value, &field.serializer)).collect()
}

fn elements(value: Dynamic, element: &Snapshot) -> Result<Vec<Value>> {
    each(list(value)?, |value| of(value, &element.serializer))
}

fn list(value: Dynamic) -> Result<Vec<Dynamic>> {
    match value {
        Dynamic::List(values) | Dynamic::Tuple(values) => Ok(values),
        value => Err(misfit("List", &value)),
    }
}

fn entries(value: Dynamic) -> Result<Vec<(Dynamic, Dynamic)>> {
    match value {
        Dynamic::Map(entries) => Ok(entries),
        Dynamic::Record(fields) => Ok(fields.into_iter().map(|(name, value)| (Dynamic::String(name), value)).collect()),
        value => Err(misfit("Map", &value)),
    }
}

/// Fields by position.
fn sequence(value: Dynamic) -> Result<Vec<Dynamic>> {
    match value {
        Dynamic::Tuple(fields) | Dynamic::List(fields) => Ok(fields),
        Dynamic::Record(fields) => Ok(fields.into_iter().map(|(_, value)| value).collect()),
        value => Err(misfit("Row", &value)),
    }
}

fn same_arity(what: &str, described: usize, values: Vec<Dynamic>) -> Result<Vec<Dynamic>> {
    if values.len() == described {
        return Ok(values);
    }
    Err(Error::incompatible(format!("a value with {} fields does not fit {what} with {described}", values.len())))
}

/// What happened to a row, which is said where it was not inserted, and its fields.
fn row_kind(value: Dynamic) -> (RowKind, Dynamic) {
    let kind = match &value {
        Dynamic::Record(fields) => match fields.as_slice() {
            [(name, _)] => RowKind::from_symbol(name),
            _ => None,
        },
        _ => None,
    };
    match (kind, value) {
        (Some(kind), Dynamic::Record(mut fields)) => (kind, fields.pop().map_or(Dynamic::Unit, |(_, row)| row)),
        (_, value) => (RowKind::Insert, value),
    }
}

/// The class that an object with these fields is of: the one that is described or, where that has not all of them, the only
/// subclass that has exactly these. Subclasses that add no fields cannot be told from the class.
fn class_of<'p>(described: &'p Pojo, given: &[(String, Dynamic)]) -> Result<&'p Pojo> {
    let has_all = |pojo: &Pojo| given.iter().all(|(name, _)| pojo.fields.iter().any(|field| *field.name == **name));
    let is_exact = |pojo: &Pojo| pojo.fields.len() == given.len() && has_all(pojo);
    let subclasses = described.registered.iter().chain(&described.unregistered);
    let mut exact = subclasses.filter_map(|subclass| match &subclass.serializer.as_ref()?.serializer {
        TypeSerializer::Pojo(pojo) if is_exact(pojo) => Some(pojo),
        _ => None,
    });
    match (exact.next(), exact.next(), has_all(described)) {
        (None, _, _) => Ok(described),
        (Some(subclass), None, false) => Ok(subclass),
        (Some(one), other, _) => {
            let other = other.map_or(&described.class, |other| &other.class);
            let message =
                format!("objects of {} and of {other} have the same fields and cannot be told apart", one.class);
            Err(Error::incompatible(message))
        }
    }
}

fn pojo(described: &Pojo, value: Dynamic) -> Result<Value> {
    let Dynamic::Record(mut given) = value else { return Err(misfit(&described.class, &value)) };
    let described = class_of(described, &given)?;
    let mut fields = Vec::new();
    for field in &described.fields {
        let position = given.iter().position(|(name, _)| **name == *field.name);
        let value = position.map_or(Dynamic::Unit, |position| given.swap_remove(position).1);
        let converted = match &field.serializer {
            Some(serializer) => or_null(value, &serializer.serializer)?,
            None if value == Dynamic::Unit => Value::Null,
            None => return Err(Error::incompatible(format!("field {} has no serializer", field.name))),
        };
        fields.push((Arc::clone(&field.name), converted));
    }
    match given.first() {
        None => Ok(Value::Pojo { class: Arc::clone(&described.class), fields }),
        Some((name, _)) => Err(Error::incompatible(format!("{} has no field {name}", described.class))),
    }
}

fn stream_element(given: Vec<(String, Dynamic)>, element: &Snapshot) -> Result<Value> {
    let is_record = given.iter().any(|(name, _)| **name == *STREAM.value);
    let mut fields = Vec::new();
    for (name, value) in given {
        let value = match &*name {
            "timestamp" if value == Dynamic::Unit => Value::Null,
            "timestamp" => Value::Long(integer(&value, "timestamp")?),
            "value" => of(value, &element.serializer)?,
            name => return Err(Error::incompatible(format!("a stream element has no field {name}"))),
        };
        fields.push((name.into(), value));
    }
    let class = if is_record { &STREAM.record } else { &STREAM.watermark };
    Ok(Value::Pojo { class: Arc::clone(class), fields })
}

fn simple_value(simple: Simple, value: Dynamic) -> Result<Value> {
    use Simple as S;
    let what = simple.class();
    Ok(match (simple, value) {
        (S::Void | S::VoidNamespace | S::NullValue | S::DataView | S::ScalaUnit, Dynamic::Unit) => Value::Null,
        (S::GlobalWindow | S::SqlGlobalWindow, Dynamic::Unit) => Value::GlobalWindow,
        (
            S::String
            | S::BigInt
            | S::BigDec
            | S::Date
            | S::SqlDate
            | S::SqlTime
            | S::SqlTimestamp
            | S::Instant
            | S::LocalDate
            | S::LocalTime
            | S::LocalDateTime,
            Dynamic::Unit,
        ) => Value::Null,
        (S::Boolean | S::BooleanValue, Dynamic::Bool(value)) => Value::Bool(value),
        (S::Byte | S::ByteValue, value) => Value::Byte(integer(&value, what)?),
        (S::Short | S::ShortValue, value) => Value::Short(integer(&value, what)?),
        (S::Int | S::IntValue, value) => Value::Int(integer(&value, what)?),
        (S::Long | S::LongValue | S::SqlCountWindow | S::SortedLong, value) => Value::Long(integer(&value, what)?),
        (S::Char | S::CharValue, value) => Value::Char(integer(&value, what)?),
        (S::Date | S::SqlDate | S::SqlTime, value) => Value::Date(integer(&value, what)?),
        (S::Float | S::FloatValue, Dynamic::F32(value)) => Value::Float(value),
        (S::Double | S::DoubleValue, Dynamic::F64(value)) => Value::Double(value),
        (S::Double | S::DoubleValue, Dynamic::F32(value)) => Value::Double(value.into()),
        (S::String | S::StringValue | S::StringData, Dynamic::String(text)) => Value::String(JavaString::Text(text)),
        (S::String | S::StringValue, Dynamic::Bytes(bytes)) => match JavaString::from_wtf8(&bytes) {
            Some(text) => Value::String(text),
            None => return Err(misfit(what, &Dynamic::Bytes(bytes))),
        },
        (S::BigInt, value) => Value::BigInteger(big_integer(&value)?),
        (S::BigDec, Dynamic::String(text)) => Value::BigDecimal(decimal(&text)?),
        (S::LocalDate, Dynamic::String(text)) => Value::LocalDate(day(&text)?),
        (S::LocalTime, Dynamic::String(text)) => Value::LocalTime(time(&text)?),
        (S::LocalDateTime, Dynamic::String(text)) => match text.split_once('T') {
            Some((date, of_day)) => Value::LocalDateTime(day(date)?, time(of_day)?),
            None => return Err(misfit(what, &Dynamic::String(text))),
        },
        (S::SqlTimestamp, value) => {
            let (millis, nanos) = moment(&value, "millis")?;
            Value::Timestamp { millis, nanos }
        }
        (S::Instant, value) => {
            let (seconds, nanos) = moment(&value, "seconds")?;
            Value::Instant { seconds, nanos }
        }
        (S::TimeWindow | S::SqlTimeWindow, Dynamic::Window(window)) => {
            Value::Window { start: window.start_ms, end: window.end_ms }
        }
        (S::TimeWindow | S::SqlTimeWindow, value) => {
            let (start, end) = (named(&value, "start_ms")?, named(&value, "end_ms")?);
            Value::Window { start, end }
        }
        (S::Tuple0, Dynamic::Tuple(fields) | Dynamic::List(fields)) if fields.is_empty() => Value::Tuple(Vec::new()),
        (S::EventId, Dynamic::Tuple(parts) | Dynamic::List(parts)) => event_id(parts)?,
        (S::ByteArray, Dynamic::Bytes(bytes)) => Value::Bytes(bytes),
        (S::ByteArray, Dynamic::List(numbers)) => {
            Value::Bytes(numbers.iter().map(|number| integer::<u8>(number, what)).collect::<Result<_>>()?)
        }
        (simple, Dynamic::List(values)) => array(simple, values)?,
        (_, value) => return Err(misfit(what, &value)),
    })
}

fn event_id(parts: Vec<Dynamic>) -> Result<Value> {
    match parts.as_slice() {
        [id, time] => Ok(Value::Tuple(vec![Value::Int(integer(id, "int")?), Value::Long(integer(time, "long")?)])),
        _ => Err(misfit("EventId", &Dynamic::Tuple(parts))),
    }
}

fn array(simple: Simple, values: Vec<Dynamic>) -> Result<Value> {
    let element = match simple {
        Simple::BooleanArray => Simple::Boolean,
        Simple::CharArray => Simple::Char,
        Simple::ShortArray => Simple::Short,
        Simple::IntArray | Simple::DeweyNumber => Simple::Int,
        Simple::LongArray => Simple::Long,
        Simple::FloatArray => Simple::Float,
        Simple::DoubleArray => Simple::Double,
        Simple::StringArray => Simple::String,
        other => return Err(misfit(other.class(), &Dynamic::List(values))),
    };
    each(values, |value| simple_value(element, value)).map(Value::List)
}

/// An integer that fits the type.
fn integer<N: TryFrom<i128>>(value: &Dynamic, what: &str) -> Result<N> {
    let number = match value {
        Dynamic::U64(number) => i128::from(*number),
        Dynamic::I64(number) => i128::from(*number),
        value => return Err(misfit(what, value)),
    };
    N::try_from(number).map_err(|_| misfit(what, value))
}

fn big_integer(value: &Dynamic) -> Result<BigInteger> {
    match value {
        Dynamic::U64(number) => Ok(BigInteger::from_bytes(&i128::from(*number).to_be_bytes())),
        Dynamic::I64(number) => Ok(BigInteger::from(*number)),
        Dynamic::String(text) => BigInteger::parse(text).ok_or_else(|| misfit("BigInteger", value)),
        Dynamic::Bytes(bytes) => Ok(BigInteger::from_bytes(bytes)),
        value => Err(misfit("BigInteger", value)),
    }
}

fn decimal(text: &str) -> Result<BigDecimal> {
    BigDecimal::parse(text).ok_or_else(|| Error::incompatible(format!("{text:?} is no decimal number")))
}

fn day(text: &str) -> Result<LocalDate> {
    let wrong = || Error::incompatible(format!("{text:?} is no date"));
    let (rest, day) = text.rsplit_once('-').ok_or_else(wrong)?;
    let (year, month) = rest.rsplit_once('-').ok_or_else(wrong)?;
    let parsed = (year.parse().ok(), month.parse().ok(), day.parse().ok());
    match parsed {
        (Some(year), Some(month @ 1..=12), Some(day @ 1..=31)) => Ok(LocalDate { year, month, day }),
        _ => Err(wrong()),
    }
}

fn time(text: &str) -> Result<LocalTime> {
    let wrong = || Error::incompatible(format!("{text:?} is no time of day"));
    let (clock, nanos) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.split(':').map(|part| part.parse::<u8>().ok());
    let parsed = (parts.next().flatten(), parts.next().flatten(), parts.next().flatten(), parts.next());
    match (parsed, format!("{nanos:0<9}").parse().ok()) {
        ((Some(hour @ 0..=23), Some(minute @ 0..=59), Some(second @ 0..=59), None), Some(nanos @ 0..=999_999_999)) => {
            Ok(LocalTime { hour, minute, second, nanos })
        }
        _ => Err(wrong()),
    }
}

/// A field of a record that is an integer.
fn named(value: &Dynamic, name: &str) -> Result<i64> {
    let Dynamic::Record(fields) = value else { return Err(misfit(name, value)) };
    let found = fields.iter().find(|(field, _)| field == name);
    found.map_or_else(|| Err(misfit(name, value)), |(_, number)| integer(number, name))
}

/// A point in time: whole units and nanoseconds.
fn moment(value: &Dynamic, unit: &str) -> Result<(i64, i32)> {
    let nanos = i32::try_from(named(value, "nanos")?).map_err(|_| misfit("nanos", value))?;
    Ok((named(value, unit)?, nanos))
}

/// A field of a SQL row.
pub(crate) fn fit_sql(value: Dynamic, field: &LogicalType) -> Result<Value> {
    if value == Dynamic::Unit {
        return Ok(Value::Null);
    }
    Ok(match (&field.kind, value) {
        (LogicalKind::Boolean, Dynamic::Bool(value)) => Value::Bool(value),
        (LogicalKind::TinyInt, value) => Value::Byte(integer(&value, "TINYINT")?),
        (LogicalKind::SmallInt, value) => Value::Short(integer(&value, "SMALLINT")?),
        (LogicalKind::Int | LogicalKind::Date | LogicalKind::Time { .. } | LogicalKind::YearMonthInterval, value) => {
            Value::Int(integer(&value, "INT")?)
        }
        (LogicalKind::BigInt | LogicalKind::DayTimeInterval, value) => Value::Long(integer(&value, "BIGINT")?),
        (LogicalKind::Float, Dynamic::F32(value)) => Value::Float(value),
        (LogicalKind::Double, Dynamic::F64(value)) => Value::Double(value),
        (LogicalKind::Char { .. } | LogicalKind::VarChar { .. }, Dynamic::String(text)) => {
            Value::String(JavaString::Text(text))
        }
        (LogicalKind::Binary { .. } | LogicalKind::VarBinary { .. }, Dynamic::Bytes(bytes)) => Value::Bytes(bytes),
        (LogicalKind::Decimal { .. }, Dynamic::String(text)) => Value::BigDecimal(decimal(&text)?),
        (LogicalKind::Timestamp { .. } | LogicalKind::LocalZonedTimestamp { .. }, value) => {
            let (millis, nanos) = moment(&value, "millis")?;
            Value::TimestampData { millis, nanos }
        }
        (LogicalKind::Array(element), value) => Value::List(each(list(value)?, |value| fit_sql(value, element))?),
        (LogicalKind::Map(key, map_value), value) => Value::Map(
            entries(value)?
                .into_iter()
                .map(|(k, v)| Ok((fit_sql(k, key)?, fit_sql(v, map_value)?)))
                .collect::<Result<_>>()?,
        ),
        (LogicalKind::Row(fields), value) => {
            let (kind, value) = row_kind(value);
            let values = same_arity("ROW", fields.len(), sequence(value)?)?;
            let nested = fields.iter().zip(values).map(|(field, value)| fit_sql(value, &field.field_type));
            Value::RowData { kind, fields: nested.collect::<Result<_>>()? }
        }
        // Layouts that are not known were carried as bytes.
        (LogicalKind::Other { class }, Dynamic::Bytes(bytes)) => Value::Opaque { class: class.as_str().into(), bytes },
        (LogicalKind::ZonedTimestamp { .. }, Dynamic::Bytes(bytes)) => {
            Value::Opaque { class: "ZonedTimestampType".into(), bytes }
        }
        (kind, value) => return Err(misfit(&format!("{kind:?}"), &value)),
    })
}
