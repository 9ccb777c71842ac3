use std::hash::{DefaultHasher, Hash, Hasher};

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::State;
use super::deserializer::Tracer;
use super::error::Error;
use super::node::{Content, EnumNode, Node, Offer, Stage, StructNode, VariantNode};

/// A name that no field and no variant has.
const NOBODY: &str = "\u{1}";

/// The elements of a list or the fields of a tuple.
pub(super) struct Elements<'a> {
    state: &'a mut State,
    depth: usize,
    nodes: Nodes<'a>,
    left: usize,
}

enum Nodes<'a> {
    Each(std::slice::IterMut<'a, Node>),
    Same(&'a mut Node),
    Unrecorded,
}

impl<'a> Elements<'a> {
    pub(super) fn of_tuple(state: &'a mut State, depth: usize, nodes: &'a mut [Node]) -> Self {
        let left = nodes.len();
        Elements { state, depth, nodes: Nodes::Each(nodes.iter_mut()), left }
    }

    /// One element; none if that was rejected or cannot be made up, and at last two.
    pub(super) fn of_list(state: &'a mut State, depth: usize, node: &'a mut Node, rejected: usize) -> Self {
        let left = match rejected {
            _ if node.is_dead => 0,
            0 => 1,
            1 => 0,
            _ => 2,
        };
        Elements { state, depth, nodes: Nodes::Same(node), left }
    }

    pub(super) fn unrecorded(state: &'a mut State, depth: usize, left: usize) -> Self {
        Elements { state, depth, nodes: Nodes::Unrecorded, left }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let node = match &mut self.nodes {
            Nodes::Each(nodes) => nodes.next(),
            Nodes::Same(node) => Some(&mut **node),
            Nodes::Unrecorded => None,
        };
        self.state.plant(node, self.depth, seed).map(Some)
    }
}

/// The entries of a map.
pub(super) struct Entries<'a> {
    state: &'a mut State,
    depth: usize,
    nodes: Option<(&'a mut Node, &'a mut Node)>,
    left: usize,
    names_fields: bool,
}

impl<'a> Entries<'a> {
    /// One entry, or none if that was rejected or cannot be made up.
    pub(super) fn recorded(
        state: &'a mut State,
        depth: usize,
        key: &'a mut Node,
        value: &'a mut Node,
        rejected: usize,
    ) -> Self {
        let left = usize::from(rejected == 0 && !key.is_dead && !value.is_dead);
        Entries { state, depth, nodes: Some((key, value)), left, names_fields: false }
    }

    pub(super) fn unrecorded(state: &'a mut State, depth: usize) -> Self {
        Entries { state, depth, nodes: None, left: 0, names_fields: false }
    }

    /// Whether the keys turned out to be names of fields.
    pub(super) fn names_fields(&self) -> bool {
        self.names_fields
    }
}

impl<'de> MapAccess<'de> for &mut Entries<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        self.state.asked_for_name = false;
        let key = self.state.plant(self.nodes.as_mut().map(|(key, _)| &mut **key), self.depth, seed);
        self.names_fields |= self.state.asked_for_name;
        key.map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        self.state.plant(self.nodes.as_mut().map(|(_, value)| &mut **value), self.depth, seed)
    }
}

/// The fields of a struct.
pub(super) struct Fields<'a> {
    state: &'a mut State,
    depth: usize,
    type_name: &'static str,
    names: &'static [&'static str],
    node: Option<&'a mut StructNode>,
    stage: Stage,
    /// Still to offer, the next one last.
    left: Vec<usize>,
    offers_nobody: bool,
    offered: Vec<usize>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(
        state: &'a mut State,
        depth: usize,
        type_name: &'static str,
        names: &'static [&'static str],
        node: Option<&'a mut StructNode>,
    ) -> Self {
        let (stage, mut left) = match &node {
            Some(node) => node.plan(),
            None => {
                let stored = |name: &str| !state.aliases.iter().any(|alias| *alias == (type_name, name));
                let indices = names.iter().enumerate().filter(|(_, name)| stored(name)).map(|(index, _)| index);
                (Stage::Use, indices.collect())
            }
        };
        left.reverse();
        let offers_nobody = stage == Stage::FindStrictness;
        Fields { state, depth, type_name, names, node, stage, left, offers_nobody, offered: Vec::new() }
    }

    /// Learns from what became of the struct, unless a part of it is to blame.
    pub(super) fn conclude<T>(self, result: &Result<T, Error>) {
        let alias = match result {
            Err(Error::DuplicateField(name)) if !self.state.handled => self.alias(name),
            _ => None,
        };
        let Fields { state, type_name, node, stage, .. } = self;
        if state.handled && result.is_err() {
            return;
        }
        if let Some((alias, _)) = alias {
            state.learned |= state.aliases.insert((type_name, alias));
            state.handled = true;
        }
        let Some(node) = node else { return };
        let learned = match (result, stage) {
            (Err(Error::MissingField(name)), _) => node.require(name),
            (Err(Error::DuplicateField(_)), _) => alias.is_some_and(|(alias, stored)| node.rename(alias, stored)),
            (outcome, Stage::FindStrictness) => {
                node.denies_unknown = Some(matches!(outcome, Err(Error::UnknownField)));
                true
            }
            (_, Stage::FindDefaults) => false,
            _ => return,
        };
        // A pass that asks for defaults and learns of no further required field has found them all, or never will.
        let is_answer = stage == Stage::FindDefaults && !learned;
        node.is_probed |= is_answer;
        state.learned |= learned || is_answer;
        state.handled |= result.is_err() && (learned || is_answer);
    }

    /// Of two names of one field, the one that is not stored, and the stored one.
    fn alias(&self, stored: &'static str) -> Option<(&'static str, &'static str)> {
        let index = self.names.iter().position(|name| *name == stored)?;
        let last = *self.offered.last()?;
        let alias = if last == index {
            // The other name was offered before. Names of one field stand side by side.
            let is_offered = |near: &usize| self.offered.contains(near);
            index.checked_sub(1).filter(is_offered).or_else(|| index.checked_add(1).filter(is_offered))?
        } else {
            last
        };
        self.names.get(alias).map(|alias| (*alias, stored))
    }
}

