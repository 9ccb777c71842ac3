//! Snappy's framing format, in which Flink compresses key groups and operator state.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// The chunk that opens every stream: type, length and `sNaPpY`.
pub(super) const STREAM_ID: [u8; 10] = [0xFF, 0x06, 0x00, 0x00, b's', b'N', b'a', b'P', b'p', b'Y'];

/// Expands `bytes` if they are compressed. `opened` says that they come from inside a stream, so that the chunk which
/// opens it is missing. Checksums are verified.
///
/// The result is at most about thirty times as long as the input, because no chunk expands further.
pub(super) fn expand(compressed: bool, opened: bool, bytes: &[u8], base: u64) -> Result<Cow<'_, [u8]>> {
    if !compressed {
        return Ok(Cow::Borrowed(bytes));
    }
    if bytes.is_empty() {
        return Ok(Cow::Borrowed(&[]));
    }
    decompress(opened, bytes).map(Cow::Owned).map_err(|error| error.at_offset(base).in_field("Snappy stream"))
}

#[cfg(feature = "snappy")]
fn decompress(opened: bool, bytes: &[u8]) -> Result<Vec<u8>> {
    use std::io::Read;

    let head: &[u8] = if opened { &STREAM_ID } else { &[] };
    let mut raw = Vec::new();
    snap::read::FrameDecoder::new(head.chain(bytes))
        .read_to_end(&mut raw)
        .map_err(|error| Error::corrupt("cannot be expanded").because(error))?;
    Ok(raw)
}

#[cfg(not(feature = "snappy"))]
fn decompress(_opened: bool, _bytes: &[u8]) -> Result<Vec<u8>> {
    Err(unavailable())
}

#[cfg(not(feature = "snappy"))]
fn unavailable() -> Error {
    Error::incompatible("this build cannot handle snappy compression; build millpond with the feature `snappy`")
}

/// Bytes as they come or, in a compressed file, as chunks of one stream.
#[derive(Debug)]
pub(super) enum Framed {
    /// As they come.
    Plain(Vec<u8>),
    /// Compressed.
    #[cfg(feature = "snappy")]
    Compressed(Box<snap::write::FrameEncoder<Vec<u8>>>),
}

impl Framed {
    pub(super) fn new(compressed: bool) -> Result<Self> {
        if !compressed {
            return Ok(Framed::Plain(Vec::new()));
        }
        #[cfg(feature = "snappy")]
        return Ok(Framed::Compressed(Box::new(snap::write::FrameEncoder::new(Vec::new()))));
        #[cfg(not(feature = "snappy"))]
        return Err(unavailable());
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Framed::Plain(out) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            #[cfg(feature = "snappy")]
            Framed::Compressed(out) => std::io::Write::write_all(out, bytes)
                .map_err(|error| Error::internal("bytes in memory cannot be compressed").because(error)),
        }
    }

    /// Number of bytes that are ready.
    pub(super) fn ready(&self) -> usize {
        match self {
            Framed::Plain(out) => out.len(),
            #[cfg(feature = "snappy")]
            Framed::Compressed(out) => out.get_ref().len(),
        }
    }

    /// The bytes that are ready, and never come again.
    pub(super) fn take(&mut self) -> Vec<u8> {
        match self {
            Framed::Plain(out) => std::mem::take(out),
            #[cfg(feature = "snappy")]
            Framed::Compressed(out) => std::mem::take(out.get_mut()),
        }
    }

    pub(super) fn finish(self) -> Result<Vec<u8>> {
        match self {
            Framed::Plain(out) => Ok(out),
            #[cfg(feature = "snappy")]
            Framed::Compressed(out) => {
                out.into_inner().map_err(|error| Error::internal("a stream cannot be ended").because(error.to_string()))
            }
        }
    }
}

/// The chunks of `bytes` inside a stream that is already open.
pub(super) fn compress_inside(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut framed = Framed::new(true)?;
    framed.write(bytes)?;
    let stream = framed.finish()?;
    Ok(stream.strip_prefix(&STREAM_ID).unwrap_or_default().to_vec())
}

#[cfg(test)]
#[cfg(feature = "snappy")]
mod tests {
    use allocation_counter::measure;

    use super::*;

    /// Where the length that a chunk declares begins: behind the stream's identifier, the chunk's type and length, and the
    /// checksum.
    const DECLARED_AT: usize = STREAM_ID.len() + 4 + 4;

    fn compressed(raw: &[u8]) -> Vec<u8> {
        let mut framed = Framed::new(true).unwrap();
        framed.write(raw).unwrap();
        framed.finish().unwrap()
    }

    /// What compresses best becomes some twenty times as long: no stream can claim more.
    #[test]
    fn s_39_a_stream_expands_in_proportion() {
        let raw = vec![0; 8 << 20];
        let stored = compressed(&raw);
        let mut expanded = Vec::new();
        let peak = measure(|| expanded = expand(true, false, &stored, 0).unwrap().into_owned()).bytes_max;
        assert!(expanded == raw && raw.len() < 30 * stored.len(), "{} of {}", raw.len(), stored.len());
        // It grows by doubling, and the old half is there while it is copied.
        assert!(peak < 25 << 20, "{peak}");
    }

    #[test]
    fn s_39_a_chunk_that_declares_another_size_is_refused() {
        let stored = compressed(&[5; 60_000]);
        assert_eq!(&stored[DECLARED_AT..DECLARED_AT + 3], [0xE0, 0xD4, 0x03], "60,000 as a varint");
        let huge: [&[u8]; 5] = [
            &[0xDF, 0xD4, 0x03],
            &[0xE1, 0xD4, 0x03],
            &[0xFF, 0xFF, 0x03],
            &[0x80, 0x80, 0x40],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
        ];
        for declared in huge {
            let mut lying = stored.clone();
            lying[DECLARED_AT..DECLARED_AT + declared.len()].copy_from_slice(declared);
            let mut error = None;
            let peak = measure(|| error = expand(true, false, &lying, 0).err()).bytes_max;
            assert_eq!(error.map(|error| error.kind()), Some(crate::ErrorKind::Corrupt), "{declared:?}");
            assert!(peak < 1 << 20, "{declared:?}: {peak}");
        }
    }

    /// However the stream is cut into chunks, and at every border: an empty end is no end too early.
    #[test]
    fn s_32_chunks_of_any_length_are_one_stream() {
        for lengths in [[0, 0, 0], [1, 0, 65_536], [65_535, 1, 0], [65_536, 0, 1], [65_537, 65_535, 65_536]] {
            let raw: Vec<u8> =
                (0..lengths.iter().sum::<usize>()).map(|number| u8::try_from(number / 7 % 256).unwrap()).collect();
            let (mut stream, mut rest) = (STREAM_ID.to_vec(), raw.as_slice());
            for length in lengths {
                let (piece, left) = rest.split_at(length);
                stream.extend(compress_inside(piece).unwrap());
                rest = left;
            }
            assert!(*expand(true, false, &stream, 0).unwrap() == raw, "{lengths:?}");
            let inside = &stream[STREAM_ID.len()..];
            assert!(*expand(true, true, inside, 0).unwrap() == raw, "{lengths:?} inside a stream");
        }
    }
}
