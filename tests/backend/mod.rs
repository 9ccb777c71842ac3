//! Backends through the public API.

mod round_trip;
