//! Decoding canonical entries: what can be said of all entries of a state is found out once.

use super::{Entry, LIST_DELIMITER};
use crate::codec::Reader;
use crate::error::{Error, ErrorKind, Result};
use crate::format::flink::entry::{Content, KeyedEntry, Layout};
use crate::format::flink::header::KeyedHeader;
use crate::format::flink::key_group::Placement;
use crate::format::flink::primitive::Primitives;
use crate::format::flink::serializer::{Simple, Snapshot, TypeSerializer};
use crate::format::flink::value::{Checked, Form, Stored, Value, Whole};

/// Decodes the entries of one state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateDecoder<'h> {
    pub(super) name: &'h str,
    pub(super) key: Part<'h>,
    pub(super) namespace: Part<'h>,
    /// Whether key and namespace are followed by their lengths.
    pub(super) measured: bool,
    pub(super) content: Shape<'h>,
}

/// How a part of a key is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'h> {
    pub(super) serializer: &'h Snapshot,
    pub(super) whole: Whole<'h>,
}

/// How what belongs to a key is stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape<'h> {
    Value(Whole<'h>),
    List(&'h Snapshot, Whole<'h>),
    Map(Whole<'h>, Whole<'h>),
    Timer,
}

/// The parts of an entry, not decoded. The key belongs to the entry's key group.
#[derive(Debug)]
pub(crate) struct Parts<'e> {
    /// Key.
    pub(crate) key: Stored<'e>,
    /// Namespace.
    pub(crate) namespace: Stored<'e>,
    /// What is stored for the two.
    pub(crate) content: PartsContent<'e>,
}

/// What an entry stores for its key and namespace, not decoded.
#[derive(Debug)]
pub(crate) enum PartsContent<'e> {
    /// A value.
    Value(Stored<'e>),
    /// A list.
    List(Elements<'e>),
    /// One entry of a map; a value that is `None` is null.
    MapEntry { user_key: Stored<'e>, value: Option<Stored<'e>> },
    /// A timer.
    Timer { timestamp: i64 },
}

/// The elements of a list, not decoded.
#[derive(Debug)]
pub(crate) struct Elements<'e> {
    pub(super) element: &'e Snapshot,
    pub(super) whole: Whole<'e>,
    pub(super) input: Reader<'e>,
}

impl<'h> StateDecoder<'h> {
    /// For the state with this id. A key or a state whose serializers are not known is
    /// [`Incompatible`](ErrorKind::Incompatible).
    pub(crate) fn of(header: &'h KeyedHeader, state_id: u16) -> Result<Self> {
        let state = header
            .state(state_id)
            .ok_or_else(|| Error::incompatible(format!("state {state_id} could not be read from the header")))?;
        let key = header.key.as_ref().ok_or_else(|| Error::incompatible("the key's serializer is not known"))?;
        let (key, namespace, content) = match Layout::of(state).map_err(|error| error.in_state(&state.name))? {
            Layout::Value { namespace, value } => (key, namespace, Shape::Value(Whole::of(value))),
            Layout::List { namespace, element } => (key, namespace, Shape::List(element, Whole::of(element))),
            Layout::Map { namespace, user_key, user_value } => {
                (key, namespace, Shape::Map(Whole::of(user_key), Whole::of(user_value)))
            }
            Layout::Queue { element } => {
                let (key, namespace) = timer_parts(element).map_err(|error| error.in_state(&state.name))?;
                (key, namespace, Shape::Timer)
            }
        };
        let has_lengths = !matches!(content, Shape::Timer);
        let measured = has_lengths && key.declared_length().is_none() && namespace.declared_length().is_none();
        let (key, namespace) = (Part::of(key), Part::of(namespace));
        Ok(StateDecoder { name: &state.name, key, namespace, measured, content })
    }

    /// Decodes an entry of the state, see [`Entry::decode`].
    #[inline]
    pub(crate) fn decode<F: Form>(&self, entry: &Entry<'_>) -> Result<KeyedEntry<F>> {
        if let Some(skimmed) = F::skim_entry(|| self.has_usual(entry)) {
            return Ok(skimmed);
        }
        self.split(entry).and_then(|parts| parts.read().map_err(|error| error.in_state(self.name)))
    }

