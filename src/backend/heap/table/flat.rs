//! Groups that no snapshot holds: finding and changing entries of a map.

use std::hash::{BuildHasher, Hash};

use super::{Entry, Slot, TableHasher, slot_hash};
use crate::backend::Key;
use crate::backend::heap::shards::Shards;

/// A slot whose group does not matter any more.
#[inline(always)]
pub(super) fn slot_of<'a, K, N>(hash: u64, key: &'a K, namespace: &'a N) -> Slot<'a, K, N> {
    Slot { group: 0, hash, key, namespace }
}

#[inline(always)]
pub(super) fn is_entry<K: Eq, N: Eq, V>(entry: &Entry<K, N, V>, slot: Slot<'_, K, N>) -> bool {
    entry.key == *slot.key && entry.namespace == *slot.namespace
}

#[inline(always)]
pub(super) fn find<'m, K: Eq, N: Eq, V>(
    map: &'m Shards<Entry<K, N, V>>,
    slot: Slot<'_, K, N>,
) -> Option<&'m Entry<K, N, V>> {
    map.find(slot.hash, |entry| is_entry(entry, slot))
}

#[inline(always)]
pub(super) fn find_mut<'m, K: Eq, N: Eq, V>(
    map: &'m mut Shards<Entry<K, N, V>>,
    slot: Slot<'_, K, N>,
) -> Option<&'m mut Entry<K, N, V>> {
    map.find_mut(slot.hash, |entry| is_entry(entry, slot))
}

#[inline(always)]
pub(super) fn entry_hash<K: Hash, N: Hash, V>(hasher: &TableHasher, entry: &Entry<K, N, V>) -> u64 {
    slot_hash(hasher, hasher.hash_one(&entry.key), &entry.namespace)
}

#[inline(always)]
pub(super) fn upsert<K, N, V>(map: &mut Shards<Entry<K, N, V>>, hasher: &TableHasher, slot: Slot<'_, K, N>, value: V)
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

/// Inserts an entry unless there is one; `false` if there is.
#[inline(always)]
pub(super) fn insert<K, N, V>(
    map: &mut Shards<Entry<K, N, V>>,
    hasher: &TableHasher,
    slot: Slot<'_, K, N>,
    value: V,
) -> bool
where
    K: Key,
    N: Key,
{
    let mut is_new = true;
    map.upsert(
        slot.hash,
        |entry| is_entry(entry, slot),
        |entry| entry_hash(hasher, entry),
        value,
        |_, _| is_new = false,
        |value| Entry { key: slot.key.clone(), namespace: slot.namespace.clone(), value },
    );
    is_new
}

pub(super) fn apply<K, N, V>(
    map: &mut Shards<Entry<K, N, V>>,
    hasher: &TableHasher,
    slot: Slot<'_, K, N>,
    value: Option<V>,
) where
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
pub(super) fn update_flat<K, N, V>(
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
