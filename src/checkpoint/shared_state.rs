//! Which completed checkpoint references which shared object.
//!
//! The registry is knowledge, not power: it deletes nothing, and no number in it is a permission to delete. Deletion is
//! planned by the one collector from manifests it has read itself (see `gc`). What the registry is for: telling
//! whether an object that a subtask wants to use again is really held by the checkpoint it takes it from, whether two
//! different contents claim one name, and what a checkpoint shares with others.
//!
//! It keeps *sets* of checkpoints, not counts, so that events that come late or twice change nothing (the counters of
//! FLINK-7268 and FLINK-35379 went below what they should). A name stands for one content for ever (FLINK-29913);
//! name, scope, length and digest together are the identity of an object.

use std::collections::{BTreeMap, BTreeSet};

use super::mistake::Mistake;
use crate::codec::Digest;
use crate::error::{Error, Result};
use crate::format::manifest::ObjectRef;
use crate::ids::CheckpointId;

/// How much the builder of a registry could read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// Every completed checkpoint is in it.
    Complete,
    /// Some could not be read: what looks unused may be in use.
    Partial,
}

/// Sets of checkpoints by shared object.
#[derive(Debug, Clone)]
pub struct SharedStateRegistry {
    view: View,
    objects: BTreeMap<String, Entry>,
    checkpoints: BTreeMap<CheckpointId, BTreeSet<String>>,
    #[cfg(feature = "test-util")]
    planted: Option<Mistake>,
}

#[derive(Debug, Clone)]
struct Entry {
    object: ObjectRef,
    holders: BTreeSet<CheckpointId>,
}

impl SharedStateRegistry {
    /// An empty registry.
    pub fn new(view: View) -> Self {
        SharedStateRegistry {
            view,
            objects: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            #[cfg(feature = "test-util")]
            planted: None,
        }
    }

    /// The same, with a mistake.
    #[cfg(feature = "test-util")]
    #[must_use]
    pub fn planted(self, planted: Option<Mistake>) -> Self {
        SharedStateRegistry { planted, ..self }
    }

    #[cfg(feature = "test-util")]
    fn errs(&self, mistake: Mistake) -> bool {
        self.planted == Some(mistake)
    }

    #[cfg(not(feature = "test-util"))]
    const fn errs(&self, _: Mistake) -> bool {
        false
    }

    /// Whether everything completed is in it.
    pub fn view(&self) -> View {
        self.view
    }

    /// Fails with [`Corrupt`](crate::ErrorKind::Corrupt) if the name is known with another length or digest.
    pub fn check(&self, object: &ObjectRef) -> Result<()> {
        match self.objects.get(&object.name) {
            Some(known) => check_same(object, &known.object),
            None => Ok(()),
        }
    }

    /// Records that a completed checkpoint references these objects. Recording the same again changes nothing; a conflict
    /// (see [`check`](Self::check)) is reported before anything is recorded.
    pub fn register<'a>(
        &mut self,
        id: CheckpointId,
        objects: impl IntoIterator<Item = &'a ObjectRef> + Clone,
    ) -> Result<()> {
        let mut new: BTreeMap<&str, &ObjectRef> = BTreeMap::new();
        for object in objects.clone() {
            self.check(object)?;
            if let Some(other) = new.insert(&object.name, object) {
                check_same(object, other)?;
            }
        }
        let held = self.checkpoints.entry(id).or_default();
        for object in objects {
            held.insert(object.name.clone());
            let entry = self
                .objects
                .entry(object.name.clone())
                .or_insert_with(|| Entry { object: object.clone(), holders: BTreeSet::new() });
            entry.holders.insert(id);
        }
        Ok(())
    }

    /// Forgets a checkpoint that is gone. An unknown one, or one forgotten before, changes nothing.
    pub fn forget(&mut self, id: CheckpointId) {
        let for_all = self.errs(Mistake::ForgetsForAll);
        for name in self.checkpoints.remove(&id).unwrap_or_default() {
            if let Some(entry) = self.objects.get_mut(&name) {
                entry.holders.remove(&id);
                if entry.holders.is_empty() || for_all {
                    self.objects.remove(&name);
                }
            }
        }
    }

    /// Whether the checkpoint references an object of exactly this identity.
    pub fn holds(&self, id: CheckpointId, object: &ObjectRef) -> bool {
        let same = |entry: &Entry| entry.object == *object || self.errs(Mistake::HoldsByName);
        self.objects.get(&object.name).is_some_and(|entry| entry.holders.contains(&id) && same(entry))
    }

    /// The checkpoints that reference an object, ascending.
    pub fn holders(&self, name: &str) -> impl Iterator<Item = CheckpointId> {
        self.objects.get(name).into_iter().flat_map(|entry| entry.holders.iter().copied())
    }

    /// Names and lengths of the objects that no other checkpoint references, ascending by name. Fails with
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the view is partial: then nobody can tell.
    pub fn only_of(&self, id: CheckpointId) -> Result<Vec<(&str, u64)>> {
        if self.view == View::Partial {
            return Err(Error::unavailable(format!(
                "some checkpoints could not be read, so what only checkpoint {id} uses is unknown"
            )));
        }
        let held = self.checkpoints.get(&id).into_iter().flatten();
        let entries = held.filter_map(|name| self.objects.get(name));
        let alone = entries.filter(|entry| entry.holders.len() == 1);
        Ok(alone.map(|entry| (entry.object.name.as_str(), entry.object.length)).collect())
    }

    /// Number of objects that some checkpoint references.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether no checkpoint references a shared object.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

/// Fails if two objects of one name have different contents.
pub(super) fn check_same(object: &ObjectRef, known: &ObjectRef) -> Result<()> {
    if object == known {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "shared object {} has {} bytes and digest {}, but is known with {} bytes and digest {}: two contents under one name",
        object.name,
        object.length,
        short(&object.digest),
        known.length,
        short(&known.digest)
    )))
}

fn short(digest: &Digest) -> String {
    digest.0.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>() + ".."
}

#[cfg(test)]
mod tests;
