//! From files in a local directory to objects of a snapshot.

use std::collections::BTreeMap;
use std::path::Path;

use super::directory::{self, LocalFile, database_files};
use super::parallel::{KeepGoing, check, for_each};
use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::manifest::{KeyGroupAssignment, KeyedHandle, ObjectRef, ObjectScope};
use crate::format::native_rocksdb::{FileName, check_files};
use crate::format::section::Sink;
use crate::key_group::KeyGroupRange;
use crate::snapshot::target::SnapshotTarget;

/// Tables that are stored already: what an incremental snapshot refers to instead of storing them again.
///
/// A name stands for a table only in one directory, between its creation and its removal: the same name in another
/// directory, or after a restart, is another table. So this is made from the handle of a snapshot of that very directory, or
/// of the one it was fetched from, and thrown away with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredTables(BTreeMap<FileName, ObjectRef>);

impl StoredTables {
    /// The shared tables of a database. Exclusive ones are left out, since they go with their snapshot.
    pub fn of(handle: &KeyedHandle) -> Self {
        let shared = |(name, object): &(FileName, &ObjectRef)| name.is_table() && object.scope == ObjectScope::Shared;
        StoredTables(handle.database_files().filter(shared).map(|(name, object)| (name, object.clone())).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object of a file, if it is stored.
    fn object(&self, file: &LocalFile) -> Option<&ObjectRef> {
        self.0.get(&file.name).filter(|object| object.length == file.length)
    }
}

/// Bytes of the tables of the database in `directory`.
pub fn table_bytes(directory: &Path) -> Result<u64> {
    let files = database_files(directory)?;
    Ok(files.iter().filter(|file| file.name.is_table()).map(|file| file.length).fold(0, u64::saturating_add))
}

/// Stores the database in `directory`, a closed one that nobody changes, on as many threads as the target says.
///
/// Without `stored` everything goes into the snapshot's own directory. With it, tables that are stored already are referred
/// to and new ones become shared; what changes with every snapshot stays its own. Objects that were finished before an error or an abort
/// are in the directories that are collected, and nothing names them.
pub fn store(
    directory: &Path,
    range: KeyGroupRange,
    target: &SnapshotTarget,
    stored: Option<&StoredTables>,
    keep_going: KeepGoing<'_>,
) -> Result<KeyedHandle> {
    let files = database_files(directory)?;
    let names: Vec<FileName> = files.iter().map(|file| file.name).collect();
    check_files(&names).map_err(|error| Error::internal(error.message()).in_file(directory.display()))?;
    let objects = for_each(&files, target.threads(), keep_going, &|file: &LocalFile, keep_going| {
        if let Some(object) = stored.and_then(|stored| stored.object(file)) {
            return Ok(object.clone());
        }
        let is_shared = stored.is_some() && file.name.is_table();
        let scope = if is_shared { ObjectScope::Shared } else { ObjectScope::Exclusive };
        store_file(file, scope, target, keep_going)
    })?;
    let format = FormatId::NativeRocksDb;
    let assignment = KeyGroupAssignment::default();
    Ok(KeyedHandle { format, range, assignment, objects, sections: Vec::new(), files: names, states: Vec::new() })
}

fn store_file(
    file: &LocalFile,
    scope: ObjectScope,
    target: &SnapshotTarget,
    keep_going: KeepGoing<'_>,
) -> Result<ObjectRef> {
    let mut sink = target.new_object_in(scope)?;
    directory::read(file, |chunk| {
        check(keep_going)?;
        sink.write(chunk)
    })?;
    sink.finish()?.ok_or_else(|| Error::internal("a file of the database is empty").in_file(file.path.display()))
}
