//! A job as its checkpoints know it: operators, their subtasks, and how what these report becomes a manifest and back.
//!
//! Operators that run in one subtask form a *chain*; the subtask is called after the first of them, the *head*, and
//! reports for all of them. A *generated* uid stands for a program's operator that was given none.

use std::collections::{BTreeMap, BTreeSet};

use super::pending::{Metadata, Subtask, SubtaskSnapshot};
use super::restore::{ProgramOperator, RecordedOperator, generated_id};
use crate::error::{Error, Result};
use crate::format::manifest::{Manifest, ObjectRef, ObjectScope, OperatorSnapshot, SnapshotKind};
use crate::ids::{CheckpointId, JobId, OperatorId, SubtaskIndex, check_name};
use crate::key_group::{MaxParallelism, Parallelism};
use crate::snapshot::{SnapshotLabel, SubtaskReport, assemble};

/// What a subtask acknowledges a checkpoint with: a report for each operator of its chain.
pub type Reports = Vec<SubtaskReport>;

/// An operator of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its uid, given by the program or generated.
    pub uid: String,
    /// Whether the uid is generated.
    pub generated: bool,
    /// Number of subtasks.
    pub parallelism: Parallelism,
    /// Number of key groups.
    pub max_parallelism: MaxParallelism,
    /// Uid of the first operator of its chain, which may be itself.
    pub head: String,
}

impl Operator {
    /// An operator with a uid of the program's, in a chain of its own.
    pub fn new(uid: &str, parallelism: Parallelism, max_parallelism: MaxParallelism) -> Self {
        Operator { uid: uid.to_owned(), generated: false, parallelism, max_parallelism, head: uid.to_owned() }
    }

    /// An operator without a uid, in a chain of its own. Its uid is generated from those of its inputs, and from the number
    /// of operators with the same inputs before it.
    pub fn generated(
        inputs: &[OperatorId],
        place: u32,
        parallelism: Parallelism,
        max_parallelism: MaxParallelism,
    ) -> Self {
        let uid = generated_id(inputs, place).to_string();
        Operator { generated: true, ..Operator::new(&uid, parallelism, max_parallelism) }
    }

    /// The same, in the chain that begins with the operator of this uid.
    #[must_use]
    pub fn chained_to(mut self, head: &str) -> Self {
        head.clone_into(&mut self.head);
        self
    }

    /// Its id.
    pub fn id(&self) -> OperatorId {
        OperatorId::from_uid(&self.uid)
    }

    fn head_id(&self) -> OperatorId {
        OperatorId::from_uid(&self.head)
    }

    fn subtasks(&self) -> impl Iterator<Item = Subtask> {
        let operator = self.head_id();
        (0..self.parallelism.get()).map(move |index| Subtask { operator, index: SubtaskIndex(index) })
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    id: JobId,
    operators: Vec<Operator>,
}

impl Job {
    /// A job of these operators. Fails if there is none, two have one uid, or a chain has no head or several parallelisms.
    pub fn new(id: JobId, operators: Vec<Operator>) -> Result<Self> {
        if operators.is_empty() {
            return Err(Error::invalid_input("a job without operators has nothing to take checkpoints of"));
        }
        let mut by_uid: BTreeMap<&str, &Operator> = BTreeMap::new();
        for operator in &operators {
            check_name("uid", &operator.uid)?;
            if by_uid.insert(&operator.uid, operator).is_some() {
                let message = format!("two operators have uid {:?}; give them different ones", operator.uid);
                return Err(Error::invalid_input(message));
            }
        }
        for operator in &operators {
            let head = by_uid.get(operator.head.as_str()).filter(|head| head.head == head.uid);
            let (uid, name) = (&operator.uid, &operator.head);
            match head {
                None => {
                    let message = format!("operator {uid:?} is chained to {name:?}, which begins no chain");
                    return Err(Error::invalid_input(message));
                }
                Some(head) if head.parallelism != operator.parallelism => {
                    return Err(Error::invalid_input(format!(
                        "operator {uid:?} has parallelism {} and is chained to {name:?}, which has {}",
                        operator.parallelism, head.parallelism
                    )));
                }
                Some(_) => {}
            }
        }
        Ok(Job { id, operators })
    }

    /// Its id.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Its operators, in the order given.
    pub fn operators(&self) -> &[Operator] {
        &self.operators
    }

    /// All subtasks.
    pub fn subtasks(&self) -> BTreeSet<Subtask> {
        self.operators.iter().flat_map(Operator::subtasks).collect()
    }

    /// The operators as restoring matches them.
    pub fn program(&self) -> Vec<ProgramOperator> {
        let program = self.operators.iter().map(|operator| ProgramOperator {
            id: operator.id(),
            uid: (!operator.generated).then(|| operator.uid.clone()),
            name: operator.uid.clone(),
        });
        program.collect()
    }

    /// Fails unless the reports are those of the chain of this subtask, one each.
    pub fn check(&self, subtask: Subtask, reports: &Reports) -> Result<()> {
        let chain = self.operators.iter().filter(|operator| operator.head_id() == subtask.operator);
        let mut expected: BTreeMap<&str, &Operator> = chain.map(|operator| (operator.uid.as_str(), operator)).collect();
        for report in reports {
            let uid = &report.operator;
            let Some(operator) = expected.remove(uid.as_str()) else {
                let message = format!("it reports for {uid:?}, which is not in its chain, or twice");
                return Err(Error::invalid_input(message));
            };
            let same = (report.subtask, report.parallelism, report.max_parallelism)
                == (subtask.index, operator.parallelism, operator.max_parallelism);
            if !same {
                return Err(Error::invalid_input(format!(
                    "it reports for subtask {} of {uid:?} at {} of {}; it is subtask {} at {} of {}",
                    report.subtask,
                    report.parallelism,
                    report.max_parallelism,
                    subtask.index,
                    operator.parallelism,
                    operator.max_parallelism
                )));
            }
        }
        match expected.keys().next() {
            None => Ok(()),
            Some(missing) => Err(Error::invalid_input(format!("it does not report for {missing:?}"))),
        }
    }

