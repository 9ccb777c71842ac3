use millpond::format::flink::SnapshotType;
use millpond::format::flink::metadata::{
    ChangelogDelta, Channel, ChannelHandle, Distribution, InlineBytes, KeyGroupsBody, KeyGroupsHandle, KeyedHandle,
    LocalFile, Metadata, Operator, OperatorStateHandle, Progress, Scope, StreamHandle, Subtask,
};
use millpond::key_group::KeyGroupRange;
use serde_json::{Value as Json, json};

use super::fixtures::{self, Fixture, sha256};

/// What Flink's own reader says of a file, computed from what ours says.
struct View<'a> {
    /// Where Flink found the snapshot, to which it resolves relative paths.
    origin: &'a str,
}

impl View<'_> {
    fn metadata(&self, metadata: &Metadata) -> Json {
        let mut operators: Vec<Json> = metadata.operators.iter().map(|operator| self.operator(operator)).collect();
        sort_operators(&mut operators);
        json!({
            "metadata_version": metadata.version.number(),
            "checkpoint_id": metadata.checkpoint_id,
            "master_states": metadata.master_states.len(),
            "properties": properties(metadata),
            "operators": operators,
        })
    }

    fn operator(&self, operator: &Operator) -> Json {
        let subtasks: serde_json::Map<String, Json> =
            operator.subtasks().iter().map(|subtask| (subtask.index.to_string(), self.subtask(subtask))).collect();
        let mut view = json!({
            "operator_id": operator.id.to_string(),
            "parallelism": operator.parallelism.get(),
            "max_parallelism": operator.max_parallelism.get(),
            "fully_finished": operator.progress == Progress::Finished,
            "coordinator": operator.coordinator.as_ref().map(inline),
            "subtasks": subtasks,
        });
        if let Some(name) = &operator.name {
            view["operatorName"] = json!(name);
        }
        if let Some(uid) = &operator.uid {
            view["operatorUid"] = json!(uid);
        }
        view
    }

    fn subtask(&self, subtask: &Subtask) -> Json {
        let Some(state) = &subtask.state else { return json!({ "finished": true }) };
        let mut view = json!({ "finished": false });
        let mut slot = |name: &str, handles: Vec<Json>| {
            if !handles.is_empty() {
                view[name] = Json::Array(handles);
            }
        };
        slot("managed_operator", state.managed_operator.iter().map(|handle| self.operator_state(handle)).collect());
        slot("raw_operator", state.raw_operator.iter().map(|handle| self.operator_state(handle)).collect());
        slot("managed_keyed", state.managed_keyed.iter().map(|handle| self.keyed(handle)).collect());
        slot("raw_keyed", state.raw_keyed.iter().map(|handle| self.keyed(handle)).collect());
        slot("input_channel", state.input_channels.iter().map(|handle| self.channel(handle, true)).collect());
        let outputs = state.result_subpartitions.iter().map(|handle| self.channel(handle, false));
        slot("result_subpartition", outputs.collect());
        view
    }

    fn operator_state(&self, handle: &OperatorStateHandle) -> Json {
        let states: serde_json::Map<String, Json> = handle
            .states
            .iter()
            .map(|state| {
                let mode = match state.distribution {
                    Distribution::Split => "SPLIT_DISTRIBUTE",
                    Distribution::Union => "UNION",
                    Distribution::Broadcast => "BROADCAST",
                };
                let view =
                    json!({ "class": "StateMetaInfo", "distributionMode": mode, "offsets": numbers(&state.offsets) });
                (state.name.clone(), view)
            })
            .collect();
        let mut view = json!({
            "class": "OperatorStreamStateHandle",
            "delegateStateHandle": self.stream(&handle.stream),
            "stateNameToPartitionOffsets": states,
        });
        if let Some(merging) = &handle.merging {
            let directory = |uri: &String| json!({ "class": "DirectoryStreamStateHandle", "directory": uri });
            let empty = if merging.is_empty { "Empty" } else { "" };
            view["class"] = json!(format!("{empty}FileMergingOperatorStreamStateHandle"));
            view["taskOwnedDirHandle"] = directory(&merging.task_owned);
            view["sharedDirHandle"] = directory(&merging.shared);
        }
        view
    }

    fn keyed(&self, handle: &KeyedHandle) -> Json {
        match handle {
            KeyedHandle::KeyGroups(handle) => self.key_groups(handle),
            KeyedHandle::Incremental(handle) => json!({
                "class": "IncrementalRemoteKeyedStateHandle",
                "backendIdentifier": handle.backend_id,
                "checkpointId": handle.checkpoint_id,
                "keyGroupRange": range(handle.range),
                "metaStateHandle": self.stream(&handle.meta),
                "persistedSizeOfThisCheckpoint": handle.checkpointed_size.unwrap(),
                "sharedState": self.files(&handle.shared),
                "privateState": self.files(&handle.private),
            }),
            KeyedHandle::Changelog(handle) => json!({
                "class": "ChangelogStateBackendHandleImpl",
                "checkpointId": handle.checkpoint_id.unwrap(),
                "keyGroupRange": range(handle.range),
                "materializationID": handle.materialization_id,
                "materialized": handle.materialized.iter().map(|handle| self.keyed(handle)).collect::<Vec<_>>(),
                "nonMaterialized": handle.changes.iter().map(|delta| self.delta(delta)).collect::<Vec<_>>(),
                "persistedSizeOfThisCheckpoint": handle.checkpointed_size,
                "stateHandleID": { "class": "StateHandleID", "keyString": handle.id },
            }),
        }
    }

    fn delta(&self, delta: &ChangelogDelta) -> Json {
        let ChangelogDelta::Stream { range: groups, parts, size, checkpointed_size, id, storage } = delta else {
            panic!("no fixture has changes in memory");
        };
        let parts: Vec<Json> = parts
            .iter()
            .map(|(offset, stream)| json!({ "class": "Tuple2", "f0": self.stream(stream), "f1": offset }))
            .collect();
        json!({
            "class": "ChangelogStateHandleStreamImpl",
            "handlesAndOffsets": parts,
            "incrementalSize": checkpointed_size,
            "keyGroupRange": range(*groups),
            "size": size,
            "stateHandleID": { "class": "StateHandleID", "keyString": id },
            "storageIdentifier": storage,
        })
    }

    fn key_groups(&self, handle: &KeyGroupsHandle) -> Json {
        let (class, absent) = match handle.body {
            KeyGroupsBody::Canonical => ("KeyGroupsSavepointStateHandle", 0),
            KeyGroupsBody::Native | KeyGroupsBody::Unspecified => ("KeyGroupsStateHandle", -1),
        };
        let offsets: Vec<i64> = handle
            .offsets
            .iter()
            .map(|(_, offset)| offset.map_or(absent, |offset| offset.try_into().unwrap()))
            .collect();
        let range = range(handle.offsets.range());
        json!({
            "class": class,
            "groupRangeOffsets": { "class": "KeyGroupRangeOffsets", "keyGroupRange": range, "offsets": numbers(&offsets) },
            "stateHandle": self.stream(&handle.stream),
        })
    }

    fn files(&self, files: &[LocalFile]) -> Vec<Json> {
        files
            .iter()
            .map(|file| {
                let handle = self.stream(&file.stream);
                json!({ "class": "HandleAndLocalPath", "localPath": file.name, "handle": handle })
            })
            .collect()
    }

    fn channel(&self, handle: &ChannelHandle, input: bool) -> Json {
        let mut view = json!({
            "delegate": self.stream(&handle.stream),
            "size": handle.size,
            "subtaskIndex": handle.subtask,
        });
        let name = if input { "InputChannelStateHandle" } else { "ResultSubpartitionStateHandle" };
        if handle.merged {
            view["class"] = json!(format!("Merged{name}"));
            view["serializedChannelOffsets"] = bytes_view(&merged_channels(&handle.channels));
            return view;
        }
        let [channel] = handle.channels.as_slice() else { panic!("{handle:?}") };
        view["class"] = json!(name);
        view["offsets"] = numbers(&channel.offsets);
        let (group, index) = (channel.group, channel.index);
        view["info"] = if input {
            json!({ "class": "InputChannelInfo", "gateIdx": group, "inputChannelIdx": index })
        } else {
            json!({ "class": "ResultSubpartitionInfo", "partitionIdx": group, "subPartitionIdx": index })
        };
        view
    }

    fn stream(&self, handle: &StreamHandle) -> Json {
        match handle {
            StreamHandle::Inline(bytes) => inline(bytes),
            StreamHandle::File { uri, size } => {
                json!({ "class": "FileStateHandle", "filePath": uri, "stateSize": size })
            }
            StreamHandle::Relative { path, size } => json!({
                "class": "RelativeFileStateHandle",
                "filePath": format!("{}/{path}", self.origin),
                "relativePath": path,
                "stateSize": size,
            }),
            StreamHandle::Segment(segment) => json!({
                "class": "SegmentFileStateHandle",
                "filePath": segment.uri,
                "logicalFileId": { "class": "LogicalFileId", "keyString": segment.logical_id },
                "scope": match segment.scope { Scope::Exclusive => "EXCLUSIVE", Scope::Shared => "SHARED" },
                "startPos": segment.start,
                "stateSize": segment.size,
            }),
            StreamHandle::EmptySegment => json!({
                "class": "EmptySegmentFileStateHandle",
                "filePath": "empty",
                "logicalFileId": { "class": "LogicalFileId", "keyString": "DUMMY" },
                "scope": "EXCLUSIVE",
                "startPos": 0,
                "stateSize": 0,
            }),
            StreamHandle::KeyGroups { .. } => panic!("no fixture has key groups as a plain stream"),
        }
    }
}

