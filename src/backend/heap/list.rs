//! List state on the heap: a vector per key and namespace, beside it the stamps where elements expire.

use std::borrow::Cow;
use std::sync::Arc;

use super::content::{Content, Expiry, Liveness, Takeover};
use super::stamp::{Stamp, Touched, Untimed};
use super::table::Slot;
use super::typed::TypedState;
use crate::backend::registration::SharedSerializer;
use crate::backend::{Data, Key};
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::format::record::StateMeta;
use crate::serializer::Compatibility;
use crate::state::ListState;

/// Memory that a list takes at least once it grows, in bytes: a cache line, so that short lists grow once.
const GROWN_BYTES: usize = 64;

/// The elements of one key and namespace; never empty in the table. With stamps, `stamps` is as long as `elements`.
#[derive(Debug, Clone)]
pub(super) struct Elements<T, S: Stamp> {
    elements: Vec<T>,
    stamps: S::Column,
}

impl<T, S: Stamp> Elements<T, S> {
    fn with_capacity(capacity: usize) -> Self {
        Elements { elements: Vec::with_capacity(capacity), stamps: S::Column::default() }
    }

    #[inline(always)]
    fn push(&mut self, element: T, stamp: S) {
        if self.elements.len() == self.elements.capacity() {
            self.grow();
        }
        self.elements.push(element);
        stamp.push(&mut self.stamps);
    }

    /// Makes room for at least one more element: twice the memory, and [`GROWN_BYTES`] at least.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let len = self.elements.len();
        let least = GROWN_BYTES / size_of::<T>().max(1);
        self.elements.reserve(least.saturating_sub(len).max(1));
    }

    fn stamps(&self) -> &[S] {
        self.stamps.as_ref()
    }

    fn live<'a>(&'a self, liveness: &Liveness) -> impl Iterator<Item = (&'a T, S)> {
        let liveness = *liveness;
        self.elements
            .iter()
            .enumerate()
            .map(move |(index, element)| (element, self.stamps().get(index).copied().unwrap_or(S::at(0))))
            .filter(move |(_, stamp)| liveness.is_live(*stamp))
    }

    fn all_live(&self, liveness: &Liveness) -> bool {
        self.stamps().iter().all(|stamp| liveness.is_live(*stamp))
    }

    /// The elements that are not expired; copied only if some are.
    pub(super) fn live_slice(&self, liveness: &Liveness) -> Cow<'_, [T]>
    where
        T: Clone,
    {
        if self.all_live(liveness) {
            return Cow::Borrowed(&self.elements);
        }
        Cow::Owned(self.live(liveness).map(|(element, _)| element.clone()).collect())
    }

    fn expire(&mut self, liveness: &Liveness) -> Expiry {
        let before = self.elements.len();
        if !self.all_live(liveness) {
            let stamps = self.stamps.as_ref();
            let mut index = 0;
            self.elements.retain(|_| {
                let keep = stamps.get(index).is_none_or(|stamp| liveness.is_live(*stamp));
                index += 1;
                keep
            });
            S::retain(&mut self.stamps, |stamp| liveness.is_live(*stamp));
        }
        Expiry::of(before, self.elements.len())
    }
}

/// The content of list state.
pub(super) struct Listed<T, S> {
    pub(super) element: SharedSerializer<T>,
    /// Whether an element may have no bytes, so that the typed encoding puts a byte behind each.
    has_empty_elements: bool,
    stamp: std::marker::PhantomData<S>,
}

impl<T: Data, S> Listed<T, S> {
    pub(super) fn new(element: SharedSerializer<T>) -> Self {
        let has_empty_elements = element.snapshot().min_len() == 0;
        Listed { element, has_empty_elements, stamp: std::marker::PhantomData }
    }
}

impl<T, S> Clone for Listed<T, S> {
    fn clone(&self) -> Self {
        Listed {
            element: Arc::clone(&self.element),
            has_empty_elements: self.has_empty_elements,
            stamp: std::marker::PhantomData,
        }
    }
}

