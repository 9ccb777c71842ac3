//! Time, added up over the timed parts of a round, and what several rounds say together.

use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Runs and stands still.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    elapsed: Duration,
    operations: usize,
}

impl Stopwatch {
    /// Times `work`, which does so many operations.
    #[inline]
    pub(crate) fn time<R>(&mut self, operations: usize, work: impl FnOnce() -> R) {
        let start = now();
        black_box(work());
        self.elapsed += start.elapsed();
        self.operations += operations;
    }

    /// Adds what another one stopped.
    pub(crate) fn add(&mut self, other: Stopwatch) {
        self.elapsed += other.elapsed;
        self.operations += other.operations;
    }

    pub(crate) fn operations(&self) -> usize {
        self.operations
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.elapsed.as_secs_f64()
    }

    /// Nanoseconds per operation.
    pub(crate) fn ns_per_op(&self) -> f64 {
        self.elapsed.as_secs_f64() * 1e9 / self.operations.max(1) as f64
    }
}

/// One number per round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// The `share` quantile, by nearest rank.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn least(&self) -> f64 {
        self.quantile(0.0)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn most(&self) -> f64 {
        self.quantile(1.0)
    }
}

/// The same operations on the bare structure and on the backend, in turns, so that both meet the same machine.
#[derive(Debug, Default)]
pub(crate) struct SideBySide {
    pub(crate) baseline_ns: Samples,
    pub(crate) millpond_ns: Samples,
    ratios: Samples,
}

/// Rounds before the ones that count.
const WARM_UP: usize = 2;

impl SideBySide {
    pub(crate) fn measure(
        rounds: usize,
        mut baseline: impl FnMut(&mut Stopwatch),
        mut millpond: impl FnMut(&mut Stopwatch),
    ) -> Self {
        let mut sides = SideBySide::default();
        for round in 0..WARM_UP + rounds {
            let (mut bare, mut ours) = (Stopwatch::default(), Stopwatch::default());
            baseline(&mut bare);
            millpond(&mut ours);
            if round >= WARM_UP {
                sides.baseline_ns.push(bare.ns_per_op());
                sides.millpond_ns.push(ours.ns_per_op());
                sides.ratios.push(ours.ns_per_op() / bare.ns_per_op());
            }
        }
        sides
    }

    /// Best round against best round: what remains when nothing else disturbs.
    pub(crate) fn ratio_of_best(&self) -> f64 {
        self.millpond_ns.least() / self.baseline_ns.least()
    }

    /// Median of the ratios of neighbouring rounds.
    pub(crate) fn median_ratio(&self) -> f64 {
        self.ratios.median()
    }
}

/// A histogram of durations: exact below 16 ns, then 16 steps per power of two.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    counts: Vec<u64>,
    most_ns: u64,
}

const STEP_BITS: u32 = 4;

impl Default for Latencies {
    fn default() -> Self {
        Latencies { counts: vec![0; 64 << STEP_BITS], most_ns: 0 }
    }
}

impl Latencies {
    #[inline(always)]
    pub(crate) fn record(&mut self, latency: Duration) {
        let ns = latency.as_nanos() as u64;
        self.counts[Self::position(ns)] += 1;
        self.most_ns = self.most_ns.max(ns);
    }

    #[inline(always)]
    fn position(ns: u64) -> usize {
        let above = (64 - ns.leading_zeros()).saturating_sub(STEP_BITS + 1);
        ((above as usize) << STEP_BITS) + (ns >> above) as usize
    }

    /// The largest duration that falls into a step.
    fn upper_ns(position: usize) -> u64 {
        let above = (position >> STEP_BITS).saturating_sub(1);
        (((position - (above << STEP_BITS)) as u64 + 1) << above) - 1
    }

    /// The `share` quantile, rounded up to a sixteenth; the largest itself for 1.
    pub(crate) fn quantile_ns(&self, share: f64) -> u64 {
        let total: u64 = self.counts.iter().sum();
        let rank = (share * total as f64).ceil() as u64;
        let mut below = 0;
        for (position, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return Self::upper_ns(position).min(self.most_ns);
            }
        }
        self.most_ns
    }
}
