use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{Reader, Writer};
use crate::serializer::Compatibility::{self, AfterMigration, AsIs, Incompatible};
use crate::serializer::{List, Map, Msgpack, Opt, Serializer, SerializerSnapshot, Str};

fn verdict<Old, New>() -> Compatibility
where
    Old: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    New: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let mut stored = Writer::new();
    Msgpack::<Old>::new().snapshot().encode(&mut stored).unwrap();
    let written = SerializerSnapshot::decode(&mut Reader::new(stored.as_slice())).unwrap();
    Msgpack::<New>::new().compatibility(&written)
}

/// Writes each value as the old type and reads it as the new one. Checks that the verdict keeps its promise about both
/// reading and the bytes, and gives the verdict.
fn migrate<Old, New>(values: &[(Old, New)]) -> Compatibility
where
    Old: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    New: Serialize + DeserializeOwned + Clone + Send + Sync + PartialEq + std::fmt::Debug + 'static,
{
    let verdict = verdict::<Old, New>();
    assert!(verdict.is_readable(), "{verdict}");
    for (old, new) in values {
        let mut out = Writer::new();
        Msgpack::new().write(old, &mut out).unwrap();
        let mut input = Reader::new(out.as_slice());
        let read = Msgpack::<New>::new().read_written(&Msgpack::<Old>::new().snapshot(), &mut input).unwrap();
        assert_eq!(&read, new);
        assert!(input.is_empty());
        let mut again = Writer::new();
        Msgpack::new().write(new, &mut again).unwrap();
        // A shape with `any` in it says nothing about the bytes.
        if verdict == AsIs && !Msgpack::<Old>::new().snapshot().to_string().contains("any") {
            assert_eq!(again.as_slice(), out.as_slice(), "as is means that the new type writes the same bytes");
        }
    }
    verdict
}

fn after(change: &str) -> Compatibility {
    AfterMigration(change.to_owned())
}

fn never(reason: &str) -> Compatibility {
    Incompatible(reason.to_owned())
}

