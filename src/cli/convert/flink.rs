//! `millpond convert --to flink`: savepoints of Apache Flink.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use millpond::clock::{Clock, SystemClock};
use millpond::flink::SnapshotReader;
use millpond::flink::export::{
    Edits, Form, KeyFilter, Options, Progress as Step, Report, StateName, Target, export, rewrite,
};
use millpond::format::flink::metadata::Version;
use millpond::format::flink::ttl::Stamp;
use millpond::key_group::MaxParallelism;
use millpond::random::SystemRandom;
use serde::Serialize;

use super::{Arguments, renaming};
use crate::cli::Outcome;
use crate::cli::failure::Failure;
use crate::cli::open::{Location, NewSnapshot, Opened, write_new};
use crate::cli::output::Output;
use crate::cli::progress::Progress;

/// What concerns only savepoints of Flink's.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of --to flink and flink-canonical")]
pub(super) struct FlinkArguments {
    /// Version of the metadata: 3 is read by every Flink from 1.18 to 2.3, 4 by 1.18 and later, 5 by 2.0 and later, 6 by 2.1
    /// and later.
    #[arg(long, value_name = "VERSION", default_value = "3", value_parser = version)]
    flink_version: Version,
    /// Give a state another name.
    #[arg(long, value_name = "[OPERATOR/]STATE=NEW", value_parser = renaming)]
    rename_state: Vec<(String, String)>,
    /// Keep only the entries of this key, as `show` prints it. Can be given several times.
    #[arg(long, value_name = "KEY", conflicts_with = "except_key")]
    only_key: Vec<String>,
    /// Leave out the entries of this key.
    #[arg(long, value_name = "KEY")]
    except_key: Vec<String>,
    /// Leave out the records in flight of an unaligned checkpoint.
    #[arg(long)]
    pub(super) drop_in_flight: bool,
    /// Compress files with Snappy.
    #[arg(long)]
    snappy: bool,
    /// Write structs or enums of this name as a Java class.
    #[arg(long, value_name = "NAME=CLASS", value_parser = renaming)]
    java_class: Vec<(String, String)>,
    /// Write operators and states of the same names with the types that this snapshot of Flink's has.
    #[arg(long, value_name = "SNAPSHOT")]
    like: Option<PathBuf>,
    /// With --to flink: name files below OLD by the URI NEW instead of copying them.
    #[arg(long, value_name = "OLD=NEW", value_parser = renaming)]
    move_files: Vec<(String, String)>,
    /// Write what became of every state to a file: JSON if it ends with .json, else text.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn version(text: &str) -> Result<Version, String> {
    let known = [Version::V3, Version::V4, Version::V5, Version::V6];
    let found = known.into_iter().find(|version| version.number().to_string() == text);
    found.ok_or_else(|| "expected 3, 4, 5 or 6".to_owned())
}

#[derive(Serialize)]
struct Json<'r> {
    path: String,
    to: &'static str,
    metadata_version: u32,
    #[serde(flatten)]
    report: &'r Report,
}

pub(super) fn run(arguments: &Arguments, form: Form) -> Result<Outcome, Failure> {
    let location = Location::find(&arguments.source)?;
    let new = NewSnapshot::find(&arguments.destination, &location)?;
    let scratch = arguments.scratch.clone().unwrap_or_else(|| new.root.clone());
    let source = match location.open_any(&arguments.access)? {
        Opened::Flink(source) => Opened::Flink(source.with_scratch(&scratch)),
        Opened::Millpond(source) => Opened::Millpond(source.with_scratch(&scratch)),
    };
    let like = arguments.flink.like.as_deref().map(|path| open_like(arguments, path)).transpose()?;
    let mut report = Report::default();
    let done = {
        let progress = Progress::new(true);
        let bar = Bar::new(&progress, &source, arguments.max_parallelism.is_some());
        let show = |step| bar.show(step);
        let mut options = options(arguments, form, like.as_ref(), &show)?;
        options.scratch = Some(scratch);
        let target = Target::new(new.storage.clone(), new.directory.clone(), Arc::new(SystemRandom));
        match &source {
            Opened::Flink(source) => rewrite(source, &target, &options, &mut report),
            Opened::Millpond(source) => export(source, &target, &options, &mut report),
        }
    };
    let json = Json {
        path: new.path.display().to_string(),
        to: if form == Form::AsIs { "flink" } else { "flink-canonical" },
        metadata_version: arguments.flink.flink_version.number(),
        report: &report,
    };
    if let Some(path) = &arguments.flink.report {
        write_report(path, &json, &report)?;
    }
    done.map_err(|error| Failure::reading(&error, &location.root))?;
    let mut out = Output::new();
    match arguments.json {
        true => out.json(&json)?,
        false => print(&new.path, &report, &mut out)?,
    }
    Ok(Outcome::Done)
}

