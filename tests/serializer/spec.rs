use std::collections::BTreeMap;
use std::fmt::Write;

use millpond::Result;
use millpond::codec::{Reader, Writer};
use millpond::serializer::{
    Bool, Bytes, Custom, CustomSerializer, F32, F64, I8, I16, I32, I64, List, Map, Msgpack, Opt, Serializer,
    SerializerSnapshot, Str, TimeWindow, Tuple2, Tuple3, U8, U16, U32, U64, Unit, Value, Window,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Profile {
    flights: u64,
    last: Option<String>,
    status: Status,
}

#[derive(Clone, Serialize, Deserialize)]
enum Status {
    New,
    #[serde(alias = "Known")]
    Seen(i32),
}

#[derive(Clone, Copy)]
struct Reversed;

impl CustomSerializer for Reversed {
    type Value = Vec<u8>;

    fn name(&self) -> &str {
        "reversed"
    }

    fn version(&self) -> u32 {
        2
    }

    fn parameters(&self) -> Vec<u8> {
        vec![9]
    }

    fn write(&self, value: &Vec<u8>, out: &mut Writer) -> Result<()> {
        value.iter().rev().for_each(|byte| out.u8(*byte));
        Ok(())
    }

    fn read(&self, _version: u32, _parameters: &[u8], input: &mut Reader<'_>) -> Result<Vec<u8>> {
        Ok(input.raw(input.remaining(), "reversed bytes")?.iter().rev().copied().collect())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// One row of the table of vectors, made by the serializer itself.
fn vector<S: Serializer>(serializer: S, value: S::Value) -> Vec<String> {
    let description = serializer.snapshot();
    let (mut stored, mut out) = (Writer::new(), Writer::new());
    description.encode(&mut stored).unwrap();
    serializer.write(&value, &mut out).unwrap();
    let shown = Value::read(&description, &mut Reader::new(out.as_slice())).unwrap();
    vec![description.to_string(), hex(stored.as_slice()), serde_json::to_string(&shown).unwrap(), hex(out.as_slice())]
}

fn vectors() -> Vec<Vec<String>> {
    let seen = Profile { flights: 300, last: Some("JFK".into()), status: Status::Seen(-5) };
    let new = Profile { flights: 0, last: None, status: Status::New };
    vec![
        vector(Unit, ()),
        vector(Bool, true),
        vector(U8, 254),
        vector(U16, 258),
        vector(U32, 16_909_060),
        vector(U64, 1),
        vector(I8, -1),
        vector(I16, -2),
        vector(I32, i32::MIN),
        vector(I64, 5),
        vector(F32, 1.5),
        vector(F64, f64::NEG_INFINITY),
        vector(Str, "né".into()),
        vector(Bytes, vec![0, 255]),
        vector(Window, TimeWindow { start_ms: -1, end_ms: 3_600_000 }),
        vector(Opt::new(U8), None),
        vector(Opt::new(U8), Some(7)),
        vector(List::new(U16), vec![1, 2]),
        vector(List::new(Unit), vec![(), ()]),
        vector(Map::new(Str, U8), BTreeMap::from([("b".into(), 1), ("aa".into(), 2)])),
        vector(Tuple2(Str, Tuple3(U8, Unit, Bool)), ("a".into(), (1, (), false))),
        vector(Msgpack::<Profile>::new(), seen),
        vector(Msgpack::<Profile>::new(), new),
        vector(Custom::new(Reversed), vec![1, 2, 3]),
    ]
}

fn spec() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/formats/serializer/SPEC.md");
    std::fs::read_to_string(path).unwrap()
}

/// The cells of the table under a heading, without their backticks.
fn table(heading: &str) -> Vec<Vec<String>> {
    let spec = spec();
    let section = spec.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = |row: &str| {
        let cells = row.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    rows.map(cells).collect()
}

fn rendered(rows: &[Vec<String>]) -> String {
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().map(|cell| if cell.is_empty() { String::new() } else { format!("`{cell}`") }).collect();
        writeln!(out, "| {} |", cells.join(" | ")).unwrap();
    }
    out
}

#[test]
fn the_vectors_are_what_the_serializers_write() {
    assert!(table("Vectors") == vectors(), "the table of vectors should be\n\n{}", rendered(&vectors()));
}

#[test]
fn the_vectors_are_read_with_no_type_at_hand() {
    for row in table("Vectors") {
        let [name, description, value, encoding] = row.as_slice() else { panic!("{row:?}") };
        let stored = bytes(description);
        let mut input = Reader::new(&stored);
        let description = SerializerSnapshot::decode(&mut input).unwrap();
        assert!(input.is_empty());
        assert_eq!(&description.to_string(), name);
        let encoding = bytes(encoding);
        let mut input = Reader::new(&encoding);
        let shown = Value::read(&description, &mut input).unwrap();
        assert!(input.is_empty());
        assert_eq!(&serde_json::to_string(&shown).unwrap(), value);
        for len in 0..encoding.len() {
            let cut = &encoding[..len];
            assert!(Value::read(&description, &mut Reader::new(cut)).is_err(), "{name} {value} cut off at {len}");
        }
    }
}

fn bad_values() -> Vec<Vec<String>> {
    let bad = |description: SerializerSnapshot, encoding: &str| {
        let error = Value::read(&description, &mut Reader::new(&bytes(encoding))).unwrap_err();
        vec![description.to_string(), encoding.to_owned(), error.to_string()]
    };
    let any = Msgpack::<serde_json::Value>::new().snapshot();
    vec![
        bad(Bool.snapshot(), "02"),
        bad(U32.snapshot(), "00 00 00"),
        bad(Str.snapshot(), "02 61"),
        bad(Str.snapshot(), "01 ff"),
        bad(Str.snapshot(), "81 00 61"),
        bad(Opt::new(U8).snapshot(), "02 00"),
        bad(List::new(U16).snapshot(), "02 00 01 00"),
        bad(List::new(U8).snapshot(), "ff ff ff ff 0f"),
        bad(List::new(Unit).snapshot(), "01 01"),
        bad(Map::new(U8, U8).snapshot(), "02 02 00 01 00"),
        bad(Map::new(U8, U8).snapshot(), "02 01 00 01 00"),
        bad(any.clone(), "01 c1"),
        bad(any.clone(), "02 c0 c0"),
        bad(any.clone(), "03 92 01 a1"),
        bad(any, "05 dd ff ff ff ff"),
        bad(SerializerSnapshot::Unknown { tag: 99, version: 1, payload: vec![] }, "00"),
    ]
}

#[test]
fn bad_values_are_refused_as_the_specification_says() {
    assert!(table("Bad values") == bad_values(), "the table should be\n\n{}", rendered(&bad_values()));
}

fn bad_descriptions() -> Vec<Vec<String>> {
    let nested = |levels: usize| {
        (0..levels).fold("03 01 00".to_owned(), |inner, _| format!("11 01 {:02x} {inner}", inner.split(' ').count()))
    };
    let bad = |description: &str| {
        let error = SerializerSnapshot::decode(&mut Reader::new(&bytes(description))).unwrap_err();
        vec![description.to_owned(), error.to_string()]
    };
    vec![
        bad("03 01"),
        bad("03 01 01 00"),
        bad("11 01 00"),
        bad("11 01 03 03 01 01"),
        bad("13 01 01 02"),
        bad("14 01 01 18"),
        bad("14 01 04 16 01 ff 00"),
        bad("15 01 02 02 61"),
        bad(&nested(32)),
    ]
}

#[test]
fn bad_descriptions_are_refused_as_the_specification_says() {
    assert!(
        table("Bad descriptions") == bad_descriptions(),
        "the table should be\n\n{}",
        rendered(&bad_descriptions())
    );
}
