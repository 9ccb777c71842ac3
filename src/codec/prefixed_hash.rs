//! XXH3-64 of a length-prefixed string, without putting the prefix in front of it.
//!
//! The key-group hash covers the serialized key, and a serialized string begins with its length. Writing both side by side
//! and reading them back in words that lie across the seam makes the processor wait until the writes have reached the
//! cache, which keeps it from starting on the next key while it waits for the memory of this one. So the first word is put
//! together in a register here, and everything else is read from where the string lies.
//!
//! Follows the specification of XXH3 (xxHash 0.8, seed 0, default secret) for inputs of up to 128 bytes.

/// The first 128 bytes of the default secret, as little-endian words.
const SECRET: [u64; 16] = [
    0xBE4B_A423_396C_FEB8,
    0x1CAD_21F7_2C81_017C,
    0xDB97_9083_E96D_D4DE,
    0x1F67_B3B7_A4A4_4072,
    0x78E5_C0CC_4EE6_79CB,
    0x2172_FFCC_7DD0_5A82,
    0x8E24_43F7_7446_08B8,
    0x4C26_3A81_E690_35E0,
    0xCB00_C391_BB52_283C,
    0xA32E_531B_8B65_D088,
    0x4EF9_0DA2_9748_6471,
    0xD8AC_DEA9_46EF_1938,
    0x3F34_9CE3_3F76_FAA8,
    0x1D4F_0BC7_C7BB_DCF9,
    0x3159_B4CD_4BE0_518A,
    0x6473_78D9_C97E_9FC8,
];

const PRIME64_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME_MX1: u64 = 0x1656_6791_9E37_79F9;
const PRIME_MX2: u64 = 0x9FB2_1C65_1E98_DF25;

/// XXH3-64 of the varint length of `bytes` followed by `bytes`. `None` where that is not worth a way of its own: below 4
/// and above 127 bytes.
#[inline]
pub(crate) fn length_prefixed_xxh3(bytes: &[u8]) -> Option<u64> {
    let prefix = u64::try_from(bytes.len()).ok()?;
    let length = prefix.wrapping_add(1);
    match bytes.len() {
        4..=7 => {
            let first = prefix | half_word(bytes, 0)? << 8 & 0xFFFF_FF00;
            let last = half_word(bytes, bytes.len().wrapping_sub(4))?;
            Some(mix_half_words(first, last, length))
        }
        8..=15 => {
            let first = prefix | word(bytes, 0)? << 8;
            let last = word(bytes, bytes.len().wrapping_sub(8))?;
            Some(mix_words(first, last, length))
        }
        16..=127 => long(bytes, prefix, length),
        _ => None,
    }
}

/// Inputs of 4 to 8 bytes.
#[inline]
fn mix_half_words(first: u64, last: u64, length: u64) -> u64 {
    let [_, one, two, ..] = SECRET;
    let mut hash = last.wrapping_add(first << 32) ^ one ^ two;
    hash ^= hash.rotate_left(49) ^ hash.rotate_left(24);
    hash = hash.wrapping_mul(PRIME_MX2);
    hash ^= (hash >> 35).wrapping_add(length);
    hash = hash.wrapping_mul(PRIME_MX2);
    hash ^ hash >> 28
}

/// Inputs of 9 to 16 bytes.
#[inline]
fn mix_words(first: u64, last: u64, length: u64) -> u64 {
    let [_, _, _, three, four, five, six, ..] = SECRET;
    let (low, high) = (first ^ three ^ four, last ^ five ^ six);
    avalanche(length.wrapping_add(low.swap_bytes()).wrapping_add(high).wrapping_add(folded_product(low, high)))
}

/// Inputs of 17 to 128 bytes: pairs of words from both ends, the outer ones last.
#[inline]
fn long(bytes: &[u8], prefix: u64, length: u64) -> Option<u64> {
    // The offset of input byte `i` in `bytes` is `i - 1`.
    let from_end = |distance: usize| bytes.len().checked_sub(distance);
    let mut sum = length.wrapping_mul(PRIME64_1);
    if length > 96 {
        sum = sum.wrapping_add(pair(bytes, 47, 12)?).wrapping_add(pair(bytes, from_end(64)?, 14)?);
    }
    if length > 64 {
        sum = sum.wrapping_add(pair(bytes, 31, 8)?).wrapping_add(pair(bytes, from_end(48)?, 10)?);
    }
    if length > 32 {
        sum = sum.wrapping_add(pair(bytes, 15, 4)?).wrapping_add(pair(bytes, from_end(32)?, 6)?);
    }
    let first = prefix | word(bytes, 0)? << 8;
    sum = sum.wrapping_add(folded(first, word(bytes, 7)?, 0)?).wrapping_add(pair(bytes, from_end(16)?, 2)?);
    Some(avalanche(sum))
}

/// Two neighbouring words, folded with two words of the secret.
#[inline]
fn pair(bytes: &[u8], at: usize, secret: usize) -> Option<u64> {
    folded(word(bytes, at)?, word(bytes, at.wrapping_add(8))?, secret)
}

#[inline]
fn folded(low: u64, high: u64, secret: usize) -> Option<u64> {
    Some(folded_product(low ^ SECRET.get(secret)?, high ^ SECRET.get(secret.wrapping_add(1))?))
}

#[inline]
fn folded_product(a: u64, b: u64) -> u64 {
    let (low, high) = a.carrying_mul(b, 0);
    low ^ high
}

#[inline]
fn avalanche(mut hash: u64) -> u64 {
    hash ^= hash >> 37;
    hash = hash.wrapping_mul(PRIME_MX1);
    hash ^ hash >> 32
}

/// Eight bytes as a little-endian number.
#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_be_bytes(*chunk).swap_bytes())
}

/// Four bytes as a little-endian number.
#[inline]
fn half_word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from(u32::from_be_bytes(*chunk).swap_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::Writer;
    use super::super::checksum::xxh3;
    use super::*;

    #[test]
    fn agrees_with_the_hash_of_the_serialized_string_at_every_length() {
        let mut seed = 1u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u8::try_from(seed >> 56).unwrap()
        };
        for length in 0..=300 {
            for _ in 0..8 {
                let bytes: Vec<u8> = (0..length).map(|_| random()).collect();
                let mut written = Writer::new();
                written.bytes(&bytes);
                let expected = (4..128).contains(&length).then(|| xxh3(written.as_slice()));
                assert_eq!(length_prefixed_xxh3(&bytes), expected, "length {length}");
            }
        }
    }
}
