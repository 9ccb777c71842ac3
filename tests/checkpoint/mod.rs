//! The control plane through its public API: protocol scripts, a randomised model, and the register of known bugs.

mod collector;
pub(crate) mod driver;
mod job;
mod model;
mod scenarios;
mod script;
mod whole_job;
