//! Operator state: lists whose elements are found by position, and broadcast maps.
//!
//! A file is an [`OperatorHeader`] and elements one behind the other; only the handle says where they begin. In a
//! compressed file every position is that of a chunk of the Snappy framed stream.
//!
//! Sources: `DefaultOperatorStateBackendSnapshotStrategy`, `OperatorStateRestoreOperation`, `PartitionableListState`,
//! `HeapBroadcastState`, `CompressibleFSDataOutputStream`.

mod encode;

pub use encode::{FileWriter, write_map};

use std::borrow::Cow;
use std::collections::HashMap;

use super::header::OperatorHeader;
use super::metadata::{Distribution, PartitionOffsets};
use super::primitive::Primitives;
use super::serializer::Snapshot;
use super::snappy;
use super::value::Value;
use crate::codec::Reader;
use crate::error::{Error, ErrorKind, Result};

/// So many bytes of a compressed file are between the header and the first element: the identifier of the Snappy framed stream.
pub(crate) const STREAM_IDENTIFIER_BYTES: u64 = 10;

/// An element of operator state.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorElement<'a> {
    /// Name of the state.
    pub state: &'a str,
    /// How the state is distributed on restore.
    pub distribution: Distribution,
    /// The element; of broadcast state the whole map.
    pub value: Value,
}

/// An element of operator state as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawElement<'a> {
    /// Name of the state.
    pub state: &'a str,
    /// How the state is distributed on restore.
    pub distribution: Distribution,
    /// The element, expanded; of broadcast state the whole map.
    pub bytes: Cow<'a, [u8]>,
}

/// The elements of a file, state by state in the order of the handle. `file` is the whole stream.
///
/// Every element must end where the next one begins. An element that only its own program can interpret, or of a state
/// that the header could not tell, is [`Value::Opaque`].
pub fn elements<'a>(
    header: &'a OperatorHeader,
    states: &'a [PartitionOffsets],
    file: &'a [u8],
) -> impl Iterator<Item = Result<OperatorElement<'a>>> {
    extents(states, file).map(|(state, offset, end)| {
        element(header, state, file, offset, end).map_err(|error| error.in_state(&state.name))
    })
}

/// The elements of a file as [`elements`] gives them, without decoding them.
pub fn raw_elements<'a>(
    header: &'a OperatorHeader,
    states: &'a [PartitionOffsets],
    file: &'a [u8],
) -> impl Iterator<Item = Result<RawElement<'a>>> {
    extents(states, file).map(|(state, offset, end)| {
        let bytes = stored(header, file, offset, end).map_err(|error| error.in_state(&state.name))?;
        Ok(RawElement { state: &state.name, distribution: state.distribution, bytes })
    })
}

/// The elements with their state, where they begin and where they end.
fn extents<'a>(states: &'a [PartitionOffsets], file: &[u8]) -> impl Iterator<Item = (&'a PartitionOffsets, u64, u64)> {
    let size = u64::try_from(file.len()).unwrap_or(u64::MAX);
    let mut ends: Vec<u64> = states.iter().flat_map(|state| state.offsets.iter().copied()).collect();
    ends.sort_unstable();
    // Elements without bytes share a position: each takes the next place among equals.
    let mut equals: HashMap<u64, usize> = HashMap::new();
    states.iter().flat_map(|state| state.offsets.iter().map(move |offset| (state, *offset))).map(
        move |(state, offset)| {
            let next = equals.entry(offset).or_insert_with(|| ends.partition_point(|end| *end < offset));
            let rank = *next;
            *next = rank.saturating_add(1);
            let end = ends.get(rank.saturating_add(1)).copied().unwrap_or(size);
            (state, offset, end)
        },
    )
}

/// The bytes of an element, expanded.
fn stored<'a>(header: &OperatorHeader, file: &'a [u8], offset: u64, end: u64) -> Result<Cow<'a, [u8]>> {
    let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
    let stored = range.and_then(|(start, end)| file.get(start..end)).ok_or_else(|| {
        Error::corrupt(format!("is outside of the file, which has {} bytes", file.len()))
            .at_offset(offset)
            .in_field("partition offset")
    })?;
    snappy::expand(header.compressed, true, stored, offset)
}

fn element<'a>(
    header: &OperatorHeader,
    state: &'a PartitionOffsets,
    file: &[u8],
    offset: u64,
    end: u64,
) -> Result<OperatorElement<'a>> {
    let expanded = stored(header, file, offset, end)?;
    let mut input = Reader::with_base(&expanded, if header.compressed { 0 } else { offset });
    let value = match header.state(&state.name) {
        Some(info) => match (info.key(), info.value()) {
            (Some(key), Some(value)) if state.distribution == Distribution::Broadcast => {
                map_or_opaque(key, value, &mut input)?
            }
            (_, Some(value)) if state.distribution != Distribution::Broadcast => value.read_whole(&mut input)?,
            _ => unknown(&mut input)?,
        },
        None if header.unreadable.is_some() => unknown(&mut input)?,
        None => return Err(input.corrupt("state name", "the handle names a state that the header does not have")),
    };
    Ok(OperatorElement { state: &state.name, distribution: state.distribution, value })
}

fn unknown(input: &mut Reader<'_>) -> Result<Value> {
    Ok(Value::Opaque { class: "unknown".into(), bytes: input.raw(input.remaining(), "element")?.to_vec() })
}

/// A broadcast map, as a whole opaque where only its own program can take it apart.
fn map_or_opaque(key: &Snapshot, value: &Snapshot, input: &mut Reader<'_>) -> Result<Value> {
    let start = input.clone();
    match map(key, value, input) {
        Err(error) if error.kind() == ErrorKind::Incompatible => {
            *input = start;
            let opaque = if key.has_known_end() { value } else { key };
            let bytes = input.raw(input.remaining(), "broadcast map")?.to_vec();
            Ok(Value::Opaque { class: opaque.opaque_class(), bytes })
        }
        read => read,
    }
}

/// A broadcast map: a count, then keys and values without flags.
fn map(key: &Snapshot, value: &Snapshot, input: &mut Reader<'_>) -> Result<Value> {
    let mut entries = Vec::new();
    for _ in 0..input.items(1, "number of map entries")? {
        let key = key.read_value(input)?;
        entries.push((key, value.read_value(input)?));
    }
    input.clone().finish("broadcast map")?;
    Ok(Value::Map(entries))
}

#[cfg(test)]
mod tests;
