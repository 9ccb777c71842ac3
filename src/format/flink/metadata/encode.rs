//! Writing `_metadata` files.

use super::channel::{Channel, ChannelHandle, Side};
use super::keyed::{ChangelogDelta, ChangelogHandle, IncrementalHandle, KeyGroupsHandle, LocalFile, Slot};
use super::stream::{InlineBytes, Scope, Segment};
use super::version::MAGIC;
use super::{
    Distribution, KeyGroupOffsets, KeyGroupsBody, KeyedHandle, MASTER_STATE_MAGIC, MasterState, Metadata, Operator,
    OperatorStateHandle, Progress, StreamHandle, Subtask, SubtaskState, Version,
};
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::flink::java_object::CheckpointProperties;
use crate::format::flink::write::WritePrimitives;
use crate::key_group::KeyGroupRange;

/// Stands for a key group without bytes: of raw state, and of streams that are no backend's.
const NO_BYTES: i64 = -1;

/// Stands for a key group without bytes where a stream begins with a header, so that nothing else begins there.
const NO_BYTES_BEHIND_HEADER: i64 = 0;

impl Metadata {
    /// Encodes the file in its version, which is 3 or later: Flink stopped writing version 2 long ago.
    ///
    /// What decoding would refuse, or would not give back as it is, is an
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) error: names of operators before version 5, missing
    /// properties from version 4 on, merged channels before version 6, offsets beyond a stream and so forth. See
    /// [`in_version`](Self::in_version). Old tags (3, 5, 8) are written where the parts that they lack are absent.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let bytes = self.write()?;
        let again = Metadata::decode(&bytes)
            .map_err(|error| Error::invalid_input("the metadata contradicts itself").because(error))?;
        if again == *self {
            return Ok(bytes);
        }
        let version = self.version;
        Err(Error::invalid_input(format!("the metadata holds what version {version} of the file cannot")))
    }

    /// The same snapshot in another version, as far as that can hold it: names and uids of operators are dropped before
    /// version 5, as is whatever the snapshot was taken for before version 4; merged channels are taken apart
    /// before version 6. What version 4 and later need and the file does not have is the properties of a canonical
    /// savepoint.
    #[must_use]
    pub fn in_version(mut self, version: Version) -> Self {
        self.version = version;
        for operator in &mut self.operators {
            if !version.has_names() {
                (operator.name, operator.uid) = (None, None);
            }
            let Progress::Running(subtasks) = &mut operator.progress else { continue };
            for state in subtasks.iter_mut().filter_map(|subtask| subtask.state.as_mut()) {
                if !version.has_typed_channels() {
                    state.input_channels = unmerged(&state.input_channels);
                    state.result_subpartitions = unmerged(&state.result_subpartitions);
                }
            }
        }
        self.properties = match self.properties {
            _ if !version.has_properties() => None,
            None => Some(CheckpointProperties::of_canonical_savepoint()),
            properties => properties,
        };
        self
    }

    fn write(&self) -> Result<Vec<u8>> {
        let Metadata { version, checkpoint_id, master_states, operators, properties } = self;
        if *version < Version::V3 {
            return Err(Error::invalid_input(format!("metadata of version {version} can only be read")));
        }
        let mut out = Writer::new();
        out.u32(MAGIC);
        out.u32(version.number());
        out.size(*checkpoint_id, "checkpoint id")?;
        out.items(master_states.len(), "number of master states")?;
        master_states.iter().try_for_each(|state| state.write(&mut out))?;
        out.items(operators.len(), "number of operators")?;
        for operator in operators {
            operator.write(&mut out, *version).map_err(|error| error.in_operator(operator.id))?;
        }
        if let Some(properties) = properties {
            out.raw(properties);
        }
        Ok(out.into_bytes())
    }
}

/// One handle for each channel.
fn unmerged(handles: &[ChannelHandle]) -> Vec<ChannelHandle> {
    let single = |handle: &ChannelHandle, channel: &Channel| ChannelHandle {
        subtask: handle.subtask,
        channels: vec![channel.clone()],
        size: channel.size,
        stream: handle.stream.clone(),
        merged: false,
    };
    handles.iter().flat_map(|handle| handle.channels.iter().map(move |channel| single(handle, channel))).collect()
}

