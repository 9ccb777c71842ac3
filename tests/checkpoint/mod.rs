//! The control plane through its public API: protocol scripts, a randomised model, and the register of known bugs.

#[cfg(feature = "test-util")]
mod bank;
#[cfg(feature = "test-util")]
mod checks;
mod collector;
pub(crate) mod driver;
mod job;
mod model;
mod scenarios;
mod script;
mod whole_job;

use millpond::checkpoint::Config;
use millpond::checkpoint::shared_state::{SharedStateRegistry, View};

#[cfg(feature = "test-util")]
pub(crate) use bank::planted;

/// The configuration, with the mistake that the bank has planted.
fn configured(config: Config) -> Config {
    #[cfg(feature = "test-util")]
    let config = Config { planted: planted(), ..config };
    config
}

/// A registry, with the mistake that the bank has planted.
fn registry(view: View) -> SharedStateRegistry {
    let registry = SharedStateRegistry::new(view);
    #[cfg(feature = "test-util")]
    let registry = registry.planted(planted());
    registry
}
