//! Lists.

use super::{Compatibility, Serializer, SerializerSnapshot};
use crate::codec::{Reader, Writer};
use crate::error::Result;

/// `Vec<E::Value>`: varint count, then the elements.
///
/// An element whose encoding is always empty is stored as a byte 0, so that a count is always justified by bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct List<E> {
    element: E,
}

impl<E> List<E> {
    /// A serializer of lists of what `element` serializes.
    pub const fn new(element: E) -> Self {
        List { element }
    }
}

/// Stands for an element that has no bytes of its own.
const FILLER: u8 = 0;

pub(super) fn read_filler(input: &mut Reader<'_>) -> Result<()> {
    input.expect(&[FILLER], "filler of an empty list element")
}

/// Reads a list whose elements take `min_len` bytes or more.
fn read_elements<T>(
    input: &mut Reader<'_>,
    min_len: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = input.count(min_len.max(1), "number of list elements")?;
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        if min_len == 0 {
            read_filler(input)?;
        }
        elements.push(read(input)?);
    }
    Ok(elements)
}

impl<E: Serializer> Serializer for List<E> {
    type Value = Vec<E::Value>;

    fn snapshot(&self) -> SerializerSnapshot {
        SerializerSnapshot::List(Box::new(self.element.snapshot()))
    }

    fn write(&self, value: &Vec<E::Value>, out: &mut Writer) -> Result<()> {
        out.length(value.len());
        let needs_filler = self.element.min_len() == 0;
        for element in value {
            if needs_filler {
                out.u8(FILLER);
            }
            self.element.write(element, out)?;
        }
        Ok(())
    }

    fn read(&self, input: &mut Reader<'_>) -> Result<Vec<E::Value>> {
        read_elements(input, self.element.min_len(), |input| self.element.read(input))
    }

    fn min_len(&self) -> usize {
        1
    }

    fn compatibility(&self, written: &SerializerSnapshot) -> Compatibility {
        match written {
            SerializerSnapshot::List(element) => self.element.compatibility(element).of_part("list element"),
            other => Compatibility::of_identical(&self.snapshot(), other),
        }
    }

    fn read_written(&self, written: &SerializerSnapshot, input: &mut Reader<'_>) -> Result<Vec<E::Value>> {
        match written {
            SerializerSnapshot::List(element) => {
                read_elements(input, element.min_len(), |input| self.element.read_written(element, input))
            }
            other => Err(Compatibility::refusal(&self.snapshot(), other)),
        }
    }
}
