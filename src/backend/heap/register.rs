//! Registration: the moment a state gets its types, and what was restored of it is taken over or refused.

use std::any::Any;
use std::sync::Arc;

use super::KeyedBackend;
use super::content::{Content, Single, Takeover};
use super::list::Listed;
use super::map::Mapped;
use super::restore::Carried;
use super::stamp::{Touched, Untimed};
use super::state::State;
use super::timer::Timers;
use super::typed::TypedState;
use crate::backend::handle::{
    AggregatingHandle, ListHandle, MapHandle, ReducingHandle, StateIndex, TimerHandle, ValueHandle,
};
use crate::backend::registration::{
    SharedSerializer, as_is_only, check_same_registration, check_state_name, check_takeover, foreign_handle, plain_meta,
};
use crate::backend::{Data, Key};
use crate::error::Result;
use crate::format::record::{StateKind, StateMeta};
use crate::serializer::{Compatibility, Serializer, SerializerSnapshot};
use crate::state::{
    Aggregate, AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor, TimerDescriptor, Ttl,
    ValueDescriptor,
};

impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    /// Registers a value state. What a restored snapshot holds of it is taken over here, or refused with both types named.
    pub fn register_value<S, N>(
        &mut self,
        descriptor: &ValueDescriptor<S, N>,
    ) -> Result<ValueHandle<S::Value, N::Value>>
    where
        S: Serializer + Clone,
        N: Serializer<Value: Key> + Clone,
    {
        let ValueDescriptor { name, value, namespace, ttl } = descriptor.clone();
        let kind = StateKind::Value;
        let index = self.register_single(name, kind, Arc::new(value), Arc::new(namespace), ttl)?;
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
        let kind = StateKind::Reducing;
        let index = self.register_single(name, kind, Arc::new(value), Arc::new(namespace), ttl)?;
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
        let (element, namespace): (SharedSerializer<_>, _) = (Arc::new(element), Arc::new(namespace));
        let index = match ttl {
            None => self.register(meta, namespace, Listed::<_, Untimed>::new(element), ttl)?,
            Some(_) => self.register(meta, namespace, Listed::<_, Touched>::new(element), ttl)?,
        };
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
            name: name.to_owned(),
            kind: StateKind::Map,
            namespace: namespace.snapshot(),
            user_key: user_key.snapshot(),
            value: value.snapshot(),
            timed: ttl.is_some(),
        };
        let (user_key, value): (SharedSerializer<_>, SharedSerializer<_>) = (Arc::new(user_key), Arc::new(value));
        let namespace = Arc::new(namespace);
        let index = match ttl {
            None => self.register(meta, namespace, Mapped::<_, _, Untimed>::new(user_key, value), ttl)?,
            Some(_) => self.register(meta, namespace, Mapped::<_, _, Touched>::new(user_key, value), ttl)?,
        };
        Ok(MapHandle::new(index, ttl.is_some()))
    }

    /// Registers a set of timers; see [`register_value`](Self::register_value).
    pub fn register_timers<N>(&mut self, descriptor: &TimerDescriptor<N>) -> Result<TimerHandle<N::Value>>
    where
        N: Serializer<Value: Key> + Clone,
    {
        let TimerDescriptor { name, namespace } = descriptor.clone();
        let meta = plain_meta(name, StateKind::Timer, namespace.snapshot(), SerializerSnapshot::Unit, false);
        if let Some(index) = self.registered::<Timers<KS::Value, N::Value>>(&meta)? {
            return Ok(TimerHandle::new(index));
        }
        let range = self.range();
        let (hasher, key) = (self.hasher.clone(), Arc::clone(&self.shared_key));
        let mut timers = Timers::new(meta, range.len(), hasher, key, Arc::new(namespace));
        let verdict =
            |written: &StateMeta| as_is_only(timers.namespace.compatibility(&written.namespace)).of_part("namespace");
        if let Some(carried) = self.accepted(&timers.meta, verdict)? {
            carried.decode_timers(self.parameters.max_parallelism, range, &mut timers)?;
            self.carried.remove(&timers.meta.name);
        }
        let name = timers.meta.name.clone();
        Ok(TimerHandle::new(self.add(name, Box::new(timers))))
    }

    fn register_single<V, N>(
        &mut self,
        name: &str,
        kind: StateKind,
        value: SharedSerializer<V>,
        namespace: SharedSerializer<N>,
        ttl: Option<Ttl>,
    ) -> Result<StateIndex>
    where
        V: Data,
        N: Key,
    {
        let meta = plain_meta(name, kind, namespace.snapshot(), value.snapshot(), ttl.is_some());
        match ttl {
            None => self.register(meta, namespace, Single::<V, Untimed>::new(value), ttl),
            Some(_) => self.register(meta, namespace, Single::<V, Touched>::new(value), ttl),
        }
    }

    fn register<N, C>(
        &mut self,
        meta: StateMeta,
        namespace: SharedSerializer<N>,
        content: C,
        ttl: Option<Ttl>,
    ) -> Result<StateIndex>
    where
        N: Key,
        C: Content,
    {
        if let Some(index) = self.registered::<TypedState<KS::Value, N, C>>(&meta)? {
            return Ok(index);
        }
        let verdict = |written: &StateMeta| {
            as_is_only(namespace.compatibility(&written.namespace))
                .of_part("namespace")
                .and(content.compatibility(written))
        };
        let accepted = self.accepted(&meta, verdict)?;
        let name = meta.name.clone();
        let mut state = TypedState::new(meta, self.range().len(), self.hasher.clone(), namespace, content, ttl);
        if let Some(carried) = accepted {
            let takeover = Takeover { written: carried.meta(), now_ms: self.now_ms() };
            carried.decode(&takeover, &self.parameters, &*self.key, &self.hasher, &mut state)?;
            self.carried.remove(&name);
        }
        Ok(self.add(name, Box::new(state)))
    }

    /// The state of this name, if it is registered already: it must be the same in kind and types.
    fn registered<S: Any>(&self, meta: &StateMeta) -> Result<Option<StateIndex>> {
        check_state_name(&self.parameters, &meta.name)?;
        let Some(index) = self.names.get(&meta.name).copied() else { return Ok(None) };
        let state = self.states.get(index).ok_or_else(foreign_handle)?;
        check_same_registration(&self.parameters, state.meta(), meta)?;
        let same_types = (&**state as &dyn Any).is::<S>();
        if same_types { Ok(Some(index)) } else { Err(foreign_handle().in_state(&meta.name)) }
    }

    /// What was restored under the name of `meta`, if anything was and it fits. Refused state stays carried.
    fn accepted(
        &self,
        meta: &StateMeta,
        verdict: impl FnOnce(&StateMeta) -> Compatibility,
    ) -> Result<Option<Arc<Carried>>> {
        let Some(carried) = self.carried.get(&meta.name) else { return Ok(None) };
        check_takeover(&self.parameters, carried.meta(), meta, verdict)?;
        Ok(Some(Arc::clone(carried)))
    }

    fn add(&mut self, name: String, state: Box<dyn State<KS::Value>>) -> StateIndex {
        let index = self.states.len();
        self.states.push(state);
        self.names.insert(name, index);
        index
    }
}
