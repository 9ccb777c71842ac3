//! The encodings that every Flink file is made of (`java.io.DataInput`, `DataInputView`, `StringValue`).
//!
//! Three string encodings occur side by side and must not be confused: [`utf`](Primitives::utf) (modified UTF-8 with a
//! two-byte length, for names), [`strval`](Primitives::strval_units) (a variable-length count and variable-length UTF-16
//! units, for `String` values) and length-prefixed real UTF-8 (SQL strings, see the value decoders).
//!
//! Reading is stricter than Java's: a boolean is 0 or 1, every encoding is the one a writer produces. Anything else is
//! damage.

use std::fmt;

use crate::codec::Reader;
use crate::error::Result;

/// Text of a Java program: UTF-16 that may hold unpaired surrogates, which no Rust string can.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JavaString {
    /// Well-formed text.
    Text(String),
    /// UTF-16 code units with at least one unpaired surrogate.
    Units(Vec<u16>),
}

impl JavaString {
    /// The text of UTF-16 code units.
    pub fn from_units(units: Vec<u16>) -> Self {
        match String::from_utf16(&units) {
            Ok(text) => JavaString::Text(text),
            Err(_) => JavaString::Units(units),
        }
    }

    /// The text, unless it holds an unpaired surrogate.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            JavaString::Text(text) => Some(text),
            JavaString::Units(_) => None,
        }
    }

    /// UTF-8, in which an unpaired surrogate takes three bytes like other characters of its size (WTF-8).
    pub fn to_wtf8(&self) -> Vec<u8> {
        let units = match self {
            JavaString::Text(text) => return text.as_bytes().to_vec(),
            JavaString::Units(units) => units,
        };
        let mut bytes = Vec::with_capacity(units.len().saturating_mul(3));
        for unit in char::decode_utf16(units.iter().copied()) {
            match unit {
                Ok(character) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(unpaired) => {
                    let [high, low] = unpaired.unpaired_surrogate().to_be_bytes();
                    bytes.extend_from_slice(&[
                        0xE0 | (high >> 4),
                        0x80 | ((high & 0x0F) << 2) | (low >> 6),
                        0x80 | (low & 0x3F),
                    ]);
                }
            }
        }
        bytes
    }

    /// Reads what [`to_wtf8`](Self::to_wtf8) gives; `None` for other bytes.
    pub fn from_wtf8(bytes: &[u8]) -> Option<Self> {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Some(JavaString::Text(text.to_owned()));
        }
        let mut units = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            let length = match first {
                0x00..=0x7F => 1,
                0xC2..=0xDF => 2,
                0xE0..=0xEF => 3,
                0xF0..=0xF4 => 4,
                _ => return None,
            };
            let (character, behind) = rest.split_at_checked(length)?;
            match std::str::from_utf8(character) {
                Ok(text) => units.extend(text.encode_utf16()),
                // The only other sequences there are: unpaired surrogates.
                Err(_) => units.extend(modified_utf8(character).filter(|_| length == 3)?),
            }
            rest = behind;
        }
        let read = JavaString::from_units(units);
        (read.to_wtf8() == bytes).then_some(read)
    }

    /// `String.hashCode()`: over the UTF-16 units, `h = 31 h + unit`.
    pub fn java_hash(&self) -> i32 {
        let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
        match self {
            JavaString::Text(text) if text.is_ascii() => ascii_hash(text.as_bytes()),
            JavaString::Text(text) => text.encode_utf16().fold(0, step),
            JavaString::Units(units) => units.iter().copied().fold(0, step),
        }
    }
}

impl fmt::Display for JavaString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JavaString::Text(text) => f.write_str(text),
            JavaString::Units(units) => f.write_str(&String::from_utf16_lossy(units)),
        }
    }
}

/// One entry of a linked optional map (`LinkedOptionalMapSerializer`): key and value are frames of their own, and
/// either may be absent when the writing program had lost the class it stood for.
#[derive(Debug, Clone)]
pub(crate) struct LinkedEntry<'a> {
    pub(crate) name: String,
    pub(crate) key: Option<Reader<'a>>,
    pub(crate) value: Option<Reader<'a>>,
}

/// Opens a linked optional map.
pub(super) const LINKED_MAP_MAGIC: u64 = 0x0000_04F2_C69A_3D70;

