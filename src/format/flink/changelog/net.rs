use std::collections::{BTreeMap, BTreeSet};

use super::Operation;
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::format::flink::entry::{Layout, read_timer};
use crate::format::flink::header::{KeyedHeader, KeyedKind, StateInfo};
use crate::format::flink::key_group::{self, Placement};
use crate::format::flink::keyed::{KeyBytes, LIST_DELIMITER, write_element, write_map_value};
use crate::format::flink::primitive::Primitives;
use crate::format::flink::serializer::Snapshot;
use crate::format::flink::value::{Checked, Value};
use crate::key_group::{KeyGroup, MaxParallelism};

/// What the changes of one key group come to, in the order in which they are [applied](Self::apply).
///
/// Entries are those of canonical files: a state's position in the header, the composite key without the key group in front, and
/// the value. Memory is that of the changed entries with their last values, not of the changes, and not of the entries that did not
/// change.
#[derive(Debug)]
pub struct NetChanges<'h> {
    header: &'h KeyedHeader,
    placement: Placement,
    trial: Trial,
    states: Vec<StateChanges>,
}

/// Whether keys have to prove that they belong to the key group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// Only a key that is known to belong to another key group is damage.
    No,
    /// A key whose hash code cannot be computed is damage as well. For finding out how keys are serialized.
    Yes,
}

/// What the changes of one state come to.
#[derive(Debug, Default)]
struct StateChanges {
    entries: BTreeMap<Vec<u8>, Net>,
    /// Key and namespace of maps that were cleared: what they held before is gone.
    cleared: BTreeSet<Vec<u8>>,
    /// The entries from before are among `entries`.
    loaded: bool,
}

/// What became of an entry.
#[derive(Debug)]
enum Net {
    Removed,
    Value(Vec<u8>),
    /// These elements are behind those that were there before.
    Appended(Vec<u8>),
}

/// Takes a state's position in the header, a composite key without the key group in front, and a value.
type PairVisitor<'v> = dyn FnMut(u16, &[u8], &[u8]) -> Result<()> + 'v;

impl<'h> NetChanges<'h> {
    /// No changes yet of this key group of a log with these states.
    pub fn new(header: &'h KeyedHeader, group: KeyGroup, max: MaxParallelism, trial: Trial) -> Self {
        let mut states = Vec::new();
        states.resize_with(header.states.len(), StateChanges::default);
        NetChanges { header, placement: Placement { group, max }, trial, states }
    }

    /// Takes in an entry from before, of a state whose namespaces are merged. All of its entries have to be, before the
    /// first change is applied.
    pub fn load(&mut self, state: u16, key: &[u8], value: &[u8]) {
        if let Some(changes) = self.states.get_mut(usize::from(state)) {
            changes.entries.insert(key.to_vec(), Net::Value(value.to_vec()));
        }
    }

    /// Says that all entries from before of a state are [loaded](Self::load).
    pub fn set_loaded(&mut self, state: u16) {
        if let Some(changes) = self.states.get_mut(usize::from(state)) {
            changes.loaded = true;
        }
    }

    /// Applies a change of the state at this position of the header.
    ///
    /// What only the program can repeat, and state that cannot be told apart without it, is
    /// [`Incompatible`](crate::ErrorKind::Incompatible).
    pub fn apply(&mut self, state: u16, change: Reader<'_>) -> Result<()> {
        let info = self.header.state(state).ok_or_else(|| Error::internal("a change of a state that is not there"))?;
        let changes = self.states.get_mut(usize::from(state));
        let changes = changes.ok_or_else(|| Error::internal("a change of a state that is not there"))?;
        let context = Context { key: self.header.key.as_ref(), placement: self.placement, trial: self.trial, info };
        context.apply(changes, change).map_err(|error| error.in_state(&info.name).in_key_group(self.placement.group.0))
    }

