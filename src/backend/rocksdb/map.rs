//! Map state: one row per user key.

use std::borrow::Cow;

use super::context::{Of, Slot};
use super::database::Rows;
use super::expiry::Liveness;
use super::typed::{Content, Rule, Takeover};
use crate::backend::registration::{SharedSerializer, as_is_only};
use crate::backend::{Data, Key};
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::format::record::StateMeta;
use crate::serializer::Compatibility;
use crate::state::MapState;

/// The content of map state.
pub(super) struct Mapped<U, V> {
    pub(super) user_key: SharedSerializer<U>,
    pub(super) value: SharedSerializer<V>,
}

impl<U: Key, V: Data> Content for Mapped<U, V> {
    fn compatibility(&self, written: &StateMeta) -> Compatibility {
        let user_key = as_is_only(self.user_key.compatibility(&written.user_key)).of_part("user key");
        user_key.and(self.value.compatibility(&written.value).of_part("value"))
    }

    fn take_over(&self, takeover: &Takeover<'_>, value: &[u8], out: &mut Writer) -> Result<()> {
        let mut input = Reader::new(value);
        takeover.stamp(&mut input, out)?;
        let taken = self.value.read_written(&takeover.written.value, &mut input)?;
        input.finish("value")?;
        self.value.write(&taken, out)
    }
}

impl<U: Key, V: Data> Slot<'_, Mapped<U, V>> {
    /// Makes the row that of a user key; gives the length it had.
    #[inline]
    fn enter(&mut self, user_key: &U) -> Result<usize> {
        let prefix = self.row.len();
        let written = self.content.user_key.write(user_key, self.row);
        if written.is_err() {
            self.row.truncate(prefix);
        }
        written.map(|()| prefix)
    }

    /// Does something with the row of a user key.
    #[inline]
    fn at<R>(&mut self, user_key: &U, work: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        let prefix = self.enter(user_key)?;
        let done = work(self);
        self.row.truncate(prefix);
        done
    }

    /// What is stored in the row, decoded, and when it was touched.
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
    fn write(&mut self, value: &V) -> Result<()> {
        self.scratch.clear();
        self.rule.write_stamp(self.now_ms, self.scratch);
        self.content.value.write(value, self.scratch)?;
        self.family.put(self.row.as_slice(), self.scratch.as_slice())
    }

    fn get(&mut self) -> Result<Option<V>> {
        let Some((value, stamp_ms)) = self.read()? else { return Ok(None) };
        if !self.rule.liveness(self.now_ms).is_live(stamp_ms) {
            return Ok(Some(value).filter(|_| self.rule.shows_expired()));
        }
        if self.rule.touches_on_read() && stamp_ms != self.now_ms {
            self.write(&value)?;
        }
        Ok(Some(value))
    }

    fn contains(&self) -> Result<bool> {
        let Some(stored) = self.family.get(self.row.as_slice())? else { return Ok(false) };
        is_shown(self.rule, self.now_ms, &stored).map_err(|error| self.located(error))
    }

    fn update(&mut self, change: impl FnOnce(&mut Option<V>)) -> Result<()> {
        let stored = self.read()?;
        let was_stored = stored.is_some();
        let liveness = self.rule.liveness(self.now_ms);
        let shows_expired = self.rule.shows_expired();
        let mut value =
            stored.filter(|(_, stamp_ms)| shows_expired || liveness.is_live(*stamp_ms)).map(|(value, _)| value);
        change(&mut value);
        match value {
            Some(value) => self.write(&value),
            None if was_stored => self.family.delete(self.row.as_slice()),
            None => Ok(()),
        }
    }

    fn is_empty(&self) -> Result<bool> {
        let mut rows = self.family.rows_with_prefix(self.row.as_slice())?;
        while let Some((_, value)) = rows.next_row()? {
            if is_shown(self.rule, self.now_ms, value).map_err(|error| self.located(error))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Touches every live entry, where reads count.
    fn touch_all(&mut self) -> Result<()> {
        if !self.rule.touches_on_read() {
            return Ok(());
        }
        let liveness = self.rule.liveness(self.now_ms);
        let mut rows = self.family.rows_with_prefix(self.row.as_slice())?;
        while let Some((row, value)) = rows.next_row()? {
            let mut input = Reader::new(value);
            let stamp_ms = input.ordered_i64("stamp").map_err(|error| self.located(error))?;
            if stamp_ms != self.now_ms && liveness.is_live(stamp_ms) {
                self.scratch.clear();
                self.scratch.ordered_i64(self.now_ms);
                self.scratch.raw(input.rest());
                self.family.put(row, self.scratch.as_slice())?;
            }
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<()> {
        self.family.delete_prefix(self.row.as_slice())
    }
}

/// Whether a read shows a stored value.
fn is_shown(rule: Rule, now_ms: i64, value: &[u8]) -> Result<bool> {
    if !rule.is_timed() || rule.shows_expired() {
        return Ok(true);
    }
    Ok(rule.liveness(now_ms).is_live(Reader::new(value).ordered_i64("stamp")?))
}

/// The entries of one map, as they were when this was made.
struct Entries<'s, U, V> {
    rows: Rows<'s>,
    content: &'s Mapped<U, V>,
    rule: Rule,
    /// Expired values are left out.
    liveness: Option<Liveness>,
    /// Length of what precedes the user key in a row.
    prefix: usize,
    state: &'s str,
    is_over: bool,
}

impl<U: Key, V: Data> Entries<'_, U, V> {
    fn read(&mut self) -> Result<Option<(U, V)>> {
        while let Some((row, value)) = self.rows.next_row()? {
            let mut input = Reader::new(value);
            let stamp_ms = self.rule.read_stamp(0, &mut input)?;
            if self.liveness.is_some_and(|liveness| !liveness.is_live(stamp_ms)) {
                continue;
            }
            let value = self.content.value.read(&mut input)?;
            input.finish("value")?;
            let mut user_key = Reader::new(row.get(self.prefix..).unwrap_or_default());
            let read = self.content.user_key.read(&mut user_key)?;
            user_key.finish("user key")?;
            return Ok(Some((read, value)));
        }
        Ok(None)
    }
}

impl<'s, U: Key, V: Data> Iterator for Entries<'s, U, V> {
    type Item = Result<(Cow<'s, U>, Cow<'s, V>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        match self.read() {
            Ok(Some((user_key, value))) => Some(Ok((Cow::Owned(user_key), Cow::Owned(value)))),
            Ok(None) => {
                self.is_over = true;
                None
            }
            Err(error) => {
                self.is_over = true;
                Some(Err(error.in_state(self.state)))
            }
        }
    }
}

/// The map of one key and namespace.
pub struct Map<'a, K, N, U, V>(pub(super) Slot<'a, Mapped<U, V>>, pub(super) Of<K, N>)
where
    U: Key,
    V: Data;

