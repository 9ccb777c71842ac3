//! Writes that are not in the database yet.
//!
//! Most of what a write to RocksDB costs is finding the row's place in the sorted list of what was written last: a dozen
//! steps, each of which misses the cache. Between rows that come in order most of these steps fall away. So the writes of a
//! state are collected in hash tables first and handed over in order; what is overwritten meanwhile never gets there.
//!
//! Rows are divided into *parts* by their key groups. Where there is too much, one part is handed over, the largest: its
//! rows lie as close together as they would if all were handed over, and no record waits for all of them.
//!
//! What is collected counts as written: every read looks here first, and what reads the database in order has the parts
//! handed over that it will meet. A hand-over that fails loses nothing, and is tried again by the next write.

use std::hash::BuildHasher;

use ::rocksdb::{ColumnFamily, WriteBatch};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::GROUP_BYTES;
use crate::key_group::{KeyGroup, KeyGroupRange};

/// Most parts; fewer where there are fewer key groups.
const PARTS: usize = 32;

/// Memory of a row besides its bytes, about.
const ROW_BYTES: usize = size_of::<Row>() + 2 * size_of::<u32>();

/// What RocksDB adds to a row in a batch, at most.
const BATCH_ROW_BYTES: usize = 16;

/// What became of a row since it was last handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Put,
    Deleted,
    /// Something was appended to what the database has.
    Appended,
}

/// What is known of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known<'p> {
    /// It has this value.
    Value(&'p [u8]),
    /// It is not there.
    Nothing,
    /// It has the value that the database has, or none, and behind it this.
    Tail(&'p [u8]),
    /// The database knows.
    Unknown,
}

/// A row and its value; both lie in the bytes of their part.
#[derive(Debug, Clone, Copy)]
struct Row {
    hash: u64,
    start: usize,
    length: usize,
    value_start: usize,
    value_length: usize,
    /// Bytes that the value may grow to where it lies.
    room: usize,
    change: Change,
}

/// Rows of neighbouring key groups.
#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    rows: Vec<Row>,
    index: HashTable<u32>,
}

/// The writes of one state that are not in the database yet.
#[derive(Debug)]
pub(super) struct Pending {
    range: KeyGroupRange,
    parts: Vec<Part>,
    hasher: foldhash::fast::RandomState,
    held_bytes: usize,
    limit_bytes: usize,
}

impl Pending {
    /// Nothing, for rows of a range of key groups; to take up to `limit_bytes`, about.
    pub(super) fn new(range: KeyGroupRange, limit_bytes: usize) -> Self {
        let parts = (0..range.len().clamp(1, PARTS)).map(|_| Part::default()).collect();
        Pending { range, parts, hasher: foldhash::fast::RandomState::default(), held_bytes: 0, limit_bytes }
    }