impl<T: Data, S: Stamp> Listed<T, S> {
    fn read_element(&self, takeover: &Takeover<'_>, input: &mut Reader<'_>) -> Result<(T, S)> {
        let stamp = takeover.stamp(input)?;
        Ok((self.element.read_written(&takeover.written.value, input)?, stamp))
    }
}

impl<T: Data, S: Stamp> Content for Listed<T, S> {
    type Stored = Elements<T, S>;
    type Pair<'a> = &'a Elements<T, S>;

    fn compatibility(&self, written: &StateMeta) -> Compatibility {
        self.element.compatibility(&written.value).of_part("element")
    }

    fn write_typed(&self, stored: &Self::Stored, liveness: &Liveness, out: &mut Writer) -> Result<()> {
        out.length(stored.live(liveness).count());
        for (element, stamp) in stored.live(liveness) {
            stamp.write(out);
            self.element.write(element, out)?;
            if self.has_empty_elements {
                out.u8(0);
            }
        }
        Ok(())
    }

    fn read_typed(
        &self,
        stored: Option<Self::Stored>,
        takeover: &Takeover<'_>,
        input: &mut Reader<'_>,
    ) -> Result<Self::Stored> {
        if stored.is_some() {
            return Err(input.corrupt("key", "the same key and namespace come twice"));
        }
        let filled = takeover.written.value.min_len() == 0;
        let count = input.count(1, "count")?;
        let mut stored = Elements::with_capacity(count.min(4096));
        for _ in 0..count {
            let (element, stamp) = self.read_element(takeover, input)?;
            if filled {
                input.expect(&[0], "filler")?;
            }
            stored.push(element, stamp);
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
        if self.is_live(stored, liveness) {
            emit(key.as_slice(), stored);
        }
        Ok(())
    }

    fn write_pair(&self, pair: &Self::Pair<'_>, liveness: &Liveness, out: &mut Writer) -> Result<()> {
        let mut framed = Writer::new();
        for (element, stamp) in pair.live(liveness) {
            framed.clear();
            stamp.write(&mut framed);
            self.element.write(element, &mut framed)?;
            out.bytes(framed.as_slice());
        }
        Ok(())
    }

    fn read_pair(
        &self,
        stored: Option<Self::Stored>,
        takeover: &Takeover<'_>,
        user_key: &mut Reader<'_>,
        value: &mut Reader<'_>,
    ) -> Result<Self::Stored> {
        if stored.is_some() {
            return Err(user_key.corrupt("key", "the same key and namespace come twice"));
        }
        let mut stored = Elements::with_capacity(0);
        while !value.is_empty() {
            let start = value.offset();
            let framed = value.bytes("element")?;
            let mut framed = Reader::with_base(framed, start);
            let (element, stamp) = self.read_element(takeover, &mut framed)?;
            framed.finish("element")?;
            stored.push(element, stamp);
        }
        Ok(stored)
    }

    fn is_live(&self, stored: &Self::Stored, liveness: &Liveness) -> bool {
        stored.live(liveness).next().is_some()
    }

    fn expire(&self, stored: &mut Self::Stored, liveness: &Liveness) -> Expiry {
        stored.expire(liveness)
    }
}

/// A state of lists, with or without time to live.
pub(super) enum ListsState<'a, K, N, T: Data> {
    Untimed(&'a mut TypedState<K, N, Listed<T, Untimed>>),
    Timed(&'a mut TypedState<K, N, Listed<T, Touched>>),
}

impl<K, N, T, S> TypedState<K, N, Listed<T, S>>
where
    K: Key,
    N: Key,
    T: Data,
    S: Stamp,
{
    #[inline(always)]
    fn get(&mut self, slot: Slot<'_, K, N>, now_ms: i64) -> Cow<'_, [T]> {
        if S::TIMED {
            self.prepare_read(slot, now_ms);
        }
        let liveness = self.liveness(now_ms);
        let shows_expired = self.shows_expired();
        match self.table.get(slot) {
            None => Cow::Borrowed(&[]),
            Some(stored) if shows_expired => Cow::Borrowed(&stored.elements),
            Some(stored) => stored.live_slice(&liveness),
        }
    }

    /// Applies the time to live before a read.
    fn prepare_read(&mut self, slot: Slot<'_, K, N>, now_ms: i64) {
        let liveness = self.liveness(now_ms);
        let Some(stored) = self.table.get(slot) else { return };
        if !self.shows_expired() && !stored.all_live(&liveness) {
            self.table.update(slot, |stored| {
                if stored.as_mut().is_some_and(|elements| elements.expire(&liveness) == Expiry::Everything) {
                    *stored = None;
                }
            });
        }
        if self.touches_on_read()
            && let Some(stored) = self.table.get_mut(slot)
        {
            let stamps = stored.stamps.as_mut().iter_mut();
            stamps.filter(|stamp| liveness.is_live(**stamp)).for_each(|stamp| *stamp = S::at(now_ms));
        }
    }

    #[inline(always)]
    fn add_all(&mut self, slot: Slot<'_, K, N>, now_ms: i64, elements: impl IntoIterator<Item = T>) {
        let stamp = S::at(now_ms);
        let mut elements = elements.into_iter();
        if let Some(stored) = self.table.get_mut(slot) {
            return elements.for_each(|element| stored.push(element, stamp));
        }
        let Some(first) = elements.next() else { return };
        let mut stored = Elements::with_capacity(elements.size_hint().0.saturating_add(1).min(4096));
        stored.push(first, stamp);
        elements.for_each(|element| stored.push(element, stamp));
        self.table.set(slot, stored);
    }

    fn set(&mut self, slot: Slot<'_, K, N>, now_ms: i64, elements: Vec<T>) {
        if elements.is_empty() {
            self.table.remove(slot);
            return;
        }
        let mut stamps = S::Column::default();
        elements.iter().for_each(|_| S::at(now_ms).push(&mut stamps));
        self.table.set(slot, Elements { elements, stamps });
    }

    fn clear(&mut self, slot: Slot<'_, K, N>, _now_ms: i64) {
        self.table.remove(slot);
    }
}

/// Calls a method of the state, in whichever of its two types.
macro_rules! list {
    ($list:expr, $method:ident($($argument:expr)?)) => {
        match &mut $list.state {
            ListsState::Untimed(state) => state.$method($list.slot, $list.now_ms $(, $argument)?),
            ListsState::Timed(state) => state.$method($list.slot, $list.now_ms $(, $argument)?),
        }
    };
}

/// The list of one key and namespace.
pub struct List<'a, K, N, T: Data> {
    pub(super) state: ListsState<'a, K, N, T>,
    pub(super) slot: Slot<'a, K, N>,
    pub(super) now_ms: i64,
}

impl<K, N, T> ListState<T> for List<'_, K, N, T>
where
    K: Key,
    N: Key,
    T: Data,
{
    #[inline(always)]
    fn get(&mut self) -> Result<Cow<'_, [T]>> {
        Ok(list!(self, get()))
    }

    #[inline(always)]
    fn add(&mut self, element: T) -> Result<()> {
        self.add_all([element])
    }

    #[inline(always)]
    fn add_all(&mut self, elements: impl IntoIterator<Item = T>) -> Result<()> {
        list!(self, add_all(elements));
        Ok(())
    }

    #[inline(always)]
    fn set(&mut self, elements: Vec<T>) -> Result<()> {
        list!(self, set(elements));
        Ok(())
    }

    #[inline(always)]
    fn clear(&mut self) -> Result<()> {
        list!(self, clear());
        Ok(())
    }
}
