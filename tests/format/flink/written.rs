//! What real Flink wrote, decoded and written again.

use std::collections::BTreeMap;

use millpond::codec::{Reader, Writer};
use millpond::error::ErrorKind;
use millpond::format::flink::header::{KeyedHeader, OperatorHeader, StateInfo};
use millpond::format::flink::keyed::{BlockWriter, KeyBytes};
use millpond::format::flink::metadata::{
    InlineBytes, KeyGroupOffsets, KeyGroupsBody, KeyGroupsHandle, KeyedHandle, Metadata, Operator, Progress,
    StreamHandle, Version,
};
use millpond::format::flink::operator::FileWriter;
use millpond::format::flink::serializer::{Snapshot, TypeSerializer};
use millpond::format::flink::{Content, KeyedEntry, KeyedFile, Value, heap, keyed, operator};
use millpond::key_group::{KeyGroup, MaxParallelism};

use super::files::Files;
use super::fixtures::{self, Fixture};

fn metadata(fixture: &Fixture) -> Metadata {
    Metadata::decode(&fixture.metadata_bytes()).unwrap()
}

#[test]
fn metadata_is_written_byte_for_byte() {
    let fixtures = fixtures::all();
    for fixture in &fixtures {
        let decoded = metadata(fixture);
        let written = decoded.encode().unwrap_or_else(|error| panic!("{}: {error:?}", fixture.name));
        assert!(written == fixture.metadata_bytes(), "{}", fixture.name);
    }
    println!("{} metadata files are written byte for byte", fixtures.len());
}

