//! Values of Java programs, as Flink's serializers store them.
//!
//! [`Value`] keeps every distinction that the encodings make, so that a value can be shown, hashed as Java hashes it and
//! written again. What cannot be interpreted is [`Value::Opaque`], with the name of its class.
//! [`from_value`] turns a value into a type of the caller's.

mod decode;
mod dynamic;
mod encode;
mod fit;
mod form;
mod number;
mod sql;
mod sql_encode;
mod time;
mod typed;
mod usual;
mod whole;

pub(crate) use fit::{fit, fit_sql};
pub(crate) use form::{Checked, Form};
pub use number::{BigDecimal, BigInteger};
pub use time::{LocalDate, LocalTime};
pub use typed::from_value;
pub(crate) use usual::{Usual, bit};
pub(crate) use whole::Stored;
pub(in crate::format::flink) use whole::Whole;

use std::sync::Arc;

use super::java_object::LogicalType;
use super::primitive::JavaString;
use crate::codec::Writer;
use crate::error::Result;

/// A value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Null, `Void` or no namespace.
    Null,
    /// `boolean`.
    Bool(bool),
    /// `byte`.
    Byte(i8),
    /// `short`.
    Short(i16),
    /// `int`; in SQL rows also a date (days since 1970), a time of day (milliseconds) or months.
    Int(i32),
    /// `long`; in SQL rows also an interval in milliseconds.
    Long(i64),
    /// `char`, one UTF-16 unit.
    Char(u16),
    /// `float`.
    Float(f32),
    /// `double`.
    Double(f64),
    /// `String`.
    String(JavaString),
    /// `byte[]`.
    Bytes(Vec<u8>),
    /// `BigInteger`.
    BigInteger(BigInteger),
    /// `BigDecimal`, SQL decimal.
    BigDecimal(BigDecimal),
    /// `java.util.Date`, `java.sql.Date` or `java.sql.Time`: milliseconds since 1970.
    Date(i64),
    /// `java.sql.Timestamp`.
    Timestamp {
        /// Milliseconds since 1970.
        millis: i64,
        /// Nanoseconds of the second, which contain the milliseconds.
        nanos: i32,
    },
    /// `Instant`.
    Instant {
        /// Seconds since 1970.
        seconds: i64,
        /// Nanoseconds of the second.
        nanos: i32,
    },
    /// `LocalDate`.
    LocalDate(LocalDate),
    /// `LocalTime`.
    LocalTime(LocalTime),
    /// `LocalDateTime`.
    LocalDateTime(LocalDate, LocalTime),
    /// SQL timestamp.
    TimestampData {
        /// Milliseconds since 1970.
        millis: i64,
        /// Nanoseconds of the millisecond.
        nanos: i32,
    },
    /// A list or an array other than `byte[]`.
    List(Vec<Value>),
    /// A set.
    Set(Vec<Value>),
    /// A map.
    Map(Vec<(Value, Value)>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A row.
    Row {
        /// What happened to the row.
        kind: RowKind,
        /// Fields by position.
        fields: Vec<Value>,
    },
    /// A row of the SQL runtime.
    RowData {
        /// What happened to the row.
        kind: RowKind,
        /// Fields by position.
        fields: Vec<Value>,
    },
    /// An object with named fields.
    Pojo {
        /// Class of the object.
        class: Arc<str>,
        /// Fields in the order of the serializer.
        fields: Vec<(Arc<str>, Value)>,
    },
    /// A constant of an enum.
    Enum(Arc<str>),
    /// The first of two types.
    Left(Box<Value>),
    /// The second of two types.
    Right(Box<Value>),
    /// A window from a start to an end, which is excluded, in milliseconds.
    Window {
        /// First moment.
        start: i64,
        /// Moment after the last one.
        end: i64,
    },
    /// The window that holds everything.
    GlobalWindow,
    /// A value with the moment of its last access (time to live).
    Timed {
        /// Milliseconds since 1970.
        last_access: i64,
        /// The value.
        value: Box<Value>,
    },
    /// A timer.
    Timer {
        /// When it fires, in milliseconds.
        timestamp: i64,
        /// Key.
        key: Box<Value>,
        /// Namespace.
        namespace: Box<Value>,
    },
    /// A value that only its own program can interpret.
    Opaque {
        /// Class of the value or, where it is not known, of its serializer's snapshot.
        class: Arc<str>,
        /// The value as it is stored.
        bytes: Vec<u8>,
    },
}

