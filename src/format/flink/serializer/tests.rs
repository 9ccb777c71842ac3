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
        let snapshot = match (simple, name.split_once('$')) {
            (Simple::Tuple0, _) => format!("{class}Snapshot"),
            (_, Some((window, "Serializer"))) => format!("{class}${window}SerializerSnapshot"),
            (_, Some((_, nested))) => format!("{class}${nested}Snapshot"),
            (_, None) => format!("{class}${name}Snapshot"),
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

/// A composite snapshot of a class below `org.apache.flink`.
fn composite(class: &str, outer_version: u32, outer: &[u8], nested: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Writer::new();
    utf(&mut out, &format!("org.apache.flink.{class}"));
    [3, 911_108, outer_version].into_iter().for_each(|word| out.u32(word));
    out.raw(outer);
    [1_333_245, 1, nested.len().try_into().unwrap()].into_iter().for_each(|word| out.u32(word));
    nested.iter().for_each(|nested| out.raw(nested));
    out.into_bytes()
}

fn of_simple(kind: Simple) -> Vec<u8> {
    Snapshot::simple(kind).unwrap().bytes
}

/// Reads a snapshot and, with it, a value, which is written again byte for byte.
fn shown(snapshot: &[u8], value: &[u8]) -> (String, crate::format::flink::Value) {
    let read = Snapshot::read(&mut Reader::new(snapshot)).unwrap();
    assert_eq!(read.bytes, snapshot);
    let decoded = read.read_whole(&mut Reader::new(value)).unwrap();
    let mut again = Writer::new();
    read.write_value(&decoded, &mut again).unwrap();
    assert_eq!(again.as_slice(), value, "{decoded:?}");
    for length in 0..value.len() {
        assert!(read.read_value(&mut Reader::new(&value[..length])).is_err(), "{read} cut at {length}");
    }
    (read.to_string(), decoded)
}

#[test]
fn serializers_of_joins_and_sinks_are_known() {
    use crate::format::flink::Value::{Bool, Int, Left, List, Long, Null, Right, Tuple};
    let (int, long) = (of_simple(Simple::Int), of_simple(Simple::Long));
    let union = composite(
        "streaming.api.datastream.CoGroupedStreams$UnionSerializerSnapshot",
        2,
        &[],
        &[int.clone(), long.clone()],
    );
    assert_eq!(shown(&union, &[1, 0, 0, 0, 5]), ("Either<Int, Long>".to_owned(), Left(Box::new(Int(5)))));
    assert_eq!(shown(&union, &[2, 0, 0, 0, 0, 0, 0, 0, 5]).1, Right(Box::new(Long(5))));
    let read = Snapshot::read(&mut Reader::new(&union)).unwrap();
    assert_eq!(read.read_value(&mut Reader::new(&[3])).unwrap_err().kind(), ErrorKind::Corrupt);

    let class = "streaming.api.operators.co.IntervalJoinOperator$BufferEntrySerializerSnapshot";
    let entry = composite(class, 2, &[], std::slice::from_ref(&int));
    let (name, value) = shown(&entry, &[1, 0, 0, 0, 5]);
    assert_eq!((name.as_str(), value), ("BufferEntry<Boolean, Int>", Tuple(vec![Bool(true), Int(5)])));

    let class = "streaming.api.functions.sink.TwoPhaseCommitSinkFunction$StateSerializerSnapshot";
    let nullable = composite(class, 4, &[1], &[int.clone(), long.clone()]);
    let open = Tuple(vec![Int(7), Long(1)]);
    let stored = [1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
    assert_eq!(shown(&nullable, &stored).1, Tuple(vec![open, List(Vec::new()), Null]));
    assert_eq!(shown(&nullable, &[0; 6]).1, Tuple(vec![Null, List(Vec::new()), Null]));
    let never_null = composite(class, 2, &[], &[int, long]);
    assert_eq!(shown(&never_null, &stored[1..]).1, shown(&nullable, &stored).1);
}

#[test]
fn serializers_of_pattern_matching_are_known() {
    use crate::format::flink::JavaString;
    use crate::format::flink::Value::{Int, List, Long, Null, String as Text, Tuple};
    let event = of_simple(Simple::EventId);
    let version = of_simple(Simple::DeweyNumber);
    let package = "cep.nfa.sharedbuffer.";
    let class = format!("{package}NodeId$NodeIdSerializer$NodeIdSerializerSnapshot");
    let node = composite(&class, 1, &[], std::slice::from_ref(&event));
    let event_bytes = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
    let event_value = Tuple(vec![Int(1), Long(9)]);
    let node_bytes = [&[1], &event_bytes[..], &[2, b'p']].concat();
    let node_value = Tuple(vec![event_value.clone(), Text(JavaString::Text("p".to_owned()))]);
    assert_eq!(shown(&node, &node_bytes), ("optional NodeId<EventId, String>".to_owned(), node_value.clone()));
    assert_eq!(shown(&node, &[0]).1, Null);

    let class = format!("{package}SharedBufferEdge$SharedBufferEdgeSerializer$SharedBufferEdgeSerializerSnapshot");
    let edge = composite(&class, 1, &[], &[node.clone(), version.clone()]);
    let nodes = composite(&format!("{package}SharedBufferNodeSerializerSnapshotV2"), 1, &[], &[edge]);
    let version_bytes = [0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3];
    let stored = [&[0, 0, 0, 1, 0, 0, 0, 6], &node_bytes[..], &version_bytes[..]].concat();
    let version_value = List(vec![Int(1), Int(3)]);
    let edge_value = Tuple(vec![node_value.clone(), version_value.clone()]);
    assert_eq!(shown(&nodes, &stored).1, List(vec![Tuple(vec![Int(6), edge_value])]));

    let class = "cep.nfa.NFAStateSerializerSnapshot";
    let states = composite(class, 2, &[1], &[version, node, event]);
    let times = [0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5];
    let run =
        [&[0, 0, 0, 1, 2, b's'], &node_bytes[..], &version_bytes[..], &times[..], &[1], &event_bytes[..]].concat();
    let stored = [&run[..], &[0; 4]].concat();
    let name = Text(JavaString::Text("s".to_owned()));
    let run = Tuple(vec![name, node_value, version_value, Long(4), Long(5), event_value]);
    assert_eq!(shown(&states, &stored).1, Tuple(vec![List(vec![run]), List(Vec::new())]));
}

#[test]
fn serializers_of_views_and_of_scala_are_known() {
    use crate::format::flink::Value::{Int, Left, List, Map, Null, Tuple};
    let int = || of_simple(Simple::Int);
    let map = composite("table.dataview.NullAwareMapSerializerSnapshot", 1, &[], &[int(), int()]);
    let view = composite("table.dataview.MapViewSerializerSnapshot", 1, &[], &[map]);
    let stored = [0, 0, 0, 2, 1, 0, 0, 0, 0, 7, 0, 0, 0, 0, 8, 1];
    let (name, value) = shown(&view, &stored);
    assert_eq!((name.as_str(), value), ("Map<nullable Int, Int>", Map(vec![(Null, Int(7)), (Int(8), Null)])));

    let mut name = Writer::new();
    utf(&mut name, "x.Case");
    for package in ["api.scala.typeutils.", "table.api.typeutils."] {
        let option = composite(&format!("{package}ScalaOptionSerializerSnapshot"), 2, &[], &[int()]);
        assert_eq!(shown(&option, &[1, 0, 0, 0, 7]).1, Int(7));
        assert_eq!(shown(&option, &[0]).1, Null);
        let class = format!("{package}ScalaCaseClassSerializerSnapshot");
        let case = composite(&class, 2, name.as_slice(), &[int(), option]);
        let (name, value) = shown(&case, &[0, 0, 0, 5, 1, 0, 0, 0, 7]);
        assert_eq!((name.as_str(), value), ("Case<Int, optional Int>", Tuple(vec![Int(5), Int(7)])));
        let read = Snapshot::read(&mut Reader::new(&case)).unwrap();
        let hash = crate::format::flink::key_group::java_hash(&read, &Tuple(vec![Int(5), Int(7)]), &[]);
        assert_eq!(hash, None, "Scala hashes in its own way");
    }
    let either = composite("api.scala.typeutils.ScalaEitherSerializerSnapshot", 1, &[], &[int(), int()]);
    assert_eq!(shown(&either, &[1, 0, 0, 0, 5]).1, Left(Box::new(Int(5))));
    let code = [0, 1, b'c'];
    let many = composite("api.scala.typeutils.TraversableSerializerSnapshot", 2, &code, &[int()]);
    assert_eq!(shown(&many, &[0, 0, 0, 2, 1, 0, 0, 0, 5, 0]).1, List(vec![Int(5), Null]));
}

#[test]
fn constants_of_scala_are_named_where_their_numbers_are_positions() {
    let enumeration = |numbers: [u32; 2]| {
        let mut out = Writer::new();
        utf(&mut out, "org.apache.flink.api.scala.typeutils.ScalaEnumSerializerSnapshot");
        out.u32(1);
        utf(&mut out, "x.Weekday$");
        out.u32(2);
        for (name, number) in ["Tue", "Mon"].into_iter().zip(numbers) {
            utf(&mut out, name);
            out.u32(number);
        }
        out.into_bytes()
    };
    let named = shown(&enumeration([1, 0]), &[0, 0, 0, 1]).1;
    assert_eq!(named, crate::format::flink::Value::Enum("Tue".into()));
    assert_eq!(shown(&enumeration([1, 7]), &[0, 0, 0, 7]).1, crate::format::flink::Value::Int(7));
}

#[test]
fn records_of_streams_are_decoded_and_other_events_are_not() {
    use crate::format::flink::Value::Pojo;
    let class = "streaming.runtime.streamrecord.StreamElementSerializer$StreamElementSerializerSnapshot";
    let element = composite(class, 2, &[], &[of_simple(Simple::Int)]);
    let timed = [0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 5];
    let untimed = [1, 0, 0, 0, 5];
    let watermark = [2, 0, 0, 0, 0, 0, 0, 0, 9];
    for (bytes, name, fields) in
        [(&timed[..], "StreamRecord", 2), (&untimed, "StreamRecord", 2), (&watermark, "Watermark", 1)]
    {
        let Pojo { class, fields: found } = shown(&element, bytes).1 else { panic!("{bytes:?}") };
        assert_eq!((&*class, found.len()), (name, fields));
    }
    let read = Snapshot::read(&mut Reader::new(&element)).unwrap();
    assert_eq!(read.read_value(&mut Reader::new(&[3, 0])).unwrap_err().kind(), ErrorKind::Incompatible);
}
