//! The native format of the RocksDB backend: a database, by its files.
//!
//! The files themselves are RocksDB's. What is fixed here is what lies in them, and which of them belong to a snapshot:
//!
//! * One *column family* per state, named by [`column_family_name`], and the default one with the [`Identity`].
//! * A *row* per neutral pair of [`StateMeta`](super::record::StateMeta): the key group in two bytes and the neutral key
//!   ([`row_key`]); the neutral value. So the rows of a column family ascend like the entries of the canonical format, and
//!   a range of key groups is a range of rows ([`group_bounds`]).
//! * Elements are appended to a list by a merge operator of the name [`LIST_MERGE_OPERATOR`], which concatenates its
//!   operands. No other column family has a merge operator; the order of rows is that of their bytes.
//! * Of the files of a checkpoint of the database, those that [`FileName`] knows: tables, the manifest and `CURRENT`.
//!   Options are never stored or read, a log is always empty, and blob files are not used.
//!
//! Nothing here does I/O or knows the crate `rocksdb`.

mod file;
mod row;
mod v1;

pub use file::{FileName, check_current, check_files, check_table};
pub use row::{
    LIST_MERGE_OPERATOR, column_family_name, group_bounds, prefix_successor, row_key, split_row_key,
    state_of_column_family,
};
pub use v1::{IDENTITY_KEY, Identity};

#[cfg(test)]
mod tests;
