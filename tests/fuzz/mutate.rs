//! Changes of bytes as a fuzzer makes them, from a seed.

/// Numbers from a seed: SplitMix64.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, or 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound.max(1)
    }

    fn byte(&mut self) -> u8 {
        const TELLING: [u8; 8] = [0, 1, 2, 3, 0x7F, 0x80, 0xFE, 0xFF];
        match self.below(3) {
            0 => self.next() as u8,
            _ => TELLING[self.below(TELLING.len())],
        }
    }
}

/// Bytes that have nothing to do with any format.
pub(super) fn noise(numbers: &mut Numbers) -> Vec<u8> {
    (0..numbers.below(200)).map(|_| numbers.byte()).collect()
}

/// Changes bytes in up to four places.
pub(super) fn mutate(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        let end = (at + 1 + numbers.below(40)).min(bytes.len());
        match numbers.below(9) {
            _ if bytes.is_empty() => bytes.push(numbers.byte()),
            0..=3 => bytes[at] = numbers.byte(),
            4 | 5 => bytes[at] ^= 1 << numbers.below(8),
            6 => {
                let new: Vec<u8> = (0..=numbers.below(8)).map(|_| numbers.byte()).collect();
                drop(bytes.splice(at..at, new));
            }
            7 => drop(bytes.drain(at..end)),
            _ => {
                let part = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, part));
            }
        }
    }
}

#[test]
fn every_change_happens_and_the_same_seed_gives_the_same() {
    let changed = |seed| {
        let mut bytes = vec![9; 100];
        mutate(&mut bytes, &mut Numbers(seed));
        bytes
    };
    let all: Vec<Vec<u8>> = (0..200).map(changed).collect();
    assert_eq!(all, (0..200).map(changed).collect::<Vec<_>>());
    assert!(all.iter().any(|bytes| bytes.len() > 100) && all.iter().any(|bytes| bytes.len() < 100));
    assert!(all.iter().any(|bytes| bytes.len() == 100 && bytes.iter().any(|byte| *byte != 9)));
    mutate(&mut Vec::new(), &mut Numbers(1));
}
