//! The whole snapshot: operator by operator.

use super::edits::{self, Edits, KeyFilter, Plan};
use super::keyed::{self, States};
use super::operator::Elements;
use super::own::{self, OwnKeyed, Types};
use super::report::{OperatorReport, Outcome, Report, StateReport};
use super::savepoint::Target;
use super::source::Part;
use super::streams::Carrier;
use super::{Form, Options};
use crate::error::{Error, ErrorKind, Result};
use crate::flink::SnapshotReader;
use crate::format::flink::metadata::{
    KeyedHandle, Metadata, Operator, OperatorStateHandle, Progress, Subtask, SubtaskState, Version,
};
use crate::format::manifest::{KeyGroupAssignment, OperatorSnapshot};
use crate::ids::{OperatorId, SubtaskIndex};
use crate::key_group::{KeyGroupRange, MaxParallelism, Parallelism};
use crate::snapshot::{OperatorReader as OwnOperator, SnapshotReader as OwnReader};

/// Writes the files of all operators; the metadata that names them.
pub(super) fn rewrite(
    source: &SnapshotReader,
    target: &Target,
    options: &Options<'_>,
    report: &mut Report,
) -> Result<Metadata> {
    let Options { version, form, edits, moved, .. } = options;
    check_form(*form, edits, moved)?;
    let plan = Plan::new(edits)?;
    let carrier = Carrier { source, target, moved, progress: options.progress };
    let mut operators = Vec::new();
    for operator in &source.metadata().operators {
        if plan.drops_operator(operator) {
            report.operators.push(described(operator));
            continue;
        }
        let mut rewriter = Rewriter { carrier: &carrier, options, plan: &plan, report: described(operator) };
        let written = rewriter.operator(operator);
        let mut of_operator = rewriter.report;
        match written {
            Ok(written) => {
                of_operator.written_as = Some(edits::label(&written));
                of_operator.id = written.id.to_string();
                of_operator.parallelism = written.parallelism.get();
                of_operator.max_parallelism = written.max_parallelism.get();
                operators.push(written);
            }
            Err(error) if error.kind() == ErrorKind::Incompatible => of_operator.states.push(refusal(&error)),
            Err(error) => return Err(error.in_operator(edits::label(operator))),
        }
        report.operators.push(of_operator);
    }
    plan.check_all_met()?;
    check_ids(&operators)?;
    refuse(report)?;
    let Metadata { checkpoint_id, master_states, properties, .. } = source.metadata().clone();
    let properties = if *form == Form::AsIs { properties } else { None };
    let metadata = Metadata { version: Version::V6, checkpoint_id, master_states, operators, properties };
    Ok(metadata.in_version(*version))
}

/// Writes the files of all operators of a snapshot of ours; the metadata that names them.
pub(super) fn export(
    source: &OwnReader,
    target: &Target,
    options: &Options<'_>,
    report: &mut Report,
) -> Result<Metadata> {
    let Options { version, form, edits, moved, classes, like, .. } = options;
    if *form == Form::AsIs || !moved.is_empty() {
        return Err(Error::invalid_input("state of millpond's is always written in canonical form"));
    }
    let plan = Plan::new(edits)?;
    let types = Types { classes, like: *like };
    let mut operators = Vec::new();
    for operator in source.operators() {
        let stub = stub(operator.description());
        if plan.drops_operator(&stub) {
            report.operators.push(described(&stub));
            continue;
        }
        let mut exporter = Exporter { target, options, plan: &plan, report: described(&stub) };
        let written = exporter.operator(operator, &stub, types);
        let mut of_operator = exporter.report;
        match written {
            Ok(written) => {
                of_operator.written_as = Some(edits::label(&written));
                of_operator.id = written.id.to_string();
                of_operator.parallelism = written.parallelism.get();
                of_operator.max_parallelism = written.max_parallelism.get();
                operators.push(written);
            }
            Err(error) if error.kind() == ErrorKind::Incompatible => of_operator.states.push(refusal(&error)),
            Err(error) => return Err(error.in_operator(edits::label(&stub))),
        }
        report.operators.push(of_operator);
    }
    plan.check_all_met()?;
    check_ids(&operators)?;
    refuse(report)?;
    let metadata = Metadata {
        version: Version::V6,
        checkpoint_id: source.manifest().checkpoint.0,
        master_states: Vec::new(),
        operators,
        properties: None,
    };
    Ok(metadata.in_version(*version))
}

/// What Flink's metadata would say of an operator of ours that has no state.
fn stub(operator: &OperatorSnapshot) -> Operator {
    Operator {
        name: None,
        uid: operator.uid.clone(),
        id: operator.id,
        parallelism: operator.parallelism,
        max_parallelism: operator.max_parallelism,
        coordinator: None,
        progress: Progress::Running(Vec::new()),
    }
}

/// Writes one operator of ours.
struct Exporter<'r> {
    target: &'r Target,
    options: &'r Options<'r>,
    plan: &'r Plan<'r>,
    report: OperatorReport,
}

