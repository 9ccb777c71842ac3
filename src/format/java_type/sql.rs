//! Rows of the SQL runtime as keys: `BinaryRowData.hashCode()` is a hash of the row's bytes, which follow from the values
//! and from as much of the types as is kept here.

use super::Enter;
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::format::flink::value::{Value as FlinkValue, fit_sql, sql_row_bytes};
use crate::format::flink::{LogicalKind, LogicalType, RowField, key_group};
use crate::serializer::Value;

const TAG_BOOLEAN: u8 = 1;
const TAG_TINY_INT: u8 = 2;
const TAG_SMALL_INT: u8 = 3;
const TAG_INT: u8 = 4;
const TAG_BIG_INT: u8 = 5;
const TAG_FLOAT: u8 = 6;
const TAG_DOUBLE: u8 = 7;
const TAG_TEXT: u8 = 8;
const TAG_BYTES: u8 = 9;
const TAG_DECIMAL: u8 = 10;
const TAG_TIMESTAMP: u8 = 11;
const TAG_ARRAY: u8 = 12;
const TAG_ROW: u8 = 13;

/// What decides the bytes of a field of this type: types that are laid out alike become one, names and lengths are left
/// out. `None` where the bytes do not follow from the value: maps have an order of their own.
pub(super) fn reduced(field: &LogicalType) -> Option<LogicalType> {
    let kind = match &field.kind {
        LogicalKind::Boolean => LogicalKind::Boolean,
        LogicalKind::TinyInt => LogicalKind::TinyInt,
        LogicalKind::SmallInt => LogicalKind::SmallInt,
        LogicalKind::Int | LogicalKind::Date | LogicalKind::Time { .. } | LogicalKind::YearMonthInterval => {
            LogicalKind::Int
        }
        LogicalKind::BigInt | LogicalKind::DayTimeInterval => LogicalKind::BigInt,
        LogicalKind::Float => LogicalKind::Float,
        LogicalKind::Double => LogicalKind::Double,
        LogicalKind::Char { .. } | LogicalKind::VarChar { .. } => LogicalKind::VarChar { length: 0 },
        LogicalKind::Binary { .. } | LogicalKind::VarBinary { .. } => LogicalKind::VarBinary { length: 0 },
        LogicalKind::Decimal { precision, scale } => LogicalKind::Decimal { precision: *precision, scale: *scale },
        LogicalKind::Timestamp { precision } | LogicalKind::LocalZonedTimestamp { precision } => {
            LogicalKind::Timestamp { precision: *precision }
        }
        LogicalKind::Array(element) => LogicalKind::Array(Box::new(reduced(element)?)),
        LogicalKind::Row(fields) => {
            let fields = fields.iter().map(|field| reduced(&field.field_type)).collect::<Option<Vec<_>>>()?;
            LogicalKind::Row(fields.into_iter().map(unnamed).collect())
        }
        LogicalKind::Null
        | LogicalKind::ZonedTimestamp { .. }
        | LogicalKind::Multiset(_)
        | LogicalKind::Map(..)
        | LogicalKind::Other { .. } => return None,
    };
    Some(plain(kind))
}

fn plain(kind: LogicalKind) -> LogicalType {
    LogicalType { nullable: true, kind }
}

fn unnamed(field_type: LogicalType) -> RowField {
    RowField { name: String::new(), field_type }
}

/// The hash code of a row of kind `+I` whose fields are these values; `None` if they are not of these types.
pub(super) fn hash(types: &[LogicalType], values: &[Value]) -> Option<i32> {
    if types.len() != values.len() {
        return None;
    }
    let fields: Result<Vec<FlinkValue>> =
        types.iter().zip(values).map(|(field, value)| fit_sql(value.clone(), field)).collect();
    key_group::of_binary_row(&sql_row_bytes(types, &fields.ok()?).ok()?)
}

/// Appends the fields of a row.
pub(super) fn encode(types: &[LogicalType], out: &mut Writer) {
    out.length(types.len());
    types.iter().for_each(|field| encode_field(field, out));
}

