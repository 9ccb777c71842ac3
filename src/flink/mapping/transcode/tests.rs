use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::codec::Reader;
use crate::flink::{Directory, SnapshotReader};
use crate::format::flink::keyed::PartsContent;
use crate::format::flink::serializer::{PojoField, Simple, Subclass};
use crate::format::flink::{Found, Roots};
use crate::random::{RandomSource, SeededRandom};
use crate::storage::LocalStorage;

fn of(serializer: TypeSerializer) -> Snapshot {
    Snapshot { class: "sample".to_owned(), version: 3, serializer, bytes: Vec::new() }
}

/// Draws types, values of them, and damage.
struct Dice(SeededRandom);

impl Dice {
    fn below(&self, limit: usize) -> usize {
        (self.0.next_u128().unwrap() % limit as u128) as usize
    }

    fn boxed(&self, depth: usize) -> Box<Snapshot> {
        Box::new(self.snapshot(depth.saturating_sub(1)))
    }

    fn several(&self, depth: usize) -> Vec<Snapshot> {
        (0..self.below(5)).map(|_| self.snapshot(depth.saturating_sub(1))).collect()
    }

    fn snapshot(&self, depth: usize) -> Snapshot {
        let kind = if depth == 0 { 0 } else { self.below(14) };
        of(match kind {
            0..=3 => TypeSerializer::Simple(Simple::ALL[self.below(Simple::ALL.len())]),
            4 => TypeSerializer::Tuple { class: "T".to_owned(), fields: self.several(depth) },
            5 => TypeSerializer::Row { with_kind: self.below(2) == 0, fields: self.several(depth) },
            6 => TypeSerializer::List(self.boxed(depth)),
            7 => TypeSerializer::GenericArray { component_class: "C".to_owned(), component: self.boxed(depth) },
            8 => TypeSerializer::Map(self.boxed(depth), self.boxed(depth)),
            9 => TypeSerializer::Set(self.boxed(depth)),
            10 => TypeSerializer::Either(self.boxed(depth), self.boxed(depth)),
            11 => TypeSerializer::Nullable { padding: self.below(3), inner: self.boxed(depth) },
            12 => TypeSerializer::Enum { class: "E".to_owned(), constants: vec!["A".into(), "B".into()] },
            _ => TypeSerializer::Pojo(self.pojo(depth)),
        })
    }

    fn pojo(&self, depth: usize) -> Pojo {
        let field = |(number, snapshot): (usize, Snapshot)| PojoField {
            name: format!("field{number}").into(),
            declaring_class: Some("P".to_owned()),
            serializer: (self.below(20) > 0).then_some(snapshot),
        };
        let fields = self.several(depth).into_iter().enumerate().map(field).collect();
        let registered = if depth > 1 && self.below(3) == 0 {
            let serializer = Some(of(TypeSerializer::Pojo(self.pojo(depth - 1))));
            vec![Subclass { class: "S".to_owned(), serializer }]
        } else {
            Vec::new()
        };
        Pojo { class: "P".into(), fields, registered, unregistered: Vec::new() }
    }

    fn flag(&self, out: &mut Writer) -> bool {
        let flag = self.below(4) == 0;
        out.u8(u8::from(flag));
        flag
    }

    fn random(&self, count: usize, out: &mut Writer) {
        for _ in 0..count {
            // Small numbers, large ones, and those that stand for null.
            out.u8([0, 0, 0, 1, 0x7F, 0x80, 0xFF, self.below(256) as u8][self.below(8)]);
        }
    }

    fn count(&self, out: &mut Writer) -> usize {
        let count = [0, 1, 2, 3, 20][self.below(5)];
        out.u32(count as u32);
        count
    }

    fn text(&self, out: &mut Writer) {
        let units: Vec<u16> = match self.below(6) {
            0 => "äö€😀".encode_utf16().collect(),
            1 => vec![u16::from(b'a'), 0xD83D],
            2 => vec![u16::from(b'x'); 200],
            length => (0..length).map(|_| 0x20 + self.below(0x60) as u16).collect(),
        };
        out.length(units.len() + 1);
        units.iter().for_each(|unit| out.varint(u64::from(*unit)));
    }