fn open_like(arguments: &Arguments, path: &Path) -> Result<SnapshotReader, Failure> {
    Location::find(path)?.open_flink(&arguments.access)
}

/// Shows how far the work is.
struct Bar<'b> {
    progress: &'b Progress,
    /// About how many bytes are sorted and written.
    total_bytes: u64,
    done_bytes: Cell<u64>,
}

impl<'b> Bar<'b> {
    /// A bar for a source whose entries go through a sort where `sorts` is true.
    fn new(progress: &'b Progress, source: &Opened, sorts: bool) -> Self {
        let bytes: u64 = match source {
            Opened::Flink(source) => {
                let streams = source.operators().flat_map(|operator| operator.streams().collect::<Vec<_>>());
                streams.map(|stream| stream.handle.size()).sum()
            }
            Opened::Millpond(source) => source.manifest().objects().map(|object| object.length).sum(),
        };
        let total_bytes = if sorts { bytes.saturating_mul(2) } else { bytes };
        Bar { progress, total_bytes, done_bytes: Cell::new(0) }
    }

    /// Writing is one half, reading back the other.
    fn show(&self, step: Step) {
        let (half, whole) = (self.total_bytes, self.total_bytes.saturating_mul(2));
        match step {
            Step::Sorted(bytes) | Step::Written(bytes) => {
                self.done_bytes.set(self.done_bytes.get().saturating_add(bytes));
                self.progress.set(self.done_bytes.get().min(half), whole);
            }
            Step::Verified { done_bytes, total_bytes } => {
                self.progress.set(total_bytes.saturating_add(done_bytes), total_bytes.saturating_mul(2));
            }
        }
    }
}

fn options<'o>(
    arguments: &Arguments,
    form: Form,
    like: Option<&'o SnapshotReader>,
    progress: &'o dyn Fn(Step),
) -> Result<Options<'o>, Failure> {
    let Arguments {
        parallelism, max_parallelism, rename_uid, drop_state, drop_operator, set_ttl, drop_ttl, flink, ..
    } = arguments;
    let max_parallelism = max_parallelism.map(MaxParallelism::new).transpose();
    let now_ms = SystemClock.now_ms();
    let name = |name: &super::StateName| StateName { operator: Some(name.operator.clone()), state: name.state.clone() };
    let put = set_ttl.iter().map(|state| (name(state), Stamp::Put(now_ms)));
    let strip = drop_ttl.iter().map(|state| (name(state), Stamp::Strip));
    let keys = match (flink.only_key.is_empty(), flink.except_key.is_empty()) {
        (true, true) => KeyFilter::All,
        (false, _) => KeyFilter::Only(flink.only_key.iter().cloned().collect()),
        (true, false) => KeyFilter::Except(flink.except_key.iter().cloned().collect()),
    };
    let edits = Edits {
        parallelism: *parallelism,
        max_parallelism: max_parallelism.map_err(|error| Failure::misfit(&error))?,
        rename_operators: rename_uid.clone(),
        drop_operators: drop_operator.clone(),
        rename_states: flink.rename_state.iter().map(|(old, new)| (StateName::parse(old), new.clone())).collect(),
        drop_states: drop_state.iter().map(name).collect(),
        keys,
        stamps: put.chain(strip).collect(),
        drop_in_flight: flink.drop_in_flight,
    };
    let classes: BTreeMap<String, String> = flink.java_class.iter().cloned().collect();
    Ok(Options {
        version: flink.flink_version,
        form,
        compressed: flink.snappy,
        edits,
        moved: flink.move_files.clone(),
        classes,
        like,
        scratch: None,
        memory_bytes: arguments.memory,
        progress,
    })
}

fn write_report(path: &Path, json: &Json<'_>, report: &Report) -> Result<(), Failure> {
    let text = match path.extension().is_some_and(|extension| extension == "json") {
        true => serde_json::to_string_pretty(json).unwrap_or_default(),
        false => report.to_string(),
    };
    write_new(path, format!("{text}\n").as_bytes())
}

fn print(path: &Path, report: &Report, out: &mut Output) -> Result<(), Failure> {
    use std::io::Write as _;
    out.bold(&format!("{}: a savepoint of Apache Flink", path.display()))?;
    writeln!(out, "{report}")?;
    writeln!(out, "written and read back")?;
    Ok(out.flush()?)
}
