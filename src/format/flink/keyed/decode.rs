//! Decoding canonical entries: what can be said of all entries of a state is found out once.

use super::{Entry, LIST_DELIMITER};
use crate::codec::Reader;
use crate::error::{Error, ErrorKind, Result};
use crate::format::flink::entry::{Content, KeyedEntry, Layout, read_timer};
use crate::format::flink::header::KeyedHeader;
use crate::format::flink::key_group::Placement;
use crate::format::flink::primitive::Primitives;
use crate::format::flink::serializer::{Simple, Snapshot, TypeSerializer};
use crate::format::flink::value::{Form, Whole};

/// Decodes the entries of one state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateDecoder<'h> {
    name: &'h str,
    key: &'h Snapshot,
    /// Whether key and namespace of a map are followed by their lengths.
    measured: bool,
    content: Stored<'h>,
}

/// What the bytes of an entry are.
#[derive(Debug, Clone, Copy)]
enum Stored<'h> {
    Value { namespace: &'h Snapshot, value: Whole<'h> },
    List { namespace: &'h Snapshot, element: &'h Snapshot },
    Map { namespace: &'h Snapshot, user_key: Whole<'h>, user_value: Whole<'h> },
    Timer { element: &'h Snapshot },
}

impl<'h> StateDecoder<'h> {
    /// For the state with this id. A key or a state whose serializers are not known is
    /// [`Incompatible`](ErrorKind::Incompatible).
    pub(crate) fn of(header: &'h KeyedHeader, state_id: u16) -> Result<Self> {
        let state = header
            .state(state_id)
            .ok_or_else(|| Error::incompatible(format!("state {state_id} could not be read from the header")))?;
        let key = header.key.as_ref().ok_or_else(|| Error::incompatible("the key's serializer is not known"))?;
        let content = match Layout::of(state).map_err(|error| error.in_state(&state.name))? {
            Layout::Value { namespace, value } => Stored::Value { namespace, value: Whole::of(value) },
            Layout::List { namespace, element } => Stored::List { namespace, element },
            Layout::Map { namespace, user_key, user_value } => {
                let (user_key, user_value) = (Whole::of(user_key), Whole::of(user_value));
                Stored::Map { namespace, user_key, user_value }
            }
            Layout::Queue { element } => Stored::Timer { element },
        };
        let namespace_length = match content {
            Stored::Value { namespace, .. } | Stored::List { namespace, .. } | Stored::Map { namespace, .. } => {
                namespace.declared_length()
            }
            Stored::Timer { .. } => None,
        };
        let measured = key.declared_length().is_none() && namespace_length.is_none();
        Ok(StateDecoder { name: &state.name, key, measured, content })
    }

    /// Decodes an entry of the state, see [`Entry::decode`].
    pub(crate) fn decode<F: Form>(&self, entry: &Entry<'_>) -> Result<KeyedEntry<F>> {
        self.read(entry).map_err(|error| error.in_state(self.name))
    }

    fn read<F: Form>(&self, entry: &Entry<'_>) -> Result<KeyedEntry<F>> {
        let placement = entry.placement;
        let mut stored_key = Reader::with_base(entry.key, entry.key_offset);
        let mut stored_value = Reader::with_base(entry.value, entry.value_offset);
        match self.content {
            Stored::Timer { element } => {
                stored_value.finish("value of a timer")?;
                let timer = read_timer(element, placement, &mut stored_key)?;
                stored_key.finish("timer").map(|()| timer)
            }
            Stored::Value { namespace, value } => {
                let (key, namespace) = self.last_parts(namespace, placement, &mut stored_key)?;
                Ok(KeyedEntry { key, namespace, content: Content::Value(value.read_as(&mut stored_value)?) })
            }
            Stored::List { namespace, element } => {
                let (key, namespace) = self.last_parts(namespace, placement, &mut stored_key)?;
                Ok(KeyedEntry { key, namespace, content: Content::Value(list(element, &mut stored_value)?) })
            }
            Stored::Map { namespace, user_key, user_value } => {
                let (key, namespace) = self.leading_parts(namespace, placement, &mut stored_key)?;
                let user_key = user_key.read_as(&mut stored_key)?;
                let value = map_value(user_value, &mut stored_value)?;
                Ok(KeyedEntry { key, namespace, content: Content::MapEntry { user_key, value } })
            }
        }
    }

    /// Reads key and namespace in front of a user's key. Their lengths follow them where both have variable lengths.
    fn leading_parts<F: Form>(
        &self,
        namespace: &Snapshot,
        placement: Placement,
        input: &mut Reader<'_>,
    ) -> Result<(F, F)> {
        let start = input.position();
        let key = placement.read_key(self.key, input)?;
        if self.measured {
            measure(input.since(start).len(), input, "length of the key")?;
        }
        let start = input.position();
        let namespace = namespace.read_as(input)?;
        if self.measured {
            measure(input.since(start).len(), input, "length of the namespace")?;
        }
        Ok((key, namespace))
    }

    /// Reads key and namespace that take all that is left. A key without a known end is opaque where the namespace has a
    /// fixed length.
    fn last_parts<F: Form>(
        &self,
        namespace: &Snapshot,
        placement: Placement,
        input: &mut Reader<'_>,
    ) -> Result<(F, F)> {
        let start = input.clone();
        match self.leading_parts(namespace, placement, input) {
            Ok(parts) if input.is_empty() => Ok(parts),
            Ok(parts) => input.clone().finish("key").map(|()| parts),
            Err(error) if error.kind() == ErrorKind::Incompatible => {
                *input = start;
                let behind = stored_length(namespace).ok_or(error)?;
                let length = input.remaining().checked_sub(behind);
                let length = length.ok_or_else(|| input.corrupt("key", "is shorter than its namespace"))?;
                let key = Whole::of(self.key).read_as(&mut input.slice(length, "key")?)?;
                Ok((key, Whole::of(namespace).read_as(input)?))
            }
            Err(error) => Err(error),
        }
    }
}

/// Number of bytes that a namespace takes, where it is fixed.
pub(super) fn stored_length(namespace: &Snapshot) -> Option<usize> {
    match namespace.serializer {
        TypeSerializer::Simple(Simple::VoidNamespace) => Some(1),
        _ => namespace.declared_length(),
    }
}

/// Checks a length that follows what it measures: base 256, least significant byte first, no terminator.
pub(super) fn measure(length: usize, input: &mut Reader<'_>, field: &'static str) -> Result<()> {
    let start = input.clone();
    let mut left = length;
    loop {
        let byte = usize::from(input.u8(field)?);
        if byte != left & 0xFF {
            return Err(start.corrupt(field, format!("does not say {length}, which is what was read")));
        }
        left >>= 8;
        if left == 0 {
            return Ok(());
        }
    }
}

/// A list: elements with a delimiter between them, which does not occur behind the last one. Elements without a known
/// end make the whole list opaque.
fn list<F: Form>(element: &Snapshot, input: &mut Reader<'_>) -> Result<F> {
    let start = input.clone();
    let mut elements = Vec::new();
    while !input.is_empty() {
        match element.read_as(input) {
            Ok(value) => elements.push(value),
            Err(error) if error.kind() == ErrorKind::Incompatible => {
                *input = start;
                return element.opaque_as(input);
            }
            Err(error) => return Err(error),
        }
        if !input.is_empty() {
            input.expect(&[LIST_DELIMITER], "list delimiter")?;
            if input.is_empty() {
                return Err(input.corrupt("list delimiter", "is not followed by an element"));
            }
        }
    }
    Ok(F::list(elements))
}

/// The value of a map entry: a flag that is 1 for null, else the value. Bytes behind a null are what some writers leave
/// there, and mean nothing.
fn map_value<F: Form>(user_value: Whole<'_>, input: &mut Reader<'_>) -> Result<F> {
    if input.bool("null flag")? {
        return Ok(F::null());
    }
    user_value.read_as(input)
}