#[test]
fn metadata_is_written_in_every_version_that_flink_still_writes_or_reads() {
    for fixture in fixtures::all() {
        let decoded = metadata(&fixture);
        for version in [Version::V3, Version::V4, Version::V5, Version::V6] {
            let asked = decoded.clone().in_version(version);
            let written = asked.encode().unwrap_or_else(|error| panic!("{} {version}: {error:?}", fixture.name));
            let again = Metadata::decode(&written).unwrap();
            assert_eq!(again.version, version);
            assert_eq!(again.properties.is_some(), version >= Version::V4);
            let shape = |metadata: &Metadata| {
                metadata.operators.iter().map(|operator| (operator.id, operator.subtasks().len())).collect::<Vec<_>>()
            };
            assert_eq!(shape(&again), shape(&decoded), "{} {version}", fixture.name);
        }
        assert_eq!(decoded.in_version(Version::V2).encode().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn contradictions_are_not_written() {
    let fixture = fixtures::committed().into_iter().find(|fixture| fixture.name.starts_with("2.3.0")).unwrap();
    let good = metadata(&fixture);
    let refused = |change: &dyn Fn(&mut Metadata)| {
        let mut changed = good.clone();
        change(&mut changed);
        match changed.encode() {
            Ok(_) => panic!("{:?} was written", changed.operators),
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}"),
        }
    };
    refused(&|metadata| metadata.version = Version::V3);
    refused(&|metadata| metadata.properties = None);
    refused(&|metadata| metadata.checkpoint_id = u64::MAX);
    refused(&|metadata| metadata.operators.push(metadata.operators[0].clone()));
    refused(&|metadata| metadata.operators[0].name = Some(String::new()));
    refused(&|metadata| {
        let running = metadata.operators.iter_mut().find(|operator| !operator.subtasks().is_empty()).unwrap();
        let Progress::Running(subtasks) = &mut running.progress else { unreachable!() };
        subtasks.push(subtasks[0].clone());
    });
}

#[test]
fn the_properties_of_a_canonical_savepoint_are_those_of_flink() {
    let mut compared = 0;
    for fixture in fixtures::all().iter().filter(|fixture| fixture.kind == "savepoint-canonical") {
        let mut bare = metadata(fixture);
        let theirs = bare.properties.take();
        assert!(bare.in_version(Version::V4).properties == theirs, "{}", fixture.name);
        compared += 1;
    }
    assert!(compared > 0);
}

/// Every handle of managed keyed state that leads to a file, with the file.
fn keyed_files(mut visit: impl FnMut(&Fixture, &Operator, &KeyGroupsHandle, &[u8])) {
    for fixture in fixtures::all() {
        let files = Files::of(&fixture);
        for operator in &metadata(&fixture).operators {
            for state in operator.subtasks().iter().filter_map(|subtask| subtask.state.as_ref()) {
                if let Some(KeyedHandle::KeyGroups(handle)) = &state.managed_keyed {
                    visit(&fixture, operator, handle, &files.read(&handle.stream));
                }
            }
        }
    }
}

/// A canonical file of the entries that `entries` gives for each key group.
fn canonical(
    header: &KeyedHeader,
    handle: &KeyGroupsHandle,
    max: MaxParallelism,
    mut entries: impl FnMut(KeyGroup, &mut BlockWriter),
) -> (KeyGroupsHandle, Vec<u8>) {
    let mut out = Writer::new();
    header.write(&mut out).unwrap();
    let mut file = out.into_bytes();
    let mut offsets = Vec::new();
    for group in handle.offsets.range().iter() {
        let mut block = BlockWriter::new(header, group, max).unwrap();
        entries(group, &mut block);
        let position = u64::try_from(file.len()).unwrap();
        let block = block.finish().unwrap();
        offsets.push(block.as_ref().map(|_| position));
        file.extend(block.unwrap_or_default());
    }
    let offsets = KeyGroupOffsets::new(handle.offsets.range(), offsets).unwrap();
    let stream = StreamHandle::Inline(InlineBytes { name: "file".into(), bytes: file.clone() });
    (KeyGroupsHandle { body: KeyGroupsBody::Canonical, offsets, stream, id: None }, file)
}

/// The bytes of each key group that has any, and where they begin.
fn blocks<'f>(handle: &KeyGroupsHandle, file: &'f [u8]) -> BTreeMap<KeyGroup, (&'f [u8], u64)> {
    let extents = handle.offsets.extents(u64::try_from(file.len()).unwrap()).into_iter();
    let part = |start, end| &file[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
    extents.map(|(group, start, end)| (group, (part(start, end), start))).collect()
}

/// The entries of a file as text, sorted within each state.
fn contents(handle: &KeyGroupsHandle, max: MaxParallelism, file: &[u8]) -> Option<BTreeMap<String, Vec<String>>> {
    let opened = KeyedFile::open(handle, max, file).unwrap();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let visited = opened.visit(|group, id, entry| {
        let state = opened.header().state(id).unwrap();
        let lines = found.entry(format!("{} {:?}", state.name, state.state_type)).or_default();
        lines.extend(entry.flatten().iter().map(|entry| format!("{group} {entry:?}")));
        Ok(())
    });
    found.values_mut().for_each(|lines| lines.sort_unstable());
    match visited {
        Err(error) if error.kind() == ErrorKind::Incompatible => None,
        visited => visited.map(|()| Some(found)).unwrap(),
    }
}

#[test]
fn canonical_files_are_written_byte_for_byte() {
    let (mut identical, mut compressed) = (0, 0);
    keyed_files(|fixture, operator, handle, file| {
        if handle.body != KeyGroupsBody::Canonical {
            return;
        }
        let header = KeyedHeader::read(&mut Reader::new(file)).unwrap();
        let max = operator.max_parallelism;
        let blocks = blocks(handle, file);
        let (written_handle, written) = canonical(&header, handle, max, |group, out| {
            let Some((bytes, base)) = blocks.get(&group).copied() else { return };
            let block = keyed::Block::open(&header, group, max, bytes, base).unwrap();
            for entry in block.entries(&header) {
                let entry = entry.unwrap();
                out.entry(entry.state_id, entry.key, entry.value).unwrap();
            }
        });
        if header.compressed {
            // How well chunks are compressed is the compressor's business.
            assert_eq!(contents(&written_handle, max, &written), contents(handle, max, file), "{}", fixture.name);
            compressed += 1;
            return;
        }
        assert!(written == file, "{}", fixture.name);
        assert_eq!(written_handle.offsets, handle.offsets, "{}", fixture.name);
        identical += 1;
    });
    println!("{identical} canonical files are written byte for byte, {compressed} compressed ones with equal entries");
    assert!(identical > 0 && compressed > 0);
}

#[test]
fn native_heap_files_become_canonical_ones_with_the_same_entries() {
    let (mut converted, mut refused) = (0, 0);
    keyed_files(|fixture, operator, handle, file| {
        if handle.body != KeyGroupsBody::Native {
            return;
        }
        let header = KeyedHeader::read(&mut Reader::new(file)).unwrap();
        let max = operator.max_parallelism;
        let mut opaque = false;
        let blocks = blocks(handle, file);
        let (written_handle, written) = canonical(&header, handle, max, |group, out| {
            let (bytes, base) = blocks[&group];
            let block = heap::Block::open(&header, group, max, bytes, base).unwrap();
            let visited = block.entries(&header).visit_canonical(|id, key, value| out.entry(id, key, value));
            match visited {
                Err(error) if error.kind() == ErrorKind::Incompatible => opaque = true,
                visited => visited.unwrap(),
            }
        });
        if opaque {
            assert!(fixture.name.contains("kryo"), "{}", fixture.name);
            refused += 1;
            return;
        }
        assert!(!heap::is_native(&written_handle.offsets, &written), "{}", fixture.name);
        let (ours, theirs) = (contents(&written_handle, max, &written), contents(handle, max, file));
        let without_empty = |states: Option<BTreeMap<String, Vec<String>>>| {
            let mut states = states.unwrap();
            states.retain(|_, lines| !lines.is_empty());
            states
        };
        assert_eq!(without_empty(ours), without_empty(theirs), "{}", fixture.name);
        converted += 1;
    });
    println!("{converted} native heap files were converted, {refused} have values without a known end");
    assert!(converted > 0);
}

/// The composite key and the value of an entry, from its decoded parts.
fn encode(header: &KeyedHeader, state: &StateInfo, decoded: &KeyedEntry) -> (Vec<u8>, Vec<u8>) {
    let part = |serializer: &Snapshot, value: &Value| {
        let mut out = Writer::new();
        serializer.write_value(value, &mut out).unwrap();
        out.into_bytes()
    };
    let value = state.value().unwrap();
    let (mut key_out, mut value_out) = (Writer::new(), Writer::new());
    if let (Content::Timer { timestamp }, TypeSerializer::Timer { .. }) = (&decoded.content, &value.serializer) {
        let (key, namespace) = (Box::new(decoded.key.clone()), Box::new(decoded.namespace.clone()));
        value.write_value(&Value::Timer { timestamp: *timestamp, key, namespace }, &mut key_out).unwrap();
        return (key_out.into_bytes(), Vec::new());
    }
    let namespace = state.namespace().unwrap();
    let key = header.key.as_ref().unwrap();
    let (key_bytes, namespace_bytes) = (part(key, &decoded.key), part(namespace, &decoded.namespace));
    let mut user_key_bytes = Vec::new();
    match (&decoded.content, &value.serializer) {
        (Content::MapEntry { user_key, value }, TypeSerializer::Map(key_serializer, value_serializer)) => {
            user_key_bytes = part(key_serializer, user_key);
            let stored = (*value != Value::Null).then(|| part(value_serializer, value));
            keyed::write_map_value(stored.as_deref(), &mut value_out);
        }
        (Content::Value(Value::List(elements)), TypeSerializer::List(element))
            if state.option("KEYED_STATE_TYPE") == Some("LIST") =>
        {
            elements.iter().for_each(|value| keyed::write_element(0, &part(element, value), &mut value_out));
        }
        (Content::Value(decoded), _) => value.write_value(decoded, &mut value_out).unwrap(),
        (content, _) => panic!("{content:?}"),
    }
    let parts = KeyBytes { key: &key_bytes, namespace: &namespace_bytes, user_key: &user_key_bytes };
    parts.write(key, namespace, &mut key_out);
    (key_out.into_bytes(), value_out.into_bytes())
}

#[test]
fn decoded_entries_are_encoded_byte_for_byte() {
    let (mut equal, mut abbreviated, mut nulls) = (0, 0, 0);
    keyed_files(|fixture, operator, handle, file| {
        if handle.body != KeyGroupsBody::Canonical {
            return;
        }
        let header = KeyedHeader::read(&mut Reader::new(file)).unwrap();
        for (group, (bytes, base)) in blocks(handle, file) {
            let block = keyed::Block::open(&header, group, operator.max_parallelism, bytes, base).unwrap();
            for entry in block.entries(&header) {
                let entry = entry.unwrap();
                let decoded = entry.decode(&header).unwrap();
                let state = header.state(entry.state_id).unwrap();
                let (key, value) = encode(&header, state, &decoded);
                let parts = KeyBytes::read(&header, entry.state_id, entry.key).unwrap();
                if let Content::Timer { .. } = decoded.content {
                    assert_eq!(entry.key[8..], [parts.key, parts.namespace].concat(), "{}", fixture.name);
                } else {
                    let mut again = Writer::new();
                    parts.write(header.key.as_ref().unwrap(), state.namespace().unwrap(), &mut again);
                    assert_eq!(again.as_slice(), entry.key, "{}", fixture.name);
                }
                if key == entry.key && value == entry.value {
                    equal += 1;
                } else if value == [1] && entry.value.first() == Some(&1) {
                    // The heap backend leaves bytes behind a null, which mean nothing.
                    nulls += 1;
                } else {
                    // A big integer that the JDK has a constant for.
                    let text = format!("{decoded:?}");
                    assert!(text.contains("Big"), "{} {}: {text}", fixture.name, state.name);
                    abbreviated += 1;
                }
            }
        }
    });
    println!("{equal} entries are encoded byte for byte; {nulls} nulls and {abbreviated} big numbers in another form");
    assert!(equal > 10_000 || fixtures::all().len() < 50);
}

/// Makes the snapshot and everything nested in it anew; returns how many could be made.
fn remade(snapshot: &Snapshot, carried: &mut BTreeMap<String, usize>) -> usize {
    let nested: Vec<&Snapshot> = match &snapshot.serializer {
        TypeSerializer::List(inner)
        | TypeSerializer::Set(inner)
        | TypeSerializer::Ttl(inner)
        | TypeSerializer::Nullable { inner, .. }
        | TypeSerializer::GenericArray { component: inner, .. } => vec![inner],
        TypeSerializer::Map(first, second)
        | TypeSerializer::Either(first, second)
        | TypeSerializer::Timer { key: first, namespace: second } => vec![first, second],
        TypeSerializer::Tuple { fields, .. }
        | TypeSerializer::Row { fields, .. }
        | TypeSerializer::RowData { fields, .. } => fields.iter().collect(),
        TypeSerializer::Pojo(pojo) => pojo.fields.iter().filter_map(|field| field.serializer.as_ref()).collect(),
        _ => Vec::new(),
    };
    let mut made: usize = nested.into_iter().map(|snapshot| remade(snapshot, carried)).sum();
    match Snapshot::of(snapshot.serializer.clone()) {
        Ok(again) => {
            assert_eq!(&again, snapshot);
            made += 1;
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
            *carried.entry(snapshot.class.rsplit_once('.').unwrap().1.to_owned()).or_default() += 1;
        }
    }
    made
}

#[test]
fn serializer_snapshots_are_made_anew_byte_for_byte() {
    let mut carried = BTreeMap::new();
    let mut made = 0;
    keyed_files(|_, _, _, file| {
        let header = KeyedHeader::read(&mut Reader::new(file)).unwrap();
        let snapshots = header.states.iter().flat_map(|state| state.serializers.iter().map(|(_, snapshot)| snapshot));
        made += header.key.iter().chain(snapshots).map(|snapshot| remade(snapshot, &mut carried)).sum::<usize>();
    });
    println!("{made} serializer snapshots are made anew byte for byte; carried as they are: {carried:?}");
    assert!(made > 100);
}

#[test]
fn operator_state_is_written_byte_for_byte() {
    let (mut identical, mut compressed) = (0, 0);
    for fixture in fixtures::all() {
        let files = Files::of(&fixture);
        for operator in &metadata(&fixture).operators {
            for state in operator.subtasks().iter().filter_map(|subtask| subtask.state.as_ref()) {
                let Some(handle) = &state.managed_operator else { continue };
                let file = files.read(&handle.stream);
                if file.is_empty() {
                    continue;
                }
                let header = OperatorHeader::read(&mut Reader::new(&file)).unwrap();
                let mut written = FileWriter::new(&header).unwrap();
                let elements: Vec<_> =
                    operator::elements(&header, &handle.states, &file).map(|element| element.unwrap()).collect();
                let mut order: Vec<usize> = (0..elements.len()).collect();
                let offsets: Vec<u64> = handle.states.iter().flat_map(|state| state.offsets.clone()).collect();
                order.sort_by_key(|index| offsets[*index]);
                for index in order {
                    let element = &elements[index];
                    let mut out = Writer::new();
                    let info = header.state(element.state).unwrap();
                    match (&element.value, info.key()) {
                        (Value::Map(entries), Some(key)) => {
                            operator::write_map(key, info.value().unwrap(), entries, &mut out).unwrap();
                        }
                        (value, _) => info.value().unwrap().write_value(value, &mut out).unwrap(),
                    }
                    written.element(element.state, out.as_slice()).unwrap();
                }
                let (bytes, mut states) = written.finish();
                if header.compressed {
                    let again: Vec<_> =
                        operator::elements(&header, &states, &bytes).map(|element| element.unwrap()).collect();
                    assert_eq!(again.len(), elements.len());
                    elements.iter().for_each(|element| assert!(again.contains(element), "{}", fixture.name));
                    compressed += 1;
                    continue;
                }
                assert!(bytes == file, "{}", fixture.name);
                let mut theirs = handle.states.clone();
                theirs.sort_by(|a, b| a.name.cmp(&b.name));
                states.sort_by(|a, b| a.name.cmp(&b.name));
                assert_eq!(states, theirs, "{}", fixture.name);
                identical += 1;
            }
        }
    }
    println!("{identical} files of operator state are written byte for byte, {compressed} compressed ones anew");
    assert!(identical > 0);
}
