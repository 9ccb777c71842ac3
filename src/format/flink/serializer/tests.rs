use super::*;
use crate::codec::Writer;
use crate::error::ErrorKind;

const BASE: &str = "org.apache.flink.api.common.typeutils.base.";

fn utf(out: &mut Writer, text: &str) {
    out.u16(text.len().try_into().unwrap());
    out.raw(text.as_bytes());
}

fn simple(out: &mut Writer, class: &str) {
    utf(out, class);
    out.u32(3);
}

fn int_list() -> Vec<u8> {
    let mut out = Writer::new();
    out.u32(2);
    utf(&mut out, &format!("{BASE}ListSerializerSnapshot"));
    [3, 911_108, 1, 1_333_245, 1, 1].into_iter().for_each(|word| out.u32(word));
    simple(&mut out, &format!("{BASE}IntSerializer$IntSerializerSnapshot"));
    out.into_bytes()
}

#[test]
fn a_list_of_integers_keeps_its_bytes() {
    let bytes = int_list();
    let mut input = Reader::new(&bytes);
    let snapshot = Snapshot::read_proxied(&mut input).unwrap();
    assert!(input.is_empty());
    assert_eq!(snapshot.bytes, bytes[4..]);
    let TypeSerializer::List(element) = &snapshot.serializer else { panic!("{snapshot:?}") };
    assert_eq!(element.serializer, TypeSerializer::Simple(Simple::Int));
    assert_eq!((snapshot.declared_length(), element.declared_length()), (None, Some(4)));
    for length in 0..bytes.len() {
        let error = Snapshot::read_proxied(&mut Reader::new(&bytes[..length])).unwrap_err();
        assert!(error.place().offset.is_some(), "{length}: {error}");
    }
}

#[test]
fn unknown_classes_and_versions_are_incompatible_not_damage() {
    let read = |class: &str, version: u32| {
        let mut out = Writer::new();
        utf(&mut out, class);
        out.u32(version);
        Snapshot::read(&mut Reader::new(out.as_slice()))
    };
    let long = format!("{BASE}LongSerializer$LongSerializerSnapshot");
    assert!(read(&long, 3).is_ok());
    for (class, version) in [("com.example.Mine", 1), (long.as_str(), 4), ("", 0)] {
        assert_eq!(read(class, version).unwrap_err().kind(), ErrorKind::Incompatible, "{class:?}");
    }
}

#[test]
fn every_simple_serializer_is_found_by_its_snapshot() {
    for simple in Simple::ALL {
        let class = simple.class();
        let name = class.rsplit_once('.').unwrap().1;
        let snapshot = match simple {
            Simple::Tuple0 => format!("{class}Snapshot"),
            Simple::TimeWindow | Simple::GlobalWindow => {
                format!("{class}${}SerializerSnapshot", name.split_once('$').unwrap().0)
            }
            _ => format!("{class}${name}Snapshot"),
        };
        assert_eq!(Simple::of_snapshot(&snapshot), Some(*simple), "{snapshot}");
        assert_eq!(Simple::of_snapshot(class), None, "{class}");
    }
}

#[test]
fn nesting_is_bounded() {
    let mut out = Writer::new();
    for _ in 0..1000 {
        utf(&mut out, &format!("{BASE}ListSerializerSnapshot"));
        [3, 911_108, 1, 1_333_245, 1, 1].into_iter().for_each(|word| out.u32(word));
    }
    let error = Snapshot::read(&mut Reader::new(out.as_slice())).unwrap_err();
    assert!(error.message().contains("nests deeper"), "{error}");
}

#[test]
fn an_unknown_field_of_a_pojo_is_stepped_over() {
    let mut field = Writer::new();
    simple(&mut field, "com.example.MineSnapshot");
    field.raw(b"whatever");
    let mut key = Writer::new();
    utf(&mut key, "P");
    utf(&mut key, "x");
    let map = |out: &mut Writer, count: u32| {
        out.u64(0x0000_04F2_C69A_3D70);
        out.u32(count);
    };
    let mut out = Writer::new();
    utf(&mut out, "org.apache.flink.api.java.typeutils.runtime.PojoSerializerSnapshot");
    out.u32(2);
    utf(&mut out, "P");
    map(&mut out, 1);
    utf(&mut out, "x");
    for frame in [&key, &field] {
        out.u8(1);
        out.u32(frame.len().try_into().unwrap());
        out.raw(frame.as_slice());
    }
    map(&mut out, 0);
    map(&mut out, 0);
    let snapshot = Snapshot::read(&mut Reader::new(out.as_slice())).unwrap();
    let TypeSerializer::Pojo(pojo) = &snapshot.serializer else { panic!("{snapshot:?}") };
    let opaque = pojo.fields[0].serializer.as_ref().unwrap();
    assert_eq!((opaque.class.as_str(), opaque.bytes.as_slice()), ("com.example.MineSnapshot", field.as_slice()));
    let TypeSerializer::Opaque { reason } = &opaque.serializer else { panic!("{opaque:?}") };
    assert!(reason.contains("com.example.MineSnapshot is not known"), "{reason}");
}
