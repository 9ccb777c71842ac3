//! Everything through the public API; the modules mirror those of the crate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod backend;
mod checkpoint;
#[cfg(feature = "cli")]
mod cli;
#[cfg(all(feature = "test-util", feature = "rocksdb"))]
mod convert;
#[cfg(feature = "test-util")]
mod crash;
mod flink;
mod format;
#[cfg(feature = "test-util")]
mod fuzz;
mod memory;
mod serializer;
#[cfg(feature = "test-util")]
mod simulation;
mod snapshot;
#[cfg(feature = "test-util")]
mod storage;
mod tidy;
