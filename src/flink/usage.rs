//! What takes up the space of a snapshot.

use std::collections::BTreeMap;

use super::export::Part;
use super::operator::OperatorState;
use super::reader::OperatorReader;
use crate::codec::Reader;
use crate::error::{Error, ErrorKind, Result};
use crate::format::flink::header::{StateInfo, StateType};
use crate::format::record::StateKind;
use crate::key_group::KeyGroup;

/// What takes up the space of an operator.
///
/// Bytes are those of keys and values in the form that canonical files have, before compression, so that they can be
/// compared whatever the form of the snapshot. An entry of a map counts as one, of operator lists an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The states, ascending by name.
    pub states: Vec<StateUsage>,
    /// The key groups that have entries, ascending; empty where some could not be read.
    pub groups: Vec<GroupUsage>,
    /// Why entries could not be counted.
    pub unread: Vec<String>,
}

/// What a state takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateUsage {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: StateKind,
    /// Entries and their bytes; `None` where not all could be read.
    pub taken: Option<Taken>,
}

/// What a key group takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupUsage {
    /// The key group.
    pub group: KeyGroup,
    /// Its entries and their bytes.
    pub taken: Taken,
}

/// Entries and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Number of entries.
    pub entries: u64,
    /// Their keys and values, in bytes.
    pub bytes: u64,
}

impl Taken {
    fn add(&mut self, bytes: usize) {
        self.entries = self.entries.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

/// Totals that are being counted.
#[derive(Default)]
struct Count {
    states: BTreeMap<(String, StateType), (StateKind, Taken)>,
    groups: BTreeMap<KeyGroup, Taken>,
    unread: Vec<String>,
}

impl OperatorReader<'_> {
    /// Counts the entries of an operator and their bytes, key group by key group. Reads all of its state, except what may
    /// not or cannot be read here; damage is an error.
    pub fn usage(&self) -> Result<Usage> {
        self.count().map_err(|error| error.in_operator(self.label()))
    }

    fn count(&self) -> Result<Usage> {
        let mut count = Count::default();
        let keyed = self.keyed()?;
        keyed.states().iter().for_each(|state| count.announce(state));
        count.unread.extend(keyed.gaps().iter().map(|gap| gap.error.message().to_owned()));
        count.keyed(self)?;
        let is_counted = count.unread.is_empty();
        for subtask in self.operator_state()? {
            count.elements(&subtask)?;
        }
        let state = |((name, state_type), (kind, taken)): ((String, StateType), (StateKind, Taken))| {
            let is_keyed = !matches!(state_type, StateType::Operator | StateType::Broadcast);
            StateUsage { name, kind, taken: (is_counted || !is_keyed).then_some(taken) }
        };
        let groups = count.groups.into_iter().map(|(group, taken)| GroupUsage { group, taken });
        count.unread.sort();
        count.unread.dedup();
        Ok(Usage {
            states: count.states.into_iter().map(state).collect(),
            groups: if is_counted { groups.collect() } else { Vec::new() },
            unread: count.unread,
        })
    }
}

impl Count {
    fn announce(&mut self, state: &StateInfo) {
        self.states.entry((state.name.clone(), state.state_type)).or_insert_with(|| (state.kind(), Taken::default()));
    }

    fn keyed(&mut self, operator: &OperatorReader<'_>) -> Result<()> {
        let (snapshot, max) = (operator.snapshot(), operator.max_parallelism());
        let mut parts = Vec::new();
        for state in operator.description().subtasks().iter().filter_map(|subtask| subtask.state.as_deref()) {
            let managed = state.managed_keyed.iter().map(|handle| Part::managed(snapshot, max, handle));
            let raw = state.raw_keyed.iter().map(|handle| Part::raw(snapshot, max, handle));
            for part in managed.chain(raw) {
                parts.extend(self.read(part)?);
            }
        }
        let settled = Part::settle_keys(&mut parts);
        self.read(settled)?;
        for part in &parts {
            let counted = self.part(part);
            part.close();
            self.read(counted)?;
        }
        Ok(())
    }

    /// Notes what cannot be read here; damage is an error.
    fn read<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::Incompatible => {
                self.unread.push(error.message().to_owned());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn part(&mut self, part: &Part<'_>) -> Result<()> {
        if let Some(unreadable) = &part.header.unreadable {
            return Err(Error::incompatible(unreadable.reason.clone()));
        }
        let mut totals = vec![Taken::default(); part.header.states.len()];
        for group in part.range.iter() {
            let mut of_group = Taken::default();
            part.visit(group, &mut |id, key, value| {
                let bytes = key.len().saturating_add(value.len());
                totals.get_mut(usize::from(id)).into_iter().for_each(|total| total.add(bytes));
                of_group.add(bytes);
                Ok(())
            })
            .map_err(|error| error.in_key_group(group.0))?;
            if of_group.entries > 0 {
                let total = self.groups.entry(group).or_default();
                total.entries = total.entries.saturating_add(of_group.entries);
                total.bytes = total.bytes.saturating_add(of_group.bytes);
            }
        }
        for (state, taken) in part.header.states.iter().zip(totals) {
            self.announce(state);
            if let Some((_, total)) = self.states.get_mut(&(state.name.clone(), state.state_type)) {
                total.entries = total.entries.saturating_add(taken.entries);
                total.bytes = total.bytes.saturating_add(taken.bytes);
            }
        }
        Ok(())
    }

    fn elements(&mut self, subtask: &OperatorState) -> Result<()> {
        subtask.states().for_each(|state| self.announce(state));
        for element in subtask.stored_elements() {
            let element = element?;
            let Some(info) = subtask.states().find(|state| state.name == element.state) else { continue };
            if let Some((_, total)) = self.states.get_mut(&(info.name.clone(), info.state_type)) {
                total.add(element.bytes.len());
                if info.state_type == StateType::Broadcast {
                    // The whole map is one element, which begins with the number of its entries.
                    let entries = Reader::new(&element.bytes).u32("number of map entries")?;
                    total.entries = total.entries.saturating_sub(1).saturating_add(entries.into());
                }
            }
        }
        Ok(())
    }
}
