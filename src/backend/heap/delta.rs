//! What changed since a group was frozen: a small map from key to new value or removal.
//!
//! Entries lie one after another in a vector and a table of positions finds them, so that recording a change touches
//! little memory and taking the last entry out again is cheap.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// One change: the value after it, or `None` where the key was removed.
#[derive(Debug)]
pub(super) struct Change<K, N, V> {
    pub(super) hash: u64,
    pub(super) key: K,
    pub(super) namespace: N,
    pub(super) value: Option<V>,
}

/// A map of changes. The caller hashes.
#[derive(Debug)]
pub(super) struct Delta<K, N, V> {
    changes: Vec<Change<K, N, V>>,
    positions: HashTable<u32>,
}

impl<K, N, V> Default for Delta<K, N, V> {
    fn default() -> Self {
        Delta { changes: Vec::new(), positions: HashTable::new() }
    }
}

impl<K: Eq, N: Eq, V> Delta<K, N, V> {
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Change<K, N, V>> {
        self.changes.iter()
    }

    #[inline]
    fn position(&self, hash: u64, key: &K, namespace: &N) -> Option<usize> {
        let changes = &self.changes;
        self.positions.find(hash, |at| is_at(changes, *at, hash, key, namespace)).map(|at| index(*at))
    }

    /// The change of a key, if it changed.
    #[inline]
    pub(super) fn get(&self, hash: u64, key: &K, namespace: &N) -> Option<&Change<K, N, V>> {
        self.changes.get(self.position(hash, key, namespace)?)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, hash: u64, key: &K, namespace: &N) -> Option<&mut Change<K, N, V>> {
        let position = self.position(hash, key, namespace)?;
        self.changes.get_mut(position)
    }

    /// Records the value of a key, cloning the key only if it had not changed yet.
    #[inline]
    pub(super) fn record(&mut self, hash: u64, key: &K, namespace: &N, value: Option<V>) -> Option<&mut Change<K, N, V>>
    where
        K: Clone,
        N: Clone,
    {
        let Delta { changes, positions } = self;
        let next = u32::try_from(changes.len()).unwrap_or(u32::MAX);
        let found = positions.entry(
            hash,
            |at| is_at(changes, *at, hash, key, namespace),
            |at| changes.get(index(*at)).map_or(0, |change| change.hash),
        );
        let position = match found {
            Entry::Occupied(occupied) => {
                let position = index(*occupied.get());
                if let Some(change) = changes.get_mut(position) {
                    change.value = value;
                }
                position
            }
            Entry::Vacant(vacant) => {
                vacant.insert(next);
                changes.push(Change { hash, key: key.clone(), namespace: namespace.clone(), value });
                index(next)
            }
        };
        changes.get_mut(position)
    }

    /// Forgets the change of a key.
    pub(super) fn forget(&mut self, hash: u64, key: &K, namespace: &N) {
        let Delta { changes, positions } = self;
        let Ok(found) = positions.find_entry(hash, |at| is_at(changes, *at, hash, key, namespace)) else { return };
        let (position, _) = found.remove();
        let position = index(position);
        let last = changes.len().saturating_sub(1);
        if position < last
            && let Some(moved_hash) = changes.last().map(|change| change.hash)
            && let Some(slot) = positions.find_mut(moved_hash, |at| index(*at) == last)
        {
            *slot = u32::try_from(position).unwrap_or(u32::MAX);
        }
        changes.swap_remove(position);
    }

    /// Takes the last change out.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Change<K, N, V>> {
        let change = self.changes.pop()?;
        let position = self.changes.len();
        if let Ok(found) = self.positions.find_entry(change.hash, |at| index(*at) == position) {
            found.remove();
        }
        Some(change)
    }
}

#[inline]
fn is_at<K: Eq, N: Eq, V>(changes: &[Change<K, N, V>], at: u32, hash: u64, key: &K, namespace: &N) -> bool {
    changes
        .get(index(at))
        .is_some_and(|change| change.hash == hash && change.key == *key && change.namespace == *namespace)
}

#[inline]
fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
