//! Serializer snapshots: Flink's descriptions of how values are encoded, stored next to the values.
//!
//! Vocabulary. A *versioned snapshot* is a class name, a version and contents that depend on both
//! (`TypeSerializerSnapshot`). A *proxied snapshot* is one with a format number in front
//! (`TypeSerializerSnapshotSerializationUtil`). There is no length around either: where the class is not known, what
//! follows cannot be found. That is an [`Incompatible`](crate::ErrorKind::Incompatible) error, and what was read before
//! stays usable; only inside the frames of POJO snapshots an unknown class can be stepped over, and becomes
//! [`TypeSerializer::Opaque`].
//!
//! Every snapshot keeps its bytes, so that it can be written again unchanged.

mod composite;
mod encode;
mod gaps;
mod kryo;
mod pojo;
mod runtime;
mod show;
mod simple;
mod sql;

pub(in crate::format::flink) use gaps::{Gaps, only_way};
pub use kryo::Kryo;
pub use pojo::{Pojo, PojoField, Subclass};
pub use simple::Simple;

use std::sync::Arc;

use super::java_object::LogicalType;
use super::primitive::Primitives;
use crate::codec::Reader;
use crate::error::{Error, ErrorKind, Result};

/// Snapshots nest at most this deep.
const MAX_DEPTH: usize = 32;

/// A versioned snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Class name of the snapshot; only data.
    pub class: String,
    /// Version of the contents.
    pub version: i32,
    /// What the contents say.
    pub serializer: TypeSerializer,
    /// The versioned snapshot as it is stored: class name, version and contents.
    pub bytes: Vec<u8>,
}

/// How values of a type are encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TypeSerializer {
    /// A type without parameters.
    Simple(Simple),
    /// An array of objects.
    GenericArray {
        /// Class of the elements.
        component_class: String,
        /// Serializer of the elements.
        component: Box<Snapshot>,
    },
    /// A Java enum: values are positions in the list of constants.
    Enum {
        /// Class of the enum.
        class: String,
        /// Names of the constants.
        constants: Vec<Arc<str>>,
    },
    /// A list without nulls.
    List(Box<Snapshot>),
    /// A map with nullable values.
    Map(Box<Snapshot>, Box<Snapshot>),
    /// A map whose keys are sorted by a comparator; stored like a map.
    SortedMap(Box<Snapshot>, Box<Snapshot>),
    /// A set with nullable elements.
    Set(Box<Snapshot>),
    /// The SQL runtime's list, with or without a mask of null elements.
    LinkedList {
        /// Whether a mask precedes the elements.
        null_mask: bool,
        /// Serializer of the elements.
        element: Box<Snapshot>,
    },
    /// A tuple, or another class whose fields follow each other.
    Tuple {
        /// Class of the tuple.
        class: String,
        /// Serializers of the fields.
        fields: Vec<Snapshot>,
    },
    /// One of two types.
    Either(Box<Snapshot>, Box<Snapshot>),
    /// One of two types, behind its number (`CoGroupedStreams`).
    Union(Box<Snapshot>, Box<Snapshot>),
    /// A value behind a flag that is 1 where there is one.
    Optional(Box<Snapshot>),
    /// A map with nullable keys and values.
    NullAwareMap(Box<Snapshot>, Box<Snapshot>),
    /// A row with positional, nullable fields.
    Row {
        /// Whether the kind of change is stored.
        with_kind: bool,
        /// Serializers of the fields.
        fields: Vec<Snapshot>,
    },
    /// A value or null.
    Nullable {
        /// Number of zero bytes that stand for null.
        padding: usize,
        /// Serializer of the value.
        inner: Box<Snapshot>,
    },
    /// A value with the moment of its last access (time to live).
    Ttl(Box<Snapshot>),
    /// A timer.
    Timer {
        /// Serializer of the key.
        key: Box<Snapshot>,
        /// Serializer of the namespace.
        namespace: Box<Snapshot>,
    },
    /// An element of a stream: a record, a watermark or another event.
    StreamElement(Box<Snapshot>),
    /// A class with named fields.
    Pojo(Pojo),
    /// Anything that Kryo serializes; values have no length and are never interpreted.
    Kryo(Kryo),
    /// A user's class that writes itself; values have no length and are never interpreted.
    UserValue {
        /// The class.
        class: String,
    },
    /// Flink's variant of Avro; values are not interpreted.
    Avro {
        /// Class at run time; absent in old snapshots, where the schema names it.
        class: Option<String>,
        /// The schema, as JSON.
        schema: String,
    },
    /// A row of the SQL runtime.
    RowData {
        /// Types of the fields, which say how the bytes are laid out.
        types: Vec<LogicalType>,
        /// Serializers of the fields.
        fields: Vec<Snapshot>,
    },
    /// A row of the SQL runtime without types: only its bytes are known.
    BinaryRowData {
        /// Number of fields.
        arity: usize,
    },
    /// A decimal of the SQL runtime.
    DecimalData {
        /// Number of digits.
        precision: u32,
        /// Number of digits after the point.
        scale: u32,
    },
    /// A point in time of the SQL runtime.
    TimestampData {
        /// Number of digits after the second.
        precision: u32,
    },
    /// An array of the SQL runtime.
    ArrayData(LogicalType),
    /// A map of the SQL runtime.
    MapData(LogicalType, LogicalType),
    /// A value of the SQL runtime that only its own serializer understands; its length is stored.
    RawValueData(Box<Snapshot>),
    /// A window and a key of the SQL runtime.
    WindowKey(Box<Snapshot>),
    /// A value of the SQL runtime in the form of another serializer.
    External(Box<Snapshot>),
    /// A serializer that is not known, inside a frame whose length is.
    Opaque {
        /// Why nothing more is known.
        reason: String,
    },
}

