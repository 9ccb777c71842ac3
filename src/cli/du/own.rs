//! What takes up the space of a snapshot of ours, as its manifest says.

use std::collections::{BTreeMap, BTreeSet};

use millpond::format::manifest::{Manifest, ObjectScope, OperatorSnapshot, OperatorStateContent, OperatorStateHandle};
use millpond::snapshot::{SnapshotReader, object_path};
use millpond::storage::ObjectPath;
use millpond::storage::layout::{MANIFEST_NAME, is_object_name};

use super::super::open::Location;
use super::{Group, Operator, Report, State};

/// What other snapshots beside this one name, by their directory. One that cannot be read is as if it were not there.
fn siblings(location: &Location, snapshot: &SnapshotReader) -> BTreeMap<String, BTreeSet<ObjectPath>> {
    let mut siblings = BTreeMap::new();
    // A directory under another name cannot be listed from above; then nothing beside it is known.
    for info in location.storage.list(None).unwrap_or_default() {
        let Some(directory) = info.path.parent().filter(|_| info.path.file_name() == MANIFEST_NAME) else { continue };
        if directory.parent().is_some() || directory == *snapshot.directory() {
            continue;
        }
        let read = location.storage.open(&info.path).and_then(|bytes| Manifest::decode(bytes.as_slice()));
        let Ok(manifest) = read else { continue };
        let names = manifest.objects().filter_map(|object| object_path(&directory, object.scope, &object.name).ok());
        siblings.insert(directory.to_string(), names.collect());
    }
    siblings
}

/// Bytes of what the tasks of the job own beside its checkpoints; none where that cannot be listed.
fn task_owned_bytes(location: &Location, snapshot: &SnapshotReader) -> u64 {
    let beside = object_path(snapshot.directory(), ObjectScope::TaskOwned, "any").ok().and_then(|path| path.parent());
    let listed = beside.map(|directory| location.storage.list(Some(&directory)).unwrap_or_default());
    listed.iter().flatten().filter(|info| is_object_name(info.path.file_name())).map(|info| info.length).sum()
}

pub(super) fn report(location: &Location, snapshot: &SnapshotReader) -> millpond::Result<Report> {
    let siblings = siblings(location, snapshot);
    let manifest = snapshot.manifest();
    let mut names: BTreeMap<ObjectPath, u64> = BTreeMap::new();
    for object in manifest.objects() {
        names.insert(snapshot.object_path(object)?, object.length);
    }
    let is_shared = |name: &ObjectPath| siblings.values().any(|other| other.contains(name));
    let shared_bytes = names.iter().filter(|(name, _)| is_shared(name)).map(|(_, length)| *length).sum();
    let stored_bytes: u64 = names.values().sum();
    let with = siblings.iter().filter(|(_, other)| names.keys().any(|name| other.contains(name)));
    let path = snapshot.directory().join(MANIFEST_NAME)?;
    let operators = manifest.operators.iter().map(|operator| of_operator(snapshot, operator, &is_shared));
    Ok(Report {
        path: location.path.display().to_string(),
        stored_bytes,
        alone_bytes: stored_bytes - shared_bytes,
        shared_bytes,
        shared_with: with.map(|(directory, _)| directory.clone()).collect(),
        inline_bytes: None,
        manifest_bytes: location.storage.length(&path)?.unwrap_or(0),
        task_owned_bytes: Some(task_owned_bytes(location, snapshot)),
        operators: operators.collect::<millpond::Result<_>>()?,
    })
}

fn of_operator(
    snapshot: &SnapshotReader,
    operator: &OperatorSnapshot,
    is_shared: &dyn Fn(&ObjectPath) -> bool,
) -> millpond::Result<Operator> {
    let (mut alone_bytes, mut shared_bytes) = (0, 0);
    let mut groups: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut is_counted = true;
    for subtask in &operator.subtasks {
        for object in subtask.objects() {
            let part = if is_shared(&snapshot.object_path(object)?) { &mut shared_bytes } else { &mut alone_bytes };
            let sections = subtask.keyed.iter().flat_map(|keyed| {
                let here = keyed.sections.iter();
                here.filter(|section| keyed.objects.get(section.object as usize).is_some_and(|own| own == object))
            });
            // The files of a database and operator state have no sections.
            let bytes: u64 = sections.map(|section| section.length).sum();
            *part += if bytes == 0 { object.length } else { bytes };
        }
        for section in subtask.keyed.iter().flat_map(|keyed| &keyed.sections) {
            let group = groups.entry(section.group.0).or_default();
            *group = (group.0 + section.entries, group.1 + section.length);
        }
        let keyed = subtask.keyed.iter().map(|keyed| (&keyed.states, !keyed.objects.is_empty()));
        let own = subtask.operator.iter().map(|own| (&own.states, has_bytes(own)));
        for (states, has_state) in keyed.chain(own) {
            is_counted &= !states.is_empty() || !has_state;
            for total in states {
                let count = counts.entry(total.name.to_string()).or_default();
                *count = (count.0 + total.entries, count.1 + total.bytes);
            }
        }
    }
    let states = operator.states.iter().map(|state| {
        let known = counts.get(&state.name).copied().or(is_counted.then_some((0, 0))).filter(|_| is_counted);
        let (entries, bytes) = known.unzip();
        State { name: state.name.clone(), kind: state.kind.name(), entries, bytes }
    });
    let mut key_groups: Vec<Group> =
        groups.into_iter().map(|(key_group, (entries, bytes))| Group { key_group, entries, bytes }).collect();
    key_groups.sort_by(|a, b| b.bytes.cmp(&a.bytes).then(a.key_group.cmp(&b.key_group)));
    Ok(Operator {
        id: operator.id.to_string(),
        uid: operator.uid.clone(),
        stored_bytes: alone_bytes + shared_bytes,
        alone_bytes,
        shared_bytes,
        inline_bytes: None,
        unread: Vec::new(),
        states: states.collect(),
        key_groups,
    })
}

fn has_bytes(handle: &OperatorStateHandle) -> bool {
    match &handle.content {
        OperatorStateContent::Inline(bytes) => !bytes.is_empty(),
        OperatorStateContent::Object(_) => true,
    }
}
