use super::*;
use crate::error::ErrorKind;
use crate::format::flink::header::{StateInfo, StateType};
use crate::format::flink::samples::{simple, unhex};
use crate::format::flink::serializer::Simple;

fn info(name: &str, state_type: StateType, serializers: &[(&str, Simple)]) -> StateInfo {
    StateInfo {
        name: name.to_owned(),
        state_type,
        options: Vec::new(),
        serializers: serializers.iter().map(|(role, kind)| ((*role).to_owned(), simple(*kind))).collect(),
    }
}

fn header() -> OperatorHeader {
    OperatorHeader {
        compressed: false,
        lists: vec![
            info("ints", StateType::Operator, &[("VALUE_SERIALIZER", Simple::Int)]),
            info("nulls", StateType::Operator, &[("VALUE_SERIALIZER", Simple::NullValue)]),
        ],
        broadcasts: vec![info(
            "rules",
            StateType::Broadcast,
            &[("KEY_SERIALIZER", Simple::Byte), ("VALUE_SERIALIZER", Simple::Short)],
        )],
        unreadable: None,
    }
}

fn at(name: &str, distribution: Distribution, offsets: &[u64]) -> PartitionOffsets {
    PartitionOffsets { name: name.to_owned(), distribution, offsets: offsets.to_vec() }
}

fn read(header: &OperatorHeader, states: &[PartitionOffsets], file: &[u8]) -> Result<Vec<Value>> {
    elements(header, states, file).map(|element| element.map(|element| element.value)).collect()
}

/// Two integers behind a header of two bytes, nulls without bytes between them, and a map.
const FILE: &str = "AAAA 00000001 00000002 00000001 07 0008";

#[test]
fn elements_end_where_the_next_one_begins() {
    let states = [
        at("rules", Distribution::Broadcast, &[10]),
        at("nulls", Distribution::Split, &[6, 6]),
        at("ints", Distribution::Union, &[2, 6]),
    ];
    let values = read(&header(), &states, &unhex(FILE)).unwrap();
    assert_eq!(
        values,
        [Value::Map(vec![(Value::Byte(7), Value::Short(8))]), Value::Null, Value::Null, Value::Int(1), Value::Int(2),]
    );
}

#[test]
fn wrong_positions_are_refused() {
    let file = unhex(FILE);
    for offsets in [&[2u64, 7][..], &[3, 6], &[2, 6, 99], &[u64::MAX], &[6]] {
        let states = [at("ints", Distribution::Split, offsets), at("rules", Distribution::Broadcast, &[11])];
        let error = read(&header(), &states, &file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{offsets:?}: {error}");
        assert!(error.place().state.is_some(), "{error}");
    }
}

#[test]
fn a_state_that_the_header_does_not_have_is_damage_unless_the_header_is_unreadable() {
    let states = [at("other", Distribution::Split, &[2])];
    let file = unhex("AAAA BB");
    assert_eq!(read(&header(), &states, &file).unwrap_err().kind(), ErrorKind::Corrupt);
    let unreadable = Some(crate::format::flink::header::Unreadable { reason: "why".into(), offset: 0 });
    let partial = OperatorHeader { unreadable, ..header() };
    let values = read(&partial, &states, &file).unwrap();
    assert_eq!(values, [Value::Opaque { class: "unknown".into(), bytes: vec![0xBB] }]);
}
