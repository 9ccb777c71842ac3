//! Operator state: one section per subtask, whatever the keyed state is written in.
//!
//! Sections ([`super::section`]) whose owner is the subtask. List and union state: the elements in the user's order, each
//! as a pair with an empty key. Broadcast state: user key and value, strictly ascending by the bytes of the key.

mod v1;

pub use super::pair::{PairReader, PairWriter, Pairs};
pub use v1::writer;
