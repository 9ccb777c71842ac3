//! Files of changes, opened once however many change sets of them a handle names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::flink::Stream;
use crate::format::flink::changelog;
use crate::format::flink::metadata::StreamHandle;

/// A file of changes.
pub(super) struct Log {
    stream: Stream,
    /// Length that the handle says.
    logged_bytes: u64,
    /// What the file expands to, while it is needed.
    expanded: Mutex<Option<Arc<Vec<u8>>>>,
}

/// The bytes behind the flag of a log.
pub(super) enum LogBytes<'l> {
    Stored(&'l [u8]),
    Expanded(Arc<Vec<u8>>),
}

impl Log {
    pub(super) fn new(stream: Stream, logged_bytes: u64) -> Self {
        Log { stream, logged_bytes, expanded: Mutex::default() }
    }

    /// Length as it is stored.
    pub(super) fn length(&self) -> u64 {
        u64::try_from(self.stream.as_ref().len()).unwrap_or(u64::MAX)
    }

    /// The bytes behind the flag, and the offset in the file of the first of them; 0 where they were expanded.
    pub(super) fn bytes(&self) -> Result<(LogBytes<'_>, u64)> {
        let mut held = self.expanded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(expanded) = &*held {
            return Ok((LogBytes::Expanded(Arc::clone(expanded)), 0));
        }
        let (bytes, base) = changelog::expand(self.stream.as_ref()).map_err(|error| self.stream.locate(error))?;
        // The handle counts the bytes that were logged. A file that was copied with its metadata has its own length.
        let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if found != self.logged_bytes && self.length() != self.logged_bytes {
            let message =
                format!("the log has {found} bytes, its handle says {}; use another snapshot", self.logged_bytes);
            return Err(self.locate(Error::corrupt(message).at_offset(found.min(self.logged_bytes)), 0));
        }
        Ok(match bytes {
            Cow::Borrowed(bytes) => (LogBytes::Stored(bytes), base),
            Cow::Owned(bytes) => {
                let bytes = Arc::new(bytes);
                *held = Some(Arc::clone(&bytes));
                (LogBytes::Expanded(bytes), base)
            }
        })
    }

    /// Adds the file to an error in bytes of this base.
    pub(super) fn locate(&self, error: Error, base: u64) -> Error {
        // Offsets in expanded bytes are not those of the file.
        if base == 0 && error.place().file.is_none() {
            error.in_file(self.stream.file())
        } else {
            self.stream.locate(error)
        }
    }

    /// Lets go of expanded bytes.
    pub(super) fn close(&self) {
        *self.expanded.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl LogBytes<'_> {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            LogBytes::Stored(bytes) => bytes,
            LogBytes::Expanded(bytes) => bytes,
        }
    }
}

/// What is the same for handles of the same bytes; `None` for inline ones.
pub(super) fn place(handle: &StreamHandle) -> Option<(String, u64)> {
    match handle.plain() {
        StreamHandle::File { uri, .. } => Some((uri.clone(), 0)),
        StreamHandle::Relative { path, .. } => Some((path.clone(), 0)),
        StreamHandle::Segment(segment) => Some((segment.uri.clone(), segment.start.saturating_add(1))),
        _ => None,
    }
}

/// The parts of logs that were read: none may be read twice.
#[derive(Default)]
pub(super) struct Extents(BTreeMap<(usize, u64), u64>);

impl Extents {
    pub(super) fn add(&mut self, log: usize, start: u64, length: usize) -> Result<()> {
        let end = start.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        let before = self.0.range(..=(log, start)).next_back().filter(|((other, _), _)| *other == log);
        let after = self.0.range((log, start)..).next().filter(|((other, _), _)| *other == log);
        let overlaps = before.is_some_and(|(_, other_end)| *other_end > start)
            || after.is_some_and(|((_, other_start), _)| *other_start < end);
        if overlaps {
            return Err(Error::corrupt("the change set overlaps another one").in_field("changelog offset"));
        }
        self.0.insert((log, start), end);
        Ok(())
    }
}
