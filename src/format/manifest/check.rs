//! What a manifest must keep to beyond being readable.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{KeyGroupAssignment, ObjectRef, ObjectScope, SectionRef, SnapshotKind};
use crate::codec::{Digest, Reader, Writer};
use crate::error::{Error, Result};
use crate::format::Limits;
use crate::format::java_type::JavaType;
use crate::format::record::{StateKind, StateMeta};
use crate::key_group::{KeyGroup, KeyGroupRange, MaxParallelism};
use crate::serializer::SerializerSnapshot;

/// Longest object name in bytes.
const MAX_OBJECT_NAME_BYTES: usize = 255;

/// Names that some systems keep for devices, whatever follows after a dot.
const DEVICE_NAMES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

impl ObjectRef {
    /// Checks that a name is one path segment on every storage: lower-case letters, digits and `.-_`, at most 255 bytes,
    /// beginning with a letter or digit, not ending with a dot, and not a device name. So there is no way out of the
    /// directory, and no two names that differ only in case.
    pub fn check_name(name: &str) -> Result<()> {
        let bytes = name.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let allowed = bytes.iter().all(|byte| plain(byte) || b".-_".contains(byte));
        let stem = name.split('.').next().unwrap_or_default().trim_end_matches(|c: char| c.is_ascii_digit());
        let device = DEVICE_NAMES.contains(&stem);
        if bytes.first().is_some_and(plain)
            && bytes.last().is_some_and(|last| *last != b'.')
            && bytes.len() <= MAX_OBJECT_NAME_BYTES
            && allowed
            && !device
        {
            return Ok(());
        }
        Err(Error::invalid_input(format!("{name:?} is not a safe object name")))
    }
}

impl SnapshotKind {
    /// The tag that stands for this kind in stored bytes. Never renumbered.
    pub const fn tag(self) -> u8 {
        match self {
            SnapshotKind::Checkpoint => 1,
            SnapshotKind::Savepoint => 2,
        }
    }

    /// The kind that a stored tag stands for.
    pub const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            1 => Some(SnapshotKind::Checkpoint),
            2 => Some(SnapshotKind::Savepoint),
            _ => None,
        }
    }

    /// Lower-case name, as tools print it.
    pub const fn name(self) -> &'static str {
        match self {
            SnapshotKind::Checkpoint => "checkpoint",
            SnapshotKind::Savepoint => "savepoint",
        }
    }
}

/// Tags of ways of assignment.
const XXH3: u8 = 1;
const FLINK: u8 = 2;

impl KeyGroupAssignment {
    /// The tag that stands for this assignment in stored bytes. Never renumbered.
    pub const fn tag(&self) -> u8 {
        match self {
            KeyGroupAssignment::Xxh3 => XXH3,
            KeyGroupAssignment::Flink(_) => FLINK,
        }
    }

    /// Name of the assignment that a tag stands for.
    pub const fn name_of_tag(tag: u8) -> Option<&'static str> {
        match tag {
            XXH3 => Some("xxh3"),
            FLINK => Some("flink"),
            _ => None,
        }
    }

    /// Whether a tag is followed by a Java type.
    pub(crate) const fn has_java_type(tag: u8) -> bool {
        tag == FLINK
    }

    /// Lower-case name, as tools print it.
    pub const fn name(&self) -> &'static str {
        match self {
            KeyGroupAssignment::Xxh3 => "xxh3",
            KeyGroupAssignment::Flink(_) => "flink",
        }
    }

    /// The key group of a key, given its encoding and what describes it; `None` where only Flink could tell, because the
    /// key's class has a hash code of its own.
    pub fn key_group(
        &self,
        description: &SerializerSnapshot,
        encoded: &[u8],
        max: MaxParallelism,
    ) -> Result<Option<KeyGroup>> {
        match self {
            KeyGroupAssignment::Xxh3 => Ok(Some(max.group_of_key(encoded))),
            KeyGroupAssignment::Flink(java) => java.key_group(description, encoded, max),
        }
    }

    /// Appends the tag and what belongs to it.
    pub(super) fn encode(&self, out: &mut Writer) -> Result<()> {
        out.u8(self.tag());
        match self {
            KeyGroupAssignment::Xxh3 => Ok(()),
            KeyGroupAssignment::Flink(java) => java.encode(out),
        }
    }

    /// Reads what [`encode`](Self::encode) appended. A tag that is not known comes from a later version of this crate.
    pub(super) fn decode(input: &mut Reader<'_>) -> Result<Self> {
        let at = input.offset();
        match input.u8("key-group assignment")? {
            XXH3 => Ok(KeyGroupAssignment::Xxh3),
            FLINK => JavaType::decode(input).map(KeyGroupAssignment::Flink),
            tag => {
                let message = format!("key-group assignment {tag} is unknown to this build; use a newer millpond");
                Err(Error::incompatible(message).at_offset(at).in_field("key-group assignment"))
            }
        }
    }
}

impl ObjectScope {
    /// The tag that stands for this scope in stored bytes. Never renumbered.
    pub const fn tag(self) -> u8 {
        match self {
            ObjectScope::Exclusive => 1,
            ObjectScope::Shared => 2,
            ObjectScope::TaskOwned => 3,
        }
    }

    /// The scope that a stored tag stands for.
    pub const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            1 => Some(ObjectScope::Exclusive),
            2 => Some(ObjectScope::Shared),
            3 => Some(ObjectScope::TaskOwned),
            _ => None,
        }
    }

    /// Lower-case name, as tools print it.
    pub const fn name(self) -> &'static str {
        match self {
            ObjectScope::Exclusive => "exclusive",
            ObjectScope::Shared => "shared",
            ObjectScope::TaskOwned => "task-owned",
        }
    }
}

