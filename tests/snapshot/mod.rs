//! Walking over entries and checking snapshots, as a program does it.

#[cfg(feature = "rocksdb")]
mod database;
mod forge;
#[cfg(feature = "test-util")]
mod task_owned;
mod verify;
mod walk;
