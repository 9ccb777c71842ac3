//! What can be set of the RocksDB backend, and what is good where nothing is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ::rocksdb::{
    BlockBasedOptions, Cache, DBCompactionStyle, DBCompressionType, LruCacheOptions, Options, WriteBufferManager,
};

use crate::error::{Error, Result};

/// The budget of backends that are given none.
const DEFAULT_BUDGET_BYTES: usize = 256 << 20;

/// Share of a write buffer that is a filter of the rows in it.
const MEMORY_FILTER_SHARE: f64 = 0.02;

/// Memory of all RocksDB backends that are given the same value, or clones of it: blocks of files that were read, and
/// what was written and is not in files yet.
///
/// One block cache of this size is shared by all of them, and what is not in files yet counts as part of it, up to half of
/// it; above that, files are written early. The cache also holds indexes and filters. RocksDB may exceed the budget for a
/// moment: it is what is aimed at, not a hard limit.
#[derive(Clone)]
pub struct MemoryBudget {
    bytes: usize,
    cache: Cache,
    buffers: WriteBufferManager,
}

impl MemoryBudget {
    /// A budget of this many bytes.
    pub fn new(bytes: usize) -> Self {
        let mut options = LruCacheOptions::default();
        options.set_capacity(bytes);
        let cache = Cache::new_lru_cache_opts(&options);
        let buffers = WriteBufferManager::new_write_buffer_manager_with_cache(bytes / 2, false, cache.clone());
        MemoryBudget { bytes, cache, buffers }
    }

    /// The size of the budget.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes in use of it at the moment.
    pub fn used_bytes(&self) -> usize {
        self.cache.get_usage()
    }

    /// Bytes of it that are in use and cannot be given up.
    pub fn pinned_bytes(&self) -> usize {
        self.cache.get_pinned_usage()
    }

    /// Bytes in use by what is not in files yet.
    pub fn buffered_bytes(&self) -> usize {
        self.buffers.get_usage()
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBudget").field("bytes", &self.bytes).field("used_bytes", &self.used_bytes()).finish()
    }
}

/// How files are merged in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Compaction {
    /// Levels, each ten times the one above: little space and fast reads, at the price of writing data several times.
    #[default]
    Leveled,
    /// Sorted runs of like sizes: fewer writes, at the price of up to twice the space for a while.
    Universal,
}

/// How the blocks of a level are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LevelCompression {
    /// Not at all.
    None,
    /// Snappy.
    Snappy,
    /// LZ4: fast.
    Lz4,
    /// Zstandard: small.
    Zstd,
}

impl LevelCompression {
    fn as_rocksdb(self) -> DBCompressionType {
        match self {
            LevelCompression::None => DBCompressionType::None,
            LevelCompression::Snappy => DBCompressionType::Snappy,
            LevelCompression::Lz4 => DBCompressionType::Lz4,
            LevelCompression::Zstd => DBCompressionType::Zstd,
        }
    }
}

/// Changes the options of a column family, after everything else was set. Its first argument is the name of the state.
type Hook = Arc<dyn Fn(&str, &mut Options) + Send + Sync>;

/// Changes the options of the database.
type DatabaseHook = Arc<dyn Fn(&mut Options) + Send + Sync>;

/// Settings of the RocksDB backend.
///
/// | setting | default | |
/// |---|---|---|
/// | working directory | none | must be given |
/// | memory budget | 256 MiB | shared by all backends made from this value or clones of it |
/// | collected writes | 4 MiB per state | beside the budget; less where that is small |
/// | write buffer | 32 MiB per state, 2 of them | less where the budget is |
/// | block size | 16 KiB | the unit of reading and caching |
/// | bloom filter | 10 bits per key | 1 of 100 look-ups in vain reads a block |
/// | compaction | leveled | |
/// | compression | none for the two youngest levels, LZ4 below | |
/// | background threads | 2 | shared by all databases of the process |
/// | transfer threads | 4 | fetch files of a restored snapshot |
/// | statistics | off | counters cost a few percent |
///
/// There is no write-ahead log: what a crash loses is what came after the last checkpoint, and that is replayed.
///
/// ```
/// use millpond::backend::rocksdb::{Config, MemoryBudget};
///
/// // One budget for all operators of a process, a directory for all their databases.
/// let budget = MemoryBudget::new(512 << 20);
/// let config = Config::in_directory("/var/lib/job/state").with_memory(budget).with_bloom_bits(12.0);
/// ```
#[derive(Clone)]
pub struct Config {
    directory: Option<PathBuf>,
    memory: Arc<OnceLock<MemoryBudget>>,
    collected_bytes: usize,
    write_buffer_bytes: usize,
    write_buffers: u8,
    block_bytes: usize,
    bloom_bits: f64,
    compaction: Compaction,
    compression: Vec<LevelCompression>,
    background_threads: u8,
    transfer_threads: u8,
    statistics: bool,
    hooks: Vec<Hook>,
    database_hooks: Vec<DatabaseHook>,
}

