//! Native entries in canonical form.

use super::{Entries, Run};
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::format::flink::entry::Layout;
use crate::format::flink::header::{StateInfo, StateType};
use crate::format::flink::keyed::{KeyBytes, write_element, write_map_value};
use crate::format::flink::primitive::Primitives;
use crate::format::flink::serializer::{Snapshot, TypeSerializer};

impl Entries<'_> {
    /// Gives every entry that is left to `visit` in the form that canonical files have: the state's id, the composite
    /// key without the key group in front, and the value. A map becomes an entry for each of its keys; an empty map or
    /// list none. The bytes of keys, elements and values are copied as they are, after their ends are found by decoding
    /// them.
    ///
    /// Whether keys belong to the key group is not checked.
    pub fn visit_canonical(mut self, mut visit: impl FnMut(u16, &[u8], &[u8]) -> Result<()>) -> Result<()> {
        let group = self.placement.group;
        let mut scratch = (Writer::new(), Writer::new());
        while let Some(id) = self.next_id().map_err(|error| error.in_key_group(group.0))? {
            self.canonical(id, &mut scratch, &mut visit).map_err(|error| error.in_key_group(group.0))?;
        }
        self.run = Run::Ended;
        Ok(())
    }

    fn canonical(
        &mut self,
        id: u16,
        (key_out, value_out): &mut (Writer, Writer),
        visit: &mut impl FnMut(u16, &[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        let header = self.header;
        let state = header.state(id).ok_or_else(|| self.unknown())?;
        let key = header.key.as_ref().ok_or_else(|| self.unknown())?;
        let input = &mut self.input;
        let stored = entry(key, state, input).map_err(|error| error.in_state(&state.name))?;
        value_out.clear();
        match stored {
            Stored::Timer(element) => visit(id, element, &[]),
            Stored::Value { parts, namespace, value } => {
                key_out.clear();
                parts.write(key, namespace, key_out);
                visit(id, key_out.as_slice(), value)
            }
            Stored::List { parts, namespace, elements } => {
                elements.iter().for_each(|element| write_element(0, element, value_out));
                key_out.clear();
                parts.write(key, namespace, key_out);
                if elements.is_empty() { Ok(()) } else { visit(id, key_out.as_slice(), value_out.as_slice()) }
            }
            Stored::Map { parts, namespace, entries } => entries.iter().try_for_each(|(user_key, value)| {
                key_out.clear();
                KeyBytes { user_key, ..parts }.write(key, namespace, key_out);
                value_out.clear();
                write_map_value(*value, value_out);
                visit(id, key_out.as_slice(), value_out.as_slice())
            }),
        }
    }
}

/// An entry, every part as it is stored.
enum Stored<'b, 'h> {
    Timer(&'b [u8]),
    Value { parts: KeyBytes<'b>, namespace: &'h Snapshot, value: &'b [u8] },
    List { parts: KeyBytes<'b>, namespace: &'h Snapshot, elements: Vec<&'b [u8]> },
    Map { parts: KeyBytes<'b>, namespace: &'h Snapshot, entries: Vec<(&'b [u8], Option<&'b [u8]>)> },
}

fn entry<'b, 'h>(key: &Snapshot, state: &'h StateInfo, input: &mut Reader<'b>) -> Result<Stored<'b, 'h>> {
    let layout = Layout::of(state)?;
    let namespace = match layout {
        Layout::Queue { element } => return timer(element, input).map(Stored::Timer),
        Layout::Value { namespace, .. } | Layout::List { namespace, .. } | Layout::Map { namespace, .. } => namespace,
    };
    if state.state_type != StateType::KeyValue {
        return Err(Error::incompatible("a native heap file with state of the asynchronous API"));
    }
    let namespace_bytes = part(namespace, input)?;
    let parts = KeyBytes { key: part(key, input)?, namespace: namespace_bytes, user_key: &[] };
    match layout {
        Layout::List { element, .. } => {
            let mut elements = Vec::new();
            for _ in 0..input.items(1, "number of elements")? {
                elements.push(part(element, input)?);
            }
            Ok(Stored::List { parts, namespace, elements })
        }
        Layout::Map { user_key, user_value, .. } => {
            let mut entries = Vec::new();
            for _ in 0..input.items(1, "number of map entries")? {
                let user_key = part(user_key, input)?;
                let null = input.bool("null flag")?;
                entries.push((user_key, if null { None } else { Some(part(user_value, input)?) }));
            }
            Ok(Stored::Map { parts, namespace, entries })
        }
        Layout::Value { value, .. } => Ok(Stored::Value { parts, namespace, value: part(value, input)? }),
        Layout::Queue { .. } => Err(Error::internal("a queue with a namespace")),
    }
}

fn timer<'b>(element: &Snapshot, input: &mut Reader<'b>) -> Result<&'b [u8]> {
    let TypeSerializer::Timer { .. } = &element.serializer else {
        let message = format!("a queue whose elements are no timers but serialized by {}", element.class);
        return Err(Error::incompatible(message).at_offset(input.offset()));
    };
    part(element, input)
}

fn part<'b>(serializer: &Snapshot, input: &mut Reader<'b>) -> Result<&'b [u8]> {
    let start = input.position();
    serializer.skip_value(input)?;
    Ok(input.since(start))
}
