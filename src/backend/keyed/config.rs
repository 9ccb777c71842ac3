use std::fmt;
use std::str::FromStr;

use crate::backend::heap::Folding;
use crate::error::{Error, Result};

/// The backends there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum BackendKind {
    /// Typed values in memory: [`heap`](crate::backend::heap).
    #[default]
    Heap,
}

impl BackendKind {
    /// Every backend.
    pub const ALL: [BackendKind; 1] = [BackendKind::Heap];

    /// The name by which configuration chooses it.
    pub const fn name(self) -> &'static str {
        match self {
            BackendKind::Heap => "heap",
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
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
            Error::invalid_input(format!("there is no state backend {name:?}; choose one of: {}", known.join(", ")))
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
}

impl BackendConfig {
    /// This backend, with its usual settings.
    pub const fn new(kind: BackendKind) -> Self {
        BackendConfig { kind, folding: Folding::DEFAULT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_backends() {
        for kind in BackendKind::ALL {
            assert_eq!(kind.to_string().parse::<BackendKind>().unwrap(), kind);
        }
        let error = "Heap".parse::<BackendKind>().unwrap_err();
        assert!(error.to_string().contains("\"Heap\"; choose one of: heap"), "{error}");
    }
}
