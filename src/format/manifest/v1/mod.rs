//! Version 1 of the manifest's body. Layout: `formats/manifest/SPEC.md`.

mod decode;

use super::{
    KeyedHandle, Manifest, ObjectRef, OperatorSnapshot, OperatorStateContent, OperatorStateHandle, SectionRef,
    SubtaskSnapshot,
};
use crate::codec::Writer;
use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::record::StateMeta;
use crate::format::section::StateTotals;

pub(super) use decode::decode;

/// The subtask had finished.
const FINISHED: u8 = 1;
/// A keyed handle follows.
const KEYED: u8 = 2;
/// An operator state handle follows.
const OPERATOR: u8 = 4;

const INLINE: u8 = 1;
const OBJECT: u8 = 2;

pub(super) fn encode(manifest: &Manifest, out: &mut Writer) -> Result<()> {
    let Manifest { job, checkpoint, kind, created_ms, writer, operators } = manifest;
    out.raw(&job.0);
    out.u64(checkpoint.0);
    out.u8(kind.tag());
    out.i64(*created_ms);
    out.str(writer);
    out.length(operators.len());
    operators
        .iter()
        .try_for_each(|operator| encode_operator(operator, out).map_err(|error| error.in_operator(operator.label())))
}

fn encode_operator(operator: &OperatorSnapshot, out: &mut Writer) -> Result<()> {
    let OperatorSnapshot { id, uid, parallelism, max_parallelism, assignment, key, states, subtasks } = operator;
    out.raw(&id.0);
    out.u8(u8::from(uid.is_some()));
    if let Some(uid) = uid {
        out.str(uid);
    }
    out.u32(parallelism.get());
    out.u32(max_parallelism.get());
    assignment.encode(out)?;
    out.u8(u8::from(key.is_some()));
    if let Some(key) = key {
        key.encode(out)?;
    }
    out.length(states.len());
    states.iter().try_for_each(|state| encode_state(state, out))?;
    if u32::try_from(subtasks.len()) != Ok(parallelism.get()) {
        return Err(Error::invalid_input(format!("{} subtasks of parallelism {parallelism}", subtasks.len())));
    }
    for (position, subtask) in subtasks.iter().enumerate() {
        if usize::try_from(subtask.index.0) != Ok(position) {
            return Err(Error::invalid_input(format!("subtask {} is at position {position}", subtask.index)));
        }
        if let Some(handle) = subtask.keyed.as_ref().filter(|handle| handle.assignment != *assignment) {
            let (here, whole) = (handle.assignment.name(), assignment.name());
            let message = format!("subtask {position} assigned key groups by {here}, its operator by {whole}");
            return Err(Error::invalid_input(message));
        }
        encode_subtask(subtask, states, out)?;
    }
    Ok(())
}

fn encode_state(state: &StateMeta, out: &mut Writer) -> Result<()> {
    let StateMeta { name, kind, namespace, user_key, value, timed } = state;
    out.str(name);
    out.u8(kind.tag());
    out.u8(u8::from(*timed));
    [namespace, user_key, value]
        .into_iter()
        .try_for_each(|serializer| serializer.encode(out))
        .map_err(|error| error.in_state(&**name))
}

fn encode_subtask(subtask: &SubtaskSnapshot, states: &[StateMeta], out: &mut Writer) -> Result<()> {
    let SubtaskSnapshot { index: _, finished, keyed, operator } = subtask;
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.u8(flag(*finished, FINISHED) | flag(keyed.is_some(), KEYED) | flag(operator.is_some(), OPERATOR));
    if let Some(keyed) = keyed {
        encode_keyed(keyed, states, out)?;
    }
    if let Some(OperatorStateHandle { content, states: totals }) = operator {
        match content {
            OperatorStateContent::Inline(section) => {
                out.u8(INLINE);
                out.bytes(section);
            }
            OperatorStateContent::Object(object) => {
                out.u8(OBJECT);
                encode_object(object, out);
            }
        }
        encode_totals(totals, states, out)?;
    }
    Ok(())
}