    /// Gives an entry from before to `visit` as it is now, unless it is gone.
    pub fn over(&mut self, state: u16, key: &[u8], value: &[u8], visit: &mut PairVisitor<'_>) -> Result<()> {
        let Some(changes) = self.states.get_mut(usize::from(state)).filter(|changes| !changes.is_empty()) else {
            return visit(state, key, value);
        };
        if changes.loaded {
            return Ok(());
        }
        let net = changes.entries.get_mut(key).map(|net| std::mem::replace(net, Net::Removed));
        match net {
            Some(Net::Removed) => Ok(()),
            Some(Net::Value(new)) => visit(state, key, &new),
            Some(Net::Appended(elements)) => {
                let mut whole = value.to_vec();
                join(&mut whole, &elements);
                visit(state, key, &whole)
            }
            None if changes.was_cleared(key) => Ok(()),
            None => visit(state, key, value),
        }
    }

    /// Gives the entries that were not there before to `visit`, state by state, ascending by key. To be called when all
    /// entries from before went through [`over`](Self::over).
    pub fn rest(self, visit: &mut PairVisitor<'_>) -> Result<()> {
        for (state, changes) in (0u16..).zip(self.states) {
            for (key, net) in changes.entries {
                match net {
                    Net::Removed => {}
                    Net::Value(value) | Net::Appended(value) => visit(state, &key, &value)?,
                }
            }
        }
        Ok(())
    }
}

impl StateChanges {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.cleared.is_empty() && !self.loaded
    }

    /// Whether the entry of a map was there when the map was cleared. Encodings tell their ends, so that no key and
    /// namespace begin with others.
    fn was_cleared(&self, key: &[u8]) -> bool {
        let range = (std::ops::Bound::Unbounded, std::ops::Bound::Included(key));
        self.cleared.range::<[u8], _>(range).next_back().is_some_and(|prefix| key.starts_with(prefix))
    }

    fn set(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.entries.insert(key, Net::Value(value));
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.entries.insert(key, Net::Removed);
    }

    fn clear_map(&mut self, prefix: Vec<u8>) {
        let gone: Vec<Vec<u8>> = self
            .entries
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.entries.remove(&key);
        }
        self.cleared.insert(prefix);
    }

    /// Adds elements, delimited as in canonical files, to a list.
    fn append(&mut self, key: Vec<u8>, elements: &[u8]) {
        if elements.is_empty() {
            return;
        }
        let none = if self.loaded { Net::Value(Vec::new()) } else { Net::Appended(Vec::new()) };
        let net = self.entries.entry(key).or_insert(none);
        match net {
            Net::Removed => *net = Net::Value(elements.to_vec()),
            Net::Value(list) | Net::Appended(list) => join(list, elements),
        }
    }

    /// The value of an entry of a loaded state, which is taken away.
    fn take(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        match self.entries.remove(key)? {
            Net::Removed => None,
            Net::Value(value) | Net::Appended(value) => Some(value),
        }
    }
}

/// Appends list elements to list elements.
fn join(list: &mut Vec<u8>, elements: &[u8]) {
    if !list.is_empty() {
        list.push(LIST_DELIMITER);
    }
    list.extend_from_slice(elements);
}

/// What decides how a change is read.
struct Context<'c> {
    key: Option<&'c Snapshot>,
    placement: Placement,
    trial: Trial,
    info: &'c StateInfo,
}

/// Key and namespace of a change, and what is behind them.
struct Scope<'c, 'b> {
    key: &'c Snapshot,
    namespace: &'c Snapshot,
    parts: KeyBytes<'b>,
}

impl Scope<'_, '_> {
    /// The composite key, with the user's key of a map.
    fn composite(&self, user_key: &[u8]) -> Vec<u8> {
        self.of(self.parts.namespace, user_key)
    }

