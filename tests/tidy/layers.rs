//! What may import what, and what may be used in one place only: the tables of `ARCHITECTURE.md`.

use std::collections::BTreeMap;

use super::Breach;
use super::code::{bracketed, is_word, occurrences};
use super::markdown::{quoted, table};
use super::source::Source;

/// One module of the layer table.
struct Row {
    module: String,
    layer: u8,
    /// Modules that it may import.
    imports: Vec<String>,
}

/// The layer table.
pub(super) struct Table(Vec<Row>);

impl Table {
    /// Reads the table: layer, modules, and what they may import: `layers 0 to 2`, names, or both.
    pub(super) fn parse(architecture: &str) -> Table {
        let mut rows: Vec<Row> = Vec::new();
        for cells in table(architecture, "| layer | modules | may import |") {
            let layer = cells[0].parse().expect("the first column is the number of the layer");
            let words: Vec<&str> = cells[2].split_whitespace().collect();
            let upper = words.iter().position(|word| *word == "to").map(|at| words[at + 1].trim_end_matches(','));
            let upper = upper.map(|number| number.parse::<u8>().expect("layers A to B"));
            let lower = rows.iter().filter(|row| upper.is_some_and(|upper| row.layer <= upper));
            let mut imports: Vec<String> = lower.map(|row| row.module.clone()).collect();
            imports.extend(quoted(&cells[2]));
            let new = quoted(&cells[1]).into_iter().map(|module| Row { module, layer, imports: imports.clone() });
            rows.extend(new.collect::<Vec<_>>());
        }
        Table(rows)
    }

    /// What is wrong with the table itself: a module that is missing or not there, an import that does not go to a
    /// row above, so that there could be a cycle.
    pub(super) fn faults(&self, modules: &[String]) -> Vec<Breach> {
        let listed: Vec<&String> = self.0.iter().map(|row| &row.module).collect();
        let missing = modules.iter().filter(|module| !listed.contains(module));
        let missing = missing.map(|module| Breach::new(format!("src/{module} is not in the layer table")));
        let gone = listed.iter().filter(|module| !modules.contains(module));
        let gone = gone.map(|module| Breach::new(format!("{module} is in the layer table and not in src")));
        let mut faults: Vec<Breach> = missing.chain(gone).collect();
        for (at, row) in self.0.iter().enumerate() {
            let sideways = row.imports.iter().filter(|import| {
                !self.0.iter().take(at).any(|above| above.module == **import && above.layer <= row.layer)
            });
            let say =
                |import| Breach::new(format!("the layer table lets {} import {import}, not above it", row.module));
            faults.extend(sideways.map(say));
        }
        faults
    }

    fn may_import(&self, from: &str, to: &str) -> bool {
        from == to || self.0.iter().any(|row| row.module == from && row.imports.iter().any(|import| import == to))
    }
}

/// Names that the root of the library re-exports, with the module that they come from.
pub(super) fn exports(lib: &str) -> BTreeMap<String, String> {
    let uses = lib.lines().filter_map(|line| line.strip_prefix("pub use ")?.strip_suffix(';')?.split_once("::"));
    let names = uses.flat_map(|(module, names)| {
        let names = names.trim_matches(['{', '}']).split(',').map(|name| name.trim().to_owned());
        names.map(move |name| (name, module.to_owned()))
    });
    names.collect()
}

/// Imports that the table does not grant.
pub(super) fn breaches(file: &Source, table: &Table, exports: &BTreeMap<String, String>) -> Vec<Breach> {
    let steps = module_path(&file.path);
    let Some(own) = steps.first() else { return Vec::new() };
    let refused = references(file, steps.len()).into_iter().filter_map(|(line, name)| {
        let module = exports.get(&name).unwrap_or(&name);
        (!table.may_import(own, module))
            .then(|| Breach::at(&file.path, line, format!("`{own}` must not import `{module}`")))
    });
    refused.collect()
}

/// The path of a file as a module below the root of the crate.
fn module_path(path: &str) -> Vec<&str> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|part| !["lib", "main"].contains(part)).collect()
}

/// What the code names right below the root of the crate, by `crate::` or by enough `super::`, with lines.
fn references(file: &Source, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, after) in occurrences(&file.code, "crate") {
        let Some(after) = after.strip_prefix("::") else { continue };
        found.extend(first_names(after).into_iter().map(|name| (line, name)));
    }
    for (line, after) in occurrences(&file.code, "super") {
        let before = &file.code[..file.code.len() - after.len() - "super".len()];
        let Some(mut after) = after.strip_prefix("::").filter(|_| !before.ends_with("super::")) else { continue };
        let mut climbed = 1;
        while let Some(further) = after.strip_prefix("super::") {
            (climbed, after) = (climbed + 1, further);
        }
        let inline = usize::from(line > file.product_lines() && file.product_lines() > 0);
        if climbed >= depth + inline {
            found.extend(first_names(after).into_iter().map(|name| (line, name)));
        }
    }
    found
}

/// The first names of a path, or of every path of a group in braces.
fn first_names(path: &str) -> Vec<String> {
    if !path.starts_with('{') {
        let name: String = path.chars().take_while(|char| is_word(*char)).collect();
        return if name.is_empty() || name == "self" { Vec::new() } else { vec![name] };
    }
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 1);
    let group = &path[..bracketed(path)];
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (char == ',' && depth == 1) || depth == 0 {
            names.extend(first_names(group[start..at].trim()));
            start = at + 1;
        }
    }
    names
}