/// What cannot be in a key gets tag 0, which no decoder takes.
fn encode_field(field: &LogicalType, out: &mut Writer) {
    let tag = match &field.kind {
        LogicalKind::Boolean => TAG_BOOLEAN,
        LogicalKind::TinyInt => TAG_TINY_INT,
        LogicalKind::SmallInt => TAG_SMALL_INT,
        LogicalKind::Int => TAG_INT,
        LogicalKind::BigInt => TAG_BIG_INT,
        LogicalKind::Float => TAG_FLOAT,
        LogicalKind::Double => TAG_DOUBLE,
        LogicalKind::VarChar { .. } => TAG_TEXT,
        LogicalKind::VarBinary { .. } => TAG_BYTES,
        LogicalKind::Decimal { .. } => TAG_DECIMAL,
        LogicalKind::Timestamp { .. } => TAG_TIMESTAMP,
        LogicalKind::Array(_) => TAG_ARRAY,
        LogicalKind::Row(_) => TAG_ROW,
        _ => 0,
    };
    out.u8(tag);
    match &field.kind {
        LogicalKind::Decimal { precision, scale } => {
            out.varint(u64::from(*precision));
            out.varint(u64::from(*scale));
        }
        LogicalKind::Timestamp { precision } => out.varint(u64::from(*precision)),
        LogicalKind::Array(element) => encode_field(element, out),
        LogicalKind::Row(fields) => {
            out.length(fields.len());
            fields.iter().for_each(|field| encode_field(&field.field_type, out));
        }
        _ => {}
    }
}

/// Reads one field with what is inside of it; `enter` counts a part and fails where they are too many or too deep.
pub(super) fn decode_field(input: &mut Reader<'_>, depth: usize, enter: Enter<'_>) -> Result<LogicalType> {
    enter(input, depth)?;
    let at = input.offset();
    let below = depth.saturating_add(1);
    let kind = match input.u8("SQL type")? {
        TAG_BOOLEAN => LogicalKind::Boolean,
        TAG_TINY_INT => LogicalKind::TinyInt,
        TAG_SMALL_INT => LogicalKind::SmallInt,
        TAG_INT => LogicalKind::Int,
        TAG_BIG_INT => LogicalKind::BigInt,
        TAG_FLOAT => LogicalKind::Float,
        TAG_DOUBLE => LogicalKind::Double,
        TAG_TEXT => LogicalKind::VarChar { length: 0 },
        TAG_BYTES => LogicalKind::VarBinary { length: 0 },
        TAG_DECIMAL => LogicalKind::Decimal { precision: digits(input)?, scale: digits(input)? },
        TAG_TIMESTAMP => LogicalKind::Timestamp { precision: digits(input)? },
        TAG_ARRAY => LogicalKind::Array(Box::new(decode_field(input, below, enter)?)),
        TAG_ROW => {
            let count = input.count(1, "number of fields of a SQL row")?;
            let fields = (0..count).map(|_| decode_field(input, below, enter).map(unnamed));
            LogicalKind::Row(fields.collect::<Result<_>>()?)
        }
        tag => {
            let message = format!("SQL type {tag} is not known; use a newer millpond");
            return Err(Error::incompatible(message).at_offset(at).in_field("SQL type"));
        }
    };
    Ok(plain(kind))
}

