//! Time to live in the background: what compactions may drop.

use std::ffi::CStr;
use std::sync::{Arc, OnceLock};

use ::rocksdb::compaction_filter::CompactionFilter;
use ::rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};
use ::rocksdb::{CompactionDecision, Options};

use crate::clock::Clock;
use crate::codec::Reader;
use crate::format::record::StateKind;
use crate::state::Ttl;

/// What a stamp says, by which rule and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Liveness {
    pub(super) ttl: Option<Ttl>,
    pub(super) now_ms: i64,
}

impl Liveness {
    pub(super) fn is_live(&self, stamp_ms: i64) -> bool {
        self.ttl.is_none_or(|ttl| !ttl.is_expired(stamp_ms, self.now_ms))
    }
}

/// By which rule compactions of a timed state drop values. Nothing is dropped before the state is registered: until then
/// nobody knows how long its values live.
#[derive(Debug)]
pub(super) struct Expiry {
    kind: StateKind,
    clock: Arc<dyn Clock>,
    ttl: OnceLock<Ttl>,
}

impl Expiry {
    pub(super) fn new(kind: StateKind, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Expiry { kind, clock, ttl: OnceLock::new() })
    }

    /// From now on values expire by this rule.
    ///
    /// A state whose values only reads and writes may remove is left alone.
    pub(super) fn start(&self, ttl: Ttl) {
        if ttl.cleanup.per_access > 0 {
            self.ttl.get_or_init(|| ttl);
        }
    }

    /// Makes compactions of a column family ask this.
    pub(super) fn install(self: &Arc<Self>, options: &mut Options) {
        options.set_compaction_filter_factory(Filters(Arc::clone(self)));
    }
}

/// Name of the filter, as RocksDB logs it.
const FILTER: &CStr = c"millpond.ttl.v1";

/// Makes a filter for each compaction.
struct Filters(Arc<Expiry>);

/// Drops what was expired when the compaction began.
struct Filter {
    kind: StateKind,
    liveness: Option<Liveness>,
}

impl CompactionFilterFactory for Filters {
    type Filter = Filter;

    fn create(&mut self, _context: CompactionFilterContext) -> Filter {
        let Expiry { kind, clock, ttl } = &*self.0;
        let liveness = ttl.get().map(|ttl| Liveness { ttl: Some(*ttl), now_ms: clock.now_ms() });
        Filter { kind: *kind, liveness }
    }

    fn name(&self) -> &CStr {
        FILTER
    }
}

impl CompactionFilter for Filter {
    fn filter(&mut self, _level: u32, _row: &[u8], value: &[u8]) -> CompactionDecision {
        let is_live = self.liveness.and_then(|liveness| is_live(self.kind, value, &liveness));
        match is_live {
            // What cannot be read is for a read to complain about.
            Some(true) | None => CompactionDecision::Keep,
            Some(false) => CompactionDecision::Remove,
        }
    }

    fn name(&self) -> &CStr {
        FILTER
    }
}

/// Whether anything in a stored value of a timed state is live; `None` if it cannot be read.
pub(super) fn is_live(kind: StateKind, value: &[u8], liveness: &Liveness) -> Option<bool> {
    let mut input = Reader::new(value);
    if kind != StateKind::List {
        return input.ordered_i64("stamp").ok().map(|stamp_ms| liveness.is_live(stamp_ms));
    }
    while !input.is_empty() {
        let element = input.bytes("element").ok()?;
        if liveness.is_live(Reader::new(element).ordered_i64("stamp").ok()?) {
            return Some(true);
        }
    }
    Some(false)
}
