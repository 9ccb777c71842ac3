use std::ops::ControlFlow;
use std::sync::Arc;

use millpond::codec::Digest;
use millpond::format::manifest::Manifest;
use millpond::serializer::SerializerSnapshot;
use millpond::snapshot::verify::{Finding, Severity, Verification, VerifyEvent, verify};
use millpond::storage::{ObjectPath, Storage};
use millpond::{ErrorKind, Place};

use super::forge::{self, Pair, handle, keys_of, sound, store};

/// A finding, without what differs from run to run.
#[derive(Debug)]
struct Found {
    severity: Severity,
    message: String,
    place: Place,
}

fn check(storage: &Arc<dyn Storage>, directory: ObjectPath) -> (Verification, Vec<Found>) {
    let mut found = Vec::new();
    let mut last = 0;
    let tally = verify(Arc::clone(storage), directory, &mut |event| {
        match event {
            VerifyEvent::Found(Finding { severity, error, .. }) => {
                let (message, place) = (error.message().to_owned(), error.place().clone());
                found.push(Found { severity: *severity, message, place });
            }
            VerifyEvent::Progress { done_bytes, total_bytes } => {
                assert!(last <= done_bytes && done_bytes <= total_bytes, "{last} {done_bytes} {total_bytes}");
                last = done_bytes;
            }
        }
        ControlFlow::Continue(())
    });
    (tally.unwrap(), found)
}