impl<'de> MapAccess<'de> for &mut Fields<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if self.offers_nobody {
            return seed.deserialize(StrDeserializer::new(NOBODY)).map(Some);
        }
        let Some(index) = self.left.pop() else { return Ok(None) };
        self.offered.push(index);
        let name = self.names.get(index).copied().unwrap_or(NOBODY);
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        if std::mem::take(&mut self.offers_nobody) {
            return self.state.plant(None, self.depth, seed);
        }
        let index = self.offered.last().copied();
        let field = self.node.as_mut().zip(index).and_then(|(node, index)| node.fields.get_mut(index));
        self.state.plant(field.map(|field| &mut field.node), self.depth, seed)
    }
}

/// The variants of an enum, one of which is offered.
pub(super) struct Variants<'a> {
    state: &'a mut State,
    depth: usize,
    type_name: &'static str,
    names: &'static [&'static str],
    node: Option<&'a mut EnumNode>,
}

impl<'a> Variants<'a> {
    pub(super) fn new(
        state: &'a mut State,
        depth: usize,
        type_name: &'static str,
        names: &'static [&'static str],
        node: Option<&'a mut EnumNode>,
    ) -> Self {
        Variants { state, depth, type_name, names, node }
    }

    pub(super) fn offer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Variants { state, depth, type_name, names, node } = self;
        let cuts = state.cuts;
        let Some(node) = node else {
            let index = exit(state, type_name, names.len()).ok_or(Error::Rejected)?;
            let name = names.get(index).copied().unwrap_or(NOBODY);
            let result = visitor.visit_enum(Offered { state, depth, name, node: None });
            state.remember_exit(type_name, index, cuts, &result);
            return result;
        };
        let index = match node.plan() {
            Offer::Variant(index) => index,
            Offer::Nobody => {
                let result = visitor.visit_enum(Offered { state, depth, name: NOBODY, node: None });
                node.is_open = Some(!matches!(result, Err(Error::UnknownVariant)));
                state.learned = true;
                state.handled = result.is_err();
                return result;
            }
            Offer::Nothing => return Err(Error::Rejected),
        };
        let Some(variant) = node.variants.get_mut(index) else { return Err(Error::Rejected) };
        let result = visitor.visit_enum(Offered { state, depth, name: variant.name, node: Some(variant) });
        state.remember_exit(type_name, index, cuts, &result);
        if result.is_err() && !state.handled {
            variant.is_dead = true;
            state.learned = true;
            state.handled = true;
        }
        result
    }
}

/// The variant to use for an enum that is not recorded: one that ends the recursion, if one is known, otherwise one
/// after the other.
fn exit(state: &mut State, type_name: &'static str, count: usize) -> Option<usize> {
    if let Some(index) = state.exits.get(type_name) {
        return Some(*index);
    }
    let tries = state.tries.entry(type_name).or_default();
    let index = tries.checked_rem(count);
    *tries += 1;
    state.learned |= *tries <= count.saturating_mul(2);
    index
}

impl State {
    fn remember_exit<T>(&mut self, type_name: &'static str, index: usize, cuts: usize, result: &Result<T, Error>) {
        if result.is_ok() && self.cuts == cuts {
            self.exits.entry(type_name).or_insert(index);
        }
    }
}

/// One variant, offered by name.
struct Offered<'a> {
    state: &'a mut State,
    depth: usize,
    name: &'static str,
    node: Option<&'a mut VariantNode>,
}

impl<'a, 'de> EnumAccess<'de> for Offered<'a> {
    type Error = Error;
    type Variant = Holding<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Holding<'a>), Error> {
        let Offered { state, depth, name, mut node } = self;
        let value = seed.deserialize(StrDeserializer::<Error>::new(name))?;
        if let Some(node) = &mut node {
            node.fingerprint = Some(fingerprint(&value));
        }
        Ok((value, Holding { state, depth, name, content: node.map(|node| &mut node.content) }))
    }
}

/// A number that is the same for two names of one variant: derived code turns names into an enum of its own.
fn fingerprint<T>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::mem::discriminant(value).hash(&mut hasher);
    hasher.finish()
}

/// What a variant holds.
struct Holding<'a> {
    state: &'a mut State,
    depth: usize,
    name: &'static str,
    content: Option<&'a mut Content>,
}

impl<'a> Holding<'a> {
    /// Records that the variant holds something.
    fn into_tracer(self) -> (Tracer<'a>, &'static str) {
        let Holding { state, depth, name, content } = self;
        let node = content.and_then(|content| {
            if matches!(content, Content::Unknown) {
                state.learned = true;
                *content = Content::Holds(Node::default());
            }
            match content {
                Content::Holds(node) => Some(node),
                _ => None,
            }
        });
        (Tracer { state, node, depth }, name)
    }
}

impl<'de> VariantAccess<'de> for Holding<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        if let Some(content) = self.content
            && matches!(content, Content::Unknown)
        {
            self.state.learned = true;
            *content = Content::Nothing;
        }
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        let (Tracer { state, node, depth }, _) = self.into_tracer();
        state.plant(node, depth, seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.into_tracer().0.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        let (tracer, name) = self.into_tracer();
        tracer.fields(name, fields, visitor)
    }
}
