//! The native format of the heap backend: keyed state as it lies in memory.
//!
//! Sections ([`super::section`]) whose entries are typed, unframed and in any order; every encoding ends where its
//! serializer says:
//!
//! | kind | entry |
//! |---|---|
//! | value, reducing, aggregating | key ‖ namespace ‖ \[stamp\] value |
//! | list | key ‖ namespace ‖ varint count ‖ (\[stamp\] element)* |
//! | map | key ‖ namespace ‖ varint count ‖ (user key ‖ \[stamp\] value)* |
//! | timer | domain ‖ timestamp ‖ key ‖ namespace |
//!
//! A count is at least one: an empty list or map is not stored. Key and namespace are unique within a state, but a large
//! map may be split into several entries, which are united. A list element whose type has no bytes (the minimal length of
//! its serializer is 0) is followed by a byte 0, so that a count never exceeds what it stands for.
//!
//! [`Entries`] gives the entries as neutral pairs with no user type at hand. A backend that knows the types reads the
//! blocks directly and writes them through [`SectionWriter::entry`](super::section::SectionWriter::entry).

mod v1;

pub use v1::{Entries, write_pair, writer};

#[cfg(test)]
mod tests;
