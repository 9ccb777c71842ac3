//! One operator of Flink's, written again.

use super::carried::Carried;
use super::edits::Plan;
use super::keyed::{self, States};
use super::operator::Elements;
use super::report::OperatorReport;
use super::source::Part;
use super::streams::Carrier;
use super::whole::{layout, scale};
use super::{Form, Options, rehash};
use crate::error::{Error, ErrorKind, Result};
use crate::flink::SnapshotReader;
use crate::format::flink::metadata::{ChannelHandle, KeyedHandle, Operator, Progress, Subtask, SubtaskState};
use crate::ids::{OperatorId, SubtaskIndex};
use crate::key_group::{MaxParallelism, Parallelism};

/// Rewrites one operator.
pub(super) struct Rewriter<'r> {
    pub(super) carrier: &'r Carrier<'r>,
    pub(super) options: &'r Options<'r>,
    pub(super) plan: &'r Plan<'r>,
    pub(super) report: OperatorReport,
}

impl Rewriter<'_> {
    pub(super) fn operator(&mut self, operator: &Operator) -> Result<Operator> {
        let mut written = operator.clone();
        if let Some(uid) = self.plan.new_uid(operator) {
            written.uid = Some(uid.to_owned());
            written.id = OperatorId::from_uid(uid);
        }
        let carried = Carried::of_flink(self.carrier.source, operator, self.plan)?;
        self.report.states.extend(carried.reports());
        if !carried.has_coordinator() {
            written.coordinator = None;
        }
        if operator.subtasks().is_empty() {
            return Ok(written);
        }
        match self.options.form {
            Form::AsIs => {
                let mut subtasks = Vec::new();
                for Subtask { index, state } in operator.subtasks() {
                    let carried = state.as_ref().map(|state| self.carrier.subtask(state).map(Box::new)).transpose()?;
                    subtasks.push(Subtask { index: *index, state: carried });
                }
                written.progress = Progress::Running(subtasks);
            }
            Form::Canonical => self.canonical(operator, &carried, &mut written)?,
        }
        Ok(written)
    }

    fn canonical(&mut self, operator: &Operator, carried: &Carried, written: &mut Operator) -> Result<()> {
        let (max, parallelism) = scale(self.plan, operator)?;
        (written.max_parallelism, written.parallelism) = (max, parallelism);
        let count = parallelism.get();
        let is_same = count == operator.parallelism.get() && max == operator.max_parallelism;
        if !is_same && operator.subtasks().iter().any(|subtask| subtask.state.is_none()) {
            return Err(Error::incompatible("some subtasks have finished, so the others cannot be dealt out anew"));
        }
        self.check_in_flight(operator)?;
        let keyed = self.keyed(operator, max, parallelism)?;
        let elements = Elements::read(self.carrier.source, operator, self.plan)?;
        let mut managed = Vec::new();
        if !elements.is_empty() {
            let (target, compressed) = (self.carrier.target, self.options.compressed);
            managed = elements.write(target, compressed, operator.parallelism.get(), count)?;
        }
        self.report.states.extend(elements.reports());
        let raw = carried.write_raw(self.carrier.target, operator.parallelism.get(), count)?;
        let mut subtasks = Vec::new();
        for ((index, keyed), raw_operator) in (0..count).zip(keyed).zip(raw) {
            let before = operator.subtasks().iter().find(|subtask| subtask.index.0 == index);
            let raw_keyed = self.raw_keyed(operator, before, is_same)?;
            if let Some(Subtask { state: None, .. }) = before {
                subtasks.push(Subtask { index: SubtaskIndex(index), state: None });
                continue;
            }
            let managed_operator = usize::try_from(index).ok().and_then(|index| managed.get(index).cloned());
            let state = SubtaskState {
                managed_operator,
                raw_operator,
                managed_keyed: keyed,
                raw_keyed,
                input_channels: Vec::new(),
                result_subpartitions: Vec::new(),
            };
            subtasks.push(Subtask { index: SubtaskIndex(index), state: Some(Box::new(state)) });
        }
        written.progress = Progress::Running(subtasks);
        Ok(())
    }

    fn check_in_flight(&mut self, operator: &Operator) -> Result<()> {
        let states = operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref());
        let channels: Vec<&ChannelHandle> =
            states.flat_map(|state| state.input_channels.iter().chain(&state.result_subpartitions)).collect();
        if channels.is_empty() {
            return Ok(());
        }
        let bytes = channels.iter().map(|channel| channel.size).fold(0, u64::saturating_add);
        let count = channels.len();
        if self.plan.edits.drop_in_flight {
            self.report.notes.push(format!("{bytes} bytes of records in flight in {count} channels were left out"));
            return Ok(());
        }
        let message = format!(
            "the checkpoint is unaligned and holds {bytes} bytes of records in flight in {count} channels, which a savepoint \
             cannot; take a savepoint of the job, copy the files as they are, or leave the records out if their loss does \
             not matter"
        );
        Err(Error::incompatible(message))
    }

    fn keyed(
        &mut self,
        operator: &Operator,
        max: MaxParallelism,
        parallelism: Parallelism,
    ) -> Result<Vec<Option<KeyedHandle>>> {
        let parts = parts(self.carrier.source, operator)?;
        if parts.is_empty() {
            return Ok((0..parallelism.get()).map(|_| None).collect());
        }
        let mut states = States::plan(&parts, self.plan, operator);
        let layout = layout(self.carrier.target, self.options, self.plan, max, parallelism)?;
        let handles = if max == operator.max_parallelism {
            keyed::write(&parts, &mut states, &layout)
        } else {
            rehash::write(&parts, &mut states, &layout)
        };
        // The state that was refused is reported by the caller.
        let handles = handles?;
        self.report.states.extend(states.into_reports());
        Ok(handles)
    }

    /// Keyed state of the operator's own, timers excepted, which stays with its subtask.
    fn raw_keyed(
        &mut self,
        operator: &Operator,
        before: Option<&Subtask>,
        is_same: bool,
    ) -> Result<Option<KeyedHandle>> {
        let (source, max) = (self.carrier.source, operator.max_parallelism);
        let found = |subtask| unknown_raw_keyed(source, max, subtask);
        if !is_same {
            return match operator.subtasks().iter().find_map(found) {
                None => Ok(None),
                Some(_) => Err(Error::incompatible(
                    "the operator has raw keyed state, which only its own program can deal out to other subtasks",
                )),
            };
        }
        let Some(handle) = before.and_then(found) else { return Ok(None) };
        let note = "raw keyed state was carried as it is".to_owned();
        if !self.report.notes.contains(&note) {
            self.report.notes.push(note);
        }
        self.carrier.keyed(handle).map(Some)
    }
}

/// Raw keyed state of a subtask that is no timers.
fn unknown_raw_keyed<'s>(
    source: &SnapshotReader,
    max: MaxParallelism,
    subtask: &'s Subtask,
) -> Option<&'s KeyedHandle> {
    let handle = subtask.state.as_deref()?.raw_keyed.as_ref()?;
    Part::raw(source, max, handle).is_err().then_some(handle)
}

/// The keyed state of all subtasks, raw timers among them.
fn parts<'p>(source: &'p SnapshotReader, operator: &'p Operator) -> Result<Vec<Part<'p>>> {
    let max = operator.max_parallelism;
    let mut parts = Vec::new();
    for state in operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref()) {
        if let Some(handle) = &state.managed_keyed {
            parts.push(Part::managed(source, max, handle)?);
        }
        if let Some(handle) = &state.raw_keyed {
            match Part::raw(source, max, handle) {
                Ok(part) => parts.push(part),
                // Anything else than timers is carried.
                Err(error) if error.kind() == ErrorKind::Incompatible => {}
                Err(error) => return Err(error),
            }
        }
    }
    Part::settle_keys(&mut parts)?;
    Ok(parts)
}
