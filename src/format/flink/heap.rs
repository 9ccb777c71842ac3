//! Native snapshots of the heap backend.
//!
//! A file is a [`KeyedHeader`] and one block for every key group of the range, empty ones included: the group's number,
//! then every state exactly once with its entries. Entries have no lengths, so a state that could not be read from the
//! header, or whose values have no known end, makes the rest of the key group unreadable if it has entries.
//!
//! Sources: `HeapSnapshotStrategy`, `HeapRestoreOperation`, `CopyOnWriteStateMapSnapshot`,
//! `StateTableByKeyGroupReaders`.

mod canonical;

use std::borrow::Cow;

use super::entry::{Content, KeyedEntry, Layout, read_timer};
use super::header::{KeyedHeader, StateInfo, StateType};
use super::key_group::Placement;
use super::metadata::KeyGroupOffsets;
use super::primitive::Primitives;
use super::serializer::Snapshot;
use super::snappy;
use super::value::Form;
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::key_group::{KeyGroup, MaxParallelism};

/// Whether a file behind a handle that does not say is native: then every key group has a position, and its number is
/// stored there. (The other possibility is a canonical file.) `file` is the whole stream.
pub fn is_native(offsets: &KeyGroupOffsets, file: &[u8]) -> bool {
    offsets.iter().all(|(group, offset)| {
        let Some(offset) = offset.and_then(|offset| usize::try_from(offset).ok()).filter(|offset| *offset > 0) else {
            return false;
        };
        let stored = file.get(offset..).and_then(|rest| rest.first_chunk::<4>());
        stored.is_some_and(|bytes| u32::from_be_bytes(*bytes) == u32::from(group.0))
    })
}

/// The entries of one key group.
#[derive(Debug, Clone)]
pub struct Block<'a> {
    placement: Placement,
    bytes: Cow<'a, [u8]>,
    base: u64,
}

impl<'a> Block<'a> {
    /// The block of a key group. `bytes` reach from where the handle says that the group begins to where the next one
    /// does, or to the end of the stream; `base` is the position of the first of them. Expands a compressed block.
    pub fn open(
        header: &KeyedHeader,
        group: KeyGroup,
        max: MaxParallelism,
        bytes: &'a [u8],
        base: u64,
    ) -> Result<Self> {
        Self::expand(header, Placement { group, max }, bytes, base).map_err(|error| error.in_key_group(group.0))
    }

    fn expand(header: &KeyedHeader, placement: Placement, bytes: &'a [u8], base: u64) -> Result<Self> {
        let group = placement.group;
        let mut input = Reader::with_base(bytes, base);
        let start = input.clone();
        let number = input.i32("key group")?;
        if number != i32::from(group.0) {
            return Err(start.corrupt("key group", format!("is {number} in the block of key group {group}")));
        }
        let expanded = snappy::expand(header.compressed, false, input.rest(), input.offset())?;
        let base = if header.compressed { 0 } else { input.offset() };
        Ok(Block { placement, bytes: expanded, base })
    }

    /// The entries, with the position of their state in the header. A key that belongs to another key group is damage,
    /// as far as its hash code can be computed. Ends after the first error.
    pub fn entries<'b>(&'b self, header: &'b KeyedHeader) -> Entries<'b> {
        let seen = vec![false; header.state_count];
        Entries {
            header,
            placement: self.placement,
            input: Reader::with_base(&self.bytes, self.base),
            seen,
            run: Run::Between,
        }
    }
}

/// Iterator over the entries of a [`Block`].
#[derive(Debug)]
pub struct Entries<'b> {
    header: &'b KeyedHeader,
    placement: Placement,
    input: Reader<'b>,
    seen: Vec<bool>,
    run: Run,
}

#[derive(Debug, Clone, Copy)]
enum Run {
    /// A state id or the end comes next.
    Between,
    /// So many entries of a state come next.
    Of {
        id: u16,
        left: usize,
    },
    Ended,
}

