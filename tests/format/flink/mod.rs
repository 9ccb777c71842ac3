//! Snapshots that real Flink wrote, against what Flink says is in them.

mod fixtures;
mod metadata;
