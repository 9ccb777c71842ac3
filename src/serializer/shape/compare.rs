//! Whether one serde type reads what another one wrote; the rules are in the documentation of the parent module.

use super::trace::{Content, EnumNode, Kind, Node, StructNode};
use super::{Field, Shape, Variant};
use crate::serializer::Compatibility;

/// Whether the type behind `own` reads what a type of the shape `written` wrote.
pub(super) fn compare(written: &Shape, own: &Node) -> Compatibility {
    part("", written, own)
}

/// The verdict about the part at `path`, which is empty for the whole.
fn part(path: &str, written: &Shape, own: &Node) -> Compatibility {
    match (written, &own.kind) {
        (Shape::Any, _) if own.shape() == Shape::Any => Compatibility::AsIs,
        (Shape::Any, _) => migration(path, written, own),
        _ if own.shape() == Shape::Any => migration(path, written, own),
        (Shape::Option(written), Kind::Option(own)) => part(path, written, own),
        (written, Kind::Option(own)) if !matches!(written, Shape::Option(_)) => part(path, written, own),
        (Shape::List(written), Kind::List(own)) => part(&format!("{path}[]"), written, own),
        (Shape::Tuple(fields), Kind::List(own)) => {
            all(fields.iter().enumerate().map(|(index, field)| part(&format!("{path}[{index}]"), field, own)))
        }
        (Shape::Tuple(fields), Kind::Tuple(own)) if fields.len() == own.len() => {
            let pairs = fields.iter().zip(own).enumerate();
            all(pairs.map(|(index, (field, own))| part(&format!("{path}[{index}]"), field, own)))
        }
        (Shape::Map(key, value), Kind::Map(own_key, own_value)) => {
            part(&format!("{path}{{key}}"), key, own_key).and(part(&format!("{path}{{}}"), value, own_value))
        }
        (Shape::Struct { fields, .. }, Kind::Map(key, value)) => {
            let names = part(&format!("{path}{{key}}"), &Shape::String, key);
            let values = fields.iter().map(|field| part(&inner(path, &field.name), &field.shape, value));
            migration(path, written, own).and(names).and(all(values))
        }
        (Shape::Struct { fields, .. }, Kind::Struct(own)) => structs(path, fields, own),
        (Shape::Enum { variants, .. }, Kind::Enum(own)) => enums(path, variants, own),
        _ => leaves(path, written, own),
    }
}

fn all(verdicts: impl Iterator<Item = Compatibility>) -> Compatibility {
    verdicts.fold(Compatibility::AsIs, Compatibility::and)
}

/// The verdict where at least one side has no parts.
fn leaves(path: &str, written: &Shape, own: &Node) -> Compatibility {
    let is_bare = |variant: &Variant| variant.content.is_none();
    match (written, &own.kind) {
        (written, Kind::Leaf(own)) if written == own => Compatibility::AsIs,
        (Shape::Tuple(fields), Kind::UnitStruct) if fields.is_empty() => Compatibility::AsIs,
        (Shape::Unit, Kind::UnitStruct) => migration(path, written, own),
        (Shape::Char, Kind::Leaf(Shape::String)) => Compatibility::AsIs,
        (Shape::Enum { variants, .. }, Kind::Leaf(Shape::String)) if variants.iter().all(is_bare) => {
            Compatibility::AsIs
        }
        (Shape::Bytes, Kind::List(element)) if part(path, &Shape::U8, element).is_readable() => {
            migration(path, written, own)
        }
        (Shape::List(element), Kind::Leaf(Shape::Bytes)) if **element == Shape::U8 => migration(path, written, own),
        (written, Kind::Leaf(to)) => match widening(written, to) {
            Some(Widening::SameBytes) => Compatibility::AsIs,
            Some(Widening::OtherBytes) => migration(path, written, own),
            None => refusal(path, written, own),
        },
        _ => refusal(path, written, own),
    }
}

fn structs(path: &str, fields: &[Field], own: &StructNode) -> Compatibility {
    let stored = |name: &str| {
        let field = own.fields.iter().find(|field| field.name == name)?;
        Some(field.alias_of.unwrap_or(field.name))
    };
    let kept: Vec<&str> = fields.iter().filter_map(|field| stored(&field.name)).collect();
    let mut verdict = Compatibility::AsIs;
    for field in fields {
        let path = inner(path, &field.name);
        let name = stored(&field.name);
        verdict = verdict.and(match own.fields.iter().find(|own| Some(own.name) == name) {
            Some(own) if own.name != field.name => {
                let renamed = format!("field {path:?} is now called {:?}", own.name);
                Compatibility::AfterMigration(renamed).and(part(&path, &field.shape, &own.node))
            }
            Some(own) => part(&path, &field.shape, &own.node),
            None if own.denies_unknown == Some(true) => Compatibility::Incompatible(format!(
                "field {path:?} is gone and struct {} denies unknown fields; keep the field or allow unknown ones",
                own.name
            )),
            None => Compatibility::AfterMigration(format!("field {path:?} is dropped")),
        });
    }
    let added = own.fields.iter().filter(|field| field.alias_of.is_none() && !kept.contains(&field.name));
    let added = added.map(|field| match (inner(path, field.name), field.is_required) {
        (path, true) => Compatibility::Incompatible(format!(
            "field {path:?} is new and has no default; give it one with #[serde(default)]"
        )),
        (path, false) => Compatibility::AfterMigration(format!("field {path:?} is new")),
    });
    let order: Vec<usize> =
        kept.iter().filter_map(|name| own.fields.iter().position(|field| field.name == *name)).collect();
    let order = if order.is_sorted() {
        Compatibility::AsIs
    } else {
        Compatibility::AfterMigration(format!("the fields of {} are reordered", whole(path, "struct", own.name)))
    };
    verdict.and(all(added)).and(order)
}

