//! What a conversion did, for people and as JSON.

use std::io::{self, Write};
use std::path::Path;

use millpond::convert::{OperatorReport, Report, StateReport, TtlEdit};
use serde::Serialize;

use crate::cli::output::{Bytes, Count, Output, Side, Table, counted};

#[derive(Serialize)]
pub(super) struct Json {
    path: String,
    to: &'static str,
    operators: Vec<Operator>,
    dropped_operators: Vec<String>,
    objects: u64,
    bytes: u64,
    spilled_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyed_digest: Option<String>,
}

#[derive(Serialize)]
struct Operator {
    operator: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    renamed_to: Option<String>,
    parallelism: Change,
    max_parallelism: Change,
    states: Vec<State>,
    dropped_states: Vec<String>,
}

#[derive(Serialize)]
struct Change {
    before: u32,
    after: u32,
}

#[derive(Serialize)]
struct State {
    state: String,
    kind: &'static str,
    entries: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_to_live: Option<&'static str>,
}

impl Json {
    pub(super) fn new(report: &Report, path: &Path) -> Self {
        Json {
            path: path.display().to_string(),
            to: report.to.name(),
            operators: report.operators.iter().map(Operator::new).collect(),
            dropped_operators: report.dropped_operators.clone(),
            objects: report.objects,
            bytes: report.bytes,
            spilled_bytes: report.spilled_bytes,
            keyed_digest: report.keyed_digest.map(|digest| digest.to_string()),
        }
    }
}

impl Operator {
    fn new(report: &OperatorReport) -> Self {
        let change = |(before, after)| Change { before, after };
        Operator {
            operator: report.operator.clone(),
            renamed_to: report.renamed_to.clone(),
            parallelism: change(report.parallelism),
            max_parallelism: change(report.max_parallelism),
            states: report.states.iter().map(State::new).collect(),
            dropped_states: report.dropped_states.clone(),
        }
    }
}

impl State {
    fn new(report: &StateReport) -> Self {
        State {
            state: report.state.clone(),
            kind: report.kind.name(),
            entries: report.entries,
            bytes: report.bytes,
            time_to_live: report.ttl.map(edit_name),
        }
    }
}

fn edit_name(edit: TtlEdit) -> &'static str {
    match edit {
        TtlEdit::Set => "set",
        TtlEdit::Dropped => "dropped",
    }
}

pub(super) fn print(report: &Report, path: &Path, out: &mut Output) -> io::Result<()> {
    out.bold(&format!("{}: {}", path.display(), report.to))?;
    for operator in &report.operators {
        print_operator(operator, out)?;
    }
    for dropped in &report.dropped_operators {
        writeln!(out, "operator {dropped}: dropped")?;
    }
    let objects = counted(report.objects, "file", "files");
    writeln!(out, "written, read back and compared: {objects}, {}", Bytes(report.bytes))?;
    out.flush()
}

fn print_operator(operator: &OperatorReport, out: &mut Output) -> io::Result<()> {
    let renamed = operator.renamed_to.as_ref().map(|uid| format!(", renamed to {uid}")).unwrap_or_default();
    let change = |(before, after): (u32, u32)| match before == after {
        true => after.to_string(),
        false => format!("{before} -> {after}"),
    };
    let (parallelism, max) = (change(operator.parallelism), change(operator.max_parallelism));
    writeln!(out, "operator {}{renamed}: parallelism {parallelism}, max parallelism {max}", operator.operator)?;
    let columns = vec![
        ("state", Side::Left),
        ("kind", Side::Left),
        ("entries", Side::Right),
        ("bytes", Side::Right),
        ("", Side::Left),
    ];
    let mut table = Table::new("  ", columns);
    for state in &operator.states {
        let edit = state.ttl.map(|edit| format!("time to live {}", edit_name(edit))).unwrap_or_default();
        let (entries, bytes) = (Count(state.entries).to_string(), Bytes(state.bytes).to_string());
        table.row(vec![state.state.clone(), state.kind.name().to_owned(), entries, bytes, edit]);
    }
    for dropped in &operator.dropped_states {
        table.row(vec![dropped.clone(), String::new(), String::new(), String::new(), "dropped".to_owned()]);
    }
    if table.len() > 0 {
        table.print_head(out)?;
    }
    table.print_rows(out)
}
