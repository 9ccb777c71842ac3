//! Keys, values and the order in which records bring them.

use std::hash::Hash;
use std::hint::black_box;
use std::sync::Arc;

use millpond::backend::Key;
use millpond::backend::KeyedParameters;
use millpond::clock::ManualClock;
use millpond::codec::{Reader, Writer};
use millpond::key_group::MaxParallelism;
use millpond::serializer::{Serializer, SerializerSnapshot, Str, U64, Unit};

use super::Stopwatch;
use super::timing::{Latencies, now};

/// Seed of the order in which existing keys are visited.
const ORDER_SEED: u64 = 42;

/// Seed of the order in which new keys are added.
const NEW_ORDER_SEED: u64 = 4242;

/// Records that are made ready at once, untimed.
const BLOCK: usize = 2048;

/// The hasher of the heap backend, for the maps that it is compared with.
pub(crate) type MapHasher = foldhash::fast::RandomState;

/// A bare map with the backend's hasher.
pub(crate) type BareMap<K, V> = hashbrown::HashMap<K, V, MapHasher>;

/// The SplitMix64 generator.
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    pub(crate) fn new(seed: u64) -> Self {
        SplitMix64(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        let next = mix(self.0);
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        next
    }

    /// A number below `bound`, by multiplying the upper half.
    fn below(&mut self, bound: u64) -> u64 {
        ((self.next() >> 32) * bound) >> 32
    }
}

/// The finalizer of SplitMix64: a bijection.
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The numbers below `n`, shuffled.
pub(crate) fn permutation(n: usize, seed: u64) -> Arc<[u32]> {
    let mut order: Vec<u32> = (0..).take(n).collect();
    let mut random = SplitMix64::new(seed);
    for last in (1..n).rev() {
        order.swap(last, random.below(last as u64 + 1) as usize);
    }
    order.into()
}

/// What a record is for.
pub(crate) trait FromId {
    /// What has this id.
    fn of(id: u64) -> Self;
}

/// A type of key that the workload knows.
pub(crate) trait RecordKey: FromId + Key + Hash + Ord {
    /// Name in the results.
    const NAME: &'static str;

    type Serializer: Serializer<Value = Self> + Clone;

    const SERIALIZER: Self::Serializer;

    /// Sets a value of a bare map in the way that suits the key: a number is inserted, a string is cloned only if it is not
    /// there yet.
    fn put<V>(map: &mut BareMap<Self, V>, key: &Self, value: V);
}

impl FromId for u64 {
    fn of(id: u64) -> u64 {
        id
    }
}

impl RecordKey for u64 {
    const NAME: &'static str = "long";

    type Serializer = U64;

    const SERIALIZER: U64 = U64;

    #[inline(always)]
    fn put<V>(map: &mut BareMap<u64, V>, key: &u64, value: V) {
        map.insert(*key, value);
    }
}

impl FromId for String {
    fn of(id: u64) -> String {
        format!("{:016x}", mix(id))
    }
}

impl RecordKey for String {
    const NAME: &'static str = "string";

    type Serializer = Str;

    const SERIALIZER: Str = Str;

    #[inline(always)]
    fn put<V>(map: &mut BareMap<String, V>, key: &String, value: V) {
        match map.get_mut(key) {
            Some(slot) => *slot = value,
            None => {
                map.insert(key.clone(), value);
            }
        }
    }
}

/// A type of value, element or user value that the workload knows.
pub(crate) trait Element: Copy + Send + Sync + 'static {
    /// Name in the results.
    const NAME: &'static str;

    type Serializer: Serializer<Value = Self> + Clone;

    const SERIALIZER: Self::Serializer;

    fn random(random: &mut SplitMix64) -> Self;

    /// Reads the value as an operator would.
    fn touch(&self) -> u64;
}

impl Element for u64 {
    const NAME: &'static str = "long";

    type Serializer = U64;

    const SERIALIZER: U64 = U64;

    fn random(random: &mut SplitMix64) -> u64 {
        random.next()
    }

    #[inline(always)]
    fn touch(&self) -> u64 {
        *self
    }
}

impl Element for [u8; 100] {
    const NAME: &'static str = "bytes100";

    type Serializer = Bytes100;

    const SERIALIZER: Bytes100 = Bytes100;

