//! Walking encodings by their description alone.

use super::SerializerSnapshot;
use crate::codec::Reader;
use crate::error::{Error, Result};

impl SerializerSnapshot {
    /// Least number of bytes an encoding takes. Zero means that every encoding is empty.
    pub fn min_len(&self) -> usize {
        match self {
            SerializerSnapshot::Option(_)
            | SerializerSnapshot::List(_)
            | SerializerSnapshot::Map(..)
            | SerializerSnapshot::String
            | SerializerSnapshot::Bytes
            | SerializerSnapshot::Custom { .. }
            | SerializerSnapshot::Unknown { .. } => 1,
            SerializerSnapshot::Msgpack(_) => 2,
            SerializerSnapshot::Tuple(fields) => {
                fields.iter().fold(0, |sum: usize, field| sum.saturating_add(field.min_len()))
            }
            fixed => fixed.fixed_len().unwrap_or(1),
        }
    }

    /// The number of bytes of every encoding, where all take the same.
    pub fn fixed_len(&self) -> Option<usize> {
        Some(match self {
            SerializerSnapshot::Unit => 0,
            SerializerSnapshot::Bool | SerializerSnapshot::U8 | SerializerSnapshot::I8 => 1,
            SerializerSnapshot::U16 | SerializerSnapshot::I16 => 2,
            SerializerSnapshot::U32 | SerializerSnapshot::I32 | SerializerSnapshot::F32 => 4,
            SerializerSnapshot::U64 | SerializerSnapshot::I64 | SerializerSnapshot::F64 => 8,
            SerializerSnapshot::Window => 16,
            SerializerSnapshot::Tuple(fields) => {
                fields.iter().try_fold(0, |sum: usize, field| sum.checked_add(field.fixed_len()?))?
            }
            _ => return None,
        })
    }

    /// Whether some part of the values can be neither walked nor shown, because its description comes from a later
    /// version of this crate.
    pub fn is_opaque(&self) -> bool {
        match self {
            SerializerSnapshot::Unknown { .. } => true,
            SerializerSnapshot::Option(inner) | SerializerSnapshot::List(inner) => inner.is_opaque(),
            SerializerSnapshot::Map(key, value) => key.is_opaque() || value.is_opaque(),
            SerializerSnapshot::Tuple(fields) => fields.iter().any(SerializerSnapshot::is_opaque),
            _ => false,
        }
    }

    /// Steps over one encoding. Checks its structure only: a string may turn out not to be UTF-8 when it is read.
    ///
    /// Fails with [`Incompatible`](crate::ErrorKind::Incompatible) if the description [is opaque](Self::is_opaque).
    pub fn skip(&self, input: &mut Reader<'_>) -> Result<()> {
        if let Some(len) = self.fixed_len() {
            return input.raw(len, self.field_name()).map(|_| ());
        }
        match self {
            SerializerSnapshot::Option(inner) => {
                if input.bool("whether the option has a value")? {
                    inner.skip(input)?;
                }
                Ok(())
            }
            SerializerSnapshot::List(element) => skip_list(element, input),
            SerializerSnapshot::Map(key, value) => {
                let count = input.count(key.min_len().saturating_add(value.min_len()), "number of map entries")?;
                for _ in 0..count {
                    key.skip(input)?;
                    value.skip(input)?;
                }
                Ok(())
            }
            SerializerSnapshot::Tuple(fields) => fields.iter().try_for_each(|field| field.skip(input)),
            SerializerSnapshot::Unknown { .. } => Err(self.not_walkable(input)),
            _ => input.bytes(self.field_name()).map(|_| ()),
        }
    }

    /// The error about a value whose description this version does not know.
    pub(crate) fn not_walkable(&self, input: &Reader<'_>) -> Error {
        Error::incompatible(format!("a value is of {self}; use a millpond as new as the one that wrote it"))
            .at_offset(input.offset())
    }

    /// What errors call a value of this kind.
    fn field_name(&self) -> &'static str {
        match self {
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
            SerializerSnapshot::Option(_) => "option",
            SerializerSnapshot::List(_) => "list",
            SerializerSnapshot::Map(..) => "map",
            SerializerSnapshot::Tuple(_) => "tuple",
            SerializerSnapshot::Msgpack(_) => "msgpack",
            SerializerSnapshot::Custom { .. } => "custom value",
            SerializerSnapshot::Unknown { .. } => "value of an unknown type",
        }
    }
}

fn skip_list(element: &SerializerSnapshot, input: &mut Reader<'_>) -> Result<()> {
    let count = input.count(element.min_len().max(1), "number of list elements")?;
    if element.min_len() == 0 {
        return (0..count).try_for_each(|_| super::list::read_filler(input));
    }
    if let Some(len) = element.fixed_len() {
        return input.raw(count.saturating_mul(len), "list elements").map(|_| ());
    }
    (0..count).try_for_each(|_| element.skip(input))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_count_is_refused_before_anything_is_walked() {
        let units = SerializerSnapshot::List(Box::new(SerializerSnapshot::Unit));
        let huge = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0];
        for element in [SerializerSnapshot::Unit, SerializerSnapshot::U64, SerializerSnapshot::String] {
            let list = SerializerSnapshot::List(Box::new(element));
            let error = list.skip(&mut Reader::new(&huge)).unwrap_err();
            assert_eq!(error.place().field, Some("number of list elements"), "{list}");
        }
        let map = SerializerSnapshot::Map(Box::new(SerializerSnapshot::Unit), Box::new(SerializerSnapshot::Unit));
        assert_eq!(map.skip(&mut Reader::new(&huge)).unwrap_err().kind(), crate::ErrorKind::Corrupt);
        assert!(units.skip(&mut Reader::new(&[2, 0, 0])).is_ok());
        assert_eq!(units.skip(&mut Reader::new(&[2, 0, 1])).unwrap_err().place().offset, Some(2));
    }

    #[test]
    fn a_value_of_an_unknown_type_cannot_be_walked_and_the_error_says_what_to_do() {
        let unknown = SerializerSnapshot::Unknown { tag: 99, version: 3, payload: vec![] };
        let option = SerializerSnapshot::Option(Box::new(unknown));
        assert!(option.is_opaque());
        let error = option.skip(&mut Reader::new(&[1, 2, 3])).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Incompatible);
        assert_eq!(error.message(), "a value is of unknown type 99 v3; use a millpond as new as the one that wrote it");
        assert!(option.skip(&mut Reader::new(&[0])).is_ok());
    }
}
