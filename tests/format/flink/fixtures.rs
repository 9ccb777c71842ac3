//! Where the snapshots of real Flink lie: a few in the repository, all of them in a shared directory that may be absent.

#![expect(clippy::disallowed_methods, reason = "fixtures are plain files")]

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

/// One snapshot of a fixture, with its ground truth.
#[derive(Debug, Clone)]
pub(crate) struct Fixture {
    /// `VERSION/SET/FIXTURE` and, where there are several, the snapshot.
    pub(crate) name: String,
    /// What the lab calls the kind of snapshot.
    pub(crate) kind: String,
    pub(crate) directory: PathBuf,
    snapshot: String,
    expected: String,
}

impl Fixture {
    /// The directory that holds `_metadata`.
    pub(crate) fn snapshot(&self) -> PathBuf {
        self.directory.join(&self.snapshot)
    }

    pub(crate) fn metadata_bytes(&self) -> Vec<u8> {
        read(&self.snapshot().join("_metadata"))
    }

    /// What Flink's own reader says of `_metadata`.
    pub(crate) fn metadata_json(&self) -> Json {
        json(&self.directory.join(self.expected.replace("expected", "metadata")))
    }

    /// The file with what the job that wrote the snapshot says is in it.
    pub(crate) fn expected_path(&self) -> PathBuf {
        self.directory.join(&self.expected)
    }

    /// What the job that wrote the snapshot says is in it.
    pub(crate) fn expected_json(&self) -> Json {
        json(&self.directory.join(&self.expected))
    }

    /// What the job says was in its state when the snapshot was taken, records in flight included, where that is not
    /// what it became in the end.
    pub(crate) fn at_snapshot_json(&self) -> Option<Json> {
        self.at_snapshot_path().map(|path| json(&path))
    }

    /// The file with what the job says was in its state when the snapshot was taken, where that is not what it became.
    pub(crate) fn at_snapshot_path(&self) -> Option<PathBuf> {
        let path = self.directory.join("at-snapshot.json");
        path.exists().then_some(path)
    }

    /// What the job says was in its state when the snapshot was taken.
    pub(crate) fn state_json(&self) -> Json {
        self.at_snapshot_json().unwrap_or_else(|| self.expected_json())
    }
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(path: &Path) -> Json {
    serde_json::from_slice(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fixtures in the repository.
pub(crate) fn committed() -> Vec<Fixture> {
    let found = list(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/flink"));
    assert!(!found.is_empty(), "the repository's own fixtures are missing");
    found
}

/// Every fixture: those of the shared directory and those that only the repository has, or only the latter.
pub(crate) fn all() -> Vec<Fixture> {
    let shared = match std::env::var_os("MILLPOND_SHARED") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
    };
    let root = shared.join("flink/fixtures");
    let mut found = list(&root);
    if found.is_empty() {
        println!("{} has no fixtures: only those of the repository are used", root.display());
    }
    let mut more = committed();
    more.retain(|fixture| found.iter().all(|shared| shared.name != fixture.name));
    found.extend(more);
    found
}

/// The fixtures that `VERSION/index.tsv` below `root` lists.
pub(crate) fn list(root: &Path) -> Vec<Fixture> {
    let Ok(entries) = std::fs::read_dir(root) else { return Vec::new() };
    let mut versions: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    versions.iter().filter(|version| version.join("index.tsv").exists()).flat_map(|version| index(version)).collect()
}

fn index(version: &Path) -> Vec<Fixture> {
    let text = String::from_utf8(read(&version.join("index.tsv"))).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let column = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let (fixture, expected, kind, snapshot) =
        (column("fixture"), column("expected"), column("kind"), column("snapshot"));
    lines
        .map(|line| {
            let (directory, file) = line[expected].rsplit_once('/').unwrap();
            let tail = file.strip_prefix("expected").unwrap().strip_suffix(".json").unwrap();
            Fixture {
                name: format!("{}/{}{tail}", version.file_name().unwrap().display(), line[fixture]),
                kind: line[kind].to_owned(),
                directory: version.join(directory),
                snapshot: line[snapshot].to_owned(),
                expected: file.to_owned(),
            }
        })
        .collect()
}

/// SHA-256, which the ground truth uses, in lower-case hex (FIPS 180-4).
pub(crate) fn sha256(message: &[u8]) -> String {
    let mut state: [u32; 8] = fractions(2, 8).try_into().unwrap();
    let rounds: [u32; 64] = fractions(3, 64).try_into().unwrap();
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() - message.len() < 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let bits = u64::try_from(message.len()).unwrap() * 8;
    let end = padded.len();
    padded[end - 8..].copy_from_slice(&bits.to_be_bytes());
    for block in padded.chunks_exact(64) {
        compress(&mut state, block, &rounds);
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}

/// The first 32 bits of the fractional parts of the square (2) or cube (3) roots of the first `count` primes.
fn fractions(root: u32, count: usize) -> Vec<u32> {
    let is_prime = |n: &u128| (2..*n).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (2u128..)
        .filter(is_prime)
        .take(count)
        .map(|prime| {
            let target = prime << (32 * root);
            let (mut low, mut high) = (0u128, 1u128 << 40);
            while high - low > 1 {
                let middle = low.midpoint(high);
                if middle.pow(root) <= target { low = middle } else { high = middle }
            }
            u32::try_from(low & 0xFFFF_FFFF).unwrap()
        })
        .collect()
}

fn compress(state: &mut [u32; 8], block: &[u8], rounds: &[u32; 64]) {
    let mut w: Vec<u32> = block.chunks_exact(4).map(|word| u32::from_be_bytes(word.try_into().unwrap())).collect();
    for i in 16..64 {
        let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
        let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
        w.push(w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1));
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for i in 0..64 {
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let t1 = h.wrapping_add(s1).wrapping_add((e & f) ^ (!e & g)).wrapping_add(rounds[i]).wrapping_add(w[i]);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let t2 = s0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
        (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(t1), c, b, a, t1.wrapping_add(t2));
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(add);
    }
}

#[test]
fn sha256_knows_its_vectors() {
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    let long = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    assert_eq!(sha256(long.as_bytes()), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}