impl Default for Config {
    /// The defaults, without a directory.
    fn default() -> Self {
        Config {
            directory: None,
            memory: Arc::default(),
            collected_bytes: 4 << 20,
            write_buffer_bytes: 32 << 20,
            write_buffers: 2,
            block_bytes: 16 << 10,
            bloom_bits: 10.0,
            compaction: Compaction::Leveled,
            compression: vec![LevelCompression::None, LevelCompression::None, LevelCompression::Lz4],
            background_threads: 2,
            transfer_threads: 4,
            statistics: false,
            hooks: Vec::new(),
            database_hooks: Vec::new(),
        }
    }
}

impl Config {
    /// The defaults, with a directory on a local disk.
    ///
    /// Every backend makes a directory of its own in it, keeps that locked while it lives, and removes it in the end. What a
    /// process that was killed has left there is never read, and is removed when the next backend is made there; see
    /// [`storage::filesystem::scratch`](crate::storage::filesystem::scratch). So the directory must not be shared by machines that do
    /// not see each other's locks.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Config { directory: Some(directory.into()), ..Config::default() }
    }

    /// The same, in another directory.
    #[must_use]
    pub fn with_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// The same, within another budget.
    #[must_use]
    pub fn with_memory(mut self, budget: MemoryBudget) -> Self {
        self.memory = Arc::new(OnceLock::from(budget));
        self
    }

    /// The same, with writes of a state collected up to about this many bytes before RocksDB gets them, in order. 0 gives it
    /// each at once.
    #[must_use]
    pub fn with_collected_bytes(mut self, bytes: usize) -> Self {
        self.collected_bytes = bytes;
        self
    }

    /// Bytes of writes that a state may collect.
    pub(super) fn collected_bytes(&self) -> usize {
        self.collected_bytes.min(self.memory().bytes / 32)
    }

    /// The same, with this many bytes of a state in RocksDB's memory before they become a file, in up to `count` buffers at a time, of
    /// which all but one are being written out. At least 64 KiB and one buffer.
    #[must_use]
    pub fn with_write_buffers(mut self, bytes: usize, count: u8) -> Self {
        self.write_buffer_bytes = bytes.max(64 << 10);
        self.write_buffers = count.max(1);
        self
    }

    /// The same, with blocks of about this size in bytes; at least 256.
    #[must_use]
    pub fn with_block_bytes(mut self, bytes: usize) -> Self {
        self.block_bytes = bytes.max(256);
        self
    }

    /// The same, with bloom filters of this many bits per key; 0 is none.
    #[must_use]
    pub fn with_bloom_bits(mut self, bits: f64) -> Self {
        self.bloom_bits = bits;
        self
    }

    /// The same, with another way of merging files.
    #[must_use]
    pub fn with_compaction(mut self, compaction: Compaction) -> Self {
        self.compaction = compaction;
        self
    }

    /// The same, with this compression of each level, the youngest first; the last one holds for all levels below.
    #[must_use]
    pub fn with_compression(mut self, levels: impl Into<Vec<LevelCompression>>) -> Self {
        self.compression = levels.into();
        self
    }

    /// The same, with this many threads for writing and merging files; at least one.
    #[must_use]
    pub fn with_background_threads(mut self, threads: u8) -> Self {
        self.background_threads = threads.max(1);
        self
    }

    /// The same, with this many threads that fetch files when a snapshot is restored; at least one. How many store them
    /// is said by [`SnapshotTarget`](crate::snapshot::SnapshotTarget).
    #[must_use]
    pub fn with_transfer_threads(mut self, threads: u8) -> Self {
        self.transfer_threads = threads.max(1);
        self
    }

    /// How many threads fetch files.
    pub(super) fn transfer_threads(&self) -> usize {
        usize::from(self.transfer_threads)
    }

    /// The same, with RocksDB counting what it does, for [`Metrics`](super::Metrics).
    #[must_use]
    pub fn with_statistics(mut self, statistics: bool) -> Self {
        self.statistics = statistics;
        self
    }

    /// The same, with `hook` changing RocksDB's own options of each state after everything else was set. It gets the name of
    /// the state. Several hooks run in the order they were given.
    ///
    /// Prefix extractors and memtables may be chosen freely, since every iterator of the backend is bounded and asks for total
    /// order; but a memtable that hashes prefixes needs an extractor whose prefix no row is shorter than, or look-ups miss
    /// rows. Comparator, merge operator and compaction filter are the backend's, which sets them afterwards.
    #[must_use]
    pub fn with_options(mut self, hook: impl Fn(&str, &mut Options) + Send + Sync + 'static) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// The same, with `hook` changing RocksDB's own options of the database as a whole, after everything else was set.
    #[must_use]
    pub fn with_database_options(mut self, hook: impl Fn(&mut Options) + Send + Sync + 'static) -> Self {
        self.database_hooks.push(Arc::new(hook));
        self
    }

    /// Whether RocksDB counts what it does.
    pub(super) fn has_statistics(&self) -> bool {
        self.statistics
    }

    /// The budget.
    pub fn memory(&self) -> &MemoryBudget {
        self.memory.get_or_init(|| MemoryBudget::new(DEFAULT_BUDGET_BYTES))
    }

    /// The directory, which must have been given.
    pub(super) fn directory(&self) -> Result<&Path> {
        self.directory.as_deref().ok_or_else(|| {
            Error::invalid_input(
                "the RocksDB backend has no working directory; give it one with rocksdb::Config::in_directory",
            )
        })
    }

    /// Options of the database as a whole.
    pub(super) fn database_options(&self) -> Options {
        let mut options = Options::default();
        // A backend belongs to one thread: there is one writer, which needs no care for others.
        options.set_allow_concurrent_memtable_write(false);
        // A checkpoint must show all states at one moment although there is no log.
        options.set_atomic_flush(true);
        options.set_write_buffer_manager(&self.memory().buffers);
        options.set_max_background_jobs(i32::from(self.background_threads));
        // Every file stays open: looking for one would cost a system call per read.
        options.set_max_open_files(-1);
        options.set_keep_log_file_num(1);
        options.set_max_log_file_size(1 << 20);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        if self.statistics {
            options.enable_statistics();
        }
        for hook in &self.database_hooks {
            hook(&mut options);
        }
        options
    }

    /// Options of the column family of a state, but for the merge operator and the compaction filter.
    pub(super) fn state_options(&self, state: &str) -> Options {
        let mut options = self.plain_options();
        for hook in &self.hooks {
            hook(state, &mut options);
        }
        options
    }

    /// Options of every column family before hooks change them.
    pub(super) fn plain_options(&self) -> Options {
        let mut options = Options::default();
        let buffer_bytes = self.write_buffer_bytes.min((self.memory().bytes / 2).max(64 << 10));
        options.set_write_buffer_size(buffer_bytes);
        options.set_max_write_buffer_number(i32::from(self.write_buffers.max(2)));
        options.set_block_based_table_factory(&self.table_options());
        options.set_compaction_style(match self.compaction {
            Compaction::Leveled => DBCompactionStyle::Level,
            Compaction::Universal => DBCompactionStyle::Universal,
        });
        options.set_compression_per_level(&self.levels());
        if self.bloom_bits > 0.0 {
            // So that most rows that lie in files are not looked for in memory first, which takes longer than finding them.
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(MEMORY_FILTER_SHARE);
        }
        options.set_level_compaction_dynamic_level_bytes(self.compaction == Compaction::Leveled);
        options
    }

    fn table_options(&self) -> BlockBasedOptions {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.memory().cache);
        table.set_cache_index_and_filter_blocks(true);
        table.set_cache_index_and_filter_blocks_with_high_priority(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        table.set_block_size(self.block_bytes);
        table.set_format_version(5);
        if self.bloom_bits > 0.0 {
            table.set_bloom_filter(self.bloom_bits, false);
        }
        table
    }

    fn levels(&self) -> Vec<DBCompressionType> {
        /// Levels of a database unless a hook changes it.
        const LEVELS: usize = 7;
        let last = self.compression.last().copied().unwrap_or(LevelCompression::None);
        let levels = self.compression.iter().copied().chain(std::iter::repeat(last));
        levels.take(LEVELS).map(LevelCompression::as_rocksdb).collect()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("directory", &self.directory)
            .field("memory", &self.memory)
            .field("collected_bytes", &self.collected_bytes)
            .field("write_buffer_bytes", &self.write_buffer_bytes)
            .field("block_bytes", &self.block_bytes)
            .field("bloom_bits", &self.bloom_bits)
            .field("compaction", &self.compaction)
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}
