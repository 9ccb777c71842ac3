//! What Apache Flink stored below the root of a storage. For looking at: nothing of it is ever changed.
//!
//! A `_metadata` file of Flink's names files by paths relative to it, or by the absolute URIs that they had when they were
//! written. From these follows where the job's directory was, so that its files are found where it is now, and those of
//! other jobs that lay beside it as well. What lies anywhere else is only counted.

use std::collections::{BTreeMap, BTreeSet};

use super::{Condition, Look, exclusive_bytes, holders, total};
use crate::error::ErrorKind;
use crate::format::flink::Roots;
use crate::format::flink::metadata::{Metadata, NamedStream, Operator, Purpose, Segment, StreamHandle};
use crate::ids::{CheckpointId, JobId};
use crate::storage::ObjectPath;
use crate::storage::layout::{self, JobLayout, SnapshotDirectory};

/// The first bytes of its metadata.
const MAGIC: [u8; 4] = [0x49, 0x60, 0x67, 0x2d];

/// Everything below the directory of one job of Flink's.
#[derive(Debug, Clone)]
pub struct FlinkJob {
    /// The job.
    pub id: JobId,
    /// Its checkpoints, complete or not, ascending by number.
    pub checkpoints: Vec<FlinkSnapshot>,
    /// Every file of the job, with its length.
    pub files: BTreeMap<ObjectPath, u64>,
}

/// A directory of a snapshot of Flink's.
#[derive(Debug, Clone)]
pub struct FlinkSnapshot {
    /// The directory.
    pub directory: ObjectPath,
    /// The number in its name, if it is a checkpoint.
    pub id: Option<CheckpointId>,
    /// Whether a job can be restored from it, as far as its files lie below the root.
    pub condition: Condition,
    /// Its metadata, if that can be read.
    pub metadata: Option<Metadata>,
    /// Its metadata, and the files that it names below the root, with their lengths.
    pub names: BTreeMap<ObjectPath, u64>,
    /// Files that it names elsewhere.
    pub elsewhere: BTreeSet<String>,
}

impl FlinkSnapshot {
    /// Bytes of its metadata, which may hold state, and of the files that it names below the root, each counted once.
    pub fn bytes(&self) -> u64 {
        total(&self.names)
    }
}

impl FlinkJob {
    /// Bytes that would be freed if this checkpoint alone went: of files that no other checkpoint of the job names.
    pub fn exclusive_bytes(&self, snapshot: &FlinkSnapshot) -> u64 {
        exclusive_bytes(&snapshot.names, &self.holders())
    }

    /// Files that no checkpoint of the job names, with their lengths. Those of checkpoints in the making are among them, and those
    /// that savepoints or checkpoints of other jobs name.
    pub fn unreferenced(&self) -> BTreeMap<ObjectPath, u64> {
        let holders = self.holders();
        let free = self.files.iter().filter(|(name, _)| !holders.contains_key(*name));
        free.map(|(name, length)| (name.clone(), *length)).collect()
    }

    fn holders(&self) -> BTreeMap<&ObjectPath, usize> {
        holders(self.checkpoints.iter().map(|snapshot| &snapshot.names))
    }
}

