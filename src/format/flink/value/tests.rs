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
fn fields_that_share_their_bytes_are_refused() {
    let string = LogicalType { nullable: true, kind: LogicalKind::VarChar { length: 9 } };
    let array = of(TypeSerializer::ArrayData(string));
    // Eight slots that all name the same 1000 bytes.
    let mut bytes = unhex("00000430 08000000 00000000");
    for _ in 0..8 {
        bytes.extend(unhex("E8030000 48000000"));
    }
    bytes.resize(0x430 + 4, b'x');
    let error = array.read_value(&mut Reader::new(&bytes)).unwrap_err();
    assert!(error.message().contains("share"), "{error}");
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

#[test]
fn decimals_print_with_a_point_or_an_exponent() {
    let print = |unscaled: i64, scale| BigDecimal { unscaled: unscaled.into(), scale }.to_string();
    assert_eq!(print(1234, 2), "12.34");
    assert_eq!(print(-1234, 4), "-0.1234");
    assert_eq!(print(5, 3), "0.005");
    assert_eq!(print(5, 0), "5");
    assert_eq!(print(-5, -3), "-5E+3");
    assert_eq!(print(1, i32::MAX), "1E-2147483647");
    assert_eq!(print(1, i32::MIN), "1E+2147483648");
}

#[test]
fn values_for_people() {
    let show = |value: Value| crate::serializer::Value::from(value).to_string();
    let pojo = Value::Pojo { class: "P".into(), fields: vec![("a".into(), Value::Int(1)), ("b".into(), Value::Null)] };
    assert_eq!(show(pojo), "{a: 1, b: null}");
    assert_eq!(
        show(Value::Row { kind: RowKind::Delete, fields: vec![text("x")] }),
        "{row_kind: \"-D\", fields: (\"x\")}"
    );
    assert_eq!(show(Value::String(JavaString::Units(vec![0xD83D]))), "<java.lang.String: 0xd83d>");
    assert_eq!(show(Value::Char(0x41)), "\"A\"");
    let date = LocalDate { year: 2024, month: 2, day: 3 };
    let time = LocalTime { hour: 1, minute: 2, second: 3, nanos: 4 };
    assert_eq!(show(Value::LocalDateTime(date, time)), "\"2024-02-03T01:02:03.000000004\"");
}

#[test]
fn encodings_of_the_remaining_types() {
    let snapshot = |kind| TypeSerializer::Simple(kind);
    assert_eq!(read(snapshot(Simple::StringValue), "02 E9 01 61"), text("\u{e9}a"));
    assert_eq!(read(snapshot(Simple::Char), "0041"), Value::Char(0x41));
    assert_eq!(read(snapshot(Simple::Byte), "FF"), Value::Byte(-1));
    assert_eq!(read(snapshot(Simple::Short), "FFFE"), Value::Short(-2));
    assert_eq!(read(snapshot(Simple::Float), "80000000"), Value::Float(-0.0));
    assert_eq!(read(snapshot(Simple::Void), "00"), Value::Null);
    assert_eq!(read(snapshot(Simple::Tuple0), "2A"), Value::Tuple(Vec::new()));
    assert_eq!(read(snapshot(Simple::SqlDate), "8000000000000000"), Value::Null);
    assert_eq!(
        read(snapshot(Simple::SqlTimestamp), "00000000000003E8 3B9AC9FF"),
        Value::Timestamp { millis: 1000, nanos: 999_999_999 }
    );
    assert_eq!(read(snapshot(Simple::SqlTimestamp), "8000000000000000 00000000"), Value::Null);
    assert_eq!(read(snapshot(Simple::Instant), "8000000000000000 80000000"), Value::Null);
    assert_eq!(read(snapshot(Simple::LocalTime), "80 8000 80000000"), Value::Null);
    assert_eq!(read(snapshot(Simple::LocalDateTime), "80000000 8000 80 8000 80000000"), Value::Null);
    let time = LocalTime { hour: 23, minute: 59, second: 58, nanos: 1 };
    assert_eq!(read(snapshot(Simple::LocalTime), "17 3B 3A 00000001"), Value::LocalTime(time));
    assert_eq!(
        read(snapshot(Simple::IntArray), "00000002 00000001 FFFFFFFF"),
        Value::List(vec![Value::Int(1), Value::Int(-1)])
    );
    assert_eq!(read(snapshot(Simple::StringArray), "00000002 00 0261"), Value::List(vec![Value::Null, text("a")]));
    assert_eq!(read(snapshot(Simple::BigInt), "00000003"), Value::BigInteger(10.into()));
    assert_eq!(read(snapshot(Simple::BigInt), "00000000"), Value::Null);
    assert_eq!(read(snapshot(Simple::StringData), "00000002 C3A9"), text("\u{e9}"));
    let opaque = |class: &str, bytes: &[u8]| Value::Opaque { class: class.into(), bytes: bytes.to_vec() };
    assert_eq!(
        read(snapshot(Simple::Variant), "00000001 00000002 AA BBCC"),
        opaque("org.apache.flink.types.variant.Variant", &[0, 0, 0, 1, 0, 0, 0, 2, 0xAA, 0xBB, 0xCC])
    );
    assert_eq!(read(snapshot(Simple::Bitmap), "00000001 AA"), opaque("org.apache.flink.types.bitmap.Bitmap", &[0xAA]));
}

#[test]
fn encodings_of_composites() {
    let int = || simple(Simple::Int);
    assert_eq!(
        read(TypeSerializer::Set(int()), "00000002 01 00 00000007"),
        Value::Set(vec![Value::Null, Value::Int(7)])
    );
    let either = || TypeSerializer::Either(int(), simple(Simple::String));
    assert_eq!(read(either(), "01 00000007"), Value::Left(Box::new(Value::Int(7))));
    assert_eq!(read(either(), "00 0261"), Value::Right(Box::new(text("a"))));
    let list = |null_mask| TypeSerializer::LinkedList { null_mask, element: int() };
    assert_eq!(read(list(true), "00000002 80 00000007"), Value::List(vec![Value::Null, Value::Int(7)]));
    assert_eq!(read(list(false), "00000001 00000007"), Value::List(vec![Value::Int(7)]));
    let key = TypeSerializer::WindowKey(int());
    assert_eq!(read(key, "0000000000000005 00000007"), Value::Tuple(vec![Value::Long(5), Value::Int(7)]));
    let constants = vec!["A".into(), "B".into()];
    let enumeration = || TypeSerializer::Enum { class: String::new(), constants: Vec::clone(&constants) };
    assert_eq!(read(enumeration(), "00000001"), Value::Enum("B".into()));
    for index in ["00000002", "FFFFFFFF"] {
        let error = of(enumeration()).read_value(&mut Reader::new(&unhex(index))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{index}");
    }
    let raw = TypeSerializer::RawValueData(Box::new(of(TypeSerializer::UserValue { class: "U".into() })));
    assert_eq!(read(raw, "00000002 AABB"), Value::Opaque { class: "U".into(), bytes: vec![0xAA, 0xBB] });
    let decimal = |precision| TypeSerializer::DecimalData { precision, scale: 2 };
    let expected = Value::BigDecimal(BigDecimal { unscaled: 256.into(), scale: 2 });
    assert_eq!(read(decimal(18), "0000000000000100"), expected);
    assert_eq!(read(decimal(19), "00000002 0100"), expected);
    let timestamp = |precision| TypeSerializer::TimestampData { precision };
    assert_eq!(read(timestamp(3), "0000000000000005"), Value::TimestampData { millis: 5, nanos: 0 });
    assert_eq!(read(timestamp(6), "0000000000000005 00000007"), Value::TimestampData { millis: 5, nanos: 7 });
}

/// A class P { b, a } with a subclass that is stored by name and one that is stored by number.
fn pojo() -> TypeSerializer {
    use crate::format::flink::serializer::{Pojo, PojoField, Subclass};
    let field =
        |name: &str, kind| PojoField { name: name.into(), declaring_class: None, serializer: Some(*simple(kind)) };
    let subclass = |class: &str| {
        let fields = vec![field("a", Simple::String), field("extra", Simple::Long)];
        let sub = Pojo { class: class.into(), fields, registered: Vec::new(), unregistered: Vec::new() };
        Subclass { class: class.to_owned(), serializer: Some(of(TypeSerializer::Pojo(sub))) }
    };
    TypeSerializer::Pojo(Pojo {
        class: "P".into(),
        fields: vec![field("a", Simple::String), field("b", Simple::Int)],
        registered: vec![subclass("R")],
        unregistered: vec![subclass("Sub")],
    })
}

#[test]
fn pojos_and_their_subclasses() {
    let named = |class: &str, fields: Vec<(&str, Value)>| Value::Pojo {
        class: class.into(),
        fields: fields.into_iter().map(|(name, value)| (name.into(), value)).collect(),
    };
    assert_eq!(read(pojo(), "01"), Value::Null);
    assert_eq!(read(pojo(), "02 00 0273 00 00000007"), named("P", vec![("a", text("s")), ("b", Value::Int(7))]));
    assert_eq!(
        read(pojo(), "04 0003 537562 02 00 0271 00 0000000000000009"),
        named("Sub", vec![("a", text("q")), ("extra", Value::Long(9))])
    );
    assert_eq!(
        read(pojo(), "08 00 02 01 00 0000000000000009"),
        named("R", vec![("a", Value::Null), ("extra", Value::Long(9))])
    );
    let refused = |hex: &str| of(pojo()).read_value(&mut Reader::new(&unhex(hex))).unwrap_err().kind();
    assert_eq!(refused("03"), ErrorKind::Corrupt);
    assert_eq!(refused("08 01 02"), ErrorKind::Incompatible);
    assert_eq!(refused("04 0001 51 02"), ErrorKind::Incompatible);
}

/// What is read without the decoder is what the decoder reads.
#[test]
fn usual_values_are_those_of_the_decoder() {
    let cases: [(Simple, &[&str]); 5] = [
        (Simple::Long, &["8000000000000007", "00", "0000000000000001 FF"]),
        (Simple::Int, &["FFFFFFFE", "000000"]),
        (Simple::Double, &["7FF8000000000001", "8000000000000000", "3FF8"]),
        (Simple::String, &["00", "01", "04616263", "046162", "03E901AC41", "02BDB003", "8100"]),
        (Simple::VoidNamespace, &["00", "01", ""]),
    ];
    for (kind, encodings) in cases {
        for bytes in encodings.iter().map(|hex| unhex(hex)) {
            let snapshot = simple(kind);
            let (mut usual, mut decoded) = (Reader::new(&bytes), Reader::new(&bytes));
            let first = snapshot.read_value(&mut usual).map_err(|error| error.to_string());
            let second = decode::Decoder::new(&decoded).value::<Value>(&snapshot.serializer, &mut decoded);
            let second = second.map_err(|error| error.to_string());
            // NaN is not equal to itself.
            assert_eq!(format!("{first:?}"), format!("{second:?}"), "{kind:?} {bytes:02x?}");
            if first.is_ok() {
                assert_eq!(usual.position(), decoded.position(), "{kind:?} {bytes:02x?}");
            }
        }
    }
}