/// Checks a state against the one before, and its serializers against its kind.
pub(super) fn state(state: &StateMeta, has_key: bool, last: Option<&StateMeta>, at: &Reader<'_>) -> Result<()> {
    let StateMeta { name, kind, namespace, user_key, value, timed } = state;
    if last.is_some_and(|last| last.name >= *name) {
        return Err(at.corrupt("state name", "states must ascend strictly by name"));
    }
    if kind.is_keyed() && !has_key {
        return Err(at.corrupt("state kind", format!("{kind} state of an operator without a key serializer")));
    }
    let is_unit = |serializer: &SerializerSnapshot| *serializer == SerializerSnapshot::Unit;
    let has_user_key = matches!(kind, StateKind::Map | StateKind::Broadcast);
    let wrong = if !kind.is_keyed() && !is_unit(namespace) {
        "namespace"
    } else if !has_user_key && !is_unit(user_key) {
        "user key"
    } else if *kind == StateKind::Timer && !is_unit(value) {
        "value"
    } else if *timed && (!kind.is_keyed() || *kind == StateKind::Timer) {
        "timed"
    } else {
        return Ok(());
    };
    Err(at.corrupt(wrong, format!("{kind} state has none")))
}

/// The key-group ranges of an operator's subtasks.
pub(super) struct Ranges {
    max: MaxParallelism,
    last: Option<KeyGroupRange>,
    covered: usize,
}

impl Ranges {
    pub(super) fn new(max: MaxParallelism) -> Self {
        Ranges { max, last: None, covered: 0 }
    }

    /// Adds the range of the next subtask.
    pub(super) fn add(&mut self, range: KeyGroupRange, at: &Reader<'_>) -> Result<()> {
        if u32::from(range.last().0) >= self.max.get() {
            let message = format!("{range} is beyond the max parallelism, {}", self.max);
            return Err(at.corrupt("last key group", message));
        }
        if let Some(last) = self.last
            && last.last() >= range.first()
        {
            return Err(at.corrupt("first key group", format!("{range} overlaps or precedes {last}")));
        }
        self.last = Some(range);
        self.covered = self.covered.saturating_add(range.len());
        Ok(())
    }

    /// Checks that no key group is missing.
    pub(super) fn check_complete(&self, at: &Reader<'_>) -> Result<()> {
        if u32::try_from(self.covered) == Ok(self.max.get()) {
            return Ok(());
        }
        let message = format!("the subtasks have {} of {} key groups", self.covered, self.max);
        Err(at.corrupt("first key group", message))
    }
}

/// How far the sections of a handle fill its objects.
pub(super) struct Tiling<'o> {
    objects: Vec<(&'o ObjectRef, u64)>,
}

impl<'o> Tiling<'o> {
    pub(super) fn new(objects: &'o [ObjectRef]) -> Self {
        Tiling { objects: objects.iter().map(|object| (object, 0)).collect() }
    }

    pub(super) fn add(&mut self, section: &SectionRef, at: &Reader<'_>) -> Result<()> {
        let SectionRef { object: index, offset, length, .. } = *section;
        let slot = usize::try_from(index).ok().and_then(|index| self.objects.get_mut(index));
        let Some((object, filled)) = slot else {
            return Err(at.corrupt("object index", format!("object {index} is not listed")));
        };
        let gapless = object.scope == ObjectScope::Exclusive;
        if offset < *filled || (gapless && offset != *filled) {
            let message = format!("a section at {offset} of object {}, expected {filled}", object.name);
            return Err(at.corrupt("section offset", message));
        }
        match offset.checked_add(length) {
            Some(end) if end <= object.length => {
                *filled = end;
                Ok(())
            }
            _ => {
                let message =
                    format!("{length} bytes at {offset} are not inside the {} bytes of {}", object.length, object.name);
                Err(at.corrupt("section length", message))
            }
        }
    }

    /// Checks that no object is unused, and no byte of an exclusive one.
    pub(super) fn finish(&self, at: &Reader<'_>) -> Result<()> {
        for (object, filled) in &self.objects {
            if *filled == 0 || (object.scope == ObjectScope::Exclusive && *filled != object.length) {
                let message = format!("sections fill {filled} of the {} bytes of {}", object.length, object.name);
                return Err(at.corrupt("sections", message));
            }
        }
        Ok(())
    }
}

/// The objects named so far.
#[derive(Default)]
pub(super) struct Seen {
    objects: HashMap<(ObjectScope, String), (u64, Digest)>,
    count: usize,
}

impl Seen {
    /// Adds an object: an exclusive one must be new, another one must be the same as before.
    pub(super) fn add(
        &mut self,
        object: &ObjectRef,
        kind: SnapshotKind,
        limits: &Limits,
        at: &Reader<'_>,
    ) -> Result<()> {
        let ObjectRef { scope, name, length, digest } = object;
        if kind == SnapshotKind::Savepoint && *scope != ObjectScope::Exclusive {
            return Err(at.corrupt("object scope", format!("a savepoint must not depend on {} objects", scope.name())));
        }
        self.count = self.count.saturating_add(1);
        if self.count > limits.objects {
            return Err(at.corrupt("objects", format!("more than {} objects", limits.objects)));
        }
        match self.objects.entry((*scope, name.clone())) {
            Entry::Vacant(slot) => {
                slot.insert((*length, *digest));
                Ok(())
            }
            Entry::Occupied(slot) if *scope != ObjectScope::Exclusive && *slot.get() == (*length, *digest) => Ok(()),
            Entry::Occupied(_) => Err(at.corrupt("object name", format!("object {name} is named twice"))),
        }
    }
}
