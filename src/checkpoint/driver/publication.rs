//! Storing manifests, and finding out whether they were stored.
//!
//! The order on which everything rests: what the manifest names is looked at first; then the manifest is created, which
//! fails if its slot is taken; then the chain of records is read, and only if no other coordinator has taken over the
//! checkpoint counts. A manifest that is found after an unknown outcome is made durable before anybody relies on it.

use super::slot::{Found, Location, check_length};
use super::{Driver, Work};
use crate::checkpoint::event::{Event, Outcome, Slot};
use crate::checkpoint::job::Reports;
use crate::checkpoint::mistake::Mistake;
use crate::checkpoint::pending::Metadata;
use crate::error::{Error, Result};
use crate::format::control::{Control, Seal};
use crate::format::manifest::Manifest;
use crate::snapshot::object_path;
use crate::storage::CommitOutcome;

impl Driver {
    /// Carries out one piece of work and says what came of it.
    pub(super) fn perform(&self, work: Work) -> Event<Reports> {
        match work {
            Work::Publish { metadata, ticket } => {
                Event::Published { id: metadata.id, ticket, outcome: self.publish(&metadata) }
            }
            Work::ReadSlot { metadata, ticket } => self.look(&metadata, ticket, false),
            Work::SealSlot { metadata, ticket } => self.look(&metadata, ticket, true),
        }
    }

    fn look(
        &self,
        metadata: &Metadata<Reports>,
        ticket: crate::checkpoint::event::Ticket,
        seal: bool,
    ) -> Event<Reports> {
        let id = metadata.id;
        match self.read_slot(metadata, seal) {
            Ok(Some(found)) => Event::SlotRead { id, ticket, found },
            Ok(None) => Event::Published { id, ticket, outcome: Outcome::PassedOver },
            Err(error) => Event::SlotRead { id, ticket, found: Slot::Unreadable { reason: error.to_string() } },
        }
    }

    fn publish(&self, metadata: &Metadata<Reports>) -> Outcome {
        let prepared = self.prepare(metadata);
        let (location, bytes) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Outcome::NotCommitted { reason: error.to_string() },
        };
        let committed = match location.slot() {
            Ok(path) => location.storage.commit(&path, &bytes),
            Err(error) => CommitOutcome::NotCommitted(error),
        };
        match committed {
            CommitOutcome::NotCommitted(error) => Outcome::NotCommitted { reason: error.to_string() },
            CommitOutcome::Unknown(error) => Outcome::Unknown { reason: error.to_string() },
            CommitOutcome::Committed if metadata.kind.is_savepoint() => Outcome::Committed,
            CommitOutcome::Committed if self.errs(Mistake::ChainUnreadAfterPublishing) => Outcome::Committed,
            CommitOutcome::Committed => match self.chain.is_current() {
                Ok(true) => Outcome::Committed,
                Ok(false) => Outcome::PassedOver,
                Err(error) => Outcome::Unknown { reason: error.to_string() },
            },
        }
    }

    /// The bytes of the manifest, once everything it names was found.
    fn prepare(&self, metadata: &Metadata<Reports>) -> Result<(Location, Vec<u8>)> {
        let location = self.location(metadata.id)?;
        let manifest: Manifest = self.job.manifest(metadata)?;
        for object in manifest.objects() {
            let path = object_path(&location.directory, object.scope, &object.name)?;
            if !self.errs(Mistake::PublishesUnchecked) {
                check_length(&*location.storage, &path, object.length)?;
            }
        }
        Ok((location, manifest.encode()?))
    }

    /// What is in the slot; `None` if it is ours, but another coordinator has taken over.
    fn read_slot(&self, metadata: &Metadata<Reports>, seal: bool) -> Result<Option<Slot>> {
        let location = self.location(metadata.id)?;
        let path = location.slot()?;
        if seal && !self.errs(Mistake::SealNotWritten) {
            let (job, checkpoint, epoch) = (self.job.id(), metadata.id, self.chain.last().epoch);
            let mark = Control::Seal(Seal { job, checkpoint, epoch }).encode()?;
            // Whatever came of it, the slot is read next.
            let _ = location.storage.commit(&path, &mark);
        }
        let found = match location.find()? {
            Found::Nothing => return Ok(Some(Slot::Absent)),
            Found::Seal => Slot::Sealed,
            Found::Bytes(bytes) => {
                let ours = self.job.manifest(metadata).and_then(|manifest| manifest.encode())?;
                let same = ours == bytes.as_slice() || self.errs(Mistake::FoundBytesAreOurs);
                if same { Slot::Ours } else { return Ok(Some(Slot::Foreign)) }
            }
        };
        if !self.errs(Mistake::SlotNotPersisted) {
            location.storage.persist(&path)?;
        }
        let looks = !self.errs(Mistake::ChainUnreadAfterLooking);
        let passed_over = looks && found == Slot::Ours && !metadata.kind.is_savepoint() && !self.chain.is_current()?;
        Ok((!passed_over).then_some(found))
    }

    /// Where the snapshot of this number belongs.
    pub(super) fn location(&self, id: crate::ids::CheckpointId) -> Result<Location> {
        match self.elsewhere.get(&id) {
            Some(location) => Ok(location.clone()),
            None if self.coordinator.next_id() > id => Ok(self.own(id)),
            None => Err(Error::internal(format!("checkpoint {id} has no directory"))),
        }
    }

    /// The directory of a checkpoint of this job.
    pub(super) fn own(&self, id: crate::ids::CheckpointId) -> Location {
        let directory = self.layout.checkpoint(id);
        Location { place: String::new(), storage: std::sync::Arc::clone(&self.storage), directory }
    }
}
