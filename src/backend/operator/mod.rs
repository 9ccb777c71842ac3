//! The state of a subtask that belongs to no key: lists that are redistributed when the parallelism changes, and
//! broadcast maps that are the same everywhere.
//!
//! Lists and maps are typed values in memory, behind an [`Arc`] that a snapshot shares: the first change after a snapshot
//! copies that one list or map if the snapshot is still being written. Operator state is meant to be small.
//!
//! What a subtask gets on restore says [`rescale`](crate::snapshot::rescale), which the conversion goes by as well: converting
//! a snapshot to another parallelism and restoring it there is the same as restoring it at that parallelism.
//!
//! Broadcast state is written by subtask 0 alone, since all subtasks hold the same. Restored state that nobody registers is
//! carried along: of lists each subtask carries the share that a split would give it, so that nothing multiplies.

mod carried;
mod states;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use carried::Carried;
pub use states::{Broadcast, OperatorList};
use states::{ListState, MapState, State};

use super::handle::{BroadcastHandle, OperatorListHandle, StateIndex};
use crate::backend::{Data, Key};
use crate::error::{Error, Result};
use crate::format::manifest::OperatorStateHandle;
use crate::format::operator;
use crate::format::record::{StateKind, StateMeta};
use crate::format::section::Owner;
use crate::ids::{OperatorId, SubtaskIndex, check_name};
use crate::key_group::Parallelism;
use crate::serializer::{Compatibility, Serializer, SerializerSnapshot};
use crate::snapshot::{OperatorReader, SnapshotTarget};
use crate::state::{BroadcastDescriptor, OperatorListDescriptor, Redistribution};

/// Operator state of at most this many bytes is kept inside the manifest rather than in an object of its own.
pub const INLINE_BYTES: usize = 16 << 10;

/// Which subtask a backend is made for.
#[derive(Debug, Clone)]
pub struct OperatorParameters {
    /// Uid of the operator.
    pub operator: String,
    /// The subtask.
    pub subtask: SubtaskIndex,
    /// Number of subtasks.
    pub parallelism: Parallelism,
}

/// The operator state of one subtask.
pub struct OperatorBackend {
    parameters: OperatorParameters,
    states: Vec<Box<dyn State>>,
    names: BTreeMap<String, StateIndex>,
    carried: BTreeMap<String, Carried>,
}

impl OperatorBackend {
    /// A backend without state.
    pub fn new(parameters: OperatorParameters) -> Self {
        OperatorBackend { parameters, states: Vec::new(), names: BTreeMap::new(), carried: BTreeMap::new() }
    }

    /// A backend with this subtask's share of the operator state of a snapshot, taken at any parallelism.
    pub fn restore(parameters: OperatorParameters, operator: &OperatorReader<'_>) -> Result<Self> {
        let carried = carried::read(&parameters, operator).map_err(|error| error.in_operator(&parameters.operator))?;
        Ok(OperatorBackend { carried, ..Self::new(parameters) })
    }

    /// Names of the restored states that nobody has registered.
    pub fn carried_states(&self) -> impl Iterator<Item = &StateMeta> {
        self.carried.values().map(Carried::meta)
    }

    /// Registers a list. What a restored snapshot holds of it is taken over here, or refused with both types named.
    pub fn register_list<S: Serializer + Clone>(
        &mut self,
        descriptor: &OperatorListDescriptor<S>,
    ) -> Result<OperatorListHandle<S::Value>> {
        let OperatorListDescriptor { name, element, redistribution } = descriptor.clone();
        let meta = StateMeta {
            name: name.to_owned(),
            kind: match redistribution {
                Redistribution::Split => StateKind::OperatorList,
                Redistribution::Union => StateKind::OperatorUnion,
            },
            namespace: SerializerSnapshot::Unit,
            user_key: SerializerSnapshot::Unit,
            value: element.snapshot(),
            timed: false,
        };
        if let Some(index) = self.registered::<ListState<S::Value>>(&meta)? {
            return Ok(OperatorListHandle::new(index));
        }
        let elements = match self.accepted(&meta, |written| element.compatibility(&written.value))? {
            Some(carried) => carried.decode_list(redistribution, &element)?,
            None => Vec::new(),
        };
        let index = self.add(Box::new(ListState::new(meta, Arc::new(element), elements)));
        Ok(OperatorListHandle::new(index))
    }

    /// Registers a broadcast state; see [`register_list`](Self::register_list).
    pub fn register_broadcast<K, V>(
        &mut self,
        descriptor: &BroadcastDescriptor<K, V>,
    ) -> Result<BroadcastHandle<K::Value, V::Value>>
    where
        K: Serializer<Value: Key> + Clone,
        V: Serializer + Clone,
    {
        let BroadcastDescriptor { name, key, value } = descriptor.clone();
        let meta = StateMeta {
            name: name.to_owned(),
            kind: StateKind::Broadcast,
            namespace: SerializerSnapshot::Unit,
            user_key: key.snapshot(),
            value: value.snapshot(),
            timed: false,
        };
        if let Some(index) = self.registered::<MapState<K::Value, V::Value>>(&meta)? {
            return Ok(BroadcastHandle::new(index));
        }
        let verdict = |written: &StateMeta| {
            let key = match key.compatibility(&written.user_key) {
                Compatibility::AfterMigration(change) => Compatibility::Incompatible(change),
                other => other,
            };
            key.of_part("key").and(value.compatibility(&written.value).of_part("value"))
        };
        let entries = match self.accepted(&meta, verdict)? {
            Some(carried) => carried.decode_map(&key, &value)?,
            None => Default::default(),
        };
        let index = self.add(Box::new(MapState::new(meta, Arc::new(key), Arc::new(value), entries)));
        Ok(BroadcastHandle::new(index))
    }

