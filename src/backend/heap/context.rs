use std::any::Any;
use std::hash::BuildHasher;

use super::KeyedBackend;
use super::content::Content;
use super::list::{List, ListsState};
use super::map::{Map, MapsState};
use super::table::{Slot, slot_hash};
use super::timer::TimersAt;
use super::typed::{TypedState, foreign_handle};
use super::value::{Aggregating, CellAt, CellState, Reducing, Value};
use crate::backend::handle::{
    AggregatingHandle, ListHandle, MapHandle, ReducingHandle, StateIndex, TimerHandle, ValueHandle,
};
use crate::backend::{Data, Key};
use crate::clock::Clock;
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

    /// Finds a state in the one of its two types that `choose` wants, and what identifies the key and namespace in it.
    #[inline(always)]
    fn open<'s, N, S>(
        &'s mut self,
        index: StateIndex,
        namespace: &'s N,
        choose: impl FnOnce(&'s mut dyn Any, &dyn Clock) -> Option<(S, i64)>,
    ) -> Result<(S, Slot<'s, KS::Value, N>, i64)>
    where
        N: Key,
    {
        let KeyedBackend { parameters, hasher, states, .. } = &mut *self.backend;
        let slot = Slot { group: self.group, hash: slot_hash(hasher, self.hash, namespace), key: self.key, namespace };
        let state = states.get_mut(index).and_then(|state| choose(&mut **state, &*parameters.clock));
        let (state, now_ms) = state.ok_or_else(foreign_handle)?;
        Ok((state, slot, now_ms))
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
        let (state, slot, now_ms) = self.open(index, namespace, |state, clock| match timed {
            false => Some((CellState::Untimed(state.downcast_mut()?), 0)),
            true => timed_state(state, clock).map(|(state, now_ms)| (CellState::Timed(state), now_ms)),
        })?;
        Ok(CellAt { state, slot, now_ms })
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
        let (state, slot, now_ms) = self.open(handle.index, namespace, |state, clock| match handle.timed {
            false => Some((ListsState::Untimed(state.downcast_mut()?), 0)),
            true => timed_state(state, clock).map(|(state, now_ms)| (ListsState::Timed(state), now_ms)),
        })?;
        Ok(List { state, slot, now_ms })
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
        let (state, slot, now_ms) = self.open(handle.index, namespace, |state, clock| match handle.timed {
            false => Some((MapsState::Untimed(state.downcast_mut()?), 0)),
            true => timed_state(state, clock).map(|(state, now_ms)| (MapsState::Timed(state), now_ms)),
        })?;
        Ok(Map { state, slot, now_ms })
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

/// A state with a time to live, and the moment. Opening it also cleans up a little.
fn timed_state<'s, K, N, C>(state: &'s mut dyn Any, clock: &dyn Clock) -> Option<(&'s mut TypedState<K, N, C>, i64)>
where
    K: Key,
    N: Key,
    C: Content,
{
    let state: &mut TypedState<K, N, C> = state.downcast_mut()?;
    let now_ms = clock.now_ms();
    let budget = state.ttl.map_or(0, |ttl| usize::from(ttl.cleanup.per_access));
    state.clean_up(now_ms, budget);
    Some((state, now_ms))
}
