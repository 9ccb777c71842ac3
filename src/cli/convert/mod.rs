//! `millpond convert`: the same state in another format, at another parallelism, with other names.

mod flink;
#[cfg(feature = "rocksdb")]
mod import;
mod report;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use millpond::Error;
use millpond::clock::{Clock, SystemClock};
use millpond::codec::Compression;
use millpond::convert::{Destination, Edits, Format, Options, Phase, Progress as Done, StateName, convert};
use millpond::flink::export::Form;
use millpond::random::SystemRandom;

use super::Outcome;
use super::failure::Failure;
use super::open::{Access, Location, NewSnapshot, Opened};
use super::output::Output;
use super::progress::Progress;
use flink::FlinkArguments;

const AFTER_HELP: &str = "\
SRC is a checkpoint or savepoint of any format, of millpond or of Apache Flink, whose types become those that serde reads \
and whose keys stay in their key groups. DST becomes a savepoint: self-contained, yours, and a snapshot only once \
everything was written, read back and compared. SRC is never changed. DST must not exist yet, or be empty; after a \
conversion that did not finish remove it and run the command again.

Every operator keeps its uid, and every state that is not dropped is carried over, whether or not its types are known \
here. Another --parallelism divides keyed and operator state among other subtasks. Another --max-parallelism also finds \
the key group of every key anew: the only way to change it.

Memory does not grow with the state. What has to be sorted and does not fit into --memory goes to files in --scratch; \
a RocksDB database is put together there as well.

--set-ttl lets everything in a state count as last touched now, so that the state can be registered with a time to live \
as if it always had one; --drop-ttl removes the stamps.

--to flink-canonical writes a savepoint of Apache Flink, which Flink 1.18 to 2.3 restores on every backend and at every \
parallelism: from a snapshot of millpond's whose types have a counterpart in Flink, or from one of Flink's, which is how \
its operators, states, keys, parallelism and max parallelism are changed. --to flink copies the files of a Flink snapshot as they \
are and changes the metadata only. --report says what became of every state.

Exit codes: 0 done, 1 SRC is damaged, 2 wrong arguments, 3 cannot be read, written or carried over.

Examples:
  millpond convert savepoint-3f21c0-8a5d1e90b7c4 on-rocksdb --to native-rocksdb
  millpond convert chk-12 wider --to canonical --parallelism 8 --max-parallelism 1024
  millpond convert chk-12 renamed --to canonical --rename-uid flights=departures --drop-state flights/debug
  millpond convert chk-7 for-flink --to flink-canonical --java-class Profile=com.example.Profile
  millpond convert flink-chk-12 smaller --to flink-canonical --parallelism 2 --rename-uid old=new --report report.txt";

/// Turn a snapshot into another with the same state: other format, parallelism, max parallelism, names.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Directory of the snapshot to read, or its _metadata file.
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Directory of the snapshot to write.
    #[arg(value_name = "DST")]
    destination: PathBuf,
    /// Format of keyed state: canonical, native-heap or native-rocksdb; or a savepoint of Apache Flink: flink-canonical, or
    /// flink with the files of a Flink snapshot as they are.
    #[arg(long, value_name = "FORMAT")]
    to: Goal,
    /// Parallelism of every operator; each keeps its own without.
    #[arg(long, value_name = "P")]
    parallelism: Option<u32>,
    /// Max parallelism of every operator; each keeps its own without.
    #[arg(long, value_name = "M")]
    max_parallelism: Option<u32>,
    /// Give an operator another uid.
    #[arg(long, value_name = "OLD=NEW", value_parser = renaming)]
    rename_uid: Vec<(String, String)>,
    /// Leave a state out.
    #[arg(long, value_name = "OPERATOR/STATE")]
    drop_state: Vec<StateName>,
    /// Leave an operator out.
    #[arg(long, value_name = "UID")]
    drop_operator: Vec<String>,
    /// Let a state without time to live be registered with one.
    #[arg(long, value_name = "OPERATOR/STATE")]
    set_ttl: Vec<StateName>,
    /// Let a state with time to live be registered without.
    #[arg(long, value_name = "OPERATOR/STATE")]
    drop_ttl: Vec<StateName>,
    /// Compress blocks: none, lz4 or zstd.
    #[arg(long, value_name = "CODEC", default_value = "none", value_parser = codec)]
    compression: Compression,
    /// Memory for sorting, for example 67108864 or 64M.
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = bytes)]
    memory: usize,
    /// Directory for temporary files; beside DST without.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    flink: FlinkArguments,
    /// Print one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

