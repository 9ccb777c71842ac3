//! A database, open for reading.

use std::collections::BTreeMap;
use std::path::Path;

use rocksdb::{ColumnFamilyDescriptor, DB, DBRawIterator, Options, ReadOptions};

use super::options::{database_options, failure, state_options};
use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::native_rocksdb::{
    IDENTITY_KEY, Identity, column_family_name, group_bounds, split_row_key, state_of_column_family,
};
use crate::format::record::{StateKind, StateMeta};
use crate::key_group::{KeyGroup, KeyGroupRange};

/// A database in a local directory whose files were checked. Nothing in the directory is changed but RocksDB's own log.
pub struct Database {
    db: DB,
    /// States that have a column family.
    states: BTreeMap<String, StateKind>,
}

/// A row of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'r> {
    /// Key group.
    pub group: KeyGroup,
    /// Neutral key.
    pub key: &'r [u8],
    /// Neutral value.
    pub value: &'r [u8],
}

impl Database {
    /// Opens the database in `directory`, which must be that of `identity` and have column families of `states` only.
    pub fn open(directory: &Path, identity: &Identity, states: &[StateMeta]) -> Result<Self> {
        Self::open_checked(directory, identity, states)
            .map_err(|error| error.in_format(FormatId::NativeRocksDb.v1()).in_file(directory.display()))
    }

    fn open_checked(directory: &Path, identity: &Identity, states: &[StateMeta]) -> Result<Self> {
        let found = families(directory, states)?;
        let mut descriptors =
            vec![ColumnFamilyDescriptor::new(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, Options::default())];
        descriptors.extend(
            found
                .iter()
                .map(|(name, kind)| ColumnFamilyDescriptor::new(column_family_name(name), state_options(*kind))),
        );
        let db = DB::open_cf_descriptors_read_only(&database_options(), directory, descriptors, false)
            .map_err(|error| failure("open the database", error))?;
        check_identity(&db, identity)?;
        Ok(Database { db, states: found })
    }

    /// The states that have a column family.
    pub fn states(&self) -> impl Iterator<Item = (&str, StateKind)> {
        self.states.iter().map(|(name, kind)| (name.as_str(), *kind))
    }

    /// The rows of a state in a range of key groups, ascending. A state without column family has none.
    pub fn rows(&self, state: &str, groups: KeyGroupRange) -> Rows<'_> {
        let Some(family) = self.db.cf_handle(&column_family_name(state)) else {
            return Rows { iterator: None, is_fresh: true };
        };
        let (start, end) = group_bounds(groups);
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(start);
        options.set_iterate_upper_bound(end);
        options.set_total_order_seek(true);
        options.set_verify_checksums(true);
        options.fill_cache(false);
        options.set_readahead_size(2 << 20);
        let mut iterator = self.db.raw_iterator_cf_opt(family, options);
        iterator.seek_to_first();
        Rows { iterator: Some(iterator), is_fresh: true }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("path", &self.db.path()).field("states", &self.states).finish()
    }
}

/// The states that have column families, all of which must be known.
pub(super) fn families(directory: &Path, states: &[StateMeta]) -> Result<BTreeMap<String, StateKind>> {
    let names =
        DB::list_cf(&database_options(), directory).map_err(|error| failure("list the column families", error))?;
    let mut found = BTreeMap::new();
    for name in names.iter().filter(|name| *name != rocksdb::DEFAULT_COLUMN_FAMILY_NAME) {
        let state = state_of_column_family(name).and_then(|state| states.iter().find(|known| known.name == state));
        match state.filter(|state| state.kind.is_keyed()) {
            Some(state) => found.insert(state.name.clone(), state.kind),
            None => {
                let message =
                    format!("the database has a column family {name:?}, which is of no keyed state in the manifest");
                return Err(Error::corrupt(message).in_field("column family"));
            }
        };
    }
    Ok(found)
}

/// Checks what the database says of itself.
pub(super) fn check_identity(db: &DB, expected: &Identity) -> Result<()> {
    let stored = db.get(IDENTITY_KEY).map_err(|error| failure("read the identity", error))?;
    let stored = stored.ok_or_else(|| Error::corrupt("the database has no identity").in_field("identity"))?;
    Identity::decode(&stored)?.check(expected)
}

/// Rows one after the other. Call [`next_row`](Self::next_row) until it returns `None`.
pub struct Rows<'d> {
    /// At the row that was given last, or before the first; `None` behind the last one.
    iterator: Option<DBRawIterator<'d>>,
    is_fresh: bool,
}

impl Rows<'_> {
    /// The next row.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>> {
        self.advance()?;
        match self.iterator.as_ref().and_then(DBRawIterator::item) {
            Some((row, value)) => {
                let (group, key) = split_row_key(row)?;
                Ok(Some(Row { group, key, value }))
            }
            None => Ok(None),
        }
    }

    fn advance(&mut self) -> Result<()> {
        let Some(iterator) = &mut self.iterator else { return Ok(()) };
        if !std::mem::replace(&mut self.is_fresh, false) {
            iterator.next();
        }
        if !iterator.valid() {
            iterator.status().map_err(|error| failure("read a row", error))?;
            self.iterator = None;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("is_done", &self.iterator.is_none()).finish_non_exhaustive()
    }
}