    /// Rows that are held.
    pub(super) fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows.len()).sum()
    }

    /// Memory that is held, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether it is time to hand a part over.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.held_bytes > self.limit_bytes
    }

    /// The part of a row, or of whatever else begins with a key group.
    #[inline]
    fn part_of(&self, row: &[u8]) -> usize {
        let group = row.first_chunk::<GROUP_BYTES>().map_or(0, |group| u16::from_be_bytes(*group));
        let position = usize::from(KeyGroup(group).0.saturating_sub(self.range.first().0));
        let part = position.saturating_mul(self.parts.len()) / self.range.len().max(1);
        part.min(self.parts.len().saturating_sub(1))
    }

    /// What is known of a row.
    #[inline]
    pub(super) fn find(&self, row: &[u8]) -> Known<'_> {
        let Some(part) = self.parts.get(self.part_of(row)) else { return Known::Unknown };
        if part.rows.is_empty() {
            return Known::Unknown;
        }
        match part.find(self.hasher.hash_one(row), row) {
            None => Known::Unknown,
            Some(found) => match found.change {
                Change::Put => Known::Value(part.value(found)),
                Change::Deleted => Known::Nothing,
                Change::Appended => Known::Tail(part.value(found)),
            },
        }
    }

    /// Gives a row a value.
    #[inline]
    pub(super) fn put(&mut self, row: &[u8], value: &[u8]) {
        self.change(row, |part, at| part.set(at, Change::Put, value));
    }

    /// Takes a row away.
    #[inline]
    pub(super) fn delete(&mut self, row: &[u8]) {
        self.change(row, |part, at| part.set(at, Change::Deleted, &[]));
    }

    /// Appends to the value of a row.
    #[inline]
    pub(super) fn append(&mut self, row: &[u8], value: &[u8]) {
        self.change(row, |part, at| part.append(at, value));
    }

    #[inline]
    fn change(&mut self, row: &[u8], change: impl FnOnce(&mut Part, usize)) {
        let (index, hash) = (self.part_of(row), self.hasher.hash_one(row));
        let Some(part) = self.parts.get_mut(index) else { return };
        let before = part.held_bytes();
        let at = part.enter(hash, row);
        change(part, at);
        self.held_bytes = self.held_bytes.saturating_add(part.held_bytes().saturating_sub(before));
    }

    /// The part that holds most.
    pub(super) fn largest(&self) -> usize {
        let sizes = self.parts.iter().enumerate().map(|(index, part)| (part.held_bytes(), index));
        sizes.max().map_or(0, |(_, index)| index)
    }

    /// The parts that rows from `lower`, included, to `upper`, excluded, may lie in.
    pub(super) fn between(&self, lower: &[u8], upper: &[u8]) -> std::ops::RangeInclusive<usize> {
        self.part_of(lower)..=self.part_of(upper)
    }

    /// All parts.
    pub(super) fn all(&self) -> std::ops::RangeInclusive<usize> {
        0..=self.parts.len().saturating_sub(1)
    }

    /// What is to be written of a part, in order; `None` if there is nothing.
    pub(super) fn batch(&self, part: usize, family: &ColumnFamily) -> Option<WriteBatch> {
        let part = self.parts.get(part).filter(|part| !part.rows.is_empty())?;
        let added = part.rows.len().saturating_mul(BATCH_ROW_BYTES);
        let mut batch = WriteBatch::with_capacity_bytes(part.bytes.len().saturating_add(added));
        for row in part.sorted() {
            match row.change {
                Change::Put => batch.put_cf(family, part.row(row), part.value(row)),
                Change::Deleted => batch.delete_cf(family, part.row(row)),
                Change::Appended => batch.merge_cf(family, part.row(row), part.value(row)),
            }
        }
        Some(batch)
    }

    /// Forgets a part, which is in the database now.
    pub(super) fn forget(&mut self, part: usize) {
        let room = self.limit_bytes / self.parts.len().max(1);
        let Some(part) = self.parts.get_mut(part) else { return };
        self.held_bytes = self.held_bytes.saturating_sub(part.held_bytes());
        part.clear(room);
    }
}

impl Part {
    fn held_bytes(&self) -> usize {
        self.bytes.len().saturating_add(self.rows.len().saturating_mul(ROW_BYTES))
    }

    fn span(&self, start: usize, length: usize) -> &[u8] {
        self.bytes.get(start..start.saturating_add(length)).unwrap_or_default()
    }

    fn row(&self, row: &Row) -> &[u8] {
        self.span(row.start, row.length)
    }

    fn value(&self, row: &Row) -> &[u8] {
        self.span(row.value_start, row.value_length)
    }

    fn at(&self, index: u32) -> Option<&Row> {
        self.rows.get(usize::try_from(index).ok()?)
    }

    fn is(&self, index: u32, hash: u64, row: &[u8]) -> bool {
        self.at(index).is_some_and(|found| found.hash == hash && self.row(found) == row)
    }

    #[inline]
    fn find(&self, hash: u64, row: &[u8]) -> Option<&Row> {
        self.at(*self.index.find(hash, |index| self.is(*index, hash, row))?)
    }

