//! Visits of all live entries of a state.

use std::any::Any;

use super::KeyedBackend;
use super::content::{Content, Liveness, Single};
use super::list::Listed;
use super::map::{Mapped, live};
use super::stamp::{Stamp, Touched, Untimed};
use super::timer::Timers;
use super::typed::TypedState;
use crate::backend::handle::{
    AggregatingHandle, KeyedHandle, ListHandle, MapHandle, ReducingHandle, StateIndex, TimerHandle, ValueHandle,
};
use crate::backend::registration::foreign_handle;
use crate::backend::{Data, Key};
use crate::error::Result;
use crate::serializer::Serializer;
use crate::state::{Aggregate, TimeDomain};

/// Visits of whole states, in no particular order, live entries only. They never count as touching.
impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    fn typed<S: Any>(&self, index: StateIndex) -> Result<&S> {
        let state: &dyn Any = &**self.states.get(index).ok_or_else(foreign_handle)?;
        state.downcast_ref().ok_or_else(foreign_handle)
    }

    fn for_each_stored<N: Key, C: Content>(
        &self,
        index: StateIndex,
        mut visit: impl FnMut(&KS::Value, &N, &C::Stored, &Liveness),
    ) -> Result<()> {
        let state: &TypedState<KS::Value, N, C> = self.typed(index)?;
        let liveness = state.liveness(self.now_ms());
        for group in 0..state.table.group_count() {
            state.table.for_each(group, |key, namespace, stored| visit(key, namespace, stored, &liveness));
        }
        Ok(())
    }

    fn for_each_cell<V: Data, N: Key, S: Stamp>(
        &self,
        index: StateIndex,
        mut visit: impl FnMut(&KS::Value, &N, &V),
    ) -> Result<()> {
        self.for_each_stored::<N, Single<V, S>>(index, |key, namespace, cell, liveness| {
            if liveness.is_live(cell.stamp) {
                visit(key, namespace, &cell.value);
            }
        })
    }

    fn for_each_single<V: Data, N: Key>(
        &self,
        index: StateIndex,
        timed: bool,
        visit: impl FnMut(&KS::Value, &N, &V),
    ) -> Result<()> {
        match timed {
            true => self.for_each_cell::<V, N, Touched>(index, visit),
            false => self.for_each_cell::<V, N, Untimed>(index, visit),
        }
    }

    /// Calls `visit` with every key and namespace for which a state holds something.
    pub fn for_each_key<N: Key>(
        &self,
        handle: &impl KeyedHandle<N>,
        mut visit: impl FnMut(&KS::Value, &N),
    ) -> Result<()> {
        let state = self.states.get(handle.index()).ok_or_else(foreign_handle)?;
        let mut foreign = false;
        state.for_each_key(self.now_ms(), &mut |key, namespace| match namespace.downcast_ref() {
            Some(namespace) => visit(key, namespace),
            None => foreign = true,
        });
        if foreign { Err(foreign_handle()) } else { Ok(()) }
    }

    /// Calls `visit` with every value of a value state.
    pub fn for_each_value<V: Data, N: Key>(
        &self,
        handle: &ValueHandle<V, N>,
        visit: impl FnMut(&KS::Value, &N, &V),
    ) -> Result<()> {
        self.for_each_single(handle.index, handle.timed, visit)
    }

    /// Calls `visit` with every folded value of a reducing state.
    pub fn for_each_reduced<V: Data, N: Key>(
        &self,
        handle: &ReducingHandle<V, N>,
        visit: impl FnMut(&KS::Value, &N, &V),
    ) -> Result<()> {
        self.for_each_single(handle.index, handle.timed, visit)
    }

    /// Calls `visit` with every accumulator of an aggregating state.
    pub fn for_each_accumulator<A: Aggregate, N: Key>(
        &self,
        handle: &AggregatingHandle<A, N>,
        visit: impl FnMut(&KS::Value, &N, &A::Accumulator),
    ) -> Result<()> {
        self.for_each_single(handle.index, handle.timed, visit)
    }

    /// Calls `visit` with every list of a list state. A list of which some elements are expired is copied.
    pub fn for_each_list<T: Data, N: Key>(
        &self,
        handle: &ListHandle<T, N>,
        visit: impl FnMut(&KS::Value, &N, &[T]),
    ) -> Result<()> {
        match handle.timed {
            true => self.for_each_elements::<T, N, Touched>(handle.index, visit),
            false => self.for_each_elements::<T, N, Untimed>(handle.index, visit),
        }
    }

    fn for_each_elements<T: Data, N: Key, S: Stamp>(
        &self,
        index: StateIndex,
        mut visit: impl FnMut(&KS::Value, &N, &[T]),
    ) -> Result<()> {
        self.for_each_stored::<N, Listed<T, S>>(index, |key, namespace, elements, liveness| {
            let live = elements.live_slice(liveness);
            if !live.is_empty() {
                visit(key, namespace, &live);
            }
        })
    }

    /// Calls `visit` with every entry of every map of a map state: key, namespace, user key, value.
    pub fn for_each_map_entry<U: Key, V: Data, N: Key>(
        &self,
        handle: &MapHandle<U, V, N>,
        visit: impl FnMut(&KS::Value, &N, &U, &V),
    ) -> Result<()> {
        match handle.timed {
            true => self.for_each_user_key::<U, V, N, Touched>(handle.index, visit),
            false => self.for_each_user_key::<U, V, N, Untimed>(handle.index, visit),
        }
    }

    fn for_each_user_key<U: Key, V: Data, N: Key, S: Stamp>(
        &self,
        index: StateIndex,
        mut visit: impl FnMut(&KS::Value, &N, &U, &V),
    ) -> Result<()> {
        self.for_each_stored::<N, Mapped<U, V, S>>(index, |key, namespace, map, liveness| {
            live(map, liveness).for_each(|(user_key, cell)| visit(key, namespace, user_key, &cell.value));
        })
    }

    /// Calls `visit` with every timer that is set.
    pub fn for_each_timer<N: Key>(
        &self,
        handle: &TimerHandle<N>,
        mut visit: impl FnMut(&KS::Value, &N, TimeDomain, i64),
    ) -> Result<()> {
        let timers: &Timers<KS::Value, N> = self.typed(handle.index)?;
        for group in 0..timers.table.group_count() {
            timers.table.for_each(group, |key, moment, ()| {
                visit(key, &moment.namespace, moment.domain, moment.timestamp_ms);
            });
        }
        Ok(())
    }
}
