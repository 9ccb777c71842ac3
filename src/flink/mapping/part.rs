//! Parts of MessagePack values: their shapes, and what was seen of them.

use std::sync::Arc;

use super::plain_kind;
use crate::error::{Error, Result};
use crate::format::flink::serializer::{Pojo, Simple, Snapshot, TypeSerializer};
use crate::format::flink::value::RowKind;
use crate::format::flink::{JavaString, LogicalKind, LogicalType, Value};
use crate::serializer::shape::{Field, Variant};
use crate::serializer::{SerializerSnapshot, Shape};

/// Parts nest at most this deep; what lies deeper could not be described.
const MAX_DEPTH: usize = 24;

/// One part of a MessagePack value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::flink) struct Part {
    pub(super) kind: Kind,
    /// It was null.
    pub(super) null: bool,
    /// It was text that is no UTF-8.
    odd_text: bool,
    /// It was a row that was not inserted but updated or deleted.
    changed_row: bool,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Leaf(Shape),
    List(Box<Part>),
    Map(Box<Part>, Box<Part>),
    Tuple(Vec<Part>),
    Struct { name: String, seen: u64, fields: Vec<Member> },
    Enum { name: String, constants: Vec<Arc<str>> },
    Either(Box<Part>, Box<Part>),
}

/// A field of a struct.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) name: Arc<str>,
    pub(super) part: Part,
    /// In how many values it was.
    pub(super) present: u64,
    /// Whether only subclasses have it.
    of_subclass: bool,
}

impl From<Kind> for Part {
    fn from(kind: Kind) -> Self {
        Part { kind, null: false, odd_text: false, changed_row: false }
    }
}

impl From<Shape> for Part {
    fn from(shape: Shape) -> Self {
        Kind::Leaf(shape).into()
    }
}

impl Part {
    /// The part that a serializer writes; `None` if a value's end cannot be found, or it nests too deep.
    pub(in crate::flink) fn of(snapshot: &Snapshot) -> Option<Self> {
        Self::of_type(&snapshot.serializer, 0)
    }

    fn boxed(snapshot: &Snapshot, depth: usize) -> Option<Box<Self>> {
        Self::of_type(&snapshot.serializer, depth.saturating_add(1)).map(Box::new)
    }

    fn of_type(serializer: &TypeSerializer, depth: usize) -> Option<Self> {
        if depth > MAX_DEPTH {
            return None;
        }
        let all = |fields: &[Snapshot]| {
            fields.iter().map(|field| Self::of_type(&field.serializer, depth.saturating_add(1))).collect::<Option<_>>()
        };
        Some(match serializer {
            TypeSerializer::Simple(simple) => simple_part(*simple)?,
            TypeSerializer::List(element)
            | TypeSerializer::Set(element)
            | TypeSerializer::LinkedList { element, .. }
            | TypeSerializer::GenericArray { component: element, .. } => {
                Kind::List(Self::boxed(element, depth)?).into()
            }
            TypeSerializer::Map(key, value)
            | TypeSerializer::SortedMap(key, value)
            | TypeSerializer::NullAwareMap(key, value) => {
                Kind::Map(Self::boxed(key, depth)?, Self::boxed(value, depth)?).into()
            }
            TypeSerializer::Tuple { fields, .. } | TypeSerializer::Row { fields, .. } => {
                Kind::Tuple(all(fields)?).into()
            }
            TypeSerializer::Either(left, right) | TypeSerializer::Union(left, right) => {
                Kind::Either(Self::boxed(left, depth)?, Self::boxed(right, depth)?).into()
            }
            TypeSerializer::Enum { class, constants } => {
                Kind::Enum { name: simple_name(class), constants: constants.clone() }.into()
            }
            TypeSerializer::Pojo(pojo) => Self::of_pojo(pojo, depth)?,
            TypeSerializer::Nullable { inner, .. }
            | TypeSerializer::External(inner)
            | TypeSerializer::Optional(inner) => *Self::boxed(inner, depth)?,
            TypeSerializer::StreamElement(element) => Self::of_stream_element(element, depth)?,
            TypeSerializer::WindowKey(key) => Kind::Tuple(vec![Shape::I64.into(), *Self::boxed(key, depth)?]).into(),
            TypeSerializer::RowData { types, .. } => Kind::Tuple(types.iter().map(logical).collect()).into(),
            TypeSerializer::ArrayData(element) => Kind::List(Box::new(logical(element))).into(),
            TypeSerializer::MapData(key, value) => Kind::Map(Box::new(logical(key)), Box::new(logical(value))).into(),
            TypeSerializer::DecimalData { .. } => Shape::String.into(),
            TypeSerializer::TimestampData { .. } => moment("millis"),
            TypeSerializer::RawValueData(_) | TypeSerializer::BinaryRowData { .. } => Shape::Bytes.into(),
            _ => return None,
        })
    }

