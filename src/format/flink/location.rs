//! Where the files of a snapshot lie now.
//!
//! A `_metadata` file names shared and task-owned files by absolute URIs of where they were written. Such a text is
//! untrusted: it is followed only below the roots that a caller names, and a root can map a directory to the place it was
//! moved to.

use crate::error::{Error, Result};

/// Directories that absolute URIs may lead into, and where they lie now.
///
/// ```
/// # fn main() -> millpond::Result<()> {
/// let mut roots = millpond::format::flink::Roots::new();
/// roots.map("file:///data/checkpoints", "/mnt/copy")?;
/// let (place, path) = roots.resolve("file:/data/checkpoints/job/shared/file")?;
/// assert_eq!((*place, path.as_str()), ("/mnt/copy", "job/shared/file"));
/// assert!(roots.resolve("file:/etc/passwd").is_err());
/// # Ok(())
/// # }
/// ```
///
/// `P` says where a directory lies now; nothing here interprets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots<P> {
    rules: Vec<(Location, P)>,
}

impl<P> Default for Roots<P> {
    fn default() -> Self {
        Self::new()
    }
}

/// An absolute URI, taken apart. `file:/a`, `file:///a` and `/a` are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Location {
    /// Scheme and authority, lower-case: `file` or `s3://bucket`.
    store: String,
    parts: Vec<String>,
}

impl<P> Roots<P> {
    /// No roots: every absolute URI is refused.
    pub const fn new() -> Self {
        Roots { rules: Vec::new() }
    }

    /// Allows what lies below the directory `old`, an absolute URI or path, and says that it lies in `new` now. Where
    /// several roots hold a file, the deepest one decides, and of equal ones the last.
    pub fn map(&mut self, old: &str, new: P) -> Result<()> {
        let location = Location::parse(old).ok_or_else(|| {
            Error::invalid_input(format!("root {old:?} is no absolute path or URI without `.`, `..` and empty parts"))
        })?;
        self.rules.push((location, new));
        Ok(())
    }

    /// Where the file of an absolute URI lies now: the place of its root, and the path below it. A URI that is below no
    /// root or contains `..`, an escape or a query is [`InvalidInput`](crate::ErrorKind::InvalidInput).
    pub fn resolve(&self, uri: &str) -> Result<(&P, String)> {
        let refused = |why: &str| Error::invalid_input(format!("file {uri:?} {why}"));
        let location = Location::parse(uri).ok_or_else(|| refused("is no plain absolute path or URI"))?;
        let below = self
            .rules
            .iter()
            .filter_map(|(old, new)| Some((old.parts.len(), new, location.below(old)?)))
            .max_by_key(|(depth, ..)| *depth);
        match below {
            Some((_, new, rest)) => Ok((new, rest.join("/"))),
            None => Err(refused(
                "lies below no known root; say where the directory it was in, or one above, is now (--root OLD=NEW)",
            )),
        }
    }
}

impl Location {
    fn parse(uri: &str) -> Option<Self> {
        let (store, path) = match uri.split_once(':') {
            None => ("file".to_owned(), uri),
            Some((scheme, rest)) => {
                let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
                if scheme.is_empty() || !scheme.chars().all(valid) {
                    return None;
                }
                let scheme = scheme.to_ascii_lowercase();
                match rest.strip_prefix("//") {
                    None => (scheme, rest),
                    Some(rest) => {
                        let (authority, _) = rest.split_once('/')?;
                        let path = rest.get(authority.len()..)?;
                        if authority.is_empty() { (scheme, path) } else { (format!("{scheme}://{authority}"), path) }
                    }
                }
            }
        };
        let path = path.strip_prefix('/')?.trim_end_matches('/');
        let parts: Vec<String> = path.split('/').filter(|_| !path.is_empty()).map(str::to_owned).collect();
        let clean = |part: &String| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && !part.contains(['\\', '?', '#', '%'])
                && !part.chars().any(char::is_control)
        };
        parts.iter().all(clean).then_some(Location { store, parts })
    }

    /// The parts behind those of `root`, at least one.
    fn below(&self, root: &Location) -> Option<&[String]> {
        let rest = self.parts.strip_prefix(root.parts.as_slice())?;
        (self.store == root.store && !rest.is_empty()).then_some(rest)
    }
}

