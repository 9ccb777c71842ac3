//! How long files and functions get.

use std::fmt::Write;

use super::Breach;
use super::code::{bracketed, is_word, line_of, occurrences};
use super::source::Source;

const FILE_LINES: usize = 800;
const FILE_AIM_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;

/// Files that people write and that are not data.
const WRITTEN: [&str; 4] = [".rs", ".py", ".sh", "Makefile"];

pub(super) fn file(file: &Source) -> Option<Breach> {
    let lines = file.text.lines().count();
    let written = WRITTEN.iter().any(|end| file.path.ends_with(end));
    (written && lines > FILE_LINES)
        .then(|| Breach::at(&file.path, FILE_LINES, format!("the file has {lines} lines; part it by topic")))
}

/// The files above the length to aim at, the longest first.
pub(super) fn longest<'a>(files: impl Iterator<Item = &'a Source>) -> String {
    let mut lengths: Vec<(usize, &str)> = files.map(|file| (file.text.lines().count(), &*file.path)).collect();
    lengths.sort_by(|a, b| b.cmp(a));
    let mut out = format!("files above {FILE_AIM_LINES} lines:");
    for (lines, path) in lengths.into_iter().filter(|(lines, _)| *lines > FILE_AIM_LINES) {
        write!(out, "\n{lines:5} {path}").unwrap();
    }
    out
}

pub(super) fn functions(file: &Source) -> Vec<Breach> {
    let code = &file.code;
    let bodies = occurrences(code, "fn").filter_map(|(line, after)| {
        let name: String = after.trim_start().chars().take_while(|char| is_word(*char)).collect();
        let body = body(after)?;
        let end = line_of(code, code.len() - after.len() + body);
        let lines = end - line + 1;
        (!name.is_empty() && lines > FUNCTION_LINES)
            .then(|| Breach::at(&file.path, line, format!("{name} has {lines} lines; part it")))
    });
    bodies.collect()
}

/// Where the body of a function ends, counted from behind the `fn`; `None` for a function without a body.
fn body(after: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let next = after[at..].find(['(', '[', '{', ';'])?;
        at += next;
        match after[at..].chars().next()? {
            ';' => return None,
            '{' => return Some(at + bracketed(&after[at..]) - 1),
            _ => at += bracketed(&after[at..]),
        }
    }
}

#[test]
fn a_long_file_is_found() {
    assert_eq!(file(&Source::new("src/a.rs", &"\n".repeat(800))), None);
    assert!(file(&Source::new("src/a.rs", &"\n".repeat(801))).is_some());
    assert_eq!(file(&Source::new("formats/a.hex", &"\n".repeat(801))), None);
    let (long, short) = (Source::new("a.rs", &"\n".repeat(401)), Source::new("b.rs", ""));
    assert_eq!(longest([&short, &long].into_iter()), "files above 400 lines:\n  401 a.rs");
}

#[test]
fn a_long_function_is_found() {
    let function = |lines: usize| format!("trait T {{ fn f(a: [u8; 2]); }}\nfn g() {{{}}}\n", "\n".repeat(lines - 1));
    assert_eq!(functions(&Source::new("src/a.rs", &function(70))), []);
    let breaches = functions(&Source::new("src/a.rs", &function(71)));
    assert_eq!(breaches, [Breach::at("src/a.rs", 2, "g has 71 lines; part it")]);
}
