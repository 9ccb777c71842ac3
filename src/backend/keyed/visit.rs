use super::{KeyedBackend, each_backend};
use crate::backend::handle::{
    AggregatingHandle, KeyedHandle, ListHandle, MapHandle, ReducingHandle, TimerHandle, ValueHandle,
};
use crate::backend::{Data, Key};
use crate::error::Result;
use crate::serializer::Serializer;
use crate::state::{Aggregate, TimeDomain};

/// Visits of whole states: every key of this subtask, in no particular order, live entries only. They never count as
/// touching.
impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    /// Calls `visit` with every key and namespace for which a state holds something.
    pub fn for_each_key<N: Key>(&self, handle: &impl KeyedHandle<N>, visit: impl FnMut(&KS::Value, &N)) -> Result<()> {
        each_backend!(self, backend => backend.for_each_key(handle, visit))
    }

    /// Calls `visit` with every value of a value state.
    pub fn for_each_value<V: Data, N: Key>(
        &self,
        handle: &ValueHandle<V, N>,
        visit: impl FnMut(&KS::Value, &N, &V),
    ) -> Result<()> {
        each_backend!(self, backend => backend.for_each_value(handle, visit))
    }

    /// Calls `visit` with every list of a list state.
    pub fn for_each_list<T: Data, N: Key>(
        &self,
        handle: &ListHandle<T, N>,
        visit: impl FnMut(&KS::Value, &N, &[T]),
    ) -> Result<()> {
        each_backend!(self, backend => backend.for_each_list(handle, visit))
    }

    /// Calls `visit` with every entry of every map of a map state: key, namespace, user key, value.
    pub fn for_each_map_entry<U: Key, V: Data, N: Key>(
        &self,
        handle: &MapHandle<U, V, N>,
        visit: impl FnMut(&KS::Value, &N, &U, &V),
    ) -> Result<()> {
        each_backend!(self, backend => backend.for_each_map_entry(handle, visit))
    }

    /// Calls `visit` with every folded value of a reducing state.
    pub fn for_each_reduced<V: Data, N: Key>(
        &self,
        handle: &ReducingHandle<V, N>,
        visit: impl FnMut(&KS::Value, &N, &V),
    ) -> Result<()> {
        each_backend!(self, backend => backend.for_each_reduced(handle, visit))
    }

    /// Calls `visit` with every accumulator of an aggregating state.
    pub fn for_each_accumulator<A: Aggregate, N: Key>(
        &self,
        handle: &AggregatingHandle<A, N>,
        visit: impl FnMut(&KS::Value, &N, &A::Accumulator),
    ) -> Result<()> {
        each_backend!(self, backend => backend.for_each_accumulator(handle, visit))
    }

    /// Calls `visit` with every timer that is set.
    pub fn for_each_timer<N: Key>(
        &self,
        handle: &TimerHandle<N>,
        visit: impl FnMut(&KS::Value, &N, TimeDomain, i64),
    ) -> Result<()> {
        each_backend!(self, backend => backend.for_each_timer(handle, visit))
    }
}
