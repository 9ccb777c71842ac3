//! Canonical entries taken apart without decoding their values.

use super::KeyBytes;
use super::decode::{measure, stored_length};
use crate::codec::Reader;
use crate::error::{Error, ErrorKind, Result};
use crate::format::flink::entry::Layout;
use crate::format::flink::header::KeyedHeader;
use crate::format::flink::serializer::{Snapshot, TypeSerializer};

impl<'k> KeyBytes<'k> {
    /// Takes a composite key apart: that of an entry of the state with this id, without the key group in front. A
    /// timer's timestamp is left out.
    ///
    /// Damage is [`Corrupt`](crate::ErrorKind::Corrupt); offsets count from the beginning of the key. A key or
    /// namespace of a map whose end only its own program can find is [`Incompatible`](crate::ErrorKind::Incompatible).
    pub fn read(header: &KeyedHeader, state_id: u16, key: &'k [u8]) -> Result<Self> {
        let state = header
            .state(state_id)
            .ok_or_else(|| Error::incompatible(format!("state {state_id} could not be read from the header")))?;
        let serializer = header.key.as_ref().ok_or_else(|| Error::incompatible("the key's serializer is not known"))?;
        let mut input = Reader::new(key);
        let parts = match Layout::of(state)? {
            Layout::Queue { element } => timer(element, &mut input),
            Layout::Value { namespace, .. } | Layout::List { namespace, .. } => {
                whole(serializer, namespace, &mut input)
            }
            Layout::Map { namespace, .. } => leading(serializer, namespace, &mut input).and_then(|parts| {
                let user_key = input.raw(input.remaining(), "user key")?;
                Ok(KeyBytes { user_key, ..parts })
            }),
        };
        parts.map_err(|error| error.in_state(&state.name))
    }
}

fn timer<'b>(element: &Snapshot, input: &mut Reader<'b>) -> Result<KeyBytes<'b>> {
    let TypeSerializer::Timer { key, namespace } = &element.serializer else {
        return Err(Error::incompatible(format!("a queue whose elements are serialized by {}", element.class)));
    };
    input.ordered_i64("timer timestamp")?;
    // No lengths are between the parts, whatever they are.
    split(key, namespace, input, |key, namespace, input| {
        let (key, namespace) = (part(key, input)?, part(namespace, input)?);
        Ok(KeyBytes { key, namespace, user_key: &[] })
    })
}

/// Key and namespace that take all that is left.
fn whole<'b>(key: &Snapshot, namespace: &Snapshot, input: &mut Reader<'b>) -> Result<KeyBytes<'b>> {
    split(key, namespace, input, leading)
}

/// Reads the parts, or gives a key without a known end all that a namespace of fixed length leaves.
fn split<'b>(
    key: &Snapshot,
    namespace: &Snapshot,
    input: &mut Reader<'b>,
    parts: impl Fn(&Snapshot, &Snapshot, &mut Reader<'b>) -> Result<KeyBytes<'b>>,
) -> Result<KeyBytes<'b>> {
    let start = input.clone();
    match parts(key, namespace, input) {
        Ok(parts) => input.clone().finish("key").map(|()| parts),
        Err(error) if error.kind() == ErrorKind::Incompatible => {
            *input = start;
            let behind = stored_length(namespace).ok_or(error)?;
            let length = input.remaining().checked_sub(behind);
            let length = length.ok_or_else(|| input.corrupt("key", "is shorter than its namespace"))?;
            let key = input.raw(length, "key")?;
            Ok(KeyBytes { key, namespace: input.raw(behind, "namespace")?, user_key: &[] })
        }
        Err(error) => Err(error),
    }
}

/// Key and namespace, with their lengths where both have variable ones.
fn leading<'b>(key: &Snapshot, namespace: &Snapshot, input: &mut Reader<'b>) -> Result<KeyBytes<'b>> {
    let measured = key.declared_length().is_none() && namespace.declared_length().is_none();
    let key = part(key, input)?;
    if measured {
        measure(key.len(), input, "length of the key")?;
    }
    let namespace = part(namespace, input)?;
    if measured {
        measure(namespace.len(), input, "length of the namespace")?;
    }
    Ok(KeyBytes { key, namespace, user_key: &[] })
}

fn part<'b>(serializer: &Snapshot, input: &mut Reader<'b>) -> Result<&'b [u8]> {
    let start = input.position();
    serializer.skip_value(input)?;
    Ok(input.since(start))
}
