use super::offsets::KeyGroupOffsets;
use crate::codec::Reader;
use crate::error::Result;
use crate::format::flink::primitive::Primitives;

/// Stream handles nest only through a key-groups handle used as a plain stream; Flink never nests them at all.
const MAX_NESTING: usize = 4;

/// Longest accepted name of a file that belongs to a snapshot.
const MAX_FILE_NAME_BYTES: usize = 255;

/// Where a run of bytes lies (`StreamStateHandle`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamHandle {
    /// In the metadata file itself.
    Inline(InlineBytes),
    /// A file named by an absolute URI. The text is untrusted: whoever opens it decides which roots are allowed.
    File {
        /// URI, such as `file:/...` or `s3://...`.
        uri: String,
        /// Size in bytes.
        size: u64,
    },
    /// A file named relative to the directory of the metadata file. Decoding has refused every path that could leave
    /// that directory.
    Relative {
        /// Path with `/` between its parts.
        path: String,
        /// Size in bytes.
        size: u64,
    },
    /// Part of a file that holds the state of several subtasks (checkpoint file merging).
    Segment(Segment),
    /// A segment without bytes.
    EmptySegment,
    /// The stream of a handle that also knows key-group offsets.
    KeyGroups {
        /// The offsets, which reading the plain stream does not need.
        offsets: KeyGroupOffsets,
        /// The stream.
        stream: Box<StreamHandle>,
    },
}

/// State stored in the metadata file itself (`ByteStreamStateHandle`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineBytes {
    /// A name without meaning: usually the path that a file would have had.
    pub name: String,
    /// The state.
    pub bytes: Vec<u8>,
}

/// Part of a merged file (`SegmentFileStateHandle`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// URI of the file; untrusted as in [`StreamHandle::File`].
    pub uri: String,
    /// Position of the first byte in the file.
    pub start: u64,
    /// Number of bytes. Offsets that accompany the handle count from `start`.
    pub size: u64,
    /// Who may use the file.
    pub scope: Scope,
    /// Identity of the segment.
    pub logical_id: String,
}

/// Who may use a file (`CheckpointedStateScope`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One checkpoint.
    Exclusive,
    /// Several checkpoints.
    Shared,
}

impl StreamHandle {
    /// Number of bytes in the stream.
    pub fn size(&self) -> u64 {
        match self {
            StreamHandle::Inline(inline) => u64::try_from(inline.bytes.len()).unwrap_or(u64::MAX),
            StreamHandle::File { size, .. } | StreamHandle::Relative { size, .. } => *size,
            StreamHandle::Segment(segment) => segment.size,
            StreamHandle::EmptySegment => 0,
            StreamHandle::KeyGroups { stream, .. } => stream.size(),
        }
    }

    /// The absolute URI of the file that the bytes lie in, if it is named by one.
    pub fn uri(&self) -> Option<&str> {
        match self.plain() {
            StreamHandle::File { uri, .. } | StreamHandle::Segment(Segment { uri, .. }) => Some(uri),
            _ => None,
        }
    }

    /// The handle of the bytes themselves: without key-group offsets around it.
    pub fn plain(&self) -> &StreamHandle {
        let mut handle = self;
        while let StreamHandle::KeyGroups { stream, .. } = handle {
            handle = stream;
        }
        handle
    }

    /// Reads a handle, `None` where null is stored.
    pub(super) fn read(input: &mut Reader<'_>, field: &'static str) -> Result<Option<Self>> {
        read_nested(input, field, 0)
    }

    /// Reads a handle that cannot be null.
    pub(super) fn read_present(input: &mut Reader<'_>, field: &'static str) -> Result<Self> {
        let start = input.clone();
        Self::read(input, field)?.ok_or_else(|| start.corrupt(field, "is null, a stream handle must follow"))
    }
}

fn read_nested(input: &mut Reader<'_>, field: &'static str, depth: usize) -> Result<Option<StreamHandle>> {
    let start = input.clone();
    let handle = match input.u8(field)? {
        0 => return Ok(None),
        1 => StreamHandle::Inline(InlineBytes {
            name: input.utf("inline handle name")?,
            bytes: input.bytes32("inline state")?.to_vec(),
        }),
        2 => {
            let size = input.size("file size")?;
            StreamHandle::File { uri: absolute_uri(input, "file path")?, size }
        }
        3 if depth < MAX_NESTING => {
            let offsets = KeyGroupOffsets::read(input, false)?;
            let stream = read_nested(input, field, depth.saturating_add(1))?
                .ok_or_else(|| start.corrupt(field, "a key-groups handle without a stream"))?;
            offsets.check_within(stream.size(), &start)?;
            StreamHandle::KeyGroups { offsets, stream: Box::new(stream) }
        }
        3 => return Err(start.corrupt(field, format!("key-groups handles nest deeper than {MAX_NESTING}"))),
        6 => {
            let path = relative_path(input)?;
            StreamHandle::Relative { path, size: input.size("file size")? }
        }
        15 => StreamHandle::Segment(segment(input)?),
        16 => StreamHandle::EmptySegment,
        tag => return Err(start.corrupt(field, format!("stream handle tag is {tag}, expected 0 to 3, 6, 15 or 16"))),
    };
    Ok(Some(handle))
}

fn segment(input: &mut Reader<'_>) -> Result<Segment> {
    let start = input.size("segment start")?;
    let place = input.clone();
    let size = input.size("segment size")?;
    if start.checked_add(size).is_none_or(|end| i64::try_from(end).is_err()) {
        return Err(place.corrupt("segment size", format!("is {size} bytes from {start} on, which ends nowhere")));
    }
    let place = input.clone();
    let scope = match input.i32("segment scope")? {
        0 => Scope::Exclusive,
        1 => Scope::Shared,
        other => return Err(place.corrupt("segment scope", format!("is {other}, expected 0 or 1"))),
    };
    let uri = absolute_uri(input, "segment file")?;
    Ok(Segment { uri, start, size, scope, logical_id: input.utf("segment id")? })
}

fn absolute_uri(input: &mut Reader<'_>, field: &'static str) -> Result<String> {
    let start = input.clone();
    let uri = input.utf(field)?;
    if uri.is_empty() { Err(start.corrupt(field, "is empty")) } else { Ok(uri) }
}

/// A path that stays below the snapshot's directory: parts separated by `/`, none of them empty, `.` or `..`, without
/// a scheme, a backslash or a control character.
fn relative_path(input: &mut Reader<'_>) -> Result<String> {
    let start = input.clone();
    let path = input.utf("relative path")?;
    let clean = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.len() <= MAX_FILE_NAME_BYTES
            && !part.contains(forbidden)
    };
    if path.split('/').all(clean) {
        return Ok(path);
    }
    Err(start.corrupt("relative path", format!("{path:?} does not name a file inside the snapshot's directory")))
}

fn forbidden(character: char) -> bool {
    character.is_control() || character == '\\' || character == ':'
}
