//! Registration: descriptors are taken apart here, so that backends only see what they keep.

use std::sync::Arc;

use super::{KeyedBackend, each_backend};
use crate::backend::handle::{
    AggregatingHandle, ListHandle, MapHandle, ReducingHandle, StateIndex, TimerHandle, ValueHandle,
};
use crate::backend::registration::{Requested, SharedSerializer, plain_meta};
use crate::backend::{Data, Key};
use crate::error::Result;
use crate::format::record::{StateKind, StateMeta};
use crate::serializer::{Serializer, SerializerSnapshot};
use crate::state::{
    Aggregate, AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor, TimerDescriptor, Ttl,
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
        let ValueDescriptor { name, value, namespace, ttl } = descriptor.clone();
        let index = self.register_single(name, StateKind::Value, Arc::new(value), Arc::new(namespace), ttl)?;
        Ok(ValueHandle::new(index, ttl.is_some()))
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
        let ReducingDescriptor { name, value, reduce, namespace, ttl } = descriptor.clone();
        let index = self.register_single(name, StateKind::Reducing, Arc::new(value), Arc::new(namespace), ttl)?;
        Ok(ReducingHandle::new(index, ttl.is_some(), reduce))
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
        let AggregatingDescriptor { name, accumulator, namespace, ttl, .. } = descriptor;
        let (accumulator, namespace) = (Arc::new(accumulator.clone()), Arc::new(namespace.clone()));
        let index = self.register_single(name, StateKind::Aggregating, accumulator, namespace, *ttl)?;
        Ok(AggregatingHandle::new(index, ttl.is_some()))
    }

    /// Registers a list state; see [`register_value`](Self::register_value).
    pub fn register_list<S, N>(&mut self, descriptor: &ListDescriptor<S, N>) -> Result<ListHandle<S::Value, N::Value>>
    where
        S: Serializer + Clone,
        N: Serializer<Value: Key> + Clone,
    {
        let ListDescriptor { name, element, namespace, ttl } = descriptor.clone();
        let meta = plain_meta(name, StateKind::List, namespace.snapshot(), element.snapshot(), ttl.is_some());
        let requested = Requested { meta, namespace: Arc::new(namespace), ttl };
        let index = each_backend!(self, backend => backend.register_list(requested, Arc::new(element)))?;
        Ok(ListHandle::new(index, ttl.is_some()))
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
        let MapDescriptor { name, user_key, value, namespace, ttl } = descriptor.clone();
        let meta = StateMeta {
            user_key: user_key.snapshot(),
            ..plain_meta(name, StateKind::Map, namespace.snapshot(), value.snapshot(), ttl.is_some())
        };
        let requested = Requested { meta, namespace: Arc::new(namespace), ttl };
        let (user_key, value) = (Arc::new(user_key), Arc::new(value));
        let index = each_backend!(self, backend => backend.register_map(requested, user_key, value))?;
        Ok(MapHandle::new(index, ttl.is_some()))
    }

    /// Registers a set of timers; see [`register_value`](Self::register_value).
    pub fn register_timers<N>(&mut self, descriptor: &TimerDescriptor<N>) -> Result<TimerHandle<N::Value>>
    where
        N: Serializer<Value: Key> + Clone,
    {
        let TimerDescriptor { name, namespace } = descriptor.clone();
        let meta = plain_meta(name, StateKind::Timer, namespace.snapshot(), SerializerSnapshot::Unit, false);
        let requested = Requested { meta, namespace: Arc::new(namespace), ttl: None };
        Ok(TimerHandle::new(each_backend!(self, backend => backend.register_timers(requested))?))
    }

    /// Registers a state with one value per key and namespace.
    fn register_single<V: Data, N: Key>(
        &mut self,
        name: &str,
        kind: StateKind,
        value: SharedSerializer<V>,
        namespace: SharedSerializer<N>,
        ttl: Option<Ttl>,
    ) -> Result<StateIndex> {
        let meta = plain_meta(name, kind, namespace.snapshot(), value.snapshot(), ttl.is_some());
        let requested = Requested { meta, namespace, ttl };
        each_backend!(self, backend => backend.register_single(requested, value))
    }
}
