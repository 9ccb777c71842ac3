use std::sync::Arc;

use super::{Contents, Snapshot, TypeSerializer};
use crate::error::Result;
use crate::format::flink::primitive::{LinkedEntry, Primitives};

/// A class with named fields (`PojoSerializerSnapshot`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pojo {
    /// The class. Shared, because every decoded value names it.
    pub class: Arc<str>,
    /// The fields in the order in which they are stored.
    pub fields: Vec<PojoField>,
    /// Subclasses that are stored by their position in this list.
    pub registered: Vec<Subclass>,
    /// Subclasses that are stored by name.
    pub unregistered: Vec<Subclass>,
}

/// A field of a [`Pojo`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PojoField {
    /// Name of the field.
    pub name: Arc<str>,
    /// Class that declares the field; absent where the writing program had lost the field.
    pub declaring_class: Option<String>,
    /// How the field is stored; absent where the writing program had lost the serializer.
    pub serializer: Option<Snapshot>,
}

/// A subclass of a [`Pojo`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subclass {
    /// The class.
    pub class: String,
    /// How values of the class are stored, as a whole; absent where the writing program had lost the serializer.
    pub serializer: Option<Snapshot>,
}

impl Contents<'_, '_> {
    pub(super) fn pojo(&mut self) -> Result<TypeSerializer> {
        self.only_version(2..=2)?;
        let class = self.input.utf("POJO class")?.into();
        let mut fields = Vec::new();
        for LinkedEntry { name, key, value } in self.input.linked_map("POJO fields")? {
            let declaring_class = match key {
                None => None,
                Some(mut key) => {
                    let declaring = key.utf("declaring class")?;
                    let start = key.clone();
                    let field = key.utf("field name")?;
                    if field != name {
                        return Err(start.corrupt("field name", format!("is {field:?} in an entry named {name:?}")));
                    }
                    key.finish("POJO field")?;
                    Some(declaring)
                }
            };
            let serializer =
                value.map(|frame| Snapshot::read_framed(frame, self.depth.saturating_add(1))).transpose()?;
            fields.push(PojoField { name: name.into(), declaring_class, serializer });
        }
        let registered = self.subclasses("registered subclasses")?;
        let unregistered = self.subclasses("unregistered subclasses")?;
        Ok(TypeSerializer::Pojo(Pojo { class, fields, registered, unregistered }))
    }

    fn subclasses(&mut self, field: &'static str) -> Result<Vec<Subclass>> {
        let mut subclasses = Vec::new();
        for LinkedEntry { name, key, value } in self.input.linked_map(field)? {
            if let Some(key) = key {
                key.finish(field)?;
            }
            let serializer =
                value.map(|frame| Snapshot::read_framed(frame, self.depth.saturating_add(1))).transpose()?;
            subclasses.push(Subclass { class: name, serializer });
        }
        Ok(subclasses)
    }
}
