//! Java's types of keys, as far as their hash codes decide key groups.
//!
//! Flink assigns keys to key groups by `hashCode()` of the Java object. The object is gone; what is stored is the key in an
//! encoding of ours, and in the manifest, once per operator, the [`JavaType`] that the key had. The two give the hash code.
//!
//! Wire form: one tag byte, and for a type with parts what the table says. Tags are never renumbered. A type nests at most
//! 16 deep and has at most 256 parts.
//!
//! | tag | type | behind it |
//! |---|---|---|
//! | 1 to 8 | boolean, byte, short, int, long, char, float, double | |
//! | 9 | string | |
//! | 10, 11 | big integer, big decimal: stored as text | |
//! | 12 | date: milliseconds | |
//! | 13 | timestamp: milliseconds and nanoseconds | |
//! | 14 | instant: seconds and nanoseconds | |
//! | 15, 16, 17 | local date, local time, local date and time: stored as ISO 8601 | |
//! | 18, 19 | tuple, row | varint number of fields, fields |
//! | 20 | list | element |
//! | 21 | map | key, value |
//! | 22 | a class whose hash code cannot be computed | string, the class |
//! | 23 | a row of the SQL runtime | varint number of fields, SQL types |
//!
//! A SQL type is a tag of its own: 1 boolean, 2 tinyint, 3 smallint, 4 int (dates, times and months as well), 5 bigint
//! (intervals as well), 6 float, 7 double, 8 text, 9 bytes, 10 decimal (varint precision, varint scale), 11 timestamp (varint
//! precision), 12 array (element), 13 row (varint number of fields, SQL types). They count among depth and parts.

mod hash;
mod sql;

use std::fmt;

use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::format::flink::LogicalType;
use crate::ids::MAX_NAME_BYTES;

/// Types nest at most this deep.
const MAX_DEPTH: usize = 16;

/// Largest number of types inside one type, itself included.
const MAX_NODES: usize = 256;

const TAG_TUPLE: u8 = 18;
const TAG_ROW: u8 = 19;
const TAG_LIST: u8 = 20;
const TAG_MAP: u8 = 21;
const TAG_CLASS: u8 = 22;
const TAG_SQL_ROW: u8 = 23;

/// Counts a part at a depth; fails where there are too many or they are too deep.
type Enter<'e> = &'e mut dyn FnMut(&Reader<'_>, usize) -> Result<()>;

/// A type of Java's with a hash code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JavaType {
    /// `boolean`.
    Boolean,
    /// `byte`.
    Byte,
    /// `short`.
    Short,
    /// `int`.
    Int,
    /// `long`.
    Long,
    /// `char`.
    Char,
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// `String`.
    String,
    /// `BigInteger`.
    BigInteger,
    /// `BigDecimal`.
    BigDecimal,
    /// `java.util.Date`, `java.sql.Date`, `java.sql.Time`.
    Date,
    /// `java.sql.Timestamp`.
    Timestamp,
    /// `Instant`.
    Instant,
    /// `LocalDate`.
    LocalDate,
    /// `LocalTime`.
    LocalTime,
    /// `LocalDateTime`.
    LocalDateTime,
    /// A tuple of Flink's.
    Tuple(Vec<JavaType>),
    /// A row of Flink's that was inserted.
    Row(Vec<JavaType>),
    /// A list.
    List(Box<JavaType>),
    /// A map.
    Map(Box<JavaType>, Box<JavaType>),
    /// A class with a hash code of its own, which cannot be computed.
    Class(String),
    /// A row of the SQL runtime that was inserted, see [`sql_row`](Self::sql_row).
    SqlRow(Vec<LogicalType>),
}

/// The types without parts, by tag from 1 on.
const SIMPLE: [(JavaType, &str); 17] = [
    (JavaType::Boolean, "boolean"),
    (JavaType::Byte, "byte"),
    (JavaType::Short, "short"),
    (JavaType::Int, "int"),
    (JavaType::Long, "long"),
    (JavaType::Char, "char"),
    (JavaType::Float, "float"),
    (JavaType::Double, "double"),
    (JavaType::String, "String"),
    (JavaType::BigInteger, "BigInteger"),
    (JavaType::BigDecimal, "BigDecimal"),
    (JavaType::Date, "Date"),
    (JavaType::Timestamp, "Timestamp"),
    (JavaType::Instant, "Instant"),
    (JavaType::LocalDate, "LocalDate"),
    (JavaType::LocalTime, "LocalTime"),
    (JavaType::LocalDateTime, "LocalDateTime"),
];

