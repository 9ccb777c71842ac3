//! Time to live: values that expire.
//!
//! A value of a state with a [`Ttl`] carries the moment it was last touched. It is *expired* when that moment plus the time
//! to live is not after the backend's clock. What a read returns depends only on the stored moment, the clock and the
//! configuration in force at the read; physical clean-up never removes what such a read would return. The time to live
//! itself is not stored: a restarted program may lengthen or shorten it.

/// How values of a state expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    /// How long a value lives after it was touched, in milliseconds.
    pub time_to_live_ms: i64,
    /// What counts as touching.
    pub update: TtlUpdate,
    /// What a read makes of an expired value that is still there.
    pub visibility: TtlVisibility,
    /// When expired values are physically removed, besides when they are met.
    pub cleanup: TtlCleanup,
}

impl Ttl {
    /// Values that live `time_to_live_ms` after they were written, are never returned once expired, and are cleaned up in
    /// the background and left out of snapshots. A time to live below 1 is taken as 1.
    pub const fn new(time_to_live_ms: i64) -> Self {
        Ttl {
            time_to_live_ms: if time_to_live_ms < 1 { 1 } else { time_to_live_ms },
            update: TtlUpdate::OnWrite,
            visibility: TtlVisibility::NeverReturnExpired,
            cleanup: TtlCleanup { per_access: 4, in_snapshots: true },
        }
    }

    /// The same, with another rule for what counts as touching.
    #[must_use]
    pub const fn with_update(mut self, update: TtlUpdate) -> Self {
        self.update = update;
        self
    }

    /// The same, with another rule for expired values that are still there.
    #[must_use]
    pub const fn with_visibility(mut self, visibility: TtlVisibility) -> Self {
        self.visibility = visibility;
        self
    }

    /// The same, with another clean-up.
    #[must_use]
    pub const fn with_cleanup(mut self, cleanup: TtlCleanup) -> Self {
        self.cleanup = cleanup;
        self
    }

    /// Whether a value last touched at `stamp_ms` is expired at `now_ms`.
    #[inline]
    pub const fn is_expired(&self, stamp_ms: i64, now_ms: i64) -> bool {
        stamp_ms.saturating_add(self.time_to_live_ms) <= now_ms
    }
}

/// What counts as touching a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlUpdate {
    /// Creating and changing it.
    OnWrite,
    /// Reading it as well.
    OnReadAndWrite,
}

/// What a read makes of an expired value that is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlVisibility {
    /// It is as if it were gone.
    NeverReturnExpired,
    /// It is returned until clean-up has removed it.
    ReturnUntilCleanedUp,
}

/// When expired values are physically removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtlCleanup {
    /// How many other entries of the state each access looks at, removing the expired ones; 0 turns this off.
    pub per_access: u16,
    /// Whether canonical snapshots leave expired values out.
    pub in_snapshots: bool,
}
