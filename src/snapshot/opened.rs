//! The databases of a snapshot that are being looked into.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::reader::KeyedPart;
use crate::error::Result;
use crate::format::record::StateMeta;
use crate::key_group::KeyGroup;

/// Takes key group, neutral key and neutral value of a row.
pub(super) type RowVisit<'v> = &'v mut dyn FnMut(KeyGroup, &[u8], &[u8]) -> Result<ControlFlow<()>>;

/// Databases that were fetched and opened, each once, and stay so for as long as the reader of their snapshot.
#[derive(Debug, Default)]
pub(super) struct OpenedDatabases {
    /// The local directory that files may be fetched into.
    pub(super) scratch: Option<PathBuf>,
    #[cfg(feature = "rocksdb")]
    opened: local::Opened,
}

impl OpenedDatabases {
    /// Gives the rows that a state has in the key groups that are wanted to `visit`, ascending.
    #[cfg(feature = "rocksdb")]
    pub(super) fn rows(
        &self,
        database: &KeyedPart<'_>,
        state: &StateMeta,
        visit: RowVisit<'_>,
    ) -> Result<ControlFlow<()>> {
        self.opened.rows(self.scratch.as_deref(), database, state, visit)
    }

    /// Says that this build has no RocksDB.
    #[cfg(not(feature = "rocksdb"))]
    pub(super) fn rows(&self, database: &KeyedPart<'_>, _: &StateMeta, _: RowVisit<'_>) -> Result<ControlFlow<()>> {
        database.operator.snapshot().check_trust()?;
        Err(crate::error::Error::incompatible("the state is in a RocksDB database; build with feature `rocksdb`"))
    }
}

#[cfg(feature = "rocksdb")]
mod local {
    use std::collections::BTreeMap;
    use std::ops::ControlFlow;
    use std::path::Path;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::RowVisit;
    use crate::error::{Error, Result};
    use crate::format::native_rocksdb::Identity;
    use crate::format::record::StateMeta;
    use crate::ids::{OperatorId, SubtaskIndex};
    use crate::snapshot::database::{Database, ScratchDirectory, fetch};
    use crate::snapshot::reader::KeyedPart;

    /// Fields are dropped in this order: the database is closed before its directory goes.
    #[derive(Debug)]
    struct Fetched {
        database: Database,
        _directory: ScratchDirectory,
    }

    #[derive(Debug, Default)]
    pub(super) struct Opened(Mutex<BTreeMap<(OperatorId, SubtaskIndex), Arc<Fetched>>>);

    impl Opened {
        pub(super) fn rows(
            &self,
            scratch: Option<&Path>,
            database: &KeyedPart<'_>,
            state: &StateMeta,
            visit: RowVisit<'_>,
        ) -> Result<ControlFlow<()>> {
            let fetched = self.open(scratch, database)?;
            let mut rows = fetched.database.rows(&state.name, database.groups);
            while let Some(row) = rows.next_row()? {
                if visit(row.group, row.key, row.value)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        }

        fn open(&self, scratch: Option<&Path>, database: &KeyedPart<'_>) -> Result<Arc<Fetched>> {
            let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let description = database.operator.description();
            let key = (description.id, database.subtask);
            if let Some(fetched) = opened.get(&key) {
                return Ok(Arc::clone(fetched));
            }
            let snapshot = database.operator.snapshot();
            snapshot.check_trust()?;
            let scratch = scratch.ok_or_else(|| {
                Error::invalid_input(
                    "the state is in a RocksDB database, which needs a local directory to be opened in; give the reader \
                     one with `with_scratch`",
                )
            })?;
            let directory = ScratchDirectory::create_in(scratch, "millpond-database")?;
            let files = directory.make("files")?;
            fetch(snapshot, database.handle, &files, 1, &|| true)?;
            let identity = Identity { operator: description.id, max_parallelism: description.max_parallelism };
            let opening = Database::open(&files, &identity, database.operator.states());
            let database = opening.map_err(|error| error.in_operator(description.label()))?;
            let fetched = Arc::new(Fetched { database, _directory: directory });
            opened.insert(key, Arc::clone(&fetched));
            Ok(fetched)
        }
    }
}
