//! The headers that describe the states of a file: names, kinds and serializers.
//!
//! A header has no length, and neither have the serializer snapshots in it: behind a snapshot of an unknown class
//! nothing can be found. Such a header is not an error. It has the states that come before, and says in
//! [`Unreadable`] why the rest is missing.

mod encode;
mod keyed;
mod operator;
mod state;

pub use keyed::KeyedHeader;
pub use operator::OperatorHeader;
pub use state::{KeyedKind, StateInfo, StateType};

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// Why a header could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// What is not known.
    pub reason: String,
    /// Where in the file it begins.
    pub offset: u64,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at offset {})", self.reason, self.offset)
    }
}

/// Tells what is unknown from what is damaged.
fn readable<T>(result: Result<T>) -> Result<Result<T, Unreadable>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.kind() == ErrorKind::Incompatible => Ok(Err(unreadable(&error))),
        Err(error) => Err(error),
    }
}

fn unreadable(error: &Error) -> Unreadable {
    Unreadable { reason: error.message().to_owned(), offset: error.place().offset.unwrap_or(0) }
}

#[cfg(test)]
mod tests;
