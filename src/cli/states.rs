//! The states of a snapshot, whichever system wrote it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use millpond::format::record::StateKind;
use millpond::ids::OperatorId;
use millpond::key_group::{KeyGroupRange, MaxParallelism};
use millpond::snapshot::Entry;

use super::open::Opened;

/// Which states are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'w> {
    pub(super) operator: Option<&'w str>,
    pub(super) state: Option<&'w str>,
}

/// One state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) id: OperatorId,
    /// How the operator is called.
    pub(super) operator: String,
    pub(super) name: String,
    pub(super) kind: StateKind,
    pub(super) max_parallelism: MaxParallelism,
    /// By what keys are assigned to key groups.
    pub(super) key_groups_by: &'static str,
}

/// States, by operator and name.
#[derive(Debug)]
pub(super) struct States(Vec<State>);

/// Takes an entry.
type Visitor<'v> = dyn FnMut(Entry) -> millpond::Result<ControlFlow<()>> + 'v;

impl States {
    pub(super) fn of(opened: &Opened, wanted: Wanted<'_>) -> millpond::Result<Self> {
        let mut states = match opened {
            Opened::Millpond(snapshot) => {
                let operators = snapshot.operators();
                operators.flat_map(|operator| own_states(&operator)).collect()
            }
            Opened::Flink(snapshot) => {
                let mut states = Vec::new();
                for operator in snapshot.operators() {
                    states.extend(flink_states(&operator)?);
                }
                states
            }
        };
        states.retain(|state: &State| {
            let is_operator = |name: &str| {
                state.operator == name || OperatorId::from_uid(name) == state.id || state.id.to_string() == name
            };
            wanted.operator.is_none_or(is_operator) && wanted.state.is_none_or(|name| state.name == name)
        });
        states.sort_by(|a, b| (a.id, &a.name).cmp(&(b.id, &b.name)));
        Ok(States(states))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &State> {
        self.0.iter()
    }

    pub(super) fn find(&self, id: OperatorId, name: &str) -> Option<&State> {
        self.0.iter().find(|state| state.id == id && state.name == name)
    }
}

fn own_states(operator: &millpond::snapshot::OperatorReader<'_>) -> Vec<State> {
    let description = operator.description();
    let state = |state: &millpond::format::record::StateMeta| State {
        id: description.id,
        operator: description.label(),
        name: state.name.clone(),
        kind: state.kind,
        max_parallelism: description.max_parallelism,
        key_groups_by: description.assignment.name(),
    };
    description.states.iter().map(state).collect()
}

fn flink_states(operator: &millpond::flink::OperatorReader<'_>) -> millpond::Result<Vec<State>> {
    let keyed = operator.keyed()?;
    keyed.check_complete()?;
    let mut names: BTreeSet<(String, StateKind)> =
        keyed.states().iter().map(|state| (state.name.clone(), state.kind())).collect();
    for subtask in operator.operator_state()? {
        names.extend(subtask.states().map(|state| (state.name.clone(), state.kind())));
    }
    let state = |(name, kind)| State {
        id: operator.description().id,
        operator: operator.label(),
        name,
        kind,
        max_parallelism: operator.max_parallelism(),
        key_groups_by: "flink",
    };
    Ok(names.into_iter().map(state).collect())
}

impl State {
    /// Gives the entries to `visit`: all, or those of some key groups.
    pub(super) fn entries(
        &self,
        opened: &Opened,
        groups: Option<KeyGroupRange>,
        visit: &mut Visitor<'_>,
    ) -> millpond::Result<()> {
        let groups = groups.unwrap_or_else(|| self.max_parallelism.all_groups());
        match opened {
            Opened::Millpond(snapshot) => match snapshot.operator_by_id(self.id) {
                Some(operator) => operator.state(&self.name)?.in_groups(groups).entries(visit),
                None => Ok(()),
            },
            Opened::Flink(snapshot) => match snapshot.operator_by_id(self.id) {
                Some(operator) => operator.state(&self.name)?.in_groups(groups).entries(visit),
                None => Ok(()),
            },
        }
    }
}
