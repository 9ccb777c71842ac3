use std::fmt;

use crate::codec::Reader;
use crate::error::{Error, Result};

/// Opens every `_metadata` file (`Checkpoints.HEADER_MAGIC_NUMBER`).
pub(super) const MAGIC: u32 = 0x4960_672D;

/// Version of a `_metadata` file, which says what its body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// Flink up to 1.10.
    V2,
    /// Flink 1.11 to 1.14; adds coordinator state, channel state and finished operators. Every Flink up to 2.3 restores
    /// it.
    V3,
    /// Flink up to 1.20; adds the checkpoint's properties.
    V4,
    /// Flink 2.0; adds names and uids of operators.
    V5,
    /// Flink 2.1 to 2.3; adds merged channel state handles.
    V6,
}

impl Version {
    /// Every version, in order.
    pub const ALL: [Version; 5] = [Version::V2, Version::V3, Version::V4, Version::V5, Version::V6];

    /// The number stored in the file.
    pub const fn number(self) -> u32 {
        match self {
            Version::V2 => 2,
            Version::V3 => 3,
            Version::V4 => 4,
            Version::V5 => 5,
            Version::V6 => 6,
        }
    }

    /// Reads magic and version.
    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let start = input.clone();
        let magic = input.u32("magic")?;
        if magic != MAGIC {
            return Err(start.corrupt("magic", format!("is {magic:#010x}, expected {MAGIC:#010x}: no Flink metadata")));
        }
        let start = input.clone();
        let number = input.u32("version")?;
        let unknown = || {
            Error::incompatible(format!("metadata version is {number}, versions 2 to 6 can be read"))
                .at_offset(start.offset())
                .in_field("version")
        };
        Version::ALL.into_iter().find(|version| version.number() == number).ok_or_else(unknown)
    }

    pub(super) fn has_coordinators(self) -> bool {
        self >= Version::V3
    }

    pub(super) fn has_channels(self) -> bool {
        self >= Version::V3
    }

    pub(super) fn has_finished(self) -> bool {
        self >= Version::V3
    }

    pub(super) fn has_properties(self) -> bool {
        self >= Version::V4
    }

    pub(super) fn has_names(self) -> bool {
        self >= Version::V5
    }

    pub(super) fn has_typed_channels(self) -> bool {
        self >= Version::V6
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}
