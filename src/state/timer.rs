//! Timers: moments at which an operator wants to be called for a key and namespace.
//!
//! A timer is identified by (domain, timestamp, key, namespace); registering it twice is registering it once. Due timers
//! come in the order of their timestamps; timers of one timestamp come by key group, then by the bytes of key and
//! namespace, so that every backend fires in the same order.

use crate::error::Result;
use crate::serializer::{Serializer, Unit};

/// Which clock a timer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimeDomain {
    /// The watermark.
    Event,
    /// The wall clock.
    Processing,
}

impl TimeDomain {
    /// The tag that stands for this domain in stored bytes. Never renumbered.
    pub const fn tag(self) -> u8 {
        match self {
            TimeDomain::Event => 0,
            TimeDomain::Processing => 1,
        }
    }

    /// The domain that a stored tag stands for.
    pub const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            0 => Some(TimeDomain::Event),
            1 => Some(TimeDomain::Processing),
            _ => None,
        }
    }
}

/// Names a set of timers and types its namespaces.
#[derive(Debug, Clone)]
pub struct TimerDescriptor<N = Unit> {
    pub(crate) name: &'static str,
    pub(crate) namespace: N,
}

impl TimerDescriptor {
    /// Timers without namespaces.
    pub const fn new(name: &'static str) -> Self {
        TimerDescriptor { name, namespace: Unit }
    }
}

impl<N: Serializer> TimerDescriptor<N> {
    /// Timers that belong to namespaces.
    pub const fn in_namespaces(name: &'static str, namespace: N) -> Self {
        TimerDescriptor { name, namespace }
    }
}

/// A timer that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer<K, N> {
    /// The moment it was set for, in milliseconds.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: K,
    /// Its namespace.
    pub namespace: N,
}

/// The timers of one key and namespace.
pub trait TimerState {
    /// Sets a timer; `false` if it was set already.
    fn register(&mut self, domain: TimeDomain, timestamp_ms: i64) -> Result<bool>;

    /// Deletes a timer; `false` if it was not set.
    fn delete(&mut self, domain: TimeDomain, timestamp_ms: i64) -> Result<bool>;
}
