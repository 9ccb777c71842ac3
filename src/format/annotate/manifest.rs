use super::Notes;
use super::section::annotate_serializer;
use crate::error::Result;
use crate::format::FormatId;
use crate::format::java_type::JavaType;
use crate::format::manifest::{KeyGroupAssignment, ObjectScope, SnapshotKind};
use crate::format::record::StateKind;

/// Notes the fields of a manifest.
pub(super) fn annotate(notes: &mut Notes<'_>) -> Result<()> {
    notes.preamble()?;
    notes.opaque("job id", 16, "the job")?;
    notes.note("checkpoint id", |input| input.u64("checkpoint id"), u64::to_string)?;
    notes.tag("snapshot kind", |tag| SnapshotKind::from_tag(tag).map(|kind| kind.name().to_owned()))?;
    notes.note("created", |input| input.i64("created"), |time| format!("{time} ms since 1970"))?;
    notes.text("writer")?;
    for _ in 0..notes.varint("operators")? {
        annotate_operator(notes)?;
    }
    notes.opaque("digest", 32, "BLAKE3 of everything before")?;
    Ok(())
}

fn annotate_operator(notes: &mut Notes<'_>) -> Result<()> {
    notes.opaque("operator id", 16, "the operator")?;
    if flag(notes, "uid")? {
        notes.text("uid")?;
    }
    let subtasks = notes.u32("parallelism")?;
    notes.u32("max parallelism")?;
    let assignment =
        notes.tag("key-group assignment", |tag| KeyGroupAssignment::name_of_tag(tag).map(str::to_owned))?;
    if KeyGroupAssignment::has_java_type(assignment) {
        notes.note("Java type of the keys", JavaType::decode, JavaType::to_string)?;
    }
    if flag(notes, "key serializer")? {
        annotate_serializer(notes, "key serializer")?;
    }
    for _ in 0..notes.varint("states")? {
        notes.text("state name")?;
        notes.tag("state kind", |tag| StateKind::from_tag(tag).map(|kind| kind.name().to_owned()))?;
        flag(notes, "timed")?;
        annotate_serializer(notes, "namespace serializer")?;
        annotate_serializer(notes, "user key serializer")?;
        annotate_serializer(notes, "value serializer")?;
    }
    (0..subtasks).try_for_each(|index| annotate_subtask(notes, index))
}

fn annotate_subtask(notes: &mut Notes<'_>, index: u32) -> Result<()> {
    let named = |flags: &u8| {
        let names = [(1, "finished"), (2, "keyed state"), (4, "operator state")];
        let set: Vec<&str> = names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
        format!("subtask {index}: {}", if set.is_empty() { "nothing".to_owned() } else { set.join(", ") })
    };
    let flags = notes.note("subtask flags", |input| input.u8("subtask flags"), named)?;
    if flags & 2 != 0 {
        annotate_keyed(notes)?;
    }
    if flags & 4 != 0 {
        let place = notes.tag("operator state", |tag| match tag {
            1 => Some("inline".to_owned()),
            2 => Some("object".to_owned()),
            _ => None,
        })?;
        if place == 1 {
            let at = notes.input.clone();
            let length = notes.varint("section length")?;
            let length = usize::try_from(length).map_err(|_| at.corrupt("section length", "is too long"))?;
            notes.opaque("section", length, "an operator section, see operator/SPEC.md")?;
        } else {
            annotate_object(notes)?;
        }
        annotate_totals(notes)?;
    }
    Ok(())
}

fn annotate_keyed(notes: &mut Notes<'_>) -> Result<()> {
    let format = notes.tag("format", |tag| FormatId::from_tag(tag).map(|format| format.name().to_owned()))?;
    notes.u16("first key group")?;
    notes.u16("last key group")?;
    if format == FormatId::NativeRocksDb.tag() {
        for _ in 0..notes.varint("files")? {
            notes.text("file name")?;
            annotate_object(notes)?;
        }
        return annotate_totals(notes);
    }
    for _ in 0..notes.varint("objects")? {
        annotate_object(notes)?;
    }
    for _ in 0..notes.varint("sections")? {
        notes.u16("key group")?;
        notes.varint("object index")?;
        notes.varint("section offset")?;
        notes.varint("section length")?;
        notes.opaque("section checksum", 8, "XXH3-64")?;
        notes.varint("entries")?;
    }
    annotate_totals(notes)
}

fn annotate_object(notes: &mut Notes<'_>) -> Result<()> {
    notes.tag("object scope", |tag| ObjectScope::from_tag(tag).map(|scope| scope.name().to_owned()))?;
    notes.text("object name")?;
    notes.varint("object length")?;
    notes.opaque("object digest", 32, "BLAKE3")?;
    Ok(())
}

fn annotate_totals(notes: &mut Notes<'_>) -> Result<()> {
    for _ in 0..notes.varint("totals")? {
        notes.varint("state index")?;
        notes.varint("state entries")?;
        notes.varint("state bytes")?;
    }
    Ok(())
}

fn flag(notes: &mut Notes<'_>, name: &'static str) -> Result<bool> {
    let show = |set: &bool| if *set { "yes".to_owned() } else { "no".to_owned() };
    notes.note(name, |input| input.bool(name), show)
}
