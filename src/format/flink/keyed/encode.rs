//! Writing canonical files.

use super::{END_OF_BLOCK, LAST_OF_RUN, LIST_DELIMITER, prefix_length};
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::flink::header::KeyedHeader;
use crate::format::flink::serializer::Snapshot;
use crate::format::flink::snappy::Framed;
use crate::format::flink::write::WritePrimitives;
use crate::key_group::{KeyGroup, MaxParallelism};

/// Writes the block of one key group, entry by entry.
///
/// Entries of a state should follow one another: each change of state costs two bytes. Their order is the caller's;
/// RocksDB sorts the entries of a state by key. Memory is that of the bytes nobody has [taken](Self::take) yet and of one
/// entry.
#[derive(Debug)]
pub struct BlockWriter {
    prefix: Vec<u8>,
    /// How many states the file has.
    ids: usize,
    /// The entry that is not written yet, because what follows it decides its mark.
    last: Writer,
    state_id: Option<u16>,
    out: Framed,
}

impl BlockWriter {
    /// A writer for the block of a key group of a file with this header.
    ///
    /// Fails with [`InvalidInput`](crate::ErrorKind::InvalidInput) where the key group does not exist, and with
    /// [`Incompatible`](crate::ErrorKind::Incompatible) where the file is compressed and this build cannot compress.
    pub fn new(header: &KeyedHeader, group: KeyGroup, max: MaxParallelism) -> Result<Self> {
        if u32::from(group.0) >= max.get() {
            let message = format!("key group {group} does not exist, the max parallelism is {max}");
            return Err(Error::invalid_input(message));
        }
        let [high, low] = group.0.to_be_bytes();
        let prefix = if prefix_length(max) == 1 { vec![low] } else { vec![high, low] };
        let out = Framed::new(header.compressed)?;
        Ok(BlockWriter { prefix, ids: header.ids(), last: Writer::new(), state_id: None, out })
    }

    /// Appends an entry. `key` is the composite key without the key group in front.
    pub fn entry(&mut self, state_id: u16, key: &[u8], value: &[u8]) -> Result<()> {
        if self.state_id != Some(state_id) {
            if usize::from(state_id) >= self.ids {
                let message = format!("state {state_id} does not exist, the file has {} states", self.ids);
                return Err(Error::invalid_input(message));
            }
            self.end_run(state_id)?;
            self.state_id = Some(state_id);
        } else {
            self.out.write(self.last.as_slice())?;
        }
        self.last.clear();
        self.last.items(self.prefix.len().saturating_add(key.len()), "key")?;
        self.last.raw(&self.prefix);
        self.last.raw(key);
        self.last.bytes32(value, "value")
    }

    /// Writes the last entry of a run, if there is one, and what follows it.
    fn end_run(&mut self, next: u16) -> Result<()> {
        if let Some([first, ..]) = self.last.as_slice().get(4..) {
            let marked = first | LAST_OF_RUN;
            self.last.patch(4, &[marked]);
            self.out.write(self.last.as_slice())?;
        }
        self.out.write(&next.to_be_bytes())
    }

    /// The bytes that are ready, which then count as written.
    pub fn take(&mut self) -> Vec<u8> {
        self.out.take()
    }

    /// Number of bytes that are ready.
    pub fn ready(&self) -> usize {
        self.out.ready()
    }

    /// Ends the block and gives the bytes that are not taken yet; `None` if there was no entry, so that nothing is to be
    /// written and the key group has no position.
    pub fn finish(mut self) -> Result<Option<Vec<u8>>> {
        if self.state_id.is_none() {
            return Ok(None);
        }
        self.end_run(END_OF_BLOCK)?;
        self.out.finish().map(Some)
    }
}

/// The parts of a composite key, each as its serializer writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyBytes<'k> {
    /// Key.
    pub key: &'k [u8],
    /// Namespace.
    pub namespace: &'k [u8],
    /// The user's key of map state; empty elsewhere.
    pub user_key: &'k [u8],
}

impl KeyBytes<'_> {
    /// Appends the composite key, without the key group in front (`SerializedCompositeKeyBuilder`). Lengths follow key and
    /// namespace where both serializers have variable lengths.
    pub fn write(&self, key: &Snapshot, namespace: &Snapshot, out: &mut Writer) {
        let measured = key.declared_length().is_none() && namespace.declared_length().is_none();
        for part in [self.key, self.namespace] {
            out.raw(part);
            if measured {
                write_length(part.len(), out);
            }
        }
        out.raw(self.user_key);
    }
}

/// Base 256, least significant byte first, no terminator.
fn write_length(length: usize, out: &mut Writer) {
    let mut left = length;
    loop {
        out.u8(u8::try_from(left & 0xFF).unwrap_or(u8::MAX));
        left >>= 8;
        if left == 0 {
            return;
        }
    }
}

/// Appends the next element of a list that began at position `start` of `out`: a delimiter precedes all but the first.
pub fn write_element(start: usize, element: &[u8], out: &mut Writer) {
    if out.len() > start {
        out.u8(LIST_DELIMITER);
    }
    out.raw(element);
}

/// Appends the value of a map entry; `None` is null.
pub fn write_map_value(value: Option<&[u8]>, out: &mut Writer) {
    out.bool(value.is_none());
    out.raw(value.unwrap_or_default());
}
