//! Visits of all live entries of a state.

use super::KeyedBackend;
use super::list::Listed;
use super::map::Mapped;
use super::sweep;
use super::timer::Agendas;
use super::typed::{State, Typed};
use super::value::Single;
use crate::backend::handle::{
    AggregatingHandle, KeyedHandle, ListHandle, MapHandle, ReducingHandle, StateIndex, TimerHandle, ValueHandle,
};
use crate::backend::registration::{SharedSerializer, foreign_handle};
use crate::backend::{Data, Key};
use crate::codec::Reader;
use crate::error::{Error, Result};
use crate::format::native_rocksdb::{group_bounds, split_row_key};
use crate::format::record::StateKind;
use crate::serializer::Serializer;
use crate::state::{Aggregate, TimeDomain};

/// Visits of whole states, in the order of key groups and of the keys' bytes, live entries only. They never count as touching.
impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    fn state(&self, index: StateIndex) -> Result<&State> {
        self.states.get(index).ok_or_else(foreign_handle)
    }

    fn typed<N: Key, C: 'static>(&self, index: StateIndex) -> Result<(&State, &Typed<N, C>)> {
        let state = self.state(index)?;
        Ok((state, state.typed.downcast_ref().ok_or_else(foreign_handle)?))
    }

    /// Gives the neutral key and the value of every row to `visit`.
    fn for_each_row(&self, state: &State, mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        let (first, end) = group_bounds(self.parameters.range);
        let mut rows = state.rows_in(&self.database)?.rows(&first, &end)?;
        let located = |error: Error| error.in_state(&state.meta.name).in_operator(&self.parameters.operator);
        while let Some((row, value)) = rows.next_row()? {
            let (_, key) = split_row_key(row).map_err(located)?;
            visit(key, value).map_err(located)?;
        }
        Ok(())
    }

    fn read_place<N>(&self, namespace: &SharedSerializer<N>, input: &mut Reader<'_>) -> Result<(KS::Value, N)>
    where
        N: Key,
    {
        Ok((self.key.read(input)?, namespace.read(input)?))
    }

    fn for_each_single<V: Data, N: Key>(
        &self,
        index: StateIndex,
        mut visit: impl FnMut(&KS::Value, &N, &V),
    ) -> Result<()> {
        let (state, typed) = self.typed::<N, Single<V>>(index)?;
        let (now_ms, rule) = (self.now_ms(), state.rule);
        let liveness = rule.liveness(now_ms);
        self.for_each_row(state, |key, value| {
            let (mut key, mut value) = (Reader::new(key), Reader::new(value));
            if liveness.is_live(rule.read_stamp(now_ms, &mut value)?) {
                let (key, namespace) = self.read_place(&typed.namespace, &mut key)?;
                visit(&key, &namespace, &typed.content.value.read(&mut value)?);
            }
            Ok(())
        })
    }

    /// Calls `visit` with every key and namespace for which a state holds something; with those of a timer once per timer.
    pub fn for_each_key<N: Key>(
        &self,
        handle: &impl KeyedHandle<N>,
        mut visit: impl FnMut(&KS::Value, &N),
    ) -> Result<()> {
        let state = self.state(handle.index())?;
        let namespace: &SharedSerializer<N> = state.namespace.downcast_ref().ok_or_else(foreign_handle)?;
        let liveness = state.rule.liveness(self.now_ms());
        let (kind, timed) = (state.meta.kind, state.rule.is_timed());
        let mut last = Vec::new();
        self.for_each_row(state, |row, value| {
            let live = !timed || super::expiry::is_live(kind, value, &liveness).unwrap_or(true);
            let mut input = Reader::new(row);
            if kind == StateKind::Timer {
                input.raw(sweep::TIMER_BYTES, "timer")?;
            }
            let start = input.position();
            let (key, namespace) = self.read_place(namespace, &mut input)?;
            let place = input.since(start);
            if live && (kind != StateKind::Map || last.is_empty() || place != &last[..]) {
                visit(&key, &namespace);
                last = place.to_vec();
            }
            Ok(())
        })
    }

    /// Calls `visit` with every value of a value state.
    pub fn for_each_value<V: Data, N: Key>(
        &self,
        handle: &ValueHandle<V, N>,
        visit: impl FnMut(&KS::Value, &N, &V),
    ) -> Result<()> {
        self.for_each_single(handle.index, visit)
    }

    /// Calls `visit` with every folded value of a reducing state.
    pub fn for_each_reduced<V: Data, N: Key>(
        &self,
        handle: &ReducingHandle<V, N>,
        visit: impl FnMut(&KS::Value, &N, &V),
    ) -> Result<()> {
        self.for_each_single(handle.index, visit)
    }

    /// Calls `visit` with every accumulator of an aggregating state.
    pub fn for_each_accumulator<A: Aggregate, N: Key>(
        &self,
        handle: &AggregatingHandle<A, N>,
        visit: impl FnMut(&KS::Value, &N, &A::Accumulator),
    ) -> Result<()> {
        self.for_each_single(handle.index, visit)
    }

    /// Calls `visit` with every list of a list state.
    pub fn for_each_list<T: Data, N: Key>(
        &self,
        handle: &ListHandle<T, N>,
        mut visit: impl FnMut(&KS::Value, &N, &[T]),
    ) -> Result<()> {
        let (state, typed) = self.typed::<N, Listed<T>>(handle.index)?;
        let liveness = state.rule.liveness(self.now_ms());
        self.for_each_row(state, |key, value| {
            let live = typed.content.read(state.rule.is_timed(), value, Some(&liveness))?;
            if !live.is_empty() {
                let (key, namespace) = self.read_place(&typed.namespace, &mut Reader::new(key))?;
                visit(&key, &namespace, &live);
            }
            Ok(())
        })
    }

    /// Calls `visit` with every entry of every map of a map state: key, namespace, user key, value.
    pub fn for_each_map_entry<U: Key, V: Data, N: Key>(
        &self,
        handle: &MapHandle<U, V, N>,
        mut visit: impl FnMut(&KS::Value, &N, &U, &V),
    ) -> Result<()> {
        let (state, typed) = self.typed::<N, Mapped<U, V>>(handle.index)?;
        let (now_ms, rule) = (self.now_ms(), state.rule);
        let liveness = rule.liveness(now_ms);
        self.for_each_row(state, |key, value| {
            let (mut key, mut value) = (Reader::new(key), Reader::new(value));
            if liveness.is_live(rule.read_stamp(now_ms, &mut value)?) {
                let (of, namespace) = self.read_place(&typed.namespace, &mut key)?;
                let user_key = typed.content.user_key.read(&mut key)?;
                visit(&of, &namespace, &user_key, &typed.content.value.read(&mut value)?);
            }
            Ok(())
        })
    }

    /// Calls `visit` with every timer that is set.
    pub fn for_each_timer<N: Key>(
        &self,
        handle: &TimerHandle<N>,
        mut visit: impl FnMut(&KS::Value, &N, TimeDomain, i64),
    ) -> Result<()> {
        let (state, typed) = self.typed::<N, Agendas>(handle.index)?;
        self.for_each_row(state, |key, _| {
            let mut input = Reader::new(key);
            let domain = TimeDomain::from_tag(input.u8("time domain")?)
                .ok_or_else(|| input.corrupt("time domain", "is neither event nor processing time"))?;
            let timestamp_ms = input.ordered_i64("timestamp")?;
            let (key, namespace) = self.read_place(&typed.namespace, &mut input)?;
            visit(&key, &namespace, domain, timestamp_ms);
            Ok(())
        })
    }
}
