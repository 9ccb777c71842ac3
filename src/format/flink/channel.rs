//! In-flight records of unaligned checkpoints.
//!
//! A file is a version and *chunks*, each a network buffer with its length in front; handles say which chunks belong to
//! a channel. The chunks of a channel, in order, are a stream of elements that does not care for chunk borders. Records
//! are opaque: the serializer of an edge is not part of a snapshot.
//!
//! Sources: `ChannelStateSerializerImpl`, `ChannelStateCheckpointWriter`, `StreamElementSerializer`.

use super::metadata::Channel;
use super::primitive::Primitives;
use crate::codec::Reader;
use crate::error::{Error, Result};

/// The only version.
const VERSION: u32 = 0;

/// An element of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamElement<'a> {
    /// A record.
    Record {
        /// Its timestamp in milliseconds, if it has one.
        timestamp: Option<i64>,
        /// The record as the edge's serializer wrote it.
        payload: &'a [u8],
    },
    /// No record with a lower timestamp will follow.
    Watermark {
        /// Milliseconds.
        timestamp: i64,
    },
    /// A marker that measures latency.
    LatencyMarker {
        /// When it was made, in milliseconds.
        marked: i64,
        /// The operator that made it.
        operator: [u8; 16],
        /// The subtask that made it.
        subtask: i32,
    },
    /// Whether watermarks are to be expected.
    WatermarkStatus(i32),
    /// Whether the records that follow are a backlog.
    Backlog(bool),
    /// A watermark of one subpartition.
    InternalWatermark {
        /// The subpartition.
        subpartition: i32,
        /// Milliseconds.
        timestamp: i64,
    },
}

/// The bytes of a channel: its chunks put together. `file` is the whole stream.
pub fn bytes(channel: &Channel, file: &[u8]) -> Result<Vec<u8>> {
    let mut input = Reader::new(file);
    let version = input.u32("channel state version")?;
    if version != VERSION {
        return Err(Error::incompatible(format!("channel state of version {version}, version {VERSION} can be read"))
            .at_offset(0)
            .in_field("channel state version"));
    }
    let stored = u64::try_from(input.remaining()).unwrap_or(u64::MAX);
    if channel.size > stored {
        let message = format!("the file has {stored} bytes of chunks, the handle of the channel says {}", channel.size);
        return Err(Error::corrupt(message).in_field("channel state size"));
    }
    let mut bytes = Vec::new();
    let mut size = 0u64;
    for offset in &channel.offsets {
        let chunk = chunk(file, *offset)?;
        let stored = u64::try_from(chunk.len()).unwrap_or(u64::MAX).saturating_add(4);
        size = size.saturating_add(stored);
        if size > channel.size {
            break;
        }
        bytes.extend_from_slice(chunk);
    }
    if size == channel.size {
        return Ok(bytes);
    }
    let message = format!("the chunks of the channel have {size} bytes, its handle says {}", channel.size);
    Err(Error::corrupt(message).in_field("channel state size"))
}

fn chunk(file: &[u8], offset: u64) -> Result<&[u8]> {
    let rest = usize::try_from(offset).ok().filter(|offset| *offset >= 4).and_then(|offset| file.get(offset..));
    let rest = rest.ok_or_else(|| {
        Error::corrupt(format!("is outside of the chunks of a file of {} bytes", file.len()))
            .at_offset(offset)
            .in_field("chunk offset")
    })?;
    Reader::with_base(rest, offset).bytes32("chunk")
}

/// Iterator over the elements of a channel. Ends after the first error, or before an element that is not complete: its
/// rest is in flight elsewhere. [`rest`](Self::rest) is then what is left.
#[derive(Debug)]
pub struct Elements<'a> {
    input: Reader<'a>,
    failed: bool,
}

impl<'a> Elements<'a> {
    /// The elements of a channel's bytes, which begin with an element.
    pub fn new(bytes: &'a [u8]) -> Self {
        Elements { input: Reader::new(bytes), failed: false }
    }

    /// What was not read.
    pub fn rest(&self) -> &'a [u8] {
        self.input.rest()
    }

    fn read(&mut self) -> Result<Option<StreamElement<'a>>> {
        let start = self.input.clone();
        if self.input.remaining() < 4 {
            return Ok(None);
        }
        let length = self.input.non_negative("record length")?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.input.remaining() {
            self.input = start;
            return Ok(None);
        }
        element(self.input.slice(length, "record")?).map(Some)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<StreamElement<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.read().transpose();
        self.failed = matches!(item, Some(Err(_)));
        item
    }
}

fn element(mut input: Reader<'_>) -> Result<StreamElement<'_>> {
    let start = input.clone();
    let element = match input.u8("element tag")? {
        tag @ (0 | 1) => {
            let timestamp = if tag == 0 { Some(input.i64("record timestamp")?) } else { None };
            StreamElement::Record { timestamp, payload: input.raw(input.remaining(), "record")? }
        }
        2 => StreamElement::Watermark { timestamp: input.i64("watermark")? },
        3 => {
            let marked = input.i64("latency marker")?;
            let operator = input.raw(16, "operator id")?;
            let operator = operator.try_into().map_err(|_| start.corrupt("operator id", "needs 16 bytes"))?;
            StreamElement::LatencyMarker { marked, operator, subtask: input.i32("subtask")? }
        }
        4 => StreamElement::WatermarkStatus(input.i32("watermark status")?),
        5 => StreamElement::Backlog(input.bool("record attributes")?),
        6 => {
            let subpartition = input.i32("subpartition")?;
            StreamElement::InternalWatermark { subpartition, timestamp: input.i64("watermark")? }
        }
        tag => return Err(start.corrupt("element tag", format!("is {tag}, expected 0 to 6"))),
    };
    input.finish("stream element")?;
    Ok(element)
}

#[cfg(test)]
mod tests;
