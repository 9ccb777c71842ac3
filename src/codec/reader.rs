use super::MAX_VARINT_BYTES;
use crate::error::{Error, Result};

/// Reads big-endian fields out of a byte slice.
///
/// Every method takes the name of the field it reads; an error carries that name and the offset at which the field
/// begins. Offsets count from the first byte of the slice plus the `base` the reader was made with.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    base: u64,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their beginning.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::with_base(bytes, 0)
    }

    /// Reads `bytes`, which begin at offset `base` of something larger.
    #[inline]
    pub fn with_base(bytes: &'a [u8], base: u64) -> Self {
        Reader { bytes, position: 0, base }
    }

    /// Offset of the next byte.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.base.saturating_add(u64::try_from(self.position).unwrap_or(u64::MAX))
    }

    /// Number of bytes read so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Number of bytes left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// What is left, without reading it.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// The bytes between an earlier [`position`](Self::position) and the current one.
    #[inline]
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.position).unwrap_or_default()
    }

    /// A [`Corrupt`](crate::ErrorKind::Corrupt) error at the current offset.
    pub fn corrupt(&self, field: &'static str, message: impl Into<String>) -> Error {
        Error::corrupt(message).at_offset(self.offset()).in_field(field)
    }

    /// Reads `count` bytes as they are.
    #[inline]
    pub fn raw(&mut self, count: usize, field: &'static str) -> Result<&'a [u8]> {
        match self.position.checked_add(count).and_then(|end| Some((end, self.bytes.get(self.position..end)?))) {
            Some((end, bytes)) => {
                self.position = end;
                Ok(bytes)
            }
            None => Err(self.too_short(count, field)),
        }
    }

    #[cold]
    fn too_short(&self, count: usize, field: &'static str) -> Error {
        self.corrupt(field, format!("needs {count} bytes, {} are left", self.remaining()))
    }

    #[inline]
    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N]> {
        match self.rest().first_chunk::<N>() {
            Some(chunk) => {
                self.position = self.position.saturating_add(N);
                Ok(*chunk)
            }
            None => Err(self.too_short(N, field)),
        }
    }

    /// Reads one byte.
    #[inline]
    pub fn u8(&mut self, field: &'static str) -> Result<u8> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    /// Reads two bytes.
    #[inline]
    pub fn u16(&mut self, field: &'static str) -> Result<u16> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// Reads four bytes.
    #[inline]
    pub fn u32(&mut self, field: &'static str) -> Result<u32> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// Reads eight bytes.
    #[inline]
    pub fn u64(&mut self, field: &'static str) -> Result<u64> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// Reads eight bytes, two's complement.
    #[inline]
    pub fn i64(&mut self, field: &'static str) -> Result<i64> {
        self.array(field).map(i64::from_be_bytes)
    }

    /// Reads what [`Writer::ordered_i64`](super::Writer::ordered_i64) wrote.
    #[inline]
    pub fn ordered_i64(&mut self, field: &'static str) -> Result<i64> {
        Ok((self.u64(field)? ^ (1 << 63)).cast_signed())
    }

    /// Reads a byte that must be 0 or 1.
    #[inline]
    pub fn bool(&mut self, field: &'static str) -> Result<bool> {
        let start = self.clone();
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(start.corrupt(field, format!("is {other}, expected 0 or 1"))),
        }
    }

    /// Reads an unsigned LEB128 number. The encoding must be the shortest one, so that equal numbers are equal bytes.
    #[inline]
    pub fn varint(&mut self, field: &'static str) -> Result<u64> {
        let start = self.clone();
        let mut value = 0u64;
        for index in 0..MAX_VARINT_BYTES {
            let byte = self.u8(field)?;
            let bits = u64::from(byte & 0x7F);
            let shift = index.saturating_mul(7);
            if shift == 63 && bits > 1 {
                return Err(start.corrupt(field, "number does not fit 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && index > 0 {
                    return Err(start.corrupt(field, "number is not in its shortest form"));
                }
                return Ok(value);
            }
        }
        Err(start.corrupt(field, "number does not end within ten bytes"))
    }

    /// Reads a varint length and checks that this many bytes are left.
    #[inline]
    pub fn length(&mut self, field: &'static str) -> Result<usize> {
        let start = self.clone();
        let length = self.varint(field)?;
        match usize::try_from(length) {
            Ok(length) if length <= self.remaining() => Ok(length),
            _ => Err(start.corrupt(field, format!("length is {length}, {} bytes are left", self.remaining()))),
        }
    }

    /// Reads a varint count of items that take at least `min_bytes` each, and checks that so many can be left.
    ///
    /// With `min_bytes` 0 the count is bounded by what remains plus one, so that a hostile count of empty items
    /// cannot cost more than the input itself.
    pub fn count(&mut self, min_bytes: usize, field: &'static str) -> Result<usize> {
        let start = self.clone();
        let count = self.varint(field)?;
        let most = self.remaining().checked_div(min_bytes).unwrap_or(self.remaining().saturating_add(1));
        match usize::try_from(count) {
            Ok(count) if count <= most => Ok(count),
            _ => Err(start.corrupt(field, format!("count is {count}, at most {most} can follow"))),
        }
    }

    /// Reads a varint length and then that many bytes.
    #[inline]
    pub fn bytes(&mut self, field: &'static str) -> Result<&'a [u8]> {
        let length = self.length(field)?;
        self.raw(length, field)
    }

    /// Reads a varint length and then that many bytes of UTF-8.
    #[inline]
    pub fn str(&mut self, field: &'static str) -> Result<&'a str> {
        let start = self.clone();
        let bytes = self.bytes(field)?;
        std::str::from_utf8(bytes).map_err(|error| start.corrupt(field, "is not UTF-8").because(error))
    }

    /// Reads exactly the given bytes.
    #[inline]
    pub fn expect(&mut self, expected: &[u8], field: &'static str) -> Result<()> {
        let start = self.clone();
        let found = self.raw(expected.len(), field)?;
        if found == expected {
            return Ok(());
        }
        Err(start.corrupt(field, format!("is {found:02x?}, expected {expected:02x?}")))
    }

    /// Checks that everything was read.
    #[inline]
    pub fn finish(self, field: &'static str) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        Err(self.corrupt(field, format!("{} unexpected bytes follow", self.remaining())))
    }
}