    fn of(&self, namespace: &[u8], user_key: &[u8]) -> Vec<u8> {
        let mut out = Writer::new();
        KeyBytes { key: self.parts.key, namespace, user_key }.write(self.key, self.namespace, &mut out);
        out.into_bytes()
    }
}

impl Context<'_> {
    fn apply(&self, changes: &mut StateChanges, mut input: Reader<'_>) -> Result<()> {
        let start = input.clone();
        let operation = Operation::read(&mut input)?;
        input.u16("state number")?;
        let known = match Layout::of(self.info)? {
            Layout::Queue { element } => self.queue(operation, element, changes, &mut input)?,
            Layout::Value { namespace, value } => self.value(operation, namespace, value, changes, &mut input)?,
            Layout::List { namespace, element } => self.list(operation, namespace, element, changes, &mut input)?,
            Layout::Map { namespace, user_key, user_value } => {
                self.map(operation, namespace, (user_key, user_value), changes, &mut input)?
            }
        };
        if !known {
            let message = format!("{operation:?} cannot happen to {} state", self.info.kind());
            return Err(start.corrupt("operation", message));
        }
        input.finish("change")
    }

    fn scope<'c, 'b>(&'c self, namespace: &'c Snapshot, input: &mut Reader<'b>) -> Result<Scope<'c, 'b>> {
        let unknown = "the log does not say how keys are serialized, and they do not tell; take a canonical savepoint";
        let key = self.key.ok_or_else(|| Error::incompatible(unknown).at_offset(input.offset()))?;
        let start = input.clone();
        let value: Value = self.placement.read_key(key, input)?;
        let stored = input.since(start.position());
        if self.trial == Trial::Yes && key_group::java_hash(key, &value, stored).is_none() {
            return Err(start.corrupt("key", "has no hash code"));
        }
        let parts = KeyBytes { key: stored, namespace: part(namespace, input)?, user_key: &[] };
        Ok(Scope { key, namespace, parts })
    }

    fn queue(
        &self,
        operation: Operation,
        element: &Snapshot,
        changes: &mut StateChanges,
        input: &mut Reader<'_>,
    ) -> Result<bool> {
        let timer = |input: &mut Reader<'_>| {
            let start = input.position();
            read_timer::<Checked>(element, self.placement, input)?;
            Ok::<_, Error>(input.since(start).to_vec())
        };
        match operation {
            Operation::AddElement => {
                for _ in 0..input.items(9, "number of timers")? {
                    changes.set(timer(input)?, Vec::new());
                }
            }
            Operation::RemoveElement => changes.remove(timer(input)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn value(
        &self,
        operation: Operation,
        namespace: &Snapshot,
        value: &Snapshot,
        changes: &mut StateChanges,
        input: &mut Reader<'_>,
    ) -> Result<bool> {
        let folds = matches!(self.info.keyed_kind(), KeyedKind::Reducing | KeyedKind::Aggregating | KeyedKind::Folding);
        let scope = self.scope(namespace, input)?;
        match operation {
            Operation::Clear => changes.remove(scope.composite(&[])),
            Operation::Set | Operation::SetInternal => {
                let stored = whole(value, input)?;
                changes.set(scope.composite(&[]), stored.to_vec());
            }
            Operation::MergeNamespaces if folds => merge(&scope, changes, input, &mut |_, _| {
                let message = "two values were merged with their namespaces, which only the program can repeat; take a \
                    canonical savepoint";
                Err(Error::incompatible(message))
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn list(
        &self,
        operation: Operation,
        namespace: &Snapshot,
        element: &Snapshot,
        changes: &mut StateChanges,
        input: &mut Reader<'_>,
    ) -> Result<bool> {
        let scope = self.scope(namespace, input)?;
        match operation {
            Operation::Clear => changes.remove(scope.composite(&[])),
            Operation::Set | Operation::SetInternal => {
                let elements = elements(element, input)?;
                let key = scope.composite(&[]);
                // An empty list is no entry.
                if elements.is_empty() { changes.remove(key) } else { changes.set(key, elements) }
            }
            Operation::Add => changes.append(scope.composite(&[]), &elements(element, input)?),
            Operation::AddElement => changes.append(scope.composite(&[]), whole(element, input)?),
            Operation::MergeNamespaces => merge(&scope, changes, input, &mut |list, elements| {
                join(list, &elements);
                Ok(())
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn map(
        &self,
        operation: Operation,
        namespace: &Snapshot,
        (user_key, user_value): (&Snapshot, &Snapshot),
        changes: &mut StateChanges,
        input: &mut Reader<'_>,
    ) -> Result<bool> {
        let scope = self.scope(namespace, input)?;
        match operation {
            Operation::Clear => changes.clear_map(scope.composite(&[])),
            Operation::Add => {
                for _ in 0..input.items(2, "number of map entries")? {
                    let key = part(user_key, input)?;
                    let null = input.bool("null flag")?;
                    let value = if null { None } else { Some(part(user_value, input)?) };
                    changes.set(scope.composite(key), map_value(value));
                }
            }
            Operation::AddElement | Operation::AddOrUpdateElement => {
                let key = part(user_key, input)?;
                let value = whole(user_value, input)?;
                changes.set(scope.composite(key), map_value(Some(value)));
            }
            Operation::RemoveElement => changes.remove(scope.composite(whole(user_key, input)?)),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Adds a value to one that comes before it.
type Combination<'c> = dyn FnMut(&mut Vec<u8>, Vec<u8>) -> Result<()> + 'c;

/// Merges what is stored for other namespaces into that of one, which is named once more.
fn merge(
    scope: &Scope<'_, '_>,
    changes: &mut StateChanges,
    input: &mut Reader<'_>,
    combine: &mut Combination<'_>,
) -> Result<()> {
    let start = input.clone();
    let target = part(scope.namespace, input)?;
    let mut merged: Option<Vec<u8>> = None;
    let mut add = |merged: &mut Option<Vec<u8>>, value: Vec<u8>| match merged {
        None => {
            *merged = Some(value);
            Ok(())
        }
        Some(merged) => combine(merged, value).map_err(|error| error.at_offset(start.offset())),
    };
    for _ in 0..input.items(1, "number of namespaces")? {
        let source = part(scope.namespace, input)?;
        if let Some(value) = changes.take(&scope.of(source, &[])) {
            add(&mut merged, value)?;
        }
    }
    let Some(merged) = merged else { return Ok(()) };
    let key = scope.of(target, &[]);
    let mut whole = changes.take(&key);
    add(&mut whole, merged)?;
    changes.set(key, whole.unwrap_or_default());
    Ok(())
}

/// The bytes of a value whose end its serializer tells.
fn part<'b>(serializer: &Snapshot, input: &mut Reader<'b>) -> Result<&'b [u8]> {
    let start = input.position();
    serializer.skip_value(input)?;
    Ok(input.since(start))
}

/// The bytes of a value that takes all that is left, checked as far as its serializer is known.
fn whole<'b>(serializer: &Snapshot, input: &mut Reader<'b>) -> Result<&'b [u8]> {
    let start = input.position();
    serializer.read_whole(input)?;
    Ok(input.since(start))
}

/// A list with a count in front, delimited as in canonical files.
fn elements(element: &Snapshot, input: &mut Reader<'_>) -> Result<Vec<u8>> {
    let mut out = Writer::new();
    let count = input.items(1, "number of elements")?;
    for index in 0..count {
        let is_last = index.checked_add(1) == Some(count);
        let stored = if is_last { whole(element, input)? } else { part(element, input)? };
        write_element(0, stored, &mut out);
    }
    Ok(out.into_bytes())
}

fn map_value(value: Option<&[u8]>) -> Vec<u8> {
    let mut out = Writer::new();
    write_map_value(value, &mut out);
    out.into_bytes()
}
