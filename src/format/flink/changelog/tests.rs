use std::collections::BTreeMap;

use super::*;
use crate::codec::Writer;
use crate::error::ErrorKind;
use crate::format::flink::header::{KeyedHeader, StateInfo};
use crate::format::flink::samples::{header, max, simple, state, unhex};
use crate::format::flink::serializer::{Simple, Snapshot, TypeSerializer};

/// Key 7, in the key group where it belongs.
fn group_of_seven() -> KeyGroup {
    crate::format::flink::key_group::of_hash(7, max(128))
}

/// What entries from before become by changes, by state and key, in hex.
fn changed(
    header: &KeyedHeader,
    before: &[(u16, &str, &str)],
    changes: &[(u16, &str)],
) -> Result<BTreeMap<(u16, String), String>> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let changes: Vec<(u16, Vec<u8>)> = changes.iter().map(|(state, change)| (*state, unhex(change))).collect();
    let before: Vec<(u16, Vec<u8>, Vec<u8>)> =
        before.iter().map(|(state, key, value)| (*state, unhex(key), unhex(value))).collect();
    let mut net = NetChanges::new(header, group_of_seven(), max(128), Trial::No);
    for (state, change) in &changes {
        let (number, merges) = head(&Reader::new(change))?;
        assert_eq!(number, 9);
        if merges {
            before.iter().filter(|entry| entry.0 == *state).for_each(|(id, key, value)| net.load(*id, key, value));
            net.set_loaded(*state);
        }
    }
    for (state, change) in &changes {
        net.apply(*state, Reader::with_base(change, 1000))?;
    }
    let mut entries = BTreeMap::new();
    let mut visit = |state: u16, key: &[u8], value: &[u8]| {
        assert_eq!(entries.insert((state, hex(key)), hex(value)), None, "the entry is given twice");
        Ok(())
    };
    for (state, key, value) in &before {
        net.over(*state, key, value, &mut visit)?;
    }
    net.rest(&mut visit)?;
    Ok(entries)
}

/// Entries of one state, without blanks.
fn entries(state: u16, entries: &[(&str, &str)]) -> BTreeMap<(u16, String), String> {
    let plain = |text: &str| text.replace(' ', "");
    entries.iter().map(|(key, value)| ((state, plain(key)), plain(value))).collect()
}

#[test]
fn values_are_set_and_cleared() {
    let header = header(Simple::Int, Simple::VoidNamespace);
    let before = [(0, "00000007 00", "00000001")];
    let key = "00000007 00";
    let changed = |changes: &[(u16, &str)]| changed(&header, &before, changes).unwrap();
    assert_eq!(changed(&[]), entries(0, &[(key, "00000001")]));
    assert_eq!(changed(&[(0, "01 0009 00000007 00 00000002")]), entries(0, &[(key, "00000002")]));
    assert_eq!(changed(&[(0, "02 0009 00000007 00 00000002")]), entries(0, &[(key, "00000002")]));
    assert_eq!(changed(&[(0, "00 0009 00000007 00")]), entries(0, &[]));
    assert_eq!(
        changed(&[(0, "00 0009 00000007 00"), (0, "01 0009 00000007 00 00000003")]),
        entries(0, &[(key, "00000003")])
    );
}

#[test]
fn lists_grow_behind_what_was_there() {
    let header = header(Simple::Int, Simple::VoidNamespace);
    let key = "00000007 00";
    let changed = |before: &[(u16, &str, &str)], changes: &[(u16, &str)]| changed(&header, before, changes).unwrap();
    let add = (1, "05 0009 00000007 00 0002");
    let add_two = (1, "03 0009 00000007 00 00000002 0003 0004");
    let set = (1, "01 0009 00000007 00 00000001 0005");
    let set_none = (1, "02 0009 00000007 00 00000000");
    let clear = (1, "00 0009 00000007 00");
    let before = [(1, key, "0001")];
    assert_eq!(changed(&before, &[add]), entries(1, &[(key, "0001 2C 0002")]));
    assert_eq!(changed(&[], &[add, add_two]), entries(1, &[(key, "0002 2C 0003 2C 0004")]));
    assert_eq!(changed(&before, &[add_two, add]), entries(1, &[(key, "0001 2C 0003 2C 0004 2C 0002")]));
    assert_eq!(changed(&before, &[add, set, add]), entries(1, &[(key, "0005 2C 0002")]));
    assert_eq!(changed(&before, &[clear, add]), entries(1, &[(key, "0002")]));
    assert_eq!(changed(&before, &[add, set_none]), entries(1, &[]));
    let add_none = (1, "03 0009 00000007 00 00000000");
    assert_eq!(changed(&before, &[add_none]), entries(1, &[(key, "0001")]));
    assert_eq!(changed(&[], &[add_none]), entries(1, &[]));
}