impl Look<'_> {
    /// Whether a directory holds metadata of Flink's, whole or not.
    pub(super) fn is_of_flink(&self, directory: &ObjectPath) -> bool {
        let opened = layout::manifest(directory).and_then(|path| self.storage.open(&path));
        opened.is_ok_and(|bytes| bytes.as_slice().starts_with(&MAGIC))
    }

    /// A job, if one of its checkpoints is Flink's.
    pub(super) fn flink_job(&self, id: JobId) -> Option<FlinkJob> {
        let root = JobLayout::new(id).root();
        let mut job = FlinkJob { id, checkpoints: Vec::new(), files: BTreeMap::new() };
        let mut ids = BTreeSet::new();
        for (path, length) in self.below(&root) {
            let directory = path.segments().nth(1).unwrap_or_default();
            if let Some(SnapshotDirectory::Checkpoint(id)) = SnapshotDirectory::parse(directory) {
                ids.insert(id);
            }
            job.files.insert(path.clone(), *length);
        }
        let directories: Vec<(CheckpointId, ObjectPath)> =
            ids.into_iter().map(|number| (number, JobLayout::new(id).checkpoint(number))).collect();
        if !directories.iter().any(|(_, directory)| self.is_of_flink(directory)) {
            return None;
        }
        let snapshots = directories.into_iter().map(|(number, directory)| self.flink_snapshot(directory, Some(number)));
        job.checkpoints = snapshots.collect();
        Some(job)
    }

    /// A snapshot, whatever its directory is called.
    pub(super) fn flink_snapshot(&self, directory: ObjectPath, id: Option<CheckpointId>) -> FlinkSnapshot {
        let mut names = BTreeMap::new();
        let read = layout::manifest(&directory).and_then(|path| {
            let bytes = self.storage.open(&path)?;
            names.extend(self.objects.get(&path).map(|length| (path, *length)));
            Metadata::decode(bytes.as_slice())
        });
        let (condition, metadata) = match read {
            Ok(metadata) => (Condition::Restorable, Some(metadata)),
            Err(error) if error.kind() == ErrorKind::NotFound => (Condition::Incomplete, None),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                (Condition::Damaged { reason: error.to_string() }, None)
            }
            Err(error) => (Condition::Unreadable { reason: error.to_string() }, None),
        };
        let mut snapshot =
            FlinkSnapshot { directory, id, condition, metadata: None, names, elsewhere: BTreeSet::new() };
        if let Some(metadata) = metadata {
            self.name_files(&metadata, &mut snapshot);
            snapshot.metadata = Some(metadata);
        }
        snapshot
    }

    /// Finds the files that a snapshot names, and notes those that are not there.
    fn name_files(&self, metadata: &Metadata, snapshot: &mut FlinkSnapshot) {
        let roots = roots(metadata, &snapshot.directory);
        let mut missing = BTreeSet::new();
        for stream in metadata.operators.iter().flat_map(Operator::streams) {
            let path = match stream.handle.plain() {
                StreamHandle::Relative { path, .. } => snapshot.directory.join(path).ok(),
                handle => {
                    let Some(uri) = handle.uri() else { continue };
                    let path = roots.resolve(uri).ok().and_then(|(root, path)| below(root.as_ref(), &path));
                    if path.is_none() {
                        snapshot.elsewhere.insert(uri.to_owned());
                    }
                    path
                }
            };
            let Some(path) = path else { continue };
            match self.objects.get(&path) {
                Some(length) if fits(&stream, *length) => drop(snapshot.names.insert(path, *length)),
                _ => drop(missing.insert(path)),
            }
        }
        if !missing.is_empty() {
            snapshot.condition = Condition::Missing { objects: missing.into_iter().collect() };
        }
    }
}

/// Where the directory of the job was and is now, and the one above it; `None` for the root of the storage.
fn roots(metadata: &Metadata, directory: &ObjectPath) -> Roots<Option<ObjectPath>> {
    let mut roots = Roots::new();
    let (Some(old), Some(now)) = (metadata.job_directory(), directory.parent()) else { return roots };
    // What no root can be, no file can lie below.
    if let Some((above, _)) = old.rsplit_once('/') {
        let _ = roots.map(above, None);
    }
    let _ = roots.map(old, Some(now));
    roots
}

fn below(root: Option<&ObjectPath>, path: &str) -> Option<ObjectPath> {
    match root {
        Some(root) => root.join(path).ok(),
        None => ObjectPath::parse(path).ok(),
    }
}

/// Whether a file of this length can hold a stream.
fn fits(stream: &NamedStream<'_>, length: u64) -> bool {
    match stream.handle.plain() {
        StreamHandle::Segment(Segment { start, size, .. }) => start.saturating_add(*size) <= length,
        // The handle of a log says how many bytes were logged, before a header and perhaps compression.
        _ => stream.purpose == Purpose::Changelog || stream.handle.size() == length,
    }
}
