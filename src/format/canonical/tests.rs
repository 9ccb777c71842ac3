use super::*;
use crate::codec::{Compression, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::format::FormatId;
use crate::format::manifest::KeyGroupAssignment;
use crate::format::record::{StateKind, StateMeta};
use crate::format::schema::Schema;
use crate::format::section::{Owner, SectionId, SectionReader};
use crate::ids::OperatorId;
use crate::key_group::{KeyGroup, MaxParallelism};
use crate::serializer::SerializerSnapshot;

const ID: SectionId =
    SectionId { format: FormatId::Canonical, operator: OperatorId([1; 16]), owner: Owner::KeyGroup(KeyGroup(3)) };

fn write(pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut out = writer(Vec::new(), ID.operator, Compression::None);
    out.begin(ID.owner)?;
    out.begin_state("s", StateKind::Value)?;
    pairs.iter().try_for_each(|(key, value)| out.pair(key, value))?;
    out.finish()?;
    out.close()
}

fn read(bytes: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut order = PairReader::new();
    let mut all = Vec::new();
    for block in SectionReader::new(bytes, 0, ID)? {
        let block = block?;
        for pair in order.pairs(&block) {
            let (key, value) = pair?;
            all.push((key.to_vec(), value.to_vec()));
        }
    }
    Ok(all)
}

fn numbered(count: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..count).map(|number| (number.to_be_bytes().to_vec(), vec![7; 30])).collect()
}

#[test]
fn pairs_come_back_over_many_blocks() {
    let pairs = numbered(10_000);
    let bytes = write(&pairs).unwrap();
    assert!(SectionReader::new(&bytes, 0, ID).unwrap().count() > 3);
    assert_eq!(read(&bytes).unwrap(), pairs);
}

#[test]
fn a_value_can_be_encoded_in_place() {
    let mut out = writer(Vec::new(), ID.operator, Compression::None);
    out.begin(ID.owner).unwrap();
    out.begin_state("s", StateKind::Value).unwrap();
    for (key, value) in numbered(100) {
        out.pair_with(&key, |out| {
            out.raw(&value);
            Ok(())
        })
        .unwrap();
    }
    out.finish().unwrap();
    assert_eq!(out.close().unwrap(), write(&numbered(100)).unwrap());
}

#[test]
fn keys_out_of_order_are_refused_on_writing() {
    let mut pairs = numbered(3);
    pairs.swap(1, 2);
    assert_eq!(write(&pairs).unwrap_err().kind(), ErrorKind::InvalidInput);
    pairs[2] = pairs[1].clone();
    assert_eq!(write(&pairs).unwrap_err().place().state.as_deref(), Some("s"));
}

/// A section as a broken writer would make it: right checksums around entries that `encode` appends.
fn forged(states: &[(&str, u32)], encode: impl Fn(&mut Writer, u32)) -> Vec<u8> {
    use crate::format::section::SectionWriter;
    let mut out = SectionWriter::new(Vec::new(), ID.format, ID.operator, Compression::None);
    out.begin(ID.owner).unwrap();
    for (name, count) in states {
        out.begin_state(name, StateKind::Value).unwrap();
        for number in 0..*count {
            out.entry(|out| {
                encode(out, number);
                Ok(())
            })
            .unwrap();
        }
    }
    out.finish().unwrap();
    out.close().unwrap()
}

fn refused(bytes: &[u8], field: &str) -> Error {
    let error = read(bytes).unwrap_err();
    assert_eq!((error.kind(), error.place().field), (ErrorKind::Corrupt, Some(field)), "{error}");
    assert_eq!((error.place().state.as_deref(), error.place().key_group), (Some("s"), Some(3)));
    error
}

#[test]
fn keys_out_of_order_are_refused_on_reading_within_and_across_blocks() {
    let same_key = |out: &mut Writer, _| {
        out.bytes(b"k");
        out.bytes(b"v");
    };
    let error = refused(&forged(&[("s", 2)], same_key), "key");
    assert!(error.place().offset.is_some());
    let last_of_a_block_again = |out: &mut Writer, number: u32| {
        out.bytes(&[9 - u8::try_from(number).unwrap()]);
        out.bytes(&[0; 70_000]);
    };
    refused(&forged(&[("s", 2)], last_of_a_block_again), "key");
    assert!(read(&forged(&[("a", 1), ("s", 1)], same_key)).is_ok(), "each state starts anew");
}

#[test]
fn entries_must_fill_their_block_exactly() {
    refused(
        &forged(&[("s", 1)], |out, _| {
            out.bytes(b"k");
            out.bytes(b"v");
            out.u8(0);
        }),
        "block",
    );
    refused(&forged(&[("s", 1)], |out, _| out.raw(&[1, b'k', 9])), "value");
}

#[test]
fn an_entry_in_a_foreign_key_group_is_found() {
    let state = StateMeta {
        name: "s".to_owned(),
        kind: StateKind::Value,
        namespace: SerializerSnapshot::Unit,
        user_key: SerializerSnapshot::Unit,
        value: SerializerSnapshot::U8,
        timed: false,
    };
    let schema = Schema { key: &SerializerSnapshot::U32, state: &state };
    let max = MaxParallelism::new(128).unwrap();
    let (mut at_home, mut abroad) = (0, 0);
    for number in 0u32..2000 {
        let key = number.to_be_bytes();
        let bytes = write(&[(key.to_vec(), vec![1])]).unwrap();
        let block = SectionReader::new(&bytes, 0, ID).unwrap().next().unwrap().unwrap();
        let check = EntryCheck { groups: Some((&KeyGroupAssignment::Xxh3, max)) }.check(&schema, &block, &key, &[1]);
        match check {
            Ok(()) => at_home += 1,
            Err(error) => {
                assert_eq!((error.kind(), error.place().field), (ErrorKind::Corrupt, Some("key")));
                abroad += 1;
            }
        }
        assert!(!check_is_ok(&schema, &block, &key, &[1, 2]), "a value with a byte too many");
        assert!(EntryCheck { groups: None }.check(&schema, &block, &key, &[1]).is_ok());
    }
    assert!(at_home > 0 && abroad > 1900, "{at_home} at home, {abroad} abroad");
}

fn check_is_ok(schema: &Schema<'_>, block: &crate::format::section::Block<'_>, key: &[u8], value: &[u8]) -> bool {
    EntryCheck { groups: None }.check(schema, block, key, value).is_ok()
}
