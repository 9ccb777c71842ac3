//! The database of one backend, and its column families as what they are here: ordered rows of bytes.
//!
//! Every iterator has a lower and an upper bound and asks for total order, whatever prefix extractor was configured; so it
//! neither leaves its range nor reads a tombstone outside of it, and misses nothing in it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::rocksdb::checkpoint::Checkpoint;
use ::rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBPinnableSlice, DBRawIterator, DEFAULT_COLUMN_FAMILY_NAME, ErrorKind,
    FlushOptions, Options, ReadOptions, WriteBatch, WriteOptions,
};
use smallvec::SmallVec;

use super::config::Config;
use super::directory::WorkingDirectory;
use super::expiry::Expiry;
use super::pending::{Known, Pending};
use crate::error::{Error, Result};
use crate::format::native_rocksdb::{IDENTITY_KEY, Identity, column_family_name, prefix_successor};
use crate::format::record::{StateKind, StateMeta};
use crate::snapshot::database::install_list_merge;

/// Rows that are removed with one write.
const BATCH_ROWS: usize = 1024;

/// An open database in a working directory of its own.
pub(super) struct Database {
    // Closed before the directory is let go of.
    db: DB,
    write: WriteOptions,
    read: ReadOptions,
    options: Options,
    /// Of column families; what a hook puts into them may have to outlive the database.
    family_options: Vec<Options>,
    config: Config,
    identity: Identity,
    directory: Arc<WorkingDirectory>,
}

impl Database {
    /// An empty database in a working directory.
    pub(super) fn create(config: &Config, directory: Arc<WorkingDirectory>, identity: Identity) -> Result<Self> {
        let mut options = config.database_options();
        options.create_if_missing(true);
        options.set_error_if_exists(true);
        let path = directory.new_path("db");
        let default = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, Options::default());
        let db = DB::open_cf_descriptors(&options, &path, [default])
            .map_err(|error| failed("cannot create the database", &directory, error))?;
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        db.put_opt(IDENTITY_KEY, identity.encode(), &write)
            .map_err(|error| failed("cannot write", &directory, error))?;
        let config = config.clone();
        let read = ReadOptions::default();
        Ok(Database { db, write, read, options, family_options: Vec::new(), config, identity, directory })
    }

    /// The database that lies in `path`, a part of the working directory, with these column families.
    pub(super) fn open<'s>(
        config: &Config,
        directory: Arc<WorkingDirectory>,
        path: PathBuf,
        identity: Identity,
        families: impl Iterator<Item = (&'s StateMeta, Option<&'s Arc<Expiry>>)>,
    ) -> Result<Self> {
        let options = config.database_options();
        let default = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, Options::default());
        let of_states = families.map(|(state, expiry)| {
            ColumnFamilyDescriptor::new(column_family_name(&state.name), state_options(config, state, expiry))
        });
        let db = DB::open_cf_descriptors(&options, &path, std::iter::once(default).chain(of_states))
            .map_err(|error| failed("cannot open the database", &directory, error))?;
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        let (config, read) = (config.clone(), ReadOptions::default());
        Ok(Database { db, write, read, options, family_options: Vec::new(), config, identity, directory })
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Options of files that are written in bulk.
    pub(super) fn bulk_options(&self) -> Options {
        self.config.plain_options()
    }

    pub(super) fn directory(&self) -> &Arc<WorkingDirectory> {
        &self.directory
    }

    pub(super) fn db(&self) -> &DB {
        &self.db
    }

    /// Options of the database, through which its counters are read.
    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Makes an empty column family for a state.
    pub(super) fn create_family(&mut self, state: &StateMeta, expiry: Option<&Arc<Expiry>>) -> Result<()> {
        let options = state_options(&self.config, state, expiry);
        let made = self.db.create_cf(column_family_name(&state.name), &options);
        self.family_options.push(options);
        made.map_err(|error| self.failed("cannot create a column family", error).in_state(&state.name))
    }

    /// Removes the column family of a state with all its rows.
    pub(super) fn drop_family(&mut self, state: &str) -> Result<()> {
        let dropped = self.db.drop_cf(&column_family_name(state));
        dropped.map_err(|error| self.failed("cannot drop a column family", error).in_state(state))
    }

    /// The rows of a state; `name` is that of its column family. What is written goes into the database at once.
    #[inline]
    pub(super) fn family(&self, name: &str) -> Result<Family<'_>> {
        match self.db.cf_handle(name) {
            Some(handle) => Ok(Family { database: self, handle, pending: None }),
            None => Err(Error::internal(format!("there is no column family {name:?}"))),
        }
    }

    /// Writes everything that is in memory to files, at one moment for all states, and links these files into a new
    /// directory.
    pub(super) fn checkpoint<'n>(&self, families: impl Iterator<Item = &'n str>) -> Result<CheckpointDirectory> {
        let default = self.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME);
        let mut handles: Vec<&ColumnFamily> = default.into_iter().collect();
        for name in families {
            handles.push(self.family(name)?.handle);
        }
        let mut wait = FlushOptions::default();
        wait.set_wait(true);
        self.db
            .flush_cfs_opt(&handles, &wait)
            .map_err(|error| self.failed("cannot write out what is in memory", error))?;
        let failed = |error| self.failed("cannot take a checkpoint", error);
        let checkpoint = Checkpoint::new(&self.db).map_err(failed)?;
        let name = self.directory.new_name("checkpoint");
        // What is linked so far goes if this fails.
        let path = self.directory.path().join(&name);
        let taken = CheckpointDirectory { path, name, parent: Arc::clone(&self.directory) };
        checkpoint.create_checkpoint_with_log_size(taken.path(), 0).map_err(failed)?;
        Ok(taken)
    }
}