impl MasterState {
    fn write(&self, out: &mut Writer) -> Result<()> {
        let MasterState { version, name, payload } = self;
        out.u32(MASTER_STATE_MAGIC);
        out.frame("master state", |out| {
            out.i32(*version);
            out.utf(name, "master state name")?;
            out.bytes32(payload, "master state payload")
        })
    }
}

impl Operator {
    fn write(&self, out: &mut Writer, version: Version) -> Result<()> {
        let Operator { name, uid, id, parallelism, max_parallelism, coordinator, progress } = self;
        if version.has_names() {
            out.utf(name.as_deref().unwrap_or_default(), "operator name")?;
            out.utf(uid.as_deref().unwrap_or_default(), "operator uid")?;
        }
        out.raw(&id.0);
        out.non_negative(parallelism.get(), "parallelism")?;
        out.non_negative(max_parallelism.get(), "max parallelism")?;
        match coordinator {
            Some(inline) => inline.write(out, "coordinator state")?,
            None => out.u8(0),
        }
        match progress {
            Progress::Finished => out.i32(-1),
            Progress::Running(subtasks) => {
                out.items(subtasks.len(), "number of subtasks")?;
                subtasks.iter().try_for_each(|subtask| subtask.write(out, version))?;
            }
        }
        Ok(())
    }
}

impl Subtask {
    fn write(&self, out: &mut Writer, version: Version) -> Result<()> {
        let Subtask { index, state } = self;
        let Some(state) = state else {
            out.u32(!index.0);
            return Ok(());
        };
        out.non_negative(index.0, "subtask index")?;
        state.write(out, version)
    }
}

impl SubtaskState {
    fn write(&self, out: &mut Writer, version: Version) -> Result<()> {
        let SubtaskState {
            managed_operator,
            raw_operator,
            managed_keyed,
            raw_keyed,
            input_channels,
            result_subpartitions,
        } = self;
        announced(managed_operator.as_ref(), out, "managed operator state")?;
        announced(raw_operator.as_ref(), out, "raw operator state")?;
        keyed(managed_keyed.as_ref(), out, Slot::Managed)?;
        keyed(raw_keyed.as_ref(), out, Slot::Raw)?;
        channels(input_channels, out, Side::Input, version)?;
        channels(result_subpartitions, out, Side::Output, version)
    }
}

/// An operator state handle behind a four-byte flag.
fn announced(handle: Option<&OperatorStateHandle>, out: &mut Writer, field: &'static str) -> Result<()> {
    out.i32(i32::from(handle.is_some()));
    handle.map_or(Ok(()), |handle| handle.write(out, field))
}

fn keyed(handle: Option<&KeyedHandle>, out: &mut Writer, slot: Slot) -> Result<()> {
    match handle {
        None => {
            out.u8(0);
            Ok(())
        }
        Some(handle) => handle.write(out, slot),
    }
}

fn channels(handles: &[ChannelHandle], out: &mut Writer, side: Side, version: Version) -> Result<()> {
    out.items(handles.len(), side.field())?;
    handles.iter().try_for_each(|handle| handle.write(out, side, version))
}

impl ChannelHandle {
    fn write(&self, out: &mut Writer, side: Side, version: Version) -> Result<()> {
        let ChannelHandle { subtask, channels, size, stream, merged } = self;
        let (single, several) = side.tags();
        if version.has_typed_channels() {
            out.u8(if *merged { several } else { single });
        }
        out.non_negative(*subtask, "channel subtask index")?;
        if *merged && version.has_typed_channels() {
            out.size(*size, "channel state size")?;
            stream.write(out, "channel state stream")?;
            return out.frame("merged channels", |out| merged_channels(channels, out));
        }
        let [Channel { group, index, size: own_size, offsets }] = channels.as_slice() else {
            let message = format!("a handle of one channel has {}", channels.len());
            return Err(Error::invalid_input(message).in_field(side.field()));
        };
        out.non_negative(*group, "channel group")?;
        out.non_negative(*index, "channel index")?;
        positions(offsets, out, "chunk offset")?;
        out.size(*own_size, "channel state size")?;
        stream.write(out, "channel state stream")
    }
}

