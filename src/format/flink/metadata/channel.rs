use super::stream::StreamHandle;
use crate::codec::Reader;
use crate::error::Result;
use crate::format::flink::primitive::Primitives;

/// Where in-flight records of channels lie (`InputChannelStateHandle`, `ResultSubpartitionStateHandle` and their merged
/// forms).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelHandle {
    /// The subtask that wrote the records.
    pub subtask: u32,
    /// The channels; exactly one unless `merged`.
    pub channels: Vec<Channel>,
    /// Number of bytes of all channels, length fields included.
    pub size: u64,
    /// The stream.
    pub stream: StreamHandle,
    /// Whether the handle is of the merged form.
    pub merged: bool,
}

/// The records of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Input: number of the gate. Output: number of the partition.
    pub group: u32,
    /// Input: number of the channel. Output: number of the subpartition.
    pub index: u32,
    /// Number of bytes, length fields included.
    pub size: u64,
    /// Where its chunks begin in the stream.
    pub offsets: Vec<u64>,
}

/// Which side of a connection a handle belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Input,
    Output,
}

impl Side {
    pub(super) const fn field(self) -> &'static str {
        match self {
            Side::Input => "input channel state",
            Side::Output => "result subpartition state",
        }
    }

    /// Tags of the handles of one channel and of several.
    pub(super) const fn tags(self) -> (u8, u8) {
        match self {
            Side::Input => (1, 3),
            Side::Output => (2, 4),
        }
    }
}

/// Reads a count and so many handles; `typed` where a byte in front of each tells single from merged ones.
pub(super) fn read_all(input: &mut Reader<'_>, side: Side, typed: bool) -> Result<Vec<ChannelHandle>> {
    let mut handles = Vec::new();
    for _ in 0..input.items(17, side.field())? {
        let start = input.clone();
        let merged = match (typed, side.tags()) {
            (false, _) => false,
            (true, (single, merged)) => match input.u8(side.field())? {
                tag if tag == single => false,
                tag if tag == merged => true,
                tag => {
                    let message = format!("channel handle type is {tag}, expected {single} or {merged}");
                    return Err(start.corrupt(side.field(), message));
                }
            },
        };
        let handle = if merged { read_merged(input)? } else { read_single(input)? };
        check_offsets(&handle, &start, side)?;
        handles.push(handle);
    }
    Ok(handles)
}

fn read_single(input: &mut Reader<'_>) -> Result<ChannelHandle> {
    let subtask = input.non_negative("channel subtask index")?;
    let group = input.non_negative("channel group")?;
    let index = input.non_negative("channel index")?;
    let offsets = chunk_offsets(input)?;
    let size = input.size("channel state size")?;
    let stream = StreamHandle::read_present(input, "channel state stream")?;
    Ok(ChannelHandle { subtask, channels: vec![Channel { group, index, size, offsets }], size, stream, merged: false })
}

fn read_merged(input: &mut Reader<'_>) -> Result<ChannelHandle> {
    let subtask = input.non_negative("channel subtask index")?;
    let size = input.size("channel state size")?;
    let stream = StreamHandle::read_present(input, "channel state stream")?;
    let mut blob = input.frame("merged channels")?;
    let mut channels = Vec::new();
    for _ in 0..blob.items(20, "number of merged channels")? {
        let group = blob.non_negative("channel group")?;
        let index = blob.non_negative("channel index")?;
        let size = blob.size("channel state size")?;
        channels.push(Channel { group, index, size, offsets: chunk_offsets(&mut blob)? });
    }
    blob.finish("merged channels")?;
    Ok(ChannelHandle { subtask, channels, size, stream, merged: true })
}

fn chunk_offsets(input: &mut Reader<'_>) -> Result<Vec<u64>> {
    let count = input.items(8, "number of chunks")?;
    let mut offsets = Vec::with_capacity(count);
    for _ in 0..count {
        offsets.push(input.size("chunk offset")?);
    }
    Ok(offsets)
}

fn check_offsets(handle: &ChannelHandle, place: &Reader<'_>, side: Side) -> Result<()> {
    let size = handle.stream.size();
    match handle.channels.iter().flat_map(|channel| &channel.offsets).find(|offset| **offset >= size) {
        None => Ok(()),
        Some(offset) => {
            let message = format!("chunk offset {offset} is beyond the end of the stream, which has {size} bytes");
            Err(place.corrupt(side.field(), message))
        }
    }
}
