use super::{Check, Place, count};
use crate::codec::Digest;
use crate::error::{Error, Result};
use crate::format::manifest::ObjectRef;
use crate::storage::Blob;

/// Bytes that are hashed between two reports of progress.
const CHUNK_BYTES: usize = 4 << 20;

/// An object that could be opened.
pub(super) struct CheckedObject {
    blob: Blob,
    /// Its digest, where that is not the one it should be and this was not known before.
    pub(super) digest: Option<Digest>,
    /// Whether it is longer or shorter than it should be, which was reported.
    pub(super) has_wrong_length: bool,
}

impl CheckedObject {
    pub(super) fn bytes(&self) -> &[u8] {
        self.blob.as_slice()
    }

    /// A part of the object, if it has that much.
    pub(super) fn slice(&self, offset: u64, length: u64) -> Result<Blob> {
        self.blob.slice(offset..offset.saturating_add(length))
    }
}

impl Check<'_> {
    /// Opens an object and checks its length, which is reported, and its digest, which is not yet. `None` if it cannot be
    /// opened, which is reported and counts as the whole work for it.
    pub(super) fn open(&mut self, place: &Place<'_>, object: &ObjectRef) -> Result<Option<CheckedObject>> {
        let blob = match self.snapshot.open_object(object) {
            Ok(blob) => blob,
            Err(error) => {
                self.found(place, error)?;
                self.advance(object.length.saturating_mul(2))?;
                return Ok(None);
            }
        };
        let length = count(blob.as_slice().len());
        let has_wrong_length = length != object.length;
        if has_wrong_length {
            let message = format!("the object is {length} bytes long, the manifest says {}", object.length);
            self.found(place, Error::corrupt(message).at_offset(length.min(object.length)))?;
        }
        let is_new = self.seen.insert((object.scope, object.name.clone()));
        if is_new {
            self.tally.objects = self.tally.objects.saturating_add(1);
            self.tally.bytes = self.tally.bytes.saturating_add(length);
        }
        let digest = if is_new && !has_wrong_length {
            Some(self.digest(blob.as_slice())?).filter(|found| *found != object.digest)
        } else {
            self.advance(object.length)?;
            None
        };
        Ok(Some(CheckedObject { blob, digest, has_wrong_length }))
    }

    fn digest(&mut self, bytes: &[u8]) -> Result<Digest> {
        let mut hasher = blake3::Hasher::new();
        for chunk in bytes.chunks(CHUNK_BYTES) {
            hasher.update(chunk);
            self.advance(count(chunk.len()))?;
        }
        Ok(Digest(*hasher.finalize().as_bytes()))
    }
}
