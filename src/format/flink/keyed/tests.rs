use super::decode::measure;
use super::*;
use crate::error::ErrorKind;
use crate::format::flink::header::{StateInfo, StateType};
use crate::format::flink::samples::{header, max, of, simple, state, unhex};
use crate::format::flink::serializer::{Simple, TypeSerializer};
use crate::format::flink::{Content, JavaString, Value};

fn text(text: &str) -> Value {
    Value::String(JavaString::Text(text.to_owned()))
}

fn read(header: &KeyedHeader, group: u16, groups: u32, hex: &str) -> Result<Vec<KeyedEntry>> {
    let bytes = unhex(hex);
    let block = Block::open(header, KeyGroup(group), max(groups), &bytes, 100)?;
    block.entries(header).map(|entry| entry?.decode(header)).collect()
}

fn entry(key: Value, content: Content) -> KeyedEntry {
    KeyedEntry { key, namespace: Value::Null, content }
}

/// Key 7 belongs to key group 100 of 128: a value, a list, a map entry, a null in a map, and a timer.
const BLOCK: &str = "0000 00000006 E4 00000007 00 00000004 00000005 \
    0001 00000006 E4 00000007 00 00000005 0001 2C 0002 \
    0002 00000008 64 00000007 00 0261 00000005 00 00000009 \
         00000008 E4 00000007 00 0262 00000005 01 00000000 \
    0003 0000000E E4 7FFFFFFFFFFFFFFF 00000007 00 00000000 FFFF";

#[test]
fn a_block_of_every_kind_of_state() {
    let header = header(Simple::Int, Simple::VoidNamespace);
    let entries = read(&header, group_of_seven(), 128, &block()).unwrap();
    let map_entry = |key: &str, value| Content::MapEntry { user_key: text(key), value };
    assert_eq!(
        entries,
        [
            entry(Value::Int(7), Content::Value(Value::Int(5))),
            entry(Value::Int(7), Content::Value(Value::List(vec![Value::Short(1), Value::Short(2)]))),
            entry(Value::Int(7), map_entry("a", Value::Int(9))),
            entry(Value::Int(7), map_entry("b", Value::Null)),
            entry(Value::Int(7), Content::Timer { timestamp: -1 }),
        ]
    );
}

fn group_of_seven() -> u16 {
    crate::format::flink::key_group::of_hash(7, max(128)).0
}

/// The block, with the key group that the key really has.
fn block() -> String {
    let group = group_of_seven();
    BLOCK.replace("E4 ", &format!("{:02X} ", group | 0x80)).replace(" 64 ", &format!(" {group:02X} "))
}

#[test]
fn every_truncation_is_an_error_and_every_flip_ends() {
    let header = header(Simple::Int, Simple::VoidNamespace);
    let bytes = unhex(&block());
    let walk = |bytes: &[u8]| -> Result<usize> {
        let block = Block::open(&header, KeyGroup(group_of_seven()), max(128), bytes, 0)?;
        let decoded: Result<Vec<KeyedEntry>> = block.entries(&header).map(|entry| entry?.decode(&header)).collect();
        decoded.map(|entries| entries.len())
    };
    for length in 0..bytes.len() {
        let error = walk(&bytes[..length]).unwrap_err();
        assert!(error.place().offset.is_some() && error.place().key_group.is_some(), "{length}: {error}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Err(error) = walk(&damaged) {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{bit}: {error}");
        }
    }
}

/// An entry and every entry that one flipped bit, a missing end or a further byte makes of it.
fn damaged<'e>(entry: &Entry<'e>, mut visit: impl FnMut(&Entry<'_>)) {
    visit(entry);
    for (whole, is_key) in [(entry.key, true), (entry.value, false)] {
        let mut with = |bytes: &[u8]| {
            let changed = entry.clone();
            if is_key { visit(&Entry { key: bytes, ..changed }) } else { visit(&Entry { value: bytes, ..changed }) }
        };
        (0..whole.len()).for_each(|length| with(&whole[..length]));
        with(&[whole, &[0]].concat());
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            with(&bytes);
        }
    }
}

