//! The conformance suite over every backend.

use millpond::backend::{BackendConfig, BackendKind, conformance};

#[test]
fn heap() {
    conformance::run(&BackendConfig::new(BackendKind::Heap));
}
