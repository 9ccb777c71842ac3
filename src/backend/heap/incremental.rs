//! Incremental snapshots: which key groups are written again, and which are referred to.
//!
//! The part that is referred to is a section: all states of one key group. It is referred to if no state of the group has
//! changed since the base was taken; see `ledger` for what a base is. Everything that is written goes into one new object
//! in `shared/`.
//!
//! An object of which few sections are still needed costs space for all of them, and every object costs a request on
//! restore. So objects are *folded*: the sections still needed of an object that is mostly dead, or of the smallest where
//! there are too many, are written again. [`Folding`] has the two bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::backend::SnapshotVersion;
use crate::backend::ledger::{Base, Lineage};
use crate::backend::sections::Totals;
use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::manifest::{KeyGroupAssignment, KeyedHandle, ObjectRef, SectionRef};
use crate::format::section::{SectionSummary, StateTotals};
use crate::key_group::{KeyGroup, KeyGroupRange};
use crate::snapshot::Home;

/// How far a chain of incremental snapshots may spread.
///
/// What the objects of a snapshot take is at most 100 / `min_live_percent` times what its state takes: twice, by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folding {
    /// Older objects that a snapshot of a subtask refers to at most. Default 16; 0 makes every snapshot whole.
    pub max_objects: usize,
    /// Least share of an older object that must still be in use for it to be referred to, in percent. Default 50.
    pub min_live_percent: u8,
}

impl Folding {
    /// At most 16 older objects, each at least half in use.
    pub const DEFAULT: Folding = Folding { max_objects: 16, min_live_percent: 50 };
}

impl Default for Folding {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A section as a snapshot stored it, or found it stored.
#[derive(Debug, Clone)]
pub(super) struct Part {
    object: Arc<ObjectRef>,
    section: SectionRef,
    states: Vec<StateTotals>,
}

/// The sections of a snapshot; a key group without entries has none.
pub(super) type Parts = BTreeMap<KeyGroup, Part>;

/// What an incremental snapshot refers to instead of writing it.
#[derive(Debug, Default)]
pub(super) struct Reuse {
    /// Key groups that are as they were in the base, empty ones included.
    groups: BTreeSet<KeyGroup>,
    parts: Parts,
}

impl Reuse {
    /// What can be referred to of `base`; `changed_in` is the first snapshot that showed a group as it is now.
    pub(super) fn plan(
        base: Option<&Base<Parts>>,
        range: KeyGroupRange,
        folding: Folding,
        changed_in: impl Fn(KeyGroup) -> SnapshotVersion,
    ) -> Self {
        let Some(base) = base else { return Self::default() };
        let mut groups: BTreeSet<KeyGroup> = range.iter().filter(|group| changed_in(*group) <= base.version).collect();
        let mut parts = base.written.clone();
        parts.retain(|group, _| groups.contains(group));
        let kept = keep(&parts, folding);
        parts.retain(|group, part| {
            let is_kept = kept.contains(&part.object.name);
            if !is_kept {
                groups.remove(group);
            }
            is_kept
        });
        Reuse { groups, parts }
    }

    /// The groups that need not be written.
    pub(super) fn groups(&self) -> impl Iterator<Item = KeyGroup> {
        self.groups.iter().copied()
    }

    /// Whether a group need not be written.
    pub(super) fn covers(&self, group: KeyGroup) -> bool {
        self.groups.contains(&group)
    }

