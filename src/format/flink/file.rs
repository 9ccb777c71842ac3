use std::ops::ControlFlow;

use super::entry::KeyedEntry;
use super::header::KeyedHeader;
use super::keyed::{Parts, StateDecoder};
use super::metadata::{KeyGroupsBody, KeyGroupsHandle};
use super::value::{Form, Stored};
use super::{heap, keyed};
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::key_group::{KeyGroup, MaxParallelism};

/// A file of keyed state, canonical or native heap, whichever its handle leads to. `B` holds the bytes.
#[derive(Debug, Clone)]
pub struct KeyedFile<B> {
    header: KeyedHeader,
    header_bytes: u64,
    native: bool,
    max: MaxParallelism,
    extents: Vec<(KeyGroup, u64, u64)>,
    bytes: B,
}

/// The bytes of a key group.
enum Group<'f> {
    Native(heap::Block<'f>),
    Canonical(keyed::Block<'f>),
}

/// Takes the position of a state in the header, and an entry.
pub type EntryVisitor<'v> = dyn FnMut(u16, KeyedEntry) -> Result<ControlFlow<()>> + 'v;

/// An entry as it is found: in its parts where those can be told without decoding them, as in canonical files.
#[derive(Debug)]
pub(crate) enum Found<'e> {
    /// Not decoded.
    Stored(StoredEntry<'e>),
    /// Decoded.
    Entry(KeyedEntry),
}

/// An entry as it is stored, and how it can be taken apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredEntry<'e> {
    decoder: &'e StateDecoder<'e>,
    entry: &'e keyed::Entry<'e>,
}

impl<'e> StoredEntry<'e> {
    #[inline]
    pub(crate) fn new(decoder: &'e StateDecoder<'e>, entry: &'e keyed::Entry<'e>) -> Self {
        StoredEntry { decoder, entry }
    }

    /// The parts. The key is checked, see [`StateDecoder::split`].
    #[inline]
    pub(crate) fn parts(self) -> Result<Parts<'e>> {
        self.decoder.split(self.entry)
    }

    /// What an entry of a map holds, without a look at its key; `None` is null.
    #[inline]
    pub(crate) fn map_value(self) -> Result<Option<Stored<'e>>> {
        self.decoder.map_value(self.entry)
    }
}

impl<B: AsRef<[u8]>> KeyedFile<B> {
    /// Opens a file: `bytes` is the whole stream of the handle. Reads the header only.
    ///
    /// A handle that does not say what its stream holds is judged by the stream. A length other than the handle's is
    /// damage.
    pub fn open(handle: &KeyGroupsHandle, max: MaxParallelism, bytes: B) -> Result<Self> {
        let stream = bytes.as_ref();
        let size = u64::try_from(stream.len()).unwrap_or(u64::MAX);
        if size != handle.stream.size() {
            let message = format!("the stream has {size} bytes, its handle says {}", handle.stream.size());
            return Err(Error::corrupt(message).in_field("keyed state stream"));
        }
        let mut input = Reader::new(stream);
        let extents = handle.offsets.extents(size);
        let end = extents.first().map_or(size, |(_, start, _)| *start);
        let header = KeyedHeader::read_until(&mut input, end)?;
        let native = match handle.body {
            KeyGroupsBody::Canonical => false,
            KeyGroupsBody::Native => true,
            KeyGroupsBody::Unspecified => heap::is_native(&handle.offsets, stream),
        };
        let header_bytes = input.offset();
        Ok(KeyedFile { header, header_bytes, native, max, extents, bytes })
    }

    /// The states and their serializers.
    pub fn header(&self) -> &KeyedHeader {
        &self.header
    }

    /// Whether the file is one of the heap backend's own, not a canonical one.
    pub fn is_native(&self) -> bool {
        self.native
    }

    /// The key groups that have bytes, in ascending order, each with the position of its first byte and its length.
    pub fn groups(&self) -> impl Iterator<Item = (KeyGroup, u64, u64)> {
        self.extents.iter().map(|(group, start, end)| (*group, *start, end.saturating_sub(*start)))
    }

    /// Checks that nothing lies between the header and the first key group. A header that could not be read to its end
    /// is not judged.
    pub fn check_layout(&self) -> Result<()> {
        let first = self.extents.first().map(|(_, start, _)| *start);
        let size = u64::try_from(self.bytes.as_ref().len()).unwrap_or(u64::MAX);
        let body = first.unwrap_or(size);
        if self.header.unreadable.is_some() || body == self.header_bytes {
            return Ok(());
        }
        let message = format!("the header ends at {}, the first key group begins at {body}", self.header_bytes);
        Err(Error::corrupt(message).at_offset(body.min(self.header_bytes)).in_field("key-group offset"))
    }

