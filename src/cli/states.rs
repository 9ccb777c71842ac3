//! The states of a snapshot, whichever system wrote it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use millpond::format::java_type::JavaType;
use millpond::format::manifest::KeyGroupAssignment;
use millpond::format::record::StateKind;
use millpond::ids::OperatorId;
use millpond::key_group::{KeyGroupRange, MaxParallelism};
use millpond::snapshot::{self, Entry};
use millpond::{Error, flink};

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
    /// By what keys are assigned to key groups: the name of a hash, and of Java's hash codes the type.
    pub(super) key_groups_by: String,
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

    /// The state that has the name and operator of `state`, which may be one of another snapshot. States of several kinds can be called
    /// alike; another kind is taken only where there is no choice, as after a conversion.
    pub(super) fn counterpart(&self, state: &State) -> Option<&State> {
        let mut alike = self.0.iter().filter(|other| other.id == state.id && other.name == state.name);
        match (alike.clone().find(|other| other.kind == state.kind), alike.next(), alike.next()) {
            (Some(same), ..) => Some(same),
            (None, only, None) => only,
            (None, ..) => None,
        }
    }

    /// These states, and those of `others` without a counterpart here, by operator and name.
    pub(super) fn union<'s>(&'s self, others: &'s States) -> Vec<&'s State> {
        let more = others.0.iter().filter(|state| self.counterpart(state).is_none());
        let mut all: Vec<&State> = self.0.iter().chain(more).collect();
        all.sort_by(|a, b| (a.id, &a.name).cmp(&(b.id, &b.name)));
        all
    }
}

fn by_hash_code(key: Option<&JavaType>) -> String {
    key.map_or_else(|| "flink".to_owned(), |key| format!("flink {key}"))
}

fn own_states(operator: &millpond::snapshot::OperatorReader<'_>) -> Vec<State> {
    let description = operator.description();
    let state = |state: &millpond::format::record::StateMeta| State {
        id: description.id,
        operator: description.label(),
        name: state.name.clone(),
        kind: state.kind,
        max_parallelism: description.max_parallelism,
        key_groups_by: match &description.assignment {
            KeyGroupAssignment::Flink(key) => by_hash_code(Some(key)),
            other => other.name().to_owned(),
        },
    };
    description.states.iter().map(state).collect()
}

fn flink_states(operator: &millpond::flink::OperatorReader<'_>) -> millpond::Result<Vec<State>> {
    let keyed = operator.keyed()?;
    keyed.check_complete()?;
    let key = keyed.key_type();
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
        key_groups_by: by_hash_code(key.as_ref()),
    };
    Ok(names.into_iter().map(state).collect())
}

/// A state that is read.
#[derive(Debug)]
pub(super) enum Reader<'o> {
    Millpond(snapshot::StateReader<'o>),
    Flink(Box<flink::StateReader<'o>>),
}

impl State {
    /// Opens the state. What that takes is taken once, however often the reader is asked for entries.
    pub(super) fn reader<'o>(&self, opened: &'o Opened) -> millpond::Result<Reader<'o>> {
        let missing = || Error::not_found("the operator is not in the snapshot").in_state(&self.name);
        match opened {
            Opened::Millpond(snapshot) => {
                let operator = snapshot.operator_by_id(self.id).ok_or_else(missing)?;
                operator.state(&self.name).map(Reader::Millpond)
            }
            Opened::Flink(snapshot) => {
                let operator = snapshot.operator_by_id(self.id).ok_or_else(missing)?;
                operator.state_of_kind(&self.name, self.kind).map(|state| Reader::Flink(Box::new(state)))
            }
        }
    }
}

impl Reader<'_> {
    /// Gives the entries to `visit`: all, or those of some key groups.
    pub(super) fn entries(&self, groups: Option<KeyGroupRange>, visit: &mut Visitor<'_>) -> millpond::Result<()> {
        match (self, groups) {
            (Reader::Millpond(state), None) => state.entries(visit),
            (Reader::Millpond(state), Some(groups)) => state.clone().in_groups(groups).entries(visit),
            (Reader::Flink(state), None) => state.entries(visit),
            (Reader::Flink(state), Some(groups)) => state.entries_in(groups, visit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, kind: StateKind) -> State {
        State {
            id: OperatorId::from_uid("operator"),
            operator: "operator".to_owned(),
            name: name.to_owned(),
            kind,
            max_parallelism: MaxParallelism::new(128).unwrap(),
            key_groups_by: "flink Long".to_owned(),
        }
    }

    #[test]
    fn states_of_one_name_are_told_by_their_kinds() {
        let (value, list) = (state("a", StateKind::Value), state("a", StateKind::OperatorList));
        let both = States(vec![value.clone(), list.clone()]);
        assert_eq!(both.counterpart(&list), Some(&list));
        assert_eq!(both.counterpart(&state("a", StateKind::Map)), None);
        let one = States(vec![state("a", StateKind::List), state("b", StateKind::Map)]);
        assert_eq!(one.counterpart(&value), Some(&state("a", StateKind::List)));
        assert_eq!(one.counterpart(&state("c", StateKind::Map)), None);
        assert_eq!(both.union(&both), [&value, &list]);
        assert_eq!(one.union(&both), [&state("a", StateKind::List), &state("b", StateKind::Map)]);
        assert_eq!(both.union(&one), [&value, &list, &state("a", StateKind::List), &state("b", StateKind::Map)]);
    }
}
