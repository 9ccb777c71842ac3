//! Value, reducing and aggregating state on the heap: one cell per key and namespace.

use std::borrow::Cow;

use super::content::Single;
use super::stamp::{Cell, Stamp, Touched, Untimed};
use super::table::Slot;
use super::typed::TypedState;
use crate::backend::{Data, Key};
use crate::error::Result;
use crate::state::{Aggregate, AggregatingState, ReducingState, ValueState};

/// A state of cells, with or without time to live.
pub(super) enum CellState<'a, K, N, V: Data> {
    Untimed(&'a mut TypedState<K, N, Single<V, Untimed>>),
    Timed(&'a mut TypedState<K, N, Single<V, Touched>>),
}

/// The cell of one key and namespace.
pub(super) struct CellAt<'a, K, N, V: Data> {
    pub(super) state: CellState<'a, K, N, V>,
    pub(super) slot: Slot<'a, K, N>,
    /// The moment the state was opened; only looked at where it is timed.
    pub(super) now_ms: i64,
}

impl<K, N, V, S> TypedState<K, N, Single<V, S>>
where
    K: Key,
    N: Key,
    V: Data,
    S: Stamp,
{
    #[inline(always)]
    fn get(&mut self, slot: Slot<'_, K, N>, now_ms: i64) -> Option<&V> {
        if S::TIMED && !self.prepare_read(slot.group, slot.hash, slot.key, slot.namespace, now_ms) {
            return None;
        }
        self.table.get(slot).map(|cell| &cell.value)
    }

    /// Applies the time to live before a read; `false` if nothing is to be seen.
    #[inline(never)]
    fn prepare_read(&mut self, group: usize, hash: u64, key: &K, namespace: &N, now_ms: i64) -> bool {
        let slot = Slot { group, hash, key, namespace };
        let Some(cell) = self.table.get(slot) else { return false };
        if self.liveness(now_ms).is_live(cell.stamp) {
            if self.touches_on_read()
                && let Some(cell) = self.table.get_mut(slot)
            {
                cell.stamp = S::at(now_ms);
            }
            return true;
        }
        if !self.shows_expired() {
            self.table.remove(slot);
            return false;
        }
        true
    }

    #[inline(always)]
    fn set(&mut self, slot: Slot<'_, K, N>, now_ms: i64, value: V) {
        self.table.set(slot, Cell { value, stamp: S::at(now_ms) });
    }

    #[inline(always)]
    fn update(&mut self, slot: Slot<'_, K, N>, now_ms: i64, change: impl FnOnce(&mut Option<V>)) {
        let (liveness, shows_expired) = (self.liveness(now_ms), self.shows_expired());
        self.table.update(slot, |cell| {
            let mut value =
                cell.take().filter(|cell| shows_expired || liveness.is_live(cell.stamp)).map(|cell| cell.value);
            change(&mut value);
            *cell = value.map(|value| Cell { value, stamp: S::at(now_ms) });
        });
    }

    /// Folds an input into the live value, or starts with what `first` makes of it.
    #[inline(always)]
    fn fold<I>(
        &mut self,
        slot: Slot<'_, K, N>,
        now_ms: i64,
        input: I,
        add: impl FnOnce(&mut V, I),
        first: impl FnOnce(I) -> V,
    ) {
        let liveness = self.liveness(now_ms);
        match self.table.get_mut(slot) {
            Some(cell) if liveness.is_live(cell.stamp) => {
                add(&mut cell.value, input);
                cell.stamp = S::at(now_ms);
            }
            _ => self.set(slot, now_ms, first(input)),
        }
    }

    #[inline(always)]
    fn clear(&mut self, slot: Slot<'_, K, N>) {
        self.table.remove(slot);
    }
}

/// Calls a method of the state, in whichever of its two types.
macro_rules! cell {
    ($cell:expr, $method:ident(now $(, $argument:expr)*)) => {
        match &mut $cell.state {
            CellState::Untimed(state) => state.$method($cell.slot, $cell.now_ms $(, $argument)*),
            CellState::Timed(state) => state.$method($cell.slot, $cell.now_ms $(, $argument)*),
        }
    };
    ($cell:expr, clear()) => {
        match &mut $cell.state {
            CellState::Untimed(state) => state.clear($cell.slot),
            CellState::Timed(state) => state.clear($cell.slot),
        }
    };
}

/// The value of one key and namespace.
pub struct Value<'a, K, N, V: Data>(pub(super) CellAt<'a, K, N, V>);

impl<K, N, V> ValueState<V> for Value<'_, K, N, V>
where
    K: Key,
    N: Key,
    V: Data,
{
    #[inline(always)]
    fn get(&mut self) -> Result<Option<Cow<'_, V>>> {
        Ok(cell!(self.0, get(now)).map(Cow::Borrowed))
    }

    #[inline(always)]
    fn set(&mut self, value: V) -> Result<()> {
        cell!(self.0, set(now, value));
        Ok(())
    }

    #[inline(always)]
    fn update(&mut self, change: impl FnOnce(&mut Option<V>)) -> Result<()> {
        cell!(self.0, update(now, change));
        Ok(())
    }

    #[inline(always)]
    fn clear(&mut self) -> Result<()> {
        cell!(self.0, clear());
        Ok(())
    }
}

/// The folded value of one key and namespace.
pub struct Reducing<'a, K, N, V: Data> {
    pub(super) cell: CellAt<'a, K, N, V>,
    pub(super) reduce: fn(&mut V, V),
}

impl<K, N, V> ReducingState<V> for Reducing<'_, K, N, V>
where
    K: Key,
    N: Key,
    V: Data,
{
    #[inline(always)]
    fn get(&mut self) -> Result<Option<Cow<'_, V>>> {
        Ok(cell!(self.cell, get(now)).map(Cow::Borrowed))
    }

    #[inline(always)]
    fn add(&mut self, value: V) -> Result<()> {
        let reduce = self.reduce;
        cell!(self.cell, fold(now, value, reduce, |value| value));
        Ok(())
    }

    #[inline(always)]
    fn clear(&mut self) -> Result<()> {
        cell!(self.cell, clear());
        Ok(())
    }
}

/// The accumulator of one key and namespace.
pub struct Aggregating<'a, K, N, A: Aggregate>(pub(super) CellAt<'a, K, N, A::Accumulator>);

impl<K, N, A> AggregatingState<A> for Aggregating<'_, K, N, A>
where
    K: Key,
    N: Key,
    A: Aggregate,
{
    #[inline(always)]
    fn get(&mut self) -> Result<Option<A::Output>> {
        Ok(cell!(self.0, get(now)).map(A::result))
    }

    #[inline(always)]
    fn add(&mut self, input: A::Input) -> Result<()> {
        let first = |input| {
            let mut accumulator = A::create();
            A::add(&mut accumulator, input);
            accumulator
        };
        cell!(self.0, fold(now, input, A::add, first));
        Ok(())
    }

    #[inline(always)]
    fn clear(&mut self) -> Result<()> {
        cell!(self.0, clear());
        Ok(())
    }
}
