//! The driver on real storages: what it stores, deletes, finds again and refuses.

pub(super) mod answers;
mod backends;
pub(super) mod claims;
pub(super) mod failures;
pub(super) mod life;
pub(super) mod protocol;
pub(super) mod scenarios;
pub(crate) mod world;
