//! The states of a snapshot, whichever system wrote it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use millpond::format::java_type::JavaType;
use millpond::format::manifest::KeyGroupAssignment;
use millpond::format::record::StateKind;
use millpond::ids::OperatorId;
use millpond::key_group::{KeyGroupRange, MaxParallelism};
use millpond::snapshot::{self, Entry};
use millpond::{Error, flink};

use super::failure::Failure;
use super::open::Opened;

/// How Flink begins the names of queues of timers, by their clock.
const QUEUES: [&str; 2] = ["_timer_state/event_", "_timer_state/processing_"];

/// Which states are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'w> {
    pub(super) operator: Option<&'w str>,
    pub(super) state: Option<&'w str>,
}

impl Wanted<'_> {
    /// An error if something was asked for, which is to be called where nothing was found.
    pub(super) fn check_found(self) -> Result<(), Failure> {
        match (self.operator, self.state) {
            (None, None) => Ok(()),
            (Some(operator), None) => {
                Err(Failure::usage(format!("there is no operator {operator:?} with states; see millpond inspect")))
            }
            (None, Some(state)) => Err(Failure::usage(format!("there is no state {state:?}; see millpond inspect"))),
            (Some(operator), Some(state)) => {
                Err(Failure::usage(format!("operator {operator:?} has no state {state:?}; see millpond inspect")))
            }
        }
    }
}

/// One state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) id: OperatorId,
    /// How the operator is called.
    pub(super) operator: String,
    pub(super) name: String,
    /// The names of all states that are read for this one, if not its own: see [`States::join_queues`].
    pub(super) queues: Vec<String>,
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
    /// Those that are asked for.
    pub(super) fn of(opened: &Opened, wanted: Wanted<'_>) -> millpond::Result<Self> {
        let mut states = Self::all(opened)?;
        states.keep(wanted);
        Ok(states)
    }

    pub(super) fn all(opened: &Opened) -> millpond::Result<Self> {
        let mut states: Vec<State> = match opened {
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
        states.sort_by(|a, b| (a.id, &a.name).cmp(&(b.id, &b.name)));
        Ok(States(states))
    }

    /// Forgets those that are not asked for.
    pub(super) fn keep(&mut self, wanted: Wanted<'_>) {
        self.0.retain(|state: &State| {
            let is_operator = |name: &str| {
                state.operator == name || OperatorId::from_uid(name) == state.id || state.id.to_string() == name
            };
            wanted.operator.is_none_or(is_operator) && wanted.state.is_none_or(|name| state.name == name)
        });
    }

    /// Makes one state of the two queues of timers that Flink has, one for each clock, as millpond has them: timers of either are told
    /// by their clock.
    pub(super) fn join_queues(&mut self) {
        let mut joined: Vec<State> = Vec::new();
        for mut state in std::mem::take(&mut self.0) {
            let plain = QUEUES.iter().find_map(|prefix| state.name.strip_prefix(prefix)).map(str::to_owned);
            let Some(plain) = plain.filter(|_| state.kind == StateKind::Timer) else {
                joined.push(state);
                continue;
            };
            let queue = std::mem::replace(&mut state.name, plain);
            match joined
                .iter_mut()
                .find(|other| other.id == state.id && other.name == state.name && !other.queues.is_empty())
            {
                Some(other) => other.queues.push(queue),
                None => {
                    state.queues.push(queue);
                    joined.push(state);
                }
            }
        }
        self.0 = joined;
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
        queues: Vec::new(),
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
        queues: Vec::new(),
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
    Flink(Vec<flink::StateReader<'o>>),
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
                let names = if self.queues.is_empty() { std::slice::from_ref(&self.name) } else { &self.queues };
                let states = names.iter().map(|name| operator.state_of_kind(name, self.kind));
                states.collect::<millpond::Result<_>>().map(Reader::Flink)
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
            (Reader::Flink(states), groups) => {
                let has_stopped = Cell::new(false);
                let mut visit = |entry: Entry| {
                    let flow = visit(entry)?;
                    has_stopped.set(flow.is_break());
                    Ok(flow)
                };
                for state in states.iter().take_while(|_| !has_stopped.get()) {
                    match groups {
                        None => state.entries(&mut visit)?,
                        Some(groups) => state.entries_in(groups, &mut visit)?,
                    }
                }
                Ok(())
            }
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
            queues: Vec::new(),
            kind,
            max_parallelism: MaxParallelism::new(128).unwrap(),
            key_groups_by: "flink Long".to_owned(),
        }
    }

    #[test]
    fn the_queues_of_both_clocks_are_one_state() {
        let other = state("_timer_state/event_x", StateKind::Value);
        let mut states = States(vec![
            state("_timer_state/event_x", StateKind::Timer),
            other.clone(),
            state("_timer_state/processing_x", StateKind::Timer),
            state("_timer_state/event_y", StateKind::Timer),
        ]);
        states.join_queues();
        let queues = |names: &[&str]| names.iter().map(|name| format!("_timer_state/{name}")).collect();
        let x = State { queues: queues(&["event_x", "processing_x"]), ..state("x", StateKind::Timer) };
        let y = State { queues: queues(&["event_y"]), ..state("y", StateKind::Timer) };
        assert_eq!(states.0, [x, other, y]);
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
