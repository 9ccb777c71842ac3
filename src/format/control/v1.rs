//! Version 1 of control objects. Layout: `formats/control/SPEC.md`.

use super::{Control, Lease, Origin, Record, Seal};
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::ids::{CheckpointId, JobId, check_name};

const RECORD: u8 = 1;
const LEASE: u8 = 2;
const SEAL: u8 = 3;

/// The origin is claimed.
const CLAIMED: u8 = 1;
/// The origin is borrowed, or its files are gone.
const NOT_CLAIMED: u8 = 0;

pub(super) fn encode(control: &Control, out: &mut Writer) {
    match control {
        Control::Record(record) => {
            out.u8(RECORD);
            encode_record(record, out);
        }
        Control::Lease(Lease { job, checkpoint, expires_ms, reader }) => {
            out.u8(LEASE);
            out.raw(&job.0);
            out.u64(checkpoint.0);
            out.i64(*expires_ms);
            out.str(reader);
        }
        Control::Seal(Seal { job, checkpoint, epoch }) => {
            out.u8(SEAL);
            out.raw(&job.0);
            out.u64(checkpoint.0);
            out.u64(*epoch);
        }
    }
}

fn encode_record(record: &Record, out: &mut Writer) {
    let Record { job, number, epoch, holder, created_ms, reserved, below, kept, origin, claimed } = record;
    out.raw(&job.0);
    out.u64(*number);
    out.u64(*epoch);
    out.raw(holder);
    out.i64(*created_ms);
    out.u64(reserved.0);
    out.u64(below.0);
    out.length(kept.len());
    kept.iter().for_each(|id| out.u64(id.0));
    out.u8(u8::from(origin.is_some()));
    if let Some(Origin { checkpoint, place, directory }) = origin {
        out.u64(checkpoint.0);
        out.str(place);
        out.str(directory);
    }
    out.u8(if *claimed { CLAIMED } else { NOT_CLAIMED });
}

pub(super) fn decode(mut input: Reader<'_>) -> Result<Control> {
    let start = input.clone();
    let control = match input.u8("kind")? {
        RECORD => Control::Record(decode_record(&mut input)?),
        LEASE => Control::Lease(Lease {
            job: job(&mut input)?,
            checkpoint: checkpoint(&mut input, "checkpoint id")?,
            expires_ms: input.i64("expires")?,
            reader: name(&mut input, "reader")?,
        }),
        SEAL => Control::Seal(Seal {
            job: job(&mut input)?,
            checkpoint: checkpoint(&mut input, "checkpoint id")?,
            epoch: from_one(&mut input, "epoch")?,
        }),
        other => {
            let message = format!("control objects of kind {other} are of a newer build; use that");
            return Err(Error::incompatible(message).at_offset(start.offset()).in_field("kind"));
        }
    };
    input.finish("digest")?;
    Ok(control)
}

fn decode_record(input: &mut Reader<'_>) -> Result<Record> {
    let job = job(input)?;
    let (number, epoch) = (from_one(input, "number")?, from_one(input, "epoch")?);
    let holder = array(input, "holder")?;
    let created_ms = input.i64("created")?;
    let reserved = checkpoint(input, "reserved")?;
    let at = input.clone();
    let below = checkpoint(input, "below")?;
    if below > reserved {
        return Err(at.corrupt("below", format!("{below} is decided, but ids end at {reserved}")));
    }
    let kept = kept(input, reserved)?;
    let origin = if input.bool("origin")? { Some(origin(input)?) } else { None };
    let at = input.clone();
    let claimed = input.bool("claimed")?;
    if claimed && origin.is_none() {
        return Err(at.corrupt("claimed", "nothing is there to be claimed"));
    }
    Ok(Record { job, number, epoch, holder, created_ms, reserved, below, kept, origin, claimed })
}

fn kept(input: &mut Reader<'_>, reserved: CheckpointId) -> Result<Vec<CheckpointId>> {
    let count = input.count(8, "kept")?;
    let mut kept: Vec<CheckpointId> = Vec::with_capacity(count);
    for _ in 0..count {
        let at = input.clone();
        let id = checkpoint(input, "kept")?;
        if kept.last().is_some_and(|last| *last >= id) || id >= reserved {
            return Err(at.corrupt("kept", format!("{id} does not ascend, or is not below {reserved}")));
        }
        kept.push(id);
    }
    Ok(kept)
}

fn origin(input: &mut Reader<'_>) -> Result<Origin> {
    let checkpoint = checkpoint(input, "origin")?;
    let at = input.clone();
    let place = input.str("place")?.to_owned();
    if !place.is_empty() {
        check_name("place", &place).map_err(|error| at.corrupt("place", error.message()))?;
    }
    Ok(Origin { checkpoint, place, directory: name(input, "directory")? })
}

fn job(input: &mut Reader<'_>) -> Result<JobId> {
    array(input, "job id").map(JobId)
}

fn array(input: &mut Reader<'_>, field: &'static str) -> Result<[u8; 16]> {
    let at = input.clone();
    <[u8; 16]>::try_from(input.raw(16, field)?).map_err(|_| at.corrupt(field, "is not 16 bytes"))
}

fn checkpoint(input: &mut Reader<'_>, field: &'static str) -> Result<CheckpointId> {
    from_one(input, field).map(CheckpointId)
}

fn from_one(input: &mut Reader<'_>, field: &'static str) -> Result<u64> {
    let at = input.clone();
    match input.u64(field)? {
        0 => Err(at.corrupt(field, "is 0, numbers begin with 1")),
        number => Ok(number),
    }
}

fn name(input: &mut Reader<'_>, field: &'static str) -> Result<String> {
    let at = input.clone();
    let name = input.str(field)?;
    check_name(field, name).map_err(|error| at.corrupt(field, error.message()))?;
    Ok(name.to_owned())
}
