//! Restored state before it is registered: blocks of bytes, checked but not decoded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use super::KeyedBackend;
use super::content::{Content, Takeover};
use super::frozen::{Frozen, SortedKeys};
use super::queue::Moment;
use super::table::{Slot, TableHasher, slot_hash};
use super::timer::Timers;
use super::typed::TypedState;
use crate::backend::Key;
use crate::backend::KeyedParameters;
use crate::backend::SnapshotVersion;
use crate::backend::registration::{ForeignGroups, check_group, check_snapshot};
use crate::codec::{Compression, Reader};
use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::canonical::{PairReader, PairWriter};
use crate::format::native_heap;
use crate::format::record::StateMeta;
use crate::format::schema::Schema;
use crate::format::section::{Block, Owner, SectionId, SectionReader, SectionWriter};
use crate::key_group::{KeyGroup, KeyGroupRange, MaxParallelism};
use crate::serializer::{Serializer, SerializerSnapshot};
use crate::snapshot::{ObjectSink, OperatorReader, SectionBlob};
use crate::state::TimeDomain;
use crate::storage::Blob;

/// A restored state that nobody has registered yet.
#[derive(Debug)]
pub(super) struct Carried {
    meta: StateMeta,
    key: SerializerSnapshot,
    foreign: Option<Arc<ForeignGroups>>,
    /// By position of the key group in the range.
    groups: Vec<Vec<CarriedBlock>>,
}

/// Takes the key and the value of a neutral pair.
type PairVisitor<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// One block of a section, whose checksum was right.
#[derive(Debug)]
struct CarriedBlock {
    section: SectionId,
    is_first: bool,
    entries: u32,
    payload: Blob,
    offset: u64,
    compression: Compression,
    stored_bytes: u32,
    object: Arc<str>,
}

impl CarriedBlock {
    fn as_block<'a>(&'a self, meta: &'a StateMeta) -> Block<'a> {
        Block {
            section: self.section,
            state: &meta.name,
            kind: meta.kind,
            is_first: self.is_first,
            entries: self.entries,
            payload: Cow::Borrowed(self.payload.as_slice()),
            offset: self.offset,
            compression: self.compression,
            stored_bytes: self.stored_bytes,
        }
    }

    fn group(&self) -> KeyGroup {
        match self.section.owner {
            Owner::KeyGroup(group) => group,
            Owner::Subtask(_) => KeyGroup(0),
        }
    }
}

impl<KS> KeyedBackend<KS>
where
    KS: Serializer<Value: Key>,
{
    /// A backend with the state of an operator of a snapshot, as far as it lies in this backend's key-group range.
    ///
    /// Every block is read and checked; nothing is decoded before its state is registered. The snapshot may have been
    /// taken at any parallelism; its max parallelism and key type must be this backend's.
    pub fn restore(parameters: KeyedParameters, key: KS, operator: &OperatorReader<'_>) -> Result<Self> {
        let mut backend = Self::new(parameters, key);
        if check_snapshot(&backend.parameters, &*backend.key, operator)?.is_none() {
            return Ok(backend);
        }
        let named = |error: Error| error.in_operator(&backend.parameters.operator);
        let foreign = ForeignGroups::of(operator).map_err(named)?;
        let mut carried = BTreeMap::new();
        for section in operator.sections(backend.range()) {
            collect(&section.map_err(named)?, operator, backend.range(), foreign.as_ref(), &mut carried)
                .map_err(named)?;
        }
        backend.foreign = foreign;
        backend.carried = carried.into_iter().map(|(name, state)| (name, Arc::new(state))).collect();
        Ok(backend)
    }

    /// Names of the restored states that nobody has registered.
    pub fn carried_states(&self) -> impl Iterator<Item = &StateMeta> {
        self.carried.values().map(|carried| carried.meta())
    }
}

