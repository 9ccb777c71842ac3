mod limits;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use millpond::codec::Writer;
use millpond::format::record::{StateKind, StateMeta};
use millpond::serializer::{Bytes, Serializer, SerializerSnapshot, U64};
use serde_json::{Value, json};

use super::forged::{self, Draw, Pairs, State};
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

/// A state of any kind and types, with some entries.
fn drawn(draw: &mut Draw, name: &str, key: &SerializerSnapshot) -> State {
    let kinds = [StateKind::Value, StateKind::List, StateKind::Map, StateKind::Reducing, StateKind::Timer];
    let kind = kinds[draw.below(5) as usize];
    let mut meta = StateMeta { kind, ..forged::value_state(name, draw.description(3)) };
    if draw.below(3) == 0 {
        meta.namespace = if draw.below(2) == 0 { SerializerSnapshot::Window } else { draw.description(1) };
    }
    if kind == StateKind::Map {
        meta.user_key = draw.description(2);
    }
    meta.timed = kind != StateKind::Timer && draw.below(3) == 0;
    if kind == StateKind::Timer {
        meta.value = SerializerSnapshot::Unit;
    }
    let mut pairs = Pairs::new();
    for _ in 0..draw.below(30) {
        let (mut of_key, mut of_value) = (Writer::new(), Writer::new());
        draw.value(key, &mut of_key);
        let group = forged::max().group_of_key(of_key.as_slice()).0;
        draw.value(&meta.namespace, &mut of_key);
        draw.value(&meta.user_key, &mut of_key);
        let element = |draw: &mut Draw, out: &mut Writer| {
            if meta.timed {
                out.ordered_i64(draw.below(1 << 40) as i64);
            }
            draw.value(&meta.value, out);
        };
        match kind {
            StateKind::Timer => {
                let mut timer = Writer::new();
                timer.u8(draw.below(2) as u8);
                timer.ordered_i64([i64::MAX, i64::MIN, 0, 1_700_000_000_000][draw.below(4) as usize]);
                timer.raw(of_key.as_slice());
                of_key = timer;
            }
            StateKind::List => {
                for _ in 0..1 + draw.below(3) {
                    let mut one = Writer::new();
                    element(draw, &mut one);
                    of_value.bytes(one.as_slice());
                }
            }
            _ => element(draw, &mut of_value),
        }
        pairs.entry(group).or_default().insert(of_key.into_bytes(), of_value.into_bytes());
    }
    State { meta, pairs }
}

#[test]
fn tables_have_the_entries_of_any_types() {
    let seeds = std::env::var("MILLPOND_EXPORT_SEEDS").map_or(40, |seeds| seeds.parse().unwrap());
    let (mut states, mut json, mut rows) = (0, 0, 0);
    for seed in 0..seeds {
        let base = tempfile::tempdir().unwrap();
        let mut draw = Draw::new(seed);
        let key = draw.description(2);
        let drawn: Vec<State> = (0..4).map(|n| drawn(&mut draw, &format!("state-{n}"), &key)).collect();
        let report = check(&forged::write(base.path(), "drawn", key, &drawn), &[], &format!("seed {seed}"));
        for file in report["files"].as_array().unwrap() {
            states += 1;
            json += file["json"].as_array().unwrap().len();
            rows += file["rows"].as_u64().unwrap();
        }
    }
    println!("{rows} entries of {states} states, {json} columns of JSON");
    assert!(json > 0);
}

