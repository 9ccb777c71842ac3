//! The copy-on-write table: typed entries by key group, with snapshots that cost the writer no more than a step per group.
//!
//! A group is *flat* while no snapshot holds it: one map that reads and writes go to directly. A snapshot *freezes* it in
//! O(1): the map moves behind an [`Arc`] that the snapshot shares, and from then on changes go to a [`Delta`] on top, so
//! that nothing is copied, nothing is locked and the snapshot's thread never waits for the writer nor the writer for it.
//! Overlapping snapshots stack deltas: each sees the map and the deltas that were there when it was taken.
//!
//! When the snapshots of a group let go (written, aborted or failed: they just drop their `Arc`s), the group *settles*:
//! each later operation folds a few changes back into the map, which frees the old versions, until the group is flat
//! again. A step folds at most [`SETTLE_STEP`] changes, so no operation pays for more.
//!
//! Snapshots may overlap without a break, so that a group never settles. Every [`MAX_FROZEN_DELTAS`] of them its deltas are
//! united into one.
//!
//! Each group knows in which snapshot its last change first showed. A write marks its group with one store; freezing it
//! turns the mark into the snapshot's version. A later snapshot may refer to what an earlier one wrote of the group if the
//! last change is not younger than that.
//!
//! Memory a snapshot costs: one [`Delta`] entry per key written since, at most one per key and overlapping snapshot.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use super::content::Expiry;
use super::delta::{Change, Delta};
use super::shards::{Shards, SweepCursor};
use crate::backend::{Data, Key, SnapshotVersion};

/// Changes folded back per operation.
const SETTLE_STEP: usize = 4;

/// Frozen deltas a group stacks before they are united into one, which bounds what a look-up costs.
const MAX_FROZEN_DELTAS: usize = 16;

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

#[derive(Debug)]
struct Layers<K, N, V> {
    base: Arc<Shards<Entry<K, N, V>>>,
    /// Oldest first.
    frozen: Vec<Arc<Delta<K, N, V>>>,
    top: Delta<K, N, V>,
}

/// One group of a snapshot.
#[derive(Debug)]
pub(super) struct FrozenGroup<K, N, V> {
    /// Its content; `None` if it was empty, and once it has been written.
    pub(super) view: Option<GroupView<K, N, V>>,
    /// The first snapshot that showed it as it is here.
    pub(super) changed_in: SnapshotVersion,
}

/// One group as it was when a snapshot was taken. Dropping it lets the group settle.
#[derive(Debug)]
pub(super) struct GroupView<K, N, V> {
    base: Arc<Shards<Entry<K, N, V>>>,
    frozen: Vec<Arc<Delta<K, N, V>>>,
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
            Some(Group::Layered(layers)) => {
                let mut deltas: Vec<&Delta<K, N, V>> = layers.frozen.iter().map(Arc::as_ref).collect();
                deltas.push(&layers.top);
                for_each_layered(&self.hasher, &layers.base, &deltas, &mut visit);
            }
            None => {}
        }
    }

    /// Freezes one group for the snapshot of this version. O(1), but for one in [`MAX_FROZEN_DELTAS`] snapshots that
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
                let layers = Layers { base: Arc::new(std::mem::take(map)), frozen: Vec::new(), top: Delta::default() };
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
            Group::Layered(layers) => layers.top.len() + layers.frozen.iter().map(|delta| delta.len()).sum::<usize>(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Group::Flat(map) => map.len(),
            Group::Layered(layers) => layers.len(),
        }
    }
}

