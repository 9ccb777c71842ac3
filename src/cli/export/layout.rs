//! The columns of a state.

use std::borrow::Cow;
use std::sync::Arc;

use millpond::Error;
use millpond::format::record::{StateKind, StateMeta};
use millpond::format::section::Owner;
use millpond::serializer::{SerializerSnapshot, Value};
use millpond::snapshot::Entry;
use parquet::basic::Repetition;
use parquet::errors::ParquetError;
use parquet::schema::types::{Type as Node, TypePtr};

use super::super::open::Opened;
use super::super::show::domain_name;
use super::super::states::State;
use super::flink::{self, Serializers};
use super::own;
use super::schema::Type;

/// A part of an entry, which has a column, or several of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    KeyGroup,
    Subtask,
    Key,
    Namespace,
    UserKey,
    TimerDomain,
    TimerAt,
    Touched,
    Value,
}

/// What the entries of a state are stored as.
#[derive(Debug)]
pub(super) struct Layout {
    parts: Vec<(Part, Type)>,
    /// How the snapshot says that the parts are serialized, by the name of the part.
    pub(super) serializers: Vec<(&'static str, String)>,
}

/// Something about a column that its type does not say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// Its name in the file.
    pub(super) column: String,
    pub(super) text: String,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::KeyGroup => "key_group",
            Part::Subtask => "subtask",
            Part::Key => "key",
            Part::Namespace => "namespace",
            Part::UserKey => "user_key",
            Part::TimerDomain => "timer_domain",
            Part::TimerAt => "timer_at_ms",
            Part::Touched => "touched_ms",
            Part::Value => "value",
        }
    }

    /// The part of an entry, for columns of this type.
    fn of<'e>(self, entry: &'e Entry, stored: &Type) -> Option<Cow<'e, Value>> {
        let owned = |value: Value| Some(Cow::Owned(value));
        match (self, entry.owner) {
            (Part::KeyGroup, Owner::KeyGroup(group)) => owned(Value::U64(group.0.into())),
            (Part::Subtask, Owner::Subtask(subtask)) => owned(Value::U64(subtask.0.into())),
            (Part::KeyGroup | Part::Subtask, _) => None,
            (Part::Key, _) => entry.key.as_ref().map(Cow::Borrowed),
            (Part::Namespace, _) => entry.namespace.as_ref().map(Cow::Borrowed),
            (Part::UserKey, _) => entry.user_key.as_ref().map(Cow::Borrowed),
            (Part::TimerDomain, _) => {
                entry.timer.and_then(|timer| owned(Value::String(domain_name(timer.domain).to_owned())))
            }
            (Part::TimerAt, _) => entry.timer.and_then(|timer| owned(Value::I64(timer.at_ms))),
            (Part::Touched, _) => match (entry.stamps.as_slice(), stored) {
                ([], Type::Integer { .. }) => None,
                ([stamp], Type::Integer { .. }) => owned(Value::I64(*stamp)),
                (stamps, _) => owned(Value::List(stamps.iter().map(|stamp| Value::I64(*stamp)).collect())),
            },
            (Part::Value, _) => Some(Cow::Borrowed(&entry.value)),
        }
    }
}

impl Layout {
    /// The columns of a state, by what the snapshot says of its types.
    pub(super) fn of(state: &State, opened: &Opened) -> millpond::Result<Self> {
        let missing = || Error::not_found("the operator is not in the snapshot").in_state(&state.name);
        match opened {
            Opened::Millpond(snapshot) => {
                let operator = snapshot.operator_by_id(state.id).ok_or_else(missing)?;
                Ok(Self::own(operator.state(&state.name)?.description(), operator.key()))
            }
            Opened::Flink(snapshot) => {
                let operator = snapshot.operator_by_id(state.id).ok_or_else(missing)?;
                let described = operator.state_of_kind(&state.name, state.kind)?.description().clone();
                Ok(Self::flink(&described, &Serializers::of(&operator, &state.name, state.kind)?))
            }
        }
    }

    fn own(state: &StateMeta, key: Option<&SerializerSnapshot>) -> Self {
        let value = match state.kind {
            StateKind::List => Type::list(own::of(&state.value)),
            _ => own::of(&state.value),
        };
        let user_key = own::of(&state.user_key);
        let mut layout =
            Self::new(state, [key.map(own::of), Some(own::of(&state.namespace)), Some(user_key), Some(value)]);
        let parts = [("key", key), ("namespace", Some(&state.namespace)), ("user_key", Some(&state.user_key))];
        layout.describe(parts.map(|(part, of)| (part, of.map(ToString::to_string))), state.value.to_string());
        layout
    }

