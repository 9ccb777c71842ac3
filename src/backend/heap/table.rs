//! The copy-on-write table: typed entries by key group, with snapshots that cost the writer no more than a step per group.
//!
//! A group is *flat* while no snapshot holds it: one map that reads and writes go to directly. A snapshot *freezes* it in
//! O(1): the map moves behind an `Arc` that the snapshot shares, and from then on changes go to a delta on top, so that
//! nothing is copied, nothing is locked and the snapshot's thread never waits for the writer nor the writer for it.
//! Overlapping snapshots stack deltas: each sees the map and the deltas that were there when it was taken.
//!
//! When the snapshots of a group let go (written, aborted or failed: they just drop their `Arc`s), the group *settles*:
//! each later operation folds a few changes back into the map, which frees the old versions, until the group is flat
//! again. A step folds at most [`SETTLE_STEP`] changes, so no operation pays for more.
//!
//! Snapshots may overlap without a break, so that a group never settles. Every so many of them its deltas are united into
//! one ([`layers`]).
//!
//! Each group knows in which snapshot its last change first showed. A write marks its group with one store; freezing it
//! turns the mark into the snapshot's version. A later snapshot may refer to what an earlier one wrote of the group if the
//! last change is not younger than that.
//!
//! Memory a snapshot costs: one delta entry per key written since, at most one per key and overlapping snapshot.

mod flat;
mod layers;

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};

use flat::{find, find_mut, insert, is_entry, update_flat, upsert};
pub(super) use layers::GroupView;
use layers::Layers;

use super::content::Expiry;
use super::shards::{Shards, SweepCursor};
use crate::backend::{Data, Key, SnapshotVersion};

/// Changes folded back per operation.
const SETTLE_STEP: usize = 4;

/// The seeded hash of the tables. Seeded at random per process, so that nobody can choose keys that collide.
pub(super) type TableHasher = foldhash::fast::RandomState;

/// One entry of a flat map.
#[derive(Debug)]
pub(super) struct Entry<K, N, V> {
    pub(super) key: K,
    pub(super) namespace: N,
    pub(super) value: V,
}

/// What identifies an entry within a table: where its group lies, its hash, its key and namespace.
///
/// Only handed to functions that are inlined; the others take the parts. A slot handed over as a whole lives in memory, and
/// waiting for it to be stored and loaded again keeps the processor from looking ahead, which triples the time of a read.
#[derive(Debug)]
pub(super) struct Slot<'a, K, N> {
    pub(super) group: usize,
    pub(super) hash: u64,
    pub(super) key: &'a K,
    pub(super) namespace: &'a N,
}

impl<K, N> Clone for Slot<'_, K, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, N> Copy for Slot<'_, K, N> {}

/// Combines the hash of a key with its namespace; states without namespaces use the key's hash as it is.
#[inline(always)]
pub(super) fn slot_hash<N: Hash>(hasher: &TableHasher, key_hash: u64, namespace: &N) -> u64 {
    if size_of::<N>() == 0 {
        return key_hash;
    }
    (key_hash.rotate_left(29) ^ hasher.hash_one(namespace)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32)
}

/// A map of typed entries cut into key groups.
#[derive(Debug)]
pub(super) struct Table<K, N, V> {
    groups: Vec<Marked<K, N, V>>,
    /// Groups that may not be flat, where settling goes on. Every group that is not flat is here; one that has become
    /// flat meanwhile leaves when its turn comes.
    unsettled: VecDeque<usize>,
    hasher: TableHasher,
}

/// A group and when it changed.
#[derive(Debug)]
struct Marked<K, N, V> {
    content: Group<K, N, V>,
    /// The first snapshot that shows the last change; [`SnapshotVersion::NEXT`] if none does yet.
    changed_in: SnapshotVersion,
}

#[derive(Debug)]
enum Group<K, N, V> {
    Flat(Shards<Entry<K, N, V>>),
    Layered(Box<Layers<K, N, V>>),
}

/// One group of a snapshot.
#[derive(Debug)]
pub(super) struct FrozenGroup<K, N, V> {
    /// Its content; `None` if it was empty, and once it has been written.
    pub(super) view: Option<GroupView<K, N, V>>,
    /// The first snapshot that showed it as it is here.
    pub(super) changed_in: SnapshotVersion,
}