    /// The position of a row. One that was not there counts as unchanged.
    #[inline]
    fn enter(&mut self, hash: u64, row: &[u8]) -> usize {
        let mut index = std::mem::take(&mut self.index);
        let new = self.rows.len();
        let hash_of = |index: &u32| self.at(*index).map_or(0, |row| row.hash);
        let at = match index.entry(hash, |index| self.is(*index, hash, row), hash_of) {
            Entry::Occupied(there) => usize::try_from(*there.get()).unwrap_or(new),
            Entry::Vacant(vacant) => {
                vacant.insert(u32::try_from(new).unwrap_or(u32::MAX));
                let start = self.bytes.len();
                self.bytes.extend_from_slice(row);
                let (length, value_start) = (row.len(), self.bytes.len());
                let change = Change::Appended;
                self.rows.push(Row { hash, start, length, value_start, value_length: 0, room: 0, change });
                new
            }
        };
        self.index = index;
        at
    }

    #[inline]
    fn set(&mut self, at: usize, change: Change, value: &[u8]) {
        let Part { bytes, rows, .. } = self;
        let Some(row) = rows.get_mut(at) else { return };
        row.change = change;
        row.value_length = 0;
        extend(bytes, row, value, value.len());
    }

    #[inline]
    fn append(&mut self, at: usize, value: &[u8]) {
        let Part { bytes, rows, .. } = self;
        let Some(row) = rows.get_mut(at) else { return };
        if row.change == Change::Deleted {
            row.change = Change::Put;
        }
        // Twice as much as is needed, so that a list that grows is seldom moved.
        let room = match row.value_length {
            0 => value.len(),
            there => there.saturating_add(value.len()).saturating_mul(2),
        };
        extend(bytes, row, value, room);
    }

    /// The rows in the order of their bytes.
    fn sorted(&self) -> impl Iterator<Item = &Row> {
        let mut sorted: Vec<(u128, u32)> = self.rows.iter().map(|row| prefix(self.row(row))).zip(0..).collect();
        let bytes = |index: u32| self.at(index).map(|row| self.row(row));
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| bytes(a.1).cmp(&bytes(b.1))));
        sorted.into_iter().filter_map(|(_, index)| self.at(index))
    }

    /// Forgets everything, but keeps about `room` bytes of memory.
    fn clear(&mut self, room: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(room);
        self.rows.clear();
        self.rows.shrink_to(room / ROW_BYTES);
        self.index.clear();
    }
}

/// Appends to the value of a row, which is moved to where it has `room` bytes if it does not fit where it is.
#[inline]
fn extend(bytes: &mut Vec<u8>, row: &mut Row, value: &[u8], room: usize) {
    let length = row.value_length.saturating_add(value.len());
    if length > row.room {
        let (start, room) = (bytes.len(), room.max(length));
        bytes.extend_from_within(row.value_start..row.value_start.saturating_add(row.value_length));
        bytes.resize(start.saturating_add(room), 0);
        (row.value_start, row.room) = (start, room);
    }
    let end = row.value_start.saturating_add(row.value_length);
    if let Some(free) = bytes.get_mut(end..end.saturating_add(value.len())) {
        free.copy_from_slice(value);
    }
    row.value_length = length;
}