/// Reading Flink's encodings from a [`Reader`]. Errors carry the field and the offset at which it begins.
pub(crate) trait Primitives<'a> {
    /// Two bytes, two's complement.
    fn i16(&mut self, field: &'static str) -> Result<i16>;

    /// Four bytes, two's complement.
    fn i32(&mut self, field: &'static str) -> Result<i32>;

    /// Four bytes, two's complement, not negative.
    fn non_negative(&mut self, field: &'static str) -> Result<u32>;

    /// Eight bytes, two's complement, not negative: a size, position or id.
    fn size(&mut self, field: &'static str) -> Result<u64>;

    /// A four-byte count of items that take at least `min_bytes` (not 0) each; so many can be left.
    fn items(&mut self, min_bytes: usize, field: &'static str) -> Result<usize>;

    /// A four-byte length and then that many bytes.
    fn bytes32(&mut self, field: &'static str) -> Result<&'a [u8]>;

    /// A four-byte length and then a reader over that many bytes, which keeps counting offsets.
    fn frame(&mut self, field: &'static str) -> Result<Reader<'a>>;

    /// A reader over the next `length` bytes, which keeps counting offsets.
    fn slice(&mut self, length: usize, field: &'static str) -> Result<Reader<'a>>;

    /// A two-byte length and then modified UTF-8, as `DataOutput.writeUTF` writes it. Unpaired surrogates are refused:
    /// names of classes, states and files have none.
    fn utf(&mut self, field: &'static str) -> Result<String>;

    /// Of a `String` value, as `StringValue.writeString` writes it, the number of [units](utf16_units) that follow, each
    /// of which takes a byte at least; `None` is null.
    fn strval_units(&mut self, field: &'static str) -> Result<Option<usize>>;

    /// A linked optional map.
    fn linked_map(&mut self, field: &'static str) -> Result<Vec<LinkedEntry<'a>>>;
}

impl<'a> Primitives<'a> for Reader<'a> {
    fn i16(&mut self, field: &'static str) -> Result<i16> {
        self.u16(field).map(u16::cast_signed)
    }

    #[inline]
    fn i32(&mut self, field: &'static str) -> Result<i32> {
        self.u32(field).map(u32::cast_signed)
    }

    fn non_negative(&mut self, field: &'static str) -> Result<u32> {
        let start = self.clone();
        let value = self.i32(field)?;
        u32::try_from(value).map_err(|_| start.corrupt(field, format!("is {value}, it cannot be negative")))
    }

    fn size(&mut self, field: &'static str) -> Result<u64> {
        let start = self.clone();
        let value = self.i64(field)?;
        u64::try_from(value).map_err(|_| start.corrupt(field, format!("is {value}, it cannot be negative")))
    }

    #[inline]
    fn items(&mut self, min_bytes: usize, field: &'static str) -> Result<usize> {
        let start = self.clone();
        let count = self.i32(field)?;
        let most = self.remaining().checked_div(min_bytes).unwrap_or(0);
        match usize::try_from(count) {
            Ok(count) if count <= most => Ok(count),
            _ => Err(start.corrupt(field, format!("count is {count}, at most {most} can follow"))),
        }
    }

    fn bytes32(&mut self, field: &'static str) -> Result<&'a [u8]> {
        let length = self.items(1, field)?;
        self.raw(length, field)
    }

    #[inline]
    fn frame(&mut self, field: &'static str) -> Result<Reader<'a>> {
        let length = self.items(1, field)?;
        self.slice(length, field)
    }

    #[inline]
    fn slice(&mut self, length: usize, field: &'static str) -> Result<Reader<'a>> {
        let base = self.offset();
        Ok(Reader::with_base(self.raw(length, field)?, base))
    }

    fn utf(&mut self, field: &'static str) -> Result<String> {
        let start = self.clone();
        let length = self.u16(field)?;
        let bytes = self.raw(usize::from(length), field)?;
        if bytes.iter().all(|byte| (1..0x80).contains(byte)) {
            return Ok(bytes.iter().copied().map(char::from).collect());
        }
        let units = modified_utf8(bytes).ok_or_else(|| start.corrupt(field, "is not modified UTF-8"))?;
        String::from_utf16(&units).map_err(|error| start.corrupt(field, "holds an unpaired surrogate").because(error))
    }

    #[inline]
    fn strval_units(&mut self, field: &'static str) -> Result<Option<usize>> {
        let start = self.clone();
        let count = self.varint(field)?;
        let Some(units) = count.checked_sub(1) else { return Ok(None) };
        match usize::try_from(units) {
            Ok(units) if units <= self.remaining() => Ok(Some(units)),
            _ => Err(start.corrupt(field, format!("has {units} characters, {} bytes follow", self.remaining()))),
        }
    }

    fn linked_map(&mut self, field: &'static str) -> Result<Vec<LinkedEntry<'a>>> {
        let start = self.clone();
        let magic = self.u64(field)?;
        if magic != LINKED_MAP_MAGIC {
            return Err(start.corrupt(field, format!("starts with {magic:#018x}, expected {LINKED_MAP_MAGIC:#018x}")));
        }
        let count = self.items(4, field)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let name = self.utf(field)?;
            let key = optional_frame(self, field)?;
            let value = optional_frame(self, field)?;
            entries.push(LinkedEntry { name, key, value });
        }
        Ok(entries)
    }
}

fn optional_frame<'a>(input: &mut Reader<'a>, field: &'static str) -> Result<Option<Reader<'a>>> {
    if input.bool(field)? { input.frame(field).map(Some) } else { Ok(None) }
}

/// `String.hashCode()` of ASCII text. Four characters at a time, so that the multiplications do not wait for each other.
#[inline]
pub(crate) fn ascii_hash(text: &[u8]) -> i32 {
    let (fours, rest) = text.as_chunks::<4>();
    let hash = fours.iter().fold(0i32, |hash, [a, b, c, d]| {
        let first = i32::from(*a).wrapping_mul(29_791).wrapping_add(i32::from(*b).wrapping_mul(961));
        let second = i32::from(*c).wrapping_mul(31).wrapping_add(i32::from(*d));
        hash.wrapping_mul(923_521).wrapping_add(first.wrapping_add(second))
    });
    rest.iter().fold(hash, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(*byte)))
}

/// Reads `units` UTF-16 units of a byte each, if there is none that takes more.
#[inline]
pub(crate) fn ascii<'a>(input: &mut Reader<'a>, units: usize) -> Result<Option<&'a str>> {
    let head = input.rest().get(..units).filter(|head| head.is_ascii());
    let text = head.and_then(|head| std::str::from_utf8(head).ok());
    if text.is_some() {
        input.raw(units, "string")?;
    }
    Ok(text)
}

/// Reads `units` UTF-16 units, each as a variable-length number of one to three bytes. The caller has checked that so
/// many bytes are left.
pub(crate) fn utf16_units(input: &mut Reader<'_>, units: usize, field: &'static str) -> Result<JavaString> {
    let mut decoded = Vec::with_capacity(units);
    for _ in 0..units {
        let start = input.clone();
        let unit = input.varint(field)?;
        let unit = u16::try_from(unit)
            .map_err(|_| start.corrupt(field, format!("character {unit:#x} does not fit 16 bits")))?;
        decoded.push(unit);
    }
    Ok(JavaString::from_units(decoded))
}

/// The UTF-16 units of modified UTF-8: U+0000 is two bytes, each unit is coded on its own. `None` where a sequence is
/// truncated, malformed or longer than needed.
pub(crate) fn modified_utf8(bytes: &[u8]) -> Option<Vec<u16>> {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        let (unit, tail) = match first {
            0x01..=0x7F => (u16::from(first), tail),
            0xC0..=0xDF => {
                let (low, tail) = continuation(tail)?;
                ((u16::from(first & 0x1F) << 6) | low, tail)
            }
            0xE0..=0xEF => {
                let (middle, tail) = continuation(tail)?;
                let (low, tail) = continuation(tail)?;
                ((u16::from(first & 0x0F) << 12) | (middle << 6) | low, tail)
            }
            _ => return None,
        };
        let taken = rest.len().saturating_sub(tail.len());
        let shortest = match unit {
            0 => 2,
            1..0x80 => 1,
            0x80..0x800 => 2,
            _ => 3,
        };
        if taken != shortest {
            return None;
        }
        units.push(unit);
        rest = tail;
    }
    Some(units)
}

fn continuation(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (&byte, tail) = bytes.split_first()?;
    (byte & 0xC0 == 0x80).then(|| (u16::from(byte & 0x3F), tail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn text(value: &str) -> Option<JavaString> {
        Some(JavaString::Text(value.to_owned()))
    }

    fn strval(input: &mut Reader<'_>) -> Result<Option<JavaString>> {
        let Some(units) = input.strval_units("text")? else { return Ok(None) };
        match ascii(input, units)? {
            Some(ascii) => Ok(text(ascii)),
            None => utf16_units(input, units, "text").map(Some),
        }
    }

    #[test]
    fn string_values_are_read_as_flink_writes_them() {
        let cases: [(&[u8], Option<JavaString>); 7] = [
            (&[0x00], None),
            (&[0x01], text("")),
            (&[0x02, 0x61], text("a")),
            (&[0x03, 0xE9, 0x01, 0xAC, 0x41], text("é€")),
            (&[0x02, 0x80, 0x80, 0x01], text("\u{4000}")),
            (&[0x03, 0xBD, 0xB0, 0x03, 0x80, 0xBC, 0x03], text("\u{1F600}")),
            (&[0x02, 0xBD, 0xB0, 0x03], Some(JavaString::Units(vec![0xD83D]))),
        ];
        for (bytes, expected) in cases {
            let mut input = Reader::new(bytes);
            assert_eq!(strval(&mut input).unwrap(), expected, "{bytes:02x?}");
            assert!(input.is_empty(), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_string_longer_than_its_file_costs_nothing() {
        let error = strval(&mut Reader::new(&[0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0x61])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(error.place().offset, Some(0));
        assert!(strval(&mut Reader::new(&[0x02, 0x80, 0x80, 0x04])).is_err(), "a unit beyond 16 bits");
    }

    #[test]
    fn names_are_modified_utf8() {
        let read = |bytes: &[u8]| Reader::new(bytes).utf("name");
        assert_eq!(read(&[0, 2, 0xC0, 0x80]).unwrap(), "\0");
        assert_eq!(read(&[0, 6, 0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80]).unwrap(), "\u{1F600}");
        assert_eq!(read(&[0, 3, 0xE2, 0x82, 0xAC]).unwrap(), "€");
        let bad: [&[u8]; 7] = [
            &[0, 1, 0x00],
            &[0, 2, 0xC1, 0x81],
            &[0, 3, 0xE0, 0x81, 0x81],
            &[0, 1, 0xC3],
            &[0, 4, 0xF0, 0x9F, 0x98, 0x80],
            &[0, 3, 0xED, 0xA0, 0xBD],
            &[0, 2, 0x61],
        ];
        for bytes in bad {
            assert_eq!(read(bytes).unwrap_err().kind(), ErrorKind::Corrupt, "{bytes:02x?}");
        }
    }

    #[test]
    fn unpaired_surrogates_take_three_bytes() {
        let odd = JavaString::from_units(vec![0x61, 0xD83D, 0x62, 0xD83D, 0xDE00]);
        assert_eq!(odd.to_wtf8(), [b'a', 0xED, 0xA0, 0xBD, b'b', 0xF0, 0x9F, 0x98, 0x80]);
        assert_eq!(JavaString::Text("é".to_owned()).to_wtf8(), "é".as_bytes());
        assert_eq!(JavaString::from_wtf8(&odd.to_wtf8()), Some(odd));
        for bad in [&[0xED, 0xA0][..], &[0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80], &[0xFF], &[0xC0, 0x80, 0xED]] {
            assert_eq!(JavaString::from_wtf8(bad), None, "{bad:02x?}");
        }
    }

    #[test]
    fn java_hashes_of_text() {
        assert_eq!(JavaString::Text("k0".into()).java_hash(), 107 * 31 + 48);
        assert_eq!(JavaString::Units(vec![0xD83D]).java_hash(), 0xD83D);
        for length in 0..23 {
            let text: String = ('a'..='z').cycle().skip(length).take(length).collect();
            let units = text.encode_utf16().collect();
            assert_eq!(JavaString::Text(text).java_hash(), JavaString::Units(units).java_hash(), "{length} characters");
        }
    }

    #[test]
    fn linked_maps_keep_absent_frames_apart_from_empty_ones() {
        let mut bytes = LINKED_MAP_MAGIC.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0, 0, 0, 1, 0, 1, b'a', 1, 0, 0, 0, 0, 0]);
        let entries = Reader::new(&bytes).linked_map("map").unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].name, "a");
        assert_eq!(entries[0].key.as_ref().map(Reader::remaining), Some(0));
        assert!(entries[0].value.is_none());
        for length in 0..bytes.len() {
            assert!(Reader::new(&bytes[..length]).linked_map("map").is_err(), "{length}");
        }
    }
}
