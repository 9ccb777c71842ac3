//! Names of objects: parsed once, safe to join to any root ever after.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Longest segment in bytes; the limit of common file systems.
pub const MAX_SEGMENT_BYTES: usize = 255;

/// Longest path in bytes, separators included; the limit of common object stores.
pub const MAX_PATH_BYTES: usize = 1024;

/// Name of an object, or of a group of objects, below the root of a [`Storage`](super::Storage): `/`-separated segments.
///
/// A value of this type means the same on every platform and cannot leave the root:
///
/// - at least one segment, none empty, so no leading, trailing or double `/`;
/// - only ASCII letters, digits and `-_.=+`, so no `\`, `:`, `%`, `#`, space, control or non-ASCII character;
/// - no segment begins with `.` (which excludes `.` and `..`, and keeps temporary files apart from objects) or with `-`
///   (which programs take for an option);
/// - no segment ends with `.` or is a device name of Windows (`nul`, `con.txt`, `COM1`);
/// - at most 255 bytes a segment and 1,024 in total.
///
/// Order is the byte order of the text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectPath(String);

impl ObjectPath {
    /// Checks a path. [`InvalidInput`](crate::ErrorKind::InvalidInput) says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self> {
        match fault(text) {
            None => Ok(ObjectPath(text.to_owned())),
            Some(fault) => Err(Error::invalid_input(format!("{text:?} is not an object path: {fault}"))),
        }
    }

    /// A path put together by [`layout`](super::layout) from parts that obey the rules.
    pub(super) fn of_layout(text: String) -> Self {
        debug_assert_eq!(fault(&text), None, "{text:?}");
        ObjectPath(text)
    }

    /// This path, `/`, and `rest`: one segment or several.
    pub fn join(&self, rest: &str) -> Result<Self> {
        ObjectPath::parse(rest)?;
        ObjectPath::parse(&format!("{}/{rest}", self.0))
    }

    /// Everything before the last segment, or `None` if there is only one.
    pub fn parent(&self) -> Option<ObjectPath> {
        self.0.rsplit_once('/').map(|(parent, _)| ObjectPath(parent.to_owned()))
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// The segments, from the root down.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether this path begins with `prefix` followed by `/`.
    pub fn is_below(&self, prefix: &ObjectPath) -> bool {
        self.0.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The rule that `text` breaks, if it breaks one.
fn fault(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("it is empty".to_owned());
    }
    if text.len() > MAX_PATH_BYTES {
        return Some(format!("it is {} bytes long, at most {MAX_PATH_BYTES} fit", text.len()));
    }
    text.split('/').find_map(segment_fault)
}

fn segment_fault(segment: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=+".contains(&byte);
    if segment.is_empty() {
        return Some("it has an empty segment".to_owned());
    }
    if segment.len() > MAX_SEGMENT_BYTES {
        return Some(format!("a segment is {} bytes long, at most {MAX_SEGMENT_BYTES} fit", segment.len()));
    }
    if !segment.bytes().all(allowed) {
        return Some(format!("segment {segment:?} has a character other than ASCII letters, digits and -_.=+"));
    }
    if segment.starts_with(['.', '-']) || segment.ends_with('.') {
        return Some(format!("segment {segment:?} begins with . or - or ends with ."));
    }
    is_device_name(segment).then(|| format!("segment {segment:?} is a device name on Windows"))
}

/// Whether Windows opens a device under this name, whatever its extension.
fn is_device_name(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or(segment).to_ascii_lowercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    ["con", "prn", "aux", "nul"].contains(&stem.as_str()) || numbered("com") || numbered("lpt")
}

/// Two different paths of the set that are one file where the file system ignores case, if there are such.
///
/// A snapshot that contains a pair like this cannot be copied to every file system; readers of untrusted manifests
/// refuse it.
pub fn find_case_collision<'a>(
    paths: impl IntoIterator<Item = &'a ObjectPath>,
) -> Option<(&'a ObjectPath, &'a ObjectPath)> {
    let mut seen: HashMap<String, &ObjectPath> = HashMap::new();
    paths.into_iter().find_map(|path| {
        let first = *seen.entry(path.as_str().to_ascii_lowercase()).or_insert(path);
        (first != path).then_some((first, path))
    })
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl FromStr for ObjectPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        ObjectPath::parse(text)
    }
}

