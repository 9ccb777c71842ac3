use super::*;
use crate::codec::Reader;
use crate::error::ErrorKind;
use crate::format::flink::serializer::{Simple, Snapshot, TypeSerializer};
use crate::format::flink::{LogicalKind, LogicalType};

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn of(serializer: TypeSerializer) -> Snapshot {
    Snapshot { class: String::new(), version: 3, serializer, bytes: Vec::new() }
}

fn simple(simple: Simple) -> Box<Snapshot> {
    Box::new(of(TypeSerializer::Simple(simple)))
}

/// Reads the whole of `hex`, and checks that no part of it is read without an error.
fn read(serializer: TypeSerializer, hex: &str) -> Value {
    let bytes = unhex(hex);
    let snapshot = of(serializer);
    for length in 0..bytes.len() {
        assert!(snapshot.read_value(&mut Reader::new(&bytes[..length])).is_err(), "{hex} cut at {length}");
    }
    let mut input = Reader::new(&bytes);
    let value = snapshot.read_value(&mut input).unwrap();
    assert!(input.is_empty(), "{hex}");
    value
}

fn text(text: &str) -> Value {
    Value::String(JavaString::Text(text.to_owned()))
}

#[test]
fn values_flink_wrote() {
    let map = TypeSerializer::Map(simple(Simple::String), simple(Simple::Int));
    assert_eq!(
        read(map, "00000002 0261 00 00000001 0262 01"),
        Value::Map(vec![(text("a"), Value::Int(1)), (text("b"), Value::Null)])
    );
    let array = TypeSerializer::GenericArray { component_class: String::new(), component: simple(Simple::Int) };
    assert_eq!(read(array, "00000002 01 00000001 00"), Value::List(vec![Value::Int(1), Value::Null]));
    let nullable = || TypeSerializer::Nullable { padding: 4, inner: simple(Simple::Int) };
    assert_eq!(read(nullable(), "00 00000005"), Value::Int(5));
    assert_eq!(read(nullable(), "01 00000000"), Value::Null);
    assert_eq!(
        read(TypeSerializer::Ttl(simple(Simple::String)), "000000000000007B 02 76"),
        Value::Timed { last_access: 123, value: Box::new(text("v")) }
    );
    assert_eq!(read(TypeSerializer::Simple(Simple::BigInt), "00000006 0100"), Value::BigInteger(256.into()));
    assert_eq!(
        read(TypeSerializer::Simple(Simple::BigDec), "00000006 04D2 00000002"),
        Value::BigDecimal(BigDecimal { unscaled: 1234.into(), scale: 2 })
    );
    assert_eq!(
        read(TypeSerializer::Simple(Simple::LocalDate), "000007E8 02 03"),
        Value::LocalDate(LocalDate { year: 2024, month: 2, day: 3 })
    );
    assert_eq!(read(TypeSerializer::Simple(Simple::LocalDate), "80000000 8000"), Value::Null);
    assert_eq!(
        read(
            TypeSerializer::Timer { key: simple(Simple::Long), namespace: simple(Simple::VoidNamespace) },
            "7FFFFFFFFFFFFFFF 0000000000000001 00"
        ),
        Value::Timer { timestamp: -1, key: Box::new(Value::Long(1)), namespace: Box::new(Value::Null) }
    );
}

#[test]
fn rows_have_a_mask_of_kind_and_nulls() {
    let row = || TypeSerializer::Row { with_kind: true, fields: vec![*simple(Simple::String), *simple(Simple::Int)] };
    let expected = |kind, fields| Value::Row { kind, fields };
    assert_eq!(read(row(), "10 02 78"), expected(RowKind::Insert, vec![text("x"), Value::Null]));
    assert_eq!(read(row(), "C0 02 79 00000003"), expected(RowKind::Delete, vec![text("y"), Value::Int(3)]));
    assert_eq!(read(row(), "A0 00000003"), expected(RowKind::UpdateBefore, vec![Value::Null, Value::Int(3)]));
    let error = of(row()).read_value(&mut Reader::new(&unhex("11 02 78"))).unwrap_err();
    assert!(error.message().contains("behind its end"), "{error}");
}

