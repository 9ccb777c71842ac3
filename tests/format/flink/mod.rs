//! Snapshots that real Flink wrote, against what Flink says is in them.

mod channels;
mod damage;
mod dump;
mod fixtures;
#[cfg(feature = "test-util")]
mod fuzz;
mod metadata;
mod state;
mod text;
