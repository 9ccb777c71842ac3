use std::io::Read;
use std::process::Stdio;

use serde_json::json;

use super::{command, millpond, sample};

fn show(directory: &std::path::Path, operator: &str, state: &str, more: &[&str]) -> super::Ran {
    let mut arguments = vec!["show", directory.to_str().unwrap(), "--operator", operator, "--state", state];
    arguments.extend(more);
    millpond(&arguments)
}

#[test]
fn entries_of_every_kind_are_decoded_without_the_program() {
    for written in [sample::CANONICAL, sample::NATIVE, sample::COMPRESSED] {
        let base = tempfile::tempdir().unwrap();
        let directory = sample::write(base.path(), 1, written);
        let key = sample::key(4);
        let group = sample::group_of(&key).0;
        let window = json!({"start_ms": sample::NOON, "end_ms": sample::NOON + 3_600_000});
        let cases = [
            ("profile", json!({"touched_ms": [sample::NOON], "value": {"flights": 4, "last": "JFK"}})),
            ("hourly", json!({"namespace": window, "value": 4})),
            ("delays", json!({"value": [40, 41, 42]})),
            ("worst", json!({"value": -4})),
            ("mean", json!({"value": [0.5, 1]})),
            ("timers", json!({"namespace": window, "timer": {"domain": "event", "at_ms": sample::NOON + 3_600_000}})),
        ];
        for (state, mut expected) in cases {
            expected["key"] = json!(key);
            expected["key_group"] = json!(group);
            let ran = show(&directory, "flights", state, &["--key", &key, "--json"]);
            assert_eq!(ran.json_lines(), [expected], "{state} {written:?}");
            let all = show(&directory, "flights", state, &["--json"]).json_lines();
            assert_eq!(all.len() as u64, sample::KEYS, "{state} {written:?}");
        }
        let mut items = show(&directory, "flights", "destinations", &["--key", &key, "--json"]).json_lines();
        items.sort_by_key(|item| item["user_key"].to_string());
        let expected = |n: u32| json!({"key_group": group, "key": key, "user_key": format!("D{n}"), "value": 4});
        assert_eq!(items, [expected(0), expected(1), expected(2)]);
    }
}

#[test]
fn operator_state_is_shown_by_subtask() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let lines = |state| show(&directory, "flights", state, &["--json"]).json_lines();
    let element = |subtask: u32, value: u64| json!({"subtask": subtask, "value": value});
    assert_eq!(lines("offsets"), [element(0, 0), element(0, 7), element(1, 100), element(1, 7)]);
    assert_eq!(lines("seen").len(), 3002);
    assert_eq!(lines("airlines"), [json!({"subtask": 0, "user_key": "UA", "value": "United \u{1b}[31mAir"})]);
    // Control characters do not reach the terminal.
    let output = show(&directory, "flights", "airlines", &[]).output();
    assert_eq!(output, "SUBTASK  USER KEY  VALUE\n      0  \"UA\"      \"United \\u{1b}[31mAir\"\n");
}

#[test]
fn columns_are_aligned_and_named() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let output = show(&directory, "flights", "timers", &["--key", &sample::key(7)]).output();
    let group = sample::group_of(&sample::key(7)).to_string();
    let expected = format!(
        "GROUP  KEY       NAMESPACE                                     TIME   FIRES AT\n\
         {group:>5}  \"N00007\"  [2013-01-01T12:00:00Z, 2013-01-01T13:00:00Z)  event  2013-01-01T13:00:00Z\n"
    );
    assert_eq!(output, expected);
    let output = show(&directory, "flights", "profile", &["--key", &sample::key(7)]).output();
    assert!(
        output.contains("TOUCHED") && output.contains("2013-01-01T12:00:00Z  {flights: 7, last: null}"),
        "{output}"
    );
}

#[test]
fn an_operator_is_found_by_uid_and_by_id_and_a_composite_key_by_json() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::NATIVE);
    let id = millpond::ids::OperatorId::from_uid("routes").to_string();
    for operator in ["routes", &id] {
        let lines = show(&directory, operator, "route", &["--key", "[\"JFK\", 19]", "--json"]).json_lines();
        assert_eq!(lines.len(), 1);
        assert_eq!((&lines[0]["key"], &lines[0]["value"]), (&json!(["JFK", 19]), &json!([19, 19, 19])));
    }
}

#[test]
fn only_the_key_group_of_the_key_is_read() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let damaged = sample::first_block(&directory, "flights", "hourly");
    sample::flip(&damaged.file, damaged.offset + 20);
    let keys = (0..sample::KEYS).map(sample::key);
    let (inside, outside): (Vec<String>, Vec<String>) = keys.partition(|key| sample::group_of(key).0 == damaged.group);
    let line = show(&directory, "flights", "hourly", &["--key", &inside[0]]).error(1);
    for part in [damaged.file.to_str().unwrap(), "\"hourly\"", "\"flights\"", &format!("key group {}", damaged.group)] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(show(&directory, "flights", "hourly", &["--key", &outside[0], "--json"]).json_lines().len(), 1);
    let group = sample::group_of(&outside[0]).0;
    let of_group = show(&directory, "flights", "hourly", &["--key-group", &group.to_string(), "--json"]).json_lines();
    assert!(of_group.iter().any(|entry| entry["key"] == outside[0].as_str()));
    assert!(of_group.iter().all(|entry| entry["key_group"] == group));
}

#[test]
fn a_limit_ends_the_list_and_nothing_found_is_said() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let ran = show(&directory, "flights", "worst", &["--limit", "3"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 4));
    assert_eq!(ran.stderr, "millpond: stopped after 3 entries, there are more\n");
    let ran = show(&directory, "flights", "offsets", &["-n", "4"]);
    assert_eq!((ran.code, ran.stdout.lines().count(), ran.stderr.as_str()), (0, 5, ""));
    let ran = show(&directory, "flights", "worst", &["--key", "nobody"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("\"nobody\""), "{}", ran.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let path = directory.to_str().unwrap();
    let commands: [&[&str]; 3] =
        [&["show", path, "-o", "flights", "-s", "seen"], &["inspect", path], &["verify", path, "--json"]];
    for arguments in commands {
        let mut child = command().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""), "{arguments:?}");
    }
}