impl AsRef<str> for ObjectPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn ordinary_names_parse() {
        let longest = vec!["x".repeat(MAX_SEGMENT_BYTES); 4].join("/");
        for text in ["a", "chk-12/_metadata", "A.b=c+d-e_f/9", "com", "com10", "null", "console.log", longest.as_str()]
        {
            assert_eq!(ObjectPath::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn everything_on_the_reject_list_is_refused() {
        let long_segment = "x".repeat(MAX_SEGMENT_BYTES + 1);
        let long_path = vec!["x".repeat(100); 11].join("/");
        let bad = [
            "",
            "/",
            "/etc/passwd",
            "a/",
            "/a",
            "a//b",
            "//host/share",
            ".",
            "..",
            "a/..",
            "../a",
            "a/./b",
            "a/../b",
            ".hidden",
            "a/.b.tmp",
            "a\\b",
            "C:",
            "C:/x",
            "c:x",
            "\\\\?\\C:\\x",
            "NUL",
            "nul.txt",
            "con",
            "a/CON.x",
            "aux",
            "PRN",
            "com1",
            "LPT9.log",
            "com0",
            "a.",
            "a/b.",
            "a ",
            " a",
            "a b",
            "f:stream",
            "%2e%2e%2f",
            "%252e%252e",
            "a\0b",
            "a\nb",
            "a\x7fb",
            "a\u{2215}b",
            "a\u{ff0f}b",
            "\u{202e}a",
            "\u{e9}",
            "x#1",
            "-rf",
            "a/-x",
            "~",
            "~root",
            "$HOME",
            "a*",
            "a?",
            "a|b",
            "a\"b",
            "<a>",
            "s3://b/k",
            "file:///x",
            long_segment.as_str(),
            long_path.as_str(),
        ];
        for text in bad {
            let error = ObjectPath::parse(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text:?}");
        }
    }

    #[test]
    fn join_takes_several_segments_and_no_tricks() {
        let base = ObjectPath::parse("a").unwrap();
        assert_eq!(base.join("b/c").unwrap().as_str(), "a/b/c");
        for bad in ["", "..", "/b", "b/../c", "b/"] {
            assert!(base.join(bad).is_err(), "{bad:?}");
        }
        let long = ObjectPath::parse(&vec!["x".repeat(204); 5].join("/")).unwrap();
        assert_eq!(long.as_str().len(), MAX_PATH_BYTES);
        assert!(long.join("y").is_err());
    }

    #[test]
    fn a_path_knows_its_parts() {
        let path = ObjectPath::parse("a/b/c").unwrap();
        assert_eq!(path.file_name(), "c");
        assert_eq!(path.parent(), Some(ObjectPath::parse("a/b").unwrap()));
        assert_eq!(ObjectPath::parse("a").unwrap().parent(), None);
        assert_eq!(path.segments().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(path.is_below(&ObjectPath::parse("a").unwrap()));
        assert!(!path.is_below(&path));
        assert!(!ObjectPath::parse("ab/c").unwrap().is_below(&ObjectPath::parse("a").unwrap()));
    }

    #[test]
    fn names_that_differ_only_in_case_are_found() {
        let paths = ["a/b", "a/c", "A/B", "a/b"].map(|text| ObjectPath::parse(text).unwrap());
        assert_eq!(find_case_collision(&paths), Some((&paths[0], &paths[2])));
        assert_eq!(find_case_collision(&paths[..2]), None);
        assert_eq!(find_case_collision([&paths[0], &paths[3]]), None);
    }
}
