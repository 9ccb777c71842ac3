//! Walking over entries and checking snapshots, as a program does it.

#[cfg(feature = "rocksdb")]
mod database;
mod forge;
mod verify;
mod walk;
