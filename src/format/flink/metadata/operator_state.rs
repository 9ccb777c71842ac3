use super::stream::StreamHandle;
use crate::codec::Reader;
use crate::error::Result;
use crate::format::flink::primitive::Primitives;

/// How operator state is handed to subtasks on restore (`OperatorStateHandle.Mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Elements are dealt out to the subtasks.
    Split,
    /// Every subtask gets all elements.
    Union,
    /// Every subtask gets one copy of the map.
    Broadcast,
}

/// Where the operator state of a subtask lies (`OperatorStateHandle`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorStateHandle {
    /// The states and where their partitions begin.
    pub states: Vec<PartitionOffsets>,
    /// The stream.
    pub stream: StreamHandle,
    /// Present where the stream is part of a merged file.
    pub merging: Option<MergingDirectories>,
}

/// One operator state within a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// Name of the state.
    pub name: String,
    /// How it is distributed.
    pub distribution: Distribution,
    /// Where its elements begin; one position for a broadcast map.
    pub offsets: Vec<u64>,
}

/// Directories of a merged file (`FileMergingOperatorStreamStateHandle`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergingDirectories {
    /// Directory of exclusive files, an absolute URI.
    pub task_owned: String,
    /// Directory of shared files, an absolute URI.
    pub shared: String,
    /// Whether the handle stands for no state at all.
    pub is_empty: bool,
}

impl OperatorStateHandle {
    /// Reads a handle that a flag has announced.
    pub(super) fn read(input: &mut Reader<'_>, field: &'static str) -> Result<Option<Self>> {
        let start = input.clone();
        let merged = match input.u8(field)? {
            0 => return Ok(None),
            4 => false,
            17 => true,
            tag => return Err(start.corrupt(field, format!("operator state handle tag is {tag}, expected 0, 4 or 17"))),
        };
        let states = states(input)?;
        let merging = if merged { Some(directories(input)?) } else { None };
        let stream = StreamHandle::read_present(input, "operator state stream")?;
        if merged && !matches!(stream, StreamHandle::Segment(_) | StreamHandle::EmptySegment) {
            return Err(start.corrupt(field, "a file-merging handle whose stream is no segment of a file"));
        }
        check_offsets(&states, stream.size(), &start)?;
        Ok(Some(OperatorStateHandle { states, stream, merging }))
    }
}

fn states(input: &mut Reader<'_>) -> Result<Vec<PartitionOffsets>> {
    let mut states: Vec<PartitionOffsets> = Vec::new();
    let mut names = std::collections::HashSet::new();
    for _ in 0..input.items(7, "number of operator states")? {
        let start = input.clone();
        let name = input.utf("operator state name")?;
        if !names.insert(name.clone()) {
            return Err(start.corrupt("operator state name", format!("{name:?} occurs twice")));
        }
        let start = input.clone();
        let distribution = match input.u8("distribution mode")? {
            0 => Distribution::Split,
            1 => Distribution::Union,
            2 => Distribution::Broadcast,
            other => return Err(start.corrupt("distribution mode", format!("is {other}, expected 0, 1 or 2"))),
        };
        let count = input.items(8, "number of partitions")?;
        let mut offsets = Vec::with_capacity(count);
        for _ in 0..count {
            offsets.push(input.size("partition offset")?);
        }
        if distribution == Distribution::Broadcast && offsets.len() > 1 {
            let message = format!("broadcast state {name:?} has {} partitions, expected one", offsets.len());
            return Err(start.corrupt("number of partitions", message));
        }
        states.push(PartitionOffsets { name, distribution, offsets });
    }
    Ok(states)
}

fn directories(input: &mut Reader<'_>) -> Result<MergingDirectories> {
    Ok(MergingDirectories {
        task_owned: input.utf("task-owned directory")?,
        shared: input.utf("shared directory")?,
        is_empty: input.bool("empty handle flag")?,
    })
}

fn check_offsets(states: &[PartitionOffsets], size: u64, place: &Reader<'_>) -> Result<()> {
    for state in states {
        if let Some(offset) = state.offsets.iter().find(|offset| **offset > size) {
            let message = format!("{offset} is beyond the end of the stream, which has {size} bytes");
            return Err(place.corrupt("partition offset", message).in_state(&state.name));
        }
    }
    Ok(())
}