#[test]
fn usual_entries_are_judged_like_all_others() {
    for (key, namespace, key_hex) in [
        (Simple::Int, Simple::VoidNamespace, "00000007 00"),
        (Simple::Long, Simple::TimeWindow, "0000000000000007 00000000000000010000000000000002"),
        (Simple::String, Simple::VoidNamespace, "026B 00"),
        (Simple::String, Simple::String, "026B 02 036E73 03"),
        (Simple::Short, Simple::VoidNamespace, "0007 00"),
    ] {
        let header = header(key, namespace);
        let contents = [("", "00000005"), ("", "0001 2C 0002"), ("0261", "00 00000009"), ("0261", "01"), ("", "")];
        for ((rest, value), state_id) in contents.into_iter().zip([0, 1, 2, 2, 3]) {
            let key_hex =
                if state_id == 3 { key_hex.replace("026B 02 036E73 03", "026B 036E73") } else { key_hex.into() };
            let timestamp = if state_id == 3 { "7FFFFFFFFFFFFFFF" } else { "" };
            let (key, value) = (unhex(&format!("{timestamp} {key_hex} {rest}")), unhex(value));
            let decoder = StateDecoder::of(&header, state_id).unwrap();
            let group = (0..128)
                .map(KeyGroup)
                .find(|group| decoder.judged_parts(&Entry::of_pair(state_id, *group, max(128), &key, &value)).is_ok());
            let entry = Entry::of_pair(state_id, group.unwrap(), max(128), &key, &value);
            let mut usual = 0;
            damaged(&entry, |entry| {
                let judged = decoder.judged_parts(entry).and_then(|parts| parts.read::<Value>());
                let is_usual = decoder.has_usual(entry);
                assert!(!is_usual || judged.is_ok(), "{entry:?}: {judged:?}");
                usual += usize::from(is_usual);
                if let Some(parts) = decoder.usual_parts(entry) {
                    let read = parts.read::<Value>().map_err(|error| error.to_string());
                    assert_eq!(read, judged.map_err(|error| error.to_string()), "{entry:?}");
                }
            });
            assert!(usual > 0 || matches!(header.key, Some(ref key) if *key == simple(Simple::Short)), "{entry:?}");
        }
    }
}

#[test]
fn contradictions_are_refused() {
    let header = header(Simple::Int, Simple::VoidNamespace);
    let group = group_of_seven();
    let last = format!("{:02X}", group | 0x80);
    let cases = [
        (format!("0004 00000006 {last} 00000007 00 00000004 00000005 FFFF"), "the file has 4 states"),
        (format!("0000 00000006 {last} 00000007 00 00000004 00000005 FFFF 00"), "unexpected bytes"),
        (format!("0000 00000006 {last} 00000007 00 00000005 0000000500 FFFF"), "follow a complete value"),
        (format!("0000 00000007 {last} 00000007 00 00 00000004 00000005 FFFF"), "unexpected bytes"),
        (format!("0000 00000006 {last} 00000008 00 00000004 00000005 FFFF"), "belongs to key group"),
        (format!("0001 00000006 {last} 00000007 00 00000003 0001 2C FFFF"), "not followed by an element"),
        (format!("0001 00000006 {last} 00000007 00 00000005 0001 2D 0002 FFFF"), "expected [2c]"),
        ("0000 00000006 FF 00000007 00 00000004 00000005 FFFF".to_owned(), "in the block of key group"),
        ("0000 00000000 00000004 00000005 FFFF".to_owned(), "needs 1 bytes"),
        ("0000 7FFFFFFF 00".to_owned(), "at most"),
    ];
    for (hex, part) in cases {
        let error = read(&header, group, 128, &hex).unwrap_err();
        assert!(error.message().contains(part), "{error} does not say {part}");
        assert!(error.place().offset.is_some_and(|offset| offset >= 100), "{error}");
    }
}

#[test]
fn lengths_stand_behind_parts_only_where_both_vary() {
    // Key group 5 of 128, key "k", namespace "ns" and the user's key "u", as Flink wrote them.
    let header = header(Simple::String, Simple::String);
    let key = unhex("05 026B 02 036E73 03 0275");
    let value = unhex("00 00000009");
    let (group, stored) = Entry::of_database(2, &key, &value, max(128)).unwrap();
    assert_eq!(group, KeyGroup(5));
    let placed = Entry { placement: Placement { group: real_group("k"), max: max(128) }, ..stored };
    let expected = Content::MapEntry { user_key: text("u"), value: Value::Int(9) };
    let decoded = placed.decode(&header).unwrap();
    assert_eq!((decoded.key, decoded.namespace, decoded.content), (text("k"), text("ns"), expected));
    let wrong = unhex("05 026B 03 036E73 03 0275");
    let wrong = Entry { key: &wrong[1..], ..placed };
    assert!(wrong.decode(&header).unwrap_err().message().contains("does not say 2"));
}

fn real_group(key: &str) -> KeyGroup {
    let hash = JavaString::Text(key.to_owned()).java_hash();
    crate::format::flink::key_group::of_hash(hash, max(128))
}

#[test]
fn long_lengths_take_more_bytes() {
    let measured = |length: usize, hex: &str| measure(length, &mut Reader::new(&unhex(hex)), "length");
    assert!(measured(0, "00").is_ok());
    assert!(measured(300, "2C 01").is_ok());
    assert!(measured(300, "2C 02").is_err());
    assert!(measured(300, "2C").is_err());
}

#[test]
fn database_keys_have_one_or_two_bytes_of_key_group() {
    let bytes = unhex("00 1A 03 6B 32 00");
    let (group, entry) = Entry::of_database(0, &bytes, &[], max(300)).unwrap();
    assert_eq!((group, entry.key), (KeyGroup(26), &bytes[2..]));
    assert!(Entry::of_database(0, &unhex("012C"), &[], max(300)).is_err(), "group 300 of 300");
    assert!(Entry::of_database(0, &[], &[], max(1)).is_err());
}