    fn flink(state: &StateMeta, serializers: &Serializers) -> Self {
        let Serializers { key, namespace, user_key, value } = serializers;
        let of_value = match state.kind {
            StateKind::List => value.as_ref().map(flink::list_of),
            _ => value.as_ref().map(flink::of),
        };
        let of = |snapshot: &Option<_>| snapshot.as_ref().map(flink::of);
        let mut layout = Self::new(state, [of(key), of(namespace), of(user_key), of_value]);
        let parts = [("key", key), ("namespace", namespace), ("user_key", user_key)];
        let value = value.as_ref().map(ToString::to_string).unwrap_or_default();
        layout.describe(parts.map(|(part, of)| (part, of.as_ref().map(ToString::to_string))), value);
        layout
    }

    /// Takes the types of key, namespace, user key and value.
    fn new(state: &StateMeta, types: [Option<Type>; 4]) -> Self {
        let [key, namespace, user_key, value] =
            types.map(|stored| stored.unwrap_or_else(|| Type::json("its type is not known")).bounded());
        let kind = state.kind;
        let number = |bits| Type::Integer { bits, signed: false };
        let mut parts = match kind.is_keyed() {
            true => vec![(Part::KeyGroup, number(16)), (Part::Key, key)],
            false => vec![(Part::Subtask, number(32))],
        };
        if kind.is_keyed() && state.namespace != SerializerSnapshot::Unit {
            parts.push((Part::Namespace, namespace));
        }
        if matches!(kind, StateKind::Map | StateKind::Broadcast) {
            parts.push((Part::UserKey, user_key));
        }
        if kind == StateKind::Timer {
            parts.extend([(Part::TimerDomain, Type::Text), (Part::TimerAt, Type::I64)]);
        } else {
            if state.timed {
                // Each element of a list has a stamp of its own.
                let stamps = if kind == StateKind::List { Type::list(Type::I64) } else { Type::I64 };
                parts.push((Part::Touched, stamps));
            }
            parts.push((Part::Value, value));
        }
        Layout { parts, serializers: Vec::new() }
    }

    /// Remembers how the parts that have columns are serialized.
    fn describe(&mut self, keys: [(&'static str, Option<String>); 3], value: String) {
        let all = keys.into_iter().chain([("value", Some(value))]);
        let has = |name: &str| self.parts.iter().any(|(part, _)| part.name() == name);
        self.serializers = all.filter(|(name, _)| has(name)).filter_map(|(name, text)| Some((name, text?))).collect();
    }

    pub(super) fn types(&self) -> impl Iterator<Item = &Type> {
        self.parts.iter().map(|(_, stored)| stored)
    }

    /// The schema of a file.
    pub(super) fn schema(&self) -> Result<TypePtr, ParquetError> {
        let fields = self.parts.iter().map(|(part, stored)| stored.node(part.name(), Repetition::OPTIONAL));
        Node::group_type_builder("state").with_fields(fields.collect::<Result<_, _>>()?).build().map(Arc::new)
    }

    /// The parts of an entry.
    pub(super) fn row<'e>(&self, entry: &'e Entry) -> impl Iterator<Item = Option<Cow<'e, Value>>> {
        self.parts.iter().map(|(part, stored)| part.of(entry, stored))
    }

    /// Turns what the entry does not fit into JSON.
    pub(super) fn admit(&mut self, entry: &Entry) {
        for (part, stored) in &mut self.parts {
            if let Some(value) = part.of(entry, stored) {
                stored.admit(&value, false);
            }
        }
    }

    /// The columns that are JSON, with the reasons.
    pub(super) fn json(&self) -> Vec<Note> {
        self.notes(|stored| match stored {
            Type::Json { reason } => Some(reason.clone()),
            _ => None,
        })
    }

    /// The columns with bytes that only their own program understands, and of which class they are.
    pub(super) fn opaque(&self) -> Vec<Note> {
        self.notes(|stored| match stored {
            Type::Opaque(class) => Some(class.clone()),
            _ => None,
        })
    }

    fn notes(&self, text: impl Fn(&Type) -> Option<String>) -> Vec<Note> {
        let mut notes = Vec::new();
        for (part, stored) in &self.parts {
            stored.leaves(part.name(), &mut |column, leaf| {
                notes.extend(text(leaf).map(|text| Note { column: column.to_owned(), text }));
            });
        }
        notes
    }
}