    /// Takes an entry apart. Key and namespace are checked as if they were decoded, and so is that the key belongs to the
    /// entry's key group, where its hash code can be computed.
    #[inline]
    pub(crate) fn split<'e>(&self, entry: &Entry<'e>) -> Result<Parts<'e>>
    where
        'h: 'e,
    {
        self.parts(entry).map_err(|error| error.in_state(self.name))
    }

    fn parts<'e>(&self, entry: &Entry<'e>) -> Result<Parts<'e>>
    where
        'h: 'e,
    {
        match self.usual_parts(entry) {
            Some(parts) => Ok(parts),
            None => self.judged_parts(entry),
        }
    }

    /// The parts of any entry, or what is wrong with it.
    pub(super) fn judged_parts<'e>(&self, entry: &Entry<'e>) -> Result<Parts<'e>>
    where
        'h: 'e,
    {
        let mut key_input = Reader::with_base(entry.key, entry.key_offset);
        let mut value_input = Reader::with_base(entry.value, entry.value_offset);
        if let Shape::Map(user_key, user_value) = self.content {
            let (key, namespace) = self.leading_parts(entry.placement, &mut key_input)?;
            let is_null = value_input.bool("null flag")?;
            // Bytes behind a null are what some writers leave there, and mean nothing.
            let value = (!is_null).then(|| Stored::new(user_value, value_input));
            let content = PartsContent::MapEntry { user_key: Stored::new(user_key, key_input), value };
            return Ok(Parts { key, namespace, content });
        }
        let timestamp = match self.content {
            Shape::Timer => {
                value_input.clone().finish("value of a timer")?;
                key_input.ordered_i64("timer timestamp")?
            }
            _ => 0,
        };
        let (key, namespace) = self.last_parts(entry.placement, &mut key_input)?;
        let content = match self.content {
            Shape::List(element, whole) => PartsContent::List(Elements { element, whole, input: value_input }),
            Shape::Value(value) | Shape::Map(_, value) => PartsContent::Value(Stored::new(value, value_input)),
            Shape::Timer => PartsContent::Timer { timestamp },
        };
        Ok(Parts { key, namespace, content })
    }

    /// What an entry of a map holds, without a look at its key; `None` is null. Of another state it is
    /// [`Internal`](ErrorKind::Internal).
    pub(crate) fn map_value<'e>(&self, entry: &Entry<'e>) -> Result<Option<Stored<'e>>>
    where
        'h: 'e,
    {
        let Shape::Map(_, value) = self.content else { return Err(Error::internal("an entry of no map")) };
        let mut input = Reader::with_base(entry.value, entry.value_offset);
        let is_null = input.bool("null flag").map_err(|error| error.in_state(self.name))?;
        Ok((!is_null).then(|| Stored::new(value, input)))
    }

    /// Key and namespace in front of a user's key. Their lengths follow them where both have variable lengths.
    #[inline]
    fn leading_parts<'e>(&self, placement: Placement, input: &mut Reader<'e>) -> Result<(Stored<'e>, Stored<'e>)>
    where
        'h: 'e,
    {
        let start = input.clone();
        placement.read_key::<Checked>(self.key.serializer, input)?;
        let key = between(&start, input)?;
        if self.measured {
            measure(key.remaining(), input, "length of the key")?;
        }
        let start = input.clone();
        self.namespace.serializer.skip_value(input)?;
        let namespace = between(&start, input)?;
        if self.measured {
            measure(namespace.remaining(), input, "length of the namespace")?;
        }
        Ok((Stored::new(self.key.whole, key), Stored::new(self.namespace.whole, namespace)))
    }

    /// Key and namespace that take all that is left. A key without a known end is opaque where the namespace has a fixed
    /// length.
    fn last_parts<'e>(&self, placement: Placement, input: &mut Reader<'e>) -> Result<(Stored<'e>, Stored<'e>)>
    where
        'h: 'e,
    {
        let start = input.clone();
        match self.leading_parts(placement, input) {
            Ok(parts) => {
                if !input.is_empty() {
                    input.clone().finish(if matches!(self.content, Shape::Timer) { "timer" } else { "key" })?;
                }
                Ok(parts)
            }
            Err(error) if error.kind() == ErrorKind::Incompatible => {
                let mut input = start;
                let behind = stored_length(self.namespace.serializer).ok_or(error)?;
                let length = input.remaining().checked_sub(behind);
                let length = length.ok_or_else(|| input.corrupt("key", "is shorter than its namespace"))?;
                let key = input.slice(length, "key")?;
                self.namespace.whole.read_as::<Checked>(&mut input.clone())?;
                Ok((Stored::new(self.key.whole, key), Stored::new(self.namespace.whole, input)))
            }
            Err(error) => Err(error),
        }
    }
}

