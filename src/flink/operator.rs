//! Operator state and records in flight.

use super::reader::OperatorReader;
use crate::codec::Reader;
use crate::error::Result;
use crate::format::flink::channel;
use crate::format::flink::header::{OperatorHeader, StateInfo};
use crate::format::flink::metadata::{Channel, ChannelHandle, OperatorStateHandle, SubtaskState};
use crate::format::flink::operator::{self, OperatorElement, RawElement};
use crate::ids::SubtaskIndex;

/// The operator state of one subtask, opened.
#[derive(Debug)]
pub struct OperatorState {
    /// The subtask.
    pub subtask: SubtaskIndex,
    header: OperatorHeader,
    handle: OperatorStateHandle,
    stream: super::Stream,
}

impl OperatorState {
    /// The states and their serializers.
    pub fn header(&self) -> &OperatorHeader {
        &self.header
    }

    /// The descriptions of list and of broadcast states.
    pub fn states(&self) -> impl Iterator<Item = &StateInfo> {
        self.header.lists.iter().chain(&self.header.broadcasts)
    }

    /// The elements, state by state; of broadcast state the whole map is one.
    pub fn elements(&self) -> impl Iterator<Item = Result<OperatorElement<'_>>> {
        operator::elements(&self.header, &self.handle.states, self.stream.as_ref())
            .map(|element| element.map_err(|error| self.stream.locate(error)))
    }

    /// The elements as they are stored, expanded.
    pub(super) fn stored_elements(&self) -> impl Iterator<Item = Result<RawElement<'_>>> {
        operator::raw_elements(&self.header, &self.handle.states, self.stream.as_ref())
            .map(|element| element.map_err(|error| self.stream.locate(error)))
    }

    /// Number of bytes.
    pub fn bytes(&self) -> u64 {
        self.handle.stream.size()
    }
}

/// Which way records in flight were going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// They had reached the subtask that was to process them.
    Input,
    /// They had not left the subtask that made them.
    Output,
}

impl<'a> OperatorReader<'a> {
    /// Opens the operator state of every subtask that has some, in the order of the metadata.
    pub fn operator_state(&self) -> Result<Vec<OperatorState>> {
        let mut found = Vec::new();
        for subtask in self.description().subtasks() {
            let Some(handle) = subtask.state.as_ref().and_then(|state| state.managed_operator.as_ref()) else {
                continue;
            };
            let opened = self.open_operator_state(subtask.index, handle);
            found.extend(opened.map_err(|error| error.in_operator(self.label()))?);
        }
        found.sort_by_key(|state| state.subtask);
        Ok(found)
    }

    /// Opens what a handle of operator state leads to; `None` if that is nothing.
    pub(super) fn open_operator_state(
        &self,
        subtask: SubtaskIndex,
        handle: &OperatorStateHandle,
    ) -> Result<Option<OperatorState>> {
        if handle.stream.size() == 0 && handle.states.iter().all(|state| state.offsets.is_empty()) {
            return Ok(None);
        }
        let stream = self.snapshot().stream(&handle.stream)?;
        let mut input = Reader::new(stream.as_ref());
        let header = OperatorHeader::read_until(&mut input, header_end(handle, &stream))
            .map_err(|error| stream.locate(error))?;
        Ok(Some(OperatorState { subtask, header, handle: handle.clone(), stream }))
    }

    /// The handles of records in flight, with the subtask whose state they are.
    pub fn channels(&self) -> impl Iterator<Item = (SubtaskIndex, Direction, &'a ChannelHandle)> {
        let states = self.description().subtasks().iter().filter_map(|subtask| {
            let state: &'a SubtaskState = subtask.state.as_deref()?;
            Some((subtask.index, state))
        });
        states.flat_map(|(index, state)| {
            let input = state.input_channels.iter().map(move |handle| (index, Direction::Input, handle));
            input.chain(state.result_subpartitions.iter().map(move |handle| (index, Direction::Output, handle)))
        })
    }

    /// Gives the bytes of every channel of a handle to `visit`: elements of a stream one behind the other, see
    /// [`channel::Elements`].
    pub fn channel_bytes(&self, handle: &ChannelHandle, visit: &mut ChannelVisitor<'_>) -> Result<()> {
        let stream = self.snapshot().stream(&handle.stream)?;
        for channel in &handle.channels {
            let bytes = channel::bytes(channel, stream.as_ref()).map_err(|error| stream.locate(error))?;
            visit(channel, &bytes)?;
        }
        Ok(())
    }
}

/// Where the header ends: where the first element begins. A compressed file has the identifier of its stream in between.
fn header_end(handle: &OperatorStateHandle, stream: &super::Stream) -> u64 {
    let first = handle.states.iter().flat_map(|state| &state.offsets).min().copied();
    let first = first.unwrap_or_else(|| handle.stream.size());
    let is_compressed = stream.as_ref().get(..5) == Some(&[0, 0, 0, 6, 1]);
    if is_compressed { first.saturating_sub(operator::STREAM_IDENTIFIER_BYTES) } else { first }
}

/// Takes a channel and its bytes.
pub type ChannelVisitor<'v> = dyn FnMut(&Channel, &[u8]) -> Result<()> + 'v;
