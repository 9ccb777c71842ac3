use std::any::type_name;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, Visitor};

use super::access::{Elements, Entries, Fields, Variants};
use super::error::Error;
use super::node::{Kind, Node};
use super::{MAX_INPUT_DEPTH, State};
use crate::serializer::shape::{MAX_DEPTH, Shape};

/// Longest tuple whose fields are looked at one by one.
const MAX_TUPLE: usize = 256;

/// Makes up input for one place of a type, and records in `node`, if there is one, what is asked for.
pub(super) struct Tracer<'a> {
    pub(super) state: &'a mut State,
    pub(super) node: Option<&'a mut Node>,
    pub(super) depth: usize,
}

/// A place whose kind has been recorded: what is needed to make up its parts.
struct Place<'a> {
    state: &'a mut State,
    /// `None` where nothing is recorded.
    kind: Option<&'a mut Kind>,
    /// Number of inputs that were rejected here so far.
    rejected: usize,
    /// Depth of the parts.
    depth: usize,
}

impl Tracer<'_> {
    /// Records what is asked for, has input made up for it, and accounts for what becomes of that.
    fn visit<T>(self, kind: Kind, offer: impl FnOnce(Place<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let Tracer { state, mut node, depth } = self;
        let has_parts = !matches!(kind, Kind::Any | Kind::Leaf(_) | Kind::UnitStruct);
        let kind = if has_parts && depth + 2 >= MAX_DEPTH { Kind::Any } else { kind };
        let result = if state.may_go_on(depth) {
            if let Some(node) = &mut node {
                state.learned |= node.observe(kind);
            }
            let rejected = node.as_ref().map_or(0, |node| node.rejected);
            let kind = node.as_deref_mut().map(|node| &mut node.kind);
            offer(Place { state, kind, rejected, depth: depth + 1 })
        } else {
            Err(Error::Exhausted)
        };
        state.settle(node.as_deref_mut(), &result);
        if let Some(node) = node {
            state.learned |= node.refresh();
        }
        result
    }

    /// Offers one of several inputs, the next one each time one is rejected.
    fn leaf<T>(self, shape: Shape, offer: impl FnOnce(usize) -> Result<T, Error>) -> Result<T, Error> {
        self.visit(Kind::Leaf(shape), |place| offer(place.rejected))
    }

    /// Offers the fields of a struct by name.
    pub(super) fn fields<'de, V: Visitor<'de>>(
        self,
        name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.entered(type_name::<V>(), |tracer, again| {
            let kind = if again { Kind::Any } else { Kind::of_struct(name, names) };
            tracer.visit(kind, |Place { state, kind, depth, .. }| {
                let node = match kind {
                    Some(Kind::Struct(node)) => Some(node),
                    _ => None,
                };
                let mut access = Fields::new(state, depth, type_name::<V>(), names, node);
                let result = visitor.visit_map(&mut access);
                access.conclude(&result);
                result
            })
        })
    }

    /// Offers one of the variants of an enum.
    fn variants<'de, V: Visitor<'de>>(
        self,
        name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.entered(type_name::<V>(), |tracer, again| {
            let kind = if again { Kind::Any } else { Kind::of_enum(name, names) };
            tracer.visit(kind, |Place { state, kind, depth, .. }| {
                let node = match kind {
                    Some(Kind::Enum(node)) => Some(node),
                    _ => None,
                };
                Variants::new(state, depth, type_name::<V>(), names, node).offer(visitor)
            })
        })
    }

    /// Goes into a type that may contain itself.
    fn entered<T>(
        self,
        type_name: &'static str,
        visit: impl FnOnce(Tracer<'_>, bool) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Tracer { state, node, depth } = self;
        let again = state.open.contains(&type_name);
        state.cuts += usize::from(again);
        state.open.push(type_name);
        let result = visit(Tracer { state: &mut *state, node, depth }, again);
        state.open.pop();
        result
    }
}

impl State {
    /// Counts a question.
    fn may_go_on(&mut self, depth: usize) -> bool {
        self.steps_left = self.steps_left.saturating_sub(1);
        self.steps_left > 0 && depth <= MAX_INPUT_DEPTH
    }
}

/// What is tried where a type takes a string: common things that are stored as one.
pub(super) const TEXTS: [&str; 9] = [
    "a",
    "",
    "0",
    "2000-01-01",
    "2000-01-01T00:00:00Z",
    "00:00:00",
    "00000000-0000-0000-0000-000000000000",
    "127.0.0.1",
    "http://a.example/",
];

/// What is tried where a type takes whatever comes.
fn offer_anything<'de, V: Visitor<'de>>(visitor: V, rejected: usize) -> Result<V::Value, Error> {
    match rejected {
        0 => visitor.visit_unit(),
        1 => visitor.visit_u64(1),
        2 => visitor.visit_str("a"),
        3 => visitor.visit_bool(false),
        4 => visitor.visit_map(MapDeserializer::<_, Error>::new(std::iter::empty::<(&str, &str)>())),
        5 => visitor.visit_seq(SeqDeserializer::<_, Error>::new(std::iter::empty::<&str>())),
        6 => visitor.visit_f64(1.0),
        _ => visitor.visit_bytes(&[]),
    }
}

/// Methods that offer one value first and another one if that is rejected.
macro_rules! leaves {
    ($($method:ident $visit:ident $shape:ident $first:expr, $second:expr;)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.leaf(Shape::$shape, |rejected| visitor.$visit(if rejected == 0 { $first } else { $second }))
        })+
    };
}

