//! Keyed state in files of RocksDB. Feature `rocksdb`.

use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::export::PairVisitor;
use super::reader::SnapshotReader;
use crate::error::{Error, Result};
use crate::format::flink::header::KeyedHeader;
use crate::format::flink::keyed::StateDecoder;
use crate::format::flink::metadata::{IncrementalHandle, LocalFile};
use crate::format::flink::value::Form;
use crate::format::flink::{Found, KeyedEntry, StoredEntry, keyed};
use crate::format::native_rocksdb::FileName;
use crate::key_group::{KeyGroup, MaxParallelism};
use crate::snapshot::database::{ForeignDatabase, Joining};
use crate::storage::Blob;

/// Flink's way to append to lists.
const LISTS: Joining = Joining { operator: "stringappendtest", delimiter: b',' };

/// The files of a database, opened when its first entry is asked for.
pub(super) struct DatabaseFiles<'a> {
    snapshot: &'a SnapshotReader,
    handle: &'a IncrementalHandle,
    scratch: PathBuf,
    max: MaxParallelism,
    header: KeyedHeader,
    opened: Mutex<Option<Arc<ForeignDatabase>>>,
}

impl<'a> DatabaseFiles<'a> {
    pub(super) fn new(
        snapshot: &'a SnapshotReader,
        handle: &'a IncrementalHandle,
        scratch: PathBuf,
        max: MaxParallelism,
        header: KeyedHeader,
    ) -> Self {
        DatabaseFiles { snapshot, handle, scratch, max, header, opened: Mutex::new(None) }
    }

    pub(super) fn header(&self) -> &KeyedHeader {
        &self.header
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        let files = self.handle.shared.iter().chain(&self.handle.private);
        files.map(|file| file.stream.size()).fold(0, u64::saturating_add)
    }

    fn open(&self) -> Result<Arc<ForeignDatabase>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &*opened {
            return Ok(Arc::clone(database));
        }
        let mut files = Vec::new();
        for LocalFile { name, stream } in self.handle.shared.iter().chain(&self.handle.private) {
            // Options say how to write, and a log of what was flushed is empty.
            if name.starts_with("OPTIONS-") || (name.ends_with(".log") && stream.size() == 0) {
                continue;
            }
            let parsed = FileName::parse(name).map_err(|error| Error::corrupt(error.message()))?;
            files.push((parsed, self.snapshot.stream(stream)?.into_blob()));
        }
        let database = self.put_together(&files)?;
        *opened = Some(Arc::clone(&database));
        Ok(database)
    }

    fn put_together(&self, files: &[(FileName, Blob)]) -> Result<Arc<ForeignDatabase>> {
        let database = ForeignDatabase::open(&self.scratch, files, LISTS)?;
        let is_known =
            |family: &&String| *family == "default" || self.header.states.iter().any(|state| state.name == **family);
        match database.families().iter().find(|family| !is_known(family)) {
            Some(family) if self.header.unreadable.is_none() => {
                let message = format!("the database has a column family {family:?}, its metadata no such state");
                Err(Error::corrupt(message).in_field("column family"))
            }
            _ => Ok(Arc::new(database)),
        }
    }

    /// Lets go of the database, which is opened again when it is needed.
    pub(super) fn close(&self) {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Gives the entries of a key group to `visit` as they are stored: the state's position in the header, the composite
    /// key without the key group in front, and the value.
    pub(super) fn visit_stored(&self, group: KeyGroup, visit: &mut PairVisitor<'_>) -> Result<()> {
        if let Some(unreadable) = &self.header.unreadable {
            return Err(Error::incompatible(format!("states are missing: {}", unreadable.reason)));
        }
        let database = self.open()?;
        let (start, end) = bounds(group, self.max);
        for (id, state) in (0u16..).zip(&self.header.states) {
            let located = |error: Error| error.in_key_group(group.0).in_state(&state.name);
            let mut rows = database.rows(&state.name, start.clone(), end.clone());
            while let Some((key, value)) = rows.next_row().map_err(located)? {
                let (_, entry) = keyed::Entry::of_database(id, key, value, self.max).map_err(located)?;
                visit(id, entry.key, entry.value)?;
            }
        }
        Ok(())
    }

    pub(super) fn visit_group<F: Form>(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(u16) -> bool,
        mut visit: impl FnMut(u16, KeyedEntry<F>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        self.visit_rows(group, wanted, |decoder, entry| visit(entry.state_id, decoder.decode(entry)?))
    }

    /// As [`visit_group`](Self::visit_group), with entries as they are found.
    pub(super) fn visit_found(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(u16) -> bool,
        mut visit: impl FnMut(u16, Found<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        self.visit_rows(group, wanted, |decoder, entry| {
            visit(entry.state_id, Found::Stored(StoredEntry::new(decoder, entry)))
        })
    }

    fn visit_rows(
        &self,
        group: KeyGroup,
        wanted: &dyn Fn(u16) -> bool,
        mut visit: impl FnMut(&StateDecoder<'_>, &keyed::Entry<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        let database = self.open()?;
        let (start, end) = bounds(group, self.max);
        for (id, state) in (0u16..).zip(&self.header.states).filter(|(id, _)| wanted(*id)) {
            let located = |error: Error| error.in_key_group(group.0).in_state(&state.name);
            let decoder = StateDecoder::of(&self.header, id).map_err(located)?;
            let mut rows = database.rows(&state.name, start.clone(), end.clone());
            while let Some((key, value)) = rows.next_row().map_err(located)? {
                let (_, entry) = keyed::Entry::of_database(id, key, value, self.max).map_err(located)?;
                if visit(&decoder, &entry).map_err(located)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        if let Some(unreadable) = &self.header.unreadable {
            return Err(Error::incompatible(format!("states are missing: {}", unreadable.reason)));
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Keys of a key group begin at the first and before the second.
fn bounds(group: KeyGroup, max: MaxParallelism) -> (Vec<u8>, Vec<u8>) {
    let [high, low] = group.0.to_be_bytes();
    let [next_high, next_low] = group.0.saturating_add(1).to_be_bytes();
    match keyed::prefix_length(max) {
        1 => (vec![low], vec![next_low]),
        _ => (vec![high, low], vec![next_high, next_low]),
    }
}

impl fmt::Debug for DatabaseFiles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseFiles").field("backend", &self.handle.backend_id).finish_non_exhaustive()
    }
}
