//! What the backend may show.
//!
//! An item that was ever expired since it was written is *doubtful*: clean-up may have removed it, now or before the clock
//! went back. A doubtful item that a read could see may be there or not, and the read settles it.

use std::collections::{BTreeMap, BTreeSet};

use super::states::Id;
use crate::codec::Writer;
use crate::key_group::MaxParallelism;
use crate::serializer::{I64, Serializer, Str, Unit};
use crate::state::{TimeDomain, TtlUpdate, TtlVisibility};

/// Where an item is. `namespace` is 0 and `user_key` empty where a state has none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) state: Id,
    pub(super) key: String,
    pub(super) namespace: i64,
    pub(super) user_key: String,
}

#[derive(Debug, Clone)]
struct Item {
    number: u64,
    stamp_ms: i64,
    is_doubtful: bool,
}

/// A timer in firing order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SetTimer {
    pub(super) state: Id,
    pub(super) domain: TimeDomain,
    pub(super) timestamp_ms: i64,
    group: u16,
    bytes: Vec<u8>,
    pub(super) key: String,
    pub(super) namespace: i64,
}

impl SetTimer {
    pub(super) fn new(at: &Address, domain: TimeDomain, timestamp_ms: i64, max: MaxParallelism) -> Self {
        let mut bytes = Writer::new();
        Str.write(&at.key, &mut bytes).unwrap();
        let group = max.group_of_key(bytes.as_slice()).0;
        match at.state.is_namespaced() {
            true => I64.write(&at.namespace, &mut bytes).unwrap(),
            false => Unit.write(&(), &mut bytes).unwrap(),
        }
        let (state, key, namespace) = (at.state, at.key.clone(), at.namespace);
        SetTimer { state, domain, timestamp_ms, group, bytes: bytes.into_bytes(), key, namespace }
    }
}

/// The whole state.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    items: BTreeMap<Address, Vec<Item>>,
    pub(super) timers: BTreeSet<SetTimer>,
    now_ms: i64,
}

impl Item {
    fn is_live(&self, state: Id, now_ms: i64) -> bool {
        state.ttl().is_none_or(|ttl| !ttl.is_expired(self.stamp_ms, now_ms))
    }
}

impl Model {
    /// Moves the clock.
    pub(super) fn set_ms(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        for (address, items) in &mut self.items {
            for item in items {
                item.is_doubtful |= !item.is_live(address.state, now_ms);
            }
        }
    }

    fn item(&self, number: u64) -> Item {
        Item { number, stamp_ms: self.now_ms, is_doubtful: false }
    }

    /// Replaces what is at an address.
    pub(super) fn set(&mut self, at: &Address, numbers: &[u64]) {
        let items: Vec<Item> = numbers.iter().map(|number| self.item(*number)).collect();
        match items.is_empty() {
            true => self.items.remove(at),
            false => self.items.insert(at.clone(), items),
        };
    }

    /// Appends to what is at an address.
    pub(super) fn append(&mut self, at: &Address, numbers: &[u64]) {
        let added: Vec<Item> = numbers.iter().map(|number| self.item(*number)).collect();
        if !added.is_empty() {
            self.items.entry(at.clone()).or_default().extend(added);
        }
    }

    /// Adds to the live number at an address, or starts with `step`. Nothing there may be doubtful.
    pub(super) fn fold(&mut self, at: &Address, step: u64) {
        let live = self.items.get(at).and_then(|items| items.iter().find(|item| item.is_live(at.state, self.now_ms)));
        let sum = live.map_or(step, |item| item.number + step);
        self.set(at, &[sum]);
    }

    /// Removes every user key of a map.
    pub(super) fn clear_map(&mut self, at: &Address) {
        for user_key in self.user_keys(at) {
            self.items.remove(&Address { user_key, ..at.clone() });
        }
    }

    /// User keys that the map at an address may have.
    pub(super) fn user_keys(&self, at: &Address) -> Vec<String> {
        let first = Address { user_key: String::new(), ..at.clone() };
        let same = |found: &&Address| (&found.key, found.namespace, found.state) == (&at.key, at.namespace, at.state);
        self.items.range(first..).map(|(found, _)| found).take_while(same).map(|found| found.user_key.clone()).collect()
    }

