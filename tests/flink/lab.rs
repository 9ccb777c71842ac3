//! What the lab (`make flink-lab`) gives to a real Flink.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond::flink::export::{Edits, Options, Report, Target, export, rewrite};
use millpond::format::flink::metadata::Version;
use millpond::key_group::MaxParallelism;
use millpond::random::SystemRandom;
use millpond::storage::{LocalStorage, ObjectPath};

use super::own;
use crate::format::flink::files;
use crate::format::flink::fixtures::{self, Fixture};

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
        let chosen = match (version, position % 3) {
            (Version::V3, _) => &all[..],
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

/// Writes everything below the directory in `MILLPOND_LAB`, and `restores.tsv`, which says what to do with it.
#[test]
#[ignore = "for make flink-lab"]
fn write_what_the_lab_restores() {
    let base = PathBuf::from(std::env::var_os("MILLPOND_LAB").expect("MILLPOND_LAB names a directory"));
    let mut restores = Vec::new();
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
