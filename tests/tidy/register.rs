//! What has to be in several places at once: formats, fuzz targets, scenarios.

use std::collections::{BTreeMap, BTreeSet};

use millpond::format::FormatId;

use super::Breach;
use super::code::{is_word, occurrences};
use super::markdown::{quoted, table};
use super::source::{Source, Tree};

/// The places that a format is missing from.
pub(super) fn places(format: FormatId, tree: &Tree) -> Vec<Breach> {
    let name = format.name();
    let module = name.replace('-', "_");
    let version = format.version();
    let is_tested = |file: &Source| occurrences(&file.code, &format!("FormatId::{format:?}")).next().is_some();
    let places = [
        (format!("src/format/{module}/mod.rs"), tree.has(&format!("src/format/{module}/mod.rs"))),
        (format!("formats/{name}/SPEC.md"), tree.has(&format!("formats/{name}/SPEC.md"))),
        (
            format!("a row `{name}` in formats/README.md that names SPEC, module and vectors"),
            is_registered(tree.text("formats/README.md"), name, &module, version),
        ),
        (
            format!("formats/{name}/vectors/v{version}/*.hex"),
            tree.paths_below(&format!("formats/{name}/vectors/v{version}/")).any(|path| path.ends_with(".hex")),
        ),
        (
            format!("formats/{name}/bad/v{version}/*.hex"),
            tree.paths_below(&format!("formats/{name}/bad/v{version}/")).any(|path| path.ends_with(".hex")),
        ),
        (format!("a test in tests/ that names FormatId::{format:?}"), tree.rust_below("tests/").any(is_tested)),
        (format!("fuzz/fuzz_targets/decode_{module}.rs"), tree.has(&format!("fuzz/fuzz_targets/decode_{module}.rs"))),
    ];
    let missing = places.into_iter().filter(|(_, is_there)| !is_there);
    missing.map(|(place, _)| Breach::new(format!("format {name} lacks {place}"))).collect()
}

fn is_registered(register: &str, name: &str, module: &str, version: u16) -> bool {
    table(register, "| tag | name |").iter().any(|cells| {
        cells[1] == format!("`{name}`")
            && cells[2] == version.to_string()
            && cells[4].contains(&format!("({name}/SPEC.md)"))
            && cells[5] == format!("`format::{module}`")
            && cells[6].contains(&format!("({name}/vectors/v{version})"))
            && cells[6].contains(&format!("({name}/bad/v{version})"))
    })
}

/// Directories of formats that have vectors and no tag.
pub(super) fn unregistered(tree: &Tree) -> Vec<Breach> {
    let known: Vec<&str> = FormatId::ALL.iter().map(|format| format.name()).collect();
    let hex = tree.paths_below("formats/").filter(|path| path.ends_with(".hex"));
    let names: BTreeSet<&str> = hex.filter_map(|path| path.split('/').nth(1)).collect();
    let unknown = names.into_iter().filter(|name| !known.contains(name));
    unknown.map(|name| Breach::new(format!("formats/{name} has vectors and is no FormatId"))).collect()
}

/// Fuzz bodies, targets, their entries in the manifest, and the list that ordinary tests replay.
pub(super) fn fuzz_targets(tree: &Tree) -> Vec<Breach> {
    let mut bodies: BTreeMap<String, &str> = BTreeMap::new();
    for file in tree.rust_below("src/").filter(|file| file.path.ends_with("fuzz.rs")) {
        for (_, after) in occurrences(&file.code, "pub fn") {
            let name: String = after.trim_start().chars().take_while(|char| is_word(*char)).collect();
            // Functions with further parameters are parts of others.
            if after.trim_start()[name.len()..].starts_with("(bytes: &[u8])") {
                bodies.insert(name, &file.path);
            }
        }
    }
    let (manifest, replayed) = (tree.text("fuzz/Cargo.toml"), tree.text("tests/fuzz/targets.rs"));
    let mut breaches = Vec::new();
    for file in tree.rust_below("fuzz/fuzz_targets/") {
        let target = file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        let called: Vec<&String> =
            bodies.keys().filter(|body| occurrences(&file.code, body).next().is_some()).collect();
        if called.is_empty() {
            breaches.push(Breach::new(format!("{} calls no body of src/**/fuzz.rs", file.path)));
        }
        if !manifest.contains(&format!("name = \"{target}\"")) {
            breaches.push(Breach::new(format!("{target} is not in fuzz/Cargo.toml")));
        }
        if !replayed.contains(&format!("\"{target}\"")) {
            breaches.push(Breach::new(format!("{target} is not in tests/fuzz/targets.rs")));
        }
    }
    let is_called =
        |body: &str| tree.rust_below("fuzz/fuzz_targets/").any(|file| occurrences(&file.code, body).next().is_some());
    let idle = bodies.iter().filter(|(body, _)| !is_called(body));
    breaches.extend(idle.map(|(body, path)| Breach::new(format!("{path}: no target in fuzz/ calls {body}"))));
    breaches
}

/// Ids of scenarios in a text: an S, a hyphen, two digits.
fn ids(text: &str) -> BTreeSet<String> {
    let id = |at: usize| {
        let id = text.get(at..at + 4)?;
        let is_id = id.bytes().skip(2).all(|byte| byte.is_ascii_digit());
        let apart = !text[..at].ends_with(is_word) && !text[at + 4..].starts_with(is_word);
        (is_id && apart).then(|| id.to_owned())
    };
    text.match_indices("S-").filter_map(|(at, _)| id(at)).collect()
}