/// A precision or scale. Flink has none above 38.
fn digits(input: &mut Reader<'_>) -> Result<u32> {
    let start = input.clone();
    let number = input.varint("number of digits")?;
    match u32::try_from(number) {
        Ok(number @ 0..=38) => Ok(number),
        _ => Err(start.corrupt("number of digits", format!("is {number}, at most 38 are possible"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_hashed_as_flink_hashes_its_bytes() {
        let types = [LogicalKind::BigInt, LogicalKind::VarChar { length: 9 }, LogicalKind::Char { length: 20 }];
        let reduced: Vec<LogicalType> = types.map(|kind| reduced(&plain(kind)).unwrap()).into();
        let values = [Value::I64(5), text("abc"), text("longer string")];
        assert_eq!(hash(&reduced, &values), Some(-812_889_337));
        assert_eq!(hash(&reduced, &values[..2]), None, "a field is missing");
        assert_eq!(hash(&reduced, &[text("5"), text("abc"), text("")]), None, "another type");
    }

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn hashed<const N: usize>(types: [LogicalKind; N], values: [Value; N]) -> Option<i32> {
        let reduced: Vec<LogicalType> = types.into_iter().map(|kind| reduced(&plain(kind)).unwrap()).collect();
        hash(&reduced, &values)
    }

    /// Figures of `BinaryRowData.hashCode()` in a JVM, of rows that Flink's `BinaryRowWriter` wrote.
    #[test]
    fn every_type_of_a_field_is_laid_out_as_flink_does() {
        let text_type = || LogicalKind::VarChar { length: 20 };
        let scalars = || {
            [
                LogicalKind::Boolean,
                LogicalKind::TinyInt,
                LogicalKind::SmallInt,
                LogicalKind::Int,
                LogicalKind::BigInt,
                LogicalKind::Float,
                LogicalKind::Double,
                text_type(),
                LogicalKind::VarBinary { length: 20 },
                LogicalKind::Date,
                LogicalKind::Time { precision: 0 },
            ]
        };
        let values = [
            Value::Bool(true),
            Value::I64(-3),
            Value::I64(-300),
            Value::I64(-70_000),
            Value::I64(-5_000_000_000),
            Value::F32(1.5),
            Value::F64(-2.25),
            text("über"),
            Value::Bytes(vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
            Value::U64(19_000),
            Value::U64(3_600_000),
        ];
        assert_eq!(hashed(scalars(), values), Some(959_753_837));
        assert_eq!(hashed(scalars(), std::array::from_fn(|_| Value::Unit)), Some(622_168_817));
        let wide = [
            LogicalKind::Decimal { precision: 10, scale: 2 },
            LogicalKind::Decimal { precision: 30, scale: 5 },
            LogicalKind::Decimal { precision: 30, scale: 5 },
            LogicalKind::Timestamp { precision: 3 },
            LogicalKind::Timestamp { precision: 9 },
            LogicalKind::Timestamp { precision: 9 },
            LogicalKind::LocalZonedTimestamp { precision: 6 },
        ];
        let moment = |millis, nanos| {
            Value::Record(vec![("millis".to_owned(), Value::I64(millis)), ("nanos".to_owned(), Value::I64(nanos))])
        };
        let values = [
            text("-12.34"),
            text("1234567890123456789.12345"),
            Value::Unit,
            moment(1_700_000_000_123, 0),
            moment(-5, 999_999),
            Value::Unit,
            moment(1_700_000_000_123, 456_000),
        ];
        assert_eq!(hashed(wide, values), Some(-421_043_204));
        let array = |kind| LogicalKind::Array(Box::new(plain(kind)));
        let row = [LogicalKind::BigInt, text_type()].map(|kind| unnamed(plain(kind)));
        let values = [
            Value::List(vec![Value::I64(1), Value::Unit, Value::I64(3)]),
            Value::List(vec![text("a longer string"), text("x"), Value::Unit]),
            Value::List(vec![Value::I64(7), text("inner")]),
        ];
        let nested = [array(LogicalKind::Int), array(text_type()), LogicalKind::Row(row.into())];
        assert_eq!(hashed(nested, values), Some(-123_930_814));
    }

    #[test]
    fn what_has_an_order_of_its_own_is_not_hashed() {
        let int = || Box::new(plain(LogicalKind::Int));
        let map = plain(LogicalKind::Map(int(), int()));
        let nested = plain(LogicalKind::Row(vec![RowField { name: "m".into(), field_type: map.clone() }]));
        for field in [map, nested, plain(LogicalKind::Multiset(int()))] {
            assert_eq!(reduced(&field), None);
        }
    }
}