    /// Opens a list.
    pub fn list<T: Data>(&mut self, handle: &OperatorListHandle<T>) -> Result<OperatorList<'_, T>> {
        self.typed_mut(handle.index).map(OperatorList)
    }

    /// Opens a broadcast state.
    pub fn broadcast<K, V>(&mut self, handle: &BroadcastHandle<K, V>) -> Result<Broadcast<'_, K, V>>
    where
        K: Key,
        V: Data,
    {
        self.typed_mut(handle.index).map(Broadcast)
    }

    /// Takes a snapshot: one step per state.
    pub fn snapshot(&self) -> Snapshot {
        let mut states: Vec<Box<dyn states::Frozen>> = self.states.iter().map(|state| state.freeze()).collect();
        states.extend(self.carried.values().map(|carried| Box::new(carried.clone()) as Box<dyn states::Frozen>));
        states.sort_by(|a, b| a.meta().name.cmp(&b.meta().name));
        Snapshot { operator: OperatorId::from_uid(&self.parameters.operator), subtask: self.parameters.subtask, states }
    }

    fn typed_mut<S: Any>(&mut self, index: StateIndex) -> Result<&mut S> {
        let foreign = || Error::invalid_input("this handle was not issued by this backend; register the state again");
        let state: &mut dyn Any = &mut **self.states.get_mut(index).ok_or_else(foreign)?;
        state.downcast_mut().ok_or_else(foreign)
    }

    fn registered<S: Any>(&self, meta: &StateMeta) -> Result<Option<StateIndex>> {
        let named = |error: Error| error.in_operator(&self.parameters.operator).in_state(&meta.name);
        check_name("state name", &meta.name).map_err(named)?;
        let Some(index) = self.names.get(&meta.name).copied() else { return Ok(None) };
        let same = self.states.get(index).is_some_and(|state| state.meta() == meta && (&**state as &dyn Any).is::<S>());
        if same {
            return Ok(Some(index));
        }
        Err(named(Error::invalid_input(format!(
            "state {:?} is already registered with another kind or type; give one of them another name",
            meta.name
        ))))
    }

    /// Takes out what was restored under the name of `meta`, if anything was and it fits. Refused state stays carried.
    fn accepted(
        &mut self,
        meta: &StateMeta,
        verdict: impl FnOnce(&StateMeta) -> Compatibility,
    ) -> Result<Option<Carried>> {
        let Some(carried) = self.carried.get(&meta.name) else { return Ok(None) };
        let written = carried.meta();
        let refused = |reason: String| {
            Err(Error::incompatible(reason).in_operator(&self.parameters.operator).in_state(&meta.name))
        };
        let switches_redistribution =
            !written.kind.is_keyed() && written.kind != StateKind::Broadcast && meta.kind != StateKind::Broadcast;
        if written.kind != meta.kind && !switches_redistribution {
            return refused(format!(
                "the snapshot holds {} state, the program registers {} state; use another name for the new state",
                written.kind, meta.kind
            ));
        }
        if let Compatibility::Incompatible(reason) = verdict(written) {
            return refused(format!(
                "the snapshot's type does not fit the program's: {reason}; keep the old type, or use another state name"
            ));
        }
        Ok(self.carried.remove(&meta.name))
    }

    fn add(&mut self, state: Box<dyn State>) -> StateIndex {
        let index = self.states.len();
        self.names.insert(state.meta().name.clone(), index);
        self.states.push(state);
        index
    }
}

impl std::fmt::Debug for OperatorBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorBackend")
            .field("parameters", &self.parameters)
            .field("states", &self.names)
            .finish_non_exhaustive()
    }
}

/// The operator state of a subtask at one moment, to be written on whatever thread.
pub struct Snapshot {
    operator: OperatorId,
    subtask: SubtaskIndex,
    /// Sorted by name.
    states: Vec<Box<dyn states::Frozen>>,
}

impl Snapshot {
    /// Descriptions of the states, sorted by name, for the manifest.
    pub fn states(&self) -> Vec<StateMeta> {
        self.states.iter().map(|state| state.meta().clone()).collect()
    }

    /// Writes the snapshot: small state becomes part of the handle, larger state an object. `None` if there is nothing.
    pub fn write(self, target: &SnapshotTarget) -> Result<Option<OperatorStateHandle>> {
        let mut writer = operator::writer(Vec::new(), self.operator, target.compression());
        writer.begin(Owner::Subtask(self.subtask))?;
        for state in &self.states {
            if state.meta().kind == StateKind::Broadcast && self.subtask.0 != 0 {
                continue;
            }
            state.write(&mut writer).map_err(|error| error.in_state(&state.meta().name))?;
        }
        let Some(summary) = writer.finish()? else { return Ok(None) };
        let bytes = writer.close()?;
        let content = target.operator_state(bytes, INLINE_BYTES)?;
        Ok(Some(OperatorStateHandle { content, states: summary.states }))
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("operator", &self.operator)
            .field("subtask", &self.subtask)
            .finish_non_exhaustive()
    }
}
