//! Flink's counterparts of the types that state of ours is stored as: the table at [`export`](super::export), as code.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::flink::mapping::{OPAQUE, OPAQUE_LIST};
use crate::format::flink::serializer::{Pojo, PojoField, Simple, Snapshot, TypeSerializer};
use crate::serializer::shape::{Field, Variant};
use crate::serializer::{SerializerSnapshot, Shape};

/// Tuples have at most so many fields.
const MAX_TUPLE_FIELDS: usize = 25;

/// Java classes of structs and enums, by their names here.
pub(super) type Classes = BTreeMap<String, String>;

/// The counterpart of a type. [`Incompatible`](crate::ErrorKind::Incompatible) where there is none, with the type.
pub(super) fn of(stored: &SerializerSnapshot, classes: &Classes) -> Result<Snapshot> {
    let nested = |inner: &SerializerSnapshot| of(inner, classes).map(Box::new);
    let serializer = match stored {
        SerializerSnapshot::Unit => TypeSerializer::Simple(Simple::Void),
        SerializerSnapshot::Bool => TypeSerializer::Simple(Simple::Boolean),
        SerializerSnapshot::I8 => TypeSerializer::Simple(Simple::Byte),
        SerializerSnapshot::U8 | SerializerSnapshot::I16 => TypeSerializer::Simple(Simple::Short),
        SerializerSnapshot::U16 | SerializerSnapshot::I32 => TypeSerializer::Simple(Simple::Int),
        SerializerSnapshot::U32 | SerializerSnapshot::U64 | SerializerSnapshot::I64 => {
            TypeSerializer::Simple(Simple::Long)
        }
        SerializerSnapshot::F32 => TypeSerializer::Simple(Simple::Float),
        SerializerSnapshot::F64 => TypeSerializer::Simple(Simple::Double),
        SerializerSnapshot::String => TypeSerializer::Simple(Simple::String),
        SerializerSnapshot::Bytes => TypeSerializer::Simple(Simple::ByteArray),
        SerializerSnapshot::Window => TypeSerializer::Simple(Simple::TimeWindow),
        SerializerSnapshot::Option(inner) => return nullable(of(inner, classes)?),
        SerializerSnapshot::List(element) => TypeSerializer::List(nested(element)?),
        SerializerSnapshot::Map(key, value) => {
            let value = match &**value {
                SerializerSnapshot::Option(inner) => inner,
                value => value,
            };
            TypeSerializer::Map(nested(key)?, nested(value)?)
        }
        SerializerSnapshot::Tuple(fields) => {
            tuple(fields.iter().map(|field| of(field, classes)).collect::<Result<_>>()?)?
        }
        SerializerSnapshot::Msgpack(shape) => return of_shape(shape, classes),
        SerializerSnapshot::Custom { name, version: 1, parameters } if name.starts_with(OPAQUE) => {
            return Snapshot::read(&mut Reader::new(parameters));
        }
        other => return Err(none(&other.to_string())),
    };
    Snapshot::of(serializer)
}

/// The elements of whole lists that an import carried as values, if the type is of these.
pub(super) fn opaque_element(stored: &SerializerSnapshot) -> Option<Result<Snapshot>> {
    match stored {
        SerializerSnapshot::Custom { name, version: 1, parameters } if name.starts_with(OPAQUE_LIST) => {
            Some(Snapshot::read(&mut Reader::new(parameters)))
        }
        _ => None,
    }
}

fn none(what: &str) -> Error {
    Error::incompatible(format!(
        "type {what} has no counterpart in Flink; a snapshot of Flink's that has the state can lend its types: `Options::like` or --like"
    ))
}

/// The same type or null.
fn nullable(inner: Snapshot) -> Result<Snapshot> {
    match inner.serializer {
        TypeSerializer::Simple(Simple::String | Simple::BigInt) | TypeSerializer::Nullable { .. } => Ok(inner),
        _ => Snapshot::of(TypeSerializer::Nullable { padding: 0, inner: Box::new(inner) }),
    }
}

fn tuple(fields: Vec<Snapshot>) -> Result<TypeSerializer> {
    match fields.len() {
        0 => Ok(TypeSerializer::Simple(Simple::Tuple0)),
        count @ 1..=MAX_TUPLE_FIELDS => {
            let class = format!("org.apache.flink.api.java.tuple.Tuple{count}");
            Ok(TypeSerializer::Tuple { class, fields })
        }
        count => Err(none(&format!("tuple of {count} fields"))),
    }
}

