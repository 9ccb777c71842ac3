use std::io::{self, Write};

use super::super::output::Side::{Left, Right};
use super::super::output::{Bytes, Count, Output, Table, counted};
use super::report::{KeyGroups, Operator, Snapshot, State, Subtask};

/// Subtasks that are listed one by one; of more, only the extremes are.
const SUBTASKS_LISTED: usize = 32;

/// Key groups that are named because they are the fullest.
const FULLEST_LISTED: usize = 3;

pub(super) fn print(snapshot: &Snapshot, out: &mut Output) -> io::Result<()> {
    out.bold(&format!("{} {}", snapshot.kind, snapshot.path))?;
    let mut files = counted(snapshot.objects.count, "file", "files");
    if snapshot.objects.shared_count > 0 {
        let shared = Bytes(snapshot.objects.shared_bytes);
        files.push_str(&format!(", of which {shared} in {} shared", snapshot.objects.shared_count));
    }
    writeln!(out, "  job         {}", snapshot.job)?;
    writeln!(out, "  checkpoint  {}", snapshot.checkpoint)?;
    writeln!(out, "  created     {} by {}", snapshot.created, snapshot.writer)?;
    writeln!(out, "  size        {} in {files}", Bytes(snapshot.objects.bytes))?;
    if snapshot.operators.is_empty() {
        writeln!(out, "\nThe snapshot has no operators.")?;
    }
    for operator in &snapshot.operators {
        writeln!(out)?;
        print_operator(operator, out)?;
    }
    out.flush()
}

fn print_operator(operator: &Operator, out: &mut Output) -> io::Result<()> {
    match &operator.uid {
        Some(uid) => out.bold(&format!("operator {uid}"))?,
        None => out.bold(&format!("operator {} (no uid known)", operator.id))?,
    }
    writeln!(out, "  id           {}", operator.id)?;
    writeln!(out, "  parallelism  {} of at most {}", operator.parallelism, operator.max_parallelism)?;
    if let Some(key) = &operator.key_type {
        writeln!(out, "  key          {key}")?;
    }
    if !operator.states.is_empty() {
        writeln!(out)?;
        print_states(&operator.states, out)?;
    }
    writeln!(out)?;
    print_subtasks(&operator.subtasks, out)?;
    if let Some(groups) = &operator.key_groups {
        writeln!(out)?;
        print_key_groups(groups, out)?;
    }
    Ok(())
}

fn print_states(states: &[State], out: &mut Output) -> io::Result<()> {
    let columns = vec![("STATE", Left), ("KIND", Left), ("ENTRIES", Right), ("BYTES", Right), ("TYPE", Left)];
    let mut table = Table::new("  ", columns);
    for state in states {
        let unknown = || "?".to_owned();
        table.row(vec![
            state.name.clone(),
            state.kind.to_owned(),
            state.entries.map_or_else(unknown, |entries| Count(entries).to_string()),
            state.bytes.map_or_else(unknown, |bytes| Bytes(bytes).to_string()),
            type_text(state),
        ]);
    }
    table.print_head(out)?;
    table.print_rows(out)
}

/// The types of a state in one line: `string -> u64, per window, with ttl`.
fn type_text(state: &State) -> String {
    let mut parts = Vec::new();
    match (&state.user_key_type, &state.value_type) {
        (Some(key), Some(value)) => parts.push(format!("{key} -> {value}")),
        (None, Some(value)) => parts.push(value.clone()),
        _ => {}
    }
    if let Some(namespace) = &state.namespace_type {
        parts.push(format!("per {namespace}"));
    }
    if state.ttl {
        parts.push("with ttl".to_owned());
    }
    parts.join(", ")
}

fn print_subtasks(subtasks: &[Subtask], out: &mut Output) -> io::Result<()> {
    let has_operator_state = subtasks.iter().any(|subtask| subtask.operator_state_bytes > 0);
    let has_keyed_state = subtasks.iter().any(|subtask| subtask.format.is_some());
    let mut columns = vec![("SUBTASK", Right)];
    if has_keyed_state {
        columns.extend([("KEY GROUPS", Left), ("ENTRIES", Right), ("STORED", Right), ("FORMAT", Left)]);
    }
    if has_operator_state {
        columns.push(("OPERATOR STATE", Right));
    }
    columns.push(("", Left));
    let mut table = Table::new("  ", columns);
    for subtask in subtasks.iter().take(SUBTASKS_LISTED) {
        let mut row = vec![subtask.index.to_string()];
        if has_keyed_state {
            row.extend(keyed_cells(subtask));
        }
        if has_operator_state {
            row.push(Bytes(subtask.operator_state_bytes).to_string());
        }
        row.push(if subtask.finished { "finished".to_owned() } else { String::new() });
        table.row(row);
    }
    table.print_head(out)?;
    table.print_rows(out)?;
    if subtasks.len() > SUBTASKS_LISTED {
        writeln!(out, "  and {} more subtasks (--json has all)", subtasks.len() - SUBTASKS_LISTED)?;
    }
    Ok(())
}

fn keyed_cells(subtask: &Subtask) -> [String; 4] {
    let (Some(first), Some(last), Some(format)) = (subtask.first_key_group, subtask.last_key_group, subtask.format)
    else {
        return ["-", "0", "0 B", "-"].map(str::to_owned);
    };
    [
        format!("{first}-{last}"),
        subtask.keyed_entries.map_or_else(|| "?".to_owned(), |entries| Count(entries).to_string()),
        Bytes(subtask.keyed_bytes).to_string(),
        format.to_owned(),
    ]
}

fn print_key_groups(groups: &KeyGroups, out: &mut Output) -> io::Result<()> {
    let columns = vec![("KEY GROUPS", Left), ("MIN", Right), ("MEDIAN", Right), ("MAX", Right), ("", Left)];
    let mut table = Table::new("  ", columns);
    let entries = [groups.entries.min, groups.entries.median, groups.entries.max];
    let [min, median, max] = entries.map(|entries| Count(entries).to_string());
    table.row(vec!["entries".to_owned(), min, median, max, skew(groups.entries.median, groups.entries.max)]);
    let bytes = [groups.bytes.min, groups.bytes.median, groups.bytes.max];
    let [min, median, max] = bytes.map(|bytes| Bytes(bytes).to_string());
    table.row(vec!["stored".to_owned(), min, median, max, skew(groups.bytes.median, groups.bytes.max)]);
    table.print_head(out)?;
    table.print_rows(out)?;
    if groups.empty > 0 {
        writeln!(out, "  {} of {} key groups have no entries", Count(groups.empty), Count(groups.count))?;
    }
    let fullest: Vec<String> = groups
        .fullest
        .iter()
        .take(FULLEST_LISTED)
        .map(|group| {
            format!("{} ({} in {})", group.key_group, counted(group.entries, "entry", "entries"), Bytes(group.bytes))
        })
        .collect();
    if !fullest.is_empty() {
        writeln!(out, "  fullest: key group {}", fullest.join(", "))?;
    }
    Ok(())
}

/// How many times the median the largest one is.
fn skew(median: u64, max: u64) -> String {
    if median == 0 || max == 0 {
        return String::new();
    }
    format!("max is {:.1} x median", max as f64 / median as f64)
}
