use super::deserializer::TEXTS;
use crate::serializer::shape::{Field, Shape, Variant};

/// What is known about one place in a type.
#[derive(Debug, Default)]
pub(in super::super) struct Node {
    pub(in super::super) kind: Kind,
    /// Number of made-up inputs that were rejected.
    pub(super) rejected: usize,
    /// No value can be made up.
    pub(super) is_dead: bool,
}

#[derive(Debug, Default)]
pub(in super::super) enum Kind {
    /// Not seen yet.
    #[default]
    Unknown,
    /// Cannot be told.
    Any,
    /// A shape without parts.
    Leaf(Shape),
    /// A struct without fields, an empty array in MessagePack.
    UnitStruct,
    Option(Box<Node>),
    List(Box<Node>),
    Map(Box<Node>, Box<Node>),
    Tuple(Vec<Node>),
    Struct(StructNode),
    Enum(EnumNode),
}

#[derive(Debug)]
pub(in super::super) struct StructNode {
    pub(in super::super) name: &'static str,
    /// One for each name, other names of the same field included.
    pub(in super::super) fields: Vec<FieldNode>,
    /// It is known which fields are required, as far as that can be known.
    pub(super) is_probed: bool,
    /// Fields of unknown names are refused; `None` while that is not known.
    pub(in super::super) denies_unknown: Option<bool>,
}

#[derive(Debug)]
pub(in super::super) struct FieldNode {
    pub(in super::super) name: &'static str,
    pub(in super::super) node: Node,
    /// Certainly has no default.
    pub(in super::super) is_required: bool,
    /// The name under which the same field is stored, if this is another one.
    pub(in super::super) alias_of: Option<&'static str>,
}

#[derive(Debug)]
pub(in super::super) struct EnumNode {
    pub(in super::super) name: &'static str,
    /// One for each name, other names of the same variant included.
    pub(in super::super) variants: Vec<VariantNode>,
    /// Variants of unknown names are read as some other variant; `None` while that is not known.
    pub(in super::super) is_open: Option<bool>,
}

#[derive(Debug)]
pub(in super::super) struct VariantNode {
    pub(in super::super) name: &'static str,
    pub(in super::super) content: Content,
    /// Equal for two names of the same variant.
    pub(super) fingerprint: Option<u64>,
    /// No value can be made up.
    pub(super) is_dead: bool,
}

#[derive(Debug)]
pub(in super::super) enum Content {
    Unknown,
    Nothing,
    Holds(Node),
}

impl Kind {
    pub(super) fn of_struct(name: &'static str, names: &'static [&'static str]) -> Self {
        let field = |name: &&'static str| FieldNode { name, node: Node::default(), is_required: false, alias_of: None };
        Kind::Struct(StructNode {
            name,
            fields: names.iter().map(field).collect(),
            is_probed: false,
            denies_unknown: None,
        })
    }

    pub(super) fn of_enum(name: &'static str, names: &'static [&'static str]) -> Self {
        let variant =
            |name: &&'static str| VariantNode { name, content: Content::Unknown, fingerprint: None, is_dead: false };
        Kind::Enum(EnumNode { name, variants: names.iter().map(variant).collect(), is_open: None })
    }

    /// Whether this is what another pass saw at the same place.
    fn agrees_with(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::Any, Kind::Any) | (Kind::UnitStruct, Kind::UnitStruct) => true,
            (Kind::Option(_), Kind::Option(_)) | (Kind::List(_), Kind::List(_)) | (Kind::Map(..), Kind::Map(..)) => {
                true
            }
            (Kind::Leaf(left), Kind::Leaf(right)) => left == right,
            (Kind::Tuple(left), Kind::Tuple(right)) => left.len() == right.len(),
            (Kind::Struct(left), Kind::Struct(right)) => {
                left.fields.iter().map(|field| field.name).eq(right.fields.iter().map(|field| field.name))
            }
            (Kind::Enum(left), Kind::Enum(right)) => {
                left.variants.iter().map(|variant| variant.name).eq(right.variants.iter().map(|variant| variant.name))
            }
            _ => false,
        }
    }

