//! State backends: where keyed and operator state lives while a job runs.
//!
//! [`KeyedBackend`] is the keyed state of a subtask on a backend that configuration chooses; operator code uses it and names
//! no backend. [`heap`] keeps typed values in memory. [`operator`] keeps the state of subtasks. What they have in common:
//! states are registered by descriptor, opened by handle, snapshotted in two phases, and restored from any snapshot of the same max
//! parallelism, whatever the parallelism it was taken at.
//!
//! Incremental snapshots refer to what earlier ones stored in `shared/`: each backend decides what its parts are and which of
//! them changed; [`KeyedBackend::confirm`] and [`KeyedBackend::reject`] tell it which earlier snapshots count.

#[cfg(feature = "test-util")]
pub mod conformance;
#[cfg(feature = "test-util")]
pub mod fuzz;
pub mod handle;
pub mod heap;
mod keyed;
mod ledger;
#[cfg(feature = "test-util")]
pub mod model;
pub mod operator;
mod registration;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
mod sections;

use std::hash::Hash;
use std::sync::Arc;

pub use ledger::SnapshotVersion;

pub use keyed::{
    Aggregating, BackendConfig, BackendKind, KeyContext, KeyedBackend, List, Map, Reducing, Snapshot, Timers, Value,
};

use crate::clock::Clock;
use crate::key_group::{KeyGroupRange, MaxParallelism};

/// What keys, namespaces and user keys must be able to do. Implemented for every type that can.
pub trait Key: Hash + Eq + Clone + Send + Sync + 'static {}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> Key for K {}

/// What values must be able to do. Implemented for every type that can.
pub trait Data: Clone + Send + Sync + 'static {}

impl<V: Clone + Send + Sync + 'static> Data for V {}

/// What a keyed backend is made for.
#[derive(Debug, Clone)]
pub struct KeyedParameters {
    /// Uid of the operator.
    pub operator: String,
    /// Max parallelism of the operator.
    pub max_parallelism: MaxParallelism,
    /// The key groups of this subtask.
    pub range: KeyGroupRange,
    /// The clock that time to live goes by.
    pub clock: Arc<dyn Clock>,
}

/// The format in which a keyed backend writes a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyedSnapshotFormat {
    /// The canonical format: the same bytes for the same state, readable by every backend.
    Canonical,
    /// The backend's own format: faster.
    Native,
    /// The backend's own format, referring to what completed snapshots of the same backend already stored in the job's
    /// `shared` directory. Not for savepoints.
    Incremental,
}

/// Sizes of one state of a backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Entries: keys and namespaces for which something is stored, expired or not.
    pub entries: usize,
    /// Key groups that a snapshot holds, or that have not folded back what was written meanwhile.
    pub unsettled_groups: usize,
    /// Changes kept beside the tables because of snapshots: what snapshots cost in memory, in entries.
    pub layered_changes: usize,
}
