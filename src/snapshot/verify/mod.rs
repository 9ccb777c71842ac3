//! Checks everything a snapshot consists of, and says where it is damaged.
//!
//! Vocabulary. A *finding* is one place where the snapshot is not what it should be. It is *damage* if the bytes are wrong
//! or missing, and *unread* if nobody can tell: the storage refused, or the bytes need a newer build or another feature.
//!
//! What is checked: the manifest's digest and everything it must keep to; that every object is there, has its length and
//! its BLAKE3 digest; of every section the checksum, of every block the CRC; that every entry is in order, decodes by the
//! serializer its state declares, down to the last byte, and hashes to the key group it is stored in; that entries and
//! bytes add up to what the manifest says. The files of a database are checked as objects; its rows, like entries, only if the snapshot is
//! [trusted](super::Trust). Native heap entries have no order, so a key that occurs twice is not noticed.
//!
//! Failure behaviour: damage ends the check of the smallest thing that can be left out (an object, a section, a block), not
//! the check. A digest that does not match is reported where nothing inside the object explains it.

mod database;
mod object;
mod section;

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::reader::{OperatorReader, SnapshotReader};
use crate::error::{Error, ErrorKind, Result};
use crate::format::FormatId;
use crate::format::manifest::{
    KeyedHandle, ObjectRef, ObjectScope, OperatorStateContent, OperatorStateHandle, SubtaskSnapshot,
};
use crate::format::section::{Owner, SectionId, StateTotals};
use crate::ids::{OperatorId, SubtaskIndex};
use crate::storage::{ObjectPath, Storage, layout};

use object::CheckedObject;

/// Something that is not as it should be.
#[derive(Debug)]
pub struct Finding {
    /// Whether it is damage.
    pub severity: Severity,
    /// The subtask whose state is concerned, as far as known.
    pub subtask: Option<SubtaskIndex>,
    /// What is wrong, and where: file, offset, operator, state, key group, as far as known.
    pub error: Error,
}

/// What a finding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Bytes are wrong or missing: restore another snapshot.
    Damaged,
    /// Nobody can tell; repeat the check where the bytes can be read.
    Unread,
}

/// What the caller of a check gets to see while it goes on.
#[derive(Debug)]
pub enum VerifyEvent<'e> {
    /// Something was found.
    Found(&'e Finding),
    /// So much of the work is done. Objects count twice: once for their digest, once for their content.
    Progress {
        /// Bytes that have been checked.
        done_bytes: u64,
        /// Bytes that are to be checked.
        total_bytes: u64,
    },
}

/// What a check looked at and found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Verification {
    /// Objects that could be opened.
    pub objects: u64,
    /// Bytes of these objects.
    pub bytes: u64,
    /// Sections that were checked to their end.
    pub sections: u64,
    /// Databases all rows of which were checked.
    pub databases: u64,
    /// Databases of which they were not, because a file is damaged or cannot be read, or because the snapshot is not trusted.
    pub incomplete_databases: u64,
    /// Sections that were not, because they, or the object they lie in, are damaged or cannot be read.
    pub incomplete_sections: u64,
    /// Blocks whose entries were checked.
    pub blocks: u64,
    /// Entries of these blocks, as the format counts them.
    pub entries: u64,
    /// Number of findings that are damage.
    pub damaged: u64,
    /// Number of findings that are not, but where something could not be checked.
    pub unread: u64,
}

impl Verification {
    /// Whether everything was checked and nothing found.
    pub fn is_intact(&self) -> bool {
        self.damaged == 0 && self.unread == 0
    }
}

