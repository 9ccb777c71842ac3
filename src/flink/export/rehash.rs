//! The keyed state of one operator with another number of key groups: every key is hashed anew.

use super::Progress;
use super::keyed::{File, Layout, States, Transform, key_of, length};
use super::source::Part;
use crate::error::{Error, Result};
use crate::format::flink::header::KeyedHeader;
use crate::format::flink::key_group;
use crate::format::flink::keyed::BlockWriter;
use crate::format::flink::metadata::KeyedHandle;
use crate::key_group::{KeyGroup, KeyGroupRange, MaxParallelism};
use crate::sort::{Place, Sorter};

/// Writes the files of every subtask. A key whose hash code only its own program can compute is
/// [`Incompatible`](crate::ErrorKind::Incompatible).
pub(super) fn write(parts: &[Part<'_>], states: &mut States, layout: &Layout<'_>) -> Result<Vec<Option<KeyedHandle>>> {
    let all: Vec<&Part<'_>> = parts.iter().collect();
    let (header, routes) = states.merge(&all, layout.compressed)?;
    if header.states.is_empty() {
        return Ok(layout.ranges.iter().map(|_| None).collect());
    }
    let mut sorter = Sorter::new(layout.scratch.as_ref(), layout.memory_bytes);
    let mut filter = Transform::new(layout.keys);
    for (part, routes) in parts.iter().zip(&routes) {
        for group in part.range.iter() {
            let mut bytes = 0u64;
            part.visit(group, &mut |id, key, value| {
                let Some((state, value)) = filter.entry(part, states, routes, id, key, value)? else { return Ok(()) };
                bytes = bytes.saturating_add(length(key)).saturating_add(length(value));
                sorter.push(Place { group: new_group(part, id, key, layout.max)?, state }, key, value)
            })
            .map_err(|error| error.in_key_group(group.0))?;
            (layout.progress)(Progress::Sorted(bytes));
        }
    }
    let Some(mut files) = Files::new(layout, &header)? else { return Ok(Vec::new()) };
    sorter.drain(&mut |place, key, value| files.entry(place, key, value))?;
    files.finish()
}

/// The files of all subtasks, written one after the other, group by group.
struct Files<'l, 't> {
    layout: &'l Layout<'t>,
    header: &'l KeyedHeader,
    /// Ranges of the files that come after the one that is being written.
    ranges: std::slice::Iter<'l, KeyGroupRange>,
    file: File<'t>,
    group: KeyGroup,
    block: BlockWriter,
    handles: Vec<Option<KeyedHandle>>,
}

impl<'l, 't> Files<'l, 't> {
    /// Begins the first file; `None` where there are no subtasks.
    fn new(layout: &'l Layout<'t>, header: &'l KeyedHeader) -> Result<Option<Self>> {
        let mut ranges = layout.ranges.iter();
        let Some(range) = ranges.next() else { return Ok(None) };
        let (file, group) = (File::new(layout, header, *range)?, range.first());
        let block = BlockWriter::new(header, group, layout.max)?;
        Ok(Some(Files { layout, header, ranges, file, group, block, handles: Vec::new() }))
    }

    /// Appends an entry. Key groups ascend.
    fn entry(&mut self, place: Place, key: &[u8], value: &[u8]) -> Result<()> {
        while self.group < place.group {
            self.next_group()?;
        }
        self.block.entry(place.state, key, value)?;
        self.file.drain(&mut self.block)
    }

    /// Ends a key group and begins the next, in the next file where that has it.
    fn next_group(&mut self) -> Result<()> {
        let next = KeyGroup(self.group.0.saturating_add(1));
        let block = BlockWriter::new(self.header, next, self.layout.max)?;
        self.file.end_group(std::mem::replace(&mut self.block, block))?;
        if self.group == self.file.range.last() {
            let range = self.ranges.next().ok_or_else(|| Error::internal("a key group of no subtask"))?;
            let file = std::mem::replace(&mut self.file, File::new(self.layout, self.header, *range)?);
            self.handles.push(Some(file.finish()?));
        }
        self.group = next;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Option<KeyedHandle>>> {
        let last = self.layout.ranges.last().map_or(self.group, |range| range.last());
        while self.group < last {
            self.next_group()?;
        }
        self.file.end_group(self.block)?;
        self.handles.push(Some(self.file.finish()?));
        Ok(self.handles)
    }
}

fn new_group(part: &Part<'_>, id: u16, key: &[u8], max: MaxParallelism) -> Result<KeyGroup> {
    let (bytes, value) = key_of(part, id, key)?;
    let serializer =
        part.header.key.as_ref().ok_or_else(|| Error::incompatible("the key's serializer is not known"))?;
    key_group::of_key(serializer, &value, bytes, max).ok_or_else(|| {
        let message = format!(
            "only its own program can compute the hash codes of keys of type {}, so the max parallelism cannot change",
            serializer.serializer.name()
        );
        Error::incompatible(message)
    })
}
