use super::stream::{Content, Stream};
use crate::codec::Reader;
use crate::error::Result;

/// What a snapshot was taken for (`CheckpointProperties`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointProperties {
    /// Deleted when the job is cancelled.
    pub discard_cancelled: bool,
    /// Deleted when the job fails.
    pub discard_failed: bool,
    /// Deleted when the job finishes.
    pub discard_finished: bool,
    /// Deleted when newer checkpoints take its place.
    pub discard_subsumed: bool,
    /// Deleted when the job is suspended.
    pub discard_suspended: bool,
    /// Taken whatever else was going on.
    pub forced: bool,
    /// Not owned by the job that restored it.
    pub unclaimed: bool,
    /// Checkpoint or savepoint.
    pub snapshot_type: SnapshotType,
}

/// Checkpoint or savepoint (`SnapshotType`). The texts are Flink's names of constants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotType {
    /// A savepoint.
    Savepoint {
        /// Such as `Savepoint` or `Terminate Savepoint`.
        name: String,
        /// `CANONICAL` or `NATIVE`.
        format: String,
        /// `NONE`, `SUSPEND` or `TERMINATE`.
        post_action: String,
    },
    /// A checkpoint.
    Checkpoint {
        /// `Checkpoint` or `Full Checkpoint`.
        name: String,
        /// `FORWARD_BACKWARD`, `FORWARD` or `NO_SHARING`.
        sharing: String,
    },
}

impl CheckpointProperties {
    /// Reads properties, which are a Java object stream.
    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let start = input.clone();
        let stream = Stream::read(input)?;
        convert(&stream).ok_or_else(|| start.corrupt("checkpoint properties", "the Java object has another form"))
    }
}

fn convert(stream: &Stream) -> Option<CheckpointProperties> {
    let root = stream.root();
    let flag = |name: &str| stream.number(root, name).map(|number| number != 0);
    (stream.class_name(root)? == "org.apache.flink.runtime.checkpoint.CheckpointProperties").then_some(())?;
    Some(CheckpointProperties {
        discard_cancelled: flag("discardCancelled")?,
        discard_failed: flag("discardFailed")?,
        discard_finished: flag("discardFinished")?,
        discard_subsumed: flag("discardSubsumed")?,
        discard_suspended: flag("discardSuspended")?,
        forced: flag("forced")?,
        unclaimed: flag("unclaimed")?,
        snapshot_type: snapshot_type(stream, stream.field(root, "checkpointType")?)?,
    })
}

fn snapshot_type(stream: &Stream, object: Content) -> Option<SnapshotType> {
    let name = stream.text(stream.field(object, "name")?)?.to_owned();
    let constant = |field: &str| stream.constant(stream.field(object, field)?).map(str::to_owned);
    match stream.class_name(object)? {
        "org.apache.flink.runtime.checkpoint.SavepointType" => Some(SnapshotType::Savepoint {
            name,
            format: constant("formatType")?,
            post_action: constant("postCheckpointAction")?,
        }),
        "org.apache.flink.runtime.checkpoint.CheckpointType" => {
            Some(SnapshotType::Checkpoint { name, sharing: constant("sharingFilesStrategy")? })
        }
        _ => None,
    }
}
