use crate::format::manifest::Manifest;
use crate::storage::{CommitOutcome, ObjectPath, Storage, layout};

/// Publishes a snapshot: stores its manifest in `directory`, after which the snapshot exists.
///
/// All objects the manifest names must be durable already. An existing manifest is never overwritten. After
/// [`Unknown`](CommitOutcome::Unknown) the snapshot may exist: nothing it or an earlier one names may be deleted until a
/// read has decided.
pub fn publish(storage: &dyn Storage, directory: &ObjectPath, manifest: &Manifest) -> CommitOutcome {
    let (path, bytes) = match layout::manifest(directory).and_then(|path| Ok((path, manifest.encode()?))) {
        Ok(prepared) => prepared,
        Err(error) => return CommitOutcome::NotCommitted(error),
    };
    match storage.commit(&path, &bytes) {
        CommitOutcome::Committed => CommitOutcome::Committed,
        CommitOutcome::NotCommitted(error) => CommitOutcome::NotCommitted(error.in_file(&path)),
        CommitOutcome::Unknown(error) => CommitOutcome::Unknown(error.in_file(&path)),
    }
}
