//! Conversion through the public API: every format to every other, at other parallelisms, with edits, interrupted, from
//! damaged sources, onto full disks.

#![allow(clippy::disallowed_methods, reason = "tests look behind the storage's back")]

mod edits;
mod failures;
mod job;
mod matrix;
mod memory;
