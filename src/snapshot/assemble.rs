//! From what subtasks report to a manifest.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::format::manifest::{
    KeyedHandle, Manifest, OperatorSnapshot, OperatorStateHandle, SnapshotKind, SubtaskSnapshot,
};
use crate::format::record::StateMeta;
use crate::ids::{CheckpointId, JobId, OperatorId, SubtaskIndex};
use crate::key_group::{MaxParallelism, Parallelism};
use crate::serializer::SerializerSnapshot;

/// What one subtask of one operator contributes to a checkpoint, once everything it wrote is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubtaskReport {
    /// Uid of the operator.
    pub operator: String,
    /// The subtask.
    pub subtask: SubtaskIndex,
    /// Number of subtasks of the operator.
    pub parallelism: Parallelism,
    /// Max parallelism of the operator.
    pub max_parallelism: MaxParallelism,
    /// Serializer of the keys, for an operator with keyed state.
    pub key: Option<SerializerSnapshot>,
    /// Keyed and operator states, in any order.
    pub states: Vec<StateMeta>,
    /// Where the keyed state is.
    pub keyed: Option<KeyedHandle>,
    /// Where the operator state is.
    pub operator_state: Option<OperatorStateHandle>,
}

/// What a checkpoint is called.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotLabel {
    /// The job.
    pub job: JobId,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// Checkpoint or savepoint.
    pub kind: SnapshotKind,
    /// When it was taken, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// Puts the reports of all subtasks of all operators together.
///
/// Fails if a subtask is missing or reports twice, or if subtasks of one operator disagree about its parallelism or about
/// the type of a state; such a checkpoint must not be published.
pub fn assemble(label: SnapshotLabel, reports: Vec<SubtaskReport>) -> Result<Manifest> {
    let mut operators: BTreeMap<OperatorId, Vec<SubtaskReport>> = BTreeMap::new();
    for report in reports {
        operators.entry(OperatorId::from_uid(&report.operator)).or_default().push(report);
    }
    let operators = operators
        .into_iter()
        .map(|(id, reports)| {
            let uid = reports.first().map(|report| report.operator.clone()).unwrap_or_default();
            operator(id, reports).map_err(|error| error.in_operator(uid))
        })
        .collect::<Result<_>>()?;
    let SnapshotLabel { job, checkpoint, kind, created_ms } = label;
    Ok(Manifest { job, checkpoint, kind, created_ms, writer: Manifest::WRITER.to_owned(), operators })
}

fn operator(id: OperatorId, mut reports: Vec<SubtaskReport>) -> Result<OperatorSnapshot> {
    reports.sort_by_key(|report| report.subtask);
    let Some(first) = reports.first() else { return Err(Error::internal("an operator without reports")) };
    let (uid, parallelism, max_parallelism) = (first.operator.clone(), first.parallelism, first.max_parallelism);
    let expected: Vec<SubtaskIndex> = (0..parallelism.get()).map(SubtaskIndex).collect();
    let found: Vec<SubtaskIndex> = reports.iter().map(|report| report.subtask).collect();
    if expected != found {
        return Err(Error::invalid_input(format!(
            "{parallelism} subtasks were to report once each, the reports are of {found:?}"
        )));
    }
    let mut key = None;
    let mut assignment = None;
    let mut states: BTreeMap<String, StateMeta> = BTreeMap::new();
    let mut subtasks = Vec::with_capacity(reports.len());
    for report in reports {
        if (report.parallelism, report.max_parallelism, &report.operator) != (parallelism, max_parallelism, &uid) {
            return Err(Error::invalid_input(format!(
                "subtask {} of {:?} runs at {} of {}, subtask 0 of {uid:?} at {parallelism} of {max_parallelism}",
                report.subtask, report.operator, report.parallelism, report.max_parallelism
            )));
        }
        if let Some(reported) = report.key {
            agree("the key type", key.get_or_insert_with(|| reported.clone()), &reported)?;
        }
        if let Some(handle) = &report.keyed {
            agree("key groups", assignment.get_or_insert_with(|| handle.assignment.clone()), &handle.assignment)?;
        }
        check_distinct(&report.states)?;
        for state in report.states {
            let known = states.entry(state.name.clone()).or_insert_with(|| state.clone());
            agree("a state", known, &state).map_err(|error| error.in_state(&state.name))?;
        }
        let SubtaskReport { subtask: index, keyed, operator_state: operator, .. } = report;
        let keyed = keyed.map(Box::new);
        subtasks.push(SubtaskSnapshot { index, finished: false, keyed, operator });
    }
    Ok(OperatorSnapshot {
        id,
        uid: Some(uid),
        parallelism,
        max_parallelism,
        assignment: assignment.unwrap_or_default(),
        key,
        states: states.into_values().collect(),
        subtasks,
    })
}

/// Checks that the keyed and the operator state of a subtask have different names.
fn check_distinct(states: &[StateMeta]) -> Result<()> {
    let mut names = BTreeSet::new();
    match states.iter().find(|state| !names.insert(&state.name)) {
        None => Ok(()),
        Some(twice) => Err(Error::invalid_input(format!(
            "the name {:?} stands for two states, one of them {} state; give one of them another name",
            twice.name, twice.kind
        ))
        .in_state(&twice.name)),
    }
}

fn agree<T: PartialEq + std::fmt::Debug>(what: &str, known: &T, reported: &T) -> Result<()> {
    if known == reported {
        return Ok(());
    }
    Err(Error::invalid_input(format!("subtasks disagree about {what}: {known:?} and {reported:?}")))
}
