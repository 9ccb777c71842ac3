use super::PairWriter;
use crate::codec::Compression;
use crate::error::Result;
use crate::format::FormatId;
use crate::format::manifest::KeyGroupAssignment;
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
pub struct EntryCheck<'a> {
    /// How keys are assigned to key groups, and the number of these; `None` where key groups are not checked.
    pub groups: Option<(&'a KeyGroupAssignment, MaxParallelism)>,
}

impl EntryCheck<'_> {
    /// Checks an entry of `block`, which may be of any format that gives neutral pairs.
    pub fn check(&self, schema: &Schema<'_>, block: &Block<'_>, key: &[u8], value: &[u8]) -> Result<()> {
        schema.check_parts(key, value).map_err(|error| block.locate(error.moved_to(block.offset)))?;
        let (Owner::KeyGroup(group), Some((assignment, max))) = (block.section.owner, self.groups) else {
            return Ok(());
        };
        let checked = schema.check_group(key, group, assignment, max);
        checked.map_err(|error| block.locate(error.moved_to(block.offset)))
    }
}
