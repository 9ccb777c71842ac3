use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::codec::Compression;
use crate::error::{Error, Result};

/// The format that keyed state is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The canonical format, which every backend reads.
    Canonical,
    /// The heap backend's own.
    NativeHeap,
    /// RocksDB's own: a database for each subtask. Needs feature `rocksdb`.
    NativeRocksDb,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 3] = [Format::Canonical, Format::NativeHeap, Format::NativeRocksDb];

    /// Its name, as tools take it.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Canonical => "canonical",
            Format::NativeHeap => "native-heap",
            Format::NativeRocksDb => "native-rocksdb",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|format| format.name()).collect();
            Error::invalid_input(format!("there is no format {name:?}; choose one of: {}", known.join(", ")))
        })
    }
}

/// A state of the source: the uid of its operator, or the operator's id, and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateName {
    /// The operator.
    pub operator: String,
    /// The state.
    pub state: String,
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.operator, self.state)
    }
}

impl FromStr for StateName {
    type Err = Error;

    /// Reads `OPERATOR/STATE`. The first slash parts the two; an operator whose uid has one can be named by its id.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('/') {
            Some((operator, state)) if !operator.is_empty() && !state.is_empty() => {
                Ok(StateName { operator: operator.to_owned(), state: state.to_owned() })
            }
            _ => Err(Error::invalid_input(format!("{text:?} is not OPERATOR/STATE, for example flights/profile"))),
        }
    }
}

/// What is changed on the way. Operators and states are named as the source has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// Old uid (or id) and new uid.
    pub rename_uids: Vec<(String, String)>,
    /// Operators that are left out, by uid or id.
    pub drop_operators: Vec<String>,
    /// States that are left out.
    pub drop_states: Vec<StateName>,
    /// States that get stamps, and the stamp that every value, map entry and list element gets: when it counts as last
    /// touched, in milliseconds since the Unix epoch.
    pub set_ttl: Vec<(StateName, i64)>,
    /// States that lose their stamps.
    pub drop_ttl: Vec<StateName>,
}

/// How a snapshot is converted.
#[derive(Debug, Clone)]
pub struct Options {
    /// The format of keyed state.
    pub to: Format,
    /// Parallelism of every operator; `None` keeps what each has.
    pub parallelism: Option<u32>,
    /// Max parallelism of every operator; `None` keeps what each has.
    pub max_parallelism: Option<u32>,
    /// What is changed on the way.
    pub edits: Edits,
    /// How blocks are compressed. Databases have a compression of their own.
    pub compression: Compression,
    /// A local directory for runs and databases: up to twice the size of the state for a database, once for a rehash.
    pub scratch: PathBuf,
    /// Memory for sorting, in bytes.
    pub memory_bytes: usize,
}

impl Options {
    /// Memory for sorting unless another is given: 64 MiB.
    pub const MEMORY_BYTES: usize = 64 << 20;

    /// A conversion to `to` that changes nothing else, with files in `scratch`.
    pub fn new(to: Format, scratch: impl Into<PathBuf>) -> Self {
        Options {
            to,
            parallelism: None,
            max_parallelism: None,
            edits: Edits::default(),
            compression: Compression::None,
            scratch: scratch.into(),
            memory_bytes: Self::MEMORY_BYTES,
        }
    }
}
