//! Values without parts.

use super::super::pack;
use crate::codec::Writer;
use crate::format::flink::serializer::Simple;
use crate::format::flink::value::Usual;
use crate::serializer::{Bool, F32, F64, I8, I16, I32, I64, Serializer, SerializerSnapshot, TimeWindow, U16, Window};

/// Appends the encoding of a usual value by a serializer of ours without parameters, which must be the one that stores the
/// type.
#[inline]
pub(super) fn plain(kind: &SerializerSnapshot, simple: Simple, input: &mut Usual<'_>, out: &mut Writer) -> Option<()> {
    use SerializerSnapshot as Kind;
    let written = match (kind, simple) {
        (Kind::I64, Simple::Long | Simple::LongValue) => I64.write(&long(input)?, out),
        (Kind::String, Simple::String) => {
            out.bytes(input.text()?);
            Ok(())
        }
        (Kind::Unit, Simple::VoidNamespace | Simple::Void | Simple::DataView | Simple::GlobalWindow) => {
            return input.expect(0);
        }
        (Kind::I32, Simple::Int | Simple::IntValue) => I32.write(&i32::from_be_bytes(input.array()?), out),
        (Kind::F64, Simple::Double | Simple::DoubleValue) => F64.write(&f64::from_be_bytes(input.array()?), out),
        (Kind::Window, Simple::TimeWindow) => {
            Window.write(&TimeWindow { start_ms: long(input)?, end_ms: long(input)? }, out)
        }
        (Kind::Bool, Simple::Boolean | Simple::BooleanValue) => Bool.write(&input.flag()?, out),
        (Kind::I8, Simple::Byte | Simple::ByteValue) => I8.write(&i8::from_be_bytes(input.array()?), out),
        (Kind::I16, Simple::Short | Simple::ShortValue) => I16.write(&i16::from_be_bytes(input.array()?), out),
        (Kind::U16, Simple::Char | Simple::CharValue) => U16.write(&u16::from_be_bytes(input.array()?), out),
        (Kind::F32, Simple::Float | Simple::FloatValue) => F32.write(&f32::from_be_bytes(input.array()?), out),
        (Kind::I64, Simple::Date | Simple::SqlDate | Simple::SqlTime) => I64.write(&date(input)?, out),
        (Kind::Bytes, Simple::ByteArray) => {
            let length = input.count(1)?;
            out.bytes(input.raw(length)?);
            Ok(())
        }
        _ => return None,
    };
    written.ok()
}

/// Appends a usual value as MessagePack; whether it is null.
#[inline]
pub(super) fn item(simple: Simple, input: &mut Usual<'_>, out: &mut Writer) -> Option<bool> {
    match simple {
        Simple::Long | Simple::LongValue => pack::signed(long(input)?, out)?,
        Simple::String => pack::text(input.text()?, out)?,
        Simple::Int | Simple::IntValue => pack::signed(i32::from_be_bytes(input.array()?).into(), out)?,
        Simple::Double | Simple::DoubleValue => pack::f64(f64::from_be_bytes(input.array()?), out)?,
        Simple::Boolean | Simple::BooleanValue => pack::bool(input.flag()?, out)?,
        Simple::Byte | Simple::ByteValue => pack::signed(i8::from_be_bytes(input.array()?).into(), out)?,
        Simple::Short | Simple::ShortValue => pack::signed(i16::from_be_bytes(input.array()?).into(), out)?,
        Simple::Char | Simple::CharValue => pack::unsigned(u16::from_be_bytes(input.array()?).into(), out)?,
        Simple::Float | Simple::FloatValue => pack::f32(f32::from_be_bytes(input.array()?), out)?,
        Simple::Date | Simple::SqlDate | Simple::SqlTime => pack::signed(date(input)?, out)?,
        Simple::ByteArray => {
            let length = input.count(1)?;
            pack::bytes(input.raw(length)?, out)?;
        }
        Simple::Void | Simple::VoidNamespace | Simple::DataView => {
            input.expect(0)?;
            pack::nil(out)?;
            return Some(true);
        }
        _ => return None,
    }
    Some(false)
}

/// Appends an array of primitives as MessagePack. Their encodings take as many bytes each.
pub(super) fn array(simple: Simple, input: &mut Usual<'_>, out: &mut Writer) -> Option<()> {
    let (element, width) = match simple {
        Simple::BooleanArray => (Simple::Boolean, 1),
        Simple::CharArray => (Simple::Char, 2),
        Simple::ShortArray => (Simple::Short, 2),
        Simple::IntArray => (Simple::Int, 4),
        Simple::LongArray => (Simple::Long, 8),
        Simple::FloatArray => (Simple::Float, 4),
        Simple::DoubleArray => (Simple::Double, 8),
        _ => return None,
    };
    let count = input.count(width)?;
    pack::array(count, out)?;
    (0..count).try_for_each(|_| item(element, input, out).map(|_| ()))
}

#[inline]
fn long(input: &mut Usual<'_>) -> Option<i64> {
    input.array().map(i64::from_be_bytes)
}

/// Milliseconds, unless they stand for null.
#[inline]
fn date(input: &mut Usual<'_>) -> Option<i64> {
    long(input).filter(|millis| *millis != i64::MIN)
}
