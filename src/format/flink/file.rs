use super::entry::KeyedEntry;
use super::header::KeyedHeader;
use super::metadata::{KeyGroupsBody, KeyGroupsHandle};
use super::{heap, keyed};
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::key_group::{KeyGroup, MaxParallelism};

/// A file of keyed state, canonical or native heap, whichever its handle leads to.
#[derive(Debug, Clone)]
pub struct KeyedFile<'a> {
    header: KeyedHeader,
    native: bool,
    max: MaxParallelism,
    extents: Vec<(KeyGroup, u64, u64)>,
    bytes: &'a [u8],
}

impl<'a> KeyedFile<'a> {
    /// Opens a file: `bytes` is the whole stream of the handle. Reads the header only.
    ///
    /// A handle that does not say what its stream holds is judged by the stream. A length other than the handle's is
    /// damage.
    pub fn open(handle: &KeyGroupsHandle, max: MaxParallelism, bytes: &'a [u8]) -> Result<Self> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size != handle.stream.size() {
            let message = format!("the stream has {size} bytes, its handle says {}", handle.stream.size());
            return Err(Error::corrupt(message).in_field("keyed state stream"));
        }
        let header = KeyedHeader::read(&mut Reader::new(bytes))?;
        let native = match handle.body {
            KeyGroupsBody::Canonical => false,
            KeyGroupsBody::Native => true,
            KeyGroupsBody::Unspecified => heap::is_native(&handle.offsets, bytes),
        };
        Ok(KeyedFile { header, native, max, extents: handle.offsets.extents(size), bytes })
    }

    /// The states and their serializers.
    pub fn header(&self) -> &KeyedHeader {
        &self.header
    }

    /// Whether the file is one of the heap backend's own, not a canonical one.
    pub fn is_native(&self) -> bool {
        self.native
    }

    /// The key groups that have bytes, in ascending order.
    pub fn groups(&self) -> impl Iterator<Item = KeyGroup> {
        self.extents.iter().map(|(group, ..)| *group)
    }

    /// Decodes the file entry by entry, key group by key group, and hands over each with its key group and the position
    /// of its state in the header. Memory is that of one key group, where the file is compressed, and of one entry.
    ///
    /// Stops at the first error, of the file or of `visit`. A state that is not known is
    /// [`Incompatible`](crate::ErrorKind::Incompatible); [`keyed::Entries`] steps over those of canonical files.
    pub fn visit(&self, mut visit: impl FnMut(KeyGroup, u16, KeyedEntry) -> Result<()>) -> Result<()> {
        for (group, start, end) in &self.extents {
            let block = self.block(*start, *end)?;
            if self.native {
                let block = heap::Block::open(&self.header, *group, self.max, block, *start)?;
                for entry in block.entries(&self.header) {
                    let (state_id, entry) = entry?;
                    visit(*group, state_id, entry)?;
                }
            } else {
                let block = keyed::Block::open(&self.header, *group, self.max, block, *start)?;
                for entry in block.entries(&self.header) {
                    let entry = entry?;
                    let decoded = entry.decode(&self.header).map_err(|error| error.in_key_group(group.0))?;
                    visit(*group, entry.state_id, decoded)?;
                }
            }
        }
        Ok(())
    }

    fn block(&self, start: u64, end: u64) -> Result<&'a [u8]> {
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        range.and_then(|(start, end)| self.bytes.get(start..end)).ok_or_else(|| {
            Error::corrupt(format!("{start} to {end} is outside of the file, which has {} bytes", self.bytes.len()))
                .in_field("key-group offset")
        })
    }
}
