use super::*;
use crate::codec::Writer;
use crate::error::ErrorKind;

/// Builds metadata field by field.
#[derive(Clone, Default)]
struct Draft(Writer);

impl Draft {
    fn header(version: u32) -> Self {
        let mut draft = Draft::default();
        draft.0.u32(0x4960_672D);
        draft.0.u32(version);
        draft.0.i64(7);
        draft.0.u32(0);
        draft
    }

    fn utf(mut self, text: &str) -> Self {
        self.0.u16(text.len().try_into().unwrap());
        self.0.raw(text.as_bytes());
        self
    }

    fn i32(mut self, value: i32) -> Self {
        self.0.u32(value.cast_unsigned());
        self
    }

    fn i64(mut self, value: i64) -> Self {
        self.0.i64(value);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.raw(bytes);
        self
    }

    /// One operator of version 3 with the given number of subtasks to follow.
    fn operator(parallelism: i32, max_parallelism: i32, subtasks: i32) -> Self {
        Draft::header(3).i32(1).raw(&[0xAB; 16]).i32(parallelism).i32(max_parallelism).raw(&[0]).i32(subtasks)
    }

    /// A subtask whose managed keyed state is a canonical stream of `size` bytes in a relative file.
    fn canonical_subtask(self, index: i32, first: i32, offsets: &[i64], path: &str, size: i64) -> Self {
        let mut draft = self.i32(index).i32(0).i32(0).raw(&[7]).i32(first).i32(offsets.len().try_into().unwrap());
        for offset in offsets {
            draft = draft.i64(*offset);
        }
        draft.raw(&[6]).utf(path).i64(size).raw(&[0]).i32(0).i32(0)
    }

    fn decode(&self) -> Result<Metadata> {
        Metadata::decode(self.0.as_slice())
    }

    fn refused(&self) -> String {
        let error = self.decode().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.place().offset.is_some() && error.place().field.is_some(), "{error}");
        error.to_string()
    }
}

#[test]
fn a_canonical_savepoint_of_version_3_is_read() {
    let draft =
        Draft::operator(2, 4, 2).canonical_subtask(1, 2, &[0, 0], "b", 20).canonical_subtask(0, 0, &[10, 0], "a/b", 20);
    let metadata = draft.decode().unwrap();
    assert_eq!((metadata.version, metadata.checkpoint_id), (Version::V3, 7));
    assert_eq!(metadata.properties, None);
    let [operator] = metadata.operators.as_slice() else { panic!("{:?}", metadata.operators) };
    assert_eq!(operator.id.to_string(), "ab".repeat(16));
    let state = operator.subtasks()[1].state.as_deref().unwrap();
    let Some(KeyedHandle::KeyGroups(handle)) = &state.managed_keyed else { panic!("{state:?}") };
    assert_eq!(handle.body, KeyGroupsBody::Canonical);
    assert_eq!(
        handle.offsets.iter().map(|(group, offset)| (group.0, offset)).collect::<Vec<_>>(),
        [(0, Some(10)), (1, None)]
    );
    assert_eq!(handle.stream, StreamHandle::Relative { path: "a/b".into(), size: 20 });
    assert_eq!(handle.offsets.extents(20).len(), 1);
}

#[test]
fn version_2_has_a_chain_length_and_legacy_counts() {
    let draft = Draft::header(2).i32(1).raw(&[1; 16]).i32(1).i32(128).i32(1).i32(1);
    let subtask = |legacy| draft.clone().i32(0).i64(-1).i32(legacy).i32(0).i32(0).raw(&[0, 0]);
    let metadata = subtask(0).decode().unwrap();
    assert!(metadata.operators[0].subtasks()[0].state.as_ref().unwrap().is_empty());
    assert!(subtask(1).refused().contains("legacy"));
}

#[test]
fn finished_operators_and_subtasks_are_told_apart() {
    let finished = Draft::operator(2, 4, -1).decode().unwrap();
    assert_eq!(finished.operators[0].progress, Progress::Finished);
    let subtask = Draft::operator(2, 4, 1).i32(-2).decode().unwrap();
    assert_eq!(subtask.operators[0].subtasks(), [Subtask { index: crate::ids::SubtaskIndex(1), state: None }]);
    assert!(Draft::operator(2, 4, -2).refused().contains("only -1"));
}

