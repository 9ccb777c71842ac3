use super::super::{F32, F64, I8, I16, I32, Serializer, SerializerSnapshot, snapshot};
use super::Value;
use crate::codec::Writer;
use crate::error::{Error, Result};

impl Value {
    /// Appends the encoding of this value that the description stands for, such that
    /// [`read`](Self::read) gives the value back.
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the value is not of that type or does not fit it;
    /// [`Incompatible`](crate::ErrorKind::Incompatible) for types whose encoding only the user's serializer knows:
    /// MessagePack, custom and unknown ones. After an error, `out` may hold a part of the encoding.
    pub fn write(&self, description: &SerializerSnapshot, out: &mut Writer) -> Result<()> {
        self.write_nested(description, out, 0)
    }

    fn write_nested(&self, description: &SerializerSnapshot, out: &mut Writer, depth: usize) -> Result<()> {
        use SerializerSnapshot as S;
        if depth >= snapshot::MAX_DEPTH {
            return Err(Error::invalid_input(format!("type {description} nests too deep")));
        }
        let misfit = || Error::invalid_input(format!("{self} is not of type {description}"));
        match (description, self) {
            (S::Unit, Value::Unit) => {}
            (S::Bool, Value::Bool(value)) => out.u8(u8::from(*value)),
            (S::U8, Value::U64(value)) => out.u8(u8::try_from(*value).map_err(|_| misfit())?),
            (S::U16, Value::U64(value)) => out.u16(u16::try_from(*value).map_err(|_| misfit())?),
            (S::U32, Value::U64(value)) => out.u32(u32::try_from(*value).map_err(|_| misfit())?),
            (S::U64, Value::U64(value)) => out.u64(*value),
            (S::I8 | S::I16 | S::I32 | S::I64, value) => value.write_signed(description, out)?,
            (S::F32, Value::F32(value)) => F32.write(value, out)?,
            (S::F64, Value::F64(value)) => F64.write(value, out)?,
            (S::String, Value::String(text)) => out.str(text),
            (S::Bytes, Value::Bytes(bytes)) => out.bytes(bytes),
            (S::Window, Value::Window(window)) => super::super::Window.write(window, out)?,
            (S::Option(_), Value::Unit) => out.u8(0),
            (S::Option(inner), value) => {
                out.u8(1);
                value.write_nested(inner, out, depth + 1)?;
            }
            (S::List(element), Value::List(values)) => {
                out.length(values.len());
                for value in values {
                    if element.min_len() == 0 {
                        out.u8(0);
                    }
                    value.write_nested(element, out, depth + 1)?;
                }
            }
            (S::Tuple(types), Value::Tuple(values)) if types.len() == values.len() => {
                for (value, description) in values.iter().zip(types) {
                    value.write_nested(description, out, depth + 1)?;
                }
            }
            (S::Map(key, value), Value::Map(entries)) => write_map(entries, key, value, out, depth + 1)?,
            (S::Msgpack(_) | S::Custom { .. } | S::Unknown { .. }, _) => {
                return Err(Error::incompatible(format!("a value of type {description} cannot be encoded without it")));
            }
            _ => return Err(misfit()),
        }
        Ok(())
    }

    fn write_signed(&self, description: &SerializerSnapshot, out: &mut Writer) -> Result<()> {
        let misfit = || Error::invalid_input(format!("{self} is not of type {description}"));
        let Value::I64(value) = *self else { return Err(misfit()) };
        match description {
            SerializerSnapshot::I8 => I8.write(&i8::try_from(value).map_err(|_| misfit())?, out),
            SerializerSnapshot::I16 => I16.write(&i16::try_from(value).map_err(|_| misfit())?, out),
            SerializerSnapshot::I32 => I32.write(&i32::try_from(value).map_err(|_| misfit())?, out),
            _ => {
                out.ordered_i64(value);
                Ok(())
            }
        }
    }
}

/// Entries ascend by the bytes of their keys, whatever order they come in.
fn write_map(
    entries: &[(Value, Value)],
    key: &SerializerSnapshot,
    value: &SerializerSnapshot,
    out: &mut Writer,
    depth: usize,
) -> Result<()> {
    let mut encoded = Vec::with_capacity(entries.len());
    for (entry_key, entry_value) in entries {
        let (mut key_bytes, mut value_bytes) = (Writer::new(), Writer::new());
        entry_key.write_nested(key, &mut key_bytes, depth)?;
        entry_value.write_nested(value, &mut value_bytes, depth)?;
        encoded.push((key_bytes.into_bytes(), value_bytes.into_bytes()));
    }
    encoded.sort();
    if encoded.windows(2).any(|pair| matches!(pair, [(left, _), (right, _)] if left == right)) {
        return Err(Error::invalid_input("a key occurs twice in a map"));
    }
    out.length(encoded.len());
    for (key, value) in &encoded {
        out.raw(key);
        out.raw(value);
    }
    Ok(())
}
