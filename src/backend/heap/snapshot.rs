//! Taking a snapshot: the short phase on the processing thread, and the long one on any other.

use std::sync::Arc;

use super::KeyedBackend;
use super::frozen::Frozen;
use super::incremental::{self, Folding, Parts, Reuse};
use super::restore::FrozenCarried;
use crate::backend::ledger::Lineage;
use crate::backend::registration::SharedSerializer;
use crate::backend::sections::{check, write_groups, write_sections};
use crate::backend::{Key, KeyedSnapshotFormat, SnapshotVersion};
use crate::error::{Error, Result};
use crate::format::manifest::{KeyGroupAssignment, KeyedHandle};
use crate::format::record::StateMeta;
use crate::format::{FormatId, canonical, native_heap};
use crate::ids::OperatorId;
use crate::key_group::{KeyGroup, KeyGroupRange};
use crate::serializer::Serializer;
use crate::snapshot::SnapshotTarget;

/// The state of a backend at one moment, to be written on whatever thread.
///
/// It holds on to old versions of what the backend changes meanwhile, group by group, until that group is written.
/// Dropping it unwritten lets go of everything.
pub struct Snapshot {
    operator: OperatorId,
    range: KeyGroupRange,
    /// Sorted by name.
    states: Vec<Box<dyn Frozen>>,
    lineage: Lineage<Parts>,
    folding: Folding,
    assignment: KeyGroupAssignment,
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
        let lineage = self.ledger.take();
        let key = Arc::clone(&self.shared_key) as SharedSerializer<KS::Value>;
        let mut states: Vec<Box<dyn Frozen>> = self
            .carried
            .values()
            .map(|carried| Box::new(FrozenCarried(Arc::clone(carried))) as Box<dyn Frozen>)
            .collect();
        for state in &mut self.states {
            states.push(state.freeze(&key, now_ms, lineage.version()));
        }
        states.sort_by(|a, b| a.meta().name.cmp(&b.meta().name));
        let operator = OperatorId::from_uid(&self.parameters.operator);
        let (range, folding) = (self.parameters.range, self.folding);
        let assignment = self.foreign.as_ref().map(|foreign| foreign.assignment().clone()).unwrap_or_default();
        Ok(Snapshot { operator, range, states, lineage, folding, assignment })
    }

    /// The checkpoint of a snapshot completed: incremental snapshots taken from now on may refer to what it wrote.
    ///
    /// Of several, the newest counts. Versions that come late, twice, or from elsewhere do no harm.
    pub fn confirm(&mut self, version: SnapshotVersion) {
        self.ledger.confirm(version);
    }

    /// The checkpoint of a snapshot was aborted: nothing will refer to what it wrote.
    pub fn reject(&mut self, version: SnapshotVersion) {
        self.ledger.reject(version);
    }
}

impl Snapshot {
    /// By what the backend is told later what became of the checkpoint.
    pub fn version(&self) -> SnapshotVersion {
        self.lineage.version()
    }

    /// Descriptions of the states, sorted by name, for the manifest.
    pub fn states(&self) -> Vec<StateMeta> {
        self.states.iter().map(|state| state.meta().clone()).collect()
    }

    /// Writes the snapshot; `keep_going` is asked before each key group and ends the work with
    /// [`Aborted`](crate::ErrorKind::Aborted) when it says no. `None` if there is no entry at all.
    pub fn write(
        mut self,
        target: &SnapshotTarget,
        format: KeyedSnapshotFormat,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Option<KeyedHandle>> {
        let assignment = std::mem::take(&mut self.assignment);
        let handle = self.write_as(target, format, keep_going)?;
        Ok(handle.map(|handle| handle.assigned_by(assignment)))
    }

    fn write_as(
        self,
        target: &SnapshotTarget,
        format: KeyedSnapshotFormat,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Option<KeyedHandle>> {
        match format {
            KeyedSnapshotFormat::Canonical => {
                let Snapshot { operator, range, mut states, .. } = self;
                let writer = canonical::writer(target.new_object()?, operator, target.compression());
                write_groups(writer, FormatId::Canonical, range, keep_going, |writer, group| {
                    each(&mut states, |state| state.write_pairs(index(range, group)?, writer))
                })
            }
            KeyedSnapshotFormat::Native => {
                let Snapshot { operator, range, mut states, .. } = self;
                let writer = native_heap::writer(target.new_object()?, operator, target.compression());
                write_groups(writer, FormatId::NativeHeap, range, keep_going, |writer, group| {
                    each(&mut states, |state| state.write_typed(index(range, group)?, writer))
                })
            }
            KeyedSnapshotFormat::Incremental => self.write_changed(target, keep_going),
        }
    }

    fn write_changed(self, target: &SnapshotTarget, keep_going: &dyn Fn() -> bool) -> Result<Option<KeyedHandle>> {
        let home = target.home();
        let Snapshot { operator, range, mut states, lineage, folding, .. } = self;
        let reuse = Reuse::plan(lineage.base(&home), range, folding, |group| {
            let index = range.index_of(group).unwrap_or(usize::MAX);
            states.iter().map(|state| state.changed_in(index)).max().unwrap_or(SnapshotVersion::NONE)
        });
        for group in reuse.groups() {
            check(keep_going)?;
            let index = index(range, group)?;
            states.iter_mut().for_each(|state| state.let_go(index));
        }
        let writer = native_heap::writer(target.new_shared_object()?, operator, target.compression());
        let changed = range.iter().filter(|group| !reuse.covers(*group));
        let (written, object) = write_sections(writer, changed, keep_going, |writer, group| {
            each(&mut states, |state| state.write_typed(index(range, group)?, writer))
        })?;
        incremental::handle(reuse.and(written, object)?, range, &lineage, home)
    }
}

fn index(range: KeyGroupRange, group: KeyGroup) -> Result<usize> {
    range.index_of(group).ok_or_else(|| Error::internal("a key group outside of the range"))
}

fn each(states: &mut [Box<dyn Frozen>], mut write: impl FnMut(&mut dyn Frozen) -> Result<()>) -> Result<()> {
    states.iter_mut().try_for_each(|state| write(&mut **state).map_err(|error| error.in_state(&state.meta().name)))
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("operator", &self.operator).field("range", &self.range).finish_non_exhaustive()
    }
}
