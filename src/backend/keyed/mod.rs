//! Keyed state on a backend that is chosen at run time.
//!
//! Operator code is written against [`KeyedBackend`], [`KeyContext`] and the accessors here; it never names a backend. Which
//! one it gets is a value of configuration, [`BackendConfig`]. Every type here is an enum over the backends and passes each
//! call on; with one backend compiled in, nothing is left of it.

mod access;
mod config;
mod context;
mod register;
mod visit;

pub use access::{Aggregating, List, Map, Reducing, Timers, Value};
pub use config::{BackendConfig, BackendKind};
pub use context::KeyContext;

use super::handle::TimerHandle;
#[cfg(feature = "rocksdb")]
use super::rocksdb;
use super::{Key, KeyedParameters, KeyedSnapshotFormat, SnapshotVersion, Statistics, heap};
use crate::error::Result;
use crate::format::manifest::KeyedHandle;
use crate::format::record::StateMeta;
use crate::serializer::Serializer;
use crate::snapshot::{OperatorReader, SnapshotTarget};
use crate::state::{TimeDomain, Timer};

/// Passes a call on to whichever backend it is.
macro_rules! each_backend {
    ($self:expr, $backend:ident => $call:expr) => {
        match $self {
            Self::Heap($backend) => $call,
            #[cfg(feature = "rocksdb")]
            Self::RocksDb($backend) => $call,
        }
    };
}
use each_backend;

/// The keyed state of one subtask. `KS` is the serializer of the keys.
///
/// Belongs to one thread at a time. [`snapshot`](Self::snapshot) gives a value that another thread writes meanwhile.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyedBackend<KS: Serializer> {
    /// Typed values in memory.
    Heap(heap::KeyedBackend<KS>),
    /// A database on local disk.
    #[cfg(feature = "rocksdb")]
    RocksDb(rocksdb::KeyedBackend<KS>),
}

impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    /// A backend without state.
    pub fn new(config: &BackendConfig, parameters: KeyedParameters, key: KS) -> Result<Self> {
        match config.kind {
            BackendKind::Heap => {
                Ok(KeyedBackend::Heap(heap::KeyedBackend::new(parameters, key).with_folding(config.folding)))
            }
            #[cfg(feature = "rocksdb")]
            BackendKind::RocksDb => {
                rocksdb::KeyedBackend::new(&config.rocksdb, parameters, key).map(KeyedBackend::RocksDb)
            }
        }
    }

    /// A backend with the state of an operator of a snapshot, as far as it lies in the key-group range of `parameters`.
    ///
    /// The snapshot may have been taken at any parallelism and by any backend that wrote the canonical format; its max
    /// parallelism and key type must be those asked for.
    pub fn restore(
        config: &BackendConfig,
        parameters: KeyedParameters,
        key: KS,
        operator: &OperatorReader<'_>,
    ) -> Result<Self> {
        match config.kind {
            BackendKind::Heap => {
                let backend = heap::KeyedBackend::restore(parameters, key, operator)?;
                Ok(KeyedBackend::Heap(backend.with_folding(config.folding)))
            }
            #[cfg(feature = "rocksdb")]
            BackendKind::RocksDb => {
                rocksdb::KeyedBackend::restore(&config.rocksdb, parameters, key, operator).map(KeyedBackend::RocksDb)
            }
        }
    }

    /// Which backend this is.
    pub fn kind(&self) -> BackendKind {
        match self {
            KeyedBackend::Heap(_) => BackendKind::Heap,
            #[cfg(feature = "rocksdb")]
            KeyedBackend::RocksDb(_) => BackendKind::RocksDb,
        }
    }

    /// What the backend was made for.
    pub fn parameters(&self) -> &KeyedParameters {
        each_backend!(self, backend => backend.parameters())
    }

    /// Opens the states for a key. Fails if the key's group is not in this subtask's range, which means that the record was
    /// sent to the wrong subtask.
    #[inline(always)]
    pub fn key<'b>(&'b mut self, key: &'b KS::Value) -> Result<KeyContext<'b, KS>> {
        match self {
            KeyedBackend::Heap(backend) => backend.key(key).map(KeyContext::Heap),
            #[cfg(feature = "rocksdb")]
            KeyedBackend::RocksDb(backend) => backend.key(key).map(KeyContext::RocksDb),
        }
    }

    /// Takes out the next timer whose moment is at or before `up_to_ms`; `None` if there is none. Timers come in the order
    /// that [`state::timer`](crate::state::timer) fixes.
    #[inline(always)]
    pub fn pop_due_timer<N: Key>(
        &mut self,
        handle: &TimerHandle<N>,
        domain: TimeDomain,
        up_to_ms: i64,
    ) -> Result<Option<Timer<KS::Value, N>>> {
        each_backend!(self, backend => backend.pop_due_timer(handle, domain, up_to_ms))
    }

    /// The moment of the next timer, `None` if none is set.
    #[inline(always)]
    pub fn next_timer_ms<N: Key>(&mut self, handle: &TimerHandle<N>, domain: TimeDomain) -> Result<Option<i64>> {
        each_backend!(self, backend => backend.next_timer_ms(handle, domain))
    }

    /// Removes expired values, looking at up to `budget` slots of each state; returns how many keys lost everything. For
    /// jobs that want clean-up to go on while no records come; accesses clean up on their own.
    pub fn clean_up(&mut self, budget: usize) -> Result<usize> {
        each_backend!(self, backend => backend.clean_up(budget))
    }

    /// Sizes of a state; `None` if no state of this name is registered. RocksDB reads the whole state to count it.
    pub fn statistics(&self, name: &str) -> Result<Option<Statistics>> {
        each_backend!(self, backend => backend.statistics(name))
    }

    /// The restored states that nobody has registered.
    pub fn carried_states(&self) -> Vec<&StateMeta> {
        each_backend!(self, backend => backend.carried_states().collect())
    }

    /// Takes a snapshot, whose cost for this thread does not grow with the state.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        match self {
            KeyedBackend::Heap(backend) => backend.snapshot().map(Snapshot::Heap),
            #[cfg(feature = "rocksdb")]
            KeyedBackend::RocksDb(backend) => backend.snapshot().map(Snapshot::RocksDb),
        }
    }

    /// The checkpoint of a snapshot completed: incremental snapshots taken from now on may refer to what it wrote.
    ///
    /// Of several, the newest is the *base* of the snapshots taken afterwards, until another is confirmed. A coordinator
    /// that fixes the base of a checkpoint when it triggers it has that base confirmed before the snapshot is taken, and
    /// none that is newer. Versions that come late, twice, or from another backend do no harm.
    pub fn confirm(&mut self, version: SnapshotVersion) {
        each_backend!(self, backend => backend.confirm(version));
    }

    /// The checkpoint of a snapshot was aborted: no later snapshot will refer to what it wrote. May come late, twice, for
    /// a snapshot that is still being written, or for one of another backend.
    pub fn reject(&mut self, version: SnapshotVersion) {
        each_backend!(self, backend => backend.reject(version));
    }
}

/// A snapshot that was taken and is to be written, on any thread. Dropping it aborts it and frees what it held.
#[derive(Debug)]
#[non_exhaustive]
pub enum Snapshot {
    /// Of the heap backend.
    Heap(heap::Snapshot),
    /// Of the RocksDB backend.
    #[cfg(feature = "rocksdb")]
    RocksDb(rocksdb::Snapshot),
}

impl Snapshot {
    /// By what the backend is told later what became of the checkpoint.
    pub fn version(&self) -> SnapshotVersion {
        each_backend!(self, snapshot => snapshot.version())
    }

    /// Descriptions of the states, sorted by name, for the manifest.
    pub fn states(&self) -> Vec<StateMeta> {
        each_backend!(self, snapshot => snapshot.states())
    }

    /// Writes the snapshot; `keep_going` is asked again and again and ends the work with
    /// [`Aborted`](crate::ErrorKind::Aborted) when it says no. `None` if there is no entry at all.
    pub fn write(
        self,
        target: &SnapshotTarget,
        format: KeyedSnapshotFormat,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Option<KeyedHandle>> {
        each_backend!(self, snapshot => snapshot.write(target, format, keep_going))
    }
}
