//! What Flink's types are stored as.

use millpond::flink::OperatorReader;
use millpond::format::flink::header::{StateInfo, StateType};
use millpond::format::flink::serializer::{Pojo, Simple, Snapshot, TypeSerializer};
use millpond::format::flink::{Layout, LogicalKind, LogicalType, RowField};
use millpond::format::record::StateKind;

use super::schema::{Field, Form, MAX_DEPTH, MAX_DIGITS, Stored, Type, Unit};

/// The serializers of a state, as far as it has them.
#[derive(Debug, Default)]
pub(super) struct Serializers {
    pub(super) key: Option<Snapshot>,
    pub(super) namespace: Option<Snapshot>,
    pub(super) user_key: Option<Snapshot>,
    /// Of the value, or of the elements of a list.
    pub(super) value: Option<Snapshot>,
}

impl Serializers {
    /// Those of the state of this name and kind.
    pub(super) fn of(operator: &OperatorReader<'_>, name: &str, kind: StateKind) -> millpond::Result<Self> {
        let is_it = |state: &&StateInfo| state.name == name && state.kind() == kind;
        let keyed = operator.keyed()?;
        if let Some(info) = keyed.states().iter().find(is_it) {
            return Ok(Serializers { key: keyed.key().cloned(), ..Self::of_keyed(info)? });
        }
        for subtask in operator.operator_state()? {
            if let Some(info) = subtask.states().find(is_it) {
                let user_key = info.key().filter(|_| info.state_type == StateType::Broadcast);
                let (user_key, value) = (user_key.cloned(), info.value().cloned());
                return Ok(Serializers { user_key, value, ..Serializers::default() });
            }
        }
        Ok(Serializers::default())
    }

    fn of_keyed(info: &StateInfo) -> millpond::Result<Self> {
        let (namespace, user_key, value) = match Layout::of(info)? {
            Layout::Value { namespace, value } => (Some(namespace), None, Some(value)),
            Layout::List { namespace, element } => (Some(namespace), None, Some(element)),
            Layout::Map { namespace, user_key, user_value } => (Some(namespace), Some(user_key), Some(user_value)),
            Layout::Queue { element } => match &element.serializer {
                TypeSerializer::Timer { namespace, .. } => (Some(&**namespace), None, None),
                _ => (None, None, None),
            },
        };
        let (namespace, user_key) = (namespace.cloned(), user_key.cloned());
        Ok(Serializers { key: None, namespace, user_key, value: value.map(untimed).cloned() })
    }
}

/// The serializer without time to live, which has a column of its own.
fn untimed(snapshot: &Snapshot) -> &Snapshot {
    match &snapshot.serializer {
        TypeSerializer::Ttl(inner) => inner,
        _ => snapshot,
    }
}

/// The type of the values that a serializer of Flink's wrote.
pub(super) fn of(snapshot: &Snapshot) -> Type {
    if !snapshot.has_known_end() {
        return Type::Opaque(snapshot.opaque_class().to_string());
    }
    serialized(&snapshot.serializer, 0)
}

/// The type of lists with such elements.
pub(super) fn list_of(element: &Snapshot) -> Type {
    // Lists whose elements have no end that could be found are one string of bytes.
    if element.has_known_end() { Type::list(serialized(&element.serializer, 1)) } else { of(element) }
}

fn integer(bits: u8) -> Type {
    Type::Integer { bits, signed: true }
}

fn serialized(serializer: &TypeSerializer, depth: usize) -> Type {
    if depth >= MAX_DEPTH {
        return Type::json("it is nested too deep");
    }
    let nested = |inner: &Snapshot| serialized(&inner.serializer, depth + 1);
    match serializer {
        TypeSerializer::Simple(simple) => of_simple(*simple),
        TypeSerializer::List(element)
        | TypeSerializer::Set(element)
        | TypeSerializer::LinkedList { element, .. }
        | TypeSerializer::GenericArray { component: element, .. } => Type::list(nested(element)),
        TypeSerializer::Map(key, value) | TypeSerializer::SortedMap(key, value) => {
            Type::map(nested(key), nested(value))
        }
        TypeSerializer::Tuple { fields, .. } => Type::tuple(fields.iter().map(nested)),
        TypeSerializer::Row { fields, .. } => Type::row(numbered(fields.iter().map(nested))),
        TypeSerializer::Either(left, right) => {
            let side = |name: &str, content: &Snapshot| (vec![name.to_owned()], Some(nested(content)));
            Type::variant([side("left", left), side("right", right)])
        }
        TypeSerializer::Enum { .. } => Type::Text,
        TypeSerializer::Pojo(pojo) => of_pojo(pojo, depth),
        TypeSerializer::Nullable { inner, .. } | TypeSerializer::External(inner) => {
            serialized(&inner.serializer, depth)
        }
        TypeSerializer::WindowKey(key) => Type::tuple([Type::I64, nested(key)]),
        TypeSerializer::RowData { types, .. } => {
            Type::row(numbered(types.iter().map(|field| logical(field, depth + 1))))
        }
        TypeSerializer::ArrayData(element) => Type::list(logical(element, depth + 1)),
        TypeSerializer::MapData(key, value) => Type::map(logical(key, depth + 1), logical(value, depth + 1)),
        TypeSerializer::DecimalData { precision, scale } => decimal(*precision, *scale),
        TypeSerializer::TimestampData { precision } => timestamp(*precision, false),
        TypeSerializer::RawValueData(inner) => Type::Opaque(inner.opaque_class().to_string()),
        TypeSerializer::BinaryRowData { .. } => Type::Opaque("BinaryRowData".to_owned()),
        other => Type::json(format!("{other} has no columns")),
    }
}

