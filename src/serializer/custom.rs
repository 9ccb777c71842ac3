//! Serializers of the user's own making.

use super::{Compatibility, Serializer, SerializerSnapshot, enclosed};
use crate::codec::{Reader, Writer};
use crate::error::Result;

/// A byte layout of the user's own, wrapped into a [`Serializer`] by [`Custom`].
///
/// Tools show its values as bytes. Equal values must give equal bytes if the type is used as a key.
pub trait CustomSerializer: Send + Sync + 'static {
    /// The type of the values.
    type Value: Clone + Send + Sync + 'static;

    /// Name of the layout, stored beside the data. Never changed; two layouts never share one.
    fn name(&self) -> &str;

    /// Version of the layout, stored beside the data.
    fn version(&self) -> u32;

    /// Whatever else is needed to tell layouts of the same name and version apart.
    fn parameters(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Appends the bytes of `value`; the caller stores their length. What is in `out` already is left alone.
    fn write(&self, value: &Self::Value, out: &mut Writer) -> Result<()>;

    /// Reads a value that was written under the given version and parameters. `input` holds exactly its bytes; leaving
    /// some of them is an error.
    fn read(&self, version: u32, parameters: &[u8], input: &mut Reader<'_>) -> Result<Self::Value>;

    /// Whether values that were written under the given version and parameters, by a serializer of the same name, can
    /// be read.
    fn compatibility(&self, version: u32, parameters: &[u8]) -> Compatibility {
        if version == self.version() && parameters == self.parameters() {
            return Compatibility::AsIs;
        }
        let reason = if version == self.version() {
            format!("has other parameters than {} v{version} has now", self.name())
        } else {
            format!("was {} v{version}, now v{}", self.name(), self.version())
        };
        Compatibility::Incompatible(reason)
    }
}

/// Adapts a [`CustomSerializer`]: varint length, then its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Custom<C> {
    layout: C,
}

impl<C> Custom<C> {
    /// A serializer that uses `layout`.
    pub const fn new(layout: C) -> Self {
        Custom { layout }
    }
}

impl<C: CustomSerializer> Custom<C> {
    fn read_as(&self, version: u32, parameters: &[u8], input: &mut Reader<'_>) -> Result<C::Value> {
        let mut exact = enclosed::read(input, "custom value")?;
        let value = self.layout.read(version, parameters, &mut exact)?;
        exact.finish("custom value")?;
        Ok(value)
    }
}

impl<C: CustomSerializer> Serializer for Custom<C> {
    type Value = C::Value;

    fn snapshot(&self) -> SerializerSnapshot {
        SerializerSnapshot::Custom {
            name: self.layout.name().to_owned(),
            version: self.layout.version(),
            parameters: self.layout.parameters(),
        }
    }

    fn write(&self, value: &C::Value, out: &mut Writer) -> Result<()> {
        enclosed::write(out, |out| self.layout.write(value, out))
    }

    fn read(&self, input: &mut Reader<'_>) -> Result<C::Value> {
        self.read_as(self.layout.version(), &self.layout.parameters(), input)
    }

    fn min_len(&self) -> usize {
        1
    }

    fn compatibility(&self, written: &SerializerSnapshot) -> Compatibility {
        match written {
            SerializerSnapshot::Custom { name, version, parameters } if name == self.layout.name() => {
                self.layout.compatibility(*version, parameters)
            }
            other => Compatibility::of_identical(&self.snapshot(), other),
        }
    }

    fn read_written(&self, written: &SerializerSnapshot, input: &mut Reader<'_>) -> Result<C::Value> {
        match written {
            SerializerSnapshot::Custom { name, version, parameters } if name == self.layout.name() => {
                self.read_as(*version, parameters, input)
            }
            other => Err(Compatibility::refusal(&self.snapshot(), other)),
        }
    }
}