    fn simple(&self, simple: Simple, out: &mut Writer) {
        match simple {
            Simple::String if self.below(8) == 0 => out.u8(0),
            Simple::String => self.text(out),
            Simple::Boolean | Simple::BooleanValue => out.u8(self.below(2) as u8),
            Simple::Date | Simple::SqlDate | Simple::SqlTime if self.below(3) == 0 => out.i64(i64::MIN),
            Simple::Tuple0 => out.u8(0x2A),
            Simple::Void | Simple::VoidNamespace | Simple::DataView | Simple::GlobalWindow => out.u8(0),
            _ => match simple.declared_length() {
                Some(length) => self.random(length, out),
                None => {
                    let count = self.count(out);
                    let width = match simple {
                        Simple::CharArray | Simple::ShortArray => 2,
                        Simple::IntArray | Simple::FloatArray => 4,
                        Simple::LongArray | Simple::DoubleArray => 8,
                        _ => 1,
                    };
                    self.random(count * width, out);
                }
            },
        }
    }

    fn unless(&self, null: bool, snapshot: &Snapshot, out: &mut Writer) {
        if !null {
            self.value(&snapshot.serializer, out);
        }
    }

    fn value(&self, serializer: &TypeSerializer, out: &mut Writer) {
        match serializer {
            TypeSerializer::Simple(simple) => self.simple(*simple, out),
            TypeSerializer::Tuple { fields, .. } => {
                fields.iter().for_each(|field| self.value(&field.serializer, out));
            }
            TypeSerializer::Row { with_kind, fields } => {
                let kind_bits = if *with_kind { 2 } else { 0 };
                let nulls: Vec<bool> = (0..fields.len() + kind_bits).map(|_| self.below(8) == 0).collect();
                for bits in nulls.chunks(8) {
                    out.u8(bits.iter().enumerate().map(|(index, null)| u8::from(*null) << (7 - index)).sum());
                }
                let fields = fields.iter().zip(nulls.iter().skip(kind_bits));
                fields.for_each(|(field, null)| self.unless(*null, field, out));
            }
            TypeSerializer::List(element) => {
                (0..self.count(out)).for_each(|_| self.value(&element.serializer, out));
            }
            TypeSerializer::GenericArray { component, .. } => {
                (0..self.count(out)).for_each(|_| {
                    let present = self.flag(out);
                    self.unless(!present, component, out);
                });
            }
            TypeSerializer::Map(key, value) => (0..self.count(out)).for_each(|_| {
                self.value(&key.serializer, out);
                let null = self.flag(out);
                self.unless(null, value, out);
            }),
            TypeSerializer::Set(element) => (0..self.count(out)).for_each(|_| {
                let null = self.flag(out);
                self.unless(null, element, out);
            }),
            TypeSerializer::Either(left, right) => {
                let side = if self.flag(out) { left } else { right };
                self.value(&side.serializer, out);
            }
            TypeSerializer::Nullable { padding, inner } => {
                if self.flag(out) {
                    (0..*padding).for_each(|_| out.u8(0));
                } else {
                    self.value(&inner.serializer, out);
                }
            }
            TypeSerializer::Enum { .. } => out.u32(self.below(2) as u32),
            TypeSerializer::Pojo(pojo) => self.object(pojo, out),
            _ => {}
        }
    }

    fn object(&self, pojo: &Pojo, out: &mut Writer) {
        match self.below(8) {
            0 => out.u8(1),
            1 if !pojo.registered.is_empty() => {
                out.raw(&[8, 0]);
                self.unless(false, pojo.registered[0].serializer.as_ref().unwrap(), out);
            }
            _ => {
                out.u8(2);
                for field in &pojo.fields {
                    let null = self.flag(out);
                    field.serializer.iter().for_each(|snapshot| self.unless(null, snapshot, out));
                }
            }
        }
    }

    fn damage(&self, bytes: &mut Vec<u8>) {
        let place = self.below(bytes.len().max(1));
        match self.below(4) {
            0 => bytes.truncate(place),
            1 => bytes.push(self.below(256) as u8),
            _ => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1 << self.below(8)),
        }
    }
}

