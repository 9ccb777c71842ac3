//! How numbers, times and tables are shown.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use millpond::serializer::Value;

/// Widest column that later columns are aligned after.
const MAX_ALIGNED_WIDTH: usize = 48;

/// A number of bytes in binary units.
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0 as f64;
        let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
        let mut unit = units.next().unwrap_or_default();
        for larger in units {
            if rest < 1024.0 {
                break;
            }
            rest /= 1024.0;
            unit = larger;
        }
        let digits = usize::from(unit != "B" && rest < 99.95);
        f.pad(&format!("{rest:.digits$} {unit}"))
    }
}

/// A number with a comma between thousands.
pub(super) struct Count(pub(super) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// A number and what it counts, in singular or plural.
pub(super) fn counted(count: u64, singular: &str, plural: &str) -> String {
    format!("{} {}", Count(count), if count == 1 { singular } else { plural })
}

/// A moment in milliseconds since the Unix epoch, in UTC.
pub(super) struct Moment(pub(super) i64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil(days);
        let (hours, minutes, seconds, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}");
        if ms != 0 {
            text.push_str(&format!(".{ms:03}"));
        }
        text.push('Z');
        f.pad(&text)
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last one; 400 of them have 146,097 days.
pub(super) fn civil(days: i64) -> (i64, i64, i64) {
    let from_march_0000 = days + 719_468;
    let (era, day_of_era) = (from_march_0000.div_euclid(146_097), from_march_0000.rem_euclid(146_097));
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// A value for people: as it prints itself, but windows with their moments.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::Window(window) => format!("[{}, {})", Moment(window.start_ms), Moment(window.end_ms)),
        other => other.to_string(),
    }
}

/// A sentence of ours on one line, with names in it that may be anything: what would move the cursor or change its colour is escaped.
pub(super) fn sentence(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_debug()),
            c => line.push(c),
        }
    }
    line
}

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Rows that are aligned.
pub(super) struct Table {
    columns: Vec<(&'static str, Side)>,
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
    indent: &'static str,
}

impl Table {
    /// A table with these columns and no rows.
    pub(super) fn new(indent: &'static str, columns: Vec<(&'static str, Side)>) -> Self {
        let widths = columns.iter().map(|(name, _)| name.len()).collect();
        Table { columns, widths, rows: Vec::new(), indent }
    }

    /// Adds a row, which has a cell for each column.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.chars().count().min(MAX_ALIGNED_WIDTH));
        }
        self.rows.push(cells);
    }

    /// Number of rows that are not printed yet.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Prints the names of the columns.
    pub(super) fn print_head(&self, out: &mut Output) -> io::Result<()> {
        let names: Vec<String> = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let line = self.line(&names);
        out.dim(&line)
    }

    /// Prints the rows and forgets them; the widths stay.
    pub(super) fn print_rows(&mut self, out: &mut Output) -> io::Result<()> {
        for row in std::mem::take(&mut self.rows) {
            writeln!(out, "{}", self.line(&row))?;
        }
        Ok(())
    }

    fn line(&self, cells: &[String]) -> String {
        let mut line = self.indent.to_owned();
        for ((cell, (_, side)), width) in cells.iter().zip(&self.columns).zip(&self.widths) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            match side {
                Side::Left => line.extend([cell.as_str(), padding.as_str()]),
                Side::Right => line.extend([padding.as_str(), cell.as_str()]),
            }
            line.push_str("  ");
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Standard output, buffered; emphasis only on a terminal that wants it.
pub(super) struct Output {
    out: io::BufWriter<io::StdoutLock<'static>>,
    is_styled: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        let stdout = io::stdout();
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_styled = stdout.is_terminal() && !is_set("NO_COLOR") && !is_dumb;
        Output { out: io::BufWriter::with_capacity(64 << 10, stdout.lock()), is_styled }
    }

    /// A line in bold.
    pub(super) fn bold(&mut self, line: &str) -> io::Result<()> {
        self.styled("1", line)
    }

    /// A line that steps back.
    pub(super) fn dim(&mut self, line: &str) -> io::Result<()> {
        self.styled("2", line)
    }

    fn styled(&mut self, code: &str, line: &str) -> io::Result<()> {
        if self.is_styled { writeln!(self.out, "\x1b[{code}m{line}\x1b[0m") } else { writeln!(self.out, "{line}") }
    }

    /// A value as JSON, on several lines.
    pub(super) fn json(&mut self, value: &impl serde::Serialize) -> Result<(), super::failure::Failure> {
        serde_json::to_writer_pretty(&mut self.out, value)?;
        writeln!(self.out)?;
        Ok(self.out.flush()?)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        let shown =
            [0, 1, 1023, 1024, 1536, 102_399, 104_858, 1 << 20, 5 << 30, u64::MAX].map(|n| Bytes(n).to_string());
        let expected =
            ["0 B", "1 B", "1023 B", "1.0 KiB", "1.5 KiB", "100 KiB", "102 KiB", "1.0 MiB", "5.0 GiB", "16.0 EiB"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn sentences_cannot_take_over_a_terminal() {
        assert_eq!(sentence("the operator's \u{1b}[2J\r state\nis gone"), "the operator's \\u{1b}[2J\\r state is gone");
    }

    #[test]
    fn thousands_are_parted() {
        let shown = [0, 12, 999, 1000, 1_234_567, u64::MAX].map(|n| Count(n).to_string());
        assert_eq!(shown, ["0", "12", "999", "1,000", "1,234,567", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn moments_are_dates() {
        let shown = [0, 1_357_034_400_000, -1, 951_782_400_123, 4_102_444_799_000].map(|ms| Moment(ms).to_string());
        let expected = [
            "1970-01-01T00:00:00Z",
            "2013-01-01T10:00:00Z",
            "1969-12-31T23:59:59.999Z",
            "2000-02-29T00:00:00.123Z",
            "2099-12-31T23:59:59Z",
        ];
        assert_eq!(shown, expected);
        assert!(!Moment(i64::MIN).to_string().is_empty() && !Moment(i64::MAX).to_string().is_empty());
    }
}