impl Exporter<'_> {
    fn operator(&mut self, operator: OwnOperator<'_>, stub: &Operator, types: Types<'_>) -> Result<Operator> {
        let mut written = stub.clone();
        if let Some(uid) = self.plan.new_uid(stub) {
            written.uid = Some(uid.to_owned());
            written.id = OperatorId::from_uid(uid);
        }
        let (max, parallelism) = scale(self.plan, stub)?;
        (written.max_parallelism, written.parallelism) = (max, parallelism);
        let keyed = self.keyed(operator, stub, types, (max, parallelism))?;
        let elements = self.elements(operator, stub, types)?;
        let mut managed = Vec::new();
        if !elements.is_empty() {
            let before = stub.parallelism.get();
            managed = elements.write(self.target, self.options.compressed, before, parallelism.get())?;
        }
        self.report.states.extend(elements.reports());
        let subtasks = (0..parallelism.get()).zip(keyed).map(|(index, managed_keyed)| {
            let managed_operator = usize::try_from(index).ok().and_then(|index| managed.get(index).cloned());
            let state = SubtaskState {
                managed_operator,
                raw_operator: None,
                managed_keyed,
                raw_keyed: None,
                input_channels: Vec::new(),
                result_subpartitions: Vec::new(),
            };
            Subtask { index: SubtaskIndex(index), state: Some(Box::new(state)) }
        });
        written.progress = Progress::Running(subtasks.collect());
        Ok(written)
    }

    fn keyed(
        &mut self,
        operator: OwnOperator<'_>,
        stub: &Operator,
        types: Types<'_>,
        (max, parallelism): (MaxParallelism, Parallelism),
    ) -> Result<Vec<Option<KeyedHandle>>> {
        let none = || (0..parallelism.get()).map(|_| None).collect();
        if operator.key().is_none() {
            return Ok(none());
        }
        let (header, own) = OwnKeyed::describe(operator, stub, types, self.plan, &mut self.report.states)?;
        if header.states.is_empty() {
            return Ok(none());
        }
        let parts = vec![Part::own(header, own, stub.max_parallelism)];
        let mut states = States::plan(&parts, self.plan, stub);
        let layout = layout(self.target, self.options, self.plan, max, parallelism)?;
        let keeps_groups = max == stub.max_parallelism && operator.description().assignment != KeyGroupAssignment::Xxh3;
        let handles = match keeps_groups {
            true => keyed::write(&parts, &mut states, &layout),
            false => keyed::write_rehashed(&parts, &mut states, &layout),
        }?;
        self.report.states.extend(states.into_reports());
        Ok(handles)
    }

    fn elements(&mut self, operator: OwnOperator<'_>, stub: &Operator, types: Types<'_>) -> Result<Elements> {
        let (header, elements) = own::elements(operator, stub, types, self.plan, &mut self.report.states)?;
        Elements::of_own(&header, elements, stub, self.plan)
    }
}

/// Max parallelism and parallelism of the result.
fn scale(plan: &Plan<'_>, operator: &Operator) -> Result<(MaxParallelism, Parallelism)> {
    let max = plan.edits.max_parallelism.unwrap_or(operator.max_parallelism);
    let asked = plan.edits.parallelism.unwrap_or(operator.parallelism.get());
    Ok((max, Parallelism::new(asked.min(max.get()), max)?))
}

/// What is asked of the files of keyed state.
fn layout<'l>(
    target: &'l Target,
    options: &'l Options<'_>,
    plan: &'l Plan<'_>,
    max: MaxParallelism,
    parallelism: Parallelism,
) -> Result<keyed::Layout<'l>> {
    let ranges: Result<Vec<KeyGroupRange>> =
        (0..parallelism.get()).map(|index| KeyGroupRange::of_subtask(index, parallelism, max)).collect();
    Ok(keyed::Layout {
        target,
        compressed: options.compressed,
        ranges: ranges?,
        max,
        keys: &plan.edits.keys,
        progress: options.progress,
    })
}

/// What the metadata alone can express, and what it cannot.
fn check_form(form: Form, edits: &Edits, moved: &[(String, String)]) -> Result<()> {
    let Edits {
        parallelism,
        max_parallelism,
        rename_operators: _,
        drop_operators: _,
        rename_states,
        drop_states,
        keys,
        stamps,
        drop_in_flight: _,
    } = edits;
    let needs_entries = parallelism.is_some()
        || max_parallelism.is_some()
        || !rename_states.is_empty()
        || !drop_states.is_empty()
        || *keys != KeyFilter::All
        || !stamps.is_empty();
    match form {
        Form::AsIs if needs_entries => Err(Error::invalid_input(
            "parallelism, states, keys and time to live can only be changed while state is written in canonical form",
        )),
        Form::Canonical if !moved.is_empty() => {
            Err(Error::invalid_input("state that is written in canonical form names no files by absolute URIs"))
        }
        _ => Ok(()),
    }
}

