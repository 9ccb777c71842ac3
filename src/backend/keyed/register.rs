use super::{KeyedBackend, each_backend};
use crate::backend::Key;
use crate::backend::handle::{AggregatingHandle, ListHandle, MapHandle, ReducingHandle, TimerHandle, ValueHandle};
use crate::error::Result;
use crate::serializer::Serializer;
use crate::state::{
    Aggregate, AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor, TimerDescriptor,
    ValueDescriptor,
};

impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    /// Registers a value state.
    ///
    /// What a restored snapshot holds of it is taken over here, or refused as
    /// [`Incompatible`](crate::ErrorKind::Incompatible) with both types named; refused state stays carried, and may be
    /// registered with a type that fits. Registering the same state again gives the same handle.
    pub fn register_value<S, N>(
        &mut self,
        descriptor: &ValueDescriptor<S, N>,
    ) -> Result<ValueHandle<S::Value, N::Value>>
    where
        S: Serializer + Clone,
        N: Serializer<Value: Key> + Clone,
    {
        each_backend!(self, backend => backend.register_value(descriptor))
    }

    /// Registers a reducing state; see [`register_value`](Self::register_value).
    pub fn register_reducing<S, N>(
        &mut self,
        descriptor: &ReducingDescriptor<S, N>,
    ) -> Result<ReducingHandle<S::Value, N::Value>>
    where
        S: Serializer + Clone,
        N: Serializer<Value: Key> + Clone,
    {
        each_backend!(self, backend => backend.register_reducing(descriptor))
    }

    /// Registers an aggregating state; see [`register_value`](Self::register_value).
    pub fn register_aggregating<A, S, N>(
        &mut self,
        descriptor: &AggregatingDescriptor<A, S, N>,
    ) -> Result<AggregatingHandle<A, N::Value>>
    where
        A: Aggregate,
        S: Serializer<Value = A::Accumulator> + Clone,
        N: Serializer<Value: Key> + Clone,
    {
        each_backend!(self, backend => backend.register_aggregating(descriptor))
    }

    /// Registers a list state; see [`register_value`](Self::register_value).
    pub fn register_list<S, N>(&mut self, descriptor: &ListDescriptor<S, N>) -> Result<ListHandle<S::Value, N::Value>>
    where
        S: Serializer + Clone,
        N: Serializer<Value: Key> + Clone,
    {
        each_backend!(self, backend => backend.register_list(descriptor))
    }

    /// Registers a map state; see [`register_value`](Self::register_value).
    pub fn register_map<U, V, N>(
        &mut self,
        descriptor: &MapDescriptor<U, V, N>,
    ) -> Result<MapHandle<U::Value, V::Value, N::Value>>
    where
        U: Serializer<Value: Key> + Clone,
        V: Serializer + Clone,
        N: Serializer<Value: Key> + Clone,
    {
        each_backend!(self, backend => backend.register_map(descriptor))
    }

    /// Registers a set of timers; see [`register_value`](Self::register_value).
    pub fn register_timers<N>(&mut self, descriptor: &TimerDescriptor<N>) -> Result<TimerHandle<N::Value>>
    where
        N: Serializer<Value: Key> + Clone,
    {
        each_backend!(self, backend => backend.register_timers(descriptor))
    }
}