    /// A struct with the fields of the class, and those of its subclasses behind them.
    fn of_pojo(pojo: &Pojo, depth: usize) -> Option<Self> {
        let mut fields = Vec::new();
        add_members(&mut fields, pojo, false, depth)?;
        for subclass in pojo.registered.iter().chain(&pojo.unregistered) {
            match subclass.serializer.as_ref().map(|snapshot| &snapshot.serializer) {
                Some(TypeSerializer::Pojo(subclass)) => add_members(&mut fields, subclass, true, depth)?,
                _ => return None,
            }
        }
        Some(Kind::Struct { name: simple_name(&pojo.class), seen: 0, fields }.into())
    }

    /// A struct with a time, and a value that watermarks do not have.
    fn of_stream_element(element: &Snapshot, depth: usize) -> Option<Self> {
        let member = |name: &str, part| Member { name: name.into(), part, present: 0, of_subclass: false };
        let fields = vec![member("timestamp", Shape::I64.into()), member("value", *Self::boxed(element, depth)?)];
        Some(Kind::Struct { name: "StreamElement".to_owned(), seen: 0, fields }.into())
    }

    /// Adds what a value shows to the description.
    pub(in crate::flink) fn observe(&mut self, value: &Value) -> Result<()> {
        match (&mut self.kind, value) {
            (Kind::Leaf(Shape::Unit), _) => {}
            (_, Value::Null) => self.null = true,
            (Kind::Leaf(_), Value::String(JavaString::Units(_))) => self.odd_text = true,
            (Kind::Leaf(_) | Kind::Enum { .. }, _) => {}
            (Kind::List(element), Value::List(values) | Value::Set(values)) => {
                values.iter().try_for_each(|value| element.observe(value))?;
            }
            (Kind::Map(key, value), Value::Map(entries)) => {
                for (entry_key, entry_value) in entries {
                    key.observe(entry_key)?;
                    value.observe(entry_value)?;
                }
            }
            (Kind::Tuple(parts), Value::Row { kind, fields } | Value::RowData { kind, fields }) => {
                self.changed_row |= *kind != RowKind::Insert;
                observe_all(parts, fields)?;
            }
            (Kind::Tuple(parts), Value::Tuple(fields)) => observe_all(parts, fields)?,
            (Kind::Either(left, _), Value::Left(value)) => left.observe(value)?,
            (Kind::Either(_, right), Value::Right(value)) => right.observe(value)?,
            (Kind::Struct { seen, fields: members, .. }, Value::Pojo { fields, .. }) => {
                *seen = seen.saturating_add(1);
                for (position, (name, value)) in fields.iter().enumerate() {
                    member(members, position, name)?.see(value)?;
                }
            }
            (_, Value::Opaque { class, .. }) => return Err(only_some_decoded(class)),
            _ => return Err(Error::internal("a value of another type than its serializer's")),
        }
        Ok(())
    }

