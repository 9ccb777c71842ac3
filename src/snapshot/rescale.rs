//! Who restores what: state of a snapshot taken at any parallelism, distributed over any other.
//!
//! Pure, and the one definition: the reader of snapshots takes keyed state apart by it, so that every backend gets what it
//! says, the operator backend restores by it, and the conversion writes by it.
//!
//! A plan speaks of *sources* by their position in the caller's list of handles, so it works for every kind of handle. The
//! rules per kind of state, which are those of Flink:
//!
//! - *keyed*: a subtask gets the key groups of its range, from whichever sources hold them;
//! - *list*: every subtask keeps its own list if the parallelism is unchanged; otherwise all elements, in the order of the
//!   old subtasks, are cut into runs whose lengths differ by one at most;
//! - *union*: every subtask gets every list whole, in the order of the old subtasks;
//! - *broadcast*: every subtask gets one copy; they are all the same, and reads are spread over them.
//!
//! Invariants: every key group and every list element goes to exactly one subtask; each key group goes to the subtask that
//! [`subtask_of_group`](crate::key_group::subtask_of_group) names; a plan back to the old parallelism restores the old
//! ranges. Max parallelism never changes on restore: it decides which key group a key belongs to.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::ids::SubtaskIndex;
use crate::key_group::{KeyGroup, KeyGroupRange, MAX_MAX_PARALLELISM, MaxParallelism, Parallelism};

/// A change of parallelism of one operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rescale {
    max: MaxParallelism,
    old: Parallelism,
    new: Parallelism,
}

/// Part of a keyed source that one subtask restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyedShare {
    /// Position of the source.
    pub source: usize,
    /// Key groups to take from it; other groups of the source belong to other subtasks.
    pub groups: KeyGroupRange,
}

/// The key groups that each handle of keyed state holds: never the same group twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedSources {
    max: MaxParallelism,
    /// Positions of the sources with what they hold, ascending.
    order: Vec<(usize, KeyGroupRange)>,
}

/// Distribution of keyed state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedPlan {
    /// For each new subtask its shares, ascending by key group, never overlapping.
    pub shares: Vec<Vec<KeyedShare>>,
    /// Key groups that no source holds, ascending. A snapshot that leaves out empty groups has them; otherwise something
    /// was lost.
    pub missing: Vec<KeyGroupRange>,
}

/// One old subtask's list of one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListSource {
    /// The old subtask.
    pub subtask: SubtaskIndex,
    /// Number of its elements.
    pub elements: u64,
}

/// Part of a list source that one subtask restores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListShare {
    /// Position of the source.
    pub source: usize,
    /// Elements to take from it, by position in its list. Never empty.
    pub elements: Range<u64>,
}

impl KeyedSources {
    /// Sources in any order. Fails with [`Corrupt`](crate::ErrorKind::Corrupt) if two of them hold the same group or one
    /// holds a group beyond max parallelism. O(s log s) for s sources, O(s) if they ascend.
    pub fn new(max: MaxParallelism, sources: impl IntoIterator<Item = KeyGroupRange>) -> Result<Self> {
        let mut order: Vec<(usize, KeyGroupRange)> = sources.into_iter().enumerate().collect();
        order.sort_by_key(|(_, groups)| groups.first());
        if let Some((source, groups)) = order.iter().find(|(_, groups)| u32::from(groups.last().0) >= max.get()) {
            return Err(Error::corrupt(format!(
                "handle {source} holds key groups {groups}, but max parallelism is {max}"
            )));
        }
        let mut pairs = order.iter().zip(order.iter().skip(1));
        if let Some(((one, held), (other, groups))) = pairs.find(|((_, held), (_, next))| held.last() >= next.first()) {
            return Err(Error::corrupt(format!(
                "handles {one} and {other} both claim key group {}: they hold {held} and {groups}",
                groups.first()
            )));
        }
        Ok(KeyedSources { max, order })
    }