    fn random(random: &mut SplitMix64) -> [u8; 100] {
        let mut bytes = [0; 100];
        for chunk in bytes.chunks_mut(8) {
            let number = random.next().to_be_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
        bytes
    }

    #[inline(always)]
    fn touch(&self) -> u64 {
        u64::from(self[7]) + u64::from(self[92])
    }
}

/// For records that bring no value.
impl Element for () {
    const NAME: &'static str = "-";

    type Serializer = Unit;

    const SERIALIZER: Unit = Unit;

    fn random(_random: &mut SplitMix64) {}

    #[inline(always)]
    fn touch(&self) -> u64 {
        0
    }
}

/// `[u8; 100]`, in the layout of a byte string.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes100;

impl Serializer for Bytes100 {
    type Value = [u8; 100];

    fn snapshot(&self) -> SerializerSnapshot {
        SerializerSnapshot::Bytes
    }

    fn write(&self, value: &[u8; 100], out: &mut Writer) -> millpond::Result<()> {
        out.bytes(value);
        Ok(())
    }

    fn read(&self, input: &mut Reader<'_>) -> millpond::Result<[u8; 100]> {
        let start = input.clone();
        let bytes = input.bytes("bytes")?;
        bytes.try_into().map_err(|error| start.corrupt("bytes", "are not 100").because(error))
    }
}

/// Records for keys, in shuffled order, over and over again. Keys and values are fresh for every record and made outside
/// of what is timed.
pub(crate) struct Records<K, V> {
    order: Arc<[u32]>,
    first_id: u64,
    cursor: usize,
    random: SplitMix64,
    block: Vec<(K, V)>,
}

impl<K: FromId, V: Element> Records<K, V> {
    fn new(order: Arc<[u32]>, first_id: u64) -> Self {
        Records { order, first_id, cursor: 0, random: SplitMix64::new(0xABCDEF), block: Vec::with_capacity(BLOCK) }
    }

    /// Records for keys that are there.
    pub(crate) fn existing(order: &Arc<[u32]>) -> Self {
        Self::new(Arc::clone(order), 0)
    }

    /// Records for `count` keys above the `n` that are there.
    pub(crate) fn fresh(n: usize, count: usize) -> Self {
        Self::new(permutation(count, NEW_ORDER_SEED), n as u64)
    }

    fn prepare(&mut self, count: usize) {
        self.block.clear();
        for _ in 0..count {
            let key = K::of(self.first_id + u64::from(self.order[self.cursor]));
            self.block.push((key, V::random(&mut self.random)));
            self.cursor = (self.cursor + 1) % self.order.len();
        }
    }

    /// Works off the next `count` records. What `work` returns is added up, so that it cannot be optimized away.
    pub(crate) fn walk(&mut self, watch: &mut Stopwatch, count: usize, mut work: impl FnMut(&K, V) -> u64) {
        let mut left = count;
        while left > 0 {
            let now = left.min(BLOCK);
            self.prepare(now);
            watch.time(now, || self.block.iter().fold(0, |sum: u64, (key, value)| sum.wrapping_add(work(key, *value))));
            left -= now;
        }
    }

    /// As [`walk`](Self::walk), timing every record by itself.
    pub(crate) fn walk_timing_each(
        &mut self,
        latencies: &mut Latencies,
        count: usize,
        mut work: impl FnMut(&K, V) -> u64,
    ) {
        self.prepare(count);
        let mut last = now();
        for (key, value) in &self.block {
            black_box(work(key, *value));
            let next = now();
            latencies.record(next - last);
            last = next;
        }
    }

    /// As [`walk`](Self::walk), from the first record on.
    pub(crate) fn walk_anew(&mut self, watch: &mut Stopwatch, count: usize, work: impl FnMut(&K, V) -> u64) {
        self.cursor = 0;
        self.walk(watch, count, work);
    }
}

/// The order in which `n` existing keys are visited.
pub(crate) fn visiting_order(n: usize) -> Arc<[u32]> {
    permutation(n, ORDER_SEED)
}

/// A backend that holds all of 128 key groups.
pub(crate) fn parameters() -> KeyedParameters {
    let max_parallelism = MaxParallelism::new(128).expect("a valid max parallelism");
    KeyedParameters {
        operator: "benchmark".to_owned(),
        max_parallelism,
        range: max_parallelism.all_groups(),
        clock: Arc::new(ManualClock::new(0)),
    }
}
