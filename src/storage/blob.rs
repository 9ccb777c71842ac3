//! Bytes that somebody else keeps alive.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::map::Mapping;
use crate::error::{Error, Result};

/// Immutable bytes, on the heap or mapped from a file. Clones and slices share the owner and cost one counter update;
/// the owner is released with the last of them.
#[derive(Clone)]
pub struct Blob {
    owner: Arc<Owner>,
    start: usize,
    end: usize,
}

enum Owner {
    Heap(Vec<u8>),
    Mapped(Mapping),
}

impl Owner {
    fn bytes(&self) -> &[u8] {
        match self {
            Owner::Heap(bytes) => bytes,
            Owner::Mapped(mapping) => mapping.bytes(),
        }
    }
}

impl Blob {
    fn whole(owner: Owner) -> Self {
        let end = owner.bytes().len();
        Blob { owner: Arc::new(owner), start: 0, end }
    }

    pub(super) fn mapped(mapping: Mapping) -> Self {
        Self::whole(Owner::Mapped(mapping))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.owner.bytes().get(self.start..self.end).unwrap_or_default()
    }

    /// Whether the bytes are mapped from a file rather than on the heap.
    pub fn is_mapped(&self) -> bool {
        matches!(*self.owner, Owner::Mapped(_))
    }

    /// Part of the bytes, without copying. Offsets come from stored indexes, so a range that does not lie inside is
    /// [`Corrupt`](crate::ErrorKind::Corrupt): the object is shorter than what refers to it believes.
    pub fn slice(&self, range: Range<u64>) -> Result<Blob> {
        let inside = |offset: u64| usize::try_from(offset).ok().filter(|&offset| offset <= self.len());
        match (inside(range.start), inside(range.end)) {
            (Some(start), Some(end)) if start <= end => {
                // Neither sum exceeds self.end.
                Ok(Blob { owner: Arc::clone(&self.owner), start: self.start + start, end: self.start + end })
            }
            _ => Err(Error::corrupt(format!(
                "bytes {} to {} are referred to, but only {} are there",
                range.start,
                range.end,
                self.len()
            ))
            .at_offset(range.start)),
        }
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::whole(Owner::Heap(bytes))
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Blob {}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_mapped() { "mapped" } else { "heap" };
        write!(f, "Blob({} bytes, {kind})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn slices_share_the_owner() {
        let blob = Blob::from(vec![0, 1, 2, 3, 4, 5]);
        let middle = blob.slice(1..5).unwrap();
        let inner = middle.slice(1..3).unwrap();
        assert_eq!(inner.as_slice(), [2, 3]);
        assert_eq!(inner.as_ptr(), blob[2..].as_ptr());
        drop((blob, middle));
        assert_eq!(*inner, [2, 3]);
        assert!(inner.slice(2..2).unwrap().is_empty());
    }

    #[test]
    fn a_slice_beyond_its_blob_is_an_error_even_where_the_owner_goes_on() {
        let blob = Blob::from(vec![0; 10]).slice(2..6).unwrap();
        for range in [Range { start: 3, end: 2 }, 0..5, 5..5, 0..u64::MAX, u64::MAX..u64::MAX] {
            let error = blob.slice(range).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
        assert!(blob.slice(0..4).is_ok());
    }
}
