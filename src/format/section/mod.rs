//! Sections: the container that all data formats share.
//!
//! A section holds the state of one operator for one key group (or, for operator state, one subtask). A data object is
//! a plain concatenation of sections, in ascending order and with nothing before, between or after them; where each one
//! begins is in the manifest. So one key group can be read without the others, and the concatenation of the objects of
//! all subtasks does not depend on how the groups were divided among them.
//!
//! A section is a header and a run of records. Numbers are big-endian; `varint` is unsigned LEB128 in its shortest form.
//!
//! ```text
//! section = header state-run+ end            state-run = state block+
//!
//! header: preamble (8), operator id (16), owner u16, crc u32
//! state:  tag 01, kind u8, name (varint length, UTF-8), crc u32
//! block:  tag 02, compression u8, entries u32, raw length u32, stored length u32, payload (stored length), crc u32
//! end:    tag 03, states varint, blocks varint, entries varint, crc u32
//! ```
//!
//! The owner is the key group, or the index of the subtask. Every `crc` is the CRC-32 of: preamble, operator id, owner,
//! the record's ordinal within the section as u32 (the header is 0), and the record itself up to the `crc`. A record
//! that is moved, repeated or left out therefore has a wrong `crc`, and so has one from another key group, operator or
//! format.
//!
//! States ascend strictly by the bytes of their names; a state has at least one block, a block at least one entry, so
//! that an empty state or section has no encoding but its absence. A block is compressed only where that makes it
//! smaller, where its raw length is at most 64 MiB, and at most 1,000 times its stored length plus 128.
//!
//! CRC-32 and the XXH3-64 of the whole section find accidents, not attackers; the manifest has a cryptographic digest of
//! every object.

mod reader;
mod writer;

use crate::codec::checksum::Crc32;
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::format::{FormatId, preamble};
use crate::ids::{OperatorId, SubtaskIndex};
use crate::key_group::KeyGroup;

pub use reader::{Block, SectionReader};
pub use writer::{SectionSummary, SectionWriter, StateTotals};

/// Tag of a record that opens a state.
const STATE: u8 = 1;
/// Tag of a record that holds entries.
const BLOCK: u8 = 2;
/// Tag of the last record.
const END: u8 = 3;

/// Bytes of a block record before its payload.
const BLOCK_HEADER_BYTES: usize = 14;

/// Length of a section's header in bytes.
pub const HEADER_BYTES: usize = preamble::PREAMBLE_BYTES + 16 + 2 + 4;

/// Takes bytes in order.
pub trait Sink {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
}

impl Sink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

impl Sink for Writer {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.raw(bytes);
        Ok(())
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        (**self).write(bytes)
    }
}

/// Whose state a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// Keyed state of a key group.
    KeyGroup(KeyGroup),
    /// Operator state of a subtask.
    Subtask(SubtaskIndex),
}

impl Owner {
    fn number(self) -> Result<u16> {
        match self {
            Owner::KeyGroup(group) => Ok(group.0),
            Owner::Subtask(index) => {
                u16::try_from(index.0).map_err(|_| Error::invalid_input(format!("subtask {index} is above 65,535")))
            }
        }
    }

    /// Adds the key group to an error, if it is one.
    fn place(self, error: Error) -> Error {
        match self {
            Owner::KeyGroup(group) => error.in_key_group(group.0),
            Owner::Subtask(_) => error,
        }
    }

    fn check_format(self, format: FormatId) -> Result<()> {
        let fits = match (format, self) {
            (FormatId::Canonical | FormatId::NativeHeap, owner) => matches!(owner, Owner::KeyGroup(_)),
            (FormatId::Operator, owner) => matches!(owner, Owner::Subtask(_)),
            (FormatId::Manifest | FormatId::NativeRocksDb | FormatId::Control, _) => false,
        };
        if fits {
            Ok(())
        } else {
            Err(Error::invalid_input(format!("{self} cannot be the owner of a {format} section")))
        }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Owner::KeyGroup(group) => write!(f, "key group {group}"),
            Owner::Subtask(index) => write!(f, "subtask {index}"),
        }
    }
}

/// Which section it is: what a reader expects and a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SectionId {
    /// Format of the entries.
    pub format: FormatId,
    /// Operator the state belongs to.
    pub operator: OperatorId,
    /// Key group or subtask the state belongs to.
    pub owner: Owner,
}

/// CRC of the records of one section.
#[derive(Clone)]
struct RecordCrc {
    base: Crc32,
    ordinal: u32,
}

impl RecordCrc {
    /// Begins with the header up to its CRC.
    fn new(header: &[u8]) -> Self {
        let mut base = Crc32::new();
        base.update(header);
        RecordCrc { base, ordinal: 0 }
    }

    /// CRC of the next record.
    fn next(&mut self, record: &[u8]) -> u32 {
        let mut crc = self.base.clone();
        crc.update(&self.ordinal.to_be_bytes());
        crc.update(record);
        self.ordinal = self.ordinal.wrapping_add(1);
        crc.value()
    }
}

/// Reads a record's CRC, which follows the bytes read since `start`, and compares it.
fn check_crc(crc: &mut RecordCrc, input: &mut Reader<'_>, record: &[u8]) -> Result<()> {
    let computed = crc.next(record);
    let at = input.offset();
    let stored = input.u32("crc")?;
    if stored == computed {
        return Ok(());
    }
    Err(Error::corrupt(format!("checksum is {stored:08x}, the bytes give {computed:08x}"))
        .at_offset(at)
        .in_field("crc"))
}

/// Puts right the preamble and every checksum of something like a section, as far as it can be followed.
#[cfg(feature = "test-util")]
pub(super) fn fuzz_reseal(bytes: &mut [u8], format: FormatId) {
    let mut head = Writer::new();
    preamble::write(format, &mut head);
    if let Some(slot) = bytes.get_mut(..preamble::PREAMBLE_BYTES) {
        slot.copy_from_slice(head.as_slice());
    }
    let end_of_header = HEADER_BYTES.saturating_sub(4);
    let Some(header) = bytes.get(..end_of_header) else { return };
    let mut crc = RecordCrc::new(header);
    let mut ends = vec![(end_of_header, end_of_header)];
    let mut input = Reader::new(bytes);
    while input.raw(if ends.len() == 1 { HEADER_BYTES } else { 4 }, "crc").is_ok() {
        let start = input.position();
        if skip_record(&mut input).is_err() {
            break;
        }
        ends.push((start, input.position()));
    }
    for (start, end) in ends {
        let value = crc.next(bytes.get(start..end).unwrap_or_default());
        if let Some(slot) = bytes.get_mut(end..end.saturating_add(4)) {
            slot.copy_from_slice(&value.to_be_bytes());
        }
    }
}

/// Reads a record up to its CRC.
#[cfg(feature = "test-util")]
fn skip_record(input: &mut Reader<'_>) -> Result<()> {
    match input.u8("record tag")? {
        STATE => {
            input.u8("state kind")?;
            input.bytes("state name")?;
        }
        BLOCK => {
            input.raw(9, "block header")?;
            let stored = input.u32("stored length")?;
            input.raw(usize::try_from(stored).unwrap_or(usize::MAX), "payload")?;
        }
        _ => {
            input.varint("states")?;
            input.varint("blocks")?;
            input.varint("entries")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