#[test]
fn names_of_states_stay_inside_the_directory() {
    let base = tempfile::tempdir().unwrap();
    let long = "n".repeat(4096);
    let mut names =
        ["..", "../../escaped", "/etc/escaped", "a/b", "a_b", "A_b", ".hidden", "-rf *", "é 'quoted\"", &long];
    names.sort_unstable();
    let mut value = Writer::new();
    Bytes.write(&vec![7], &mut value).unwrap();
    let pair = BTreeMap::from([(7u64.to_be_bytes().to_vec(), value.into_bytes())]);
    let group = forged::max().group_of_key(&7u64.to_be_bytes()).0;
    let states = names.map(|name| State {
        meta: forged::value_state(name, Bytes.snapshot()),
        pairs: Pairs::from([(group, pair.clone())]),
    });
    let snapshot = forged::write(base.path(), "hostile", U64.snapshot(), &states);
    let report = check(&snapshot, &[], "hostile names");
    let files = report["files"].as_array().unwrap();
    assert_eq!(files.len(), names.len());
    for file in files {
        let name = file["file"].as_str().unwrap();
        assert!(name.len() < 150 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)));
        assert_eq!((&file["rows"], &file["operator"]), (&json!(1), &json!(forged::UID)));
    }
    assert_eq!(names_in(base.path()), ["hostile"], "nothing is written beside the directory");
    // A name is that of the state, whatever else is exported.
    let one = check(&snapshot, &["--state".to_owned(), "a/b".to_owned()], "one state");
    assert!(files.contains(&one["files"][0]), "{one}");
    let none = millpond(&["export", snapshot.to_str().unwrap(), "-s", "c", "--to", "parquet", "--output", "unused"]);
    assert!(none.error(2).contains("there is no state \"c\""));
}

#[test]
fn a_state_without_entries_has_a_file_without_rows() {
    let base = tempfile::tempdir().unwrap();
    let state = State { meta: forged::value_state("empty", Bytes.snapshot()), pairs: Pairs::new() };
    let report = check(&forged::write(base.path(), "empty", U64.snapshot(), &[state]), &[], "empty");
    assert_eq!((&report["files"][0]["rows"], &report["files"][0]["row_groups"]), (&json!(0), &json!(0)));
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
    let report = millpond(&["export", snapshot, "--output", &to("lines"), "--json"]).json();
    let lines = fs::read_to_string(to("lines")).unwrap();
    assert_eq!(lines, millpond(&["export", snapshot]).output());
    assert_eq!((&report["entries"], &report["bytes"]), (&json!(lines.lines().count()), &json!(lines.len())));
    let output = millpond(&["export", snapshot, "-s", "mean", "--output", &to("mean")]).output();
    assert!(output.starts_with("40 entries in "), "{output}");
}

fn names_in(directory: &Path) -> Vec<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Prints the rows of a file as pyarrow reads them, each as a line of JSON.
const PYARROW: &str = "
import json, sys
import pyarrow.parquet
for row in pyarrow.parquet.read_table(sys.argv[1]).to_pylist():
    print(json.dumps(row))
";

/// `MILLPOND_PYTHON` names a Python that has pyarrow, if `python3` has not.
#[test]
fn pyarrow_reads_the_same_entries() {
    let python = std::env::var("MILLPOND_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let run = |script: &str, file: &Path| Command::new(&python).args(["-c", script]).arg(file).output();
    if !run("import pyarrow.parquet", Path::new("")).is_ok_and(|ran| ran.status.success()) {
        println!("{python} has no pyarrow: not tested");
        return;
    }
    let base = tempfile::tempdir().unwrap();
    let snapshot = sample::write(base.path(), 1, sample::CANONICAL);
    let tables = base.path().join("tables");
    let (from, to) = (snapshot.to_str().unwrap(), tables.to_str().unwrap());
    millpond(&["export", from, "--to", "parquet", "--output", to]).output();
    // States whose columns look in Python as they do in JSON.
    for state in ["profile", "hourly", "delays", "destinations", "worst", "offsets", "seen", "airlines"] {
        let ran = run(PYARROW, &tables.join(format!("flights.{state}.parquet"))).unwrap();
        assert!(ran.status.success(), "{state}: {}", String::from_utf8_lossy(&ran.stderr));
        let text = String::from_utf8(ran.stdout).unwrap();
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let entries = millpond(&["export", from, "-o", "flights", "-s", state]).json_lines();
        assert_eq!(rows.len(), entries.len(), "{state}");
        for (row, entry) in rows.iter().zip(&entries) {
            for part in ["key_group", "subtask", "key", "namespace", "user_key", "value"] {
                assert_eq!(row[part], entry[part], "{state} {part}");
            }
            assert_eq!(row["touched_ms"], entry["touched_ms"][0], "{state}");
        }
    }
}
