use super::{Notes, Schemas};
use crate::codec::{Compression, Reader};
use crate::error::Result;
use crate::format::FormatId;
use crate::format::record::{StateKind, StateMeta};
use crate::format::schema::{EVENT_TIME, PROCESSING_TIME, Schema};
use crate::serializer::SerializerSnapshot;

/// Notes the fields of one section.
pub(super) fn annotate(notes: &mut Notes<'_>, format: FormatId, schemas: Schemas<'_>) -> Result<()> {
    notes.preamble()?;
    notes.opaque("operator id", 16, "the operator")?;
    let owner = if format == FormatId::Operator { "subtask" } else { "key group" };
    notes.note("owner", |input| input.u16("owner"), |number| format!("{owner} {number}"))?;
    notes.opaque("header crc", 4, "CRC-32")?;
    let mut state = None;
    loop {
        let record = notes.tag("record", |tag| match tag {
            1 => Some("state".to_owned()),
            2 => Some("block".to_owned()),
            3 => Some("end".to_owned()),
            _ => None,
        })?;
        match record {
            1 => state = Some(annotate_state(notes, schemas)?),
            2 => annotate_block(notes, format, state)?,
            _ => {
                notes.varint("states")?;
                notes.varint("blocks")?;
                notes.varint("entries")?;
                notes.opaque("end crc", 4, "CRC-32")?;
                return Ok(());
            }
        }
    }
}

fn annotate_state<'m>(notes: &mut Notes<'_>, schemas: Schemas<'m>) -> Result<Schema<'m>> {
    let at = notes.input.clone();
    let tag = notes.tag("state kind", |tag| StateKind::from_tag(tag).map(|kind| kind.name().to_owned()))?;
    let name = notes.text("state name")?;
    notes.opaque("state crc", 4, "CRC-32")?;
    let kind = StateKind::from_tag(tag).ok_or_else(|| at.corrupt("state kind", format!("is {tag}")))?;
    Schema::find(schemas.key, schemas.states, &String::from_utf8_lossy(name), kind)
}

fn annotate_block(notes: &mut Notes<'_>, format: FormatId, schema: Option<Schema<'_>>) -> Result<()> {
    let codec = |tag| Compression::from_tag(tag).map(|codec| codec.name().to_owned());
    let at = notes.input.clone();
    let compression = notes.tag("compression", codec)?;
    let entries = notes.u32("entries")?;
    let raw = notes.u32("raw length")?;
    let stored = notes.u32("stored length")?;
    let stored = usize::try_from(stored).unwrap_or(usize::MAX);
    if compression == Compression::None.tag() {
        let schema = schema.ok_or_else(|| at.corrupt("record", "a block comes before any state"))?;
        for _ in 0..entries {
            match format {
                FormatId::NativeHeap => annotate_typed(notes, &schema)?,
                _ => annotate_pair(notes, &schema)?,
            }
        }
    } else {
        notes.opaque("payload", stored, &format!("{raw} bytes, compressed"))?;
    }
    notes.opaque("block crc", 4, "CRC-32")?;
    Ok(())
}

fn annotate_pair(notes: &mut Notes<'_>, schema: &Schema<'_>) -> Result<()> {
    notes.varint("key length")?;
    annotate_key(notes, schema)?;
    let length = notes.varint("value length")?;
    if schema.state.kind == StateKind::List {
        let end = notes.input.position().saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        while notes.input.position() < end {
            notes.varint("element length")?;
            annotate_value(notes, schema.state, "element")?;
        }
        return Ok(());
    }
    annotate_value(notes, schema.state, "value")
}

fn annotate_typed(notes: &mut Notes<'_>, schema: &Schema<'_>) -> Result<()> {
    let state = schema.state;
    match state.kind {
        StateKind::List => {
            annotate_key(notes, schema)?;
            for _ in 0..notes.varint("count")? {
                annotate_value(notes, state, "element")?;
                if state.value.min_len() == 0 {
                    notes.opaque("filler", 1, "the element takes no bytes")?;
                }
            }
            Ok(())
        }
        StateKind::Map => {
            notes.value("key", schema.key)?;
            notes.value("namespace", &state.namespace)?;
            for _ in 0..notes.varint("count")? {
                notes.value("user key", &state.user_key)?;
                annotate_value(notes, state, "value")?;
            }
            Ok(())
        }
        _ => {
            annotate_key(notes, schema)?;
            annotate_value(notes, state, "value")
        }
    }
}

fn annotate_key(notes: &mut Notes<'_>, schema: &Schema<'_>) -> Result<()> {
    let state = schema.state;
    if state.kind == StateKind::Timer {
        notes.tag("time domain", |tag| match tag {
            EVENT_TIME => Some("event time".to_owned()),
            PROCESSING_TIME => Some("processing time".to_owned()),
            _ => None,
        })?;
        annotate_time(notes, "timestamp")?;
    }
    if state.kind.is_keyed() {
        notes.value("key", schema.key)?;
        notes.value("namespace", &state.namespace)?;
    }
    if matches!(state.kind, StateKind::Map | StateKind::Broadcast) {
        notes.value("user key", &state.user_key)?;
    }
    Ok(())
}

fn annotate_value(notes: &mut Notes<'_>, state: &StateMeta, name: &'static str) -> Result<()> {
    if state.timed {
        annotate_time(notes, "stamp")?;
    }
    if state.kind == StateKind::Timer { Ok(()) } else { notes.value(name, &state.value) }
}

fn annotate_time(notes: &mut Notes<'_>, name: &'static str) -> Result<i64> {
    notes.note(name, |input: &mut Reader<'_>| input.ordered_i64(name), |time| format!("{time} ms"))
}

/// What a serializer's description says, in one line.
pub(super) fn annotate_serializer(notes: &mut Notes<'_>, name: &str) -> Result<()> {
    notes.note(name, SerializerSnapshot::decode, ToString::to_string).map(|_| ())
}
