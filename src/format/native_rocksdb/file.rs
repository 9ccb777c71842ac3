//! Files of a database: which may occur, and what they must say.

use std::fmt;

use crate::error::{Error, Result};

/// Content of `CURRENT` at most: the name of a manifest with all digits of a number, and a line feed.
const MAX_CURRENT_BYTES: usize = 9 + 20 + 1;

/// Last bytes of a block-based table, the only kind that is stored.
const BLOCK_BASED: [u8; 8] = [0xf7, 0xcf, 0xf4, 0x85, 0xb7, 0x41, 0xe2, 0x88];

/// Bytes of the footer that ends a table: the kind of checksums, where its parts are, a version, and the bytes above.
const FOOTER_BYTES: usize = 1 + 40 + 4 + BLOCK_BASED.len();

/// Name of a file in the directory of a database. Only these are stored and fetched.
///
/// The order is that in which a manifest lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileName {
    /// `CURRENT`, which names the manifest.
    Current,
    /// `MANIFEST-NNNNNN`: which tables there are, and where in the tree.
    Manifest(u64),
    /// `NNNNNN.sst`: rows, never changed once it is there.
    Table(u64),
}

impl FileName {
    /// Reads a name. Anything but the one form of the three is refused: other files of RocksDB (options, logs, blobs, the
    /// identity, the lock), another number of digits, and whatever leads out of the directory.
    pub fn parse(name: &str) -> Result<Self> {
        let number = |digits: &str| digits.parse().ok();
        let parsed = if name == "CURRENT" {
            Some(FileName::Current)
        } else if let Some(digits) = name.strip_prefix("MANIFEST-") {
            number(digits).map(FileName::Manifest)
        } else if let Some(digits) = name.strip_suffix(".sst") {
            number(digits).map(FileName::Table)
        } else {
            None
        };
        // What is parsed is printed again, so that signs, other digits and missing or superfluous zeros are found.
        parsed.filter(|parsed| parsed.to_string() == name).ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            Error::invalid_input(format!("{shown:?} is not a file that a stored database has"))
        })
    }

    /// Whether the file is a table, which stays the same for as long as it is there.
    pub const fn is_table(self) -> bool {
        matches!(self, FileName::Table(_))
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileName::Current => f.write_str("CURRENT"),
            FileName::Manifest(number) => write!(f, "MANIFEST-{number:06}"),
            FileName::Table(number) => write!(f, "{number:06}.sst"),
        }
    }
}

/// Checks that the files, in this order, can be a database: they ascend strictly, and begin with `CURRENT` and exactly one
/// manifest.
pub fn check_files(names: &[FileName]) -> Result<()> {
    if let Some(pair) = names.windows(2).find(|pair| !pair.is_sorted_by(|a, b| a < b)) {
        return Err(Error::invalid_input(format!("files {} are out of order or twice", join(pair))));
    }
    let is_manifest = |name: &&FileName| matches!(name, FileName::Manifest(_));
    match (names.first(), names.iter().filter(is_manifest).count()) {
        (Some(FileName::Current), 1) => Ok(()),
        (Some(FileName::Current), count) => Err(Error::invalid_input(format!("a database with {count} manifests"))),
        _ => Err(Error::invalid_input("a database without CURRENT")),
    }
}

/// Checks that a table is block-based and that its blocks have checksums. Other kinds of tables have readers that trust
/// what they read.
pub fn check_table(content: &[u8]) -> Result<()> {
    let start = content.len().saturating_sub(FOOTER_BYTES);
    let refuse = |message: &str| {
        let offset = u64::try_from(start).unwrap_or(u64::MAX);
        Err(Error::corrupt(message).at_offset(offset).in_field("footer"))
    };
    let footer = content.get(start..).unwrap_or_default();
    match footer.first() {
        _ if footer.len() < FOOTER_BYTES || !footer.ends_with(&BLOCK_BASED) => refuse("it is not a block-based table"),
        Some(0) => refuse("its blocks have no checksums"),
        _ => Ok(()),
    }
}

fn join(names: &[FileName]) -> String {
    let names: Vec<String> = names.iter().map(FileName::to_string).collect();
    names.join(", ")
}

/// Checks that the content of `CURRENT` is the name of the manifest there is, and a line feed.
pub fn check_current(content: &[u8], manifest: FileName) -> Result<()> {
    if content.len() <= MAX_CURRENT_BYTES && content == format!("{manifest}\n").as_bytes() {
        return Ok(());
    }
    let shown = content.get(..MAX_CURRENT_BYTES).unwrap_or(content);
    let shown = String::from_utf8_lossy(shown);
    Err(Error::corrupt(format!("CURRENT says {shown:?}, the manifest is {manifest}")).at_offset(0).in_field("CURRENT"))
}