/// A file of a job, by the absolute URI that it was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobFile<'u> {
    /// The job's directory, in which its checkpoints lie.
    pub job: &'u str,
    /// The directory in that: `chk-N`, `shared` or `taskowned`.
    pub member: &'u str,
}

impl<'u> JobFile<'u> {
    /// Takes a URI apart, at the last of its directories that has such a name; `None` if none has.
    pub fn of(uri: &'u str) -> Option<Self> {
        let is_member = |name: &str| {
            let number = name.strip_prefix("chk-");
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
                || matches!(name, "shared" | "taskowned")
        };
        let mut end = uri.rfind('/')?;
        loop {
            let (job, member) = uri.get(..end)?.rsplit_once('/')?;
            if is_member(member) {
                return Some(JobFile { job, member });
            }
            end = job.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_uri_tells_the_directory_of_its_job() {
        let of = |uri| JobFile::of(uri).map(|file| (file.job, file.member));
        assert_eq!(of("file:/a/4f/shared/x"), Some(("file:/a/4f", "shared")));
        assert_eq!(of("s3://b/4f/chk-12/x"), Some(("s3://b/4f", "chk-12")));
        assert_eq!(of("file:/shared/4f/taskowned/deep/er/x"), Some(("file:/shared/4f", "taskowned")));
        assert_eq!(of("/4f/chk-1/shared"), Some(("/4f", "chk-1")));
        for none in ["", "/", "shared", "shared/x", "/a/chk-/x", "/a/chk-1x/y", "/a/savepoint-1/x", "file:/a/shared"] {
            assert_eq!(of(none), None, "{none:?}");
        }
        assert_eq!(of("/shared/x"), Some(("", "shared")));
    }

    #[test]
    fn the_deepest_root_decides() {
        let mut roots = Roots::new();
        roots.map("file:///a", "one").unwrap();
        roots.map("/a/b", "two").unwrap();
        roots.map("S3://Bucket/x", "three").unwrap();
        let resolved = |uri| roots.resolve(uri).unwrap();
        assert_eq!(resolved("file:/a/c/d"), (&"one", "c/d".to_owned()));
        assert_eq!(resolved("file:///a/b/d"), (&"two", "d".to_owned()));
        assert_eq!(resolved("s3://Bucket/x/y"), (&"three", "y".to_owned()));
    }

    #[test]
    fn nothing_outside_the_roots_is_reached() {
        let mut roots = Roots::new();
        roots.map("file:/a/b", "/new").unwrap();
        let outside = [
            "file:/a/b",
            "file:/a/bc/d",
            "file:/a/b/../c",
            "file:/a/b/./c",
            "file:/a/b//c",
            "file:/a/b/%2e%2e/c",
            "file:/a/b/c?version=1",
            "file:/a/b/c#1",
            "file:/a/b/_entropy_/../c",
            "file://user@/a/b/c",
            "file:/a/b/c\\d",
            "file:/a/b/c\nd",
            "hdfs:/a/b/c",
            "file://host/a/b/c",
            "a/b/c",
            "",
            ":",
            "file:",
        ];
        for uri in outside {
            assert_eq!(roots.resolve(uri).unwrap_err().kind(), ErrorKind::InvalidInput, "{uri:?}");
        }
        assert!(roots.map("relative", "x").is_err());
        assert!(roots.map("/a/../b", "x").is_err());
    }

    #[test]
    fn the_whole_file_system_can_be_a_root() {
        let mut roots = Roots::new();
        roots.map("/", "new").unwrap();
        assert_eq!(roots.resolve("file:/etc/x").unwrap(), (&"new", "etc/x".to_owned()));
    }
}
