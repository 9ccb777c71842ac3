//! Binary rows, arrays and maps of the SQL runtime, written as Flink's own writers lay them out: what does not fit a
//! slot follows in the order of the fields, padded to eight bytes.

use super::sql::{IN_SLOT, MAX_COMPACT_DIGITS, MAX_COMPACT_FRACTION, element_width};
use super::{BigDecimal, RowKind, Value};
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::flink::java_object::{LogicalKind, LogicalType};
use crate::format::flink::primitive::JavaString;
use crate::format::flink::write::WritePrimitives;

/// Room that a decimal of more than [`MAX_COMPACT_DIGITS`] digits takes.
const WIDE_DECIMAL_BYTES: usize = 16;

/// A decimal on its own (`DecimalDataSerializer`), big-endian.
pub(super) fn decimal(precision: u32, scale: u32, number: &BigDecimal, out: &mut Writer) -> Result<()> {
    check_scale(scale, number)?;
    if precision > MAX_COMPACT_DIGITS {
        return out.bytes32(number.unscaled.as_bytes(), "decimal");
    }
    out.i64(compact(number)?);
    Ok(())
}

/// A timestamp on its own (`TimestampDataSerializer`), big-endian.
pub(super) fn timestamp(precision: u32, millis: i64, nanos: i32, out: &mut Writer) -> Result<()> {
    out.i64(millis);
    if precision > MAX_COMPACT_FRACTION {
        out.i32(nanos);
        return Ok(());
    }
    if nanos == 0 { Ok(()) } else { Err(Error::invalid_input("a timestamp has more digits than its type")) }
}

/// A row.
pub(super) fn row<'t>(
    types: impl ExactSizeIterator<Item = &'t LogicalType>,
    kind: RowKind,
    fields: &[Value],
    out: &mut Writer,
) -> Result<()> {
    if types.len() != fields.len() {
        let message = format!("the row has {} fields, the value has {}", types.len(), fields.len());
        return Err(Error::invalid_input(message));
    }
    let nulls_end = fields.len().saturating_add(63 + 8) / 64 * 8;
    let mut section = Section::new(nulls_end.saturating_add(fields.len().saturating_mul(8)), out);
    section.put(0, &[kind.number()]);
    for (index, (field, value)) in types.zip(fields).enumerate() {
        let slot = nulls_end.saturating_add(index.saturating_mul(8));
        section.field(field, value, slot, 8, (0, index.saturating_add(8)))?;
    }
    Ok(())
}

/// A row inside a row. A function of its own, because the type of [`row`] would contain itself otherwise.
fn nested_row(types: &[&LogicalType], kind: RowKind, fields: &[Value], out: &mut Writer) -> Result<()> {
    row(types.iter().copied(), kind, fields, out)
}

/// An array.
pub(super) fn array(element: &LogicalType, elements: &[Value], out: &mut Writer) -> Result<()> {
    let width = element_width(&element.kind);
    let fixed = elements.len().div_ceil(32).saturating_mul(4).saturating_add(4);
    let length = fixed.saturating_add(elements.len().saturating_mul(width)).next_multiple_of(8);
    let mut section = Section::new(length, out);
    section.put(0, &four(elements.len())?);
    for (index, value) in elements.iter().enumerate() {
        let slot = fixed.saturating_add(index.saturating_mul(width));
        section.field(element, value, slot, width, (4, index))?;
    }
    Ok(())
}

/// A map.
pub(super) fn map(key: &LogicalType, value: &LogicalType, entries: &[(Value, Value)], out: &mut Writer) -> Result<()> {
    let (keys, values): (Vec<Value>, Vec<Value>) = entries.iter().cloned().unzip();
    let start = out.len();
    out.u32(0);
    array(key, &keys, out)?;
    let length = out.len().saturating_sub(start).saturating_sub(4);
    out.patch(start, &four(length)?);
    array(value, &values, out)
}