impl<K, N, V> Table<K, N, V>
where
    K: Key,
    N: Key,
    V: Data,
{
    pub(super) fn new(groups: usize, hasher: TableHasher) -> Self {
        let empty = || Marked { content: Group::Flat(Shards::default()), changed_in: SnapshotVersion::NONE };
        let groups = std::iter::repeat_with(empty).take(groups).collect();
        Table { groups, unsettled: VecDeque::new(), hasher }
    }

    pub(super) fn hasher(&self) -> &TableHasher {
        &self.hasher
    }

    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Number of groups that snapshots hold or that have not settled yet.
    pub(super) fn unsettled_groups(&self) -> usize {
        self.groups.iter().filter(|group| matches!(group.content, Group::Layered(_))).count()
    }

    /// Number of changes kept beside the maps because of snapshots.
    pub(super) fn layered_changes(&self) -> usize {
        self.groups.iter().map(|group| group.content.layered_changes()).sum()
    }

    /// Number of entries. Costs a look-up per change of every group that is not flat.
    pub(super) fn len(&self) -> usize {
        self.groups.iter().map(|group| group.content.len()).sum()
    }

    #[inline(always)]
    pub(super) fn get(&self, slot: Slot<'_, K, N>) -> Option<&V> {
        match &self.groups.get(slot.group)?.content {
            Group::Flat(map) => find(map, slot).map(|entry| &entry.value),
            Group::Layered(layers) => layers.get(slot.hash, slot.key, slot.namespace),
        }
    }

    /// The value, for changing it in place. Copies it first where a snapshot still needs the old one.
    #[inline(always)]
    pub(super) fn get_mut(&mut self, slot: Slot<'_, K, N>) -> Option<&mut V> {
        self.settle(slot.group);
        let Marked { content, changed_in } = self.groups.get_mut(slot.group)?;
        let found = match content {
            Group::Flat(map) => find_mut(map, slot).map(|entry| &mut entry.value),
            Group::Layered(layers) => layers.get_mut(slot.hash, slot.key, slot.namespace),
        }?;
        *changed_in = SnapshotVersion::NEXT;
        Some(found)
    }

    #[inline(always)]
    pub(super) fn set(&mut self, slot: Slot<'_, K, N>, value: V) {
        self.settle(slot.group);
        let Some(group) = self.groups.get_mut(slot.group) else { return };
        group.changed_in = SnapshotVersion::NEXT;
        match &mut group.content {
            Group::Flat(map) => upsert(map, &self.hasher, slot, value),
            Group::Layered(layers) => layers.set(&self.hasher, slot.hash, slot.key, slot.namespace, Some(value)),
        }
    }

    /// Sets a value where there is none; `false` if there is one.
    #[inline(always)]
    pub(super) fn insert(&mut self, slot: Slot<'_, K, N>, value: V) -> bool {
        self.settle(slot.group);
        let Some(group) = self.groups.get_mut(slot.group) else { return false };
        let is_new = match &mut group.content {
            Group::Flat(map) => insert(map, &self.hasher, slot, value),
            Group::Layered(layers) => layers.insert(&self.hasher, slot.hash, slot.key, slot.namespace, value),
        };
        if is_new {
            group.changed_in = SnapshotVersion::NEXT;
        }
        is_new
    }

    #[inline(always)]
    pub(super) fn remove(&mut self, slot: Slot<'_, K, N>) -> bool {
        self.settle(slot.group);
        let Some(group) = self.groups.get_mut(slot.group) else { return false };
        let removed = match &mut group.content {
            Group::Flat(map) => map.remove(slot.hash, |entry| is_entry(entry, slot)).is_some(),
            Group::Layered(layers) => layers.remove(&self.hasher, slot.hash, slot.key, slot.namespace),
        };
        if removed {
            group.changed_in = SnapshotVersion::NEXT;
        }
        removed
    }

    /// Lets `change` turn the value or its absence into another; in one look-up where the group is flat.
    #[inline(always)]
    pub(super) fn update(&mut self, slot: Slot<'_, K, N>, change: impl FnOnce(&mut Option<V>)) {
        self.settle(slot.group);
        let Some(group) = self.groups.get_mut(slot.group) else { return };
        group.changed_in = SnapshotVersion::NEXT;
        match &mut group.content {
            Group::Flat(map) => update_flat(map, &self.hasher, slot, change),
            Group::Layered(layers) => layers.update(&self.hasher, slot.hash, slot.key, slot.namespace, change),
        }
    }

    /// All entries of one group.
    pub(super) fn for_each(&self, group: usize, mut visit: impl FnMut(&K, &N, &V)) {
        match self.groups.get(group).map(|group| &group.content) {
            Some(Group::Flat(map)) => map.iter().for_each(|entry| visit(&entry.key, &entry.namespace, &entry.value)),
            Some(Group::Layered(layers)) => layers.for_each(&self.hasher, visit),
            None => {}
        }
    }

    /// Freezes one group for the snapshot of this version. O(1), but for one in so many snapshots that
    /// overlap without a break, which copies the changes kept since the first of them.
    pub(super) fn freeze(&mut self, group: usize, version: SnapshotVersion) -> FrozenGroup<K, N, V> {
        let Some(marked) = self.groups.get_mut(group) else {
            return FrozenGroup { view: None, changed_in: SnapshotVersion::NONE };
        };
        if marked.changed_in == SnapshotVersion::NEXT {
            marked.changed_in = version;
        }
        let changed_in = marked.changed_in;
        let slot = &mut marked.content;
        let view = match slot {
            Group::Flat(map) if map.is_empty() => None,
            Group::Flat(map) => {
                let layers = Layers::over(std::mem::take(map));
                let view = layers.view();
                *slot = Group::Layered(Box::new(layers));
                self.unsettled.push_back(group);
                Some(view)
            }
            Group::Layered(layers) => Some(layers.freeze()),
        };
        FrozenGroup { view, changed_in }
    }

    /// Folds a few changes of the given group back, or of another if that one is flat.
    #[inline(always)]
    fn settle(&mut self, group: usize) {
        if !self.unsettled.is_empty() {
            self.settle_step(group);
        }
    }

    #[cold]
    #[inline(never)]
    fn settle_step(&mut self, group: usize) {
        if self.groups.get(group).is_some_and(|group| matches!(group.content, Group::Layered(_))) {
            self.settle_group(group, SETTLE_STEP);
        } else if let Some(other) = self.unsettled.pop_front()
            && !self.settle_group(other, SETTLE_STEP)
        {
            self.unsettled.push_back(other);
        }
    }

    /// Folds up to `most` changes of a group back; returns whether the group is flat now.
    fn settle_group(&mut self, group: usize, most: usize) -> bool {
        let Some(Marked { content: slot, .. }) = self.groups.get_mut(group) else { return true };
        let Group::Layered(layers) = slot else { return true };
        if !layers.settle(&self.hasher, most) {
            return false;
        }
        if let Some(map) = layers.flatten() {
            *slot = Group::Flat(map);
            return true;
        }
        false
    }

    /// Looks at up to `budget` slots of a flat group, removing what `expire` finds expired; `None` at its end.
    pub(super) fn sweep(
        &mut self,
        group: usize,
        cursor: SweepCursor,
        budget: &mut usize,
        mut expire: impl FnMut(&mut V) -> Expiry,
    ) -> Option<SweepCursor> {
        let Marked { content, changed_in } = self.groups.get_mut(group)?;
        let Group::Flat(map) = content else { return None };
        map.sweep(cursor, budget, |entry| {
            let expiry = expire(&mut entry.value);
            if expiry != Expiry::Nothing {
                *changed_in = SnapshotVersion::NEXT;
            }
            expiry != Expiry::Everything
        })
    }
}

impl<K, N, V> Group<K, N, V>
where
    K: Key,
    N: Key,
    V: Data,
{
    fn layered_changes(&self) -> usize {
        match self {
            Group::Flat(_) => 0,
            Group::Layered(layers) => layers.changes(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Group::Flat(map) => map.len(),
            Group::Layered(layers) => layers.len(),
        }
    }
}
