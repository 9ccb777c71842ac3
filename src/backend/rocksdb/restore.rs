//! Restored state: rows that go into the database as they are, in files.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::database::Database;
use super::expiry::Expiry;
use super::{Carried, KeyedBackend};
use crate::backend::ledger::Ledger;
use crate::backend::registration::{ForeignGroups, check_snapshot};
use crate::backend::{Key, KeyedParameters};
use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::canonical::PairReader;
use crate::format::manifest::KeyGroupAssignment;
use crate::format::native_heap;
use crate::format::native_rocksdb::{column_family_name, group_bounds};
use crate::format::schema::Schema;
use crate::format::section::{Block, SectionReader};
use crate::key_group::{KeyGroup, MaxParallelism};
use crate::serializer::{Serializer, SerializerSnapshot};
use crate::snapshot::database::{Assembled, BulkWriter, assemble, ingest, is_in_databases};
use crate::snapshot::{OperatorReader, SectionBlob};

use super::config::Config;

impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    /// A backend with the state of an operator of a snapshot, as far as it lies in this backend's key-group range, in a new
    /// working directory.
    ///
    /// Every block is read and checked, and every entry: that it has the parts its description says, and that its key belongs to
    /// its key group. The snapshot may have been taken at any parallelism; its max parallelism and key type must be this
    /// backend's. Memory: a block, and of a snapshot in the native heap format one state of one key group.
    ///
    /// Where the state is in databases, their files are fetched, and rows of key groups that go elsewhere are dropped; see
    /// [`assemble`]. That needs a snapshot that is trusted.
    pub fn restore(
        config: &Config,
        parameters: KeyedParameters,
        key: KS,
        operator: &OperatorReader<'_>,
    ) -> Result<Self> {
        if is_in_databases(operator, parameters.range) {
            return Self::restore_databases(config, parameters, key, operator);
        }
        let mut backend = Self::new(config, parameters, key)?;
        let Some(written) = check_snapshot(&backend.parameters, &backend.key, operator)? else { return Ok(backend) };
        backend.foreign = ForeignGroups::of(operator)?;
        let restored = backend.take_in(operator, written);
        restored.map_err(|error| error.in_operator(&backend.parameters.operator))?;
        Ok(backend)
    }

    fn restore_databases(
        config: &Config,
        parameters: KeyedParameters,
        key: KS,
        operator: &OperatorReader<'_>,
    ) -> Result<Self> {
        let named = |error: Error| error.in_operator(&parameters.operator);
        check_snapshot(&parameters, &key, operator)?;
        let foreign = ForeignGroups::of(operator)?;
        let directory = Self::working_directory(config, &parameters).map_err(named)?;
        let (files, scratch) = (directory.make("db").map_err(named)?, directory.make("restore").map_err(named)?);
        let threads = config.transfer_threads();
        let assembled = assemble(operator, parameters.range, &files, &scratch, threads, &|| true).map_err(named)?;
        let Assembled { stored, states, .. } =
            assembled.ok_or_else(|| Error::internal("no database was put together"))?;
        let carried: BTreeMap<String, Carried> = states
            .into_iter()
            .map(|meta| {
                let expiry = meta.timed.then(|| Expiry::new(meta.kind, Arc::clone(&parameters.clock)));
                (meta.name.clone(), Carried { meta, expiry })
            })
            .collect();
        let families = carried.values().map(|carried| (&carried.meta, carried.expiry.as_ref()));
        let identity = Self::identity(&parameters);
        let database = Database::open(config, directory, files, identity, families).map_err(named)?;
        let ledger = Ledger::restored(operator.snapshot().home(), stored);
        let mut backend = KeyedBackend { carried, ledger, foreign, ..Self::with_database(parameters, key, database) };
        backend.forget_what_is_empty()?;
        Ok(backend)
    }

    /// Drops restored states of which there are no rows here, so that they are in no snapshot, as after every other restore.
    fn forget_what_is_empty(&mut self) -> Result<()> {
        let (first, end) = group_bounds(self.parameters.range);
        let names: Vec<String> = self.carried.keys().cloned().collect();
        for name in names {
            let is_empty = self.database.family(&column_family_name(&name))?.rows(&first, &end)?.next_row()?.is_none();
            if is_empty {
                self.database.drop_family(&name)?;
                self.carried.remove(&name);
            }
        }
        Ok(())
    }

    /// The restored states that nobody has registered.
    pub fn carried_states(&self) -> impl Iterator<Item = &crate::format::record::StateMeta> {
        self.carried.values().map(|carried| &carried.meta)
    }

    fn take_in(&mut self, operator: &OperatorReader<'_>, key: &SerializerSnapshot) -> Result<()> {
        let range = self.parameters.range;
        let directory = self.database.directory().make("restore")?;
        let options = self.database.bulk_options();
        let groups = (&operator.description().assignment, self.parameters.max_parallelism);
        let mut rows = RowWriter { key, groups, bulk: BulkWriter::new(&directory, &options) };
        for section in operator.sections(range) {
            let section = section?;
            rows.section(&section, operator).map_err(|error| error.in_file(&section.object))?;
        }
        let tables = rows.bulk.finish()?;
        for meta in operator.states() {
            if tables.iter().any(|table| table.state == meta.name) {
                let expiry = self.make_family(meta)?;
                self.carried.insert(meta.name.clone(), Carried { meta: meta.clone(), expiry });
            }
        }
        ingest(self.database.db(), &tables)
    }
}