    /// Compares what a read showed with what it may show, and settles doubts.
    pub(super) fn observe(&mut self, at: &Address, seen: &[u64]) {
        let lingers = at.state.ttl().is_some_and(|ttl| ttl.visibility == TtlVisibility::ReturnUntilCleanedUp);
        let now_ms = self.now_ms;
        let items = self.items.remove(at).unwrap_or_default();
        let mut left = seen.iter();
        let mut kept = Vec::new();
        for mut item in items.clone() {
            let is_live = item.is_live(at.state, now_ms);
            if !is_live && !lingers {
                kept.push(item);
            } else if left.clone().next() == Some(&item.number) {
                left.next();
                item.is_doubtful = !is_live;
                kept.push(item);
            } else {
                assert!(item.is_doubtful, "{at:?} shows {seen:?} at {now_ms}, expected {items:?}");
            }
        }
        assert!(left.next().is_none(), "{at:?} shows {seen:?} at {now_ms}, expected {items:?}");
        if !kept.is_empty() {
            self.items.insert(at.clone(), kept);
        }
    }

    /// Compares whether a read showed anything.
    pub(super) fn observe_presence(&mut self, at: &Address, is_there: bool) {
        let number = self.items.get(at).map(|items| items[0].number);
        match (is_there, number) {
            (true, Some(number)) => self.observe(at, &[number]),
            (true, None) => panic!("{at:?} is there, expected nothing"),
            (false, _) => self.observe(at, &[]),
        }
    }

    /// After a read that counts as touching, if it does.
    pub(super) fn touch(&mut self, at: &Address) {
        let now_ms = self.now_ms;
        if at.state.ttl().is_some_and(|ttl| ttl.update == TtlUpdate::OnReadAndWrite)
            && let Some(items) = self.items.get_mut(at)
        {
            items.iter_mut().filter(|item| item.is_live(at.state, now_ms)).for_each(|item| item.stamp_ms = now_ms);
        }
    }

    /// Whether anything at an address that a read could show is doubtful.
    pub(super) fn is_doubtful(&self, at: &Address) -> bool {
        self.items.get(at).is_some_and(|items| items.iter().any(|item| item.is_doubtful))
    }

    /// Whether a map is empty: `None` if that is doubtful.
    pub(super) fn is_empty(&self, at: &Address) -> Option<bool> {
        let user_keys = self.user_keys(at);
        let items = || user_keys.iter().flat_map(|key| &self.items[&Address { user_key: key.clone(), ..at.clone() }]);
        match (items().any(|item| !item.is_doubtful), items().any(|item| item.is_live(at.state, self.now_ms))) {
            (true, _) => Some(false),
            (false, true) => None,
            (false, false) => Some(true),
        }
    }

    /// Compares a visit of a whole state, which shows what is live.
    pub(super) fn check_visit(&self, state: Id, seen: &BTreeMap<Address, Vec<u64>>) {
        let shown = |numbers: &[u64]| numbers.to_vec();
        for (at, numbers) in seen {
            assert!(self.items.contains_key(at), "{at:?} shows {:?}, expected nothing", shown(numbers));
        }
        for (at, items) in self.items.iter().filter(|(at, _)| at.state == state) {
            let live: Vec<&Item> = items.iter().filter(|item| item.is_live(state, self.now_ms)).collect();
            let numbers = seen.get(at).map(Vec::as_slice).unwrap_or_default();
            let mut left = numbers.iter();
            for item in &live {
                if left.clone().next() == Some(&item.number) {
                    left.next();
                } else {
                    assert!(item.is_doubtful, "{at:?} shows {numbers:?} at {}, expected {items:?}", self.now_ms);
                }
            }
            assert!(left.next().is_none(), "{at:?} shows {numbers:?} at {}, expected {items:?}", self.now_ms);
        }
    }

    /// Compares a visit of the keys and namespaces of a state.
    pub(super) fn check_keys(&self, state: Id, seen: &BTreeSet<(String, i64)>) {
        let of_state = || self.items.iter().filter(|(at, _)| at.state == state);
        let place = |at: &Address| (at.key.clone(), at.namespace);
        let live = |items: &[Item]| items.iter().any(|item| item.is_live(state, self.now_ms));
        let certain: BTreeSet<_> = of_state()
            .filter(|(_, items)| items.iter().any(|item| !item.is_doubtful))
            .map(|(at, _)| place(at))
            .collect();
        let possible: BTreeSet<_> = of_state().filter(|(_, items)| live(items)).map(|(at, _)| place(at)).collect();
        assert!(
            certain.is_subset(seen) && seen.is_subset(&possible),
            "{state:?} has keys {seen:?} at {}, expected {certain:?} and at most {possible:?}",
            self.now_ms
        );
    }

    /// The timers of a state and domain in firing order.
    pub(super) fn due(&self, state: Id, domain: TimeDomain) -> impl Iterator<Item = &SetTimer> {
        self.timers.iter().filter(move |timer| timer.state == state && timer.domain == domain)
    }
}
