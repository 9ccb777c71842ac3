//! The control plane: what decides when a checkpoint starts, whether it completed, who owns its files, and what a failed
//! job does next.
//!
//! Everything here but [`driver`] is a pure decider: values in, values out. Time comes with each call as `now_ms`,
//! milliseconds since the Unix epoch; randomness is an argument; nothing does I/O, starts a thread or opens the state it
//! coordinates. The driver carries the decisions out on a [`Storage`](crate::storage::Storage).
//!
//! Vocabulary. A *checkpoint* is the whole job's; a subtask's part of it is a *snapshot*, and what points to that is a
//! *handle*, opaque here. A checkpoint is *pending* until every subtask has acknowledged it and its metadata is stored, then
//! it is *completed*. A completed checkpoint is *subsumed* by newer ones and then *retired*: no longer kept for recovery.
//! The *slot* of a checkpoint is the name under which its metadata is stored. The *base* of a checkpoint is the completed
//! one whose shared objects it may reference again.

pub mod barrier;
pub mod completed;
pub mod config;
pub mod coordinator;
pub mod driver;
pub mod event;
pub mod gc;
pub mod inventory;
pub mod job;
#[cfg(not(feature = "test-util"))]
mod mistake;
#[cfg(feature = "test-util")]
pub mod mistake;
pub mod pending;
pub mod restart;
pub mod restore;
pub mod shared_state;
pub mod trigger;

pub use config::Config;
pub use coordinator::{Coordinator, Inheritance, Recovery};
pub use driver::Driver;
pub use event::{Action, Event};
