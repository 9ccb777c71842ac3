//! Snapshots of Apache Flink, opened through storage.

mod dump;
mod import;
mod lab;
mod own;
mod read;
mod rewrite;
