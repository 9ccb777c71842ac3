use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::parquet::Table;
use super::{millpond, sample};
use crate::format::flink::fixtures;

/// Exports a snapshot in both forms and compares them entry by entry; the report on the Parquet files.
fn check(snapshot: &Path, more: &[String], context: &str) -> Value {
    let base = tempfile::tempdir().unwrap();
    let tables = base.path().join("tables");
    let arguments = |form: &str| -> Vec<String> {
        let mut all = ["export", snapshot.to_str().unwrap(), "--trusted", "--to", form].map(str::to_owned).to_vec();
        all.extend_from_slice(more);
        all
    };
    let lines = millpond(&arguments("jsonl"));
    let mut parquet = arguments("parquet");
    parquet.extend(["--json", "--output", tables.to_str().unwrap()].map(str::to_owned));
    let report = millpond(&parquet);
    assert_eq!(lines.code, report.code, "{context}: {}{}", lines.stderr, report.stderr);
    if report.code != 0 {
        // Values of Kryo in native files of Flink's have no end.
        assert!(report.code == 3 && report.stderr.contains("can only be found by its own program"), "{report:?}");
        return json!({ "files": [] });
    }
    let mut entries: BTreeMap<(String, String, String), Vec<Value>> = BTreeMap::new();
    for line in lines.json_lines() {
        let of = |name: &str| line[name].as_str().unwrap().to_owned();
        entries.entry((of("operator"), of("state"), of("kind"))).or_default().push(line);
    }
    let report = report.json();
    for file in report["files"].as_array().unwrap() {
        let of = |name: &str| file[name].as_str().unwrap().to_owned();
        let path = tables.join(of("file"));
        assert_eq!(fs::metadata(&path).unwrap().len(), file["bytes"].as_u64().unwrap());
        let table = Table::read(&path);
        let expected = entries.remove(&(of("operator"), of("state"), of("kind"))).unwrap_or_default();
        table.check(&expected, &format!("{context} {}", of("file")));
        for name in ["operator", "operator_id", "state", "kind"] {
            assert_eq!(table.metadata(name), of(name), "{context}");
        }
        assert_eq!(file["rows"], expected.len(), "{context}");
        assert_eq!(file["row_groups"], table.row_groups, "{context}");
        let columns: Vec<&str> = table.json.iter().map(String::as_str).collect();
        let reported: Vec<&str> =
            file["json"].as_array().unwrap().iter().map(|json| json["column"].as_str().unwrap()).collect();
        assert_eq!(reported.iter().copied().collect::<std::collections::BTreeSet<_>>(), columns.into_iter().collect());
    }
    assert!(entries.is_empty(), "{context}: no file for {:?}", entries.keys());
    let files = fs::read_dir(&tables).unwrap().count();
    assert_eq!(files, report["files"].as_array().unwrap().len(), "{context}");
    report
}

/// The schema of the file of a state.
fn schema(snapshot: &Path, operator: &str, state: &str) -> String {
    let base = tempfile::tempdir().unwrap();
    let tables = base.path().join("tables");
    let to = tables.to_str().unwrap();
    let snapshot = snapshot.to_str().unwrap();
    let ran = millpond(&["export", snapshot, "-o", operator, "-s", state, "--to", "parquet", "--output", to, "--json"]);
    let file = ran.json()["files"][0]["file"].as_str().unwrap().to_owned();
    Table::read(&tables.join(file)).schema()
}

#[test]
fn tables_have_the_entries_of_our_own_snapshots() {
    for (id, written) in [sample::CANONICAL, sample::NATIVE, sample::COMPRESSED].into_iter().enumerate() {
        let base = tempfile::tempdir().unwrap();
        let snapshot = sample::write(base.path(), id as u64 + 1, written);
        let report = check(&snapshot, &[], &format!("{written:?}"));
        assert_eq!(report["files"].as_array().unwrap().len(), 11);
        let json: Vec<&Value> =
            report["files"].as_array().unwrap().iter().flat_map(|file| file["json"].as_array().unwrap()).collect();
        assert!(json.is_empty(), "{json:?}");
    }
}

#[test]
fn columns_have_the_types_of_the_state() {
    let base = tempfile::tempdir().unwrap();
    let snapshot = sample::write(base.path(), 1, sample::CANONICAL);
    let profile = "message state {
  OPTIONAL INT32 key_group (INTEGER(16,false));
  OPTIONAL BYTE_ARRAY key (STRING);
  OPTIONAL INT64 touched_ms;
  OPTIONAL group value {
    OPTIONAL INT64 flights (INTEGER(64,false));
    OPTIONAL BYTE_ARRAY last (STRING);
  }
}
";
    assert_eq!(schema(&snapshot, "flights", "profile"), profile);
    let timers = "message state {
  OPTIONAL INT32 key_group (INTEGER(16,false));
  OPTIONAL BYTE_ARRAY key (STRING);
  OPTIONAL group namespace {
    OPTIONAL INT64 start_ms;
    OPTIONAL INT64 end_ms;
  }
  OPTIONAL BYTE_ARRAY timer_domain (STRING);
  OPTIONAL INT64 timer_at_ms;
}
";
    assert_eq!(schema(&snapshot, "flights", "timers"), timers);
    let route = "message state {
  OPTIONAL INT32 key_group (INTEGER(16,false));
  OPTIONAL group key {
    OPTIONAL BYTE_ARRAY f0 (STRING);
    OPTIONAL INT64 f1 (INTEGER(32,false));
  }
  OPTIONAL group value (LIST) {
    REPEATED group list {
      OPTIONAL INT64 element (INTEGER(64,false));
    }
  }
}
";
    assert_eq!(schema(&snapshot, "routes", "route"), route.replace("INT64 f1", "INT32 f1"));
    let seen = "message state {
  OPTIONAL INT32 subtask (INTEGER(32,false));
  OPTIONAL BYTE_ARRAY value (STRING);
}
";
    assert_eq!(schema(&snapshot, "flights", "seen"), seen);
}