/// The first sixteen bytes as a number that orders like them; shorter rows are filled up.
fn prefix(row: &[u8]) -> u128 {
    let mut prefix = [0; 16];
    let shared = row.len().min(prefix.len());
    if let (Some(to), Some(from)) = (prefix.get_mut(..shared), row.get(..shared)) {
        to.copy_from_slice(from);
    }
    u128::from_be_bytes(prefix)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::key_group::MaxParallelism;
    use crate::random::{RandomSource, SeededRandom};

    fn pending(limit_bytes: usize) -> Pending {
        Pending::new(MaxParallelism::new(128).unwrap().all_groups(), limit_bytes)
    }

    fn row(group: u16, key: &[u8]) -> Vec<u8> {
        [&group.to_be_bytes(), key].concat()
    }

    /// What would be written, in order.
    fn written(pending: &Pending) -> Vec<(Vec<u8>, Change, Vec<u8>)> {
        let parts = pending.parts.iter();
        let rows = |part: &Part| {
            let rows = part.sorted().map(|row| (part.row(row).to_vec(), row.change, part.value(row).to_vec()));
            rows.collect::<Vec<_>>()
        };
        parts.flat_map(rows).collect()
    }

    #[test]
    fn what_is_known_is_what_was_done_last() {
        let mut pending = pending(1 << 20);
        let row = row(7, b"key");
        assert_eq!(pending.find(&row), Known::Unknown);
        pending.append(&row, b"a");
        assert_eq!(pending.find(&row), Known::Tail(b"a"));
        pending.append(&row, b"bc");
        assert_eq!(pending.find(&row), Known::Tail(b"abc"));
        pending.put(&row, b"longer than before");
        pending.append(&row, b"!");
        assert_eq!(pending.find(&row), Known::Value(b"longer than before!"));
        pending.delete(&row);
        assert_eq!(pending.find(&row), Known::Nothing);
        pending.append(&row, b"anew");
        assert_eq!(pending.find(&row), Known::Value(b"anew"));
        pending.put(&row, b"");
        assert_eq!(pending.find(&row), Known::Value(b""));
        assert_eq!(pending.rows(), 1);
        assert_eq!(pending.find(&row[..4]), Known::Unknown);
    }

    #[test]
    fn many_changes_come_out_as_their_outcome_in_order() {
        let (mut pending, random) = (pending(1 << 20), SeededRandom::new(3));
        let mut expected: BTreeMap<Vec<u8>, (Change, Vec<u8>)> = BTreeMap::new();
        for _ in 0..20_000 {
            let drawn = random.next_u128().unwrap().to_be_bytes();
            // Some rows begin with sixteen equal bytes.
            let long = [[b'x'; 16].as_slice(), &drawn[..1]].concat();
            let row = row(u16::from(drawn[1] % 128), if drawn[2] < 128 { &drawn[3..4] } else { &long });
            let value = &drawn[4..4 + usize::from(drawn[5] % 8)];
            match drawn[6] % 3 {
                0 => {
                    pending.put(&row, value);
                    expected.insert(row, (Change::Put, value.to_vec()));
                }
                1 => {
                    pending.delete(&row);
                    expected.insert(row, (Change::Deleted, Vec::new()));
                }
                _ => {
                    pending.append(&row, value);
                    let (change, there) = expected.entry(row).or_insert((Change::Appended, Vec::new()));
                    there.extend_from_slice(value);
                    if *change == Change::Deleted {
                        *change = Change::Put;
                    }
                }
            }
        }
        let expected: Vec<_> = expected.into_iter().map(|(row, (change, value))| (row, change, value)).collect();
        assert!(written(&pending) == expected);
        assert_eq!(pending.rows(), expected.len());
    }

    #[test]
    fn the_largest_part_goes_first_and_memory_is_given_back() {
        let mut pending = pending(10_000);
        for key in 0..100_u16 {
            pending.put(&row(3, &key.to_be_bytes()), &[0; 50]);
            pending.put(&row(90, &key.to_be_bytes()), &[0; 20]);
        }
        assert!(pending.is_full());
        let largest = pending.largest();
        assert!(pending.between(&row(3, b""), &row(3, b"z")).eq(largest..=largest));
        let before = pending.held_bytes();
        pending.forget(largest);
        assert_eq!((pending.rows(), pending.find(&row(3, &[0, 1]))), (100, Known::Unknown));
        assert_eq!(pending.find(&row(90, &[0, 1])), Known::Value(&[0; 20]));
        assert!(pending.held_bytes() < before / 2);
        pending.all().for_each(|part| pending.forget(part));
        assert_eq!((pending.rows(), pending.held_bytes()), (0, 0));
    }

    #[test]
    fn few_key_groups_make_few_parts() {
        let range = KeyGroupRange::new(KeyGroup(5), KeyGroup(6)).unwrap();
        let mut pending = Pending::new(range, 100);
        pending.put(&row(5, b"a"), b"1");
        pending.put(&row(6, b"a"), b"2");
        assert_eq!((pending.parts.len(), pending.all()), (2, 0..=1));
        assert_eq!(pending.between(&row(5, b"a"), &row(6, b"a")), 0..=1);
        // The upper end of a range of key groups is the group behind it.
        assert_eq!(pending.between(&row(6, b""), &row(7, b"")), 1..=1);
    }
}
