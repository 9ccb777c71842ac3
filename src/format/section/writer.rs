use std::sync::Arc;

use super::{BLOCK, BLOCK_HEADER_BYTES, END, Owner, RecordCrc, STATE, Sink};
use crate::codec::checksum::Xxh3;
use crate::codec::{Compression, Writer};
use crate::error::{Error, Result};
use crate::format::record::StateKind;
use crate::format::{FormatId, Limits, preamble};
use crate::ids::{OperatorId, check_name};

/// Raw bytes after which a block of the canonical or operator format is closed. Part of the format: equal state gives
/// equal blocks.
const SORTED_BLOCK_BYTES: usize = 64 << 10;

/// Raw bytes after which a block of the native heap format is closed. Not part of the format.
const NATIVE_BLOCK_BYTES: usize = 256 << 10;

/// Bytes that are collected before the sink gets them, so that small sections do not cost a call each.
const HAND_OVER_BYTES: usize = 128 << 10;

/// Entries and bytes of one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateTotals {
    /// Name of the state, shared by all totals of it, because there is one for every subtask and section.
    pub name: Arc<str>,
    /// Number of entries.
    pub entries: u64,
    /// Bytes of the entries before compression, without the framing of blocks.
    pub bytes: u64,
}

/// What the index in the manifest needs to know about a section that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionSummary {
    /// Whose state it holds.
    pub owner: Owner,
    /// Where it begins, counted from the first byte this writer wrote.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
    /// XXH3-64 of the section.
    pub checksum: u64,
    /// Number of entries of all states.
    pub entries: u64,
    /// The states that have entries, in the order of their names.
    pub states: Vec<StateTotals>,
}

/// Writes sections one after the other.
///
/// ```text
/// new ( begin ( begin_state entry* )* finish )* close
/// ```
///
/// Entries are encoded straight into the block that is handed to the sink, which sees every byte once. States without
/// entries and sections without states leave no trace. After an error the writer refuses everything, since the sink has
/// part of a section.
pub struct SectionWriter<S> {
    sink: S,
    format: FormatId,
    operator: OperatorId,
    compression: Compression,
    block_bytes: usize,
    buffer: Writer,
    handed_over: u64,
    section: Option<Open>,
    block_start: usize,
    block_entries: u32,
    block_open: bool,
    failed: bool,
}

/// The section being written.
struct Open {
    owner: Owner,
    number: u16,
    crc: RecordCrc,
    hasher: Xxh3,
    /// How much of the buffer the hasher has seen.
    hashed: usize,
    offset: u64,
    header_written: bool,
    blocks: u64,
    /// The last one is the state being written; its header is written with its first entry.
    states: Vec<StateTotals>,
    kind: StateKind,
    state_open: bool,
}

impl<S: Sink> SectionWriter<S> {
    /// A writer of sections of one operator in the newest version of `format`.
    pub fn new(sink: S, format: FormatId, operator: OperatorId, compression: Compression) -> Self {
        let block_bytes = match format {
            FormatId::NativeHeap => NATIVE_BLOCK_BYTES,
            FormatId::Manifest
            | FormatId::Canonical
            | FormatId::Operator
            | FormatId::NativeRocksDb
            | FormatId::Control => SORTED_BLOCK_BYTES,
        };
        SectionWriter {
            sink,
            format,
            operator,
            compression,
            block_bytes,
            buffer: Writer::with_capacity(block_bytes.saturating_add(HAND_OVER_BYTES)),
            handed_over: 0,
            section: None,
            block_start: 0,
            block_entries: 0,
            block_open: false,
            failed: false,
        }
    }

    /// Bytes written so far, by all sections.
    pub fn position(&self) -> u64 {
        self.handed_over.saturating_add(length(self.buffer.len()))
    }

    /// Starts a section. Owners are expected in ascending order, which the manifest checks.
    pub fn begin(&mut self, owner: Owner) -> Result<()> {
        self.guard(|writer| {
            if let Some(open) = &writer.section {
                return Err(Error::internal(format!("the section of {} is not finished", open.owner)));
            }
            owner.check_format(writer.format)?;
            let number = owner.number()?;
            let header = header(writer.format, writer.operator, number);
            writer.section = Some(Open {
                owner,
                number,
                crc: RecordCrc::new(header.as_slice()),
                hasher: Xxh3::new(),
                hashed: writer.buffer.len(),
                offset: writer.position(),
                header_written: false,
                blocks: 0,
                states: Vec::new(),
                kind: StateKind::Value,
                state_open: false,
            });
            Ok(())
        })
    }

