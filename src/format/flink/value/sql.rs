//! Binary rows, arrays and maps of the SQL runtime (`BinaryRowData`, `BinaryArrayData`, `BinaryMapData`).
//!
//! Numbers inside are little-endian. Every field has a slot of eight bytes (array elements up to eight); what does not
//! fit is in the part behind the slots, which the slot names by position and length from the first byte of the row.

use super::decode::Decoder;
use super::{BigDecimal, BigInteger, RowKind, Value};
use crate::codec::Reader;
use crate::error::Result;
use crate::format::flink::java_object::{LogicalKind, LogicalType, RowField};
use crate::format::flink::primitive::{JavaString, Primitives};

/// Decimals of at most so many digits are one number of eight bytes.
pub(super) const MAX_COMPACT_DIGITS: u32 = 18;

/// Timestamps of at most so many digits after the second are milliseconds.
pub(super) const MAX_COMPACT_FRACTION: u32 = 3;

/// Top bit of a slot: the bytes are in the slot itself.
pub(super) const IN_SLOT: u8 = 0x80;

/// A decimal on its own (`DecimalDataSerializer`), big-endian.
pub(super) fn decimal(precision: u32, scale: u32, input: &mut Reader<'_>) -> Result<Value> {
    let unscaled = if precision <= MAX_COMPACT_DIGITS {
        BigInteger::from(input.i64("decimal")?)
    } else {
        BigInteger::from_bytes(input.bytes32("decimal")?)
    };
    Ok(Value::BigDecimal(BigDecimal { unscaled, scale: i32::try_from(scale).unwrap_or(i32::MAX) }))
}

/// A timestamp on its own (`TimestampDataSerializer`), big-endian.
pub(super) fn timestamp(precision: u32, input: &mut Reader<'_>) -> Result<Value> {
    let millis = input.i64("timestamp")?;
    let nanos = if precision <= MAX_COMPACT_FRACTION { 0 } else { input.i32("nanoseconds")? };
    Ok(Value::TimestampData { millis, nanos })
}

/// A row whose bytes are all that is left of `input`.
pub(super) fn row<'t>(
    decoder: &mut Decoder,
    types: impl ExactSizeIterator<Item = &'t LogicalType>,
    input: &Reader<'_>,
) -> Result<Value> {
    let section = Section(input);
    let nulls_end = types.len().saturating_add(63 + 8) / 64 * 8;
    section.at(0, nulls_end.saturating_add(types.len().saturating_mul(8)), "row")?;
    let [number] = section.array::<1>(0, "row kind")?;
    let kind = RowKind::from_number(number)
        .ok_or_else(|| input.corrupt("row kind", format!("is {number}, expected 0 to 3")))?;
    let mut fields = Vec::with_capacity(types.len());
    for (index, field) in types.enumerate() {
        decoder.part(input)?;
        let null = section.bit(0, index.saturating_add(8))?;
        let slot = nulls_end.saturating_add(index.saturating_mul(8));
        fields.push(if null { Value::Null } else { section.field(decoder, field, slot)? });
    }
    Ok(Value::RowData { kind, fields })
}

/// A row inside a row. A function of its own, because the type of [`row`] would contain itself otherwise.
fn nested_row(decoder: &mut Decoder, fields: &[RowField], input: &Reader<'_>) -> Result<Value> {
    let types: Vec<&LogicalType> = fields.iter().map(|RowField { field_type, .. }| field_type).collect();
    row(decoder, types.into_iter(), input)
}

/// An array whose bytes are all that is left of `input`.
pub(super) fn array(decoder: &mut Decoder, element: &LogicalType, input: &Reader<'_>) -> Result<Vec<Value>> {
    let section = Section(input);
    let count = section.u32(0, "array length")?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let width = element_width(&element.kind);
    let fixed = count.div_ceil(32).saturating_mul(4).saturating_add(4);
    section.at(0, fixed.saturating_add(count.saturating_mul(width)), "array")?;
    let mut elements = Vec::new();
    for index in 0..count {
        decoder.part(input)?;
        let slot = fixed.saturating_add(index.saturating_mul(width));
        let null = section.bit(4, index)?;
        elements.push(if null { Value::Null } else { section.field(decoder, element, slot)? });
    }
    Ok(elements)
}

