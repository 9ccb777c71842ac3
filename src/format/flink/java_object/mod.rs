//! Java's object streams, as far as Flink's files hold them: checkpoint properties, SQL types, and serializers that are
//! only stepped over.
//!
//! The public grammar is in the Java Object Serialization Specification, protocol version 2. A stream has no length of
//! its own, so it has to be parsed to find its end. Parsing yields a table of objects; nothing is ever instantiated.

mod logical_type;
mod properties;
mod stream;

pub use logical_type::{LogicalKind, LogicalType, RowField};
pub use properties::{CheckpointProperties, SnapshotType};

use crate::codec::Reader;
use crate::error::Result;

/// Steps over one stream with one object.
pub(crate) fn skip(input: &mut Reader<'_>) -> Result<()> {
    stream::Stream::read(input).map(|_| ())
}

#[cfg(test)]
mod tests;
