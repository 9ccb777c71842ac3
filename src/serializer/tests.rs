use std::collections::BTreeMap;
use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::error::{Error, ErrorKind};

fn strings() -> Vec<String> {
    ["", "a", "ab", "né", "\0", &"x".repeat(200)].map(str::to_owned).to_vec()
}

/// Degrees of latitude and longitude in hundredths, to try a layout of a user's own.
#[derive(Debug, Clone, Copy)]
struct Geo {
    version: u32,
}

impl CustomSerializer for Geo {
    type Value = (i64, i64);

    fn name(&self) -> &str {
        "geo"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn parameters(&self) -> Vec<u8> {
        vec![100]
    }

    fn write(&self, value: &(i64, i64), out: &mut Writer) -> Result<()> {
        out.i64(value.0);
        if self.version > 1 {
            out.i64(value.1);
        }
        Ok(())
    }

    fn read(&self, version: u32, _parameters: &[u8], input: &mut Reader<'_>) -> Result<(i64, i64)> {
        Ok((input.i64("latitude")?, if version > 1 { input.i64("longitude")? } else { 0 }))
    }

    fn compatibility(&self, version: u32, _parameters: &[u8]) -> Compatibility {
        match version {
            _ if version == self.version => Compatibility::AsIs,
            1 => Compatibility::AfterMigration("gains a longitude".to_owned()),
            other => Compatibility::Incompatible(format!("was geo v{other}")),
        }
    }
}

#[test]
fn primitives_keep_the_contract() {
    conformance::check(&Unit, &[()]);
    conformance::check(&Bool, &[false, true]);
    conformance::check(&U8, &[0, 1, 255]);
    conformance::check(&U16, &[0, 256, u16::MAX]);
    conformance::check(&U32, &[0, 1, u32::MAX]);
    conformance::check(&U64, &[0, 1, u64::MAX]);
    conformance::check(&I8, &[i8::MIN, -1, 0, i8::MAX]);
    conformance::check(&I16, &[i16::MIN, -1, 0, i16::MAX]);
    conformance::check(&I32, &[i32::MIN, -1, 0, i32::MAX]);
    conformance::check(&I64, &[i64::MIN, -1, 0, i64::MAX]);
    conformance::check(&F32, &[1.5, -0.5, f32::INFINITY]);
    conformance::check(&F64, &[1.5, -0.5, f64::NEG_INFINITY]);
    conformance::check(&Str, &strings());
    conformance::check(&Bytes, &[vec![], vec![0], vec![0, 0], vec![1; 300]]);
    conformance::check(&Window, &[TimeWindow { start_ms: -1, end_ms: 0 }, TimeWindow { start_ms: 0, end_ms: 60_000 }]);
}

#[test]
fn composites_keep_the_contract() {
    conformance::check(&List::new(U16), &[vec![], vec![1], vec![1, 2], vec![0; 200]]);
    conformance::check(&List::new(Unit), &[vec![], vec![()], vec![(); 300]]);
    conformance::check(&List::new(Str), &[vec![], strings()]);
    conformance::check(&List::new(Tuple2(Unit, Unit)), &[vec![], vec![((), ()); 3]]);
    conformance::check(&Opt::new(Unit), &[None, Some(())]);
    conformance::check(&Opt::new(Opt::new(I32)), &[None, Some(None), Some(Some(-5))]);
    let map = |pairs: &[(&str, u64)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
    let maps: [BTreeMap<_, _>; 4] = [map(&[]), map(&[("a", 1)]), map(&[("a", 2)]), map(&[("aa", 1), ("b", 2)])];
    conformance::check(&Map::new(Str, U64), &maps);
    conformance::check(&Map::new(Unit, Unit), &[BTreeMap::new(), BTreeMap::from([((), ())])]);
    conformance::check(&Tuple2(Str, Str), &[("a".into(), "bc".into()), ("ab".into(), "c".into())]);
    conformance::check(&Tuple3(U8, Unit, Bool), &[(0, (), true), (1, (), false)]);
    conformance::check(&Tuple4(U8, Str, List::new(U8), F32), &[(0, "".into(), vec![1], 0.5)]);
    conformance::check(&Custom::new(Geo { version: 2 }), &[(1, 2), (-1, 0)]);
}

#[test]
fn serializers_are_constants() {
    const NESTED: List<Tuple2<Str, Opt<Map<U64, Bytes>>>> = List::new(Tuple2(Str, Opt::new(Map::new(U64, Bytes))));
    assert_eq!(NESTED.snapshot().to_string(), "list<(string, option<map<u64, bytes>>)>");
}

#[test]
fn a_map_is_sorted_by_encoded_keys_and_refuses_disorder() {
    let map = BTreeMap::from([("b".to_owned(), 1u8), ("aa".to_owned(), 2)]);
    let mut out = Writer::new();
    Map::new(Str, U8).write(&map, &mut out).unwrap();
    assert_eq!(out.as_slice(), [2, 1, b'b', 1, 2, b'a', b'a', 2], "the shorter string comes first");
    for bad in [&[2, 1, 1, 1, 2][..], &[2, 2, 1, 1, 1]] {
        for error in [
            Map::new(U8, U8).read(&mut Reader::new(bad)).unwrap_err(),
            Value::read(&Map::new(U8, U8).snapshot(), &mut Reader::new(bad)).unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.place().offset), (ErrorKind::Corrupt, Some(3)));
        }
    }
}

