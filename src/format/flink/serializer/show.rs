//! Types for people.

use std::fmt;

use super::{PojoField, Simple, Snapshot, TypeSerializer};
use crate::format::flink::java_object::{LogicalKind, LogicalType, RowField};

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.serializer {
            TypeSerializer::Opaque { .. } => write!(f, "opaque {}", self.class.escape_debug()),
            serializer => serializer.fmt(f),
        }
    }
}

impl fmt::Display for TypeSerializer {
    /// The type in one line, for example `Map<String, Long>` or `POJO com.example.Person {id: Long, name: String}`.
    /// Control characters in stored names are escaped, so that they cannot take over a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TypeSerializer::Simple(simple) => f.write_str(&simple_name(*simple)),
            TypeSerializer::GenericArray { component, .. } => write!(f, "{component}[]"),
            TypeSerializer::Enum { class, .. } => write!(f, "enum {}", class.escape_debug()),
            TypeSerializer::List(element) => write!(f, "List<{element}>"),
            TypeSerializer::LinkedList { element, .. } => write!(f, "LinkedList<{element}>"),
            TypeSerializer::Set(element) => write!(f, "Set<{element}>"),
            TypeSerializer::Map(key, value) => write!(f, "Map<{key}, {value}>"),
            TypeSerializer::SortedMap(key, value) => write!(f, "SortedMap<{key}, {value}>"),
            TypeSerializer::Tuple { class, fields } if TypeSerializer::is_java_tuple(class) => {
                listed(f, &format!("Tuple{}<", fields.len()), fields, ">")
            }
            TypeSerializer::Tuple { class, fields } => {
                let name = class.rsplit(['.', '$']).next().unwrap_or(class);
                listed(f, &format!("{}<", name.escape_debug()), fields, ">")
            }
            TypeSerializer::Either(left, right) | TypeSerializer::Union(left, right) => {
                write!(f, "Either<{left}, {right}>")
            }
            TypeSerializer::Optional(inner) => write!(f, "optional {inner}"),
            TypeSerializer::NullAwareMap(key, value) => write!(f, "Map<nullable {key}, {value}>"),
            TypeSerializer::Row { fields, .. } => listed(f, "Row<", fields, ">"),
            TypeSerializer::Nullable { inner, .. } => write!(f, "nullable {inner}"),
            TypeSerializer::Ttl(inner) => write!(f, "timed {inner}"),
            TypeSerializer::Timer { key, namespace } => write!(f, "timer<{key}, {namespace}>"),
            TypeSerializer::StreamElement(element) => write!(f, "stream element<{element}>"),
            TypeSerializer::Pojo(pojo) => {
                let head = format!("POJO {} {{", pojo.class.escape_debug());
                listed(f, &head, &pojo.fields, "}")
            }
            TypeSerializer::Kryo(kryo) => write!(f, "Kryo {}", kryo.class.escape_debug()),
            TypeSerializer::UserValue { class } => write!(f, "Value {}", class.escape_debug()),
            TypeSerializer::Avro { class, .. } => {
                write!(f, "Avro {}", class.as_deref().unwrap_or("record").escape_debug())
            }
            TypeSerializer::RowData { types, .. } => listed(f, "ROW<", types, ">"),
            TypeSerializer::BinaryRowData { arity } => write!(f, "BinaryRow<{arity} fields>"),
            TypeSerializer::DecimalData { precision, scale } => write!(f, "DECIMAL({precision}, {scale})"),
            TypeSerializer::TimestampData { precision } => write!(f, "TIMESTAMP({precision})"),
            TypeSerializer::ArrayData(element) => write!(f, "ARRAY<{element}>"),
            TypeSerializer::MapData(key, value) => write!(f, "MAP<{key}, {value}>"),
            TypeSerializer::RawValueData(inner) => write!(f, "RAW<{inner}>"),
            TypeSerializer::WindowKey(key) => write!(f, "window and {key}"),
            TypeSerializer::External(inner) => inner.fmt(f),
            TypeSerializer::Opaque { reason } => write!(f, "opaque: {}", reason.escape_debug()),
        }
    }
}

fn simple_name(simple: Simple) -> String {
    let class = simple.class();
    let name = class.rsplit('.').next().unwrap_or(class);
    let name = name.strip_suffix("$Serializer").or_else(|| name.strip_suffix("Serializer")).unwrap_or(name);
    let name = name.rsplit('$').next().unwrap_or(name);
    match name.strip_suffix("PrimitiveArray") {
        Some(element) => format!("{}[]", element.to_ascii_lowercase()),
        None => name.strip_suffix("Array").map_or_else(|| name.to_owned(), |element| format!("{element}[]")),
    }
}

