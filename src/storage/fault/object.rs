//! Faults in place of a storage.

use std::path::Path;

use super::{Action, FaultPlan, Verdict, half};
use crate::error::Result;
use crate::storage::{Blob, CommitOutcome, Leftover, ObjectInfo, ObjectPath, ObjectWriter, Storage};

/// A [`Storage`] that fails as planned. Each call is one operation, and so is each call of a writer.
///
/// An operation that was not done fails as [`Unavailable`](crate::ErrorKind::Unavailable); one that was done all the same
/// as [`Uncertain`](crate::ErrorKind::Uncertain), or with [`CommitOutcome::Unknown`].
#[derive(Debug)]
pub struct FaultStorage<S> {
    inner: S,
    plan: FaultPlan,
}

impl<S: Storage> FaultStorage<S> {
    /// `inner`, with the faults of `plan`.
    pub fn new(inner: S, plan: FaultPlan) -> Self {
        FaultStorage { inner, plan }
    }
}

impl FaultPlan {
    fn call<T>(&self, action: Action, path: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
        self.call_as(self.begin(action, path), action, path, run)
    }

    fn call_as<T>(&self, verdict: Verdict, action: Action, path: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
        match verdict {
            Verdict::Pass | Verdict::Cut { .. } => run(),
            Verdict::Before | Verdict::Half { .. } => Err(self.not_done(path)),
            Verdict::After => run().and_then(|_| match action {
                Action::Open | Action::Length | Action::List => Err(self.not_done(path)),
                _ => Err(self.done(path)),
            }),
        }
    }
}

impl<S: Storage> Storage for FaultStorage<S> {
    fn create(&self, path: &ObjectPath) -> Result<Box<dyn ObjectWriter>> {
        let inner = self.plan.call(Action::Create, path.as_str(), || self.inner.create(path))?;
        Ok(Box::new(FaultWriter { inner, path: path.clone(), plan: self.plan.clone(), failed: false }))
    }

    fn commit(&self, path: &ObjectPath, bytes: &[u8]) -> CommitOutcome {
        match self.plan.begin(Action::Commit, path.as_str()) {
            Verdict::Pass | Verdict::Cut { .. } => self.inner.commit(path, bytes),
            Verdict::Before | Verdict::Half { .. } => CommitOutcome::NotCommitted(self.plan.not_done(path.as_str())),
            Verdict::After => match self.inner.commit(path, bytes) {
                CommitOutcome::Committed => CommitOutcome::Unknown(self.plan.done(path.as_str())),
                other => other,
            },
        }
    }

    fn open(&self, path: &ObjectPath) -> Result<Blob> {
        let verdict = self.plan.begin(Action::Open, path.as_str());
        let opened = self.plan.call_as(verdict, Action::Open, path.as_str(), || self.inner.open(path));
        opened.map(|blob| verdict.cut(blob))
    }

    fn link(&self, path: &ObjectPath, to: &Path) -> Result<bool> {
        self.plan.call(Action::Open, path.as_str(), || self.inner.link(path, to))
    }

    fn length(&self, path: &ObjectPath) -> Result<Option<u64>> {
        self.plan.call(Action::Length, path.as_str(), || self.inner.length(path))
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> Result<Vec<ObjectInfo>> {
        let path = prefix.map_or("", ObjectPath::as_str);
        self.plan.call(Action::List, path, || self.inner.list(prefix))
    }

    fn delete(&self, path: &ObjectPath) -> Result<()> {
        self.plan.call(Action::Delete, path.as_str(), || self.inner.delete(path))
    }

    fn persist(&self, path: &ObjectPath) -> Result<()> {
        self.plan.call(Action::Persist, path.as_str(), || self.inner.persist(path))
    }

    fn persist_deletions(&self, prefix: &ObjectPath) -> Result<()> {
        self.plan.call(Action::Persist, prefix.as_str(), || self.inner.persist_deletions(prefix))
    }

    fn created_ms(&self, path: &ObjectPath) -> Result<Option<i64>> {
        self.plan.call(Action::Length, path.as_str(), || self.inner.created_ms(path))
    }

    fn leftovers(&self) -> Result<Vec<Leftover>> {
        self.plan.call(Action::List, "", || self.inner.leftovers())
    }

    fn remove_leftover(&self, leftover: &Leftover) -> Result<()> {
        self.plan.call(Action::Delete, &leftover.name, || self.inner.remove_leftover(leftover))
    }
}

struct FaultWriter {
    inner: Box<dyn ObjectWriter>,
    path: ObjectPath,
    plan: FaultPlan,
    /// A write failed, so the object must not be finished.
    failed: bool,
}

impl ObjectWriter for FaultWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.failed {
            return Err(crate::storage::broken().in_file(&self.path));
        }
        let path = self.path.as_str();
        let written = match self.plan.begin(Action::Write, path) {
            Verdict::Pass | Verdict::Cut { .. } => self.inner.write(bytes),
            Verdict::Before => Err(self.plan.not_done(path)),
            Verdict::After => self.inner.write(bytes).and_then(|()| Err(self.plan.not_done(path))),
            Verdict::Half { .. } => self.inner.write(half(bytes)).and_then(|()| Err(self.plan.not_done(path))),
        };
        self.failed = written.is_err();
        written
    }

    fn finish(self: Box<Self>) -> Result<()> {
        if self.failed {
            return Err(crate::storage::broken().in_file(&self.path));
        }
        let FaultWriter { inner, path, plan, failed: _ } = *self;
        plan.call(Action::Finish, path.as_str(), || inner.finish())
    }
}
