//! Control objects: what the vectors contain, and what is refused.

use millpond::ErrorKind;
use millpond::format::control::{Control, Lease, Origin, Record, Seal};
use millpond::ids::{CheckpointId, JobId};
use serde_json::{Value, json};

const JOB: JobId = JobId([0xAB; 16]);

/// The record of a second coordinator whose job was started from nothing.
pub(super) fn record() -> Control {
    Control::Record(Record {
        job: JOB,
        number: 7,
        epoch: 2,
        holder: *b"0123456789abcdef",
        created_ms: 1_357_034_400_000,
        reserved: CheckpointId(201),
        below: CheckpointId(104),
        kept: vec![CheckpointId(12), CheckpointId(103)],
        origin: None,
        claimed: false,
    })
}

/// The first record of a job that was started from somebody else's savepoint and owns it now.
pub(super) fn claiming() -> Control {
    let origin = Origin {
        checkpoint: CheckpointId(42),
        place: "backup".to_owned(),
        directory: "savepoint-ababab-0123456789ab".to_owned(),
    };
    let Control::Record(record) = record() else { unreachable!() };
    let (number, epoch, kept) = (1, 1, vec![CheckpointId(42)]);
    Control::Record(Record {
        number,
        epoch,
        below: CheckpointId(43),
        kept,
        origin: Some(origin),
        claimed: true,
        ..record
    })
}

pub(super) fn lease() -> Control {
    let reader = "a slow restore".to_owned();
    Control::Lease(Lease { job: JOB, checkpoint: CheckpointId(42), expires_ms: 1_357_034_460_000, reader })
}

pub(super) fn seal() -> Control {
    Control::Seal(Seal { job: JOB, checkpoint: CheckpointId(42), epoch: 2 })
}

/// What a control object says, as JSON.
pub(super) fn describe(control: &Control) -> Value {
    match control {
        Control::Record(record) => {
            let Record { job, number, epoch, holder, created_ms, reserved, below, kept, origin, claimed } = record;
            json!({"record": {
                "job": job.to_string(),
                "number": number,
                "epoch": epoch,
                "holder": super::json::hex(holder),
                "created_ms": created_ms,
                "reserved": reserved.0,
                "below": below.0,
                "kept": kept.iter().map(|id| id.0).collect::<Vec<_>>(),
                "origin": origin.as_ref().map(|Origin { checkpoint, place, directory }| {
                    json!({"checkpoint": checkpoint.0, "place": place, "directory": directory})
                }),
                "claimed": claimed,
            }})
        }
        Control::Lease(Lease { job, checkpoint, expires_ms, reader }) => json!({"lease": {
            "job": job.to_string(), "checkpoint": checkpoint.0, "expires_ms": expires_ms, "reader": reader,
        }}),
        Control::Seal(Seal { job, checkpoint, epoch }) => json!({"seal": {
            "job": job.to_string(), "checkpoint": checkpoint.0, "epoch": epoch,
        }}),
    }
}

/// The field that the refusal names, and a change to the record.
type Change = (&'static str, fn(&mut Record));

#[test]
fn what_cannot_be_read_back_is_not_written() {
    let Control::Record(good) = record() else { unreachable!() };
    let changes: [Change; 6] = [
        ("number", |record| record.number = 0),
        ("epoch", |record| record.epoch = 0),
        ("below", |record| record.below = CheckpointId(202)),
        ("kept", |record| record.kept.reverse()),
        ("kept", |record| record.kept = vec![CheckpointId(201)]),
        ("claimed", |record| record.claimed = true),
    ];
    for (field, change) in changes {
        let mut record = good.clone();
        change(&mut record);
        let error = Control::Record(record).encode().unwrap_err();
        assert_eq!((error.kind(), error.place().field), (ErrorKind::InvalidInput, Some(field)), "{error}");
    }
}

#[test]
fn a_control_object_is_told_from_a_manifest() {
    assert!(Control::is_control(&seal().encode().unwrap()));
    let manifest = super::samples::manifest(millpond::format::manifest::SnapshotKind::Savepoint).encode().unwrap();
    assert!(!Control::is_control(&manifest));
    let error = Control::decode(&manifest).unwrap_err();
    assert!(error.message().contains("this is manifest data, expected control data"), "{error}");
}