/// Stores these entries and checks them; there must be exactly one finding.
fn only_finding(groups: &[(u16, Vec<Pair>)], change: impl FnOnce(&mut Manifest)) -> Found {
    let storage = forge::storage();
    let directory = store(&storage, groups, change);
    let (tally, mut found) = check(&storage, directory);
    assert_eq!((found.len() as u64, tally.is_intact()), (tally.damaged + tally.unread, false));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_sound_snapshot_is_read_to_its_last_byte() {
    let storage = forge::storage();
    let directory = store(&storage, &sound(), |_| {});
    let mut total = 0;
    let tally = verify(Arc::clone(&storage), directory.clone(), &mut |event| {
        if let VerifyEvent::Progress { done_bytes, total_bytes } = event {
            total = total_bytes;
            assert!(done_bytes <= total_bytes);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(tally.is_intact());
    assert_eq!((tally.objects, tally.sections, tally.blocks, tally.entries), (1, 8, 16, 48));
    assert_eq!(total, tally.bytes * 2);
}

#[test]
fn a_key_in_the_wrong_group_is_found_though_every_checksum_is_right() {
    let mut groups = sound();
    groups[3].1[1].1 = keys_of(5).into_iter().find(|key| *key > keys_of(3)[0]).unwrap();
    groups[3].1[0..3].sort();
    let found = only_finding(&groups, |_| {});
    assert_eq!(found.severity, Severity::Damaged);
    assert_eq!(found.message, "the key belongs to key group 5 of 8, but is stored in 3");
    let Place { file, offset, operator, state, key_group, .. } = found.place;
    assert!(file.is_some() && offset.is_some());
    assert_eq!((operator.as_deref(), state.as_deref(), key_group), (Some(forge::UID), Some("a"), Some(3)));
}

#[test]
fn a_value_that_does_not_decode_is_found() {
    let cases: [(usize, Vec<u8>, &str); 4] = [
        (0, vec![2, 0xC3, 0x28], "string"),
        (0, vec![9, b'x'], "string"),
        (3, vec![0, 0, 7], "u32"),
        (3, vec![0, 0, 0, 7, 7], "value"),
    ];
    for (entry, value, field) in cases {
        let mut groups = sound();
        groups[2].1[entry].2 = value;
        let found = only_finding(&groups, |_| {});
        let state = if entry == 0 { "a" } else { "b" };
        assert_eq!((found.place.field, found.place.state.as_deref()), (Some(field), Some(state)), "{found:?}");
        assert_eq!(found.place.key_group, Some(2));
    }
}

#[test]
fn numbers_that_do_not_add_up_are_found() {
    let found = only_finding(&sound(), |manifest| handle(manifest).states[1].bytes += 1);
    assert_eq!(found.message, "subtask 0 has 24 entries in 336 bytes, the manifest says 24 in 337");
    assert_eq!(found.place.state.as_deref(), Some("b"));
    let storage = forge::storage();
    let directory = store(&storage, &sound(), |manifest| {
        handle(manifest).sections[4].entries += 1;
        handle(manifest).sections[5].entries -= 1;
    });
    let (_, found) = check(&storage, directory);
    let found: Vec<(&str, Option<u16>)> =
        found.iter().map(|found| (found.message.as_str(), found.place.key_group)).collect();
    let expected = [(4, 7), (5, 5)]
        .map(|(group, says)| (format!("the section has 6 entries, the manifest says {says}"), Some(group)));
    assert_eq!(found, expected.each_ref().map(|(message, group)| (message.as_str(), *group)));
    let found = only_finding(&sound(), |manifest| handle(manifest).sections[6].checksum ^= 1);
    assert_eq!((found.place.field, found.place.key_group), (Some("section checksum"), Some(6)));
    let found = only_finding(&sound(), |manifest| handle(manifest).objects[0].digest = Digest([0; 32]));
    assert_eq!((found.place.field, found.place.key_group), (Some("digest"), None));
}

#[test]
fn a_state_that_the_manifest_describes_otherwise_is_found_in_every_group() {
    let storage = forge::storage();
    let directory = store(&storage, &sound(), |manifest| {
        handle(manifest).states[0].name = "aa".into();
        manifest.operators[0].states[0].name = "aa".to_owned();
    });
    let (tally, found) = check(&storage, directory);
    assert_eq!((tally.damaged, tally.blocks), (8, 8));
    assert!(found.iter().all(|found| found.place.state.as_deref() == Some("a")), "{found:?}");
}

#[test]
fn what_only_a_later_build_can_read_is_unread_once_and_not_damage() {
    let storage = forge::storage();
    let unknown = SerializerSnapshot::Unknown { tag: 99, version: 1, payload: Vec::new() };
    let directory = store(&storage, &sound(), |manifest| manifest.operators[0].key = Some(unknown));
    let (tally, found) = check(&storage, directory);
    assert_eq!((tally.damaged, tally.unread), (0, 2), "{found:?}");
    assert!(found.iter().all(|found| found.severity == Severity::Unread), "{found:?}");
}

#[test]
fn the_caller_can_end_the_check() {
    let storage = forge::storage();
    let directory = store(&storage, &sound(), |_| {});
    let error = verify(storage, directory, &mut |_| ControlFlow::Break(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted);
}

#[test]
fn a_missing_manifest_is_an_error_and_a_missing_object_is_damage() {
    let storage = forge::storage();
    let nowhere = ObjectPath::parse("chk-2").unwrap();
    let error = verify(Arc::clone(&storage), nowhere, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let directory = store(&storage, &sound(), |_| {});
    let object =
        storage.list(Some(&directory)).unwrap().into_iter().find(|object| !object.path.as_str().ends_with("_metadata"));
    let object = object.unwrap().path;
    storage.delete(&object).unwrap();
    let (tally, found) = check(&storage, directory);
    assert_eq!((tally.damaged, tally.incomplete_sections, tally.objects), (1, 8, 0));
    assert_eq!(found[0].place.file.as_deref(), Some(object.as_str()));
}

#[test]
#[cfg(feature = "test-util")]
fn storage_that_does_not_answer_is_not_called_damage() {
    use millpond::storage::fault::{Fault, FaultPlan, FaultStorage};
    let inner = forge::storage();
    let directory = store(&inner, &sound(), |_| {});
    // The first operation opens the manifest, the second the object.
    let failing: Arc<dyn Storage> = Arc::new(FaultStorage::new(inner, FaultPlan::at(1, Fault::FailBefore)));
    let (tally, found) = check(&failing, directory);
    assert_eq!((tally.damaged, tally.unread, tally.incomplete_sections), (0, 1, 8), "{found:?}");
}
