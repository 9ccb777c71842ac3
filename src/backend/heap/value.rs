//! Value, reducing and aggregating state on the heap: one cell per key and namespace.

use std::borrow::Cow;

use super::content::Single;
use super::slot::At;
use super::stamp::{Cell, Stamp, Touched, Untimed};
use crate::backend::{Data, Key};
use crate::error::Result;
use crate::state::{Aggregate, AggregatingState, ReducingState, ValueState};

/// The cell of one key and namespace, with or without time to live.
pub(super) enum CellAt<'a, K, N, V: Data> {
    Untimed(At<'a, K, N, Single<V, Untimed>>),
    Timed(At<'a, K, N, Single<V, Touched>>),
}

impl<K, N, V, S> At<'_, K, N, Single<V, S>>
where
    K: Key,
    N: Key,
    V: Data,
    S: Stamp,
{
    #[inline(always)]
    fn get(&mut self) -> Option<&V> {
        if S::TIMED && !self.prepare_read() {
            return None;
        }
        self.state.table.get(self.slot).map(|cell| &cell.value)
    }

    /// Applies the time to live before a read; `false` if nothing is to be seen.
    fn prepare_read(&mut self) -> bool {
        let Some(cell) = self.state.table.get(self.slot) else { return false };
        if self.liveness().is_live(cell.stamp) {
            if self.touches_on_read()
                && let Some(cell) = self.state.table.get_mut(self.slot)
            {
                cell.stamp = S::at(self.now_ms);
            }
            return true;
        }
        if !self.shows_expired() {
            self.state.table.remove(self.slot);
            return false;
        }
        true
    }

    #[inline(always)]
    fn set(&mut self, value: V) {
        self.state.table.set(self.slot, Cell { value, stamp: S::at(self.now_ms) });
    }

    fn update(&mut self, change: impl FnOnce(&mut Option<V>)) {
        let (now_ms, liveness, shows_expired) = (self.now_ms, self.liveness(), self.shows_expired());
        self.state.table.update(self.slot, |cell| {
            let mut value =
                cell.take().filter(|cell| shows_expired || liveness.is_live(cell.stamp)).map(|cell| cell.value);
            change(&mut value);
            *cell = value.map(|value| Cell { value, stamp: S::at(now_ms) });
        });
    }

    /// Folds an input into the live value, or starts with what `first` makes of it.
    #[inline(always)]
    fn fold<I>(&mut self, input: I, add: impl FnOnce(&mut V, I), first: impl FnOnce(I) -> V) {
        let (now_ms, liveness) = (self.now_ms, self.liveness());
        match self.state.table.get_mut(self.slot) {
            Some(cell) if liveness.is_live(cell.stamp) => {
                add(&mut cell.value, input);
                cell.stamp = S::at(now_ms);
            }
            _ => self.set(first(input)),
        }
    }

    fn clear(&mut self) {
        self.state.table.remove(self.slot);
    }
}

macro_rules! each {
    ($self:expr, $at:ident => $call:expr) => {
        match $self {
            CellAt::Untimed($at) => $call,
            CellAt::Timed($at) => $call,
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
        Ok(each!(&mut self.0, at => at.get()).map(Cow::Borrowed))
    }

    #[inline(always)]
    fn set(&mut self, value: V) -> Result<()> {
        each!(&mut self.0, at => at.set(value));
        Ok(())
    }

    #[inline(always)]
    fn update(&mut self, change: impl FnOnce(&mut Option<V>)) -> Result<()> {
        each!(&mut self.0, at => at.update(change));
        Ok(())
    }

    #[inline(always)]
    fn clear(&mut self) -> Result<()> {
        each!(&mut self.0, at => at.clear());
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
        Ok(each!(&mut self.cell, at => at.get()).map(Cow::Borrowed))
    }

    #[inline(always)]
    fn add(&mut self, value: V) -> Result<()> {
        let reduce = self.reduce;
        each!(&mut self.cell, at => at.fold(value, reduce, |value| value));
        Ok(())
    }

    #[inline(always)]
    fn clear(&mut self) -> Result<()> {
        each!(&mut self.cell, at => at.clear());
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
        Ok(each!(&mut self.0, at => at.get()).map(A::result))
    }

    #[inline(always)]
    fn add(&mut self, input: A::Input) -> Result<()> {
        let first = |input| {
            let mut accumulator = A::create();
            A::add(&mut accumulator, input);
            accumulator
        };
        each!(&mut self.0, at => at.fold(input, A::add, first));
        Ok(())
    }

    #[inline(always)]
    fn clear(&mut self) -> Result<()> {
        each!(&mut self.0, at => at.clear());
        Ok(())
    }
}