impl Database {
    /// An error of RocksDB, with the directory it happened in.
    #[cold]
    pub(super) fn failed(&self, what: &str, error: ::rocksdb::Error) -> Error {
        failed(what, &self.directory, error)
    }
}

/// Options of the column family of a state.
fn state_options(config: &Config, state: &StateMeta, expiry: Option<&Arc<Expiry>>) -> Options {
    let mut options = config.state_options(&state.name);
    if state.kind == StateKind::List {
        install_list_merge(&mut options);
    }
    if let Some(expiry) = expiry {
        expiry.install(&mut options);
    }
    options
}

/// The files of a database at one moment. Removed when it is dropped.
pub(super) struct CheckpointDirectory {
    path: PathBuf,
    name: String,
    parent: Arc<WorkingDirectory>,
}

impl CheckpointDirectory {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for CheckpointDirectory {
    fn drop(&mut self) {
        self.parent.discard(&self.name);
    }
}

/// The rows of one state.
#[derive(Clone, Copy)]
pub(super) struct Family<'d> {
    database: &'d Database,
    handle: &'d ColumnFamily,
    /// Where writes are collected; `None` where they go into the database at once.
    pending: Option<&'d RefCell<Pending>>,
}

impl<'d> Family<'d> {
    /// The same, with what is written collected first, if there is where.
    #[inline]
    pub(super) fn collecting(self, pending: Option<&'d RefCell<Pending>>) -> Self {
        Family { pending, ..self }
    }

    #[inline]
    pub(super) fn get(&self, row: &[u8]) -> Result<Option<Stored<'d>>> {
        let Some(pending) = self.pending else { return self.get_stored(row) };
        match pending.try_borrow().map_err(in_use)?.find(row) {
            Known::Unknown => self.get_stored(row),
            Known::Nothing => Ok(None),
            Known::Value(value) => Ok(Some(Stored::Copied(SmallVec::from_slice(value)))),
            Known::Tail(tail) => {
                let mut whole = SmallVec::new();
                whole.extend_from_slice(self.get_stored(row)?.as_deref().unwrap_or_default());
                whole.extend_from_slice(tail);
                Ok(Some(Stored::Copied(whole)))
            }
        }
    }

    #[inline]
    fn get_stored(&self, row: &[u8]) -> Result<Option<Stored<'d>>> {
        let Database { db, read, .. } = self.database;
        let stored =
            db.get_pinned_cf_opt(self.handle, row, read).map_err(|error| self.database.failed("cannot read", error))?;
        Ok(stored.map(Stored::Pinned))
    }

    #[inline]
    pub(super) fn contains(&self, row: &[u8]) -> Result<bool> {
        Ok(self.get(row)?.is_some())
    }

    #[inline]
    pub(super) fn put(&self, row: &[u8], value: &[u8]) -> Result<()> {
        let Database { db, write, .. } = self.database;
        match self.pending {
            Some(pending) => self.collect(pending, |pending| pending.put(row, value)),
            None => db
                .put_cf_opt(self.handle, row, value, write)
                .map_err(|error| self.database.failed("cannot write", error)),
        }
    }

    /// Appends to the value of a list row.
    #[inline]
    pub(super) fn append(&self, row: &[u8], value: &[u8]) -> Result<()> {
        let Database { db, write, .. } = self.database;
        match self.pending {
            Some(pending) => self.collect(pending, |pending| pending.append(row, value)),
            None => db
                .merge_cf_opt(self.handle, row, value, write)
                .map_err(|error| self.database.failed("cannot write", error)),
        }
    }

    #[inline]
    pub(super) fn delete(&self, row: &[u8]) -> Result<()> {
        let Database { db, write, .. } = self.database;
        match self.pending {
            Some(pending) => self.collect(pending, |pending| pending.delete(row)),
            None => {
                db.delete_cf_opt(self.handle, row, write).map_err(|error| self.database.failed("cannot write", error))
            }
        }
    }

    #[inline]
    fn collect(&self, pending: &RefCell<Pending>, change: impl FnOnce(&mut Pending)) -> Result<()> {
        let mut pending = pending.try_borrow_mut().map_err(in_use)?;
        change(&mut pending);
        while pending.is_full() {
            let largest = pending.largest();
            self.hand_over(&mut pending, largest)?;
        }
        Ok(())
    }

    /// Writes a part of what was collected into the database.
    fn hand_over(&self, pending: &mut Pending, part: usize) -> Result<()> {
        if let Some(batch) = pending.batch(part, self.handle) {
            self.write(batch)?;
            pending.forget(part);
        }
        Ok(())
    }

    /// Writes all that was collected into the database.
    pub(super) fn settle(&self) -> Result<()> {
        let Some(pending) = self.pending else { return Ok(()) };
        let mut pending = pending.try_borrow_mut().map_err(in_use)?;
        pending.all().try_for_each(|part| self.hand_over(&mut pending, part))
    }

    /// Deletes every row that begins with `prefix`.
    pub(super) fn delete_prefix(&self, prefix: &[u8]) -> Result<()> {
        let mut rows = self.rows_with_prefix(prefix)?;
        let mut batch = WriteBatch::default();
        while let Some((row, _)) = rows.next_row()? {
            batch.delete_cf(self.handle, row);
            if batch.len() >= BATCH_ROWS {
                self.write(std::mem::take(&mut batch))?;
            }
        }
        self.write(batch)
    }

    fn write(&self, batch: WriteBatch) -> Result<()> {
        let Database { db, write, .. } = self.database;
        if batch.is_empty() {
            return Ok(());
        }
        db.write_opt(batch, write).map_err(|error| self.database.failed("cannot write", error))
    }

    /// Rows from `lower`, included, to `upper`, excluded, as they are now. Both begin with a key group.
    pub(super) fn rows(&self, lower: &[u8], upper: &[u8]) -> Result<Rows<'d>> {
        if let Some(pending) = self.pending {
            let mut pending = pending.try_borrow_mut().map_err(in_use)?;
            pending.between(lower, upper).try_for_each(|part| self.hand_over(&mut pending, part))?;
        }
        Ok(rows(self.database, self.handle, lower, upper))
    }

    /// Rows that begin with `prefix`, which begins with a key group.
    pub(super) fn rows_with_prefix(&self, prefix: &[u8]) -> Result<Rows<'d>> {
        // A key group is at most 32,767, so that there is a successor.
        let upper = prefix_successor(prefix).unwrap_or_else(|| vec![u8::MAX; 2]);
        self.rows(prefix, &upper)
    }

    /// The column family, for what RocksDB knows of it.
    pub(super) fn handle(&self) -> &'d ColumnFamily {
        self.handle
    }
}

