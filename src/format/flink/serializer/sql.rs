//! Serializers of the SQL runtime that are no composite snapshots.

use super::{Contents, TypeSerializer};
use crate::error::Result;
use crate::format::flink::java_object::{self, LogicalType};
use crate::format::flink::primitive::Primitives;

impl Contents<'_, '_> {
    /// Reads the contents if the class is one of the SQL runtime's.
    pub(super) fn sql(&mut self) -> Result<Option<TypeSerializer>> {
        let Some(name) = self.class.strip_prefix("org.apache.flink.table.runtime.typeutils.") else { return Ok(None) };
        let serializer = match name {
            "RowDataSerializer$RowDataSerializerSnapshot" => self.row_data()?,
            "BinaryRowDataSerializer$BinaryRowDataSerializerSnapshot" => {
                self.only_version(3..=3)?;
                let start = self.input.clone();
                let arity = self.input.non_negative("number of fields")?;
                let arity = usize::try_from(arity)
                    .map_err(|_| start.corrupt("number of fields", format!("{arity} are too many")))?;
                TypeSerializer::BinaryRowData { arity }
            }
            "DecimalDataSerializer$DecimalSerializerSnapshot" => {
                self.only_version(3..=3)?;
                let precision = self.input.non_negative("decimal precision")?;
                TypeSerializer::DecimalData { precision, scale: self.input.non_negative("decimal scale")? }
            }
            "TimestampDataSerializer$TimestampDataSerializerSnapshot" => {
                self.only_version(1..=1)?;
                TypeSerializer::TimestampData { precision: self.input.non_negative("timestamp precision")? }
            }
            "ArrayDataSerializer$ArrayDataSerializerSnapshot" => {
                self.only_version(3..=3)?;
                let element = LogicalType::read(self.input)?;
                java_object::skip(self.input)?;
                TypeSerializer::ArrayData(element)
            }
            "MapDataSerializer$MapDataSerializerSnapshot" => {
                self.only_version(3..=3)?;
                let key = LogicalType::read(self.input)?;
                let value = LogicalType::read(self.input)?;
                java_object::skip(self.input)?;
                java_object::skip(self.input)?;
                TypeSerializer::MapData(key, value)
            }
            "SortedMapSerializerSnapshot" => {
                self.only_version(3..=3)?;
                java_object::skip(self.input)?;
                let (key, value) = self.two()?;
                TypeSerializer::SortedMap(key, value)
            }
            _ => return Ok(None),
        };
        Ok(Some(serializer))
    }

    fn row_data(&mut self) -> Result<TypeSerializer> {
        self.only_version(3..=3)?;
        let mut types = Vec::new();
        for _ in 0..self.input.items(5, "number of row fields")? {
            types.push(LogicalType::read(self.input)?);
        }
        let start = self.input.clone();
        let fields = self.block()?;
        if fields.len() != types.len() {
            let message = format!("is {}, but the row has {} types", fields.len(), types.len());
            return Err(start.corrupt("number of nested snapshots", message));
        }
        Ok(TypeSerializer::RowData { types, fields })
    }
}