/// A map whose bytes are all that is left of `input`.
pub(super) fn map(decoder: &mut Decoder, key: &LogicalType, value: &LogicalType, input: &Reader<'_>) -> Result<Value> {
    let section = Section(input);
    let keys_length = usize::try_from(section.u32(0, "key array length")?).unwrap_or(usize::MAX);
    let keys = array(decoder, key, &section.reader(4, keys_length, "map keys")?)?;
    let values_start = keys_length.saturating_add(4);
    let values_length = input.remaining().saturating_sub(values_start);
    let values = array(decoder, value, &section.reader(values_start, values_length, "map values")?)?;
    if keys.len() != values.len() {
        let message = format!("there are {} values for {} keys", values.len(), keys.len());
        return Err(input.corrupt("map values", message));
    }
    Ok(Value::Map(keys.into_iter().zip(values).collect()))
}

/// Number of bytes that the slot of an array element takes.
pub(super) fn element_width(kind: &LogicalKind) -> usize {
    match kind {
        LogicalKind::Boolean | LogicalKind::TinyInt => 1,
        LogicalKind::SmallInt => 2,
        LogicalKind::Int
        | LogicalKind::Float
        | LogicalKind::Date
        | LogicalKind::Time { .. }
        | LogicalKind::YearMonthInterval => 4,
        _ => 8,
    }
}

/// The bytes of a row, array or map.
#[derive(Clone, Copy)]
struct Section<'r, 'a>(&'r Reader<'a>);