    /// The shape of all values that were observed.
    pub(in crate::flink) fn shape(&self) -> Shape {
        let shape = match &self.kind {
            _ if self.odd_text || self.changed_row => Shape::Any,
            Kind::Leaf(shape) => shape.clone(),
            Kind::List(element) => Shape::List(Box::new(element.shape())),
            Kind::Map(key, value) => Shape::Map(Box::new(key.shape()), Box::new(value.shape())),
            Kind::Tuple(parts) => Shape::Tuple(parts.iter().map(Part::shape).collect()),
            Kind::Struct { name, seen, fields } => Shape::Struct {
                name: name.clone(),
                fields: fields.iter().filter_map(|member| member.field(*seen)).collect(),
            },
            Kind::Enum { name, constants } => {
                let variant =
                    |constant: &Arc<str>| Variant { name: constant.to_string(), aliases: Vec::new(), content: None };
                Shape::Enum { name: name.clone(), variants: constants.iter().map(variant).collect() }
            }
            Kind::Either(left, right) => {
                let variant = |name: &str, part: &Part| Variant {
                    name: name.to_owned(),
                    aliases: Vec::new(),
                    content: Some(part.shape()),
                };
                Shape::Enum {
                    name: "Either".to_owned(),
                    variants: vec![variant("Left", left), variant("Right", right)],
                }
            }
        };
        if self.null && shape != Shape::Any { Shape::Option(Box::new(shape)) } else { shape }
    }
}

/// Values whose class the snapshot describes are next to some whose class it does not.
pub(super) fn only_some_decoded(class: &str) -> Error {
    Error::incompatible(format!(
        "some values of {class} can be decoded and others cannot, such as those of subclasses that the snapshot does not \
         describe; take a later snapshot of the job, which may describe them"
    ))
}

impl Member {
    fn see(&mut self, value: &Value) -> Result<()> {
        self.present = self.present.saturating_add(1);
        self.part.observe(value)
    }

    /// The field, unless it is one of subclasses that no value had.
    fn field(&self, seen: u64) -> Option<Field> {
        if self.of_subclass && self.present == 0 {
            return None;
        }
        let shape = self.part.shape();
        let is_missing = self.present < seen && !matches!(shape, Shape::Option(_) | Shape::Any);
        let shape = if is_missing { Shape::Option(Box::new(shape)) } else { shape };
        Some(Field { name: self.name.to_string(), shape })
    }
}

fn observe_all(parts: &mut [Part], values: &[Value]) -> Result<()> {
    parts.iter_mut().zip(values).try_for_each(|(part, value)| part.observe(value))
}

/// The member of a name, which most often is at the same position as in the value.
fn member<'m>(members: &'m mut [Member], position: usize, name: &Arc<str>) -> Result<&'m mut Member> {
    let is_here = members.get(position).is_some_and(|member| member.name == *name);
    let found = if is_here { Some(position) } else { members.iter().position(|member| member.name == *name) };
    found
        .and_then(|position| members.get_mut(position))
        .ok_or_else(|| Error::incompatible(format!("field {name} is not in the serializer of the state")))
}

fn add_members(members: &mut Vec<Member>, pojo: &Pojo, of_subclass: bool, depth: usize) -> Option<()> {
    for field in &pojo.fields {
        let part = *Part::boxed(field.serializer.as_ref()?, depth)?;
        match members.iter_mut().find(|member| member.name == field.name) {
            None => members.push(Member { name: field.name.clone(), part, present: 0, of_subclass }),
            Some(member) if member.part == part => {}
            // Classes disagree about the type of the field.
            Some(member) => member.part = Shape::Any.into(),
        }
    }
    Some(())
}

/// The last part of a class name.
fn simple_name(class: &str) -> String {
    class.rsplit(['.', '$']).next().unwrap_or(class).to_owned()
}

/// A struct of a point in time.
fn moment(unit: &str) -> Part {
    let field = |name: &str, shape| Field { name: name.to_owned(), shape };
    let name = if unit == "seconds" { "Instant" } else { "Timestamp" };
    let fields = vec![field(unit, Shape::I64), field("nanos", Shape::I32)];
    Shape::Struct { name: name.to_owned(), fields }.into()
}

