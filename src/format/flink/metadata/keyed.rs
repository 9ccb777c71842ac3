use super::offsets::{KeyGroupOffsets, read_range};
use super::stream::StreamHandle;
use crate::codec::Reader;
use crate::error::Result;
use crate::format::flink::primitive::Primitives;
use crate::key_group::KeyGroupRange;

/// Where the keyed state of a subtask lies (`KeyedStateHandle`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyedHandle {
    /// One stream with an offset for each key group.
    KeyGroups(KeyGroupsHandle),
    /// A RocksDB (or ForSt) database, file by file.
    Incremental(IncrementalHandle),
    /// State of the changelog backend: handles of another backend plus the changes since.
    Changelog(ChangelogHandle),
}

/// A stream with an offset for each key group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGroupsHandle {
    /// What the stream holds.
    pub body: KeyGroupsBody,
    /// Where each key group begins.
    pub offsets: KeyGroupOffsets,
    /// The stream.
    pub stream: StreamHandle,
    /// Identity of the handle; absent in savepoints and in old files.
    pub id: Option<String>,
}

/// What the stream of a [`KeyGroupsHandle`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyGroupsBody {
    /// A canonical savepoint (`KeyGroupsSavepointStateHandle`, tag 7).
    Canonical,
    /// A checkpoint of the heap backend, or raw keyed state (`KeyGroupsStateHandle`, tag 12).
    Native,
    /// Either of the two: old files do not say (tag 3).
    Unspecified,
}

/// The files of a RocksDB database (`IncrementalRemoteKeyedStateHandle`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncrementalHandle {
    /// The checkpoint that wrote the handle.
    pub checkpoint_id: u64,
    /// Identity of the backend, a UUID as text.
    pub backend_id: String,
    /// The key groups of the subtask; the database can hold others, which are to be ignored.
    pub range: KeyGroupRange,
    /// Bytes that this checkpoint added; unknown in old files.
    pub checkpointed_size: Option<u64>,
    /// The header with the states' serializers.
    pub meta: StreamHandle,
    /// Table files.
    pub shared: Vec<LocalFile>,
    /// All other files.
    pub private: Vec<LocalFile>,
    /// Identity of the handle; absent in old files.
    pub id: Option<String>,
}

/// A file of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// Name in the database's directory: only letters, digits, `.`, `_` and `-`, and neither `.` nor `..`.
    pub name: String,
    /// Where its bytes lie.
    pub stream: StreamHandle,
}

/// State of the changelog backend (`ChangelogStateBackendHandleImpl`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogHandle {
    /// The key groups.
    pub range: KeyGroupRange,
    /// Bytes that this checkpoint added; -1 where unknown.
    pub checkpointed_size: i64,
    /// State up to the materialization. Never itself a [`KeyedHandle::Changelog`].
    pub materialized: Vec<KeyedHandle>,
    /// Changes since.
    pub changes: Vec<ChangelogDelta>,
    /// Number of the materialization.
    pub materialization_id: i64,
    /// The checkpoint that wrote the handle; absent in old files.
    pub checkpoint_id: Option<i64>,
    /// Identity of the handle.
    pub id: String,
}

/// Changes of the changelog backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangelogDelta {
    /// In the metadata file (`InMemoryChangelogStateHandle`).
    Inline {
        /// The key groups.
        range: KeyGroupRange,
        /// First sequence number.
        from: i64,
        /// Sequence number after the last one.
        to: i64,
        /// Changes with their key group; `None` for changes of metadata.
        changes: Vec<(Option<u16>, Vec<u8>)>,
        /// Identity of the handle.
        id: String,
    },
    /// In files (`ChangelogStateHandleStreamImpl`).
    Stream {
        /// The key groups.
        range: KeyGroupRange,
        /// Files, each with the (uncompressed) position at which the changes begin.
        parts: Vec<(u64, StreamHandle)>,
        /// Size of the changes.
        size: i64,
        /// Bytes that this checkpoint added.
        checkpointed_size: i64,
        /// Identity of the handle.
        id: String,
        /// Kind of changelog storage, `filesystem` where the file does not say.
        storage: String,
    },
}

/// Which keyed state of a subtask a handle is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// That of a state backend: streams begin with a header.
    Managed,
    /// The operator's own bytes, from the first on.
    Raw,
}

impl Slot {
    pub(super) const fn field(self) -> &'static str {
        match self {
            Slot::Managed => "managed keyed state",
            Slot::Raw => "raw keyed state",
        }
    }
}

impl KeyedHandle {
    /// The key groups that the handle covers.
    pub fn range(&self) -> KeyGroupRange {
        match self {
            KeyedHandle::KeyGroups(handle) => handle.offsets.range(),
            KeyedHandle::Incremental(handle) => handle.range,
            KeyedHandle::Changelog(handle) => handle.range,
        }
    }

    /// Reads a handle, `None` where null is stored.
    pub(super) fn read(input: &mut Reader<'_>, slot: Slot) -> Result<Option<Self>> {
        let start = input.clone();
        let field = slot.field();
        let handle = match input.u8(field)? {
            0 => return Ok(None),
            tag @ (3 | 7 | 12) => KeyedHandle::KeyGroups(key_groups(input, tag, slot, &start)?),
            5 => KeyedHandle::Incremental(incremental(input, false)?),
            11 => KeyedHandle::Incremental(incremental(input, true)?),
            8 => KeyedHandle::Changelog(changelog(input, false)?),
            14 => KeyedHandle::Changelog(changelog(input, true)?),
            tag => {
                let message = format!("keyed state handle tag is {tag}, expected 0, 3, 5, 7, 8, 11, 12 or 14");
                return Err(start.corrupt(field, message));
            }
        };
        Ok(Some(handle))
    }
}

