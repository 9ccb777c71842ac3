//! A registered state, and what its kind stores.

use std::any::Any;
use std::cell::RefCell;

use super::database::{Database, Family};
use super::expiry::Liveness;
use super::pending::Pending;
use super::sweep::Sweep;
use crate::backend::registration::SharedSerializer;
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::format::record::StateMeta;
use crate::serializer::Compatibility;
use crate::state::{Ttl, TtlUpdate, TtlVisibility};

/// A registered state with its types forgotten.
pub(super) struct State {
    pub(super) meta: StateMeta,
    /// Name of the column family.
    pub(super) family: String,
    pub(super) rule: Rule,
    pub(super) sweep: Sweep,
    /// What is not in the database yet; `None` where writes are not collected.
    pub(super) pending: Option<RefCell<Pending>>,
    /// The `SharedSerializer` of the namespaces.
    pub(super) namespace: Box<dyn Any + Send>,
    /// The [`Typed`] content.
    pub(super) typed: Box<dyn Any + Send>,
}

impl State {
    /// The rows of the state.
    #[inline]
    pub(super) fn rows_in<'d>(&'d self, database: &'d Database) -> Result<Family<'d>> {
        Ok(database.family(&self.family)?.collecting(self.pending.as_ref()))
    }
}

/// What is needed to open a state for a key and namespace.
pub(super) struct Typed<N, C> {
    pub(super) namespace: SharedSerializer<N>,
    pub(super) content: C,
}

/// The time to live of a state, if it has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule(pub(super) Option<Ttl>);

impl Rule {
    /// Whether stored values begin with a stamp.
    #[inline]
    pub(super) fn is_timed(self) -> bool {
        self.0.is_some()
    }

    pub(super) fn liveness(self, now_ms: i64) -> Liveness {
        Liveness { ttl: self.0, now_ms }
    }

    /// Whether an expired value that is still there shows.
    pub(super) fn shows_expired(self) -> bool {
        self.0.is_some_and(|ttl| ttl.visibility == TtlVisibility::ReturnUntilCleanedUp)
    }

    /// Whether a read counts as touching.
    pub(super) fn touches_on_read(self) -> bool {
        self.0.is_some_and(|ttl| ttl.update == TtlUpdate::OnReadAndWrite)
    }

    /// Appends the stamp of a value that is touched now.
    #[inline]
    pub(super) fn write_stamp(self, now_ms: i64, out: &mut Writer) {
        if self.is_timed() {
            out.ordered_i64(now_ms);
        }
    }

    /// Reads the stamp of a value; the moment itself where there is none.
    #[inline]
    pub(super) fn read_stamp(self, now_ms: i64, input: &mut Reader<'_>) -> Result<i64> {
        if self.is_timed() { input.ordered_i64("stamp") } else { Ok(now_ms) }
    }
}

/// Stored values being taken over by a registration.
#[derive(Debug)]
pub(super) struct Takeover<'a> {
    pub(super) written: &'a StateMeta,
    /// Whether they are to be timed from now on.
    pub(super) timed: bool,
    pub(super) now_ms: i64,
}

impl Takeover<'_> {
    /// Takes the stamp of a value over: a value that has none counts as touched now.
    pub(super) fn stamp(&self, input: &mut Reader<'_>, out: &mut Writer) -> Result<()> {
        let stamp_ms = if self.written.timed { input.ordered_i64("stamp")? } else { self.now_ms };
        if self.timed {
            out.ordered_i64(stamp_ms);
        }
        Ok(())
    }
}

/// What a kind of state stores in its rows.
pub(super) trait Content: Send + 'static {
    /// Whether what was written as `written` can be taken over.
    fn compatibility(&self, written: &StateMeta) -> Compatibility;

    /// Appends to `out` what the value of a row becomes when it is taken over.
    fn take_over(&self, takeover: &Takeover<'_>, value: &[u8], out: &mut Writer) -> Result<()>;
}
