//! Registration: the moment a state gets its types, and what was restored of it is taken over or refused.

use std::cell::RefCell;
use std::sync::Arc;

use super::database::Database;
use super::expiry::Expiry;
use super::list::Listed;
use super::map::Mapped;
use super::pending::Pending;
use super::sweep::Sweep;
use super::timer::Agendas;
use super::typed::{Content, Rule, State, Takeover, Typed};
use super::value::Single;
use super::{Carried, KeyedBackend};
use crate::backend::handle::{
    AggregatingHandle, ListHandle, MapHandle, ReducingHandle, StateIndex, TimerHandle, ValueHandle,
};
use crate::backend::registration::{
    SharedSerializer, as_is_only, check_same_registration, check_state_name, check_takeover, foreign_handle, plain_meta,
};
use crate::backend::{Data, Key};
use crate::codec::Writer;
use crate::error::Result;
use crate::format::native_rocksdb::{column_family_name, group_bounds, split_row_key};
use crate::format::record::{StateKind, StateMeta};
use crate::serializer::{Compatibility, Serializer, SerializerSnapshot};
use crate::snapshot::database::{BulkWriter, ingest};
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
        let index = self.register(meta, Arc::new(namespace), Listed { element: Arc::new(element) }, ttl)?;
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
        let content = Mapped { user_key: Arc::new(user_key), value: Arc::new(value) };
        let index = self.register(meta, Arc::new(namespace), content, ttl)?;
        Ok(MapHandle::new(index, ttl.is_some()))
    }

    /// Registers a set of timers; see [`register_value`](Self::register_value).
    pub fn register_timers<N>(&mut self, descriptor: &TimerDescriptor<N>) -> Result<TimerHandle<N::Value>>
    where
        N: Serializer<Value: Key> + Clone,
    {
        let TimerDescriptor { name, namespace } = descriptor.clone();
        let meta = plain_meta(name, StateKind::Timer, namespace.snapshot(), SerializerSnapshot::Unit, false);
        let agendas = Agendas::new(self.parameters.range.len(), !self.carried.contains_key(name));
        Ok(TimerHandle::new(self.register(meta, Arc::new(namespace), agendas, None)?))
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
        self.register(meta, namespace, Single { value }, ttl)
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
        if let Some(index) = self.registered::<Typed<N, C>>(&meta)? {
            return Ok(index);
        }
        let typed = Typed { namespace, content };
        let expiry = match self.carried.get(&meta.name) {
            None => self.make_family(&meta)?,
            Some(carried) => {
                let verdict = check_takeover(&self.parameters, &carried.meta, &meta, |written| {
                    as_is_only(typed.namespace.compatibility(&written.namespace))
                        .of_part("namespace")
                        .and(typed.content.compatibility(written))
                })?;
                self.take_over(&meta, &typed.content, &verdict)?
            }
        };
        if let (Some(expiry), Some(ttl)) = (&expiry, ttl) {
            expiry.start(ttl);
        }
        self.carried.remove(&meta.name);
        let index = self.states.len();
        let limit_bytes = Some(self.database.config().collected_bytes()).filter(|bytes| *bytes > 0);
        let pending = limit_bytes.map(|bytes| RefCell::new(Pending::new(self.parameters.range, bytes)));
        self.names.insert(meta.name.clone(), index);
        self.states.push(State {
            family: column_family_name(&meta.name),
            meta,
            rule: Rule(ttl),
            sweep: Sweep::default(),
            pending,
            namespace: Box::new(Arc::clone(&typed.namespace)),
            typed: Box::new(typed),
        });
        Ok(index)
    }

    /// The state of this name, if it is registered already: it must be the same in kind and types.
    fn registered<T: 'static>(&self, meta: &StateMeta) -> Result<Option<StateIndex>> {
        check_state_name(&self.parameters, &meta.name)?;
        let Some(index) = self.names.get(&meta.name).copied() else { return Ok(None) };
        let state = self.states.get(index).ok_or_else(foreign_handle)?;
        check_same_registration(&self.parameters, &state.meta, meta)?;
        if state.typed.is::<T>() { Ok(Some(index)) } else { Err(foreign_handle().in_state(&meta.name)) }
    }

    /// Makes the column family of a state; gives what decides which of its values compactions drop.
    pub(super) fn make_family(&mut self, meta: &StateMeta) -> Result<Option<Arc<Expiry>>> {
        let expiry = meta.timed.then(|| Expiry::new(meta.kind, Arc::clone(&self.parameters.clock)));
        self.database
            .create_family(meta, expiry.as_ref())
            .map_err(|error| error.in_operator(&self.parameters.operator))?;
        Ok(expiry)
    }

    /// Makes the restored rows of a state those of its registration, which their types allow.
    fn take_over(
        &mut self,
        meta: &StateMeta,
        content: &impl Content,
        verdict: &Compatibility,
    ) -> Result<Option<Arc<Expiry>>> {
        let Some(Carried { meta: written, expiry }) = self.carried.get(&meta.name) else { return Ok(None) };
        if *verdict == Compatibility::AsIs && written.timed == meta.timed {
            return Ok(expiry.clone());
        }
        let takeover = Takeover { written, timed: meta.timed, now_ms: self.now_ms() };
        let named = |error: crate::Error| error.in_state(&meta.name).in_operator(&self.parameters.operator);
        let directory = self.database.directory().make("takeover")?;
        let options = self.database.bulk_options();
        let mut bulk = BulkWriter::new(&directory, &options);
        let rewritten = rewrite(&self.database, self.parameters.range, &takeover, content, &mut bulk);
        let tables = rewritten.and_then(|()| bulk.finish()).map_err(named)?;
        // Nothing was changed so far.
        self.database.drop_family(&meta.name)?;
        let expiry = self.make_family(meta)?;
        ingest(self.database.db(), &tables)?;
        Ok(expiry)
    }
}

/// Writes what the rows of a restored state become.
fn rewrite(
    database: &Database,
    range: crate::key_group::KeyGroupRange,
    takeover: &Takeover<'_>,
    content: &impl Content,
    bulk: &mut BulkWriter<'_>,
) -> Result<()> {
    let name = &takeover.written.name;
    let (first, end) = group_bounds(range);
    let mut rows = database.family(&column_family_name(name))?.rows(&first, &end)?;
    let mut taken = Writer::new();
    while let Some((row, value)) = rows.next_row()? {
        let (group, key) = split_row_key(row)?;
        taken.clear();
        content.take_over(takeover, value, &mut taken).map_err(|error| error.in_key_group(group.0))?;
        bulk.row(name, group, key, taken.as_slice())?;
    }
    Ok(())
}
