//! Operations on one key and namespace of a state, on backend and model alike.

use super::choices::Choices;
use super::expected::{Address, Model};
use super::states::{Numbered, SumAndCount};
use crate::state::{AggregatingState, ListState, MapState, ReducingState, ValueState};

/// User keys of maps; some are prefixes of others.
const USER_KEYS: [&str; 6] = ["", "a", "aa", "b", "\0", "user-key"];

/// The model beside an operation.
pub(super) struct Beside<'a> {
    pub(super) model: &'a mut Model,
    pub(super) choices: &'a mut Choices,
    pub(super) at: Address,
    /// Numbers that were not used before.
    pub(super) next: &'a mut u64,
}

impl Beside<'_> {
    fn fresh(&mut self) -> u64 {
        *self.next += 1;
        *self.next
    }

    fn fresh_list(&mut self) -> Vec<u64> {
        let length = self.choices.of(&[0, 1, 1, 2, 5]);
        (0..length).map(|_| self.fresh()).collect()
    }

    pub(super) fn value<V: Numbered>(mut self, mut state: impl ValueState<V>) -> &'static str {
        match self.choices.below(8) {
            0..3 => {
                let seen = state.get().unwrap().map(|value| value.number());
                self.model.observe(&self.at, seen.as_slice());
                self.model.touch(&self.at);
                "get"
            }
            3..5 => {
                let number = self.fresh();
                state.set(V::of(number)).unwrap();
                self.model.set(&self.at, &[number]);
                "set"
            }
            5..7 => {
                let after = if self.choices.once_in(3) { None } else { Some(self.fresh()) };
                let mut seen = None;
                let change = |value: &mut Option<V>| {
                    seen = value.as_ref().map(V::number);
                    *value = after.map(V::of);
                };
                state.update(change).unwrap();
                self.model.observe(&self.at, seen.as_slice());
                self.model.set(&self.at, after.as_slice());
                "update"
            }
            _ => {
                state.clear().unwrap();
                self.model.set(&self.at, &[]);
                "clear"
            }
        }
    }

    pub(super) fn list<T: Numbered>(mut self, mut state: impl ListState<T>) -> &'static str {
        match self.choices.below(10) {
            0..3 => {
                let seen: Vec<u64> = state.get().unwrap().iter().map(T::number).collect();
                self.model.observe(&self.at, &seen);
                self.model.touch(&self.at);
                "get"
            }
            3..6 => {
                let number = self.fresh();
                state.add(T::of(number)).unwrap();
                self.model.append(&self.at, &[number]);
                "add"
            }
            6..8 => {
                let numbers = self.fresh_list();
                state.add_all(numbers.iter().map(|number| T::of(*number))).unwrap();
                self.model.append(&self.at, &numbers);
                "add_all"
            }
            8 => {
                let numbers = self.fresh_list();
                state.set(numbers.iter().map(|number| T::of(*number)).collect()).unwrap();
                self.model.set(&self.at, &numbers);
                "set"
            }
            _ => {
                state.clear().unwrap();
                self.model.set(&self.at, &[]);
                "clear"
            }
        }
    }

    pub(super) fn map<V: Numbered>(mut self, mut state: impl MapState<String, V>) -> &'static str {
        self.at.user_key = self.choices.of(&USER_KEYS).to_owned();
        match self.choices.below(16) {
            0..3 => {
                let seen = state.get(&self.at.user_key).unwrap().map(|value| value.number());
                self.model.observe(&self.at, seen.as_slice());
                self.model.touch(&self.at);
                "get"
            }
            3..7 => {
                let number = self.fresh();
                state.put(self.at.user_key.clone(), V::of(number)).unwrap();
                self.model.set(&self.at, &[number]);
                "put"
            }
            7..9 => {
                let after = if self.choices.once_in(3) { None } else { Some(self.fresh()) };
                let mut seen = None;
                let change = |value: &mut Option<V>| {
                    seen = value.as_ref().map(V::number);
                    *value = after.map(V::of);
                };
                state.update(self.at.user_key.clone(), change).unwrap();
                self.model.observe(&self.at, seen.as_slice());
                self.model.set(&self.at, after.as_slice());
                "update"
            }
            9..11 => {
                state.remove(&self.at.user_key).unwrap();
                self.model.set(&self.at, &[]);
                "remove"
            }
            11 => {
                self.model.observe_presence(&self.at, state.contains(&self.at.user_key).unwrap());
                "contains"
            }
            12..14 => self.map_entries(&mut state),
            14 => {
                let is_empty = state.is_empty().unwrap();
                assert!(
                    self.model.is_empty(&self.at).is_none_or(|expected| expected == is_empty),
                    "is_empty {is_empty}"
                );
                "is_empty"
            }
            _ => {
                state.clear().unwrap();
                self.model.clear_map(&self.at);
                "clear"
            }
        }
    }

    fn map_entries<V: Numbered>(mut self, state: &mut impl MapState<String, V>) -> &'static str {
        let mut seen: Vec<(String, u64)> = Vec::new();
        for entry in state.entries().unwrap() {
            let (user_key, value) = entry.unwrap();
            seen.push((user_key.into_owned(), value.number()));
        }
        for user_key in self.model.user_keys(&self.at) {
            self.at.user_key = user_key;
            let found = seen.iter().position(|(user_key, _)| *user_key == self.at.user_key);
            let number = found.map(|position| seen.swap_remove(position).1);
            self.model.observe(&self.at, number.as_slice());
            self.model.touch(&self.at);
        }
        assert!(seen.is_empty(), "{:?} has entries {seen:?}, expected no such user keys", self.at);
        "entries"
    }

    pub(super) fn reducing(mut self, mut state: impl ReducingState<u64>) -> &'static str {
        let choice = self.choices.below(8);
        if choice < 3 || self.model.is_doubtful(&self.at) {
            let seen = state.get().unwrap().map(|value| *value);
            self.model.observe(&self.at, seen.as_slice());
            self.model.touch(&self.at);
            "get"
        } else if choice < 7 {
            let number = self.fresh();
            state.add(number).unwrap();
            self.model.fold(&self.at, number);
            "add"
        } else {
            state.clear().unwrap();
            self.model.set(&self.at, &[]);
            "clear"
        }
    }

    pub(super) fn aggregating(mut self, mut state: impl AggregatingState<SumAndCount>) -> &'static str {
        let choice = self.choices.below(8);
        if choice < 3 || (choice < 7 && self.model.is_doubtful(&self.at)) {
            let seen = state.get().unwrap();
            self.model.observe(&self.at, seen.as_slice());
            self.model.touch(&self.at);
            "get"
        } else if choice < 7 {
            let number = self.fresh();
            state.add(number).unwrap();
            self.model.fold(&self.at, SumAndCount::step(number));
            "add"
        } else {
            state.clear().unwrap();
            self.model.set(&self.at, &[]);
            "clear"
        }
    }
}
