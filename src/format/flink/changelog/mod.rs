//! Logs of the changelog backend: what happened to keyed state since it was last written as a whole.
//!
//! A log file is a flag that says whether the rest is one Snappy framed stream, and *change sets*. Only the handle says
//! where sets begin: as positions in the (expanded) bytes behind the flag. A set has a *run* of *changes* for each key
//! group and, before these, one of *announcements*: descriptions of states, with the number that changes know a state by.
//! A change is an operation on one state; that of keyed state names key and namespace, that of timers the timer.
//!
//! What the log never says is how keys are serialized. It is known where timers are announced, whose serializer contains
//! that of the key, or where there is state that was written as a whole.
//!
//! [`NetChanges`] is what the changes of a key group come to. Applied to the entries that were written as a whole, in the form
//! of canonical files, they give the entries of the moment of the checkpoint. All operations can be repeated without the program
//! that logged them, with one exception: what became of two values whose namespaces were merged (session windows with a reducing or
//! aggregating function) only that program can tell.
//!
//! Sources: `StateChangeFormat`, `StateChangeFsUploader`, `AbstractStateChangeLogger`, `KvStateChangeLoggerImpl`,
//! `ChangelogBackendLogApplier` and the `StateChangeApplier` of every kind of state.

mod announcement;
mod net;

pub use announcement::Announcement;
pub use net::{NetChanges, Trial};

use std::borrow::Cow;

use super::primitive::Primitives;
use super::snappy;
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::key_group::KeyGroup;

/// Key group of announcements.
const METADATA: i32 = -1;

/// What is behind the flag of a log file, expanded if it is compressed, and the offset in the file of the first of
/// these bytes: 0 where they are not those of the file.
///
/// A compressed log is expanded as a whole, at most to about thirty times its length.
pub fn expand(file: &[u8]) -> Result<(Cow<'_, [u8]>, u64)> {
    let mut input = Reader::new(file);
    let compressed = input.bool("log compression")?;
    let bytes = snappy::expand(compressed, false, input.rest(), input.offset())?;
    Ok((bytes, if compressed { 0 } else { input.offset() }))
}

/// One change set.
#[derive(Debug, Clone)]
pub struct ChangeSet<'a> {
    input: Reader<'a>,
    left: usize,
    first: bool,
}

/// The changes of one key group in a set, or its announcements.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// The key group; `None` for announcements.
    pub group: Option<KeyGroup>,
    /// The changes.
    pub changes: Changes<'a>,
}

/// Iterator over changes, each as its bytes.
#[derive(Debug, Clone)]
pub struct Changes<'a> {
    input: Reader<'a>,
    left: usize,
}

impl<'a> ChangeSet<'a> {
    /// The set at `position` of the bytes of a log; `base` is the offset of the first of them.
    pub fn open(bytes: &'a [u8], base: u64, position: u64) -> Result<Self> {
        let outside = || {
            let message = format!("is {position}, the log has {} bytes", bytes.len());
            Error::corrupt(message).at_offset(base.saturating_add(position)).in_field("changelog offset")
        };
        let start = usize::try_from(position).map_err(|_| outside())?;
        let bytes = bytes.get(start..).ok_or_else(outside)?;
        let mut input = Reader::with_base(bytes, base.saturating_add(position));
        let left = input.items(8, "number of key groups")?;
        Ok(ChangeSet { input, left, first: true })
    }

    /// The next run, `None` at the end of the set.
    pub fn next_run(&mut self) -> Result<Option<Run<'a>>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left = self.left.saturating_sub(1);
        let count = self.input.items(4, "number of changes")?;
        let group = self.group()?;
        self.first = false;
        let (start, offset) = (self.input.position(), self.input.offset());
        for _ in 0..count {
            self.input.bytes32("change")?;
        }
        let changes = Changes { input: Reader::with_base(self.input.since(start), offset), left: count };
        Ok(Some(Run { group, changes }))
    }

    fn group(&mut self) -> Result<Option<KeyGroup>> {
        let start = self.input.clone();
        let field = "key group of changes";
        match self.input.i32(field)? {
            METADATA if self.first => Ok(None),
            METADATA => Err(start.corrupt(field, "says that announcements follow, which come first")),
            group => match u16::try_from(group) {
                Ok(group) => Ok(Some(KeyGroup(group))),
                Err(_) => Err(start.corrupt(field, format!("is {group}, it must be -1 or a key group"))),
            },
        }
    }

    /// How many bytes of the set were read.
    pub fn position(&self) -> usize {
        self.input.position()
    }
}

impl<'a> Changes<'a> {
    /// `count` changes in bytes that begin at offset `base`: a run that was met before.
    pub fn again(bytes: &'a [u8], base: u64, count: usize) -> Self {
        Changes { input: Reader::with_base(bytes, base), left: count }
    }

    /// How many are left.
    pub fn count_left(&self) -> usize {
        self.left
    }

    /// Offset of the next one.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Result<Reader<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let change = self.input.frame("change");
        if change.is_err() {
            self.left = 0;
        }
        Some(change)
    }
}

/// What a change does (`StateChangeOperation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Clear,
    Set,
    SetInternal,
    Add,
    MergeNamespaces,
    AddElement,
    AddOrUpdateElement,
    RemoveElement,
    Announce,
}

impl Operation {
    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let start = input.clone();
        Ok(match input.u8("operation")? {
            0 => Operation::Clear,
            1 => Operation::Set,
            2 => Operation::SetInternal,
            3 => Operation::Add,
            4 => Operation::MergeNamespaces,
            5 => Operation::AddElement,
            6 => Operation::AddOrUpdateElement,
            7 => Operation::RemoveElement,
            8 => Operation::Announce,
            other => return Err(start.corrupt("operation", format!("is {other}, expected 0 to 8"))),
        })
    }
}

/// The beginning of a change: the number of its state, and whether it merges namespaces, for which the entries that it
/// builds on have to be [loaded](NetChanges::load).
pub fn head(change: &Reader<'_>) -> Result<(u16, bool)> {
    let mut input = change.clone();
    let operation = Operation::read(&mut input)?;
    if operation == Operation::Announce {
        return Err(change.corrupt("operation", "announces a state among the changes of a key group"));
    }
    Ok((input.u16("state number")?, operation == Operation::MergeNamespaces))
}

#[cfg(test)]
mod tests;
