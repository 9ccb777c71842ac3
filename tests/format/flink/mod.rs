//! Snapshots that real Flink wrote, against what Flink says is in them.

mod channels;
mod damage;
mod dump;
mod fixtures;
#[cfg(feature = "test-util")]
pub(crate) mod fuzz;
mod metadata;
mod state;
mod text;
mod typed;
mod written;
