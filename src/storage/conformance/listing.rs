//! Lists and prefixes.

use super::{Storage, commit, listed};

fn fill(storage: &dyn Storage, names: &[&str]) {
    for (length, name) in names.iter().enumerate() {
        commit(storage, name, &vec![0; length]);
    }
}

pub(super) fn lists_are_complete_and_in_path_order(storage: &dyn Storage) {
    assert_eq!(listed(storage, None), []);
    // `-`, `.` and `=` stand before and after `/` in byte order, which is the order of the list.
    fill(storage, &["b", "a/z", "a/b/c", "a-b/c", "a=b", "a.b", "A", "a/b/c.d", "0/1/2/3/4"]);
    let lengths = [("0/1/2/3/4", 8), ("A", 6), ("a-b/c", 3), ("a.b", 5), ("a/b/c", 2), ("a/b/c.d", 7), ("a/z", 1)];
    let mut expected: Vec<(String, u64)> = lengths.iter().map(|&(name, length)| (name.to_owned(), length)).collect();
    expected.push(("a=b".to_owned(), 4));
    expected.push(("b".to_owned(), 0));
    assert_eq!(listed(storage, None), expected);
}

pub(super) fn prefixes_are_whole_segments(storage: &dyn Storage) {
    fill(storage, &["job/chk-1/a", "job/chk-10/a", "job/chk-1/b/c", "job/chk-1.x", "jo/b"]);
    let names = |prefix| listed(storage, Some(prefix)).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names("job/chk-1"), ["job/chk-1/a", "job/chk-1/b/c"]);
    assert_eq!(names("job"), ["job/chk-1.x", "job/chk-1/a", "job/chk-1/b/c", "job/chk-10/a"]);
    assert_eq!(names("job/chk-1/b"), ["job/chk-1/b/c"]);
    for prefix in ["j", "job/chk", "job/chk-", "job/chk-2", "nothing/here"] {
        assert_eq!(names(prefix), [""; 0], "{prefix}");
    }
}

pub(super) fn an_object_is_not_below_itself(storage: &dyn Storage) {
    fill(storage, &["a/b", "a/bc"]);
    assert_eq!(listed(storage, Some("a/b")), []);
    assert_eq!(listed(storage, Some("a/b/c")), []);
}
