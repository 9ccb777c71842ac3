//! What decoded values become.

use std::sync::Arc;

use super::{RowKind, Usual, Value};
use crate::codec::Reader;
use crate::format::flink::entry::{Content, KeyedEntry};
use crate::format::flink::primitive::JavaString;
use crate::format::flink::serializer::{Simple, TypeSerializer};

/// What a decoder makes of the values it finds: [`Value`]s, or nothing where it only matters that they can be decoded. Both
/// are decoded by the same code, so that they cannot disagree.
pub(crate) trait Form: Sized {
    /// A field of an object.
    type Field;

    /// A value without parts, made of `part`.
    fn leaf<T>(part: T, make: impl FnOnce(T) -> Value) -> Self;

    /// The field of this name.
    fn field(name: &Arc<str>, value: Self) -> Self::Field;

    /// An object with named fields.
    fn pojo(class: &Arc<str>, fields: Vec<Self::Field>) -> Self;

    /// A list or an array.
    fn list(elements: Vec<Self>) -> Self;

    /// A set.
    fn set(elements: Vec<Self>) -> Self;

    /// A map.
    fn map(entries: Vec<(Self, Self)>) -> Self;

    /// A tuple.
    fn tuple(fields: Vec<Self>) -> Self;

    /// A row.
    fn row(kind: RowKind, fields: Vec<Self>) -> Self;

    /// The first of two types.
    fn left(value: Self) -> Self;

    /// The second of two types.
    fn right(value: Self) -> Self;

    /// A value with the moment of its last access.
    fn timed(last_access: i64, value: Self) -> Self;

    /// A timer.
    fn timer(timestamp: i64, key: Self, namespace: Self) -> Self;

    /// The entries of a map; the value itself where it is none or they were not kept.
    fn into_map(self) -> Result<Vec<(Self, Self)>, Self>;

    /// A value whose bytes were checked already, so that they need not be read where nothing is kept.
    fn again(read: impl FnOnce() -> crate::Result<Self>) -> crate::Result<Self>;

    /// A value of a usual type, read without the decoder; otherwise `None`, and then nothing was read.
    #[inline]
    fn skim(_serializer: &TypeSerializer, _input: &mut Reader<'_>) -> Option<Self> {
        None
    }

    /// An entry of which nothing is kept, if it is usual; otherwise `None`.
    #[inline]
    fn skim_entry(_is_usual: impl FnOnce() -> bool) -> Option<KeyedEntry<Self>> {
        None
    }

    /// A value that was decoded already.
    #[inline]
    fn of(value: Value) -> Self {
        Self::leaf(value, |value| value)
    }

    /// Null.
    #[inline]
    fn null() -> Self {
        Self::leaf((), |()| Value::Null)
    }

    /// A value or null.
    #[inline]
    fn or_null<T>(part: Option<T>, make: impl FnOnce(T) -> Value) -> Self {
        match part {
            Some(part) => Self::leaf(part, make),
            None => Self::null(),
        }
    }

    /// Well-formed text.
    #[inline]
    fn text(text: &str) -> Self {
        Self::leaf(text, |text| Value::String(JavaString::Text(text.to_owned())))
    }

    /// An array of bytes.
    #[inline]
    fn bytes(bytes: &[u8]) -> Self {
        Self::leaf(bytes, |bytes| Value::Bytes(bytes.to_vec()))
    }

    /// A value that only its own program can interpret.
    #[inline]
    fn opaque(class: &str, bytes: &[u8]) -> Self {
        Self::leaf((class, bytes), |(class, bytes)| Value::Opaque { class: class.into(), bytes: bytes.to_vec() })
    }
}

impl Form for Value {
    type Field = (Arc<str>, Value);

    #[inline]
    fn leaf<T>(part: T, make: impl FnOnce(T) -> Value) -> Self {
        make(part)
    }

    fn field(name: &Arc<str>, value: Self) -> Self::Field {
        (Arc::clone(name), value)
    }

    fn pojo(class: &Arc<str>, fields: Vec<Self::Field>) -> Self {
        Value::Pojo { class: Arc::clone(class), fields }
    }

    fn list(elements: Vec<Self>) -> Self {
        Value::List(elements)
    }

    fn set(elements: Vec<Self>) -> Self {
        Value::Set(elements)
    }

    fn map(entries: Vec<(Self, Self)>) -> Self {
        Value::Map(entries)
    }

    fn tuple(fields: Vec<Self>) -> Self {
        Value::Tuple(fields)
    }