fn listed<T: fmt::Display>(f: &mut fmt::Formatter<'_>, head: &str, items: &[T], tail: &str) -> fmt::Result {
    f.write_str(head)?;
    for (position, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if position == 0 { "" } else { ", " })?;
    }
    f.write_str(tail)
}

impl fmt::Display for PojoField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.serializer {
            Some(serializer) => write!(f, "{}: {serializer}", self.name.escape_debug()),
            None => write!(f, "{}: lost", self.name.escape_debug()),
        }
    }
}

impl fmt::Display for LogicalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if self.nullable { Ok(()) } else { f.write_str(" NOT NULL") }
    }
}

impl fmt::Display for LogicalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            LogicalKind::Boolean => "BOOLEAN",
            LogicalKind::TinyInt => "TINYINT",
            LogicalKind::SmallInt => "SMALLINT",
            LogicalKind::Int => "INT",
            LogicalKind::BigInt => "BIGINT",
            LogicalKind::Float => "FLOAT",
            LogicalKind::Double => "DOUBLE",
            LogicalKind::Date => "DATE",
            LogicalKind::Null => "NULL",
            LogicalKind::YearMonthInterval => "INTERVAL YEAR TO MONTH",
            LogicalKind::DayTimeInterval => "INTERVAL DAY TO SECOND",
            LogicalKind::VarChar { length: 0x7FFF_FFFF } => "STRING",
            LogicalKind::VarBinary { length: 0x7FFF_FFFF } => "BYTES",
            LogicalKind::Char { length } => return write!(f, "CHAR({length})"),
            LogicalKind::VarChar { length } => return write!(f, "VARCHAR({length})"),
            LogicalKind::Binary { length } => return write!(f, "BINARY({length})"),
            LogicalKind::VarBinary { length } => return write!(f, "VARBINARY({length})"),
            LogicalKind::Decimal { precision, scale } => return write!(f, "DECIMAL({precision}, {scale})"),
            LogicalKind::Time { precision } => return write!(f, "TIME({precision})"),
            LogicalKind::Timestamp { precision } => return write!(f, "TIMESTAMP({precision})"),
            LogicalKind::LocalZonedTimestamp { precision } => return write!(f, "TIMESTAMP_LTZ({precision})"),
            LogicalKind::ZonedTimestamp { precision } => return write!(f, "TIMESTAMP({precision}) WITH TIME ZONE"),
            LogicalKind::Array(element) => return write!(f, "ARRAY<{element}>"),
            LogicalKind::Multiset(element) => return write!(f, "MULTISET<{element}>"),
            LogicalKind::Map(key, value) => return write!(f, "MAP<{key}, {value}>"),
            LogicalKind::Row(fields) => return listed(f, "ROW<", fields, ">"),
            LogicalKind::Other { class } => return write!(f, "{}", class.escape_debug()),
        };
        f.write_str(name)
    }
}

impl fmt::Display for RowField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name.escape_debug(), self.field_type)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Pojo, PojoField};
    use super::*;
    use crate::format::flink::samples::{of, simple};

    #[test]
    fn types_read_as_in_java_and_sql() {
        let boxed = |kind| Box::new(simple(kind));
        let field = PojoField {
            name: "a\u{1b}".into(),
            declaring_class: None,
            serializer: Some(of(TypeSerializer::List(boxed(Simple::Long)))),
        };
        let (registered, unregistered) = (Vec::new(), Vec::new());
        let pojo = TypeSerializer::Pojo(Pojo { class: "x.P".into(), fields: vec![field], registered, unregistered });
        let text = LogicalType { nullable: false, kind: LogicalKind::VarChar { length: 0x7FFF_FFFF } };
        let shown = [
            TypeSerializer::Simple(Simple::ByteArray),
            TypeSerializer::Simple(Simple::TimeWindow),
            TypeSerializer::Simple(Simple::StringArray),
            TypeSerializer::Map(boxed(Simple::String), boxed(Simple::Double)),
            TypeSerializer::Tuple {
                class: "org.apache.flink.api.java.tuple.Tuple2".to_owned(),
                fields: vec![simple(Simple::Int), simple(Simple::Char)],
            },
            pojo,
            TypeSerializer::ArrayData(text),
        ]
        .map(|serializer| serializer.to_string());
        let expected = [
            "byte[]",
            "TimeWindow",
            "String[]",
            "Map<String, Double>",
            "Tuple2<Int, Char>",
            "POJO x.P {a\\u{1b}: List<Long>}",
            "ARRAY<STRING NOT NULL>",
        ];
        assert_eq!(shown, expected);
    }
}
