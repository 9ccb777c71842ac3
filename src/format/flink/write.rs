//! Writing the encodings that every Flink file is made of: the counterpart of [`primitive`](super::primitive).
//!
//! What a length field cannot hold is an [`InvalidInput`](crate::ErrorKind::InvalidInput) error; nothing is ever cut
//! off.

use super::primitive::{JavaString, LINKED_MAP_MAGIC};
use crate::codec::Writer;
use crate::error::{Error, Result};

/// Writing Flink's encodings to a [`Writer`]. Errors carry the field that does not fit.
pub(crate) trait WritePrimitives {
    /// Two bytes, two's complement.
    fn i16(&mut self, value: i16);

    /// Four bytes, two's complement.
    fn i32(&mut self, value: i32);

    /// One byte, 0 or 1.
    fn bool(&mut self, value: bool);

    /// Eight bytes, two's complement, of a number that is not negative.
    fn size(&mut self, value: u64, field: &'static str) -> Result<()>;

    /// Four bytes, two's complement, of a number that is not negative.
    fn non_negative(&mut self, value: u32, field: &'static str) -> Result<()>;

    /// A four-byte count.
    fn items(&mut self, count: usize, field: &'static str) -> Result<()>;

    /// A four-byte length and then the bytes.
    fn bytes32(&mut self, bytes: &[u8], field: &'static str) -> Result<()>;

    /// A four-byte length and then what `write` appends.
    fn frame(&mut self, field: &'static str, write: impl FnOnce(&mut Writer) -> Result<()>) -> Result<()>;

    /// A two-byte length and then modified UTF-8.
    fn utf(&mut self, text: &str, field: &'static str) -> Result<()>;

    /// A `String` value, or null.
    fn strval(&mut self, text: Option<&JavaString>);

    /// Opens a linked optional map of so many entries.
    fn linked_map(&mut self, entries: usize, field: &'static str) -> Result<()>;
}

impl WritePrimitives for Writer {
    fn i16(&mut self, value: i16) {
        self.u16(value.cast_unsigned());
    }

    fn i32(&mut self, value: i32) {
        self.u32(value.cast_unsigned());
    }

    fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    fn size(&mut self, value: u64, field: &'static str) -> Result<()> {
        let value = i64::try_from(value).map_err(|_| too_large(value, field))?;
        self.i64(value);
        Ok(())
    }

    fn non_negative(&mut self, value: u32, field: &'static str) -> Result<()> {
        let value = i32::try_from(value).map_err(|_| too_large(value.into(), field))?;
        self.i32(value);
        Ok(())
    }

    fn items(&mut self, count: usize, field: &'static str) -> Result<()> {
        let stored = i32::try_from(count);
        self.i32(stored.map_err(|_| too_large(u64::try_from(count).unwrap_or(u64::MAX), field))?);
        Ok(())
    }

    fn bytes32(&mut self, bytes: &[u8], field: &'static str) -> Result<()> {
        self.items(bytes.len(), field)?;
        self.raw(bytes);
        Ok(())
    }

    fn frame(&mut self, field: &'static str, write: impl FnOnce(&mut Writer) -> Result<()>) -> Result<()> {
        let start = self.len();
        self.i32(0);
        write(self)?;
        let length = self.len().saturating_sub(start).saturating_sub(4);
        let stored = i32::try_from(length);
        let stored = stored.map_err(|_| too_large(u64::try_from(length).unwrap_or(u64::MAX), field))?;
        self.patch(start, &stored.to_be_bytes());
        Ok(())
    }

    fn utf(&mut self, text: &str, field: &'static str) -> Result<()> {
        let start = self.len();
        self.u16(0);
        text.encode_utf16().for_each(|unit| modified_utf8_unit(self, unit));
        let length = self.len().saturating_sub(start).saturating_sub(2);
        let stored = u16::try_from(length).map_err(|_| too_large(u64::try_from(length).unwrap_or(u64::MAX), field))?;
        self.patch(start, &stored.to_be_bytes());
        Ok(())
    }

    fn strval(&mut self, text: Option<&JavaString>) {
        match text {
            None => self.u8(0),
            Some(JavaString::Text(text)) if text.is_ascii() => {
                self.length(text.len().saturating_add(1));
                self.raw(text.as_bytes());
            }
            Some(JavaString::Text(text)) => {
                self.length(text.encode_utf16().count().saturating_add(1));
                text.encode_utf16().for_each(|unit| self.varint(unit.into()));
            }
            Some(JavaString::Units(units)) => {
                self.length(units.len().saturating_add(1));
                units.iter().for_each(|unit| self.varint((*unit).into()));
            }
        }
    }

    fn linked_map(&mut self, entries: usize, field: &'static str) -> Result<()> {
        self.u64(LINKED_MAP_MAGIC);
        self.items(entries, field)
    }
}

fn too_large(value: u64, field: &'static str) -> Error {
    Error::invalid_input(format!("{value} is more than Flink's format can hold")).in_field(field)
}

/// One UTF-16 unit in one to three bytes; U+0000 takes two.
fn modified_utf8_unit(out: &mut Writer, unit: u16) {
    let [high, low] = unit.to_be_bytes();
    let tail = 0x80 | (low & 0x3F);
    match unit {
        1..0x80 => out.u8(low),
        0 | 0x80..0x800 => out.raw(&[0xC0 | (high << 2) | (low >> 6), tail]),
        _ => out.raw(&[0xE0 | (high >> 4), 0x80 | ((high & 0x0F) << 2) | (low >> 6), tail]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Reader;
    use crate::error::ErrorKind;
    use crate::format::flink::primitive::Primitives;

    #[test]
    fn names_are_read_again() {
        for text in ["", "a", "\0", "é€", "\u{1F600}", "\u{7FF}\u{800}\u{FFFF}"] {
            let mut out = Writer::new();
            out.utf(text, "name").unwrap();
            let mut input = Reader::new(out.as_slice());
            assert_eq!(input.utf("name").unwrap(), text);
            assert!(input.is_empty(), "{text:?}");
        }
        let error = Writer::new().utf(&"é".repeat(32_768), "name").unwrap_err();
        assert_eq!((error.kind(), error.place().field), (ErrorKind::InvalidInput, Some("name")));
    }

    #[test]
    fn string_values_have_the_bytes_that_flink_writes() {
        let cases: [(&[u8], Option<JavaString>); 5] = [
            (&[0x00], None),
            (&[0x01], Some(JavaString::Text(String::new()))),
            (&[0x03, 0xE9, 0x01, 0xAC, 0x41], Some(JavaString::Text("é€".into()))),
            (&[0x03, 0xBD, 0xB0, 0x03, 0x80, 0xBC, 0x03], Some(JavaString::Text("\u{1F600}".into()))),
            (&[0x02, 0xBD, 0xB0, 0x03], Some(JavaString::Units(vec![0xD83D]))),
        ];
        for (bytes, text) in cases {
            let mut out = Writer::new();
            out.strval(text.as_ref());
            assert_eq!(out.as_slice(), bytes, "{text:?}");
        }
    }

    #[test]
    fn frames_know_their_length_and_numbers_their_sign() {
        let mut out = Writer::new();
        out.frame("frame", |out| {
            out.raw(b"abc");
            Ok(())
        })
        .unwrap();
        assert_eq!(out.as_slice(), b"\0\0\0\x03abc");
        assert!(Writer::new().size(1 << 63, "size").is_err());
        assert!(Writer::new().non_negative(1 << 31, "count").is_err());
    }
}
