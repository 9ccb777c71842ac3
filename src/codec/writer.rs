use super::MAX_VARINT_BYTES;

/// Appends big-endian fields to a growing buffer.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Writer { bytes: Vec::with_capacity(capacity) }
    }

    /// What was written so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets what was written but keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Forgets everything after the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// The written bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends one byte.
    #[inline]
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Appends two bytes.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    /// Appends four bytes.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    /// Appends eight bytes.
    #[inline]
    pub fn u64(&mut self, value: u64) {
        self.raw(&value.to_be_bytes());
    }

    /// Appends eight bytes, two's complement.
    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// Appends eight bytes whose byte order is the order of the numbers: two's complement with the sign bit flipped.
    #[inline]
    pub fn ordered_i64(&mut self, value: i64) {
        self.u64(value.cast_unsigned() ^ (1 << 63));
    }

    /// Appends an unsigned LEB128 number, one to ten bytes.
    #[inline]
    pub fn varint(&mut self, mut value: u64) {
        // Almost every number written this way is a short length.
        if let Ok(byte @ 0..=0x7F) = u8::try_from(value) {
            return self.u8(byte);
        }
        let mut encoded = [0u8; MAX_VARINT_BYTES];
        let mut len = 0;
        for slot in &mut encoded {
            let [.., low] = value.to_be_bytes();
            value >>= 7;
            len += 1;
            if value == 0 {
                *slot = low & 0x7F;
                break;
            }
            *slot = low | 0x80;
        }
        self.raw(encoded.get(..len).unwrap_or_default());
    }

    /// Appends a length as a varint.
    #[inline]
    pub fn length(&mut self, length: usize) {
        self.varint(u64::try_from(length).unwrap_or(u64::MAX));
    }

    /// Appends a varint length and then the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.raw(bytes);
    }

    /// Appends a varint length and then the UTF-8 bytes.
    pub fn str(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Appends bytes as they are.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends what `write` appends, behind its length as a varint.
    #[inline]
    pub fn prefixed<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        let start = self.len();
        // Almost every length takes one byte.
        self.u8(0);
        let written = write(self);
        let length = self.len().saturating_sub(start).saturating_sub(1);
        match u8::try_from(length) {
            Ok(short @ 0..=0x7F) => self.patch(start, &[short]),
            _ => self.insert_length(start, length),
        }
        written
    }

    /// Replaces the byte at `start` by the length of what follows it.
    #[cold]
    fn insert_length(&mut self, start: usize, length: usize) {
        let mut prefix = Writer::new();
        prefix.length(length);
        self.bytes.splice(start..start.saturating_add(1), prefix.bytes);
    }

    /// Overwrites bytes written earlier; nothing happens where `at` lies outside of what was written.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(slot) = at.checked_add(bytes.len()).and_then(|end| self.bytes.get_mut(at..end)) {
            slot.copy_from_slice(bytes);
        }
    }
}

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.raw(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
