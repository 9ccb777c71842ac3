//! One hash map cut into small tables, so that growing never rehashes everything at once.
//!
//! The number of tables grows by one at a time (linear hashing, Litwin 1980): whenever the tables hold more than
//! [`TARGET`] entries on average, the next table in line is split in two. The longest single insert is therefore the
//! split or growth of one table, whatever the size of the whole.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Average number of entries of a table at which another table is added.
const TARGET: usize = 8192;

/// A set of hash tables that act as one. The caller hashes.
///
/// While there is only one table, it lies in the struct itself, so that small maps are found in one step.
#[derive(Debug)]
pub(super) struct Shards<T> {
    /// The table while there is only one; empty otherwise.
    only: HashTable<T>,
    /// The tables once there are several.
    tables: Vec<HashTable<T>>,
    /// One less than the smallest power of two that is not below the number of tables.
    mask: usize,
    len: usize,
}

impl<T> Default for Shards<T> {
    fn default() -> Self {
        Shards { only: HashTable::new(), tables: Vec::new(), mask: 0, len: 0 }
    }
}

impl<T> Shards<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Position of the table that owns a hash, among `count` tables; `mask` as in the field of that name.
    ///
    /// Uses bits that the tables themselves do not: they place by the low bits and tag by the top seven.
    #[inline(always)]
    fn position(hash: u64, count: usize, mask: usize) -> usize {
        let position = usize::try_from((hash >> 24) & 0xFFFF_FFFF).unwrap_or(0) & mask;
        if position < count { position } else { position & (mask >> 1) }
    }

    fn count(&self) -> usize {
        self.tables.len().max(1)
    }

    #[inline(always)]
    fn table(&self, hash: u64) -> &HashTable<T> {
        if self.mask == 0 {
            return &self.only;
        }
        self.tables.get(Self::position(hash, self.tables.len(), self.mask)).unwrap_or(&self.only)
    }

    #[inline(always)]
    fn table_mut(&mut self, hash: u64) -> &mut HashTable<T> {
        if self.mask == 0 {
            return &mut self.only;
        }
        let position = Self::position(hash, self.tables.len(), self.mask);
        self.tables.get_mut(position).unwrap_or(&mut self.only)
    }

    #[inline(always)]
    pub(super) fn find(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        self.table(hash).find(hash, eq)
    }

    #[inline(always)]
    pub(super) fn find_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        self.table_mut(hash).find_mut(hash, eq)
    }

    /// Replaces the entry that `eq` recognises by calling `replace`, or inserts what `insert` makes.
    #[inline(always)]
    pub(super) fn upsert<V>(
        &mut self,
        hash: u64,
        eq: impl FnMut(&T) -> bool,
        hasher: impl Fn(&T) -> u64,
        value: V,
        replace: impl FnOnce(&mut T, V),
        insert: impl FnOnce(V) -> T,
    ) {
        match self.table_mut(hash).entry(hash, eq, &hasher) {
            Entry::Occupied(mut occupied) => replace(occupied.get_mut(), value),
            Entry::Vacant(vacant) => {
                vacant.insert(insert(value));
                self.grown(hasher);
            }
        }
    }

    /// Inserts an entry that is known to be absent and returns it.
    pub(super) fn insert_new(&mut self, hash: u64, entry: T, hasher: impl Fn(&T) -> u64) {
        self.table_mut(hash).insert_unique(hash, entry, &hasher);
        self.grown(hasher);
    }

    /// Removes and returns the entry that `eq` recognises.
    #[inline(always)]
    pub(super) fn remove(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<T> {
        let (removed, _) = self.table_mut(hash).find_entry(hash, eq).ok()?.remove();
        self.len = self.len.saturating_sub(1);
        Some(removed)
    }

    /// Replaces the entry that `eq` recognises by what `change` makes of it, or removes it; `None` if there is none.
    #[inline(always)]
    pub(super) fn replace_with(
        &mut self,
        hash: u64,
        eq: impl FnMut(&T) -> bool,
        change: impl FnOnce(T) -> Option<T>,
    ) -> Option<()> {
        let found = self.table_mut(hash).find_entry(hash, eq).ok()?;
        if let Entry::Vacant(_) = found.replace_entry_with(change) {
            self.len = self.len.saturating_sub(1);
        }
        Some(())
    }

    #[inline(always)]
    fn grown(&mut self, hasher: impl Fn(&T) -> u64) {
        self.len += 1;
        if self.len > self.count() * TARGET {
            self.split(hasher);
        }
    }

    /// Adds one table and moves into it what now belongs there, all of it from one other table.
    #[cold]
    #[inline(never)]
    fn split(&mut self, hasher: impl Fn(&T) -> u64) {
        let added = self.count();
        let count = added + 1;
        let mask = count.next_power_of_two() - 1;
        let origin = added & (mask >> 1);
        let mut moved = HashTable::new();
        if self.tables.is_empty() {
            self.tables.push(std::mem::take(&mut self.only));
        }
        let split = self.tables.get_mut(origin).unwrap_or(&mut self.only);
        for entry in split.extract_if(|entry| Self::position(hasher(entry), count, mask) == added) {
            moved.insert_unique(hasher(&entry), entry, &hasher);
        }
        self.tables.push(moved);
        self.mask = mask;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.only.iter().chain(self.tables.iter().flatten())
    }

    /// Looks at up to `budget` slots from `cursor` on, removing the entries that `keep` refuses; returns the cursor to go
    /// on with, `None` at the end.
    pub(super) fn sweep(
        &mut self,
        cursor: SweepCursor,
        budget: &mut usize,
        mut keep: impl FnMut(&mut T) -> bool,
    ) -> Option<SweepCursor> {
        let SweepCursor { mut table, mut slot } = cursor;
        loop {
            let swept = if table == 0 && self.mask == 0 { &mut self.only } else { self.tables.get_mut(table)? };
            while slot < swept.num_buckets() {
                if *budget == 0 {
                    return Some(SweepCursor { table, slot });
                }
                *budget -= 1;
                let refused = swept.get_bucket_mut(slot).is_some_and(|entry| !keep(entry));
                if refused && let Ok(entry) = swept.get_bucket_entry(slot) {
                    entry.remove();
                    self.len = self.len.saturating_sub(1);
                }
                slot += 1;
            }
            table += 1;
            slot = 0;
        }
    }
}

/// Where a [`Shards::sweep`] goes on. A split in between may make it miss or revisit entries, never more.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SweepCursor {
    table: usize,
    slot: usize,
}