fn encode_keyed(handle: &KeyedHandle, states: &[StateMeta], out: &mut Writer) -> Result<()> {
    let KeyedHandle { format, range, assignment: _, objects, sections, files, states: totals } = handle;
    out.u8(format.tag());
    out.u16(range.first().0);
    out.u16(range.last().0);
    out.length(objects.len());
    if *format == FormatId::NativeRocksDb {
        check_database(handle)?;
        for (file, object) in handle.database_files() {
            out.str(&file.to_string());
            encode_object(object, out);
        }
        return encode_totals(totals, states, out);
    }
    if !files.is_empty() {
        return Err(Error::invalid_input(format!("names of database files in a handle of {format} format")));
    }
    objects.iter().for_each(|object| encode_object(object, out));
    out.length(sections.len());
    for section in sections {
        let SectionRef { group, object, offset, length, checksum, entries } = section;
        out.u16(group.0);
        out.varint(u64::from(*object));
        out.varint(*offset);
        out.varint(*length);
        out.u64(*checksum);
        out.varint(*entries);
    }
    encode_totals(totals, states, out)
}

/// Checks what has no encoding in the handle of a database.
fn check_database(handle: &KeyedHandle) -> Result<()> {
    if handle.files.len() != handle.objects.len() || !handle.sections.is_empty() {
        return Err(Error::invalid_input(format!(
            "a database of {} files in {} objects and {} sections; every file is one object, and there are no sections",
            handle.files.len(),
            handle.objects.len(),
            handle.sections.len()
        )));
    }
    Ok(())
}

fn encode_object(object: &ObjectRef, out: &mut Writer) {
    let ObjectRef { scope, name, length, digest } = object;
    out.u8(scope.tag());
    out.str(name);
    out.varint(*length);
    out.raw(&digest.0);
}

fn encode_totals(totals: &[StateTotals], states: &[StateMeta], out: &mut Writer) -> Result<()> {
    out.length(totals.len());
    for StateTotals { name, entries, bytes } in totals {
        let position = states.iter().position(|state| *state.name == **name);
        let unknown = || Error::invalid_input("there are entries of a state that is not described").in_state(&**name);
        out.length(position.ok_or_else(unknown)?);
        out.varint(*entries);
        out.varint(*bytes);
    }
    Ok(())
}

/// What [`Manifest::keyed_digest`] is the digest of.
pub(super) fn encode_keyed_content(manifest: &Manifest, out: &mut Writer) -> Result<()> {
    for operator in &manifest.operators {
        out.raw(&operator.id.0);
        out.u32(operator.max_parallelism.get());
        operator.assignment.encode(out)?;
        if let Some(key) = &operator.key {
            key.encode(out)?;
        }
        let keyed: Vec<&StateMeta> = operator.states.iter().filter(|state| state.kind.is_keyed()).collect();
        out.length(keyed.len());
        keyed.into_iter().try_for_each(|state| encode_state(state, out))?;
        let handles: Vec<&KeyedHandle> =
            operator.subtasks.iter().filter_map(|subtask| subtask.keyed.as_deref()).collect();
        let mut sections: Vec<(&SectionRef, FormatId)> =
            handles.iter().flat_map(|handle| handle.sections.iter().map(|section| (section, handle.format))).collect();
        sections.sort_by_key(|(section, _)| section.group);
        out.length(sections.len());
        for (section, format) in sections {
            out.u16(section.group.0);
            out.u8(format.tag());
            out.varint(section.length);
            out.u64(section.checksum);
            out.varint(section.entries);
        }
        handles.iter().filter(|handle| handle.format == FormatId::NativeRocksDb).for_each(|handle| {
            encode_database_content(handle, out);
        });
    }
    Ok(())
}

fn encode_database_content(handle: &KeyedHandle, out: &mut Writer) {
    out.u16(handle.range.first().0);
    out.u16(handle.range.last().0);
    out.length(handle.files.len());
    for (file, object) in handle.database_files() {
        out.str(&file.to_string());
        out.varint(object.length);
        out.raw(&object.digest.0);
    }
}
