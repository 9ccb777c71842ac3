//! Checks everything that a snapshot of Flink's consists of.
//!
//! Flink stores no checksums, so what can be found is what cannot be decoded. Checked are: the metadata and all its
//! counts, ranges and offsets; that every stream is there and has its length; that a header is followed by key groups and
//! every one of them ends where the next one begins; that every key, namespace, timer and value decodes to its last byte; that
//! keys hash to the key group they are stored in, as far as their hash code can be computed; that elements of operator
//! state and chunks of channels lie where their handles say.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::keyed::{Body, Part};
use super::reader::{OperatorReader, SnapshotReader};
use crate::error::{Error, ErrorKind, Result};
use crate::format::flink::KeyedEntry;
use crate::format::flink::header::{StateInfo, Unreadable};
use crate::format::flink::value::Checked;
use crate::ids::SubtaskIndex;
use crate::key_group::KeyGroup;
use crate::snapshot::verify::{Finding, Severity, Verification, VerifyEvent};

/// Sees events; ends the check with [`Break`](ControlFlow::Break).
type Observer<'o> = &'o mut dyn FnMut(VerifyEvent<'_>) -> ControlFlow<()>;

/// Checks a snapshot; its metadata was checked when it was read. Decodes every entry. Key groups are counted as sections.
/// Fails only if `observe` breaks ([`Aborted`](ErrorKind::Aborted)).
pub fn verify(snapshot: &SnapshotReader, observe: Observer<'_>) -> Result<Verification> {
    verify_counting(snapshot, observe).map(|(tally, _)| tally)
}

/// Entries of keyed state by the operator's id, the kind of the state, and its name.
pub(super) type Counts = BTreeMap<(String, String, String), u64>;

/// What was counted of keyed state.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) entries: Counts,
    /// Ids of the operators of which something could not be read, so that more entries can be there.
    pub(super) partial: BTreeSet<String>,
}

/// As [`verify`]; also counts the entries of every keyed state.
pub(super) fn verify_counting(snapshot: &SnapshotReader, observe: Observer<'_>) -> Result<(Verification, Counted)> {
    let (tally, counts) = (Verification::default(), Counted::default());
    let mut check = Check { observe, tally, counts, total_bytes: total_bytes(snapshot) };
    check.read(1, snapshot.metadata_bytes())?;
    for operator in snapshot.operators() {
        check.operator(operator)?;
    }
    Ok((check.tally, check.counts))
}

struct Check<'o> {
    observe: Observer<'o>,
    tally: Verification,
    counts: Counted,
    total_bytes: u64,
}

/// Whose state is being checked.
#[derive(Clone, Copy)]
struct Place<'a> {
    operator: OperatorReader<'a>,
    subtask: Option<SubtaskIndex>,
}

/// Bytes of all streams.
fn total_bytes(snapshot: &SnapshotReader) -> u64 {
    let mut total = snapshot.metadata_bytes();
    for operator in snapshot.operators() {
        for size in operator.streams().map(|stream| stream.handle.size()) {
            total = total.saturating_add(size);
        }
    }
    total
}

