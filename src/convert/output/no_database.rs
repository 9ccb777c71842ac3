//! Says that this build cannot write databases.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::path::Path;

use super::OperatorPlan;
use crate::error::{Error, Result};
use crate::format::manifest::KeyedHandle;
use crate::format::record::StateMeta;
use crate::key_group::{KeyGroup, KeyGroupRange};
use crate::snapshot::SnapshotTarget;

pub(super) struct TableFactory<'t>(PhantomData<&'t ()>);

pub(super) fn with_tables<T>(work: impl FnOnce(&TableFactory<'_>) -> T) -> T {
    work(&TableFactory(PhantomData))
}

pub(super) struct Database<'t>(Infallible, PhantomData<&'t ()>);

impl<'t> Database<'t> {
    pub(super) fn new(_: &OperatorPlan, _: &[StateMeta], _: &Path, _: &TableFactory<'t>) -> Result<Self> {
        Err(Error::incompatible("this build cannot write RocksDB databases; build with feature `rocksdb`"))
    }

    pub(super) fn row(&mut self, _: &str, _: KeyGroup, _: &[u8], _: &[u8]) -> Result<()> {
        match self.0 {}
    }

    pub(super) fn finish(self, _: KeyGroupRange, _: &SnapshotTarget) -> Result<KeyedHandle> {
        match self.0 {}
    }
}