/// What a snapshot is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// A snapshot of ours.
    Own(Format),
    /// A savepoint of Flink's.
    Flink(Form),
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "flink" => Ok(Goal::Flink(Form::AsIs)),
            "flink-canonical" => Ok(Goal::Flink(Form::Canonical)),
            name => name
                .parse()
                .map(Goal::Own)
                .map_err(|error: Error| format!("{}, flink-canonical, flink", error.message())),
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    match arguments.to {
        Goal::Own(to) => run_own(arguments, to),
        Goal::Flink(form) => flink::run(arguments, form),
    }
}

fn run_own(arguments: &Arguments, to: Format) -> Result<Outcome, Failure> {
    let location = Location::find(&arguments.source)?;
    let new = NewSnapshot::find(&arguments.destination, &location)?;
    let options = options(arguments, to, &new.root);
    #[cfg(feature = "rocksdb")]
    let imported;
    let own;
    let source = match location.open_any(&arguments.access)? {
        Opened::Millpond(source) => {
            own = source.with_scratch(&options.scratch);
            &own
        }
        #[cfg(feature = "rocksdb")]
        Opened::Flink(source) => {
            imported = import::imported(&location, source, &options, arguments.flink.drop_in_flight)?;
            &imported.snapshot
        }
        #[cfg(not(feature = "rocksdb"))]
        // Says what it is.
        Opened::Flink(_) => {
            own = location.open()?;
            &own
        }
    };
    let destination = Destination { storage: new.storage, directory: new.directory, random: Arc::new(SystemRandom) };
    let progress = Progress::new(true);
    let converted = convert(source, &destination, &options, &mut |done| {
        show(&progress, done);
        ControlFlow::Continue(())
    });
    drop(progress);
    let report = converted.map_err(|error| {
        let file = error.place().file.as_deref().map(Path::new);
        let is_new = file.is_some_and(|file| file.starts_with(destination.directory.as_str()) && !location.has(file));
        Failure::reading(&error, if is_new { &new.root } else { &location.root })
    })?;
    let mut out = Output::new();
    match arguments.json {
        true => out.json(&report::Json::new(&report, &new.path))?,
        false => report::print(&report, &new.path, &mut out)?,
    }
    Ok(Outcome::Done)
}

fn options(arguments: &Arguments, to: Format, beside: &Path) -> Options {
    let now_ms = SystemClock.now_ms();
    let mut options = Options::new(to, arguments.scratch.as_deref().unwrap_or(beside));
    options.parallelism = arguments.parallelism;
    options.max_parallelism = arguments.max_parallelism;
    options.compression = arguments.compression;
    options.memory_bytes = arguments.memory;
    options.edits = Edits {
        rename_uids: arguments.rename_uid.clone(),
        drop_operators: arguments.drop_operator.clone(),
        drop_states: arguments.drop_state.clone(),
        set_ttl: arguments.set_ttl.iter().map(|name| (name.clone(), now_ms)).collect(),
        drop_ttl: arguments.drop_ttl.clone(),
    };
    options
}

/// Both phases go over the same bytes and share a bar.
fn show(progress: &Progress, Done { phase, done_bytes, total_bytes, .. }: Done) {
    let before = if phase == Phase::Verifying { total_bytes } else { 0 };
    progress.set(before.saturating_add(done_bytes), total_bytes.saturating_mul(2));
}

fn renaming(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.to_owned())),
        _ => Err("expected OLD=NEW".to_owned()),
    }
}

fn codec(name: &str) -> Result<Compression, String> {
    let all = [("none", Compression::None), ("lz4", Compression::Lz4), ("zstd", Compression::Zstd)];
    let found = all.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, codec)| codec).ok_or_else(|| "expected none, lz4 or zstd".to_owned())
}

/// A number of bytes, with K, M or G for binary multiples.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.strip_suffix(['K', 'M', 'G']) {
        None => (text, 0),
        Some(digits) if text.ends_with('K') => (digits, 10),
        Some(digits) if text.ends_with('M') => (digits, 20),
        Some(digits) => (digits, 30),
    };
    let number: usize = digits.parse().map_err(|_| "expected a number of bytes, for example 64M".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "more than fits into memory".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        assert_eq!(bytes("64M"), Ok(64 << 20));
        assert_eq!(bytes("100"), Ok(100));
        assert!(bytes("").is_err() && bytes("M").is_err() && bytes("1T").is_err() && bytes("99999999999G").is_err());
        assert_eq!(renaming("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(renaming("a").is_err() && renaming("=b").is_err() && renaming("a=").is_err());
        assert_eq!(codec("zstd"), Ok(Compression::Zstd));
        assert!(codec("gzip").is_err());
    }
}
