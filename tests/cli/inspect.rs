use serde_json::json;

use super::{millpond, sample};

#[test]
fn the_manifest_is_shown_for_people() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 12, sample::CANONICAL);
    let output = millpond(&["inspect", directory.to_str().unwrap()]).output();
    let lines: Vec<String> = output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "job 4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a",
        "checkpoint 12",
        &format!("created 2013-01-01T12:00:00Z by {}", millpond::format::manifest::Manifest::WRITER),
        "operator flights",
        "operator routes",
        "parallelism 2 of at most 16",
        "key string",
        "key (string, u32)",
        "STATE KIND ENTRIES BYTES TYPE",
        "SUBTASK KEY GROUPS ENTRIES STORED FORMAT OPERATOR STATE",
        "KEY GROUPS MIN MEDIAN MAX",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected} is not in\n{output}");
    }
    let states = [
        ("destinations map 120", "string -> u32"),
        ("delays list 40", "i64"),
        ("hourly value 40", "u64, per window"),
        ("profile value 40", "msgpack struct Profile {flights: u64, last: option<string>}, with ttl"),
        ("timers timer 40", "per window"),
        ("airlines broadcast 1", "string -> string"),
        ("offsets operator-list 4", "u64"),
        ("seen operator-union 3,002", "string"),
        ("route value 20", "list<u64>"),
    ];
    for (start, end) in states {
        let found = lines.iter().any(|line| line.starts_with(&format!("{start} ")) && line.ends_with(end));
        assert!(found, "{start} ... {end} is not in\n{output}");
    }
    assert!(output.lines().all(|line| line == line.trim_end()), "{output}");
}

#[test]
fn json_has_everything_and_counting_agrees_with_the_manifest() {
    for written in [sample::CANONICAL, sample::NATIVE, sample::COMPRESSED] {
        let base = tempfile::tempdir().unwrap();
        let directory = sample::write(base.path(), 3, written);
        // The manifest itself may be named as well.
        let manifest = directory.join("_metadata");
        let ran = millpond(&["inspect", manifest.to_str().unwrap(), "--json"]);
        let counted = millpond(&["inspect", directory.to_str().unwrap(), "--json", "--count"]);
        let report = ran.json();
        assert_eq!(report, counted.json(), "{written:?}");
        assert_eq!(ran.output(), counted.output());
        assert_eq!((&report["kind"], &report["checkpoint"]), (&json!("checkpoint"), &json!(3)));
        assert_eq!(report["created_ms"], json!(sample::NOON));
        let operators = report["operators"].as_array().unwrap();
        let flights = operators.iter().find(|operator| operator["uid"] == "flights").unwrap();
        assert_eq!(flights["key_type"], "string");
        let states = flights["states"].as_array().unwrap();
        let worst = states.iter().find(|state| state["name"] == "worst").unwrap();
        assert_eq!((&worst["kind"], &worst["entries"]), (&json!("reducing"), &json!(sample::KEYS)));
        let subtasks = flights["subtasks"].as_array().unwrap();
        let groups = &flights["key_groups"];
        assert_eq!(groups["count"], json!(16));
        let fullest = &groups["fullest"][0];
        assert_eq!(fullest["entries"], groups["entries"]["max"]);
        let of_subtasks: u64 = subtasks.iter().map(|subtask| subtask["keyed_bytes"].as_u64().unwrap()).sum();
        assert!(of_subtasks > 0 && of_subtasks < report["objects"]["bytes"].as_u64().unwrap());
    }
}

#[test]
fn a_snapshot_in_a_directory_of_any_name_can_be_opened() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let renamed = base.path().join("before the upgrade (2026)");
    std::fs::rename(&directory, &renamed).unwrap();
    let output = millpond(&["inspect", renamed.to_str().unwrap()]).output();
    assert!(output.contains("before the upgrade (2026)"), "{output}");
    let ran = millpond(&["verify", renamed.to_str().unwrap()]);
    assert!(ran.output().starts_with("intact\n"));
}