fn merged_channels(channels: &[Channel], out: &mut Writer) -> Result<()> {
    out.items(channels.len(), "number of merged channels")?;
    for Channel { group, index, size, offsets } in channels {
        out.non_negative(*group, "channel group")?;
        out.non_negative(*index, "channel index")?;
        out.size(*size, "channel state size")?;
        positions(offsets, out, "chunk offset")?;
    }
    Ok(())
}

/// A count and so many positions.
fn positions(offsets: &[u64], out: &mut Writer, field: &'static str) -> Result<()> {
    out.items(offsets.len(), field)?;
    offsets.iter().try_for_each(|offset| out.size(*offset, field))
}

impl OperatorStateHandle {
    fn write(&self, out: &mut Writer, field: &'static str) -> Result<()> {
        let OperatorStateHandle { states, stream, merging } = self;
        out.u8(if merging.is_some() { 17 } else { 4 });
        out.items(states.len(), field)?;
        for state in states {
            out.utf(&state.name, "operator state name")?;
            out.u8(match state.distribution {
                Distribution::Split => 0,
                Distribution::Union => 1,
                Distribution::Broadcast => 2,
            });
            positions(&state.offsets, out, "partition offset")?;
        }
        if let Some(merging) = merging {
            out.utf(&merging.task_owned, "task-owned directory")?;
            out.utf(&merging.shared, "shared directory")?;
            out.bool(merging.is_empty);
        }
        stream.write(out, "operator state stream")
    }
}

impl KeyedHandle {
    fn write(&self, out: &mut Writer, slot: Slot) -> Result<()> {
        match self {
            KeyedHandle::KeyGroups(handle) => handle.write(out, slot),
            KeyedHandle::Incremental(handle) => handle.write(out),
            KeyedHandle::Changelog(handle) => handle.write(out),
        }
    }
}

impl KeyGroupsHandle {
    fn write(&self, out: &mut Writer, slot: Slot) -> Result<()> {
        let KeyGroupsHandle { body, offsets, stream, id } = self;
        out.u8(match body {
            KeyGroupsBody::Canonical => 7,
            KeyGroupsBody::Native => 12,
            KeyGroupsBody::Unspecified => 3,
        });
        offsets.write(out, if slot == Slot::Managed { NO_BYTES_BEHIND_HEADER } else { NO_BYTES })?;
        stream.write(out, "keyed state stream")?;
        match (body, id) {
            (KeyGroupsBody::Native, id) => out.utf(id.as_deref().unwrap_or_default(), "state handle id"),
            _ => Ok(()),
        }
    }
}

impl KeyGroupOffsets {
    fn write(&self, out: &mut Writer, no_bytes: i64) -> Result<()> {
        range(self.range(), out)?;
        for (_, offset) in self.iter() {
            match offset {
                Some(offset) => out.size(offset, "key-group offset")?,
                None => out.i64(no_bytes),
            }
        }
        Ok(())
    }
}

/// First key group and number of key groups.
fn range(range: KeyGroupRange, out: &mut Writer) -> Result<()> {
    out.i32(range.first().0.into());
    out.items(range.len(), "number of key groups")
}

impl IncrementalHandle {
    fn write(&self, out: &mut Writer) -> Result<()> {
        let IncrementalHandle {
            checkpoint_id,
            backend_id,
            range: groups,
            checkpointed_size,
            meta,
            shared,
            private,
            id,
        } = self;
        out.u8(if id.is_some() { 11 } else { 5 });
        out.size(*checkpoint_id, "checkpoint id")?;
        out.utf(backend_id, "backend id")?;
        range(*groups, out)?;
        if id.is_some() {
            match checkpointed_size {
                Some(size) => out.size(*size, "checkpointed size")?,
                None => out.i64(-1),
            }
        }
        meta.write(out, "backend metadata stream")?;
        files(shared, out, "shared file")?;
        files(private, out, "private file")?;
        id.as_ref().map_or(Ok(()), |id| out.utf(id, "state handle id"))
    }
}

