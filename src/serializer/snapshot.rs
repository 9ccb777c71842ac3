//! Descriptions of encodings, as they are stored beside the data.
//!
//! Wire form of one description, the same for every kind, so that a reader can step over a kind it has never heard of:
//!
//! | field | type |
//! |---|---|
//! | tag | u8, the kind |
//! | version | u8, layout of the body; 1 for every kind so far |
//! | body length | varint |
//! | body | nothing, or nested descriptions, or the parameters of the kind |
//!
//! An unknown tag, or a known tag of another version, becomes [`SerializerSnapshot::Unknown`] and is written again byte
//! for byte. A description nests at most [`MAX_DEPTH`] deep and has at most [`MAX_NODES`] nodes.

use std::fmt;

use super::shape::Shape;
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};

/// Deepest nesting of a description.
pub(crate) const MAX_DEPTH: usize = 32;

/// Largest number of descriptions inside one description, itself included.
pub(crate) const MAX_NODES: usize = 4_096;

/// Layout version of the body of every known kind.
const VERSION: u8 = 1;

/// Shortest wire form of a description: tag, version, length 0.
const MIN_WIRE_LEN: usize = 3;

const TAG_UNIT: u8 = 1;
const TAG_BOOL: u8 = 2;
const TAG_U8: u8 = 3;
const TAG_U16: u8 = 4;
const TAG_U32: u8 = 5;
const TAG_U64: u8 = 6;
const TAG_I8: u8 = 7;
const TAG_I16: u8 = 8;
const TAG_I32: u8 = 9;
const TAG_I64: u8 = 10;
const TAG_F32: u8 = 11;
const TAG_F64: u8 = 12;
const TAG_STRING: u8 = 13;
const TAG_BYTES: u8 = 14;
const TAG_WINDOW: u8 = 15;
const TAG_OPTION: u8 = 16;
const TAG_LIST: u8 = 17;
const TAG_MAP: u8 = 18;
const TAG_TUPLE: u8 = 19;
const TAG_MSGPACK: u8 = 20;
const TAG_CUSTOM: u8 = 21;

/// Description of the bytes a serializer writes.
///
/// `Display` gives the type in one line, for example `map<string, u64>` or `msgpack struct Profile {flights: u64}`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SerializerSnapshot {
    /// No bytes at all.
    Unit,
    /// One byte, 0 or 1.
    Bool,
    /// One byte.
    U8,
    /// Two bytes, big-endian.
    U16,
    /// Four bytes, big-endian.
    U32,
    /// Eight bytes, big-endian.
    U64,
    /// One byte, two's complement with the sign bit flipped, so that byte order is numeric order.
    I8,
    /// Two bytes, big-endian, two's complement with the sign bit flipped.
    I16,
    /// Four bytes, big-endian, two's complement with the sign bit flipped.
    I32,
    /// Eight bytes, big-endian, two's complement with the sign bit flipped.
    I64,
    /// The four bytes of an IEEE 754 number, big-endian.
    F32,
    /// The eight bytes of an IEEE 754 number, big-endian.
    F64,
    /// Varint length, then UTF-8.
    String,
    /// Varint length, then bytes.
    Bytes,
    /// Start and end of a time window in milliseconds, each as [`I64`](Self::I64).
    Window,
    /// A byte 0, or a byte 1 and a value.
    Option(Box<SerializerSnapshot>),
    /// Varint count, then the elements. An element whose encoding is always empty is stored as a byte 0.
    List(Box<SerializerSnapshot>),
    /// Varint count, then key and value of each entry, strictly ascending by the bytes of the key.
    Map(Box<SerializerSnapshot>, Box<SerializerSnapshot>),
    /// The fields side by side.
    Tuple(Vec<SerializerSnapshot>),
    /// Varint length, then MessagePack with field names.
    Msgpack(Shape),
    /// Varint length, then bytes that only a user's serializer understands.
    Custom {
        /// Name of the user's serializer.
        name: String,
        /// Its version.
        version: u32,
        /// Whatever else it has to remember about the layout.
        parameters: Vec<u8>,
    },
    /// A description from a later version of this crate. Values described by it cannot be walked.
    Unknown {
        /// Stored tag.
        tag: u8,
        /// Stored version.
        version: u8,
        /// Stored body.
        payload: Vec<u8>,
    },
}

impl SerializerSnapshot {
    /// Appends the wire form.
    ///
    /// Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) if the description nests too deep or has too many
    /// nodes to be read again.
    pub fn encode(&self, out: &mut Writer) -> Result<()> {
        let mut nodes = 0;
        self.encode_node(out, 0, &mut nodes)
    }

