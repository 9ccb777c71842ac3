//! The source tree against its own rules: what may import what, how long things get, which words are banned, and that
//! nothing is registered in one place and forgotten in another.
//!
//! Rules that a reader needs as well are tables in `ARCHITECTURE.md` and in the registers, and are read from there. Every
//! check is a function from sources to breaches, and has a test beside it that feeds it something bad.

mod code;
mod layers;
mod lengths;
mod markdown;
mod register;
mod source;
mod words;

use source::Tree;

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
struct Breach(String);

impl Breach {
    fn at(path: &str, line: usize, what: impl std::fmt::Display) -> Self {
        Breach(format!("{path}:{line}: {what}"))
    }

    fn new(what: impl Into<String>) -> Self {
        Breach(what.into())
    }
}

/// Fails with all breaches, one a line, and the rule that they break.
fn assert_none(rule: &str, mut breaches: Vec<Breach>) {
    breaches.sort_by(|a, b| a.0.cmp(&b.0));
    let lines: Vec<String> = breaches.into_iter().map(|Breach(what)| what).collect();
    assert!(lines.is_empty(), "{rule}\n\n{}\n", lines.join("\n"));
}

#[test]
fn imports_go_downwards() {
    let tree = Tree::read();
    let table = layers::Table::parse(tree.text("ARCHITECTURE.md"));
    let exports = layers::exports(tree.text("src/lib.rs"));
    let mut breaches = table.faults(&tree.top_level_modules());
    breaches.extend(tree.rust_below("src/").flat_map(|file| layers::breaches(file, &table, &exports)));
    assert_none("A module imports only what the layer table of ARCHITECTURE.md grants it.", breaches);
}

#[test]
fn what_has_one_place_stays_there() {
    let tree = Tree::read();
    let rules = layers::one_place_rules(tree.text("ARCHITECTURE.md"));
    let sources: Vec<_> = tree.rust_below("src/").collect();
    let mut breaches: Vec<_> = sources.iter().flat_map(|file| layers::strays(file, &rules)).collect();
    breaches.extend(layers::idle(&sources, &rules));
    assert_none("The table \"Only here\" of ARCHITECTURE.md names the only files that may use these.", breaches);
}

#[test]
fn files_and_functions_are_short() {
    let tree = Tree::read();
    println!("{}", lengths::longest(tree.rust_below("")));
    let breaches = tree.files().flat_map(lengths::file).chain(tree.rust_below("").flat_map(lengths::functions));
    assert_none("A file has at most 800 lines (aim at 400), a function at most 70.", breaches.collect());
}

#[test]
fn names_say_something() {
    let tree = Tree::read();
    let breaches = tree.rust_below("").flat_map(|file| {
        let mut breaches = words::module_names(&file.path);
        breaches.extend(words::type_names(file));
        breaches
    });
    assert_none(
        "A module or type is named after what it is; see the house rules in ARCHITECTURE.md.",
        breaches.collect(),
    );
}

#[test]
fn nothing_forbidden_is_written() {
    let tree = Tree::read();
    assert_none("These do not belong into the tree.", tree.files().flat_map(words::forbidden).collect());
}

#[test]
fn every_matches_is_asserted() {
    let tree = Tree::read();
    let breaches = tree.rust_below("").flat_map(words::bare_matches);
    assert_none("`matches!(..);` on its own checks nothing: wrap it in `assert!`.", breaches.collect());
}

#[test]
fn lints_are_silenced_with_a_reason() {
    let tree = Tree::read();
    let breaches = tree.rust_below("").flat_map(words::attributes);
    assert_none("An exception from a lint gives its reason, and dead code is deleted.", breaches.collect());
}

#[test]
fn every_format_has_its_four_places() {
    let tree = Tree::read();
    let breaches = millpond::format::FormatId::ALL.into_iter().flat_map(|format| register::places(format, tree));
    let unknown = register::unregistered(tree);
    assert_none(
        "A format has code, a specification with vectors, tests and a fuzz target.",
        breaches.chain(unknown).collect(),
    );
}

#[test]
fn every_fuzz_body_has_a_target() {
    let breaches = register::fuzz_targets(Tree::read());
    assert_none("Bodies in src/**/fuzz.rs, fuzz/fuzz_targets and tests/fuzz name the same targets.", breaches);
}

#[test]
fn every_scenario_is_registered() {
    let breaches = register::scenarios(Tree::read());
    assert_none(
        "tests/regressions/README.md lists every scenario that code or tests name, with the tests there are.",
        breaches,
    );
}
