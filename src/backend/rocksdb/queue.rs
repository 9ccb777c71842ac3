//! The next timers of a domain, in memory: a bounded window on what lies in the database.
//!
//! Per key group, the window holds every timer up to a limit, and nothing beyond; the limit is infinite if that is all
//! there is. So the first timer of the window is the first of the group, whatever is set and deleted above the limit without
//! passing through here. Which group comes next is kept in order of the groups' first timers.
//!
//! A timer is its bytes: the timestamp, the key and the namespace, as they follow key group and domain in a row. Their order
//! is the firing order within a group.

use std::collections::BTreeSet;

use crate::error::Result;

/// Bytes of a timestamp.
const TIMESTAMP_BYTES: usize = 8;

/// Timers of all windows together that are loaded at once.
const LOADED: usize = 1 << 16;

type Timer = Box<[u8]>;

/// Up to where the timers of a group are in the window.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    Nothing,
    UpTo(Timer),
    All,
}

#[derive(Debug)]
struct Window {
    timers: BTreeSet<Timer>,
    known: Known,
}

/// The next timers of one domain.
#[derive(Debug)]
pub(super) struct Queue {
    windows: Vec<Window>,
    /// The first timestamp and the position of every group whose window is not empty.
    heads: BTreeSet<([u8; TIMESTAMP_BYTES], usize)>,
    /// Groups whose window is empty although the group may not be.
    starved: Vec<usize>,
    /// Timers that are loaded into a window at once.
    load: usize,
}

/// Gives the first timers of a group, up to a number, above another timer if one is given.
pub(super) type Load<'l> = dyn FnMut(usize, Option<&[u8]>, usize) -> Result<Vec<Timer>> + 'l;

impl Queue {
    /// A queue over this many groups, none of which has a timer, or of which nothing is known.
    pub(super) fn new(groups: usize, is_empty: bool) -> Self {
        Self::with_load(groups, is_empty, (LOADED / groups.max(1)).clamp(16, 1024))
    }

    fn with_load(groups: usize, is_empty: bool, load: usize) -> Self {
        let known = if is_empty { Known::All } else { Known::Nothing };
        let windows = (0..groups).map(|_| Window { timers: BTreeSet::new(), known: known.clone() }).collect();
        let starved = if is_empty { Vec::new() } else { (0..groups).collect() };
        Queue { windows, heads: BTreeSet::new(), starved, load }
    }

    /// Whether a timer is set, if the window tells.
    pub(super) fn contains(&self, group: usize, timer: &[u8]) -> Option<bool> {
        let window = self.windows.get(group)?;
        window.knows(timer).then(|| window.timers.contains(timer))
    }

    /// Notes that a timer was set.
    pub(super) fn insert(&mut self, group: usize, timer: &[u8]) {
        let load = self.load;
        self.change(group, |window| {
            if window.knows(timer) {
                window.timers.insert(timer.into());
                window.shrink(load.saturating_mul(2));
            }
        });
    }

    /// Notes that a timer was deleted.
    pub(super) fn remove(&mut self, group: usize, timer: &[u8]) {
        let is_starved = self.change(group, |window| {
            window.timers.remove(timer) && window.timers.is_empty() && window.known != Known::All
        });
        if is_starved == Some(true) {
            self.starved.push(group);
        }
    }

    /// The group and the bytes of the next timer.
    pub(super) fn next(&mut self, load: &mut Load<'_>) -> Result<Option<(usize, &[u8])>> {
        while let Some(group) = self.starved.last().copied() {
            self.feed(group, load)?;
            self.starved.pop();
        }
        let Some((_, group)) = self.heads.first().copied() else { return Ok(None) };
        let first = self.windows.get(group).and_then(|window| window.timers.first());
        Ok(first.map(|timer| (group, &**timer)))
    }

    fn feed(&mut self, group: usize, load: &mut Load<'_>) -> Result<()> {
        let Some(window) = self.windows.get(group).filter(|window| window.timers.is_empty()) else { return Ok(()) };
        let above = match &window.known {
            Known::All => return Ok(()),
            Known::Nothing => None,
            Known::UpTo(limit) => Some(&**limit),
        };
        let loaded = load(group, above, self.load)?;
        let is_all = loaded.len() < self.load;
        self.change(group, |window| {
            window.known = match loaded.last() {
                Some(last) if !is_all => Known::UpTo(last.clone()),
                _ => Known::All,
            };
            window.timers.extend(loaded);
        });
        Ok(())
    }