impl Snapshot {
    /// Reads a proxied snapshot.
    ///
    /// A class, version or format that is not known is [`Incompatible`](crate::ErrorKind::Incompatible), damage is
    /// [`Corrupt`](crate::ErrorKind::Corrupt).
    pub fn read_proxied(input: &mut Reader<'_>) -> Result<Self> {
        Self::read_proxied_with(input, &mut Gaps::default())
    }

    /// As [`read_proxied`](Self::read_proxied), with unknown snapshots whose ends are known.
    pub(in crate::format::flink) fn read_proxied_with(input: &mut Reader<'_>, gaps: &mut Gaps) -> Result<Self> {
        let start = input.clone();
        match input.i32("serializer format")? {
            2 => Self::read_at(input, 0, gaps),
            1 => Err(unknown(
                &start,
                "serializer format",
                "the serializer is a Java object, as before Flink 1.17".into(),
            )),
            other => Err(start.corrupt("serializer format", format!("is {other}, expected 2"))),
        }
    }

    /// Reads a versioned snapshot; errors are those of [`read_proxied`](Self::read_proxied).
    pub fn read(input: &mut Reader<'_>) -> Result<Self> {
        Self::read_at(input, 0, &mut Gaps::default())
    }

    fn read_at(input: &mut Reader<'_>, depth: usize, gaps: &mut Gaps) -> Result<Self> {
        let start = input.clone();
        if depth >= MAX_DEPTH {
            return Err(start.corrupt("serializer snapshot", format!("nests deeper than {MAX_DEPTH} levels")));
        }
        let class = input.utf("serializer snapshot class")?;
        let version = input.i32("serializer snapshot version")?;
        let mut contents = Contents { input, version, depth, start: &start, class: &class, gaps };
        let serializer = match contents.read() {
            Err(error) if error.kind() == ErrorKind::Incompatible => {
                let Some(end) = gaps.end(start.offset()) else { return Err(error) };
                let length = end.checked_sub(start.offset()).and_then(|length| usize::try_from(length).ok());
                *input = start.clone();
                input.raw(length.unwrap_or(usize::MAX), "serializer snapshot")?;
                TypeSerializer::Opaque { reason: error.message().to_owned() }
            }
            read => read?,
        };
        let bytes = input.since(start.position()).to_vec();
        Ok(Snapshot { class, version, serializer, bytes })
    }

    /// A snapshot inside a frame, which must be consumed exactly. A class that is not known makes it
    /// [`TypeSerializer::Opaque`].
    fn read_framed(mut frame: Reader<'_>, depth: usize) -> Result<Self> {
        let whole = frame.rest().to_vec();
        match Self::read_at(&mut frame, depth, &mut Gaps::default()) {
            Ok(snapshot) => frame.finish("serializer snapshot").map(|()| snapshot),
            Err(error) if error.kind() == ErrorKind::Incompatible => {
                let mut head = Reader::new(&whole);
                let class = head.utf("serializer snapshot class")?;
                let version = head.i32("serializer snapshot version")?;
                let serializer = TypeSerializer::Opaque { reason: error.message().to_owned() };
                Ok(Snapshot { class, version, serializer, bytes: whole })
            }
            Err(error) => Err(error),
        }
    }

    /// The declared length of an encoding in bytes, `None` where it varies (`TypeSerializer.getLength`). A declared
    /// length can be wrong: a void namespace declares 0 and takes 1.
    pub fn declared_length(&self) -> Option<usize> {
        self.serializer.declared_length()
    }
}

