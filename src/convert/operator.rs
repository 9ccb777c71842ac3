//! Operator state: lists cut anew, broadcast state copied.

use super::Work;
use super::plan::{OperatorPlan, StatePlan};
use super::source::{OperatorVisit, Source};
use super::tally::Tally;
use crate::error::{Error, Result};
use crate::format::manifest::{OperatorStateContent, OperatorStateHandle};
use crate::format::operator::{self, PairWriter};
use crate::format::record::StateKind;
use crate::format::section::{Owner, Sink};
use crate::ids::SubtaskIndex;
use crate::snapshot::rescale::{ListShare, ListSource};
use crate::snapshot::{ObjectSink, SnapshotTarget};

/// Largest operator state of a subtask that becomes part of the manifest, as backends do it.
const INLINE_BYTES: usize = 16 << 10;

/// Converts the operator state of one subtask of the destination; `None` if it has none.
///
/// List state keeps its order: every subtask keeps its own list at the same parallelism, otherwise all lists together are cut
/// anew. Union lists are cut in the same way, since every subtask gets all of them together. Broadcast state is
/// written once, by subtask 0.
pub(super) fn convert(
    work: &mut Work<'_>,
    source: &dyn Source,
    plan: &OperatorPlan,
    subtask: SubtaskIndex,
    tally: &mut Tally,
) -> Result<Option<OperatorStateHandle>> {
    let sink = Spool { kept: Vec::new(), object: None, target: &work.target };
    let mut writer = operator::writer(sink, plan.id, work.target.compression());
    writer.begin(Owner::Subtask(subtask))?;
    let states = plan.states.iter().enumerate().filter(|(_, state)| !state.target.kind.is_keyed());
    for (index, state) in states {
        let mut pass = Pass { source, plan, index, state, subtask, tally: &mut *tally, writer: &mut writer };
        let converted = match state.target.kind {
            StateKind::Broadcast if subtask.0 != 0 => Ok(0),
            StateKind::Broadcast => pass.broadcast(),
            _ => pass.list(),
        };
        let bytes = converted.map_err(|error| error.in_state(&state.source.name))?;
        work.meter.advance(bytes)?;
    }
    let Some(summary) = writer.finish()? else { return Ok(None) };
    let content = writer.close()?.finish()?;
    Ok(Some(OperatorStateHandle { content, states: summary.states }))
}

/// One state on its way to one subtask.
struct Pass<'p, 's> {
    source: &'p dyn Source,
    plan: &'p OperatorPlan,
    index: usize,
    state: &'p StatePlan,
    subtask: SubtaskIndex,
    tally: &'p mut Tally,
    writer: &'p mut PairWriter<Spool<'s>>,
}

impl Pass<'_, '_> {
    /// Gives bytes of keys and values.
    fn broadcast(&mut self) -> Result<usize> {
        let mut subtasks: Vec<SubtaskIndex> = Vec::new();
        self.walk(&mut |subtask, _, _| {
            if subtasks.last() != Some(&subtask) {
                subtasks.push(subtask);
            }
            Ok(())
        })?;
        let chosen = self.plan.rescale()?.broadcast(&subtasks, self.subtask)?;
        let Some(chosen) = chosen.and_then(|chosen| subtasks.get(chosen).copied()) else { return Ok(0) };
        self.write(|subtask, _| subtask == chosen)
    }

    fn list(&mut self) -> Result<usize> {
        let mut lists: Vec<ListSource> =
            self.plan.old_subtasks().map(|subtask| ListSource { subtask, elements: 0 }).collect();
        self.walk(&mut |subtask, _, _| {
            let list = usize::try_from(subtask.0).ok().and_then(|at| lists.get_mut(at));
            let list = list.ok_or_else(|| Error::corrupt(format!("there is no subtask {subtask}")))?;
            list.elements = list.elements.saturating_add(1);
            Ok(())
        })?;
        let turn = u32::try_from(self.index).unwrap_or(u32::MAX);
        let own = self.plan.rescale()?.list_of(self.subtask, &lists, turn)?;
        self.write(|subtask, element| {
            let is_own =
                |share: &ListShare| u32::try_from(share.source) == Ok(subtask.0) && share.elements.contains(&element);
            own.iter().any(is_own)
        })
    }

    fn walk(&self, visit: OperatorVisit<'_>) -> Result<()> {
        self.source.operator_state(self.plan.source, &self.state.source.name, visit)
    }

    /// Writes the entries of old subtasks that `wanted` names by their position; gives bytes of keys and values.
    fn write(&mut self, wanted: impl Fn(SubtaskIndex, u64) -> bool) -> Result<usize> {
        self.writer.begin_state(&self.state.target.name, self.state.target.kind)?;
        let Pass { source, plan, index, state, tally, writer, .. } = self;
        let (mut last, mut element, mut bytes) = (None, 0_u64, 0_usize);
        source.operator_state(plan.source, &state.source.name, &mut |subtask, key, value| {
            if last.replace(subtask) != Some(subtask) {
                element = 0;
            }
            if wanted(subtask, element) {
                tally.add(*index, None, key, value);
                bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
                writer.pair(key, value)?;
            }
            element = element.saturating_add(1);
            Ok(())
        })?;
        Ok(bytes)
    }
}

/// Keeps little in memory and writes more to an object.
struct Spool<'s> {
    kept: Vec<u8>,
    object: Option<ObjectSink>,
    target: &'s SnapshotTarget,
}

impl Sink for Spool<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(object) = &mut self.object {
            return object.write(bytes);
        }
        self.kept.extend_from_slice(bytes);
        if self.kept.len() > INLINE_BYTES {
            let mut object = self.target.new_object()?;
            object.write(&std::mem::take(&mut self.kept))?;
            self.object = Some(object);
        }
        Ok(())
    }
}

impl Spool<'_> {
    fn finish(self) -> Result<OperatorStateContent> {
        match self.object {
            None => Ok(OperatorStateContent::Inline(self.kept)),
            Some(object) => {
                let object = object.finish()?.ok_or_else(|| Error::internal("an object without bytes"))?;
                Ok(OperatorStateContent::Object(object))
            }
        }
    }
}
