//! Whether and when a failed job starts again.
//!
//! A [`RestartStrategy`] is what the user configures; a [`RestartDecider`] carries it through the life of one job. It is
//! pure: time and randomness come with each call. The four strategies and the defaults of the exponential one are those
//! of Flink, with one difference: a failure reported while the job still waits for its restart belongs to the same outage
//! under every strategy (in Flink under the exponential one only), so several subtasks that die of one cause use up one
//! attempt.

use std::collections::VecDeque;
use std::fmt;

use crate::error::{Error, Result};

/// How a job recovers from failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartStrategy {
    /// The first failure is final.
    None,
    /// A number of restarts in the life of the job, each after the same delay.
    FixedDelay {
        /// Restarts before the next failure is final.
        attempts: u32,
        /// Wait before each restart, in milliseconds.
        delay_ms: u64,
    },
    /// Any number of restarts, as long as failures do not come too thick.
    FailureRate {
        /// Failures tolerated within one interval; one more is final.
        max_failures: u32,
        /// Length of the sliding interval, in milliseconds.
        interval_ms: u64,
        /// Wait before each restart, in milliseconds.
        delay_ms: u64,
    },
    /// A delay that grows from failure to failure and starts over after a quiet time.
    ExponentialDelay(Backoff),
}

/// Parameters of [`RestartStrategy::ExponentialDelay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// First delay, in milliseconds; also the lower bound of every delay.
    pub initial_ms: u64,
    /// Upper bound of every delay, in milliseconds.
    pub max_ms: u64,
    /// Growth from one delay to the next in percent: 150 makes each half as long again. At least 100.
    pub growth_percent: u32,
    /// The delay starts over when the job ran this long after a restart, in milliseconds.
    pub reset_after_ms: u64,
    /// Largest deviation from the computed delay to either side, in percent of it, 0 to 100; it keeps many jobs from
    /// restarting in step.
    pub jitter_percent: u32,
    /// Restarts before a failure is final, counted from the last start-over; `None` for no limit.
    pub attempts: Option<u32>,
}

impl Default for Backoff {
    /// One second to one minute, growing by half, starting over after an hour, jitter of a tenth, no limit.
    fn default() -> Self {
        Backoff {
            initial_ms: 1_000,
            max_ms: 60_000,
            growth_percent: 150,
            reset_after_ms: 3_600_000,
            jitter_percent: 10,
            attempts: None,
        }
    }
}

impl RestartStrategy {
    /// Refuses parameters that contradict each other.
    pub fn validate(&self) -> Result<()> {
        match self {
            RestartStrategy::None | RestartStrategy::FixedDelay { .. } => Ok(()),
            RestartStrategy::FailureRate { interval_ms, .. } => check(*interval_ms > 0, || {
                "failure rate: the interval is 0 ms, so that no two failures would ever count together; make it longer"
                    .into()
            }),
            RestartStrategy::ExponentialDelay(backoff) => backoff.validate(),
        }
    }
}

impl Backoff {
    fn validate(&self) -> Result<()> {
        check(self.initial_ms > 0, || "exponential delay: the first delay is 0 ms and would never grow".into())?;
        check(self.initial_ms <= self.max_ms, || {
            format!(
                "exponential delay: the first delay, {} ms, exceeds the longest, {} ms",
                self.initial_ms, self.max_ms
            )
        })?;
        check(self.max_ms <= u64::MAX / 2, || {
            format!("exponential delay: the longest delay, {} ms, is beyond {} ms", self.max_ms, u64::MAX / 2)
        })?;
        check(self.growth_percent >= 100, || {
            format!("exponential delay: growth is {} percent, below 100 the delay would shrink", self.growth_percent)
        })?;
        check(self.jitter_percent <= 100, || {
            format!("exponential delay: jitter is {} percent, it must be 0 to 100", self.jitter_percent)
        })
    }

    fn grow(&self, delay_ms: u64) -> u64 {
        let grown = u128::from(delay_ms) * u128::from(self.growth_percent) / 100;
        u64::try_from(grown).unwrap_or(u64::MAX).clamp(self.initial_ms, self.max_ms)
    }

    /// The delay moved by up to `jitter_percent` to either side; `random` is uniform over all values.
    fn jittered(&self, delay_ms: u64, random: u64) -> u64 {
        let reach = u128::from(delay_ms) * u128::from(self.jitter_percent) / 100;
        // 0 to 2 * reach, both included. No overflow: `reach` is below 2^63 because `max_ms` is.
        let offset = (u128::from(random) * (2 * reach + 1)) >> 64;
        let moved = (u128::from(delay_ms) + offset).saturating_sub(reach);
        u64::try_from(moved).unwrap_or(u64::MAX).clamp(self.initial_ms, self.max_ms)
    }
}

fn check(holds: bool, reason: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::invalid_input(reason())) }
}

/// What becomes of a failed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start again after this many milliseconds.
    Restart {
        /// Milliseconds from the failure.
        delay_ms: u64,
    },
    /// The job has failed for good.
    GiveUp(Exhausted),
}

