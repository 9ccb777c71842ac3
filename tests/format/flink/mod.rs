//! Snapshots that real Flink wrote, against what Flink says is in them.

mod channels;
mod dump;
mod fixtures;
mod metadata;
mod state;
mod text;
