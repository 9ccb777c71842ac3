//! Bytes of snapshots to and from neutral records: no I/O, no clock, no threads.
//!
//! Vocabulary. A snapshot is a [`manifest`] and the data it names. Data of state is cut into *sections*
//! ([`section`]): one per key group for keyed state ([`canonical`] or [`native_heap`]), one per subtask for operator
//! state ([`operator`]). A section is cut into *blocks*, a block into *entries*. Or the keyed state of a subtask is a RocksDB
//! database, by its files ([`native_rocksdb`]). What an entry means is the table at
//! [`record::StateMeta`]; every format can show its entries as the neutral (key, value) pairs of that table.
//!
//! Invariants:
//!
//! * Magic, format and version are judged before anything else is read ([`preamble`]). Bytes of a version that is no
//!   longer written are read for ever; a change to written bytes is a new version in a file of its own.
//! * What is written is a function of the records alone, but for the blocks and the order of entries in the native heap
//!   format and for the codec of compressed blocks. Numbers and names have one encoding; a reader refuses any other.
//! * A length is compared with what is left, and with [`Limits`], before anything is allocated for it.
//!
//! Failure behaviour: no byte sequence causes a panic. Damage is a [`Corrupt`](crate::ErrorKind::Corrupt) error with
//! format, offset and field, and with key group and state where they are known; a version or codec that this build does
//! not have is [`Incompatible`](crate::ErrorKind::Incompatible).
//!
//! What Apache Flink writes is read by [`flink`].
//!
//! The layouts are specified, with vectors, in the directory `formats/` of the source tree.

#![deny(clippy::as_conversions)]

pub mod annotate;
pub mod canonical;
pub mod control;
pub mod flink;
#[cfg(feature = "test-util")]
pub mod fuzz;
pub mod java_type;
pub mod manifest;
pub mod native_heap;
pub mod native_rocksdb;
pub mod operator;
mod pair;
pub mod preamble;
pub mod record;
pub mod schema;
pub mod section;

use std::fmt;

/// The byte formats of this crate, as they are registered in `formats/README.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FormatId {
    /// The file that makes a snapshot a snapshot: what belongs to it, and where its data is.
    Manifest,
    /// Keyed state, sorted: the same state gives the same bytes, whatever backend and parallelism wrote it.
    Canonical,
    /// Keyed state as the heap backend writes it fastest.
    NativeHeap,
    /// Operator state of one subtask.
    Operator,
    /// Keyed state as the files of a RocksDB database.
    NativeRocksDb,
    /// What coordinators, collectors and readers of a job agree by.
    Control,
}

impl FormatId {
    /// Every format, in tag order.
    pub const ALL: [FormatId; 6] = [
        FormatId::Manifest,
        FormatId::Canonical,
        FormatId::NativeHeap,
        FormatId::Operator,
        FormatId::NativeRocksDb,
        FormatId::Control,
    ];

    /// The tag that stands for this format in stored bytes. Never renumbered.
    pub const fn tag(self) -> u8 {
        match self {
            FormatId::Manifest => 1,
            FormatId::Canonical => 2,
            FormatId::NativeHeap => 3,
            FormatId::Operator => 4,
            FormatId::NativeRocksDb => 5,
            FormatId::Control => 6,
        }
    }

    /// The format that a stored tag stands for.
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.tag() == tag)
    }

    /// The version that is written, and the newest that can be read.
    pub const fn version(self) -> u16 {
        match self {
            FormatId::Manifest
            | FormatId::Canonical
            | FormatId::NativeHeap
            | FormatId::Operator
            | FormatId::NativeRocksDb
            | FormatId::Control => 1,
        }
    }

    /// Name, as messages and tools print it.
    pub const fn name(self) -> &'static str {
        match self {
            FormatId::Manifest => "manifest",
            FormatId::Canonical => "canonical",
            FormatId::NativeHeap => "native-heap",
            FormatId::Operator => "operator",
            FormatId::NativeRocksDb => "native-rocksdb",
            FormatId::Control => "control",
        }
    }

    /// Name and version 1, as the place of an error.
    pub(crate) const fn v1(self) -> &'static str {
        match self {
            FormatId::Manifest => "manifest v1",
            FormatId::Canonical => "canonical v1",
            FormatId::NativeHeap => "native-heap v1",
            FormatId::Operator => "operator v1",
            FormatId::NativeRocksDb => "native-rocksdb v1",
            FormatId::Control => "control v1",
        }
    }
}

impl fmt::Display for FormatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a decoder accepts at most. Everything is checked before work is done or memory taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of a manifest, in bytes.
    pub manifest_bytes: usize,
    /// Operators in a manifest.
    pub operators: usize,
    /// States of one operator.
    pub states: usize,
    /// Subtasks of all operators of a manifest.
    pub subtasks: usize,
    /// Objects that one manifest names.
    pub objects: usize,
    /// Operator state kept inside the manifest, in bytes per subtask.
    pub inline_bytes: usize,
    /// Length of a uid or state name, in bytes.
    pub name_bytes: usize,
    /// Raw length of a compressed block, in bytes. Blocks that are stored as they are may be larger, since they cost no
    /// more memory than the input itself.
    pub compressed_block_bytes: usize,
    /// How many times longer than its stored form, plus 128 bytes, a compressed block may become.
    pub decompression_ratio: usize,
}

impl Limits {
    /// The limits that every decoder uses unless it is given others.
    pub const SAFE: Limits = Limits {
        manifest_bytes: 256 << 20,
        operators: 16_384,
        states: 4_096,
        subtasks: 1 << 20,
        objects: 1 << 20,
        inline_bytes: 1 << 20,
        name_bytes: crate::ids::MAX_NAME_BYTES,
        compressed_block_bytes: 64 << 20,
        decompression_ratio: 1_000,
    };

    /// Whether a block of `raw` bytes may be stored compressed in `stored` bytes: the rule both sides follow.
    pub(crate) const fn allows_compressed(&self, raw: usize, stored: usize) -> bool {
        stored < raw
            && raw <= self.compressed_block_bytes
            && raw <= stored.saturating_add(128).saturating_mul(self.decompression_ratio)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::SAFE
    }
}
