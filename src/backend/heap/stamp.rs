//! The moment a value was last touched, or nothing at all for states without time to live.

use std::fmt::Debug;

use crate::codec::Writer;
use crate::state::Ttl;

/// What is stored beside a value to tell when it expires. Two types implement it, so that states without time to live pay
/// nothing.
pub(super) trait Stamp: Copy + Debug + Send + Sync + 'static {
    /// Whether stored bytes carry a stamp.
    const TIMED: bool;

    /// Stamps side by side, as many as there are elements; none, and no memory, where nothing expires.
    type Column: AsRef<[Self]> + AsMut<[Self]> + Clone + Debug + Default + Send + Sync + 'static;

    /// Adds a stamp to a column.
    fn push(self, column: &mut Self::Column);

    /// Keeps the stamps that `keep` accepts.
    fn retain(column: &mut Self::Column, keep: impl FnMut(&Self) -> bool);

    fn at(now_ms: i64) -> Self;
    fn write(self, out: &mut Writer);
    fn is_expired(self, ttl: Option<&Ttl>, now_ms: i64) -> bool;
}

/// No stamp: the value lives for ever.
#[derive(Debug, Clone, Copy)]
pub(super) struct Untimed;

impl Stamp for Untimed {
    const TIMED: bool = false;

    type Column = [Untimed; 0];

    #[inline]
    fn push(self, _column: &mut Self::Column) {}

    #[inline]
    fn retain(_column: &mut Self::Column, _keep: impl FnMut(&Self) -> bool) {}

    #[inline]
    fn at(_now_ms: i64) -> Self {
        Untimed
    }

    #[inline]
    fn write(self, _out: &mut Writer) {}

    #[inline]
    fn is_expired(self, _ttl: Option<&Ttl>, _now_ms: i64) -> bool {
        false
    }
}

/// Last touched at this moment, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Touched(i64);

impl Stamp for Touched {
    const TIMED: bool = true;

    type Column = Vec<Touched>;

    #[inline]
    fn push(self, column: &mut Self::Column) {
        column.push(self);
    }

    #[inline]
    fn retain(column: &mut Self::Column, keep: impl FnMut(&Self) -> bool) {
        column.retain(keep);
    }

    #[inline]
    fn at(now_ms: i64) -> Self {
        Touched(now_ms)
    }

    #[inline]
    fn write(self, out: &mut Writer) {
        out.ordered_i64(self.0);
    }

    #[inline]
    fn is_expired(self, ttl: Option<&Ttl>, now_ms: i64) -> bool {
        ttl.is_some_and(|ttl| ttl.is_expired(self.0, now_ms))
    }
}

/// A value and its stamp.
#[derive(Debug, Clone)]
pub(super) struct Cell<V, S> {
    pub(super) value: V,
    pub(super) stamp: S,
}
