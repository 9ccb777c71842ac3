//! Exports by a tool that has little memory, or little room for its files.
//!
//! `MILLPOND_EXPORT_ENTRIES` sets how many entries of 8 KiB there are: 100,000 for the full test, which holds them itself as well.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use millpond::codec::Writer;
use millpond::serializer::{Bytes, Serializer, U64};
use serde_json::json;

use super::super::forged::{self, Draw, Pairs, State};
use super::super::parquet::Table;
use super::names_in;

/// Memory that the tool may allocate, in KiB: what `ulimit -d` limits. Mapped files are no part of it.
const MEMORY_KIB: u64 = 112 << 10;

const VALUE_BYTES: usize = 8 << 10;

/// A value state with so many keys and values that cannot be compressed.
fn snapshot(base: &Path, entries: u64) -> PathBuf {
    let mut draw = Draw::new(1);
    let mut pairs = Pairs::new();
    let noise: Vec<u8> = (0..2 * VALUE_BYTES).map(|_| draw.below(256) as u8).collect();
    for key in 0..entries {
        let mut value = Writer::new();
        let from = (key as usize * 7919) % VALUE_BYTES;
        let mut bytes = noise[from..from + VALUE_BYTES].to_vec();
        bytes.iter_mut().step_by(3).for_each(|byte| *byte ^= key as u8 ^ 0x5a);
        Bytes.write(&bytes, &mut value).unwrap();
        let key = key.to_be_bytes();
        let group = forged::max().group_of_key(&key).0;
        pairs.entry(group).or_default().insert(key.to_vec(), value.into_bytes());
    }
    let state = State { meta: forged::value_state("noise", Bytes.snapshot()), pairs };
    forged::write(base, "snapshot", U64.snapshot(), &[state])
}

/// Runs the tool after a line of shell that sets its limits.
fn limited(limits: &str, snapshot: &Path, more: &[&str]) -> Output {
    Command::new("sh")
        .args(["-c", &format!("{limits}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_millpond"), "export"])
        .arg(snapshot)
        .args(["--json", "--output"])
        .arg(snapshot.parent().unwrap().join("out"))
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn memory_does_not_grow_with_the_state() {
    let entries = std::env::var("MILLPOND_EXPORT_ENTRIES").map_or(20_000, |count| count.parse().unwrap());
    let base = tempfile::tempdir().unwrap();
    let snapshot = snapshot(base.path(), entries);
    let ran = limited(&format!("ulimit -d {MEMORY_KIB}"), &snapshot, &["--to", "parquet"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let file = &report["files"][0];
    assert_eq!((&file["rows"], &file["file"]), (&json!(entries), &json!("forged.noise.parquet")));
    assert!(file["bytes"].as_u64().unwrap() > entries * VALUE_BYTES as u64 / 2);
    if entries <= 20_000 {
        let table = Table::read(&base.path().join("out/forged.noise.parquet"));
        assert_eq!((table.rows.len() as u64, table.row_groups > 3), (entries, true));
    }
}

#[test]
fn a_full_disk_leaves_no_file_that_looks_whole() {
    let base = tempfile::tempdir().unwrap();
    let snapshot = snapshot(base.path(), 200);
    // What is written beyond a megabyte fails, as it does where there is no more room.
    for form in ["parquet", "jsonl"] {
        let ran = limited("trap '' XFSZ; ulimit -f 2000", &snapshot, &["--to", form]);
        let error: serde_json::Value = serde_json::from_slice(&ran.stderr).unwrap();
        assert_eq!((ran.status.code(), &error["error"]["kind"]), (Some(3), &json!("unavailable")), "{error}");
        assert!(error.to_string().contains("File too large"), "{error}");
        let out = base.path().join("out");
        assert_eq!(names_in(base.path()).len(), if out.exists() { 2 } else { 1 }, "{:?}", names_in(base.path()));
        if out.exists() {
            assert_eq!(names_in(&out), [""; 0]);
            std::fs::remove_dir(out).unwrap();
        }
    }
}
