//! Serializers made of others (`CompositeTypeSerializerSnapshot`).

use std::ops::RangeInclusive;

use super::{Contents, Snapshot, TypeSerializer, unknown};
use crate::error::Result;
use crate::format::flink::java_object;
use crate::format::flink::primitive::Primitives;

/// Opens the contents of a composite snapshot.
pub(super) const COMPOSITE_MAGIC: u32 = 911_108;

/// Opens the block of nested snapshots (`NestedSerializersSnapshotDelegate`).
pub(super) const NESTED_MAGIC: u32 = 1_333_245;

impl Contents<'_, '_> {
    /// Reads the contents if the class is a composite one.
    pub(super) fn composite(&mut self) -> Result<Option<TypeSerializer>> {
        let serializer = match self.class {
            "org.apache.flink.api.common.typeutils.base.GenericArraySerializerSnapshot" => {
                self.outer(1..=1)?;
                let component_class = self.input.utf("array component class")?;
                let component = self.one()?;
                TypeSerializer::GenericArray { component_class, component }
            }
            "org.apache.flink.api.common.typeutils.base.ListSerializerSnapshot"
            | "org.apache.flink.runtime.state.ArrayListSerializerSnapshot" => {
                self.outer(1..=1)?;
                TypeSerializer::List(self.one()?)
            }
            "org.apache.flink.api.common.typeutils.base.MapSerializerSnapshot" => {
                self.outer(1..=1)?;
                let (key, value) = self.two()?;
                TypeSerializer::Map(key, value)
            }
            "org.apache.flink.api.common.typeutils.base.SetSerializerSnapshot" => {
                self.outer(1..=1)?;
                TypeSerializer::Set(self.one()?)
            }
            "org.apache.flink.api.java.typeutils.runtime.TupleSerializerSnapshot" => {
                self.outer(2..=2)?;
                TypeSerializer::Tuple { class: self.input.utf("tuple class")?, fields: self.block()? }
            }
            "org.apache.flink.api.java.typeutils.runtime.JavaEitherSerializerSnapshot" => {
                self.outer(1..=1)?;
                let (left, right) = self.two()?;
                TypeSerializer::Either(left, right)
            }
            "org.apache.flink.api.java.typeutils.runtime.EitherSerializerSnapshot" => {
                self.only_version(2..=2)?;
                let (left, right) = self.two()?;
                TypeSerializer::Either(left, right)
            }
            "org.apache.flink.api.java.typeutils.runtime.RowSerializer$RowSerializerSnapshot" => self.row()?,
            "org.apache.flink.api.java.typeutils.runtime.NullableSerializer$NullableSerializerSnapshot" => {
                self.outer(2..=2)?;
                let start = self.input.clone();
                let padding = self.input.non_negative("null padding")?;
                let padding = usize::try_from(padding)
                    .map_err(|_| start.corrupt("null padding", format!("{padding} bytes are too many")))?;
                TypeSerializer::Nullable { padding, inner: self.one()? }
            }
            "org.apache.flink.runtime.state.ttl.TtlStateFactory$TtlSerializerSnapshot"
            | "org.apache.flink.runtime.state.v2.ttl.TtlStateFactory$TtlSerializerSnapshot" => self.ttl()?,
            "org.apache.flink.streaming.api.operators.TimerSerializerSnapshot" => {
                self.outer(2..=2)?;
                let (key, namespace) = self.two()?;
                TypeSerializer::Timer { key, namespace }
            }
            "org.apache.flink.streaming.runtime.streamrecord.StreamElementSerializer$StreamElementSerializerSnapshot" =>
            {
                self.outer(2..=2)?;
                TypeSerializer::StreamElement(self.one()?)
            }
            _ => return self.sql_composite(),
        };
        Ok(Some(serializer))
    }