impl<'h> Part<'h> {
    fn of(serializer: &'h Snapshot) -> Self {
        Part { serializer, whole: Whole::of(serializer) }
    }
}

impl Parts<'_> {
    pub(super) fn read<F: Form>(self) -> Result<KeyedEntry<F>> {
        let Parts { key, namespace, content } = self;
        let (key, namespace) = (F::again(|| key.read())?, F::again(|| namespace.read())?);
        let content = match content {
            PartsContent::Value(value) => Content::Value(value.read()?),
            PartsContent::List(elements) => Content::Value(elements.read()?),
            PartsContent::MapEntry { user_key, value } => {
                let user_key = user_key.read()?;
                Content::MapEntry { user_key, value: value.map_or_else(|| Ok(F::null()), Stored::read)? }
            }
            PartsContent::Timer { timestamp } => Content::Timer { timestamp },
        };
        Ok(KeyedEntry { key, namespace, content })
    }
}

impl<'e> Elements<'e> {
    /// The list. Elements have a delimiter between them, which does not occur behind the last one. Elements without a
    /// known end make the whole list opaque.
    fn read<F: Form>(mut self) -> Result<F> {
        let start = self.input.clone();
        let mut elements = Vec::new();
        let mut more = !self.input.is_empty();
        while more {
            match self.element.read_as(&mut self.input) {
                Ok(value) => elements.push(value),
                Err(error) if error.kind() == ErrorKind::Incompatible => {
                    self.input = start;
                    return self.element.opaque_as(&mut self.input);
                }
                Err(error) => return Err(error),
            }
            more = self.delimiter()?;
        }
        Ok(F::list(elements))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// The list as a value.
    pub(crate) fn value(self) -> Result<Value> {
        self.read()
    }

    /// Gives every element to `visit`. An element without a known end is [`Incompatible`](ErrorKind::Incompatible).
    pub(crate) fn for_each(mut self, mut visit: impl FnMut(Stored<'e>) -> Result<()>) -> Result<()> {
        let mut more = !self.input.is_empty();
        while more {
            let start = self.input.clone();
            self.element.skip_value(&mut self.input)?;
            visit(Stored::new(self.whole, between(&start, &self.input)?))?;
            more = self.delimiter()?;
        }
        Ok(())
    }

    /// Whether there is another element: behind a delimiter, where it can be of a type that takes no bytes.
    fn delimiter(&mut self) -> Result<bool> {
        if self.input.is_empty() {
            return Ok(false);
        }
        self.input.expect(&[LIST_DELIMITER], "list delimiter")?;
        let takes_nothing = matches!(self.element.serializer, TypeSerializer::Simple(Simple::NullValue));
        if self.input.is_empty() && !takes_nothing {
            return Err(self.input.corrupt("list delimiter", "is not followed by an element"));
        }
        Ok(true)
    }
}

/// A reader of what was read between two positions.
#[inline]
fn between<'e>(start: &Reader<'e>, end: &Reader<'e>) -> Result<Reader<'e>> {
    start.clone().slice(end.position().saturating_sub(start.position()), "part of a key")
}

/// Serializers of key and namespace of a timer.
fn timer_parts(element: &Snapshot) -> Result<(&Snapshot, &Snapshot)> {
    match &element.serializer {
        TypeSerializer::Timer { key, namespace } => Ok((key, namespace)),
        _ => Err(Error::incompatible(format!(
            "a queue whose elements are no timers but serialized by {}",
            element.class
        ))),
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