    /// Decodes the file entry by entry, key group by key group, and hands over each with its key group and the position
    /// of its state in the header. Memory is that of one key group, where the file is compressed, and of one entry.
    ///
    /// Stops at the first error, of the file or of `visit`. A state that is not known is
    /// [`Incompatible`](crate::ErrorKind::Incompatible).
    pub fn visit(&self, mut visit: impl FnMut(KeyGroup, u16, KeyedEntry) -> Result<()>) -> Result<()> {
        for (group, ..) in &self.extents {
            let _ = self.visit_group(*group, &|_| true, &mut |state_id, entry| {
                visit(*group, state_id, entry).map(ControlFlow::Continue)
            })?;
        }
        Ok(())
    }

    /// Decodes the entries of one key group that belong to states of which `wanted` is true, until `visit` breaks or
    /// fails. Canonical files step over the others without decoding them; native ones cannot.
    pub fn visit_group(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(u16) -> bool,
        visit: &mut EntryVisitor<'_>,
    ) -> Result<ControlFlow<()>> {
        self.visit_group_as(group, wanted, visit)
    }

    /// As [`visit_group`](Self::visit_group), with values in the form that the caller wants.
    pub(crate) fn visit_group_as<F: Form>(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(u16) -> bool,
        mut visit: impl FnMut(u16, KeyedEntry<F>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        match self.open_group(group)? {
            None => Ok(ControlFlow::Continue(())),
            Some(Group::Native(block)) => self.native_group(&block, wanted, visit),
            Some(Group::Canonical(block)) => self
                .canonical_group(&block, wanted, |decoder, entry| visit(entry.state_id, decoder.decode(entry)?))
                .map_err(|error| error.in_key_group(group.0)),
        }
    }

    /// As [`visit_group`](Self::visit_group), with entries as they are found.
    pub(crate) fn visit_found(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(u16) -> bool,
        mut visit: impl FnMut(u16, Found<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        match self.open_group(group)? {
            None => Ok(ControlFlow::Continue(())),
            Some(Group::Native(block)) => self.native_group(&block, wanted, |id, entry| visit(id, Found::Entry(entry))),
            Some(Group::Canonical(block)) => self
                .canonical_group(&block, wanted, |decoder, entry| {
                    visit(entry.state_id, Found::Stored(StoredEntry::new(decoder, entry)))
                })
                .map_err(|error| error.in_key_group(group.0)),
        }
    }

    fn open_group(&self, group: KeyGroup) -> Result<Option<Group<'_>>> {
        let Ok(position) = self.extents.binary_search_by_key(&group, |(group, ..)| *group) else { return Ok(None) };
        let (_, start, end) = self.extents.get(position).copied().unwrap_or((group, 0, 0));
        let block = self.block(start, end)?;
        Ok(Some(if self.native {
            Group::Native(heap::Block::open(&self.header, group, self.max, block, start)?)
        } else {
            Group::Canonical(keyed::Block::open(&self.header, group, self.max, block, start)?)
        }))
    }

    fn native_group<F: Form>(
        &self,
        block: &heap::Block<'_>,
        wanted: &dyn Fn(u16) -> bool,
        mut visit: impl FnMut(u16, KeyedEntry<F>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        let mut entries = block.entries(&self.header);
        while let Some(entry) = entries.next_as() {
            let (state_id, entry) = entry?;
            if wanted(state_id) && visit(state_id, entry)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn canonical_group(
        &self,
        block: &keyed::Block<'_>,
        wanted: &dyn Fn(u16) -> bool,
        mut visit: impl FnMut(&StateDecoder<'_>, &keyed::Entry<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        // Entries of a state follow one another.
        let mut current: Option<(u16, Option<StateDecoder<'_>>)> = None;
        for entry in block.entries(&self.header) {
            let entry = entry?;
            let decoder = match &current {
                Some((id, decoder)) if *id == entry.state_id => decoder,
                _ => {
                    let wanted = wanted(entry.state_id);
                    let decoder = wanted.then(|| StateDecoder::of(&self.header, entry.state_id)).transpose()?;
                    &current.insert((entry.state_id, decoder)).1
                }
            };
            let Some(decoder) = decoder else { continue };
            if visit(decoder, &entry)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn block(&self, start: u64, end: u64) -> Result<&[u8]> {
        let bytes = self.bytes.as_ref();
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        range.and_then(|(start, end)| bytes.get(start..end)).ok_or_else(|| {
            Error::corrupt(format!("{start} to {end} is outside of the file, which has {} bytes", bytes.len()))
                .in_field("key-group offset")
        })
    }
}
