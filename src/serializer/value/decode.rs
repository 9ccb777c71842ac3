use super::super::msgpack::Item;
use super::super::{F32, F64, I8, I16, I32, Serializer, SerializerSnapshot, Window, enclosed, list, map, snapshot};
use super::Value;
use crate::codec::Reader;
use crate::error::Result;

/// Deepest nesting of a decoded MessagePack value; what lies deeper is shown as bytes.
const MAX_MSGPACK_DEPTH: usize = 32;

impl Value {
    /// Reads one value that was written under the description `written`, consuming exactly its encoding.
    ///
    /// Memory is bounded by the length of the input. Fails with [`Corrupt`](crate::ErrorKind::Corrupt) on damage and
    /// with [`Incompatible`](crate::ErrorKind::Incompatible) if the description
    /// [is opaque](SerializerSnapshot::is_opaque).
    pub fn read(written: &SerializerSnapshot, input: &mut Reader<'_>) -> Result<Value> {
        // Values without bytes of their own (units, and tuples around them) could multiply what a hostile description
        // costs; everything else is paid for by the input.
        let mut parts = Parts { left: input.remaining().saturating_mul(8).saturating_add(snapshot::MAX_NODES) };
        parts.read(written, input, 0)
    }

    /// Decodes one MessagePack value, consuming exactly its bytes.
    pub(crate) fn read_msgpack(input: &mut Reader<'_>, depth: usize) -> Result<Value> {
        let start = input.clone();
        Ok(match Item::read(input)? {
            Item::Nil => Value::Unit,
            Item::Bool(value) => Value::Bool(value),
            Item::Unsigned(value) => Value::U64(value),
            Item::Signed(value) => Value::I64(value),
            Item::F32(value) => Value::F32(value),
            Item::F64(value) => Value::F64(value),
            Item::Str(len) => {
                let bytes = input.raw(len, STRING)?;
                let text =
                    std::str::from_utf8(bytes).map_err(|error| start.corrupt(STRING, "is not UTF-8").because(error));
                Value::String(text?.to_owned())
            }
            Item::Bin(len) => Value::Bytes(input.raw(len, "MessagePack bytes")?.to_vec()),
            Item::Ext(kind, len) => Value::Opaque {
                type_name: format!("MessagePack extension {kind}"),
                bytes: input.raw(len, "MessagePack extension")?.to_vec(),
            },
            Item::Array(_) | Item::Map(_) if depth >= MAX_MSGPACK_DEPTH => {
                *input = start;
                let from = input.position();
                Item::skip_value(input)?;
                Value::Opaque { type_name: "deeply nested MessagePack".to_owned(), bytes: input.since(from).to_vec() }
            }
            Item::Array(count) => {
                Value::List((0..count).map(|_| Self::read_msgpack(input, depth + 1)).collect::<Result<_>>()?)
            }
            Item::Map(count) => {
                let mut entries = Vec::new();
                for _ in 0..count {
                    entries.push((Self::read_msgpack(input, depth + 1)?, Self::read_msgpack(input, depth + 1)?));
                }
                record_or_map(entries)
            }
        })
    }
}

const STRING: &str = "MessagePack string";

/// A record if every key is a string, a map otherwise.
fn record_or_map(entries: Vec<(Value, Value)>) -> Value {
    if !entries.iter().all(|(key, _)| matches!(key, Value::String(_))) {
        return Value::Map(entries);
    }
    let fields = entries.into_iter().filter_map(|(key, value)| match key {
        Value::String(name) => Some((name, value)),
        _ => None,
    });
    Value::Record(fields.collect())
}

/// How many more values one call may produce.
struct Parts {
    left: usize,
}

impl Parts {
    fn read(&mut self, written: &SerializerSnapshot, input: &mut Reader<'_>, depth: usize) -> Result<Value> {
        self.left = match self.left.checked_sub(1) {
            Some(left) if depth < snapshot::MAX_DEPTH => left,
            _ => return Err(input.corrupt("value", format!("of type {written} has too many parts to be shown"))),
        };
        Ok(match written {
            SerializerSnapshot::Unit => Value::Unit,
            SerializerSnapshot::Bool => Value::Bool(input.bool("bool")?),
            SerializerSnapshot::U8 => Value::U64(input.u8("u8")?.into()),
            SerializerSnapshot::U16 => Value::U64(input.u16("u16")?.into()),
            SerializerSnapshot::U32 => Value::U64(input.u32("u32")?.into()),
            SerializerSnapshot::U64 => Value::U64(input.u64("u64")?),
            SerializerSnapshot::I8 => Value::I64(I8.read(input)?.into()),
            SerializerSnapshot::I16 => Value::I64(I16.read(input)?.into()),
            SerializerSnapshot::I32 => Value::I64(I32.read(input)?.into()),
            SerializerSnapshot::I64 => Value::I64(input.ordered_i64("i64")?),
            SerializerSnapshot::F32 => Value::F32(F32.read(input)?),
            SerializerSnapshot::F64 => Value::F64(F64.read(input)?),
            SerializerSnapshot::String => Value::String(input.str("string")?.to_owned()),
            SerializerSnapshot::Bytes => Value::Bytes(input.bytes("bytes")?.to_vec()),
            SerializerSnapshot::Window => Value::Window(Window.read(input)?),
            SerializerSnapshot::Option(some) => {
                if !input.bool("whether the option has a value")? {
                    return Ok(Value::Unit);
                }
                self.read(some, input, depth + 1)?
            }
            SerializerSnapshot::List(element) => Value::List(self.list(element, input, depth + 1)?),
            SerializerSnapshot::Map(key, value) => Value::Map(self.map(key, value, input, depth + 1)?),
            SerializerSnapshot::Tuple(fields) => {
                Value::Tuple(fields.iter().map(|field| self.read(field, input, depth + 1)).collect::<Result<_>>()?)
            }
            SerializerSnapshot::Msgpack(_) => {
                let mut nested = enclosed::read(input, "msgpack")?;
                let value = Value::read_msgpack(&mut nested, 0)?;
                nested.finish("msgpack")?;
                value
            }
            SerializerSnapshot::Custom { .. } => {
                Value::Opaque { type_name: written.to_string(), bytes: input.bytes("custom value")?.to_vec() }
            }
            SerializerSnapshot::Unknown { .. } => return Err(written.not_walkable(input)),
        })
    }

    fn list(&mut self, element: &SerializerSnapshot, input: &mut Reader<'_>, depth: usize) -> Result<Vec<Value>> {
        let min_len = element.min_len();
        let count = input.count(min_len.max(1), "number of list elements")?;
        let mut elements = Vec::new();
        for _ in 0..count {
            if min_len == 0 {
                list::read_filler(input)?;
            }
            elements.push(self.read(element, input, depth)?);
        }
        Ok(elements)
    }

    fn map(
        &mut self,
        key: &SerializerSnapshot,
        value: &SerializerSnapshot,
        input: &mut Reader<'_>,
        depth: usize,
    ) -> Result<Vec<(Value, Value)>> {
        let mut entries = map::Entries::read_count(input, key.min_len().saturating_add(value.min_len()))?;
        let mut pairs = Vec::new();
        while let Some(key) = entries.next_key(input, |input| self.read(key, input, depth))? {
            pairs.push((key, self.read(value, input, depth)?));
        }
        Ok(pairs)
    }
}
