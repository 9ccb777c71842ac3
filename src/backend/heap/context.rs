use std::any::Any;
use std::hash::BuildHasher;

use super::KeyedBackend;
use super::content::Content;
use super::list::{List, ListAt};
use super::map::{Map, MapAt};
use super::slot::{At, TypedState, foreign_handle};
use super::table::{Slot, slot_hash};
use super::timer::TimersAt;
use super::value::{Aggregating, CellAt, Reducing, Value};
use crate::backend::handle::{
    AggregatingHandle, ListHandle, MapHandle, ReducingHandle, StateIndex, TimerHandle, ValueHandle,
};
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

    #[inline(always)]
    fn at<'s, N, C>(&'s mut self, index: StateIndex, namespace: &'s N) -> Result<At<'s, KS::Value, N, C>>
    where
        N: Key,
        C: Content,
    {
        let KeyedBackend { parameters, hasher, states, .. } = &mut *self.backend;
        let state: &mut dyn Any = &mut **states.get_mut(index).ok_or_else(foreign_handle)?;
        let state: &mut TypedState<KS::Value, N, C> = state.downcast_mut().ok_or_else(foreign_handle)?;
        let slot = Slot { group: self.group, hash: slot_hash(hasher, self.hash, namespace), key: self.key, namespace };
        let now_ms = match state.ttl {
            None => 0,
            Some(ttl) => {
                let now_ms = parameters.clock.now_ms();
                state.clean_up(now_ms, usize::from(ttl.cleanup.per_access));
                now_ms
            }
        };
        Ok(At { state, slot, now_ms })
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
        if timed {
            self.at(index, namespace).map(CellAt::Timed)
        } else {
            self.at(index, namespace).map(CellAt::Untimed)
        }
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
        let at = match handle.timed {
            true => ListAt::Timed(self.at(handle.index, namespace)?),
            false => ListAt::Untimed(self.at(handle.index, namespace)?),
        };
        Ok(List(at))
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
        let at = match handle.timed {
            true => MapAt::Timed(self.at(handle.index, namespace)?),
            false => MapAt::Untimed(self.at(handle.index, namespace)?),
        };
        Ok(Map(at))
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