/// The fields of a class and of its subclasses, of which an object has some.
fn of_pojo(pojo: &Pojo, depth: usize) -> Type {
    let mut fields: Vec<Field> = Vec::new();
    let subclasses = pojo.registered.iter().chain(&pojo.unregistered);
    let classes = subclasses.filter_map(|subclass| match subclass.serializer.as_ref().map(|of| &of.serializer) {
        Some(TypeSerializer::Pojo(subclass)) => Some(subclass),
        _ => None,
    });
    for field in std::iter::once(pojo).chain(classes).flat_map(|class| &class.fields) {
        let lost = || Type::json("the program that wrote it had lost the serializer");
        let stored = field.serializer.as_ref().map_or_else(lost, |of| serialized(&of.serializer, depth + 1));
        match fields.iter_mut().find(|known| *known.name == *field.name) {
            None => fields.push(Field::new(&*field.name, stored)),
            Some(known) if known.stored == stored => {}
            Some(known) => known.stored = Type::json("it has another type in a subclass"),
        }
    }
    Type::group(Form::Record, fields)
}

fn of_simple(simple: Simple) -> Type {
    let moment = |stored, unit, utc| Type::Moment { stored, unit, utc };
    match simple {
        Simple::Boolean | Simple::BooleanValue => Type::Bool,
        Simple::Byte | Simple::ByteValue => integer(8),
        Simple::Short | Simple::ShortValue => integer(16),
        Simple::Int | Simple::IntValue => Type::I32,
        Simple::Long | Simple::LongValue => Type::I64,
        Simple::Float | Simple::FloatValue => Type::F32,
        Simple::Double | Simple::DoubleValue => Type::F64,
        // Numbers of any length.
        Simple::BigInt | Simple::BigDec => Type::Text,
        Simple::String | Simple::StringValue | Simple::StringData | Simple::Char | Simple::CharValue => Type::Text,
        Simple::Date | Simple::SqlDate | Simple::SqlTime => moment(Stored::Millis, Unit::Millis, true),
        Simple::SqlTimestamp => moment(Stored::MillisAndNanosOfSecond, Unit::Nanos, true),
        Simple::Instant => moment(Stored::SecondsAndNanos, Unit::Nanos, true),
        Simple::LocalDateTime => moment(Stored::Text, Unit::Nanos, false),
        Simple::LocalDate => Type::Date,
        Simple::LocalTime => Type::LocalTime,
        Simple::ByteArray => Type::Bytes,
        Simple::BooleanArray => Type::list(Type::Bool),
        Simple::CharArray | Simple::StringArray => Type::list(Type::Text),
        Simple::ShortArray => Type::list(integer(16)),
        Simple::IntArray => Type::list(Type::I32),
        Simple::LongArray => Type::list(Type::I64),
        Simple::FloatArray => Type::list(Type::F32),
        Simple::DoubleArray => Type::list(Type::F64),
        Simple::TimeWindow => Type::window(),
        Simple::Bitmap => Type::Opaque("org.apache.flink.types.bitmap.Bitmap".to_owned()),
        Simple::Variant => Type::Opaque("org.apache.flink.types.variant.Variant".to_owned()),
        other => Type::json(format!("{} has no columns", TypeSerializer::Simple(other))),
    }
}

/// The type of what the SQL runtime stores. Types nest no deeper than their decoder lets them.
fn logical(field: &LogicalType, depth: usize) -> Type {
    if depth >= MAX_DEPTH {
        return Type::json("it is nested too deep");
    }
    let nested = |inner: &LogicalType| logical(inner, depth + 1);
    match &field.kind {
        LogicalKind::Boolean => Type::Bool,
        LogicalKind::TinyInt => integer(8),
        LogicalKind::SmallInt => integer(16),
        LogicalKind::Int | LogicalKind::YearMonthInterval => Type::I32,
        LogicalKind::BigInt | LogicalKind::DayTimeInterval => Type::I64,
        LogicalKind::Float => Type::F32,
        LogicalKind::Double => Type::F64,
        LogicalKind::Date => Type::Days,
        LogicalKind::Time { .. } => Type::TimeOfDay,
        LogicalKind::Char { .. } | LogicalKind::VarChar { .. } => Type::Text,
        LogicalKind::Binary { .. } | LogicalKind::VarBinary { .. } => Type::Bytes,
        LogicalKind::Decimal { precision, scale } => decimal(*precision, *scale),
        LogicalKind::Timestamp { precision } => timestamp(*precision, false),
        LogicalKind::LocalZonedTimestamp { precision } => timestamp(*precision, true),
        LogicalKind::ZonedTimestamp { .. } => Type::Opaque("TIMESTAMP WITH TIME ZONE".to_owned()),
        LogicalKind::Array(element) => Type::list(nested(element)),
        LogicalKind::Multiset(element) => Type::map(nested(element), Type::I32),
        LogicalKind::Map(key, value) => Type::map(nested(key), nested(value)),
        LogicalKind::Row(fields) => {
            let field = |RowField { name, field_type }: &RowField| Field::new(name, nested(field_type));
            Type::row(fields.iter().map(field).collect())
        }
        LogicalKind::Other { class } => Type::Opaque(class.clone()),
        _ => Type::json(format!("{field} has no columns")),
    }
}

fn decimal(precision: u32, scale: u32) -> Type {
    if (1..=MAX_DIGITS).contains(&precision) && scale <= precision {
        return Type::Decimal { precision, scale };
    }
    Type::Text
}

fn timestamp(precision: u32, utc: bool) -> Type {
    Type::Moment { stored: Stored::MillisAndNanos, unit: Unit::of_digits(precision), utc }
}

fn numbered(types: impl IntoIterator<Item = Type>) -> Vec<Field> {
    types.into_iter().enumerate().map(|(position, stored)| Field::new(format!("f{position}"), stored)).collect()
}
