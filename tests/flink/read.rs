use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use millpond::ErrorKind;
use millpond::flink::{Directory, SnapshotReader};
use millpond::format::flink::Roots;
use millpond::format::flink::metadata::StreamHandle;
use millpond::snapshot::verify::VerifyEvent;
use millpond::storage::{LocalStorage, Storage};
use serde_json::Value as Json;

use super::dump::{self, Dump};
use crate::format::flink::files;
use crate::format::flink::fixtures::{self, Fixture, sha256};

/// How far a fixture was compared.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) states: usize,
    pub(crate) entries: usize,
    pub(crate) operator_states: usize,
    /// Entries whose value is opaque, so that only their keys were compared.
    pub(crate) opaque: usize,
    pub(crate) not_covered: Vec<String>,
}

fn compare(fixture: &Fixture) -> Outcome {
    compare_with(&fixture.name, &files::open(fixture), &fixture.state_json())
}

/// Compares a snapshot with the ground truth.
pub(crate) fn compare_with(name: &str, snapshot: &SnapshotReader, expected: &Json) -> Outcome {
    let dumps = dump::dump(snapshot).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let mut outcome = Outcome::default();
    for operator in expected["operators"].as_array().unwrap() {
        let id = operator["operator_id"].as_str().unwrap();
        let found = dumps.get(id).unwrap_or_else(|| panic!("{name}: operator {id} is missing"));
        keyed_states(&format!("{name} {}", operator["uid"]), operator, found, &mut outcome);
        operator_states(&format!("{name} {}", operator["uid"]), operator, found, &mut outcome);
    }
    outcome
}

