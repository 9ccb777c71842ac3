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
use crate::backend::handle::StateIndex;
use crate::backend::registration::{
    Requested, SharedSerializer, as_is_only, check_same_registration, check_state_name, check_takeover, foreign_handle,
};
use crate::backend::{Data, Key};
use crate::codec::Writer;
use crate::error::Result;
use crate::format::native_rocksdb::{column_family_name, group_bounds, split_row_key};
use crate::format::record::StateMeta;
use crate::serializer::{Compatibility, Serializer};
use crate::snapshot::database::{BulkWriter, ingest};

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
        self.register(requested, Single { value })
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
        self.register(requested, Listed { element })
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
        self.register(requested, Mapped { user_key, value })
    }

    /// Registers a set of timers.
    pub(in crate::backend) fn register_timers<N: Key>(&mut self, requested: Requested<N>) -> Result<StateIndex> {
        let agendas = Agendas::new(self.parameters.range.len(), !self.carried.contains_key(&requested.meta.name));
        self.register(requested, agendas)
    }

    fn register<N, C>(&mut self, requested: Requested<N>, content: C) -> Result<StateIndex>
    where
        N: Key,
        C: Content,
    {
        let Requested { meta, namespace, ttl } = requested;
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
