//! Snapshots of one operator whose states have any types, written without a backend, in canonical form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond::codec::{Compression, Writer};
use millpond::format::FormatId;
use millpond::format::canonical;
use millpond::format::manifest::{KeyGroupAssignment, KeyedHandle, SectionRef, SnapshotKind};
use millpond::format::record::{StateKind, StateMeta};
use millpond::format::section::Owner;
use millpond::ids::{CheckpointId, JobId, OperatorId, SubtaskIndex};
use millpond::key_group::{KeyGroup, MaxParallelism, Parallelism};
use millpond::random::{RandomSource, SeededRandom};
use millpond::serializer::shape::{Field, Variant};
use millpond::serializer::{SerializerSnapshot, Shape};
use millpond::snapshot::{SnapshotLabel, SnapshotTarget, SubtaskReport, assemble, publish};
use millpond::storage::{CommitOutcome, LocalStorage, ObjectPath, Storage};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The operator.
pub(super) const UID: &str = "forged";

/// Neutral pairs, by key group.
pub(super) type Pairs = BTreeMap<u16, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A state and its entries.
pub(super) struct State {
    pub(super) meta: StateMeta,
    pub(super) pairs: Pairs,
}

/// A value state of this type without entries.
pub(super) fn value_state(name: &str, value: SerializerSnapshot) -> StateMeta {
    let unit = || SerializerSnapshot::Unit;
    StateMeta {
        name: name.to_owned(),
        kind: StateKind::Value,
        namespace: unit(),
        user_key: unit(),
        value,
        timed: false,
    }
}

pub(super) fn max() -> MaxParallelism {
    MaxParallelism::new(16).unwrap()
}

/// Writes a savepoint with these states, whose names ascend.
pub(super) fn write(base: &Path, name: &str, key: SerializerSnapshot, states: &[State]) -> PathBuf {
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::create(base).unwrap());
    let directory = ObjectPath::parse(name).unwrap();
    let target = SnapshotTarget::new(Arc::clone(&storage), directory.clone(), Arc::new(SeededRandom::new(1)));
    let mut writer = canonical::writer(target.new_object().unwrap(), OperatorId::from_uid(UID), Compression::None);
    let mut sections = Vec::new();
    for group in 0..max().get() as u16 {
        writer.begin(Owner::KeyGroup(KeyGroup(group))).unwrap();
        for State { meta, pairs } in states {
            writer.begin_state(&meta.name, meta.kind).unwrap();
            for (key, value) in pairs.get(&group).into_iter().flatten() {
                writer.pair(key, value).unwrap();
            }
        }
        sections.extend(writer.finish().unwrap().map(|summary| SectionRef::new(&summary, 0).unwrap()));
    }
    let objects: Vec<_> = writer.close().unwrap().finish().unwrap().into_iter().collect();
    let (format, range) = (FormatId::Canonical, max().all_groups());
    let (assignment, files) = (KeyGroupAssignment::Xxh3, Vec::new());
    let keyed = KeyedHandle { format, range, assignment, objects, sections, files, states: Vec::new() };
    let report = SubtaskReport {
        operator: UID.to_owned(),
        subtask: SubtaskIndex(0),
        parallelism: Parallelism::new(1, max()).unwrap(),
        max_parallelism: max(),
        key: Some(key),
        states: states.iter().map(|state| state.meta.clone()).collect(),
        keyed: Some(keyed),
        operator_state: None,
    };
    let label = SnapshotLabel {
        job: JobId([1; 16]),
        checkpoint: CheckpointId(1),
        kind: SnapshotKind::Savepoint,
        created_ms: 0,
    };
    let manifest = assemble(label, vec![report]).unwrap();
    assert!(matches!(publish(&*storage, &directory, &manifest), CommitOutcome::Committed));
    base.join(name)
}

