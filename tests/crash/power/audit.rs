//! Looks at everything stored: what manifests name has to be there, to the last bit.

use std::cell::RefCell;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::Arc;

use millpond::Error;
use millpond::snapshot::SnapshotReader;
use millpond::snapshot::verify::VerifyEvent;
use millpond::storage::layout::{self, MANIFEST_NAME};
use millpond::storage::{ObjectPath, Storage};

use super::work::{Ground, Work};

/// What is stored.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// Snapshots of which everything is there, with their state.
    pub(super) intact: BTreeMap<ObjectPath, Vec<String>>,
    /// Snapshots with a manifest that is damaged, or names what is missing or different; with the reason.
    pub(super) broken: Vec<(ObjectPath, String)>,
    /// Objects that no manifest names.
    pub(super) unreferenced: BTreeSet<ObjectPath>,
}

/// Audits storages, and remembers what it has found out about snapshots with the same bytes.
#[derive(Default)]
pub(super) struct Auditor {
    pub(super) ground: Ground,
    /// By everything a snapshot consists of: whether it is intact, and the state in it.
    known: RefCell<HashMap<u64, Result<Vec<String>, String>>>,
}

impl Auditor {
    /// Restores on this ground.
    pub(super) fn on(ground: Ground) -> Self {
        Auditor { ground, ..Auditor::default() }
    }

    /// Reads every manifest and everything they name.
    pub(super) fn audit(&self, storage: &Arc<dyn Storage>) -> Result<Audit, Error> {
        let mut audit = Audit::default();
        let objects = storage.list(None)?;
        audit.unreferenced.extend(objects.iter().map(|object| object.path.clone()));
        for object in objects.iter().filter(|object| object.path.file_name() == MANIFEST_NAME) {
            let Some(directory) = object.path.parent() else { continue };
            audit.unreferenced.remove(&object.path);
            match self.state(storage, &directory, &mut audit.unreferenced) {
                Ok(state) => drop(audit.intact.insert(directory, state)),
                Err(reason) => audit.broken.push((directory, reason)),
            }
        }
        Ok(audit)
    }

    fn state(
        &self,
        storage: &Arc<dyn Storage>,
        directory: &ObjectPath,
        unreferenced: &mut BTreeSet<ObjectPath>,
    ) -> Result<Vec<String>, String> {
        let snapshot = self.ground.open(storage, directory).map_err(text)?;
        let mut everything = DefaultHasher::new();
        storage.open(&layout::manifest(directory).map_err(text)?).map_err(text)?.hash(&mut everything);
        for object in snapshot.manifest().objects() {
            let path = snapshot.object_path(object).map_err(text)?;
            storage.open(&path).map_err(text)?.hash(&mut everything);
            unreferenced.remove(&path);
        }
        let known = || verify(&snapshot).and_then(|()| self.restore(&snapshot));
        self.known.borrow_mut().entry(everything.finish()).or_insert_with(known).clone()
    }

    /// At another parallelism than any it was taken at.
    fn restore(&self, snapshot: &SnapshotReader) -> Result<Vec<String>, String> {
        Work::restore(&self.ground, snapshot, 3).and_then(|mut work| work.state()).map_err(text)
    }
}

/// Lengths, digests, checksums, entries.
fn verify(snapshot: &SnapshotReader) -> Result<(), String> {
    for object in snapshot.manifest().objects() {
        snapshot.verified_object(object).map_err(text)?;
    }
    let mut findings = Vec::new();
    let observe = &mut |event: VerifyEvent<'_>| {
        if let VerifyEvent::Found(finding) = event {
            findings.push(finding.error.to_string());
        }
        ControlFlow::Continue(())
    };
    snapshot.verify(observe).map_err(text)?;
    if findings.is_empty() { Ok(()) } else { Err(findings.join("; ")) }
}

pub(super) fn text(error: Error) -> String {
    error.to_string()
}