    /// Together with what was written into `object`: the sections of the snapshot.
    pub(super) fn and(self, written: Vec<SectionSummary>, object: Option<ObjectRef>) -> Result<Parts> {
        let mut parts = self.parts;
        let Some(object) = object.map(Arc::new) else {
            return if written.is_empty() { Ok(parts) } else { Err(Error::internal("sections without an object")) };
        };
        for summary in written {
            let section = SectionRef::new(&summary, 0)?;
            parts.insert(section.group, Part { object: Arc::clone(&object), section, states: summary.states });
        }
        Ok(parts)
    }
}

/// Names of the objects that are worth referring to.
fn keep(parts: &Parts, folding: Folding) -> BTreeSet<String> {
    let mut live: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for Part { object, section, .. } in parts.values() {
        let (used, _) = live.entry(&object.name).or_insert((0, object.length));
        *used = used.saturating_add(section.length);
    }
    let min_percent = u128::from(folding.min_live_percent);
    live.retain(|_, (used, length)| u128::from(*used) * 100 >= u128::from(*length) * min_percent);
    let mut by_use: Vec<(u64, &str)> = live.into_iter().map(|(name, (used, _))| (used, name)).collect();
    by_use.sort_unstable_by(|a, b| b.cmp(a));
    by_use.into_iter().take(folding.max_objects).map(|(_, name)| name.to_owned()).collect()
}

/// Remembers the sections of a snapshot and names them in a handle; `None` if there are none.
pub(super) fn handle(
    parts: Parts,
    range: KeyGroupRange,
    lineage: &Lineage<Parts>,
    home: Home,
) -> Result<Option<KeyedHandle>> {
    let mut objects: Vec<ObjectRef> = Vec::new();
    let mut positions: BTreeMap<&str, u32> = BTreeMap::new();
    let mut sections = Vec::with_capacity(parts.len());
    let mut totals = Totals::default();
    for Part { object, section, states } in parts.values() {
        let position = match positions.get(object.name.as_str()) {
            Some(position) => *position,
            None => {
                let position = u32::try_from(objects.len()).map_err(|_| Error::internal("too many objects"))?;
                objects.push(ObjectRef::clone(object));
                positions.insert(&object.name, position);
                position
            }
        };
        sections.push(SectionRef { object: position, ..*section });
        totals.add(states);
    }
    let format = FormatId::NativeHeap;
    let states = totals.finish();
    lineage.record(home, parts);
    let assignment = KeyGroupAssignment::default();
    let handle = KeyedHandle { format, range, assignment, objects, sections, files: Vec::new(), states };
    Ok((!handle.sections.is_empty()).then_some(handle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Digest;
    use crate::format::manifest::ObjectScope;

    /// Sections of these lengths in objects of these names and lengths.
    fn parts(sections: &[(&str, u64, u64)]) -> Parts {
        let part = |(group, (name, length, used)): (usize, &(&str, u64, u64))| {
            let name = (*name).to_owned();
            let object = ObjectRef { scope: ObjectScope::Shared, name, length: *length, digest: Digest([0; 32]) };
            let group = KeyGroup(u16::try_from(group).unwrap());
            let section = SectionRef { group, object: 0, offset: 0, length: *used, checksum: 0, entries: 1 };
            (group, Part { object: Arc::new(object), section, states: Vec::new() })
        };
        sections.iter().enumerate().map(part).collect()
    }

    fn kept(sections: &[(&str, u64, u64)], folding: Folding) -> Vec<String> {
        keep(&parts(sections), folding).into_iter().collect()
    }

    #[test]
    fn an_object_that_is_mostly_dead_is_folded() {
        let half = Folding::default();
        assert_eq!(kept(&[("a", 100, 25), ("a", 100, 25), ("b", 100, 49)], half), ["a"]);
        assert_eq!(kept(&[("a", 100, 1)], Folding { min_live_percent: 0, ..half }), ["a"]);
        assert!(kept(&[("a", 100, 99)], Folding { min_live_percent: 100, ..half }).is_empty());
        assert!(kept(&[("a", u64::MAX, u64::MAX / 2)], half).is_empty());
    }

    #[test]
    fn the_smallest_objects_are_folded_where_there_are_too_many() {
        let most = |max_objects| Folding { max_objects, ..Folding::default() };
        let objects = [("a", 10, 10), ("b", 30, 30), ("c", 20, 20)];
        assert_eq!(kept(&objects, most(2)), ["b", "c"]);
        assert_eq!(kept(&objects, most(3)), ["a", "b", "c"]);
        assert!(kept(&objects, most(0)).is_empty());
    }
}
