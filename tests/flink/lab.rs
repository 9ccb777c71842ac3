//! What the lab (`make flink-lab`) gives to a real Flink.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond::flink::export::{Edits, Options, Report, Target, export, rewrite};
use millpond::flink::{Directory, SnapshotReader};
use millpond::format::flink::Roots;
use millpond::format::flink::metadata::Version;
use millpond::key_group::MaxParallelism;
use millpond::random::SystemRandom;
use millpond::storage::{LocalStorage, ObjectPath};

use super::{back, dump, own};
use crate::format::flink::files;
use crate::format::flink::fixtures::{self, Fixture, sha256};

/// One restore: who restores what, and what has to come out.
struct Restore {
    flink: &'static str,
    snapshot: String,
    backend: &'static str,
    parallelism: u32,
    job: String,
    options: &'static str,
    expected: PathBuf,
}

/// Snapshots of either version that are not canonical savepoints on disk, or are changed on the way.
const FIXTURES: [(&str, &str); 9] = [
    ("core-hashmap-native", "core"),
    ("core-hashmap-lz-native", "core"),
    ("core-hashmap-wide-native", "core"),
    ("keyed-hashmap-chk", "keyed"),
    ("window-hashmap-native", "window"),
    ("sql-hashmap-native", "sql"),
    ("mapnull-hashmap-native", "mapnull"),
    ("opstate-hashmap-chk", "opstate"),
    ("opstate-rocksdb-canonical", "opstate"),
];

fn target(base: &Path, name: &str) -> Target {
    let storage = Arc::new(LocalStorage::create(base).unwrap());
    Target::new(storage, ObjectPath::parse(name).unwrap(), Arc::new(SystemRandom))
}

/// Writes fixtures of `flink` again, with metadata of `version`.
fn rewritten(base: &Path, flink: &'static str, version: Version, restores: &mut Vec<Restore>) {
    let all: Vec<Fixture> = fixtures::all();
    for (position, (name, job)) in FIXTURES.into_iter().enumerate() {
        let Some(fixture) = all.iter().find(|fixture| fixture.name == format!("{flink}/{name}")) else { continue };
        let target_name = format!("{flink}-{name}-v{version}");
        let compressed = position % 2 == 0;
        let edits = Edits { parallelism: Some(3), ..Edits::default() };
        let options = Options { version, compressed, edits, ..Options::default() };
        let mut report = Report::default();
        rewrite(&files::open(fixture), &target(base, &target_name), &options, &mut report).unwrap();
        // The metadata differs, not the state: a few of each newer version are enough.
        let all = [("hashmap", 2), ("rocksdb", 4)];
        let chosen = match (version, position) {
            (Version::V3, _) if !is_short() => &all[..],
            (Version::V3, 0 | 4) => &all[..1],
            (Version::V3, 2 | 5) => &all[1..],
            (Version::V3, _) => &[],
            (_, 0 | 3 | 6) if !is_short() => &all[1..],
            (_, 0) => &all[1..],
            _ => &[],
        };
        for (backend, parallelism) in chosen.iter().copied() {
            restores.push(Restore {
                flink,
                snapshot: target_name.clone(),
                backend,
                parallelism,
                job: format!("{job}-A"),
                options: "",
                expected: fixture.expected_path(),
            });
        }
    }
}

/// Writes snapshots that went through an import, so that coordinators, timers and SQL keys did.
fn imported(base: &Path, flink: &'static str, restores: &mut Vec<Restore>) {
    let all: Vec<Fixture> = fixtures::all();
    let chosen = [
        ("core-rocksdb-canonical", "core", "rocksdb"),
        ("opstate-hashmap-canonical", "opstate", "hashmap"),
        ("window-rocksdb-canonical", "window", "hashmap"),
        ("sql-hashmap-canonical", "sql", "rocksdb"),
    ];
    for (name, job, backend) in chosen {
        let Some(fixture) = all.iter().find(|fixture| fixture.name == format!("{flink}/{name}")) else { continue };
        let target_name = format!("{flink}-{name}-imported");
        let source = files::open(fixture);
        let own = back::imported(&source).unwrap();
        let edits = Edits { parallelism: Some(3), ..Edits::default() };
        let options = Options { like: Some(&source), edits, ..Options::default() };
        export(&own, &target(base, &target_name), &options, &mut Report::default()).unwrap();
        let (job, expected) = (format!("{job}-A"), fixture.expected_path());
        restores.push(Restore { flink, snapshot: target_name, backend, parallelism: 2, job, options: "", expected });
    }
}

/// Writes an incremental checkpoint of RocksDB as a canonical savepoint, and one that was not aligned without its records in
/// flight.
fn checkpoints(base: &Path, flink: &'static str, restores: &mut Vec<Restore>) {
    let all: Vec<Fixture> = fixtures::all();
    for (name, job, backend) in
        [("incr-rocksdb.chk-3", "incr", "hashmap"), ("unaligned-rocksdb", "unaligned", "rocksdb")]
    {
        let Some(fixture) = all.iter().find(|fixture| fixture.name == format!("{flink}/{name}")) else { continue };
        let target_name = format!("{flink}-{name}-canonical");
        let edits = Edits { parallelism: Some(3), drop_in_flight: job == "unaligned", ..Edits::default() };
        let options = Options { edits, ..Options::default() };
        rewrite(&files::open(fixture), &target(base, &target_name), &options, &mut Report::default()).unwrap();
        let expected = match fixture.at_snapshot_path() {
            Some(path) => path,
            None => fixture.expected_path(),
        };
        let job = format!("{job}-A");
        restores.push(Restore { flink, snapshot: target_name, backend, parallelism: 2, job, options: "", expected });
    }
}