#[test]
fn tables_have_the_entries_of_flinks_snapshots() {
    let all = fixtures::all();
    // Every kind of state and of type is in each version; the trial of all of them takes minutes.
    let step = if std::env::var_os("MILLPOND_EXPORT_ALL").is_some() { 1 } else { 23 };
    let chosen = fixtures::committed().into_iter().chain(all.into_iter().step_by(step));
    let mut rows = 0;
    let mut count = 0;
    for fixture in chosen {
        let mut more = Vec::new();
        if let Some(origin) = fixture.expected_json()["origin"].as_str() {
            more = vec!["--root".to_owned(), format!("{origin}={}", fixture.directory.display())];
        }
        let report = check(&fixture.snapshot(), &more, &fixture.name);
        rows += report["files"].as_array().unwrap().iter().map(|file| file["rows"].as_u64().unwrap()).sum::<u64>();
        count += 1;
    }
    println!("{rows} entries of {count} snapshots");
    assert!(rows > 0);
}

#[test]
fn dates_decimals_and_timestamps_have_their_types() {
    let all = fixtures::committed();
    let fixture = all.iter().find(|fixture| fixture.name.ends_with("core-rocksdb-lz-canonical")).unwrap();
    let states: Vec<Value> = check(&fixture.snapshot(), &[], "core")["files"].as_array().unwrap().clone();
    let value_of = |state: &str| {
        let file =
            states.iter().find(|file| file["state"] == state).unwrap_or_else(|| panic!("no {state}: {states:?}"));
        schema(&fixture.snapshot(), file["operator"].as_str().unwrap(), state)
    };
    assert!(value_of("v-long").contains("OPTIONAL INT64 value;"), "{}", value_of("v-long"));
    // Text with unpaired surrogates cannot be text here, and only that field is JSON.
    let pojo = value_of("v-pojo");
    assert!(pojo.contains("OPTIONAL BYTE_ARRAY name (JSON);") && pojo.contains("OPTIONAL group value {"), "{pojo}");
}

#[test]
fn damage_leaves_no_file_that_looks_whole() {
    let base = tempfile::tempdir().unwrap();
    let snapshot = sample::write(base.path(), 1, sample::CANONICAL);
    let place = sample::first_block(&snapshot, "flights", "mean");
    sample::flip(&place.file, place.offset + 40);
    let tables = base.path().join("tables");
    let arguments = ["export", snapshot.to_str().unwrap(), "--to", "parquet", "--output", tables.to_str().unwrap()];
    let line = millpond(&arguments).error(1);
    assert!(line.contains("mean"), "{line}");
    let names = names_in(&tables);
    assert!(names.iter().all(|name| name.ends_with(".parquet") && !name.contains("mean")), "{names:?}");
    // States before it are whole.
    assert!(names.contains(&"flights.delays.parquet".to_owned()), "{names:?}");
    names.iter().for_each(|name| drop(Table::read(&tables.join(name))));
    let file = base.path().join("lines.jsonl");
    let arguments = ["export", snapshot.to_str().unwrap(), "--output", file.to_str().unwrap(), "--json"];
    let ran = millpond(&arguments);
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!((ran.code, &error["error"]["exit_code"]), (1, &json!(1)));
    assert!(!file.exists() && !names_in(base.path()).iter().any(|name| name.ends_with(".partial")));
}

#[test]
fn only_a_new_or_empty_directory_is_written_to() {
    let base = tempfile::tempdir().unwrap();
    let snapshot = sample::write(base.path(), 1, sample::CANONICAL);
    let snapshot = snapshot.to_str().unwrap();
    let to = |name: &str| base.path().join(name).to_str().unwrap().to_owned();
    let export = |to: &str| millpond(&["export", snapshot, "--to", "parquet", "--output", to]);
    fs::create_dir(to("full")).unwrap();
    fs::write(to("full/other"), "x").unwrap();
    let line = export(&to("full")).error(2);
    assert!(line.contains("is not empty"), "{line}");
    let line = export(&to("full/other")).error(2);
    assert!(line.contains("is a file"), "{line}");
    let line = export(&to("no/where")).error(3);
    assert!(line.contains("cannot make the directory"), "{line}");
    fs::create_dir(to("empty")).unwrap();
    let output = export(&to("empty")).output();
    assert!(output.starts_with("11 files in "), "{output}");
    let line = millpond(&["export", snapshot, "--to", "parquet"]).error(2);
    assert!(line.contains("--output"), "{line}");
    let line = millpond(&["export", snapshot, "--output", &to("full/other")]).error(2);
    assert!(line.contains("is there already"), "{line}");
    assert_eq!(fs::read(to("full/other")).unwrap(), b"x");
    millpond(&["export", snapshot, "--output", &to("lines")]).output();
    assert_eq!(fs::read_to_string(to("lines")).unwrap(), millpond(&["export", snapshot]).output());
}

fn names_in(directory: &Path) -> Vec<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