    /// What a subtask with these key groups restores, ascending by key group. O(log s + shares).
    pub fn shares_of(&self, groups: KeyGroupRange) -> impl Iterator<Item = KeyedShare> {
        let before = self.order.partition_point(|(_, held)| held.last() < groups.first());
        self.order.iter().skip(before).map_while(move |(source, held)| {
            held.intersect(groups).map(|groups| KeyedShare { source: *source, groups })
        })
    }

    /// Key groups that no source holds, ascending.
    pub fn missing(&self) -> Vec<KeyGroupRange> {
        let firsts = self.order.iter().map(|(_, held)| u32::from(held.first().0)).chain([self.max.get()]);
        let ends = self.order.iter().map(|(_, held)| u32::from(held.last().0) + 1);
        [0].into_iter().chain(ends).zip(firsts).filter_map(|(end, first)| gap(end, first)).collect()
    }
}

impl Rescale {
    /// From the parallelism a snapshot was taken at to the one it is restored at.
    ///
    /// `requested_max` is the max parallelism that the program asks for, if it does. Fails with
    /// [`Incompatible`](crate::ErrorKind::Incompatible) if that differs from the recorded one, and with
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if a parallelism exceeds it.
    pub fn new(
        recorded_max: MaxParallelism,
        requested_max: Option<MaxParallelism>,
        old_parallelism: u32,
        new_parallelism: u32,
    ) -> Result<Self> {
        if let Some(requested) = requested_max.filter(|requested| *requested != recorded_max) {
            return Err(Error::incompatible(format!(
                "the snapshot was taken with max parallelism {recorded_max}, the program asks for {requested}; max \
                 parallelism decides the key group of every key: restore with {recorded_max}, or convert the snapshot first"
            )));
        }
        let old = Parallelism::new(old_parallelism, recorded_max)?;
        Ok(Rescale { max: recorded_max, old, new: Parallelism::new(new_parallelism, recorded_max)? })
    }

    /// For state that belongs to subtasks: it does not depend on max parallelism, which may be another after the change.
    pub fn of_subtasks(old: Parallelism, new: Parallelism) -> Result<Self> {
        Rescale::new(MaxParallelism::new(MAX_MAX_PARALLELISM)?, None, old.get(), new.get())
    }

    /// Parallelism after the change.
    pub fn new_parallelism(&self) -> Parallelism {
        self.new
    }

    /// Key groups of one new subtask.
    pub fn range_of(&self, subtask: SubtaskIndex) -> Result<KeyGroupRange> {
        KeyGroupRange::of_subtask(subtask.0, self.new, self.max)
    }

    /// Distributes keyed state; `sources` are the key groups that each handle holds, in any order. Fails as
    /// [`KeyedSources::new`] does. O(s log s + q log s) for s sources and q subtasks.
    pub fn keyed(&self, sources: &[KeyGroupRange]) -> Result<KeyedPlan> {
        let sources = KeyedSources::new(self.max, sources.iter().copied())?;
        let subtasks = (0..self.new.get()).map(SubtaskIndex);
        let shares = subtasks.map(|subtask| Ok(sources.shares_of(self.range_of(subtask)?).collect()));
        Ok(KeyedPlan { shares: shares.collect::<Result<_>>()?, missing: sources.missing() })
    }

    /// Distributes the elements of one list state. At most one source per old subtask; a subtask without one had no
    /// elements.
    ///
    /// `turn` rotates which subtasks get one element more than others: with the position of the state within its operator,
    /// the surplus of many short lists does not pile up on subtask 0. It does not change the order of elements.
    pub fn list(&self, sources: &[ListSource], turn: u32) -> Result<Vec<Vec<ListShare>>> {
        let order = self.order_by_subtask(sources.iter().map(|source| source.subtask))?;
        let mut shares = vec![Vec::new(); self.new_count()];
        if self.old == self.new {
            for (source, list) in sources.iter().enumerate().filter(|(_, list)| list.elements > 0) {
                if let Some(own) = usize::try_from(list.subtask.0).ok().and_then(|subtask| shares.get_mut(subtask)) {
                    own.push(ListShare { source, elements: 0..list.elements });
                }
            }
            return Ok(shares);
        }
        let mut rest = order.into_iter().filter_map(|source| Some((source, 0..sources.get(source)?.elements)));
        let mut current = rest.next();
        for (share, quota) in shares.iter_mut().zip(self.quotas(sources, turn)?) {
            let mut open = quota;
            while let (1.., Some((source, elements))) = (open, &mut current) {
                let end = elements.end.min(elements.start.saturating_add(open));
                if elements.start < end {
                    open -= end - elements.start;
                    share.push(ListShare { source: *source, elements: elements.start..end });
                    elements.start = end;
                }
                if elements.start == elements.end {
                    current = rest.next();
                }
            }
        }
        Ok(shares)
    }