/// A rule of the table "Only here".
pub(super) struct OnePlace {
    words: Vec<String>,
    places: Vec<String>,
}

pub(super) fn one_place_rules(architecture: &str) -> Vec<OnePlace> {
    let rows = table(architecture, "| what | only in | because |");
    rows.iter().map(|cells| OnePlace { words: quoted(&cells[0]), places: quoted(&cells[1]) }).collect()
}

fn is_at(path: &str, places: &[String]) -> bool {
    places
        .iter()
        .any(|place| path.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || place.ends_with('/')))
}

/// Uses of what belongs elsewhere. Unit tests may use it.
pub(super) fn strays(file: &Source, rules: &[OnePlace]) -> Vec<Breach> {
    let elsewhere = rules.iter().filter(|rule| !is_at(&file.path, &rule.places));
    let found = elsewhere.flat_map(|rule| {
        let uses = rule.words.iter().flat_map(|word| occurrences(&file.code, word).map(move |(line, _)| (line, word)));
        uses.filter(|(line, _)| *line < file.product_lines())
            .map(|(line, word)| Breach::at(&file.path, line, format!("{word} is for {} only", rule.places.join(", "))))
    });
    found.collect()
}

/// Rules about what nobody uses, or about places that are gone.
pub(super) fn idle(sources: &[&Source], rules: &[OnePlace]) -> Vec<Breach> {
    let used = |word: &str, place: &str| {
        let mut there = sources.iter().filter(|file| is_at(&file.path, &[place.to_owned()]));
        there.any(|file| occurrences(&file.code, word).next().is_some())
    };
    let mut breaches = Vec::new();
    for rule in rules {
        let idle = rule.places.iter().filter(|place| !rule.words.iter().any(|word| used(word, place)));
        breaches.extend(idle.map(|place| {
            Breach::new(format!(
                "ARCHITECTURE.md keeps a place for {} in {place}, where it is not used",
                rule.words.join(", ")
            ))
        }));
    }
    breaches
}

#[cfg(test)]
const EXAMPLE: &str = "| layer | modules | may import |\n|---|---|---|\n| 0 | `error` | nothing of ours |\n\
    | 1 | `codec` | layers 0 to 0 |\n| 1 | `ids` | `error`, `codec` |\n| 3 | `state` `format` | layers 0 to 1 |\n";

#[test]
fn an_upward_import_is_found() {
    let table = Table::parse(EXAMPLE);
    let exports = exports("pub mod error;\n\npub use error::{Error, Result};\n");
    let count = |path, text| breaches(&Source::new(path, text), &table, &exports).len();
    assert_eq!(count("src/ids.rs", "use crate::codec::Reader;\nuse crate::Result;\nuse crate::ids::A;"), 0);
    assert_eq!(count("src/codec/mod.rs", "use crate::ids::JobId;"), 1);
    assert_eq!(count("src/codec/mod.rs", "fn a() -> crate::state::A { crate::format::b() }"), 2);
    assert_eq!(count("src/state/value.rs", "use crate::{codec::{Reader, Writer}, format::{A, B}, Result};"), 1);
    assert_eq!(count("src/state/value.rs", "//! [`crate::format`]\npub(crate) fn a() {}"), 0);
    assert_eq!(count("src/state/value.rs", "use super::Kind;\nuse super::super::ids;"), 0);
    assert_eq!(count("src/state/value.rs", "use super::Kind;\nuse super::super::{format, ids};"), 1);
    assert_eq!(count("src/state.rs", "#[cfg(test)]\nmod tests {\n    use super::format;\n}"), 0);
    assert_eq!(count("src/state.rs", "#[cfg(test)]\nmod tests {\n    use super::super::format;\n}"), 1);
}

#[test]
fn a_table_that_misses_a_module_or_goes_in_circles_is_found() {
    let modules = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let all = modules(&["error", "codec", "ids", "state", "format"]);
    assert_eq!(Table::parse(EXAMPLE).faults(&all), []);
    assert_eq!(Table::parse(EXAMPLE).faults(&all[1..]).len(), 1);
    assert_eq!(Table::parse(EXAMPLE).faults(&[all, modules(&["task"])].concat()).len(), 1);
    let circle = EXAMPLE.replace("layers 0 to 0", "`error`, `ids`");
    assert_eq!(Table::parse(&circle).faults(&modules(&["error", "codec", "ids", "state", "format"])).len(), 1);
}

#[test]
fn a_use_outside_its_place_is_found() {
    let rules = one_place_rules(
        "| what | only in | because |\n|---|---|---|\n| `std::fs` `File` | `src/storage/` | x |\n| `unsafe` | `src/a.rs` | y |\n",
    );
    let count = |path, text| strays(&Source::new(path, text), &rules).len();
    assert_eq!(count("src/storage/local/mod.rs", "use std::fs::File;"), 0);
    assert_eq!(count("src/format/mod.rs", "use std::fs::File; // unsafe"), 2);
    assert_eq!(count("src/format/mod.rs", "mod tests {\n    use std::fs::File;\n}"), 0);
    assert_eq!(count("src/a.rs", "unsafe {}"), 0);
    assert_eq!(count("src/a.rst.rs", "unsafe {}"), 1);
    let sources = [Source::new("src/storage/a.rs", "std::fs"), Source::new("src/a.rs", "")];
    let breaches = idle(&sources.each_ref(), &rules);
    assert_eq!(breaches.len(), 1, "nobody uses unsafe: {breaches:?}");
}