/// Reads a section and files its blocks under their states.
fn collect(
    section: &SectionBlob,
    operator: &OperatorReader<'_>,
    range: KeyGroupRange,
    foreign: Option<&Arc<ForeignGroups>>,
    carried: &mut BTreeMap<String, Carried>,
) -> Result<()> {
    let in_object = |error: Error| error.in_file(&section.object);
    let Some(index) = range.index_of(section.group) else { return Ok(()) };
    let (Some(key), object) = (operator.key(), Arc::<str>::from(section.object.as_str())) else { return Ok(()) };
    let reader = SectionReader::new(section.bytes.as_slice(), section.offset, section.id).map_err(in_object)?;
    for block in reader.with_checksum(section.checksum) {
        let block = block.map_err(in_object)?;
        let schema = Schema::find(key, operator.states(), block.state, block.kind)
            .map_err(|error| in_object(block.locate(error)))?;
        let state = carried.entry(block.state.to_owned()).or_insert_with(|| Carried {
            meta: schema.state.clone(),
            key: key.clone(),
            foreign: foreign.cloned(),
            groups: std::iter::repeat_with(Vec::new).take(range.len()).collect(),
        });
        let payload = match &block.payload {
            Cow::Owned(bytes) => Blob::from(bytes.clone()),
            Cow::Borrowed(bytes) => {
                let start = block.reader().offset().saturating_sub(section.offset);
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                section.bytes.slice(start..start.saturating_add(length))?
            }
        };
        if let Some(blocks) = state.groups.get_mut(index) {
            blocks.push(CarriedBlock {
                section: block.section,
                is_first: block.is_first,
                entries: block.entries,
                payload,
                offset: block.offset,
                compression: block.compression,
                stored_bytes: block.stored_bytes,
                object: Arc::clone(&object),
            });
        }
    }
    Ok(())
}

impl Carried {
    pub(super) fn meta(&self) -> &StateMeta {
        &self.meta
    }

    fn schema(&self) -> Schema<'_> {
        Schema { key: &self.key, state: &self.meta }
    }

    /// Decodes everything into a state.
    pub(super) fn decode<KS, N, C>(
        &self,
        takeover: &Takeover<'_>,
        parameters: &KeyedParameters,
        key: &KS,
        hasher: &TableHasher,
        state: &mut TypedState<KS::Value, N, C>,
    ) -> Result<()>
    where
        KS: Serializer<Value: Key>,
        N: Key,
        C: Content,
    {
        let max = parameters.max_parallelism;
        for (group, blocks) in self.groups.iter().enumerate() {
            let mut pairs = PairReader::new();
            for carried in blocks {
                let block = carried.as_block(&self.meta);
                let (foreign, owner) = (self.foreign.as_deref(), carried.group());
                let mut decoder = EntryDecoder { takeover, max, foreign, key, hasher, state, group, owner };
                let decoded = match carried.section.format {
                    FormatId::NativeHeap => decoder.typed_block(&block),
                    _ => pairs.pairs(&block).try_for_each(|pair| {
                        let (key, value) = pair?;
                        decoder.pair(key, value).map_err(|error| block.locate(error))
                    }),
                };
                decoded.map_err(|error| error.in_file(&carried.object))?;
            }
        }
        Ok(())
    }

    /// Decodes everything into timers.
    pub(super) fn decode_timers<K, N>(
        &self,
        max: MaxParallelism,
        range: KeyGroupRange,
        timers: &mut Timers<K, N>,
    ) -> Result<()>
    where
        K: Key,
        N: Key,
    {
        for group in range.iter() {
            let Some(index) = range.index_of(group) else { continue };
            self.for_each_pair(index, &mut |bytes, _| {
                let mut input = Reader::new(bytes);
                let domain = TimeDomain::from_tag(input.u8("time domain")?)
                    .ok_or_else(|| input.corrupt("time domain", "is neither event nor processing time"))?;
                let timestamp_ms = input.ordered_i64("timestamp")?;
                let start = input.position();
                let key = timers.key.read(&mut input)?;
                check_group(max, self.foreign.as_deref(), group, input.since(start))?;
                let namespace = timers.namespace.read(&mut input)?;
                input.finish("timer")?;
                timers.register_restored(index, &key, &Moment { domain, timestamp_ms, namespace })
            })?;
        }
        Ok(())
    }

    /// Calls `visit` with every neutral pair of a group, in stored order.
    fn for_each_pair(&self, group: usize, visit: &mut PairVisitor<'_>) -> Result<()> {
        let Some(blocks) = self.groups.get(group) else { return Ok(()) };
        let mut reader = PairReader::new();
        for carried in blocks {
            let block = carried.as_block(&self.meta);
            let in_object = |error: Error| block.locate(error).in_file(&carried.object);
            if carried.section.format == FormatId::NativeHeap {
                let mut entries = native_heap::Entries::new(&block, self.schema());
                while let Some((key, value)) = entries.next_pair().map_err(in_object)? {
                    visit(key, value).map_err(in_object)?;
                }
            } else {
                for pair in reader.pairs(&block) {
                    let (key, value) = pair.map_err(in_object)?;
                    visit(key, value).map_err(in_object)?;
                }
            }
        }
        Ok(())
    }
}

