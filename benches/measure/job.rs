//! A backend with one value state, and snapshots of it.

use std::path::PathBuf;
use std::sync::Arc;

use millpond::backend::handle::ValueHandle;
use millpond::backend::{BackendConfig, KeyedBackend, KeyedSnapshotFormat, Snapshot};
use millpond::format::manifest::KeyedHandle;
use millpond::ids::{CheckpointId, JobId};
use millpond::random::SystemRandom;
use millpond::serializer::U64;
use millpond::snapshot::SnapshotTarget;
use millpond::state::{ValueDescriptor, ValueState};
use millpond::storage::Storage;
use millpond::storage::layout::JobLayout;

use super::timing::Latencies;
use super::workload::{parameters, visiting_order};
use super::{Element, Options, Records, SplitMix64, Stopwatch};

pub(crate) const STATE: &str = "value";

/// The backend, and the records that update it.
pub(crate) struct Job<V: Element> {
    pub(crate) backend: KeyedBackend<U64>,
    pub(crate) state: ValueHandle<V>,
    pub(crate) records: Records<u64, V>,
    pub(crate) n: usize,
}

impl<V: Element> Job<V> {
    /// A job that holds values for the keys `0..n`.
    pub(crate) fn filled(n: usize) -> Self {
        let backend = KeyedBackend::new(&BackendConfig::default(), parameters(), U64).expect("a backend");
        let mut job = Self::over(backend, n);
        let mut random = SplitMix64::new(1);
        for id in 0..n as u64 {
            job.set(&id, V::random(&mut random));
        }
        job
    }

    /// A job with this backend.
    pub(crate) fn over(mut backend: KeyedBackend<U64>, n: usize) -> Self {
        let state = backend.register_value(&ValueDescriptor::new(STATE, V::SERIALIZER)).expect("a state");
        Job { backend, state, records: Records::existing(&visiting_order(n)), n }
    }

    #[inline(always)]
    pub(crate) fn set(&mut self, key: &u64, value: V) {
        set(&mut self.backend, &self.state, key, value);
    }

    /// Updates the next `count` keys; returns what that took.
    pub(crate) fn update(&mut self, count: usize) -> Stopwatch {
        let Job { backend, state, records, .. } = self;
        let mut watch = Stopwatch::default();
        records.walk(&mut watch, count, |key, value| {
            set(backend, state, key, value);
            0
        });
        watch
    }

    /// Updates the next `count` keys, timing each.
    pub(crate) fn update_timing_each(&mut self, count: usize, latencies: &mut Latencies) {
        let Job { backend, state, records, .. } = self;
        records.walk_timing_each(latencies, count, |key, value| {
            set(backend, state, key, value);
            0
        });
    }

    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.backend.snapshot().expect("a snapshot")
    }

    pub(crate) fn layered_changes(&self) -> usize {
        self.backend.statistics(STATE).ok().flatten().map_or(0, |statistics| statistics.layered_changes)
    }

    /// Updates until nothing is left of earlier snapshots; returns what that took.
    pub(crate) fn settle(&mut self) -> Stopwatch {
        let mut watch = Stopwatch::default();
        while self.backend.statistics(STATE).ok().flatten().is_some_and(|statistics| statistics.unsettled_groups > 0) {
            watch.add(self.update(16_384));
        }
        watch
    }
}

#[inline(always)]
pub(crate) fn set<V: Element>(backend: &mut KeyedBackend<U64>, state: &ValueHandle<V>, key: &u64, value: V) {
    let mut context = backend.key(key).expect("a key of this subtask");
    context.value(state).expect("a state of this backend").set(value).expect("an update");
}

/// Where a checkpoint of the job goes.
pub(crate) fn target(storage: &Arc<dyn Storage>, checkpoint: u64) -> SnapshotTarget {
    let directory = JobLayout::new(JobId([7; 16])).checkpoint(CheckpointId(checkpoint));
    SnapshotTarget::new(Arc::clone(storage), directory, Arc::new(SystemRandom))
}

pub(crate) fn write(snapshot: Snapshot, target: &SnapshotTarget, format: KeyedSnapshotFormat) -> KeyedHandle {
    snapshot.write(target, format, &|| true).expect("a written snapshot").expect("a snapshot with entries")
}

/// Removes everything a storage holds.
pub(crate) fn clear(storage: &dyn Storage) {
    for object in storage.list(None).expect("a list of objects") {
        storage.delete(&object.path).expect("a deletion");
    }
}

/// Bytes of the objects of a handle.
pub(crate) fn bytes(handle: &KeyedHandle) -> u64 {
    handle.objects.iter().map(|object| object.length).sum()
}

pub(crate) const FORMATS: [(KeyedSnapshotFormat, &str); 2] =
    [(KeyedSnapshotFormat::Canonical, "canonical"), (KeyedSnapshotFormat::Native, "native")];

/// A directory for files: below the one that was asked for, gone afterwards.
pub(crate) fn scratch_directory(options: &Options) -> tempfile::TempDir {
    let directory = options.directory.as_ref().map(PathBuf::from);
    directory.map_or_else(tempfile::tempdir, tempfile::tempdir_in).expect("a temporary directory")
}

/// Resident memory of this process in bytes; 0 where the system does not tell.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kib| kib * 1024)
}
