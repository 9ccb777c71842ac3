use std::borrow::Cow;

use super::{BLOCK, END, Owner, RecordCrc, STATE, SectionId, check_crc};
use crate::codec::checksum::Xxh3;
use crate::codec::{Compression, Reader};
use crate::error::{Error, Result};
use crate::format::record::StateKind;
use crate::format::{FormatId, Limits, preamble};
use crate::ids::{OperatorId, check_name};

/// [`BLOCK_HEADER_BYTES`] as an offset.
const BLOCK_HEADER: u64 = 14;

/// Entries of one state, as one block stored them.
#[derive(Debug, Clone)]
pub struct Block<'a> {
    /// Which section the block belongs to.
    pub section: SectionId,
    /// Name of the state.
    pub state: &'a str,
    /// Kind of the state.
    pub kind: StateKind,
    /// Whether this is the first block of the state.
    pub is_first: bool,
    /// Number of entries, at least one.
    pub entries: u32,
    /// The entries; borrowed from the section where the block is not compressed.
    pub payload: Cow<'a, [u8]>,
    /// Where the block's record begins.
    pub offset: u64,
    /// How the payload was stored.
    pub compression: Compression,
    /// Length of the payload as it was stored, in bytes.
    pub stored_bytes: u32,
}

impl Block<'_> {
    /// A reader of the payload. Pass its errors through [`locate`](Self::locate).
    pub fn reader(&self) -> Reader<'_> {
        let base = match self.compression {
            Compression::None => self.offset.saturating_add(BLOCK_HEADER),
            _ => 0,
        };
        Reader::with_base(&self.payload, base)
    }

    /// Adds to an error about this block's entries where the block is. For a compressed block the offset becomes that
    /// of the block, since an offset inside its raw form leads nowhere.
    pub fn locate(&self, error: Error) -> Error {
        let error = match self.compression {
            Compression::None => error.at_offset(self.offset),
            _ => error.moved_to(self.offset),
        };
        self.section.owner.place(error).in_state(self.state).in_format(self.section.format.v1())
    }
}

/// Reads the blocks of one section.
///
/// Every record is checked when it is reached: order, counts, checksums, limits; the end record, the absence of further
/// bytes, and the checksum of the whole (if one was given) when the last block has been taken. So a section is known to
/// be intact only after the iterator has returned `None` without an error before. Nothing is read after an error.
///
/// Memory: one compressed block at a time; blocks that are not compressed are borrowed.
pub struct SectionReader<'a> {
    id: SectionId,
    limits: Limits,
    input: Reader<'a>,
    crc: RecordCrc,
    checksum: Option<(u64, Xxh3)>,
    state: Option<OpenState<'a>>,
    states: u64,
    blocks: u64,
    entries: u64,
    done: bool,
}

#[derive(Clone, Copy)]
struct OpenState<'a> {
    name: &'a str,
    kind: StateKind,
    blocks: u64,
}

impl<'a> SectionReader<'a> {
    /// Reads `bytes`, exactly one section, which begins at offset `base` of its object. The header is judged at once.
    pub fn new(bytes: &'a [u8], base: u64, id: SectionId) -> Result<Self> {
        let mut input = Reader::with_base(bytes, base);
        let crc = read_header(&mut input, id)
            .map_err(|error| id.owner.place(error.at_offset(base)).in_format(id.format.v1()))?;
        Ok(SectionReader {
            id,
            limits: Limits::SAFE,
            input,
            crc,
            checksum: None,
            state: None,
            states: 0,
            blocks: 0,
            entries: 0,
            done: false,
        })
    }

    /// Uses other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Also compares the XXH3-64 of the section with the one its index has; ask before the first block.
    #[must_use]
    pub fn with_checksum(mut self, checksum: u64) -> Self {
        let mut hasher = Xxh3::new();
        hasher.update(self.input.since(0));
        self.checksum = Some((checksum, hasher));
        self
    }

