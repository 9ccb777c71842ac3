//! Finding the shape of a serde type without a value of it.
//!
//! A type is deserialized again and again from made-up input. What it asks for is recorded in a tree of [`Node`]s, and
//! each pass makes up the input that promises to teach something new: a variant not yet seen, a field left out to see
//! whether it has a default, a field nobody knows. A pass that teaches nothing is the last one.
//!
//! Made-up input may be rejected, because the type checks what it reads. Then another one is tried, and when none is
//! left the node is *dead*: no value of it can be made up. Whatever can be left out around it is left out (an option is
//! none, a list is empty, a field with a default is missing), so that the rest of the type is still seen.
//!
//! A type that contains itself is not followed twice: the inner occurrence is [`Kind::Any`], and the smallest value
//! that can be made up is given to it, recording nothing.
//!
//! Whatever a type does, the number of steps is limited and nothing here panics; what was not found out is treated as
//! [`Kind::Any`], a field not known to be required as one with a default.

mod access;
mod deserializer;
mod error;
mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::{DeserializeOwned, DeserializeSeed};

use self::deserializer::Tracer;
use self::error::Error;
pub(super) use self::node::{Content, EnumNode, Kind, Node, StructNode};

/// Most passes over one type.
const MAX_PASSES: usize = 4_096;

/// Most questions a type may ask in all passes together.
const MAX_STEPS: usize = 1 << 20;

/// Deepest nesting of made-up input. The nodes end earlier, where shapes end.
const MAX_INPUT_DEPTH: usize = 48;

/// What one pass has to remember, and what is known about types rather than places.
struct State {
    /// Something was found out in this pass.
    learned: bool,
    /// The error on its way up has been accounted for.
    handled: bool,
    /// The name of a field was asked for where a key was expected.
    asked_for_name: bool,
    /// Questions left.
    steps_left: usize,
    /// Visitor types of the structs, enums and newtypes around the current place.
    open: Vec<&'static str>,
    /// Number of times a type was met inside itself.
    cuts: usize,
    /// For an enum type, a variant that does not contain the type again.
    exits: BTreeMap<&'static str, usize>,
    /// For an enum type, how often a variant was tried without knowing an exit.
    tries: BTreeMap<&'static str, usize>,
    /// Struct types with those of their field names that are other names of a field.
    aliases: BTreeSet<(&'static str, &'static str)>,
}

/// Finds out what `T` reads.
pub(super) fn trace<T: DeserializeOwned>() -> Node {
    let mut state = State {
        learned: false,
        handled: false,
        asked_for_name: false,
        steps_left: MAX_STEPS,
        open: Vec::new(),
        cuts: 0,
        exits: BTreeMap::new(),
        tries: BTreeMap::new(),
        aliases: BTreeSet::new(),
    };
    let mut root = Node::default();
    for _ in 0..MAX_PASSES {
        state.learned = false;
        state.handled = false;
        state.open.clear();
        // A type may panic on input that nobody would write. That is as good as an error.
        let pass = catch_unwind(AssertUnwindSafe(|| state.plant(Some(&mut root), 0, PhantomData::<T>).map(drop)));
        if pass.is_err() {
            state.blame(Some(&mut root));
        }
        let is_complete = matches!(pass, Ok(Ok(()))) && root.is_settled();
        if is_complete || !state.learned || state.steps_left == 0 {
            break;
        }
    }
    root
}

impl State {
    /// Deserializes the value at a node.
    fn plant<'de, S: DeserializeSeed<'de>>(
        &mut self,
        mut node: Option<&mut Node>,
        depth: usize,
        seed: S,
    ) -> Result<S::Value, Error> {
        let result = seed.deserialize(Tracer { state: self, node: node.as_deref_mut(), depth });
        self.settle(node, &result);
        result
    }

    /// Accounts for the outcome of a node: the innermost node that sees an error is the one whose input was rejected.
    fn settle<T>(&mut self, node: Option<&mut Node>, result: &Result<T, Error>) {
        match result {
            // An earlier error did not come up: somebody swallowed it.
            Ok(_) => self.handled = false,
            Err(_) => self.blame(node),
        }
    }

    fn blame(&mut self, node: Option<&mut Node>) {
        if let Some(node) = node
            && !self.handled
        {
            self.handled = true;
            self.learned |= node.reject();
        }
    }
}

#[cfg(test)]
mod tests;
