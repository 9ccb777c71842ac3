use super::*;
use crate::error::ErrorKind;
use crate::format::flink::JavaString;
use crate::format::flink::key_group::of_hash;
use crate::format::flink::samples::{header, max, unhex};
use crate::format::flink::serializer::Simple;
use crate::format::flink::value::Value;

/// Every state once, in another order than in the header; the list has no entries.
const BODY: &str = "0003 00000001 8000000000000005 00000007 00 \
    0001 00000000 \
    0000 00000001 00 00000007 00000005 \
    0002 00000001 00 00000007 00000002 0261 00 00000009 0262 01";

fn file() -> (KeyedHeader, KeyGroup, Vec<u8>) {
    let group = of_hash(7, max(128));
    let bytes = unhex(&format!("{:08X} {BODY}", group.0));
    (header(Simple::Int, Simple::VoidNamespace), group, bytes)
}

fn walk(header: &KeyedHeader, group: KeyGroup, bytes: &[u8]) -> Result<Vec<(u16, KeyedEntry)>> {
    Block::open(header, group, max(128), bytes, 0)?.entries(header).collect()
}

#[test]
fn a_block_of_every_kind_of_state() {
    let (header, group, bytes) = file();
    let entries = walk(&header, group, &bytes).unwrap();
    let ids: Vec<u16> = entries.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [3, 0, 2]);
    assert_eq!(entries[0].1.content, Content::Timer { timestamp: 5 });
    assert_eq!(entries[1].1.content, Content::Value(Value::Int(5)));
    let flat = entries[2].1.clone().flatten();
    let user_key = Value::String(JavaString::Text("b".to_owned()));
    assert_eq!(flat[1].content, Content::MapEntry { user_key, value: Value::Null });
    assert_eq!(flat.len(), 2);
}

#[test]
fn every_truncation_is_an_error_and_every_flip_ends() {
    let (header, group, bytes) = file();
    for length in 0..bytes.len() {
        let error = walk(&header, group, &bytes[..length]).unwrap_err();
        assert!(error.place().offset.is_some() && error.place().key_group.is_some(), "{length}: {error}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Err(error) = walk(&header, group, &damaged) {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{bit}: {error}");
        }
    }
}

#[test]
fn contradictions_are_refused() {
    let (header, group, bytes) = file();
    let text = |bytes: &[u8]| walk(&header, group, bytes).unwrap_err().to_string();
    let mut wrong = bytes.clone();
    wrong[3] ^= 1;
    assert!(text(&wrong).contains("in the block of key group"));
    assert!(text(&[bytes.as_slice(), &[0]].concat()).contains("unexpected bytes"));
    let repeated = [&bytes[..4], &unhex("0001 00000000 0001 00000000")].concat();
    assert!(text(&repeated).contains("1 occurs twice"));
    let unknown = [&bytes[..4], &unhex("0009 00000000")].concat();
    assert!(text(&unknown).contains("the file has 4 states"));
    let misplaced = [&bytes[..4], &unhex("0000 00000001 00 00000008 00000005")].concat();
    assert!(text(&misplaced).contains("belongs to key group"));
}

#[test]
fn a_state_that_is_not_known_hides_what_follows_its_entries() {
    let (mut header, group, bytes) = file();
    header.states.truncate(1);
    header.unreadable = Some(crate::format::flink::header::Unreadable { reason: "why".into(), offset: 9 });
    let block = Block::open(&header, group, max(128), &bytes, 0).unwrap();
    let error = block.entries(&header).next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.message().contains("why"), "{error}");

    let known_first =
        unhex(&format!("{:08X} 0001 00000000 0000 00000001 00 00000007 00000005 0002 00000001 00", group.0));
    let block = Block::open(&header, group, max(128), &known_first, 0).unwrap();
    let mut entries = block.entries(&header);
    assert_eq!(entries.next().unwrap().unwrap().1.content, Content::Value(Value::Int(5)));
    assert_eq!(entries.next().unwrap().unwrap_err().kind(), ErrorKind::Incompatible);
    assert!(entries.next().is_none());

    header.key = None;
    let block = Block::open(&header, group, max(128), &known_first, 0).unwrap();
    assert_eq!(block.entries(&header).next().unwrap().unwrap_err().kind(), ErrorKind::Incompatible);
}