impl TypeSerializer {
    /// See [`Snapshot::declared_length`].
    pub fn declared_length(&self) -> Option<usize> {
        match self {
            TypeSerializer::Simple(simple) => simple.declared_length(),
            TypeSerializer::Enum { .. } => Some(4),
            TypeSerializer::Tuple { fields, .. } => fields.iter().try_fold(0usize, |sum, field| {
                let length = field.declared_length().filter(|length| *length > 0)?;
                sum.checked_add(length)
            }),
            TypeSerializer::Nullable { padding, .. } if *padding > 0 => padding.checked_add(1),
            TypeSerializer::Ttl(inner) => inner.declared_length()?.checked_add(8),
            TypeSerializer::Timer { key, namespace } => {
                key.declared_length()?.checked_add(namespace.declared_length()?)?.checked_add(8)
            }
            TypeSerializer::TimestampData { precision } => Some(if *precision <= 3 { 8 } else { 12 }),
            TypeSerializer::External(inner) => inner.declared_length(),
            _ => None,
        }
    }

    /// Name of the type, for messages: of objects their class.
    pub fn name(&self) -> &str {
        match self {
            TypeSerializer::Simple(simple) => {
                // `Long` of `LongSerializer`, `TimeWindow` of `TimeWindow$Serializer`.
                let class = simple.class().rsplit('.').next().unwrap_or_default();
                let class = class.split('$').next().unwrap_or(class);
                class.strip_suffix("Serializer").unwrap_or(class)
            }
            TypeSerializer::GenericArray { component_class, .. } => component_class,
            TypeSerializer::Enum { class, .. }
            | TypeSerializer::Tuple { class, .. }
            | TypeSerializer::UserValue { class }
            | TypeSerializer::Avro { class: Some(class), .. } => class,
            TypeSerializer::List(_) => "List",
            TypeSerializer::Map(..) => "Map",
            TypeSerializer::SortedMap(..) => "SortedMap",
            TypeSerializer::Set(_) => "Set",
            TypeSerializer::LinkedList { .. } => "LinkedList",
            TypeSerializer::Either(..) | TypeSerializer::Union(..) => "Either",
            TypeSerializer::NullAwareMap(..) => "Map",
            TypeSerializer::Row { .. } => "Row",
            TypeSerializer::Nullable { inner, .. }
            | TypeSerializer::External(inner)
            | TypeSerializer::Optional(inner) => inner.serializer.name(),
            TypeSerializer::Ttl(_) => "a value with time to live",
            TypeSerializer::Timer { .. } => "a timer",
            TypeSerializer::StreamElement(_) => "a stream element",
            TypeSerializer::Pojo(pojo) => &pojo.class,
            TypeSerializer::Kryo(kryo) => &kryo.class,
            TypeSerializer::Avro { class: None, .. } => "an Avro record",
            TypeSerializer::RowData { .. } => "RowData",
            TypeSerializer::BinaryRowData { .. } => "BinaryRowData",
            TypeSerializer::DecimalData { .. } => "DecimalData",
            TypeSerializer::TimestampData { .. } => "TimestampData",
            TypeSerializer::ArrayData(_) => "ArrayData",
            TypeSerializer::MapData(..) => "MapData",
            TypeSerializer::RawValueData(_) => "RawValueData",
            TypeSerializer::WindowKey(_) => "WindowKey",
            TypeSerializer::Opaque { .. } => "an unknown type",
        }
    }

    /// The first type, itself or nested, whose values only their own program can interpret.
    pub fn opaque_part(&self) -> Option<&str> {
        let nested: Vec<&Snapshot> = match self {
            TypeSerializer::Kryo(_)
            | TypeSerializer::UserValue { .. }
            | TypeSerializer::Avro { .. }
            | TypeSerializer::Opaque { .. }
            | TypeSerializer::BinaryRowData { .. }
            | TypeSerializer::RawValueData(_)
            | TypeSerializer::Simple(Simple::Variant | Simple::Bitmap | Simple::JavaObject) => {
                return Some(self.name());
            }
            TypeSerializer::List(inner)
            | TypeSerializer::Set(inner)
            | TypeSerializer::LinkedList { element: inner, .. }
            | TypeSerializer::GenericArray { component: inner, .. }
            | TypeSerializer::Nullable { inner, .. }
            | TypeSerializer::Ttl(inner)
            | TypeSerializer::WindowKey(inner)
            | TypeSerializer::StreamElement(inner)
            | TypeSerializer::Optional(inner)
            | TypeSerializer::External(inner) => vec![inner],
            TypeSerializer::Map(first, second)
            | TypeSerializer::SortedMap(first, second)
            | TypeSerializer::NullAwareMap(first, second)
            | TypeSerializer::Union(first, second)
            | TypeSerializer::Either(first, second)
            | TypeSerializer::Timer { key: first, namespace: second } => vec![first, second],
            TypeSerializer::Tuple { fields, .. }
            | TypeSerializer::Row { fields, .. }
            | TypeSerializer::RowData { fields, .. } => fields.iter().collect(),
            TypeSerializer::Pojo(pojo) => {
                let fields = pojo.fields.iter().map(|field| &field.serializer);
                let subclasses = pojo.registered.iter().chain(&pojo.unregistered).map(|subclass| &subclass.serializer);
                fields.chain(subclasses).flatten().collect()
            }
            _ => Vec::new(),
        };
        nested.into_iter().find_map(|snapshot| snapshot.serializer.opaque_part())
    }

