//! Where entries come from.

use std::ops::ControlFlow;

use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::canonical::PairReader;
use crate::format::manifest::{KeyGroupAssignment, KeyedHandle, Manifest};
use crate::format::native_heap::Entries;
use crate::format::record::StateMeta;
use crate::format::schema::Schema;
use crate::format::section::{Block, Owner, SectionReader};
use crate::ids::{OperatorId, SubtaskIndex};
use crate::key_group::{KeyGroup, KeyGroupRange, MaxParallelism};
use crate::snapshot::{OperatorReader, SectionBlob, SnapshotReader};

/// An entry of keyed state.
#[derive(Debug, Clone, Copy)]
pub struct Record<'r> {
    /// Position of the state among those that the manifest describes of the operator.
    pub state: usize,
    /// Its key group.
    pub group: KeyGroup,
    /// Its neutral key.
    pub key: &'r [u8],
    /// Its neutral value.
    pub value: &'r [u8],
}

/// Takes an entry of keyed state.
pub type RecordVisit<'v> = &'v mut dyn FnMut(Record<'_>) -> Result<()>;

/// Takes the subtask, the key and the value of an entry of operator state.
pub type OperatorVisit<'v> = &'v mut dyn FnMut(SubtaskIndex, &[u8], &[u8]) -> Result<()>;

/// The order in which a source gives the entries of a key group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyOrder {
    /// States by name, and within a state ascending by the bytes of the neutral key.
    Ascending,
    /// States by name, and within a state in any order.
    Any,
}

/// A snapshot that can be converted.
///
/// What it gives must be whole and well-formed: entries have the parts that the manifest says and lie in the key groups
/// of their keys. Errors of a visitor are passed on as they are.
pub trait Source {
    /// What the snapshot consists of, in terms of this crate.
    fn manifest(&self) -> &Manifest;

    /// In which order [`keyed`](Self::keyed) gives the entries of an operator.
    fn key_order(&self, operator: OperatorId) -> KeyOrder;

    /// Gives every entry of keyed state of an operator, key groups ascending.
    fn keyed(&self, operator: OperatorId, visit: RecordVisit<'_>) -> Result<()>;

    /// Gives every entry of an operator state, subtasks ascending, elements in their order.
    fn operator_state(&self, operator: OperatorId, state: &str, visit: OperatorVisit<'_>) -> Result<()>;
}

impl Source for SnapshotReader {
    fn manifest(&self) -> &Manifest {
        SnapshotReader::manifest(self)
    }

    fn key_order(&self, operator: OperatorId) -> KeyOrder {
        let handles = self.manifest().operator(operator).into_iter().flat_map(|operator| &operator.subtasks);
        let mut formats = handles.filter_map(|subtask| subtask.keyed.as_deref()).map(|handle| handle.format);
        if formats.any(|format| format == FormatId::NativeHeap) { KeyOrder::Any } else { KeyOrder::Ascending }
    }

    fn keyed(&self, operator: OperatorId, visit: RecordVisit<'_>) -> Result<()> {
        let operator = self.operator_by_id(operator).ok_or_else(|| Error::internal("no such operator"))?;
        let subtasks = operator.description().subtasks.iter();
        let mut handles: Vec<&KeyedHandle> = subtasks.filter_map(|subtask| subtask.keyed.as_deref()).collect();
        handles.sort_by_key(|handle| handle.range.first());
        let mut walk = Walk::new(&operator, visit);
        for handle in handles {
            let flow = match handle.format {
                FormatId::NativeRocksDb => walk.database(handle.range),
                _ => walk.sections(handle.range),
            };
            if let ControlFlow::Break(refused) =
                flow.map_err(|error| error.in_operator(operator.description().label()))?
            {
                return Err(refused);
            }
        }
        Ok(())
    }

    fn operator_state(&self, operator: OperatorId, state: &str, visit: OperatorVisit<'_>) -> Result<()> {
        let operator = self.operator_by_id(operator).ok_or_else(|| Error::internal("no such operator"))?;
        let mut refused = None;
        operator.state(state)?.pairs(|place, key, value| {
            let Owner::Subtask(subtask) = place.owner else { return Ok(ControlFlow::Continue(())) };
            Ok(kept(visit(subtask, key, value), &mut refused))
        })?;
        refused.map_or(Ok(()), Err)
    }
}

/// Ends a walk with what the visitor refused, which is not the source's fault.
fn kept(visited: Result<()>, refused: &mut Option<Error>) -> ControlFlow<()> {
    match visited {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            *refused = Some(error);
            ControlFlow::Break(())
        }
    }
}

/// A walk over the keyed state of an operator. It ends early with the error of the visitor.
struct Walk<'w, 'v> {
    operator: &'w OperatorReader<'w>,
    states: &'w [StateMeta],
    max: MaxParallelism,
    visit: RecordVisit<'v>,
}

impl<'w, 'v> Walk<'w, 'v> {
    fn new(operator: &'w OperatorReader<'w>, visit: RecordVisit<'v>) -> Self {
        Walk { operator, states: operator.states(), max: operator.max_parallelism(), visit }
    }