impl<K, N, V> Layers<K, N, V>
where
    K: Key,
    N: Key,
    V: Data,
{
    fn view(&self) -> GroupView<K, N, V> {
        GroupView { base: Arc::clone(&self.base), frozen: self.frozen.clone() }
    }

    fn freeze(&mut self) -> GroupView<K, N, V> {
        if !self.top.is_empty() {
            if self.frozen.len() >= MAX_FROZEN_DELTAS {
                self.unite();
            }
            self.frozen.push(Arc::new(std::mem::take(&mut self.top)));
        }
        self.view()
    }

    /// Replaces the frozen deltas by one with all their changes. Snapshots that hold them keep them; for later ones only
    /// the last change of a key matters.
    fn unite(&mut self) {
        let mut united = Delta::default();
        for change in self.frozen.iter().flat_map(|delta| delta.iter()) {
            united.record(change.hash, &change.key, &change.namespace, change.value.clone());
        }
        self.frozen = vec![Arc::new(united)];
    }

    /// The newest frozen change of a key, below the top.
    fn frozen_change(&self, hash: u64, key: &K, namespace: &N) -> Option<&Change<K, N, V>> {
        self.frozen.iter().rev().find_map(|delta| delta.get(hash, key, namespace))
    }

    fn get_below_top(&self, hash: u64, key: &K, namespace: &N) -> Option<&V> {
        match self.frozen_change(hash, key, namespace) {
            Some(change) => change.value.as_ref(),
            None => find(&self.base, slot_of(hash, key, namespace)).map(|entry| &entry.value),
        }
    }

    #[inline(never)]
    fn get(&self, hash: u64, key: &K, namespace: &N) -> Option<&V> {
        match self.top.get(hash, key, namespace) {
            Some(change) => change.value.as_ref(),
            None => self.get_below_top(hash, key, namespace),
        }
    }

    /// The base, if no snapshot shares it and nothing lies between it and the top.
    fn exclusive_base(&mut self) -> Option<&mut Shards<Entry<K, N, V>>> {
        if self.frozen.is_empty() && Arc::strong_count(&self.base) == 1 { Arc::get_mut(&mut self.base) } else { None }
    }

    #[inline(never)]
    fn set(&mut self, hasher: &TableHasher, hash: u64, key: &K, namespace: &N, value: Option<V>) {
        if let Some(base) = self.exclusive_base() {
            apply(base, hasher, slot_of(hash, key, namespace), value);
            self.top.forget(hash, key, namespace);
        } else {
            self.top.record(hash, key, namespace, value);
        }
    }

    /// Changes the value in place where it was changed since the last freeze, a copy of it otherwise.
    fn update(&mut self, hasher: &TableHasher, hash: u64, key: &K, namespace: &N, change: impl FnOnce(&mut Option<V>)) {
        if let Some(newest) = self.top.get_mut(hash, key, namespace) {
            return change(&mut newest.value);
        }
        let mut value = self.get_below_top(hash, key, namespace).cloned();
        let existed = value.is_some();
        change(&mut value);
        if existed || value.is_some() {
            self.set(hasher, hash, key, namespace, value);
        }
    }

    #[inline(never)]
    fn remove(&mut self, hasher: &TableHasher, hash: u64, key: &K, namespace: &N) -> bool {
        let existed = self.get(hash, key, namespace).is_some();
        if existed {
            self.set(hasher, hash, key, namespace, None);
        }
        existed
    }

    #[inline(never)]
    fn get_mut(&mut self, hash: u64, key: &K, namespace: &N) -> Option<&mut V> {
        if self.top.get(hash, key, namespace).is_none() {
            let copy = self.get_below_top(hash, key, namespace)?.clone();
            return self.top.record(hash, key, namespace, Some(copy))?.value.as_mut();
        }
        self.top.get_mut(hash, key, namespace)?.value.as_mut()
    }

    /// Folds up to `most` of the lowest changes into the base; `false` while a snapshot shares it.
    fn settle(&mut self, hasher: &TableHasher, most: usize) -> bool {
        if Arc::strong_count(&self.base) != 1 {
            return false;
        }
        let Some(base) = Arc::get_mut(&mut self.base) else { return false };
        let lowest = match self.frozen.first_mut() {
            Some(shared) => match Arc::get_mut(shared) {
                Some(delta) => delta,
                None => return false,
            },
            None => &mut self.top,
        };
        for _ in 0..most {
            let Some(Change { hash, key, namespace, value }) = lowest.pop() else { break };
            apply(base, hasher, slot_of(hash, &key, &namespace), value);
        }
        if lowest.is_empty() && !self.frozen.is_empty() {
            self.frozen.remove(0);
        }
        true
    }

    /// The base, if nothing is left on top of it and nobody shares it.
    fn flatten(&mut self) -> Option<Shards<Entry<K, N, V>>> {
        if self.frozen.is_empty() && self.top.is_empty() {
            return Arc::get_mut(&mut self.base).map(std::mem::take);
        }
        None
    }

    fn len(&self) -> usize {
        let mut deltas: Vec<&Delta<K, N, V>> = self.frozen.iter().map(Arc::as_ref).collect();
        deltas.push(&self.top);
        layered_len(&self.base, &deltas)
    }
}

impl<K, N, V> GroupView<K, N, V>
where
    K: Key,
    N: Key,
    V: Data,
{
    pub(super) fn for_each(&self, hasher: &TableHasher, mut visit: impl FnMut(&K, &N, &V)) {
        if self.frozen.is_empty() {
            return self.base.iter().for_each(|entry| visit(&entry.key, &entry.namespace, &entry.value));
        }
        let deltas: Vec<&Delta<K, N, V>> = self.frozen.iter().map(Arc::as_ref).collect();
        for_each_layered(hasher, &self.base, &deltas, &mut visit);
    }

    /// Calls `visit` with references that live as long as the view.
    pub(super) fn entries<'a>(&'a self, hasher: &TableHasher) -> Vec<(&'a K, &'a N, &'a V)> {
        let mut entries = Vec::with_capacity(self.base.len());
        if self.frozen.is_empty() {
            entries.extend(self.base.iter().map(|entry| (&entry.key, &entry.namespace, &entry.value)));
            return entries;
        }
        let deltas: Vec<&'a Delta<K, N, V>> = self.frozen.iter().map(Arc::as_ref).collect();
        for_each_layered(hasher, &self.base, &deltas, &mut |key, namespace, value| {
            entries.push((key, namespace, value));
        });
        entries
    }
}

/// A slot whose group does not matter any more.
#[inline(always)]
fn slot_of<'a, K, N>(hash: u64, key: &'a K, namespace: &'a N) -> Slot<'a, K, N> {
    Slot { group: 0, hash, key, namespace }
}