    fn sql_composite(&mut self) -> Result<Option<TypeSerializer>> {
        let Some(name) = self.class.strip_prefix("org.apache.flink.table.runtime.typeutils.") else { return Ok(None) };
        let serializer = match name {
            "RawValueDataSerializer$RawValueDataSerializerSnapshot" => {
                self.outer(0..=0)?;
                TypeSerializer::RawValueData(self.one()?)
            }
            "LinkedListSerializer$LinkedListSerializerSnapshot" => {
                let null_mask = match self.outer(1..=3)? {
                    1 => false,
                    2 => true,
                    _ => self.input.bool("null mask flag")?,
                };
                TypeSerializer::LinkedList { null_mask, element: self.one()? }
            }
            "WindowKeySerializer$WindowKeySerializerSnapshot" => {
                self.outer(1..=1)?;
                TypeSerializer::WindowKey(self.one()?)
            }
            "ExternalSerializer$ExternalSerializerSnapshot" => {
                self.outer(1..=1)?;
                java_object::skip(self.input)?;
                self.input.bool("internal input flag")?;
                TypeSerializer::External(self.one()?)
            }
            _ => return Ok(None),
        };
        Ok(Some(serializer))
    }

    fn row(&mut self) -> Result<TypeSerializer> {
        let with_kind = match self.outer(2..=4)? {
            2 => false,
            3 => true,
            _ => self.input.bool("row kind flag")?,
        };
        Ok(TypeSerializer::Row { with_kind, fields: self.block()? })
    }

    fn ttl(&mut self) -> Result<TypeSerializer> {
        self.outer(1..=2)?;
        let start = self.input.clone();
        let (stamp, value) = self.two()?;
        if stamp.serializer != TypeSerializer::Simple(super::Simple::Long) {
            let message = format!("the time of last access is serialized by {}, expected a long", stamp.class);
            return Err(start.corrupt("time to live serializer", message));
        }
        Ok(TypeSerializer::Ttl(value))
    }

    /// Opens composite contents and returns the outer version, which has to lie in the range.
    pub(super) fn outer(&mut self, versions: RangeInclusive<i32>) -> Result<i32> {
        self.only_version(1..=3)?;
        let version = if self.version < 3 {
            self.version
        } else {
            let start = self.input.clone();
            let magic = self.input.u32("composite magic")?;
            if magic != COMPOSITE_MAGIC {
                return Err(start.corrupt("composite magic", format!("is {magic}, expected {COMPOSITE_MAGIC}")));
            }
            self.input.i32("outer snapshot version")?
        };
        if versions.contains(&version) {
            return Ok(version);
        }
        let message = format!("serializer snapshot {} has outer version {version}, which is not known", self.class);
        Err(unknown(self.start, "outer snapshot version", message))
    }

    /// The block of nested snapshots.
    pub(super) fn block(&mut self) -> Result<Vec<Snapshot>> {
        let start = self.input.clone();
        let magic = self.input.u32("nested snapshots magic")?;
        if magic != NESTED_MAGIC {
            return Err(start.corrupt("nested snapshots magic", format!("is {magic}, expected {NESTED_MAGIC}")));
        }
        let start = self.input.clone();
        let version = self.input.i32("nested snapshots version")?;
        if version != 1 {
            let message = format!("the nested snapshots have version {version}, only version 1 is known");
            return Err(unknown(&start, "nested snapshots version", message));
        }
        let mut nested = Vec::new();
        for _ in 0..self.input.items(6, "number of nested snapshots")? {
            nested.push(self.nested()?);
        }
        Ok(nested)
    }

    pub(super) fn one(&mut self) -> Result<Box<Snapshot>> {
        let start = self.input.clone();
        match <[Snapshot; 1]>::try_from(self.block()?) {
            Ok([only]) => Ok(Box::new(only)),
            Err(nested) => Err(start.corrupt("number of nested snapshots", format!("is {}, expected 1", nested.len()))),
        }
    }

    pub(super) fn two(&mut self) -> Result<(Box<Snapshot>, Box<Snapshot>)> {
        let start = self.input.clone();
        match <[Snapshot; 2]>::try_from(self.block()?) {
            Ok([first, second]) => Ok((Box::new(first), Box::new(second))),
            Err(nested) => Err(start.corrupt("number of nested snapshots", format!("is {}, expected 2", nested.len()))),
        }
    }
}
