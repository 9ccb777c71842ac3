use std::fmt;
use std::str::FromStr;

use crate::backend::heap::Folding;
#[cfg(feature = "rocksdb")]
use crate::backend::rocksdb::Config;
use crate::error::{Error, Result};

/// The backends there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum BackendKind {
    /// Typed values in memory: [`heap`](crate::backend::heap).
    #[default]
    Heap,
    /// A database on local disk: [`rocksdb`](crate::backend::rocksdb). Feature `rocksdb`.
    #[cfg(feature = "rocksdb")]
    RocksDb,
}

/// Name of the RocksDB backend, known whether it is compiled in or not.
const ROCKSDB: &str = "rocksdb";

impl BackendKind {
    /// Every backend that is compiled in.
    pub const ALL: &[BackendKind] = &[
        BackendKind::Heap,
        #[cfg(feature = "rocksdb")]
        BackendKind::RocksDb,
    ];

    /// The name by which configuration chooses it.
    pub const fn name(self) -> &'static str {
        match self {
            BackendKind::Heap => "heap",
            #[cfg(feature = "rocksdb")]
            BackendKind::RocksDb => ROCKSDB,
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BackendKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if let Some(kind) = Self::ALL.iter().find(|kind| kind.name() == name) {
            return Ok(*kind);
        }
        let known: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
        let known = known.join(", ");
        Err(match name {
            ROCKSDB => Error::incompatible(format!(
                "the state backend {name:?} is not compiled in; build with the feature `rocksdb`, or choose one of: {known}"
            )),
            _ => Error::invalid_input(format!("there is no state backend {name:?}; choose one of: {known}")),
        })
    }
}

/// Which backend a job uses.
///
/// ```
/// use millpond::backend::{BackendConfig, BackendKind};
///
/// let config = BackendConfig::new("heap".parse()?);
/// assert_eq!(config.kind, BackendKind::Heap);
/// # Ok::<(), millpond::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct BackendConfig {
    /// The backend.
    pub kind: BackendKind,
    /// How far incremental snapshots of the heap backend may spread.
    pub folding: Folding,
    /// Settings of the RocksDB backend, for when it is chosen. Its working directory has no default.
    #[cfg(feature = "rocksdb")]
    pub rocksdb: Config,
}

impl BackendConfig {
    /// This backend, with its usual settings.
    pub fn new(kind: BackendKind) -> Self {
        BackendConfig { kind, ..BackendConfig::default() }
    }

    /// The RocksDB backend with these settings.
    #[cfg(feature = "rocksdb")]
    pub fn rocksdb(config: Config) -> Self {
        BackendConfig { kind: BackendKind::RocksDb, rocksdb: config, ..BackendConfig::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_backends() {
        for kind in BackendKind::ALL {
            assert_eq!(kind.to_string().parse::<BackendKind>().unwrap(), *kind);
        }
        let error = "Heap".parse::<BackendKind>().unwrap_err();
        assert!(error.to_string().contains("\"Heap\"; choose one of: heap"), "{error}");
    }
}