/// No two operators may end up with one id.
fn check_ids(operators: &[Operator]) -> Result<()> {
    let mut ids: Vec<OperatorId> = operators.iter().map(|operator| operator.id).collect();
    ids.sort_unstable();
    let twice = ids.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    });
    match twice {
        None => Ok(()),
        Some(id) => Err(Error::invalid_input(format!("two operators would have the id {id}; choose another uid"))),
    }
}

fn described(operator: &Operator) -> OperatorReport {
    OperatorReport {
        operator: edits::label(operator),
        written_as: None,
        id: operator.id.to_string(),
        parallelism: operator.parallelism.get(),
        max_parallelism: operator.max_parallelism.get(),
        notes: Vec::new(),
        states: Vec::new(),
    }
}

fn refusal(error: &Error) -> StateReport {
    let state = error.place().state.clone().unwrap_or_else(|| "(all)".to_owned());
    StateReport {
        written_as: state.clone(),
        state,
        kind: "state".to_owned(),
        value_type: "unknown".to_owned(),
        outcome: Outcome::Refused(error.message().to_owned()),
        entries: 0,
        bytes: 0,
    }
}

/// Fails where anything was refused.
pub(super) fn refuse(report: &Report) -> Result<()> {
    let count = report.refused().count();
    match report.refused().next() {
        None => Ok(()),
        Some((operator, state, reason)) => {
            let more = if count > 1 { format!(", and {} more", count.saturating_sub(1)) } else { String::new() };
            let message = format!("{reason}{more}; nothing was published");
            Err(Error::incompatible(message).in_operator(&operator.operator).in_state(&state.state))
        }
    }
}

/// Rewrites one operator.
struct Rewriter<'r> {
    carrier: &'r Carrier<'r>,
    options: &'r Options<'r>,
    plan: &'r Plan<'r>,
    report: OperatorReport,
}

impl Rewriter<'_> {
    fn operator(&mut self, operator: &Operator) -> Result<Operator> {
        let mut written = operator.clone();
        if let Some(uid) = self.plan.new_uid(operator) {
            written.uid = Some(uid.to_owned());
            written.id = OperatorId::from_uid(uid);
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
            Form::Canonical => self.canonical(operator, &mut written)?,
        }
        Ok(written)
    }

    fn canonical(&mut self, operator: &Operator, written: &mut Operator) -> Result<()> {
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
        let mut subtasks = Vec::new();
        for (index, keyed) in (0..count).zip(keyed) {
            let before = operator.subtasks().iter().find(|subtask| subtask.index.0 == index);
            let (raw_operator, raw_keyed) = self.raw(operator, before, is_same)?;
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
        let in_flight =
            |state: &SubtaskState| !state.input_channels.is_empty() || !state.result_subpartitions.is_empty();
        if !operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref()).any(in_flight) {
            return Ok(());
        }
        if self.plan.edits.drop_in_flight {
            self.report.notes.push("records in flight were left out".to_owned());
            return Ok(());
        }
        Err(Error::incompatible("the checkpoint is unaligned and holds records in flight, which a savepoint cannot"))
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
            keyed::write_rehashed(&parts, &mut states, &layout)
        };
        // The state that was refused is reported by the caller.
        let handles = handles?;
        self.report.states.extend(states.into_reports());
        Ok(handles)
    }

    /// State of the operator's own, which stays with its subtask.
    fn raw(
        &mut self,
        operator: &Operator,
        before: Option<&Subtask>,
        is_same: bool,
    ) -> Result<(Option<OperatorStateHandle>, Option<KeyedHandle>)> {
        let max = operator.max_parallelism;
        let source = self.carrier.source;
        let carried = |subtask| carried(source, max, subtask);
        if !is_same {
            return match operator.subtasks().iter().find_map(carried) {
                None => Ok((None, None)),
                Some(_) => Err(Error::incompatible(
                    "the operator has raw state, which only its own program can deal out to other subtasks",
                )),
            };
        }
        let Some((raw_operator, raw_keyed)) = before.and_then(carried) else { return Ok((None, None)) };
        let raw_operator = raw_operator.map(|handle| self.carrier.operator(handle)).transpose()?;
        let raw_keyed = raw_keyed.map(|handle| self.carrier.keyed(handle)).transpose()?;
        let note = "raw state was carried as it is".to_owned();
        if !self.report.notes.contains(&note) {
            self.report.notes.push(note);
        }
        Ok((raw_operator, raw_keyed))
    }
}

/// Raw state of a subtask, timers excepted; `None` where it has none.
fn carried<'s>(
    source: &SnapshotReader,
    max: MaxParallelism,
    subtask: &'s Subtask,
) -> Option<(Option<&'s OperatorStateHandle>, Option<&'s KeyedHandle>)> {
    let state = subtask.state.as_deref()?;
    let is_timers = |handle: &KeyedHandle| Part::raw(source, max, handle).is_ok();
    let keyed = state.raw_keyed.as_ref().filter(|handle| !is_timers(handle));
    let operator = state.raw_operator.as_ref();
    if operator.is_none() && keyed.is_none() { None } else { Some((operator, keyed)) }
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
    Ok(parts)
}
