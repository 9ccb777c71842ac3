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

/// A header whose states `a` to `c` are serialized by `value`, which appends a proxied snapshot.
fn header_of(key: &dyn Fn(&mut Writer), value: &dyn Fn(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32(6);
    out.u8(0);
    key(&mut out);
    out.u16(3);
    for name in ["a", "b", "c"] {
        utf(&mut out, name);
        [0, 1].into_iter().for_each(|word| out.u32(word));
        utf(&mut out, "KEYED_STATE_TYPE");
        utf(&mut out, "VALUE");
        out.u32(2);
        utf(&mut out, "NAMESPACE_SERIALIZER");
        serializer(&mut out, "org.apache.flink.runtime.state.VoidNamespaceSerializer$VoidNamespaceSerializerSnapshot");
        utf(&mut out, "VALUE_SERIALIZER");
        value(&mut out);
    }
    out.into_bytes()
}

fn unknown(out: &mut Writer, contents: &[u8]) {
    serializer(out, "com.example.Mine");
    out.raw(contents);
}

fn until_end(bytes: &[u8]) -> KeyedHeader {
    let mut input = Reader::new(bytes);
    let header = KeyedHeader::read_until(&mut input, bytes.len().try_into().unwrap()).unwrap();
    assert_eq!(input.is_empty(), header.unreadable.is_none());
    header
}

#[test]
fn an_unknown_serializer_is_opaque_where_the_rest_fits_in_one_way() {
    use crate::format::flink::serializer::TypeSerializer;
    for contents in [&[][..], &[7], &[0; 40], &[0, 0, 0, 2, 0, 3, b'x', b'.', b'y']] {
        let bytes = header_of(&long, &|out| unknown(out, contents));
        assert!(KeyedHeader::read(&mut Reader::new(&bytes)).unwrap().unreadable.is_some());
        let header = until_end(&bytes);
        assert_eq!(header.unreadable, None, "{contents:?}");
        assert_eq!(header.states.len(), 3);
        for state in &header.states {
            let value = state.value().unwrap();
            assert!(matches!(value.serializer, TypeSerializer::Opaque { .. }), "{value:?}");
            assert!(value.bytes.ends_with(contents) && value.class == "com.example.Mine");
        }
        let header = until_end(&header_of(&|out| unknown(out, contents), &long));
        assert!(matches!(header.key.unwrap().serializer, TypeSerializer::Opaque { .. }), "{contents:?}");
    }
}

#[test]
fn an_unknown_part_leaves_the_whole_known() {
    use crate::format::flink::serializer::TypeSerializer;
    let list = |out: &mut Writer| {
        serializer(out, &format!("{BASE}ListSerializerSnapshot"));
        [911_108, 1, 1_333_245, 1, 1].into_iter().for_each(|word| out.u32(word));
        utf(out, "com.example.Mine");
        out.u32(1);
        out.raw(b"whatever");
    };
    let header = until_end(&header_of(&long, &list));
    let TypeSerializer::List(element) = &header.states[2].value().unwrap().serializer else { panic!("{header:?}") };
    assert!(matches!(element.serializer, TypeSerializer::Opaque { .. }));
    assert!(element.bytes.ends_with(b"whatever"));
}

#[test]
fn nothing_is_guessed() {
    // What is unknown contains what could be the rest of the header: two ways to read it.
    let mut tail = Writer::new();
    utf(&mut tail, "VALUE_SERIALIZER");
    unknown(&mut tail, &[]);
    let mut out = Writer::new();
    out.u32(6);
    out.u8(0);
    long(&mut out);
    out.u16(1);
    utf(&mut out, "a");
    [0, 0, 2].into_iter().for_each(|word| out.u32(word));
    utf(&mut out, "NAMESPACE_SERIALIZER");
    unknown(&mut out, tail.as_slice());
    out.raw(tail.as_slice());
    assert!(until_end(out.as_slice()).unreadable.is_some());
    // No way at all.
    let mut bytes = header_of(&long, &|out| unknown(out, &[1, 2, 3]));
    bytes.truncate(bytes.len() - 20);
    assert!(
        KeyedHeader::read_until(&mut Reader::new(&bytes), bytes.len().try_into().unwrap()).is_err()
            || until_end(&bytes).unreadable.is_some()
    );
    // An end outside of the file.
    let bytes = header_of(&long, &|out| unknown(out, &[]));
    let header = KeyedHeader::read_until(&mut Reader::new(&bytes), u64::MAX).unwrap();
    assert!(header.unreadable.is_some());
}

#[test]
fn hostile_headers_are_given_up_in_bounded_time() {
    let mut bytes = header_of(&long, &|out| unknown(out, &[]));
    bytes.extend([0; 1 << 16]);
    assert!(until_end(&bytes).unreadable.is_some() || until_end(&bytes).states.len() == 3);
    let many = header_of(&long, &|out| {
        serializer(out, "com.example.Mine");
        for _ in 0..2000 {
            unknown(out, &[0, 0, 0, 0]);
        }
    });
    assert!(until_end(&many).state_count == 3);
}