    /// Number of different inputs that can be made up for this kind.
    fn inputs(&self) -> usize {
        match self {
            Kind::Any => 8,
            Kind::Leaf(Shape::String) => TEXTS.len(),
            Kind::List(_) => 3,
            Kind::Leaf(Shape::Unit) | Kind::UnitStruct | Kind::Tuple(_) | Kind::Struct(_) | Kind::Enum(_) => 1,
            Kind::Leaf(_) | Kind::Option(_) | Kind::Map(..) => 2,
            Kind::Unknown => 1,
        }
    }
}

impl Node {
    /// Records what a type asked for at this place. What contradicts an earlier pass cannot be told. Gives whether
    /// something new was found out.
    pub(super) fn observe(&mut self, kind: Kind) -> bool {
        if self.kind.agrees_with(&kind) || matches!(self.kind, Kind::Any) {
            return false;
        }
        self.kind = if matches!(self.kind, Kind::Unknown) { kind } else { Kind::Any };
        true
    }

    /// Counts a rejected input. Gives whether there was one left to reject.
    pub(super) fn reject(&mut self) -> bool {
        if self.is_dead {
            return false;
        }
        self.rejected += 1;
        self.is_dead = self.rejected >= self.kind.inputs();
        true
    }

    /// Whether nothing more can be found out here.
    pub(super) fn is_settled(&self) -> bool {
        self.is_dead
            || match &self.kind {
                Kind::Unknown => false,
                Kind::Any | Kind::Leaf(_) | Kind::UnitStruct => true,
                Kind::Option(inner) | Kind::List(inner) => inner.is_settled(),
                Kind::Map(key, value) => key.is_dead || value.is_dead || key.is_settled() && value.is_settled(),
                Kind::Tuple(fields) => fields.iter().all(Node::is_settled),
                Kind::Struct(node) => !node.has_open_fields() && node.is_probed && node.denies_unknown.is_some(),
                Kind::Enum(node) => node.variants.iter().all(VariantNode::is_settled) && node.is_open.is_some(),
            }
    }

    /// Marks the node dead if one of its parts is dead and cannot be left out, and nothing else is to be found out.
    pub(super) fn refresh(&mut self) -> bool {
        let is_dead = match &self.kind {
            Kind::Tuple(fields) => fields.iter().any(|field| field.is_dead),
            Kind::Struct(node) => {
                !node.has_open_fields() && node.fields.iter().any(|field| field.is_required && field.node.is_dead)
            }
            Kind::Enum(node) => node.variants.iter().all(VariantNode::is_dead),
            _ => false,
        };
        let changed = is_dead && !self.is_dead;
        self.is_dead |= is_dead;
        changed
    }

    /// The shape, without what only reading needs.
    pub(in super::super) fn shape(&self) -> Shape {
        match &self.kind {
            Kind::Unknown | Kind::Any => Shape::Any,
            Kind::Leaf(_) if self.is_dead => Shape::Any,
            Kind::Leaf(shape) => shape.clone(),
            Kind::UnitStruct => Shape::Tuple(Vec::new()),
            Kind::Option(inner) => Shape::Option(Box::new(inner.shape())),
            Kind::List(inner) => Shape::List(Box::new(inner.shape())),
            Kind::Map(key, value) => Shape::Map(Box::new(key.shape()), Box::new(value.shape())),
            Kind::Tuple(fields) => Shape::Tuple(fields.iter().map(Node::shape).collect()),
            Kind::Struct(node) => {
                let stored = node.fields.iter().filter(|field| field.alias_of.is_none());
                let field = |field: &FieldNode| Field { name: field.name.to_owned(), shape: field.node.shape() };
                Shape::Struct { name: node.name.to_owned(), fields: stored.map(field).collect() }
            }
            Kind::Enum(node) => Shape::Enum { name: node.name.to_owned(), variants: node.shapes() },
        }
    }
}

impl StructNode {
    /// Fields under the names by which they are stored.
    pub(super) fn has_open_fields(&self) -> bool {
        self.fields.iter().any(|field| field.alias_of.is_none() && !field.node.is_settled())
    }

