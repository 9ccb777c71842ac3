//! Tables in Markdown.

/// Cells of the rows below the table head that begins with `head`. Fails if there is no such table.
pub(super) fn table(text: &str, head: &str) -> Vec<Vec<String>> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(head));
    assert!(lines.next().is_some(), "there is no table that begins with {head:?}");
    lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect()
}

fn cells(line: &str) -> Vec<String> {
    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The parts of a cell between backticks.
pub(super) fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn a_table_is_read() {
    let text = "x\n| a | b |\n|---|---|\n| `c` `d` | e |\n| f | g |\n\n| h | i |\n";
    let rows = table(text, "| a | b |");
    assert_eq!(rows, [["`c` `d`", "e"], ["f", "g"]]);
    assert_eq!(quoted(&rows[0][0]), ["c", "d"]);
}
