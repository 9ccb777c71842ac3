//! Whether values are of the types that a snapshot says, and what they are in columns.
//!
//! Nothing here is lost: a value fits a [`Type`] if its columns tell all that the value does. A part that some value does not fit
//! becomes JSON for the whole file, see [`Type::admit`].

use std::borrow::Cow;

use millpond::format::flink::value::{BigDecimal, LocalDate, LocalTime};
use millpond::serializer::Value;

use super::super::output::civil;
use super::schema::{DECIMAL_BYTES, Form, Group, Stored, Type, Unit, Variant};

/// What a column holds of one value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'v> {
    Bool(bool),
    I32(i32),
    I64(i64),
    F32(f32),
    F64(f64),
    Bytes(Cow<'v, [u8]>),
    Fixed([u8; DECIMAL_BYTES as usize]),
}

/// A part of a value, `None` where it is null.
pub(super) type Piece<'v> = Option<Cow<'v, Value>>;

const MISFIT: &str = "some values are not of the type that the snapshot says, or have no counterpart in it";

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// Nanoseconds of a millisecond.
const MILLISECOND: i128 = 1_000_000;

impl Type {
    /// Turns every part that the value does not fit into JSON. `is_key`: it is the key of a map, which is never null.
    pub(super) fn admit(&mut self, value: &Value, is_key: bool) {
        if *value == Value::Unit && !is_key {
            return;
        }
        let fits = match self {
            Type::List(element) => {
                elements(value).map(|values| values.iter().for_each(|value| element.admit(value, false)))
            }
            Type::Map(key, content) => entries(value).map(|entries| {
                for (entry_key, entry_value) in entries {
                    key.admit(&entry_key, true);
                    content.admit(entry_value, false);
                }
            }),
            Type::Group(group) => group.split(value).map(|pieces| {
                for (field, piece) in group.fields.iter_mut().zip(pieces) {
                    piece.into_iter().for_each(|piece| field.stored.admit(&piece, false));
                }
            }),
            _ => self.cell(value).map(drop),
        };
        if fits.is_none() {
            *self = Type::json(MISFIT);
        }
    }

    /// The cell of a part without parts.
    pub(super) fn cell<'v>(&self, value: &'v Value) -> Option<Cell<'v>> {
        Some(match (self, value) {
            (Type::Json { .. }, value) => Cell::Bytes(serde_json::to_vec(value).ok()?.into()),
            (Type::Bool, Value::Bool(value)) => Cell::Bool(*value),
            (Type::Integer { bits, signed }, value) => return integer(*bits, *signed, value),
            (Type::F32, Value::F32(value)) => Cell::F32(*value),
            (Type::F64, Value::F64(value)) => Cell::F64(*value),
            (Type::F64, Value::F32(value)) => Cell::F64(f64::from(*value)),
            (Type::Text, Value::String(text)) => Cell::Bytes(text.as_bytes().into()),
            (Type::Bytes, Value::Bytes(bytes)) => Cell::Bytes(bytes.into()),
            (Type::Opaque(class), Value::Opaque { type_name, bytes }) if class == type_name => {
                Cell::Bytes(bytes.into())
            }
            (Type::Days | Type::TimeOfDay, Value::I64(number)) => Cell::I32(i32::try_from(*number).ok()?),
            (Type::Date, Value::String(text)) => Cell::I32(days(text)?),
            (Type::LocalTime, Value::String(text)) => Cell::I64(LocalTime::parse(text)?.nano_of_day()),
            (Type::Moment { stored, unit, .. }, value) => Cell::I64(unit.count(stored.nanos(value)?)?),
            (Type::Decimal { precision, scale }, Value::String(text)) => {
                Cell::Fixed(decimal(text, *precision, *scale)?)
            }
            _ => return None,
        })
    }
}

/// The number, in the bits of its column.
fn integer(bits: u8, signed: bool, value: &Value) -> Option<Cell<'static>> {
    let number = match value {
        Value::I64(number) => i128::from(*number),
        Value::U64(number) => i128::from(*number),
        _ => return None,
    };
    let (least, most) = match signed {
        true => (-1i128 << (bits - 1), (1i128 << (bits - 1)) - 1),
        false => (0, (1i128 << bits) - 1),
    };
    if !(least..=most).contains(&number) {
        return None;
    }
    Some(match (bits, signed) {
        (64, false) => Cell::I64(u64::try_from(number).ok()?.cast_signed()),
        (64, true) => Cell::I64(i64::try_from(number).ok()?),
        (_, false) => Cell::I32(u32::try_from(number).ok()?.cast_signed()),
        (_, true) => Cell::I32(i32::try_from(number).ok()?),
    })
}

/// The elements of a list. What is stored as MessagePack has lists only, no tuples.
pub(super) fn elements(value: &Value) -> Option<&[Value]> {
    match value {
        Value::List(values) => Some(values),
        _ => None,
    }
}

/// The entries of a map, which is a record where all keys are text.
pub(super) fn entries(value: &Value) -> Option<Vec<(Cow<'_, Value>, &Value)>> {
    match value {
        Value::Map(entries) => Some(entries.iter().map(|(key, value)| (Cow::Borrowed(key), value)).collect()),
        Value::Record(fields) => {
            Some(fields.iter().map(|(name, value)| (Cow::Owned(Value::String(name.clone())), value)).collect())
        }
        _ => None,
    }
}

