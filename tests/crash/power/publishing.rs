//! The publish protocol by itself: checkpoints and a savepoint, each written, assembled and published, and the newest found
//! again by reading.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond::backend::KeyedSnapshotFormat;
use millpond::checkpoint::restore::{Fallback, Reading, choose_latest};
use millpond::format::manifest::SnapshotKind;
use millpond::ids::{CheckpointId, JobId};
use millpond::random::SeededRandom;
use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, assemble, publish};
use millpond::storage::fault::Disk;
use millpond::storage::layout::{JobLayout, SnapshotDirectory};
use millpond::storage::{CommitOutcome, LocalStorage, ObjectPath, Storage};

use super::audit::{Auditor, text};
use super::search::Program;
use super::witness::{Fact, Known, Witness};
use super::work::{Work, model};

const JOB: JobLayout = JobLayout::new(JobId([7; 16]));

/// What one life does, in this order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Checkpoint(KeyedSnapshotFormat),
    Savepoint(KeyedSnapshotFormat),
}

pub(super) struct Publishing {
    steps: Vec<Step>,
    parallelism: u32,
    auditor: Auditor,
}

impl Publishing {
    pub(super) fn new(steps: Vec<Step>, parallelism: u32) -> Self {
        Publishing { steps, parallelism, auditor: Auditor::default() }
    }
}

/// Storage on the disk, and random names that no other life draws.
pub(super) fn mount(disk: &Disk, life: u64) -> (Arc<dyn Storage>, Arc<SeededRandom>) {
    let seed = (life + 1) << 32 ^ disk.fingerprint();
    let temporary = Arc::new(SeededRandom::new(seed));
    (Arc::new(LocalStorage::over(Arc::new(disk.clone()), temporary)), Arc::new(SeededRandom::new(!seed)))
}

impl Program for Publishing {
    fn live(&self, disk: &Disk, witness: &mut Witness) -> Result<(), String> {
        let (storage, random) = mount(disk, witness.life);
        let (newest, mut next) = newest(&storage)?;
        let mut work = match newest {
            Some(snapshot) => Work::restore(&self.auditor.ground, &snapshot, self.parallelism).map_err(text)?,
            None => Work::new(&self.auditor.ground, self.parallelism),
        };
        for step in &self.steps {
            work.process(3);
            let (directory, kind, format) = match step {
                Step::Checkpoint(format) => (JOB.checkpoint(next), SnapshotKind::Checkpoint, *format),
                Step::Savepoint(format) => {
                    (JOB.new_savepoint(&*random).map_err(text)?, SnapshotKind::Savepoint, *format)
                }
            };
            witness.tell(disk.operations(), Fact::Began { directory: directory.clone(), records: work.records });
            let target = SnapshotTarget::new(storage.clone(), directory.clone(), random.clone());
            let reports = work.write(next, &target, format).map_err(text)?;
            let label = SnapshotLabel { job: JOB.job(), checkpoint: next, kind, created_ms: 0 };
            let manifest = assemble(label, reports).map_err(text)?;
            match publish(&*storage, &directory, &manifest) {
                CommitOutcome::Committed => {
                    witness.tell(disk.operations(), Fact::Acknowledged(directory));
                    work.end(next, kind == SnapshotKind::Checkpoint);
                }
                CommitOutcome::NotCommitted(error) | CommitOutcome::Unknown(error) => return Err(text(error)),
            }
            next = next.next();
        }
        self.look(disk, witness)
    }

    fn look(&self, disk: &Disk, witness: &Witness) -> Result<(), String> {
        let (storage, _) = mount(disk, witness.life);
        let known = check(&storage, &self.auditor, witness)?;
        let (newest, _) = newest(&storage)?;
        let records = newest.map_or(0, |snapshot| known[snapshot.directory()].records);
        let acknowledged = known.iter().filter(|(directory, known)| known.acknowledged && JOB.owns(directory));
        let expected = acknowledged.map(|(_, known)| known.records).max().unwrap_or(0);
        if records < expected {
            return Err(format!("went back to {records} records, {expected} were acknowledged"));
        }
        Ok(())
    }
}

/// Whether a directory is one of the job's own.
trait Owns {
    fn owns(&self, directory: &ObjectPath) -> bool;
}

impl Owns for JobLayout {
    fn owns(&self, directory: &ObjectPath) -> bool {
        directory.parent().is_some_and(|parent| parent == self.root())
    }
}

/// The newest checkpoint that can be found, and the id of the next.
fn newest(storage: &Arc<dyn Storage>) -> Result<(Option<SnapshotReader>, CheckpointId), String> {
    let mut slots: BTreeMap<CheckpointId, Reading<SnapshotReader>> = BTreeMap::new();
    for object in storage.list(Some(&JOB.root())).map_err(text)? {
        let Some(directory) = object.path.parent() else { continue };
        let Some(SnapshotDirectory::Checkpoint(id)) = SnapshotDirectory::parse(directory.file_name()) else { continue };
        let reading = match SnapshotReader::open(storage.clone(), directory) {
            Ok(snapshot) => Reading::Complete(snapshot),
            Err(error) if error.kind() == millpond::ErrorKind::NotFound => Reading::Absent,
            Err(error) => Reading::Damaged { reason: text(error) },
        };
        slots.insert(id, reading);
    }
    let latest = choose_latest(slots, CheckpointId(1), Fallback::Refuse).map_err(text)?;
    Ok((latest.chosen.map(|(_, snapshot)| snapshot), latest.next_id))
}

/// What must hold of what is stored, whatever happened: everything that was acknowledged and not given up is there, and
/// what is there is complete and is what its writer meant it to be. Gives what is known of the snapshots.
pub(super) fn check(
    storage: &Arc<dyn Storage>,
    auditor: &Auditor,
    witness: &Witness,
) -> Result<BTreeMap<ObjectPath, Known>, String> {
    let audit = auditor.audit(storage).map_err(text)?;
    let known = witness.snapshots();
    for (directory, reason) in &audit.broken {
        // Its removal had begun; the removal of its manifest was undone.
        if !known.get(directory).is_some_and(|known| known.released) {
            return Err(format!("{directory} is visible and not complete: {reason}"));
        }
    }
    for (directory, known) in &known {
        if known.acknowledged && !known.released && !audit.intact.contains_key(directory) {
            return Err(format!("{directory} was acknowledged and is gone"));
        }
    }
    for (directory, state) in &audit.intact {
        let Some(known) = known.get(directory) else { return Err(format!("nobody wrote {directory}")) };
        if *state != model(known.records) {
            return Err(format!("{directory} is not the state after {} records: {state:?}", known.records));
        }
    }
    Ok(known)
}
