//! Operator state, dealt out to another number of subtasks as Flink would on restore.

use std::collections::BTreeMap;

use super::edits::Plan;
use super::own::OwnElement;
use super::report::{Outcome, StateReport};
use super::savepoint::Target;
use crate::error::{Error, Result};
use crate::flink::SnapshotReader;
use crate::format::flink::header::{OperatorHeader, StateInfo};
use crate::format::flink::metadata::{Distribution, Operator, OperatorStateHandle};
use crate::format::flink::operator::{FileWriter, RawElement, raw_elements};

/// Operator state of all subtasks of an operator.
pub(super) struct Elements {
    /// The list states, then the broadcast states, of all subtasks.
    lists: Vec<StateInfo>,
    broadcasts: Vec<StateInfo>,
    /// Elements of each state by the subtask that wrote them.
    elements: BTreeMap<String, Vec<(u32, Vec<u8>)>>,
    distribution: BTreeMap<String, Distribution>,
    reports: Vec<StateReport>,
}

impl Elements {
    /// Reads managed operator state, as far as `plan` keeps it.
    pub(super) fn read(reader: &SnapshotReader, operator: &Operator, plan: &Plan<'_>) -> Result<Self> {
        let mut all = Elements {
            lists: Vec::new(),
            broadcasts: Vec::new(),
            elements: BTreeMap::new(),
            distribution: BTreeMap::new(),
            reports: Vec::new(),
        };
        for subtask in operator.subtasks() {
            let Some(handle) = subtask.state.as_ref().and_then(|state| state.managed_operator.as_ref()) else {
                continue;
            };
            let stream = reader.stream(&handle.stream)?;
            if stream.as_ref().is_empty() && handle.states.is_empty() {
                continue;
            }
            all.add(subtask.index.0, handle, stream.as_ref(), operator, plan).map_err(|error| stream.locate(error))?;
        }
        Ok(all)
    }

    /// Elements of ours, with their description.
    pub(super) fn of_own(
        header: &OperatorHeader,
        elements: Vec<OwnElement>,
        operator: &Operator,
        plan: &Plan<'_>,
    ) -> Result<Self> {
        let mut all = Elements {
            lists: Vec::new(),
            broadcasts: Vec::new(),
            elements: BTreeMap::new(),
            distribution: BTreeMap::new(),
            reports: Vec::new(),
        };
        all.describe(header, operator, plan)?;
        for OwnElement { state, distribution, subtask, bytes } in elements {
            all.take(operator, plan, &state, distribution, subtask, bytes);
        }
        Ok(all)
    }

    /// Adds an element, unless its state is left out.
    fn take(
        &mut self,
        operator: &Operator,
        plan: &Plan<'_>,
        state: &str,
        distribution: Distribution,
        subtask: u32,
        bytes: Vec<u8>,
    ) {
        if plan.drops_state(operator, state) {
            return;
        }
        if let Some(report) = self.reports.iter_mut().find(|report| report.state == state) {
            report.entries = report.entries.saturating_add(1);
            report.bytes = report.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        }
        let name = plan.state_name(operator, state);
        self.distribution.insert(name.clone(), distribution);
        self.elements.entry(name).or_default().push((subtask, bytes));
    }

    fn add(
        &mut self,
        subtask: u32,
        handle: &OperatorStateHandle,
        file: &[u8],
        operator: &Operator,
        plan: &Plan<'_>,
    ) -> Result<()> {
        let header = OperatorHeader::read(&mut crate::codec::Reader::new(file))?;
        if let Some(reason) = &header.unreadable {
            return Err(Error::incompatible(format!("the states could not be read from their header: {reason}")));
        }
        self.describe(&header, operator, plan)?;
        for element in raw_elements(&header, &handle.states, file) {
            let RawElement { state, distribution, bytes } = element?;
            self.take(operator, plan, state, distribution, subtask, bytes.into_owned());
        }
        Ok(())
    }

    fn describe(&mut self, header: &OperatorHeader, operator: &Operator, plan: &Plan<'_>) -> Result<()> {
        for (infos, known) in [(&header.lists, &mut self.lists), (&header.broadcasts, &mut self.broadcasts)] {
            for info in infos {
                let dropped = plan.drops_state(operator, &info.name);
                let name = plan.state_name(operator, &info.name);
                if !self.reports.iter().any(|report| report.state == info.name) {
                    self.reports.push(report(info, &name, dropped));
                }
                if dropped {
                    continue;
                }
                let renamed = StateInfo { name, ..info.clone() };
                match known.iter().find(|other| other.name == renamed.name) {
                    None => known.push(renamed),
                    Some(other) if same(other, &renamed) => {}
                    Some(_) => {
                        let message = "subtasks describe the serializers of the state differently, so their elements \
                            cannot be put into one file";
                        return Err(Error::incompatible(message).in_state(&info.name));
                    }
                }
            }
        }
        Ok(())
    }

    /// What became of the states.
    pub(super) fn reports(&self) -> Vec<StateReport> {
        self.reports.clone()
    }

