//! Snappy's framing format, in which Flink compresses key groups and operator state.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// The chunk that opens every stream: type, length and `sNaPpY`.
#[cfg(feature = "snappy")]
const STREAM_ID: [u8; 10] = [0xFF, 0x06, 0x00, 0x00, b's', b'N', b'a', b'P', b'p', b'Y'];

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
    Err(Error::incompatible("this build cannot handle snappy compression; build millpond with the feature `snappy`"))
}
