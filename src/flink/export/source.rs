//! Keyed state, entry by entry as canonical files have them, wherever it comes from.

use super::super::changelog::{self, Changelog};
#[cfg(feature = "rocksdb")]
use super::super::database::DatabaseFiles;
use super::super::files::Stream;
use super::super::reader::SnapshotReader;
use super::super::timers::TimerFile;
use super::own::OwnKeyed;
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::flink::header::KeyedHeader;
use crate::format::flink::metadata::{KeyGroupsBody, KeyGroupsHandle, KeyedHandle};
use crate::format::flink::{Content, KeyedEntry, Value, heap, keyed};
use crate::key_group::{KeyGroup, KeyGroupRange, MaxParallelism};

/// Takes a state's position in the header, a composite key without the key group in front, and a value.
pub(in crate::flink) type PairVisitor<'v> = dyn FnMut(u16, &[u8], &[u8]) -> Result<()> + 'v;

/// The keyed state behind one handle, or of one operator of ours.
pub(in crate::flink) struct Part<'a> {
    pub(in crate::flink) range: KeyGroupRange,
    pub(in crate::flink) header: KeyedHeader,
    max: MaxParallelism,
    body: Body<'a>,
}

enum Body<'a> {
    Canonical {
        stream: Stream,
        extents: Vec<(KeyGroup, u64, u64)>,
    },
    Native {
        stream: Stream,
        extents: Vec<(KeyGroup, u64, u64)>,
    },
    Timers(Box<TimerFile>),
    #[cfg(feature = "rocksdb")]
    Database(DatabaseFiles<'a>),
    Changelog(Box<Changelog<'a>>),
    Own(OwnKeyed<'a>),
}

impl<'a> Part<'a> {
    /// Opens state of a backend. Reads the header only.
    ///
    /// State that cannot be read entry by entry is [`Incompatible`](crate::ErrorKind::Incompatible).
    pub(in crate::flink) fn managed(
        reader: &'a SnapshotReader,
        max: MaxParallelism,
        handle: &'a KeyedHandle,
    ) -> Result<Self> {
        let range = handle.range();
        match handle {
            KeyedHandle::KeyGroups(handle) => {
                let stream = reader.stream(&handle.stream)?;
                let (header, body) = file(handle, stream)?;
                Ok(Part { range, header, max, body })
            }
            #[cfg(feature = "rocksdb")]
            KeyedHandle::Incremental(handle) => {
                let scratch = reader.scratch().map_err(Error::incompatible)?;
                let stream = reader.stream(&handle.meta)?;
                let header = KeyedHeader::read_all(stream.as_ref()).map_err(|error| stream.locate(error))?;
                let files = DatabaseFiles::new(reader, handle, scratch, max, header.clone());
                Ok(Part { range, header, max, body: Body::Database(files) })
            }
            #[cfg(not(feature = "rocksdb"))]
            KeyedHandle::Incremental(_) => {
                Err(Error::incompatible("the state lies in files of RocksDB; build with the feature `rocksdb`"))
            }
            KeyedHandle::Changelog(handle) => {
                let log = Changelog::open(reader, max, handle)?;
                if let Some(reason) = log.closed() {
                    return Err(Error::incompatible(reason));
                }
                Ok(Part { range, header: log.header().clone(), max, body: Body::Changelog(Box::new(log)) })
            }
        }
    }

    /// Opens timers that are raw keyed state, as the queues that managed ones would be.
    pub(in crate::flink) fn raw(reader: &SnapshotReader, max: MaxParallelism, handle: &KeyedHandle) -> Result<Self> {
        let KeyedHandle::KeyGroups(handle) = handle else {
            return Err(Error::incompatible("raw keyed state behind a handle of a database"));
        };
        let timers = TimerFile::open(handle, max, reader.stream(&handle.stream)?)?;
        let header = timers.header().clone();
        Ok(Part { range: handle.offsets.range(), header, max, body: Body::Timers(Box::new(timers)) })
    }

    /// The keyed state of an operator of ours.
    pub(super) fn own(header: KeyedHeader, own: OwnKeyed<'a>, max: MaxParallelism) -> Self {
        Part { range: max.all_groups(), header, max, body: Body::Own(own) }
    }

    /// Lets the parts of an operator tell each other how keys are serialized, which logs do not say.
    pub(in crate::flink) fn settle_keys(parts: &mut [Part<'_>]) -> Result<()> {
        let known = parts.iter().find_map(|part| part.header.key.clone());
        let mut logs = Vec::new();
        for part in parts.iter_mut() {
            if let Body::Changelog(log) = &mut part.body {
                logs.push(&mut **log);
            }
        }
        changelog::settle_keys(known.as_ref(), &mut logs)?;
        for Part { header, body, .. } in parts {
            if let Body::Changelog(log) = body {
                header.key.clone_from(&log.header().key);
            }
        }
        Ok(())
    }

    /// Bytes of what the handle leads to, as they are stored.
    pub(in crate::flink) fn bytes(&self) -> u64 {
        match &self.body {
            Body::Canonical { stream, .. } | Body::Native { stream, .. } => {
                u64::try_from(stream.as_ref().len()).unwrap_or(u64::MAX)
            }
            #[cfg(feature = "rocksdb")]
            Body::Database(files) => files.bytes(),
            Body::Changelog(log) => log.bytes(),
            Body::Timers(_) | Body::Own(_) => 0,
        }
    }

    /// Lets go of what was opened for reading entries, which is opened again when it is needed.
    pub(in crate::flink) fn close(&self) {
        match &self.body {
            #[cfg(feature = "rocksdb")]
            Body::Database(files) => files.close(),
            Body::Changelog(log) => log.close(),
            _ => {}
        }
    }

    /// Gives the entries of a key group to `visit`.
    pub(in crate::flink) fn visit(&self, group: KeyGroup, visit: &mut PairVisitor<'_>) -> Result<()> {
        match &self.body {
            Body::Canonical { stream, extents } => {
                let Some((bytes, start)) = block(stream, extents, group)? else { return Ok(()) };
                self.canonical(group, bytes, start, visit).map_err(|error| stream.locate(error))
            }
            Body::Native { stream, extents } => {
                let Some((bytes, start)) = block(stream, extents, group)? else { return Ok(()) };
                heap::Block::open(&self.header, group, self.max, bytes, start)
                    .and_then(|block| block.entries(&self.header).visit_canonical(&mut *visit))
                    .map_err(|error| stream.locate(error))
            }
            Body::Timers(timers) => self.timers(timers, group, visit),
            #[cfg(feature = "rocksdb")]
            Body::Database(files) => files.visit_stored(group, visit),
            Body::Changelog(log) => log.visit_stored(group, &|_| true, visit),
            Body::Own(own) => own.visit(&self.header, group, visit),
        }
    }

    fn canonical(&self, group: KeyGroup, bytes: &[u8], start: u64, visit: &mut PairVisitor<'_>) -> Result<()> {
        let block = keyed::Block::open(&self.header, group, self.max, bytes, start)?;
        for entry in block.entries(&self.header) {
            let entry = entry?;
            visit(entry.state_id, entry.key, entry.value)?;
        }
        Ok(())
    }

    fn timers(&self, timers: &TimerFile, group: KeyGroup, visit: &mut PairVisitor<'_>) -> Result<()> {
        let mut key_out = Writer::new();
        let mut encode = |id: u16, entry: KeyedEntry| {
            let KeyedEntry { key, namespace, content: Content::Timer { timestamp } } = entry else {
                return Err(Error::internal("a raw timer that is none"));
            };
            let serializer = self.header.state(id).and_then(|state| state.value());
            let serializer = serializer.ok_or_else(|| Error::internal("a timer without a serializer"))?;
            key_out.clear();
            let timer = Value::Timer { timestamp, key: Box::new(key), namespace: Box::new(namespace) };
            serializer.write_value(&timer, &mut key_out)?;
            visit(id, key_out.as_slice(), &[]).map(|()| std::ops::ControlFlow::Continue(()))
        };
        // A block of raw timers goes service by service, so the entries of a state follow one another.
        timers.visit_group(group, &|_| true, &mut encode).map(|_| ())
    }
}

fn file(handle: &KeyGroupsHandle, stream: Stream) -> Result<(KeyedHeader, Body<'static>)> {
    let bytes = stream.as_ref();
    let header = KeyedHeader::read(&mut crate::codec::Reader::new(bytes)).map_err(|error| stream.locate(error))?;
    let native = match handle.body {
        KeyGroupsBody::Canonical => false,
        KeyGroupsBody::Native => true,
        KeyGroupsBody::Unspecified => heap::is_native(&handle.offsets, bytes),
    };
    let extents = handle.offsets.extents(handle.stream.size());
    Ok((header, if native { Body::Native { stream, extents } } else { Body::Canonical { stream, extents } }))
}

/// The bytes of a key group and where they begin.
fn block<'s>(stream: &'s Stream, extents: &[(KeyGroup, u64, u64)], group: KeyGroup) -> Result<Option<(&'s [u8], u64)>> {
    let Ok(position) = extents.binary_search_by_key(&group, |(group, ..)| *group) else { return Ok(None) };
    let Some((_, start, end)) = extents.get(position) else { return Ok(None) };
    let range = usize::try_from(*start).ok().zip(usize::try_from(*end).ok());
    let bytes = range.and_then(|(start, end)| stream.as_ref().get(start..end));
    match bytes {
        Some(bytes) => Ok(Some((bytes, *start))),
        None => Err(stream.locate(Error::corrupt("a key group lies outside of its file").in_key_group(group.0))),
    }
}
