//! Copying a snapshot so that it stands alone: everything that it names goes into one directory, and nothing else is
//! named. The copy is a savepoint: it belongs to whoever made it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::reader::SnapshotReader;
use super::target::SnapshotTarget;
use super::{ObjectSink, publish};
use crate::error::{Error, Result};
use crate::format::manifest::{
    KeyedHandle, Manifest, ObjectRef, OperatorStateContent, OperatorStateHandle, SectionRef, SnapshotKind,
    SubtaskSnapshot,
};
use crate::format::section::Sink;
use crate::storage::{Blob, CommitOutcome};

/// Bytes that are written between two reports of progress.
const CHUNK_BYTES: usize = 4 << 20;

/// Missing objects that an error names at most.
const MISSING_SHOWN: usize = 20;

/// Told how many bytes of how many are copied; breaks to give up.
type Observer<'o> = &'o mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// Copies a snapshot to `target`, whose directory must be empty, and publishes it there as a savepoint. Every object is
/// compared with its digest as it is read; of an object that is shared with other snapshots only the sections are
/// copied that this one names.
///
/// Fails with [`NotFound`](crate::ErrorKind::NotFound), before anything is written, if an object is missing, with a list of those;
/// with [`Aborted`](crate::ErrorKind::Aborted) if `observe` breaks. After a failure the target has no manifest.
pub fn relocate(source: &SnapshotReader, target: &SnapshotTarget, observe: Observer<'_>) -> Result<Manifest> {
    check_complete(source)?;
    let total_bytes = source.manifest().objects().map(|object| object.length).fold(0, u64::saturating_add);
    let mut copy = Copy { source, target, observe, done_bytes: 0, total_bytes };
    let mut manifest = source.manifest().clone();
    manifest.kind = SnapshotKind::Savepoint;
    for subtask in manifest.operators.iter_mut().flat_map(|operator| &mut operator.subtasks) {
        copy.subtask(subtask)?;
    }
    match publish(&**target.storage(), target.directory(), &manifest) {
        CommitOutcome::Committed => Ok(manifest),
        CommitOutcome::NotCommitted(error) | CommitOutcome::Unknown(error) => Err(error),
    }
}

fn check_complete(source: &SnapshotReader) -> Result<()> {
    let mut missing = BTreeMap::new();
    for object in source.manifest().objects() {
        match source.object(object) {
            Ok(_) => {}
            Err(error) if error.kind() == crate::ErrorKind::NotFound => {
                missing.insert(source.object_path(object)?, object.length);
            }
            Err(error) => return Err(error),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.keys().take(MISSING_SHOWN).map(|name| name.as_str()).collect();
    let more = missing.len().saturating_sub(MISSING_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(Error::not_found(format!(
        "{} of the objects that the snapshot names are missing, so a copy could not be restored: {}{more}; copy them here \
         first, or take another snapshot",
        missing.len(),
        names.join(", ")
    ))
    .in_file(source.directory()))
}

/// A copy that is going on.
struct Copy<'c> {
    source: &'c SnapshotReader,
    target: &'c SnapshotTarget,
    observe: Observer<'c>,
    done_bytes: u64,
    total_bytes: u64,
}

impl Copy<'_> {
    fn subtask(&mut self, subtask: &mut SubtaskSnapshot) -> Result<()> {
        if let Some(keyed) = &mut subtask.keyed {
            **keyed = self.keyed(keyed)?;
        }
        if let Some(OperatorStateHandle { content: OperatorStateContent::Object(object), .. }) = &mut subtask.operator {
            *object = self.whole(object)?;
        }
        Ok(())
    }

    fn keyed(&mut self, handle: &KeyedHandle) -> Result<KeyedHandle> {
        let mut copied = handle.clone();
        copied.objects.clear();
        for (object, position) in handle.objects.iter().zip(0u32..) {
            let is_here = |section: &&mut SectionRef| section.object == position;
            let sections: Vec<&mut SectionRef> = copied.sections.iter_mut().filter(is_here).collect();
            // The files of a database have no sections.
            let object = if sections.is_empty() { self.whole(object)? } else { self.sections(object, sections)? };
            copied.objects.push(object);
        }
        Ok(copied)
    }

    /// Copies an object as it is.
    fn whole(&mut self, object: &ObjectRef) -> Result<ObjectRef> {
        let bytes = self.source.verified_object(object)?;
        let mut sink = self.target.new_object()?;
        self.write(&bytes, &mut sink)?;
        finish(sink)
    }

    /// Copies sections of an object, one after the other, and says where they lie now.
    fn sections(&mut self, object: &ObjectRef, mut sections: Vec<&mut SectionRef>) -> Result<ObjectRef> {
        let bytes = self.source.verified_object(object)?;
        let mut sink = self.target.new_object()?;
        let mut offset = 0u64;
        sections.sort_by_key(|section| section.offset);
        for section in sections {
            let end = section.offset.saturating_add(section.length);
            self.write(&bytes.slice(section.offset..end)?, &mut sink)?;
            section.offset = offset;
            offset = offset.saturating_add(section.length);
        }
        self.done_bytes = self.done_bytes.saturating_add(object.length.saturating_sub(offset));
        finish(sink)
    }

    fn write(&mut self, bytes: &Blob, sink: &mut ObjectSink) -> Result<()> {
        for chunk in bytes.as_slice().chunks(CHUNK_BYTES) {
            sink.write(chunk)?;
            let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            self.done_bytes = self.done_bytes.saturating_add(length).min(self.total_bytes);
            if (self.observe)(self.done_bytes, self.total_bytes).is_break() {
                return Err(Error::aborted("the copy was ended by its caller"));
            }
        }
        Ok(())
    }
}

fn finish(sink: ObjectSink) -> Result<ObjectRef> {
    sink.finish()?.ok_or_else(|| Error::corrupt("the manifest names an object without content"))
}