impl Value {
    /// Java's name of the type, for messages; of an object its class.
    pub fn type_name(&self) -> &str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Byte(_) => "byte",
            Value::Short(_) => "short",
            Value::Int(_) => "int",
            Value::Long(_) => "long",
            Value::Char(_) => "char",
            Value::Float(_) => "float",
            Value::Double(_) => "double",
            Value::String(_) => "String",
            Value::Bytes(_) => "byte[]",
            Value::BigInteger(_) => "BigInteger",
            Value::BigDecimal(_) => "BigDecimal",
            Value::Date(_) => "Date",
            Value::Timestamp { .. } => "Timestamp",
            Value::Instant { .. } => "Instant",
            Value::LocalDate(_) => "LocalDate",
            Value::LocalTime(_) => "LocalTime",
            Value::LocalDateTime(..) => "LocalDateTime",
            Value::TimestampData { .. } => "TimestampData",
            Value::List(_) => "List",
            Value::Set(_) => "Set",
            Value::Map(_) => "Map",
            Value::Tuple(_) => "Tuple",
            Value::Row { .. } => "Row",
            Value::RowData { .. } => "RowData",
            Value::Pojo { class, .. } | Value::Opaque { class, .. } => class,
            Value::Enum(_) => "enum",
            Value::Left(_) | Value::Right(_) => "Either",
            Value::Window { .. } => "TimeWindow",
            Value::GlobalWindow => "GlobalWindow",
            Value::Timed { .. } => "value with time to live",
            Value::Timer { .. } => "timer",
        }
    }
}

/// What happened to a row (`RowKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowKind {
    /// It was inserted.
    Insert,
    /// It was retracted, to be updated.
    UpdateBefore,
    /// It was updated.
    UpdateAfter,
    /// It was deleted.
    Delete,
}

impl RowKind {
    /// The stored number.
    pub const fn number(self) -> u8 {
        match self {
            RowKind::Insert => 0,
            RowKind::UpdateBefore => 1,
            RowKind::UpdateAfter => 2,
            RowKind::Delete => 3,
        }
    }

    /// The kind of a stored number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(RowKind::Insert),
            1 => Some(RowKind::UpdateBefore),
            2 => Some(RowKind::UpdateAfter),
            3 => Some(RowKind::Delete),
            _ => None,
        }
    }

    /// The kind of a [symbol](Self::symbol).
    pub fn from_symbol(symbol: &str) -> Option<Self> {
        [RowKind::Insert, RowKind::UpdateBefore, RowKind::UpdateAfter, RowKind::Delete]
            .into_iter()
            .find(|kind| kind.symbol() == symbol)
    }

    /// Flink's short form, such as `+I`.
    pub const fn symbol(self) -> &'static str {
        match self {
            RowKind::Insert => "+I",
            RowKind::UpdateBefore => "-U",
            RowKind::UpdateAfter => "+U",
            RowKind::Delete => "-D",
        }
    }
}

#[cfg(test)]
mod tests;

/// The bytes of a SQL row of kind `+I` with these fields, as Flink's own writers lay them out, without a length in front.
pub(crate) fn sql_row_bytes(types: &[LogicalType], fields: &[Value]) -> Result<Vec<u8>> {
    let mut out = Writer::new();
    sql_encode::row(types.iter(), RowKind::Insert, fields, &mut out)?;
    Ok(out.into_bytes())
}
