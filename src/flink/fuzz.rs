//! Bodies of the fuzz targets: what must hold for any bytes. Feature `test-util`.
//!
//! A whole snapshot is checked, counted, walked state by state and written again, as tools do it. Files of RocksDB are never opened:
//! RocksDB is not made for hostile bytes.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::export::{Options, Report, Target, rewrite};
use super::mapping::{Mapping, assert_transcoded_alike};
use super::{Directory, SnapshotReader, verify};
use crate::codec::{Reader, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::format::flink::Roots;
use crate::format::flink::metadata::StreamHandle;
use crate::format::flink::serializer::{Snapshot, TypeSerializer};
use crate::random::SeededRandom;
use crate::serializer::Value;
use crate::snapshot::verify::VerifyEvent;
use crate::storage::layout::MANIFEST_NAME;
use crate::storage::{MemoryStorage, ObjectPath, Storage};

/// Room for a snapshot, and for what is written.
const LIMIT_BYTES: u64 = 1 << 26;

/// What a reader may say of bytes: they are damaged, unknown, missing, or named where nothing may be opened.
fn judge(error: &Error) {
    let kind = error.kind();
    let expected = [ErrorKind::Corrupt, ErrorKind::Incompatible, ErrorKind::NotFound, ErrorKind::InvalidInput];
    assert!(expected.contains(&kind), "{error}");
}

/// Any bytes as a snapshot: parts with a four-byte length in front, first the metadata, then every file that it names, in
/// the order in which it does.
pub fn fuzz_flink_snapshot(bytes: &[u8]) {
    let mut parts = unpack(bytes).into_iter();
    let Some(metadata) = parts.next() else { return };
    match store(metadata, parts) {
        Err(error) => judge(&error),
        Ok(snapshot) => check(&snapshot),
    }
}

fn unpack(bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut input = Reader::new(bytes);
    while let Ok(length) = input.u32("length") {
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(input.remaining());
        parts.extend(input.raw(length, "part"));
    }
    parts
}

/// A snapshot in memory.
fn store<'p>(metadata: &[u8], mut parts: impl Iterator<Item = &'p [u8]>) -> Result<SnapshotReader> {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(LIMIT_BYTES));
    let own = ObjectPath::parse("snapshot")?;
    let _ = storage.commit(&own.join(MANIFEST_NAME)?, metadata);
    let mut roots = Roots::new();
    roots.map("/", Directory::new(Arc::clone(&storage), None))?;
    let snapshot = SnapshotReader::open(Directory::new(Arc::clone(&storage), Some(own.clone())), roots)?;
    let mut known = BTreeSet::new();
    let mut everywhere = Roots::new();
    everywhere.map("/", ())?;
    let operators: Vec<_> = snapshot.operators().collect();
    for stream in operators.iter().flat_map(|operator| operator.streams()) {
        let path = match stream.handle.plain() {
            StreamHandle::Relative { path, .. } => own.join(path),
            StreamHandle::File { uri, .. } => everywhere.resolve(uri).and_then(|(_, path)| ObjectPath::parse(&path)),
            StreamHandle::Segment(segment) => {
                everywhere.resolve(&segment.uri).and_then(|(_, path)| ObjectPath::parse(&path))
            }
            _ => continue,
        };
        if let Some(path) = path.ok().filter(|path| known.insert(path.clone()))
            && let Some(part) = parts.next()
        {
            let _ = storage.commit(&path, part);
        }
    }
    drop(operators);
    Ok(snapshot)
}

fn check(snapshot: &SnapshotReader) {
    let tally = verify(snapshot, &mut |event| {
        if let VerifyEvent::Found(finding) = event {
            judge(&finding.error);
        }
        ControlFlow::Continue(())
    });
    let is_intact = tally.is_ok_and(|tally| tally.is_intact());
    for operator in snapshot.operators() {
        match operator.usage() {
            Ok(_) => {}
            Err(error) => {
                judge(&error);
                assert!(!is_intact, "a check finds nothing, and there is {error}");
            }
        }
        let Ok(keyed) = operator.keyed() else { continue };
        for state in keyed.states() {
            let walked = operator.state(&state.name).and_then(|state| state.entries(|_| Ok(ControlFlow::Continue(()))));
            walked.err().iter().for_each(judge);
        }
    }
    let Ok(directory) = ObjectPath::parse("written") else { return };
    let storage = Arc::new(MemoryStorage::new(LIMIT_BYTES));
    let target = Target::new(storage, directory, Arc::new(SeededRandom::new(1)));
    let written = rewrite(snapshot, &target, &Options::default(), &mut Report::default());
    // Entries are copied without looking at them, so that damage in them is found when the copy is read back, which calls
    // it its own mistake.
    written.err().filter(|error| error.kind() != ErrorKind::Internal).iter().for_each(judge);
}

/// Any bytes as a serializer snapshot and, behind it, a value: what is stored of the value here is read again by its
/// description.
pub fn fuzz_flink_mapping(bytes: &[u8]) {
    let mut input = Reader::new(bytes);
    let Ok(snapshot) = Snapshot::read(&mut input) else { return };
    let mut mapping = Mapping::of(&snapshot);
    let _before = mapping.description();
    if !matches!(snapshot.serializer, TypeSerializer::Ttl(_)) {
        assert_transcoded_alike(&snapshot, input.rest());
    }
    let Ok(value) = snapshot.read_whole(&mut input) else { return };
    let mut out = Writer::new();
    match mapping.encode(&value, &mut out) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}"),
        Ok(()) => {
            let mut stored = Reader::new(out.as_slice());
            let description = mapping.description();
            let read = Value::read(&description, &mut stored);
            assert!(read.is_ok(), "{value:?} is stored as {description} and cannot be read: {read:?}");
            assert!(stored.is_empty(), "{value:?} is stored as {description} with bytes to spare");
        }
    }
}
