//! `millpond convert`.

use std::path::Path;

use super::millpond;
use super::sample::{CANONICAL, KEYS, NATIVE, write};

fn run(source: &Path, destination: &Path, arguments: &[&str]) -> super::Ran {
    let paths = [Path::new("convert"), source, destination].map(|path| path.to_str().unwrap().to_owned());
    millpond(&[&paths[..], &arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>()].concat())
}

#[test]
fn a_snapshot_is_converted_and_reported() {
    let base = tempfile::tempdir().unwrap();
    let (source, destination) = (write(base.path(), 3, NATIVE), base.path().join("converted"));
    let shown = run(&source, &destination, &["--to", "canonical", "--parallelism", "4"]).output();
    for part in ["converted: canonical", "operator flights: parallelism 2 -> 4, max parallelism 16", "operator routes"]
    {
        assert!(shown.contains(part), "{shown}");
    }
    for line in shown.lines().filter(|line| line.trim_start().starts_with("profile")) {
        assert!(line.contains("value") && line.contains(&KEYS.to_string()), "{line}");
    }
    assert!(shown.contains("written, read back and compared: "), "{shown}");
    assert!(millpond(&["verify", destination.to_str().unwrap()]).output().starts_with("intact"));
    assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 2, "nothing else is left");
}

/// There and back over every format: the digest of the keyed state stays.
#[test]
fn round_trips_give_the_same_digest() {
    let base = tempfile::tempdir().unwrap();
    let source = write(base.path(), 3, CANONICAL);
    let digest = |from: &Path, to: &str| {
        let ran = run(from, &base.path().join(to), &["--to", "canonical", "--json", "--trusted"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.json()["keyed_digest"].as_str().unwrap().to_owned()
    };
    let expected = digest(&source, "again");
    for to in ["canonical", "native-heap", "native-rocksdb"] {
        let there = base.path().join(to);
        let json = run(&source, &there, &["--to", to, "--json", "--compression", "lz4"]).json();
        assert_eq!((json["to"].as_str(), json["spilled_bytes"].as_u64()), (Some(to), Some(0)));
        assert_eq!(digest(&there, &format!("{to}-and-back")), expected, "{to}");
    }
}

#[test]
fn edits_are_made_and_reported() {
    let base = tempfile::tempdir().unwrap();
    let (source, destination) = (write(base.path(), 3, CANONICAL), base.path().join("edited"));
    let arguments = [
        "--to",
        "native-heap",
        "--json",
        "--rename-uid",
        "flights=departures",
        "--drop-state",
        "flights/delays",
        "--drop-operator",
        "routes",
        "--set-ttl",
        "flights/worst",
        "--drop-ttl",
        "flights/profile",
        "--max-parallelism",
        "64",
        "--memory",
        "1M",
    ];
    let json = run(&source, &destination, &arguments).json();
    let operator = &json["operators"][0];
    assert_eq!(operator["operator"], "flights");
    assert_eq!(operator["renamed_to"], "departures");
    assert_eq!(operator["max_parallelism"]["after"], 64);
    assert_eq!(operator["dropped_states"][0], "delays");
    assert_eq!(json["dropped_operators"][0], "routes");
    let ttl = |state: &str| {
        let states = operator["states"].as_array().unwrap();
        states.iter().find(|found| found["state"] == state).unwrap()["time_to_live"].clone()
    };
    assert_eq!((ttl("worst"), ttl("profile")), ("set".into(), "dropped".into()));
    let shown = millpond(&["inspect", destination.to_str().unwrap()]).output();
    assert!(shown.contains("departures") && !shown.contains("delays"), "{shown}");
    assert!(millpond(&["verify", destination.to_str().unwrap()]).output().starts_with("intact"));
}

#[test]
fn mistakes_have_their_exit_codes() {
    let base = tempfile::tempdir().unwrap();
    let (source, destination) = (write(base.path(), 3, CANONICAL), base.path().join("new"));
    let cases: [(&[&str], i32, &str); 8] = [
        (&[], 2, "--to"),
        (&["--to", "parquet"], 2, "choose one of: canonical, native-heap, native-rocksdb"),
        (&["--to", "canonical", "--drop-state", "flights"], 2, "OPERATOR/STATE"),
        (&["--to", "canonical", "--drop-state", "flights/none"], 2, "the operator has"),
        (&["--to", "canonical", "--rename-uid", "flights"], 2, "OLD=NEW"),
        (&["--to", "canonical", "--parallelism", "17"], 2, "17"),
        (&["--to", "canonical", "--memory", "lots"], 2, "64M"),
        (&["--to", "canonical", "--scratch", "/proc/none"], 3, "/proc/none"),
    ];
    for (arguments, code, expected) in cases {
        let error = run(&source, &destination, arguments).error(code);
        assert!(error.contains(expected), "{arguments:?}: {error}");
        assert!(!destination.exists(), "{arguments:?}");
    }
    let error = run(&base.path().join("nothing"), &destination, &["--to", "canonical"]).error(3);
    assert!(error.contains("there is nothing at"), "{error}");
    let error = run(&source, &source, &["--to", "canonical"]).error(2);
    assert!(error.contains("is a snapshot already"), "{error}");
    std::fs::create_dir(&destination).unwrap();
    std::fs::write(destination.join("notes"), "mine").unwrap();
    let error = run(&source, &destination, &["--to", "canonical"]).error(2);
    assert!(error.contains("is not empty"), "{error}");
    std::fs::write(base.path().join("file"), "mine").unwrap();
    assert!(run(&source, &base.path().join("file"), &["--to", "canonical"]).error(2).contains("is a file"));
}

/// A damaged file is named with its full name, and nothing becomes a snapshot.
#[test]
fn damage_is_exit_code_1_with_the_file() {
    let base = tempfile::tempdir().unwrap();
    let (source, destination) = (write(base.path(), 3, NATIVE), base.path().join("new"));
    let objects = std::fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().path());
    let object =
        objects.filter(|path| !path.ends_with("_metadata")).max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&object, bytes).unwrap();
    let error = run(&source, &destination, &["--to", "canonical"]).error(1);
    assert!(error.contains(object.to_str().unwrap()), "{error}");
    assert!(!destination.join("_metadata").exists());
}

