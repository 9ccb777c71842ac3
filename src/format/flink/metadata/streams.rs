use std::collections::BTreeSet;

use super::Metadata;
use super::keyed::{ChangelogDelta, ChangelogHandle, IncrementalHandle, KeyedHandle};
use super::operator::{Operator, SubtaskState};
use super::stream::StreamHandle;
use crate::format::flink::JobFile;
use crate::ids::SubtaskIndex;

/// What a stream of a snapshot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Keyed state of a backend.
    Keyed,
    /// Keyed state of the operator's own.
    RawKeyed,
    /// Operator state.
    Operator,
    /// Operator state as bytes of the operator's own.
    RawOperator,
    /// Records in flight.
    Channel,
    /// Changes since keyed state was last written as a whole.
    Changelog,
}

/// A stream of a snapshot.
#[derive(Debug, Clone, Copy)]
pub struct NamedStream<'a> {
    /// The subtask that wrote it.
    pub subtask: SubtaskIndex,
    /// What it is for.
    pub purpose: Purpose,
    /// Where it lies.
    pub handle: &'a StreamHandle,
}

impl Operator {
    /// Every stream of the operator, in the order of the metadata.
    pub fn streams(&self) -> impl Iterator<Item = NamedStream<'_>> {
        self.subtasks().iter().flat_map(|subtask| {
            let mut streams = Vec::new();
            if let Some(state) = &subtask.state {
                subtask_streams(state, &mut |purpose, handle| {
                    streams.push(NamedStream { subtask: subtask.index, purpose, handle });
                });
            }
            streams
        })
    }
}

impl Metadata {
    /// The directory of the job when the snapshot was written, as far as absolute URIs tell: the one with the snapshot's own
    /// files in it, else the only one that there are files in.
    pub fn job_directory(&self) -> Option<&str> {
        let own = format!("chk-{}", self.checkpoint_id);
        let streams = || self.operators.iter().flat_map(Operator::streams);
        let files = || streams().filter_map(|stream| JobFile::of(stream.handle.uri()?));
        let mut jobs: BTreeSet<&str> = files().filter(|file| file.member == own).map(|file| file.job).collect();
        if jobs.is_empty() {
            jobs = files().map(|file| file.job).collect();
        }
        let job = jobs.pop_first()?;
        jobs.is_empty().then_some(job)
    }
}

/// Takes the purpose of a stream and the stream.
type StreamVisitor<'v, 'a> = dyn FnMut(Purpose, &'a StreamHandle) + 'v;

fn subtask_streams<'a>(state: &'a SubtaskState, visit: &mut StreamVisitor<'_, 'a>) {
    let SubtaskState { managed_operator, raw_operator, managed_keyed, raw_keyed, input_channels, result_subpartitions } =
        state;
    managed_operator.iter().for_each(|handle| visit(Purpose::Operator, &handle.stream));
    raw_operator.iter().for_each(|handle| visit(Purpose::RawOperator, &handle.stream));
    managed_keyed.iter().for_each(|handle| keyed_streams(handle, Purpose::Keyed, visit));
    raw_keyed.iter().for_each(|handle| keyed_streams(handle, Purpose::RawKeyed, visit));
    input_channels.iter().chain(result_subpartitions).for_each(|handle| visit(Purpose::Channel, &handle.stream));
}

fn keyed_streams<'a>(handle: &'a KeyedHandle, purpose: Purpose, visit: &mut StreamVisitor<'_, 'a>) {
    match handle {
        KeyedHandle::KeyGroups(handle) => visit(purpose, &handle.stream),
        KeyedHandle::Incremental(IncrementalHandle { meta, shared, private, .. }) => {
            visit(purpose, meta);
            shared.iter().chain(private).for_each(|file| visit(purpose, &file.stream));
        }
        KeyedHandle::Changelog(ChangelogHandle { materialized, changes, .. }) => {
            materialized.iter().for_each(|handle| keyed_streams(handle, purpose, visit));
            for change in changes {
                if let ChangelogDelta::Stream { parts, .. } = change {
                    parts.iter().for_each(|(_, stream)| visit(Purpose::Changelog, stream));
                }
            }
        }
    }
}
