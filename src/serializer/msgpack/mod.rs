//! Any serde type, as MessagePack with field names.

mod item;

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) use item::Item;

use super::{Compatibility, Serializer, SerializerSnapshot, Shape, enclosed};
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};

/// Any type that serde reads and writes: varint length, then MessagePack with field names and variant names.
///
/// Because fields and variants are stored by name, a later version of the type may add fields that have a default,
/// remove and reorder fields, add variants, widen integers, and make a field optional; the module
/// [`shape`](super::shape) has all the rules.
///
/// What the type has to keep:
///
/// * Reading gives back what was written. Serde attributes that break this (`skip_serializing` without a default,
///   `untagged` variants that look alike) and `Option<Option<_>>`, whose `Some(None)` reads as `None`, lose data.
/// * As a key, the type must not hold unordered collections (`HashMap`, `HashSet`): equal keys would get different
///   bytes, hence different key groups. `BTreeMap` and `BTreeSet` are fine. Nothing checks this.
///
/// Values that nest arrays and maps more than 128 deep are refused on write and on read, so that a recursive type
/// cannot exhaust the stack.
pub struct Msgpack<T> {
    value: PhantomData<fn() -> T>,
}

impl<T> Msgpack<T> {
    /// A serializer of `T`.
    pub const fn new() -> Self {
        Msgpack { value: PhantomData }
    }
}

impl<T> Msgpack<T> {
    fn refusal() -> Error {
        Error::invalid_input(format!("a {} cannot be stored as MessagePack", type_name::<T>()))
    }
}

impl<T> Clone for Msgpack<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Msgpack<T> {}

impl<T> Default for Msgpack<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Msgpack<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Msgpack<{}>", type_name::<T>())
    }
}

impl<T> Serializer for Msgpack<T>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn snapshot(&self) -> SerializerSnapshot {
        SerializerSnapshot::Msgpack(Shape::of::<T>())
    }

    fn write(&self, value: &T, out: &mut Writer) -> Result<()> {
        enclosed::write(out, |out| {
            let start = out.len();
            let mut serializer = rmp_serde::Serializer::new(&mut *out).with_struct_map();
            value.serialize(&mut serializer).map_err(|error| Self::refusal().because(error))?;
            match out.as_slice().get(start..) {
                Some(bytes) if bytes.len() > item::MAX_DEPTH => {
                    item::check(bytes, 0).map_err(|error| Self::refusal().because(error))
                }
                _ => Ok(()),
            }
        })
    }

    fn read(&self, input: &mut Reader<'_>) -> Result<T> {
        let content = enclosed::read(input, "msgpack")?;
        let (bytes, offset) = (content.rest(), content.offset());
        item::check(bytes, offset)?;
        rmp_serde::from_slice(bytes).map_err(|error| {
            Error::corrupt(format!("is MessagePack, but no {}", type_name::<T>()))
                .at_offset(offset)
                .in_field("msgpack")
                .because(error)
        })
    }

    /// Compares field by field; [`shape`](super::shape) has the rules. What is accepted is read by
    /// [`read`](Serializer::read) as well, because MessagePack describes itself.
    fn compatibility(&self, written: &SerializerSnapshot) -> Compatibility {
        match written {
            SerializerSnapshot::Msgpack(shape) => shape.compatibility_of::<T>(),
            other => Compatibility::of_identical(&self.snapshot(), other),
        }
    }

    fn min_len(&self) -> usize {
        2
    }
}

#[cfg(test)]
mod tests;
