//! Where the choices of a sequence come from.

use std::collections::VecDeque;

use crate::random::{RandomSource, SeededRandom};

/// A source of choices: endless from a seed, limited from bytes.
#[derive(Debug)]
pub(super) enum Choices {
    Seed(SeededRandom),
    Bytes(VecDeque<u8>),
}

impl Choices {
    pub(super) fn of_seed(seed: u64) -> Self {
        Choices::Seed(SeededRandom::new(seed))
    }

    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        Choices::Bytes(bytes.to_vec().into())
    }

    /// Whether there is nothing left to choose by.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Choices::Seed(_) => false,
            Choices::Bytes(bytes) => bytes.is_empty(),
        }
    }

    /// A number below `limit`, which is at least 1 and at most 65,536.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let number = match self {
            Choices::Seed(random) => (random.next_u128().unwrap() >> 64) as usize,
            Choices::Bytes(bytes) if limit <= 256 => usize::from(bytes.pop_front().unwrap_or(0)),
            Choices::Bytes(bytes) => {
                usize::from(bytes.pop_front().unwrap_or(0)) << 8 | usize::from(bytes.pop_front().unwrap_or(0))
            }
        };
        number % limit
    }

    /// A number below `count`. Where there is nothing to choose, nothing is drawn.
    pub(super) fn of_several(&mut self, count: usize) -> usize {
        if count > 1 { self.below(count) } else { 0 }
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}
