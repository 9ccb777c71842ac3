//! MessagePack, item by item, as [`rmp_serde`] writes it: every number and length in its shortest form.

use crate::codec::Writer;

const NIL: u8 = 0xC0;
const FALSE: u8 = 0xC2;
const TRUE: u8 = 0xC3;

/// Nil.
#[inline]
pub(super) fn nil(out: &mut Writer) {
    out.u8(NIL);
}

#[inline]
pub(super) fn bool(value: bool, out: &mut Writer) {
    out.u8(if value { TRUE } else { FALSE });
}

/// A signed number.
#[inline]
pub(super) fn signed(value: i64, out: &mut Writer) {
    if let Ok(value) = u64::try_from(value) {
        return unsigned(value, out);
    }
    if let Ok(value) = i8::try_from(value) {
        if value < -32 {
            out.u8(0xD0);
        }
        out.u8(value.cast_unsigned());
    } else if let Ok(value) = i16::try_from(value) {
        out.u8(0xD1);
        out.u16(value.cast_unsigned());
    } else if let Ok(value) = i32::try_from(value) {
        out.u8(0xD2);
        out.u32(value.cast_unsigned());
    } else {
        out.u8(0xD3);
        out.i64(value);
    }
}

/// A number without sign.
#[inline]
pub(super) fn unsigned(value: u64, out: &mut Writer) {
    if let Ok(value) = u8::try_from(value) {
        if value > 0x7F {
            out.u8(0xCC);
        }
        out.u8(value);
    } else if let Ok(value) = u16::try_from(value) {
        out.u8(0xCD);
        out.u16(value);
    } else if let Ok(value) = u32::try_from(value) {
        out.u8(0xCE);
        out.u32(value);
    } else {
        out.u8(0xCF);
        out.u64(value);
    }
}

/// A 32-bit float, by its bits.
#[inline]
pub(super) fn f32(bits: u32, out: &mut Writer) {
    out.u8(0xCA);
    out.u32(bits);
}

/// A 64-bit float, by its bits.
#[inline]
pub(super) fn f64(bits: u64, out: &mut Writer) {
    out.u8(0xCB);
    out.u64(bits);
}

/// Text, which is UTF-8. `None` where it is too long.
#[inline]
pub(super) fn text(text: &[u8], out: &mut Writer) -> Option<()> {
    match u8::try_from(text.len()) {
        Ok(length @ 0..32) => out.u8(0xA0 | length),
        Ok(length) => {
            out.u8(0xD9);
            out.u8(length);
        }
        Err(_) => wide(text.len(), 0xDA, out)?,
    }
    out.raw(text);
    Some(())
}

/// Bytes. `None` where they are too long.
#[inline]
pub(super) fn bytes(bytes: &[u8], out: &mut Writer) -> Option<()> {
    match u8::try_from(bytes.len()) {
        Ok(length) => {
            out.u8(0xC4);
            out.u8(length);
        }
        Err(_) => wide(bytes.len(), 0xC5, out)?,
    }
    out.raw(bytes);
    Some(())
}

/// The beginning of an array. `None` where it is too long.
#[inline]
pub(super) fn array(length: usize, out: &mut Writer) -> Option<()> {
    few(length, 0x90, 0xDC, out)
}

/// The beginning of a map. `None` where it has too many entries.
#[inline]
pub(super) fn map(entries: usize, out: &mut Writer) -> Option<()> {
    few(entries, 0x80, 0xDE, out)
}

fn few(count: usize, marker: u8, wide_marker: u8, out: &mut Writer) -> Option<()> {
    match u8::try_from(count) {
        Ok(count @ 0..16) => {
            out.u8(marker | count);
            Some(())
        }
        _ => wide(count, wide_marker, out),
    }
}

/// A length of two bytes behind `marker`, or of four behind the next marker.
fn wide(length: usize, marker: u8, out: &mut Writer) -> Option<()> {
    if let Ok(length) = u16::try_from(length) {
        out.u8(marker);
        out.u16(length);
    } else {
        out.u8(marker.checked_add(1)?);
        out.u32(u32::try_from(length).ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    fn assert_packed(value: impl Serialize, pack: impl FnOnce(&mut Writer)) {
        let mut packed = Writer::new();
        pack(&mut packed);
        let expected = rmp_serde::to_vec_named(&value).unwrap();
        let head = expected.get(..packed.len()).unwrap_or(&expected);
        assert_eq!(packed.as_slice(), head);
    }

    #[test]
    fn numbers_are_those_of_rmp_serde() {
        let edges = (0..64).flat_map(|bit| {
            let edge = 1i64 << bit;
            [edge.wrapping_sub(1), edge, edge.wrapping_neg(), edge.wrapping_neg().wrapping_sub(1)]
        });
        for number in edges.chain([31, 32, 33, -31, -32, -33]) {
            assert_packed(number, |out| signed(number, out));
            assert_packed(number.cast_unsigned(), |out| unsigned(number.cast_unsigned(), out));
        }
        for number in [0.0, -0.0, f64::NAN, f64::MAX] {
            assert_packed(number, |out| f64(number.to_bits(), out));
        }
        assert_packed(1.5f32, |out| f32(1.5f32.to_bits(), out));
        assert_packed([None, Some(true), Some(false)], |out| {
            array(3, out).unwrap();
            nil(out);
            bool(true, out);
            bool(false, out);
        });
    }

    #[test]
    fn lengths_are_those_of_rmp_serde() {
        for length in [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            let string = "x".repeat(length);
            assert_packed(&string, |out| text(string.as_bytes(), out).unwrap());
            assert_packed(serde_bytes(&string), |out| bytes(string.as_bytes(), out).unwrap());
            assert_packed(vec![1u8; length], |out| array(length, out).unwrap());
            let entries: std::collections::BTreeMap<usize, ()> = (0..length).map(|key| (key, ())).collect();
            assert_packed(entries, |out| map(length, out).unwrap());
        }
    }

    fn serde_bytes(text: &str) -> impl Serialize + '_ {
        struct Bytes<'b>(&'b [u8]);
        impl Serialize for Bytes<'_> {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_bytes(self.0)
            }
        }
        Bytes(text.as_bytes())
    }
}
