//! Neutral entries as stored by the canonical and the operator format: length and key, length and value.
//!
//! Keys ascend strictly by their bytes within a state, which makes equal state equal bytes. List and union operator
//! state have no keys; there the order is the user's, and every key is empty.

use super::FormatId;
use super::record::StateKind;
use super::section::{Block, Owner, SectionSummary, SectionWriter, Sink};
use crate::codec::{Compression, Reader, Writer};
use crate::error::{Error, Result};
use crate::ids::OperatorId;

/// Whether the entries of a kind are sorted by key.
const fn is_sorted(kind: StateKind) -> bool {
    !matches!(kind, StateKind::OperatorList | StateKind::OperatorUnion)
}

/// Writes sections of neutral entries. The calls are those of [`SectionWriter`], and so is what happens on errors.
pub struct PairWriter<S> {
    sections: SectionWriter<S>,
    order: Order,
    scratch: Writer,
}

/// The last key of a state.
#[derive(Default)]
struct Order {
    kind: Option<StateKind>,
    last: Vec<u8>,
    any: bool,
}

impl Order {
    fn start(&mut self, kind: StateKind) {
        self.kind = Some(kind);
        self.any = false;
    }

    /// Whether the key may come next.
    #[inline]
    fn accepts(&self, key: &[u8]) -> bool {
        match self.kind {
            Some(kind) if !is_sorted(kind) => key.is_empty(),
            _ => !self.any || self.last.as_slice() < key,
        }
    }

    #[inline]
    fn remember(&mut self, key: &[u8]) {
        self.any = true;
        self.last.clear();
        self.last.extend_from_slice(key);
    }

    fn reason(&self) -> &'static str {
        match self.kind {
            Some(kind) if !is_sorted(kind) => "an element of operator list state must not have a key",
            _ => "keys must ascend strictly by their bytes",
        }
    }
}

impl<S: Sink> PairWriter<S> {
    /// A writer of sections of one operator; `format` is one that stores neutral entries.
    pub(super) fn new(sink: S, format: FormatId, operator: OperatorId, compression: Compression) -> Self {
        PairWriter {
            sections: SectionWriter::new(sink, format, operator, compression),
            order: Order::default(),
            scratch: Writer::new(),
        }
    }

    /// Bytes written so far, by all sections.
    pub fn position(&self) -> u64 {
        self.sections.position()
    }

    /// Starts a section.
    pub fn begin(&mut self, owner: Owner) -> Result<()> {
        self.sections.begin(owner)
    }

    /// Starts the next state; names must ascend.
    pub fn begin_state(&mut self, name: &str, kind: StateKind) -> Result<()> {
        self.order.start(kind);
        self.sections.begin_state(name, kind)
    }

    /// Writes an entry. A key that is not above the one before is [`InvalidInput`](crate::ErrorKind::InvalidInput).
    #[inline]
    pub fn pair(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let order = &mut self.order;
        self.sections.entry(|out| {
            if !order.accepts(key) {
                return Err(Error::invalid_input(order.reason()));
            }
            order.remember(key);
            out.bytes(key);
            out.bytes(value);
            Ok(())
        })
    }

    /// Writes an entry whose value `encode` appends.
    #[inline]
    pub fn pair_with(&mut self, key: &[u8], encode: impl FnOnce(&mut Writer) -> Result<()>) -> Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let done = encode(&mut scratch).and_then(|()| self.pair(key, scratch.as_slice()));
        self.scratch = scratch;
        done
    }

    /// Ends the section. `None` if it has no entries; then nothing was written.
    pub fn finish(&mut self) -> Result<Option<SectionSummary>> {
        self.sections.finish()
    }

    /// Gives the sink what it has not got yet, and returns it.
    pub fn close(self) -> Result<S> {
        self.sections.close()
    }
}

/// Reads the neutral entries of a section block by block, and checks their order across blocks.
#[derive(Default)]
pub struct PairReader {
    order: Order,
}

impl PairReader {
    /// A reader for one section.
    pub fn new() -> Self {
        Self::default()
    }

    /// The entries of the next block. Blocks must be given in order, and each iterator be driven to its end.
    pub fn pairs<'b>(&'b mut self, block: &'b Block<'_>) -> Pairs<'b> {
        if block.is_first {
            self.order.start(block.kind);
        }
        let input = block.reader();
        Pairs { block, order: &mut self.order, last: None, left: block.entries, input, failed: false }
    }
}

/// The entries of one block.
pub struct Pairs<'b> {
    block: &'b Block<'b>,
    order: &'b mut Order,
    /// The key before, where it was in the same block.
    last: Option<&'b [u8]>,
    left: u32,
    input: Reader<'b>,
    failed: bool,
}

impl<'b> Pairs<'b> {
    /// Entries that are still to come.
    pub fn left(&self) -> u32 {
        self.left
    }

    fn read(&mut self) -> Result<(&'b [u8], &'b [u8])> {
        let start = self.input.clone();
        let key = self.input.bytes("key")?;
        let accepted = match self.last {
            Some(last) if is_sorted(self.block.kind) => last < key,
            _ => self.order.accepts(key),
        };
        if !accepted {
            return Err(start.corrupt("key", self.order.reason()));
        }
        let value = self.input.bytes("value")?;
        self.last = Some(key);
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.order.remember(key);
            self.input.clone().finish("block")?;
        }
        Ok((key, value))
    }
}

impl<'b> Iterator for Pairs<'b> {
    type Item = Result<(&'b [u8], &'b [u8])>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 || self.failed {
            return None;
        }
        let pair = self.read();
        self.failed = pair.is_err();
        Some(pair.map_err(|error| self.block.locate(error)))
    }
}
