//! What becomes of every operator and state, decided before anything is read.

use std::collections::{BTreeMap, BTreeSet};

use super::options::{Edits, Format, Options, StateName};
use super::stamp::Stamping;
use crate::error::{Error, Result};
use crate::format::manifest::{KeyGroupAssignment, Manifest, OperatorSnapshot};
use crate::format::record::{StateKind, StateMeta};
use crate::ids::{OperatorId, SubtaskIndex, check_name};
use crate::key_group::{KeyGroupRange, MaxParallelism, Parallelism};
use crate::serializer::SerializerSnapshot;
use crate::snapshot::rescale::Rescale;

/// The whole conversion.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order of the source.
    pub(super) operators: Vec<OperatorPlan>,
    /// Labels of the operators that are left out.
    pub(super) dropped: Vec<String>,
}

/// What becomes of an operator.
#[derive(Debug)]
pub(super) struct OperatorPlan {
    /// Its id in the source.
    pub(super) source: OperatorId,
    /// Its label in the source.
    pub(super) label: String,
    /// Its id in the destination.
    pub(super) id: OperatorId,
    /// Its uid in the destination.
    pub(super) uid: Option<String>,
    pub(super) old_parallelism: Parallelism,
    pub(super) parallelism: Parallelism,
    pub(super) old_max_parallelism: MaxParallelism,
    pub(super) max_parallelism: MaxParallelism,
    pub(super) assignment: KeyGroupAssignment,
    pub(super) key: Option<SerializerSnapshot>,
    /// What is carried over, ascending by name.
    pub(super) states: Vec<StatePlan>,
    /// Names of the states that are left out.
    pub(super) dropped: Vec<String>,
    /// Position in `states` of each state of the source.
    positions: Vec<Option<usize>>,
    finished: Vec<bool>,
}

/// What becomes of a state.
#[derive(Debug)]
pub(super) struct StatePlan {
    /// How the source describes it.
    pub(super) source: StateMeta,
    /// How the destination does.
    pub(super) target: StateMeta,
    pub(super) stamping: Stamping,
}

impl Plan {
    pub(super) fn new(manifest: &Manifest, options: &Options) -> Result<Self> {
        let edits = Resolved::new(manifest, &options.edits)?;
        let mut plan = Plan { operators: Vec::new(), dropped: Vec::new() };
        for operator in &manifest.operators {
            let label = operator.label();
            if edits.dropped_operators.contains(&operator.id) {
                plan.dropped.push(label);
                continue;
            }
            plan.operators
                .push(OperatorPlan::new(operator, &edits, options).map_err(|error| error.in_operator(&label))?);
        }
        let mut ids = BTreeMap::new();
        for operator in &plan.operators {
            if let Some(other) = ids.insert(operator.id, &operator.label) {
                let uid = operator.uid.as_deref().unwrap_or_default();
                return Err(Error::invalid_input(format!(
                    "operators {other:?} and {:?} would both be {uid:?}; rename or drop one of them",
                    operator.label
                )));
            }
        }
        Ok(plan)
    }
}

/// The edits, with names looked up.
#[derive(Default)]
struct Resolved {
    renamed: BTreeMap<OperatorId, String>,
    dropped_operators: BTreeSet<OperatorId>,
    dropped_states: BTreeSet<(OperatorId, String)>,
    stampings: BTreeMap<(OperatorId, String), Stamping>,
}

impl Resolved {
    fn new(manifest: &Manifest, edits: &Edits) -> Result<Self> {
        let mut resolved = Resolved::default();
        for (old, new) in &edits.rename_uids {
            check_name("uid", new)?;
            let operator = find_operator(manifest, old)?;
            if resolved.renamed.insert(operator.id, new.clone()).is_some() {
                return Err(Error::invalid_input(format!("operator {old:?} is renamed twice")));
            }
        }
        for uid in &edits.drop_operators {
            resolved.dropped_operators.insert(find_operator(manifest, uid)?.id);
        }
        for name in &edits.drop_states {
            resolved.dropped_states.insert(find_state(manifest, name)?);
        }
        let set = edits.set_ttl.iter().map(|(name, stamp_ms)| (name, Stamping::Set(*stamp_ms)));
        for (name, stamping) in set.chain(edits.drop_ttl.iter().map(|name| (name, Stamping::Drop))) {
            if resolved.stampings.insert(find_state(manifest, name)?, stamping).is_some() {
                return Err(Error::invalid_input(format!("the time to live of {name} is changed twice")));
            }
        }
        Ok(resolved)
    }
}

/// The operator with this uid or id; the error lists those there are.
fn find_operator<'m>(manifest: &'m Manifest, name: &str) -> Result<&'m OperatorSnapshot> {
    let by_uid = manifest.operators.iter().find(|operator| operator.uid.as_deref() == Some(name));
    let by_id = || manifest.operators.iter().find(|operator| operator.id.to_string() == name);
    by_uid.or_else(by_id).ok_or_else(|| {
        let there: Vec<String> = manifest.operators.iter().map(OperatorSnapshot::label).collect();
        Error::invalid_input(format!("there is no operator {name:?} to change; the snapshot has {}", listed(&there)))
    })
}

