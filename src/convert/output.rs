//! The keyed state of one operator of the destination, subtask by subtask.

use std::path::Path;

use super::options::Format;
use super::plan::OperatorPlan;
use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::canonical::{self, PairWriter};
use crate::format::manifest::{KeyGroupAssignment, KeyedHandle, ObjectRef, SectionRef};
use crate::format::native_heap;
use crate::format::record::StateMeta;
use crate::format::schema::Schema;
use crate::format::section::{Owner, SectionSummary, SectionWriter, StateTotals};
use crate::key_group::{KeyGroup, KeyGroupRange, subtask_of_group};
use crate::snapshot::{ObjectSink, SnapshotTarget};

#[cfg(feature = "rocksdb")]
mod database;
#[cfg(not(feature = "rocksdb"))]
#[path = "output/no_database.rs"]
mod database;

use database::{Database, TableFactory};

/// Lets `write` give pairs to an output; the handle of each subtask that got any.
pub(super) fn with_output(
    target: &SnapshotTarget,
    to: Format,
    scratch: &Path,
    plan: &OperatorPlan,
    write: impl FnOnce(&mut Output<'_, '_>) -> Result<()>,
) -> Result<Vec<Option<KeyedHandle>>> {
    database::with_tables(|tables| {
        let states = plan.states.iter().map(|state| state.target.clone()).collect();
        let handles = (0..plan.parallelism.get()).map(|_| None).collect();
        let mut output = Output { target, to, scratch, plan, states, tables, open: None, handles };
        write(&mut output)?;
        output.close()?;
        Ok(output.handles)
    })
}

/// Takes pairs by key group, state and key, and makes handles of them.
pub(super) struct Output<'o, 't> {
    target: &'o SnapshotTarget,
    to: Format,
    scratch: &'o Path,
    plan: &'o OperatorPlan,
    states: Vec<StateMeta>,
    tables: &'o TableFactory<'t>,
    open: Option<Open<'t>>,
    handles: Vec<Option<KeyedHandle>>,
}

/// The subtask that is being written.
struct Open<'t> {
    subtask: u32,
    range: KeyGroupRange,
    writer: OpenWriter<'t>,
}

enum OpenWriter<'t> {
    Canonical(Sections<PairWriter<ObjectSink>>),
    NativeHeap(Sections<SectionWriter<ObjectSink>>),
    Database(Database<'t>),
}

impl<'t> Output<'_, 't> {
    /// Takes the next pair of the state at a position of the plan.
    pub(super) fn pair(&mut self, group: KeyGroup, state: usize, key: &[u8], value: &[u8]) -> Result<()> {
        if self.open.as_ref().is_none_or(|open| !open.range.contains(group)) {
            self.close()?;
            self.open = Some(self.begin(group)?);
        }
        let (Some(open), Some(meta)) = (&mut self.open, self.states.get(state)) else {
            return Err(Error::internal("a pair of no state"));
        };
        match &mut open.writer {
            OpenWriter::Canonical(sections) => {
                sections.begin(group, meta)?;
                sections.writer.pair(key, value)
            }
            OpenWriter::NativeHeap(sections) => {
                sections.begin(group, meta)?;
                let schema = Schema { key: self.plan.key(), state: meta };
                sections.writer.entry(|out| native_heap::write_pair(&schema, key, value, out))
            }
            OpenWriter::Database(database) => database.row(&meta.name, group, key, value),
        }
    }

    fn begin(&self, group: KeyGroup) -> Result<Open<'t>> {
        let subtask = subtask_of_group(group, self.plan.parallelism, self.plan.max_parallelism);
        let range = self.plan.range_of(subtask)?;
        let (id, compression) = (self.plan.id, self.target.compression());
        let writer = match self.to {
            Format::Canonical => {
                let writer = canonical::writer(self.target.new_object()?, id, compression);
                OpenWriter::Canonical(Sections::new(writer))
            }
            Format::NativeHeap => {
                let writer = native_heap::writer(self.target.new_object()?, id, compression);
                OpenWriter::NativeHeap(Sections::new(writer))
            }
            Format::NativeRocksDb => {
                OpenWriter::Database(Database::new(self.plan, &self.states, self.scratch, self.tables)?)
            }
        };
        Ok(Open { subtask, range, writer })
    }

    /// Ends the subtask that is being written.
    fn close(&mut self) -> Result<()> {
        let Some(Open { subtask, range, writer }) = self.open.take() else { return Ok(()) };
        let handle = match writer {
            OpenWriter::Canonical(sections) => sections.finish(FormatId::Canonical, range)?,
            OpenWriter::NativeHeap(sections) => sections.finish(FormatId::NativeHeap, range)?,
            OpenWriter::Database(database) => Some(database.finish(range, self.target)?),
        };
        let slot = usize::try_from(subtask).ok().and_then(|subtask| self.handles.get_mut(subtask));
        match slot {
            Some(slot @ None) => *slot = handle,
            _ => return Err(Error::internal(format!("subtask {subtask} comes twice"))),
        }
        Ok(())
    }
}

