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
