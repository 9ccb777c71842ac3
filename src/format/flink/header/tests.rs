use super::*;
use crate::codec::{Reader, Writer};

const BASE: &str = "org.apache.flink.api.common.typeutils.base.";

fn utf(out: &mut Writer, text: &str) {
    out.u16(text.len().try_into().unwrap());
    out.raw(text.as_bytes());
}

fn serializer(out: &mut Writer, class: &str) {
    out.u32(2);
    utf(out, class);
    out.u32(3);
}

fn long(out: &mut Writer) {
    serializer(out, &format!("{BASE}LongSerializer$LongSerializerSnapshot"));
}

fn value_state(out: &mut Writer, name: &str, value: &str) {
    utf(out, name);
    out.u32(0);
    out.u32(1);
    utf(out, "KEYED_STATE_TYPE");
    utf(out, "VALUE");
    out.u32(2);
    utf(out, "NAMESPACE_SERIALIZER");
    serializer(out, "org.apache.flink.runtime.state.VoidNamespaceSerializer$VoidNamespaceSerializerSnapshot");
    utf(out, "VALUE_SERIALIZER");
    serializer(out, value);
}

fn header(states: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32(6);
    out.u8(0);
    long(&mut out);
    out.u16(states.len().try_into().unwrap());
    for (name, value) in states {
        value_state(&mut out, name, value);
    }
    out.into_bytes()
}

#[test]
fn states_before_an_unknown_serializer_stay_usable() {
    let known = format!("{BASE}IntSerializer$IntSerializerSnapshot");
    let bytes = header(&[("a", &known), ("b", "com.example.Mine"), ("c", &known)]);
    let header = KeyedHeader::read(&mut Reader::new(&bytes)).unwrap();
    let names: Vec<&str> = header.states.iter().map(|state| state.name.as_str()).collect();
    assert_eq!((names, header.state_count), (vec!["a", "b"], 3));
    assert!(header.states[0].value().is_some());
    assert!(header.states[1].value().is_none());
    assert!(header.states[1].namespace().is_some());
    let unreadable = header.unreadable.as_ref().unwrap();
    assert!(unreadable.reason.contains("com.example.Mine is not known"), "{unreadable}");
    assert!(header.has_id(2) && !header.has_id(3));
}

#[test]
fn names_occur_once_and_serializers_are_complete() {
    let known = format!("{BASE}IntSerializer$IntSerializerSnapshot");
    let bytes = header(&[("a", &known), ("a", &known)]);
    let error = KeyedHeader::read(&mut Reader::new(&bytes)).unwrap_err();
    assert_eq!((error.message(), error.place().state.as_deref()), ("occurs twice", Some("a")));
    let mut out = Writer::new();
    out.u32(6);
    out.u8(0);
    long(&mut out);
    out.u16(1);
    utf(&mut out, "q");
    [3, 0, 0].into_iter().for_each(|word| out.u32(word));
    let error = KeyedHeader::read(&mut Reader::new(out.as_slice())).unwrap_err();
    assert!(error.message().contains("VALUE_SERIALIZER is missing"), "{error}");
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = header(&[("a", &format!("{BASE}IntSerializer$IntSerializerSnapshot"))]);
    for length in 0..bytes.len() {
        let error = KeyedHeader::read(&mut Reader::new(&bytes[..length])).unwrap_err();
        assert!(error.place().offset.is_some() && error.place().field.is_some(), "{length}: {error}");
    }
}

#[test]
fn old_versions_are_incompatible() {
    for (version, kind) in [(5u32, ErrorKind::Incompatible), (7, ErrorKind::Corrupt), (0, ErrorKind::Corrupt)] {
        let error = KeyedHeader::read(&mut Reader::new(&version.to_be_bytes())).unwrap_err();
        assert_eq!(error.kind(), kind, "{version}");
    }
    for (version, kind) in [(4u32, ErrorKind::Incompatible), (7, ErrorKind::Corrupt)] {
        let error = OperatorHeader::read(&mut Reader::new(&version.to_be_bytes())).unwrap_err();
        assert_eq!(error.kind(), kind, "{version}");
    }
}