#[test]
fn maps_change_entry_by_entry_and_are_cleared_as_a_whole() {
    let header = header(Simple::Int, Simple::VoidNamespace);
    let (a, b, c) = ("00000007 00 0261", "00000007 00 0262", "00000007 00 0263");
    let before = [(2, a, "00 00000001"), (2, b, "00 00000002")];
    let changed = |changes: &[(u16, &str)]| changed(&header, &before, changes).unwrap();
    let put = (2, "06 0009 00000007 00 0262 00000009");
    let put_old = (2, "05 0009 00000007 00 0263 00000008");
    let put_null = (2, "03 0009 00000007 00 00000002 0261 01 0263 00 00000007");
    let remove = (2, "07 0009 00000007 00 0261");
    let clear = (2, "00 0009 00000007 00");
    assert_eq!(changed(&[put, remove]), entries(2, &[(b, "00 00000009")]));
    assert_eq!(changed(&[put_null]), entries(2, &[(a, "01"), (b, "00 00000002"), (c, "00 00000007")]));
    assert_eq!(changed(&[put, clear, put_old]), entries(2, &[(c, "00 00000008")]));
    assert_eq!(changed(&[put_old, clear]), entries(2, &[]));
    assert_eq!(changed(&[remove, remove]), entries(2, &[(b, "00 00000002")]));
}

#[test]
fn timers_come_and_go() {
    let header = header(Simple::Int, Simple::VoidNamespace);
    let (first, second) = ("8000000000000001 00000007 00", "8000000000000002 00000007 00");
    let before = [(3, first, "")];
    let changed = |changes: &[(u16, &str)]| changed(&header, &before, changes).unwrap();
    let add = format!("05 0009 00000002 {first} {second}");
    assert_eq!(changed(&[(3, &add)]), entries(3, &[(first, ""), (second, "")]));
    let remove = format!("07 0009 {first}");
    assert_eq!(changed(&[(3, &remove)]), entries(3, &[]));
    assert_eq!(changed(&[(3, &remove), (3, &add)]), entries(3, &[(first, ""), (second, "")]));
}

#[test]
fn merged_namespaces_are_one() {
    let header = header(Simple::Int, Simple::Int);
    // Lists of the namespaces 1, 2 and 3 become that of namespace 3, which keeps its place in front.
    let (one, two, three) = ("00000007 00000001", "00000007 00000002", "00000007 00000003");
    let before = [(1, one, "0001"), (1, two, "0002"), (1, three, "0003")];
    let merge = (1, "04 0009 00000007 00000003 00000003 00000002 00000001 00000002");
    let found = changed(&header, &before, &[merge]).unwrap();
    assert_eq!(found, entries(1, &[(three, "0003 2C 0001 2C 0002")]));
    let append = (1, "05 0009 00000007 00000002 0009");
    let found = changed(&header, &before[..1], &[append, merge]).unwrap();
    assert_eq!(found, entries(1, &[(three, "0001 2C 0009")]));

    // One value moves; of two only the program knows what they become.
    let reducing = KeyedHeader {
        states: vec![state("sum", "REDUCING", simple(Simple::Int), simple(Simple::Int))],
        state_count: 1,
        ..header
    };
    let merge = (0, "04 0009 00000007 00000003 00000003 00000001 00000001");
    let before = [(0, one, "00000001"), (0, three, "00000003")];
    assert_eq!(changed(&reducing, &before[..1], &[merge]).unwrap(), entries(0, &[(three, "00000001")]));
    assert_eq!(changed(&reducing, &[], &[merge]).unwrap(), entries(0, &[]));
    let error = changed(&reducing, &before, &[merge]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.message().contains("only the program can repeat"), "{error}");
    assert_eq!(error.place().state.as_deref(), Some("sum"));
}

#[test]
fn changes_that_cannot_be_are_damage_with_their_place() {
    let header = header(Simple::Int, Simple::VoidNamespace);
    let cases = [
        (0, "01 0009 00000007 00 0000000200", "follow a complete value"),
        (0, "01 0009 00000007 00 0000", "needs 4 bytes"),
        (0, "01 0009 00000008 00 00000002", "belongs to key group"),
        (0, "00 0009 00000007 00 00", "unexpected bytes"),
        (0, "05 0009 00000007 00 00000002", "cannot happen to value state"),
        (0, "04 0009 00000007 00 00 00000000", "cannot happen to value state"),
        (1, "03 0009 00000007 00 7FFFFFFF", "at most"),
        (1, "06 0009 00000007 00 0002", "cannot happen to list state"),
        (2, "01 0009 00000007 00 00000000", "cannot happen to map state"),
        (2, "03 0009 00000007 00 00000001 0261 02", "null flag"),
        (3, "01 0009 8000000000000001 00000007 00", "cannot happen to timer state"),
    ];
    for (state, change, part) in cases {
        let error = changed(&header, &[], &[(state, change)]).unwrap_err();
        assert!(error.to_string().contains(part), "{error} does not say {part}");
        assert!(error.place().offset.is_some_and(|offset| offset >= 1000), "{error}");
        assert!(error.place().state.is_some() && error.place().key_group.is_some(), "{error}");
    }
    assert!(head(&Reader::new(&unhex("09 0009"))).unwrap_err().message().contains("expected 0 to 8"));
    assert!(head(&Reader::new(&unhex("08 0009"))).unwrap_err().message().contains("announces a state"));
    let keyless = KeyedHeader { key: None, ..header };
    let error = changed(&keyless, &[], &[(0, "00 0009 00000007 00")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.message().contains("how keys are serialized"), "{error}");
}

/// An announcement of a state with real serializer snapshots.
fn announcement(info: &StateInfo, between: &str, tail: &str) -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(&unhex("08 00000007"));
    info.write(&mut out).unwrap();
    out.raw(&unhex(between));
    out.raw(&unhex(tail));
    out.into_bytes()
}