/// Writes a SQL snapshot with another max parallelism. The lab says of every key which group Flink's own hash puts it into.
fn rehashed(base: &Path, flink: &'static str, restores: &mut Vec<Restore>) {
    let all: Vec<Fixture> = fixtures::all();
    let name = "sql-hashmap-native";
    let Some(fixture) = all.iter().find(|fixture| fixture.name == format!("{flink}/{name}")) else { return };
    let target_name = format!("{flink}-{name}-rehashed");
    let max_parallelism = Some(MaxParallelism::new(300).unwrap());
    let edits = Edits { parallelism: Some(3), max_parallelism, ..Edits::default() };
    let options = Options { edits, ..Options::default() };
    let written = target(base, &target_name);
    rewrite(&files::open(fixture), &written, &options, &mut Report::default()).unwrap();
    let directory = Directory::new(Arc::clone(written.storage()), Some(written.directory().clone()));
    let dumps = dump::dump(&SnapshotReader::open(directory, Roots::new()).unwrap()).unwrap();
    let mut json = fixture.expected_json();
    for operator in json["operators"].as_array_mut().unwrap() {
        let keyed = &dumps[operator["operator_id"].as_str().unwrap()].keyed;
        let states = operator.get_mut("keyed_states").and_then(|states| states.as_array_mut());
        for state in states.into_iter().flatten() {
            let found = keyed.iter().find(|((name, _), _)| state["name"] == name.as_str());
            let mut lines = found.map(|(_, lines)| lines.clone()).unwrap_or_default();
            assert_eq!(state["count"], lines.len());
            lines.sort_unstable();
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            state["sha256"] = sha256(text.as_bytes()).into();
            let entries: Vec<serde_json::Value> =
                lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            state["entries"] = entries.into();
        }
    }
    let expected = base.join(format!("{target_name}.json"));
    write(&expected, &json.to_string());
    let (job, snapshot) = ("sql-A".to_owned(), target_name);
    restores.push(Restore { flink, snapshot, backend: "rocksdb", parallelism: 2, job, options: "", expected });
}

/// With `MILLPOND_LAB_SHORT` in the environment there are about half as many restores.
fn is_short() -> bool {
    std::env::var_os("MILLPOND_LAB_SHORT").is_some()
}

/// Writes everything below the directory in `MILLPOND_LAB`, and `restores.tsv`, which says what to do with it.
#[test]
#[ignore = "for make flink-lab"]
fn write_what_the_lab_restores() {
    let base = PathBuf::from(std::env::var_os("MILLPOND_LAB").expect("MILLPOND_LAB names a directory"));
    let mut restores = Vec::new();
    for flink in ["1.20.5", "2.3.0"] {
        imported(&base, flink, &mut restores);
        checkpoints(&base, flink, &mut restores);
        rehashed(&base, flink, &mut restores);
    }
    rewritten(&base, "1.20.5", Version::V3, &mut restores);
    rewritten(&base, "2.3.0", Version::V3, &mut restores);
    rewritten(&base, "1.20.5", Version::V4, &mut restores);
    rewritten(&base, "2.3.0", Version::V6, &mut restores);
    let (source, model) = own::written(&base.join("own"));
    let expected = base.join("own.json");
    LocalStorage::open(&base).unwrap();
    write(&expected, &model.expected_json());
    for (name, max, parallelism) in [("own", 128, 2), ("own-rescaled", 128, 5)] {
        let max_parallelism = Some(MaxParallelism::new(max).unwrap());
        let edits = Edits { parallelism: Some(parallelism), max_parallelism, ..Edits::default() };
        let options = Options { edits, ..Options::default() };
        let mut report = Report::default();
        export(&source, &target(&base, &format!("{name}-savepoint")), &options, &mut report).unwrap();
        for flink in ["1.20.5", "2.3.0"] {
            for (backend, parallelism) in [("hashmap", 2), ("rocksdb", 3)] {
                if is_short() && (name == "own") != (backend == "rocksdb") {
                    continue;
                }
                restores.push(Restore {
                    flink,
                    snapshot: format!("{name}-savepoint"),
                    backend,
                    parallelism,
                    job: "tiny-A".to_owned(),
                    options: "bare noflight allow",
                    expected: expected.clone(),
                });
            }
        }
    }
    let mut table = String::new();
    for Restore { flink, snapshot, backend, parallelism, job, options, expected } in &restores {
        let expected = expected.display();
        writeln!(table, "{flink}\t{snapshot}\t{backend}\t{parallelism}\t{job}\t{expected}\t{options}").unwrap();
    }
    write(&base.join("restores.tsv"), &table);
    println!("{} restores to be made", restores.len());
}

#[expect(clippy::disallowed_methods, reason = "files for a script")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
