//! Groups that snapshots hold: a map that does not change, and the changes since, in deltas on top of it.

use std::hash::Hash;
use std::sync::Arc;

use super::flat::{apply, entry_hash, find, slot_of};
use super::{Entry, TableHasher};
use crate::backend::heap::delta::{Change, Delta};
use crate::backend::heap::shards::Shards;
use crate::backend::{Data, Key};

/// Frozen deltas a group stacks before they are united into one, which bounds what a look-up costs.
const MAX_FROZEN_DELTAS: usize = 16;

/// A group that snapshots hold, or have held and that has not settled yet.
#[derive(Debug)]
pub(super) struct Layers<K, N, V> {
    base: Arc<Shards<Entry<K, N, V>>>,
    /// Oldest first.
    frozen: Vec<Arc<Delta<K, N, V>>>,
    top: Delta<K, N, V>,
}

/// One group as it was when a snapshot was taken. Dropping it lets the group settle.
#[derive(Debug)]
pub(in crate::backend::heap) struct GroupView<K, N, V> {
    base: Arc<Shards<Entry<K, N, V>>>,
    frozen: Vec<Arc<Delta<K, N, V>>>,
}

impl<K, N, V> Layers<K, N, V>
where
    K: Key,
    N: Key,
    V: Data,
{
    /// A map under no changes yet.
    pub(super) fn over(map: Shards<Entry<K, N, V>>) -> Self {
        Layers { base: Arc::new(map), frozen: Vec::new(), top: Delta::default() }
    }

    /// Number of changes beside the map.
    pub(super) fn changes(&self) -> usize {
        self.top.len() + self.frozen.iter().map(|delta| delta.len()).sum::<usize>()
    }

    pub(super) fn for_each(&self, hasher: &TableHasher, mut visit: impl FnMut(&K, &N, &V)) {
        for_each_layered(hasher, &self.base, &self.deltas(), &mut visit);
    }

    fn deltas(&self) -> Vec<&Delta<K, N, V>> {
        self.frozen.iter().map(Arc::as_ref).chain([&self.top]).collect()
    }

    pub(super) fn view(&self) -> GroupView<K, N, V> {
        GroupView { base: Arc::clone(&self.base), frozen: self.frozen.clone() }
    }

    pub(super) fn freeze(&mut self) -> GroupView<K, N, V> {
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
    pub(super) fn get(&self, hash: u64, key: &K, namespace: &N) -> Option<&V> {
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
    pub(super) fn set(&mut self, hasher: &TableHasher, hash: u64, key: &K, namespace: &N, value: Option<V>) {
        if let Some(base) = self.exclusive_base() {
            apply(base, hasher, slot_of(hash, key, namespace), value);
            self.top.forget(hash, key, namespace);
        } else {
            self.top.record(hash, key, namespace, value);
        }
    }

    /// Changes the value in place where it was changed since the last freeze, a copy of it otherwise.
    pub(super) fn update(
        &mut self,
        hasher: &TableHasher,
        hash: u64,
        key: &K,
        namespace: &N,
        change: impl FnOnce(&mut Option<V>),
    ) {
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
    pub(super) fn insert(&mut self, hasher: &TableHasher, hash: u64, key: &K, namespace: &N, value: V) -> bool {
        let is_new = self.get(hash, key, namespace).is_none();
        if is_new {
            self.set(hasher, hash, key, namespace, Some(value));
        }
        is_new
    }

    #[inline(never)]
    pub(super) fn remove(&mut self, hasher: &TableHasher, hash: u64, key: &K, namespace: &N) -> bool {
        let existed = self.get(hash, key, namespace).is_some();
        if existed {
            self.set(hasher, hash, key, namespace, None);
        }
        existed
    }

    #[inline(never)]
    pub(super) fn get_mut(&mut self, hash: u64, key: &K, namespace: &N) -> Option<&mut V> {
        if self.top.get(hash, key, namespace).is_none() {
            let copy = self.get_below_top(hash, key, namespace)?.clone();
            return self.top.record(hash, key, namespace, Some(copy))?.value.as_mut();
        }
        self.top.get_mut(hash, key, namespace)?.value.as_mut()
    }

    /// Folds up to `most` of the lowest changes into the base; `false` while a snapshot shares it.
    pub(super) fn settle(&mut self, hasher: &TableHasher, most: usize) -> bool {
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
    pub(super) fn flatten(&mut self) -> Option<Shards<Entry<K, N, V>>> {
        if self.frozen.is_empty() && self.top.is_empty() {
            return Arc::get_mut(&mut self.base).map(std::mem::take);
        }
        None
    }

    pub(super) fn len(&self) -> usize {
        layered_len(&self.base, &self.deltas())
    }
}

impl<K, N, V> GroupView<K, N, V>
where
    K: Key,
    N: Key,
    V: Data,
{
    pub(in crate::backend::heap) fn for_each(&self, hasher: &TableHasher, mut visit: impl FnMut(&K, &N, &V)) {
        if self.frozen.is_empty() {
            return self.base.iter().for_each(|entry| visit(&entry.key, &entry.namespace, &entry.value));
        }
        let deltas: Vec<&Delta<K, N, V>> = self.frozen.iter().map(Arc::as_ref).collect();
        for_each_layered(hasher, &self.base, &deltas, &mut visit);
    }

    /// Calls `visit` with references that live as long as the view.
    pub(in crate::backend::heap) fn entries<'a>(&'a self, hasher: &TableHasher) -> Vec<(&'a K, &'a N, &'a V)> {
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
