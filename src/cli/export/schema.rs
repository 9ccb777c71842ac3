//! What the parts of an entry are stored as in a Parquet file.
//!
//! A [`Type`] is found from what a snapshot says of its types (`own`, `flink`), becomes a part of the file's schema here, and
//! takes values apart in `columns`. Whatever has no type of its own in Parquet is [`Type::Json`]: text, with the reason beside
//! it, which the file's metadata repeats.

use std::collections::HashSet;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::{Type as Node, TypePtr};

/// Deepest nesting of columns; deeper parts are JSON. Readers follow nested columns by recursion.
pub(super) const MAX_DEPTH: usize = 16;

/// A part of an entry has at most so many columns, else it is JSON as a whole: each takes a buffer in every row group.
const MAX_COLUMNS: usize = 512;

/// Bytes of a decimal that fits no integer.
pub(super) const DECIMAL_BYTES: i32 = 16;

/// Digits that a decimal can have.
pub(super) const MAX_DIGITS: u32 = 38;

/// What a part of an entry is stored as. Every part can be null, save keys of maps.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Bool,
    /// A number of so many bits.
    Integer {
        bits: u8,
        signed: bool,
    },
    F32,
    F64,
    Text,
    Bytes,
    /// Bytes of a class that only its own program understands.
    Opaque(String),
    /// Days since 1970, from a number.
    Days,
    /// The same, from ISO 8601.
    Date,
    /// Milliseconds of the day.
    TimeOfDay,
    /// Nanoseconds of the day, from ISO 8601.
    LocalTime,
    /// A point in time.
    Moment {
        stored: Stored,
        unit: Unit,
        /// Whether it is one in UTC; else one by an unknown local clock.
        utc: bool,
    },
    /// A number with so many digits, of which `scale` are behind the point.
    Decimal {
        precision: u32,
        scale: u32,
    },
    /// Text with what `millpond show --json` prints.
    Json {
        /// Why the type is not a better one.
        reason: String,
    },
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Group(Group),
}

/// How a snapshot stores points in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// Milliseconds since 1970.
    Millis,
    /// `seconds` since 1970 and `nanos` of the second.
    SecondsAndNanos,
    /// `millis` since 1970 and `nanos` of the second, which contain the milliseconds (`java.sql.Timestamp`).
    MillisAndNanosOfSecond,
    /// `millis` since 1970 and `nanos` of the millisecond (SQL).
    MillisAndNanos,
    /// ISO 8601.
    Text,
}

/// What points in time are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

/// Columns side by side.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) form: Form,
    pub(super) fields: Vec<Field>,
}

/// How the value of a group is taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// By name.
    Record,
    /// By position.
    Tuple,
    /// A time window: `start_ms` and `end_ms`.
    Window,
    /// A row: `row_kind`, then the fields by position.
    Row,
    /// One of several types: `variant` is the name of the one it is, and only the column of that name is not null.
    Variant(Vec<Variant>),
}

/// One of several types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variant {
    /// Its name, and others under which it may be stored.
    pub(super) names: Vec<String>,
    /// The position of its column, if it has content.
    pub(super) column: Option<usize>,
}

/// A column, or several of one name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) stored: Type,
}

impl Field {
    pub(super) fn new(name: impl Into<String>, stored: Type) -> Self {
        Field { name: name.into(), stored }
    }
}

impl Unit {
    /// The unit that shows so many digits behind the second.
    pub(super) fn of_digits(digits: u32) -> Self {
        match digits {
            0..=3 => Unit::Millis,
            4..=6 => Unit::Micros,
            _ => Unit::Nanos,
        }
    }

    fn parquet(self) -> TimeUnit {
        match self {
            Unit::Millis => TimeUnit::MILLIS,
            Unit::Micros => TimeUnit::MICROS,
            Unit::Nanos => TimeUnit::NANOS,
        }
    }
}

impl Type {
    pub(super) const I32: Type = Type::Integer { bits: 32, signed: true };
    pub(super) const I64: Type = Type::Integer { bits: 64, signed: true };

    pub(super) fn json(reason: impl Into<String>) -> Self {
        Type::Json { reason: reason.into() }
    }

    pub(super) fn list(element: Type) -> Self {
        Type::List(Box::new(element))
    }

    pub(super) fn map(key: Type, value: Type) -> Self {
        Type::Map(Box::new(key), Box::new(value))
    }

    /// A group; one without fields, or with two of one name, is no group in Parquet.
    pub(super) fn group(form: Form, fields: Vec<Field>) -> Self {
        let mut names = HashSet::new();
        if fields.is_empty() {
            return Type::json("it has no fields");
        }
        match fields.iter().find(|field| !names.insert(field.name.as_str())) {
            Some(field) => Type::json(format!("it has two fields {:?}", field.name)),
            None => Type::Group(Group { form, fields }),
        }
    }

    /// Fields without names of their own.
    pub(super) fn tuple(types: impl IntoIterator<Item = Type>) -> Self {
        Type::group(Form::Tuple, positions(types))
    }

    /// A row with the kind of change that it is.
    pub(super) fn row(fields: Vec<Field>) -> Self {
        let mut all = vec![Field::new("row_kind", Type::Text)];
        all.extend(fields);
        let mut names = HashSet::new();
        if all.iter().all(|field| names.insert(field.name.clone())) {
            return Type::group(Form::Row, all);
        }
        let types = all.into_iter().skip(1).map(|field| field.stored);
        Type::row(positions(types))
    }