fn properties(metadata: &Metadata) -> Json {
    let Some(properties) = metadata.checkpoint_properties().unwrap() else { return Json::Null };
    let snapshot_type = match properties.snapshot_type {
        SnapshotType::Savepoint { name, format, post_action } => json!({
            "class": "SavepointType",
            "formatType": format,
            "name": name,
            "postCheckpointAction": post_action,
        }),
        SnapshotType::Checkpoint { name, sharing } => {
            json!({ "class": "CheckpointType", "name": name, "sharingFilesStrategy": sharing })
        }
    };
    json!({
        "class": "CheckpointProperties",
        "checkpointType": snapshot_type,
        "discardCancelled": properties.discard_cancelled,
        "discardFailed": properties.discard_failed,
        "discardFinished": properties.discard_finished,
        "discardSubsumed": properties.discard_subsumed,
        "discardSuspended": properties.discard_suspended,
        "forced": properties.forced,
        "unclaimed": properties.unclaimed,
    })
}

fn range(range: KeyGroupRange) -> Json {
    json!([range.first().0, range.last().0])
}

/// Numbers as the lab shows them: long arrays only by their ends and a hash.
fn numbers<T: ToString + serde::Serialize>(numbers: &[T]) -> Json {
    if numbers.len() <= 64 {
        return json!(numbers);
    }
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    json!({
        "length": numbers.len(),
        "first": numbers.first(),
        "last": numbers.last(),
        "sha256_of_comma_joined": sha256(texts.join(",").as_bytes()),
    })
}