impl Group {
    /// The value's part in each field; `None` if the value is not of this form, or has a part more.
    pub(super) fn split<'v>(&self, value: &'v Value) -> Option<Vec<Piece<'v>>> {
        match (&self.form, value) {
            (Form::Record, Value::Record(parts)) => self.by_name(parts),
            (Form::Tuple, Value::Tuple(parts) | Value::List(parts)) if parts.len() == self.fields.len() => {
                Some(parts.iter().map(piece).collect())
            }
            (Form::Window, Value::Window(window)) => {
                Some([window.start_ms, window.end_ms].map(|ms| Some(Cow::Owned(Value::I64(ms)))).into())
            }
            (Form::Row, Value::Record(parts)) => match parts.as_slice() {
                [(_, kind @ Value::String(_)), (_, Value::Tuple(values))] if values.len() + 1 == self.fields.len() => {
                    Some(std::iter::once(kind).chain(values).map(piece).collect())
                }
                _ => None,
            },
            (Form::Variant(variants), value) => self.by_variant(variants, value),
            _ => None,
        }
    }

    fn by_name<'v>(&self, parts: &'v [(String, Value)]) -> Option<Vec<Piece<'v>>> {
        let mut found = 0;
        let mut pieces = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            // Most values have all fields, in order.
            let here = parts.get(found).filter(|(name, _)| *name == field.name);
            let part = here.or_else(|| parts.iter().find(|(name, _)| *name == field.name));
            found += usize::from(part.is_some());
            pieces.push(part.and_then(|(_, value)| piece(value)));
        }
        (found == parts.len()).then_some(pieces)
    }

    fn by_variant<'v>(&self, variants: &[Variant], value: &'v Value) -> Option<Vec<Piece<'v>>> {
        let find = |name: &String| variants.iter().find(|variant| variant.names.contains(name));
        let mut pieces: Vec<Piece<'v>> = vec![None; self.fields.len()];
        let (name, content) = match value {
            Value::String(name) if find(name).is_none_or(|variant| variant.column.is_none()) => (name, None),
            Value::Record(parts) => match parts.as_slice() {
                [(name, content)] => (name, Some((find(name)?.column?, content))),
                _ => return None,
            },
            _ => return None,
        };
        *pieces.first_mut()? = Some(Cow::Owned(Value::String(name.clone())));
        if let Some((column, content)) = content {
            *pieces.get_mut(column)? = piece(content);
        }
        Some(pieces)
    }
}

fn piece(value: &Value) -> Piece<'_> {
    (*value != Value::Unit).then_some(Cow::Borrowed(value))
}

impl Unit {
    /// How many of the unit so many nanoseconds are, if that is a whole number that readers can express in microseconds.
    fn count(self, nanos: i128) -> Option<i64> {
        i64::try_from(nanos / 1000).ok()?;
        let one = match self {
            Unit::Millis => MILLISECOND,
            Unit::Micros => 1000,
            Unit::Nanos => 1,
        };
        if nanos % one == 0 { i64::try_from(nanos / one).ok() } else { None }
    }
}

impl Stored {
    /// Nanoseconds since 1970.
    fn nanos(self, value: &Value) -> Option<i128> {
        match (self, value) {
            (Stored::Millis, Value::I64(millis)) => Some(i128::from(*millis) * MILLISECOND),
            (Stored::Text, Value::String(text)) => {
                let (day, time) = text.split_once('T')?;
                Some(i128::from(days(day)?) * 86_400 * SECOND + i128::from(LocalTime::parse(time)?.nano_of_day()))
            }
            (stored, Value::Record(parts)) => match (stored, parts.as_slice()) {
                (_, [(_, Value::I64(_)), (_, Value::I64(nanos))]) if *nanos < 0 => None,
                (Stored::SecondsAndNanos, [(_, Value::I64(seconds)), (_, Value::I64(nanos))]) => {
                    Some(i128::from(*seconds) * SECOND + i128::from(*nanos))
                }
                (Stored::MillisAndNanos, [(_, Value::I64(millis)), (_, Value::I64(nanos))]) => {
                    Some(i128::from(*millis) * MILLISECOND + i128::from(*nanos))
                }
                (Stored::MillisAndNanosOfSecond, [(_, Value::I64(millis)), (_, Value::I64(nanos))]) => {
                    // Both say the milliseconds; where they do not agree, one would be lost.
                    let agree = i128::from(millis.rem_euclid(1000)) == i128::from(*nanos) / MILLISECOND;
                    agree.then(|| i128::from(millis.div_euclid(1000)) * SECOND + i128::from(*nanos))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// Days from 1970 to a date in ISO 8601; `None` for a day that its month does not have.
fn days(text: &str) -> Option<i32> {
    let LocalDate { year, month, day } = LocalDate::parse(text)?;
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    // Years begin in March, so that the leap day is the last one.
    let (from_march, year_of_march) = ((month + 9) % 12, year - i64::from(month <= 2));
    let (era, year_of_era) = (year_of_march.div_euclid(400), year_of_march.rem_euclid(400));
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    if civil(days) == (year, month, day) { i32::try_from(days).ok() } else { None }
}

/// The digits of a decimal as a number, two's complement, if it has the scale of its column and not too many digits.
fn decimal(text: &str, precision: u32, scale: u32) -> Option<[u8; DECIMAL_BYTES as usize]> {
    let number = BigDecimal::parse(text)?;
    let digits = number.unscaled.as_bytes();
    let mut bytes = [if number.unscaled.is_negative() { 0xFF } else { 0 }; DECIMAL_BYTES as usize];
    let from = bytes.len().checked_sub(digits.len())?;
    bytes.get_mut(from..)?.copy_from_slice(digits);
    let fits = i128::from_be_bytes(bytes).unsigned_abs() < 10u128.checked_pow(precision)?;
    (fits && u32::try_from(number.scale) == Ok(scale)).then_some(bytes)
}