/// The value of a row.
pub(super) enum Stored<'d> {
    /// Where RocksDB has it.
    Pinned(DBPinnableSlice<'d>),
    Copied(SmallVec<[u8; 64]>),
}

impl std::ops::Deref for Stored<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Stored::Pinned(value) => value,
            Stored::Copied(value) => value,
        }
    }
}

/// The error of a read or write of a state in the middle of a write of the same state.
#[cold]
fn in_use(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal("the collected writes of a state are in use").because(error)
}

/// Rows from `lower`, included, to `upper`, excluded.
fn rows<'d>(database: &'d Database, family: &ColumnFamily, lower: &[u8], upper: &[u8]) -> Rows<'d> {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(lower);
    options.set_iterate_upper_bound(upper);
    options.set_total_order_seek(true);
    Rows { database, iterator: database.db.raw_iterator_cf_opt(family, options), is_started: false }
}

/// Ordered rows of a range. Ends after an error.
pub(super) struct Rows<'d> {
    database: &'d Database,
    iterator: DBRawIterator<'d>,
    is_started: bool,
}

impl Rows<'_> {
    /// The next row, which lives until the one after it is asked for.
    #[inline]
    pub(super) fn next_row(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if self.is_started {
            self.iterator.next();
        } else {
            self.iterator.seek_to_first();
            self.is_started = true;
        }
        if !self.iterator.valid() {
            self.iterator.status().map_err(|error| self.database.failed("cannot read", error))?;
            return Ok(None);
        }
        Ok(self.iterator.item())
    }
}

/// An error of RocksDB.
#[cold]
fn failed(what: &str, directory: &WorkingDirectory, error: ::rocksdb::Error) -> Error {
    /// What the system says where there is no more room: for anybody, for this user, in one file.
    const FULL: [&str; 3] = ["No space left", "quota exceeded", "File too large"];
    let said = error.to_string();
    let converted = match error.kind() {
        ErrorKind::Corruption => Error::corrupt(format!(
            "{what}: the local database is damaged; restore from the last checkpoint, which starts a new one"
        )),
        _ if FULL.iter().any(|reason| said.contains(reason)) => Error::unavailable(format!(
            "{what}: the disk of the working directory is full; make room there and restore from the last checkpoint"
        )),
        _ => {
            Error::unavailable(format!("{what} in the local database; restore from the last checkpoint if it persists"))
        }
    };
    converted.in_file(directory.path().display()).because(error)
}
