//! Map state on the heap: a map per key and namespace.

use std::borrow::Cow;
use std::sync::Arc;

use super::content::{Content, Expiry, Liveness, Takeover};
use super::stamp::{Cell, Stamp, Touched, Untimed};
use super::table::Slot;
use super::typed::TypedState;
use super::user_map::UserMap;
use crate::backend::registration::{SharedSerializer, as_is_only};
use crate::backend::{Data, Key};
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::format::record::StateMeta;
use crate::serializer::Compatibility;
use crate::state::MapState;

/// The map of one key and namespace; never empty in the table.
pub(super) type Cells<U, V, S> = UserMap<U, Cell<V, S>>;

/// The content of map state.
pub(super) struct Mapped<U, V, S> {
    pub(super) user_key: SharedSerializer<U>,
    pub(super) value: SharedSerializer<V>,
    stamp: std::marker::PhantomData<S>,
}

impl<U, V, S> Mapped<U, V, S> {
    pub(super) fn new(user_key: SharedSerializer<U>, value: SharedSerializer<V>) -> Self {
        Mapped { user_key, value, stamp: std::marker::PhantomData }
    }
}

impl<U, V, S> Clone for Mapped<U, V, S> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.user_key), Arc::clone(&self.value))
    }
}

/// The entries that are not expired.
pub(super) fn live<'a, U: Key, V, S: Stamp>(
    map: &'a Cells<U, V, S>,
    liveness: &Liveness,
) -> impl Iterator<Item = (&'a U, &'a Cell<V, S>)> {
    let liveness = *liveness;
    map.iter().filter(move |(_, cell)| liveness.is_live(cell.stamp))
}

impl<U, V, S> Mapped<U, V, S>
where
    U: Key,
    V: Data,
    S: Stamp,
{
    /// Reads a value and inserts it under a user key that must be new.
    fn insert(
        &self,
        stored: &mut Cells<U, V, S>,
        user_key: U,
        takeover: &Takeover<'_>,
        input: &mut Reader<'_>,
    ) -> Result<()> {
        let stamp = takeover.stamp(input)?;
        let value = self.value.read_written(&takeover.written.value, input)?;
        if stored.insert(user_key, Cell { value, stamp }).is_some() {
            return Err(input.corrupt("user key", "the same user key comes twice"));
        }
        Ok(())
    }
}

impl<U, V, S> Content for Mapped<U, V, S>
where
    U: Key,
    V: Data,
    S: Stamp,
{
    type Stored = Cells<U, V, S>;
    type Pair<'a> = &'a Cell<V, S>;

    fn compatibility(&self, written: &StateMeta) -> Compatibility {
        let user_key = as_is_only(self.user_key.compatibility(&written.user_key)).of_part("user key");
        user_key.and(self.value.compatibility(&written.value).of_part("value"))
    }

    fn write_typed(&self, stored: &Self::Stored, liveness: &Liveness, out: &mut Writer) -> Result<()> {
        out.length(live(stored, liveness).count());
        for (user_key, cell) in live(stored, liveness) {
            self.user_key.write(user_key, out)?;
            cell.stamp.write(out);
            self.value.write(&cell.value, out)?;
        }
        Ok(())
    }

    fn read_typed(
        &self,
        stored: Option<Self::Stored>,
        takeover: &Takeover<'_>,
        input: &mut Reader<'_>,
    ) -> Result<Self::Stored> {
        let count = input.count(0, "count")?;
        let mut stored = stored.unwrap_or_default();
        stored.reserve(count.min(4096));
        for _ in 0..count {
            let user_key = self.user_key.read(input)?;
            self.insert(&mut stored, user_key, takeover, input)?;
        }
        Ok(stored)
    }

    fn pairs<'a>(
        &self,
        stored: &'a Self::Stored,
        liveness: &Liveness,
        key: &mut Writer,
        emit: &mut dyn FnMut(&[u8], Self::Pair<'a>),
    ) -> Result<()> {
        let prefix = key.len();
        for (user_key, cell) in live(stored, liveness) {
            self.user_key.write(user_key, key)?;
            emit(key.as_slice(), cell);
            key.truncate(prefix);
        }
        Ok(())
    }

    fn write_pair(&self, pair: &Self::Pair<'_>, _liveness: &Liveness, out: &mut Writer) -> Result<()> {
        pair.stamp.write(out);
        self.value.write(&pair.value, out)
    }

    fn read_pair(
        &self,
        stored: Option<Self::Stored>,
        takeover: &Takeover<'_>,
        user_key: &mut Reader<'_>,
        value: &mut Reader<'_>,
    ) -> Result<Self::Stored> {
        let mut stored = stored.unwrap_or_default();
        let user_key = self.user_key.read(user_key)?;
        self.insert(&mut stored, user_key, takeover, value)?;
        Ok(stored)
    }

    fn is_live(&self, stored: &Self::Stored, liveness: &Liveness) -> bool {
        live(stored, liveness).next().is_some()
    }

    fn expire(&self, stored: &mut Self::Stored, liveness: &Liveness) -> Expiry {
        let before = stored.len();
        if S::TIMED {
            stored.retain(|cell| liveness.is_live(cell.stamp));
        }
        Expiry::of(before, stored.len())
    }
}