fn enums(path: &str, variants: &[Variant], own: &EnumNode) -> Compatibility {
    let own_names = own.shapes();
    all(variants.iter().map(|variant| {
        let names: Vec<&String> = names(variant).collect();
        let known = own.variants.iter().find(|own| names.iter().any(|name| *name == own.name));
        let Some(known) = known else {
            let subject = whole(path, "enum", own.name);
            let text = format!("{subject} has no variant {:?} any more", variant.name);
            let is_taken = own.is_open != Some(false) && variant.content.is_none();
            return if is_taken { Compatibility::AfterMigration(text) } else { Compatibility::Incompatible(text) };
        };
        let is_renamed = !own_names.iter().any(|own| self::names(own).eq(names.iter().copied()));
        let renamed = if is_renamed {
            let text = format!("variant {:?} of {} has other names", variant.name, whole(path, "enum", own.name));
            Compatibility::AfterMigration(text)
        } else {
            Compatibility::AsIs
        };
        renamed.and(content(&format!("{path}::{}", known.name), variant.content.as_ref(), &known.content))
    }))
}

fn names(variant: &Variant) -> impl Iterator<Item = &String> {
    std::iter::once(&variant.name).chain(&variant.aliases)
}

fn content(path: &str, written: Option<&Shape>, own: &Content) -> Compatibility {
    match (written, own) {
        (None, Content::Nothing) | (_, Content::Unknown) => Compatibility::AsIs,
        (Some(written), Content::Holds(own)) => part(path, written, own),
        (Some(Shape::Unit | Shape::Any), Content::Nothing) => {
            Compatibility::AfterMigration(format!("variant {path:?} held nothing and is now its name alone"))
        }
        (None, Content::Holds(own)) => Compatibility::Incompatible(format!(
            "variant {path:?} was its name alone, now holds {}",
            brief(&own.shape())
        )),
        (Some(written), Content::Nothing) => {
            Compatibility::Incompatible(format!("variant {path:?} held {}, now is its name alone", brief(written)))
        }
    }
}

/// How a wider number type changes the bytes.
enum Widening {
    SameBytes,
    OtherBytes,
}

/// Whether `to` holds every value of `from`.
fn widening(from: &Shape, to: &Shape) -> Option<Widening> {
    let (signed, bits) = integer(from).or((*from == Shape::F32).then_some((true, 24)))?;
    let holds = match (integer(to), to) {
        (Some((to_signed, to_bits)), _) if *from != Shape::F32 => {
            if signed == to_signed {
                bits <= to_bits
            } else {
                to_signed && bits < to_bits
            }
        }
        (_, Shape::F32) => bits <= 24,
        (_, Shape::F64) => bits <= 53,
        _ => false,
    };
    // MessagePack stores integers as short as they are, up to 64 bits; wider ones are stored as bytes.
    let is_short = |shape: &Shape| integer(shape).is_some_and(|(_, bits)| bits <= 64);
    let same_bytes = is_short(from) && is_short(to);
    holds.then_some(if same_bytes { Widening::SameBytes } else { Widening::OtherBytes })
}

/// Whether an integer type is signed, and its bits.
fn integer(shape: &Shape) -> Option<(bool, u32)> {
    Some(match shape {
        Shape::U8 => (false, 8),
        Shape::U16 => (false, 16),
        Shape::U32 => (false, 32),
        Shape::U64 => (false, 64),
        Shape::U128 => (false, 128),
        Shape::I8 => (true, 8),
        Shape::I16 => (true, 16),
        Shape::I32 => (true, 32),
        Shape::I64 => (true, 64),
        Shape::I128 => (true, 128),
        _ => return None,
    })
}

fn migration(path: &str, written: &Shape, own: &Node) -> Compatibility {
    Compatibility::AfterMigration(difference(path, written, own))
}

fn refusal(path: &str, written: &Shape, own: &Node) -> Compatibility {
    Compatibility::Incompatible(difference(path, written, own))
}

fn difference(path: &str, written: &Shape, own: &Node) -> String {
    let own = own.shape();
    let (mut was, mut now) = (brief(written), brief(&own));
    if was == now {
        (was, now) = (written.to_string(), own.to_string());
    }
    if path.is_empty() { format!("was {was}, now {now}") } else { format!("field {path:?} was {was}, now {now}") }
}

/// The shape without the parts of structs and enums.
fn brief(shape: &Shape) -> String {
    match shape {
        Shape::Struct { name, .. } => format!("struct {name}"),
        Shape::Enum { name, .. } => format!("enum {name}"),
        Shape::Option(inner) => format!("option<{}>", brief(inner)),
        Shape::List(inner) => format!("list<{}>", brief(inner)),
        Shape::Map(key, value) => format!("map<{}, {}>", brief(key), brief(value)),
        Shape::Tuple(fields) => format!("({})", fields.iter().map(brief).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The path of a field.
fn inner(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A part by its path, or the whole by its type.
fn whole(path: &str, keyword: &str, name: &str) -> String {
    if path.is_empty() { format!("{keyword} {name}") } else { format!("field {path:?}") }
}

#[cfg(test)]
mod tests;
