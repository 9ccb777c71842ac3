//! What millpond's types are stored as.

use millpond::serializer::{SerializerSnapshot, Shape};

use super::schema::{Field, Form, MAX_DEPTH, Type};

/// The type of the values that a serializer of ours wrote.
pub(super) fn of(description: &SerializerSnapshot) -> Type {
    serialized(description, 0)
}

const TOO_DEEP: &str = "it is nested too deep";

const NOTHING: &str = "it is always null";

fn integer(bits: u8, signed: bool) -> Type {
    Type::Integer { bits, signed }
}

fn serialized(description: &SerializerSnapshot, depth: usize) -> Type {
    if depth >= MAX_DEPTH {
        return Type::json(TOO_DEEP);
    }
    let nested = |inner: &SerializerSnapshot| serialized(inner, depth + 1);
    match description {
        SerializerSnapshot::Unit => Type::json(NOTHING),
        SerializerSnapshot::Bool => Type::Bool,
        SerializerSnapshot::U8 => integer(8, false),
        SerializerSnapshot::U16 => integer(16, false),
        SerializerSnapshot::U32 => integer(32, false),
        SerializerSnapshot::U64 => integer(64, false),
        SerializerSnapshot::I8 => integer(8, true),
        SerializerSnapshot::I16 => integer(16, true),
        SerializerSnapshot::I32 => Type::I32,
        SerializerSnapshot::I64 => Type::I64,
        SerializerSnapshot::F32 => Type::F32,
        SerializerSnapshot::F64 => Type::F64,
        SerializerSnapshot::String => Type::Text,
        SerializerSnapshot::Bytes => Type::Bytes,
        SerializerSnapshot::Window => Type::window(),
        // Everything can be null.
        SerializerSnapshot::Option(inner) => nested(inner),
        SerializerSnapshot::List(element) => Type::list(nested(element)),
        SerializerSnapshot::Map(key, value) => Type::map(nested(key), nested(value)),
        SerializerSnapshot::Tuple(fields) => Type::tuple(fields.iter().map(nested)),
        SerializerSnapshot::Msgpack(shape) => shaped(shape, depth),
        SerializerSnapshot::Custom { .. } => Type::Opaque(description.to_string()),
        other => Type::json(format!("{other} has no columns")),
    }
}

fn shaped(shape: &Shape, depth: usize) -> Type {
    if depth >= MAX_DEPTH {
        return Type::json(TOO_DEEP);
    }
    let nested = |inner: &Shape| shaped(inner, depth + 1);
    match shape {
        Shape::Unit => Type::json(NOTHING),
        Shape::Bool => Type::Bool,
        Shape::U8 => integer(8, false),
        Shape::U16 => integer(16, false),
        Shape::U32 => integer(32, false),
        Shape::U64 => integer(64, false),
        Shape::I8 => integer(8, true),
        Shape::I16 => integer(16, true),
        Shape::I32 => Type::I32,
        Shape::I64 => Type::I64,
        Shape::F32 => Type::F32,
        Shape::F64 => Type::F64,
        Shape::Char | Shape::String => Type::Text,
        Shape::Bytes => Type::Bytes,
        Shape::Option(inner) => nested(inner),
        Shape::List(element) => Type::list(nested(element)),
        Shape::Map(key, value) => Type::map(nested(key), nested(value)),
        Shape::Tuple(fields) => Type::tuple(fields.iter().map(nested)),
        Shape::Struct { fields, .. } => {
            let fields = fields.iter().map(|field| Field::new(&field.name, nested(&field.shape)));
            Type::group(Form::Record, fields.collect())
        }
        Shape::Enum { variants, .. } if variants.iter().all(|variant| variant.content.is_none()) => Type::Text,
        Shape::Enum { variants, .. } => Type::variant(variants.iter().map(|variant| {
            let mut names = vec![variant.name.clone()];
            names.extend(variant.aliases.iter().cloned());
            (names, variant.content.as_ref().map(nested))
        })),
        other => Type::json(format!("{other} has no columns")),
    }
}