/// Sees events; ends the check with [`Break`](ControlFlow::Break).
type Observer<'o> = &'o mut dyn FnMut(VerifyEvent<'_>) -> ControlFlow<()>;

/// Checks the snapshot in `directory`, manifest included.
///
/// A damaged manifest is a finding; a missing or unreadable one is an error, as is a break by `observe`
/// ([`Aborted`](ErrorKind::Aborted)).
pub fn verify(storage: Arc<dyn Storage>, directory: ObjectPath, observe: Observer<'_>) -> Result<Verification> {
    verify_opened(SnapshotReader::open(storage, directory), observe)
}

/// The same for a snapshot that was opened, or could not be: for readers with further settings.
pub fn verify_opened(opened: Result<SnapshotReader>, observe: Observer<'_>) -> Result<Verification> {
    match opened {
        Ok(snapshot) => snapshot.verify(observe),
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            let finding = Finding { severity: Severity::Damaged, subtask: None, error };
            let _ = observe(VerifyEvent::Found(&finding));
            Ok(Verification { damaged: 1, ..Verification::default() })
        }
        Err(error) => Err(error),
    }
}

impl SnapshotReader {
    /// Checks everything the manifest names; the manifest itself was checked when it was read. Reads every byte twice and
    /// decodes every entry. Memory: a block at a time. Fails only if `observe` breaks
    /// ([`Aborted`](ErrorKind::Aborted)).
    pub fn verify(&self, observe: Observer<'_>) -> Result<Verification> {
        let mut check = Check::new(self, observe);
        for operator in self.operators() {
            for subtask in &operator.description().subtasks {
                check.subtask(&operator, subtask)?;
            }
        }
        Ok(check.tally)
    }
}

/// A check that is going on.
struct Check<'c> {
    snapshot: &'c SnapshotReader,
    observe: Observer<'c>,
    tally: Verification,
    done_bytes: u64,
    total_bytes: u64,
    /// Objects whose digest was looked at already.
    seen: HashSet<(ObjectScope, String)>,
    /// States that were reported as not readable by this build, by operator.
    unread_states: HashSet<(OperatorId, Option<String>)>,
}

/// Where a part of the state lies: what findings in it are given.
struct Place<'p> {
    operator: &'p OperatorReader<'p>,
    subtask: SubtaskIndex,
    file: String,
}

/// Entries and bytes by state.
type Totals = BTreeMap<String, (u64, u64)>;

impl<'c> Check<'c> {
    fn new(snapshot: &'c SnapshotReader, observe: Observer<'c>) -> Self {
        let lengths = snapshot.manifest().objects().map(|object| object.length);
        let total_bytes = lengths.fold(0u64, u64::saturating_add).saturating_mul(2);
        let (seen, unread_states) = (HashSet::new(), HashSet::new());
        Check { snapshot, observe, tally: Verification::default(), done_bytes: 0, total_bytes, seen, unread_states }
    }

    /// Counts work as done.
    fn advance(&mut self, bytes: u64) -> Result<()> {
        self.done_bytes = self.done_bytes.saturating_add(bytes).min(self.total_bytes);
        let (done_bytes, total_bytes) = (self.done_bytes, self.total_bytes);
        self.tell(VerifyEvent::Progress { done_bytes, total_bytes })
    }

    /// Reports a finding about the state at `place`. What this build cannot read of a state is reported once.
    fn found(&mut self, place: &Place<'_>, error: Error) -> Result<()> {
        let state = || (place.operator.description().id, error.place().state.clone());
        if error.kind() == ErrorKind::Incompatible && !self.unread_states.insert(state()) {
            return Ok(());
        }
        let severity = match error.kind() {
            ErrorKind::Corrupt | ErrorKind::NotFound => Severity::Damaged,
            _ => Severity::Unread,
        };
        let count = match severity {
            Severity::Damaged => &mut self.tally.damaged,
            Severity::Unread => &mut self.tally.unread,
        };
        *count = count.saturating_add(1);
        let error = error.in_file(&place.file).in_operator(place.operator.description().label());
        let finding = Finding { severity, subtask: Some(place.subtask), error };
        self.tell(VerifyEvent::Found(&finding))
    }

    fn findings(&self) -> u64 {
        self.tally.damaged.saturating_add(self.tally.unread)
    }