    fn schema(&self, state: &'w StateMeta) -> Result<Schema<'w>> {
        let key = self.operator.key().ok_or_else(|| Error::corrupt("the manifest has no key serializer"))?;
        Ok(Schema { key, state })
    }

    /// The rows of a database, group by group.
    fn database(&mut self, range: KeyGroupRange) -> Result<ControlFlow<Error>> {
        for group in range.iter() {
            for (index, state) in self.states.iter().enumerate().filter(|(_, state)| state.kind.is_keyed()) {
                let groups = (&self.operator.description().assignment, self.max);
                let (schema, visit) = (self.schema(state)?, &mut *self.visit);
                let reader = self.operator.state(&state.name)?.in_groups(KeyGroupRange::new(group, group)?);
                let mut refused = None;
                reader.pairs(|place, key, value| {
                    check(&schema, group, groups, key, value).map_err(|error| place.locate(error))?;
                    Ok(kept(visit(Record { state: index, group, key, value }), &mut refused))
                })?;
                if let Some(refused) = refused {
                    return Ok(ControlFlow::Break(refused));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn sections(&mut self, range: KeyGroupRange) -> Result<ControlFlow<Error>> {
        for section in self.operator.sections(range) {
            let section = section?;
            let flow = self.section(&section).map_err(|error| error.in_file(&section.object))?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn section(&mut self, section: &SectionBlob) -> Result<ControlFlow<Error>> {
        let mut order = PairReader::new();
        let mut entries = 0_u64;
        let blocks = SectionReader::new(section.bytes.as_slice(), section.offset, section.id)?;
        for block in blocks.with_checksum(section.checksum) {
            let block = block?;
            entries = entries.saturating_add(u64::from(block.entries));
            let flow = self.block(&block, section.group, &mut order)?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        if entries != section.entries {
            let message = format!("the section has {entries} entries, the manifest says {}", section.entries);
            return Err(Error::corrupt(message).in_key_group(section.group.0).at_offset(section.offset));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn block(&mut self, block: &Block<'_>, group: KeyGroup, order: &mut PairReader) -> Result<ControlFlow<Error>> {
        let located = |error: Error| block.locate(error.moved_to(block.offset));
        let key = self.operator.key().ok_or_else(|| Error::corrupt("the manifest has no key serializer"))?;
        let schema = Schema::find(key, self.states, block.state, block.kind).map_err(|error| block.locate(error))?;
        let state = self.states.binary_search_by(|state| state.name.as_str().cmp(block.state)).unwrap_or(usize::MAX);
        let groups = (&self.operator.description().assignment, self.max);
        let visit = &mut *self.visit;
        let mut give = |key: &[u8], value: &[u8]| -> Result<Option<Error>> {
            check(&schema, group, groups, key, value).map_err(located)?;
            Ok(visit(Record { state, group, key, value }).err())
        };
        if block.section.format == FormatId::NativeHeap {
            let mut entries = Entries::new(block, schema);
            while let Some((key, value)) = entries.next_pair()? {
                if let Some(refused) = give(key, value)? {
                    return Ok(ControlFlow::Break(refused));
                }
            }
            return Ok(ControlFlow::Continue(()));
        }
        for pair in order.pairs(block) {
            let (key, value) = pair?;
            if let Some(refused) = give(key, value)? {
                return Ok(ControlFlow::Break(refused));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// How keys are assigned to key groups, and the number of these.
type Groups<'a> = (&'a KeyGroupAssignment, MaxParallelism);

/// Checks that an entry is well-formed and where it belongs, as far as this build knows its types.
#[inline]
fn check(schema: &Schema<'_>, group: KeyGroup, groups: Groups<'_>, key: &[u8], value: &[u8]) -> Result<()> {
    let (assignment, max) = groups;
    if schema.key.is_opaque() {
        return Ok(());
    }
    schema.check_parts(key, value)?;
    schema.check_group(key, group, assignment, max)
}
