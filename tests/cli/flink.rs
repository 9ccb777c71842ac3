use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::millpond;
use crate::format::flink::fixtures::{self, Fixture};

fn fixture(name: &str) -> Fixture {
    fixtures::committed().into_iter().find(|fixture| fixture.name.ends_with(name)).unwrap()
}

fn path(fixture: &Fixture) -> String {
    fixture.snapshot().to_str().unwrap().to_owned()
}

/// A copy of a fixture's snapshot that may be damaged.
fn copy(fixture: &Fixture, base: &Path) -> PathBuf {
    let to = base.join("savepoint");
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(fixture.snapshot()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to
}

/// What the job says of a state: operator uid, state name, number of entries.
fn keyed_states(fixture: &Fixture) -> Vec<(String, String, u64)> {
    let expected = fixture.expected_json();
    let mut states = Vec::new();
    for operator in expected["operators"].as_array().unwrap() {
        for state in operator["keyed_states"].as_array().into_iter().flatten() {
            let text = |json: &Value| json.as_str().unwrap().to_owned();
            states.push((text(&operator["uid"]), text(&state["name"]), state["count"].as_u64().unwrap()));
        }
    }
    states
}

#[test]
fn inspect_tells_what_a_savepoint_consists_of() {
    let fixture = fixture("core-rocksdb-lz-canonical");
    let output = millpond(&["inspect", &path(&fixture)]).output();
    assert!(output.starts_with("canonical savepoint of Apache Flink "), "{output}");
    let report = millpond(&["inspect", &path(&fixture), "--count", "--json"]).json();
    assert_eq!((&report["system"], &report["metadata_version"]), (&json!("Apache Flink"), &json!(4)));
    let operators = report["operators"].as_array().unwrap();
    assert_eq!(operators.len(), fixture.expected_json()["operators"].as_array().unwrap().len());
    for (uid, state, count) in keyed_states(&fixture) {
        let id = millpond::ids::OperatorId::from_uid(&uid).to_string();
        let operator = operators.iter().find(|operator| operator["id"] == id).unwrap();
        let found = operator["states"].as_array().unwrap().iter().find(|found| found["name"] == state);
        // A state that was never used is not in the file.
        assert_eq!(found.map_or(0, |found| found["entries"].as_u64().unwrap()), count, "{uid} {state}");
    }
}

#[test]
fn show_prints_every_entry_or_those_of_a_key() {
    for name in ["core-rocksdb-lz-canonical", "window-rocksdb-canonical", "2.3.0/sql-hashmap-canonical"] {
        let fixture = fixture(name);
        for (uid, state, count) in keyed_states(&fixture) {
            let arguments = ["show", &path(&fixture), "-o", &uid, "-s", &state];
            let lines = millpond(&[&arguments[..], &["--json"]].concat()).json_lines();
            assert_eq!(lines.len() as u64, count, "{uid} {state}");
            let Some(first) = lines.first() else { continue };
            let key = first["key"].as_str().map_or_else(|| first["key"].to_string(), str::to_owned);
            let same = lines.iter().filter(|line| line["key"] == first["key"]).count();
            let found = millpond(&[&arguments[..], &["--json", "--key", &key]].concat()).json_lines();
            assert_eq!(found.len(), same, "{uid} {state} {key}");
            let table = millpond(&[&arguments[..], &["-n", "1"]].concat());
            assert_eq!((table.code, table.stdout.lines().count()), (0, 2), "{table:?}");
        }
    }
}

#[test]
fn verify_finds_real_savepoints_intact_and_damage_in_them() {
    let fixture = fixture("window-rocksdb-canonical");
    let output = millpond(&["verify", &path(&fixture)]).output();
    assert!(output.starts_with("intact\nchecked "), "{output}");
    let base = tempfile::tempdir().unwrap();
    let copied = copy(&fixture, base.path());
    let metadata = copied.join("_metadata");
    let good = fs::read(&metadata).unwrap();
    let key = b"window-contents";
    let mut found = 0;
    // Damage behind the header of each stream, which is inline in this savepoint.
    for at in (0..good.len() - key.len()).filter(|at| good[*at..].starts_with(key)) {
        let mut damaged = good.clone();
        damaged[at + 700..at + 708].fill(0xFF);
        fs::write(&metadata, &damaged).unwrap();
        let ran = millpond(&["verify", copied.to_str().unwrap(), "--json"]);
        if ran.code == 1 {
            found += 1;
            assert!(ran.stdout.contains("\"operator\"") || ran.stderr.contains("Flink metadata"), "{ran:?}");
        }
    }
    assert!(found > 0);
    let mut other = good.clone();
    other.truncate(good.len() / 2);
    fs::write(&metadata, &other).unwrap();
    let line = millpond(&["verify", copied.to_str().unwrap()]).error(1);
    assert!(line.contains("Flink metadata"), "{line}");
}

#[test]
fn du_counts_what_no_metadata_says() {
    let fixture = fixture("core-rocksdb-lz-canonical");
    let report = millpond(&["du", &path(&fixture), "--json", "--key-groups"]).json();
    let operators = report["operators"].as_array().unwrap();
    for (uid, state, count) in keyed_states(&fixture) {
        let id = millpond::ids::OperatorId::from_uid(&uid).to_string();
        let operator = operators.iter().find(|operator| operator["id"] == id).unwrap();
        let found = operator["states"].as_array().unwrap().iter().find(|found| found["name"] == state);
        assert_eq!(found.map_or(0, |found| found["entries"].as_u64().unwrap()), count, "{uid} {state}");
        assert!(found.is_none_or(|found| (found["bytes"].as_u64().unwrap() == 0) == (count == 0)), "{uid} {state}");
    }
    for operator in operators {
        let sum = |list: &str, field: &str| -> u64 {
            let list = operator[list].as_array().unwrap().iter();
            list.filter(|entry| entry["kind"] != "operator-list").map(|entry| entry[field].as_u64().unwrap()).sum()
        };
        assert_eq!(sum("states", "bytes"), sum("key_groups", "bytes"), "{operator}");
        assert_eq!(sum("states", "entries"), sum("key_groups", "entries"), "{operator}");
    }
    // All of it lies in the metadata, or beside it.
    assert_eq!((&report["shared_bytes"], &report["shared_with"]), (&json!(0), &json!([])));
    assert!(report["inline_bytes"].as_u64().unwrap() < report["manifest_bytes"].as_u64().unwrap());
    let output = millpond(&["du", &path(&fixture)]).output();
    assert!(output.contains("  inline    ") && output.contains("KEY GROUP"), "{output}");
}

#[test]
fn du_says_which_files_a_checkpoint_shares() {
    let all = fixtures::all();
    let Some(fixture) = all.iter().find(|fixture| fixture.name.ends_with("2.3.0/incr-rocksdb.chk-2")) else {
        println!("the fixtures with absolute URIs are not there: not tested");
        return;
    };
    let origin = fixture.expected_json()["origin"].as_str().unwrap().to_owned();
    let root = format!("{origin}={}", fixture.directory.display());
    let report = millpond(&["du", &path(fixture), "--root", &root, "--json"]).json();
    assert!(report["shared_bytes"].as_u64().unwrap() > 0, "{report}");
    assert!(report["shared_with"].as_array().unwrap().contains(&json!("chk-1")), "{report}");
    let (stored, shared) = (report["stored_bytes"].as_u64().unwrap(), report["shared_bytes"].as_u64().unwrap());
    assert_eq!(stored - shared, report["alone_bytes"].as_u64().unwrap());
    let closed = report["operators"].as_array().unwrap().iter().find(|operator| operator["unread"].is_array()).unwrap();
    assert!(closed["unread"][0].as_str().unwrap().contains("--trusted"), "{closed}");
    assert_eq!((&closed["states"][0]["entries"], &closed["key_groups"]), (&Value::Null, &json!([])), "{closed}");
    let open = millpond(&["du", &path(fixture), "--root", &root, "--json", "--trusted"]);
    if cfg!(feature = "rocksdb") {
        assert!(!open.json()["operators"].to_string().contains("unread"));
    }
}

#[test]
fn checkpoints_of_the_changelog_backend_are_read_like_any_other() {
    let all = fixtures::all();
    let changelog =
        all.iter().filter(|fixture| fixture.name.starts_with("1.20.5/changelog-") && fixture.name.ends_with("chk-2"));
    let mut read = 0;
    for fixture in changelog {
        let origin = fixture.expected_json()["origin"].as_str().unwrap().to_owned();
        let root = format!("{origin}={}", fixture.directory.display());
        let more = [path(fixture), "--root".to_owned(), root, "--trusted".to_owned()];
        let with = |command: &str| [&[command.to_owned()], &more[..]].concat();
        let output = millpond(&with("verify")).output();
        assert!(output.starts_with("intact\n"), "{}: {output}", fixture.name);
        let output = millpond(&with("inspect")).output();
        assert!(output.contains("changelog"), "{output}");
        let lines = millpond(&with("export")).json_lines();
        let expected: u64 = keyed_states(fixture).iter().map(|(_, _, count)| count).sum();
        let keyed = lines.iter().filter(|line| !line["key_group"].is_null()).count();
        assert_eq!(keyed as u64, expected, "{}", fixture.name);
        // The same as a savepoint.
        let base = tempfile::tempdir().unwrap();
        let to = base.path().join("savepoint").to_str().unwrap().to_owned();
        let mut convert = with("convert");
        convert.splice(2..2, [to.clone(), "--to".to_owned(), "flink-canonical".to_owned()]);
        assert_eq!(millpond(&convert).code, 0, "{}", fixture.name);
        let mut diff = with("diff");
        diff.insert(2, to);
        let ran = millpond(&diff);
        assert_eq!(ran.code, 0, "{}: {}{}", fixture.name, ran.stdout, ran.stderr);
        read += 1;
    }
    println!("{read} checkpoints of the changelog backend");
}

#[test]
fn a_checkpoint_that_was_moved_with_its_job_needs_no_root() {
    let fixture = fixture("incr-rocksdb.chk-2");
    let origin = fixture.expected_json()["origin"].as_str().unwrap().to_owned();
    assert!(!Path::new(&origin).exists(), "the fixture lies where it was written");
    let output = millpond(&["verify", &path(&fixture), "--trusted"]).output();
    assert!(cfg!(not(feature = "rocksdb")) || output.starts_with("intact\n"), "{output}");
    // What the user says goes before what the files tell.
    let wrong = tempfile::tempdir().unwrap();
    let root = format!("{origin}={}", wrong.path().display());
    let ran = millpond(&["verify", &path(&fixture), "--trusted", "--root", &root]);
    assert_ne!(ran.code, 0, "{}", ran.stdout);
}

#[test]
fn absolute_uris_are_followed_below_named_roots_only() {
    let all = fixtures::all();
    let Some(fixture) = all.iter().find(|fixture| fixture.name.contains("2.3.0/A/core-hashmap-merged-chk")) else {
        println!("the fixtures with absolute URIs are not there: not tested");
        return;
    };
    // Alone, without what lies beside it.
    let base = tempfile::tempdir().unwrap();
    let alone = copy(fixture, base.path()).to_str().unwrap().to_owned();
    let line = millpond(&["inspect", &alone]).error(3);
    assert!(line.contains("--root"), "{line}");
    // With its job's directory, wherever that was, nothing has to be said.
    let output = millpond(&["verify", &path(fixture)]).output();
    assert!(output.starts_with("intact\n"), "{output}");
    let origin = fixture.expected_json()["origin"].as_str().unwrap().to_owned();
    let root = format!("{origin}={}", fixture.directory.display());
    let output = millpond(&["verify", &path(fixture), "--root", &root]).output();
    assert!(output.starts_with("intact\n"), "{output}");
    let line = millpond(&["verify", &path(fixture), "--root", "nothing"]).error(2);
    assert!(line.contains("OLD=NEW"), "{line}");
}

#[test]
fn what_is_converted_shows_the_same_entries_and_has_no_difference() {
    let fixture = fixture("2.3.0/window-rocksdb-canonical");
    let base = tempfile::tempdir().unwrap();
    let to = |name: &str| base.path().join(name).to_str().unwrap().to_owned();
    for (name, format) in [("a", "canonical"), ("b", "native-heap"), ("c", "native-rocksdb")] {
        let ran = millpond(&["convert", &path(&fixture), &to(name), "--to", format]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    for (name, format) in [("b", "native-heap"), ("c", "native-rocksdb")] {
        let report = millpond(&["diff", &to("a"), &to(name), "--trusted", "--json"]);
        assert_eq!((report.code, &report.json()["equal"]), (0, &json!(true)), "{format}: {}", report.stdout);
    }
    // Timers, which Flink has in a queue for each clock, are the same, and so is all state that operators made.
    for more in [&["-s", "window-timers"][..], &["-s", "window-contents"], &["-o", "a-win-session"]] {
        let report = millpond(&[&["diff", &path(&fixture), &to("c"), "--trusted", "--json"], more].concat()).json();
        let same = report["states"].as_array().unwrap().iter().map(|state| state["same"].as_u64().unwrap());
        assert!(report["equal"] == true && same.sum::<u64>() > 0, "{more:?}: {report}");
    }
    let count = |path: &str| millpond(&["export", path]).json_lines().len();
    let expected: u64 = keyed_states(&fixture).iter().map(|(_, _, count)| count).sum();
    assert!(count(&path(&fixture)) as u64 >= expected && expected > 0);
    let other =
        fixtures::committed().into_iter().find(|other| other.name.ends_with("core-rocksdb-lz-canonical")).unwrap();
    let ran = millpond(&["diff", &path(&fixture), &path(&other), "--json"]);
    assert_eq!((ran.code, &ran.json()["equal"]), (1, &json!(false)));
    let ran = millpond(&["diff", &path(&other), &path(&other), "--state", "v-pojo", "--entries", "3"]).output();
    assert!(ran.starts_with("no difference\n"), "{ran}");
}

#[test]
fn commands_count_the_same_entries_of_operator_state() {
    let fixture = fixture("opstate-hashmap-canonical");
    let mut exported = std::collections::BTreeMap::new();
    for line in millpond(&["export", &path(&fixture)]).json_lines() {
        *exported.entry((line["operator"].to_string(), line["state"].to_string())).or_insert(0u64) += 1;
    }
    assert!(exported.len() > 3 && exported.keys().any(|(_, state)| state == "\"people\""), "{exported:?}");
    for arguments in [&["inspect", "--count"][..], &["du"]] {
        let report = millpond(&[arguments, &[&path(&fixture), "--json"]].concat()).json();
        for operator in report["operators"].as_array().unwrap() {
            let label = if operator["uid"].is_null() { &operator["id"] } else { &operator["uid"] };
            for state in operator["states"].as_array().unwrap() {
                let counted = exported.get(&(label.to_string(), state["name"].to_string())).copied();
                assert_eq!(state["entries"].as_u64(), Some(counted.unwrap_or(0)), "{arguments:?} {label} {state}");
            }
        }
    }
    // One subtask has what several had: that is no difference.
    let base = tempfile::tempdir().unwrap();
    let to = |name: &str| base.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(millpond(&["convert", &path(&fixture), &to("own"), "--to", "canonical"]).code, 0);
    let ran = millpond(&["diff", &path(&fixture), &to("own"), "--state", "people"]);
    assert!(ran.stdout.starts_with("no difference\n"), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn sql_rows_that_become_tuples_are_put_into_the_key_groups_of_tuples() {
    let fixture = fixture("2.3.0/sql-hashmap-canonical");
    let base = tempfile::tempdir().unwrap();
    let to = |name: &str| base.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(millpond(&["convert", &path(&fixture), &to("own"), "--to", "canonical"]).code, 0);
    let ran = millpond(&["convert", &to("own"), &to("back"), "--to", "flink-canonical"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(millpond(&["verify", &to("back")]).output().starts_with("intact\n"));
    let ran = millpond(&["diff", &to("own"), &to("back"), "--state", "left-records", "--json"]);
    assert_eq!((ran.code, &ran.json()["equal"]), (0, &json!(true)), "{}", ran.stdout);
}
