use super::super::*;
use super::*;
use crate::codec::{Reader, Writer};
use crate::error::ErrorKind;

fn value_of<S: Serializer>(serializer: S, value: &S::Value) -> Value {
    let mut out = Writer::new();
    serializer.write(value, &mut out).unwrap();
    Value::read(&serializer.snapshot(), &mut Reader::new(out.as_slice())).unwrap()
}

fn msgpack(bytes: &[u8]) -> crate::Result<Value> {
    let mut out = Writer::new();
    out.bytes(bytes);
    Value::read(&SerializerSnapshot::Msgpack(Shape::Any), &mut Reader::new(out.as_slice()))
}

#[test]
fn values_print_in_one_line() {
    let nested = Tuple4(List::new(I32), Opt::new(Bytes), Opt::new(F64), Map::new(U8, Str));
    let value = (vec![1, -2], Some(vec![0xAB, 1]), None, [(7, "tab\t".to_owned())].into());
    assert_eq!(value_of(nested, &value).to_string(), r#"([1, -2], 0xab01, null, {7: "tab\t"})"#);
    assert_eq!(value_of(Window, &TimeWindow { start_ms: -5, end_ms: 10 }).to_string(), "[-5, 10)");
    assert_eq!(value_of(Tuple2(F32, F64), &(1.0, f64::NAN)).to_string(), "(1.0, NaN)");
    let record = [0x82, 0xA1, b'a', 0xC3, 0xA2, b' ', b'b', 0xC0];
    assert_eq!(msgpack(&record).unwrap().to_string(), r#"{a: true, " b": null}"#);
    assert_eq!(msgpack(&[0xD4, 5, 0x61]).unwrap().to_string(), "<MessagePack extension 5: 0x61>");
}

#[test]
fn values_become_json() {
    let json = |value: Value| serde_json::to_string(&value).unwrap();
    assert_eq!(json(value_of(Map::new(Str, U64), &[("a".to_owned(), 1)].into())), r#"{"a":1}"#);
    assert_eq!(json(value_of(Map::new(U8, Bool), &[(1, true)].into())), "[[1,true]]");
    assert_eq!(json(value_of(Bytes, &vec![0xAB, 1])), r#""ab01""#);
    assert_eq!(json(value_of(List::new(F64), &vec![1.5, f64::NAN, f64::NEG_INFINITY])), r#"[1.5,"NaN","-inf"]"#);
    assert_eq!(json(value_of(F32, &0.1)), "0.1");
    assert_eq!(json(value_of(Opt::new(Unit), &None)), "null");
    assert_eq!(json(value_of(Window, &TimeWindow { start_ms: 1, end_ms: 2 })), r#"{"start_ms":1,"end_ms":2}"#);
    assert_eq!(json(msgpack(&[0x81, 0xA1, b'a', 0x92, 0xFF, 0xCC, 0xFF]).unwrap()), r#"{"a":[-1,255]}"#);
    assert_eq!(json(msgpack(&[0xD4, 5, 0x61]).unwrap()), r#"{"type":"MessagePack extension 5","bytes":"61"}"#);
}

#[test]
fn damaged_messagepack_is_refused_with_its_offset() {
    let place = |bytes: &[u8]| {
        let error = msgpack(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        (error.place().offset, error.place().field)
    };
    assert_eq!(place(&[0x92, 0x01, 0xC1]), (Some(3), Some("MessagePack marker")));
    assert_eq!(place(&[0x91, 0xA1, 0xFF]), (Some(2), Some("MessagePack string")));
    assert_eq!(place(&[0xC0, 0xC0]), (Some(2), Some("msgpack")));
    assert_eq!(place(&[0xDD, 0xFF, 0xFF, 0xFF, 0xFF]), (Some(1), Some("MessagePack length")));
}

#[test]
fn deep_messagepack_is_shown_as_bytes_from_some_depth_on() {
    let bytes = [vec![0x91; 100_000], vec![0xC0]].concat();
    let text = msgpack(&bytes).unwrap().to_string();
    assert!(text.starts_with(&format!("{}<deeply nested MessagePack: 0x91", "[".repeat(32))));
}

#[test]
fn a_tiny_input_cannot_ask_for_a_huge_value() {
    let units = SerializerSnapshot::Tuple(vec![SerializerSnapshot::Unit; 4_000]);
    let list = SerializerSnapshot::List(Box::new(units));
    let mut out = Writer::new();
    out.bytes(&[0; 10_000]);
    let error = Value::read(&list, &mut Reader::new(out.as_slice())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let mut deep = SerializerSnapshot::Unit;
    for _ in 0..100 {
        deep = SerializerSnapshot::Tuple(vec![deep]);
    }
    assert!(Value::read(&deep, &mut Reader::new(&[])).is_err());
}

/// Encodes the value of a serializer by its description, and compares.
fn check_encoding<S: Serializer>(serializer: S, value: &S::Value) {
    let (mut expected, mut found) = (Writer::new(), Writer::new());
    serializer.write(value, &mut expected).unwrap();
    let description = serializer.snapshot();
    let shown = Value::read(&description, &mut Reader::new(expected.as_slice())).unwrap();
    shown.write(&description, &mut found).unwrap();
    assert_eq!(found.as_slice(), expected.as_slice(), "{description}");
}

#[test]
fn a_value_is_encoded_as_its_serializer_does() {
    check_encoding(Tuple4(Bool, U8, U16, U32), &(true, 1, 2, 3));
    check_encoding(Tuple4(I8, I16, I32, I64), &(-1, -2, -3, i64::MIN));
    check_encoding(Tuple3(U64, F32, F64), &(u64::MAX, -0.5, f64::INFINITY));
    check_encoding(Tuple3(Str, Bytes, Window), &("x".to_owned(), vec![1], TimeWindow { start_ms: -1, end_ms: 1 }));
    check_encoding(List::new(Opt::new(U8)), &vec![None, Some(3)]);
    check_encoding(List::new(Unit), &vec![(); 3]);
    check_encoding(Map::new(Str, I64), &[("bb".to_owned(), 1), ("c".to_owned(), 2)].into());
}

#[test]
fn a_value_that_is_not_of_the_type_is_refused() {
    use SerializerSnapshot as S;
    let map = S::Map(Box::new(S::U8), Box::new(S::Unit));
    let twice = Value::Map(vec![(Value::U64(1), Value::Unit), (Value::U64(1), Value::Unit)]);
    let cases = [(S::U8, Value::U64(256)), (S::I8, Value::I64(-129)), (S::String, Value::U64(1)), (map, twice)];
    for (description, value) in cases {
        let error = value.write(&description, &mut Writer::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    let error = Value::Unit.write(&S::Msgpack(Shape::Any), &mut Writer::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
}
