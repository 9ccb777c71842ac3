//! Sorted rows to tables, and tables into a database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rocksdb::{DB, IngestExternalFileOptions, Options, SstFileWriter};

use super::options::{TABLE_BYTES, failure};
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::native_rocksdb::{column_family_name, row_key};
use crate::key_group::KeyGroup;

/// Writes rows into tables, several states at a time, without going through a database.
///
/// The rows of a state must ascend; between states there is no order. Memory: a block and an index per state.
pub struct BulkWriter<'o> {
    options: &'o Options,
    directory: PathBuf,
    table_bytes: u64,
    open: BTreeMap<String, OpenTable<'o>>,
    done: Vec<BulkTable>,
    row: Writer,
}

/// A table that was written and is to be taken into the column family of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkTable {
    /// The state.
    pub state: String,
    /// Where the table is.
    pub path: PathBuf,
}

struct OpenTable<'o> {
    writer: SstFileWriter<'o>,
    path: PathBuf,
    last: Vec<u8>,
}

impl<'o> BulkWriter<'o> {
    /// A writer of tables into `directory`, which is there. The options are those of the column families that will take
    /// the tables in: block size, filters, compression.
    pub fn new(directory: &Path, options: &'o Options) -> Self {
        BulkWriter {
            options,
            directory: directory.to_owned(),
            table_bytes: TABLE_BYTES,
            open: BTreeMap::new(),
            done: Vec::new(),
            row: Writer::new(),
        }
    }

    /// The same, with another size at which a table is closed.
    #[must_use]
    pub fn with_table_bytes(mut self, bytes: u64) -> Self {
        self.table_bytes = bytes;
        self
    }

    /// Writes a row of a state, above the one before.
    pub fn row(&mut self, state: &str, group: KeyGroup, key: &[u8], value: &[u8]) -> Result<()> {
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        row_key(group, key, &mut row);
        let written = self.write(state, row.as_slice(), value);
        self.row = row;
        written.map_err(|error| error.in_state(state).in_key_group(group.0))
    }

    fn write(&mut self, state: &str, row: &[u8], value: &[u8]) -> Result<()> {
        let table = match self.open.get_mut(state) {
            Some(table) => table,
            None => {
                let table = self.begin()?;
                self.open.entry(state.to_owned()).or_insert(table)
            }
        };
        if table.last.as_slice() >= row {
            return Err(Error::invalid_input("rows must ascend strictly by key group and key"));
        }
        table.writer.put(row, value).map_err(|error| failed("write a row", &table.path, error))?;
        table.last.clear();
        table.last.extend_from_slice(row);
        if table.writer.file_size() >= self.table_bytes { self.close(state) } else { Ok(()) }
    }

    fn begin(&self) -> Result<OpenTable<'o>> {
        let number = self.done.len().saturating_add(self.open.len());
        let path = self.directory.join(format!("bulk-{number}.sst"));
        let writer = SstFileWriter::create(self.options);
        writer.open(&path).map_err(|error| failed("create a table", &path, error))?;
        Ok(OpenTable { writer, path, last: Vec::new() })
    }

    /// Ends the table of a state. The next row of the state begins another one.
    fn close(&mut self, state: &str) -> Result<()> {
        let Some(OpenTable { mut writer, path, last: _ }) = self.open.remove(state) else { return Ok(()) };
        writer.finish().map_err(|error| failed("end a table", &path, error))?;
        self.done.push(BulkTable { state: state.to_owned(), path });
        Ok(())
    }

    /// Ends all tables.
    pub fn finish(mut self) -> Result<Vec<BulkTable>> {
        let states: Vec<String> = self.open.keys().cloned().collect();
        states.iter().try_for_each(|state| self.close(state))?;
        Ok(self.done)
    }
}

impl std::fmt::Debug for BulkWriter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkWriter")
            .field("directory", &self.directory)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

/// Takes tables into the column families of their states, which must be there. The tables are moved, not copied, where the
/// file system can.
pub fn ingest(db: &DB, tables: &[BulkTable]) -> Result<()> {
    let mut by_state: BTreeMap<&str, Vec<&Path>> = BTreeMap::new();
    for table in tables {
        by_state.entry(&table.state).or_default().push(&table.path);
    }
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    for (state, paths) in by_state {
        let name = column_family_name(state);
        let family =
            db.cf_handle(&name).ok_or_else(|| Error::internal(format!("there is no column family {name:?}")))?;
        db.ingest_external_file_cf_opts(family, &options, paths)
            .map_err(|error| failure("take tables in", error).in_state(state))?;
    }
    Ok(())
}

fn failed(what: &str, path: &Path, error: rocksdb::Error) -> Error {
    failure(what, error).in_file(path.display())
}