/// What the writers of sections have in common.
trait StateWriter {
    fn begin(&mut self, owner: Owner) -> Result<()>;
    fn begin_state(&mut self, state: &StateMeta) -> Result<()>;
    fn finish(&mut self) -> Result<Option<SectionSummary>>;
    fn close(self) -> Result<Option<ObjectRef>>;
}

macro_rules! state_writer {
    ($writer:ident) => {
        impl StateWriter for $writer<ObjectSink> {
            fn begin(&mut self, owner: Owner) -> Result<()> {
                $writer::begin(self, owner)
            }

            fn begin_state(&mut self, state: &StateMeta) -> Result<()> {
                $writer::begin_state(self, &state.name, state.kind)
            }

            fn finish(&mut self) -> Result<Option<SectionSummary>> {
                $writer::finish(self)
            }

            fn close(self) -> Result<Option<ObjectRef>> {
                $writer::close(self)?.finish()
            }
        }
    };
}

state_writer!(PairWriter);
state_writer!(SectionWriter);

/// The sections of a subtask.
struct Sections<W> {
    writer: W,
    group: Option<KeyGroup>,
    state: String,
    summaries: Vec<SectionSummary>,
}

impl<W: StateWriter> Sections<W> {
    fn new(writer: W) -> Self {
        Sections { writer, group: None, state: String::new(), summaries: Vec::new() }
    }

    /// Makes this the group and state that are written.
    fn begin(&mut self, group: KeyGroup, state: &StateMeta) -> Result<()> {
        if self.group == Some(group) && self.state == state.name {
            return Ok(());
        }
        if self.group != Some(group) {
            self.end()?;
            self.writer.begin(Owner::KeyGroup(group))?;
            self.group = Some(group);
        }
        self.state.clone_from(&state.name);
        self.writer.begin_state(state)
    }

    fn end(&mut self) -> Result<()> {
        if self.group.take().is_some() {
            self.summaries.extend(self.writer.finish()?);
        }
        Ok(())
    }

    fn finish(mut self, format: FormatId, range: KeyGroupRange) -> Result<Option<KeyedHandle>> {
        self.end()?;
        let Some(object) = self.writer.close()? else { return Ok(None) };
        let sections = self.summaries.iter().map(|summary| SectionRef::new(summary, 0)).collect::<Result<_>>()?;
        let states = totals(&self.summaries);
        let (assignment, objects) = (KeyGroupAssignment::default(), vec![object]);
        Ok(Some(KeyedHandle { format, range, assignment, objects, sections, files: Vec::new(), states }))
    }
}

/// Entries and bytes of each state, added up over sections.
fn totals(sections: &[SectionSummary]) -> Vec<StateTotals> {
    let mut totals: std::collections::BTreeMap<&str, StateTotals> = std::collections::BTreeMap::new();
    for state in sections.iter().flat_map(|section| &section.states) {
        let none = || StateTotals { name: state.name.clone(), entries: 0, bytes: 0 };
        let total = totals.entry(&state.name).or_insert_with(none);
        total.entries = total.entries.saturating_add(state.entries);
        total.bytes = total.bytes.saturating_add(state.bytes);
    }
    totals.into_values().collect()
}
