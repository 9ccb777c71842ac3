//! Runs: sorted pairs in a file. Each is its lengths and place, key, value; nobody but the process that wrote it reads it.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::PathBuf;

use super::scratch::{Scratch, ScratchFile, unwritten};
use super::{PairVisit, Place};
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::key_group::KeyGroup;

/// Bytes before a key: key group, state, length of the key, length of the value.
const HEADER_BYTES: usize = 2 + 2 + 8 + 8;

/// Writes a run.
pub(super) struct RunWriter {
    path: PathBuf,
    out: BufWriter<Box<dyn Write>>,
    header: Writer,
    length: u64,
}

impl RunWriter {
    pub(super) fn create(scratch: &Scratch, buffer_bytes: usize) -> Result<Self> {
        let (path, file) = scratch.create()?;
        let out = BufWriter::with_capacity(buffer_bytes, file);
        Ok(RunWriter { path, out, header: Writer::new(), length: 0 })
    }

    pub(super) fn pair(&mut self, place: Place, key: &[u8], value: &[u8]) -> Result<()> {
        self.header.clear();
        self.header.u16(place.group.0);
        self.header.u16(place.state);
        self.header.u64(length(key));
        self.header.u64(length(value));
        for part in [self.header.as_slice(), key, value] {
            self.out.write_all(part).map_err(|error| unwritten(&self.path, error))?;
            self.length = self.length.saturating_add(length(part));
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<ScratchFile> {
        self.out.flush().map_err(|error| unwritten(&self.path, error))?;
        Ok(ScratchFile::new(self.path, self.length))
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// A run that is being read.
struct RunReader<'r> {
    file: &'r ScratchFile,
    input: BufReader<Box<dyn Read>>,
    left: u64,
}

/// The next pair of a run.
struct Head {
    place: Place,
    key: Vec<u8>,
    value: Vec<u8>,
    run: usize,
}

impl<'r> RunReader<'r> {
    fn open(file: &'r ScratchFile, buffer_bytes: usize) -> Result<Self> {
        Ok(RunReader { file, input: BufReader::with_capacity(buffer_bytes, file.open()?), left: file.length })
    }

    /// Reads the next pair over the last; `false` at the end.
    fn next(&mut self, head: &mut Head) -> Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        let mut header = [0; HEADER_BYTES];
        self.read(&mut header)?;
        let mut input = Reader::new(&header);
        head.place = Place { group: KeyGroup(input.u16("key group")?), state: input.u16("state")? };
        let (key, value) = (input.u64("length of the key")?, input.u64("length of the value")?);
        if key.saturating_add(value) > self.left {
            return Err(Error::corrupt("a file that was written here was changed; leave the scratch directory alone"));
        }
        self.fill(&mut head.key, key)?;
        self.fill(&mut head.value, value)?;
        Ok(true)
    }

    fn fill(&mut self, bytes: &mut Vec<u8>, length: u64) -> Result<()> {
        let length = usize::try_from(length).map_err(|_| Error::corrupt("an entry does not fit into memory"))?;
        bytes.resize(length, 0);
        self.read(bytes)
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.input.read_exact(bytes).map_err(|error| self.file.unread(error))?;
        self.left = self.left.saturating_sub(length(bytes));
        Ok(())
    }
}

impl Head {
    fn order(&self) -> (Place, &[u8]) {
        (self.place, &self.key)
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// Several runs as one.
pub(super) struct Merge<'r> {
    runs: Vec<RunReader<'r>>,
    heads: BinaryHeap<Reverse<Head>>,
}

impl<'r> Merge<'r> {
    pub(super) fn new(files: &'r [ScratchFile], buffer_bytes: usize) -> Result<Self> {
        let mut runs = Vec::with_capacity(files.len());
        let mut heads = BinaryHeap::with_capacity(files.len());
        for (run, file) in files.iter().enumerate() {
            let mut reader = RunReader::open(file, buffer_bytes)?;
            let place = Place { group: KeyGroup(0), state: 0 };
            let mut head = Head { place, key: Vec::new(), value: Vec::new(), run };
            if reader.next(&mut head)? {
                heads.push(Reverse(head));
            }
            runs.push(reader);
        }
        Ok(Merge { runs, heads })
    }

    /// Gives every pair to `visit`, ascending.
    pub(super) fn run(mut self, visit: PairVisit<'_>) -> Result<()> {
        while let Some(mut least) = self.heads.peek_mut() {
            let Reverse(head) = &mut *least;
            visit(head.place, &head.key, &head.value)?;
            let more = match self.runs.get_mut(head.run) {
                Some(run) => run.next(head)?,
                None => false,
            };
            if !more {
                PeekMut::pop(least);
            }
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "test-util"))]
mod tests {
    use super::*;
    use crate::storage::fault::Trickle;

    /// However the bytes trickle in, every pair is what it was: also those without key, value, or both, at the very end of
    /// the file and at the ends of what is buffered.
    #[test]
    fn s_32_a_run_is_read_in_pieces() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::create_in(directory.path()).unwrap();
        let pairs: Vec<(Place, Vec<u8>, Vec<u8>)> = (0..60_usize)
            .map(|number| {
                let place = Place { group: KeyGroup(number as u16 / 7), state: number as u16 % 7 };
                (place, vec![1; number % 3 * number], vec![2; (number + 1) % 4 * number])
            })
            .chain([(Place { group: KeyGroup(9), state: 0 }, Vec::new(), Vec::new())])
            .collect();
        let mut out = RunWriter::create(&scratch, 64).unwrap();
        pairs.iter().for_each(|(place, key, value)| out.pair(*place, key, value).unwrap());
        let file = out.finish().unwrap();
        for (seed, buffer_bytes) in (0..40).flat_map(|seed| [0, 1, HEADER_BYTES, 4096].map(|bytes| (seed, bytes))) {
            let input: Box<dyn Read> = Box::new(Trickle::new(file.open().unwrap(), seed));
            let input = BufReader::with_capacity(buffer_bytes, input);
            let mut reader = RunReader { file: &file, input, left: file.length };
            let place = Place { group: KeyGroup(0), state: 0 };
            let mut head = Head { place, key: vec![7; 9], value: vec![7; 9], run: 0 };
            for (place, key, value) in &pairs {
                assert!(reader.next(&mut head).unwrap());
                assert_eq!((&head.place, &head.key, &head.value), (place, key, value), "seed {seed}");
            }
            assert!(!reader.next(&mut head).unwrap());
        }
    }

    /// A run that became shorter is an error, not the end.
    #[test]
    fn s_32_a_run_that_ends_early_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::create_in(directory.path()).unwrap();
        let mut out = RunWriter::create(&scratch, 64).unwrap();
        let place = Place { group: KeyGroup(3), state: 1 };
        out.pair(place, b"key", b"value").unwrap();
        let file = out.finish().unwrap();
        for length in 0..file.length {
            let input: Box<dyn Read> = Box::new(Trickle::new(file.open().unwrap().take(length), length));
            let mut reader = RunReader { file: &file, input: BufReader::with_capacity(8, input), left: file.length };
            let mut head = Head { place, key: Vec::new(), value: Vec::new(), run: 0 };
            assert_eq!(reader.next(&mut head).unwrap_err().kind(), crate::ErrorKind::Unavailable, "{length} bytes");
        }
    }
}