/// Why a job does not start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// The strategy is [`RestartStrategy::None`].
    NoRestarts,
    /// All restarts are used up.
    Attempts {
        /// Their number.
        allowed: u32,
    },
    /// Failures came too thick.
    Rate {
        /// Failures allowed within the interval.
        allowed: u32,
        /// The interval in milliseconds.
        interval_ms: u64,
    },
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exhausted::NoRestarts => f.write_str("the job is configured not to restart"),
            Exhausted::Attempts { allowed } => write!(f, "all {allowed} restarts are used up"),
            Exhausted::Rate { allowed, interval_ms } => {
                write!(f, "more than {allowed} failures within {interval_ms} ms")
            }
        }
    }
}

/// A restart strategy and what it has to remember.
#[derive(Debug, Clone)]
pub struct RestartDecider {
    strategy: RestartStrategy,
    /// Outages since the start, or since the delay started over.
    outages: u32,
    /// Times of the outages that may still count together, oldest first. At most `max_failures`.
    recent_ms: VecDeque<i64>,
    last: Option<Outage>,
}

#[derive(Debug, Clone, Copy)]
struct Outage {
    failed_at_ms: i64,
    /// Delay before jitter.
    base_delay_ms: u64,
    delay_ms: u64,
}

impl Outage {
    fn restarts_at_ms(&self) -> i64 {
        self.failed_at_ms.saturating_add_unsigned(self.delay_ms)
    }
}

impl RestartDecider {
    /// Starts with a clean record. Fails if the parameters contradict each other.
    pub fn new(strategy: RestartStrategy) -> Result<Self> {
        strategy.validate()?;
        Ok(RestartDecider { strategy, outages: 0, recent_ms: VecDeque::new(), last: None })
    }

    /// The job has failed. `random` is drawn uniformly by the caller and only used for jitter.
    ///
    /// Times may go backwards: what lies in the future counts as having happened just now.
    pub fn on_failure(&mut self, now_ms: i64, random: u64) -> Verdict {
        if let Some(delay_ms) = self.remaining_wait(now_ms) {
            return Verdict::Restart { delay_ms };
        }
        let verdict = match self.strategy {
            RestartStrategy::None => Err(Exhausted::NoRestarts),
            RestartStrategy::FixedDelay { attempts, delay_ms } => self.within(attempts).map(|()| (delay_ms, delay_ms)),
            RestartStrategy::FailureRate { max_failures, interval_ms, delay_ms } => {
                self.within_rate(now_ms, max_failures, interval_ms).map(|()| (delay_ms, delay_ms))
            }
            RestartStrategy::ExponentialDelay(backoff) => self.back_off(now_ms, &backoff, random),
        };
        match verdict {
            Ok((base_delay_ms, delay_ms)) => {
                self.last = Some(Outage { failed_at_ms: now_ms, base_delay_ms, delay_ms });
                Verdict::Restart { delay_ms }
            }
            Err(exhausted) => Verdict::GiveUp(exhausted),
        }
    }

    /// The rest of the wait if the job has not restarted since the last failure.
    fn remaining_wait(&mut self, now_ms: i64) -> Option<u64> {
        let last = self.last.as_mut()?;
        last.failed_at_ms = last.failed_at_ms.min(now_ms);
        let remaining = elapsed(now_ms, last.restarts_at_ms());
        (remaining > 0).then_some(remaining)
    }

    fn within(&mut self, attempts: u32) -> Result<(), Exhausted> {
        if self.outages >= attempts {
            return Err(Exhausted::Attempts { allowed: attempts });
        }
        self.outages += 1;
        Ok(())
    }

    fn within_rate(&mut self, now_ms: i64, max_failures: u32, interval_ms: u64) -> Result<(), Exhausted> {
        self.recent_ms.iter_mut().for_each(|at_ms| *at_ms = (*at_ms).min(now_ms));
        while self.recent_ms.front().is_some_and(|at_ms| elapsed(*at_ms, now_ms) > interval_ms) {
            self.recent_ms.pop_front();
        }
        if self.recent_ms.len() >= usize::try_from(max_failures).unwrap_or(usize::MAX) {
            return Err(Exhausted::Rate { allowed: max_failures, interval_ms });
        }
        self.recent_ms.push_back(now_ms);
        Ok(())
    }

    fn back_off(&mut self, now_ms: i64, backoff: &Backoff, random: u64) -> Result<(u64, u64), Exhausted> {
        let base = match self.last {
            Some(last) if elapsed(last.restarts_at_ms(), now_ms) < backoff.reset_after_ms => {
                backoff.grow(last.base_delay_ms)
            }
            _ => {
                self.outages = 0;
                backoff.initial_ms
            }
        };
        self.within(backoff.attempts.unwrap_or(u32::MAX))?;
        Ok((base, backoff.jittered(base, random)))
    }
}

/// Milliseconds from one time to another; 0 if the clock went backwards.
fn elapsed(from_ms: i64, to_ms: i64) -> u64 {
    u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
