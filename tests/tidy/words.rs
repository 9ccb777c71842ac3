//! Names and strings that are banned, and attributes that need a reason.

use super::Breach;
use super::code::{bracketed, is_word, line_of, occurrences};
use super::source::Source;

const BANNED_MODULES: [&str; 9] = ["util", "utils", "common", "helper", "helpers", "types", "manager", "misc", "impls"];

const BANNED_PREFIXES: [&str; 3] = ["Base", "Abstract", "Default"];

const BANNED_SUFFIXES: [&str; 2] = ["Impl", "Manager"];

/// Absolute paths of machines, hosts of package registries, and what stands for code that is not there. Cut in two, so
/// that this file does not contain them.
const FORBIDDEN: [(&str, &str); 14] = [
    ("/ro", "ot/"),
    ("/wo", "rk/"),
    ("/ho", "me/"),
    ("crates", ".io"),
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
    ("npmjs", ".org"),
    ("repo.maven", ".apache"),
    ("proxy.golang", ".org"),
    ("todo", "!("),
    ("unimplemented", "!("),
    ("dbg", "!("),
    ("TO", "DO"),
    ("FIX", "ME"),
];

/// Written by cargo, which names the registry.
const LOCK_FILES: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];

pub(super) fn module_names(path: &str) -> Vec<Breach> {
    let parts = path.trim_end_matches(".rs").split('/');
    let banned = parts.filter(|part| BANNED_MODULES.contains(part));
    banned.map(|name| Breach::at(path, 1, format!("a module named {name:?} could hold anything"))).collect()
}

pub(super) fn type_names(file: &Source) -> Vec<Breach> {
    let kinds = ["struct", "enum", "trait", "type"];
    let names = kinds
        .iter()
        .flat_map(|kind| occurrences(&file.code, kind))
        .map(|(line, after)| (line, after.trim_start().split(|char| !is_word(char)).next().unwrap_or_default()));
    let banned = names.filter(|(_, name)| {
        let longer = |part: &&&str| name.len() > part.len();
        BANNED_PREFIXES.iter().filter(longer).any(|part| name.starts_with(part))
            || BANNED_SUFFIXES.iter().filter(longer).any(|part| name.ends_with(part))
    });
    banned.map(|(line, name)| Breach::at(&file.path, line, format!("{name} is named after a pattern"))).collect()
}

pub(super) fn forbidden(file: &Source) -> Vec<Breach> {
    if LOCK_FILES.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let words = FORBIDDEN.iter().map(|(head, tail)| format!("{head}{tail}"));
    let found = words.flat_map(|word| {
        let lines: Vec<usize> = file.text.match_indices(&word).map(|(at, _)| line_of(&file.text, at)).collect();
        lines.into_iter().map(move |line| Breach::at(&file.path, line, format!("{word:?} is written here")))
    });
    found.collect()
}

/// `matches!(..);` as a statement.
pub(super) fn bare_matches(file: &Source) -> Vec<Breach> {
    let code = &file.code;
    let found = occurrences(code, "matches!").filter(|(_, after)| {
        let before = code[..code.len() - after.len() - "matches!".len()].trim_end();
        let behind = after[bracketed(after)..].trim_start();
        before.ends_with([';', '{', '}']) && behind.starts_with(';')
    });
    found.map(|(line, _)| Breach::at(&file.path, line, "the result of matches! is thrown away")).collect()
}

/// Lints silenced without a reason, and dead code. A module that several benchmarks include may hold what one of them
/// does not use.
pub(super) fn attributes(file: &Source) -> Vec<Breach> {
    let silenced = ["allow", "expect"].into_iter().flat_map(|word| {
        occurrences(&file.code, word).filter_map(move |(line, after)| {
            let before = file.code[..file.code.len() - after.len() - word.len()].trim_end();
            let is_attribute = before.ends_with("#[") || before.ends_with("#![");
            (is_attribute && after.starts_with('(')).then(|| (line, word, &after[..bracketed(after)]))
        })
    });
    let faults = silenced.filter_map(|(line, word, lints)| {
        let is_shared = file.path.starts_with("benches/");
        let fault = if word == "allow" && !is_shared && occurrences(lints, "dead_code").next().is_some() {
            "dead code is allowed here: delete it, or `expect` it where a test needs it"
        } else if occurrences(lints, "reason").next().is_none() {
            "a lint is silenced without a reason"
        } else {
            return None;
        };
        Some(Breach::at(&file.path, line, fault))
    });
    faults.collect()
}

#[test]
fn a_name_that_says_nothing_is_found() {
    assert_eq!(module_names("src/storage/path.rs"), []);
    for path in ["src/util.rs", "src/format/common/mod.rs", "tests/helpers.rs", "src/types.rs"] {
        assert_eq!(module_names(path).len(), 1, "{path}");
    }
    let names = |text| type_names(&Source::new("src/a.rs", text)).len();
    assert_eq!(names("struct Table; trait Storage {} enum Implicit {} type Default = u8; // struct TableImpl"), 0);
    assert_eq!(names("struct TableImpl; trait AbstractStorage {}\nstruct DefaultClock; enum BaseKind {}"), 4);
}

#[test]
fn a_forbidden_string_is_found() {
    let count = |path, text: &str| forbidden(&Source::new(path, text)).len();
    for (head, tail) in FORBIDDEN {
        assert_eq!(count("README.md", &format!("see {head}{tail} there")), 1);
        assert_eq!(count("Cargo.lock", &format!("see {head}{tail} there")), 0);
    }
    assert_eq!(count("README.md", "what is left to do"), 0);
}

#[test]
fn a_bare_matches_is_found() {
    let count = |text| bare_matches(&Source::new("src/a.rs", text)).len();
    assert_eq!(count("fn t() { assert!(matches!(a, B)); let c = matches!(a, B); }"), 0);
    assert_eq!(count("fn t() -> bool { matches!(a, B(c) if c > 1) }"), 0);
    assert_eq!(count("fn t() {\n    matches!(a, B);\n    x();\n    matches!(\n        a, B(_)\n    );\n}"), 2);
}

#[test]
fn a_silenced_lint_without_reason_is_found() {
    let shared = "#![allow(dead_code, reason = \"each benchmark uses a part\")]";
    assert_eq!(attributes(&Source::new("benches/measure/mod.rs", shared)), []);
    let count = |text| attributes(&Source::new("src/a.rs", text)).len();
    assert_eq!(count("#[expect(clippy::panic, reason = \"it is a test\")] fn expect() { a.expect(\"\"); }"), 0);
    assert_eq!(count("#[allow(clippy::panic)] fn a() {}"), 1);
    assert_eq!(count("#![expect(unused)]"), 1);
    assert_eq!(count("#[allow(dead_code, reason = \"soon\")] fn a() {}"), 1);
}