    /// Entries seen so far; all of them once the iterator has ended.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    fn next_block(&mut self) -> Result<Option<Block<'a>>> {
        loop {
            let start = self.input.clone();
            let block = match self.input.u8("record tag")? {
                STATE => self.read_state(&start)?,
                BLOCK => Some(self.read_block(&start).map_err(|error| self.in_state(error))?),
                END => return self.read_end(&start).map_err(|error| self.in_state(error)).map(|()| None),
                other => {
                    let error = start.corrupt("record tag", format!("is {other}, expected 1, 2 or 3"));
                    return Err(self.in_state(error));
                }
            };
            self.hash(&start);
            if block.is_some() {
                return Ok(block);
            }
        }
    }

    /// Checks the CRC of the record that began at `start`, and reads past it.
    fn check(&mut self, start: &Reader<'_>) -> Result<()> {
        let record = self.input.since(start.position());
        check_crc(&mut self.crc, &mut self.input, record)
    }

    fn hash(&mut self, start: &Reader<'_>) {
        if let Some((_, hasher)) = &mut self.checksum {
            hasher.update(self.input.since(start.position()));
        }
    }

    fn read_state(&mut self, start: &Reader<'_>) -> Result<Option<Block<'a>>> {
        let tag = self.input.u8("state kind")?;
        let name = self.input.str("state name")?;
        self.check(start)?;
        let kind = StateKind::from_tag(tag)
            .filter(|kind| kind.is_keyed() == (self.id.format != FormatId::Operator))
            .ok_or_else(|| start.corrupt("state kind", format!("{tag} is no kind of {} state", self.id.format)))?;
        if name.len() > self.limits.name_bytes {
            return Err(
                start.corrupt("state name", format!("{} bytes, at most {} fit", name.len(), self.limits.name_bytes))
            );
        }
        check_name("state name", name).map_err(|error| start.corrupt("state name", error.message()))?;
        if let Some(last) = self.state {
            if last.blocks == 0 {
                return Err(start.corrupt("record tag", format!("state {:?} has no block", last.name)));
            }
            if last.name >= name {
                return Err(start.corrupt("state name", format!("{name:?} must not follow {:?}", last.name)));
            }
        }
        self.state = Some(OpenState { name, kind, blocks: 0 });
        self.states = self.states.saturating_add(1);
        Ok(None)
    }

    fn read_block(&mut self, start: &Reader<'_>) -> Result<Block<'a>> {
        let compression = self.input.u8("compression")?;
        let entries = self.input.u32("entries")?;
        let raw_len = self.input.u32("raw length")?;
        let stored_bytes = self.input.u32("stored length")?;
        let stored = self.input.raw(to_usize(stored_bytes), "payload")?;
        self.check(start)?;
        let state = self.state.as_mut().ok_or_else(|| start.corrupt("record tag", "a block comes before any state"))?;
        let is_first = state.blocks == 0;
        state.blocks = state.blocks.saturating_add(1);
        self.blocks = self.blocks.saturating_add(1);
        self.entries = self.entries.saturating_add(u64::from(entries));
        if entries == 0 || entries > raw_len.max(1) {
            return Err(start.corrupt("entries", format!("count is {entries} in {raw_len} bytes")));
        }
        let compression = Compression::from_tag(compression)
            .ok_or_else(|| start.corrupt("compression", format!("{compression} is no codec")))?;
        let (state, kind) = (state.name, state.kind);
        let payload = self.expand(compression, stored, to_usize(raw_len), start)?;
        let (section, offset) = (self.id, start.offset());
        Ok(Block { section, state, kind, is_first, entries, payload, offset, compression, stored_bytes })
    }

    fn expand(
        &self,
        compression: Compression,
        stored: &'a [u8],
        raw_len: usize,
        start: &Reader<'_>,
    ) -> Result<Cow<'a, [u8]>> {
        if compression == Compression::None {
            return match stored.len() == raw_len {
                true => Ok(Cow::Borrowed(stored)),
                false => {
                    Err(start.corrupt("raw length", format!("is {raw_len}, but {} bytes are stored", stored.len())))
                }
            };
        }
        if !self.limits.allows_compressed(raw_len, stored.len()) {
            let message = format!("a block of {} bytes must not expand to {raw_len}", stored.len());
            return Err(start.corrupt("raw length", message));
        }
        let raw = compression.decompress(stored, raw_len);
        raw.map(Cow::Owned).map_err(|error| error.at_offset(start.offset()).in_field("payload"))
    }

    fn read_end(&mut self, start: &Reader<'_>) -> Result<()> {
        let states = self.input.varint("states")?;
        let blocks = self.input.varint("blocks")?;
        let entries = self.input.varint("entries")?;
        self.check(start)?;
        self.hash(start);
        match self.state {
            None => return Err(start.corrupt("record tag", "a section without states")),
            Some(OpenState { name, blocks: 0, .. }) => {
                return Err(start.corrupt("record tag", format!("state {name:?} has no block")));
            }
            Some(_) => {}
        }
        for (field, stored, counted) in
            [("states", states, self.states), ("blocks", blocks, self.blocks), ("entries", entries, self.entries)]
        {
            if stored != counted {
                return Err(start.corrupt(field, format!("count is {stored}, but {counted} came")));
            }
        }
        self.input.clone().finish("section")?;
        match &self.checksum {
            Some((expected, hasher)) if hasher.value() != *expected => Err(start.corrupt(
                "section checksum",
                format!("the section gives {:016x}, its index says {expected:016x}", hasher.value()),
            )),
            _ => Ok(()),
        }
    }

    /// Adds the state whose blocks are being read. Not done for damage inside the next state's header.
    fn in_state(&self, error: Error) -> Error {
        match self.state {
            Some(state) => error.in_state(state.name),
            None => error,
        }
    }
}

impl<'a> Iterator for SectionReader<'a> {
    type Item = Result<Block<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next =
            self.next_block().map_err(|error| self.id.owner.place(error).in_format(self.id.format.v1())).transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Reads and judges the header; returns the CRC for the records that follow.
fn read_header(input: &mut Reader<'_>, id: SectionId) -> Result<RecordCrc> {
    id.owner.check_format(id.format)?;
    let start = input.clone();
    match preamble::read(id.format, input)? {
        1 => {}
        other => return Err(Error::internal(format!("no reader for {} version {other}", id.format))),
    }
    let operator = OperatorId(read_id(input)?);
    let owner = input.u16("owner")?;
    let header = input.since(start.position());
    let mut crc = RecordCrc::new(header);
    check_crc(&mut crc, input, &[])?;
    if operator != id.operator {
        let message = format!("the section belongs to operator {operator}, expected {}", id.operator);
        return Err(start.corrupt("operator id", message));
    }
    if owner != id.owner.number()? {
        let what = match id.owner {
            Owner::KeyGroup(_) => "key group",
            Owner::Subtask(_) => "subtask",
        };
        return Err(start.corrupt("owner", format!("the section belongs to {what} {owner}, expected {}", id.owner)));
    }
    Ok(crc)
}

fn read_id(input: &mut Reader<'_>) -> Result<[u8; 16]> {
    let at = input.clone();
    let bytes = input.raw(16, "operator id")?;
    <[u8; 16]>::try_from(bytes).map_err(|error| at.corrupt("operator id", "is not 16 bytes").because(error))
}
