//! Backends through the public API.

#[cfg(feature = "test-util")]
mod contract;
#[cfg(all(unix, feature = "rocksdb", feature = "test-util"))]
mod full_disk;
#[cfg(feature = "test-util")]
mod incremental;
#[cfg(all(feature = "rocksdb", feature = "test-util"))]
mod killed;
#[cfg(feature = "test-util")]
mod model;
#[cfg(all(unix, feature = "rocksdb", feature = "test-util"))]
mod recovery;
#[cfg(all(feature = "rocksdb", feature = "test-util"))]
pub(crate) mod rocksdb;
mod round_trip;

/// A number from the environment.
#[cfg(feature = "test-util")]
fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, not a number")))
}