    pub(super) fn window() -> Self {
        Type::group(Form::Window, vec![Field::new("start_ms", Type::I64), Field::new("end_ms", Type::I64)])
    }

    /// One of several types, each with its names and what it holds.
    pub(super) fn variant(variants: impl IntoIterator<Item = (Vec<String>, Option<Type>)>) -> Self {
        let mut fields = vec![Field::new("variant", Type::Text)];
        let mut all = Vec::new();
        for (names, content) in variants {
            let column = content.is_some().then_some(fields.len());
            fields.extend(content.map(|content| Field::new(names.first().map_or("", String::as_str), content)));
            all.push(Variant { names, column });
        }
        Type::group(Form::Variant(all), fields)
    }

    /// The same, or JSON if a file with it would have too many columns.
    pub(super) fn bounded(self) -> Self {
        let count = self.columns();
        if count <= MAX_COLUMNS {
            return self;
        }
        Type::json(format!("it has {count} columns, a part of an entry can have {MAX_COLUMNS}"))
    }

    /// How many columns there are.
    fn columns(&self) -> usize {
        match self {
            Type::List(element) => element.columns(),
            Type::Map(key, value) => key.columns() + value.columns(),
            Type::Group(group) => group.fields.iter().map(|field| field.stored.columns()).sum(),
            _ => 1,
        }
    }

    /// Calls `visit` with every part that has no parts of its own, and its name in the file.
    pub(super) fn leaves(&self, path: &str, visit: &mut dyn FnMut(&str, &Type)) {
        match self {
            Type::List(element) => element.leaves(&format!("{path}.list.element"), visit),
            Type::Map(key, value) => {
                key.leaves(&format!("{path}.key_value.key"), visit);
                value.leaves(&format!("{path}.key_value.value"), visit);
            }
            Type::Group(group) => {
                group.fields.iter().for_each(|field| field.stored.leaves(&format!("{path}.{}", field.name), visit));
            }
            leaf => visit(path, leaf),
        }
    }

    /// The part of a file's schema with this type.
    pub(super) fn node(&self, name: &str, repetition: Repetition) -> Result<TypePtr, ParquetError> {
        let optional = Repetition::OPTIONAL;
        let (logical, fields) = match self {
            Type::List(element) => {
                let repeated = group("list", Repetition::REPEATED, None, vec![element.node("element", optional)?])?;
                (Some(LogicalType::List), vec![repeated])
            }
            Type::Map(key, value) => {
                let entry = vec![key.node("key", Repetition::REQUIRED)?, value.node("value", optional)?];
                (Some(LogicalType::Map), vec![group("key_value", Repetition::REPEATED, None, entry)?])
            }
            Type::Group(group) => {
                let fields = group.fields.iter().map(|field| field.stored.node(&field.name, optional));
                (None, fields.collect::<Result<_, _>>()?)
            }
            leaf => return leaf.primitive(name, repetition),
        };
        group(name, repetition, logical, fields)
    }

    fn primitive(&self, name: &str, repetition: Repetition) -> Result<TypePtr, ParquetError> {
        let mut builder = Node::primitive_type_builder(name, self.physical())
            .with_repetition(repetition)
            .with_logical_type(self.logical());
        if let Type::Decimal { precision, scale } = *self {
            builder = builder.with_precision(small(precision)).with_scale(small(scale)).with_length(DECIMAL_BYTES);
        }
        builder.build().map(Arc::new)
    }

    pub(super) fn physical(&self) -> Physical {
        match self {
            Type::Bool => Physical::BOOLEAN,
            Type::Integer { bits: 64, .. } | Type::LocalTime | Type::Moment { .. } => Physical::INT64,
            Type::Integer { .. } | Type::Days | Type::Date | Type::TimeOfDay => Physical::INT32,
            Type::F32 => Physical::FLOAT,
            Type::F64 => Physical::DOUBLE,
            Type::Decimal { .. } => Physical::FIXED_LEN_BYTE_ARRAY,
            _ => Physical::BYTE_ARRAY,
        }
    }

    fn logical(&self) -> Option<LogicalType> {
        Some(match *self {
            Type::Integer { bits: 32 | 64, signed: true } => return None,
            Type::Integer { bits, signed } => LogicalType::integer(bits.cast_signed(), signed),
            Type::Text => LogicalType::String,
            Type::Json { .. } => LogicalType::Json,
            Type::Days | Type::Date => LogicalType::Date,
            Type::TimeOfDay => LogicalType::time(false, TimeUnit::MILLIS),
            Type::LocalTime => LogicalType::time(false, TimeUnit::NANOS),
            Type::Moment { unit, utc, .. } => LogicalType::timestamp(utc, unit.parquet()),
            Type::Decimal { precision, scale } => LogicalType::decimal(small(scale), small(precision)),
            _ => return None,
        })
    }
}

/// A number of digits, which is at most [`MAX_DIGITS`].
fn small(digits: u32) -> i32 {
    i32::try_from(digits).unwrap_or(i32::MAX)
}

fn positions(types: impl IntoIterator<Item = Type>) -> Vec<Field> {
    types.into_iter().enumerate().map(|(position, stored)| Field::new(format!("f{position}"), stored)).collect()
}

fn group(
    name: &str,
    repetition: Repetition,
    logical: Option<LogicalType>,
    fields: Vec<TypePtr>,
) -> Result<TypePtr, ParquetError> {
    let builder = Node::group_type_builder(name).with_repetition(repetition).with_logical_type(logical);
    builder.with_fields(fields).build().map(Arc::new)
}
