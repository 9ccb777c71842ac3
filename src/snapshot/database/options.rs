//! How databases are opened that nobody configures: fetched, put together, written in bulk.

use rocksdb::{BlockBasedOptions, DBCompressionType, LogLevel, MergeOperands, Options};

use crate::error::{Error, ErrorKind};
use crate::format::native_rocksdb::LIST_MERGE_OPERATOR;
use crate::format::record::StateKind;

/// Tables of bulk writing are closed at this size, so that later snapshots can share most of them.
pub(super) const TABLE_BYTES: u64 = 64 << 20;

/// Options of a database as a whole: no log, every check that RocksDB has, nothing in the background.
///
/// No options file is ever read: options that lie beside the data have no say.
pub fn database_options() -> Options {
    let mut options = Options::default();
    options.set_paranoid_checks(true);
    options.set_atomic_flush(true);
    options.set_disable_auto_compactions(true);
    options.set_max_open_files(-1);
    options.set_max_file_opening_threads(1);
    options.set_skip_stats_update_on_db_open(true);
    options.set_allow_mmap_reads(false);
    options.set_keep_log_file_num(1);
    options.set_log_level(LogLevel::Error);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// Options of the column family of a state of this kind, with the block-based tables that are the only ones there are.
pub fn state_options(kind: StateKind) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_size(16 << 10);
    table.set_bloom_filter(10.0, false);
    table.set_format_version(5);
    let mut options = Options::default();
    options.set_disable_auto_compactions(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    if kind == StateKind::List {
        install_list_merge(&mut options);
    }
    options
}

/// Lets elements be appended to the lists of a column family: what is merged is put behind what is there.
pub fn install_list_merge(options: &mut Options) {
    options.set_merge_operator_associative(LIST_MERGE_OPERATOR, concatenate);
}

fn concatenate(_key: &[u8], base: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let length = operands.iter().map(<[u8]>::len).fold(base.map_or(0, <[u8]>::len), usize::saturating_add);
    let mut merged = Vec::with_capacity(length);
    merged.extend_from_slice(base.unwrap_or_default());
    operands.iter().for_each(|operand| merged.extend_from_slice(operand));
    Some(merged)
}

/// What an error of RocksDB means to somebody who wanted to do `what`.
pub fn failure(what: &str, error: rocksdb::Error) -> Error {
    use rocksdb::ErrorKind as Rocks;
    let kind = match error.kind() {
        Rocks::Corruption => ErrorKind::Corrupt,
        Rocks::NotFound => ErrorKind::NotFound,
        Rocks::NotSupported => ErrorKind::Incompatible,
        Rocks::InvalidArgument => ErrorKind::InvalidInput,
        Rocks::Aborted | Rocks::ShutdownInProgress => ErrorKind::Aborted,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("RocksDB cannot {what}: {error}")).because(error)
}