fn check_scale(scale: u32, number: &BigDecimal) -> Result<()> {
    if i64::from(scale) == i64::from(number.scale) {
        return Ok(());
    }
    Err(Error::invalid_input(format!("a decimal has scale {}, its type has {scale}", number.scale)))
}

fn compact(number: &BigDecimal) -> Result<i64> {
    let unscaled = number.unscaled.to_i64();
    unscaled.ok_or_else(|| Error::invalid_input("a decimal has more digits than its type"))
}

/// A number of four bytes, least significant first.
fn four(number: usize) -> Result<[u8; 4]> {
    let number = u32::try_from(number).map_err(|_| Error::invalid_input("a SQL row, array or map is too long"))?;
    Ok(number.swap_bytes().to_be_bytes())
}

fn eight(number: u64) -> [u8; 8] {
    number.swap_bytes().to_be_bytes()
}

/// A row, array or map that is being written. Positions count from its first byte.
struct Section<'o> {
    out: &'o mut Writer,
    start: usize,
}

impl<'o> Section<'o> {
    /// Begins with so many zero bytes.
    fn new(fixed: usize, out: &'o mut Writer) -> Self {
        let start = out.len();
        out.raw(&vec![0; fixed]);
        Section { out, start }
    }

    fn put(&mut self, position: usize, bytes: &[u8]) {
        self.out.patch(self.start.saturating_add(position), bytes);
    }

    fn put_bit(&mut self, start: usize, bit: usize) {
        let at = start.saturating_add(bit / 8);
        let old = self.out.as_slice().get(self.start.saturating_add(at)).copied().unwrap_or(0);
        self.put(at, &[old | (1 << (bit % 8))]);
    }

    /// Position of what is appended next.
    fn end(&self) -> usize {
        self.out.len().saturating_sub(self.start)
    }

    fn pad(&mut self) {
        let padding = self.end().next_multiple_of(8).saturating_sub(self.end());
        self.out.raw(&vec![0; padding]);
    }

    fn halves(&mut self, slot: usize, position: usize, low: u32) -> Result<()> {
        let position = u32::try_from(position).map_err(|_| Error::invalid_input("a SQL row is too long"))?;
        self.put(slot, &eight((u64::from(position) << 32) | u64::from(low)));
        Ok(())
    }

    /// Appends what a slot names.
    fn named(&mut self, slot: usize, write: impl FnOnce(&mut Writer) -> Result<()>) -> Result<()> {
        let position = self.end();
        write(self.out)?;
        let length = self.end().saturating_sub(position);
        let length = u32::try_from(length).map_err(|_| Error::invalid_input("a SQL field is too long"))?;
        self.pad();
        self.halves(slot, position, length)
    }

    fn bytes(&mut self, slot: usize, bytes: &[u8]) -> Result<()> {
        match u8::try_from(bytes.len()) {
            Ok(length @ 0..=7) => {
                self.put(slot, bytes);
                self.put(slot.saturating_add(7), &[IN_SLOT | length]);
                Ok(())
            }
            _ => self.named(slot, |out| {
                out.raw(bytes);
                Ok(())
            }),
        }
    }

