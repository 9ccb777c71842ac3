//! State of coordinators and raw operator state, which only their own programs understand.

use super::edits::Plan;
use super::operator::dealt;
use super::report::{Outcome, StateReport};
use super::savepoint::Target;
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::flink::raw::{self, Partition};
use crate::flink::{COORDINATOR_STATE, RAW_OPERATOR_STATE, SnapshotReader};
use crate::format::flink::metadata::{Distribution, InlineBytes, Operator, OperatorStateHandle, PartitionOffsets};
use crate::format::record::{StateKind, StateMeta};
use crate::format::section::Owner;
use crate::ids::SubtaskIndex;
use crate::serializer::SerializerSnapshot;
use crate::snapshot::OperatorReader as OwnOperator;

/// What an operator has of it.
#[derive(Default)]
pub(super) struct Carried {
    coordinator: Option<Vec<u8>>,
    partitions: Vec<Partition>,
}

/// Whether a state of ours holds what an import carried.
pub(super) fn is_carried(meta: &StateMeta) -> bool {
    [COORDINATOR_STATE, RAW_OPERATOR_STATE].contains(&meta.name.as_str())
        && meta.kind == StateKind::OperatorList
        && meta.value == SerializerSnapshot::Bytes
}

impl Carried {
    /// What an import left in an operator of ours, as far as `plan` keeps it.
    pub(super) fn of_own(operator: OwnOperator<'_>, stub: &Operator, plan: &Plan<'_>) -> Result<Self> {
        let mut carried = Carried::default();
        for meta in operator.states().iter().filter(|meta| is_carried(meta)) {
            if plan.drops_state(stub, &meta.name) {
                continue;
            }
            let partitions = elements(operator, meta).map_err(|error| error.in_state(&meta.name))?;
            if meta.name == RAW_OPERATOR_STATE {
                carried.partitions = partitions;
                continue;
            }
            let count = partitions.len();
            let mut partitions = partitions.into_iter();
            carried.coordinator = match (partitions.next(), partitions.next()) {
                (None, _) => None,
                (Some(state), None) => Some(state.bytes),
                (Some(_), Some(_)) => {
                    let message =
                        format!("a coordinator has one state, not {count}; drop it, or take an earlier snapshot");
                    return Err(Error::incompatible(message).in_state(&meta.name));
                }
            };
        }
        Ok(carried)
    }

    /// What an operator of Flink's has, as far as `plan` keeps it.
    pub(super) fn of_flink(source: &SnapshotReader, operator: &Operator, plan: &Plan<'_>) -> Result<Self> {
        let mut carried = Carried::default();
        if let Some(coordinator) = &operator.coordinator
            && !plan.drops_state(operator, COORDINATOR_STATE)
        {
            carried.coordinator = Some(coordinator.bytes.clone());
        }
        let partitions = raw::partitions(source, operator)?;
        if !partitions.is_empty() && !plan.drops_state(operator, RAW_OPERATOR_STATE) {
            carried.partitions = partitions;
        }
        Ok(carried)
    }

    /// What became of it.
    pub(super) fn reports(&self) -> Vec<StateReport> {
        let report = |state: &str, kind: &str, entries: usize, bytes: usize| StateReport {
            state: state.to_owned(),
            written_as: state.to_owned(),
            kind: kind.to_owned(),
            value_type: "bytes".to_owned(),
            outcome: Outcome::Carried(format!("{kind} state")),
            entries: u64::try_from(entries).unwrap_or(u64::MAX),
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
        };
        let coordinator = self.coordinator.iter().map(|bytes| report(COORDINATOR_STATE, "coordinator", 1, bytes.len()));
        let bytes = self.partitions.iter().map(|partition| partition.bytes.len()).fold(0, usize::saturating_add);
        let raw = (!self.partitions.is_empty())
            .then(|| report(RAW_OPERATOR_STATE, "raw-operator", self.partitions.len(), bytes));
        coordinator.chain(raw).collect()
    }

    /// Whether a coordinator's state is kept.
    pub(super) fn has_coordinator(&self) -> bool {
        self.coordinator.is_some()
    }

    /// The state of the coordinator, for the metadata.
    pub(super) fn coordinator(&self, target: &Target) -> Result<Option<InlineBytes>> {
        let inline = |bytes: &Vec<u8>| Ok(InlineBytes { name: target.new_name()?, bytes: bytes.clone() });
        self.coordinator.as_ref().map(inline).transpose()
    }

    /// Writes the raw state of `count` subtasks, of which there were `before`: partitions are dealt out as Flink would.
    pub(super) fn write_raw(
        &self,
        target: &Target,
        before: u32,
        count: u32,
    ) -> Result<Vec<Option<OperatorStateHandle>>> {
        let mut names: Vec<(&str, Distribution)> =
            self.partitions.iter().map(|partition| (partition.name.as_str(), partition.distribution)).collect();
        names.sort_by_key(|(name, _)| *name);
        names.dedup_by_key(|(name, _)| *name);
        (0..count).map(|subtask| self.write_subtask(target, &names, (subtask, before, count))).collect()
    }

    fn write_subtask(
        &self,
        target: &Target,
        names: &[(&str, Distribution)],
        (subtask, before, count): (u32, u32, u32),
    ) -> Result<Option<OperatorStateHandle>> {
        let mut file = target.file()?;
        let mut states = Vec::new();
        for (name, distribution) in names {
            let of_name: Vec<(u32, &[u8])> = self
                .partitions
                .iter()
                .filter(|partition| partition.name == *name)
                .map(|partition| (partition.subtask.0, partition.bytes.as_slice()))
                .collect();
            let mut offsets = Vec::new();
            for bytes in dealt(&of_name, *distribution, subtask, before, count) {
                offsets.push(file.position());
                file.write(bytes)?;
            }
            if !offsets.is_empty() {
                states.push(PartitionOffsets { name: (*name).to_owned(), distribution: *distribution, offsets });
            }
        }
        if states.is_empty() {
            return Ok(None);
        }
        Ok(Some(OperatorStateHandle { states, stream: file.finish()?, merging: None }))
    }
}

/// The elements of a state that an import made.
fn elements(operator: OwnOperator<'_>, meta: &StateMeta) -> Result<Vec<Partition>> {
    let mut found = Vec::new();
    operator.state(&meta.name)?.pairs(|place, _, stored| {
        let Owner::Subtask(SubtaskIndex(index)) = place.owner else {
            return Err(Error::internal("operator state of a key group"));
        };
        let mut input = Reader::new(stored);
        let bytes = input.bytes("carried state").map_err(|error| place.locate(error))?.to_vec();
        let (name, distribution) = (raw::DEFAULT_NAME.to_owned(), Distribution::Split);
        found.push(Partition { subtask: SubtaskIndex(index), name, distribution, bytes });
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    Ok(found)
}