#[test]
fn what_only_its_own_program_reads_is_opaque() {
    let user = || of(TypeSerializer::UserValue { class: "U".into() });
    let mut header = header(Simple::Int, Simple::VoidNamespace);
    header.states = vec![
        state("value", "VALUE", simple(Simple::VoidNamespace), user()),
        state("list", "LIST", simple(Simple::VoidNamespace), of(TypeSerializer::List(Box::new(user())))),
    ];
    let opaque = |bytes: &[u8]| Content::Value(Value::Opaque { class: "U".into(), bytes: bytes.to_vec() });
    let group = group_of_seven();
    let last = format!("{:02X}", group | 0x80);
    let hex =
        format!("0000 00000006 {last} 00000007 00 00000002 AABB 0001 00000006 {last} 00000007 00 00000003 AA2CBB FFFF");
    let entries = read(&header, group, 128, &hex).unwrap();
    assert_eq!(entries[0].content, opaque(&[0xAA, 0xBB]));
    assert_eq!(entries[1].content, opaque(&[0xAA, 0x2C, 0xBB]));

    // An opaque key ends where a namespace of fixed length begins.
    header.key = Some(user());
    header.states = vec![state("value", "VALUE", simple(Simple::TimeWindow), simple(Simple::Int))];
    let hex = format!("0000 00000013 {last} CAFE 0000000000000001 0000000000000002 00000004 00000005 FFFF");
    let entries = read(&header, group, 128, &hex).unwrap();
    assert_eq!(entries[0].key, Value::Opaque { class: "U".into(), bytes: vec![0xCA, 0xFE] });
    assert_eq!(entries[0].namespace, Value::Window { start: 1, end: 2 });

    // So does that of a timer.
    let timer = TypeSerializer::Timer { key: Box::new(user()), namespace: Box::new(simple(Simple::VoidNamespace)) };
    header.states = vec![StateInfo {
        name: "timer".to_owned(),
        state_type: StateType::PriorityQueue,
        options: Vec::new(),
        serializers: vec![("VALUE_SERIALIZER".to_owned(), of(timer))],
    }];
    let hex = format!("0000 0000000C {last} 8000000000000005 CAFE 00 00000000 FFFF");
    let entries = read(&header, group, 128, &hex).unwrap();
    assert_eq!(entries[0].key, Value::Opaque { class: "U".into(), bytes: vec![0xCA, 0xFE] });
    assert_eq!(entries[0].content, Content::Timer { timestamp: 5 });
    let stored = unhex("8000000000000005 CAFE 00");
    let parts = KeyBytes::read(&header, 0, &stored).unwrap();
    assert_eq!((parts.key, parts.namespace), (&[0xCA, 0xFE][..], &[0][..]));
}

#[test]
fn elements_can_take_no_bytes() {
    let mut header = header(Simple::Int, Simple::VoidNamespace);
    let element = Box::new(simple(Simple::NullValue));
    header.states = vec![state("list", "LIST", simple(Simple::VoidNamespace), of(TypeSerializer::List(element)))];
    let group = group_of_seven();
    let last = format!("{:02X}", group | 0x80);
    let hex = format!("0000 00000006 {last} 00000007 00 00000002 2C2C FFFF");
    let entries = read(&header, group, 128, &hex).unwrap();
    assert_eq!(entries[0].content, Content::Value(Value::List(vec![Value::Null; 3])));
}

#[test]
fn entries_of_states_that_could_not_be_read_are_still_walked() {
    let mut header = header(Simple::Int, Simple::VoidNamespace);
    header.states.truncate(1);
    header.unreadable = Some(crate::format::flink::header::Unreadable { reason: "an unknown class".into(), offset: 9 });
    let bytes = unhex(&block());
    let block = Block::open(&header, KeyGroup(group_of_seven()), max(128), &bytes, 0).unwrap();
    let entries: Vec<Entry<'_>> = block.entries(&header).collect::<Result<_>>().unwrap();
    assert_eq!(entries.len(), 5);
    assert!(entries[0].decode(&header).is_ok());
    assert_eq!(entries[1].decode(&header).unwrap_err().kind(), ErrorKind::Incompatible);
}

#[cfg(feature = "snappy")]
#[test]
fn compressed_blocks_are_checked() {
    use std::io::Write;
    let mut header = header(Simple::Int, Simple::VoidNamespace);
    header.compressed = true;
    let mut writer = snap::write::FrameEncoder::new(Vec::new());
    let raw = unhex(&block());
    writer.write_all(&raw).unwrap();
    let bytes = writer.into_inner().unwrap();
    let group = KeyGroup(group_of_seven());
    let walk = |bytes: &[u8]| -> Result<usize> {
        let block = Block::open(&header, group, max(128), bytes, 0)?;
        block.entries(&header).try_fold(0, |count, entry| entry.map(|_| count + 1))
    };
    assert_eq!(walk(&bytes).unwrap(), 5);
    for length in 0..bytes.len() {
        assert!(walk(&bytes[..length]).is_err(), "{length}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // Another reference to equal bytes expands to the same.
        if walk(&damaged).is_ok() {
            let block = Block::open(&header, group, max(128), &damaged, 0).unwrap();
            assert_eq!(*block.bytes, raw, "bit {bit}");
        }
    }
}
