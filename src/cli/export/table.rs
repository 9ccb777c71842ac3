//! A Parquet file that is being written: row group by row group.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;

use millpond::serializer::Value;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use super::columns::{Columns, Misfit};
use super::layout::Layout;

/// A row group has at most so many rows.
const GROUP_ROWS: u64 = 100_000;

/// A row group is written when it takes so much memory.
const GROUP_BYTES: usize = 32 << 20;

/// Why a row could not be added.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not of the types of the file.
    Misfit,
    /// The file cannot be written.
    Unwritten(ParquetError),
}

/// A file, and the rows that are not in it yet.
pub(super) struct Table {
    file: SerializedFileWriter<Box<dyn Write + Send>>,
    columns: Columns,
    /// Rows of the row group that is gathered.
    gathered: u64,
    rows: u64,
}

impl Table {
    /// Begins a file with the columns of `layout`.
    pub(super) fn new(
        file: Box<dyn Write + Send>,
        layout: &Layout,
        metadata: Vec<KeyValue>,
    ) -> Result<Self, ParquetError> {
        // What readers skip by is kept per row group; per page it would be held until the end.
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_key_value_metadata(Some(metadata))
            .set_created_by(concat!("millpond version ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let file = SerializedFileWriter::new(file, layout.schema()?, Arc::new(properties))?;
        Ok(Table { file, columns: Columns::new(layout.types()), gathered: 0, rows: 0 })
    }

    /// Appends a row.
    pub(super) fn row<'v>(&mut self, row: impl IntoIterator<Item = Option<Cow<'v, Value>>>) -> Result<(), Fault> {
        self.columns.push(row).map_err(|Misfit| Fault::Misfit)?;
        self.gathered += 1;
        self.rows += 1;
        if self.gathered >= GROUP_ROWS || self.columns.bytes() >= GROUP_BYTES {
            self.write_group().map_err(Fault::Unwritten)?;
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        if self.gathered == 0 {
            return Ok(());
        }
        self.gathered = 0;
        let mut group = self.file.next_row_group()?;
        self.columns.drain(|column| {
            let mut out = group.next_column()?.ok_or_else(|| ParquetError::General("a column too many".to_owned()))?;
            column.write(&mut out)?;
            out.close()
        })?;
        group.close().map(|_| ())
    }

    /// Writes what is left; gives the number of rows and of row groups.
    pub(super) fn finish(mut self) -> Result<(u64, usize), ParquetError> {
        self.write_group()?;
        let metadata = self.file.finish()?;
        self.file.inner_mut().flush()?;
        Ok((self.rows, metadata.num_row_groups()))
    }
}
