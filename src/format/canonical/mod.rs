//! The canonical format: keyed state, sorted.
//!
//! Sections ([`super::section`]) whose entries are the neutral pairs of [`StateMeta`](super::record::StateMeta), each as
//! length and key, length and value, strictly ascending by the bytes of the key. Where blocks end depends on the entries
//! alone. So equal state gives equal bytes: whatever the order of operations, the backend and the parallelism. With
//! compression this holds for one codec and one version of its library.

mod v1;

pub use super::pair::{PairReader, PairWriter, Pairs};
pub use v1::{EntryCheck, writer};

#[cfg(test)]
mod tests;