#[test]
fn a_snapshot_becomes_one_of_flinks_and_that_is_edited() {
    let base = tempfile::tempdir().unwrap();
    let source = write(base.path(), 3, CANONICAL);
    let there = base.path().join("for-flink");
    let report = base.path().join("report.json");
    let shown = run(
        &source,
        &there,
        &[
            "--to",
            "flink-canonical",
            "--report",
            report.to_str().unwrap(),
            "--java-class",
            "Profile=com.example.Profile",
        ],
    )
    .output();
    assert!(shown.contains("value profile of a value with time to live: converted, 40 entries"), "{shown}");
    assert!(shown.contains("written and read back"), "{shown}");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!((json["to"].as_str(), json["metadata_version"].as_u64()), (Some("flink-canonical"), Some(3)));
    assert_eq!(json["operators"][0]["states"][0]["outcome"], "converted", "{json}");
    assert!(millpond(&["verify", there.to_str().unwrap()]).output().starts_with("intact"));
    let edited = base.path().join("edited");
    let arguments =
        ["--to", "flink-canonical", "--parallelism", "5", "--rename-uid", "flights=departures", "--flink-version", "5"];
    let shown = run(&there, &edited, &arguments).output();
    assert!(shown.contains(" as departures: parallelism 5 of 16"), "{shown}");
    let refused = run(&there, &base.path().join("no"), &["--to", "flink", "--parallelism", "5"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("canonical form"), "{}", refused.stderr);
    assert!(!base.path().join("no").exists());
}
