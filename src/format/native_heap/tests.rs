use super::*;
use crate::codec::{Compression, Writer};
use crate::error::{ErrorKind, Result};
use crate::format::FormatId;
use crate::format::record::{StateKind, StateMeta};
use crate::format::schema::{PROCESSING_TIME, Schema};
use crate::format::section::{Owner, SectionId, SectionReader};
use crate::ids::OperatorId;
use crate::key_group::KeyGroup;
use crate::serializer::SerializerSnapshot as S;

const ID: SectionId =
    SectionId { format: FormatId::NativeHeap, operator: OperatorId([1; 16]), owner: Owner::KeyGroup(KeyGroup(3)) };

fn state(kind: StateKind, value: S, timed: bool) -> StateMeta {
    let user_key = if kind == StateKind::Map { S::String } else { S::Unit };
    StateMeta { name: "s".to_owned(), kind, namespace: S::U16, user_key, value, timed }
}

fn section(kind: StateKind, entries: &[Writer]) -> Vec<u8> {
    let mut out = writer(Vec::new(), ID.operator, Compression::None);
    out.begin(ID.owner).unwrap();
    out.begin_state("s", kind).unwrap();
    for entry in entries {
        out.entry(|out| {
            out.raw(entry.as_slice());
            Ok(())
        })
        .unwrap();
    }
    out.finish().unwrap();
    out.close().unwrap()
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn pairs(bytes: &[u8], state: &StateMeta) -> Result<Pairs> {
    let mut all = Vec::new();
    for block in SectionReader::new(bytes, 0, ID)? {
        let block = block?;
        let mut entries = Entries::new(&block, Schema { key: &S::U8, state });
        while let Some((key, value)) = entries.next_pair()? {
            all.push((key.to_vec(), value.to_vec()));
        }
    }
    Ok(all)
}

fn encoded(encode: impl FnOnce(&mut Writer)) -> Writer {
    let mut out = Writer::new();
    encode(&mut out);
    out
}

/// Reads the entries as pairs, writes the pairs as entries, and reads those again.
fn check(state: &StateMeta, entries: &[Writer], expected: &[(&[u8], &[u8])]) {
    let found = pairs(&section(state.kind, entries), state).unwrap();
    let expected: Pairs = expected.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    assert_eq!(found, expected);
    let schema = Schema { key: &S::U8, state };
    let again: Vec<Writer> = found
        .iter()
        .map(|(key, value)| {
            schema.check_parts(key, value).unwrap();
            encoded(|out| write_pair(&schema, key, value, out).unwrap())
        })
        .collect();
    assert_eq!(pairs(&section(state.kind, &again), state).unwrap(), expected);
}

#[test]
fn every_kind_becomes_the_pairs_of_the_table() {
    let value = encoded(|out| out.raw(&[9, 0, 1, 5]));
    check(&state(StateKind::Value, S::U8, false), &[value], &[(&[9, 0, 1], &[5])]);
    let stamped = encoded(|out| {
        out.raw(&[9, 0, 1]);
        out.ordered_i64(-1);
        out.u8(5);
    });
    let expected = [0x7F, 255, 255, 255, 255, 255, 255, 255, 5];
    check(&state(StateKind::Reducing, S::U8, true), &[stamped], &[(&[9, 0, 1], &expected)]);
    let list = encoded(|out| out.raw(&[9, 0, 1, 2, 1, b'a', 0]));
    check(&state(StateKind::List, S::String, false), &[list], &[(&[9, 0, 1], &[2, 1, b'a', 1, 0])]);
    let map = encoded(|out| out.raw(&[9, 0, 1, 2, 1, b'a', 5, 1, b'b', 6]));
    let single = encoded(|out| out.raw(&[10, 0, 1, 1, 0, 7]));
    let expected: [(&[u8], &[u8]); 3] =
        [(&[9, 0, 1, 1, b'a'], &[5]), (&[9, 0, 1, 1, b'b'], &[6]), (&[10, 0, 1, 0], &[7])];
    check(&state(StateKind::Map, S::U8, false), &[map, single], &expected);
    let timer = encoded(|out| {
        out.u8(PROCESSING_TIME);
        out.ordered_i64(77);
        out.raw(&[9, 0, 1]);
    });
    check(&state(StateKind::Timer, S::Unit, false), std::slice::from_ref(&timer), &[(timer.as_slice(), &[])]);
}

#[test]
fn elements_without_bytes_are_counted_by_fillers() {
    let list = encoded(|out| out.raw(&[9, 0, 1, 3, 0, 0, 0]));
    check(&state(StateKind::List, S::Unit, false), &[list], &[(&[9, 0, 1], &[0, 0, 0])]);
    let huge = encoded(|out| out.raw(&[9, 0, 1, 0xFF, 0xFF, 0xFF, 0x7F, 0]));
    let error = pairs(&section(StateKind::List, &[huge]), &state(StateKind::List, S::Unit, false)).unwrap_err();
    assert_eq!((error.kind(), error.place().field), (ErrorKind::Corrupt, Some("count")));
}

#[test]
fn damaged_entries_are_refused_with_offset_state_and_key_group() {
    let value = state(StateKind::Value, S::U8, false);
    let list = state(StateKind::List, S::U8, false);
    let map = state(StateKind::Map, S::U8, false);
    let timer = state(StateKind::Timer, S::Unit, false);
    let cases: [(&StateMeta, &[u8], &str); 7] = [
        (&value, &[9, 0, 1], "u8"),
        (&value, &[9, 0, 1, 5, 5], "block"),
        (&list, &[9, 0, 1, 0], "count"),
        (&list, &[9, 0, 1, 9, 1], "count"),
        (&map, &[9, 0, 1, 0], "count"),
        (&map, &[9, 0, 1, 2, 1, b'a', 5], "count"),
        (&timer, &[2, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1], "time domain"),
    ];
    for (state, bytes, field) in cases {
        let entry = encoded(|out| out.raw(bytes));
        let error = pairs(&section(state.kind, &[entry]), state).unwrap_err();
        assert_eq!((error.kind(), error.place().field), (ErrorKind::Corrupt, Some(field)), "{error}");
        assert_eq!((error.place().state.as_deref(), error.place().key_group), (Some("s"), Some(3)));
        assert!(error.place().offset.is_some_and(|offset| offset > 30), "{error}");
    }
}
