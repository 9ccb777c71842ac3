use crate::error::{Error, Result};

/// How the blocks of a snapshot file are compressed.
///
/// The variants exist whatever features are on, so that a file can always be named for what it is; using a codec whose
/// feature is off is an [`Incompatible`](crate::ErrorKind::Incompatible) error that names the feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Compression {
    /// Stored as is.
    #[default]
    None,
    /// LZ4 block format (feature `lz4`).
    Lz4,
    /// Zstandard frame, level 3 (feature `zstd`).
    Zstd,
}

impl Compression {
    /// The tag that stands for this codec in stored bytes. Never renumbered.
    pub const fn tag(self) -> u8 {
        match self {
            Compression::None => 0,
            Compression::Lz4 => 1,
            Compression::Zstd => 2,
        }
    }

    /// The codec that a stored tag stands for.
    pub fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            0 => Some(Compression::None),
            1 => Some(Compression::Lz4),
            2 => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// The codec's name, which is also the feature that brings it.
    pub const fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    /// Compresses one block.
    pub fn compress(self, raw: &[u8]) -> Result<Vec<u8>> {
        match self {
            Compression::None => Ok(raw.to_vec()),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => Ok(lz4_flex::block::compress(raw)),
            #[cfg(feature = "zstd")]
            Compression::Zstd => zstd::bulk::compress(raw, 3)
                .map_err(|error| Error::internal("zstd could not compress a block").because(error)),
            #[cfg(not(all(feature = "lz4", feature = "zstd")))]
            other => Err(other.missing()),
        }
    }

    /// Expands one block to exactly `raw_len` bytes; anything else is an error. Allocates `raw_len` bytes, so the
    /// caller checks that number against its block limit first.
    pub fn decompress(self, stored: &[u8], raw_len: usize) -> Result<Vec<u8>> {
        let raw = match self {
            Compression::None => stored.to_vec(),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => lz4_flex::block::decompress(stored, raw_len)
                .map_err(|error| Error::corrupt("lz4 block cannot be expanded").because(error))?,
            #[cfg(feature = "zstd")]
            Compression::Zstd => zstd::bulk::decompress(stored, raw_len)
                .map_err(|error| Error::corrupt("zstd block cannot be expanded").because(error))?,
            #[cfg(not(all(feature = "lz4", feature = "zstd")))]
            other => return Err(other.missing()),
        };
        if raw.len() == raw_len {
            return Ok(raw);
        }
        Err(Error::corrupt(format!("{} block expands to {} bytes, declared {raw_len}", self.name(), raw.len())))
    }

    #[cfg(not(all(feature = "lz4", feature = "zstd")))]
    fn missing(self) -> Error {
        Error::incompatible(format!(
            "this build cannot handle {0} compression; build millpond with the feature `{0}`",
            self.name()
        ))
    }
}