fn simple_part(simple: Simple) -> Option<Part> {
    let list = |shape: Shape| Some(Kind::List(Box::new(shape.into())).into());
    match simple {
        Simple::SqlTimestamp => return Some(moment("millis")),
        Simple::Instant => return Some(moment("seconds")),
        Simple::BooleanArray => return list(Shape::Bool),
        Simple::CharArray => return list(Shape::U16),
        Simple::ShortArray => return list(Shape::I16),
        Simple::IntArray | Simple::DeweyNumber => return list(Shape::I32),
        Simple::EventId => return Some(Kind::Tuple(vec![Shape::I32.into(), Shape::I64.into()]).into()),
        Simple::LongArray => return list(Shape::I64),
        Simple::FloatArray => return list(Shape::F32),
        Simple::DoubleArray => return list(Shape::F64),
        Simple::StringArray => return list(Shape::String),
        Simple::Tuple0 => return Some(Kind::Tuple(Vec::new()).into()),
        Simple::Variant | Simple::Bitmap => return Some(Shape::Bytes.into()),
        _ => {}
    }
    let shape = match plain_kind(simple)? {
        SerializerSnapshot::Unit => Shape::Unit,
        SerializerSnapshot::Bool => Shape::Bool,
        SerializerSnapshot::I8 => Shape::I8,
        SerializerSnapshot::I16 => Shape::I16,
        SerializerSnapshot::I32 => Shape::I32,
        SerializerSnapshot::I64 => Shape::I64,
        SerializerSnapshot::U16 => Shape::U16,
        SerializerSnapshot::F32 => Shape::F32,
        SerializerSnapshot::F64 => Shape::F64,
        SerializerSnapshot::String => Shape::String,
        SerializerSnapshot::Bytes => Shape::Bytes,
        SerializerSnapshot::Window => {
            let field = |name: &str| Field { name: name.to_owned(), shape: Shape::I64 };
            Shape::Struct { name: "TimeWindow".to_owned(), fields: vec![field("start_ms"), field("end_ms")] }
        }
        _ => return None,
    };
    Some(shape.into())
}

/// The part that the SQL runtime stores for a type. Types nest no deeper than their decoder lets them.
fn logical(field: &LogicalType) -> Part {
    let boxed = |field: &LogicalType| Box::new(logical(field));
    match &field.kind {
        LogicalKind::Boolean => Shape::Bool.into(),
        LogicalKind::TinyInt => Shape::I8.into(),
        LogicalKind::SmallInt => Shape::I16.into(),
        LogicalKind::Int | LogicalKind::Date | LogicalKind::Time { .. } | LogicalKind::YearMonthInterval => {
            Shape::I32.into()
        }
        LogicalKind::BigInt | LogicalKind::DayTimeInterval => Shape::I64.into(),
        LogicalKind::Float => Shape::F32.into(),
        LogicalKind::Double => Shape::F64.into(),
        LogicalKind::Null => Shape::Unit.into(),
        LogicalKind::Char { .. } | LogicalKind::VarChar { .. } | LogicalKind::Decimal { .. } => Shape::String.into(),
        LogicalKind::Binary { .. } | LogicalKind::VarBinary { .. } => Shape::Bytes.into(),
        LogicalKind::Timestamp { .. } | LogicalKind::LocalZonedTimestamp { .. } => moment("millis"),
        LogicalKind::Array(element) => Kind::List(boxed(element)).into(),
        LogicalKind::Multiset(element) => Kind::Map(boxed(element), Box::new(Shape::I32.into())).into(),
        LogicalKind::Map(key, value) => Kind::Map(boxed(key), boxed(value)).into(),
        LogicalKind::Row(fields) => Kind::Tuple(fields.iter().map(|field| logical(&field.field_type)).collect()).into(),
        LogicalKind::ZonedTimestamp { .. } | LogicalKind::Other { .. } => Shape::Bytes.into(),
    }
}
