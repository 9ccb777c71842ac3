//! Bytes in, bytes out: the only place where numbers become bytes.
//!
//! Everything is big-endian with explicit widths. A [`Reader`] checks every length against what remains before it
//! touches or allocates anything, names the field it was reading in every error, and never panics. A [`Writer`] appends
//! to memory and cannot fail.

#![deny(clippy::as_conversions)]

pub(crate) mod checksum;
mod compression;
pub(crate) mod murmur3;
pub(crate) mod prefixed_hash;
mod reader;
mod writer;

pub use checksum::{Digest, digest};
pub use compression::Compression;
pub use reader::Reader;
pub use writer::Writer;

/// Largest number of bytes a variable-length integer takes.
pub(crate) const MAX_VARINT_BYTES: usize = 10;
