//! Serializer snapshots written again, and made anew in the form that Flink 1.20 to 2.3 write and read.

use super::composite::{COMPOSITE_MAGIC, NESTED_MAGIC};
use super::{Pojo, PojoField, Simple, Snapshot, Subclass, TypeSerializer};
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::format::flink::write::WritePrimitives;

/// Version of the snapshot of a simple or composite serializer.
const VERSION: i32 = 3;

/// Version of the snapshot of a POJO serializer.
const POJO_VERSION: i32 = 2;

/// Format of a proxied snapshot.
const PROXIED: i32 = 2;

const BASE: &str = "org.apache.flink.api.common.typeutils.base.";
const RUNTIME: &str = "org.apache.flink.api.java.typeutils.runtime.";
const TTL: &str = "org.apache.flink.runtime.state.ttl.TtlStateFactory$TtlSerializerSnapshot";
const TIMER: &str = "org.apache.flink.streaming.api.operators.TimerSerializerSnapshot";

impl Snapshot {
    /// Appends the proxied snapshot: the bytes that were read, or made.
    pub fn write_proxied(&self, out: &mut Writer) {
        out.i32(PROXIED);
        out.raw(&self.bytes);
    }

    /// A snapshot of a serializer, whose nested snapshots are taken as they are.
    ///
    /// Simple types, enums, arrays of objects, lists, maps, sets, tuples, `Either`, rows, nullable values, values with
    /// time to live, timers and POJOs can be made. All others are [`Incompatible`](crate::ErrorKind::Incompatible): they
    /// are only carried from snapshot to snapshot.
    pub fn of(serializer: TypeSerializer) -> Result<Self> {
        let mut out = Writer::new();
        let class = snapshot_class(&serializer)?;
        out.utf(&class, "serializer snapshot class")?;
        let version = if matches!(serializer, TypeSerializer::Pojo(_)) { POJO_VERSION } else { VERSION };
        out.i32(version);
        contents(&serializer, &mut out)?;
        let bytes = out.into_bytes();
        // Nesting and the table of known classes are judged in one place.
        let made = Snapshot::read(&mut Reader::new(&bytes))
            .map_err(|error| Error::invalid_input("no such serializer can be described").because(error))?;
        if made.serializer == serializer {
            return Ok(made);
        }
        Err(Error::invalid_input(format!("the serializer of {} contradicts itself", serializer.name())))
    }

    /// The snapshot of a type without parameters.
    pub fn simple(simple: Simple) -> Result<Self> {
        Snapshot::of(TypeSerializer::Simple(simple))
    }
}

/// The snapshot class of a simple serializer: the counterpart of [`Simple::of_snapshot`].
fn simple_class(simple: Simple) -> String {
    let class = simple.class();
    match simple {
        Simple::Tuple0 => format!("{class}Snapshot"),
        _ => format!("{class}${}", simple.nested_name()),
    }
}

fn snapshot_class(serializer: &TypeSerializer) -> Result<String> {
    Ok(match serializer {
        TypeSerializer::Simple(simple) => simple_class(*simple),
        TypeSerializer::GenericArray { .. } => format!("{BASE}GenericArraySerializerSnapshot"),
        TypeSerializer::Enum { .. } => format!("{BASE}EnumSerializer$EnumSerializerSnapshot"),
        TypeSerializer::List(_) => format!("{BASE}ListSerializerSnapshot"),
        TypeSerializer::Map(..) => format!("{BASE}MapSerializerSnapshot"),
        TypeSerializer::Set(_) => format!("{BASE}SetSerializerSnapshot"),
        TypeSerializer::Tuple { .. } => format!("{RUNTIME}TupleSerializerSnapshot"),
        TypeSerializer::Either(..) => format!("{RUNTIME}JavaEitherSerializerSnapshot"),
        TypeSerializer::Row { .. } => format!("{RUNTIME}RowSerializer$RowSerializerSnapshot"),
        TypeSerializer::Nullable { .. } => format!("{RUNTIME}NullableSerializer$NullableSerializerSnapshot"),
        TypeSerializer::Ttl(_) => TTL.to_owned(),
        TypeSerializer::Timer { .. } => TIMER.to_owned(),
        TypeSerializer::Pojo(_) => format!("{RUNTIME}PojoSerializerSnapshot"),
        other => {
            let message = format!("a serializer snapshot of {} can be carried, not made anew", other.name());
            return Err(Error::incompatible(message));
        }
    })
}