/// The register of scenarios.
const SCENARIOS: &str = "tests/regressions/README.md";

/// Scenarios that are named by code or tests and not in the register; rows whose test is not there, or whose state says
/// something else than their tests.
pub(super) fn scenarios(tree: &Tree) -> Vec<Breach> {
    let rows = table(tree.text(SCENARIOS), "| id | bug | origin | test | state |");
    let listed: BTreeSet<&str> = rows.iter().map(|cells| cells[0].as_str()).collect();
    let mut breaches = Vec::new();
    let sources = tree.files().filter(|file| {
        (file.path.starts_with("tests/") || file.path.starts_with("src/")) && !file.path.starts_with("tests/tidy/")
    });
    for file in sources {
        let unlisted = ids(&file.text).into_iter().filter(|id| !listed.contains(id.as_str()));
        breaches.extend(unlisted.map(|id| Breach::new(format!("{}: {id} is not in {SCENARIOS}", file.path))));
    }
    let is_test =
        |name: &str| tree.rust_below("").any(|file| occurrences(&file.code, &format!("fn {name}")).next().is_some());
    for cells in &rows {
        let (id, tests) = (&cells[0], quoted(&cells[3]));
        if tests.is_empty() != cells[4].starts_with("open") {
            breaches.push(Breach::new(format!("{SCENARIOS}: {id} is open without a test, and only then")));
        }
        let gone = tests.into_iter().filter(|name| !is_test(name));
        breaches.extend(gone.map(|name| Breach::new(format!("{SCENARIOS}: {id} names {name}, which is not there"))));
    }
    breaches
}

#[test]
fn a_format_without_its_places_is_found() {
    let tree = Tree::read();
    assert_eq!(places(FormatId::Operator, tree), []);
    let register = "| tag | name |\n|---|---|\n| 4 | `operator` | 1 | x | [SPEC](operator/SPEC.md) | `format::operator` \
        | [good](operator/vectors/v1), [bad](operator/bad/v1) |\n";
    let files = [
        ("formats/README.md", register),
        ("src/format/operator/mod.rs", ""),
        ("formats/operator/SPEC.md", ""),
        ("formats/operator/vectors/v1/a.hex", ""),
        ("formats/operator/bad/v1/a.hex", ""),
        ("tests/a.rs", "FormatId::Operator"),
        ("fuzz/fuzz_targets/decode_operator.rs", ""),
    ];
    assert_eq!(places(FormatId::Operator, &Tree::of(&files)), []);
    for left_out in 1..files.len() {
        let mut fewer = files.to_vec();
        fewer.remove(left_out);
        assert_eq!(places(FormatId::Operator, &Tree::of(&fewer)).len(), 1, "{}", files[left_out].0);
    }
    let other = register.replace("bad/v1", "bad/v2");
    let fewer: Vec<_> = [("formats/README.md", &*other)].into_iter().chain(files.into_iter().skip(1)).collect();
    assert_eq!(places(FormatId::Operator, &Tree::of(&fewer)).len(), 1);
    assert_eq!(unregistered(&Tree::of(&files)), []);
    assert_eq!(unregistered(&Tree::of(&[("formats/new/vectors/v1/a.hex", "")])).len(), 1);
}

#[test]
fn a_fuzz_body_without_target_is_found() {
    let count = |body, target, manifest, list| {
        let files = [
            ("src/a/fuzz.rs", body),
            ("fuzz/fuzz_targets/decode_a.rs", target),
            ("fuzz/Cargo.toml", manifest),
            ("tests/fuzz/targets.rs", list),
        ];
        fuzz_targets(&Tree::of(&files)).len()
    };
    let (body, name) =
        ("pub fn fuzz_a(bytes: &[u8]) {}\npub fn fuzz_part(b: u8, bytes: &[u8]) {}", "name = \"decode_a\"");
    assert_eq!(count(body, "fuzz_a(bytes)", name, "(\"decode_a\", fuzz_a)"), 0);
    assert_eq!(count(body, "fuzz_a(bytes)", name, ""), 1);
    assert_eq!(count(body, "fuzz_a(bytes)", "", "(\"decode_a\", fuzz_a)"), 1);
    assert_eq!(count(body, "", name, "(\"decode_a\", fuzz_a)"), 2);
}

#[test]
fn a_scenario_without_row_or_test_is_found() {
    let count = |test: &str, row: &str| {
        let register = format!("| id | bug | origin | test | state |\n|---|---|---|---|---|\n{row}\n");
        scenarios(&Tree::of(&[("tests/a.rs", test), (SCENARIOS, &register)])).len()
    };
    let test = "/// S-01, not US-01 or S-1.\nfn late() {}";
    assert_eq!(count(test, "| S-01 | b | o | `late` | tested |"), 0);
    assert_eq!(count(test, "| S-01 | b | o | | open: later |"), 0);
    assert_eq!(count(test, "| S-01 | b | o | `late`, `gone` | tested |"), 1);
    assert_eq!(count(test, "| S-01 | b | o | | tested |"), 1);
    assert_eq!(count(test, "| S-01 | b | o | `late` | open |"), 1);
    assert_eq!(count(test, ""), 1);
}