fn find_state(manifest: &Manifest, name: &StateName) -> Result<(OperatorId, String)> {
    let operator = find_operator(manifest, &name.operator)?;
    if operator.state(&name.state).is_some() {
        return Ok((operator.id, name.state.clone()));
    }
    let there: Vec<String> = operator.states.iter().map(|state| state.name.clone()).collect();
    let message = format!("there is no state {:?} to change; the operator has {}", name.state, listed(&there));
    Err(Error::invalid_input(message).in_operator(operator.label()))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl OperatorPlan {
    fn new(operator: &OperatorSnapshot, edits: &Resolved, options: &Options) -> Result<Self> {
        let old_max_parallelism = operator.max_parallelism;
        let max_parallelism = options.max_parallelism.map_or(Ok(old_max_parallelism), MaxParallelism::new)?;
        let wanted = options.parallelism.unwrap_or(operator.parallelism.get());
        let parallelism = Parallelism::new(wanted, max_parallelism)?;
        let renamed = edits.renamed.get(&operator.id);
        let uid = renamed.cloned().or_else(|| operator.uid.clone());
        let id = renamed.map_or(operator.id, |uid| OperatorId::from_uid(uid));
        let (mut states, mut dropped, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        for state in &operator.states {
            if edits.dropped_states.contains(&(operator.id, state.name.clone())) {
                dropped.push(state.name.clone());
                positions.push(None);
                continue;
            }
            let stamping = edits.stampings.get(&(operator.id, state.name.clone())).copied().unwrap_or(Stamping::Keep);
            positions.push(Some(states.len()));
            states.push(StatePlan::new(state, stamping).map_err(|error| error.in_state(&state.name))?);
        }
        let plan = OperatorPlan {
            source: operator.id,
            label: operator.label(),
            id,
            uid,
            old_parallelism: operator.parallelism,
            parallelism,
            old_max_parallelism,
            max_parallelism,
            assignment: operator.assignment.clone(),
            key: operator.key.clone(),
            states,
            dropped,
            positions,
            finished: operator.subtasks.iter().map(|subtask| subtask.finished).collect(),
        };
        plan.check_types(options.to)?;
        Ok(plan)
    }

    /// Whether the key group of every key is found anew.
    pub(super) fn rehashes(&self) -> bool {
        self.old_max_parallelism != self.max_parallelism
    }

    /// Position of a state of the source among those that are carried over.
    pub(super) fn position(&self, source: usize) -> Option<usize> {
        self.positions.get(source).copied().flatten()
    }

    /// Serializer of the keys.
    pub(super) fn key(&self) -> &SerializerSnapshot {
        self.key.as_ref().unwrap_or(&SerializerSnapshot::Unit)
    }

    /// The key groups of a subtask.
    pub(super) fn range_of(&self, subtask: u32) -> Result<KeyGroupRange> {
        KeyGroupRange::of_subtask(subtask, self.parallelism, self.max_parallelism)
    }

    /// Whether a subtask counts as finished: as before at the same parallelism, otherwise only where all were.
    pub(super) fn finished(&self, subtask: u32) -> bool {
        let index = usize::try_from(subtask).unwrap_or(usize::MAX);
        match self.old_parallelism == self.parallelism {
            true => self.finished.get(index).copied().unwrap_or_default(),
            false => !self.finished.is_empty() && self.finished.iter().all(|finished| *finished),
        }
    }

    /// How operator state is distributed.
    pub(super) fn rescale(&self) -> Result<Rescale> {
        Rescale::of_subtasks(self.old_parallelism, self.parallelism)
    }

    /// The old subtasks.
    pub(super) fn old_subtasks(&self) -> impl Iterator<Item = SubtaskIndex> + use<> {
        (0..self.old_parallelism.get()).map(SubtaskIndex)
    }

    /// Refuses what cannot be done without knowing a type.
    fn check_types(&self, to: Format) -> Result<()> {
        let Some(state) = self.states.iter().find(|state| state.target.kind.is_keyed()) else { return Ok(()) };
        let unknown = "is of a type that this build does not know";
        if self.rehashes() && self.key().is_opaque() {
            return Err(Error::incompatible(format!(
                "the key {unknown}, so its key group cannot be found anew; keep max parallelism {}, or use a newer millpond",
                self.old_max_parallelism
            ))
            .in_state(&state.target.name));
        }
        let opaque = |state: &&StatePlan| {
            let StateMeta { namespace, user_key, value, kind, .. } = &state.target;
            kind.is_keyed()
                && (self.key().is_opaque() || [namespace, user_key, value].iter().any(|part| part.is_opaque()))
        };
        match self.states.iter().find(opaque) {
            Some(state) if to == Format::NativeHeap => Err(Error::incompatible(format!(
                "a part of it {unknown}, which the native-heap format cannot hold; convert to canonical, or drop the state"
            ))
            .in_state(&state.target.name)),
            _ => Ok(()),
        }
    }
}

impl StatePlan {
    fn new(source: &StateMeta, stamping: Stamping) -> Result<Self> {
        let mut target = source.clone();
        target.timed = match stamping {
            Stamping::Keep => source.timed,
            _ if !source.kind.is_keyed() || source.kind == StateKind::Timer => {
                return Err(Error::invalid_input(format!("{} state has no time to live", source.kind)));
            }
            Stamping::Set(_) if source.timed => {
                return Err(Error::invalid_input("the state has a time to live already; its stamps are carried over"));
            }
            Stamping::Drop if !source.timed => {
                return Err(Error::invalid_input("the state has no time to live that could be dropped"));
            }
            Stamping::Set(_) => true,
            Stamping::Drop => false,
        };
        Ok(StatePlan { source: source.clone(), target, stamping })
    }
}
