//! Handles whose bytes are carried as they are.

use std::borrow::Cow;

use super::Progress;
use super::savepoint::Target;
use crate::error::Result;
use crate::flink::{SnapshotReader, Stream};
use crate::format::flink::metadata::{
    ChangelogDelta, ChannelHandle, KeyedHandle, LocalFile, OperatorStateHandle, Segment, StreamHandle, SubtaskState,
};

/// A URI as Flink writes those of local files, with one slash: people write three.
fn plain(uri: &str) -> Cow<'_, str> {
    match uri.strip_prefix("file:///") {
        Some(rest) => format!("file:/{rest}").into(),
        None => uri.into(),
    }
}

/// Copies streams into a savepoint.
pub(super) struct Carrier<'c> {
    pub(super) source: &'c SnapshotReader,
    pub(super) target: &'c Target,
    /// Prefixes of absolute URIs and what takes their place.
    pub(super) moved: &'c [(String, String)],
    pub(super) progress: &'c dyn Fn(Progress),
}

impl Carrier<'_> {
    /// The handle of the same bytes in the savepoint.
    pub(super) fn stream(&self, handle: &StreamHandle) -> Result<StreamHandle> {
        match handle {
            StreamHandle::Inline(_) | StreamHandle::EmptySegment => return Ok(handle.clone()),
            StreamHandle::File { uri, size } => {
                if let Some(uri) = self.new_uri(uri) {
                    return Ok(StreamHandle::File { uri, size: *size });
                }
            }
            StreamHandle::Segment(segment) => {
                if let Some(uri) = self.new_uri(&segment.uri) {
                    return Ok(StreamHandle::Segment(Segment { uri, ..segment.clone() }));
                }
            }
            StreamHandle::KeyGroups { offsets, stream } => {
                let stream = Box::new(self.stream(stream)?);
                return Ok(StreamHandle::KeyGroups { offsets: offsets.clone(), stream });
            }
            StreamHandle::Relative { .. } => {}
        }
        self.copied(&self.source.stream(handle)?)
    }

    /// The handle of a log of changes, whose length is not the one that its handle says.
    fn log(&self, handle: &StreamHandle) -> Result<StreamHandle> {
        match handle {
            StreamHandle::File { uri, .. } if self.new_uri(uri).is_none() => self.copied(&self.source.log(handle)?),
            StreamHandle::Relative { .. } => self.copied(&self.source.log(handle)?),
            _ => self.stream(handle),
        }
    }

    fn copied(&self, stream: &Stream) -> Result<StreamHandle> {
        let bytes = stream.as_ref();
        let mut file = self.target.file()?;
        file.write(bytes)?;
        (self.progress)(Progress::Written(u64::try_from(bytes.len()).unwrap_or(u64::MAX)));
        file.finish()
    }

    fn new_uri(&self, uri: &str) -> Option<String> {
        let uri = plain(uri);
        self.moved.iter().find_map(|(old, new)| {
            let rest = uri.strip_prefix(plain(old).trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{}{rest}", new.trim_end_matches('/')))
        })
    }

    pub(super) fn operator(&self, handle: &OperatorStateHandle) -> Result<OperatorStateHandle> {
        let stream = self.stream(&handle.stream)?;
        // Only segments of merged files have directories.
        let merging =
            handle.merging.clone().filter(|_| matches!(stream, StreamHandle::Segment(_) | StreamHandle::EmptySegment));
        Ok(OperatorStateHandle { states: handle.states.clone(), stream, merging })
    }

    pub(super) fn keyed(&self, handle: &KeyedHandle) -> Result<KeyedHandle> {
        let mut handle = handle.clone();
        match &mut handle {
            KeyedHandle::KeyGroups(handle) => handle.stream = self.stream(&handle.stream)?,
            KeyedHandle::Incremental(handle) => {
                handle.meta = self.stream(&handle.meta)?;
                for LocalFile { stream, .. } in handle.shared.iter_mut().chain(&mut handle.private) {
                    *stream = self.stream(stream)?;
                }
            }
            KeyedHandle::Changelog(handle) => {
                for materialized in &mut handle.materialized {
                    *materialized = self.keyed(materialized)?;
                }
                for change in &mut handle.changes {
                    let ChangelogDelta::Stream { parts, .. } = change else { continue };
                    for (_, stream) in parts {
                        *stream = self.log(stream)?;
                    }
                }
            }
        }
        Ok(handle)
    }

    fn channels(&self, handles: &[ChannelHandle]) -> Result<Vec<ChannelHandle>> {
        handles
            .iter()
            .map(|handle| Ok(ChannelHandle { stream: self.stream(&handle.stream)?, ..handle.clone() }))
            .collect()
    }

    /// Everything that a subtask has.
    pub(super) fn subtask(&self, state: &SubtaskState) -> Result<SubtaskState> {
        let SubtaskState {
            managed_operator,
            raw_operator,
            managed_keyed,
            raw_keyed,
            input_channels,
            result_subpartitions,
        } = state;
        let operator =
            |handle: &Option<OperatorStateHandle>| handle.as_ref().map(|handle| self.operator(handle)).transpose();
        let keyed = |handle: &Option<KeyedHandle>| handle.as_ref().map(|handle| self.keyed(handle)).transpose();
        Ok(SubtaskState {
            managed_operator: operator(managed_operator)?,
            raw_operator: operator(raw_operator)?,
            managed_keyed: keyed(managed_keyed)?,
            raw_keyed: keyed(raw_keyed)?,
            input_channels: self.channels(input_channels)?,
            result_subpartitions: self.channels(result_subpartitions)?,
        })
    }
}