    /// Whether these are the fields of one of Flink's own tuple classes, which hash codes and names depend on.
    pub(crate) fn is_java_tuple(class: &str) -> bool {
        class.starts_with("org.apache.flink.api.java.tuple.Tuple")
    }

    /// Whether a state with this serializer has time to live: around its value, around the elements of its list or
    /// around the values of its map (`TtlStateFactory`).
    pub fn is_timed(&self) -> bool {
        let ttl = |snapshot: &Snapshot| matches!(snapshot.serializer, TypeSerializer::Ttl(_));
        match self {
            TypeSerializer::Ttl(_) => true,
            TypeSerializer::List(element) => ttl(element),
            TypeSerializer::Map(_, value) => ttl(value),
            _ => false,
        }
    }
}

/// Contents of a snapshot that is being read.
struct Contents<'r, 'a> {
    input: &'r mut Reader<'a>,
    version: i32,
    depth: usize,
    start: &'r Reader<'a>,
    class: &'r str,
    gaps: &'r mut Gaps,
}

impl Contents<'_, '_> {
    fn read(&mut self) -> Result<TypeSerializer> {
        if let Some(simple) = Simple::of_snapshot(self.class) {
            self.simple()?;
            return Ok(TypeSerializer::Simple(simple));
        }
        if let Some(serializer) = self.composite()? {
            return Ok(serializer);
        }
        if let Some(serializer) = self.sql()? {
            return Ok(serializer);
        }
        if let Some(serializer) = self.runtime()? {
            return Ok(serializer);
        }
        match self.class {
            "org.apache.flink.api.common.typeutils.base.EnumSerializer$EnumSerializerSnapshot" => self.enumeration(),
            "org.apache.flink.api.java.typeutils.runtime.PojoSerializerSnapshot" => self.pojo(),
            "org.apache.flink.api.java.typeutils.runtime.kryo.KryoSerializerSnapshot" => self.kryo(),
            "org.apache.flink.api.java.typeutils.runtime.ValueSerializer$ValueSerializerSnapshot"
            | "org.apache.flink.api.java.typeutils.runtime.CopyableValueSerializer$CopyableValueSerializerSnapshot" => {
                self.only_version(2..=2)?;
                Ok(TypeSerializer::UserValue { class: self.input.utf("type class")? })
            }
            "org.apache.flink.runtime.state.ttl.TtlAwareSerializerSnapshot" => {
                self.only_version(1..=1)?;
                self.input.bool("time to live flag")?;
                Ok(self.nested()?.serializer)
            }
            "org.apache.flink.formats.avro.typeutils.AvroSerializerSnapshot" => self.avro(),
            class => Err(unknown(
                self.start,
                "serializer snapshot class",
                format!("serializer snapshot {class} is not known"),
            )),
        }
    }

    /// Refuses versions outside of the range.
    fn only_version(&self, versions: std::ops::RangeInclusive<i32>) -> Result<()> {
        if versions.contains(&self.version) {
            return Ok(());
        }
        let message = format!(
            "serializer snapshot {} has version {}, versions {} to {} are known",
            self.class,
            self.version,
            versions.start(),
            versions.end()
        );
        Err(unknown(self.start, "serializer snapshot version", message))
    }

    fn nested(&mut self) -> Result<Snapshot> {
        Snapshot::read_at(self.input, self.depth.saturating_add(1), self.gaps)
    }

    fn enumeration(&mut self) -> Result<TypeSerializer> {
        self.only_version(3..=3)?;
        let class = self.input.utf("enum class")?;
        let mut constants = Vec::new();
        for _ in 0..self.input.items(2, "number of enum constants")? {
            constants.push(self.input.utf("enum constant")?.into());
        }
        Ok(TypeSerializer::Enum { class, constants })
    }

    fn avro(&mut self) -> Result<TypeSerializer> {
        self.only_version(1..=2)?;
        let class = if self.version == 2 { Some(self.input.utf("Avro runtime class")?) } else { None };
        Ok(TypeSerializer::Avro { class, schema: self.input.utf("Avro schema")? })
    }
}

/// Something that is not damaged but not known either.
fn unknown(place: &Reader<'_>, field: &'static str, message: String) -> Error {
    Error::incompatible(message).at_offset(place.offset()).in_field(field)
}

#[cfg(test)]
mod tests;
