//! Snapshots that are RocksDB databases: storing their files, fetching them, looking into them, putting them together.
//! Feature `rocksdb`.
//!
//! Vocabulary. A *database* is the keyed state of one subtask, in the layout of
//! [`format::native_rocksdb`](crate::format::native_rocksdb). Its *tables* are RocksDB's `.sst` files. A *scratch directory* is a
//! local one that the caller names and that nothing else relies on.
//!
//! Invariants:
//!
//! * RocksDB is given a file of a snapshot only after all files of its database were found to be those of the manifest:
//!   by name, length and BLAKE3. It gets them in a directory that did not exist before: tables may be links to what is stored,
//!   since RocksDB never writes to a table that it has finished (its own checkpoints rest on that); all other files are copies.
//! * Which rows belong to a state is decided by the key-group range of the handle, not by what lies in the files.
//! * A stored object never has the name of a local file. That a table was stored before is known from the handle of a
//!   snapshot that completed, for as long as the directory it lies in is the one that snapshot was taken of or restored to.
//! * No row is written one by one: [`BulkWriter`] makes tables of sorted rows, which are taken in whole.
//!
//! Failure behaviour: damaged, missing and foreign files are refused with the object and the file in the database named. What
//! RocksDB itself says is the cause of an error. Scratch directories are [`ScratchDirectory`]s, of which nothing stays behind for ever.

mod assemble;
mod bulk;
mod directory;
mod fetch;
mod foreign;
mod options;
mod parallel;
mod reader;
mod store;
mod writer;

pub use assemble::{Assembled, assemble, is_in_databases};
pub use bulk::{BulkTable, BulkWriter, ingest};
pub use fetch::fetch;
pub use foreign::{ForeignDatabase, ForeignRows, Joining};
pub use options::{database_options, failure, install_list_merge, state_options};
pub use reader::{Database, Row, Rows};
pub use store::{StoredTables, store, table_bytes};
pub use writer::DatabaseWriter;

pub use crate::storage::ScratchDirectory;
