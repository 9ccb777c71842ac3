//! `millpond inspect`: what a snapshot consists of.

mod flink;
mod print;
mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use millpond::format::FormatId;
use millpond::format::section::{Owner, SectionId, SectionReader};
use millpond::ids::SubtaskIndex;
use millpond::snapshot::{OperatorReader, SnapshotReader};

use super::Outcome;
use super::failure::Failure;
use super::open::{Access, Location, Opened};
use super::output::Output;
use super::progress::Progress;

const AFTER_HELP: &str = "\
Only the manifest is read, whatever the size of the state. It has the number of entries and bytes of every state, as \
the format counts them: in the native heap format the map of a key is one entry, in the canonical format each of its \
items is. Bytes of a state are those of its entries before compression; bytes of key groups, subtasks and files \
are as stored.

Of a snapshot of Apache Flink the metadata is read and the headers of its files, which say the types. It does not count, so \
that entries are shown as `?` without --count.

Where a snapshot was written without counting, entries and bytes are shown as `?`; --count reads all data and counts; of a \
RocksDB database only with --trusted.

Examples:
  millpond inspect /data/checkpoints/4a1f.../chk-12
  millpond inspect savepoint-3f21c0-8a5d1e90b7c4 --json | jq '.operators[].states[] | {name, bytes}'";

/// Show what a snapshot consists of: operators, states, types, sizes, skew.
///
/// For every operator its uid, parallelism, key type and states, each with kind, type, number of entries and bytes; how
/// they are divided among subtasks; and how unevenly among key groups.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Directory of the snapshot, or its _metadata file.
    path: PathBuf,
    /// Count entries and bytes by reading all data, instead of trusting the manifest.
    #[arg(long)]
    count: bool,
    #[command(flatten)]
    access: Access,
    /// Print one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

/// Entries and bytes by operator id and state.
type Counts = BTreeMap<(String, String), (u64, u64)>;

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let location = Location::find(&arguments.path)?;
    let snapshot = match location.open_any(&arguments.access)? {
        Opened::Millpond(snapshot) => snapshot,
        Opened::Flink(snapshot) => return flink::run(&location, &snapshot, arguments.count, arguments.json),
    };
    let counts = match arguments.count {
        true => Some(count(&snapshot).map_err(|error| location.failure(&error))?),
        false => None,
    };
    let report = report::Snapshot::new(&location, snapshot.manifest(), counts.as_ref());
    let mut out = Output::new();
    if arguments.json {
        out.json(&report)?;
    } else {
        print::print(&report, &mut out)?;
    }
    Ok(Outcome::Done)
}

/// Counts what all sections hold.
fn count(snapshot: &SnapshotReader) -> millpond::Result<Counts> {
    let progress = Progress::new(true);
    let total = snapshot.manifest().objects().map(|object| object.length).sum();
    let mut done = 0;
    let mut counts = Counts::new();
    for operator in snapshot.operators() {
        for section in operator.sections(operator.max_parallelism().all_groups()) {
            let section = section?;
            SectionReader::new(section.bytes.as_slice(), section.offset, section.id)
                .and_then(|reader| add(&operator, reader, &mut counts))
                .map_err(|error| error.in_file(&section.object).in_operator(operator.description().label()))?;
            done += section.bytes.as_slice().len() as u64;
            progress.set(done, total);
        }
        for (subtask, bytes, object) in operator.operator_state()? {
            let owner = Owner::Subtask(SubtaskIndex(subtask));
            let id = SectionId { format: FormatId::Operator, operator: operator.description().id, owner };
            SectionReader::new(bytes.as_slice(), 0, id)
                .and_then(|reader| add(&operator, reader, &mut counts))
                .map_err(|error| error.in_file(&object).in_operator(operator.description().label()))?;
        }
    }
    Ok(counts)
}

fn add(operator: &OperatorReader<'_>, reader: SectionReader<'_>, counts: &mut Counts) -> millpond::Result<()> {
    let id = operator.description().id.to_string();
    for block in reader {
        let block = block?;
        let count = counts.entry((id.clone(), block.state.to_owned())).or_default();
        count.0 += u64::from(block.entries);
        count.1 += block.payload.len() as u64;
    }
    Ok(())
}
