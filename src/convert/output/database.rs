//! Databases as a destination.

use std::path::Path;

use super::OperatorPlan;
use crate::error::Result;
use crate::format::manifest::KeyedHandle;
use crate::format::native_rocksdb::Identity;
use crate::format::record::StateMeta;
use crate::key_group::{KeyGroup, KeyGroupRange};
use crate::snapshot::SnapshotTarget;
use crate::snapshot::database::{BulkWriter, DatabaseWriter};

/// Makes writers of tables, which all need the same options and do not own them.
pub(super) struct TableFactory<'t>(&'t dyn Fn(&Path) -> BulkWriter<'t>);

/// Calls `work` with a factory.
pub(super) fn with_tables<T>(work: impl FnOnce(&TableFactory<'_>) -> T) -> T {
    let options = DatabaseWriter::table_options();
    work(&TableFactory(&|directory| BulkWriter::new(directory, &options)))
}

/// The database of one subtask.
pub(super) struct Database<'t> {
    writer: DatabaseWriter,
    tables: BulkWriter<'t>,
}

impl<'t> Database<'t> {
    pub(super) fn new(
        plan: &OperatorPlan,
        states: &[StateMeta],
        scratch: &Path,
        tables: &TableFactory<'t>,
    ) -> Result<Self> {
        let identity = Identity { operator: plan.id, max_parallelism: plan.max_parallelism };
        let writer = DatabaseWriter::new(identity, states, scratch)?;
        let tables = (tables.0)(writer.directory());
        Ok(Database { writer, tables })
    }

    #[inline]
    pub(super) fn row(&mut self, state: &str, group: KeyGroup, key: &[u8], value: &[u8]) -> Result<()> {
        self.tables.row(state, group, key, value)
    }

    pub(super) fn finish(self, range: KeyGroupRange, target: &SnapshotTarget) -> Result<KeyedHandle> {
        let tables = self.tables.finish()?;
        self.writer.store(&tables, range, target, &|| true)
    }
}