#[test]
fn sql_rows_arrays_and_maps_are_little_endian() {
    let nullable = |kind| LogicalType { nullable: true, kind };
    let string = || nullable(LogicalKind::VarChar { length: 0x7FFF_FFFF });
    let row =
        TypeSerializer::RowData { types: vec![nullable(LogicalKind::BigInt), string(), string()], fields: Vec::new() };
    let hex = "00000030 02 00000000000000 05 00000000000000 61626300000000 83 0D000000 20000000 \
        6C6F6E67657220737472696E67 000000";
    assert_eq!(
        read(row, hex),
        Value::RowData { kind: RowKind::UpdateAfter, fields: vec![Value::Long(5), text("abc"), text("longer string")] }
    );
    let array = TypeSerializer::ArrayData(nullable(LogicalKind::Int));
    assert_eq!(
        read(array, "00000018 03000000 02000000 01000000 00000000 03000000 00000000"),
        Value::List(vec![Value::Int(1), Value::Null, Value::Int(3)])
    );
    let map = TypeSerializer::MapData(nullable(LogicalKind::Int), nullable(LogicalKind::TinyInt));
    let hex = "00000024 10000000 01000000 00000000 07000000 00000000 01000000 00000000 FF000000 00000000";
    assert_eq!(read(map, hex), Value::Map(vec![(Value::Int(7), Value::Byte(-1))]));
}

#[test]
fn slots_that_point_outside_are_damage() {
    let string = LogicalType { nullable: true, kind: LogicalKind::VarChar { length: 9 } };
    let row = || of(TypeSerializer::RowData { types: vec![string.clone()], fields: Vec::new() });
    for slot in ["0D00000020000000", "FFFFFFFF10000000", "6162630000000088"] {
        let bytes = unhex(&format!("00000010 00 00000000000000 {slot}"));
        let error = row().read_value(&mut Reader::new(&bytes)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{slot}: {error}");
    }
    let bytes = unhex("00000008 04 00000000000000");
    let empty = of(TypeSerializer::RowData { types: Vec::new(), fields: Vec::new() });
    assert!(empty.read_value(&mut Reader::new(&bytes)).unwrap_err().message().contains("expected 0 to 3"));
}

#[test]
fn values_without_an_end_are_opaque_only_where_their_extent_is_known() {
    let user = || of(TypeSerializer::UserValue { class: "com.example.Mine".into() });
    let error = user().read_value(&mut Reader::new(&[1, 2])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    let whole = user().read_whole(&mut Reader::new(&[1, 2])).unwrap();
    assert_eq!(whole, Value::Opaque { class: "com.example.Mine".into(), bytes: vec![1, 2] });
    let timed = of(TypeSerializer::Ttl(Box::new(user())));
    let value = timed.read_whole(&mut Reader::new(&[0, 0, 0, 0, 0, 0, 0, 9, 7])).unwrap();
    let opaque = Value::Opaque { class: "com.example.Mine".into(), bytes: vec![7] };
    assert_eq!(value, Value::Timed { last_access: 9, value: Box::new(opaque) });
}

#[test]
fn parts_without_bytes_are_counted() {
    let hollow = TypeSerializer::Tuple { class: String::new(), fields: vec![*simple(Simple::NullValue); 200] };
    let list = of(TypeSerializer::List(Box::new(of(hollow))));
    let mut bytes = 4000u32.to_be_bytes().to_vec();
    bytes.resize(4004, 0);
    let error = list.read_value(&mut Reader::new(&bytes)).unwrap_err();
    assert!(error.message().contains("more parts"), "{error}");
}

#[test]
fn big_numbers_print_and_hash_as_in_java() {
    let number = |hex: &str| BigInteger::from_bytes(&unhex(hex));
    assert_eq!(number("00").to_string(), "0");
    assert_eq!(number("80").to_string(), "-128");
    assert_eq!(number("0000FF").to_string(), "255");
    assert_eq!(number("01 00000000 00000000").to_string(), "18446744073709551616");
    assert_eq!(number("FF 00000000 00000000").to_string(), "-18446744073709551616");
    assert_eq!(number("3B9ACA00 0000000000").to_string(), "1099511627776000000000");
    assert_eq!(number("FFFF80").to_i64(), Some(-128));
    assert_eq!(number("01 00000000 00000000").to_i64(), None);
    assert_eq!(number("01 00000000 00000000").java_hash(), 961);
    assert_eq!(number("FB").java_hash(), -5);
    assert_eq!(BigDecimal { unscaled: 1234.into(), scale: 2 }.java_hash(), 31 * 1234 + 2);
}
