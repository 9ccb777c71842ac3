//! The first eight bytes of everything we write: what it is, and in which version.
//!
//! | bytes | field |
//! |---|---|
//! | `8d 4d 50 44 0a` | magic: one byte above ASCII, `MPD`, line feed; so a transfer that treats it as text shows at once |
//! | 1 | format, [`FormatId::tag`] |
//! | 2 | version, from 1 |

use super::FormatId;
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};

/// The five bytes everything begins with.
pub const MAGIC: [u8; 5] = *b"\x8dMPD\n";

/// Length of the preamble in bytes.
pub const PREAMBLE_BYTES: usize = 8;

/// Appends the preamble of the version that is written today.
pub fn write(format: FormatId, out: &mut Writer) {
    out.raw(&MAGIC);
    out.u8(format.tag());
    out.u16(format.version());
}

/// Reads a preamble and returns the version, from 1 to [`FormatId::version`].
///
/// Wrong magic and another format are [`Corrupt`](crate::ErrorKind::Corrupt), a version that is not known is
/// [`Incompatible`](crate::ErrorKind::Incompatible).
pub fn read(expected: FormatId, input: &mut Reader<'_>) -> Result<u16> {
    let start = input.offset();
    let found = read_format(input)?;
    if found != Some(expected) {
        let found = found.map_or_else(|| "an unknown format".to_owned(), |format| format!("{format} data"));
        return Err(Error::corrupt(format!("this is {found}, expected {expected} data"))
            .at_offset(start.saturating_add(5))
            .in_field("format"));
    }
    let at = input.offset();
    let version = input.u16("version")?;
    if (1..=expected.version()).contains(&version) {
        return Ok(version);
    }
    Err(Error::incompatible(format!(
        "{expected} version {version} is unknown, the newest this build reads is {}; use a newer millpond",
        expected.version()
    ))
    .at_offset(at)
    .in_format(expected.name())
    .in_field("version"))
}

/// The format that `bytes` claim to be, or `None` if they do not begin with our magic and a known tag.
pub fn detect(bytes: &[u8]) -> Option<FormatId> {
    read_format(&mut Reader::new(bytes)).ok().flatten()
}

fn read_format(input: &mut Reader<'_>) -> Result<Option<FormatId>> {
    input.expect(&MAGIC, "magic")?;
    input.u8("format").map(FormatId::from_tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn judge(bytes: &[u8]) -> Error {
        read(FormatId::Canonical, &mut Reader::new(bytes)).unwrap_err()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = Writer::new();
        write(FormatId::Canonical, &mut out);
        assert_eq!(out.len(), PREAMBLE_BYTES);
        assert_eq!(read(FormatId::Canonical, &mut Reader::new(out.as_slice())).unwrap(), 1);
        assert_eq!(detect(out.as_slice()), Some(FormatId::Canonical));
    }

    #[test]
    fn an_unknown_version_names_both() {
        let error = judge(b"\x8dMPD\n\x02\x00\x07");
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert!(error.message().contains("version 7") && error.message().contains("is 1"), "{error}");
        assert_eq!(judge(b"\x8dMPD\n\x02\x00\x00").kind(), ErrorKind::Incompatible);
    }

    #[test]
    fn wrong_magic_and_wrong_format_say_what_was_expected() {
        let error = judge(b"PK\x03\x04____");
        assert_eq!((error.kind(), error.place().field), (ErrorKind::Corrupt, Some("magic")));
        let error = judge(b"\x8dMPD\n\x03\x00\x01");
        assert!(error.message().contains("native-heap") && error.message().contains("canonical"), "{error}");
        assert_eq!(error.place().offset, Some(5));
        assert_eq!(judge(b"\x8dMPD\n\x63\x00\x01").kind(), ErrorKind::Corrupt);
        assert_eq!(judge(b"\x8dMP").kind(), ErrorKind::Corrupt);
    }
}
