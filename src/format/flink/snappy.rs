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
