//! The crate `rocksdb` with nothing around it.

use std::path::Path;

use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBPinnableSlice, MergeOperands, Options, ReadOptions, WriteOptions,
};

use super::touch;

const FAMILY: &str = "state";

/// One column family of a database without a log.
pub(crate) struct Bare {
    db: DB,
    write: WriteOptions,
    read: ReadOptions,
}

impl Bare {
    pub(crate) fn open(path: &Path, database: &Options, mut state: Options) -> Self {
        state.set_merge_operator_associative("concatenate", concatenate);
        let mut database = database.clone();
        database.create_if_missing(true);
        database.create_missing_column_families(true);
        let families =
            [ColumnFamilyDescriptor::new("default", Options::default()), ColumnFamilyDescriptor::new(FAMILY, state)];
        let db = DB::open_cf_descriptors(&database, path, families).expect("a database");
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        Bare { db, write, read: ReadOptions::default() }
    }

    #[inline]
    fn family(&self) -> &ColumnFamily {
        self.db.cf_handle(FAMILY).expect("a column family")
    }

    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<DBPinnableSlice<'_>> {
        self.db.get_pinned_cf_opt(self.family(), key, &self.read).expect("a read")
    }

    #[inline]
    pub(crate) fn put(&self, key: &[u8], value: &[u8]) {
        self.db.put_cf_opt(self.family(), key, value, &self.write).expect("a write");
    }

    #[inline]
    pub(crate) fn merge(&self, key: &[u8], value: &[u8]) {
        self.db.merge_cf_opt(self.family(), key, value, &self.write).expect("a write");
    }

    /// Adds up the values of all keys that begin with eight bytes.
    pub(crate) fn sum(&self, prefix: &[u8; 8]) -> u64 {
        let next = u64::from_be_bytes(*prefix).wrapping_add(1).to_be_bytes();
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(prefix.as_slice());
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
