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
use crate::backend::handle::StateIndex;
use crate::backend::registration::{
    Requested, SharedSerializer, as_is_only, check_same_registration, check_state_name, check_takeover, foreign_handle,
};
use crate::backend::{Data, Key};
use crate::error::Result;
use crate::format::record::StateMeta;
use crate::serializer::{Compatibility, Serializer};

impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    /// Registers a state with one value per key and namespace.
    pub(in crate::backend) fn register_single<N, V>(
        &mut self,
        requested: Requested<N>,
        value: SharedSerializer<V>,
    ) -> Result<StateIndex>
    where
        N: Key,
        V: Data,
    {
        match requested.ttl {
            None => self.register(requested, Single::<V, Untimed>::new(value)),
            Some(_) => self.register(requested, Single::<V, Touched>::new(value)),
        }
    }

    /// Registers a list state.
    pub(in crate::backend) fn register_list<N, V>(
        &mut self,
        requested: Requested<N>,
        element: SharedSerializer<V>,
    ) -> Result<StateIndex>
    where
        N: Key,
        V: Data,
    {
        match requested.ttl {
            None => self.register(requested, Listed::<V, Untimed>::new(element)),
            Some(_) => self.register(requested, Listed::<V, Touched>::new(element)),
        }
    }

    /// Registers a map state.
    pub(in crate::backend) fn register_map<N, U, V>(
        &mut self,
        requested: Requested<N>,
        user_key: SharedSerializer<U>,
        value: SharedSerializer<V>,
    ) -> Result<StateIndex>
    where
        N: Key,
        U: Key,
        V: Data,
    {
        match requested.ttl {
            None => self.register(requested, Mapped::<U, V, Untimed>::new(user_key, value)),
            Some(_) => self.register(requested, Mapped::<U, V, Touched>::new(user_key, value)),
        }
    }

    /// Registers a set of timers.
    pub(in crate::backend) fn register_timers<N: Key>(&mut self, requested: Requested<N>) -> Result<StateIndex> {
        let Requested { meta, namespace, .. } = requested;
        if let Some(index) = self.registered::<Timers<KS::Value, N>>(&meta)? {
            return Ok(index);
        }
        let range = self.range();
        let (hasher, key) = (self.hasher.clone(), Arc::clone(&self.shared_key));
        let mut timers = Timers::new(meta, range.len(), hasher, key, namespace);
        let verdict =
            |written: &StateMeta| as_is_only(timers.namespace.compatibility(&written.namespace)).of_part("namespace");
        if let Some(carried) = self.accepted(&timers.meta, verdict)? {
            carried.decode_timers(self.parameters.max_parallelism, range, &mut timers)?;
            self.carried.remove(&timers.meta.name);
        }
        let name = timers.meta.name.clone();
        Ok(self.add(name, Box::new(timers)))
    }

    fn register<N, C>(&mut self, requested: Requested<N>, content: C) -> Result<StateIndex>
    where
        N: Key,
        C: Content,
    {
        let Requested { meta, namespace, ttl } = requested;
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
