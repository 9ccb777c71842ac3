//! What a user configures about checkpoints, and which combinations make no sense.

use crate::checkpoint::barrier::Delivery;
use crate::checkpoint::mistake::Mistake;
use crate::error::{Error, Result};

/// Shortest accepted interval and timeout, in milliseconds.
pub const MIN_INTERVAL_MS: u64 = 10;

/// Longest accepted duration, in milliseconds: a year, so that sums of times never overflow.
pub const MAX_DURATION_MS: u64 = 366 * 24 * 3_600_000;

/// Checkpoint configuration of a job. Start from [`Config::default`], or [`Config::every`], and change fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Milliseconds from one trigger to the next; `None` takes checkpoints on request only.
    pub interval_ms: Option<u64>,
    /// Guarantee of the barriers.
    pub delivery: Delivery,
    /// Least time from the end of one checkpoint, completed or not, to the trigger of the next periodic one.
    pub min_pause_ms: u64,
    /// A checkpoint that is not complete this long after its trigger is aborted.
    pub timeout_ms: u64,
    /// Checkpoints that may fail in a row; one more fails the job. Savepoints do not count.
    pub tolerable_failures: u32,
    /// Checkpoints that may be under way at the same time.
    pub max_concurrent: u32,
    /// Completed checkpoints kept for recovery. Savepoints do not count.
    pub retained: u32,
    /// What becomes of completed checkpoints when the job ends.
    pub retention: Retention,
    /// Let barriers overtake records and store these.
    pub unaligned: bool,
    /// Align for this long after the trigger before overtaking; `None` overtakes at once. Only with
    /// [`unaligned`](Self::unaligned).
    pub aligned_timeout_ms: Option<u64>,
    /// A mistake that a test has planted.
    #[cfg(feature = "test-util")]
    pub planted: Option<Mistake>,
}

/// What becomes of completed checkpoints when the job ends.
///
/// Nothing is ever deleted when a coordinator merely goes away (lost lease, shut down, crashed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retention {
    /// Kept when the job is cancelled or fails; deleted when it finishes.
    RetainOnCancellation,
    /// Kept when the job fails; deleted when it is cancelled or finishes.
    DeleteOnCancellation,
    /// Deleted however the job ends: they only serve its automatic restarts.
    None,
}

/// How a job, or the coordinator's part in it, ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Termination {
    /// The input ended, or the job was stopped with a savepoint.
    Finished,
    /// A user cancelled it.
    Cancelled,
    /// It failed and will not restart.
    Failed,
    /// This coordinator stops, the job goes on elsewhere or later.
    Suspended,
}

impl Retention {
    /// Whether completed checkpoints go when the job ends in this way.
    pub fn discards_on(self, termination: Termination) -> bool {
        match termination {
            Termination::Suspended => false,
            Termination::Finished => true,
            Termination::Cancelled => self != Retention::RetainOnCancellation,
            Termination::Failed => self == Retention::None,
        }
    }
}

impl Default for Config {
    /// No periodic checkpoints, exactly once, aligned, ten minutes timeout, no failure tolerated, one at a time, one
    /// retained, also on cancellation.
    fn default() -> Self {
        Config {
            interval_ms: None,
            delivery: Delivery::ExactlyOnce,
            min_pause_ms: 0,
            timeout_ms: 600_000,
            tolerable_failures: 0,
            max_concurrent: 1,
            retained: 1,
            retention: Retention::RetainOnCancellation,
            unaligned: false,
            aligned_timeout_ms: None,
            #[cfg(feature = "test-util")]
            planted: None,
        }
    }
}

impl Config {
    /// Whether this mistake is made. Never, without tests.
    #[cfg(feature = "test-util")]
    pub(super) fn errs(&self, mistake: Mistake) -> bool {
        self.planted == Some(mistake)
    }

    #[cfg(not(feature = "test-util"))]
    pub(super) const fn errs(&self, _: Mistake) -> bool {
        false
    }

    /// The default with periodic checkpoints.
    pub fn every(interval_ms: u64) -> Self {
        Config { interval_ms: Some(interval_ms), ..Config::default() }
    }

    /// Refuses values and combinations that make no sense, with the reason and what to change.
    pub fn validate(&self) -> Result<()> {
        self.check_durations()?;
        refuse(self.max_concurrent == 0, || "max concurrent checkpoints is 0, at least 1 is needed".into())?;
        refuse(self.retained == 0, || {
            "retained checkpoints is 0, so there would be none to recover from; keep at least 1".into()
        })?;
        refuse(self.min_pause_ms > 0 && self.max_concurrent > 1, || {
            format!(
                "a pause of {} ms between checkpoints and {} concurrent checkpoints exclude each other: there is no pause \
                 while they overlap; set one of them back",
                self.min_pause_ms, self.max_concurrent
            )
        })?;
        self.check_unaligned()
    }

