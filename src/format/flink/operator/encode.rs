//! Writing files of operator state.

use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::flink::header::OperatorHeader;
use crate::format::flink::metadata::{Distribution, PartitionOffsets};
use crate::format::flink::serializer::Snapshot;
use crate::format::flink::snappy;
use crate::format::flink::value::Value;
use crate::format::flink::write::WritePrimitives;

/// Writes a file of operator state, element by element.
#[derive(Debug)]
pub struct FileWriter {
    out: Writer,
    compressed: bool,
    states: Vec<PartitionOffsets>,
}

impl FileWriter {
    /// A file with the states of this header, which have no elements so far.
    ///
    /// Errors are those of [`OperatorHeader::write`].
    pub fn new(header: &OperatorHeader) -> Result<Self> {
        let mut out = Writer::new();
        header.write(&mut out)?;
        if header.compressed {
            out.raw(&snappy::STREAM_ID);
        }
        let state =
            |name: &str, distribution| PartitionOffsets { name: name.to_owned(), distribution, offsets: Vec::new() };
        let list = |mode: Option<&str>| match mode {
            Some("UNION") => Distribution::Union,
            _ => Distribution::Split,
        };
        let lists =
            header.lists.iter().map(|info| state(&info.name, list(info.option("OPERATOR_STATE_DISTRIBUTION_MODE"))));
        let broadcasts = header.broadcasts.iter().map(|info| state(&info.name, Distribution::Broadcast));
        Ok(FileWriter { out, compressed: header.compressed, states: lists.chain(broadcasts).collect() })
    }

    /// Appends an element of a list, or the whole of a broadcast map, as its serializers write it. Elements of a state
    /// should follow one another.
    pub fn element(&mut self, state: &str, element: &[u8]) -> Result<()> {
        let position = u64::try_from(self.out.len()).unwrap_or(u64::MAX);
        let found = self.states.iter_mut().find(|candidate| candidate.name == state);
        let found = found.ok_or_else(|| Error::invalid_input("the header has no such state").in_state(state))?;
        if found.distribution == Distribution::Broadcast && !found.offsets.is_empty() {
            return Err(Error::invalid_input("a broadcast state is one map").in_state(state));
        }
        found.offsets.push(position);
        if self.compressed {
            self.out.raw(&snappy::compress_inside(element)?);
        } else {
            self.out.raw(element);
        }
        Ok(())
    }

    /// The file, and where its elements begin.
    pub fn finish(self) -> (Vec<u8>, Vec<PartitionOffsets>) {
        (self.out.into_bytes(), self.states)
    }
}

/// Appends a broadcast map: a count, then keys and values without flags.
pub fn write_map(key: &Snapshot, value: &Snapshot, entries: &[(Value, Value)], out: &mut Writer) -> Result<()> {
    out.items(entries.len(), "number of map entries")?;
    entries.iter().try_for_each(|(k, v)| {
        key.write_value(k, out)?;
        value.write_value(v, out)
    })
}
