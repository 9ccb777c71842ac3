//! Writing keyed state as sections, key group by key group: the same for every backend and both formats of sections.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::canonical::PairWriter;
use crate::format::manifest::{KeyGroupAssignment, KeyedHandle, ObjectRef, SectionRef};
use crate::format::section::{Owner, SectionSummary, SectionWriter, StateTotals};
use crate::key_group::{KeyGroup, KeyGroupRange};
use crate::snapshot::ObjectSink;

/// What the writers of sections have in common.
pub(super) trait GroupWriter {
    fn begin(&mut self, owner: Owner) -> Result<()>;
    fn finish(&mut self) -> Result<Option<SectionSummary>>;
    fn close(self) -> Result<ObjectSink>;
}

macro_rules! group_writer {
    ($writer:ident) => {
        impl GroupWriter for $writer<ObjectSink> {
            fn begin(&mut self, owner: Owner) -> Result<()> {
                $writer::begin(self, owner)
            }

            fn finish(&mut self) -> Result<Option<SectionSummary>> {
                $writer::finish(self)
            }

            fn close(self) -> Result<ObjectSink> {
                $writer::close(self)
            }
        }
    };
}

group_writer!(PairWriter);
group_writer!(SectionWriter);

/// Lets `write` put each group of a range into a section of its own; `None` if there is no entry at all. Before each group
/// `keep_going` is asked, and ends the work with [`Aborted`](crate::ErrorKind::Aborted) when it says no.
pub(super) fn write_groups<W: GroupWriter>(
    writer: W,
    format: FormatId,
    range: KeyGroupRange,
    keep_going: &dyn Fn() -> bool,
    write: impl FnMut(&mut W, KeyGroup) -> Result<()>,
) -> Result<Option<KeyedHandle>> {
    let (summaries, object) = write_sections(writer, range.iter(), keep_going, write)?;
    let Some(object) = object else { return Ok(None) };
    let mut totals = Totals::default();
    summaries.iter().for_each(|summary| totals.add(&summary.states));
    let sections = summaries.iter().map(|summary| SectionRef::new(summary, 0)).collect::<Result<_>>()?;
    let (assignment, objects, states) = (KeyGroupAssignment::default(), vec![object], totals.finish());
    Ok(Some(KeyedHandle { format, range, assignment, objects, sections, files: Vec::new(), states }))
}

/// As [`write_groups`], for some groups: gives the sections that have entries, and the object they are in.
pub(super) fn write_sections<W: GroupWriter>(
    mut writer: W,
    groups: impl Iterator<Item = KeyGroup>,
    keep_going: &dyn Fn() -> bool,
    mut write: impl FnMut(&mut W, KeyGroup) -> Result<()>,
) -> Result<(Vec<SectionSummary>, Option<ObjectRef>)> {
    let mut summaries = Vec::new();
    for group in groups {
        check(keep_going)?;
        writer.begin(Owner::KeyGroup(group))?;
        write(&mut writer, group).map_err(|error| error.in_key_group(group.0))?;
        summaries.extend(writer.finish()?);
    }
    Ok((summaries, writer.close()?.finish()?))
}

/// Fails when the work is to stop.
pub(super) fn check(keep_going: &dyn Fn() -> bool) -> Result<()> {
    if keep_going() { Ok(()) } else { Err(Error::aborted("the snapshot was aborted while it was being written")) }
}

/// Entries and bytes of each state, added up over sections.
#[derive(Default)]
pub(super) struct Totals(BTreeMap<Arc<str>, StateTotals>);

impl Totals {
    pub(super) fn add(&mut self, section: &[StateTotals]) {
        for StateTotals { name, entries, bytes } in section {
            let none = || StateTotals { name: Arc::clone(name), entries: 0, bytes: 0 };
            let total = self.0.entry(Arc::clone(name)).or_insert_with(none);
            total.entries = total.entries.saturating_add(*entries);
            total.bytes = total.bytes.saturating_add(*bytes);
        }
    }

    pub(super) fn finish(self) -> Vec<StateTotals> {
        self.0.into_values().collect()
    }
}
