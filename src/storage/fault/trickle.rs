//! Reading in pieces.

use std::io::{self, Read};

/// Gives the bytes of a reader as a pipe or a network may: one, a few or as many as asked for at a time, with
/// interruptions in between, and nothing into an empty buffer. Which it is follows from the seed.
#[derive(Debug)]
pub struct Trickle<R> {
    inner: R,
    state: u64,
    interrupted: bool,
}

impl<R: Read> Trickle<R> {
    /// The same bytes in pieces. Seed 0 gives single bytes only.
    pub fn new(inner: R, seed: u64) -> Self {
        Trickle { inner, state: seed, interrupted: false }
    }

    /// The next number below `bound`: xorshift, so that 0 stays 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.checked_rem(bound).unwrap_or(0)
    }
}

impl<R: Read> Read for Trickle<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.interrupted = !self.interrupted && self.below(4) == 0;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = match self.below(3) {
            0 => 1,
            1 => usize::try_from(self.below(100)).unwrap_or(0).saturating_add(1),
            _ => buffer.len(),
        };
        let piece = buffer.len().min(most);
        self.inner.read(buffer.get_mut(..piece).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_single_bytes_or_of_every_length_and_add_up() {
        let bytes: Vec<u8> = (0..5_000u32).map(|number| number as u8).collect();
        for seed in 0..20 {
            let mut input = Trickle::new(bytes.as_slice(), seed);
            let (mut all, mut lengths, mut interruptions) = (Vec::new(), std::collections::BTreeSet::new(), 0);
            assert_eq!(input.read(&mut []).unwrap(), 0);
            loop {
                let mut buffer = [0; 200];
                match input.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) => {
                        lengths.insert(length);
                        all.extend_from_slice(&buffer[..length]);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => interruptions += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(all, bytes, "seed {seed}");
            assert!(interruptions > 0, "seed {seed}");
            let expected = if seed == 0 { lengths == [1].into() } else { lengths.len() > 5 && lengths.contains(&200) };
            assert!(expected, "seed {seed}: {lengths:?}");
        }
    }
}