    fn row(kind: RowKind, fields: Vec<Self>) -> Self {
        Value::Row { kind, fields }
    }

    fn left(value: Self) -> Self {
        Value::Left(Box::new(value))
    }

    fn right(value: Self) -> Self {
        Value::Right(Box::new(value))
    }

    fn timed(last_access: i64, value: Self) -> Self {
        Value::Timed { last_access, value: Box::new(value) }
    }

    fn timer(timestamp: i64, key: Self, namespace: Self) -> Self {
        Value::Timer { timestamp, key: Box::new(key), namespace: Box::new(namespace) }
    }

    #[inline]
    fn again(read: impl FnOnce() -> crate::Result<Self>) -> crate::Result<Self> {
        read()
    }

    /// Values without parts only.
    #[inline]
    fn skim(serializer: &TypeSerializer, input: &mut Reader<'_>) -> Option<Self> {
        let mut usual = Usual::new(input.rest());
        let value = match serializer {
            TypeSerializer::Simple(Simple::Long) => Value::Long(i64::from_be_bytes(usual.array()?)),
            TypeSerializer::Simple(Simple::Int) => Value::Int(i32::from_be_bytes(usual.array()?)),
            TypeSerializer::Simple(Simple::Double) => Value::Double(f64::from_be_bytes(usual.array()?)),
            TypeSerializer::Simple(Simple::String) => {
                Value::String(JavaString::Text(std::str::from_utf8(usual.text()?).ok()?.to_owned()))
            }
            TypeSerializer::Simple(Simple::VoidNamespace) => {
                usual.expect(0)?;
                Value::Null
            }
            _ => return None,
        };
        step_over(&usual, input)?;
        Some(value)
    }

    fn into_map(self) -> Result<Vec<(Self, Self)>, Self> {
        match self {
            Value::Map(entries) => Ok(entries),
            value => Err(value),
        }
    }
}

/// A value that could be decoded and was not kept. Takes no memory, and neither do lists of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checked;

impl Form for Checked {
    type Field = Checked;

    #[inline]
    fn leaf<T>(_part: T, _make: impl FnOnce(T) -> Value) -> Self {
        Checked
    }

    #[inline]
    fn field(_name: &Arc<str>, _value: Self) -> Self::Field {
        Checked
    }

    #[inline]
    fn pojo(_class: &Arc<str>, _fields: Vec<Self::Field>) -> Self {
        Checked
    }

    #[inline]
    fn list(_elements: Vec<Self>) -> Self {
        Checked
    }

    #[inline]
    fn set(_elements: Vec<Self>) -> Self {
        Checked
    }

    #[inline]
    fn map(_entries: Vec<(Self, Self)>) -> Self {
        Checked
    }

    #[inline]
    fn tuple(_fields: Vec<Self>) -> Self {
        Checked
    }

    #[inline]
    fn row(_kind: RowKind, _fields: Vec<Self>) -> Self {
        Checked
    }

    #[inline]
    fn left(_value: Self) -> Self {
        Checked
    }

    #[inline]
    fn right(_value: Self) -> Self {
        Checked
    }

    #[inline]
    fn timed(_last_access: i64, _value: Self) -> Self {
        Checked
    }

    #[inline]
    fn timer(_timestamp: i64, _key: Self, _namespace: Self) -> Self {
        Checked
    }

    #[inline]
    fn again(_read: impl FnOnce() -> crate::Result<Self>) -> crate::Result<Self> {
        Ok(Checked)
    }

    #[inline]
    fn skim(serializer: &TypeSerializer, input: &mut Reader<'_>) -> Option<Self> {
        let mut usual = Usual::new(input.rest());
        usual.skip(serializer)?;
        step_over(&usual, input)?;
        Some(Checked)
    }

    #[inline]
    fn skim_entry(is_usual: impl FnOnce() -> bool) -> Option<KeyedEntry<Self>> {
        let entry = KeyedEntry { key: Checked, namespace: Checked, content: Content::Value(Checked) };
        is_usual().then_some(entry)
    }

    #[inline]
    fn into_map(self) -> Result<Vec<(Self, Self)>, Self> {
        Err(Checked)
    }
}

/// Reads what `usual` has read.
#[inline]
fn step_over(usual: &Usual<'_>, input: &mut Reader<'_>) -> Option<()> {
    let length = input.remaining().saturating_sub(usual.rest().len());
    input.raw(length, "value").ok().map(|_| ())
}