#[test]
fn zero_is_no_position_where_a_stream_begins_with_a_header() {
    // Old handles (tag 3) of managed state, then of raw state.
    let handle = |offsets: [i64; 3]| {
        let draft = Draft::default().raw(&[3]).i32(0).i32(3);
        offsets.iter().fold(draft, |draft, offset| draft.i64(*offset)).raw(&[6]).utf("a").i64(20)
    };
    let managed = handle([9, 0, 12]);
    let raw = handle([0, -1, 5]);
    let draft =
        Draft::operator(1, 4, 1).i32(0).i32(0).i32(0).raw(managed.0.as_slice()).raw(raw.0.as_slice()).i32(0).i32(0);
    let metadata = draft.decode().unwrap();
    let state = metadata.operators[0].subtasks()[0].state.as_deref().unwrap();
    let offsets = |handle: &Option<KeyedHandle>| match handle {
        Some(KeyedHandle::KeyGroups(handle)) => {
            assert_eq!(handle.body, KeyGroupsBody::Unspecified);
            handle.offsets.iter().map(|(_, offset)| offset).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(offsets(&state.managed_keyed), [Some(9), None, Some(12)]);
    assert_eq!(offsets(&state.raw_keyed), [Some(0), None, Some(5)]);
}

#[test]
fn contradictions_are_refused() {
    let twice = Draft::operator(2, 4, 2).canonical_subtask(0, 0, &[9], "a", 20).canonical_subtask(0, 1, &[9], "b", 20);
    assert!(twice.refused().contains("occurs twice"));
    let overlap =
        Draft::operator(2, 4, 2).canonical_subtask(0, 0, &[9, 9], "a", 20).canonical_subtask(1, 1, &[9], "b", 20);
    assert!(overlap.refused().contains("overlap"));
    let cases = [
        (Draft::operator(5, 4, 0), "parallelism"),
        (Draft::operator(1, 0, 0), "max parallelism"),
        (Draft::operator(1, 32_769, 0), "max parallelism"),
        (Draft::operator(1, 4, 1).canonical_subtask(1, 0, &[9], "a", 20), "subtask index"),
        (Draft::operator(1, 4, 1).canonical_subtask(0, 3, &[9, 9], "a", 20), "does not exist"),
        (Draft::operator(1, 4, 1).canonical_subtask(0, 0, &[9, 8], "a", 20), "lower key group"),
        (Draft::operator(1, 4, 1).canonical_subtask(0, 0, &[21], "a", 20), "beyond the end"),
        (Draft::operator(1, 4, 1).canonical_subtask(0, 0, &[-2], "a", 20), "-2"),
        (Draft::operator(1, 4, 1).canonical_subtask(0, 0, &[], "a", 20), "no range"),
        (Draft::operator(1, 4, 0).raw(&[0]), "unexpected bytes"),
    ];
    for (draft, part) in cases {
        let message = draft.refused();
        assert!(message.contains(part), "{message} does not mention {part}");
    }
}

#[test]
fn no_relative_path_leaves_the_directory() {
    for path in ["", "/etc/passwd", "..", "a/../b", "a//b", "./a", "file:/a", "a\\b", "a/", "c:"] {
        let draft = Draft::operator(1, 4, 1).canonical_subtask(0, 0, &[9], path, 20);
        assert!(draft.refused().contains("inside the snapshot's directory"), "{path:?}");
    }
}

#[test]
fn unknown_versions_are_incompatible_and_other_files_are_not_metadata() {
    for version in [0, 1, 7, u32::MAX] {
        let error = Draft::header(version).decode().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    }
    assert!(Metadata::decode(b"PK\x03\x04....").unwrap_err().to_string().contains("no Flink metadata"));
    assert!(Draft::header(4).i32(0).refused().contains("Java object stream"), "properties are missing");
}

#[test]
fn nested_handles_end() {
    let mut draft = Draft::operator(1, 4, 1).i32(0).i32(0).i32(0).raw(&[12]).i32(0).i32(1).i64(0);
    for _ in 0..10_000 {
        draft = draft.raw(&[3]).i32(0).i32(1).i64(0);
    }
    assert!(draft.refused().contains("nest deeper"));
    let changelog = |tag: u8| Draft::default().raw(&[tag]).i32(0).i32(1).i64(0).i32(1);
    let inner = changelog(14);
    let draft = Draft::operator(1, 4, 1).i32(0).i32(0).i32(0).raw(changelog(14).0.as_slice()).raw(inner.0.as_slice());
    assert!(draft.refused().contains("inside a changelog handle"));
}

#[test]
fn database_files_have_plain_names() {
    let incremental = |name: &str| {
        Draft::operator(1, 4, 1)
            .i32(0)
            .i32(0)
            .i32(0)
            .raw(&[11])
            .i64(1)
            .utf("id")
            .i32(0)
            .i32(4)
            .i64(5)
            .raw(&[1])
            .utf("meta")
            .i32(0)
            .i32(1)
            .utf(name)
            .raw(&[1])
            .utf("x")
            .i32(0)
            .i32(0)
            .utf("handle")
            .raw(&[0])
            .i32(0)
            .i32(0)
    };
    assert!(incremental("000029.sst").decode().is_ok());
    for name in ["", ".", "..", "a/b", "../a", "a b", "é"] {
        assert!(incremental(name).refused().contains("no name of a database file"), "{name:?}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    let draft = Draft::operator(2, 4, 1).canonical_subtask(1, 2, &[9, 12], "b", 20);
    let bytes = draft.0.as_slice();
    assert!(draft.decode().is_ok());
    for length in 0..bytes.len() {
        assert!(Metadata::decode(&bytes[..length]).is_err(), "{length}");
    }
}