/// A state of maps, with or without time to live.
pub(super) enum MapsState<'a, K, N, U, V>
where
    U: Key,
    V: Data,
{
    Untimed(&'a mut TypedState<K, N, Mapped<U, V, Untimed>>),
    Timed(&'a mut TypedState<K, N, Mapped<U, V, Touched>>),
}

impl<K, N, U, V, S> TypedState<K, N, Mapped<U, V, S>>
where
    K: Key,
    N: Key,
    U: Key,
    V: Data,
    S: Stamp,
{
    #[inline(always)]
    fn visible(&self, slot: Slot<'_, K, N>, now_ms: i64, user_key: &U) -> Option<&Cell<V, S>> {
        let cell = self.table.get(slot)?.get(user_key)?;
        (self.shows_expired() || self.liveness(now_ms).is_live(cell.stamp)).then_some(cell)
    }

    #[inline(always)]
    fn has(&self, slot: Slot<'_, K, N>, now_ms: i64, user_key: &U) -> bool {
        self.visible(slot, now_ms, user_key).is_some()
    }

    #[inline(always)]
    fn has_none(&self, slot: Slot<'_, K, N>, now_ms: i64) -> bool {
        self.entries(slot, now_ms).next().is_none()
    }

    #[inline(always)]
    fn get(&mut self, slot: Slot<'_, K, N>, now_ms: i64, user_key: &U) -> Option<&V> {
        if S::TIMED && self.touches_on_read() {
            let liveness = self.liveness(now_ms);
            let is_live = self.visible(slot, now_ms, user_key).is_some_and(|cell| liveness.is_live(cell.stamp));
            if is_live && let Some(cell) = self.table.get_mut(slot).and_then(|map| map.get_mut(user_key)) {
                cell.stamp = S::at(now_ms);
            }
        }
        self.visible(slot, now_ms, user_key).map(|cell| &cell.value)
    }

    #[inline(always)]
    fn put(&mut self, slot: Slot<'_, K, N>, now_ms: i64, user_key: U, value: V) {
        let cell = Cell { value, stamp: S::at(now_ms) };
        if let Some(map) = self.table.get_mut(slot) {
            map.insert(user_key, cell);
            return;
        }
        let mut map = UserMap::default();
        map.insert(user_key, cell);
        self.table.set(slot, map);
    }

    #[inline(always)]
    fn update(&mut self, slot: Slot<'_, K, N>, now_ms: i64, user_key: U, change: impl FnOnce(&mut Option<V>)) {
        let (liveness, shows_expired) = (self.liveness(now_ms), self.shows_expired());
        let Some(map) = self.table.get_mut(slot) else {
            let mut value = None;
            change(&mut value);
            if let Some(value) = value {
                self.put(slot, now_ms, user_key, value);
            }
            return;
        };
        map.update(user_key, |cell| {
            let seen = cell.filter(|cell| shows_expired || liveness.is_live(cell.stamp));
            let mut value = seen.map(|cell| cell.value);
            change(&mut value);
            value.map(|value| Cell { value, stamp: S::at(now_ms) })
        });
        if map.is_empty() {
            self.clear(slot, now_ms);
        }
    }

    #[inline(always)]
    fn remove(&mut self, slot: Slot<'_, K, N>, now_ms: i64, user_key: &U) {
        // Looked up first: changing a map that a snapshot holds copies it.
        let present = self.table.get(slot).is_some_and(|map| map.get(user_key).is_some());
        if present && let Some(map) = self.table.get_mut(slot) {
            map.remove(user_key);
            if map.is_empty() {
                self.clear(slot, now_ms);
            }
        }
    }

    #[inline(always)]
    fn entries<'s>(
        &'s self,
        slot: Slot<'_, K, N>,
        now_ms: i64,
    ) -> impl Iterator<Item = (&'s U, &'s V)> + use<'s, K, N, U, V, S> {
        let (liveness, shows_expired) = (self.liveness(now_ms), self.shows_expired());
        let cells = self.table.get(slot).into_iter().flat_map(UserMap::iter);
        cells
            .filter(move |(_, cell)| shows_expired || liveness.is_live(cell.stamp))
            .map(|(user_key, cell)| (user_key, &cell.value))
    }

    fn touch_all(&mut self, slot: Slot<'_, K, N>, now_ms: i64) {
        let liveness = self.liveness(now_ms);
        if S::TIMED
            && self.touches_on_read()
            && let Some(map) = self.table.get_mut(slot)
        {
            map.cells_mut().filter(|cell| liveness.is_live(cell.stamp)).for_each(|cell| cell.stamp = S::at(now_ms));
        }
    }

    fn clear(&mut self, slot: Slot<'_, K, N>, _now_ms: i64) {
        self.table.remove(slot);
    }
}

