//! Snapshots of Apache Flink, opened through storage.

mod dump;
mod lab;
mod own;
mod read;
mod rewrite;