    /// Starts the next state; names must ascend.
    pub fn begin_state(&mut self, name: &str, kind: StateKind) -> Result<()> {
        self.guard(|writer| {
            writer.close_block()?;
            check_name("state name", name)?;
            let keyed = writer.format != FormatId::Operator;
            if kind.is_keyed() != keyed {
                return Err(
                    Error::internal(format!("{kind} state does not belong into {} data", writer.format)).in_state(name)
                );
            }
            let open = writer.section.as_mut().ok_or_else(no_section)?;
            if let Some(last) = open.states.last()
                && *last.name >= *name
            {
                return Err(Error::internal(format!("state {name:?} must not follow state {:?}", last.name)));
            }
            if !open.state_open {
                open.states.pop();
            }
            open.states.push(StateTotals { name: name.into(), entries: 0, bytes: 0 });
            open.kind = kind;
            open.state_open = false;
            Ok(())
        })
    }

    /// Writes one entry of the current state, in the encoding of the format. `encode` appends it to the writer it gets
    /// and must leave alone what is there already.
    #[inline]
    pub fn entry(&mut self, encode: impl FnOnce(&mut Writer) -> Result<()>) -> Result<()> {
        if !self.block_open {
            self.guard(Self::open_block)?;
        }
        if let Err(error) = encode(&mut self.buffer) {
            self.failed = true;
            return Err(self.locate(error));
        }
        self.block_entries = self.block_entries.saturating_add(1);
        if self.buffer.len().saturating_sub(self.block_start) >= self.block_bytes.saturating_add(BLOCK_HEADER_BYTES) {
            return self.guard(Self::close_block);
        }
        Ok(())
    }

    /// Ends the section. `None` if it has no entries; then nothing was written.
    pub fn finish(&mut self) -> Result<Option<SectionSummary>> {
        self.guard(|writer| {
            writer.close_block()?;
            let mut open = writer.section.take().ok_or_else(no_section)?;
            if !open.state_open {
                open.states.pop();
            }
            if !open.header_written {
                return Ok(None);
            }
            let entries = open.states.iter().fold(0u64, |sum, state| sum.saturating_add(state.entries));
            let start = writer.buffer.len();
            writer.buffer.u8(END);
            writer.buffer.length(open.states.len());
            writer.buffer.varint(open.blocks);
            writer.buffer.varint(entries);
            seal(&mut writer.buffer, &mut open.crc, start);
            open.hasher.update(since(&writer.buffer, open.hashed));
            let summary = SectionSummary {
                owner: open.owner,
                offset: open.offset,
                length: writer.position().saturating_sub(open.offset),
                checksum: open.hasher.value(),
                entries,
                states: open.states,
            };
            writer.hand_over_if_full()?;
            Ok(Some(summary))
        })
    }

    /// Gives the sink what it has not got yet, and returns it.
    pub fn close(mut self) -> Result<S> {
        self.guard(|writer| {
            if let Some(open) = &writer.section {
                return Err(Error::internal(format!("the section of {} is not finished", open.owner)));
            }
            writer.hand_over()
        })?;
        Ok(self.sink)
    }