/// Calls a method of the state, in whichever of its two types.
macro_rules! map {
    ($map:expr, $method:ident($($argument:expr),*)) => {
        match &mut $map.state {
            MapsState::Untimed(state) => state.$method($map.slot, $map.now_ms $(, $argument)*),
            MapsState::Timed(state) => state.$method($map.slot, $map.now_ms $(, $argument)*),
        }
    };
}

/// The map of one key and namespace.
pub struct Map<'a, K, N, U, V>
where
    U: Key,
    V: Data,
{
    pub(super) state: MapsState<'a, K, N, U, V>,
    pub(super) slot: Slot<'a, K, N>,
    pub(super) now_ms: i64,
}

impl<K, N, U, V> MapState<U, V> for Map<'_, K, N, U, V>
where
    K: Key,
    N: Key,
    U: Key,
    V: Data,
{
    #[inline(always)]
    fn get(&mut self, user_key: &U) -> Result<Option<Cow<'_, V>>> {
        Ok(map!(self, get(user_key)).map(Cow::Borrowed))
    }

    #[inline(always)]
    fn put(&mut self, user_key: U, value: V) -> Result<()> {
        map!(self, put(user_key, value));
        Ok(())
    }

    #[inline(always)]
    fn update(&mut self, user_key: U, change: impl FnOnce(&mut Option<V>)) -> Result<()> {
        map!(self, update(user_key, change));
        Ok(())
    }

    #[inline(always)]
    fn remove(&mut self, user_key: &U) -> Result<()> {
        map!(self, remove(user_key));
        Ok(())
    }

    #[inline(always)]
    fn contains(&mut self, user_key: &U) -> Result<bool> {
        Ok(map!(self, has(user_key)))
    }

    #[inline(always)]
    fn is_empty(&mut self) -> Result<bool> {
        Ok(map!(self, has_none()))
    }

    fn entries(&mut self) -> Result<crate::state::map::Entries<'_, U, V>> {
        map!(self, touch_all());
        Ok(match &self.state {
            MapsState::Untimed(state) => Box::new(state.entries(self.slot, self.now_ms).map(borrowed)),
            MapsState::Timed(state) => Box::new(state.entries(self.slot, self.now_ms).map(borrowed)),
        })
    }

    #[inline(always)]
    fn clear(&mut self) -> Result<()> {
        map!(self, clear());
        Ok(())
    }
}

fn borrowed<'a, U: Clone, V: Clone>((user_key, value): (&'a U, &'a V)) -> Result<(Cow<'a, U>, Cow<'a, V>)> {
    Ok((Cow::Borrowed(user_key), Cow::Borrowed(value)))
}
