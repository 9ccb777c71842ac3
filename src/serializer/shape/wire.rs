//! Wire form of shapes: a tag byte, then what the kind needs, nested shapes in place.
//!
//! New tags need a new version of the MessagePack description that holds the shape, because a reader cannot step over
//! a tag it does not know.

use super::{Field, Shape, Variant};
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};

/// Deepest nesting of a shape.
pub(crate) const MAX_DEPTH: usize = 32;

const TAG_ANY: u8 = 0;
const TAG_UNIT: u8 = 1;
const TAG_BOOL: u8 = 2;
const TAG_U8: u8 = 3;
const TAG_U16: u8 = 4;
const TAG_U32: u8 = 5;
const TAG_U64: u8 = 6;
const TAG_U128: u8 = 7;
const TAG_I8: u8 = 8;
const TAG_I16: u8 = 9;
const TAG_I32: u8 = 10;
const TAG_I64: u8 = 11;
const TAG_I128: u8 = 12;
const TAG_F32: u8 = 13;
const TAG_F64: u8 = 14;
const TAG_CHAR: u8 = 15;
const TAG_STRING: u8 = 16;
const TAG_BYTES: u8 = 17;
const TAG_OPTION: u8 = 18;
const TAG_LIST: u8 = 19;
const TAG_MAP: u8 = 20;
const TAG_TUPLE: u8 = 21;
const TAG_STRUCT: u8 = 22;
const TAG_ENUM: u8 = 23;

impl Shape {
    /// Appends the wire form. Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) if the shape nests too deep
    /// to be read again.
    pub(crate) fn encode(&self, out: &mut Writer) -> Result<()> {
        self.encode_node(out, 0)
    }

    /// Reads one wire form, consuming exactly its bytes.
    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Self> {
        Self::decode_node(input, 0)
    }

    fn encode_node(&self, out: &mut Writer, depth: usize) -> Result<()> {
        if depth >= MAX_DEPTH {
            return Err(Error::invalid_input(format!("the shape of a type nests deeper than {MAX_DEPTH} levels")));
        }
        out.u8(self.tag());
        match self {
            Shape::Option(inner) | Shape::List(inner) => inner.encode_node(out, depth + 1),
            Shape::Map(key, value) => {
                key.encode_node(out, depth + 1)?;
                value.encode_node(out, depth + 1)
            }
            Shape::Tuple(fields) => {
                out.length(fields.len());
                fields.iter().try_for_each(|field| field.encode_node(out, depth + 1))
            }
            Shape::Struct { name, fields } => {
                out.str(name);
                out.length(fields.len());
                fields.iter().try_for_each(|Field { name, shape }| {
                    out.str(name);
                    shape.encode_node(out, depth + 1)
                })
            }
            Shape::Enum { name, variants } => {
                out.str(name);
                out.length(variants.len());
                variants.iter().try_for_each(|Variant { name, aliases, content }| {
                    out.str(name);
                    out.length(aliases.len());
                    aliases.iter().for_each(|alias| out.str(alias));
                    out.u8(u8::from(content.is_some()));
                    content.as_ref().map_or(Ok(()), |content| content.encode_node(out, depth + 1))
                })
            }
            _ => Ok(()),
        }
    }

    fn decode_node(input: &mut Reader<'_>, depth: usize) -> Result<Self> {
        if depth >= MAX_DEPTH {
            return Err(input.corrupt("shape", format!("nests deeper than {MAX_DEPTH} levels")));
        }
        let start = input.clone();
        let nested = |input: &mut Reader<'_>| Self::decode_node(input, depth + 1);
        Ok(match input.u8("shape tag")? {
            TAG_OPTION => Shape::Option(Box::new(nested(input)?)),
            TAG_LIST => Shape::List(Box::new(nested(input)?)),
            TAG_MAP => Shape::Map(Box::new(nested(input)?), Box::new(nested(input)?)),
            TAG_TUPLE => {
                let count = input.count(1, "number of tuple fields")?;
                Shape::Tuple((0..count).map(|_| nested(input)).collect::<Result<_>>()?)
            }
            TAG_STRUCT => {
                let name = input.str("name of the struct")?.to_owned();
                let count = input.count(2, "number of fields")?;
                let field = |_| Ok(Field { name: input.str("field name")?.to_owned(), shape: nested(input)? });
                Shape::Struct { name, fields: (0..count).map(field).collect::<Result<_>>()? }
            }
            TAG_ENUM => {
                let name = input.str("name of the enum")?.to_owned();
                let count = input.count(3, "number of variants")?;
                let variant = |_| {
                    let name = input.str("variant name")?.to_owned();
                    let count = input.count(1, "number of other variant names")?;
                    let alias = |_| Ok(input.str("other variant name")?.to_owned());
                    let aliases = (0..count).map(alias).collect::<Result<_>>()?;
                    let has_content = input.bool("whether the variant has content")?;
                    Ok(Variant { name, aliases, content: has_content.then(|| nested(input)).transpose()? })
                };
                Shape::Enum { name, variants: (0..count).map(variant).collect::<Result<_>>()? }
            }
            tag => {
                Self::simple(tag).ok_or_else(|| start.corrupt("shape tag", format!("is {tag}, which is no shape")))?
            }
        })
    }