fn inline(inline: &InlineBytes) -> Json {
    json!({ "class": "ByteStreamStateHandle", "data": bytes_view(&inline.bytes), "handleName": inline.name })
}

fn bytes_view(bytes: &[u8]) -> Json {
    json!({ "length": bytes.len(), "sha256": sha256(bytes) })
}

fn merged_channels(channels: &[Channel]) -> Vec<u8> {
    let count = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
    let mut blob = count(channels.len()).to_vec();
    for channel in channels {
        blob.extend(channel.group.to_be_bytes());
        blob.extend(channel.index.to_be_bytes());
        blob.extend(channel.size.to_be_bytes());
        blob.extend(count(channel.offsets.len()));
        channel.offsets.iter().for_each(|offset| blob.extend(offset.to_be_bytes()));
    }
    blob
}

fn sort_operators(operators: &mut [Json]) {
    operators.sort_by_key(|operator| operator["operator_id"].as_str().unwrap().to_owned());
}

/// Drops the hex copy of short inline states, which the hash stands for.
fn simplify(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            if fields.contains_key("sha256") {
                fields.remove("hex");
            }
            fields.values_mut().for_each(simplify);
        }
        Json::Array(items) => items.iter_mut().for_each(simplify),
        _ => {}
    }
}

fn compare(fixture: &Fixture) {
    let metadata =
        Metadata::decode(&fixture.metadata_bytes()).unwrap_or_else(|error| panic!("{}: {error}", fixture.name));
    let mut expected = fixture.metadata_json();
    simplify(&mut expected);
    sort_operators(expected["operators"].as_array_mut().unwrap());
    let relative = fixture.snapshot().strip_prefix(&fixture.directory).unwrap().display().to_string();
    let expected_state = fixture.expected_json();
    let directory = expected_state["origin"].as_str().unwrap().trim_end_matches('/').replace("file:///", "file:/");
    let origin = format!("{directory}/{relative}");
    let view = View { origin: &origin };
    let actual = view.metadata(&metadata);
    let name = &fixture.name;
    for (ours, theirs) in actual["operators"].as_array().unwrap().iter().zip(expected["operators"].as_array().unwrap())
    {
        assert_eq!(ours, theirs, "{name}");
    }
    assert_eq!(actual, expected, "{name}");
    assert_eq!(metadata.properties.is_some(), metadata.version.number() >= 4, "{name}");
}

#[test]
fn every_metadata_file_says_what_flinks_own_reader_says() {
    let fixtures = fixtures::all();
    fixtures.iter().for_each(compare);
    let mut kinds = std::collections::BTreeMap::new();
    fixtures.iter().for_each(|fixture| *kinds.entry(&fixture.kind).or_insert(0) += 1);
    println!("{} metadata files are equal, by kind of snapshot: {kinds:?}", fixtures.len());
}

#[test]
fn truncated_and_flipped_metadata_never_panics() {
    let mut tried = 0;
    for fixture in fixtures::committed() {
        let bytes = fixture.metadata_bytes();
        if bytes.len() > 6_000 {
            continue;
        }
        tried += 1;
        for length in 0..bytes.len() {
            assert!(Metadata::decode(&bytes[..length]).is_err(), "{} cut at {length}", fixture.name);
        }
        let mut damaged = bytes.clone();
        for bit in 0..bytes.len() * 8 {
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Err(error) = Metadata::decode(&damaged) {
                assert!(error.place().offset.is_some(), "{} bit {bit}: {error}", fixture.name);
            }
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
    }
    assert!(tried >= 1, "no file is small enough");
}
