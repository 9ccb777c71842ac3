//! What is changed while a Flink snapshot is written again.

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::format::flink::metadata::Operator;
use crate::format::flink::ttl::Stamp;
use crate::ids::{OperatorId, check_name};
use crate::key_group::MaxParallelism;

/// The changes. Without any the state stays what it is.
///
/// An operator is named by its uid, by the name that the metadata has for it, or by the 32 digits of its id.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    /// Number of subtasks of every operator that has any state; capped at its max parallelism.
    pub parallelism: Option<u32>,
    /// Number of key groups of every operator with keyed state. Keys are hashed anew.
    pub max_parallelism: Option<MaxParallelism>,
    /// Operators and their new uids.
    pub rename_operators: Vec<(String, String)>,
    /// Operators whose state is left out.
    pub drop_operators: Vec<String>,
    /// States and their new names.
    pub rename_states: Vec<(StateName, String)>,
    /// States that are left out.
    pub drop_states: Vec<StateName>,
    /// Which keys stay.
    pub keys: KeyFilter,
    /// Time to live that is put on states, or taken off.
    pub stamps: Vec<(StateName, Stamp)>,
    /// In-flight records of unaligned checkpoints are left out. Without this they are a reason to refuse.
    pub drop_in_flight: bool,
}

/// Names a state, of one operator or of all that have one of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateName {
    /// The operator.
    pub operator: Option<String>,
    /// The state.
    pub state: String,
}

/// Which keys stay. A key is named by its text, as tools show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeyFilter {
    /// All.
    #[default]
    All,
    /// Only these.
    Only(BTreeSet<String>),
    /// All but these.
    Except(BTreeSet<String>),
}

impl KeyFilter {
    /// Whether a key of this text stays.
    pub fn keeps(&self, key: &str) -> bool {
        match self {
            KeyFilter::All => true,
            KeyFilter::Only(keys) => keys.contains(key),
            KeyFilter::Except(keys) => !keys.contains(key),
        }
    }
}

impl StateName {
    /// Reads `STATE` or `OPERATOR/STATE`; a name with a slash of its own is the second with an empty first part.
    pub fn parse(text: &str) -> Self {
        match text.split_once('/') {
            Some((operator, state)) => StateName {
                operator: if operator.is_empty() { None } else { Some(operator.to_owned()) },
                state: state.to_owned(),
            },
            None => StateName { operator: None, state: text.to_owned() },
        }
    }
}

/// Whether `name` names the operator.
pub(super) fn names(name: &str, operator: &Operator) -> bool {
    let stored = [&operator.uid, &operator.name].into_iter().any(|text| text.as_deref() == Some(name));
    stored || OperatorId::from_uid(name) == operator.id || operator.id.to_string() == name
}

/// Uid, name or id, whichever is known first.
pub(super) fn label(operator: &Operator) -> String {
    let Operator { uid, name, id, .. } = operator;
    uid.clone().or_else(|| name.clone()).unwrap_or_else(|| id.to_string())
}

/// The edits, with account of which of them met something: a name that nothing has is a mistake.
pub(super) struct Plan<'e> {
    pub(super) edits: &'e Edits,
    met: Vec<(String, Cell<bool>)>,
}

impl<'e> Plan<'e> {
    pub(super) fn new(edits: &'e Edits) -> Result<Self> {
        let mut met = Vec::new();
        let mut expect = |what: String| met.push((what, Cell::new(false)));
        for (operator, uid) in &edits.rename_operators {
            check_name("the new uid", uid)?;
            expect(format!("operator {operator}"));
        }
        edits.drop_operators.iter().for_each(|operator| expect(format!("operator {operator}")));
        for (state, name) in &edits.rename_states {
            check_name("the new state name", name)?;
            expect(described(state));
        }
        edits.drop_states.iter().for_each(|state| expect(described(state)));
        edits.stamps.iter().for_each(|(state, _)| expect(described(state)));
        Ok(Plan { edits, met })
    }

    fn mark(&self, what: &str) {
        self.met.iter().filter(|(expected, _)| expected == what).for_each(|(_, met)| met.set(true));
    }

    /// Whether the operator is left out.
    pub(super) fn drops_operator(&self, operator: &Operator) -> bool {
        let mut dropped = false;
        for name in self.edits.drop_operators.iter().filter(|name| names(name, operator)) {
            self.mark(&format!("operator {name}"));
            dropped = true;
        }
        dropped
    }

    /// The operator's new uid.
    pub(super) fn new_uid(&self, operator: &Operator) -> Option<&'e str> {
        let (name, uid) = self.edits.rename_operators.iter().find(|(name, _)| names(name, operator))?;
        self.mark(&format!("operator {name}"));
        Some(uid)
    }

    fn find<T>(
        &self,
        list: &'e [T],
        name: impl Fn(&T) -> &StateName,
        operator: &Operator,
        state: &str,
    ) -> Option<&'e T> {
        let matches = |candidate: &StateName| {
            candidate.state == state && candidate.operator.as_ref().is_none_or(|name| names(name, operator))
        };
        let found = list.iter().find(|item| matches(name(item)))?;
        self.mark(&described(name(found)));
        Some(found)
    }

    /// Whether the state is left out.
    pub(super) fn drops_state(&self, operator: &Operator, state: &str) -> bool {
        self.find(&self.edits.drop_states, |name| name, operator, state).is_some()
    }

    /// The state's name afterwards.
    pub(super) fn state_name(&self, operator: &Operator, state: &str) -> String {
        let found = self.find(&self.edits.rename_states, |(name, _)| name, operator, state);
        found.map_or(state, |(_, renamed)| renamed).to_owned()
    }

    /// What becomes of the state's time to live.
    pub(super) fn stamp(&self, operator: &Operator, state: &str) -> Option<Stamp> {
        self.find(&self.edits.stamps, |(name, _)| name, operator, state).map(|(_, stamp)| *stamp)
    }

    /// Fails where an edit met nothing.
    pub(super) fn check_all_met(&self) -> Result<()> {
        match self.met.iter().find(|(_, met)| !met.get()) {
            None => Ok(()),
            Some((what, _)) => Err(Error::not_found(format!("the snapshot has no {what} to be changed"))),
        }
    }
}

fn described(state: &StateName) -> String {
    match &state.operator {
        Some(operator) => format!("state {} of operator {operator}", state.state),
        None => format!("state {}", state.state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_named_alone_or_with_their_operator() {
        let named = |operator: Option<&str>, state: &str| StateName {
            operator: operator.map(str::to_owned),
            state: state.to_owned(),
        };
        assert_eq!(StateName::parse("a"), named(None, "a"));
        assert_eq!(StateName::parse("op/a/b"), named(Some("op"), "a/b"));
        assert_eq!(StateName::parse("/_timer_state/event_x"), named(None, "_timer_state/event_x"));
    }

    #[test]
    fn a_filter_keeps_what_it_says() {
        let keys = || BTreeSet::from(["1".to_owned()]);
        assert!(KeyFilter::All.keeps("1"));
        assert!(KeyFilter::Only(keys()).keeps("1") && !KeyFilter::Only(keys()).keeps("2"));
        assert!(!KeyFilter::Except(keys()).keeps("1") && KeyFilter::Except(keys()).keeps("2"));
    }
}