impl JavaType {
    /// A row of the SQL runtime with fields of these types, of which only what decides its bytes is kept. `None` where the
    /// bytes do not follow from the values, because a field is a map, a multiset or a type that is not known.
    pub fn sql_row(fields: &[LogicalType]) -> Option<Self> {
        fields.iter().map(sql::reduced).collect::<Option<_>>().map(JavaType::SqlRow)
    }

    /// A class whose hash code decides and cannot be computed, if there is one among the parts.
    pub fn unknown_class(&self) -> Option<&str> {
        match self {
            JavaType::Class(class) => Some(class),
            JavaType::Tuple(parts) | JavaType::Row(parts) => parts.iter().find_map(JavaType::unknown_class),
            JavaType::List(element) => element.unknown_class(),
            JavaType::Map(key, value) => key.unknown_class().or_else(|| value.unknown_class()),
            _ => None,
        }
    }

    /// Appends the wire form. A type that nests too deep or has too many parts to be read again is
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput).
    pub fn encode(&self, out: &mut Writer) -> Result<()> {
        let start = out.len();
        self.encode_node(out);
        let bytes = out.as_slice().get(start..).unwrap_or_default();
        match Self::decode(&mut Reader::new(bytes)) {
            Ok(read) if read == *self => Ok(()),
            _ => Err(Error::invalid_input(format!("type {self} of a key has too many parts"))),
        }
    }

    fn encode_node(&self, out: &mut Writer) {
        match self {
            JavaType::Tuple(parts) | JavaType::Row(parts) => {
                out.u8(if matches!(self, JavaType::Row(_)) { TAG_ROW } else { TAG_TUPLE });
                out.length(parts.len());
                parts.iter().for_each(|part| part.encode_node(out));
            }
            JavaType::List(element) => {
                out.u8(TAG_LIST);
                element.encode_node(out);
            }
            JavaType::Map(key, value) => {
                out.u8(TAG_MAP);
                key.encode_node(out);
                value.encode_node(out);
            }
            JavaType::Class(class) => {
                out.u8(TAG_CLASS);
                out.str(class);
            }
            JavaType::SqlRow(fields) => {
                out.u8(TAG_SQL_ROW);
                sql::encode(fields, out);
            }
            simple => {
                let position = SIMPLE.iter().zip(1u8..).find(|((known, _), _)| known == simple);
                out.u8(position.map_or(0, |(_, tag)| tag));
            }
        }
    }

    /// Reads one wire form, consuming exactly its bytes. A tag that is not known comes from a later version and is
    /// [`Incompatible`](crate::ErrorKind::Incompatible).
    pub fn decode(input: &mut Reader<'_>) -> Result<Self> {
        let mut nodes = 0usize;
        let mut enter = |input: &Reader<'_>, depth: usize| {
            nodes = nodes.saturating_add(1);
            if depth < MAX_DEPTH && nodes <= MAX_NODES {
                return Ok(());
            }
            let message = format!("nests deeper than {MAX_DEPTH} levels or has more than {MAX_NODES} parts");
            Err(input.corrupt("Java type", message))
        };
        Self::decode_node(input, 0, &mut enter)
    }

    fn decode_node(input: &mut Reader<'_>, depth: usize, enter: Enter<'_>) -> Result<Self> {
        enter(input, depth)?;
        let (at, below) = (input.offset(), depth.saturating_add(1));
        let tag = input.u8("Java type")?;
        let mut nested = |input: &mut Reader<'_>| Self::decode_node(input, below, enter);
        Ok(match tag {
            TAG_TUPLE | TAG_ROW => {
                let count = input.count(1, "number of fields of a Java type")?;
                let parts = (0..count).map(|_| nested(input)).collect::<Result<_>>()?;
                if tag == TAG_ROW { JavaType::Row(parts) } else { JavaType::Tuple(parts) }
            }
            TAG_LIST => JavaType::List(Box::new(nested(input)?)),
            TAG_MAP => JavaType::Map(Box::new(nested(input)?), Box::new(nested(input)?)),
            TAG_CLASS => {
                let start = input.clone();
                let class = input.str("Java class")?;
                if class.len() > MAX_NAME_BYTES {
                    return Err(start.corrupt("Java class", format!("is longer than {MAX_NAME_BYTES} bytes")));
                }
                JavaType::Class(class.to_owned())
            }
            TAG_SQL_ROW => {
                let count = input.count(1, "number of fields of a SQL row")?;
                let fields = (0..count).map(|_| sql::decode_field(input, below, enter));
                JavaType::SqlRow(fields.collect::<Result<_>>()?)
            }
            tag => match usize::from(tag).checked_sub(1).and_then(|position| SIMPLE.get(position)) {
                Some((simple, _)) => simple.clone(),
                None => {
                    let message = format!("Java type {tag} is not known; use a newer millpond");
                    return Err(Error::incompatible(message).at_offset(at).in_field("Java type"));
                }
            },
        })
    }
}