    /// What [`list`](Self::list) gives one new subtask.
    pub fn list_of(&self, subtask: SubtaskIndex, sources: &[ListSource], turn: u32) -> Result<Vec<ListShare>> {
        self.range_of(subtask)?;
        let mut shares = self.list(sources, turn)?;
        Ok(usize::try_from(subtask.0).ok().and_then(|own| shares.get_mut(own)).map(std::mem::take).unwrap_or_default())
    }

    /// How many elements each new subtask gets.
    fn quotas(&self, sources: &[ListSource], turn: u32) -> Result<impl Iterator<Item = u64>> {
        let total = sources.iter().try_fold(0u64, |total, source| total.checked_add(source.elements));
        let total =
            total.ok_or_else(|| Error::corrupt("the element counts of a list state add up to more than 2^64"))?;
        let subtasks = u64::from(self.new.get());
        let (each, surplus) = (total / subtasks, total % subtasks);
        let turn = u64::from(turn) % subtasks;
        Ok((0..subtasks).map(move |subtask| each + u64::from((subtask + subtasks - turn) % subtasks < surplus)))
    }

    /// Sources of a union state in the order in which every subtask reads them, all of them whole.
    pub fn union(&self, sources: &[SubtaskIndex]) -> Result<Vec<usize>> {
        self.order_by_subtask(sources.iter().copied())
    }

    /// The source that a new subtask reads its broadcast state from, or `None` if there is no source.
    pub fn broadcast(&self, sources: &[SubtaskIndex], subtask: SubtaskIndex) -> Result<Option<usize>> {
        self.range_of(subtask)?;
        let order = self.order_by_subtask(sources.iter().copied())?;
        let turn = usize::try_from(subtask.0).unwrap_or(usize::MAX).checked_rem(order.len());
        Ok(turn.and_then(|turn| order.get(turn).copied()))
    }

    /// Positions sorted by old subtask; refuses subtasks that did not exist or come twice.
    fn order_by_subtask(&self, sources: impl Iterator<Item = SubtaskIndex>) -> Result<Vec<usize>> {
        let mut order: Vec<(SubtaskIndex, usize)> = sources.enumerate().map(|(at, subtask)| (subtask, at)).collect();
        order.sort_unstable();
        let mut pairs = order.iter().zip(order.iter().skip(1));
        if let Some(((subtask, one), (_, other))) = pairs.find(|((this, _), (next, _))| this == next) {
            return Err(Error::corrupt(format!("handles {one} and {other} are both of subtask {subtask}")));
        }
        match order.last() {
            Some((subtask, at)) if subtask.0 >= self.old.get() => Err(Error::corrupt(format!(
                "handle {at} is of subtask {subtask}, but the snapshot was taken with parallelism {}",
                self.old
            ))),
            _ => Ok(order.into_iter().map(|(_, at)| at).collect()),
        }
    }

    fn new_count(&self) -> usize {
        usize::try_from(self.new.get()).unwrap_or(usize::MAX)
    }
}

/// The groups from `from` to before `to`.
fn gap(from: u32, to: u32) -> Option<KeyGroupRange> {
    let group = |number: u32| u16::try_from(number).ok().map(KeyGroup);
    KeyGroupRange::new(group(from)?, group(to.checked_sub(1)?)?).ok()
}

#[cfg(test)]
mod tests;
