use std::path::PathBuf;

use super::files::{Directory, Files, Stream};
use super::keyed::KeyedReader;
use crate::error::{Error, Result};
use crate::format::Limits;
use crate::format::flink::Roots;
use crate::format::flink::metadata::{Metadata, NamedStream, Operator, StreamHandle};
use crate::ids::OperatorId;
use crate::key_group::MaxParallelism;
use crate::snapshot::Trust;
use crate::storage::layout::MANIFEST_NAME;

/// An opened snapshot of Flink's: its metadata is read and checked, streams are opened when they are asked for.
#[derive(Debug)]
pub struct SnapshotReader {
    files: Files,
    metadata: Metadata,
    metadata_bytes: u64,
    trust: Trust,
    scratch: Option<PathBuf>,
}

impl SnapshotReader {
    /// Opens the snapshot in `directory`, which holds its `_metadata` file. Files that are named by absolute URIs are
    /// looked for below `roots` and nowhere else.
    pub fn open(directory: Directory, roots: Roots<Directory>) -> Result<Self> {
        let (bytes, path) = directory.open(MANIFEST_NAME)?;
        let length = bytes.len();
        if length > Limits::SAFE.manifest_bytes {
            let message = format!("{length} bytes, at most {} are accepted", Limits::SAFE.manifest_bytes);
            return Err(Error::corrupt(message).in_field("metadata").in_file(&path));
        }
        let metadata = Metadata::decode(bytes.as_slice()).map_err(|error| error.in_file(&path))?;
        let metadata_bytes = u64::try_from(length).unwrap_or(u64::MAX);
        let files = Files::new(directory, roots);
        Ok(SnapshotReader { files, metadata, metadata_bytes, trust: Trust::default(), scratch: None })
    }

    /// The same, with the directory known that the snapshot's own lies in. Checkpoints name files by the URIs that these had
    /// when they were written; those in the directory of the job, wherever that was, are looked for in `directory`, unless a
    /// root says otherwise. Files of other jobs, which a claimed snapshot goes on to use, need a root.
    #[must_use]
    pub fn beside(mut self, directory: Directory) -> Self {
        if let Some(job) = self.metadata.job_directory().map(str::to_owned) {
            // What no root can be, no file can lie below.
            let _ = self.files.moved(&job, directory);
        }
        self
    }

    /// The same, with the snapshot trusted so far. The default is not at all.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// The same, with a local directory in which files of RocksDB may be opened: as many bytes as those of one subtask.
    /// What is made there is removed again.
    #[must_use]
    pub fn with_scratch(mut self, directory: impl Into<PathBuf>) -> Self {
        self.scratch = Some(directory.into());
        self
    }

    /// Where files of RocksDB may be opened, or why they may not.
    #[cfg(feature = "rocksdb")]
    pub(super) fn scratch(&self) -> Result<PathBuf, &'static str> {
        match (self.trust, &self.scratch) {
            (Trust::Own, Some(scratch)) => Ok(scratch.clone()),
            (Trust::Own, None) => {
                Err("the state is in RocksDB files; name a directory to open them in, with `with_scratch`")
            }
            (Trust::Hostile, _) => Err(
                "the state is in RocksDB files, which are opened only if they are trusted; if the snapshot is your own, say so \
                 with `trust(Trust::Own)` or --trusted",
            ),
        }
    }

    /// The metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Length of the metadata file in bytes, inline state included.
    pub fn metadata_bytes(&self) -> u64 {
        self.metadata_bytes
    }

    /// Where the snapshot lies.
    pub fn directory(&self) -> &Directory {
        self.files.own()
    }

    /// Opens what a handle of the snapshot leads to, except [logs](Self::log).
    pub fn stream(&self, handle: &StreamHandle) -> Result<Stream> {
        self.files.open(handle)
    }

    /// Opens the file of changes that a handle of the changelog backend leads to. Its handle gives the number of bytes that
    /// were logged, which is not the length of the file: a flag precedes them, and they may be compressed.
    pub fn log(&self, handle: &StreamHandle) -> Result<Stream> {
        self.files.find(handle)
    }

    /// All operators, in the order of the metadata.
    pub fn operators(&self) -> impl Iterator<Item = OperatorReader<'_>> {
        self.metadata.operators.iter().map(|operator| OperatorReader { snapshot: self, operator })
    }

    /// The operator with this id, if there is one.
    pub fn operator_by_id(&self, id: OperatorId) -> Option<OperatorReader<'_>> {
        self.operators().find(|operator| operator.operator.id == id)
    }

    /// The operator with this uid, or of which the metadata says that this is its uid or its name. A missing one is an
    /// error that lists those there are.
    pub fn operator(&self, uid: &str) -> Result<OperatorReader<'_>> {
        let stored = |operator: &OperatorReader<'_>| {
            let Operator { uid: stored, name, .. } = operator.operator;
            [stored, name].into_iter().any(|text| text.as_deref() == Some(uid))
        };
        if let Some(operator) = self.operator_by_id(OperatorId::from_uid(uid)).or_else(|| self.operators().find(stored))
        {
            return Ok(operator);
        }
        let there: Vec<String> = self.operators().map(|operator| operator.label()).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        let message = format!("the snapshot has no operator with uid or name {uid:?}; it has {there}");
        Err(Error::not_found(message).in_file(self.directory()))
    }
}

/// One operator of an opened snapshot.
#[derive(Debug, Clone, Copy)]
pub struct OperatorReader<'a> {
    snapshot: &'a SnapshotReader,
    operator: &'a Operator,
}

impl<'a> OperatorReader<'a> {
    /// What the metadata says of the operator.
    pub fn description(&self) -> &'a Operator {
        self.operator
    }

    /// The snapshot it belongs to.
    pub fn snapshot(&self) -> &'a SnapshotReader {
        self.snapshot
    }

    /// Uid, name or id, whichever is known first: how messages name the operator.
    pub fn label(&self) -> String {
        self.operator.label()
    }

    /// Max parallelism the snapshot was taken with.
    pub fn max_parallelism(&self) -> MaxParallelism {
        self.operator.max_parallelism
    }

    /// Every stream of the operator, in the order of the metadata.
    pub fn streams(&self) -> impl Iterator<Item = NamedStream<'a>> + use<'a> {
        self.operator.streams()
    }

    /// Opens the keyed state of all subtasks, raw timers included. Reads the headers of its files.
    pub fn keyed(&self) -> Result<KeyedReader<'a>> {
        KeyedReader::open(*self).map_err(|error| error.in_operator(self.label()))
    }
}
