//! When the next periodic checkpoint starts.
//!
//! Times here are *elapsed* milliseconds of the coordinator, which only grow (see [`Elapsed`]): a wall clock that jumps
//! back neither stalls checkpoints nor makes them fire twice.

use super::config::Config;

/// Turns the wall clock, which may jump back, into time that only grows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Elapsed {
    last_ms: Option<i64>,
    total_ms: u64,
}

impl Elapsed {
    /// Notes the wall-clock time and returns the elapsed time. A jump back counts as no time.
    pub fn advance(&mut self, now_ms: i64) -> u64 {
        let since = self.last_ms.map_or(0, |last_ms| now_ms.saturating_sub(last_ms));
        self.last_ms = Some(now_ms);
        self.total_ms = self.total_ms.saturating_add(u64::try_from(since).unwrap_or(0));
        self.total_ms
    }

    /// The wall-clock time at which the elapsed time will be `elapsed_ms`, if the clock runs evenly.
    pub fn wall_ms(&self, elapsed_ms: u64) -> i64 {
        self.last_ms.unwrap_or(0).saturating_add_unsigned(elapsed_ms.saturating_sub(self.total_ms))
    }
}

/// Interval, pause and concurrency of periodic checkpoints.
#[derive(Debug, Clone)]
pub struct Schedule {
    interval_ms: Option<u64>,
    min_pause_ms: u64,
    max_concurrent: usize,
    /// The last trigger, or the start.
    since_ms: u64,
    last_end_ms: Option<u64>,
}

impl Schedule {
    /// The schedule of a validated configuration, starting now.
    pub fn new(config: &Config, now_ms: u64) -> Self {
        Schedule {
            interval_ms: config.interval_ms,
            min_pause_ms: config.min_pause_ms,
            max_concurrent: usize::try_from(config.max_concurrent).unwrap_or(usize::MAX),
            since_ms: now_ms,
            last_end_ms: None,
        }
    }

    /// The job (re)starts: the first checkpoint is due one interval from now.
    pub fn restart(&mut self, now_ms: u64) {
        (self.since_ms, self.last_end_ms) = (now_ms, None);
    }

    /// A periodic checkpoint, or a requested one that stands in for it, was triggered.
    pub fn on_trigger(&mut self, now_ms: u64) {
        self.since_ms = now_ms;
    }

    /// A checkpoint ended, completed or not.
    pub fn on_end(&mut self, now_ms: u64) {
        self.last_end_ms = Some(now_ms);
    }

    /// Whether one more checkpoint may start next to those under way.
    pub fn has_room(&self, under_way: usize) -> bool {
        under_way < self.max_concurrent
    }

    /// When the next one is due; `None` if only requests trigger, or if one of those under way must end first. However
    /// late it is, one checkpoint makes up for all intervals missed.
    pub fn due_ms(&self, under_way: usize) -> Option<u64> {
        let due_ms = self.since_ms.saturating_add(self.interval_ms?);
        let paused_until_ms = self.last_end_ms.map_or(0, |end_ms| end_ms.saturating_add(self.min_pause_ms));
        self.has_room(under_way).then_some(due_ms.max(paused_until_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_ignores_jumps_back() {
        let mut elapsed = Elapsed::default();
        assert_eq!(elapsed.advance(1_000), 0);
        assert_eq!(elapsed.advance(1_500), 500);
        assert_eq!(elapsed.advance(200), 500);
        assert_eq!(elapsed.advance(300), 600);
        assert_eq!(elapsed.wall_ms(700), 400);
        assert_eq!(elapsed.wall_ms(0), 300);
        assert_eq!(elapsed.advance(i64::MAX), 600 + u64::try_from(i64::MAX - 300).unwrap());
    }

    #[test]
    fn the_next_one_waits_for_interval_pause_and_room() {
        let config = Config { min_pause_ms: 300, ..Config::every(1_000) };
        let mut schedule = Schedule::new(&config, 50);
        assert_eq!(schedule.due_ms(0), Some(1_050));
        schedule.on_trigger(1_050);
        assert_eq!(schedule.due_ms(1), None);
        schedule.on_end(1_200);
        assert_eq!(schedule.due_ms(0), Some(2_050), "the interval is longer than the pause");
        schedule.on_trigger(2_050);
        schedule.on_end(5_000);
        assert_eq!(schedule.due_ms(0), Some(5_300), "the pause is longer, and missed intervals do not add up");
        schedule.restart(6_000);
        assert_eq!(schedule.due_ms(0), Some(7_000));
    }

    #[test]
    fn concurrent_checkpoints_overlap_up_to_the_bound() {
        let schedule = Schedule::new(&Config { max_concurrent: 2, ..Config::every(10) }, 0);
        assert_eq!(schedule.due_ms(1), Some(10));
        assert_eq!(schedule.due_ms(2), None);
        assert_eq!(Schedule::new(&Config::default(), 0).due_ms(0), None);
    }
}
