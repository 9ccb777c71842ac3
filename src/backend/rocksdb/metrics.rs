//! What a database says of itself.

use ::rocksdb::properties;
use ::rocksdb::statistics::Ticker;

use super::KeyedBackend;
use crate::backend::Key;
use crate::error::Result;
use crate::format::native_rocksdb::column_family_name;
use crate::serializer::Serializer;

/// Sizes and work of one backend at a moment. Cheap: nothing is read from disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Entries of all states, estimated.
    pub estimated_entries: u64,
    /// Bytes written that are not in files yet.
    pub buffered_bytes: u64,
    /// Bytes of the files that make up the state.
    pub live_file_bytes: u64,
    /// Bytes of all files, with those that snapshots hold on to.
    pub file_bytes: u64,
    /// Bytes that are to be merged in the background, estimated.
    pub pending_compaction_bytes: u64,
    /// Merges that run.
    pub running_compactions: u64,
    /// Writes of buffers to files that run.
    pub running_flushes: u64,
    /// Bytes of the block cache in use, by all backends that share the memory budget.
    pub cache_bytes: u64,
    /// Of these, bytes that are pinned.
    pub pinned_cache_bytes: u64,
    /// Counters since the backend was made, if the configuration asks for them.
    pub counters: Option<Counters>,
}

/// What RocksDB has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Blocks that were found in the cache.
    pub cache_hits: u64,
    /// Blocks that were not.
    pub cache_misses: u64,
    /// Look-ups that a bloom filter answered.
    pub bloom_useful: u64,
    /// Bytes written to files by merging.
    pub compacted_bytes: u64,
    /// Bytes written to files from buffers.
    pub flushed_bytes: u64,
    /// Microseconds for which writes had to wait for merging.
    pub stall_us: u64,
}

/// Sizes of one state at a moment. Cheap, and so partly estimated: to count entries exactly, the state has to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateMetrics {
    /// Entries, estimated: what was overwritten or deleted and is not merged yet makes it inexact.
    pub estimated_entries: u64,
    /// Bytes written that are not in files yet.
    pub buffered_bytes: u64,
    /// Bytes of the files that make up the state.
    pub live_file_bytes: u64,
    /// Files that make up the state.
    pub files: u64,
    /// Of these, files that were written last and that every look-up has to ask.
    pub young_files: u64,
    /// Bytes that are to be merged in the background, estimated.
    pub pending_compaction_bytes: u64,
}

/// Levels of a database unless a hook changes it.
const LEVELS: usize = 7;

impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    /// What the database says of one state, registered or restored and not registered yet; `None` if there is none of this name.
    pub fn state_metrics(&self, name: &str) -> Result<Option<StateMetrics>> {
        if !self.names.contains_key(name) && !self.carried.contains_key(name) {
            return Ok(None);
        }
        let family = self.database.family(&column_family_name(name))?;
        let of = |property: &properties::PropName| {
            let value = self.database.db().property_int_value_cf(&family.handle(), property);
            Result::Ok(value.map_err(|error| self.database.failed("cannot read a property", error))?.unwrap_or(0))
        };
        let mut files = Vec::with_capacity(LEVELS);
        for level in 0..LEVELS {
            files.push(of(&properties::num_files_at_level(level))?);
        }
        Ok(Some(StateMetrics {
            estimated_entries: of(properties::ESTIMATE_NUM_KEYS)?,
            buffered_bytes: of(properties::CUR_SIZE_ALL_MEM_TABLES)?,
            live_file_bytes: of(properties::LIVE_SST_FILES_SIZE)?,
            files: files.iter().fold(0, |sum, files| sum.saturating_add(*files)),
            young_files: files.first().copied().unwrap_or(0),
            pending_compaction_bytes: of(properties::ESTIMATE_PENDING_COMPACTION_BYTES)?,
        }))
    }

    /// What the database says of itself.
    pub fn metrics(&self) -> Result<Metrics> {
        let sum = |property: &properties::PropName| {
            let carried = self.carried.keys().map(|name| column_family_name(name));
            let mut sum = 0_u64;
            for name in self.states.iter().map(|state| state.family.clone()).chain(carried) {
                let family = self.database.family(&name)?;
                let value = self.database.db().property_int_value_cf(&family.handle(), property);
                sum = sum.saturating_add(
                    value.map_err(|error| self.database.failed("cannot read a property", error))?.unwrap_or(0),
                );
            }
            Result::Ok(sum)
        };
        let budget = self.database.config().memory();
        let (mut rows, mut bytes) = (0_u64, 0_u64);
        for pending in self.states.iter().filter_map(|state| state.pending.as_ref()?.try_borrow().ok()) {
            rows = rows.saturating_add(wide(pending.rows()));
            bytes = bytes.saturating_add(wide(pending.held_bytes()));
        }
        Ok(Metrics {
            estimated_entries: sum(properties::ESTIMATE_NUM_KEYS)?.saturating_add(rows),
            buffered_bytes: sum(properties::CUR_SIZE_ALL_MEM_TABLES)?.saturating_add(bytes),
            live_file_bytes: sum(properties::LIVE_SST_FILES_SIZE)?,
            file_bytes: sum(properties::TOTAL_SST_FILES_SIZE)?,
            pending_compaction_bytes: sum(properties::ESTIMATE_PENDING_COMPACTION_BYTES)?,
            running_compactions: self.of_database(properties::NUM_RUNNING_COMPACTIONS)?,
            running_flushes: self.of_database(properties::NUM_RUNNING_FLUSHES)?,
            cache_bytes: wide(budget.used_bytes()),
            pinned_cache_bytes: wide(budget.pinned_bytes()),
            counters: self.database.config().has_statistics().then(|| self.counters()),
        })
    }

    fn of_database(&self, property: &properties::PropName) -> Result<u64> {
        let value = self.database.db().property_int_value(property);
        Ok(value.map_err(|error| self.database.failed("cannot read a property", error))?.unwrap_or(0))
    }

    fn counters(&self) -> Counters {
        let count = |ticker| self.database.options().get_ticker_count(ticker);
        Counters {
            cache_hits: count(Ticker::BlockCacheHit),
            cache_misses: count(Ticker::BlockCacheMiss),
            bloom_useful: count(Ticker::BloomFilterUseful),
            compacted_bytes: count(Ticker::CompactWriteBytes),
            flushed_bytes: count(Ticker::FlushWriteBytes),
            stall_us: count(Ticker::StallMicros),
        }
    }
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
