//! A database written from sorted pairs, and stored.

use std::path::Path;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{DB, FlushOptions, Options, WriteOptions};

use super::ScratchDirectory;
use super::bulk::{BulkTable, ingest};
use super::options::{database_options, failure, state_options};
use super::parallel::KeepGoing;
use super::store::store;
use crate::error::{Error, Result};
use crate::format::manifest::KeyedHandle;
use crate::format::native_rocksdb::{IDENTITY_KEY, Identity, column_family_name};
use crate::format::record::StateMeta;
use crate::key_group::KeyGroupRange;
use crate::snapshot::target::SnapshotTarget;

/// Makes databases out of tables: for conversion, where no backend is.
#[derive(Debug)]
pub struct DatabaseWriter {
    identity: Identity,
    states: Vec<StateMeta>,
    scratch: ScratchDirectory,
}

impl DatabaseWriter {
    /// A writer of the database of an operator with these states; operator state among them is left out. Works in a new
    /// directory in `scratch`, which needs room for the whole state.
    pub fn new(identity: Identity, states: &[StateMeta], scratch: &Path) -> Result<Self> {
        let states = states.iter().filter(|state| state.kind.is_keyed()).cloned().collect();
        Ok(DatabaseWriter { identity, states, scratch: ScratchDirectory::create_in(scratch, "write")? })
    }

    /// Where tables may be written. They must be on the file system of the database to be moved into it.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// The options that tables must be written with.
    pub fn table_options() -> Options {
        state_options(crate::format::record::StateKind::Value)
    }

    /// Makes a database of the tables and stores its files in the snapshot's own directory.
    pub fn store(
        self,
        tables: &[BulkTable],
        range: KeyGroupRange,
        target: &SnapshotTarget,
        keep_going: KeepGoing<'_>,
    ) -> Result<KeyedHandle> {
        let files = self.scratch.path().join("files");
        let db = create(&self.scratch.make("database")?, &self.identity, &self.states)?;
        ingest(&db, tables)?;
        checkpoint(&db, &files)?;
        drop(db);
        store(&files, range, target, None, keep_going)
    }
}

/// Makes a new database with column families for these states.
fn create(directory: &Path, identity: &Identity, states: &[StateMeta]) -> Result<DB> {
    let mut options = database_options();
    options.create_if_missing(true);
    let mut db = DB::open(&options, directory).map_err(|error| failure("create a database", error))?;
    for state in states {
        create_family(&mut db, state)?;
    }
    let mut unlogged = WriteOptions::default();
    unlogged.disable_wal(true);
    db.put_opt(IDENTITY_KEY, identity.encode(), &unlogged).map_err(|error| failure("write the identity", error))?;
    Ok(db)
}

/// Adds the column family of a state.
pub(super) fn create_family(db: &mut DB, state: &StateMeta) -> Result<()> {
    db.create_cf(column_family_name(&state.name), &state_options(state.kind))
        .map_err(|error| failure("create a column family", error).in_state(&state.name))
}

/// Writes out everything that is in memory only, all column families at one moment.
pub(super) fn flush(db: &DB, states: impl Iterator<Item = impl AsRef<str>>) -> Result<()> {
    let names: Vec<String> = states.map(|state| column_family_name(state.as_ref())).collect();
    let named = names.iter().map(String::as_str).chain([rocksdb::DEFAULT_COLUMN_FAMILY_NAME]);
    let mut families = Vec::new();
    for name in named {
        families.push(db.cf_handle(name).ok_or_else(|| Error::internal(format!("no column family {name:?}")))?);
    }
    let mut options = FlushOptions::default();
    options.set_wait(true);
    db.flush_cfs_opt(&families, &options).map_err(|error| failure("write out the database", error))
}

/// Makes a database in a new directory that shares the tables of this one.
fn checkpoint(db: &DB, directory: &Path) -> Result<()> {
    Checkpoint::new(db)
        .and_then(|checkpoint| checkpoint.create_checkpoint(directory))
        .map_err(|error| failure("make a checkpoint", error))
}