fn key_groups(input: &mut Reader<'_>, tag: u8, slot: Slot, start: &Reader<'_>) -> Result<KeyGroupsHandle> {
    let body = match tag {
        7 => KeyGroupsBody::Canonical,
        12 => KeyGroupsBody::Native,
        _ => KeyGroupsBody::Unspecified,
    };
    let offsets = KeyGroupOffsets::read(input, slot == Slot::Managed)?;
    let stream = StreamHandle::read_present(input, "keyed state stream")?;
    offsets.check_within(stream.size(), start)?;
    let id = if body == KeyGroupsBody::Native { Some(input.utf("state handle id")?) } else { None };
    Ok(KeyGroupsHandle { body, offsets, stream, id })
}

fn incremental(input: &mut Reader<'_>, current: bool) -> Result<IncrementalHandle> {
    let checkpoint_id = input.size("checkpoint id")?;
    let backend_id = input.utf("backend id")?;
    let range = read_range(input)?;
    let checkpointed_size = if current { u64::try_from(input.i64("checkpointed size")?).ok() } else { None };
    let meta = StreamHandle::read_present(input, "backend metadata stream")?;
    let shared = files(input, "shared file")?;
    let private = files(input, "private file")?;
    let id = if current { Some(input.utf("state handle id")?) } else { None };
    Ok(IncrementalHandle { checkpoint_id, backend_id, range, checkpointed_size, meta, shared, private, id })
}

fn files(input: &mut Reader<'_>, field: &'static str) -> Result<Vec<LocalFile>> {
    let mut files: Vec<LocalFile> = Vec::new();
    for _ in 0..input.items(3, field)? {
        let start = input.clone();
        let name = input.utf(field)?;
        let clean = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.is_empty() || name == "." || name == ".." || !name.bytes().all(clean) {
            return Err(start.corrupt(field, format!("{name:?} is no name of a database file")));
        }
        files.push(LocalFile { name, stream: StreamHandle::read_present(input, field)? });
    }
    Ok(files)
}

fn changelog(input: &mut Reader<'_>, current: bool) -> Result<ChangelogHandle> {
    let range = read_range(input)?;
    let checkpointed_size = input.i64("checkpointed size")?;
    let mut materialized = Vec::new();
    for _ in 0..input.items(1, "number of materialized handles")? {
        materialized.push(materialized_handle(input)?);
    }
    let mut changes = Vec::new();
    for _ in 0..input.items(1, "number of changelog handles")? {
        changes.push(delta(input)?);
    }
    let materialization_id = input.i64("materialization id")?;
    let checkpoint_id = if current { Some(input.i64("checkpoint id")?) } else { None };
    let id = input.utf("state handle id")?;
    Ok(ChangelogHandle { range, checkpointed_size, materialized, changes, materialization_id, checkpoint_id, id })
}

fn materialized_handle(input: &mut Reader<'_>) -> Result<KeyedHandle> {
    let start = input.clone();
    let field = "materialized handle";
    if matches!(input.rest().first(), Some(8 | 14)) {
        return Err(start.corrupt(field, "is a changelog handle inside a changelog handle"));
    }
    KeyedHandle::read(input, Slot::Managed)?.ok_or_else(|| start.corrupt(field, "is null"))
}

fn delta(input: &mut Reader<'_>) -> Result<ChangelogDelta> {
    let start = input.clone();
    let field = "changelog handle";
    match input.u8(field)? {
        9 => inline_delta(input),
        10 => stream_delta(input, false),
        13 => stream_delta(input, true),
        tag => Err(start.corrupt(field, format!("changelog handle tag is {tag}, expected 9, 10 or 13"))),
    }
}

fn inline_delta(input: &mut Reader<'_>) -> Result<ChangelogDelta> {
    let range = read_range(input)?;
    let from = input.i64("first sequence number")?;
    let to = input.i64("last sequence number")?;
    let mut changes = Vec::new();
    for _ in 0..input.items(8, "number of changes")? {
        let start = input.clone();
        let group = match input.i32("key group of a change")? {
            -1 => None,
            group => Some(u16::try_from(group).map_err(|_| {
                start.corrupt("key group of a change", format!("is {group}, it must be -1 or a key group"))
            })?),
        };
        changes.push((group, input.bytes32("change")?.to_vec()));
    }
    Ok(ChangelogDelta::Inline { range, from, to, changes, id: input.utf("state handle id")? })
}

fn stream_delta(input: &mut Reader<'_>, current: bool) -> Result<ChangelogDelta> {
    let range = read_range(input)?;
    let mut parts = Vec::new();
    for _ in 0..input.items(9, "number of changelog files")? {
        let offset = input.size("changelog offset")?;
        parts.push((offset, StreamHandle::read_present(input, "changelog file")?));
    }
    let size = input.i64("changelog size")?;
    let checkpointed_size = input.i64("checkpointed size")?;
    let id = input.utf("state handle id")?;
    let storage = if current { input.utf("changelog storage")? } else { "filesystem".to_owned() };
    Ok(ChangelogDelta::Stream { range, parts, size, checkpointed_size, id, storage })
}
