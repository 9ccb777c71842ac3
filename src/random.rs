//! Randomness as an argument.
//!
//! Object names and savepoint directories are random so that two writers never meet under one name. Nothing in this
//! crate draws random numbers on its own: the caller passes a [`RandomSource`], [`SystemRandom`] in production and
//! [`SeededRandom`] where a run has to be repeatable.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// A source of random numbers.
pub trait RandomSource: Send + Sync + std::fmt::Debug {
    /// 128 uniformly distributed bits.
    fn next_u128(&self) -> Result<u128>;
}

/// The operating system's cryptographic generator: one system call a number.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl RandomSource for SystemRandom {
    fn next_u128(&self) -> Result<u128> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::unavailable("the operating system gave no random bytes").because(error))?;
        Ok(u128::from_be_bytes(bytes))
    }
}

/// A repeatable sequence for tests and simulation: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) started at a seed.
///
/// Not for production: two processes with the same seed draw the same names.
#[derive(Debug)]
pub struct SeededRandom(AtomicU64);

impl SeededRandom {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        SeededRandom(AtomicU64::new(seed))
    }

    fn next_u64(&self) -> u64 {
        let state = self.0.fetch_add(Self::STEP, Ordering::Relaxed).wrapping_add(Self::STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl RandomSource for SeededRandom {
    fn next_u128(&self) -> Result<u128> {
        Ok((u128::from(self.next_u64()) << 64) | u128::from(self.next_u64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_sequence() {
        let draw = |seed| {
            let random = SeededRandom::new(seed);
            [random.next_u128().unwrap(), random.next_u128().unwrap()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_ne!(draw(7)[0], draw(7)[1]);
    }

    #[test]
    fn splitmix64_is_the_published_one() {
        // First output for seed 0 of the reference implementation (Vigna, splitmix64.c).
        assert_eq!(SeededRandom::new(0).next_u64(), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn the_system_does_not_repeat_itself() {
        assert_ne!(SystemRandom.next_u128().unwrap(), SystemRandom.next_u128().unwrap());
    }
}
