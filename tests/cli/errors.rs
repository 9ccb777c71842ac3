use std::fs;

use serde_json::Value;

use super::{command, millpond, sample};

#[test]
fn what_the_snapshot_does_not_have_is_answered_with_what_it_has() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let path = directory.to_str().unwrap();
    let show = |operator: &str, state: &str, more: &[&str]| {
        let mut arguments = vec!["show", path, "--operator", operator, "--state", state];
        arguments.extend(more);
        millpond(&arguments).error(2)
    };
    let line = show("flight", "profile", &[]);
    assert!(line.contains("\"flight\"") && line.contains("flights") && line.contains("routes"), "{line}");
    let line = show("flights", "profil", &[]);
    for part in ["\"profil\"", "airlines, delays, destinations", "profile", "\"flights\""] {
        assert!(line.contains(part), "{line}");
    }
    let line = show("routes", "route", &["--key", "JFK"]);
    assert!(line.contains("(string, u32)") && line.contains("[\"a\", 1]"), "{line}");
    let line = show("flights", "offsets", &["--key", "x"]);
    assert!(line.contains("operator-list") && line.contains("no keys"), "{line}");
    let line = show("flights", "profile", &["--key-group", "16"]);
    assert!(line.contains("key group 16") && line.contains("16 of them"), "{line}");
}

#[test]
fn a_path_that_is_no_snapshot_is_answered_with_the_snapshots_there_are() {
    let base = tempfile::tempdir().unwrap();
    let root = base.path().to_str().unwrap();
    let inspect = |path: &str| millpond(&["inspect", path]).error(3);
    let line = inspect(&format!("{root}/nowhere"));
    assert!(line.contains("there is nothing at") && line.contains("nowhere"), "{line}");
    let line = inspect(root);
    assert!(line.contains("no snapshot lies below it"), "{line}");
    for id in [9, 10] {
        sample::write(base.path(), id, sample::CANONICAL);
    }
    let job = base.path().join(sample::JOB.to_string());
    for path in [base.path(), &job] {
        let line = inspect(path.to_str().unwrap());
        let places = ["chk-10", "chk-9"].map(|name| line.find(&job.join(name).display().to_string()).unwrap());
        assert!(line.contains("has 2 below it") && places[0] < places[1], "{line}");
    }
    let object = sample::files(&job.join("chk-9")).remove(0);
    let line = inspect(object.to_str().unwrap());
    assert!(line.contains("name its directory or its _metadata"), "{line}");
    fs::remove_file(job.join("chk-9/_metadata")).unwrap();
    let line = inspect(job.join("chk-9").to_str().unwrap());
    assert!(line.contains("never completed"), "{line}");
}

#[test]
fn foreign_damaged_and_later_manifests_are_told_apart() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let manifest = directory.join("_metadata");
    let good = fs::read(&manifest).unwrap();
    let run = |command: &str, bytes: &[u8], code| {
        fs::write(&manifest, bytes).unwrap();
        millpond(&[command, directory.to_str().unwrap()]).error(code)
    };
    let mut later = good.clone();
    later[7] = 9;
    for command in ["inspect", "verify"] {
        let line = run(command, &later, 3);
        assert!(line.contains("version 9 is unknown") && line.contains("use a newer millpond"), "{line}");
        let line = run(command, b"\x49\x60\x67\x2d\0\0\0\x04...", 1);
        assert!(line.contains("format Flink metadata"), "{line}");
    }
    let mut damaged = good.clone();
    damaged[good.len() / 2] ^= 1;
    for (bytes, part) in
        [(&damaged[..], "digest"), (&good[..good.len() - 1], "digest"), (b"PK\x03\x04", "magic"), (b"", "magic")]
    {
        let line = run("inspect", bytes, 1);
        assert!(line.contains(part) && line.contains(manifest.to_str().unwrap()), "{line}");
    }
}

#[test]
fn a_missing_or_damaged_file_is_named() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let path = directory.to_str().unwrap();
    let block = sample::first_block(&directory, "flights", "worst");
    let bytes = fs::read(&block.file).unwrap();
    fs::write(&block.file, &bytes[..bytes.len() - 5]).unwrap();
    let line = millpond(&["show", path, "-o", "flights", "-s", "worst"]).error(1);
    assert!(line.contains(block.file.to_str().unwrap()) && line.contains("bytes long"), "{line}");
    fs::remove_file(&block.file).unwrap();
    for arguments in [&["show", path, "-o", "flights", "-s", "worst"][..], &["inspect", path, "--count"]] {
        let line = millpond(arguments).error(1);
        assert!(line.contains(block.file.to_str().unwrap()) && line.contains("no such object"), "{line}");
    }
    // Only the manifest is needed for this.
    millpond(&["inspect", path]).output();
}

#[test]
#[cfg(unix)]
fn what_must_not_be_read_is_not_called_damaged() {
    use std::os::unix::fs::PermissionsExt;
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let block = sample::first_block(&directory, "flights", "worst");
    fs::set_permissions(&block.file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&block.file).is_ok() {
        println!("skipped: this user may read everything");
        return;
    }
    let ran = millpond(&["verify", directory.to_str().unwrap(), "--json"]);
    assert_eq!((ran.code, &ran.json()["findings"][0]["severity"]), (3, &Value::from("unread")));
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o000)).unwrap();
    let line = millpond(&["inspect", directory.to_str().unwrap()]).error(3);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(line.contains("cannot open") && line.contains("denied"), "{line}");
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let path = directory.to_str().unwrap();
    let commands: [&[&str]; 3] =
        [&["show", path, "-o", "flights", "-s", "seen"], &["inspect", path, "--json"], &["verify", path]];
    for arguments in commands {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let ran = super::command().args(arguments).stdout(full).output().unwrap();
        let error = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.code() == Some(3) && error.contains("cannot write the output"), "{error}");
        assert!(error.contains("No space left"), "{error}");
    }
}

