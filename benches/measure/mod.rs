//! What the benchmarks share: the workload, the stopwatch, the options and the way results are printed.
//!
//! Workload definitions are those of Flink's state benchmarks: keys `0..n` in an order shuffled by SplitMix64 with seed 42,
//! numbers or 16 hexadecimal digits as keys, random numbers or 100 random bytes as values, 128 key groups.

#![allow(dead_code, reason = "every benchmark uses its part")]

pub(crate) mod job;
pub(crate) mod options;
pub(crate) mod output;
pub(crate) mod storage;
pub(crate) mod timing;
pub(crate) mod workload;

pub(crate) use options::Options;
pub(crate) use output::Output;
pub(crate) use timing::Stopwatch;
pub(crate) use workload::{Element, Records, SplitMix64};
