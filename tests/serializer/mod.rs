//! `millpond::serializer` from outside, and the tables of `formats/serializer/SPEC.md`.

mod spec;
#[cfg(feature = "test-util")]
mod user;
