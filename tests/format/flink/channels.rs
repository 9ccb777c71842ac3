use millpond::codec::Reader;
use millpond::format::flink::channel::{self, Elements, StreamElement};
use millpond::format::flink::metadata::{ChannelHandle, Metadata, Operator};
use millpond::format::flink::serializer::{Simple, Snapshot, TypeSerializer};
use serde_json::Value as Json;

use super::files::Files;
use super::fixtures;
use super::text;

fn simple(simple: Simple) -> Snapshot {
    Snapshot { class: String::new(), version: 3, serializer: TypeSerializer::Simple(simple), bytes: Vec::new() }
}

/// The bytes of the channel of a number, if there are any.
fn bytes(handles: &[ChannelHandle], index: u32, files: &Files<'_>) -> Vec<u8> {
    let mut all = Vec::new();
    for handle in handles {
        let file = files.read(&handle.stream);
        for channel in handle.channels.iter().filter(|channel| channel.index == index) {
            all.extend(channel::bytes(channel, &file).unwrap());
        }
    }
    all
}

fn channel_bytes(operator: &Operator, subtask: u64, index: u64, input: bool, files: &Files<'_>) -> Vec<u8> {
    let found = operator.subtasks().iter().find(|found| u64::from(found.index.0) == subtask);
    let Some(state) = found.and_then(|found| found.state.as_deref()) else { return Vec::new() };
    let handles = if input { &state.input_channels } else { &state.result_subpartitions };
    bytes(handles, index.try_into().unwrap(), files)
}

#[test]
fn records_in_flight_are_those_that_were_sent_and_not_processed() {
    let record =
        TypeSerializer::Tuple { class: String::new(), fields: vec![simple(Simple::Long), simple(Simple::String)] };
    let record = Snapshot { serializer: record, ..simple(Simple::Long) };
    let (mut snapshots, mut records) = (0, 0);
    for fixture in fixtures::all() {
        let Some(expected) = fixture.at_snapshot_json() else { continue };
        snapshots += 1;
        let metadata = Metadata::decode(&fixture.metadata_bytes()).unwrap();
        let files = Files::of(&fixture);
        let operator = |uid: &Json| {
            let id = millpond::ids::OperatorId::from_uid(uid.as_str().unwrap());
            metadata.operators.iter().find(|operator| operator.id == id).unwrap()
        };
        for channel in expected["in_flight"].as_array().unwrap() {
            let (from, to) = (channel["from_subtask"].as_u64().unwrap(), channel["to_subtask"].as_u64().unwrap());
            let mut stream = channel_bytes(operator(&channel["to_uid"]), to, from, true, &files);
            stream.extend(channel_bytes(operator(&channel["from_uid"]), from, to, false, &files));
            let mut elements = Elements::new(&stream);
            let mut found = Vec::new();
            for element in elements.by_ref() {
                if let StreamElement::Record { payload, .. } = element.unwrap() {
                    let value = record.read_whole(&mut Reader::new(payload)).unwrap();
                    found.push(serde_json::from_str(&text::value(&value)).unwrap());
                }
            }
            assert!(elements.rest().is_empty(), "{} {from} to {to}", fixture.name);
            records += found.len();
            assert_eq!(Json::Array(found), channel["records"], "{} {from} to {to}", fixture.name);
        }
    }
    assert!(snapshots > 0 && records > 0);
    println!("{records} records in flight in {snapshots} snapshots are equal");
}