    /// What to find out in the next pass, and the fields to offer for that, in order.
    pub(super) fn plan(&self) -> (Stage, Vec<usize>) {
        let usable = |wanted: fn(&FieldNode) -> bool| {
            let fields = self.fields.iter().enumerate();
            let fields = fields.filter(move |(_, field)| !field.is_out_of_use() && wanted(field));
            fields.map(|(index, _)| index)
        };
        if self.has_open_fields() {
            let order = usable(|field| !field.node.is_settled()).chain(usable(|field| field.node.is_settled()));
            return (Stage::Explore, order.collect());
        }
        if !self.is_probed {
            return (Stage::FindDefaults, usable(|field| field.is_required).collect());
        }
        let stage = if self.denies_unknown.is_none() { Stage::FindStrictness } else { Stage::Use };
        (stage, usable(|_| true).collect())
    }

    /// Records that a field has no default. Gives whether that is new.
    pub(super) fn require(&mut self, name: &str) -> bool {
        let field = self.fields.iter_mut().find(|field| field.name == name && !field.is_required);
        field.map(|field| field.is_required = true).is_some()
    }

    /// Records another name of a stored field. Gives whether that is new.
    pub(super) fn rename(&mut self, alias: &str, stored: &'static str) -> bool {
        let field = self.fields.iter_mut().find(|field| field.name == alias && field.alias_of.is_none());
        field.map(|field| field.alias_of = Some(stored)).is_some()
    }
}

impl FieldNode {
    /// Whether the field is not to be offered: another name of a field, or one of which no value can be made up.
    fn is_out_of_use(&self) -> bool {
        self.alias_of.is_some() || self.node.is_dead
    }
}

/// What one pass is to find out about a struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// What its fields are. Fields not seen to the end come first, so that they are seen even if a later one fails.
    Explore,
    /// Which fields have a default: only fields known to have none are offered, and the type names another one.
    FindDefaults,
    /// Whether it refuses a field that nobody knows, which is offered first.
    FindStrictness,
    /// Nothing.
    Use,
}

impl EnumNode {
    /// Variants with their other names. The stored name of a variant with several names is not known.
    pub(in super::super) fn shapes(&self) -> Vec<Variant> {
        let mut variants: Vec<(Option<u64>, Variant)> = Vec::new();
        for node in &self.variants {
            let known = variants.iter_mut().find(|(fingerprint, _)| {
                self.tells_variants_apart() && fingerprint.is_some() && *fingerprint == node.fingerprint
            });
            match known {
                Some((_, variant)) => variant.aliases.push(node.name.to_owned()),
                None => {
                    let content = match &node.content {
                        Content::Unknown => Some(Shape::Any),
                        Content::Nothing => None,
                        Content::Holds(node) => Some(node.shape()),
                    };
                    let variant = Variant { name: node.name.to_owned(), aliases: Vec::new(), content };
                    variants.push((node.fingerprint, variant));
                }
            }
        }
        variants.into_iter().map(|(_, variant)| variant).collect()
    }

    /// Whether fingerprints mean something: they are all the same where the type keeps names in its own way.
    fn tells_variants_apart(&self) -> bool {
        self.variants
            .iter()
            .any(|variant| self.variants.first().is_some_and(|first| first.fingerprint != variant.fingerprint))
    }

    /// What to offer in the next pass.
    pub(super) fn plan(&self) -> Offer {
        if let Some(open) = self.variants.iter().position(|variant| !variant.is_settled()) {
            return Offer::Variant(open);
        }
        if self.is_open.is_none() {
            return Offer::Nobody;
        }
        self.variants.iter().position(|variant| !variant.is_dead()).map_or(Offer::Nothing, Offer::Variant)
    }
}

/// What one pass offers to an enum.
pub(super) enum Offer {
    Variant(usize),
    /// A variant that no enum has, to find out whether unknown ones are accepted.
    Nobody,
    /// No value can be made up.
    Nothing,
}

impl VariantNode {
    pub(super) fn is_dead(&self) -> bool {
        self.is_dead || matches!(&self.content, Content::Holds(node) if node.is_dead)
    }

    fn is_settled(&self) -> bool {
        self.is_dead
            || match &self.content {
                Content::Unknown => false,
                Content::Nothing => true,
                Content::Holds(node) => node.is_settled(),
            }
    }
}
