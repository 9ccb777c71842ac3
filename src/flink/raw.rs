//! Raw operator state: bytes that only the operator's own program understands, in partitions.

use super::reader::SnapshotReader;
use crate::error::{Error, Result};
use crate::format::flink::metadata::{Distribution, Operator, PartitionOffsets};
use crate::ids::SubtaskIndex;

/// The name under which Flink keeps all raw operator state.
pub(super) const DEFAULT_NAME: &str = "_default_";

/// What a restore hands to one subtask as a whole.
#[derive(Debug)]
pub(super) struct Partition {
    /// The subtask that wrote it.
    pub(super) subtask: SubtaskIndex,
    pub(super) name: String,
    pub(super) distribution: Distribution,
    pub(super) bytes: Vec<u8>,
}

/// The raw operator state of all subtasks, in the order of the metadata.
pub(super) fn partitions(snapshot: &SnapshotReader, operator: &Operator) -> Result<Vec<Partition>> {
    let mut found = Vec::new();
    for subtask in operator.subtasks() {
        let Some(handle) = subtask.state.as_ref().and_then(|state| state.raw_operator.as_ref()) else { continue };
        let stream = snapshot.stream(&handle.stream)?;
        let bytes = stream.as_ref();
        for PartitionOffsets { name, distribution, offsets } in &handle.states {
            let ends = offsets.iter().skip(1).copied().chain([handle.stream.size()]);
            for (start, end) in offsets.iter().zip(ends) {
                let range = usize::try_from(*start).ok().zip(usize::try_from(end).ok());
                let partition = range.and_then(|(start, end)| bytes.get(start..end)).ok_or_else(|| {
                    Error::corrupt("partitions do not ascend").at_offset(*start).in_file(stream.file())
                })?;
                let (name, bytes) = (name.clone(), partition.to_vec());
                found.push(Partition { subtask: subtask.index, name, distribution: *distribution, bytes });
            }
        }
    }
    Ok(found)
}
