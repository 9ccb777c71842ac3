//! The driver on real storages: what it stores, deletes, finds again and refuses.

mod backends;
mod claims;
mod failures;
mod life;
mod protocol;
mod scenarios;
pub(crate) mod world;