impl Iterator for Entries<'_> {
    type Item = Result<(u16, KeyedEntry)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_as()
    }
}

impl Entries<'_> {
    /// The next entry in the form that the caller wants.
    pub(super) fn next_as<F: Form>(&mut self) -> Option<Result<(u16, KeyedEntry<F>)>> {
        let item = self.read().map_err(|error| error.in_key_group(self.placement.group.0)).transpose();
        if !matches!(item, Some(Ok(_))) {
            self.run = Run::Ended;
        }
        item
    }

    fn read<F: Form>(&mut self) -> Result<Option<(u16, KeyedEntry<F>)>> {
        match self.next_id()? {
            None => Ok(None),
            Some(id) => self.entry(id).map(|entry| Some((id, entry))),
        }
    }

    /// The state of the entry that comes next, `None` at the end of the block. The caller has to read the entry.
    fn next_id(&mut self) -> Result<Option<u16>> {
        loop {
            match self.run {
                Run::Ended => return Ok(None),
                Run::Of { id, left: 0 } => {
                    self.mark_seen(id);
                    self.run = Run::Between;
                }
                Run::Of { id, left } => {
                    self.run = Run::Of { id, left: left.saturating_sub(1) };
                    return Ok(Some(id));
                }
                Run::Between if self.header.key.is_some() && self.seen.iter().all(|seen| *seen) => {
                    self.input.clone().finish("end of key group")?;
                    return Ok(None);
                }
                Run::Between => self.run = self.next_run()?,
            }
        }
    }

    fn mark_seen(&mut self, id: u16) {
        if let Some(seen) = self.seen.get_mut(usize::from(id)) {
            *seen = true;
        }
    }

    /// Why the entries of a state cannot be read.
    fn unknown(&self) -> Error {
        let reason = self.header.unreadable.as_ref().map_or("its serializers are missing", |reason| &reason.reason);
        Error::incompatible(format!("the state could not be read from the header: {reason}"))
            .at_offset(self.input.offset())
    }

    fn next_run(&mut self) -> Result<Run> {
        if self.header.key.is_none() {
            return Err(self.unknown());
        }
        let start = self.input.clone();
        let id = self.input.u16("state id")?;
        match self.seen.get(usize::from(id)) {
            Some(false) => {}
            Some(true) => return Err(start.corrupt("state id", format!("{id} occurs twice"))),
            None => {
                let message = format!("is {id}, the file has {} states", self.header.state_count);
                return Err(start.corrupt("state id", message));
            }
        }
        Ok(Run::Of { id, left: self.input.items(1, "number of entries")? })
    }

    fn entry<F: Form>(&mut self, id: u16) -> Result<KeyedEntry<F>> {
        let state = self.header.state(id).ok_or_else(|| self.unknown())?;
        let key = self.header.key.as_ref().ok_or_else(|| self.unknown())?;
        entry(key, state, self.placement, &mut self.input).map_err(|error| error.in_state(&state.name))
    }
}

fn entry<F: Form>(
    key: &Snapshot,
    state: &StateInfo,
    placement: Placement,
    input: &mut Reader<'_>,
) -> Result<KeyedEntry<F>> {
    let layout = Layout::of(state)?;
    let namespace = match layout {
        Layout::Queue { element } => return read_timer(element, placement, input),
        Layout::Value { namespace, .. } | Layout::List { namespace, .. } | Layout::Map { namespace, .. } => namespace,
    };
    if state.state_type != StateType::KeyValue {
        return Err(Error::incompatible("a native heap file with state of the asynchronous API"));
    }
    let namespace = namespace.read_as(input)?;
    let key = placement.read_key(key, input)?;
    let value: F = state.value().ok_or_else(|| Error::internal("a state without a serializer"))?.read_as(input)?;
    let content = match layout {
        Layout::Map { .. } => value.into_map().map_or_else(Content::Value, Content::Map),
        _ => Content::Value(value),
    };
    Ok(KeyedEntry { key, namespace, content })
}

#[cfg(test)]
mod tests;
