//! **millpond is the state layer of a stream processor.** Operators keep keyed and operator state in typed handles;
//! snapshots of it are taken without stopping the stream, written in a canonical or a faster native format, and restored
//! at any parallelism, into a changed program.
//!
//! It is not a stream processor and not a database server: it plugs into an engine, and what it writes lies in a
//! directory.
//!
//! # What it promises
//!
//! * A snapshot shows the state at one moment, whatever happens while it is written ([`backend::heap`]).
//! * A published snapshot is complete and durable; an unpublished one does not exist; an existing one is never changed
//!   ([`snapshot`], [`storage`]).
//! * The same state gives the same canonical bytes, whatever order, backend or parallelism produced it
//!   ([`format::canonical`]).
//! * Damage is found and located: file, offset, state, key group ([`format::section`], [`Error`]).
//! * Types are judged when a state is registered, before a record is processed ([`serializer::Compatibility`]); state that
//!   a program does not register is carried along byte for byte.
//! * No bytes make a decoder panic, run away or take memory out of proportion ([`codec::Reader`], [`format::Limits`]).
//!
//! # Example
//!
//! A subtask counts visits, takes a checkpoint, and two subtasks go on from it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use millpond::backend::{BackendConfig, KeyedBackend, KeyedParameters, KeyedSnapshotFormat};
//! use millpond::clock::SystemClock;
//! use millpond::format::manifest::SnapshotKind;
//! use millpond::ids::{CheckpointId, JobId, SubtaskIndex};
//! use millpond::key_group::{KeyGroupRange, MaxParallelism, Parallelism};
//! use millpond::random::SystemRandom;
//! use millpond::serializer::{Serializer, Str, U64};
//! use millpond::snapshot::{SnapshotLabel, SnapshotReader, SnapshotTarget, SubtaskReport, assemble, publish};
//! use millpond::state::{ValueDescriptor, ValueState};
//! use millpond::storage::layout::JobLayout;
//! use millpond::storage::{CommitOutcome, MemoryStorage, Storage};
//!
//! const VISITS: ValueDescriptor<U64> = ValueDescriptor::new("visits", U64);
//!
//! # fn main() -> millpond::Result<()> {
//! let max_parallelism = MaxParallelism::new(128)?;
//! let parameters = |subtask, parallelism| -> millpond::Result<KeyedParameters> {
//!     let parallelism = Parallelism::new(parallelism, max_parallelism)?;
//!     Ok(KeyedParameters {
//!         operator: "visit-counter".into(),
//!         max_parallelism,
//!         range: KeyGroupRange::of_subtask(subtask, parallelism, max_parallelism)?,
//!         clock: Arc::new(SystemClock),
//!     })
//! };
//!
//! // One subtask, keyed by page.
//! let config = BackendConfig::new("heap".parse()?);
//! let mut backend = KeyedBackend::new(&config, parameters(0, 1)?, Str)?;
//! let visits = backend.register_value(&VISITS)?;
//! for page in ["/", "/about", "/"] {
//!     let page = page.to_owned();
//!     backend.key(&page)?.value(&visits)?.update(|count| *count = Some(count.unwrap_or(0) + 1))?;
//! }
//!
//! // The short phase is on this thread; writing could be on another.
//! let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 20));
//! let label = SnapshotLabel {
//!     job: JobId([1; 16]),
//!     checkpoint: CheckpointId(1),
//!     kind: SnapshotKind::Checkpoint,
//!     created_ms: 0,
//! };
//! let directory = JobLayout::new(label.job).checkpoint(label.checkpoint);
//! let snapshot = backend.snapshot()?;
//! let target = SnapshotTarget::new(storage.clone(), directory.clone(), Arc::new(SystemRandom));
//! let report = SubtaskReport {
//!     operator: "visit-counter".into(),
//!     subtask: SubtaskIndex(0),
//!     parallelism: Parallelism::new(1, max_parallelism)?,
//!     max_parallelism,
//!     key: Some(Str.snapshot()),
//!     states: snapshot.states(),
//!     keyed: snapshot.write(&target, KeyedSnapshotFormat::Canonical, &|| true)?,
//!     operator_state: None,
//! };
//! let outcome = publish(&*storage, &directory, &assemble(label, vec![report])?);
//! assert!(matches!(outcome, CommitOutcome::Committed));
//!
//! // Two subtasks go on.
//! let reader = SnapshotReader::open(storage, directory)?;
//! let operator = reader.operator("visit-counter")?;
//! let mut total = 0;
//! for subtask in 0..2 {
//!     let mut backend = KeyedBackend::restore(&config, parameters(subtask, 2)?, Str, &operator)?;
//!     let visits = backend.register_value(&VISITS)?;
//!     backend.for_each_value(&visits, |_page, _namespace, count| total += count)?;
//! }
//! assert_eq!(total, 3);
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//!
//! | to do this | go to |
//! |---|---|
//! | name and type a state | [`state`] for descriptors, [`serializer`] for types |
//! | keep state | [`backend`] |
//! | write, publish and open snapshots | [`snapshot`] |
//! | say where they lie | [`storage`] |
//! | turn a snapshot into another | [`mod@convert`] |
//! | align barriers, decide about checkpoints and restarts | [`task`], [`checkpoint`] |
//! | take checkpoints, keep, collect and recover them | [`checkpoint::driver`] |
//! | see what is stored, and clean up | [`checkpoint::inventory`] |
//! | look at bytes | [`mod@format`], and `formats/` in the source tree |

pub mod backend;
pub mod checkpoint;
pub mod clock;
pub mod codec;
pub mod convert;
pub mod error;
pub mod flink;
pub mod format;
pub mod ids;
pub mod key_group;
pub mod random;
pub mod serializer;
pub mod snapshot;
pub mod sort;
pub mod state;
pub mod storage;
pub mod task;

pub use error::{Error, ErrorKind, Place, Result};

/// Compiles and runs the README's example with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
