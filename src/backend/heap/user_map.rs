//! The map of one key and namespace: few entries side by side, more of them in a hash map.
//!
//! Most maps are small. Side by side their entries take half of the memory of a hash table, and finding one takes a look
//! at adjacent memory instead of two at places that have nothing to do with each other.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::table::TableHasher;
use crate::backend::Key;

/// Most entries that lie side by side.
const FEW: usize = 16;

/// A map from user keys to cells.
#[derive(Debug, Clone)]
pub(super) enum UserMap<U, C> {
    /// At most [`FEW`], in the order in which they came.
    Few(Vec<(U, C)>),
    /// Any number: a map that has grown stays here.
    Many(Box<HashMap<U, C, TableHasher>>),
}

impl<U, C> Default for UserMap<U, C> {
    fn default() -> Self {
        UserMap::Few(Vec::new())
    }
}

impl<U: Key, C> UserMap<U, C> {
    pub(super) fn len(&self) -> usize {
        match self {
            UserMap::Few(entries) => entries.len(),
            UserMap::Many(map) => map.len(),
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(super) fn get(&self, user_key: &U) -> Option<&C> {
        match self {
            UserMap::Few(entries) => entries.iter().find(|(key, _)| key == user_key).map(|(_, cell)| cell),
            UserMap::Many(map) => map.get(user_key),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, user_key: &U) -> Option<&mut C> {
        match self {
            UserMap::Few(entries) => entries.iter_mut().find(|(key, _)| key == user_key).map(|(_, cell)| cell),
            UserMap::Many(map) => map.get_mut(user_key),
        }
    }

    /// Puts a cell into the map; gives the one that was there.
    #[inline]
    pub(super) fn insert(&mut self, user_key: U, cell: C) -> Option<C> {
        match self.get_mut(&user_key) {
            Some(found) => Some(std::mem::replace(found, cell)),
            None => {
                self.insert_new(user_key, cell);
                None
            }
        }
    }

    /// Puts a cell under a user key that is known to have none.
    fn insert_new(&mut self, user_key: U, cell: C) {
        if let UserMap::Few(entries) = self {
            if entries.len() < FEW {
                entries.push((user_key, cell));
                return;
            }
            self.reserve(FEW + 1);
        }
        if let UserMap::Many(map) = self {
            map.insert(user_key, cell);
        }
    }

    /// Removes and returns a cell.
    pub(super) fn remove(&mut self, user_key: &U) -> Option<C> {
        match self {
            UserMap::Few(entries) => {
                let position = entries.iter().position(|(key, _)| key == user_key)?;
                Some(entries.swap_remove(position).1)
            }
            UserMap::Many(map) => map.remove(user_key),
        }
    }

    /// Lets `change` turn a cell or its absence into another.
    #[inline]
    pub(super) fn update(&mut self, user_key: U, change: impl FnOnce(Option<C>) -> Option<C>) {
        if let UserMap::Many(map) = self {
            match map.entry(user_key) {
                Entry::Occupied(occupied) => {
                    occupied.replace_entry_with(|_, cell| change(Some(cell)));
                }
                Entry::Vacant(vacant) => {
                    change(None).map(|cell| vacant.insert(cell));
                }
            }
            return;
        }
        let found = self.remove(&user_key);
        if let Some(cell) = change(found) {
            self.insert_new(user_key, cell);
        }
    }

    /// Keeps the entries that `keep` accepts.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&C) -> bool) {
        match self {
            UserMap::Few(entries) => entries.retain(|(_, cell)| keep(cell)),
            UserMap::Many(map) => map.retain(|_, cell| keep(cell)),
        }
    }

    /// Makes room for this many entries in all.
    pub(super) fn reserve(&mut self, count: usize) {
        match self {
            UserMap::Few(entries) if count <= FEW => entries.reserve(count.saturating_sub(entries.len())),
            UserMap::Few(entries) => {
                let mut map = HashMap::with_capacity_and_hasher(count, TableHasher::default());
                map.extend(entries.drain(..));
                *self = UserMap::Many(Box::new(map));
            }
            UserMap::Many(map) => map.reserve(count.saturating_sub(map.len())),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&U, &C)> {
        let (few, many) = match self {
            UserMap::Few(entries) => (entries.as_slice(), None),
            UserMap::Many(map) => (&[][..], Some(map)),
        };
        few.iter().map(|(user_key, cell)| (user_key, cell)).chain(many.into_iter().flat_map(|map| map.iter()))
    }

    pub(super) fn cells_mut(&mut self) -> impl Iterator<Item = &mut C> {
        let (few, many) = match self {
            UserMap::Few(entries) => (entries.as_mut_slice(), None),
            UserMap::Many(map) => (&mut [][..], Some(map)),
        };
        few.iter_mut().map(|(_, cell)| cell).chain(many.into_iter().flat_map(|map| map.values_mut()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn entries(map: &UserMap<u64, u64>) -> BTreeMap<u64, u64> {
        map.iter().map(|(user_key, cell)| (*user_key, *cell)).collect()
    }

    #[test]
    fn it_holds_what_a_map_holds_before_and_after_it_has_grown() {
        let mut random = 7u64;
        for keys in [4, 16, 17, 40] {
            let (mut map, mut model) = (UserMap::default(), BTreeMap::new());
            for step in 0..4000u64 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let key = (random >> 40) % keys;
                match (random >> 33) % 5 {
                    0 | 1 => assert_eq!(map.insert(key, step), model.insert(key, step)),
                    2 => assert_eq!(map.remove(&key), model.remove(&key)),
                    3 => {
                        let change =
                            |cell: Option<u64>| cell.map_or(Some(step), |cell| (cell % 2 == 0).then_some(step));
                        map.update(key, change);
                        match change(model.get(&key).copied()) {
                            Some(cell) => model.insert(key, cell),
                            None => model.remove(&key),
                        };
                    }
                    _ => {
                        assert_eq!(map.get(&key), model.get(&key));
                        assert_eq!(map.get_mut(&key), model.get_mut(&key));
                    }
                }
                assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
                if step % 97 == 0 {
                    map.retain(|cell| cell % 3 != 0);
                    model.retain(|_, cell| *cell % 3 != 0);
                    map.cells_mut().for_each(|cell| *cell += 1);
                    model.values_mut().for_each(|cell| *cell += 1);
                    assert_eq!(entries(&map), model);
                }
            }
            assert_eq!(entries(&map), model);
        }
    }
}
