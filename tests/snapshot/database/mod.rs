//! Snapshots that are RocksDB databases: what is stored, fetched, put together and refused.

mod files;
mod hostile;
mod job;
#[cfg(unix)]
mod links;
mod machine;
mod rescale;