    fn check_durations(&self) -> Result<()> {
        let durations = [
            ("interval", self.interval_ms, MIN_INTERVAL_MS),
            ("timeout", Some(self.timeout_ms), MIN_INTERVAL_MS),
            ("min pause", Some(self.min_pause_ms), 0),
            ("aligned timeout", self.aligned_timeout_ms, 0),
        ];
        for (name, duration_ms, least_ms) in durations {
            let Some(duration_ms) = duration_ms else { continue };
            refuse(!(least_ms..=MAX_DURATION_MS).contains(&duration_ms), || {
                format!("the checkpoint {name} is {duration_ms} ms, it must be {least_ms} to {MAX_DURATION_MS} ms")
            })?;
        }
        Ok(())
    }

    fn check_unaligned(&self) -> Result<()> {
        refuse(self.aligned_timeout_ms.is_some() && !self.unaligned, || {
            "an aligned timeout says when to go on unaligned, but unaligned checkpoints are off; switch them on".into()
        })?;
        if !self.unaligned {
            return Ok(());
        }
        refuse(self.delivery == Delivery::AtLeastOnce, || {
            "unaligned checkpoints need exactly-once: at-least-once never waits for a barrier that could be overtaken"
                .into()
        })?;
        refuse(self.max_concurrent > 1, || {
            format!(
                "unaligned checkpoints and {} concurrent checkpoints exclude each other: a barrier must not overtake the \
                 barrier of another checkpoint; set max concurrent to 1",
                self.max_concurrent
            )
        })?;
        refuse(self.aligned_timeout_ms.is_some_and(|aligned_ms| aligned_ms >= self.timeout_ms), || {
            format!(
                "the aligned timeout is not below the checkpoint timeout, {} ms, so a checkpoint would never go on \
                 unaligned; shorten it",
                self.timeout_ms
            )
        })
    }
}

fn refuse(wrong: bool, reason: impl FnOnce() -> String) -> Result<()> {
    if wrong { Err(Error::invalid_input(reason())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::every(1_000);
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn defaults_and_sensible_changes_are_accepted() {
        Config::default().validate().unwrap();
        Config::every(10).validate().unwrap();
        Config { max_concurrent: 3, retained: 9, ..Config::every(1_000) }.validate().unwrap();
        Config { min_pause_ms: 500, ..Config::every(1_000) }.validate().unwrap();
        Config { unaligned: true, aligned_timeout_ms: Some(0), ..Config::every(1_000) }.validate().unwrap();
    }

    #[test]
    fn contradictions_are_refused_with_the_reason() {
        assert!(refused(|config| config.interval_ms = Some(9)).contains("interval is 9 ms, it must be 10 to"));
        assert!(refused(|config| config.timeout_ms = 0).contains("timeout is 0 ms"));
        assert!(refused(|config| config.min_pause_ms = u64::MAX).contains("min pause"));
        assert!(refused(|config| config.max_concurrent = 0).contains("at least 1"));
        assert!(refused(|config| config.retained = 0).contains("none to recover from"));
        assert!(refused(|config| config.aligned_timeout_ms = Some(1)).contains("unaligned checkpoints are off"));
        let pause = refused(|config| (config.min_pause_ms, config.max_concurrent) = (5, 2));
        assert!(pause.contains("5 ms") && pause.contains("2 concurrent"), "{pause}");
        let unaligned = refused(|config| (config.unaligned, config.max_concurrent) = (true, 2));
        assert!(unaligned.contains("set max concurrent to 1"), "{unaligned}");
        let weak = refused(|config| (config.unaligned, config.delivery) = (true, Delivery::AtLeastOnce));
        assert!(weak.contains("need exactly-once"), "{weak}");
        let late = refused(|config| (config.unaligned, config.aligned_timeout_ms) = (true, Some(600_000)));
        assert!(late.contains("never go on"), "{late}");
    }

    #[test]
    fn retention_follows_the_end_of_the_job() {
        use Termination::{Cancelled, Failed, Finished, Suspended};
        let discarded = |retention: Retention| {
            [Finished, Cancelled, Failed, Suspended].map(|termination| retention.discards_on(termination))
        };
        assert_eq!(discarded(Retention::RetainOnCancellation), [true, false, false, false]);
        assert_eq!(discarded(Retention::DeleteOnCancellation), [true, true, false, false]);
        assert_eq!(discarded(Retention::None), [true, true, true, false]);
    }
}
