//! Snapshots of Apache Flink: bytes to neutral records, and back.
//!
//! Vocabulary is Flink's. A snapshot is a directory with one `_metadata` file ([`metadata`]); its *handles* say where
//! the state of each subtask lies: inline, in a file, or in a segment of a file. What the files hold depends on the kind
//! of handle.
//!
//! A handle of keyed state leads to a canonical file ([`keyed`]), to a native heap file ([`heap`]; [`KeyedFile`] is
//! either of the two), to the files of a
//! RocksDB database, whose keys and values are those of canonical files, to timers ([`timer`]), or to logs of changes to
//! what another handle leads to ([`changelog`]). A handle of operator state leads to [`operator`] files, one of channel state to [`channel`] files. Files of keyed and operator state begin
//! with a [`header`] that names the states and describes their [`serializer`]s, by which [`Value`]s are decoded.
//! [`key_group`] says where Flink puts a key.
//!
//! Files that are named by absolute URIs are found through [`Roots`].
//!
//! What can be written is metadata from version 3 on, canonical files, operator state, serializer snapshots and values:
//! what was read is written byte for byte, and what Flink could not read is refused. Raw timers, native files and
//! databases are only read, and so are logs of changes.
//!
//! Nothing here performs I/O: a decoder takes the bytes of a file, or of the part of it that a handle names, and every
//! error says at which offset and in which field. Class names are only data: they are compared with a table of known
//! names and never acted on.
//!
//! Numbers are big-endian, as `java.io.DataOutput` writes them, unless a decoder says otherwise.

pub mod changelog;
pub mod channel;
mod entry;
mod file;
#[cfg(feature = "test-util")]
pub mod fuzz;
pub mod header;
pub mod heap;
mod java_object;
pub mod key_group;
pub mod keyed;
mod location;
pub mod metadata;
pub mod operator;
mod primitive;
pub mod serializer;
mod snappy;
pub mod timer;
pub mod ttl;
pub mod value;
mod write;

pub use entry::{Content, KeyedEntry, Layout};
pub(crate) use file::Found;
#[cfg(feature = "rocksdb")]
pub(crate) use file::StoredEntry;
pub use file::{EntryVisitor, KeyedFile};
pub use java_object::{CheckpointProperties, LogicalKind, LogicalType, RowField, SnapshotType};
pub use location::{JobFile, Roots};
pub use primitive::JavaString;
pub use value::Value;

#[cfg(test)]
mod samples;
