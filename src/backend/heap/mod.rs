//! The heap backend: typed values in copy-on-write tables.
//!
//! A read is a hash look-up and gives a reference to the value itself; nothing is serialized before a snapshot is written.
//! The module `table` explains how snapshots cost the processing thread one step per key group, not one per entry.
//!
//! Restored state stays as bytes until its state is registered: only then are types known, and only then is decided
//! whether they fit. State that nobody registers is carried along, byte for byte, into every further snapshot.

mod content;
mod context;
mod delta;
mod frozen;
mod incremental;
mod list;
mod map;
mod queue;
mod register;
mod restore;
mod shards;

mod snapshot;
mod stamp;
mod state;
mod table;
mod timer;
mod typed;
mod user_map;
mod value;
mod visit;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use content::Content;
pub use context::KeyContext;
pub use incremental::Folding;
use incremental::Parts;
pub use list::List;
pub use map::Map;
use restore::Carried;
pub use snapshot::Snapshot;
use state::State;
use table::TableHasher;
use timer::Timers;
pub use timer::TimersAt;
use typed::TypedState;
pub use value::{Aggregating, Reducing, Value};

use super::KeyedParameters;
use super::handle::{StateIndex, TimerHandle};
use super::ledger::Ledger;
use super::registration::{ForeignGroups, SharedSerializer, foreign_handle, wrong_subtask};
use crate::backend::{Key, Statistics};
use crate::codec::Writer;
use crate::error::Result;
use crate::key_group::KeyGroupRange;
use crate::serializer::Serializer;
use crate::state::{TimeDomain, Timer};

/// A state with a time to live, and the moment it was opened at.
type Timed<'s, K, N, C> = (&'s mut TypedState<K, N, C>, i64);

/// The keyed state of one subtask, on the heap. `KS` is the serializer of the keys. States are registered
/// through [`backend::KeyedBackend`](crate::backend::KeyedBackend).
///
/// Belongs to one thread at a time. [`snapshot`](Self::snapshot) gives a value that another thread writes meanwhile.
pub struct KeyedBackend<KS: Serializer> {
    parameters: KeyedParameters,
    key: Arc<KS>,
    shared_key: SharedSerializer<KS::Value>,
    states: Vec<Box<dyn State<KS::Value>>>,
    names: BTreeMap<String, StateIndex>,
    /// Restored states that nobody has registered, by name.
    carried: BTreeMap<String, Arc<Carried>>,
    hasher: TableHasher,
    scratch: Writer,
    ledger: Ledger<Parts>,
    folding: Folding,
    /// Present where keys were not assigned to key groups by this crate.
    foreign: Option<Arc<ForeignGroups>>,
}

impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    /// A backend without state.
    pub fn new(parameters: KeyedParameters, key: KS) -> Self {
        let key = Arc::new(key);
        let shared_key: SharedSerializer<KS::Value> = Arc::clone(&key) as SharedSerializer<KS::Value>;
        KeyedBackend {
            parameters,
            key,
            shared_key,
            states: Vec::new(),
            names: BTreeMap::new(),
            carried: BTreeMap::new(),
            hasher: TableHasher::default(),
            scratch: Writer::new(),
            ledger: Ledger::default(),
            folding: Folding::default(),
            foreign: None,
        }
    }

    /// The same, with other bounds for incremental snapshots.
    #[must_use]
    pub fn with_folding(mut self, folding: Folding) -> Self {
        self.folding = folding;
        self
    }

    /// What the backend was made for.
    pub fn parameters(&self) -> &KeyedParameters {
        &self.parameters
    }

    fn range(&self) -> KeyGroupRange {
        self.parameters.range
    }

    fn now_ms(&self) -> i64 {
        self.parameters.clock.now_ms()
    }

    /// Opens the states for a key. Fails if the key's group is not in this subtask's range, which means that the record was
    /// sent to the wrong subtask.
    #[inline(always)]
    pub fn key<'b>(&'b mut self, key: &'b KS::Value) -> Result<KeyContext<'b, KS>> {
        let group = match &self.foreign {
            None => {
                let hash = self.key.key_hash(key, &mut self.scratch)?;
                self.parameters.max_parallelism.group_of_hash(hash)
            }
            Some(foreign) => foreign.group_of(&*self.key, key, &mut self.scratch)?,
        };
        match self.parameters.range.index_of(group) {
            Some(index) => Ok(KeyContext::new(self, key, index)),
            None => Err(wrong_subtask(&self.parameters, group)),
        }
    }

    #[inline]
    fn typed_mut<S: Any>(&mut self, index: StateIndex) -> Option<&mut S> {
        let state: &mut dyn Any = &mut **self.states.get_mut(index)?;
        state.downcast_mut()
    }

    /// A state with a time to live, and the moment. Opening it also cleans up a little.
    #[inline(never)]
    fn timed_state<N, C>(&mut self, index: StateIndex) -> Option<Timed<'_, KS::Value, N, C>>
    where
        N: Key,
        C: Content,
    {
        let now_ms = self.now_ms();
        let state: &mut TypedState<KS::Value, N, C> = self.typed_mut(index)?;
        let budget = state.ttl.map_or(0, |ttl| usize::from(ttl.cleanup.per_access));
        state.clean_up(now_ms, budget);
        Some((state, now_ms))
    }

    fn timers_mut<N: Key>(&mut self, handle: &TimerHandle<N>) -> Result<&mut Timers<KS::Value, N>> {
        self.typed_mut(handle.index).ok_or_else(foreign_handle)
    }

    /// Takes out the next timer whose moment is at or before `up_to_ms`; `None` if there is none. Timers come in the order
    /// that [`state::timer`](crate::state::timer) fixes.
    pub fn pop_due_timer<N: Key>(
        &mut self,
        handle: &TimerHandle<N>,
        domain: TimeDomain,
        up_to_ms: i64,
    ) -> Result<Option<Timer<KS::Value, N>>> {
        self.timers_mut(handle)?.pop_due(domain, up_to_ms)
    }

    /// The moment of the next timer, `None` if none is set.
    pub fn next_timer_ms<N: Key>(&mut self, handle: &TimerHandle<N>, domain: TimeDomain) -> Result<Option<i64>> {
        self.timers_mut(handle)?.next_due_ms(domain)
    }

    /// Removes expired values, looking at up to `budget` slots of each state; returns how many keys lost everything. For
    /// jobs that want clean-up to go on while no records come; accesses clean up on their own.
    pub fn clean_up(&mut self, budget: usize) -> Result<usize> {
        let now_ms = self.now_ms();
        Ok(self.states.iter_mut().map(|state| state.clean_up(now_ms, budget)).sum())
    }

    /// Sizes of a state. Costs a step per key group, and a look-up per change that snapshots keep.
    pub fn statistics(&self, name: &str) -> Result<Option<Statistics>> {
        let state = self.names.get(name).and_then(|index| self.states.get(*index));
        Ok(state.map(|state| state.statistics()))
    }
}

impl<KS: Serializer> std::fmt::Debug for KeyedBackend<KS> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedBackend")
            .field("parameters", &self.parameters)
            .field("states", &self.names)
            .field("carried", &self.carried.keys())
            .finish_non_exhaustive()
    }
}
