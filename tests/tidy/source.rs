//! The files of the source tree.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use super::code::blanked;

/// What is built, fetched, or made by another program.
const SKIPPED_DIRECTORIES: [&str; 8] = [
    ".git",
    "target",
    "__pycache__",
    "fuzz/artifacts",
    "fuzz/corpus",
    "fuzz/coverage",
    "fuzz/regressions",
    "tests/fixtures",
];

/// A text file.
pub(super) struct Source {
    /// Path from the root of the tree, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// For Rust: the text with comments and the contents of literals blanked out, same length and lines.
    pub(super) code: String,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") { blanked(text) } else { String::new() };
        Source { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// Lines of code with their numbers.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Where the unit tests at the end of the file begin; the whole file if it has none.
    pub(super) fn product_lines(&self) -> usize {
        if self.path.ends_with("/tests.rs") || self.path.contains("/tests/") {
            return 0;
        }
        let tests = |line: &str| line.trim_start().starts_with("mod tests {");
        self.lines().find(|(_, line)| tests(line)).map_or(usize::MAX, |(number, _)| number)
    }
}

/// Every text file of the tree.
pub(super) struct Tree(BTreeMap<String, Source>);

impl Tree {
    /// This tree, read once.
    pub(super) fn read() -> &'static Tree {
        static TREE: LazyLock<Tree> = LazyLock::new(Tree::read_files);
        &TREE
    }

    fn read_files() -> Tree {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = BTreeMap::new();
        collect(root, "", &mut files);
        Tree(files)
    }

    pub(super) fn of(files: &[(&str, &str)]) -> Tree {
        Tree(files.iter().map(|(path, text)| ((*path).to_owned(), Source::new(path, text))).collect())
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &Source> {
        self.0.values()
    }

    pub(super) fn rust_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Source> {
        self.files().filter(move |file| file.path.starts_with(prefix) && file.path.ends_with(".rs"))
    }

    pub(super) fn paths_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.keys().map(String::as_str).filter(move |path| path.starts_with(prefix))
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    pub(super) fn text(&self, path: &str) -> &str {
        &self.0.get(path).unwrap_or_else(|| panic!("{path} is missing")).text
    }

    /// Names of the modules right below `src`, without the roots of the crates.
    pub(super) fn top_level_modules(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .rust_below("src/")
            .filter_map(|file| file.path.strip_prefix("src/")?.split('/').next())
            .map(|name| name.trim_end_matches(".rs").to_owned())
            .filter(|name| name != "lib" && name != "main")
            .collect();
        names.dedup();
        names
    }
}

fn collect(directory: &Path, below: &str, files: &mut BTreeMap<String, Source>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().expect("names are UTF-8");
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        if SKIPPED_DIRECTORIES.contains(&path.as_str()) || SKIPPED_DIRECTORIES.contains(&name.as_str()) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &path, files);
        } else if let Ok(text) = std::fs::read_to_string(entry.path()) {
            files.insert(path.clone(), Source::new(&path, &text));
        }
    }
}

#[test]
fn the_tree_is_this_one() {
    let tree = Tree::read();
    assert!(tree.has("src/lib.rs") && tree.has("Cargo.toml") && tree.has(".gitignore"));
    assert!(tree.top_level_modules().contains(&"error".to_owned()));
    assert_eq!(tree.paths_below("tests/fixtures").count(), 0);
}

#[test]
fn unit_tests_are_told_from_the_product() {
    assert_eq!(Source::new("src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n}\n").product_lines(), 3);
    assert_eq!(Source::new("src/a/tests.rs", "fn a() {}\n").product_lines(), 0);
    assert_eq!(Source::new("src/a.rs", "fn a() {}\n").product_lines(), usize::MAX);
}
