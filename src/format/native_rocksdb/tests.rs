use super::*;
use crate::codec::Writer;
use crate::error::ErrorKind;
use crate::key_group::{KeyGroup, KeyGroupRange};

#[test]
fn row_keys_are_taken_apart_and_order_by_group_first() {
    let row = |group, key: &[u8]| {
        let mut out = Writer::new();
        row_key(KeyGroup(group), key, &mut out);
        out.into_bytes()
    };
    assert_eq!(split_row_key(&row(300, b"key")).unwrap(), (KeyGroup(300), &b"key"[..]));
    assert!(row(255, b"z") < row(256, b"") && row(256, b"") < row(256, b"a"));
    for bad in [&b""[..], b"\0", b"\x80\0k"] {
        assert_eq!(split_row_key(bad).unwrap_err().place().field, Some("key group"));
    }
}

#[test]
fn bounds_hold_exactly_the_rows_of_their_groups() {
    let range = |first, last| KeyGroupRange::new(KeyGroup(first), KeyGroup(last)).unwrap();
    let (start, end) = group_bounds(range(1, 255));
    assert_eq!((start, end), ([0, 1], [1, 0]));
    assert!(start.as_slice() <= b"\0\x01".as_slice() && b"\0\xff\xff\xff".as_slice() < end.as_slice());
    assert_eq!(group_bounds(range(0, 32_767)).1, [0x80, 0]);
}

#[test]
fn the_successor_of_a_prefix_is_above_all_it_begins() {
    assert_eq!(prefix_successor(b"ab").unwrap(), b"ac");
    assert_eq!(prefix_successor(b"a\xff\xff").unwrap(), b"b");
    assert_eq!((prefix_successor(b"\xff"), prefix_successor(b"")), (None, None));
}

#[test]
fn a_state_may_be_called_default() {
    assert_eq!(column_family_name("default"), "state/default");
    assert_eq!(state_of_column_family("state/a/b"), Some("a/b"));
    assert_eq!((state_of_column_family("default"), state_of_column_family("state/")), (None, None));
}

#[test]
fn only_the_names_of_stored_files_are_read() {
    for name in ["CURRENT", "MANIFEST-000001", "000007.sst", "18446744073709551615.sst"] {
        assert_eq!(FileName::parse(name).unwrap().to_string(), name);
    }
    let others = "OPTIONS-000007 000007.log 000007.blob 000007.ldb IDENTITY LOCK LOG 7.sst 0000007.sst +00007.sst \
        MANIFEST- MANIFEST-5 CURRENT.dbtmp current .sst -00001.sst 99999999999999999999.sst ../000007.sst /000007.sst \
        000007.sst/ 000007.SST 00000\u{662}.sst 000007.sst\0 \\000007.sst";
    for name in others.split(' ').chain(["", " 000007.sst"]) {
        assert_eq!(FileName::parse(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
    }
}

#[test]
fn a_database_has_current_one_manifest_and_tables() {
    use FileName::{Current, Manifest, Table};
    check_files(&[Current, Manifest(5), Table(1), Table(2)]).unwrap();
    check_files(&[Current, Manifest(5)]).unwrap();
    let bad: [&[FileName]; 7] = [
        &[],
        &[Current],
        &[Manifest(5), Table(1)],
        &[Current, Manifest(5), Manifest(6)],
        &[Current, Manifest(5), Table(2), Table(1)],
        &[Current, Manifest(5), Table(1), Table(1)],
        &[Current, Current, Manifest(5)],
    ];
    for names in bad {
        assert_eq!(check_files(names).unwrap_err().kind(), ErrorKind::InvalidInput, "{names:?}");
    }
}

#[test]
fn a_table_is_block_based_and_has_checksums() {
    let table = |kind: u8, magic: &[u8]| {
        let mut table = vec![7; 100];
        table.push(kind);
        table.extend([0; 44]);
        table.extend(magic);
        table
    };
    let block_based = b"\xf7\xcf\xf4\x85\xb7\x41\xe2\x88";
    check_table(&table(4, block_based)).unwrap();
    // A cuckoo table, no checksums, and too short.
    let cuckoo = b"\xb6\x1b\x1c\x8b\x76\x4e\x6a\x92";
    let bad = [table(4, cuckoo), table(0, block_based), block_based.to_vec(), vec![]];
    for bad in bad {
        let error = check_table(&bad).unwrap_err();
        assert_eq!((error.kind(), error.place().field), (ErrorKind::Corrupt, Some("footer")));
    }
}

#[test]
fn current_names_the_manifest_and_nothing_else() {
    check_current(b"MANIFEST-000005\n", FileName::Manifest(5)).unwrap();
    let long = [b'M'; 5000];
    for bad in
        [&b"MANIFEST-000006\n"[..], b"MANIFEST-000005", b"MANIFEST-000005\n\n", b"../MANIFEST-000005\n", b"", &long]
    {
        let error = check_current(bad, FileName::Manifest(5)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.message().len() < 300, "{error}");
    }
}
