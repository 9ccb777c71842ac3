use super::Notes;
use crate::error::Result;

/// Notes the fields of a control object.
pub(super) fn annotate(notes: &mut Notes<'_>) -> Result<()> {
    notes.preamble()?;
    let kind = notes.tag("kind", |tag| kind(tag).map(str::to_owned))?;
    notes.opaque("job id", 16, "the job")?;
    match kind {
        1 => annotate_record(notes)?,
        2 => {
            number(notes, "checkpoint id")?;
            time(notes, "expires")?;
            notes.text("reader")?;
        }
        _ => {
            number(notes, "checkpoint id")?;
            number(notes, "epoch")?;
        }
    }
    notes.opaque("digest", 32, "BLAKE3 of everything before")?;
    Ok(())
}

fn annotate_record(notes: &mut Notes<'_>) -> Result<()> {
    number(notes, "number")?;
    number(notes, "epoch")?;
    notes.opaque("holder", 16, "random")?;
    time(notes, "created")?;
    number(notes, "reserved")?;
    number(notes, "below")?;
    for _ in 0..notes.varint("kept count")? {
        number(notes, "kept")?;
    }
    if flag(notes, "origin")? {
        number(notes, "origin checkpoint")?;
        notes.text("place")?;
        notes.text("directory")?;
    }
    flag(notes, "claimed")?;
    Ok(())
}

fn kind(tag: u8) -> Option<&'static str> {
    match tag {
        1 => Some("record"),
        2 => Some("lease"),
        3 => Some("seal"),
        _ => None,
    }
}

fn number(notes: &mut Notes<'_>, name: &'static str) -> Result<u64> {
    notes.note(name, |input| input.u64(name), u64::to_string)
}

fn time(notes: &mut Notes<'_>, name: &'static str) -> Result<i64> {
    notes.note(name, |input| input.i64(name), |time| format!("{time} ms since 1970"))
}

fn flag(notes: &mut Notes<'_>, name: &'static str) -> Result<bool> {
    notes.note(name, |input| input.bool(name), |flag| (if *flag { "yes" } else { "no" }).to_owned())
}
