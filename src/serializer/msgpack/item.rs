//! MessagePack as it lies in bytes, without types.
//!
//! Follows the MessagePack specification (`spec.md` of msgpack.org). Nothing here recurses.

use crate::codec::Reader;
use crate::error::Result;

/// Deepest nesting of arrays and maps in a stored value. Deeper values are refused on write and on read, so that a
/// recursive type cannot exhaust the stack.
pub(crate) const MAX_DEPTH: usize = 128;

/// The beginning of one MessagePack value. The payload of strings, bytes and extensions, and the elements of arrays and
/// maps, follow it in the input; their number has been checked against what is left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Item {
    /// Nil.
    Nil,
    /// True or false.
    Bool(bool),
    /// A number that is not negative.
    Unsigned(u64),
    /// A number stored as signed.
    Signed(i64),
    /// 32-bit float.
    F32(f32),
    /// 64-bit float.
    F64(f64),
    /// A string of so many bytes.
    Str(usize),
    /// So many bytes.
    Bin(usize),
    /// An array of so many values.
    Array(usize),
    /// A map of so many keys and values.
    Map(usize),
    /// An extension of this type with so many bytes.
    Ext(i8, usize),
}

impl Item {
    /// Reads the beginning of one value.
    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let start = input.clone();
        let marker = input.u8("MessagePack marker")?;
        let item = match marker {
            0x00..=0x7F => Item::Unsigned(u64::from(marker)),
            0x80..=0x8F => Item::Map(usize::from(marker & 0x0F)),
            0x90..=0x9F => Item::Array(usize::from(marker & 0x0F)),
            0xA0..=0xBF => Item::Str(usize::from(marker & 0x1F)),
            0xC0 => Item::Nil,
            0xC2 => Item::Bool(false),
            0xC3 => Item::Bool(true),
            0xC4..=0xC6 => Item::Bin(length(input, marker - 0xC4)?),
            0xC7..=0xC9 => {
                let length = length(input, marker - 0xC7)?;
                Item::Ext(input.u8(EXT)?.cast_signed(), length)
            }
            0xCA => Item::F32(f32::from_bits(input.u32("MessagePack float")?)),
            0xCB => Item::F64(f64::from_bits(input.u64("MessagePack float")?)),
            0xCC..=0xD3 => number(input, marker)?,
            0xD4..=0xD8 => Item::Ext(input.u8(EXT)?.cast_signed(), 1 << (marker - 0xD4)),
            0xD9..=0xDB => Item::Str(length(input, marker - 0xD9)?),
            0xDC | 0xDD => Item::Array(length(input, marker - 0xDC + 1)?),
            0xDE | 0xDF => Item::Map(length(input, marker - 0xDE + 1)?),
            0xE0..=0xFF => Item::Signed(i64::from(marker.cast_signed())),
            0xC1 => return Err(start.corrupt("MessagePack marker", "is 0xc1, which is never used")),
        };
        let needed = match item {
            Item::Str(len) | Item::Bin(len) | Item::Ext(_, len) | Item::Array(len) => len,
            Item::Map(count) => count.saturating_mul(2),
            _ => 0,
        };
        if needed > input.remaining() {
            let message = format!("announces at least {needed} bytes, {} are left", input.remaining());
            return Err(start.corrupt("MessagePack length", message));
        }
        Ok(item)
    }

    /// Number of values that follow as elements of this one.
    fn elements(self) -> usize {
        match self {
            Item::Array(count) => count,
            Item::Map(count) => count.saturating_mul(2),
            _ => 0,
        }
    }

    /// Steps over the payload of a string, bytes or an extension.
    fn skip_payload(self, input: &mut Reader<'_>) -> Result<()> {
        match self {
            Item::Str(len) | Item::Bin(len) | Item::Ext(_, len) => input.raw(len, "MessagePack payload").map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Steps over one value, however deep it nests.
    pub(crate) fn skip_value(input: &mut Reader<'_>) -> Result<()> {
        let mut left = 1usize;
        while left > 0 {
            let item = Item::read(input)?;
            item.skip_payload(input)?;
            left = (left - 1).saturating_add(item.elements());
        }
        Ok(())
    }
}

const EXT: &str = "MessagePack extension type";

/// Reads a length of 1, 2 or 4 bytes, for `width` 0, 1 or 2.
fn length(input: &mut Reader<'_>, width: u8) -> Result<usize> {
    const FIELD: &str = "MessagePack length";
    Ok(match width {
        0 => usize::from(input.u8(FIELD)?),
        1 => usize::from(input.u16(FIELD)?),
        _ => usize::try_from(input.u32(FIELD)?).unwrap_or(usize::MAX),
    })
}

fn number(input: &mut Reader<'_>, marker: u8) -> Result<Item> {
    const FIELD: &str = "MessagePack number";
    Ok(match marker {
        0xCC => Item::Unsigned(u64::from(input.u8(FIELD)?)),
        0xCD => Item::Unsigned(u64::from(input.u16(FIELD)?)),
        0xCE => Item::Unsigned(u64::from(input.u32(FIELD)?)),
        0xCF => Item::Unsigned(input.u64(FIELD)?),
        0xD0 => Item::Signed(i64::from(input.u8(FIELD)?.cast_signed())),
        0xD1 => Item::Signed(i64::from(input.u16(FIELD)?.cast_signed())),
        0xD2 => Item::Signed(i64::from(input.u32(FIELD)?.cast_signed())),
        _ => Item::Signed(input.i64(FIELD)?),
    })
}

/// Checks that `bytes`, which begin at offset `base`, are exactly one value that nests at most [`MAX_DEPTH`] deep.
pub(crate) fn check(bytes: &[u8], base: u64) -> Result<()> {
    let mut input = Reader::with_base(bytes, base);
    if bytes.len() <= MAX_DEPTH {
        // Each level takes a byte, so there is no need to count levels.
        Item::skip_value(&mut input)?;
    } else {
        skip_shallow_value(&mut input)?;
    }
    input.finish("msgpack")
}

/// Steps over one value, counting levels.
fn skip_shallow_value(input: &mut Reader<'_>) -> Result<()> {
    // Elements still to come of each array and map that is open, the outermost first.
    let mut open: Vec<usize> = Vec::new();
    loop {
        let item = Item::read(input)?;
        item.skip_payload(input)?;
        if item.elements() > 0 {
            open.push(item.elements());
        } else {
            while let Some(1) = open.last() {
                open.pop();
            }
            match open.last_mut() {
                None => return Ok(()),
                Some(left) => *left = left.saturating_sub(1),
            }
        }
        if open.len() > MAX_DEPTH {
            return Err(input.corrupt("msgpack", format!("nests more than {MAX_DEPTH} levels deep")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Item> {
        Item::read(&mut Reader::new(bytes))
    }

    #[test]
    fn every_marker_is_understood_as_the_specification_says() {
        let payload = [0u8; 300];
        let with = |head: &[u8]| [head, &payload].concat();
        assert_eq!(read(&[0x7F]).unwrap(), Item::Unsigned(127));
        assert_eq!(read(&[0xE0]).unwrap(), Item::Signed(-32));
        assert_eq!(read(&[0xC0]).unwrap(), Item::Nil);
        assert_eq!(read(&[0xC3]).unwrap(), Item::Bool(true));
        assert_eq!(read(&with(&[0x82])).unwrap(), Item::Map(2));
        assert_eq!(read(&with(&[0x93])).unwrap(), Item::Array(3));
        assert_eq!(read(&with(&[0xA4])).unwrap(), Item::Str(4));
        assert_eq!(read(&with(&[0xC4, 5])).unwrap(), Item::Bin(5));
        assert_eq!(read(&with(&[0xC5, 1, 0])).unwrap(), Item::Bin(256));
        assert_eq!(read(&with(&[0xC6, 0, 0, 0, 7])).unwrap(), Item::Bin(7));
        assert_eq!(read(&with(&[0xC7, 3, 0xFF])).unwrap(), Item::Ext(-1, 3));
        assert_eq!(read(&with(&[0xD8, 1])).unwrap(), Item::Ext(1, 16));
        assert_eq!(read(&[0xCA, 0x3F, 0x80, 0, 0]).unwrap(), Item::F32(1.0));
        assert_eq!(read(&[0xCB, 0xC0, 0, 0, 0, 0, 0, 0, 0]).unwrap(), Item::F64(-2.0));
        assert_eq!(read(&[0xCD, 1, 2]).unwrap(), Item::Unsigned(258));
        assert_eq!(read(&[0xD1, 0xFF, 0xFE]).unwrap(), Item::Signed(-2));
        assert_eq!(read(&[0xD3, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]).unwrap(), Item::Signed(-1));
        assert_eq!(read(&with(&[0xDA, 0, 9])).unwrap(), Item::Str(9));
        assert_eq!(read(&with(&[0xDC, 0, 9])).unwrap(), Item::Array(9));
        assert_eq!(read(&with(&[0xDF, 0, 0, 0, 9])).unwrap(), Item::Map(9));
        assert_eq!(read(&[0xC1]).unwrap_err().place().offset, Some(0));
    }

    #[test]
    fn lengths_that_the_input_cannot_justify_are_refused() {
        for bytes in
            [&[0xDDu8, 0xFF, 0xFF, 0xFF, 0xFF][..], &[0xDF, 0xFF, 0xFF, 0xFF, 0xFF], &[0xC6, 0, 0, 0, 1], &[0x81, 0]]
        {
            assert_eq!(read(bytes).unwrap_err().place().field, Some("MessagePack length"));
        }
    }

    #[test]
    fn depth_is_measured_without_recursion() {
        let nested = |depth: usize| [vec![0x91; depth], vec![0xC0]].concat();
        assert!(check(&nested(MAX_DEPTH), 0).is_ok());
        for depth in [MAX_DEPTH + 1, 1_000_000] {
            let error = check(&nested(depth), 10).unwrap_err();
            assert_eq!(error.message(), "nests more than 128 levels deep");
            assert_eq!(error.place().offset, Some(10 + 129));
        }
        let wide = [vec![0xDC, 0x01, 0x00], vec![0x90; 256]].concat();
        assert!(check(&wide, 0).is_ok());
        let siblings = [vec![0x92; 120], vec![0xC0; 121]].concat();
        assert!(check(&siblings, 0).is_ok());
        assert!(check(&siblings[..240], 0).is_err());
        assert!(Item::skip_value(&mut Reader::new(&nested(1_000_000))).is_ok());
    }

    #[test]
    fn exactly_one_value_is_accepted() {
        let long = [vec![0xDA, 0, 200], vec![b'x'; 200]].concat();
        for bytes in [vec![0xC0], vec![0x92, 1, 2], long] {
            assert!(check(&bytes, 0).is_ok());
            assert!(check(&bytes[..bytes.len() - 1], 0).is_err());
            let error = check(&[bytes.clone(), vec![0xC0]].concat(), 0).unwrap_err();
            assert_eq!(error.place().offset, Some(u64::try_from(bytes.len()).unwrap()));
        }
    }
}
