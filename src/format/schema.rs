//! What the parts of an entry are: the table at [`StateMeta`], as code.

use super::manifest::KeyGroupAssignment;
use super::record::{StateKind, StateMeta};
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::key_group::{KeyGroup, MaxParallelism};
use crate::serializer::SerializerSnapshot;

/// Domain byte of an event-time timer.
pub const EVENT_TIME: u8 = 0;
/// Domain byte of a processing-time timer.
pub const PROCESSING_TIME: u8 = 1;

/// Length of a stamp in bytes.
const STAMP_BYTES: usize = 8;

/// The serializers of one state: all that is needed to take its entries apart.
#[derive(Debug, Clone, Copy)]
pub struct Schema<'m> {
    /// Serializer of the keys of the operator; [`SerializerSnapshot::Unit`] for operator state.
    pub key: &'m SerializerSnapshot,
    /// The state.
    pub state: &'m StateMeta,
}

/// The key of an entry, taken apart. Every part is its encoding, empty where the kind has no such part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyParts<'k> {
    /// Domain byte and timestamp in milliseconds, for timers.
    pub timer: Option<(u8, i64)>,
    /// The key.
    pub key: &'k [u8],
    /// The namespace.
    pub namespace: &'k [u8],
    /// The user key of map and broadcast state.
    pub user_key: &'k [u8],
}

/// A value or list element, with the stamp that precedes it where the state is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamped<'v> {
    /// Milliseconds of the last touch.
    pub stamp: Option<i64>,
    /// The encoded value.
    pub value: &'v [u8],
}

impl<'m> Schema<'m> {
    /// The schema of the state of this name, which must be among `states` (sorted by name) and of this kind.
    pub fn find(key: &'m SerializerSnapshot, states: &'m [StateMeta], name: &str, kind: StateKind) -> Result<Self> {
        let found = states.binary_search_by(|state| state.name.as_str().cmp(name)).ok();
        let Some(state) = found.and_then(|index| states.get(index)) else {
            return Err(Error::corrupt("the manifest does not describe this state").in_state(name));
        };
        if state.kind != kind {
            let message = format!("the data is of {kind} state, the manifest says {}", state.kind);
            return Err(Error::corrupt(message).in_state(name));
        }
        Ok(Schema { key, state })
    }

