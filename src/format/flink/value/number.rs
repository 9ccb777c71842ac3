use std::fmt;

/// `java.math.BigInteger`: two's complement, most significant byte first, never empty. `Display` is decimal and takes
/// time quadratic in the length.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BigInteger(Vec<u8>);

/// `java.math.BigDecimal`: `unscaled * 10^-scale`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BigDecimal {
    /// The digits.
    pub unscaled: BigInteger,
    /// Number of digits after the point; negative for powers of ten.
    pub scale: i32,
}

impl BigInteger {
    /// The number of two's complement bytes; none at all is zero. Superfluous leading bytes are dropped, so that equal
    /// numbers are equal.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        while let [first @ (0x00 | 0xFF), second, ..] = rest
            && (first ^ second) & 0x80 == 0
        {
            rest = rest.get(1..).unwrap_or_default();
        }
        BigInteger(if rest.is_empty() { vec![0] } else { rest.to_vec() })
    }

    /// Reads decimal digits behind an optional sign; `None` for anything else. Takes time quadratic in the length.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // The magnitude, least significant byte first, with room for a sign.
        let mut magnitude: Vec<u8> = vec![0];
        for digit in digits.bytes() {
            let mut carry = u16::from(digit.saturating_sub(b'0'));
            for byte in &mut magnitude {
                let [high, low] = u16::from(*byte).saturating_mul(10).saturating_add(carry).to_be_bytes();
                *byte = low;
                carry = u16::from(high);
            }
            if carry > 0 {
                let [_, low] = carry.to_be_bytes();
                magnitude.push(low);
            }
        }
        magnitude.push(0);
        if negative {
            let mut carry = true;
            for byte in &mut magnitude {
                let (negated, overflow) = (!*byte).overflowing_add(u8::from(carry));
                *byte = negated;
                carry = overflow;
            }
        }
        magnitude.reverse();
        Some(BigInteger::from_bytes(&magnitude))
    }

    /// Two's complement, most significant byte first, in the fewest bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the number is below zero.
    pub fn is_negative(&self) -> bool {
        self.0.first().is_some_and(|byte| byte & 0x80 != 0)
    }

    /// The number, if it fits.
    pub fn to_i64(&self) -> Option<i64> {
        if self.0.len() > 8 {
            return None;
        }
        let fill = if self.is_negative() { -1 } else { 0 };
        Some(self.0.iter().fold(fill, |number, byte| (number << 8) | i64::from(*byte)))
    }

    /// The absolute value as words of 32 bits, most significant first, without leading zero words.
    pub fn magnitude(&self) -> Vec<u32> {
        let mut bytes = self.0.clone();
        if self.is_negative() {
            let mut carry = true;
            for byte in bytes.iter_mut().rev() {
                let (negated, overflow) = (!*byte).overflowing_add(u8::from(carry));
                *byte = negated;
                carry = overflow;
            }
        }
        let mut words: Vec<u32> =
            bytes.rchunks(4).map(|chunk| chunk.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte))).collect();
        words.reverse();
        let zeros = words.iter().take_while(|word| **word == 0).count();
        words.drain(..zeros);
        words
    }

    /// `BigInteger.hashCode()`.
    pub fn java_hash(&self) -> i32 {
        let hash = self
            .magnitude()
            .into_iter()
            .fold(0i32, |hash, word| hash.wrapping_mul(31).wrapping_add(word.cast_signed()));
        if self.is_negative() { hash.wrapping_neg() } else { hash }
    }
}

impl From<i64> for BigInteger {
    fn from(number: i64) -> Self {
        BigInteger::from_bytes(&number.to_be_bytes())
    }
}

impl fmt::Display for BigInteger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHUNK: u64 = 1_000_000_000;
        let mut words = self.magnitude();
        let mut chunks = Vec::new();
        while !words.is_empty() {
            let mut remainder = 0u64;
            for word in &mut words {
                let value = (remainder << 32) | u64::from(*word);
                *word = u32::try_from(value / CHUNK).unwrap_or(u32::MAX);
                remainder = value % CHUNK;
            }
            chunks.push(remainder);
            let zeros = words.iter().take_while(|word| **word == 0).count();
            words.drain(..zeros);
        }
        if self.is_negative() {
            f.write_str("-")?;
        }
        let Some(first) = chunks.pop() else { return f.write_str("0") };
        write!(f, "{first}")?;
        chunks.iter().rev().try_for_each(|chunk| write!(f, "{chunk:09}"))
    }
}

impl fmt::Display for BigDecimal {
    /// Digits with a point where the scale is positive, else digits and an exponent: `12.34`, `5E+3`. A scale beyond the
    /// digits by more than twenty is an exponent, too, so that the text is not much longer than the number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.unscaled.to_string();
        let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
        if self.scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        match usize::try_from(self.scale) {
            Ok(scale) if scale < digits.len() => {
                let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
                write!(f, "{sign}{whole}.{fraction}")
            }
            Ok(scale) if scale <= digits.len().saturating_add(20) => write!(f, "{sign}0.{digits:0>scale$}"),
            _ => write!(f, "{sign}{digits}E{:+}", i64::from(self.scale).saturating_neg()),
        }
    }
}

impl BigDecimal {
    /// The number of a text that `Display` wrote; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, exponent) = match text.split_once('E') {
            Some((digits, exponent)) => (digits, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        let unscaled = BigInteger::parse(&format!("{whole}{fraction}"))?;
        Some(BigDecimal { unscaled, scale: i32::try_from(scale).ok()? })
    }

    /// `BigDecimal.hashCode()`.
    pub fn java_hash(&self) -> i32 {
        let digits = match self.unscaled.to_i64() {
            Some(number) => {
                let magnitude = number.unsigned_abs();
                let high = i32::from_be_bytes(half(magnitude >> 32));
                let low = i32::from_be_bytes(half(magnitude & 0xFFFF_FFFF));
                let hash = high.wrapping_mul(31).wrapping_add(low);
                if number < 0 { hash.wrapping_neg() } else { hash }
            }
            None => self.unscaled.java_hash(),
        };
        digits.wrapping_mul(31).wrapping_add(self.scale)
    }
}

/// The low four bytes of a number.
fn half(number: u64) -> [u8; 4] {
    let [.., a, b, c, d] = number.to_be_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod parse_tests {
    use super::*;

    #[test]
    fn what_is_shown_is_parsed() {
        let bytes: [&[u8]; 7] = [&[0], &[0x7F], &[0x80], &[1, 0], &[0xFF, 0x7F], &[0x12; 20], &[0xEE; 20]];
        for number in bytes.map(BigInteger::from_bytes) {
            assert_eq!(BigInteger::parse(&number.to_string()), Some(number.clone()), "{number}");
            for scale in [0, 1, 3, 17, 50, 90, -4, i32::MAX, i32::MIN] {
                let decimal = BigDecimal { unscaled: number.clone(), scale };
                let shown = decimal.to_string();
                assert_eq!(BigDecimal::parse(&shown).map(|parsed| parsed.to_string()), Some(shown), "{scale}");
                assert_eq!(BigDecimal::parse(&decimal.to_string()), Some(decimal));
            }
        }
        assert!(["", "-", "1x", "0x1", "1.2.3", "1E"].iter().all(|text| BigDecimal::parse(text).is_none()));
    }
}
