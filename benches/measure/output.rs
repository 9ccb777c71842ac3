//! Results: a table for people on standard output, JSON lines for programs in a file.

use std::fs::{File, OpenOptions};
use std::io::Write;

use serde_json::{Value, json};

use super::Options;
use super::timing::SideBySide;

/// Where results go.
pub(crate) struct Output {
    file: Option<File>,
    /// The backend that is measured.
    backend: &'static str,
}

/// What a line is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) operation: &'a str,
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
    pub(crate) n: usize,
}

impl Case<'_> {
    /// By which `--only` chooses.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}/{}", self.operation, self.key, self.value)
    }
}

impl Output {
    pub(crate) fn new(options: &Options) -> Output {
        let open = |path: &String| OpenOptions::new().create(true).append(true).open(path);
        let file = options.json.as_ref().map(|path| open(path).expect("the file for the results opens"));
        Output { file, backend: "heap" }
    }

    /// The same, with results of this backend.
    pub(crate) fn of_backend(self, backend: &'static str) -> Output {
        Output { backend, ..self }
    }

    pub(crate) fn heading(&self, title: &str) {
        println!("\n{title}");
    }

    /// The heading of a table of [`side_by_side`](Self::side_by_side) lines.
    pub(crate) fn side_by_side_heading(&self, title: &str) {
        self.heading(title);
        println!(
            "{:<20} {:<7} {:<9} {:>8} | {:>8} {:>8} | {:>8} {:>8} | {:>6} {:>6} | {:>7} | baseline",
            "operation", "key", "value", "n", "bare ns", "median", "ours ns", "median", "ratio", "median", "M/s"
        );
    }

    pub(crate) fn side_by_side(&mut self, case: Case<'_>, baseline: &str, sides: &SideBySide) {
        let Case { operation, key, value, n } = case;
        let (bare, ours) = (&sides.baseline_ns, &sides.millpond_ns);
        println!(
            "{operation:<20} {key:<7} {value:<9} {n:>8} | {:>8.1} {:>8.1} | {:>8.1} {:>8.1} | {:>6.2} {:>6.2} | {:>7.2} | {baseline}",
            bare.least(),
            bare.median(),
            ours.least(),
            ours.median(),
            sides.ratio_of_best(),
            sides.median_ratio(),
            1e3 / ours.median(),
        );
        self.json(
            case,
            json!({
                "baseline": baseline,
                "baseline_ns": bare.least(),
                "baseline_median_ns": bare.median(),
                "best_ns": ours.least(),
                "ns_per_op": ours.median(),
                "ops_per_s": (1e9 / ours.median()).round(),
                "ratio_of_best": sides.ratio_of_best(),
                "ratio_median": sides.median_ratio(),
            }),
        );
    }

    /// Appends a JSON line: the case, and the fields of `result`.
    pub(crate) fn json(&mut self, case: Case<'_>, result: Value) {
        let Some(file) = &mut self.file else { return };
        let mut line = json!({
            "engine": "millpond",
            "backend": self.backend,
            "op": case.operation,
            "key": case.key,
            "value": case.value,
            "n": case.n,
        });
        if let (Some(line), Value::Object(result)) = (line.as_object_mut(), result) {
            line.extend(result);
        }
        writeln!(file, "{line}").expect("the result is written");
    }
}
