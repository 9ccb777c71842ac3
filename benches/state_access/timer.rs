//! Timers, beside a binary heap with a set that keeps each timer from being set twice.
//!
//! As in Flink's benchmark, every timer has a key of its own and a random moment. Polling asks for the next moment first,
//! as a timer service does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use millpond::backend::KeyedBackend;
use millpond::backend::handle::TimerHandle;
use millpond::state::{TimeDomain, TimerDescriptor, TimerState};

use super::measure::workload::MapHasher;
use super::measure::workload::RecordKey;
use super::measure::{SplitMix64, Stopwatch};
use super::{Bench, backend, case};

const OPERATIONS: [&str; 3] = ["timerAdd", "timerPoll", "timerPollAdd"];
const BASELINE: &str = "BinaryHeap and HashSet of (ms, K)";
const BLOCK: usize = 512;
const DOMAIN: TimeDomain = TimeDomain::Event;

/// A queue of timers.
trait Queue<K> {
    fn add(&mut self, at_ms: i64, key: &K) -> bool;
    /// Takes the next timer out, if there is one.
    fn poll(&mut self) -> Option<i64>;
    fn next_ms(&mut self) -> Option<i64>;
}

struct Bare<K> {
    heap: BinaryHeap<Reverse<(i64, K)>>,
    set: hashbrown::HashSet<(i64, K), MapHasher>,
}

impl<K: RecordKey> Bare<K> {
    fn new() -> Self {
        Bare { heap: BinaryHeap::new(), set: hashbrown::HashSet::default() }
    }
}

impl<K: RecordKey> Queue<K> for Bare<K> {
    #[inline(always)]
    fn add(&mut self, at_ms: i64, key: &K) -> bool {
        let added = self.set.insert((at_ms, key.clone()));
        if added {
            self.heap.push(Reverse((at_ms, key.clone())));
        }
        added
    }

    #[inline(always)]
    fn poll(&mut self) -> Option<i64> {
        let Reverse(timer) = self.heap.pop()?;
        self.set.remove(&timer);
        Some(timer.0)
    }

    #[inline(always)]
    fn next_ms(&mut self) -> Option<i64> {
        self.heap.peek().map(|Reverse((at_ms, _))| *at_ms)
    }
}

struct Ours<K: RecordKey> {
    backend: KeyedBackend<K::Serializer>,
    timers: TimerHandle,
}

impl<K: RecordKey> Ours<K> {
    fn new() -> Self {
        let mut backend = backend::<K>();
        let timers = backend.register_timers(&TimerDescriptor::new("timers")).expect("timers");
        Ours { backend, timers }
    }
}

impl<K: RecordKey> Queue<K> for Ours<K> {
    #[inline(always)]
    fn add(&mut self, at_ms: i64, key: &K) -> bool {
        let mut context = self.backend.key(key).expect("a key of this subtask");
        context.timers(&self.timers).expect("timers of this backend").register(DOMAIN, at_ms).expect("a timer")
    }

    #[inline(always)]
    fn poll(&mut self) -> Option<i64> {
        let timer = self.backend.pop_due_timer(&self.timers, DOMAIN, i64::MAX).expect("a timer");
        timer.map(|timer| timer.timestamp_ms)
    }

    #[inline(always)]
    fn next_ms(&mut self) -> Option<i64> {
        self.backend.next_timer_ms(&self.timers, DOMAIN).expect("a moment")
    }
}

/// A queue, and the timers that come next.
struct Filling<K, Q> {
    queue: Q,
    random: SplitMix64,
    next_id: u64,
    block: Vec<(i64, K)>,
}

impl<K: RecordKey, Q: Queue<K>> Filling<K, Q> {
    fn new(queue: Q) -> Self {
        Filling { queue, random: SplitMix64::new(99), next_id: 0, block: Vec::with_capacity(BLOCK) }
    }

    fn prepare(&mut self, count: usize, base_ms: i64) {
        self.block.clear();
        for _ in 0..count {
            let at_ms = base_ms + i64::from((self.random.next() >> 32) as u32);
            self.block.push((at_ms, K::of(self.next_id)));
            self.next_id += 1;
        }
    }

    fn add(&mut self, watch: &mut Stopwatch, count: usize) {
        let mut left = count;
        while left > 0 {
            let now = left.min(BLOCK);
            self.prepare(now, 0);
            watch.time(now, || self.block.iter().filter(|(at_ms, key)| self.queue.add(*at_ms, key)).count());
            left -= now;
        }
    }

    fn poll(&mut self, watch: &mut Stopwatch, count: usize) {
        watch.time(count, || {
            let mut sum = 0i64;
            for _ in 0..count {
                sum = sum.wrapping_add(self.queue.next_ms().unwrap_or(0));
                self.queue.poll();
            }
            sum
        });
    }

    /// Polls the earliest and adds one that is later, so that their number stays.
    fn poll_and_add(&mut self, watch: &mut Stopwatch, count: usize) {
        let mut left = count;
        while left > 0 {
            let now = left.min(BLOCK);
            let base_ms = self.queue.next_ms().unwrap_or(0);
            self.prepare(now, base_ms);
            watch.time(now, || {
                let mut sum = 0i64;
                for (at_ms, key) in &self.block {
                    sum = sum.wrapping_add(self.queue.next_ms().unwrap_or(0));
                    self.queue.poll();
                    self.queue.add(*at_ms, key);
                }
                sum
            });
            left -= now;
        }
    }
}

pub(crate) fn run<K: RecordKey>(bench: &mut Bench, n: usize) {
    if !bench.wants_any::<K, u64>(&OPERATIONS) {
        return;
    }
    let mut untimed = Stopwatch::default();
    let (mut bare, mut ours) = (Filling::<K, _>::new(Bare::new()), Filling::<K, _>::new(Ours::new()));
    let rounds = bench.options.rounds;
    // Adding and polling fill and empty whole queues, which takes a while; a few rounds must do.
    bench.options.rounds = rounds.min(5_000_000 / n.max(1)).max(2);
    bench.compare(
        case::<K, u64>("timerAdd", n),
        BASELINE,
        |watch| add_from_empty(&mut bare, watch, n),
        |watch| add_from_empty(&mut ours, watch, n),
    );
    bench.compare(
        case::<K, u64>("timerPoll", n),
        BASELINE,
        |watch| poll_all(&mut bare, watch, n),
        |watch| poll_all(&mut ours, watch, n),
    );
    bench.options.rounds = rounds;
    bare.add(&mut untimed, n);
    ours.add(&mut untimed, n);
    let operations = bench.options.operations;
    bench.compare(
        case::<K, u64>("timerPollAdd", n),
        BASELINE,
        |watch| bare.poll_and_add(watch, operations),
        |watch| ours.poll_and_add(watch, operations),
    );
}

fn add_from_empty<K: RecordKey, Q: Queue<K>>(filling: &mut Filling<K, Q>, watch: &mut Stopwatch, n: usize) {
    filling.add(watch, n);
    while filling.queue.poll().is_some() {}
}

fn poll_all<K: RecordKey, Q: Queue<K>>(filling: &mut Filling<K, Q>, watch: &mut Stopwatch, n: usize) {
    filling.add(&mut Stopwatch::default(), n);
    filling.poll(watch, n);
}
