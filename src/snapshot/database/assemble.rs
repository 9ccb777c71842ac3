//! The database of a range of key groups, put together from those of a snapshot that hold parts of it.

use std::path::Path;

use rocksdb::{ColumnFamilyDescriptor, DB, Options, WriteOptions};

use super::ScratchDirectory;
use super::bulk::{BulkWriter, ingest};
use super::fetch::fetch;
use super::options::{database_options, failure, state_options};
use super::parallel::{KeepGoing, check};
use super::reader::{Database, check_identity, families};
use super::store::StoredTables;
use super::writer::{create_family, flush};
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::native_rocksdb::{Identity, column_family_name, group_bounds, row_key};
use crate::format::record::{StateKind, StateMeta};
use crate::key_group::{KeyGroup, KeyGroupRange, MAX_MAX_PARALLELISM, MaxParallelism};
use crate::snapshot::reader::{KeyedPart, OperatorReader};

/// Rows between two questions whether to go on.
const ROWS_PER_QUESTION: usize = 4096;

/// Bytes behind the number of the last key group to be dropped, so that its files are dropped as well.
const ABOVE_ANY_KEY: [u8; 32] = [u8::MAX; 32];

/// A database that was put together.
#[derive(Debug)]
#[non_exhaustive]
pub struct Assembled {
    /// Tables in it that are stored already: the next incremental snapshot into the same job's directory need not store
    /// them again.
    pub stored: StoredTables,
    /// The states that have a column family in it.
    pub states: Vec<StateMeta>,
}

/// Puts a database of the key groups in `range` into `directory`, which is there and empty, from the databases of an
/// operator. `None`, and nothing in the directory, if none of them has any of these key groups.
///
/// The largest database becomes the base: its files are fetched, and what lies outside of the range is dropped without being read. The
/// rows that others have of the range are written to tables in `scratch` and taken in. So the same parallelism costs
/// a copy of the files, a split a copy and a few markers, a merge a copy of the largest part and a rewrite of the others.
pub fn assemble(
    operator: &OperatorReader<'_>,
    range: KeyGroupRange,
    directory: &Path,
    scratch: &Path,
    threads: usize,
    keep_going: KeepGoing<'_>,
) -> Result<Option<Assembled>> {
    operator.snapshot().check_trust()?;
    let mut parts = operator.keyed_parts(range)?;
    if let Some(other) = parts.iter().find(|part| !part.is_database()) {
        return Err(Error::invalid_input(format!("the state is in {} format, not in databases", other.handle.format)));
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.handle.objects.iter().map(|object| object.length).sum::<u64>()));
    let Some((base, others)) = parts.split_first() else { return Ok(None) };
    fetch(operator.snapshot(), base.handle, directory, threads, keep_going)?;
    let states = if base.handle.range == range {
        // Opened once, so that what is wrong is found here, whoever opens it next.
        let database = Database::open(directory, &identity(operator), operator.states())?;
        let has_family = |state: &&StateMeta| database.states().any(|(name, _)| name == state.name);
        operator.states().iter().filter(has_family).cloned().collect()
    } else {
        let mut merge = Merge::open(operator, directory)?;
        merge.clip(base.groups)?;
        for other in others {
            merge.add(other, scratch, threads, keep_going)?;
        }
        merge.finish()?
    };
    Ok(Some(Assembled { stored: StoredTables::of(base.handle), states }))
}

/// Whether [`assemble`] can put the state of these key groups together: whether all of it is in databases.
pub fn is_in_databases(operator: &OperatorReader<'_>, range: KeyGroupRange) -> bool {
    operator.keyed_parts(range).is_ok_and(|parts| !parts.is_empty() && parts.iter().all(KeyedPart::is_database))
}

fn identity(operator: &OperatorReader<'_>) -> Identity {
    Identity { operator: operator.description().id, max_parallelism: operator.max_parallelism() }
}

