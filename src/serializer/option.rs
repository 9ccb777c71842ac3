//! Optional values.

use super::{Compatibility, Serializer, SerializerSnapshot};
use crate::codec::{Reader, Writer};
use crate::error::Result;

const PRESENCE: &str = "whether the option has a value";

/// `Option<S::Value>`: a byte 0, or a byte 1 and the value.
///
/// Takes over what was written by `S` alone, after migration: every value becomes `Some`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Opt<S> {
    some: S,
}

impl<S> Opt<S> {
    /// A serializer of optional values of what `some` serializes.
    pub const fn new(some: S) -> Self {
        Opt { some }
    }
}

impl<S: Serializer> Serializer for Opt<S> {
    type Value = Option<S::Value>;

    fn snapshot(&self) -> SerializerSnapshot {
        SerializerSnapshot::Option(Box::new(self.some.snapshot()))
    }

    fn write(&self, value: &Option<S::Value>, out: &mut Writer) -> Result<()> {
        out.u8(u8::from(value.is_some()));
        value.as_ref().map_or(Ok(()), |value| self.some.write(value, out))
    }

    fn read(&self, input: &mut Reader<'_>) -> Result<Option<S::Value>> {
        input.bool(PRESENCE)?.then(|| self.some.read(input)).transpose()
    }

    fn min_len(&self) -> usize {
        1
    }

    fn compatibility(&self, written: &SerializerSnapshot) -> Compatibility {
        match written {
            SerializerSnapshot::Option(some) => self.some.compatibility(some).of_part("option value"),
            other if self.some.compatibility(other).is_readable() => {
                Compatibility::AfterMigration(format!("was {other}, now {}", self.snapshot()))
            }
            other => Compatibility::of_identical(&self.snapshot(), other),
        }
    }

    fn read_written(&self, written: &SerializerSnapshot, input: &mut Reader<'_>) -> Result<Option<S::Value>> {
        match written {
            SerializerSnapshot::Option(some) => {
                input.bool(PRESENCE)?.then(|| self.some.read_written(some, input)).transpose()
            }
            other => self.some.read_written(other, input).map(Some),
        }
    }
}
