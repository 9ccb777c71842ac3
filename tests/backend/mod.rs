//! Backends through the public API.

#[cfg(feature = "test-util")]
mod contract;
#[cfg(feature = "test-util")]
mod model;
mod round_trip;
