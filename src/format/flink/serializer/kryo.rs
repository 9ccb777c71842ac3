use super::{Contents, TypeSerializer, unknown};
use crate::codec::Reader;
use crate::error::Result;
use crate::format::flink::java_object;
use crate::format::flink::primitive::{LinkedEntry, Primitives};

/// Anything that Kryo serializes (`KryoSerializerSnapshot`).
///
/// The same description stands for two encodings: Flink 1.x writes values with Kryo 2, Flink 2.x with Kryo 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kryo {
    /// The class.
    pub class: String,
    /// Classes that have a number, in the order of their numbers. The first number depends on the version of Flink.
    pub registrations: Vec<String>,
}

impl Contents<'_, '_> {
    pub(super) fn kryo(&mut self) -> Result<TypeSerializer> {
        self.only_version(2..=2)?;
        let class = self.input.utf("Kryo type class")?;
        let mut registrations = Vec::new();
        for LinkedEntry { name, key, value } in self.input.linked_map("Kryo registrations")? {
            one_name(key, "Kryo registration key")?;
            if let Some(value) = value {
                registration(value)?;
            }
            registrations.push(name);
        }
        for LinkedEntry { key, value, .. } in self.input.linked_map("Kryo default serializers")? {
            one_name(key, "Kryo default serializer key")?;
            if let Some(mut value) = value {
                java_object::skip(&mut value)?;
                value.finish("Kryo default serializer")?;
            }
        }
        for LinkedEntry { key, value, .. } in self.input.linked_map("Kryo default serializer classes")? {
            one_name(key, "Kryo default serializer class key")?;
            one_name(value, "Kryo default serializer class")?;
        }
        Ok(TypeSerializer::Kryo(Kryo { class, registrations }))
    }
}

fn one_name(frame: Option<Reader<'_>>, field: &'static str) -> Result<()> {
    let Some(mut frame) = frame else { return Ok(()) };
    frame.utf(field)?;
    frame.finish(field)
}

fn registration(mut frame: Reader<'_>) -> Result<()> {
    frame.utf("Kryo registered class")?;
    let start = frame.clone();
    match frame.i32("Kryo registration kind")? {
        0 => {}
        1 => {
            frame.utf("Kryo serializer class")?;
        }
        2 => java_object::skip(&mut frame)?,
        kind => {
            let message = format!("Kryo registration kind {kind} is not known");
            return Err(unknown(&start, "Kryo registration kind", message));
        }
    }
    frame.finish("Kryo registration")
}
