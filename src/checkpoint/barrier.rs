//! What travels from the coordinator through the job: barriers and the guarantee they give.

use crate::ids::CheckpointId;

/// Guarantee that the barriers of a job give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// State reflects each record once.
    ExactlyOnce,
    /// State may reflect a record more than once after a restore; inputs are never blocked.
    AtLeastOnce,
}

/// How the barriers of one checkpoint line up. Ignored with [`Delivery::AtLeastOnce`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alignment {
    /// Block inputs until all barriers have come. Savepoints are always aligned.
    Aligned,
    /// Aligned at first; unaligned wherever that has not succeeded by the deadline.
    AlignedUntil {
        /// Time of the switch, in milliseconds since the Unix epoch: trigger time plus timeout, the same for all
        /// subtasks, so that the waits of a long chain of operators do not add up.
        deadline_ms: i64,
    },
    /// Snapshot at the first barrier and store what comes before the others.
    Unaligned,
}

/// A barrier as it travels between subtasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Barrier {
    /// Checkpoint it belongs to.
    pub id: CheckpointId,
    /// How to align it.
    pub alignment: Alignment,
}

impl Barrier {
    /// An aligned barrier.
    pub const fn aligned(id: CheckpointId) -> Self {
        Barrier { id, alignment: Alignment::Aligned }
    }
}