fn of_shape(shape: &Shape, classes: &Classes) -> Result<Snapshot> {
    let nested = |inner: &Shape| of_shape(inner, classes).map(Box::new);
    let serializer = match shape {
        Shape::Unit => TypeSerializer::Simple(Simple::Void),
        Shape::Bool => TypeSerializer::Simple(Simple::Boolean),
        Shape::I8 => TypeSerializer::Simple(Simple::Byte),
        Shape::U8 | Shape::I16 => TypeSerializer::Simple(Simple::Short),
        Shape::U16 | Shape::I32 => TypeSerializer::Simple(Simple::Int),
        Shape::U32 | Shape::U64 | Shape::I64 => TypeSerializer::Simple(Simple::Long),
        Shape::U128 | Shape::I128 => TypeSerializer::Simple(Simple::BigInt),
        Shape::F32 => TypeSerializer::Simple(Simple::Float),
        Shape::F64 => TypeSerializer::Simple(Simple::Double),
        Shape::Char | Shape::String => TypeSerializer::Simple(Simple::String),
        Shape::Bytes => TypeSerializer::Simple(Simple::ByteArray),
        Shape::Option(inner) => return nullable(of_shape(inner, classes)?),
        Shape::List(element) => TypeSerializer::List(nested(element)?),
        Shape::Map(key, value) => TypeSerializer::Map(nested(key)?, nested(present(value))?),
        Shape::Tuple(fields) => tuple(fields.iter().map(|field| of_shape(field, classes)).collect::<Result<_>>()?)?,
        Shape::Struct { name, fields } => structure(name, fields, classes)?,
        Shape::Enum { name, variants } => enumeration(name, variants, classes)?,
        other => return Err(none(&other.to_string())),
    };
    Snapshot::of(serializer)
}

/// What an option holds, in a place that has nulls of its own.
fn present(shape: &Shape) -> &Shape {
    match shape {
        Shape::Option(inner) => inner,
        shape => shape,
    }
}

fn structure(name: &str, fields: &[Field], classes: &Classes) -> Result<TypeSerializer> {
    let Some(class) = classes.get(name) else {
        let of_field = |field: &Field| of_shape(present(&field.shape), classes);
        let fields = fields.iter().map(of_field).collect::<Result<_>>()?;
        return Ok(TypeSerializer::Row { with_kind: true, fields });
    };
    let mut described = Vec::new();
    for field in fields {
        described.push(PojoField {
            name: field.name.as_str().into(),
            declaring_class: Some(class.clone()),
            serializer: Some(of_shape(present(&field.shape), classes)?),
        });
    }
    // A fresh serializer of Flink's has its fields in the order of their names.
    described.sort_by(|one, other| one.name.cmp(&other.name));
    let class = class.as_str().into();
    Ok(TypeSerializer::Pojo(Pojo { class, fields: described, registered: Vec::new(), unregistered: Vec::new() }))
}

fn enumeration(name: &str, variants: &[Variant], classes: &Classes) -> Result<TypeSerializer> {
    if let [Variant { name: left, content: Some(one), .. }, Variant { name: right, content: Some(other), .. }] =
        variants
        && (left, right) == (&"Left".to_owned(), &"Right".to_owned())
    {
        return Ok(TypeSerializer::Either(Box::new(of_shape(one, classes)?), Box::new(of_shape(other, classes)?)));
    }
    if let Some(variant) = variants.iter().find(|variant| variant.content.is_some()) {
        return Err(none(&format!("enum {name}, whose variant {} has content,", variant.name)));
    }
    Ok(match classes.get(name) {
        None => TypeSerializer::Simple(Simple::String),
        Some(class) => {
            let constants: Vec<Arc<str>> = variants.iter().map(|variant| variant.name.as_str().into()).collect();
            TypeSerializer::Enum { class: class.clone(), constants }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn profile() -> SerializerSnapshot {
        SerializerSnapshot::Msgpack(Shape::Struct {
            name: "Profile".into(),
            fields: vec![
                Field { name: "flights".into(), shape: Shape::U64 },
                Field { name: "airline".into(), shape: Shape::Option(Box::new(Shape::I32)) },
            ],
        })
    }

    #[test]
    fn a_struct_is_a_row_or_the_class_that_is_named() {
        let row = of(&profile(), &Classes::new()).unwrap();
        let TypeSerializer::Row { with_kind: true, fields } = &row.serializer else { panic!("{row:?}") };
        let simple = |snapshot: &Snapshot| snapshot.serializer.clone();
        assert_eq!(simple(&fields[0]), TypeSerializer::Simple(Simple::Long));
        assert_eq!(simple(&fields[1]), TypeSerializer::Simple(Simple::Int));
        let classes = Classes::from([("Profile".to_owned(), "com.example.Profile".to_owned())]);
        let pojo = of(&profile(), &classes).unwrap();
        let TypeSerializer::Pojo(pojo) = &pojo.serializer else { panic!("{pojo:?}") };
        let names: Vec<&str> = pojo.fields.iter().map(|field| &*field.name).collect();
        assert_eq!((&*pojo.class, names), ("com.example.Profile", vec!["airline", "flights"]));
    }

    #[test]
    fn what_has_no_counterpart_is_named() {
        let custom = SerializerSnapshot::Custom { name: "geo".into(), version: 7, parameters: Vec::new() };
        let wide = SerializerSnapshot::Tuple(vec![SerializerSnapshot::Bool; 26]);
        let any = SerializerSnapshot::Msgpack(Shape::List(Box::new(Shape::Any)));
        for (stored, part) in [(custom, "geo"), (wide, "26 fields"), (any, "any")] {
            let nested = SerializerSnapshot::List(Box::new(stored));
            let error = of(&nested, &Classes::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Incompatible);
            assert!(error.message().contains(part), "{error}");
        }
    }

    #[test]
    fn what_came_from_flink_goes_back_as_it_is() {
        let snapshot = Snapshot::simple(Simple::Instant).unwrap();
        let stored =
            SerializerSnapshot::Custom { name: "flink:X".into(), version: 1, parameters: snapshot.bytes.clone() };
        assert_eq!(of(&stored, &Classes::new()).unwrap(), snapshot);
    }
}
