//! Snapshots in storage: writing their objects, publishing their manifest, opening and reading them again.
//!
//! Vocabulary. A *checkpoint* or *savepoint* is the whole job's; each backend contributes a *snapshot*, in two phases: it
//! *prepares* (on the processing thread, short) and *writes* (on any thread). What was written is named by *handles*; the
//! *manifest* collects them and is the only commit point: [`publish`] writes it last, and what no manifest names does not
//! exist.
//!
//! Failure behaviour: a write that fails leaves objects behind that no manifest names, and nothing else; an earlier
//! snapshot is never touched. What a publish that failed half-way means is in its [`CommitOutcome`](crate::storage::CommitOutcome).

mod assemble;
#[cfg(feature = "rocksdb")]
pub mod database;
mod home;
mod object;
mod opened;
mod publish;
mod reader;
mod relocate;
pub mod rescale;
mod target;
pub mod task_owned;
mod trust;
pub mod verify;
mod walk;

pub use assemble::{SnapshotLabel, SubtaskReport, assemble};
pub use home::Home;
pub use object::ObjectSink;
pub use publish::publish;
pub use reader::{OperatorReader, SectionBlob, SnapshotReader};
pub use relocate::relocate;
pub use target::{SnapshotTarget, object_path};
pub use task_owned::TaskOwned;
pub use trust::Trust;
pub use verify::verify;
pub use walk::{Entry, EntryPlace, StateReader, TimerPoint};
