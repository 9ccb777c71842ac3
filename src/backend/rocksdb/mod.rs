//! The RocksDB backend: state on local disk, larger than memory. Feature `rocksdb`.
//!
//! One database per subtask, in a working directory of its own, with one column family per state, laid out as
//! [`format::native_rocksdb`](crate::format::native_rocksdb) says: a row is a key group and a neutral pair, so that rows lie in the
//! order of the canonical format. Reads decode, writes encode; elements are appended to lists without reading them. What is
//! written is collected for a while and handed over in order, which costs a fraction of handing it over row by row.
//!
//! The database is a working copy. It has no log, nothing of it survives its backend, and recovery starts from a published
//! snapshot, in a new directory, whatever has become of the old one. Taking a snapshot writes what is in memory to files, of
//! all states at one moment, and links all files into a directory that belongs to the snapshot; how it is written from there is
//! decided when it is written.
//!
//! Restored state goes into the database as it is. States that nobody registers lie there like all others, and so are in
//! every further snapshot, byte for byte. A registration that changes the type of a state rewrites its rows, or, where it fails,
//! leaves them as they were.

mod config;
mod context;
mod database;
mod directory;
mod expiry;
mod list;
mod map;
mod metrics;
mod pending;
mod queue;
mod register;
mod restore;
mod snapshot;
mod sweep;
mod timer;
mod typed;
mod value;
mod visit;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use config::{Compaction, Config, LevelCompression, MemoryBudget};
pub use context::KeyContext;
use database::Database;
use directory::WorkingDirectory;
use expiry::Expiry;
pub use list::List;
pub use map::Map;
pub use metrics::{Counters, Metrics, StateMetrics};
pub use snapshot::Snapshot;
use timer::Agendas;
pub use timer::TimersAt;
use typed::{State, Typed};
pub use value::{Aggregating, Reducing, Value};

use super::handle::{StateIndex, TimerHandle};
use super::ledger::Ledger;
use super::registration::{ForeignGroups, foreign_handle, wrong_subtask};
use super::{Key, KeyedParameters, Statistics};
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::format::native_rocksdb::{Identity, row_key};
use crate::format::record::StateMeta;
use crate::ids::OperatorId;
use crate::key_group::{KeyGroup, key_hash};
use crate::serializer::{Serializer, SerializerSnapshot};
use crate::snapshot::database::StoredTables;
use crate::state::{TimeDomain, Timer};

/// Bytes of a key group in a row.
const GROUP_BYTES: usize = 2;

/// The keyed state of one subtask, in a RocksDB database. `KS` is the serializer of the keys. States are registered
/// through [`backend::KeyedBackend`](crate::backend::KeyedBackend).
///
/// Belongs to one thread at a time. [`snapshot`](Self::snapshot) gives a value that another thread writes meanwhile.
pub struct KeyedBackend<KS: Serializer> {
    parameters: KeyedParameters,
    key: KS,
    key_snapshot: SerializerSnapshot,
    states: Vec<State>,
    names: BTreeMap<String, StateIndex>,
    /// Restored states that nobody has registered, by name.
    carried: BTreeMap<String, Carried>,
    /// The row of the key at hand.
    row: Writer,
    scratch: Writer,
    ledger: Ledger<StoredTables>,
    /// Present where keys were not assigned to key groups by this crate.
    foreign: Option<Arc<ForeignGroups>>,
    database: Box<Database>,
}

/// A restored state that nobody has registered.
#[derive(Debug)]
struct Carried {
    meta: StateMeta,
    expiry: Option<Arc<Expiry>>,
}

impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    /// A backend without state, in a new working directory.
    pub fn new(config: &Config, parameters: KeyedParameters, key: KS) -> Result<Self> {
        let database = Self::working_directory(config, &parameters)
            .and_then(|directory| Database::create(config, directory, Self::identity(&parameters)))
            .map_err(|error| error.in_operator(&parameters.operator))?;
        Ok(Self::with_database(parameters, key, database))
    }

    fn identity(parameters: &KeyedParameters) -> Identity {
        let operator = OperatorId::from_uid(&parameters.operator);
        Identity { operator, max_parallelism: parameters.max_parallelism }
    }

    fn working_directory(config: &Config, parameters: &KeyedParameters) -> Result<Arc<WorkingDirectory>> {
        let operator = OperatorId::from_uid(&parameters.operator);
        let label = format!("{operator}-{}-{}", parameters.range.first(), parameters.range.last());
        WorkingDirectory::create_in(config.directory()?, &label).map(Arc::new)
    }

    fn with_database(parameters: KeyedParameters, key: KS, database: Database) -> Self {
        KeyedBackend {
            key_snapshot: key.snapshot(),
            parameters,
            key,
            states: Vec::new(),
            names: BTreeMap::new(),
            carried: BTreeMap::new(),
            row: Writer::new(),
            scratch: Writer::new(),
            ledger: Ledger::default(),
            foreign: None,
            database: Box::new(database),
        }
    }

    /// What the backend was made for.
    pub fn parameters(&self) -> &KeyedParameters {
        &self.parameters
    }

    fn now_ms(&self) -> i64 {
        self.parameters.clock.now_ms()
    }

    /// Opens the states for a key. Fails if the key's group is not in this subtask's range, which means that the record was
    /// sent to the wrong subtask.
    #[inline]
    pub fn key<'b>(&'b mut self, key: &'b KS::Value) -> Result<KeyContext<'b, KS>> {
        self.row.clear();
        row_key(KeyGroup(0), &[], &mut self.row);
        self.key.write(key, &mut self.row)?;
        let encoded = self.row.as_slice().get(GROUP_BYTES..).unwrap_or_default();
        let group = match &self.foreign {
            None => self.parameters.max_parallelism.group_of_hash(key_hash(encoded)),
            Some(foreign) => foreign.group_of_encoded(encoded)?,
        };
        let Some(index) = self.parameters.range.index_of(group) else {
            return Err(wrong_subtask(&self.parameters, group));
        };
        self.row.patch(0, &group.0.to_be_bytes());
        let prefix = self.row.len();
        Ok(KeyContext::new(self, key, index, prefix))
    }

    /// Takes out the next timer whose moment is at or before `up_to_ms`; `None` if there is none. Timers come in the order
    /// that [`state::timer`](crate::state::timer) fixes.
    pub fn pop_due_timer<N: Key>(
        &mut self,
        handle: &TimerHandle<N>,
        domain: TimeDomain,
        up_to_ms: i64,
    ) -> Result<Option<Timer<KS::Value, N>>> {
        let KeyedBackend { parameters, key, states, database, row, .. } = self;
        let State { family, typed, meta, pending, .. } = states.get_mut(handle.index).ok_or_else(foreign_handle)?;
        let typed: &mut Typed<N, Agendas> = typed.downcast_mut().ok_or_else(foreign_handle)?;
        let family = database.family(family)?.collecting(pending.as_ref());
        let Some((group, position, timer)) = timer::next(&mut typed.content, family, parameters.range, domain)? else {
            return Ok(None);
        };
        let located = |error: Error| error.in_state(&meta.name).in_key_group(group.0);
        let timestamp_ms = timer::timestamp_ms(&timer).map_err(located)?;
        if timestamp_ms > up_to_ms {
            return Ok(None);
        }
        let mut input = Reader::new(&timer);
        let read = input.ordered_i64("timestamp").and_then(|_| {
            let (key, namespace) = (key.read(&mut input)?, typed.namespace.read(&mut input)?);
            input.finish("timer")?;
            Ok(Timer { timestamp_ms, key, namespace })
        });
        let due = read.map_err(located)?;
        row.clear();
        row_key(group, &[domain.tag()], row);
        row.raw(&timer);
        family.delete(row.as_slice())?;
        typed.content.of(domain).remove(position, &timer);
        Ok(Some(due))
    }

    /// The moment of the next timer, `None` if none is set.
    pub fn next_timer_ms<N: Key>(&mut self, handle: &TimerHandle<N>, domain: TimeDomain) -> Result<Option<i64>> {
        let State { family, typed, pending, .. } = self.states.get_mut(handle.index).ok_or_else(foreign_handle)?;
        let typed: &mut Typed<N, Agendas> = typed.downcast_mut().ok_or_else(foreign_handle)?;
        let family = self.database.family(family)?.collecting(pending.as_ref());
        let next = timer::next(&mut typed.content, family, self.parameters.range, domain)?;
        next.map(|(_, _, timer)| timer::timestamp_ms(&timer)).transpose()
    }

    /// Removes expired values, looking at up to `budget` rows of each state; returns how many keys lost everything. For
    /// jobs that want clean-up to go on while no records come; accesses and compactions clean up on their own.
    pub fn clean_up(&mut self, budget: usize) -> Result<usize> {
        let KeyedBackend { parameters, key_snapshot, states, database, .. } = self;
        let mut removed = 0;
        for state in states.iter_mut().filter(|state| state.rule.is_timed()) {
            removed += state.clean_up(database, key_snapshot, parameters, budget)?;
        }
        Ok(removed)
    }

    /// Sizes of a state; `None` if no state of this name is registered. Reads the whole state to count it; what can be had
    /// without is in [`state_metrics`](Self::state_metrics) and [`metrics`](Self::metrics).
    pub fn statistics(&self, name: &str) -> Result<Option<Statistics>> {
        let Some(state) = self.names.get(name).and_then(|index| self.states.get(*index)) else { return Ok(None) };
        let family = state.rows_in(&self.database)?;
        let schema = sweep::schema(&self.key_snapshot, &state.meta);
        let entries = sweep::count(family, schema, self.parameters.range)
            .map_err(|error| error.in_state(name).in_operator(&self.parameters.operator))?;
        Ok(Some(Statistics { entries, ..Statistics::default() }))
    }
}

impl State {
    /// Looks at up to `budget` rows and removes what is expired.
    fn clean_up(
        &mut self,
        database: &Database,
        key: &SerializerSnapshot,
        parameters: &KeyedParameters,
        budget: usize,
    ) -> Result<usize> {
        let State { meta, family, rule, sweep, pending, .. } = self;
        let liveness = rule.liveness(parameters.clock.now_ms());
        let family = database.family(family)?.collecting(pending.as_ref());
        let removed = sweep.run(family, sweep::schema(key, meta), parameters.range, &liveness, budget);
        removed.map_err(|error| error.in_state(&meta.name).in_operator(&parameters.operator))
    }

    /// Cleans up as much as an access is to.
    fn clean_up_at_access(
        &mut self,
        database: &Database,
        key: &SerializerSnapshot,
        parameters: &KeyedParameters,
    ) -> Result<()> {
        let rows = self.rule.0.map_or(0, |ttl| usize::from(ttl.cleanup.per_access));
        match self.sweep.owe(rows) {
            0 => Ok(()),
            budget => self.clean_up(database, key, parameters, budget).map(|_| ()),
        }
    }
}

impl<KS: Serializer> std::fmt::Debug for KeyedBackend<KS> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedBackend")
            .field("parameters", &self.parameters)
            .field("states", &self.names)
            .field("carried", &self.carried.keys())
            .field("directory", &self.database.directory().path())
            .finish_non_exhaustive()
    }
}
