//! The conformance suite over every backend.

use millpond::backend::{BackendConfig, BackendKind, conformance};

#[cfg(feature = "rocksdb")]
use super::rocksdb::{check_conformance, scratch, small};

#[test]
fn heap() {
    conformance::run(&BackendConfig::new(BackendKind::Heap));
}

#[cfg(feature = "rocksdb")]
#[test]
fn rocksdb() {
    let directory = scratch();
    check_conformance(small(directory.path()));
    assert_eq!(directory.path().read_dir().unwrap().count(), 0, "working directories are left behind");
}
