//! Value, reducing and aggregating state: one row per key and namespace.

use std::borrow::Cow;

use super::context::Slot;
use super::typed::{Content, Takeover};
use crate::backend::registration::SharedSerializer;
use crate::backend::{Data, Key};
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::format::record::StateMeta;
use crate::serializer::Compatibility;
use crate::state::reducing::Reduce;
use crate::state::{Aggregate, AggregatingState, ReducingState, ValueState};

/// One value: of value, reducing and aggregating state.
pub(super) struct Single<V> {
    pub(super) value: SharedSerializer<V>,
}

impl<V: Data> Content for Single<V> {
    fn compatibility(&self, written: &StateMeta) -> Compatibility {
        self.value.compatibility(&written.value)
    }

    fn take_over(&self, takeover: &Takeover<'_>, value: &[u8], out: &mut Writer) -> Result<()> {
        let mut input = Reader::new(value);
        takeover.stamp(&mut input, out)?;
        let taken = self.value.read_written(&takeover.written.value, &mut input)?;
        input.finish("value")?;
        self.value.write(&taken, out)
    }
}

/// The row of one key and namespace.
type Cell<'a, V> = Slot<'a, Single<V>>;

impl<V: Data> Cell<'_, V> {
    /// What is stored, decoded, and when it was touched.
    #[inline]
    fn read(&self) -> Result<Option<(V, i64)>> {
        let Some(stored) = self.family.get(self.row.as_slice())? else { return Ok(None) };
        let mut input = Reader::new(&stored);
        let read = self.rule.read_stamp(self.now_ms, &mut input).and_then(|stamp_ms| {
            let value = self.content.value.read(&mut input)?;
            input.finish("value")?;
            Ok(Some((value, stamp_ms)))
        });
        read.map_err(|error| self.located(error))
    }

    #[inline]
    fn get(&mut self) -> Result<Option<V>> {
        let Some((value, stamp_ms)) = self.read()? else { return Ok(None) };
        if self.rule.is_timed() {
            if !self.rule.liveness(self.now_ms).is_live(stamp_ms) {
                if self.rule.shows_expired() {
                    return Ok(Some(value));
                }
                self.family.delete(self.row.as_slice())?;
                return Ok(None);
            }
            if self.rule.touches_on_read() && stamp_ms != self.now_ms {
                self.set(&value)?;
            }
        }
        Ok(Some(value))
    }

    #[inline]
    fn set(&mut self, value: &V) -> Result<()> {
        self.scratch.clear();
        self.rule.write_stamp(self.now_ms, self.scratch);
        self.content.value.write(value, self.scratch)?;
        self.family.put(self.row.as_slice(), self.scratch.as_slice())
    }

    #[inline]
    fn update(&mut self, change: impl FnOnce(&mut Option<V>)) -> Result<()> {
        let stored = self.read()?;
        let was_stored = stored.is_some();
        let liveness = self.rule.liveness(self.now_ms);
        let shows_expired = self.rule.shows_expired();
        let mut value =
            stored.filter(|(_, stamp_ms)| shows_expired || liveness.is_live(*stamp_ms)).map(|(value, _)| value);
        change(&mut value);
        match value {
            Some(value) => self.set(&value),
            None if was_stored => self.clear(),
            None => Ok(()),
        }
    }

    /// Folds an input into the live value, or starts with what `first` makes of it.
    #[inline]
    fn fold<I>(&mut self, input: I, add: impl FnOnce(&mut V, I), first: impl FnOnce(I) -> V) -> Result<()> {
        let liveness = self.rule.liveness(self.now_ms);
        let folded = match self.read()? {
            Some((mut value, stamp_ms)) if liveness.is_live(stamp_ms) => {
                add(&mut value, input);
                value
            }
            _ => first(input),
        };
        self.set(&folded)
    }

    #[inline]
    fn clear(&mut self) -> Result<()> {
        self.family.delete(self.row.as_slice())
    }
}

/// The value of one key and namespace.
pub struct Value<'a, K, N, V: Data>(pub(super) Cell<'a, V>, pub(super) super::context::Of<K, N>);

impl<K, N, V> ValueState<V> for Value<'_, K, N, V>
where
    K: Key,
    N: Key,
    V: Data,
{
    #[inline]
    fn get(&mut self) -> Result<Option<Cow<'_, V>>> {
        Ok(self.0.get()?.map(Cow::Owned))
    }

    #[inline]
    fn set(&mut self, value: V) -> Result<()> {
        self.0.set(&value)
    }

    #[inline]
    fn update(&mut self, change: impl FnOnce(&mut Option<V>)) -> Result<()> {
        self.0.update(change)
    }

    #[inline]
    fn clear(&mut self) -> Result<()> {
        self.0.clear()
    }
}

/// The folded value of one key and namespace.
pub struct Reducing<'a, K, N, V: Data> {
    pub(super) cell: Cell<'a, V>,
    pub(super) reduce: Reduce<V>,
    pub(super) of: super::context::Of<K, N>,
}

impl<K, N, V> ReducingState<V> for Reducing<'_, K, N, V>
where
    K: Key,
    N: Key,
    V: Data,
{
    #[inline]
    fn get(&mut self) -> Result<Option<Cow<'_, V>>> {
        Ok(self.cell.get()?.map(Cow::Owned))
    }

    #[inline]
    fn add(&mut self, value: V) -> Result<()> {
        let reduce = self.reduce;
        self.cell.fold(value, reduce, |value| value)
    }

    #[inline]
    fn clear(&mut self) -> Result<()> {
        self.cell.clear()
    }
}

/// The accumulator of one key and namespace.
pub struct Aggregating<'a, K, N, A: Aggregate>(
    pub(super) Cell<'a, A::Accumulator>,
    pub(super) super::context::Of<K, N>,
);

impl<K, N, A> AggregatingState<A> for Aggregating<'_, K, N, A>
where
    K: Key,
    N: Key,
    A: Aggregate,
{
    #[inline]
    fn get(&mut self) -> Result<Option<A::Output>> {
        Ok(self.0.get()?.as_ref().map(A::result))
    }

    #[inline]
    fn add(&mut self, input: A::Input) -> Result<()> {
        let first = |input| {
            let mut accumulator = A::create();
            A::add(&mut accumulator, input);
            accumulator
        };
        self.0.fold(input, A::add, first)
    }

    #[inline]
    fn clear(&mut self) -> Result<()> {
        self.0.clear()
    }
}
