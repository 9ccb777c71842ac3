//! What takes up the space of a snapshot of Apache Flink: the lengths that its handles say, and its entries, counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millpond::flink::{Directory, OperatorReader, SnapshotReader, StateUsage, Usage};
use millpond::format::flink::Roots;
use millpond::format::flink::metadata::StreamHandle;
use millpond::storage::layout::MANIFEST_NAME;

use super::super::open::Location;
use super::super::progress::Progress;
use super::{Group, Operator, Report, State};

/// A file, or the part of one, that absolute URIs name: the URI, and where the part begins.
type Named = (String, u64);

/// What a snapshot or an operator has in files and in the metadata.
#[derive(Default)]
struct Stored {
    files: BTreeMap<Named, u64>,
    own_bytes: u64,
    own: BTreeSet<String>,
    inline_bytes: u64,
}

pub(super) fn report(location: &Location, snapshot: &SnapshotReader) -> millpond::Result<Report> {
    let siblings = siblings(location);
    let is_shared = |file: &Named| siblings.values().any(|other| other.contains(file));
    let progress = Progress::new(true);
    let mut whole = Stored::default();
    let mut operators = Vec::new();
    let total = snapshot.metadata().operators.len() as u64;
    for (position, operator) in snapshot.operators().enumerate() {
        progress.set(position as u64, total);
        let mut of_operator = Stored::default();
        for stream in operator.streams() {
            of_operator.add(stream.handle);
            whole.add(stream.handle);
        }
        operators.push(report_operator(operator, &of_operator, &is_shared)?);
    }
    operators.sort_by(|a, b| (&a.uid, &a.id).cmp(&(&b.uid, &b.id)));
    let (alone_bytes, shared_bytes) = whole.divide(&is_shared);
    let with = siblings.iter().filter(|(_, other)| whole.files.keys().any(|file| other.contains(file)));
    Ok(Report {
        path: location.path.display().to_string(),
        stored_bytes: alone_bytes + shared_bytes,
        alone_bytes,
        shared_bytes,
        shared_with: with.map(|(directory, _)| directory.clone()).collect(),
        inline_bytes: Some(whole.inline_bytes),
        manifest_bytes: snapshot.metadata_bytes(),
        task_owned_bytes: None,
        operators,
    })
}

/// What other snapshots beside this one name by absolute URIs, by their directory. One that cannot be read is as if it
/// were not there.
fn siblings(location: &Location) -> BTreeMap<String, BTreeSet<Named>> {
    let mut siblings = BTreeMap::new();
    // A directory under another name cannot be listed from above; then nothing beside it is known.
    for info in location.storage.list(None).unwrap_or_default() {
        let Some(directory) = info.path.parent().filter(|_| info.path.file_name() == MANIFEST_NAME) else { continue };
        if directory.parent().is_some() || directory == location.directory {
            continue;
        }
        let beside = Directory::new(Arc::clone(&location.storage), Some(directory.clone()));
        let Ok(snapshot) = SnapshotReader::open(beside, Roots::new()) else { continue };
        let mut stored = Stored::default();
        for operator in snapshot.operators() {
            operator.streams().for_each(|stream| stored.add(stream.handle));
        }
        siblings.insert(directory.to_string(), stored.files.into_keys().collect());
    }
    siblings
}

impl Stored {
    fn add(&mut self, handle: &StreamHandle) {
        match handle.plain() {
            StreamHandle::Inline(inline) => self.inline_bytes += inline.bytes.len() as u64,
            StreamHandle::Relative { path, size } => {
                if self.own.insert(path.clone()) {
                    self.own_bytes += size;
                }
            }
            StreamHandle::File { uri, size } => {
                self.files.insert((uri.clone(), 0), *size);
            }
            StreamHandle::Segment(segment) => {
                self.files.insert((segment.uri.clone(), segment.start), segment.size);
            }
            StreamHandle::EmptySegment | StreamHandle::KeyGroups { .. } => {}
        }
    }

    /// Bytes of files that nobody else names, and that others name as well.
    fn divide(&self, is_shared: &dyn Fn(&Named) -> bool) -> (u64, u64) {
        let (shared, alone): (Vec<_>, Vec<_>) = self.files.iter().partition(|(file, _)| is_shared(file));
        let sum = |files: Vec<(&Named, &u64)>| files.into_iter().map(|(_, size)| size).sum::<u64>();
        (self.own_bytes + sum(alone), sum(shared))
    }
}

fn report_operator(
    operator: OperatorReader<'_>,
    stored: &Stored,
    is_shared: &dyn Fn(&Named) -> bool,
) -> millpond::Result<Operator> {
    let Usage { states, groups, unread } = operator.usage()?;
    let (alone_bytes, shared_bytes) = stored.divide(is_shared);
    let state = |StateUsage { name, kind, taken }: StateUsage| {
        let (entries, bytes) = taken.map(|taken| (taken.entries, taken.bytes)).unzip();
        State { name, kind: kind.name(), entries, bytes }
    };
    let mut key_groups: Vec<Group> = groups
        .iter()
        .map(|usage| Group { key_group: usage.group.0, entries: usage.taken.entries, bytes: usage.taken.bytes })
        .collect();
    key_groups.sort_by(|a, b| b.bytes.cmp(&a.bytes).then(a.key_group.cmp(&b.key_group)));
    let description = operator.description();
    Ok(Operator {
        id: description.id.to_string(),
        uid: description.uid.clone().or_else(|| description.name.clone()),
        stored_bytes: alone_bytes + shared_bytes,
        alone_bytes,
        shared_bytes,
        inline_bytes: Some(stored.inline_bytes),
        unread,
        states: states.into_iter().map(state).collect(),
        key_groups,
    })
}
