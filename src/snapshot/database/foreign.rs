//! Databases that another system wrote: opened for reading, with nothing known of them but bytes.

use std::path::Path;

use rocksdb::{ColumnFamilyDescriptor, DB, DBRawIterator, MergeOperands, Options, ReadOptions};

use super::ScratchDirectory;
use super::directory;
use super::options::{database_options, failure, state_options};
use crate::error::{Error, Result};
use crate::format::native_rocksdb::{FileName, check_current, check_files};
use crate::format::record::StateKind;
use crate::storage::Blob;

/// How a database of another system combines values that were merged.
#[derive(Debug, Clone, Copy)]
pub struct Joining {
    /// Name of the merge operator there.
    pub operator: &'static str,
    /// What stands between what was there and what was merged.
    pub delimiter: u8,
}

/// A database of another system, read-only, in a scratch directory that goes with it.
pub struct ForeignDatabase {
    db: DB,
    families: Vec<String>,
    _scratch: ScratchDirectory,
}

impl ForeignDatabase {
    /// Copies the files of a database into a new directory in `scratch` and opens it there. Files must have names that a
    /// database has, see [`FileName`], and must be trusted: RocksDB is not made for files from anybody.
    pub fn open(scratch: &Path, files: &[(FileName, Blob)], joining: Joining) -> Result<Self> {
        let mut sorted: Vec<&(FileName, Blob)> = files.iter().collect();
        sorted.sort_by_key(|(name, _)| *name);
        let names: Vec<FileName> = sorted.iter().map(|(name, _)| *name).collect();
        check_files(&names).map_err(|error| Error::corrupt(error.message()))?;
        let manifest = names.get(1).copied().unwrap_or(FileName::Current);
        let scratch = ScratchDirectory::create_in(scratch, "foreign")?;
        for (name, blob) in sorted {
            if *name == FileName::Current {
                check_current(blob.as_slice(), manifest)?;
            }
            let path = scratch.path().join(name.to_string());
            let mut file = directory::create(&path)?;
            for chunk in blob.as_slice().chunks(directory::CHUNK_BYTES) {
                directory::append(&mut file, &path, chunk)?;
            }
        }
        let families = DB::list_cf(&database_options(), scratch.path())
            .map_err(|error| failure("list the column families", error))?;
        let descriptors = families.iter().map(|family| ColumnFamilyDescriptor::new(family, options(joining)));
        let db = DB::open_cf_descriptors_read_only(&database_options(), scratch.path(), descriptors, false)
            .map_err(|error| failure("open the database", error))?;
        Ok(ForeignDatabase { db, families, _scratch: scratch })
    }

    /// Names of the column families.
    pub fn families(&self) -> &[String] {
        &self.families
    }

    /// The rows of a column family from `start` to before `end`, ascending. A family that is not there has none.
    pub fn rows(&self, family: &str, start: Vec<u8>, end: Vec<u8>) -> ForeignRows<'_> {
        let Some(family) = self.db.cf_handle(family) else { return ForeignRows { iterator: None, is_fresh: true } };
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(start);
        options.set_iterate_upper_bound(end);
        options.set_total_order_seek(true);
        options.set_verify_checksums(true);
        options.fill_cache(false);
        let mut iterator = self.db.raw_iterator_cf_opt(family, options);
        iterator.seek_to_first();
        ForeignRows { iterator: Some(iterator), is_fresh: true }
    }
}

impl std::fmt::Debug for ForeignDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForeignDatabase").field("path", &self.db.path()).finish_non_exhaustive()
    }
}

fn options(joining: Joining) -> Options {
    let mut options = state_options(StateKind::Value);
    let join = move |_key: &[u8], base: Option<&[u8]>, operands: &MergeOperands| {
        let mut merged = base.map(<[u8]>::to_vec);
        for operand in operands {
            match &mut merged {
                None => merged = Some(operand.to_vec()),
                Some(merged) => {
                    merged.push(joining.delimiter);
                    merged.extend_from_slice(operand);
                }
            }
        }
        merged
    };
    options.set_merge_operator_associative(joining.operator, join);
    options
}

/// Rows one after the other. Call [`next_row`](Self::next_row) until it returns `None`.
pub struct ForeignRows<'d> {
    iterator: Option<DBRawIterator<'d>>,
    is_fresh: bool,
}

impl ForeignRows<'_> {
    /// The key and the value of the next row.
    pub fn next_row(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        let Some(iterator) = &mut self.iterator else { return Ok(None) };
        if !std::mem::replace(&mut self.is_fresh, false) {
            iterator.next();
        }
        if !iterator.valid() {
            iterator.status().map_err(|error| failure("read a row", error))?;
            self.iterator = None;
        }
        Ok(self.iterator.as_ref().and_then(DBRawIterator::item))
    }
}

impl std::fmt::Debug for ForeignRows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForeignRows").field("is_done", &self.iterator.is_none()).finish_non_exhaustive()
    }
}