#[inline(always)]
fn is_entry<K: Eq, N: Eq, V>(entry: &Entry<K, N, V>, slot: Slot<'_, K, N>) -> bool {
    entry.key == *slot.key && entry.namespace == *slot.namespace
}

#[inline(always)]
fn find<'m, K: Eq, N: Eq, V>(map: &'m Shards<Entry<K, N, V>>, slot: Slot<'_, K, N>) -> Option<&'m Entry<K, N, V>> {
    map.find(slot.hash, |entry| is_entry(entry, slot))
}

#[inline(always)]
fn find_mut<'m, K: Eq, N: Eq, V>(
    map: &'m mut Shards<Entry<K, N, V>>,
    slot: Slot<'_, K, N>,
) -> Option<&'m mut Entry<K, N, V>> {
    map.find_mut(slot.hash, |entry| is_entry(entry, slot))
}

#[inline(always)]
fn entry_hash<K: Hash, N: Hash, V>(hasher: &TableHasher, entry: &Entry<K, N, V>) -> u64 {
    slot_hash(hasher, hasher.hash_one(&entry.key), &entry.namespace)
}

#[inline(always)]
fn upsert<K, N, V>(map: &mut Shards<Entry<K, N, V>>, hasher: &TableHasher, slot: Slot<'_, K, N>, value: V)
where
    K: Key,
    N: Key,
{
    map.upsert(
        slot.hash,
        |entry| is_entry(entry, slot),
        |entry| entry_hash(hasher, entry),
        value,
        |entry, value| entry.value = value,
        |value| Entry { key: slot.key.clone(), namespace: slot.namespace.clone(), value },
    );
}

fn apply<K, N, V>(map: &mut Shards<Entry<K, N, V>>, hasher: &TableHasher, slot: Slot<'_, K, N>, value: Option<V>)
where
    K: Key,
    N: Key,
{
    match value {
        Some(value) => upsert(map, hasher, slot, value),
        None => {
            map.remove(slot.hash, |entry| is_entry(entry, slot));
        }
    }
}

#[inline(always)]
fn update_flat<K, N, V>(
    map: &mut Shards<Entry<K, N, V>>,
    hasher: &TableHasher,
    slot: Slot<'_, K, N>,
    change: impl FnOnce(&mut Option<V>),
) where
    K: Key,
    N: Key,
{
    let mut change = Some(change);
    let replaced = map.replace_with(
        slot.hash,
        |entry| is_entry(entry, slot),
        |Entry { key, namespace, value }| {
            let mut value = Some(value);
            if let Some(change) = change.take() {
                change(&mut value);
            }
            value.map(|value| Entry { key, namespace, value })
        },
    );
    if replaced.is_none()
        && let Some(change) = change
    {
        let mut value = None;
        change(&mut value);
        if let Some(value) = value {
            let entry = Entry { key: slot.key.clone(), namespace: slot.namespace.clone(), value };
            map.insert_new(slot.hash, entry, |entry| entry_hash(hasher, entry));
        }
    }
}

/// Visits every live entry of a map under deltas, oldest delta first in the slice.
fn for_each_layered<'a, K, N, V>(
    hasher: &TableHasher,
    base: &'a Shards<Entry<K, N, V>>,
    deltas: &[&'a Delta<K, N, V>],
    visit: &mut impl FnMut(&'a K, &'a N, &'a V),
) where
    K: Hash + Eq,
    N: Hash + Eq,
{
    let hidden = |above: &[&Delta<K, N, V>], hash: u64, key: &K, namespace: &N| {
        above.iter().any(|delta| delta.get(hash, key, namespace).is_some())
    };
    for entry in base.iter() {
        if !hidden(deltas, entry_hash(hasher, entry), &entry.key, &entry.namespace) {
            visit(&entry.key, &entry.namespace, &entry.value);
        }
    }
    let mut above = deltas;
    while let Some((delta, newer)) = above.split_first() {
        above = newer;
        for change in delta.iter() {
            if let Some(value) = &change.value
                && !hidden(newer, change.hash, &change.key, &change.namespace)
            {
                visit(&change.key, &change.namespace, value);
            }
        }
    }
}

/// Number of live entries of a map under deltas, without visiting the map.
fn layered_len<K: Eq, N: Eq, V>(base: &Shards<Entry<K, N, V>>, deltas: &[&Delta<K, N, V>]) -> usize {
    let mut len = base.len();
    let mut above = deltas;
    while let Some((delta, newer)) = above.split_first() {
        above = newer;
        for change in delta.iter() {
            let is_newest = !newer.iter().any(|delta| delta.get(change.hash, &change.key, &change.namespace).is_some());
            if !is_newest {
                continue;
            }
            let in_base = find(base, slot_of(change.hash, &change.key, &change.namespace)).is_some();
            match (in_base, change.value.is_some()) {
                (false, true) => len += 1,
                (true, false) => len = len.saturating_sub(1),
                _ => {}
            }
        }
    }
    len
}