/// Types that are written and read in these tests.
macro_rules! types {
    ($($item:item)+) => { $(#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)] $item)+ };
}

mod old {
    use super::*;

    types! {
        pub(super) struct Profile { pub(super) flights: u64, pub(super) minutes: u32, pub(super) last: String }
        pub(super) struct Outer { pub(super) id: u8, pub(super) inner: Vec<Profile> }
        pub(super) enum Status { New, Seen(u32), Pair(u8, u8), Gone { at: i32 } }
        pub(super) enum Bare { A, B }
        pub(super) struct Alone;
        pub(super) struct Metres(pub(super) u32);
    }
}

fn profile() -> old::Profile {
    old::Profile { flights: 7, minutes: 300, last: "JFK".to_owned() }
}

#[test]
fn a_type_is_compatible_with_itself() {
    assert_eq!(migrate(&[(profile(), profile())]), AsIs);
    assert_eq!(verdict::<old::Outer, old::Outer>(), AsIs);
    assert_eq!(verdict::<old::Status, old::Status>(), AsIs);
    assert_eq!(verdict::<serde_json::Value, serde_json::Value>(), AsIs);
    #[derive(Clone, Serialize, Deserialize)]
    enum Tree {
        Leaf(u8),
        #[serde(alias = "Branch")]
        Node(Box<Tree>, Vec<Tree>),
    }
    assert_eq!(verdict::<Tree, Tree>(), AsIs);
}

#[test]
fn fields_may_be_added_with_a_default() {
    types! { struct Profile {
        flights: u64,
        #[serde(default)] gates: Vec<u8>,
        minutes: u32,
        last: String,
        next: Option<String>,
    } }
    let new = Profile { flights: 7, gates: vec![], minutes: 300, last: "JFK".into(), next: None };
    assert_eq!(migrate(&[(profile(), new)]), after("field \"gates\" is new; field \"next\" is new"));
}

#[test]
fn a_field_without_a_default_cannot_be_added() {
    types! {
        struct Profile { flights: u64, minutes: u32, last: String, gates: Vec<u8> }
        struct Outer { id: u8, inner: Vec<Profile> }
    }
    let reason = "field \"gates\" is new and has no default; give it one with #[serde(default)]";
    assert_eq!(verdict::<old::Profile, Profile>(), never(reason));
    assert_eq!(verdict::<old::Outer, Outer>(), never(&reason.replace("gates", "inner[].gates")));
}

#[test]
fn fields_may_be_removed_unless_unknown_ones_are_denied() {
    types! {
        struct Profile { minutes: u32 }
        #[serde(deny_unknown_fields)]
        struct Strict { flights: u64, minutes: u32 }
    }
    let change = "field \"flights\" is dropped; field \"last\" is dropped";
    assert_eq!(migrate(&[(profile(), Profile { minutes: 300 })]), after(change));
    assert_eq!(
        verdict::<old::Profile, Strict>(),
        never("field \"last\" is gone and struct Strict denies unknown fields; keep the field or allow unknown ones")
    );
}

#[test]
fn fields_may_be_reordered_and_renamed_with_an_alias() {
    types! {
        struct Reordered { last: String, flights: u64, minutes: u32 }
        struct Renamed { flights: u64, #[serde(alias = "minutes")] time: u32, last: String }
    }
    let new = Reordered { last: "JFK".into(), flights: 7, minutes: 300 };
    assert_eq!(migrate(&[(profile(), new)]), after("the fields of struct Reordered are reordered"));
    let new = Renamed { flights: 7, time: 300, last: "JFK".into() };
    assert_eq!(migrate(&[(profile(), new)]), after("field \"minutes\" is now called \"time\""));
}

#[test]
fn a_field_of_another_type_is_named_with_both_types() {
    types! {
        struct Profile { flights: u64, minutes: String, last: String }
        struct Outer { id: u8, inner: Vec<Profile> }
    }
    assert_eq!(verdict::<old::Profile, Profile>(), never("field \"minutes\" was u32, now string"));
    assert_eq!(verdict::<old::Outer, Outer>(), never("field \"inner[].minutes\" was u32, now string"));
    assert_eq!(verdict::<old::Profile, u8>(), never("was struct Profile, now u8"));
}

#[test]
fn integers_may_become_wider_but_not_narrower() {
    assert_eq!(migrate(&[(0u8, 0u64), (200, 200)]), AsIs);
    assert_eq!(migrate(&[(0u32, 0i64), (u32::MAX, i64::from(u32::MAX))]), AsIs);
    assert_eq!(migrate(&[(-1i8, -1i16), (127, 127), (-128, -128)]), AsIs);
    assert_eq!(migrate(&[(-200i16, -200i64), (30_000, 30_000)]), AsIs);
    assert_eq!(migrate(&[(5u64, 5u128), (u64::MAX, u128::from(u64::MAX))]), after("was u64, now u128"));
    assert_eq!(migrate(&[(-5i64, -5i128)]), after("was i64, now i128"));
    assert_eq!(migrate(&[(5u64, 5i128)]), after("was u64, now i128"));
    assert_eq!(verdict::<u64, u32>(), never("was u64, now u32"));
    assert_eq!(verdict::<u64, i64>(), never("was u64, now i64"));
    assert_eq!(verdict::<i8, u64>(), never("was i8, now u64"));
    assert_eq!(verdict::<u128, u64>(), never("was u128, now u64"));
    assert_eq!(verdict::<bool, u8>(), never("was bool, now u8"));
}

#[test]
fn numbers_may_become_floats_that_hold_them_exactly() {
    assert_eq!(migrate(&[(0.5f32, 0.5f64)]), after("was f32, now f64"));
    assert_eq!(migrate(&[(u32::MAX, f64::from(u32::MAX))]), after("was u32, now f64"));
    assert_eq!(migrate(&[(-300i16, -300f32)]), after("was i16, now f32"));
    assert_eq!(verdict::<f64, f32>(), never("was f64, now f32"));
    assert_eq!(verdict::<u64, f64>(), never("was u64, now f64"));
    assert_eq!(verdict::<u32, f32>(), never("was u32, now f32"));
    assert_eq!(verdict::<f32, u64>(), never("was f32, now u64"));
}

#[test]
fn a_value_may_become_optional_but_not_the_other_way_round() {
    types! { struct Profile { flights: Option<u64>, minutes: Option<u64>, last: String } }
    let new = Profile { flights: Some(7), minutes: Some(300), last: "JFK".into() };
    assert_eq!(migrate(&[(profile(), new)]), AsIs);
    assert_eq!(verdict::<Profile, old::Profile>().to_string(), {
        "incompatible: field \"flights\" was option<u64>, now u64; field \"minutes\" was option<u64>, now u32"
    });
    assert_eq!(migrate(&[(Some(1u8), Some(1u16)), (None, None)]), AsIs);
}

#[test]
fn variants_may_be_added_but_not_removed() {
    types! {
        enum Status { Lost(String), Gone { at: i64, #[serde(default)] why: u8 }, New, Seen(u64), Pair(u16, u8) }
        enum Fewer { New, Seen(u32) }
        enum Other { New(u8), Seen, Pair(u8, u8), Gone { at: String } }
        struct Holder { status: Fewer }
        struct OldHolder { status: old::Status }
    }
    use old::Status as Old;
    let pairs = [
        (Old::New, Status::New),
        (Old::Seen(9), Status::Seen(9)),
        (Old::Pair(1, 2), Status::Pair(1, 2)),
        (Old::Gone { at: -3 }, Status::Gone { at: -3, why: 0 }),
    ];
    assert_eq!(migrate(&pairs), after("field \"::Gone.why\" is new"));
    let gone = "has no variant \"Pair\" any more; ";
    assert_eq!(
        verdict::<Old, Fewer>(),
        never(&format!("enum Fewer {gone}enum Fewer has no variant \"Gone\" any more"))
    );
    assert_eq!(
        verdict::<OldHolder, Holder>(),
        never(&format!("field \"status\" {gone}field \"status\" has no variant \"Gone\" any more"))
    );
    assert_eq!(
        verdict::<Old, Other>(),
        never(
            "variant \"::New\" was its name alone, now holds u8; variant \"::Seen\" held u32, now is its name alone; \
             field \"::Gone.at\" was i32, now string"
        )
    );
}

#[test]
fn variants_may_be_renamed_with_an_alias_and_taken_by_other() {
    types! {
        enum Renamed { #[serde(alias = "A")] First, B, C }
        enum Later { First, B }
        enum Open { A, #[serde(other)] Rest }
    }
    let pairs = [(old::Bare::A, Renamed::First), (old::Bare::B, Renamed::B)];
    assert_eq!(migrate(&pairs), after("variant \"A\" of enum Renamed has other names"));
    let verdict = verdict::<Renamed, Later>();
    assert!(verdict.to_string().ends_with("enum Later has no variant \"C\" any more"), "{verdict}");
    let pairs = [(old::Bare::A, Open::A), (old::Bare::B, Open::Rest)];
    assert_eq!(migrate(&pairs), after("enum Open has no variant \"B\" any more"));
    assert!(!self::verdict::<old::Status, Open>().is_readable(), "serde reads only bare names as other");
}

#[test]
fn containers_of_like_contents() {
    assert_eq!(migrate(&[((1u8, 2u8), vec![1u16, 2])]), AsIs);
    assert_eq!(migrate(&[([1u8, 2], (1u8, 2u32))]), AsIs);
    assert_eq!(verdict::<Vec<u8>, (u8, u8)>(), never("was list<u8>, now (u8, u8)"));
    assert_eq!(verdict::<(u8, u8), (u8, u8, u8)>(), never("was (u8, u8), now (u8, u8, u8)"));
    assert_eq!(verdict::<(u8, String), Vec<u8>>(), never("field \"[1]\" was string, now u8"));
    let map = BTreeMap::from([(3u8, 5u8)]);
    assert_eq!(migrate(&[(map.clone(), BTreeMap::from([(3u64, 5i32)]))]), AsIs);
    assert_eq!(verdict::<BTreeMap<u8, u8>, BTreeMap<String, u8>>(), never("field \"{key}\" was u8, now string"));
    types! { struct Counts { a: u8, b: u16 } }
    let counts = BTreeMap::from([("a".to_owned(), 1u32), ("b".to_owned(), 2)]);
    assert_eq!(migrate(&[(Counts { a: 1, b: 2 }, counts)]), after("was struct Counts, now map<string, u32>"));
    assert!(!verdict::<BTreeMap<String, u8>, Counts>().is_readable());
    assert_eq!(migrate(&[('é', "é".to_owned())]), AsIs);
    assert_eq!(verdict::<String, char>(), never("was string, now char"));
    assert_eq!(migrate(&[(old::Bare::A, "A".to_owned())]), AsIs);
    assert!(!verdict::<old::Status, String>().is_readable());
}

#[test]
fn what_messagepack_does_not_show_does_not_matter() {
    assert_eq!(migrate(&[(old::Metres(5), 5u32)]), AsIs);
    assert_eq!(migrate(&[(5u16, old::Metres(5))]), AsIs);
    assert_eq!(migrate(&[(profile(), Box::new(profile()))]), AsIs);
    assert_eq!(migrate(&[((), old::Alone)]), after("was unit, now ()"));
    assert_eq!(migrate(&[(old::Alone, old::Alone)]), AsIs);
    assert!(!verdict::<old::Alone, ()>().is_readable());
}

#[test]
fn what_cannot_be_told_is_accepted() {
    types! {
        #[serde(tag = "type")]
        enum Tagged { A { a: u8 }, B }
        #[serde(tag = "type")]
        enum TaggedMore { A { a: u8, #[serde(default)] b: u8 }, B, C }
        #[serde(untagged)]
        enum Number { Whole(u64), Real(f64) }
        struct Flat { id: u8, #[serde(flatten)] rest: old::Profile }
        #[serde(tag = "t", content = "c")]
        enum Adjacent { A(u8), B(String) }
        #[serde(tag = "t", content = "c")]
        enum AdjacentMore { A(u8), B(String), C }
        #[serde(tag = "t", content = "c")]
        enum AdjacentLess { A(u8) }
    }
    assert_eq!(migrate(&[(Tagged::A { a: 1 }, TaggedMore::A { a: 1, b: 0 }), (Tagged::B, TaggedMore::B)]), AsIs);
    assert_eq!(migrate(&[(5u64, Number::Whole(5))]), after("was u64, now any"));
    assert_eq!(migrate(&[(Number::Real(0.5), 0.5f64)]), after("was any, now f64"));
    assert_eq!(migrate(&[(Flat { id: 1, rest: profile() }, profile())]), after("was any, now struct Profile"));
    assert_eq!(migrate(&[(Adjacent::B("x".into()), AdjacentMore::B("x".into()))]), AsIs);
    assert_eq!(verdict::<Adjacent, AdjacentLess>(), never("field \"t\" has no variant \"B\" any more"));
}

#[test]
fn bytes_and_lists_of_numbers() {
    #[derive(Debug, Clone, PartialEq)]
    struct Blob(Vec<u8>);
    impl Serialize for Blob {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&self.0)
        }
    }
    impl<'de> Deserialize<'de> for Blob {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Blob;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("bytes")
                }
                fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                    Ok(Blob(bytes.to_vec()))
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Blob, A::Error> {
                    let mut bytes = Vec::new();
                    while let Some(byte) = seq.next_element()? {
                        bytes.push(byte);
                    }
                    Ok(Blob(bytes))
                }
            }
            deserializer.deserialize_bytes(Visitor)
        }
    }
    assert_eq!(migrate(&[(Blob(vec![1, 200]), vec![1u8, 200])]), after("was bytes, now list<u8>"));
    assert_eq!(migrate(&[(vec![1u8, 200], Blob(vec![1, 200]))]), after("was list<u8>, now bytes"));
    assert_eq!(verdict::<Vec<u16>, Blob>(), never("was list<u16>, now bytes"));
    assert_eq!(verdict::<Blob, Vec<String>>(), never("was bytes, now list<string>"));
}

#[test]
fn composites_of_serde_types_judge_and_migrate_their_parts() {
    types! { struct Profile { flights: u64, minutes: u32, #[serde(default)] gate: u8 } }
    let old = Map::new(Str, List::new(Msgpack::<old::Profile>::new()));
    let new = Map::new(Str, Opt::new(List::new(Msgpack::<Profile>::new())));
    let mut out = Writer::new();
    old.write(&BTreeMap::from([("k".to_owned(), vec![profile()])]), &mut out).unwrap();
    let verdict = new.compatibility(&old.snapshot());
    assert!(
        matches!(&verdict, AfterMigration(change) if change.starts_with("map value was list<msgpack struct Profile"))
    );
    let read = new.read_written(&old.snapshot(), &mut Reader::new(out.as_slice())).unwrap();
    assert_eq!(read["k"], Some(vec![Profile { flights: 7, minutes: 300, gate: 0 }]));
    let list = List::new(Msgpack::<Profile>::new());
    let verdict = list.compatibility(&List::new(Msgpack::<old::Profile>::new()).snapshot());
    assert_eq!(verdict, after("list element field \"last\" is dropped; field \"gate\" is new"));
    assert!(!list.compatibility(&List::new(Str).snapshot()).is_readable());
}