    /// Takes the key of an entry apart; it must not be longer than its parts.
    pub fn split_key<'k>(&self, bytes: &'k [u8]) -> Result<KeyParts<'k>> {
        let mut input = Reader::new(bytes);
        let parts = self.read_key(&mut input)?;
        input.finish("key")?;
        Ok(parts)
    }

    fn read_key<'k>(&self, input: &mut Reader<'k>) -> Result<KeyParts<'k>> {
        let nothing: &'k [u8] = &[];
        let mut parts = KeyParts { timer: None, key: nothing, namespace: nothing, user_key: nothing };
        match self.state.kind {
            StateKind::Value | StateKind::List | StateKind::Reducing | StateKind::Aggregating => {
                (parts.key, parts.namespace) = self.read_key_and_namespace(input)?;
            }
            StateKind::Map => {
                (parts.key, parts.namespace) = self.read_key_and_namespace(input)?;
                parts.user_key = span(&self.state.user_key, input)?;
            }
            StateKind::Timer => {
                parts.timer = Some(read_timer(input)?);
                (parts.key, parts.namespace) = self.read_key_and_namespace(input)?;
            }
            StateKind::OperatorList | StateKind::OperatorUnion => {}
            StateKind::Broadcast => parts.user_key = span(&self.state.user_key, input)?,
        }
        Ok(parts)
    }

    fn read_key_and_namespace<'k>(&self, input: &mut Reader<'k>) -> Result<(&'k [u8], &'k [u8])> {
        Ok((span(self.key, input)?, span(&self.state.namespace, input)?))
    }

    /// Checks that the value of an entry is what the state says, down to its last byte.
    pub fn check_value(&self, bytes: &[u8]) -> Result<()> {
        let mut input = Reader::new(bytes);
        match self.state.kind {
            StateKind::Timer => {}
            StateKind::List => {
                let mut elements = self.elements(bytes);
                let mut count = 0usize;
                while let Some(element) = elements.next_element()? {
                    let mut element = Reader::new(element.value);
                    self.state.value.skip(&mut element)?;
                    element.finish("element")?;
                    count = count.saturating_add(1);
                }
                return if count == 0 { Err(input.corrupt("value", "a list without elements")) } else { Ok(()) };
            }
            _ => {
                self.read_stamped(&mut input)?;
            }
        }
        input.finish("value")
    }

    /// Takes apart the value of an entry that is neither a list nor a timer; it must not be longer than its parts.
    pub fn split_value<'v>(&self, bytes: &'v [u8]) -> Result<Stamped<'v>> {
        let mut input = Reader::new(bytes);
        let stamped = self.read_stamped(&mut input)?;
        input.finish("value")?;
        Ok(stamped)
    }

    fn read_stamped<'v>(&self, input: &mut Reader<'v>) -> Result<Stamped<'v>> {
        let stamp = if self.state.timed { Some(input.ordered_i64("stamp")?) } else { None };
        Ok(Stamped { stamp, value: span(&self.state.value, input)? })
    }

    /// The elements of the value of a list entry.
    pub fn elements<'v>(&self, bytes: &'v [u8]) -> Elements<'v> {
        Elements { input: Reader::new(bytes), timed: self.state.timed }
    }

    /// Checks that key and value of an entry have the parts they should have, and nothing more.
    ///
    /// Parts whose description is [opaque](SerializerSnapshot::is_opaque) are not looked at.
    pub fn check_parts(&self, key_bytes: &[u8], value: &[u8]) -> Result<()> {
        if !self.state.namespace.is_opaque() && !self.state.user_key.is_opaque() {
            self.split_key(key_bytes)?;
        }
        if self.state.value.is_opaque() { Ok(()) } else { self.check_value(value) }
    }

    /// Checks that the key of an entry belongs to `group`, by what decides it.
    /// A key of which only its own program could tell is taken on trust.
    pub fn check_group(
        &self,
        key_bytes: &[u8],
        group: KeyGroup,
        assignment: &KeyGroupAssignment,
        max: MaxParallelism,
    ) -> Result<()> {
        let mut input = Reader::new(key_bytes);
        if self.state.kind == StateKind::Timer {
            read_timer(&mut input)?;
        }
        let found = match assignment.key_group(self.key, span(self.key, &mut input)?, max)? {
            Some(found) if found != group => found,
            _ => return Ok(()),
        };
        Err(Error::corrupt(format!("the key belongs to key group {found} of {max}, but is stored in {group}"))
            .in_field("key")
            .in_key_group(group.0)
            .in_state(&self.state.name))
    }

    /// Reads a typed entry of the native heap format, other than of a map, and returns it as a neutral pair. A list is
    /// put together in `scratch`.
    pub(super) fn read_native<'s, 'b: 's>(
        &self,
        input: &mut Reader<'b>,
        scratch: &'s mut Writer,
    ) -> Result<(&'b [u8], &'s [u8])> {
        let start = input.position();
        self.read_key(input)?;
        let key = input.since(start);
        match self.state.kind {
            StateKind::Timer => Ok((key, &[])),
            StateKind::List => {
                self.read_native_list(input, scratch)?;
                Ok((key, scratch.as_slice()))
            }
            _ => {
                let start = input.position();
                self.read_stamped(input)?;
                Ok((key, input.since(start)))
            }
        }
    }

    fn read_native_list(&self, input: &mut Reader<'_>, scratch: &mut Writer) -> Result<()> {
        scratch.clear();
        let at = input.clone();
        for _ in 0..self.native_count(input, self.state.value.min_len().max(1))? {
            let start = input.position();
            self.read_stamped(input)?;
            scratch.bytes(input.since(start));
            if self.state.value.min_len() == 0 {
                input.expect(&[0], "filler")?;
            }
        }
        if scratch.is_empty() { Err(at.corrupt("count", "a list without elements")) } else { Ok(()) }
    }

    /// Reads the count of a list or map; every item takes at least `min_len` bytes.
    pub(super) fn native_count(&self, input: &mut Reader<'_>, min_len: usize) -> Result<usize> {
        let stamp = if self.state.timed { STAMP_BYTES } else { 0 };
        input.count(min_len.saturating_add(stamp), "count")
    }

    /// Reads what precedes the count of a typed map entry: the key and the namespace.
    pub(super) fn read_map_prefix<'b>(&self, input: &mut Reader<'b>) -> Result<&'b [u8]> {
        let start = input.position();
        self.read_key_and_namespace(input)?;
        Ok(input.since(start))
    }

    /// Reads one user key and value of a typed map entry.
    pub(super) fn read_map_item<'b>(&self, input: &mut Reader<'b>) -> Result<(&'b [u8], &'b [u8])> {
        let user_key = span(&self.state.user_key, input)?;
        let start = input.position();
        self.read_stamped(input)?;
        Ok((user_key, input.since(start)))
    }
}

/// The elements of a list entry's value. Call [`next_element`](Self::next_element) until it returns `None`.
#[derive(Debug, Clone)]
pub struct Elements<'v> {
    input: Reader<'v>,
    timed: bool,
}

impl<'v> Elements<'v> {
    /// The next element.
    pub fn next_element(&mut self) -> Result<Option<Stamped<'v>>> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let at = self.input.offset();
        let mut element = Reader::new(self.input.bytes("element")?);
        let stamp = match self.timed {
            true => Some(element.ordered_i64("stamp").map_err(|error| error.moved_to(at))?),
            false => None,
        };
        Ok(Some(Stamped { stamp, value: element.rest() }))
    }
}

/// The bytes of one value.
fn span<'k>(serializer: &SerializerSnapshot, input: &mut Reader<'k>) -> Result<&'k [u8]> {
    let start = input.position();
    serializer.skip(input)?;
    Ok(input.since(start))
}

fn read_timer(input: &mut Reader<'_>) -> Result<(u8, i64)> {
    let start = input.clone();
    let domain = input.u8("time domain")?;
    if domain != EVENT_TIME && domain != PROCESSING_TIME {
        return Err(start.corrupt("time domain", format!("is {domain}, expected 0 or 1")));
    }
    Ok((domain, input.ordered_i64("timestamp")?))
}
