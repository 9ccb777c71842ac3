//! Bodies of the fuzz targets: what must hold for any bytes. Feature `test-util`.

use super::ObjectPath;
use super::layout::{SnapshotDirectory, is_object_name, parse_job};
use super::path::{MAX_PATH_BYTES, MAX_SEGMENT_BYTES};

/// Any bytes as the name of an object: what is accepted stays below any root it is joined to, and comes back from its
/// parts. Names that the layout takes for its own are valid.
pub fn fuzz_object_path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let ours = SnapshotDirectory::parse(text).is_some() || is_object_name(text) || parse_job(text).is_some();
    let Ok(path) = ObjectPath::parse(text) else {
        assert!(!ours, "{text:?} is a name of the layout and no path");
        return;
    };
    assert!(text.len() <= MAX_PATH_BYTES);
    for segment in path.segments() {
        assert!(!segment.is_empty() && segment.len() <= MAX_SEGMENT_BYTES && !segment.starts_with('.'), "{segment:?}");
        assert!(!segment.contains(['\\', ':', '\0']), "{segment:?}");
    }
    assert_eq!(path.segments().collect::<Vec<_>>().join("/"), text);
    assert_eq!(std::path::Path::new(text).components().count(), path.segments().count(), "{text:?}");
    if let Some(parent) = path.parent() {
        assert!(path.is_below(&parent));
        assert_eq!(parent.join(path.file_name()).ok().as_ref(), Some(&path));
    }
}