/// A key whose layout drops half of the value, which the contract forbids.
#[derive(Debug, Clone, Copy)]
struct Lossy;

impl Serializer for Lossy {
    type Value = u8;

    fn snapshot(&self) -> SerializerSnapshot {
        SerializerSnapshot::U8
    }

    fn write(&self, value: &u8, out: &mut Writer) -> Result<()> {
        out.u8(value / 2);
        Ok(())
    }

    fn read(&self, input: &mut Reader<'_>) -> Result<u8> {
        Ok(input.u8("half")? * 2)
    }
}

#[test]
fn a_map_never_writes_two_entries_under_one_key() {
    let map = BTreeMap::from([(2u8, ()), (3, ())]);
    let error = Map::new(Lossy, Unit).write(&map, &mut Writer::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
#[should_panic(expected = "reading gives back what was written")]
fn conformance_notices_a_serializer_that_loses_something() {
    conformance::check(&Lossy, &[3]);
}

fn migrated<Old: Serializer, New: Serializer>(old: Old, new: New, value: Old::Value) -> Result<New::Value> {
    let written = old.snapshot();
    let mut out = Writer::new();
    old.write(&value, &mut out)?;
    match new.compatibility(&written) {
        Compatibility::Incompatible(reason) => {
            let error = new.read_written(&written, &mut Reader::new(out.as_slice())).err();
            assert_ne!(error.map(|error| error.kind()), Some(ErrorKind::Internal));
            Err(Error::incompatible(reason))
        }
        _ => {
            let mut input = Reader::new(out.as_slice());
            let value = new.read_written(&written, &mut input)?;
            assert!(input.is_empty());
            Ok(value)
        }
    }
}

#[test]
fn composites_migrate_part_by_part() {
    let (old, new) = (Custom::new(Geo { version: 1 }), Custom::new(Geo { version: 2 }));
    assert_eq!(migrated(old, new, (7, 9)).unwrap(), (7, 0));
    assert_eq!(migrated(List::new(old), List::new(new), vec![(7, 9)]).unwrap(), [(7, 0)]);
    assert_eq!(migrated(Opt::new(old), Opt::new(new), Some((7, 9))).unwrap(), Some((7, 0)));
    assert_eq!(migrated(old, Opt::new(new), (7, 9)).unwrap(), Some((7, 0)));
    assert_eq!(migrated(Tuple2(U8, old), Tuple2(U8, new), (1, (7, 9))).unwrap(), (1, (7, 0)));
    let map = BTreeMap::from([("k".to_owned(), (7, 9))]);
    let migrated_map = migrated(Map::new(Str, old), Map::new(Str, new), map).unwrap();
    assert_eq!(migrated_map, BTreeMap::from([("k".to_owned(), (7, 0))]));
    let verdict = Map::new(Str, List::new(new)).compatibility(&Map::new(Str, List::new(old)).snapshot());
    assert_eq!(verdict, Compatibility::AfterMigration("map value list element gains a longitude".to_owned()));
}

#[test]
fn what_does_not_fit_is_refused_with_both_types() {
    let refused = |error: Error| error.message().to_owned();
    assert_eq!(refused(migrated(U64, Str, 1).unwrap_err()), "was u64, now string");
    assert_eq!(refused(migrated(List::new(U64), List::new(U8), vec![1]).unwrap_err()), "list element was u64, now u8");
    assert_eq!(refused(migrated(Opt::new(U8), U8, Some(1)).unwrap_err()), "was option<u8>, now u8");
    assert_eq!(
        refused(migrated(Tuple2(U8, U8), Tuple3(U8, U8, U8), (1, 2)).unwrap_err()),
        "was (u8, u8), now (u8, u8, u8)"
    );
    assert_eq!(
        refused(migrated(Tuple2(U8, Str), Tuple2(U16, Bool), (1, String::new())).unwrap_err()),
        "tuple field 0 was u8, now u16; tuple field 1 was string, now bool"
    );
    let error = migrated(Custom::new(Geo { version: 3 }), Custom::new(Geo { version: 2 }), (1, 2)).unwrap_err();
    assert_eq!(refused(error), "was geo v3");
}

#[test]
fn a_custom_value_is_read_to_its_end() {
    let geo = Custom::new(Geo { version: 1 });
    let error = geo.read(&mut Reader::new(&[9, 0, 0, 0, 0, 0, 0, 0, 1, 2])).unwrap_err();
    assert_eq!((error.place().offset, error.place().field), (Some(9), Some("custom value")));
}

type Deep = List<Tuple4<Opt<Str>, Map<Bytes, List<I64>>, Unit, Tuple2<U16, Bool>>>;
const DEEP: Deep = List::new(Tuple4(Opt::new(Str), Map::new(Bytes, List::new(I64)), Unit, Tuple2(U16, Bool)));

fn deep() -> impl Strategy<Value = <Deep as Serializer>::Value> {
    let map = proptest::collection::btree_map(any::<Vec<u8>>(), any::<Vec<i64>>(), 0..4);
    proptest::collection::vec((any::<Option<String>>(), map, Just(()), any::<(u16, bool)>()), 0..4)
}

fn round_trips<S: Serializer<Value: PartialEq + Debug>>(serializer: &S, value: &S::Value) {
    let mut out = Writer::new();
    serializer.write(value, &mut out).unwrap();
    let mut input = Reader::new(out.as_slice());
    assert_eq!(&serializer.read(&mut input).unwrap(), value);
    assert!(input.is_empty());
    let description = serializer.snapshot();
    let mut input = Reader::new(out.as_slice());
    description.skip(&mut input).unwrap();
    assert!(input.is_empty());
    let mut input = Reader::new(out.as_slice());
    Value::read(&description, &mut input).unwrap();
    assert!(input.is_empty());
}

/// A description, for reading bytes that nobody wrote under it.
fn description() -> impl Strategy<Value = SerializerSnapshot> {
    use SerializerSnapshot as S;
    let leaf = proptest::sample::select(vec![S::Unit, S::Bool, S::U8, S::I32, S::F64, S::String, S::Bytes, S::Window]);
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| S::List(Box::new(inner))),
            inner.clone().prop_map(|inner| S::Option(Box::new(inner))),
            (inner.clone(), inner.clone()).prop_map(|(key, value)| S::Map(Box::new(key), Box::new(value))),
            proptest::collection::vec(inner, 0..3).prop_map(S::Tuple),
            Just(S::Msgpack(Shape::Any)),
        ]
    })
}