/// The key groups that a range does not have.
fn outside(range: KeyGroupRange) -> Result<Vec<KeyGroupRange>> {
    let mut outside = Vec::new();
    if let Some(below) = range.first().0.checked_sub(1) {
        outside.push(KeyGroupRange::new(KeyGroup(0), KeyGroup(below))?);
    }
    let all = MaxParallelism::new(MAX_MAX_PARALLELISM)?.all_groups();
    if range.last() < all.last() {
        outside.push(KeyGroupRange::new(KeyGroup(range.last().0.saturating_add(1)), all.last())?);
    }
    Ok(outside)
}

/// The base, open for writing.
struct Merge<'m> {
    operator: &'m OperatorReader<'m>,
    db: DB,
    /// States with a column family.
    states: Vec<StateMeta>,
}

impl<'m> Merge<'m> {
    fn open(operator: &'m OperatorReader<'m>, directory: &Path) -> Result<Self> {
        let states: Vec<StateMeta> = operator.states().iter().filter(|state| state.kind.is_keyed()).cloned().collect();
        let there = families(directory, &states)?;
        let default = ColumnFamilyDescriptor::new(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, Options::default());
        let of_states = there
            .iter()
            .map(|(state, kind)| ColumnFamilyDescriptor::new(column_family_name(state), state_options(*kind)));
        let mut db = DB::open_cf_descriptors(&database_options(), directory, [default].into_iter().chain(of_states))
            .map_err(|error| failure("open the database", error).in_file(directory.display()))?;
        check_identity(&db, &identity(operator))?;
        for state in states.iter().filter(|state| !there.contains_key(&state.name)) {
            create_family(&mut db, state)?;
        }
        Ok(Merge { operator, db, states })
    }

    /// Drops every row outside of the range: whole tables first, then the rest by a marker, which also hides what older
    /// tables still have of what was in the dropped ones.
    fn clip(&self, range: KeyGroupRange) -> Result<()> {
        let outside = outside(range)?;
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        for state in &self.states {
            let family = self.db.cf_handle(&column_family_name(&state.name));
            let family = family.ok_or_else(|| Error::internal("a column family is gone").in_state(&state.name))?;
            for groups in &outside {
                let (from, to) = group_bounds(*groups);
                // The upper end of whole tables is included, so it must not be a row that stays.
                let mut last = Writer::new();
                row_key(groups.last(), &ABOVE_ANY_KEY, &mut last);
                self.db
                    .delete_file_in_range_cf(family, from.as_slice(), last.as_slice())
                    .and_then(|()| self.db.delete_range_cf_opt(family, from, to, &unlogged))
                    .map_err(|error| failure("drop key groups", error).in_state(&state.name))?;
            }
        }
        Ok(())
    }

    /// Takes in the rows of another database.
    fn add(&mut self, part: &KeyedPart<'_>, scratch: &Path, threads: usize, keep_going: KeepGoing<'_>) -> Result<()> {
        let scratch = ScratchDirectory::create_in(scratch, "merge")?;
        let files = scratch.make("files")?;
        fetch(self.operator.snapshot(), part.handle, &files, threads, keep_going)?;
        let other = Database::open(&files, &identity(self.operator), &self.states)?;
        let options = state_options(StateKind::Value);
        let mut tables = BulkWriter::new(scratch.path(), &options);
        for (state, _) in other.states() {
            let mut rows = other.rows(state, part.groups);
            let mut count = 0_usize;
            while let Some(row) = rows.next_row()? {
                if count.is_multiple_of(ROWS_PER_QUESTION) {
                    check(keep_going)?;
                }
                count = count.wrapping_add(1);
                tables.row(state, row.group, row.key, row.value)?;
            }
        }
        let tables = tables.finish()?;
        ingest(&self.db, &tables)
    }

    /// Writes everything to files, and returns the states that there are.
    fn finish(self) -> Result<Vec<StateMeta>> {
        flush(&self.db, self.states.iter().map(|state| &state.name))?;
        Ok(self.states)
    }
}
