//! The whole snapshot: operator by operator.

use super::edits::{self, Edits, KeyFilter, Plan};
use super::exporter::{self, Exporter};
use super::keyed;
use super::own::Types;
use super::report::{OperatorReport, Outcome, Report, StateReport};
use super::rewriter::Rewriter;
use super::savepoint::Target;
use super::streams::Carrier;
use super::{Form, Options};
use crate::error::{Error, ErrorKind, Result};
use crate::flink::SnapshotReader;
use crate::format::flink::metadata::{Metadata, Operator, Version};
use crate::ids::OperatorId;
use crate::key_group::{KeyGroupRange, MaxParallelism, Parallelism};
use crate::snapshot::SnapshotReader as OwnReader;
use crate::sort::Scratch;

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
        let written =
            reported(written, rewriter.report, report).map_err(|error| error.in_operator(edits::label(operator)))?;
        operators.extend(written);
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
        return Err(Error::invalid_input(
            "a snapshot of millpond's has no files of Flink's to keep or to name elsewhere: ask for `Form::Canonical` \
             or --to flink-canonical, without moved files",
        ));
    }
    let plan = Plan::new(edits)?;
    let types = Types { classes, like: *like };
    let mut operators = Vec::new();
    for operator in source.operators() {
        let stub = exporter::stub(operator.description());
        if plan.drops_operator(&stub) {
            report.operators.push(described(&stub));
            continue;
        }
        let mut exporter = Exporter { target, options, plan: &plan, report: described(&stub) };
        let written = exporter.operator(operator, &stub, types);
        let written =
            reported(written, exporter.report, report).map_err(|error| error.in_operator(edits::label(&stub)))?;
        operators.extend(written);
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

/// Max parallelism and parallelism of the result.
pub(super) fn scale(plan: &Plan<'_>, operator: &Operator) -> Result<(MaxParallelism, Parallelism)> {
    let max = plan.edits.max_parallelism.unwrap_or(operator.max_parallelism);
    let asked = plan.edits.parallelism.unwrap_or(operator.parallelism.get());
    Ok((max, Parallelism::new(asked.min(max.get()), max)?))
}

/// What is asked of the files of keyed state.
pub(super) fn layout<'l>(
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
        scratch: options.scratch.as_ref().map(Scratch::later_in),
        memory_bytes: options.memory_bytes,
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

/// Puts what became of an operator into the report; a refusal ends the operator, not the report.
fn reported(
    written: Result<Operator>,
    mut of_operator: OperatorReport,
    report: &mut Report,
) -> Result<Option<Operator>> {
    let written = match written {
        Ok(written) => {
            of_operator.written_as = Some(edits::label(&written));
            of_operator.id = written.id.to_string();
            of_operator.parallelism = written.parallelism.get();
            of_operator.max_parallelism = written.max_parallelism.get();
            Some(written)
        }
        Err(error) if error.kind() == ErrorKind::Incompatible => {
            of_operator.states.push(refusal(&error));
            None
        }
        Err(error) => return Err(error),
    };
    report.operators.push(of_operator);
    Ok(written)
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