    /// Reads one wire form, consuming exactly its bytes.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self> {
        let mut nodes = 0;
        Self::decode_node(input, 0, &mut nodes)
    }

    fn encode_node(&self, out: &mut Writer, depth: usize, nodes: &mut usize) -> Result<()> {
        *nodes += 1;
        if depth >= MAX_DEPTH || *nodes > MAX_NODES {
            return Err(Error::invalid_input(format!(
                "a type nests deeper than {MAX_DEPTH} levels or has over {MAX_NODES} parts; store it as MessagePack"
            )));
        }
        if let SerializerSnapshot::Unknown { tag, version, payload } = self {
            out.u8(*tag);
            out.u8(*version);
            out.bytes(payload);
            return Ok(());
        }
        let mut body = Writer::new();
        self.encode_body(&mut body, depth, nodes)?;
        out.u8(self.tag());
        out.u8(VERSION);
        out.bytes(body.as_slice());
        Ok(())
    }

    fn encode_body(&self, body: &mut Writer, depth: usize, nodes: &mut usize) -> Result<()> {
        match self {
            SerializerSnapshot::Option(inner) | SerializerSnapshot::List(inner) => {
                inner.encode_node(body, depth + 1, nodes)
            }
            SerializerSnapshot::Map(key, value) => {
                key.encode_node(body, depth + 1, nodes)?;
                value.encode_node(body, depth + 1, nodes)
            }
            SerializerSnapshot::Tuple(fields) => {
                body.length(fields.len());
                fields.iter().try_for_each(|field| field.encode_node(body, depth + 1, nodes))
            }
            SerializerSnapshot::Msgpack(shape) => shape.encode(body),
            SerializerSnapshot::Custom { name, version, parameters } => {
                body.str(name);
                body.u32(*version);
                body.bytes(parameters);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn decode_node(input: &mut Reader<'_>, depth: usize, nodes: &mut usize) -> Result<Self> {
        *nodes += 1;
        if depth >= MAX_DEPTH || *nodes > MAX_NODES {
            return Err(input.corrupt(
                "serializer",
                format!("nests deeper than {MAX_DEPTH} levels or has more than {MAX_NODES} parts"),
            ));
        }
        let tag = input.u8("serializer tag")?;
        let version = input.u8("serializer version")?;
        let length = input.length("serializer body length")?;
        let offset = input.offset();
        let payload = input.raw(length, "serializer body")?;
        let mut body = Reader::with_base(payload, offset);
        let known = if version == VERSION { Self::decode_body(tag, &mut body, depth, nodes)? } else { None };
        match known {
            Some(snapshot) => {
                body.finish("serializer body")?;
                Ok(snapshot)
            }
            None => Ok(SerializerSnapshot::Unknown { tag, version, payload: payload.to_vec() }),
        }
    }

    /// The description with this tag and this body, or `None` if the tag is not known.
    fn decode_body(tag: u8, body: &mut Reader<'_>, depth: usize, nodes: &mut usize) -> Result<Option<Self>> {
        let mut nested = |body: &mut Reader<'_>| Self::decode_node(body, depth + 1, nodes);
        Ok(Some(match tag {
            TAG_OPTION => SerializerSnapshot::Option(Box::new(nested(body)?)),
            TAG_LIST => SerializerSnapshot::List(Box::new(nested(body)?)),
            TAG_MAP => SerializerSnapshot::Map(Box::new(nested(body)?), Box::new(nested(body)?)),
            TAG_TUPLE => {
                let count = body.count(MIN_WIRE_LEN, "number of tuple fields")?;
                SerializerSnapshot::Tuple((0..count).map(|_| nested(body)).collect::<Result<_>>()?)
            }
            TAG_MSGPACK => SerializerSnapshot::Msgpack(Shape::decode(body)?),
            TAG_CUSTOM => SerializerSnapshot::Custom {
                name: body.str("name of the custom serializer")?.to_owned(),
                version: body.u32("version of the custom serializer")?,
                parameters: body.bytes("parameters of the custom serializer")?.to_vec(),
            },
            other => return Ok(Self::simple(other)),
        }))
    }

    /// The kind without parameters that has this tag.
    fn simple(tag: u8) -> Option<Self> {
        Some(match tag {
            TAG_UNIT => SerializerSnapshot::Unit,
            TAG_BOOL => SerializerSnapshot::Bool,
            TAG_U8 => SerializerSnapshot::U8,
            TAG_U16 => SerializerSnapshot::U16,
            TAG_U32 => SerializerSnapshot::U32,
            TAG_U64 => SerializerSnapshot::U64,
            TAG_I8 => SerializerSnapshot::I8,
            TAG_I16 => SerializerSnapshot::I16,
            TAG_I32 => SerializerSnapshot::I32,
            TAG_I64 => SerializerSnapshot::I64,
            TAG_F32 => SerializerSnapshot::F32,
            TAG_F64 => SerializerSnapshot::F64,
            TAG_STRING => SerializerSnapshot::String,
            TAG_BYTES => SerializerSnapshot::Bytes,
            TAG_WINDOW => SerializerSnapshot::Window,
            _ => return None,
        })
    }

    /// The tag that stands for this kind in stored bytes. Never renumbered.
    fn tag(&self) -> u8 {
        match self {
            SerializerSnapshot::Unit => TAG_UNIT,
            SerializerSnapshot::Bool => TAG_BOOL,
            SerializerSnapshot::U8 => TAG_U8,
            SerializerSnapshot::U16 => TAG_U16,
            SerializerSnapshot::U32 => TAG_U32,
            SerializerSnapshot::U64 => TAG_U64,
            SerializerSnapshot::I8 => TAG_I8,
            SerializerSnapshot::I16 => TAG_I16,
            SerializerSnapshot::I32 => TAG_I32,
            SerializerSnapshot::I64 => TAG_I64,
            SerializerSnapshot::F32 => TAG_F32,
            SerializerSnapshot::F64 => TAG_F64,
            SerializerSnapshot::String => TAG_STRING,
            SerializerSnapshot::Bytes => TAG_BYTES,
            SerializerSnapshot::Window => TAG_WINDOW,
            SerializerSnapshot::Option(_) => TAG_OPTION,
            SerializerSnapshot::List(_) => TAG_LIST,
            SerializerSnapshot::Map(..) => TAG_MAP,
            SerializerSnapshot::Tuple(_) => TAG_TUPLE,
            SerializerSnapshot::Msgpack(_) => TAG_MSGPACK,
            SerializerSnapshot::Custom { .. } => TAG_CUSTOM,
            SerializerSnapshot::Unknown { tag, .. } => *tag,
        }
    }
}

impl fmt::Display for SerializerSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            SerializerSnapshot::Unit => "unit",
            SerializerSnapshot::Bool => "bool",
            SerializerSnapshot::U8 => "u8",
            SerializerSnapshot::U16 => "u16",
            SerializerSnapshot::U32 => "u32",
            SerializerSnapshot::U64 => "u64",
            SerializerSnapshot::I8 => "i8",
            SerializerSnapshot::I16 => "i16",
            SerializerSnapshot::I32 => "i32",
            SerializerSnapshot::I64 => "i64",
            SerializerSnapshot::F32 => "f32",
            SerializerSnapshot::F64 => "f64",
            SerializerSnapshot::String => "string",
            SerializerSnapshot::Bytes => "bytes",
            SerializerSnapshot::Window => "window",
            SerializerSnapshot::Option(inner) => return write!(f, "option<{inner}>"),
            SerializerSnapshot::List(inner) => return write!(f, "list<{inner}>"),
            SerializerSnapshot::Map(key, value) => return write!(f, "map<{key}, {value}>"),
            SerializerSnapshot::Tuple(fields) => {
                f.write_str("(")?;
                for (index, field) in fields.iter().enumerate() {
                    write!(f, "{}{field}", if index == 0 { "" } else { ", " })?;
                }
                ")"
            }
            SerializerSnapshot::Msgpack(shape) => return write!(f, "msgpack {shape}"),
            SerializerSnapshot::Custom { name, version, .. } => {
                return write!(f, "custom {} v{version}", name.escape_debug());
            }
            SerializerSnapshot::Unknown { tag, version, .. } => return write!(f, "unknown type {tag} v{version}"),
        };
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::Field;
    use super::*;

    pub(crate) fn samples() -> Vec<SerializerSnapshot> {
        use SerializerSnapshot as S;
        let profile = Shape::Struct {
            name: "Profile".into(),
            fields: vec![
                Field { name: "flights".into(), shape: Shape::U64 },
                Field { name: "last".into(), shape: Shape::Option(Box::new(Shape::String)) },
            ],
        };
        let mut all: Vec<S> = (TAG_UNIT..=TAG_WINDOW).filter_map(S::simple).collect();
        all.extend([
            S::Option(Box::new(S::Bool)),
            S::List(Box::new(S::List(Box::new(S::F64)))),
            S::Map(Box::new(S::String), Box::new(S::U64)),
            S::Tuple(vec![]),
            S::Tuple(vec![S::Unit, S::I32, S::Tuple(vec![S::Window])]),
            S::Msgpack(profile),
            S::Custom { name: "geo".into(), version: 7, parameters: vec![1, 2, 3] },
            S::Unknown { tag: 200, version: 1, payload: vec![9; 5] },
            S::Unknown { tag: TAG_BOOL, version: 2, payload: vec![] },
            S::List(Box::new(S::Unknown { tag: 0, version: 0, payload: vec![0; 300] })),
        ]);
        all
    }

    fn encoded(snapshot: &SerializerSnapshot) -> Vec<u8> {
        let mut out = Writer::new();
        snapshot.encode(&mut out).unwrap();
        out.into_bytes()
    }

    #[test]
    fn what_was_encoded_is_decoded_and_nothing_after_it_is_touched() {
        for snapshot in samples() {
            let mut bytes = encoded(&snapshot);
            bytes.push(0xEE);
            let mut input = Reader::new(&bytes);
            assert_eq!(SerializerSnapshot::decode(&mut input).unwrap(), snapshot);
            assert_eq!(input.rest(), [0xEE], "{snapshot}");
        }
    }

    #[test]
    fn a_cut_off_description_is_corrupt_and_a_flipped_bit_never_panics() {
        for snapshot in samples() {
            let bytes = encoded(&snapshot);
            for len in 0..bytes.len() {
                let error = SerializerSnapshot::decode(&mut Reader::new(&bytes[..len])).unwrap_err();
                assert_eq!(error.kind(), crate::ErrorKind::Corrupt, "{snapshot} cut at {len}");
            }
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                if let Ok(other) = SerializerSnapshot::decode(&mut Reader::new(&damaged)) {
                    assert_ne!(other, snapshot, "bit {bit} of {snapshot} has no meaning");
                }
            }
        }
    }

    #[test]
    fn bytes_after_a_known_body_are_refused_with_their_offset() {
        let error = SerializerSnapshot::decode(&mut Reader::new(&[TAG_LIST, 1, 4, TAG_U8, 1, 0, 7])).unwrap_err();
        assert_eq!(error.place().offset, Some(6));
        assert_eq!(error.place().field, Some("serializer body"));
    }

    #[test]
    fn nesting_and_size_are_limited_in_both_directions() {
        let mut deep = SerializerSnapshot::U8;
        for _ in 1..MAX_DEPTH {
            deep = SerializerSnapshot::List(Box::new(deep));
        }
        let bytes = encoded(&deep);
        assert_eq!(SerializerSnapshot::decode(&mut Reader::new(&bytes)).unwrap(), deep);
        let deeper = SerializerSnapshot::List(Box::new(deep));
        assert_eq!(deeper.encode(&mut Writer::new()).unwrap_err().kind(), crate::ErrorKind::InvalidInput);
        let mut out = Writer::new();
        out.raw(&[TAG_LIST, 1]);
        out.bytes(&bytes);
        let error = SerializerSnapshot::decode(&mut Reader::new(out.as_slice())).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
        let wide = SerializerSnapshot::Tuple(vec![SerializerSnapshot::Unit; MAX_NODES]);
        assert_eq!(wide.encode(&mut Writer::new()).unwrap_err().kind(), crate::ErrorKind::InvalidInput);
    }

    #[test]
    fn types_read_as_a_programmer_would_write_them() {
        let shown: Vec<String> = samples().iter().skip(15).map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "option<bool>",
                "list<list<f64>>",
                "map<string, u64>",
                "()",
                "(unit, i32, (window))",
                "msgpack struct Profile {flights: u64, last: option<string>}",
                "custom geo v7",
                "unknown type 200 v1",
                "unknown type 2 v2",
                "list<unknown type 0 v0>",
            ]
        );
    }

    #[test]
    fn stored_tags_do_not_change() {
        let tags: Vec<u8> = samples().iter().map(SerializerSnapshot::tag).collect();
        let mut expected: Vec<u8> = (1..=15).collect();
        expected.extend([16, 17, 18, 19, 19, 20, 21, 200, 2, 17]);
        assert_eq!(tags, expected);
    }
}
