//! What a kind of state stores per key and namespace, and how that becomes bytes.
//!
//! Two encodings, as `format::record` defines them: *typed* bytes, one run per key and namespace, for native snapshots; and
//! *neutral pairs* of key and value bytes for canonical ones, where a map gives one pair per user key.

use std::sync::Arc;

use super::stamp::{Cell, Stamp};
use crate::backend::Data;
use crate::backend::registration::SharedSerializer;
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::format::record::StateMeta;
use crate::serializer::Compatibility;
use crate::state::Ttl;

/// By which rule and when values count as expired.
#[derive(Debug, Clone, Copy)]
pub(super) struct Liveness {
    pub(super) ttl: Option<Ttl>,
    pub(super) now_ms: i64,
}

impl Liveness {
    #[inline]
    pub(super) fn is_live<S: Stamp>(&self, stamp: S) -> bool {
        !stamp.is_expired(self.ttl.as_ref(), self.now_ms)
    }
}

/// Stored bytes being taken over: how they were written, and when they are read.
#[derive(Debug)]
pub(super) struct Takeover<'a> {
    pub(super) written: &'a StateMeta,
    pub(super) now_ms: i64,
}

impl Takeover<'_> {
    /// The stamp of the next value: the stored one, or the moment of the takeover where none was stored.
    pub(super) fn stamp<S: Stamp>(&self, input: &mut Reader<'_>) -> Result<S> {
        if self.written.timed { input.ordered_i64("stamp").map(S::at) } else { Ok(S::at(self.now_ms)) }
    }
}

/// The content of one kind of state.
pub(super) trait Content: Data {
    /// What the table keeps per key and namespace.
    type Stored: Data;
    /// What the value of one neutral pair is made of.
    type Pair<'a>;

    /// Whether what was written as `written` can be taken over.
    fn compatibility(&self, written: &StateMeta) -> Compatibility;

    /// Appends the typed encoding of something live.
    fn write_typed(&self, stored: &Self::Stored, liveness: &Liveness, out: &mut Writer) -> Result<()>;

    /// Reads a typed encoding and adds it to what is stored so far.
    fn read_typed(
        &self,
        stored: Option<Self::Stored>,
        takeover: &Takeover<'_>,
        input: &mut Reader<'_>,
    ) -> Result<Self::Stored>;

    /// Calls `emit` with the key and the value of every live neutral pair. `key` holds the encoded key and namespace; what
    /// is appended to it is taken off again.
    fn pairs<'a>(
        &self,
        stored: &'a Self::Stored,
        liveness: &Liveness,
        key: &mut Writer,
        emit: &mut dyn FnMut(&[u8], Self::Pair<'a>),
    ) -> Result<()>;

    /// Appends the value of a neutral pair.
    fn write_pair(&self, pair: &Self::Pair<'_>, liveness: &Liveness, out: &mut Writer) -> Result<()>;

    /// Adds a neutral pair to what is stored so far. `user_key` is what follows key and namespace.
    fn read_pair(
        &self,
        stored: Option<Self::Stored>,
        takeover: &Takeover<'_>,
        user_key: &mut Reader<'_>,
        value: &mut Reader<'_>,
    ) -> Result<Self::Stored>;

    /// Whether anything stored is live.
    fn is_live(&self, stored: &Self::Stored, liveness: &Liveness) -> bool;

    /// Drops what is expired.
    fn expire(&self, stored: &mut Self::Stored, liveness: &Liveness) -> Expiry;
}

/// How much of something stored was expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    Nothing,
    Part,
    Everything,
}

impl Expiry {
    /// From the numbers of items before and after.
    pub(super) fn of(before: usize, after: usize) -> Self {
        match after {
            0 => Expiry::Everything,
            _ if after == before => Expiry::Nothing,
            _ => Expiry::Part,
        }
    }
}

/// One value: of value, reducing and aggregating state.
pub(super) struct Single<V, S> {
    pub(super) value: SharedSerializer<V>,
    pub(super) stamp: std::marker::PhantomData<S>,
}

impl<V, S> Single<V, S> {
    pub(super) fn new(value: SharedSerializer<V>) -> Self {
        Single { value, stamp: std::marker::PhantomData }
    }
}

impl<V, S> Clone for Single<V, S> {
    fn clone(&self) -> Self {
        Single { value: Arc::clone(&self.value), stamp: std::marker::PhantomData }
    }
}

impl<V: Data, S: Stamp> Content for Single<V, S> {
    type Stored = Cell<V, S>;
    type Pair<'a> = &'a Cell<V, S>;

    fn compatibility(&self, written: &StateMeta) -> Compatibility {
        self.value.compatibility(&written.value)
    }

    fn write_typed(&self, stored: &Self::Stored, _liveness: &Liveness, out: &mut Writer) -> Result<()> {
        stored.stamp.write(out);
        self.value.write(&stored.value, out)
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
        let stamp = takeover.stamp(input)?;
        Ok(Cell { stamp, value: self.value.read_written(&takeover.written.value, input)? })
    }

    fn pairs<'a>(
        &self,
        stored: &'a Self::Stored,
        liveness: &Liveness,
        key: &mut Writer,
        emit: &mut dyn FnMut(&[u8], Self::Pair<'a>),
    ) -> Result<()> {
        if liveness.is_live(stored.stamp) {
            emit(key.as_slice(), stored);
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
        _user_key: &mut Reader<'_>,
        value: &mut Reader<'_>,
    ) -> Result<Self::Stored> {
        self.read_typed(stored, takeover, value)
    }

    fn is_live(&self, stored: &Self::Stored, liveness: &Liveness) -> bool {
        liveness.is_live(stored.stamp)
    }

    fn expire(&self, stored: &mut Self::Stored, liveness: &Liveness) -> Expiry {
        if liveness.is_live(stored.stamp) { Expiry::Nothing } else { Expiry::Everything }
    }
}
