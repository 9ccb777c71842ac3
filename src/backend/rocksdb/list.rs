//! List state: one row per key and namespace, to which elements are appended without reading it.

use std::borrow::Cow;

use super::context::{Of, Slot};
use super::expiry::Liveness;
use super::typed::{Content, Takeover};
use crate::backend::registration::SharedSerializer;
use crate::backend::{Data, Key};
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::format::record::StateMeta;
use crate::serializer::Compatibility;
use crate::state::ListState;

/// The content of list state.
pub(super) struct Listed<T> {
    pub(super) element: SharedSerializer<T>,
}

impl<T: Data> Listed<T> {
    /// Decodes the elements of a row that are live, or all of them where `liveness` is not given.
    pub(super) fn read(&self, timed: bool, value: &[u8], liveness: Option<&Liveness>) -> Result<Vec<T>> {
        let mut input = Reader::new(value);
        let mut elements = Vec::new();
        while !input.is_empty() {
            let mut framed = Reader::new(input.bytes("element")?);
            let is_shown = !timed || {
                let stamp_ms = framed.ordered_i64("stamp")?;
                liveness.is_none_or(|liveness| liveness.is_live(stamp_ms))
            };
            if is_shown {
                elements.push(self.element.read(&mut framed)?);
                framed.finish("element")?;
            }
        }
        Ok(elements)
    }
}

impl<T: Data> Content for Listed<T> {
    fn compatibility(&self, written: &StateMeta) -> Compatibility {
        self.element.compatibility(&written.value).of_part("element")
    }

    fn take_over(&self, takeover: &Takeover<'_>, value: &[u8], out: &mut Writer) -> Result<()> {
        let mut input = Reader::new(value);
        let mut framed = Writer::new();
        while !input.is_empty() {
            let mut element = Reader::new(input.bytes("element")?);
            framed.clear();
            takeover.stamp(&mut element, &mut framed)?;
            let taken = self.element.read_written(&takeover.written.value, &mut element)?;
            element.finish("element")?;
            self.element.write(&taken, &mut framed)?;
            out.bytes(framed.as_slice());
        }
        Ok(())
    }
}

impl<T: Data> Slot<'_, Listed<T>> {
    fn get(&mut self) -> Result<Vec<T>> {
        let Some(stored) = self.family.get(self.row.as_slice())? else { return Ok(Vec::new()) };
        let timed = self.rule.is_timed();
        if !timed {
            return self.content.read(timed, &stored, None).map_err(|error| self.located(error));
        }
        let liveness = self.rule.liveness(self.now_ms);
        self.scratch.clear();
        self.settle(&stored, &liveness)?;
        if self.scratch.as_slice() != &*stored {
            if self.scratch.is_empty() {
                self.clear()?;
            } else {
                self.family.put(self.row.as_slice(), self.scratch.as_slice())?;
            }
        }
        let shown = if self.rule.shows_expired() { None } else { Some(&liveness) };
        self.content.read(timed, self.scratch.as_slice(), shown).map_err(|error| self.located(error))
    }

    /// Puts into the scratch what is to be stored after a read: expired elements removed where they do not show, live ones
    /// touched where reads count.
    fn settle(&mut self, stored: &[u8], liveness: &Liveness) -> Result<()> {
        let (shows_expired, touches) = (self.rule.shows_expired(), self.rule.touches_on_read());
        let mut framed = Writer::new();
        let mut input = Reader::new(stored);
        while !input.is_empty() {
            let bytes = input.bytes("element").map_err(|error| self.located(error))?;
            let mut element = Reader::new(bytes);
            let stamp_ms = element.ordered_i64("stamp").map_err(|error| self.located(error))?;
            let is_live = liveness.is_live(stamp_ms);
            if is_live && touches {
                framed.clear();
                framed.ordered_i64(self.now_ms);
                framed.raw(element.rest());
                self.scratch.bytes(framed.as_slice());
            } else if is_live || shows_expired {
                self.scratch.bytes(bytes);
            }
        }
        Ok(())
    }

    /// Encodes elements into the scratch.
    #[inline]
    fn encode(&mut self, elements: impl IntoIterator<Item = T>) -> Result<()> {
        self.scratch.clear();
        let mut framed = Writer::new();
        for element in elements {
            framed.clear();
            self.rule.write_stamp(self.now_ms, &mut framed);
            self.content.element.write(&element, &mut framed)?;
            self.scratch.bytes(framed.as_slice());
        }
        Ok(())
    }

    #[inline]
    fn add_all(&mut self, elements: impl IntoIterator<Item = T>) -> Result<()> {
        self.encode(elements)?;
        if self.scratch.is_empty() {
            return Ok(());
        }
        self.family.append(self.row.as_slice(), self.scratch.as_slice())
    }

    fn set(&mut self, elements: Vec<T>) -> Result<()> {
        if elements.is_empty() {
            return self.clear();
        }
        self.encode(elements)?;
        self.family.put(self.row.as_slice(), self.scratch.as_slice())
    }

    fn clear(&mut self) -> Result<()> {
        self.family.delete(self.row.as_slice())
    }
}

/// The list of one key and namespace.
pub struct List<'a, K, N, T: Data>(pub(super) Slot<'a, Listed<T>>, pub(super) Of<K, N>);

impl<K, N, T> ListState<T> for List<'_, K, N, T>
where
    K: Key,
    N: Key,
    T: Data,
{
    #[inline]
    fn get(&mut self) -> Result<Cow<'_, [T]>> {
        Ok(Cow::Owned(self.0.get()?))
    }

    #[inline]
    fn add(&mut self, element: T) -> Result<()> {
        self.0.add_all([element])
    }

    #[inline]
    fn add_all(&mut self, elements: impl IntoIterator<Item = T>) -> Result<()> {
        self.0.add_all(elements)
    }

    #[inline]
    fn set(&mut self, elements: Vec<T>) -> Result<()> {
        self.0.set(elements)
    }

    #[inline]
    fn clear(&mut self) -> Result<()> {
        self.0.clear()
    }
}
