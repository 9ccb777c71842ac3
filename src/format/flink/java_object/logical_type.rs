use super::stream::{Content, Stream};
use crate::codec::Reader;
use crate::error::Result;

/// Package of the types.
const PACKAGE: &str = "org.apache.flink.table.types.logical.";

/// Types nest at most this deep.
const MAX_DEPTH: usize = 32;

/// A type has at most so many parts; a stream can name one object many times, so its size is no bound.
const MAX_PARTS: usize = 1 << 14;

/// A type of the SQL runtime (`LogicalType`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogicalType {
    /// Whether values can be null.
    pub nullable: bool,
    /// The type itself.
    pub kind: LogicalKind,
}

/// Kinds of SQL types. Lengths are in characters or bytes, precisions in digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are SQL's")]
pub enum LogicalKind {
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Float,
    Double,
    Date,
    Null,
    Char {
        length: u32,
    },
    VarChar {
        length: u32,
    },
    Binary {
        length: u32,
    },
    VarBinary {
        length: u32,
    },
    Decimal {
        precision: u32,
        scale: u32,
    },
    Time {
        precision: u32,
    },
    Timestamp {
        precision: u32,
    },
    LocalZonedTimestamp {
        precision: u32,
    },
    ZonedTimestamp {
        precision: u32,
    },
    YearMonthInterval,
    DayTimeInterval,
    Array(Box<LogicalType>),
    Multiset(Box<LogicalType>),
    Map(Box<LogicalType>, Box<LogicalType>),
    Row(Vec<RowField>),
    /// A type with a layout that is not known: raw, distinct and later types.
    Other {
        class: String,
    },
}

/// A field of a row type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RowField {
    /// Name.
    pub name: String,
    /// Type.
    pub field_type: LogicalType,
}

impl LogicalType {
    /// Reads a type that is stored as a Java object stream of its own.
    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let start = input.clone();
        let stream = Stream::read(input)?;
        let mut parts = 0;
        convert(&stream, stream.root(), 0, &mut parts)
            .ok_or_else(|| start.corrupt("logical type", "the Java object is no type, lacks a field or is too large"))
    }
}

fn convert(stream: &Stream, object: Content, depth: usize, parts: &mut usize) -> Option<LogicalType> {
    *parts = parts.checked_add(1).filter(|parts| *parts <= MAX_PARTS)?;
    if depth >= MAX_DEPTH {
        return None;
    }
    let class = stream.class_name(object)?;
    let nullable = stream.number(object, "isNullable")? != 0;
    let mut nested = |name: &str| {
        let inner = stream.field(object, name)?;
        convert(stream, inner, depth.saturating_add(1), parts).map(Box::new)
    };
    let digits = |name: &str| u32::try_from(stream.number(object, name)?).ok();
    let kind = match class.strip_prefix(PACKAGE)? {
        "BooleanType" => LogicalKind::Boolean,
        "TinyIntType" => LogicalKind::TinyInt,
        "SmallIntType" => LogicalKind::SmallInt,
        "IntType" => LogicalKind::Int,
        "BigIntType" => LogicalKind::BigInt,
        "FloatType" => LogicalKind::Float,
        "DoubleType" => LogicalKind::Double,
        "DateType" => LogicalKind::Date,
        "NullType" => LogicalKind::Null,
        "CharType" => LogicalKind::Char { length: digits("length")? },
        "VarCharType" => LogicalKind::VarChar { length: digits("length")? },
        "BinaryType" => LogicalKind::Binary { length: digits("length")? },
        "VarBinaryType" => LogicalKind::VarBinary { length: digits("length")? },
        "DecimalType" => LogicalKind::Decimal { precision: digits("precision")?, scale: digits("scale")? },
        "TimeType" => LogicalKind::Time { precision: digits("precision")? },
        "TimestampType" => LogicalKind::Timestamp { precision: digits("precision")? },
        "LocalZonedTimestampType" => LogicalKind::LocalZonedTimestamp { precision: digits("precision")? },
        "ZonedTimestampType" => LogicalKind::ZonedTimestamp { precision: digits("precision")? },
        "YearMonthIntervalType" => LogicalKind::YearMonthInterval,
        "DayTimeIntervalType" => LogicalKind::DayTimeInterval,
        "ArrayType" => LogicalKind::Array(nested("elementType")?),
        "MultisetType" => LogicalKind::Multiset(nested("elementType")?),
        "MapType" => LogicalKind::Map(nested("keyType")?, nested("valueType")?),
        "RowType" => LogicalKind::Row(fields(stream, object, "fields", depth, parts)?),
        "StructuredType" => LogicalKind::Row(fields(stream, object, "attributes", depth, parts)?),
        _ => LogicalKind::Other { class: class.to_owned() },
    };
    Some(LogicalType { nullable, kind })
}

fn fields(stream: &Stream, object: Content, name: &str, depth: usize, parts: &mut usize) -> Option<Vec<RowField>> {
    let list = stream.list(stream.field(object, name)?)?;
    list.into_iter()
        .map(|field| {
            let name = stream.text(stream.field(field, "name")?)?.to_owned();
            let field_type = convert(stream, stream.field(field, "type")?, depth.saturating_add(1), parts)?;
            Some(RowField { name, field_type })
        })
        .collect()
}