proptest! {
    #[test]
    fn numbers_round_trip_and_keep_their_order(a: i64, b: i64, c: u32, d: f64) {
        let encoded = |value: i64| {
            let mut out = Writer::new();
            I64.write(&value, &mut out).unwrap();
            out.into_bytes()
        };
        prop_assert_eq!(a.cmp(&b), encoded(a).cmp(&encoded(b)));
        round_trips(&I64, &a);
        round_trips(&U32, &c);
        if !d.is_nan() {
            round_trips(&F64, &d);
        }
    }

    #[test]
    fn nested_values_round_trip(value in deep()) {
        round_trips(&DEEP, &value);
    }

    #[test]
    fn any_bytes_are_read_alike_or_refused(description in description(), bytes: Vec<u8>) {
        let (mut walked, mut shown) = (Reader::new(&bytes), Reader::new(&bytes));
        let skipped = description.skip(&mut walked);
        if Value::read(&description, &mut shown).is_ok() {
            prop_assert!(skipped.is_ok());
            prop_assert_eq!(walked.position(), shown.position());
            prop_assert!(shown.position() >= description.min_len());
        }
    }

    #[test]
    fn descriptions_survive_being_stored(description in description()) {
        let mut out = Writer::new();
        description.encode(&mut out).unwrap();
        let mut input = Reader::new(out.as_slice());
        prop_assert_eq!(SerializerSnapshot::decode(&mut input).unwrap(), description);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn any_bytes_are_a_description_or_refused(bytes: Vec<u8>) {
        let mut input = Reader::new(&bytes);
        if let Ok(description) = SerializerSnapshot::decode(&mut input) {
            let mut out = Writer::new();
            description.encode(&mut out).unwrap();
            prop_assert_eq!(out.as_slice(), &bytes[..input.position()]);
        }
    }
}
