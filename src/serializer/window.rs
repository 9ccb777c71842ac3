//! Time windows, the usual namespace.

use std::fmt;

use super::{Serializer, SerializerSnapshot};
use crate::codec::{Reader, Writer};
use crate::error::Result;

/// A span of time: from `start_ms`, included, to `end_ms`, excluded. Ordered by start, then end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimeWindow {
    /// First millisecond since the epoch that belongs to the window.
    pub start_ms: i64,
    /// First millisecond since the epoch after it.
    pub end_ms: i64,
}

impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start_ms, self.end_ms)
    }
}

/// [`TimeWindow`]: start, then end, each eight bytes, two's complement with the sign bit flipped. Byte order is the
/// order of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Window;

impl Serializer for Window {
    type Value = TimeWindow;

    fn snapshot(&self) -> SerializerSnapshot {
        SerializerSnapshot::Window
    }

    #[inline]
    fn write(&self, value: &TimeWindow, out: &mut Writer) -> Result<()> {
        let TimeWindow { start_ms, end_ms } = *value;
        out.ordered_i64(start_ms);
        out.ordered_i64(end_ms);
        Ok(())
    }

    #[inline]
    fn read(&self, input: &mut Reader<'_>) -> Result<TimeWindow> {
        Ok(TimeWindow { start_ms: input.ordered_i64("window start")?, end_ms: input.ordered_i64("window end")? })
    }

    fn min_len(&self) -> usize {
        16
    }
}
