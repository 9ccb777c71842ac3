//! Snapshots that real Flink wrote, against what Flink says is in them.

mod channels;
mod damage;
pub(crate) mod files;
pub(crate) mod fixtures;
#[cfg(feature = "test-util")]
pub(crate) mod fuzz;
mod metadata;
pub(crate) mod text;
mod typed;
mod written;