    fn tell(&mut self, event: VerifyEvent<'_>) -> Result<()> {
        match (self.observe)(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::aborted("the check was ended by its caller")),
        }
    }

    fn subtask(&mut self, operator: &OperatorReader<'_>, subtask: &SubtaskSnapshot) -> Result<()> {
        if let Some(handle) = &subtask.keyed {
            self.keyed(operator, subtask.index, handle)?;
        }
        if let Some(handle) = &subtask.operator {
            self.operator_state(operator, subtask.index, handle)?;
        }
        Ok(())
    }

    fn keyed(&mut self, operator: &OperatorReader<'_>, subtask: SubtaskIndex, handle: &KeyedHandle) -> Result<()> {
        if handle.format == FormatId::NativeRocksDb {
            return self.database(operator, subtask, handle);
        }
        let before = self.findings();
        let mut totals = Totals::new();
        for (position, object) in handle.objects.iter().enumerate() {
            let place = Place { operator, subtask, file: self.snapshot.object_path(object)?.to_string() };
            let sections = handle.sections.iter().filter(|section| usize::try_from(section.object) == Ok(position));
            let found_before = self.findings();
            let Some(opened) = self.open(&place, object)? else {
                self.tally.incomplete_sections = self.tally.incomplete_sections.saturating_add(count(sections.count()));
                continue;
            };
            for section in sections {
                let id = section.id(operator.description().id, handle.format);
                self.keyed_section(&place, &opened, section, id, &mut totals)?;
                self.advance(section.length)?;
            }
            self.explain_digest(&place, object, &opened, found_before)?;
        }
        let file = layout::manifest(self.snapshot.directory())?.to_string();
        self.totals(&Place { operator, subtask, file }, &handle.states, &totals, before)
    }

    fn operator_state(
        &mut self,
        operator: &OperatorReader<'_>,
        subtask: SubtaskIndex,
        handle: &OperatorStateHandle,
    ) -> Result<()> {
        let before = self.findings();
        let owner = Owner::Subtask(subtask);
        let id = SectionId { format: FormatId::Operator, operator: operator.description().id, owner };
        let mut totals = Totals::new();
        let manifest = layout::manifest(self.snapshot.directory())?.to_string();
        match &handle.content {
            OperatorStateContent::Inline(bytes) => {
                let place = Place { operator, subtask, file: manifest.clone() };
                self.section(&place, bytes, 0, id, None, &mut totals)?;
            }
            OperatorStateContent::Object(object) => {
                let place = Place { operator, subtask, file: self.snapshot.object_path(object)?.to_string() };
                match self.open(&place, object)? {
                    None => self.tally.incomplete_sections = self.tally.incomplete_sections.saturating_add(1),
                    Some(opened) => {
                        self.section(&place, opened.bytes(), 0, id, None, &mut totals)?;
                        self.advance(object.length)?;
                        self.explain_digest(&place, object, &opened, before)?;
                    }
                }
            }
        }
        self.totals(&Place { operator, subtask, file: manifest }, &handle.states, &totals, before)
    }

    /// Compares what came with what the manifest says, where nothing else was found and somebody counted.
    fn totals(&mut self, place: &Place<'_>, expected: &[StateTotals], found: &Totals, before: u64) -> Result<()> {
        if expected.is_empty() || self.findings() != before {
            return Ok(());
        }
        let expected: Totals =
            expected.iter().map(|total| (total.name.to_string(), (total.entries, total.bytes))).collect();
        let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
        for name in names {
            let ((entries, bytes), (counted, counted_bytes)) =
                (expected.get(name).copied().unwrap_or_default(), found.get(name).copied().unwrap_or_default());
            if (entries, bytes) != (counted, counted_bytes) {
                let message = format!(
                    "subtask {} has {counted} entries in {counted_bytes} bytes, the manifest says {entries} in {bytes}",
                    place.subtask
                );
                self.found(place, Error::corrupt(message).in_state(name))?;
            }
        }
        Ok(())
    }

    /// Reports a digest that does not match, unless what was found in the object since `before` explains it.
    fn explain_digest(
        &mut self,
        place: &Place<'_>,
        object: &ObjectRef,
        opened: &CheckedObject,
        before: u64,
    ) -> Result<()> {
        match &opened.digest {
            Some(found) if self.findings() == before => {
                let message = format!("the object's digest is {found}, the manifest says {}", object.digest);
                self.found(place, Error::corrupt(message).in_field("digest"))
            }
            _ => Ok(()),
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