    /// The manifest of a checkpoint. Subtasks that had finished are in it as such. The same for equal arguments.
    pub fn manifest(&self, metadata: &Metadata<Reports>) -> Result<Manifest> {
        let label = SnapshotLabel {
            job: self.id,
            checkpoint: metadata.id,
            kind: if metadata.kind.is_savepoint() { SnapshotKind::Savepoint } else { SnapshotKind::Checkpoint },
            created_ms: metadata.triggered_at_ms,
        };
        let reports = metadata.snapshots.values().flat_map(|snapshot| snapshot.handle.iter().cloned());
        let mut reports: Vec<SubtaskReport> = reports.collect();
        let mut finished: BTreeSet<(OperatorId, SubtaskIndex)> = BTreeSet::new();
        for operator in &self.operators {
            for subtask in operator.subtasks().filter(|subtask| metadata.finished.contains(subtask)) {
                finished.insert((operator.id(), subtask.index));
                reports.push(nothing_left(operator, subtask.index));
            }
        }
        let mut manifest = assemble(label, reports)?;
        for operator in &mut manifest.operators {
            for subtask in &mut operator.subtasks {
                subtask.finished = finished.contains(&(operator.id, subtask.index));
            }
        }
        Ok(manifest)
    }

    /// Subtasks that have nothing left to do when the job starts from this manifest. With another parallelism than then,
    /// an operator is finished if all of it was: what the others had left is divided anew.
    pub fn finished(&self, manifest: &Manifest) -> BTreeSet<Subtask> {
        let mut finished = BTreeSet::new();
        for operator in self.operators.iter().filter(|operator| operator.head == operator.uid) {
            let Some(recorded) = manifest.operator(operator.id()) else { continue };
            let all = recorded.subtasks.iter().all(|subtask| subtask.finished);
            let same = recorded.parallelism == operator.parallelism;
            let is_finished = |index: SubtaskIndex| {
                all || (same && recorded.subtasks.iter().any(|subtask| subtask.index == index && subtask.finished))
            };
            finished.extend(operator.subtasks().filter(|subtask| is_finished(subtask.index)));
        }
        finished
    }

    /// Fails with [`Incompatible`](crate::ErrorKind::Incompatible) if an operator has another max parallelism than recorded.
    pub fn check_max_parallelism(&self, manifest: &Manifest) -> Result<()> {
        for operator in &self.operators {
            let Some(recorded) = manifest.operator(operator.id()) else { continue };
            if recorded.key.is_some() && recorded.max_parallelism != operator.max_parallelism {
                return Err(Error::incompatible(format!(
                    "the snapshot was taken with max parallelism {}, the operator has {}; keys are divided by it for ever, so \
                     give the operator the recorded one, or convert the snapshot",
                    recorded.max_parallelism, operator.max_parallelism
                ))
                .in_operator(&operator.uid));
            }
        }
        Ok(())
    }
}

/// The report of a subtask that has finished.
fn nothing_left(operator: &Operator, subtask: SubtaskIndex) -> SubtaskReport {
    SubtaskReport {
        operator: operator.uid.clone(),
        subtask,
        parallelism: operator.parallelism,
        max_parallelism: operator.max_parallelism,
        key: None,
        states: Vec::new(),
        keyed: None,
        operator_state: None,
    }
}

/// Every object that reports name; a shared one as often as it is named.
pub fn objects_of(reports: &Reports) -> impl Iterator<Item = &ObjectRef> {
    use crate::format::manifest::OperatorStateContent;
    reports.iter().flat_map(|report| {
        let operator = report.operator_state.iter().filter_map(|handle| match &handle.content {
            OperatorStateContent::Object(object) => Some(object),
            OperatorStateContent::Inline(_) => None,
        });
        report.keyed.iter().flat_map(|keyed| &keyed.objects).chain(operator)
    })
}

/// What the coordinator has to know of a stored checkpoint: which shared objects it references, and who had finished.
pub fn metadata_of(manifest: &Manifest, id: CheckpointId) -> Metadata<Reports> {
    let mut snapshots = BTreeMap::new();
    let mut finished = BTreeSet::new();
    for OperatorSnapshot { id: operator, subtasks, .. } in &manifest.operators {
        for recorded in subtasks {
            let subtask = Subtask { operator: *operator, index: recorded.index };
            if recorded.finished {
                finished.insert(subtask);
                continue;
            }
            let shared = recorded.objects().filter(|object| object.scope == ObjectScope::Shared);
            let snapshot =
                SubtaskSnapshot { handle: Vec::new(), uploaded: shared.cloned().collect(), reused: Vec::new() };
            snapshots.insert(subtask, snapshot);
        }
    }
    let kind = super::pending::Kind::Checkpoint;
    Metadata { id, kind, triggered_at_ms: manifest.created_ms, snapshots, finished }
}

/// The operators of a manifest as restoring matches them.
pub fn recorded_operators(manifest: &Manifest) -> Vec<RecordedOperator> {
    let recorded = manifest.operators.iter().map(|operator| RecordedOperator {
        id: operator.id,
        uid: operator.uid.clone(),
        states: operator.states.iter().map(|state| state.name.clone()).collect(),
    });
    recorded.collect()
}