/// How keys are assigned to key groups, and the number of these.
type Groups<'a> = (&'a KeyGroupAssignment, MaxParallelism);

/// Writes the entries of sections as rows.
struct RowWriter<'a, 'o> {
    key: &'a SerializerSnapshot,
    groups: Groups<'a>,
    bulk: BulkWriter<'o>,
}

impl RowWriter<'_, '_> {
    fn section(&mut self, section: &SectionBlob, operator: &OperatorReader<'_>) -> Result<()> {
        let reader = SectionReader::new(section.bytes.as_slice(), section.offset, section.id)?;
        let mut pairs = PairReader::new();
        let mut unsorted = Unsorted::default();
        for block in reader.with_checksum(section.checksum) {
            let block = block?;
            let schema = Schema::find(self.key, operator.states(), block.state, block.kind)
                .map_err(|error| block.locate(error))?;
            if block.is_first {
                self.flush(section.group, &mut unsorted)?;
            }
            if section.id.format == FormatId::NativeHeap {
                self.collect(&block, schema, section.group, &mut unsorted)?;
                continue;
            }
            for pair in pairs.pairs(&block) {
                let (key, value) = pair?;
                check(&schema, section.group, self.groups, key, value).map_err(|error| block.locate(error))?;
                self.bulk.row(block.state, section.group, key, value).map_err(|error| block.locate(error))?;
            }
        }
        self.flush(section.group, &mut unsorted)
    }

    /// Collects entries that are in no order.
    fn collect(&self, block: &Block<'_>, schema: Schema<'_>, group: KeyGroup, unsorted: &mut Unsorted) -> Result<()> {
        let mut entries = native_heap::Entries::new(block, schema);
        unsorted.state.clear();
        unsorted.state.push_str(block.state);
        while let Some((key, value)) = entries.next_pair()? {
            check(&schema, group, self.groups, key, value).map_err(|error| block.locate(error))?;
            unsorted.pairs.push((key.into(), value.into()));
        }
        Ok(())
    }

    /// Writes what was collected, in order.
    fn flush(&mut self, group: KeyGroup, unsorted: &mut Unsorted) -> Result<()> {
        let Unsorted { state, pairs } = unsorted;
        pairs.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (key, value) in pairs.drain(..) {
            self.bulk.row(state, group, &key, &value).map_err(|error| {
                Error::corrupt("the same key and namespace come twice")
                    .in_field("key")
                    .in_state(&*state)
                    .in_key_group(group.0)
                    .because(error)
            })?;
        }
        Ok(())
    }
}

/// A neutral key and value.
type Pair = (Box<[u8]>, Box<[u8]>);

/// Entries of one state and key group, in no order.
#[derive(Default)]
struct Unsorted {
    state: String,
    pairs: Vec<Pair>,
}

/// Checks that an entry is what its description says, and where its key belongs.
fn check(schema: &Schema<'_>, group: KeyGroup, groups: Groups<'_>, key: &[u8], value: &[u8]) -> Result<()> {
    let (assignment, max) = groups;
    schema.check_parts(key, value)?;
    schema.check_group(key, group, assignment, max)
}
