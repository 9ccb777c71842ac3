//! Values of the usual types, read without a word on what is wrong with the others.

use crate::format::flink::serializer::{Pojo, Simple, Snapshot, TypeSerializer};

/// Reads what is usual. Anything else, damage above all, is `None`: then the decoder reads the value again, and its verdict is
/// the one that counts. So what is read here is what the decoder reads, and never more.
#[derive(Debug, Clone)]
pub(crate) struct Usual<'a> {
    rest: &'a [u8],
    /// As the decoder bounds what a value may cost.
    parts_left: usize,
}

impl<'a> Usual<'a> {
    /// Reads `bytes` from their beginning.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Usual { rest: bytes, parts_left: bytes.len().saturating_mul(8).saturating_add(1024) }
    }

    /// What is left.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Counts one part of a value.
    #[inline]
    pub(crate) fn part(&mut self) -> Option<()> {
        self.parts_left = self.parts_left.checked_sub(1)?;
        Some(())
    }

    /// Bytes of a fixed number.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    /// So many bytes.
    #[inline]
    pub(crate) fn raw(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }

    #[inline]
    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// This very byte.
    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Option<()> {
        (self.u8()? == byte).then_some(())
    }

    /// A byte that is 0 or 1.
    #[inline]
    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A four-byte count of items that take at least `width` bytes each.
    #[inline]
    pub(crate) fn count(&mut self, width: usize) -> Option<usize> {
        let count = usize::try_from(i32::from_be_bytes(self.array()?)).ok()?;
        (count <= self.rest.len().checked_div(width)?).then_some(count)
    }

    /// The flag of a nullable value: whether it is null, which takes zeros.
    #[inline]
    pub(crate) fn null(&mut self, padding: usize) -> Option<bool> {
        let null = self.flag()?;
        if null && self.raw(padding)?.iter().any(|byte| *byte != 0) { None } else { Some(null) }
    }

    /// The flag in front of an object: whether it is null. Subclasses are not usual.
    #[inline]
    pub(crate) fn no_object(&mut self) -> Option<bool> {
        match self.u8()? {
            1 => Some(true),
            2 => Some(false),
            _ => None,
        }
    }

    /// The position of an enum's constant.
    #[inline]
    pub(crate) fn constant(&mut self) -> Option<usize> {
        usize::try_from(i32::from_be_bytes(self.array()?)).ok()
    }

    /// Bits in front of a row, most significant first, with none behind its end.
    #[inline]
    pub(crate) fn mask(&mut self, bits: usize) -> Option<&'a [u8]> {
        let mask = self.raw(bits.div_ceil(8))?;
        let padding = if bits.is_multiple_of(8) { 0 } else { 0xFF_u8 >> (bits % 8) };
        (mask.last().copied().unwrap_or(0) & padding == 0).then_some(mask)
    }

    /// A length that follows what it measures: base 256, least significant byte first, no terminator.
    #[inline]
    pub(crate) fn measure(&mut self, length: usize) -> Option<()> {
        let mut left = length;
        loop {
            if usize::from(self.u8()?) != left & 0xFF {
                return None;
            }
            left >>= 8;
            if left == 0 {
                return Some(());
            }
        }
    }

    /// A string of ASCII that is not null.
    #[inline]
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let units = self.varint()?.checked_sub(1)?;
        self.raw(units).filter(|text| text.is_ascii())
    }

    /// A number of at most 35 bits, in its shortest form.
    #[inline]
    fn varint(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.u8()?;
            value |= usize::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return (byte != 0 || shift == 0).then_some(value);
            }
        }
        None
    }

    /// UTF-16 units of one to three bytes.
    #[inline]
    fn skip_units(&mut self, units: usize) -> Option<()> {
        if self.rest.get(..units)?.is_ascii() {
            return self.raw(units).map(|_| ());
        }
        (0..units).try_for_each(|_| self.varint().filter(|unit| *unit <= 0xFFFF).map(|_| ()))
    }

    /// Steps over a value.
    pub(crate) fn skip(&mut self, serializer: &TypeSerializer) -> Option<()> {
        self.part()?;
        match serializer {
            TypeSerializer::Simple(simple) => self.skip_simple(*simple),
            TypeSerializer::Pojo(pojo) => self.skip_pojo(pojo),
            TypeSerializer::Tuple { fields, .. } => fields.iter().try_for_each(|field| self.skip(&field.serializer)),
            TypeSerializer::Row { with_kind, fields } => self.skip_row(*with_kind, fields),
            TypeSerializer::Enum { constants, .. } => (self.constant()? < constants.len()).then_some(()),
            TypeSerializer::External(inner) => self.skip(&inner.serializer),
            TypeSerializer::Nullable { padding, inner } => {
                if self.null(*padding)? {
                    return Some(());
                }
                self.skip(&inner.serializer)
            }
            TypeSerializer::Either(left, right) => {
                let side = if self.flag()? { left } else { right };
                self.skip(&side.serializer)
            }
            TypeSerializer::List(element) => {
                let count = self.count(1)?;
                (0..count).try_for_each(|_| self.skip(&element.serializer))
            }
            TypeSerializer::GenericArray { component, .. } => {
                let count = self.count(1)?;
                (0..count).try_for_each(|_| if self.flag()? { self.skip(&component.serializer) } else { Some(()) })
            }
            TypeSerializer::Set(element) => {
                let count = self.count(1)?;
                (0..count).try_for_each(|_| self.skip_unless_null(element))
            }
            TypeSerializer::Map(key, value) | TypeSerializer::SortedMap(key, value) => {
                let count = self.count(1)?;
                (0..count).try_for_each(|_| {
                    self.skip(&key.serializer)?;
                    self.skip_unless_null(value)
                })
            }
            _ => None,
        }
    }

    fn skip_unless_null(&mut self, value: &Snapshot) -> Option<()> {
        if self.flag()? { Some(()) } else { self.skip(&value.serializer) }
    }

    fn skip_pojo(&mut self, pojo: &Pojo) -> Option<()> {
        if self.no_object()? {
            return Some(());
        }
        for field in &pojo.fields {
            if !self.flag()? {
                self.skip(&field.serializer.as_ref()?.serializer)?;
            }
        }
        Some(())
    }

    fn skip_row(&mut self, with_kind: bool, fields: &[Snapshot]) -> Option<()> {
        let kind_bits = if with_kind { 2 } else { 0 };
        let mask = self.mask(fields.len().saturating_add(kind_bits))?;
        for (index, field) in fields.iter().enumerate() {
            self.part()?;
            if !bit(mask, index.saturating_add(kind_bits)) {
                self.skip(&field.serializer)?;
            }
        }
        Some(())
    }

    fn skip_simple(&mut self, simple: Simple) -> Option<()> {
        match simple {
            Simple::Byte | Simple::ByteValue => self.array::<1>().map(|_| ()),
            Simple::Short | Simple::ShortValue | Simple::Char | Simple::CharValue => self.array::<2>().map(|_| ()),
            Simple::Int | Simple::IntValue | Simple::Float | Simple::FloatValue => self.array::<4>().map(|_| ()),
            Simple::Long
            | Simple::LongValue
            | Simple::Double
            | Simple::DoubleValue
            | Simple::Date
            | Simple::SqlDate
            | Simple::SqlTime => self.array::<8>().map(|_| ()),
            Simple::SqlTimestamp | Simple::Instant => self.array::<12>().map(|_| ()),
            Simple::TimeWindow => self.array::<16>().map(|_| ()),
            Simple::Boolean | Simple::BooleanValue => self.flag().map(|_| ()),
            Simple::Void | Simple::VoidNamespace | Simple::DataView | Simple::GlobalWindow => self.expect(0),
            Simple::String => match self.varint()?.checked_sub(1) {
                Some(units) => self.skip_units(units),
                None => Some(()),
            },
            Simple::StringValue => {
                let units = self.varint()?;
                self.skip_units(units)
            }
            Simple::ByteArray => self.skip_items(1),
            Simple::CharArray | Simple::ShortArray => self.skip_items(2),
            Simple::IntArray | Simple::FloatArray => self.skip_items(4),
            Simple::LongArray | Simple::DoubleArray => self.skip_items(8),
            _ => None,
        }
    }

    fn skip_items(&mut self, width: usize) -> Option<()> {
        let count = self.count(width)?;
        self.raw(count.checked_mul(width)?).map(|_| ())
    }
}

/// A bit of a [mask](Usual::mask).
#[inline]
pub(crate) fn bit(mask: &[u8], bit: usize) -> bool {
    mask.get(bit / 8).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0)
}
