//! Snapshots of Apache Flink, opened through storage.

mod back;
#[cfg(feature = "rocksdb")]
mod database;
mod dump;
mod import;
mod lab;
mod own;
#[cfg(feature = "test-util")]
pub(crate) mod packed;
mod read;
mod rewrite;
mod unseen;