#[test]
fn wrong_arguments_are_refused_in_one_line() {
    let cases: [&[&str]; 6] = [
        &["inspekt", "x"],
        &["inspect"],
        &["inspect", "x", "--colour"],
        &["show", "x", "--operator", "u"],
        &["show", "x", "-o", "u", "-s", "s", "--limit", "many"],
        &["show", "x", "-o", "u", "-s", "s", "--key", "a", "--key-group", "1"],
    ];
    for arguments in cases {
        let line = millpond(arguments).error(2);
        assert!(line.ends_with("see millpond help\n"), "{line}");
    }
}

#[test]
fn errors_are_json_where_the_output_is() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let path = directory.to_str().unwrap();
    let block = sample::first_block(&directory, "flights", "worst");
    sample::flip(&block.file, block.offset + 16);
    let cases: [(&[&str], i32, &str, &str); 4] = [
        (&["inspect", "/nowhere/at/all", "--json"], 3, "unavailable", "there is nothing"),
        (&["show", path, "-o", "x", "-s", "y", "--json"], 2, "not found", "flights"),
        (&["show", path, "--json"], 2, "invalid input", "--operator"),
        (&["inspect", path, "--count", "--json"], 1, "corrupt", "checksum"),
    ];
    for (arguments, code, kind, part) in cases {
        let ran = millpond(arguments);
        let error = &serde_json::from_str::<Value>(&ran.stderr).unwrap()["error"];
        assert_eq!((ran.code, &error["kind"], &error["exit_code"]), (code, &Value::from(kind), &Value::from(code)));
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn help_teaches_and_the_version_is_told() {
    let help = millpond(&["help"]).output();
    for part in ["Examples:", "Exit codes:", "inspect", "show", "verify", "PATH is the directory"] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
    for command in ["inspect", "show", "verify"] {
        for arguments in [["help", command], [command, "--help"]] {
            let help = millpond(&arguments).output();
            assert!(help.contains("Examples:\n  millpond ") && help.contains("--json"), "{help}");
        }
    }
    assert_eq!(millpond(&["--version"]).output(), format!("millpond {}\n", env!("CARGO_PKG_VERSION")));
    let ran = millpond::<&str>(&[]);
    assert!(ran.code == 2 && ran.stderr.contains("Usage:"), "{ran:?}");
}

#[test]
fn nothing_is_written_into_the_snapshot_that_is_read() {
    let base = tempfile::tempdir().unwrap();
    let snapshot = sample::write(base.path(), 1, sample::CANONICAL);
    let before = sample::files(&snapshot);
    let (from, to) = (snapshot.to_str().unwrap(), snapshot.join("inside"));
    let to = to.to_str().unwrap();
    let cases: [&[&str]; 5] = [
        &["convert", from, to, "--to", "native-heap"],
        &["convert", from, to, "--to", "flink-canonical"],
        &["export", from, "--to", "parquet", "--output", to],
        &["export", from, "--output", to],
        &["relocate", from, to],
    ];
    for arguments in cases {
        let error = millpond(arguments).error(2);
        assert!(error.contains("lies in the snapshot"), "{arguments:?}: {error}");
        assert_eq!(sample::files(&snapshot), before, "{arguments:?}");
    }
    // Also where the path does not say so.
    let ran = command().current_dir(&snapshot).args(["export", ".", "--output", "inside"]).output().unwrap();
    assert_eq!((ran.status.code(), sample::files(&snapshot)), (Some(2), before));
}

#[test]
fn a_directory_with_something_in_it_becomes_no_snapshot() {
    let base = tempfile::tempdir().unwrap();
    let snapshot = sample::write(base.path(), 1, sample::CANONICAL);
    let to = base.path().join("mine");
    std::fs::create_dir(&to).unwrap();
    std::fs::write(to.join("notes"), "mine").unwrap();
    for form in ["canonical", "flink-canonical"] {
        let arguments = ["convert", snapshot.to_str().unwrap(), to.to_str().unwrap(), "--to", form];
        assert!(millpond(&arguments).error(2).contains("is not empty"), "{form}");
    }
    assert_eq!(sample::files(&to).len(), 1);
    let error = millpond(&["convert", snapshot.to_str().unwrap(), to.to_str().unwrap(), "--to", "what"]).error(2);
    assert!(error.contains("native-rocksdb, flink-canonical, flink"), "{error}");
}

#[test]
fn what_is_asked_for_and_not_there_is_no_equality() {
    let base = tempfile::tempdir().unwrap();
    let snapshot = sample::write(base.path(), 1, sample::CANONICAL);
    let snapshot = snapshot.to_str().unwrap();
    for more in [&["-o", "nope"][..], &["-s", "nope"], &["-o", "flights", "-s", "nope"]] {
        for command in [&["diff", snapshot, snapshot][..], &["export", snapshot]] {
            let error = millpond(&[command, more].concat()).error(2);
            assert!(error.contains("\"nope\"") && error.contains("see millpond inspect"), "{error}");
        }
    }
}

#[test]
fn a_file_that_is_no_metadata_is_called_so() {
    let base = tempfile::tempdir().unwrap();
    for bytes in [&b""[..], b"I", b"something else entirely"] {
        std::fs::write(base.path().join("_metadata"), bytes).unwrap();
        for command in ["inspect", "du", "export"] {
            let error = millpond(&[command, base.path().to_str().unwrap()]).error(1);
            assert!(error.contains("neither as millpond's does nor as Apache Flink's"), "{error}");
        }
    }
}