impl Check<'_> {
    /// Counts objects and bytes that were read.
    fn read(&mut self, objects: u64, bytes: u64) -> Result<()> {
        self.tally.objects = self.tally.objects.saturating_add(objects);
        self.tally.bytes = self.tally.bytes.saturating_add(bytes);
        let event = VerifyEvent::Progress { done_bytes: self.tally.bytes, total_bytes: self.total_bytes };
        if (self.observe)(event).is_break() { Err(Error::aborted("the check was ended")) } else { Ok(()) }
    }

    fn found(&mut self, place: Place<'_>, error: Error) -> Result<()> {
        let severity = match error.kind() {
            ErrorKind::Corrupt | ErrorKind::NotFound => Severity::Damaged,
            _ => Severity::Unread,
        };
        match severity {
            Severity::Damaged => self.tally.damaged = self.tally.damaged.saturating_add(1),
            Severity::Unread => {
                self.tally.unread = self.tally.unread.saturating_add(1);
                self.counts.partial.insert(place.operator.description().id.to_string());
            }
        }
        let error = error.in_operator(place.operator.label());
        let finding = Finding { severity, subtask: place.subtask, error };
        match (self.observe)(VerifyEvent::Found(&finding)) {
            ControlFlow::Break(()) => Err(Error::aborted("the check was ended")),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    fn operator(&mut self, operator: OperatorReader<'_>) -> Result<()> {
        let mut place = Place { operator, subtask: None };
        match operator.keyed() {
            Err(error) => self.found(place, error)?,
            Ok(keyed) => {
                for gap in keyed.gaps() {
                    let place = Place { operator, subtask: Some(gap.subtask) };
                    self.found(place, Error::incompatible(gap.error.message()).in_field("raw keyed state"))?;
                }
                let mut entries = vec![0u64; keyed.states().len()];
                for part in keyed.parts() {
                    self.part(Place { operator, subtask: Some(part.subtask) }, part, &mut entries)?;
                }
                let id = operator.description().id.to_string();
                let key = |state: &StateInfo| (id.clone(), state.kind().to_string(), state.name.clone());
                self.counts.entries.extend(keyed.states().iter().map(key).zip(entries));
            }
        }
        for subtask in operator.description().subtasks() {
            let Some(handle) = subtask.state.as_ref().and_then(|state| state.managed_operator.as_ref()) else {
                continue;
            };
            place.subtask = Some(subtask.index);
            match operator.open_operator_state(subtask.index, handle) {
                Ok(Some(state)) => self.operator_state(place, &state)?,
                Ok(None) => {}
                Err(error) => self.found(place, error)?,
            }
        }
        for (subtask, _, handle) in operator.channels() {
            place.subtask = Some(subtask);
            let mut checked = 0;
            if let Err(error) = operator.channel_bytes(handle, &mut |_, bytes| {
                checked += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                Ok(())
            }) {
                self.found(place, error)?;
            }
            self.read(1, handle.stream.size())?;
        }
        Ok(())
    }

    fn operator_state(&mut self, place: Place<'_>, state: &super::OperatorState) -> Result<()> {
        if let Some(unreadable) = &state.header().unreadable {
            self.found(place, missing_states(unreadable))?;
        }
        for element in state.elements() {
            match element {
                Ok(_) => self.tally.entries = self.tally.entries.saturating_add(1),
                Err(error) => self.found(place, error)?,
            }
        }
        self.read(1, state.bytes())
    }

    fn part(&mut self, place: Place<'_>, part: &Part<'_>, entries: &mut [u64]) -> Result<()> {
        let missing = part.body.header().unreadable.as_ref();
        if let Some(unreadable) = missing.filter(|_| !matches!(part.body, Body::Closed { .. })) {
            self.found(place, missing_states(unreadable))?;
        }
        match &part.body {
            Body::File { stream, file } => {
                if let Err(error) = file.check_layout() {
                    self.found(place, stream.locate(error))?;
                }
                let groups: Vec<(KeyGroup, u64)> = file.groups().map(|(group, _, length)| (group, length)).collect();
                self.groups(place, part, &groups, entries)
            }
            Body::Timers(timers) => {
                let groups: Vec<(KeyGroup, u64)> = timers.groups().collect();
                self.groups(place, part, &groups, entries)
            }
            Body::Changelog(log) => {
                let groups: Vec<(KeyGroup, u64)> = part.range.iter().map(|group| (group, 0)).collect();
                self.groups(place, part, &groups, entries)?;
                self.read(0, log.bytes())
            }
            #[cfg(feature = "rocksdb")]
            Body::Database(database) => {
                let groups: Vec<(KeyGroup, u64)> = part.range.iter().map(|group| (group, 0)).collect();
                self.groups(place, part, &groups, entries)?;
                self.read(0, database.bytes())
            }
            Body::Closed { reason, .. } => self.found(place, Error::incompatible(*reason)),
        }
    }

    /// Checks key groups, and counts the entries of each state.
    fn groups(
        &mut self,
        place: Place<'_>,
        part: &Part<'_>,
        groups: &[(KeyGroup, u64)],
        entries: &mut [u64],
    ) -> Result<()> {
        for (group, bytes) in groups {
            let mut found = 0u64;
            let walked = part.visit_group(*group, &|_| true, |_, state, _: KeyedEntry<Checked>| {
                found = found.saturating_add(1);
                entries.get_mut(state).into_iter().for_each(|count| *count = count.saturating_add(1));
                Ok(ControlFlow::Continue(()))
            });
            self.tally.entries = self.tally.entries.saturating_add(found);
            match walked {
                Ok(_) => {
                    self.tally.sections = self.tally.sections.saturating_add(1);
                    self.tally.blocks = self.tally.blocks.saturating_add(1);
                }
                Err(error) => {
                    self.tally.incomplete_sections = self.tally.incomplete_sections.saturating_add(1);
                    self.found(place, error)?;
                }
            }
            self.read(0, *bytes)?;
        }
        self.read(1, 0)
    }
}

fn missing_states(unreadable: &Unreadable) -> Error {
    Error::incompatible(format!("states are missing: {}", unreadable.reason))
        .at_offset(unreadable.offset)
        .in_field("header")
}
