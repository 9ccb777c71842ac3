//! Three strengths: CRC-32 finds accidents inside a block, XXH3-64 binds a section to the index that names it, BLAKE3
//! binds a file to the manifest that names it.

use std::fmt;

/// BLAKE3 digest of a whole file, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The BLAKE3 digest of `bytes`.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

/// XXH3-64 with seed 0.
#[inline]
pub(crate) fn xxh3(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// CRC-32 (IEEE 802.3) of bytes that come piece by piece. A copy continues from where the original is.
#[derive(Clone)]
pub(crate) struct Crc32(crc32fast::Hasher);

impl Crc32 {
    /// The CRC of nothing.
    pub(crate) fn new() -> Self {
        Crc32(crc32fast::Hasher::new())
    }

    /// Appends bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The CRC of everything so far.
    pub(crate) fn value(self) -> u32 {
        self.0.finalize()
    }
}

/// XXH3-64 (seed 0) of bytes that come piece by piece.
#[derive(Clone)]
pub(crate) struct Xxh3(xxhash_rust::xxh3::Xxh3Default);

impl Xxh3 {
    /// The hash of nothing.
    pub(crate) fn new() -> Self {
        Xxh3(xxhash_rust::xxh3::Xxh3Default::new())
    }

    /// Appends bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of everything so far.
    pub(crate) fn value(&self) -> u64 {
        self.0.digest()
    }
}
