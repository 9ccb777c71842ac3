//! MessagePack, item by item, as [`rmp_serde`] writes it: every number and length in its shortest form. `None` is a length
//! that MessagePack does not have.

use rmp::encode;

use crate::codec::Writer;

/// Nil.
#[inline]
pub(super) fn nil(out: &mut Writer) -> Option<()> {
    encode::write_nil(out).ok()
}

#[inline]
pub(super) fn bool(value: bool, out: &mut Writer) -> Option<()> {
    encode::write_bool(out, value).ok()
}

/// A signed number.
#[inline]
pub(super) fn signed(value: i64, out: &mut Writer) -> Option<()> {
    encode::write_sint(out, value).ok().map(drop)
}

/// A number without sign.
#[inline]
pub(super) fn unsigned(value: u64, out: &mut Writer) -> Option<()> {
    encode::write_uint(out, value).ok().map(drop)
}

#[inline]
pub(super) fn f32(value: f32, out: &mut Writer) -> Option<()> {
    encode::write_f32(out, value).ok()
}

#[inline]
pub(super) fn f64(value: f64, out: &mut Writer) -> Option<()> {
    encode::write_f64(out, value).ok()
}

/// Text, which is UTF-8.
#[inline]
pub(super) fn text(text: &[u8], out: &mut Writer) -> Option<()> {
    encode::write_str_len(out, u32::try_from(text.len()).ok()?).ok()?;
    out.raw(text);
    Some(())
}

/// Bytes.
#[inline]
pub(super) fn bytes(bytes: &[u8], out: &mut Writer) -> Option<()> {
    encode::write_bin(out, bytes).ok()
}

/// The beginning of an array.
#[inline]
pub(super) fn array(length: usize, out: &mut Writer) -> Option<()> {
    encode::write_array_len(out, u32::try_from(length).ok()?).ok().map(drop)
}

/// The beginning of a map.
#[inline]
pub(super) fn map(entries: usize, out: &mut Writer) -> Option<()> {
    encode::write_map_len(out, u32::try_from(entries).ok()?).ok().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    fn assert_packed(value: impl Serialize, pack: impl FnOnce(&mut Writer) -> Option<()>) {
        let mut packed = Writer::new();
        pack(&mut packed).unwrap();
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
            assert_packed(number, |out| f64(number, out));
        }
        assert_packed(1.5f32, |out| f32(1.5, out));
        assert_packed([None, Some(true), Some(false)], |out| {
            array(3, out)?;
            nil(out)?;
            bool(true, out)?;
            bool(false, out)
        });
    }

    #[test]
    fn lengths_are_those_of_rmp_serde() {
        for length in [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            let string = "x".repeat(length);
            assert_packed(&string, |out| text(string.as_bytes(), out));
            assert_packed(serde_bytes(&string), |out| bytes(string.as_bytes(), out));
            assert_packed(vec![1u8; length], |out| array(length, out));
            let entries: std::collections::BTreeMap<usize, ()> = (0..length).map(|key| (key, ())).collect();
            assert_packed(entries, |out| map(length, out));
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