    /// Whether no subtask has any.
    pub(super) fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.broadcasts.is_empty()
    }

    /// Writes the files of `count` subtasks, of which there were `before`.
    pub(super) fn write(
        &self,
        target: &Target,
        compressed: bool,
        before: u32,
        count: u32,
    ) -> Result<Vec<OperatorStateHandle>> {
        let header = OperatorHeader {
            compressed,
            lists: self.lists.clone(),
            broadcasts: self.broadcasts.clone(),
            unreadable: None,
        };
        let mut handles = Vec::new();
        for subtask in 0..count {
            let mut file = FileWriter::new(&header)?;
            for state in self.lists.iter().chain(&self.broadcasts) {
                let elements = self.elements.get(&state.name).map(Vec::as_slice).unwrap_or_default();
                let distribution = self.distribution.get(&state.name).copied().unwrap_or(Distribution::Split);
                for element in dealt(elements, distribution, subtask, before, count) {
                    file.element(&state.name, element)?;
                }
            }
            let (bytes, states) = file.finish();
            let mut sink = target.file()?;
            sink.write(&bytes)?;
            handles.push(OperatorStateHandle { states, stream: sink.finish()?, merging: None });
        }
        Ok(handles)
    }
}

/// The elements that a subtask gets: of a list its share, of a union list those of the subtasks that fall to it, of
/// broadcast state one copy of the map.
pub(super) fn dealt<B: AsRef<[u8]>>(
    elements: &[(u32, B)],
    distribution: Distribution,
    subtask: u32,
    before: u32,
    count: u32,
) -> impl Iterator<Item = &[u8]> {
    let total = elements.len();
    let owner = move |position: usize, writer: u32| -> bool {
        match distribution {
            Distribution::Split if before == count => writer == subtask,
            Distribution::Split => share(position, total, count) == subtask,
            Distribution::Union if before <= count => writer == subtask,
            Distribution::Union => {
                u64::from(writer) * u64::from(count) / u64::from(before.max(1)) == u64::from(subtask)
            }
            Distribution::Broadcast => position == 0,
        }
    };
    elements
        .iter()
        .enumerate()
        .filter(move |(position, (writer, _))| owner(*position, *writer))
        .map(|(_, (_, element))| element.as_ref())
}

/// Which of `count` subtasks gets the element at `position` of `total`: the first ones get one more where they do not
/// come out even.
fn share(position: usize, total: usize, count: u32) -> u32 {
    let count = usize::try_from(count).unwrap_or(1).max(1);
    let (base, larger) = (total / count, total % count);
    let in_larger = larger.saturating_mul(base.saturating_add(1));
    let subtask = match position.checked_sub(in_larger) {
        None => position / base.saturating_add(1),
        Some(rest) => larger.saturating_add(rest.checked_div(base).unwrap_or(0)),
    };
    u32::try_from(subtask).unwrap_or(u32::MAX)
}

fn same(one: &StateInfo, other: &StateInfo) -> bool {
    let sorted = |state: &StateInfo| {
        let mut serializers: Vec<_> =
            state.serializers.iter().map(|(name, snapshot)| (name.clone(), snapshot.bytes.clone())).collect();
        serializers.sort();
        let mut options = state.options.clone();
        options.sort();
        (state.state_type, options, serializers)
    };
    sorted(one) == sorted(other)
}

fn report(info: &StateInfo, written_as: &str, dropped: bool) -> StateReport {
    let value = info.value();
    let outcome = match value.and_then(|value| value.serializer.opaque_part()) {
        _ if dropped => Outcome::Dropped,
        Some(class) => Outcome::Carried(class.to_owned()),
        None => Outcome::Converted,
    };
    StateReport {
        state: info.name.clone(),
        written_as: written_as.to_owned(),
        kind: info.kind().to_string(),
        value_type: value.map_or("an unknown type", |value| value.serializer.name()).to_owned(),
        outcome,
        entries: 0,
        bytes: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_dealt_out_as_evenly_as_can_be() {
        for (total, count) in [(0usize, 3u32), (1, 3), (7, 3), (8, 4), (5, 8)] {
            let owners: Vec<u32> = (0..total).map(|position| share(position, total, count)).collect();
            assert!(owners.is_sorted(), "{owners:?}");
            let counts: Vec<usize> =
                (0..count).map(|subtask| owners.iter().filter(|owner| **owner == subtask).count()).collect();
            assert_eq!(counts.iter().sum::<usize>(), total);
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        }
    }

    #[test]
    fn every_kind_of_operator_state_is_dealt_out_in_its_own_way() {
        let elements: Vec<(u32, Vec<u8>)> = [(0, 1), (0, 2), (1, 3), (2, 4)].map(|(w, b)| (w, vec![b])).into();
        let of = |distribution, before, count| -> Vec<Vec<u8>> {
            (0..count).map(|s| dealt(&elements, distribution, s, before, count).flatten().copied().collect()).collect()
        };
        assert_eq!(of(Distribution::Split, 3, 3), [vec![1, 2], vec![3], vec![4]]);
        assert_eq!(of(Distribution::Split, 3, 2), [vec![1, 2], vec![3, 4]]);
        assert_eq!(of(Distribution::Union, 3, 2), [vec![1, 2, 3], vec![4]]);
        assert_eq!(of(Distribution::Union, 3, 4), [vec![1, 2], vec![3], vec![4], vec![]]);
        assert_eq!(of(Distribution::Broadcast, 3, 2), [vec![1], vec![1]]);
    }
}