    fn simple(tag: u8) -> Option<Self> {
        Some(match tag {
            TAG_ANY => Shape::Any,
            TAG_UNIT => Shape::Unit,
            TAG_BOOL => Shape::Bool,
            TAG_U8 => Shape::U8,
            TAG_U16 => Shape::U16,
            TAG_U32 => Shape::U32,
            TAG_U64 => Shape::U64,
            TAG_U128 => Shape::U128,
            TAG_I8 => Shape::I8,
            TAG_I16 => Shape::I16,
            TAG_I32 => Shape::I32,
            TAG_I64 => Shape::I64,
            TAG_I128 => Shape::I128,
            TAG_F32 => Shape::F32,
            TAG_F64 => Shape::F64,
            TAG_CHAR => Shape::Char,
            TAG_STRING => Shape::String,
            TAG_BYTES => Shape::Bytes,
            _ => return None,
        })
    }

    /// The tag that stands for this kind in stored bytes. Never renumbered.
    fn tag(&self) -> u8 {
        match self {
            Shape::Any => TAG_ANY,
            Shape::Unit => TAG_UNIT,
            Shape::Bool => TAG_BOOL,
            Shape::U8 => TAG_U8,
            Shape::U16 => TAG_U16,
            Shape::U32 => TAG_U32,
            Shape::U64 => TAG_U64,
            Shape::U128 => TAG_U128,
            Shape::I8 => TAG_I8,
            Shape::I16 => TAG_I16,
            Shape::I32 => TAG_I32,
            Shape::I64 => TAG_I64,
            Shape::I128 => TAG_I128,
            Shape::F32 => TAG_F32,
            Shape::F64 => TAG_F64,
            Shape::Char => TAG_CHAR,
            Shape::String => TAG_STRING,
            Shape::Bytes => TAG_BYTES,
            Shape::Option(_) => TAG_OPTION,
            Shape::List(_) => TAG_LIST,
            Shape::Map(..) => TAG_MAP,
            Shape::Tuple(_) => TAG_TUPLE,
            Shape::Struct { .. } => TAG_STRUCT,
            Shape::Enum { .. } => TAG_ENUM,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Shape {
        let simple = (TAG_ANY..=TAG_BYTES).filter_map(Shape::simple).collect();
        Shape::Struct {
            name: "S".into(),
            fields: vec![
                Field { name: "all".into(), shape: Shape::Tuple(simple) },
                Field { name: "m".into(), shape: Shape::Map(Box::new(Shape::String), Box::new(Shape::U8)) },
                Field {
                    name: "e".into(),
                    shape: Shape::Enum {
                        name: "E".into(),
                        variants: vec![
                            Variant { name: "A".into(), aliases: vec![], content: None },
                            Variant {
                                name: "B".into(),
                                aliases: vec!["b".into(), "C".into()],
                                content: Some(Shape::List(Box::new(Shape::Any))),
                            },
                        ],
                    },
                },
            ],
        }
    }

    #[test]
    fn shapes_round_trip_and_damage_is_noticed_or_means_something_else() {
        let shape = sample();
        let mut out = Writer::new();
        shape.encode(&mut out).unwrap();
        let bytes = out.into_bytes();
        let mut input = Reader::new(&bytes);
        assert_eq!(Shape::decode(&mut input).unwrap(), shape);
        assert!(input.is_empty());
        for len in 0..bytes.len() {
            assert!(Shape::decode(&mut Reader::new(&bytes[..len])).is_err(), "cut at {len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Shape::decode(&mut Reader::new(&damaged)).ok(), Some(shape.clone()), "bit {bit}");
        }
    }

    #[test]
    fn nesting_is_limited_in_both_directions() {
        let error = Shape::decode(&mut Reader::new(&[TAG_LIST; 100])).unwrap_err();
        assert_eq!(error.place().offset, Some(32));
        let mut deep = Shape::Any;
        for _ in 0..MAX_DEPTH {
            deep = Shape::Option(Box::new(deep));
        }
        assert_eq!(deep.encode(&mut Writer::new()).unwrap_err().kind(), crate::ErrorKind::InvalidInput);
    }
}