/// Draws types, and values of them.
pub(super) struct Draw(SeededRandom);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Draw(SeededRandom::new(seed))
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        (self.0.next_u128().unwrap() % u128::from(end)) as u64
    }

    fn number(&mut self) -> u64 {
        // Small, large and in between.
        let shift = self.below(64);
        let edge = [0, 1, u64::MAX, 1 << 63, 127, 128, 255, 256, i64::MAX as u64];
        if shift == 0 { edge[self.below(9) as usize] } else { self.below(u64::MAX) >> shift }
    }

    fn text(&mut self) -> String {
        let letters = ["a", "Z", "é", "\u{0}", "\"", "\\", "\n", "漢", "😀", " "];
        (0..self.below(6)).map(|_| letters[self.below(10) as usize]).collect()
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    /// A type that nests at most so deep.
    pub(super) fn description(&mut self, depth: u64) -> SerializerSnapshot {
        use SerializerSnapshot as S;
        let leaves = [S::Bool, S::U8, S::U16, S::U32, S::U64, S::I8, S::I16, S::I32, S::I64, S::F32, S::F64];
        match self.below(if depth == 0 { 17 } else { 24 }) {
            leaf @ 0..11 => leaves[leaf as usize].clone(),
            11 => S::Unit,
            12 => S::String,
            13 => S::Bytes,
            14 => S::Window,
            15 => S::Custom { name: "geo".to_owned(), version: 2, parameters: vec![1] },
            16 | 17 => S::Msgpack(self.shape(depth)),
            18 => S::Option(Box::new(self.description(depth - 1))),
            19 | 20 => S::List(Box::new(self.description(depth - 1))),
            21 | 22 => S::Map(Box::new(self.description(depth - 1)), Box::new(self.description(depth - 1))),
            _ => S::Tuple((0..self.below(4)).map(|_| self.description(depth - 1)).collect()),
        }
    }

    /// Appends the encoding of a value of this type.
    pub(super) fn value(&mut self, description: &SerializerSnapshot, out: &mut Writer) {
        use SerializerSnapshot as S;
        match description {
            S::Unit => {}
            S::Bool => out.u8(u8::from(self.flip())),
            S::U8 | S::I8 => out.u8(self.number() as u8),
            S::U16 | S::I16 => out.u16(self.number() as u16),
            S::U32 | S::I32 => out.u32(self.number() as u32),
            S::U64 | S::I64 => out.u64(self.number()),
            S::F32 => out.u32([1.5f32, f32::MAX, f32::INFINITY, -0.1][self.below(4) as usize].to_bits()),
            S::F64 => out.u64([1.5f64, f64::MIN_POSITIVE, f64::NAN, -0.1][self.below(4) as usize].to_bits()),
            S::String => out.str(&self.text()),
            S::Bytes | S::Custom { .. } => out.bytes(self.text().as_bytes()),
            S::Window => {
                let start = self.number() as i64;
                out.ordered_i64(start.min(0));
                out.ordered_i64(start.max(1));
            }
            S::Option(inner) => {
                let some = self.flip();
                out.u8(u8::from(some));
                if some {
                    self.value(inner, out);
                }
            }
            S::List(element) => {
                let count = self.below(4);
                out.varint(count);
                for _ in 0..count {
                    let from = out.len();
                    self.value(element, out);
                    if takes_nothing(element) {
                        assert_eq!(out.len(), from);
                        out.u8(0);
                    }
                }
            }
            S::Map(key, value) => {
                let mut entries = BTreeMap::new();
                for _ in 0..self.below(4) {
                    let (mut of_key, mut of_value) = (Writer::new(), Writer::new());
                    self.value(key, &mut of_key);
                    self.value(value, &mut of_value);
                    entries.insert(of_key.into_bytes(), of_value.into_bytes());
                }
                out.length(entries.len());
                for (key, value) in entries {
                    out.raw(&key);
                    out.raw(&value);
                }
            }
            S::Tuple(fields) => fields.iter().for_each(|field| self.value(field, out)),
            S::Msgpack(shape) => {
                let item = self.item(shape);
                out.bytes(&rmp_serde::to_vec(&item).unwrap());
            }
            other => panic!("{other} is not drawn"),
        }
    }

    fn shape(&mut self, depth: u64) -> Shape {
        use Shape as S;
        let leaves = [S::Bool, S::U8, S::U16, S::U32, S::U64, S::I8, S::I16, S::I32, S::I64, S::F32, S::F64, S::Unit];
        let mut next = depth;
        let mut nested = |draw: &mut Self| {
            next = next.saturating_sub(1);
            draw.shape(next)
        };
        match self.below(if depth == 0 { 16 } else { 24 }) {
            leaf @ 0..12 => leaves[leaf as usize].clone(),
            12 => S::String,
            13 => S::Bytes,
            14 => S::Any,
            15 => S::Char,
            16 => S::Option(Box::new(nested(self))),
            17 | 18 => S::List(Box::new(nested(self))),
            19 => S::Map(Box::new(if self.flip() { S::String } else { S::U32 }), Box::new(nested(self))),
            20 => S::Tuple((0..self.below(4)).map(|_| nested(self)).collect()),
            21 | 22 => {
                let mut field = |draw: &mut Self, n| Field { name: format!("field {n}"), shape: nested(draw) };
                S::Struct { name: "S".to_owned(), fields: (0..self.below(5)).map(|n| field(self, n)).collect() }
            }
            _ => {
                let variants = (0..1 + self.below(4)).map(|n| Variant {
                    name: format!("V{n}"),
                    aliases: vec![format!("W{n}")],
                    content: self.flip().then(|| nested(self)),
                });
                S::Enum { name: "E".to_owned(), variants: variants.collect() }
            }
        }
    }

    /// A value of this shape, now and then of another.
    fn item(&mut self, shape: &Shape) -> Item {
        if self.below(60) == 0 {
            let other = self.shape(1);
            return self.item_of(&other);
        }
        self.item_of(shape)
    }

    fn item_of(&mut self, shape: &Shape) -> Item {
        use Shape as S;
        match shape {
            S::Any => Item::List(vec![Item::Unsigned(self.number()), Item::Text(self.text()), Item::Nil]),
            S::Bool => Item::Bool(self.flip()),
            S::U8 => Item::Unsigned(self.number() & 0xFF),
            S::U16 => Item::Unsigned(self.number() & 0xFFFF),
            S::U32 => Item::Unsigned(self.number() & 0xFFFF_FFFF),
            S::U64 => Item::Unsigned(self.number()),
            S::I8 => Item::Signed((self.number() as i8).into()),
            S::I16 => Item::Signed((self.number() as i16).into()),
            S::I32 => Item::Signed((self.number() as i32).into()),
            S::I64 => Item::Signed(self.number() as i64),
            S::F32 => Item::F32(0.1),
            S::F64 => Item::F64([0.1, f64::NEG_INFINITY][self.below(2) as usize]),
            S::Char => Item::Text("ß".to_owned()),
            S::String => Item::Text(self.text()),
            S::Bytes => Item::Bytes(self.text().into_bytes()),
            S::Option(_) if self.flip() => Item::Nil,
            S::Option(inner) => self.item(inner),
            S::List(element) => Item::List((0..self.below(4)).map(|_| self.item(element)).collect()),
            S::Map(key, value) => {
                let keys = (0..self.below(4)).map(|n| match **key {
                    S::String => Item::Text(format!("key {n}")),
                    _ => Item::Unsigned(n),
                });
                let keys: Vec<Item> = keys.collect();
                Item::Map(keys.into_iter().map(|key| (key, self.item(value))).collect())
            }
            S::Tuple(fields) => Item::List(fields.iter().map(|field| self.item(field)).collect()),
            S::Struct { fields, .. } => {
                let there: Vec<&Field> = fields.iter().filter(|_| self.below(8) > 0).collect();
                Item::Map(there.iter().map(|of| (Item::Text(of.name.clone()), self.item(&of.shape))).collect())
            }
            S::Enum { variants, .. } => {
                let Variant { name, aliases, content } = &variants[self.below(variants.len() as u64) as usize];
                let name = Item::Text(if self.below(8) > 0 { name.clone() } else { aliases[0].clone() });
                match content {
                    Some(content) => Item::Map(vec![(name, self.item(content))]),
                    None => name,
                }
            }
            _ => Item::Nil,
        }
    }
}

fn takes_nothing(description: &SerializerSnapshot) -> bool {
    match description {
        SerializerSnapshot::Unit => true,
        SerializerSnapshot::Tuple(fields) => fields.iter().all(takes_nothing),
        _ => false,
    }
}

/// A MessagePack value.
enum Item {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    F32(f32),
    F64(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Item>),
    Map(Vec<(Item, Item)>),
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Item::Nil => serializer.serialize_unit(),
            Item::Bool(value) => serializer.serialize_bool(*value),
            Item::Unsigned(value) => serializer.serialize_u64(*value),
            Item::Signed(value) => serializer.serialize_i64(*value),
            Item::F32(value) => serializer.serialize_f32(*value),
            Item::F64(value) => serializer.serialize_f64(*value),
            Item::Text(text) => serializer.serialize_str(text),
            Item::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Item::List(items) => serializer.collect_seq(items),
            Item::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}