fn array(json: &Json) -> &[Json] {
    json.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn keyed_states(place: &str, operator: &Json, found: &Dump, outcome: &mut Outcome) {
    let mut left: BTreeMap<_, _> = found.keyed.iter().collect();
    for state in array(&operator["keyed_states"]) {
        let (name, kind) = (state["name"].as_str().unwrap(), state["kind"].as_str().unwrap());
        let key = left.keys().find(|(found, found_kind)| found == name && *found_kind == kind).copied();
        let lines = key.and_then(|key| left.remove(key)).map(Vec::as_slice).unwrap_or_default();
        let raw_timers = kind.ends_with("timers") && !lines.is_empty();
        if !found.not_covered.is_empty() && !raw_timers {
            continue;
        }
        assert!(key.is_some() || state["count"] == 0, "{place}: {kind} state {name} is missing");
        state_entries(&format!("{place} {kind} {name}"), state, lines, outcome);
    }
    for (key, lines) in left {
        assert!(lines.is_empty(), "{place}: {key:?} is not expected");
    }
    outcome.not_covered.extend(found.not_covered.iter().cloned());
}

fn state_entries(place: &str, state: &Json, lines: &[String], outcome: &mut Outcome) {
    let mut lines = lines.to_vec();
    lines.sort_unstable();
    assert_eq!(state["count"], lines.len(), "{place}");
    outcome.states += 1;
    let opaque = lines.iter().any(|line| line.contains("{\"$kryo\""));
    if opaque {
        // The values are a program's own: keys and class are what can be compared.
        let head = |line: &str| line.split_once(",\"v\":").unwrap().0.to_owned();
        let expected: Vec<String> = array(&state["entries"]).iter().map(|entry| head(&compact(entry))).collect();
        let actual: Vec<String> = lines.iter().map(|line| head(line)).collect();
        assert_eq!(actual, expected, "{place}");
        assert!(lines.iter().all(|line| line.contains("{\"$kryo\":\"flinklab.LabTypes$OpaqueA\"")), "{place}");
        outcome.opaque += lines.len();
        return;
    }
    let listed = array(&state["entries"]).iter().chain(array(&state["sample"]));
    for (line, entry) in lines.iter().zip(listed) {
        assert_eq!(serde_json::from_str::<Json>(line).unwrap(), *entry, "{place}");
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(state["sha256"], sha256(text.as_bytes()), "{place}");
    outcome.entries += lines.len();
}

/// An entry of the ground truth in its canonical text, as far as keys go.
fn compact(entry: &Json) -> String {
    format!("{{\"k\":{},\"kg\":{},\"ns\":{},\"v\":{}}}", entry["k"], entry["kg"], entry["ns"], entry["v"])
}

fn operator_states(place: &str, operator: &Json, found: &Dump, outcome: &mut Outcome) {
    let expected = array(&operator["operator_states"]);
    for state in expected {
        let name = state["name"].as_str().unwrap();
        let subtasks = found.operator.get(name).unwrap_or_else(|| panic!("{place}: {name} is missing"));
        for (index, elements) in array(&state["subtasks"]).iter().enumerate() {
            let ours: Vec<Json> = subtasks
                .get(&u32::try_from(index).unwrap())
                .map(Vec::as_slice)
                .unwrap_or_default()
                .iter()
                .map(|text| serde_json::from_str(text).unwrap())
                .collect();
            if state["mode"] == "BROADCAST" {
                assert_eq!(ours.len(), 1, "{place} {name} subtask {index}");
                assert_eq!(ours[0], *elements, "{place} {name} subtask {index}");
            } else {
                assert_eq!(Json::Array(ours), *elements, "{place} {name} subtask {index}");
            }
        }
        outcome.operator_states += 1;
    }
    for name in found.operator.keys() {
        assert!(expected.iter().any(|state| state["name"] == *name), "{place}: {name} is not expected");
    }
}

#[test]
fn every_entry_is_what_the_job_says() {
    let fixtures = fixtures::all();
    let mut total = Outcome::default();
    let mut complete = 0;
    for fixture in &fixtures {
        let outcome = compare(fixture);
        total.states += outcome.states;
        total.entries += outcome.entries;
        total.opaque += outcome.opaque;
        total.operator_states += outcome.operator_states;
        if outcome.not_covered.is_empty() {
            complete += 1;
        } else {
            let mut reasons = outcome.not_covered;
            reasons.sort();
            reasons.dedup();
            println!("not covered: keyed state of {} ({}): {}", fixture.name, fixture.kind, reasons.join("; "));
        }
    }
    println!(
        "{} snapshots, {complete} complete; equal: {} keyed states with {} entries ({} more with opaque values by key), \
         {} operator states",
        fixtures.len(),
        total.states,
        total.entries,
        total.opaque,
        total.operator_states
    );
    assert!(total.entries > 1000 && total.operator_states > 10, "{total:?}");
}

#[test]
fn every_fixture_is_found_intact() {
    for fixture in fixtures::all() {
        let snapshot = files::open(&fixture);
        let mut unread = Vec::new();
        let tally = millpond::flink::verify(&snapshot, &mut |event| {
            if let VerifyEvent::Found(finding) = event {
                unread.push(finding.error.message().to_owned());
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(tally.damaged, 0, "{}: {unread:?}", fixture.name);
        let closed = |reason: &&String| !reason.contains("RocksDB");
        let other: Vec<&String> = unread.iter().filter(closed).collect();
        let is_opaque = fixture.name.contains("/kryo-hashmap-native");
        assert!(other.is_empty() || is_opaque, "{}: {other:?}", fixture.name);
        assert!(tally.is_intact() || !unread.is_empty());
    }
}

#[test]
fn logs_that_do_not_say_how_keys_are_serialized_are_read_by_their_hash_codes() {
    let mut inferred = 0;
    for fixture in fixtures::all().iter().filter(|fixture| fixture.name.contains("changelog")) {
        let materialized = fixture.name.contains("materialized");
        for operator in files::open(fixture).operators() {
            let keyed = operator.keyed().unwrap();
            if keyed.states().is_empty() {
                continue;
            }
            let expected = fixture.state_json();
            let operators = expected["operators"].as_array().unwrap();
            let id = operator.description().id.to_string();
            let job = operators.iter().find(|operator| operator["operator_id"] == id).unwrap();
            let serializer = format!("{}Serializer", keyed.key().unwrap());
            assert_eq!(job["key_serializer"], serializer, "{}", fixture.name);
            // One operator has timers, which say what its keys are.
            let has_timers = keyed.states().iter().any(|state| state.name.starts_with("_timer"));
            assert_eq!(keyed.key_is_inferred(), !materialized && !has_timers, "{}", fixture.name);
            inferred += usize::from(keyed.key_is_inferred());
        }
    }
    println!("keys of {inferred} operators were found by their hash codes");
}

#[test]
fn nothing_outside_of_the_roots_is_opened() {
    let fixture = fixtures::committed().into_iter().find(|fixture| fixture.name.contains("unaligned")).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::open(fixture.snapshot()).unwrap());
    // Without a root, what the snapshot names by absolute URIs is out of reach; its own directory is not.
    let snapshot = SnapshotReader::open(Directory::new(storage, None), Roots::new()).unwrap();
    let mut absolute = 0;
    for operator in snapshot.operators() {
        for stream in operator.streams() {
            let opened = snapshot.stream(stream.handle);
            if matches!(stream.handle.plain(), StreamHandle::File { .. } | StreamHandle::Segment(_)) {
                absolute += 1;
                assert_eq!(opened.unwrap_err().kind(), ErrorKind::InvalidInput);
            } else {
                opened.unwrap();
            }
        }
    }
    let elsewhere = StreamHandle::File { uri: "file:/etc/hostname".to_owned(), size: 1 };
    let error = snapshot.stream(&elsewhere).unwrap_err();
    assert!(error.message().contains("below no known root"), "{error}");
    println!("{absolute} streams are named by absolute URIs");
}

#[test]
fn a_missing_operator_or_state_is_an_error_that_lists_what_there_is() {
    let fixture = fixtures::committed().into_iter().find(|fixture| fixture.name.contains("window")).unwrap();
    let snapshot = files::open(&fixture);
    let error = snapshot.operator("nobody").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let expected = fixture.expected_json();
    let uid = expected["operators"][0]["uid"].as_str().unwrap();
    assert!(error.message().contains(uid), "{error}");
    let operator = array(&expected["operators"]).iter().find(|json| !array(&json["keyed_states"]).is_empty()).unwrap();
    let operator = snapshot.operator(operator["uid"].as_str().unwrap()).unwrap();
    let error = operator.state("none").unwrap_err();
    assert!(error.message().contains("window-contents"), "{error}");
}
