//! The command-line tool, run as a user runs it.

#![allow(clippy::disallowed_methods, reason = "tests damage files behind the storage's back")]

mod convert;
#[cfg(feature = "rocksdb")]
mod database;
mod errors;
mod export;
mod flink;
mod forged;
mod housekeeping;
mod inspect;
mod parquet;
mod sample;
mod show;
mod verify;

use std::ffi::OsStr;
use std::process::{Command, Output};

use serde_json::Value;

/// What a run of the tool came to.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_millpond"))
}

/// Runs the tool; whatever it does, it neither panics nor writes escape codes into a pipe.
fn millpond<A: AsRef<OsStr>>(arguments: &[A]) -> Ran {
    let Output { status, stdout, stderr } = command().args(arguments).output().unwrap();
    let ran = Ran {
        code: status.code().unwrap(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    };
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert!(!ran.stdout.contains('\x1b') && !ran.stderr.contains('\x1b'), "{ran:?}");
    ran
}

impl Ran {
    /// The run went well; its output.
    fn output(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.stdout
    }

    /// The run failed like this, with one line that begins with the tool's name; the line.
    fn error(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{}", self.stderr);
        assert!(self.stderr.starts_with("millpond: ") && self.stderr.ends_with('\n'), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        self.stderr
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