fn described() -> StateInfo {
    state("s", "VALUE", Snapshot::simple(Simple::VoidNamespace).unwrap(), Snapshot::simple(Simple::Int).unwrap())
}

#[test]
fn announcements_describe_states_and_number_them() {
    let read = |bytes: &[u8]| Announcement::read(Reader::with_base(bytes, 1000));
    for between in ["00 00", "00 01 00000005"] {
        let found = read(&announcement(&described(), between, "0009 00")).unwrap();
        assert_eq!((found.number, found.state.name.as_str(), found.unreadable), (9, "s", None));
    }
    let key = Box::new(Snapshot::simple(Simple::Int).unwrap());
    let namespace = Box::new(Snapshot::simple(Simple::VoidNamespace).unwrap());
    let timer = Snapshot::of(TypeSerializer::Timer { key, namespace }).unwrap();
    let queue = StateInfo {
        name: "q".to_owned(),
        state_type: crate::format::flink::header::StateType::PriorityQueue,
        options: Vec::new(),
        serializers: vec![("VALUE_SERIALIZER".to_owned(), timer)],
    };
    assert_eq!(read(&announcement(&queue, "", "0003 03")).unwrap().number, 3);
    for (bytes, part) in [
        (announcement(&described(), "00 00", "0009 03"), "is 3, the state is described as one of 0"),
        (announcement(&described(), "00 00 00", "0009 00"), "unexpected bytes"),
        (announcement(&described(), "00 02", "0009 00"), "default value flag"),
        (announcement(&queue, "00", "0003 03"), "unexpected bytes"),
        (unhex("01 0009"), "no announcement"),
    ] {
        let error = read(&bytes).unwrap_err();
        assert!(error.to_string().contains(part), "{error} does not say {part}");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.place().offset.is_some_and(|offset| offset >= 1000), "{error}");
    }
    let mut old = announcement(&described(), "00 00", "0009 00");
    old[4] = 5;
    assert_eq!(read(&old).unwrap_err().kind(), ErrorKind::Incompatible);
}

#[test]
fn sets_have_runs_of_changes() {
    // An announcement, then two changes of key group 5 and one of key group 1.
    let file = unhex(
        "00 FFFF 00000003 00000001 FFFFFFFF 00000001 08 \
         00000002 00000005 00000002 AABB 00000000 00000001 00000001 00000001 CC",
    );
    let (bytes, base) = expand(&file).unwrap();
    assert_eq!(base, 1);
    type Runs = Vec<(Option<u16>, Vec<Vec<u8>>)>;
    let walk = |bytes: &[u8], position: u64| -> Result<Runs> {
        let mut set = ChangeSet::open(bytes, 1, position)?;
        let mut runs = Vec::new();
        while let Some(Run { group, changes }) = set.next_run()? {
            let changes: Result<Vec<Vec<u8>>> = changes.map(|change| Ok(change?.rest().to_vec())).collect();
            runs.push((group.map(|group| group.0), changes?));
        }
        assert_eq!(usize::try_from(position).unwrap() + set.position(), bytes.len());
        Ok(runs)
    };
    let expected = [(None, vec![vec![8]]), (Some(5), vec![vec![0xAA, 0xBB], Vec::new()]), (Some(1), vec![vec![0xCC]])];
    assert_eq!(walk(&bytes, 2).unwrap(), expected);
    for length in 0..bytes.len() {
        let error = walk(&bytes[..length], 2).unwrap_err();
        assert!(
            error.place().offset.is_some_and(|offset| offset <= 1 + u64::try_from(length.max(2)).unwrap()),
            "{error}"
        );
    }
    let late = unhex("0000 00000002 00000000 00000005 00000000 FFFFFFFF");
    assert!(walk(&late, 2).unwrap_err().message().contains("which come first"));
    let strange = unhex("0000 00000001 00000000 00010000");
    assert!(walk(&strange, 2).unwrap_err().message().contains("-1 or a key group"));
    assert!(expand(&[2]).unwrap_err().to_string().contains("log compression"));
}

#[cfg(feature = "snappy")]
#[test]
fn compressed_logs_are_expanded() {
    let mut framed = super::snappy::Framed::new(true).unwrap();
    framed.write(b"changes").unwrap();
    let mut file = vec![1];
    file.extend(framed.finish().unwrap());
    let (bytes, base) = expand(&file).unwrap();
    assert_eq!((bytes.as_ref(), base), (b"changes".as_slice(), 0));
    file.pop();
    assert_eq!(expand(&file).unwrap_err().kind(), ErrorKind::Corrupt);
}