impl fmt::Display for JavaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut listed = |name: &str, parts: &[JavaType]| {
            let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
            write!(f, "{name}<{}>", parts.join(", "))
        };
        match self {
            JavaType::Tuple(parts) => listed("Tuple", parts),
            JavaType::Row(parts) => listed("Row", parts),
            JavaType::List(element) => write!(f, "List<{element}>"),
            JavaType::Map(key, value) => write!(f, "Map<{key}, {value}>"),
            JavaType::Class(class) => write!(f, "{}", class.escape_debug()),
            JavaType::SqlRow(fields) => write!(f, "RowData of {} fields", fields.len()),
            simple => {
                let known = SIMPLE.iter().find(|(known, _)| known == simple);
                f.write_str(known.map_or("unknown", |(_, name)| name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::format::flink::{LogicalKind, RowField};

    fn samples() -> Vec<JavaType> {
        let mut all: Vec<JavaType> = SIMPLE.into_iter().map(|(simple, _)| simple).collect();
        all.push(JavaType::Tuple(vec![JavaType::String, JavaType::Row(vec![JavaType::Int])]));
        all.push(JavaType::List(Box::new(JavaType::Map(Box::new(JavaType::Long), Box::new(JavaType::Double)))));
        all.push(JavaType::Tuple(vec![JavaType::Class("x.P".to_owned())]));
        let field = |kind| LogicalType { nullable: false, kind };
        let nested = LogicalKind::Row(vec![RowField { name: "a".into(), field_type: field(LogicalKind::Date) }]);
        let fields = [
            field(LogicalKind::Decimal { precision: 38, scale: 10 }),
            field(LogicalKind::Array(Box::new(field(nested)))),
            field(LogicalKind::Timestamp { precision: 9 }),
        ];
        all.push(JavaType::sql_row(&fields).unwrap());
        all
    }

    #[test]
    fn what_was_encoded_is_decoded_and_no_damage_is_taken_for_it() {
        for (sample, tag) in samples().into_iter().zip(1u8..) {
            let mut out = Writer::new();
            sample.encode(&mut out).unwrap();
            let bytes = out.as_slice();
            assert!(bytes[0] == tag || tag > 17, "tags do not change");
            assert_eq!(JavaType::decode(&mut Reader::new(bytes)).unwrap(), sample);
            for length in 0..bytes.len() {
                let error = JavaType::decode(&mut Reader::new(&bytes[..length])).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{sample} cut at {length}");
            }
        }
        let error = JavaType::decode(&mut Reader::new(&[99])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert_eq!(JavaType::decode(&mut Reader::new(&[TAG_LIST; 40])).unwrap_err().kind(), ErrorKind::Corrupt);
        let wide = JavaType::Tuple(vec![JavaType::Int; MAX_NODES]);
        assert_eq!(wide.encode(&mut Writer::new()).unwrap_err().kind(), ErrorKind::InvalidInput);
        let named = LogicalType { nullable: true, kind: LogicalKind::Char { length: 3 } };
        let unreduced = JavaType::SqlRow(vec![named]);
        assert_eq!(unreduced.encode(&mut Writer::new()).unwrap_err().kind(), ErrorKind::InvalidInput);
        let deep = [[TAG_SQL_ROW, 1].as_slice(), &[12; 40]].concat();
        assert_eq!(JavaType::decode(&mut Reader::new(&deep)).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_class_without_a_hash_code_is_found_among_the_parts() {
        let unknown: Vec<Option<String>> =
            samples().iter().skip(17).map(|sample| sample.unknown_class().map(str::to_owned)).collect();
        assert_eq!(unknown, [None, None, Some("x.P".to_owned()), None]);
        assert_eq!(samples()[19].to_string(), "Tuple<x.P>");
        assert_eq!(samples()[18].to_string(), "List<Map<long, double>>");
    }
}