/// A value that is stepped over is one that can be decoded, and as long; otherwise the reasons are the same.
fn assert_skipped_alike(snapshot: &Snapshot, bytes: &[u8]) {
    let (mut skipped, mut read) = (Reader::new(bytes), Reader::new(bytes));
    let first = snapshot.skip_value(&mut skipped).map_err(|error| error.to_string());
    let second = snapshot.read_value(&mut read).map(|_| ()).map_err(|error| error.to_string());
    assert_eq!(first, second, "{snapshot:?} {bytes:02x?}");
    if first.is_ok() {
        assert_eq!(skipped.position(), read.position(), "{snapshot:?} {bytes:02x?}");
    }
}

#[test]
fn what_is_transcoded_is_what_encoding_the_value_gives() {
    let mut usual = 0;
    let count = std::env::var("MILLPOND_TRANSCODED_VALUES").map_or(20_000, |count| count.parse().unwrap());
    for seed in 0..count {
        let dice = Dice(SeededRandom::new(seed));
        let snapshot = dice.snapshot(dice.below(4));
        let mut out = Writer::new();
        dice.value(&snapshot.serializer, &mut out);
        let mut bytes = out.into_bytes();
        let mut input = Usual::new(&bytes);
        let is_usual = Mapping::of(&snapshot).usual(&snapshot.serializer, &mut input, &mut Writer::new());
        usual += u64::from(is_usual.is_some() && input.rest().is_empty());
        for _ in 0..3 {
            assert_transcoded_alike(&snapshot, &bytes);
            assert_skipped_alike(&snapshot, &bytes);
            dice.damage(&mut bytes);
        }
    }
    assert!(usual > count / 5, "only {usual} of {count} values take the short way");
}

#[test]
fn one_value_after_the_other_gives_the_same_description() {
    'types: for seed in 0..1000 {
        let dice = Dice(SeededRandom::new(seed));
        let snapshot = dice.snapshot(3);
        let (mut direct, mut through) = (Mapping::of(&snapshot), Mapping::of(&snapshot));
        for _ in 0..20 {
            let mut out = Writer::new();
            dice.value(&snapshot.serializer, &mut out);
            let stored = Stored::of(&snapshot, out.as_slice());
            let Ok(value) = stored.clone().value() else { continue };
            if through.encode(&value, &mut Writer::new()).is_err() {
                // Nobody goes on behind an error.
                continue 'types;
            }
            direct.transcode(stored, &mut Writer::new()).unwrap();
        }
        assert_eq!(direct.description(), through.description(), "{snapshot:?}");
    }
}

#[test]
fn parts_of_every_snapshot_are_transcoded_alike() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/flink");
    let mut parts = 0;
    let mut directories = vec![fixtures];
    while let Some(directory) = directories.pop() {
        let inner = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        directories.extend(inner.filter(|path| path.is_dir()));
        if !directory.join("_metadata").exists() {
            continue;
        }
        let own = Directory::new(Arc::new(LocalStorage::open(&directory).unwrap()), None);
        let Ok(snapshot) = SnapshotReader::open(own, Roots::new()) else { continue };
        for operator in snapshot.operators() {
            let Ok(keyed) = operator.keyed() else { continue };
            let _ = keyed.visit_found(operator.max_parallelism().all_groups(), &|_| true, |_, found| {
                if let Found::Stored(found) = found {
                    let found = found.parts()?;
                    let mut check = |stored: Stored<'_>| {
                        if let Some((serializer, bytes)) = stored.known() {
                            assert_transcoded_alike(&of(serializer.clone()), bytes);
                            parts += 1;
                        }
                        Ok(())
                    };
                    check(found.key)?;
                    check(found.namespace)?;
                    match found.content {
                        PartsContent::Value(value) => check(value)?,
                        PartsContent::List(elements) => elements.for_each(check)?,
                        PartsContent::MapEntry { user_key, value } => {
                            check(user_key)?;
                            value.map_or(Ok(()), check)?;
                        }
                        PartsContent::Timer { .. } => {}
                    }
                }
                Ok(ControlFlow::Continue(()))
            });
        }
    }
    assert!(parts > 1000, "{parts} parts of values");
}