impl<K, N, U, V> MapState<U, V> for Map<'_, K, N, U, V>
where
    K: Key,
    N: Key,
    U: Key,
    V: Data,
{
    #[inline]
    fn get(&mut self, user_key: &U) -> Result<Option<Cow<'_, V>>> {
        Ok(self.0.at(user_key, |slot| slot.get())?.map(Cow::Owned))
    }

    #[inline]
    fn put(&mut self, user_key: U, value: V) -> Result<()> {
        self.0.at(&user_key, |slot| slot.write(&value))
    }

    #[inline]
    fn update(&mut self, user_key: U, change: impl FnOnce(&mut Option<V>)) -> Result<()> {
        self.0.at(&user_key, |slot| slot.update(change))
    }

    #[inline]
    fn remove(&mut self, user_key: &U) -> Result<()> {
        self.0.at(user_key, |slot| slot.family.delete(slot.row.as_slice()))
    }

    #[inline]
    fn contains(&mut self, user_key: &U) -> Result<bool> {
        self.0.at(user_key, |slot| slot.contains())
    }

    #[inline]
    fn is_empty(&mut self) -> Result<bool> {
        self.0.is_empty()
    }

    fn entries(&mut self) -> Result<crate::state::map::Entries<'_, U, V>> {
        self.0.touch_all()?;
        let slot = &self.0;
        let liveness = (slot.rule.is_timed() && !slot.rule.shows_expired()).then(|| slot.rule.liveness(slot.now_ms));
        Ok(Box::new(Entries {
            rows: slot.family.rows_with_prefix(slot.row.as_slice())?,
            content: slot.content,
            rule: slot.rule,
            liveness,
            prefix: slot.row.len(),
            state: slot.name,
            is_over: false,
        }))
    }

    #[inline]
    fn clear(&mut self) -> Result<()> {
        self.0.clear()
    }
}
