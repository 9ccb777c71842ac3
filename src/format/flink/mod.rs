//! Snapshots of Apache Flink: bytes to neutral records.
//!
//! Vocabulary is Flink's. A snapshot is a directory with one `_metadata` file ([`metadata`]); its *handles* say where
//! the state of each subtask lies: inline, in a file, or in a segment of a file. What the files hold depends on the kind
//! of handle.
//!
//! Nothing here performs I/O: a decoder takes the bytes of a file, or of the part of it that a handle names, and every
//! error says at which offset and in which field. Class names are only data: they are compared with a table of known
//! names and never acted on.
//!
//! Numbers are big-endian, as `java.io.DataOutput` writes them, unless a decoder says otherwise.

pub mod metadata;
#[allow(dead_code, reason = "the decoders of serializers and values use the rest")]
mod primitive;

pub use primitive::JavaString;