    /// Writes a field into its slot of `width` bytes; a null sets the bit `null.1` behind position `null.0`.
    fn field(
        &mut self,
        field: &LogicalType,
        value: &Value,
        slot: usize,
        width: usize,
        null: (usize, usize),
    ) -> Result<()> {
        match (&field.kind, value) {
            (kind, Value::Null) => {
                self.put_bit(null.0, null.1);
                self.reserve(kind, slot)
            }
            (LogicalKind::Decimal { precision, scale }, Value::BigDecimal(number)) => {
                self.decimal(*precision, *scale, number, slot)
            }
            (
                LogicalKind::Timestamp { precision } | LogicalKind::LocalZonedTimestamp { precision },
                Value::TimestampData { millis, nanos },
            ) => self.timestamp(*precision, *millis, *nanos, slot),
            (LogicalKind::Array(element), Value::List(elements)) => {
                self.named(slot, |out| array(element, elements, out))
            }
            (LogicalKind::Multiset(element), Value::Map(entries)) => {
                let count = LogicalType { nullable: false, kind: LogicalKind::Int };
                self.named(slot, |out| map(element, &count, entries, out))
            }
            (LogicalKind::Map(key, map_value), Value::Map(entries)) => {
                self.named(slot, |out| map(key, map_value, entries, out))
            }
            (LogicalKind::Row(nested), Value::RowData { kind, fields }) => {
                let types: Vec<&LogicalType> = nested.iter().map(|field| &field.field_type).collect();
                self.named(slot, |out| nested_row(&types, *kind, fields, out))
            }
            (_, Value::Opaque { bytes, .. }) => self.named(slot, |out| {
                out.raw(bytes);
                Ok(())
            }),
            (_, value) => self.plain(value, slot, width),
        }
    }

    /// A field that is in its slot, or text and bytes.
    fn plain(&mut self, value: &Value, slot: usize, width: usize) -> Result<()> {
        match (value, width) {
            (Value::Bool(value), _) => self.put(slot, &[u8::from(*value)]),
            (Value::Byte(value), _) => self.put(slot, &value.to_be_bytes()),
            (Value::Short(value), 2..) => self.put(slot, &value.swap_bytes().to_be_bytes()),
            (Value::Int(value), 4..) => self.put(slot, &value.swap_bytes().to_be_bytes()),
            (Value::Float(value), 4..) => self.put(slot, &value.to_bits().swap_bytes().to_be_bytes()),
            (Value::Long(value), 8) => self.put(slot, &eight(value.cast_unsigned())),
            (Value::Double(value), 8) => self.put(slot, &eight(value.to_bits())),
            (Value::String(JavaString::Text(text)), 8) => return self.bytes(slot, text.as_bytes()),
            (Value::Bytes(bytes), 8) => return self.bytes(slot, bytes),
            (value, _) => {
                let message = format!("{} does not fit the type of a SQL field", value.type_name());
                return Err(Error::invalid_input(message));
            }
        }
        Ok(())
    }

    /// What a null that can be updated in place keeps room for.
    fn reserve(&mut self, kind: &LogicalKind, slot: usize) -> Result<()> {
        let room = match kind {
            LogicalKind::Decimal { precision, .. } if *precision > MAX_COMPACT_DIGITS => WIDE_DECIMAL_BYTES,
            LogicalKind::Timestamp { precision } | LogicalKind::LocalZonedTimestamp { precision }
                if *precision > MAX_COMPACT_FRACTION =>
            {
                8
            }
            _ => return Ok(()),
        };
        let position = self.end();
        self.out.raw(&vec![0; room]);
        self.halves(slot, position, 0)
    }

    fn decimal(&mut self, precision: u32, scale: u32, number: &BigDecimal, slot: usize) -> Result<()> {
        check_scale(scale, number)?;
        if precision <= MAX_COMPACT_DIGITS {
            self.put(slot, &eight(compact(number)?.cast_unsigned()));
            return Ok(());
        }
        let bytes = number.unscaled.as_bytes();
        let (position, length) = (self.end(), u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        let padding = WIDE_DECIMAL_BYTES.checked_sub(bytes.len());
        let padding = padding.ok_or_else(|| Error::invalid_input("a decimal has more digits than its type"))?;
        self.out.raw(bytes);
        self.out.raw(&vec![0; padding]);
        self.halves(slot, position, length)
    }

    fn timestamp(&mut self, precision: u32, millis: i64, nanos: i32, slot: usize) -> Result<()> {
        if precision <= MAX_COMPACT_FRACTION {
            self.put(slot, &eight(millis.cast_unsigned()));
            return Ok(());
        }
        let position = self.end();
        self.out.raw(&eight(millis.cast_unsigned()));
        self.halves(slot, position, nanos.cast_unsigned())
    }
}