    /// Changes a window and keeps its head in order.
    fn change<R>(&mut self, group: usize, change: impl FnOnce(&mut Window) -> R) -> Option<R> {
        let window = self.windows.get_mut(group)?;
        let before = window.head();
        let done = change(window);
        let after = window.head();
        if before != after {
            if let Some(before) = before {
                self.heads.remove(&(before, group));
            }
            if let Some(after) = after {
                self.heads.insert((after, group));
            }
        }
        Some(done)
    }
}

impl Window {
    fn knows(&self, timer: &[u8]) -> bool {
        match &self.known {
            Known::Nothing => false,
            Known::UpTo(limit) => timer <= &**limit,
            Known::All => true,
        }
    }

    /// Forgets the last timers if there are more than `most`.
    fn shrink(&mut self, most: usize) {
        if self.timers.len() <= most {
            return;
        }
        self.timers.pop_last();
        if let Some(last) = self.timers.last() {
            self.known = Known::UpTo(last.clone());
        }
    }

    /// The timestamp of the first timer.
    fn head(&self) -> Option<[u8; TIMESTAMP_BYTES]> {
        self.timers.first().and_then(|timer| timer.first_chunk().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{RandomSource, SeededRandom};

    fn timer(at: u64, rest: u8) -> Timer {
        [&at.to_be_bytes()[..], &[rest]].concat().into()
    }

    /// What the database would hold.
    type Stored = Vec<BTreeSet<Timer>>;

    fn next(queue: &mut Queue, stored: &Stored) -> Option<(usize, Timer)> {
        let mut load = |group: usize, above: Option<&[u8]>, most: usize| {
            let rows = stored[group].iter().filter(|timer| above.is_none_or(|above| &***timer > above));
            Ok(rows.take(most).cloned().collect())
        };
        queue.next(&mut load).unwrap().map(|(group, timer)| (group, timer.into()))
    }

    fn expected(stored: &Stored) -> Option<(usize, Timer)> {
        let heads = stored.iter().enumerate().filter_map(|(group, timers)| Some((group, timers.first()?.clone())));
        heads.min_by(|a, b| (&a.1[..8], a.0).cmp(&(&b.1[..8], b.0)))
    }

    #[test]
    fn whatever_is_set_and_deleted_the_next_timer_is_the_first() {
        for seed in 0..200 {
            let random = SeededRandom::new(seed);
            let draw = |limit: u128| (random.next_u128().unwrap() >> 64) % limit;
            let mut stored: Stored = vec![BTreeSet::new(); 3];
            let is_restored = seed % 2 == 0;
            if is_restored {
                for _ in 0..20 {
                    stored[draw(3) as usize].insert(timer(draw(30) as u64, draw(3) as u8));
                }
            }
            let mut queue = Queue::with_load(3, !is_restored, 1 + (seed % 4) as usize);
            for step in 0..300 {
                let (group, timer) = (draw(3) as usize, timer(draw(30) as u64, draw(3) as u8));
                if let Some(is_set) = queue.contains(group, &timer) {
                    assert_eq!(is_set, stored[group].contains(&timer), "seed {seed}, step {step}");
                }
                match draw(8) {
                    0..3 if stored[group].insert(timer.clone()) => queue.insert(group, &timer),
                    3..5 if stored[group].remove(&timer) => queue.remove(group, &timer),
                    5 => assert_eq!(next(&mut queue, &stored), expected(&stored), "seed {seed}, step {step}"),
                    6 => {
                        let first = next(&mut queue, &stored);
                        assert_eq!(first, expected(&stored), "seed {seed}, step {step}");
                        if let Some((group, timer)) = first {
                            stored[group].remove(&timer);
                            queue.remove(group, &timer);
                        }
                    }
                    _ => {}
                }
                let most = queue.load * 2;
                assert!(queue.windows.iter().all(|window| window.timers.len() <= most));
            }
            while let Some((group, timer)) = next(&mut queue, &stored) {
                assert_eq!(Some((group, timer.clone())), expected(&stored));
                stored[group].remove(&timer);
                queue.remove(group, &timer);
            }
            assert!(stored.iter().all(BTreeSet::is_empty));
        }
    }
}
