use super::PairWriter;
use crate::codec::Compression;
use crate::error::Result;
use crate::format::FormatId;
use crate::format::schema::Schema;
use crate::format::section::{Block, Owner, Sink};
use crate::ids::OperatorId;
use crate::key_group::MaxParallelism;

/// A writer of canonical sections of one operator.
pub fn writer<S: Sink>(sink: S, operator: OperatorId, compression: Compression) -> PairWriter<S> {
    PairWriter::new(sink, FormatId::Canonical, operator, compression)
}

/// Checks of an entry that need its serializers: the parts of key and value are where they should be, and the key
/// hashes to the key group it is stored in. An error's offset is that of the block.
#[derive(Debug, Clone, Copy)]
pub struct EntryCheck {
    /// Number of key groups, or `None` where the groups were not assigned by [`crate::key_group`].
    pub max_parallelism: Option<MaxParallelism>,
}

impl EntryCheck {
    /// Checks an entry of `block`, which may be of any format that gives neutral pairs.
    pub fn check(&self, schema: &Schema<'_>, block: &Block<'_>, key: &[u8], value: &[u8]) -> Result<()> {
        schema.check_parts(key, value).map_err(|error| block.locate(error.moved_to(block.offset)))?;
        match (block.section.owner, self.max_parallelism) {
            (Owner::KeyGroup(group), Some(max)) => {
                schema.check_group(key, group, max).map_err(|error| block.locate(error.moved_to(block.offset)))
            }
            _ => Ok(()),
        }
    }
}