fn contents(serializer: &TypeSerializer, out: &mut Writer) -> Result<()> {
    match serializer {
        TypeSerializer::GenericArray { component_class, component } => {
            outer(1, out);
            out.utf(component_class, "array component class")?;
            block(&[component], out)
        }
        TypeSerializer::Enum { class, constants } => {
            out.utf(class, "enum class")?;
            out.items(constants.len(), "number of enum constants")?;
            constants.iter().try_for_each(|constant| out.utf(constant, "enum constant"))
        }
        TypeSerializer::List(element) | TypeSerializer::Set(element) => {
            outer(1, out);
            block(&[element], out)
        }
        TypeSerializer::Map(first, second) | TypeSerializer::Either(first, second) => {
            outer(1, out);
            block(&[first, second], out)
        }
        TypeSerializer::Tuple { class, fields } => {
            outer(2, out);
            out.utf(class, "tuple class")?;
            block(&fields.iter().collect::<Vec<_>>(), out)
        }
        TypeSerializer::Row { with_kind, fields } => {
            outer(4, out);
            out.bool(*with_kind);
            block(&fields.iter().collect::<Vec<_>>(), out)
        }
        TypeSerializer::Nullable { padding, inner } => {
            outer(2, out);
            out.items(*padding, "null padding")?;
            block(&[inner], out)
        }
        TypeSerializer::Ttl(value) => {
            outer(2, out);
            block(&[&Snapshot::simple(Simple::Long)?, value], out)
        }
        TypeSerializer::Timer { key, namespace } => {
            outer(2, out);
            block(&[key, namespace], out)
        }
        TypeSerializer::Pojo(described) => pojo(described, out),
        _ => Ok(()),
    }
}

/// Opens composite contents.
fn outer(version: i32, out: &mut Writer) {
    out.u32(COMPOSITE_MAGIC);
    out.i32(version);
}

/// The block of nested snapshots.
fn block(nested: &[&Snapshot], out: &mut Writer) -> Result<()> {
    out.u32(NESTED_MAGIC);
    out.i32(1);
    out.items(nested.len(), "number of nested snapshots")?;
    nested.iter().for_each(|snapshot| out.raw(&snapshot.bytes));
    Ok(())
}

fn pojo(described: &Pojo, out: &mut Writer) -> Result<()> {
    let Pojo { class, fields, registered, unregistered } = described;
    out.utf(class, "POJO class")?;
    out.linked_map(fields.len(), "POJO fields")?;
    for PojoField { name, declaring_class, serializer } in fields {
        out.utf(name, "POJO field")?;
        out.bool(declaring_class.is_some());
        if let Some(declaring) = declaring_class {
            out.frame("POJO field", |out| {
                out.utf(declaring, "declaring class")?;
                out.utf(name, "field name")
            })?;
        }
        framed(serializer.as_ref(), out)?;
    }
    subclasses(registered, "registered subclasses", out)?;
    subclasses(unregistered, "unregistered subclasses", out)
}

fn subclasses(subclasses: &[Subclass], field: &'static str, out: &mut Writer) -> Result<()> {
    out.linked_map(subclasses.len(), field)?;
    for Subclass { class, serializer } in subclasses {
        out.utf(class, field)?;
        // A key that is there and empty.
        out.bool(true);
        out.bytes32(&[], field)?;
        framed(serializer.as_ref(), out)?;
    }
    Ok(())
}

/// A snapshot in a frame of its own, or none.
fn framed(serializer: Option<&Snapshot>, out: &mut Writer) -> Result<()> {
    out.bool(serializer.is_some());
    serializer.map_or(Ok(()), |serializer| out.bytes32(&serializer.bytes, "serializer snapshot"))
}
