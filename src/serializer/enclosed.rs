//! Encodings inside an envelope: varint length, then that many bytes.

use crate::codec::{Reader, Writer};
use crate::error::Result;

/// Appends what `write` appends, with its length in front. Short content is not copied. On an error nothing is
/// appended.
pub(super) fn write(out: &mut Writer, write: impl FnOnce(&mut Writer) -> Result<()>) -> Result<()> {
    let start = out.len();
    out.u8(0);
    let content = out.len();
    if let Err(error) = write(out) {
        out.truncate(start);
        return Err(error);
    }
    match u8::try_from(out.len().saturating_sub(content)) {
        // Below 128 a varint is the number itself.
        Ok(length) if length < 128 => out.patch(start, &[length]),
        _ => {
            let bytes = out.as_slice().get(content..).unwrap_or_default().to_vec();
            out.truncate(start);
            out.bytes(&bytes);
        }
    }
    Ok(())
}

/// Reads an envelope: a reader of exactly its content, whose offsets go on counting.
pub(super) fn read<'a>(input: &mut Reader<'a>, field: &'static str) -> Result<Reader<'a>> {
    let length = input.length(field)?;
    let offset = input.offset();
    Ok(Reader::with_base(input.raw(length, field)?, offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn the_length_stands_in_front_whatever_its_size() {
        for len in [0, 1, 127, 128, 255, 256, 20_000] {
            let content = vec![7; len];
            let (mut out, mut expected) = (Writer::new(), Writer::new());
            out.u8(1);
            expected.u8(1);
            write(&mut out, |out| {
                out.raw(&content);
                Ok(())
            })
            .unwrap();
            expected.bytes(&content);
            assert_eq!(out.as_slice(), expected.as_slice());
        }
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let mut out = Writer::new();
        out.u8(1);
        let outcome = write(&mut out, |out| {
            out.u64(1);
            Err(Error::invalid_input("no"))
        });
        assert!(outcome.is_err());
        assert_eq!(out.as_slice(), [1]);
    }
}