impl<'de> de::Deserializer<'de> for Tracer<'_> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    leaves! {
        deserialize_bool visit_bool Bool false, true;
        deserialize_u8 visit_u8 U8 1, 0;
        deserialize_u16 visit_u16 U16 1, 0;
        deserialize_u32 visit_u32 U32 1, 0;
        deserialize_u64 visit_u64 U64 1, 0;
        deserialize_u128 visit_u128 U128 1, 0;
        deserialize_i8 visit_i8 I8 1, 0;
        deserialize_i16 visit_i16 I16 1, 0;
        deserialize_i32 visit_i32 I32 1, 0;
        deserialize_i64 visit_i64 I64 1, 0;
        deserialize_i128 visit_i128 I128 1, 0;
        deserialize_f32 visit_f32 F32 1.0, 0.0;
        deserialize_f64 visit_f64 F64 1.0, 0.0;
        deserialize_char visit_char Char 'a', '0';
        deserialize_bytes visit_bytes Bytes &[0; 16], &[];
        deserialize_byte_buf visit_bytes Bytes &[0; 16], &[];
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(Kind::Any, |place| offer_anything(visitor, place.rejected))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.leaf(Shape::String, |rejected| visitor.visit_str(TEXTS.get(rejected).unwrap_or(&"a")))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(Kind::Option(Box::default()), |Place { state, kind, rejected, depth }| match kind {
            Some(Kind::Option(node)) if !node.is_dead && rejected == 0 => {
                let result = visitor.visit_some(Tracer { state: &mut *state, node: Some(&mut **node), depth });
                state.settle(Some(node), &result);
                result
            }
            _ => visitor.visit_none(),
        })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.leaf(Shape::Unit, |_| visitor.visit_unit())
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.visit(Kind::UnitStruct, |_| visitor.visit_unit())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        if name == rmp_serde::MSGPACK_EXT_STRUCT_NAME {
            return self.deserialize_any(visitor);
        }
        self.entered(type_name::<V>(), |tracer, again| {
            if !again {
                return visitor.visit_newtype_struct(tracer);
            }
            tracer.visit(Kind::Any, |Place { state, depth, .. }| {
                visitor.visit_newtype_struct(Tracer { state, node: None, depth })
            })
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(Kind::List(Box::default()), |Place { state, kind, rejected, depth }| {
            visitor.visit_seq(match kind {
                Some(Kind::List(node)) => Elements::of_list(state, depth, node, rejected),
                _ => Elements::unrecorded(state, depth, 0),
            })
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        let nodes = || std::iter::repeat_with(Node::default).take(len).collect();
        let kind = if len > MAX_TUPLE { Kind::Any } else { Kind::Tuple(nodes()) };
        self.visit(kind, |Place { state, kind, depth, .. }| {
            visitor.visit_seq(match kind {
                Some(Kind::Tuple(nodes)) => Elements::of_tuple(state, depth, nodes),
                _ => Elements::unrecorded(state, depth, len),
            })
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(Kind::Map(Box::default(), Box::default()), |Place { state, kind, rejected, depth }| {
            let Some(kind @ Kind::Map(..)) = kind else {
                return visitor.visit_map(&mut Entries::unrecorded(state, depth));
            };
            let mut access = match kind {
                Kind::Map(key, value) => Entries::recorded(state, depth, key, value, rejected),
                _ => Entries::unrecorded(state, depth),
            };
            let result = visitor.visit_map(&mut access);
            if access.names_fields() {
                // Not a map but a struct into which another one is flattened: its fields cannot be told.
                state.learned = true;
                *kind = Kind::Any;
            }
            result
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.fields(name, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.variants(name, variants, visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.state.asked_for_name = true;
        self.visit(Kind::Any, |place| visitor.visit_str(if place.rejected == 0 { "a" } else { "" }))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}
