use std::marker::PhantomData;

use super::KeyedBackend;
use super::database::Family;
use super::list::{List, Listed};
use super::map::{Map, Mapped};
use super::timer::{Agendas, TimersAt};
use super::typed::{Rule, State, Typed};
use super::value::{Aggregating, Reducing, Single, Value};
use crate::backend::handle::{
    AggregatingHandle, ListHandle, MapHandle, ReducingHandle, StateIndex, TimerHandle, ValueHandle,
};
use crate::backend::registration::foreign_handle;
use crate::backend::{Data, Key};
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::serializer::Serializer;
use crate::state::Aggregate;

/// Marks what a state is opened for; its bytes are in the row.
pub(super) type Of<K, N> = PhantomData<fn() -> (K, N)>;

/// A state, opened for one key and namespace.
pub(super) struct Slot<'a, C> {
    pub(super) family: Family<'a>,
    pub(super) content: &'a C,
    pub(super) rule: Rule,
    pub(super) name: &'a str,
    /// Key group, key and namespace.
    pub(super) row: &'a mut Writer,
    pub(super) scratch: &'a mut Writer,
    /// The moment the state was opened; only looked at where it is timed.
    pub(super) now_ms: i64,
}

impl<C> Slot<'_, C> {
    /// Adds the state to an error about its bytes.
    #[cold]
    pub(super) fn located(&self, error: Error) -> Error {
        error.in_state(self.name)
    }
}

/// The states of a backend, opened for one key.
///
/// Each state kind has two methods: one for states without namespaces, and one, ending in `_in`, that takes the namespace.
pub struct KeyContext<'b, KS: Serializer> {
    backend: &'b mut KeyedBackend<KS>,
    key: &'b KS::Value,
    /// Position of the key group in the range.
    group: usize,
    /// Length of the key group and the key in the backend's row.
    prefix: usize,
}

macro_rules! open {
    ($name:ident / $name_in:ident, $what:literal, <$($param:ident: $bound:path),*> $handle:ident => $access:ident) => {
        #[doc = concat!("Opens ", $what, ".")]
        #[inline(always)]
        pub fn $name<$($param: $bound),*>(
            &mut self,
            handle: &$handle<$($param),*>,
        ) -> Result<$access<'_, KS::Value, (), $($param),*>> {
            self.$name_in(handle, &())
        }
    };
}

impl<'b, KS> KeyContext<'b, KS>
where
    KS: Serializer<Value: Key>,
{
    #[inline(always)]
    pub(super) fn new(backend: &'b mut KeyedBackend<KS>, key: &'b KS::Value, group: usize, prefix: usize) -> Self {
        KeyContext { backend, key, group, prefix }
    }

    /// The key.
    pub fn current(&self) -> &KS::Value {
        self.key
    }

    #[inline]
    fn slot<N: Key, C: 'static>(&mut self, index: StateIndex, namespace: &N) -> Result<Slot<'_, C>> {
        let KeyedBackend { parameters, key_snapshot, states, database, row, scratch, .. } = &mut *self.backend;
        let state = states.get_mut(index).ok_or_else(foreign_handle)?;
        if state.rule.is_timed() {
            state.clean_up_at_access(database, key_snapshot, parameters)?;
        }
        let State { meta, family, rule, typed, pending, .. } = state;
        let Some(Typed { namespace: serializer, content }) = typed.downcast_ref::<Typed<N, C>>() else {
            return Err(foreign_handle());
        };
        row.truncate(self.prefix);
        serializer.write(namespace, row)?;
        let now_ms = if rule.is_timed() { parameters.clock.now_ms() } else { 0 };
        let family = database.family(family)?.collecting(pending.as_ref());
        Ok(Slot { family, content, rule: *rule, name: &meta.name, row, scratch, now_ms })
    }

    open!(value / value_in, "a value state", <V: Data> ValueHandle => Value);
    open!(list / list_in, "a list state", <T: Data> ListHandle => List);
    open!(map / map_in, "a map state", <U: Key, V: Data> MapHandle => Map);
    open!(reducing / reducing_in, "a reducing state", <V: Data> ReducingHandle => Reducing);
    open!(aggregating / aggregating_in, "an aggregating state", <A: Aggregate> AggregatingHandle => Aggregating);
    open!(timers / timers_in, "the timers", <> TimerHandle => TimersAt);

    /// Opens a value state in a namespace.
    #[inline]
    pub fn value_in<'s, V: Data, N: Key>(
        &'s mut self,
        handle: &ValueHandle<V, N>,
        namespace: &N,
    ) -> Result<Value<'s, KS::Value, N, V>> {
        let slot: Slot<'s, Single<V>> = self.slot(handle.index, namespace)?;
        Ok(Value(slot, PhantomData))
    }

    /// Opens a reducing state in a namespace.
    #[inline]
    pub fn reducing_in<'s, V: Data, N: Key>(
        &'s mut self,
        handle: &ReducingHandle<V, N>,
        namespace: &N,
    ) -> Result<Reducing<'s, KS::Value, N, V>> {
        let cell: Slot<'s, Single<V>> = self.slot(handle.index, namespace)?;
        Ok(Reducing { cell, reduce: handle.reduce, of: PhantomData })
    }

    /// Opens an aggregating state in a namespace.
    #[inline]
    pub fn aggregating_in<'s, A: Aggregate, N: Key>(
        &'s mut self,
        handle: &AggregatingHandle<A, N>,
        namespace: &N,
    ) -> Result<Aggregating<'s, KS::Value, N, A>> {
        let slot: Slot<'s, Single<A::Accumulator>> = self.slot(handle.index, namespace)?;
        Ok(Aggregating(slot, PhantomData))
    }

    /// Opens a list state in a namespace.
    #[inline]
    pub fn list_in<'s, T: Data, N: Key>(
        &'s mut self,
        handle: &ListHandle<T, N>,
        namespace: &N,
    ) -> Result<List<'s, KS::Value, N, T>> {
        let slot: Slot<'s, Listed<T>> = self.slot(handle.index, namespace)?;
        Ok(List(slot, PhantomData))
    }

    /// Opens a map state in a namespace.
    #[inline]
    pub fn map_in<'s, U: Key, V: Data, N: Key>(
        &'s mut self,
        handle: &MapHandle<U, V, N>,
        namespace: &N,
    ) -> Result<Map<'s, KS::Value, N, U, V>> {
        let slot: Slot<'s, Mapped<U, V>> = self.slot(handle.index, namespace)?;
        Ok(Map(slot, PhantomData))
    }

    /// Opens the timers of a namespace.
    #[inline]
    pub fn timers_in<'s, N: Key>(
        &'s mut self,
        handle: &TimerHandle<N>,
        namespace: &N,
    ) -> Result<TimersAt<'s, KS::Value, N>> {
        let KeyedBackend { states, database, row, scratch, .. } = &mut *self.backend;
        let State { family, typed, pending, .. } = states.get_mut(handle.index).ok_or_else(foreign_handle)?;
        let Some(Typed { namespace: serializer, content }) = typed.downcast_mut::<Typed<N, Agendas>>() else {
            return Err(foreign_handle());
        };
        row.truncate(self.prefix);
        serializer.write(namespace, row)?;
        let family = database.family(family)?.collecting(pending.as_ref());
        Ok(TimersAt { family, agendas: content, group: self.group, row, scratch, of: PhantomData })
    }
}
