//! What somebody outside of the machine remembers.

use std::collections::BTreeMap;

use millpond::codec::Digest;
use millpond::storage::ObjectPath;

/// Something that a process did or was told, and when.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Fact {
    /// It began to write a snapshot of so many records here.
    Began { directory: ObjectPath, records: u64 },
    /// The snapshot was acknowledged.
    Acknowledged(ObjectPath),
    /// Its job does not keep it any more.
    Released(ObjectPath),
    /// Another job starts from this snapshot, which consists of these objects.
    Handed { directory: ObjectPath, stored: BTreeMap<ObjectPath, Digest> },
}

/// What is known of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) records: u64,
    pub(super) acknowledged: bool,
    pub(super) released: bool,
}

/// Facts in the order in which they came, each with the number of operations of its own life before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Witness {
    /// Of earlier lives.
    past: Vec<Fact>,
    present: Vec<(u64, Fact)>,
    /// Number of the life.
    pub(super) life: u64,
}

impl Witness {
    pub(super) fn tell(&mut self, operation: u64, fact: Fact) {
        self.present.push((operation, fact));
    }

    /// What was known when so many operations had been done.
    pub(super) fn until(&self, operation: u64) -> Witness {
        let present = self.present.iter().filter(|(at, _)| *at <= operation).cloned().collect();
        Witness { past: self.past.clone(), present, life: self.life }
    }

    /// The same for the next life.
    pub(super) fn reborn(mut self) -> Witness {
        self.past.extend(std::mem::take(&mut self.present).into_iter().map(|(_, fact)| fact));
        self.life += 1;
        self
    }

    fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.past.iter().chain(self.present.iter().map(|(_, fact)| fact))
    }

    pub(super) fn is_acknowledged(&self, directory: &ObjectPath) -> bool {
        self.snapshots().get(directory).is_some_and(|known| known.acknowledged)
    }

    /// What another job starts from, and what was stored then.
    pub(super) fn handed(&self) -> Option<(&ObjectPath, &BTreeMap<ObjectPath, Digest>)> {
        self.facts().find_map(|fact| match fact {
            Fact::Handed { directory, stored } => Some((directory, stored)),
            _ => None,
        })
    }

    /// By directory.
    pub(super) fn snapshots(&self) -> BTreeMap<ObjectPath, Known> {
        let mut known: BTreeMap<ObjectPath, Known> = BTreeMap::new();
        for fact in self.facts() {
            match fact {
                Fact::Began { directory, records } => {
                    let new = Known { records: *records, acknowledged: false, released: false };
                    known.insert(directory.clone(), new);
                }
                Fact::Acknowledged(directory) => known.get_mut(directory).unwrap().acknowledged = true,
                Fact::Released(directory) => known.get_mut(directory).unwrap().released = true,
                Fact::Handed { .. } => {}
            }
        }
        known
    }
}
