//! The crate `rocksdb` with nothing around it.

use std::path::Path;

use millpond::codec::Writer;
use millpond::serializer::Serializer;
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBPinnableSlice, MergeOperands, Options, ReadOptions, WriteOptions,
};

use super::measure::Element;
use super::measure::workload::{FromId, parameters};
use super::touch;

const FAMILY: &str = "state";

/// The row of an id: its key group and the id, which are the bytes that the backend makes of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row(pub(crate) [u8; 10]);

impl FromId for Row {
    fn of(id: u64) -> Row {
        let key = id.to_be_bytes();
        let group = parameters().max_parallelism.group_of_key(&key);
        let mut row = [0; 10];
        row[..2].copy_from_slice(&group.0.to_be_bytes());
        row[2..].copy_from_slice(&key);
        Row(row)
    }
}

impl Row {
    /// The row of an entry of the id's map.
    #[inline]
    pub(crate) fn with(&self, user_key: u64) -> [u8; 18] {
        let mut row = [0; 18];
        row[..10].copy_from_slice(&self.0);
        row[10..].copy_from_slice(&user_key.to_be_bytes());
        row
    }
}

/// One column family of a database without a log.
pub(crate) struct Bare {
    db: DB,
    write: WriteOptions,
    read: ReadOptions,
    scratch: Writer,
}

impl Bare {
    pub(crate) fn open(path: &Path, (database, state): (Options, Options)) -> Self {
        let (mut database, mut state) = (database, state);
        state.set_merge_operator_associative("concatenate", concatenate);
        database.create_if_missing(true);
        database.create_missing_column_families(true);
        let families =
            [ColumnFamilyDescriptor::new("default", Options::default()), ColumnFamilyDescriptor::new(FAMILY, state)];
        let db = DB::open_cf_descriptors(&database, path, families).expect("a database");
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        Bare { db, write, read: ReadOptions::default(), scratch: Writer::new() }
    }

    #[inline]
    fn family(&self) -> &ColumnFamily {
        self.db.cf_handle(FAMILY).expect("a column family")
    }

    #[inline]
    pub(crate) fn get(&self, row: &[u8]) -> Option<DBPinnableSlice<'_>> {
        self.db.get_pinned_cf_opt(self.family(), row, &self.read).expect("a read")
    }

    #[inline]
    pub(crate) fn put(&self, row: &[u8], value: &[u8]) {
        self.db.put_cf_opt(self.family(), row, value, &self.write).expect("a write");
    }

    /// Puts the bytes that the backend would store of a value.
    #[inline]
    pub(crate) fn put_encoded<V: Element>(&mut self, row: &[u8], value: &V) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        V::SERIALIZER.write(value, &mut scratch).expect("an encoding");
        self.put(row, scratch.as_slice());
        self.scratch = scratch;
    }

    #[inline]
    pub(crate) fn merge(&self, row: &[u8], value: &[u8]) {
        self.db.merge_cf_opt(self.family(), row, value, &self.write).expect("a write");
    }

    /// Adds up the values of all rows that begin with a row.
    pub(crate) fn sum(&self, prefix: &Row) -> u64 {
        let mut next = prefix.0;
        let last = next.iter().rposition(|byte| *byte < u8::MAX).expect("a row above");
        next[last] += 1;
        next[last + 1..].fill(0);
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(prefix.0.as_slice());
        options.set_iterate_upper_bound(next.as_slice());
        let mut rows = self.db.raw_iterator_cf_opt(self.family(), options);
        rows.seek_to_first();
        let mut sum = 0_u64;
        while let Some(value) = rows.value() {
            sum = sum.wrapping_add(touch(value));
            rows.next();
        }
        sum
    }
}

fn concatenate(_key: &[u8], stored: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let mut whole = stored.unwrap_or_default().to_vec();
    operands.iter().for_each(|operand| whole.extend_from_slice(operand));
    Some(whole)
}