impl<'a> Section<'_, 'a> {
    fn reader(self, position: usize, length: usize, field: &'static str) -> Result<Reader<'a>> {
        let mut input = self.0.clone();
        input.raw(position, field)?;
        input.slice(length, field)
    }

    fn at(self, position: usize, length: usize, field: &'static str) -> Result<&'a [u8]> {
        self.reader(position, length, field).map(|input| input.rest())
    }

    fn array<const N: usize>(self, position: usize, field: &'static str) -> Result<[u8; N]> {
        let bytes = self.at(position, N, field)?;
        bytes.try_into().map_err(|_| self.0.corrupt(field, format!("needs {N} bytes")))
    }

    fn u16(self, position: usize, field: &'static str) -> Result<u16> {
        self.array(position, field).map(u16::from_be_bytes).map(u16::swap_bytes)
    }

    fn u32(self, position: usize, field: &'static str) -> Result<u32> {
        self.array(position, field).map(u32::from_be_bytes).map(u32::swap_bytes)
    }

    fn u64(self, position: usize, field: &'static str) -> Result<u64> {
        self.array(position, field).map(u64::from_be_bytes).map(u64::swap_bytes)
    }

    /// A bit, counted from byte `start` on, least significant first.
    fn bit(self, start: usize, bit: usize) -> Result<bool> {
        let [byte] = self.array::<1>(start.saturating_add(bit / 8), "null bits")?;
        Ok(byte & (1 << (bit % 8)) != 0)
    }

    /// Position (upper half) and length or nanoseconds (lower half) of a slot.
    fn halves(self, slot: usize) -> Result<(usize, u32)> {
        let word = self.u64(slot, "slot")?;
        let half = |number: u64| u32::try_from(number & 0xFFFF_FFFF).unwrap_or(u32::MAX);
        Ok((usize::try_from(half(word >> 32)).unwrap_or(usize::MAX), half(word)))
    }

    /// What a slot names.
    fn named(self, slot: usize, field: &'static str) -> Result<Reader<'a>> {
        let (position, length) = self.halves(slot)?;
        self.reader(position, usize::try_from(length).unwrap_or(usize::MAX), field)
    }

    /// The bytes that a slot names, to be copied.
    fn copied(self, decoder: &mut Decoder, slot: usize, field: &'static str) -> Result<&'a [u8]> {
        let bytes = self.named(slot, field)?.rest();
        decoder.copy(bytes, self.0).map(|()| bytes)
    }

    /// Bytes in the slot itself, or those it names.
    fn bytes(self, decoder: &mut Decoder, slot: usize, field: &'static str) -> Result<&'a [u8]> {
        let last: [u8; 8] = self.array(slot, field)?;
        let [.., mark] = last;
        if mark & IN_SLOT == 0 {
            return self.copied(decoder, slot, field);
        }
        let length = usize::from(mark & !IN_SLOT);
        if length > 7 {
            return Err(self.0.corrupt(field, format!("a slot cannot hold {length} bytes")));
        }
        self.at(slot, length, field)
    }

    fn field(self, decoder: &mut Decoder, field: &LogicalType, slot: usize) -> Result<Value> {
        let name = "field";
        Ok(match &field.kind {
            LogicalKind::Boolean => match self.array::<1>(slot, name)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [other] => return Err(self.0.corrupt(name, format!("boolean is {other}, expected 0 or 1"))),
            },
            LogicalKind::TinyInt => Value::Byte(i8::from_be_bytes(self.array(slot, name)?)),
            LogicalKind::SmallInt => Value::Short(self.u16(slot, name)?.cast_signed()),
            LogicalKind::Int | LogicalKind::Date | LogicalKind::Time { .. } | LogicalKind::YearMonthInterval => {
                Value::Int(self.u32(slot, name)?.cast_signed())
            }
            LogicalKind::Float => Value::Float(f32::from_bits(self.u32(slot, name)?)),
            LogicalKind::BigInt | LogicalKind::DayTimeInterval => Value::Long(self.u64(slot, name)?.cast_signed()),
            LogicalKind::Double => Value::Double(f64::from_bits(self.u64(slot, name)?)),
            LogicalKind::Null => Value::Null,
            LogicalKind::Char { .. } | LogicalKind::VarChar { .. } => {
                let text = std::str::from_utf8(self.bytes(decoder, slot, name)?)
                    .map_err(|error| self.0.corrupt(name, "text is not UTF-8").because(error))?;
                Value::String(JavaString::Text(text.to_owned()))
            }
            LogicalKind::Binary { .. } | LogicalKind::VarBinary { .. } => {
                Value::Bytes(self.bytes(decoder, slot, name)?.to_vec())
            }
            LogicalKind::Decimal { precision, scale } => self.decimal(decoder, *precision, *scale, slot)?,
            LogicalKind::Timestamp { precision } | LogicalKind::LocalZonedTimestamp { precision } => {
                self.timestamp(*precision, slot)?
            }
            LogicalKind::Array(element) => Value::List(array(decoder, element, &self.named(slot, name)?)?),
            LogicalKind::Multiset(element) => {
                let count = LogicalType { nullable: false, kind: LogicalKind::Int };
                map(decoder, element, &count, &self.named(slot, name)?)?
            }
            LogicalKind::Map(key, value) => map(decoder, key, value, &self.named(slot, name)?)?,
            LogicalKind::Row(fields) => {
                let input = self.named(slot, name)?;
                nested_row(decoder, fields, &input)?
            }
            LogicalKind::ZonedTimestamp { .. } => self.opaque(decoder, "TIMESTAMP WITH TIME ZONE", slot)?,
            LogicalKind::Other { class } => self.opaque(decoder, class, slot)?,
        })
    }

    fn opaque(self, decoder: &mut Decoder, class: &str, slot: usize) -> Result<Value> {
        let bytes = self.copied(decoder, slot, "field")?.to_vec();
        Ok(Value::Opaque { class: class.into(), bytes })
    }

    fn decimal(self, decoder: &mut Decoder, precision: u32, scale: u32, slot: usize) -> Result<Value> {
        let unscaled = if precision <= MAX_COMPACT_DIGITS {
            BigInteger::from(self.u64(slot, "decimal")?.cast_signed())
        } else {
            BigInteger::from_bytes(self.copied(decoder, slot, "decimal")?)
        };
        Ok(Value::BigDecimal(BigDecimal { unscaled, scale: i32::try_from(scale).unwrap_or(i32::MAX) }))
    }

    fn timestamp(self, precision: u32, slot: usize) -> Result<Value> {
        if precision <= MAX_COMPACT_FRACTION {
            return Ok(Value::TimestampData { millis: self.u64(slot, "timestamp")?.cast_signed(), nanos: 0 });
        }
        let (position, nanos) = self.halves(slot)?;
        let millis = self.u64(position, "timestamp")?.cast_signed();
        Ok(Value::TimestampData { millis, nanos: nanos.cast_signed() })
    }
}
