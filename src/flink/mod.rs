//! Snapshots of Apache Flink in storage: opened, walked, checked, and imported.
//!
//! Vocabulary is Flink's, see [`format::flink`](crate::format::flink), which has the bytes. A [`SnapshotReader`] is an
//! opened `_metadata` file; its handles lead to *streams*: bytes in the metadata itself, files, or segments of files. A
//! [`Directory`] is a part of a storage that streams may lie in: the snapshot's own, and those that the caller names as
//! roots for absolute URIs. The model is the same for every kind of snapshot: operators have states, states have entries,
//! entries come key group by key group.
//!
//! [`mapping`] says how a Flink type is stored here, [`import()`] writes a snapshot of ours from one of Flink's: values keep
//! their meaning, keys stay in the key groups where Flink put them.
//!
//! Invariants: nothing outside of the snapshot's directory and the roots is opened; class names are only data; files of
//! RocksDB are opened only when the caller trusts them ([`Trust`](crate::snapshot::Trust)). Memory is that of the largest entry
//! and of a block; what has to be sorted goes through an external merge sort, see [`ImportOptions`] and
//! [`export::Options`]; operator state of an operator is held as a whole, as Flink does. State of the
//! changelog backend takes the net changes of a key group, where the changes of each key group lie and, where logs are
//! compressed, the expanded logs of the subtask.
//!
//! Failure behaviour: a stream that is missing or has another length than its handle says is damage, with its file. What
//! is intact and cannot be read here is [`Incompatible`](crate::ErrorKind::Incompatible), and never silently left out.

mod changelog;
#[cfg(feature = "rocksdb")]
mod database;
pub mod export;
mod files;
#[cfg(feature = "test-util")]
pub mod fuzz;
mod import;
mod keyed;
pub mod mapping;
mod operator;
mod pairs;
mod raw;
mod reader;
mod state;
mod timers;
mod usage;
mod verify;

pub use files::{Directory, Stream};
pub use import::{COORDINATOR_STATE, ImportOptions, Imported, Note, RAW_OPERATOR_STATE, import};
pub use keyed::{Gap, KeyedReader, Spot, Visitor};
pub use operator::{ChannelVisitor, Direction, OperatorState};
pub use pairs::KeyedPairs;
pub use reader::{OperatorReader, SnapshotReader};
pub use state::StateReader;
pub use usage::{GroupUsage, StateUsage, Taken, Usage};
pub use verify::verify;
