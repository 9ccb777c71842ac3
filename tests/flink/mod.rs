//! Snapshots of Apache Flink, opened through storage.

mod dump;
mod read;
mod rewrite;
