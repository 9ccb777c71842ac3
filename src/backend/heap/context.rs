use std::hash::BuildHasher;

use super::KeyedBackend;
use super::list::{List, ListsState};
use super::map::{Map, MapsState};
use super::table::{Slot, slot_hash};
use super::timer::TimersAt;
use super::value::{Aggregating, CellAt, CellState, Reducing, Value};
use crate::backend::handle::{
    AggregatingHandle, ListHandle, MapHandle, ReducingHandle, StateIndex, TimerHandle, ValueHandle,
};
use crate::backend::registration::foreign_handle;
use crate::backend::{Data, Key};
use crate::error::Result;
use crate::serializer::Serializer;
use crate::state::Aggregate;

/// The states of a backend, opened for one key.
///
/// Each state kind has two methods: one for states without namespaces, and one, ending in `_in`, that takes the namespace.
pub struct KeyContext<'b, KS: Serializer> {
    backend: &'b mut KeyedBackend<KS>,
    key: &'b KS::Value,
    group: usize,
    hash: u64,
}

impl<'b, KS> KeyContext<'b, KS>
where
    KS: Serializer<Value: Key>,
{
    #[inline(always)]
    pub(super) fn new(backend: &'b mut KeyedBackend<KS>, key: &'b KS::Value, group: usize) -> Self {
        let hash = backend.hasher.hash_one(key);
        KeyContext { backend, key, group, hash }
    }

    /// The key.
    pub fn current(&self) -> &KS::Value {
        self.key
    }

    /// What identifies the key and a namespace within a state.
    #[inline(always)]
    fn slot<'s, N: Key>(&self, namespace: &'s N) -> Slot<'s, KS::Value, N>
    where
        'b: 's,
    {
        let hash = slot_hash(&self.backend.hasher, self.hash, namespace);
        Slot { group: self.group, hash, key: self.key, namespace }
    }

    #[inline(always)]
    fn cell<'s, N, V>(
        &'s mut self,
        index: StateIndex,
        timed: bool,
        namespace: &'s N,
    ) -> Result<CellAt<'s, KS::Value, N, V>>
    where
        N: Key,
        V: Data,
    {
        let slot = self.slot(namespace);
        if timed {
            let Some((state, now_ms)) = self.backend.timed_state(index) else { return Err(foreign_handle()) };
            return Ok(CellAt { state: CellState::Timed(state), slot, now_ms });
        }
        let Some(state) = self.backend.typed_mut(index) else { return Err(foreign_handle()) };
        Ok(CellAt { state: CellState::Untimed(state), slot, now_ms: 0 })
    }

    /// Opens a value state.
    #[inline(always)]
    pub fn value<V>(&mut self, handle: &ValueHandle<V>) -> Result<Value<'_, KS::Value, (), V>>
    where
        V: Data,
    {
        self.value_in(handle, &())
    }

    /// Opens a value state in a namespace.
    #[inline(always)]
    pub fn value_in<'s, V, N>(
        &'s mut self,
        handle: &ValueHandle<V, N>,
        namespace: &'s N,
    ) -> Result<Value<'s, KS::Value, N, V>>
    where
        V: Data,
        N: Key,
    {
        self.cell(handle.index, handle.timed, namespace).map(Value)
    }

    /// Opens a reducing state.
    #[inline(always)]
    pub fn reducing<V>(&mut self, handle: &ReducingHandle<V>) -> Result<Reducing<'_, KS::Value, (), V>>
    where
        V: Data,
    {
        self.reducing_in(handle, &())
    }

    /// Opens a reducing state in a namespace.
    #[inline(always)]
    pub fn reducing_in<'s, V, N>(
        &'s mut self,
        handle: &ReducingHandle<V, N>,
        namespace: &'s N,
    ) -> Result<Reducing<'s, KS::Value, N, V>>
    where
        V: Data,
        N: Key,
    {
        let reduce = handle.reduce;
        self.cell(handle.index, handle.timed, namespace).map(|cell| Reducing { cell, reduce })
    }

    /// Opens an aggregating state.
    #[inline(always)]
    pub fn aggregating<A: Aggregate>(
        &mut self,
        handle: &AggregatingHandle<A>,
    ) -> Result<Aggregating<'_, KS::Value, (), A>> {
        self.aggregating_in(handle, &())
    }

    /// Opens an aggregating state in a namespace.
    #[inline(always)]
    pub fn aggregating_in<'s, A, N>(
        &'s mut self,
        handle: &AggregatingHandle<A, N>,
        namespace: &'s N,
    ) -> Result<Aggregating<'s, KS::Value, N, A>>
    where
        A: Aggregate,
        N: Key,
    {
        self.cell(handle.index, handle.timed, namespace).map(Aggregating)
    }

    /// Opens a list state.
    #[inline(always)]
    pub fn list<T>(&mut self, handle: &ListHandle<T>) -> Result<List<'_, KS::Value, (), T>>
    where
        T: Data,
    {
        self.list_in(handle, &())
    }

    /// Opens a list state in a namespace.
    #[inline(always)]
    pub fn list_in<'s, T, N>(
        &'s mut self,
        handle: &ListHandle<T, N>,
        namespace: &'s N,
    ) -> Result<List<'s, KS::Value, N, T>>
    where
        T: Data,
        N: Key,
    {
        let slot = self.slot(namespace);
        if handle.timed {
            let Some((state, now_ms)) = self.backend.timed_state(handle.index) else { return Err(foreign_handle()) };
            return Ok(List { state: ListsState::Timed(state), slot, now_ms });
        }
        let Some(state) = self.backend.typed_mut(handle.index) else { return Err(foreign_handle()) };
        Ok(List { state: ListsState::Untimed(state), slot, now_ms: 0 })
    }

    /// Opens a map state.
    #[inline(always)]
    pub fn map<U, V>(&mut self, handle: &MapHandle<U, V>) -> Result<Map<'_, KS::Value, (), U, V>>
    where
        U: Key,
        V: Data,
    {
        self.map_in(handle, &())
    }

    /// Opens a map state in a namespace.
    #[inline(always)]
    pub fn map_in<'s, U, V, N>(
        &'s mut self,
        handle: &MapHandle<U, V, N>,
        namespace: &'s N,
    ) -> Result<Map<'s, KS::Value, N, U, V>>
    where
        U: Key,
        V: Data,
        N: Key,
    {
        let slot = self.slot(namespace);
        if handle.timed {
            let Some((state, now_ms)) = self.backend.timed_state(handle.index) else { return Err(foreign_handle()) };
            return Ok(Map { state: MapsState::Timed(state), slot, now_ms });
        }
        let Some(state) = self.backend.typed_mut(handle.index) else { return Err(foreign_handle()) };
        Ok(Map { state: MapsState::Untimed(state), slot, now_ms: 0 })
    }

    /// Opens the timers.
    #[inline(always)]
    pub fn timers(&mut self, handle: &TimerHandle) -> Result<TimersAt<'_, KS::Value, ()>> {
        self.timers_in(handle, &())
    }

    /// Opens the timers of a namespace.
    #[inline(always)]
    pub fn timers_in<'s, N>(
        &'s mut self,
        handle: &TimerHandle<N>,
        namespace: &'s N,
    ) -> Result<TimersAt<'s, KS::Value, N>>
    where
        N: Key,
    {
        let (group, key_hash, key) = (self.group, self.hash, self.key);
        Ok(TimersAt { timers: self.backend.timers_mut(handle)?, group, key_hash, key, namespace })
    }
}