/// Decodes the entries of one block into a state.
struct EntryDecoder<'a, KS: Serializer, N, C: Content> {
    takeover: &'a Takeover<'a>,
    max: MaxParallelism,
    foreign: Option<&'a ForeignGroups>,
    key: &'a KS,
    hasher: &'a TableHasher,
    state: &'a mut TypedState<KS::Value, N, C>,
    group: usize,
    owner: KeyGroup,
}

impl<KS, N, C> EntryDecoder<'_, KS, N, C>
where
    KS: Serializer<Value: Key>,
    N: Key,
    C: Content,
{
    fn key_and_namespace(&self, input: &mut Reader<'_>) -> Result<(KS::Value, N)> {
        let start = input.position();
        let key = self.key.read(input)?;
        check_group(self.max, self.foreign, self.owner, input.since(start))?;
        Ok((key, self.state.namespace.read(input)?))
    }

    /// Lets `read` add to what is stored for a key and namespace.
    fn add(
        &mut self,
        key: &KS::Value,
        namespace: &N,
        read: impl FnOnce(&C, Option<C::Stored>) -> Result<C::Stored>,
    ) -> Result<()> {
        let hash = slot_hash(self.hasher, self.hasher.hash_one(key), namespace);
        let slot = Slot { group: self.group, hash, key, namespace };
        let TypedState { table, content, .. } = &mut *self.state;
        let mut outcome = Ok(());
        table.update(slot, |stored| match read(content, stored.take()) {
            Ok(read) => *stored = Some(read),
            Err(error) => outcome = Err(error),
        });
        outcome
    }

    fn typed_block(&mut self, block: &Block<'_>) -> Result<()> {
        let mut input = block.reader();
        let takeover = self.takeover;
        for _ in 0..block.entries {
            let read = self.key_and_namespace(&mut input).and_then(|(key, namespace)| {
                self.add(&key, &namespace, |content, stored| content.read_typed(stored, takeover, &mut input))
            });
            read.map_err(|error| block.locate(error))?;
        }
        input.finish("block").map_err(|error| block.locate(error))
    }

    fn pair(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let (mut key_input, mut value_input) = (Reader::new(key), Reader::new(value));
        let (key, namespace) = self.key_and_namespace(&mut key_input)?;
        let takeover = self.takeover;
        self.add(&key, &namespace, |content, stored| {
            content.read_pair(stored, takeover, &mut key_input, &mut value_input)
        })?;
        key_input.finish("key")?;
        value_input.finish("value")
    }
}

/// Carried state as a snapshot holds it: it never changes, so there is nothing to copy.
pub(super) struct FrozenCarried(pub(super) Arc<Carried>);

impl Frozen for FrozenCarried {
    fn meta(&self) -> &StateMeta {
        &self.0.meta
    }

    fn changed_in(&self, _group: usize) -> SnapshotVersion {
        SnapshotVersion::NONE
    }

    fn let_go(&mut self, _group: usize) {}

    fn write_pairs(&mut self, group: usize, out: &mut PairWriter<ObjectSink>) -> Result<()> {
        let meta = &self.0.meta;
        out.begin_state(&meta.name, meta.kind)?;
        let is_canonical = |block: &CarriedBlock| block.section.format == FormatId::Canonical;
        if self.0.groups.get(group).is_some_and(|blocks| blocks.iter().all(is_canonical)) {
            return self.0.for_each_pair(group, &mut |key, value| out.pair(key, value));
        }
        let mut pairs = SortedKeys::with_capacity(0);
        self.0.for_each_pair(group, &mut |key, value| {
            pairs.push(key, value.to_vec());
            Ok(())
        })?;
        pairs.sort();
        pairs.iter().try_for_each(|(key, value)| out.pair(key, value))
    }

    fn write_typed(&mut self, group: usize, out: &mut SectionWriter<ObjectSink>) -> Result<()> {
        let carried = &self.0;
        out.begin_state(&carried.meta.name, carried.meta.kind)?;
        carried.for_each_pair(group, &mut |key, value| {
            out.entry(|out| native_heap::write_pair(&carried.schema(), key, value, out))
        })
    }
}