    /// Refuses work after an error, and remembers a new one.
    fn guard<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.failed {
            return Err(Error::internal("a section writer was used again after an error"));
        }
        let done = work(self);
        self.failed = done.is_err();
        done.map_err(|error| self.locate(error))
    }

    fn locate(&self, error: Error) -> Error {
        let Some(open) = &self.section else { return error };
        let error = open.owner.place(error);
        match open.states.last() {
            Some(state) => error.in_state(&state.name),
            None => error,
        }
    }

    fn open_block(&mut self) -> Result<()> {
        let open = self.section.as_mut().ok_or_else(no_section)?;
        let state = open.states.last().ok_or_else(|| Error::internal("an entry was written before any state"))?;
        if !open.header_written {
            let start = self.buffer.len();
            self.buffer.raw(header(self.format, self.operator, open.number).as_slice());
            let crc = open.crc.next(&[]);
            self.buffer.u32(crc);
            debug_assert_eq!(self.buffer.len().saturating_sub(start), super::HEADER_BYTES);
            open.header_written = true;
        }
        if !open.state_open {
            let start = self.buffer.len();
            self.buffer.u8(STATE);
            self.buffer.u8(open.kind.tag());
            self.buffer.str(&state.name);
            seal(&mut self.buffer, &mut open.crc, start);
            open.state_open = true;
        }
        self.block_start = self.buffer.len();
        self.block_entries = 0;
        self.block_open = true;
        self.buffer.raw(&[0; BLOCK_HEADER_BYTES]);
        Ok(())
    }

    fn close_block(&mut self) -> Result<()> {
        if !self.block_open {
            return Ok(());
        }
        self.block_open = false;
        let open = self.section.as_mut().ok_or_else(no_section)?;
        let payload = self.block_start.saturating_add(BLOCK_HEADER_BYTES);
        let raw = self.buffer.len().saturating_sub(payload);
        let raw_len = block_length(raw)?;
        if self.block_entries > raw_len.max(1) {
            return Err(Error::internal(format!("{} entries in {raw_len} bytes", self.block_entries)));
        }
        let compression = compress(self.compression, &mut self.buffer, payload)?;
        let stored_len = block_length(self.buffer.len().saturating_sub(payload))?;
        let mut header = Writer::with_capacity(BLOCK_HEADER_BYTES);
        header.u8(BLOCK);
        header.u8(compression.tag());
        header.u32(self.block_entries);
        header.u32(raw_len);
        header.u32(stored_len);
        self.buffer.patch(self.block_start, header.as_slice());
        seal(&mut self.buffer, &mut open.crc, self.block_start);
        open.blocks = open.blocks.saturating_add(1);
        if let Some(state) = open.states.last_mut() {
            state.entries = state.entries.saturating_add(u64::from(self.block_entries));
            state.bytes = state.bytes.saturating_add(u64::from(raw_len));
        }
        self.hand_over_if_full()
    }

    fn hand_over_if_full(&mut self) -> Result<()> {
        if self.buffer.len() >= HAND_OVER_BYTES { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<()> {
        if let Some(open) = &mut self.section {
            open.hasher.update(since(&self.buffer, open.hashed));
            open.hashed = 0;
        }
        self.sink.write(self.buffer.as_slice())?;
        self.handed_over = self.position();
        self.buffer.clear();
        Ok(())
    }
}

#[cold]
fn no_section() -> Error {
    Error::internal("no section is open")
}

fn length(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn block_length(len: usize) -> Result<u32> {
    u32::try_from(len)
        .map_err(|_| Error::invalid_input(format!("an entry makes a block of {len} bytes, at most {} fit", u32::MAX)))
}

fn since(buffer: &Writer, start: usize) -> &[u8] {
    buffer.as_slice().get(start..).unwrap_or_default()
}

/// The header up to its CRC.
fn header(format: FormatId, operator: OperatorId, owner: u16) -> Writer {
    let mut header = Writer::with_capacity(super::HEADER_BYTES);
    preamble::write(format, &mut header);
    header.raw(&operator.0);
    header.u16(owner);
    header
}

/// Appends the CRC of the record that began at `start`.
fn seal(buffer: &mut Writer, crc: &mut RecordCrc, start: usize) {
    let value = crc.next(since(buffer, start));
    buffer.u32(value);
}

/// Replaces the payload at the end of `buffer` by its compressed form if that is smaller and not suspiciously small.
fn compress(compression: Compression, buffer: &mut Writer, payload: usize) -> Result<Compression> {
    let raw = since(buffer, payload);
    if compression == Compression::None || raw.len() > Limits::SAFE.compressed_block_bytes {
        return Ok(Compression::None);
    }
    let stored = compression.compress(raw)?;
    if !Limits::SAFE.allows_compressed(raw.len(), stored.len()) {
        return Ok(Compression::None);
    }
    buffer.truncate(payload);
    buffer.raw(&stored);
    Ok(compression)
}
