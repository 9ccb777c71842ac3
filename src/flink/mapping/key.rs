//! Which Java type keys have, since that decides their key groups.

use crate::format::flink::serializer::{Simple, Snapshot, TypeSerializer};
use crate::format::java_type::JavaType;

/// The Java type whose hash code decides the key groups of keys of this serializer.
pub(in crate::flink) fn java_type(serializer: &TypeSerializer) -> JavaType {
    let class = || JavaType::Class(serializer.to_string());
    let all = |fields: &[Snapshot]| fields.iter().map(|field| java_type(&field.serializer)).collect();
    let boxed = |snapshot: &Snapshot| Box::new(java_type(&snapshot.serializer));
    match serializer {
        TypeSerializer::Simple(simple) => simple_java_type(*simple).unwrap_or_else(class),
        TypeSerializer::Tuple { class, fields } if !fields.is_empty() && TypeSerializer::is_java_tuple(class) => {
            JavaType::Tuple(all(fields))
        }
        TypeSerializer::Row { fields, .. } => JavaType::Row(all(fields)),
        TypeSerializer::List(element) => JavaType::List(boxed(element)),
        TypeSerializer::Map(key, value) => JavaType::Map(boxed(key), boxed(value)),
        TypeSerializer::Nullable { inner, .. } => java_type(&inner.serializer),
        TypeSerializer::RowData { types, .. } => JavaType::sql_row(types).unwrap_or_else(class),
        _ => class(),
    }
}

fn simple_java_type(simple: Simple) -> Option<JavaType> {
    Some(match simple {
        Simple::Boolean => JavaType::Boolean,
        Simple::Byte | Simple::ByteValue => JavaType::Byte,
        Simple::Short | Simple::ShortValue => JavaType::Short,
        Simple::Int | Simple::IntValue => JavaType::Int,
        Simple::Long => JavaType::Long,
        Simple::Char | Simple::CharValue => JavaType::Char,
        Simple::Float | Simple::FloatValue => JavaType::Float,
        Simple::Double => JavaType::Double,
        Simple::String | Simple::StringValue => JavaType::String,
        Simple::BigInt => JavaType::BigInteger,
        Simple::BigDec => JavaType::BigDecimal,
        Simple::Date | Simple::SqlDate | Simple::SqlTime => JavaType::Date,
        Simple::SqlTimestamp => JavaType::Timestamp,
        Simple::Instant => JavaType::Instant,
        Simple::LocalDate => JavaType::LocalDate,
        Simple::LocalTime => JavaType::LocalTime,
        Simple::LocalDateTime => JavaType::LocalDateTime,
        _ => return None,
    })
}
