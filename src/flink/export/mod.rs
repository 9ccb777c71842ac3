//! Savepoints of Apache Flink, written: from snapshots of Flink's ([`rewrite`]) and of ours ([`export`]), with changes on
//! the way.
//!
//! What is written is metadata (version 3 unless another is asked for) and canonical files, which every Flink from 1.18
//! to 2.3 restores on every backend and at every parallelism. Entries are copied as bytes wherever they stay what they
//! are, so values that only their own program understands are carried. Files are named relative to the metadata: the
//! result can be moved.
//!
//! Invariants: nothing is published before every file is durable; the result is read back, decoded, and counted before
//! the call returns; nothing that cannot be expressed is left out in silence. What became of every state is in a
//! [`Report`], also where the call fails.
//!
//! Memory is that of a megabyte and of the largest entry for each file, and of an operator's operator state; where keys are
//! hashed anew, an external merge sort takes [`Options::memory_bytes`] and files in [`Options::scratch`].

mod carried;
mod check;
mod counterpart;
mod direct;
mod edits;
mod exporter;
mod keyed;
mod operator;
mod own;
mod rehash;
mod report;
mod rewriter;
mod savepoint;
mod source;
mod streams;
mod whole;

pub use edits::{Edits, KeyFilter, StateName};
pub use report::{OperatorReport, Outcome, Report, StateReport};
pub use savepoint::Target;
pub(super) use source::{PairVisitor, Part};

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::Result;
use crate::flink::SnapshotReader;
use crate::format::flink::metadata::Version;

/// How a savepoint is written.
pub struct Options<'o> {
    /// Version of the metadata: 3 is restored by every Flink since 1.11, 4 by 1.18 and later, 5 by 2.0 and later, 6 by 2.1
    /// and later.
    pub version: Version,
    /// What happens to keyed state.
    pub form: Form,
    /// Whether files are Snappy compressed.
    pub compressed: bool,
    /// Changes on the way.
    pub edits: Edits,
    /// Prefixes of absolute URIs and what takes their place: files below them are not copied but named by the new URI.
    pub moved: Vec<(String, String)>,
    /// Java classes of structs and enums, by their names in a snapshot of ours: a struct with a class becomes a POJO.
    pub classes: BTreeMap<String, String>,
    /// A snapshot of Flink's: operators and states of the same names are written with its serializers, so that a state that
    /// came from Flink goes back as the types that the job declares.
    pub like: Option<&'o SnapshotReader>,
    /// Where what does not fit into memory goes while keys are hashed anew. Without a directory it stays in memory.
    pub scratch: Option<PathBuf>,
    /// Memory for sorting, in bytes.
    pub memory_bytes: usize,
    /// Called now and then with how far the work is.
    pub progress: &'o dyn Fn(Progress),
}

/// A step of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes of entries were read to be sorted since the last call.
    Sorted(u64),
    /// So many bytes were written since the last call.
    Written(u64),
    /// The result is being read back.
    Verified {
        /// Bytes read so far.
        done_bytes: u64,
        /// Bytes there are.
        total_bytes: u64,
    },
}

/// What happens to keyed state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// It is written anew as canonical files.
    Canonical,
    /// Its files are copied as they are, whatever they hold; only the metadata changes.
    AsIs,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            version: Version::V3,
            form: Form::Canonical,
            compressed: false,
            edits: Edits::default(),
            moved: Vec::new(),
            classes: BTreeMap::new(),
            like: None,
            scratch: None,
            memory_bytes: 64 << 20,
            progress: &|_| {},
        }
    }
}

/// Writes a snapshot of Flink's again, as a self-contained savepoint of Flink's, and reads it back.
///
/// What became of every state is added to `report`. State that cannot be written as asked is
/// [`Incompatible`](crate::ErrorKind::Incompatible) and named in the report; then nothing is published. An edit that
/// meets nothing is [`NotFound`](crate::ErrorKind::NotFound).
pub fn rewrite(source: &SnapshotReader, target: &Target, options: &Options<'_>, report: &mut Report) -> Result<()> {
    let metadata = whole::rewrite(source, target, options, report)?;
    target.publish(&metadata)?;
    check::read_back(target, options, report)
}

/// Writes a snapshot of ours as a self-contained savepoint of Flink's, and reads it back.
///
/// | here | in Flink |
/// |---|---|
/// | `bool`, `i8` to `i64`, `f32`, `f64`, `string`, `bytes`, `window` | `Boolean`, `Byte` to `Long`, `Float`, `Double`, `String`, `byte[]`, `TimeWindow` |
/// | `u8`, `u16`, `u32` | the next wider type: `Short`, `Integer`, `Long` |
/// | `u64` | `Long`; a value beyond it is an error |
/// | `unit` | `Void`; of namespaces `VoidNamespace` |
/// | `option<string>` | `String`, which can be null |
/// | any other `option` | the type itself where Flink has nulls (values of maps, fields of rows and POJOs), elsewhere `NullableSerializer` without padding |
/// | `list`, `map` | `List`, `Map` |
/// | a tuple of up to 25 fields | `Tuple0` to `Tuple25` |
/// | a struct | a POJO where its Java class is given, else a `Row` of its fields in order |
/// | an enum of bare names | a Java enum where its class is given, else `String` |
/// | an enum `Either` of `Left` and `Right` | `Either` |
/// | `i128`, `u128` | `BigInteger` |
/// | `char` | `String` |
/// | `flink:CLASS` | what it was: the bytes and the serializer that came from Flink |
///
/// Anything else, such as a user's own serializer, an enum with content, or a part of any shape, has no counterpart and is
/// refused by name. The state of a coordinator and raw operator state that an import carried become again what they were
/// ([`COORDINATOR_STATE`](crate::flink::COORDINATOR_STATE), [`RAW_OPERATOR_STATE`](crate::flink::RAW_OPERATOR_STATE)), and a subtask
/// without state that had finished has finished. A timer state becomes the two queues of the timer service that has its name, `user-timers` being that
/// of process functions. Key groups are those of Flink's hash. Otherwise as [`rewrite`].
pub fn export(
    source: &crate::snapshot::SnapshotReader,
    target: &Target,
    options: &Options<'_>,
    report: &mut Report,
) -> Result<()> {
    let metadata = whole::export(source, target, options, report)?;
    target.publish(&metadata)?;
    check::read_back(target, options, report)
}
