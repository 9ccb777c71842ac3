//! Taking a snapshot: the short phase on the processing thread, and the long one on any other.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::KeyedBackend;
use super::content::SharedSerializer;
use super::frozen::Frozen;
use super::restore::FrozenCarried;
use crate::backend::Key;
use crate::backend::KeyedSnapshotFormat;
use crate::error::{Error, Result};
use crate::format::canonical::PairWriter;
use crate::format::manifest::{KeyedHandle, SectionRef};
use crate::format::record::StateMeta;
use crate::format::section::{Owner, SectionSummary, SectionWriter, StateTotals};
use crate::format::{FormatId, canonical, native_heap};
use crate::ids::OperatorId;
use crate::key_group::KeyGroupRange;
use crate::serializer::Serializer;
use crate::snapshot::{ObjectSink, SnapshotTarget};

/// The state of a backend at one moment, to be written on whatever thread.
///
/// It holds on to old versions of what the backend changes meanwhile, group by group, until that group is written.
/// Dropping it unwritten lets go of everything.
pub struct Snapshot {
    operator: OperatorId,
    range: KeyGroupRange,
    /// Sorted by name.
    states: Vec<Box<dyn Frozen>>,
}

impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    /// Takes a snapshot. Costs a step per key group and state, whatever they hold.
    ///
    /// One in sixteen snapshots that overlap without a break also copies what was changed since the first of them.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        let now_ms = self.now_ms();
        let key = Arc::clone(&self.shared_key) as SharedSerializer<KS::Value>;
        let mut states: Vec<Box<dyn Frozen>> = self
            .carried
            .values()
            .map(|carried| Box::new(FrozenCarried(Arc::clone(carried))) as Box<dyn Frozen>)
            .collect();
        for state in &mut self.states {
            states.push(state.freeze(&key, now_ms));
        }
        states.sort_by(|a, b| a.meta().name.cmp(&b.meta().name));
        let operator = OperatorId::from_uid(&self.parameters.operator);
        Ok(Snapshot { operator, range: self.parameters.range, states })
    }
}

impl Snapshot {
    /// Descriptions of the states, sorted by name, for the manifest.
    pub fn states(&self) -> Vec<StateMeta> {
        self.states.iter().map(|state| state.meta().clone()).collect()
    }

    /// Writes the snapshot; `keep_going` is asked before each key group and ends the work with
    /// [`Aborted`](crate::ErrorKind::Aborted) when it says no. `None` if there is no entry at all.
    pub fn write(
        self,
        target: &SnapshotTarget,
        format: KeyedSnapshotFormat,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Option<KeyedHandle>> {
        let sink = target.new_object()?;
        match format {
            KeyedSnapshotFormat::Canonical => {
                let writer = canonical::writer(sink, self.operator, target.compression());
                self.write_sections(writer, FormatId::Canonical, keep_going)
            }
            KeyedSnapshotFormat::Native => {
                let writer = native_heap::writer(sink, self.operator, target.compression());
                self.write_sections(writer, FormatId::NativeHeap, keep_going)
            }
        }
    }

    fn write_sections<W: GroupWriter>(
        mut self,
        mut writer: W,
        format: FormatId,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Option<KeyedHandle>> {
        let mut sections = Vec::new();
        let mut totals = Totals::default();
        for (index, group) in self.range.iter().enumerate() {
            if !keep_going() {
                return Err(Error::aborted("the snapshot was aborted while it was being written"));
            }
            writer.begin(Owner::KeyGroup(group))?;
            for state in &mut self.states {
                writer
                    .group(&mut **state, index)
                    .map_err(|error| error.in_state(&state.meta().name).in_key_group(group.0))?;
            }
            if let Some(summary) = writer.finish()? {
                sections.push(SectionRef::new(&summary, 0)?);
                totals.add(summary.states);
            }
        }
        let Some(object) = writer.close()?.finish()? else { return Ok(None) };
        Ok(Some(KeyedHandle { format, range: self.range, objects: vec![object], sections, states: totals.finish() }))
    }
}

/// Entries and bytes of each state, added up over sections.
#[derive(Default)]
struct Totals(BTreeMap<Arc<str>, StateTotals>);

impl Totals {
    fn add(&mut self, section: Vec<StateTotals>) {
        for StateTotals { name, entries, bytes } in section {
            let total = self.0.entry(name.clone()).or_insert(StateTotals { name, entries: 0, bytes: 0 });
            total.entries = total.entries.saturating_add(entries);
            total.bytes = total.bytes.saturating_add(bytes);
        }
    }

    fn finish(self) -> Vec<StateTotals> {
        self.0.into_values().collect()
    }
}

/// What both formats have in common: sections of groups, and a way to write one state into them.
trait GroupWriter {
    fn begin(&mut self, owner: Owner) -> Result<()>;
    fn group(&mut self, state: &mut dyn Frozen, group: usize) -> Result<()>;
    fn finish(&mut self) -> Result<Option<SectionSummary>>;
    fn close(self) -> Result<ObjectSink>;
}

macro_rules! group_writer {
    ($writer:ident, $write:ident) => {
        impl GroupWriter for $writer<ObjectSink> {
            fn begin(&mut self, owner: Owner) -> Result<()> {
                $writer::begin(self, owner)
            }

            fn group(&mut self, state: &mut dyn Frozen, group: usize) -> Result<()> {
                state.$write(group, self)
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

group_writer!(PairWriter, write_pairs);
group_writer!(SectionWriter, write_typed);

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("operator", &self.operator).field("range", &self.range).finish_non_exhaustive()
    }
}
