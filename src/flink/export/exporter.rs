//! One operator of ours, written.

use super::carried::Carried;
use super::edits::Plan;
use super::keyed::{self, States};
use super::operator::Elements;
use super::own::{self, OwnKeyed, Types};
use super::report::OperatorReport;
use super::savepoint::Target;
use super::source::Part;
use super::whole::{layout, scale};
use super::{Options, rehash};
use crate::error::{Error, Result};
use crate::flink::mapping::java_type;
use crate::format::flink::metadata::{KeyedHandle, Operator, Progress, Subtask, SubtaskState};
use crate::format::flink::serializer::Snapshot;
use crate::format::manifest::{KeyGroupAssignment, OperatorSnapshot, SubtaskSnapshot};
use crate::ids::{OperatorId, SubtaskIndex};
use crate::key_group::{MaxParallelism, Parallelism};
use crate::snapshot::OperatorReader as OwnOperator;

/// What Flink's metadata would say of an operator of ours that has no state.
pub(super) fn stub(operator: &OperatorSnapshot) -> Operator {
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
pub(super) struct Exporter<'r> {
    pub(super) target: &'r Target,
    pub(super) options: &'r Options<'r>,
    pub(super) plan: &'r Plan<'r>,
    pub(super) report: OperatorReport,
}

impl Exporter<'_> {
    pub(super) fn operator(
        &mut self,
        operator: OwnOperator<'_>,
        stub: &Operator,
        types: Types<'_>,
    ) -> Result<Operator> {
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
        let carried = Carried::of_own(operator, stub, self.plan)?;
        written.coordinator = carried.coordinator(self.target)?;
        let raw = carried.write_raw(self.target, stub.parallelism.get(), parallelism.get())?;
        self.report.states.extend(carried.reports());
        let finished = finished(operator.description(), parallelism)?;
        if finished.iter().all(|finished| *finished) {
            written.progress = Progress::Finished;
            return Ok(written);
        }
        let mut managed = managed.into_iter();
        let mut subtasks = Vec::new();
        for (((index, managed_keyed), raw_operator), finished) in (0..).zip(keyed).zip(raw).zip(finished) {
            let state = SubtaskState {
                managed_operator: managed.next(),
                raw_operator,
                managed_keyed,
                raw_keyed: None,
                input_channels: Vec::new(),
                result_subpartitions: Vec::new(),
            };
            let state = (!finished).then(|| Box::new(state));
            subtasks.push(Subtask { index: SubtaskIndex(index), state });
        }
        written.progress = Progress::Running(subtasks);
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
        let keeps_groups =
            max == stub.max_parallelism && stays(&operator.description().assignment, header.key.as_ref());
        let parts = vec![Part::own(header, own, stub.max_parallelism)];
        let mut states = States::plan(&parts, self.plan, stub);
        let layout = layout(self.target, self.options, self.plan, max, parallelism)?;
        let handles = match keeps_groups {
            true => keyed::write(&parts, &mut states, &layout),
            false => rehash::write(&parts, &mut states, &layout),
        }?;
        self.report.states.extend(states.into_reports());
        Ok(handles)
    }

    fn elements(&mut self, operator: OwnOperator<'_>, stub: &Operator, types: Types<'_>) -> Result<Elements> {
        let (header, elements) = own::elements(operator, stub, types, self.plan, &mut self.report.states)?;
        Elements::of_own(&header, elements, stub, self.plan)
    }
}

/// Whether keys stay in their key groups: Flink's hash decided, and that of the type that they are written as does not differ, as it
/// does where a SQL row becomes a tuple.
fn stays(assignment: &KeyGroupAssignment, key: Option<&Snapshot>) -> bool {
    let KeyGroupAssignment::Flink(old) = assignment else { return false };
    let new = key.map(|key| java_type(&key.serializer));
    new.is_none_or(|new| new == *old || new.unknown_class().is_some())
}

/// Which subtasks have finished: those that said so and have no state.
fn finished(operator: &OperatorSnapshot, parallelism: Parallelism) -> Result<Vec<bool>> {
    let count = usize::try_from(parallelism.get()).unwrap_or(usize::MAX);
    let is_finished =
        |subtask: &SubtaskSnapshot| subtask.finished && subtask.keyed.is_none() && subtask.operator.is_none();
    let finished: Vec<bool> = operator.subtasks.iter().map(is_finished).collect();
    match finished.iter().filter(|finished| **finished).count() {
        0 => Ok(vec![false; count]),
        all if all == finished.len() => Ok(vec![true; count]),
        _ if operator.parallelism == parallelism => Ok(finished),
        _ => Err(Error::incompatible("some subtasks have finished, so the others cannot be dealt out anew")),
    }
}
