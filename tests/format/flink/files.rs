//! Finds the bytes of handles, and opens fixtures.

use std::path::Path;
use std::sync::Arc;

use millpond::flink::{Directory, SnapshotReader};
use millpond::format::flink::Roots;
use millpond::format::flink::metadata::StreamHandle;
use millpond::snapshot::Trust;
use millpond::storage::{LocalStorage, ObjectPath, Storage};

use super::fixtures::{self, Fixture};

/// Opens the snapshot of a fixture with absolute URIs mapped to where it lies now.
pub(crate) fn open(fixture: &Fixture) -> SnapshotReader {
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::open(&fixture.directory).unwrap());
    let directory = fixture.snapshot();
    let directory = directory.strip_prefix(&fixture.directory).unwrap().to_str().unwrap();
    let mut roots = Roots::new();
    let expected = fixture.expected_json();
    roots.map(expected["origin"].as_str().unwrap(), Directory::new(Arc::clone(&storage), None)).unwrap();
    let directory = Directory::new(storage, Some(ObjectPath::parse(directory).unwrap()));
    let opened = SnapshotReader::open(directory, roots).unwrap_or_else(|error| panic!("{}: {error:?}", fixture.name));
    opened.trust(Trust::Own).with_scratch(std::env::temp_dir())
}

/// Finds the bytes of handles.
pub(crate) struct Files<'a> {
    directory: &'a Path,
    snapshot: std::path::PathBuf,
    origin: String,
}

impl<'a> Files<'a> {
    pub(crate) fn of(fixture: &'a Fixture) -> Self {
        let expected = fixture.expected_json();
        let origin = expected["origin"].as_str().unwrap().trim_end_matches('/').replace("file:///", "file:/");
        Files { directory: &fixture.directory, snapshot: fixture.snapshot(), origin }
    }

    pub(crate) fn read(&self, handle: &StreamHandle) -> Vec<u8> {
        let bytes = match handle.plain() {
            StreamHandle::Inline(inline) => inline.bytes.clone(),
            StreamHandle::Relative { path, .. } => fixtures::read(&self.snapshot.join(path)),
            StreamHandle::File { uri, .. } => self.absolute(uri),
            StreamHandle::Segment(segment) => {
                let start = usize::try_from(segment.start).unwrap();
                let end = start + usize::try_from(segment.size).unwrap();
                self.absolute(&segment.uri)[start..end].to_vec()
            }
            StreamHandle::EmptySegment => Vec::new(),
            StreamHandle::KeyGroups { .. } => unreachable!("a plain handle"),
        };
        assert_eq!(u64::try_from(bytes.len()).unwrap(), handle.size(), "{handle:?}");
        bytes
    }

    fn absolute(&self, uri: &str) -> Vec<u8> {
        let uri = uri.replace("file:///", "file:/");
        let path = uri.strip_prefix(&self.origin).unwrap_or_else(|| panic!("{uri} is not below {}", self.origin));
        fixtures::read(&self.directory.join(path.trim_start_matches('/')))
    }
}
