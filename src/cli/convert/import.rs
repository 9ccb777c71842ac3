//! Snapshots of Apache Flink as sources: imported into a scratch directory first.

use std::io::{self, Write};
use std::sync::Arc;

use millpond::clock::{Clock, SystemClock};
use millpond::convert::Options;
use millpond::flink::{ImportOptions, SnapshotReader as FlinkReader, import};
use millpond::format::manifest::SnapshotKind;
use millpond::ids::{CheckpointId, JobId};
use millpond::random::SystemRandom;
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, publish};
use millpond::storage::{CommitOutcome, LocalStorage, ObjectPath, ScratchDirectory, Storage, layout};

use super::super::failure::Failure;
use super::super::open::Location;
use super::super::output::sentence;
use super::super::progress::Progress;

/// Steps of the bar.
const STEPS: u64 = 1_000;

/// A snapshot in the canonical format that was made from one of Flink's, and the directory it lies in.
pub(super) struct Imported {
    pub(super) snapshot: SnapshotReader,
    _scratch: ScratchDirectory,
}

/// Imports the snapshot at `location`. What is not as it was in Flink is said on standard error.
pub(super) fn imported(
    location: &Location,
    source: FlinkReader,
    options: &Options,
    drops_records_in_flight: bool,
) -> Result<Imported, Failure> {
    let source = source.with_scratch(&options.scratch);
    let unreadable = |error| Failure::unreadable(&error);
    let mut settings = ImportOptions::default();
    settings.drops_records_in_flight = drops_records_in_flight;
    settings.scratch = Some(options.scratch.clone());
    settings.memory_bytes = options.memory_bytes;
    let scratch = ScratchDirectory::create_in(&options.scratch, "import").map_err(unreadable)?;
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::open(scratch.path()).map_err(unreadable)?);
    let directory = ObjectPath::parse("imported").map_err(unreadable)?;
    let target = SnapshotTarget::new(Arc::clone(&storage), directory.clone(), Arc::new(SystemRandom));
    let above = location.root.file_name().and_then(|name| name.to_str());
    let label = SnapshotLabel {
        job: above.and_then(layout::parse_job).unwrap_or(JobId([0; 16])),
        checkpoint: CheckpointId(source.metadata().checkpoint_id),
        kind: SnapshotKind::Savepoint,
        created_ms: SystemClock.now_ms(),
    };
    let progress = Progress::new(true);
    let imported = import(&source, label, &target, &settings, &|share| {
        progress.set((share * STEPS as f64) as u64, STEPS);
        true
    });
    drop(progress);
    let imported = imported.map_err(|error| location.failure(&error))?;
    for note in &imported.notes {
        let place = note.state.as_deref().or(note.operator.as_deref()).unwrap_or("snapshot");
        // The conversion goes on whether or not anybody reads the notes.
        let _ = writeln!(io::stderr().lock(), "millpond: note: {}: {}", place.escape_debug(), sentence(&note.message));
    }
    match publish(&*storage, &directory, &imported.manifest) {
        CommitOutcome::Committed => {}
        CommitOutcome::NotCommitted(error) | CommitOutcome::Unknown(error) => return Err(unreadable(error)),
    }
    let snapshot = SnapshotReader::open(storage, directory).map_err(unreadable)?;
    Ok(Imported { snapshot, _scratch: scratch })
}