fn files(files: &[LocalFile], out: &mut Writer, field: &'static str) -> Result<()> {
    out.items(files.len(), field)?;
    for LocalFile { name, stream } in files {
        out.utf(name, field)?;
        stream.write(out, field)?;
    }
    Ok(())
}

impl ChangelogHandle {
    fn write(&self, out: &mut Writer) -> Result<()> {
        let ChangelogHandle {
            range: groups,
            checkpointed_size,
            materialized,
            changes,
            materialization_id,
            checkpoint_id,
            id,
        } = self;
        out.u8(if checkpoint_id.is_some() { 14 } else { 8 });
        range(*groups, out)?;
        out.i64(*checkpointed_size);
        out.items(materialized.len(), "number of materialized handles")?;
        materialized.iter().try_for_each(|handle| handle.write(out, Slot::Managed))?;
        out.items(changes.len(), "number of changelog handles")?;
        changes.iter().try_for_each(|delta| delta.write(out))?;
        out.i64(*materialization_id);
        if let Some(checkpoint_id) = checkpoint_id {
            out.i64(*checkpoint_id);
        }
        out.utf(id, "state handle id")
    }
}

impl ChangelogDelta {
    /// Changes in files are always written with the kind of their storage (tag 13), which old files left out (tag 10).
    fn write(&self, out: &mut Writer) -> Result<()> {
        match self {
            ChangelogDelta::Inline { range: groups, from, to, changes, id } => {
                out.u8(9);
                range(*groups, out)?;
                out.i64(*from);
                out.i64(*to);
                out.items(changes.len(), "number of changes")?;
                for (group, change) in changes {
                    out.i32(group.map_or(-1, i32::from));
                    out.bytes32(change, "change")?;
                }
                out.utf(id, "state handle id")
            }
            ChangelogDelta::Stream { range: groups, parts, size, checkpointed_size, id, storage } => {
                out.u8(13);
                range(*groups, out)?;
                out.items(parts.len(), "number of changelog files")?;
                for (offset, stream) in parts {
                    out.size(*offset, "changelog offset")?;
                    stream.write(out, "changelog file")?;
                }
                out.i64(*size);
                out.i64(*checkpointed_size);
                out.utf(id, "state handle id")?;
                out.utf(storage, "changelog storage")
            }
        }
    }
}

impl StreamHandle {
    fn write(&self, out: &mut Writer, field: &'static str) -> Result<()> {
        match self {
            StreamHandle::Inline(inline) => inline.write(out, field),
            StreamHandle::File { uri, size } => {
                out.u8(2);
                out.size(*size, "file size")?;
                out.utf(uri, "file path")
            }
            StreamHandle::Relative { path, size } => {
                out.u8(6);
                out.utf(path, "relative path")?;
                out.size(*size, "file size")
            }
            StreamHandle::Segment(Segment { uri, start, size, scope, logical_id }) => {
                out.u8(15);
                out.size(*start, "segment start")?;
                out.size(*size, "segment size")?;
                out.i32(match scope {
                    Scope::Exclusive => 0,
                    Scope::Shared => 1,
                });
                out.utf(uri, "segment file")?;
                out.utf(logical_id, "segment id")
            }
            StreamHandle::EmptySegment => {
                out.u8(16);
                Ok(())
            }
            StreamHandle::KeyGroups { offsets, stream } => {
                out.u8(3);
                offsets.write(out, NO_BYTES)?;
                stream.write(out, field)
            }
        }
    }
}

impl InlineBytes {
    fn write(&self, out: &mut Writer, field: &'static str) -> Result<()> {
        let InlineBytes { name, bytes } = self;
        out.u8(1);
        out.utf(name, "inline handle name")?;
        out.bytes32(bytes, field)
    }
}
