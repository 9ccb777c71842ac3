//! What incremental snapshots of one backend wrote, and which of it later ones may refer to.
//!
//! Taking a snapshot gives it a [`SnapshotVersion`] and fixes its *base*: what the newest confirmed snapshot wrote. When the
//! snapshot has been written, what it wrote waits in the ledger until its checkpoint is decided: confirmed, it becomes the
//! base of the snapshots that are taken afterwards; rejected, it is forgotten. So nothing ever refers to what an undecided or
//! aborted checkpoint stored, and a snapshot's base does not change under it while it waits to be written.
//!
//! A base is only used for the [`Home`] it was written to.
//!
//! News may come late, twice, out of order, or never. An older confirmation than the newest changes nothing; a confirmed
//! snapshot of which nothing is known here (it was not incremental) leaves no base, because its checkpoint holds nothing to
//! refer to; the next snapshot is whole.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::snapshot::Home;

/// Snapshots that were written and not decided, of which the newest are remembered.
const MOST_UNDECIDED: usize = 64;

/// Which snapshot of a backend: what a checkpoint's outcome is reported with.
///
/// Versions ascend. No two snapshots of a process have the same, so that one of another backend, or of an earlier life of
/// this one, is not taken for its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotVersion(u64);

impl SnapshotVersion {
    /// Before every snapshot.
    pub(crate) const NONE: SnapshotVersion = SnapshotVersion(0);

    /// After every snapshot: what has changed since the last one was taken.
    pub(crate) const NEXT: SnapshotVersion = SnapshotVersion(u64::MAX);

    fn draw() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        SnapshotVersion(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl fmt::Display for SnapshotVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The ledger of one backend. `W` is what a snapshot wrote, as far as later ones need to know.
pub(crate) struct Ledger<W>(Arc<Mutex<Book<W>>>);

/// What a snapshot wrote, and where to.
#[derive(Debug)]
pub(crate) struct Base<W> {
    /// Which snapshot.
    pub(crate) version: SnapshotVersion,
    /// What it wrote.
    pub(crate) written: W,
    home: Home,
}

#[derive(Debug)]
struct Book<W> {
    /// Version of the newest snapshot that was taken.
    last: SnapshotVersion,
    /// Snapshots that are not decided, above [`confirmed`](Self::confirmed); `None` until they are written.
    open: BTreeMap<SnapshotVersion, Option<Arc<Base<W>>>>,
    /// The newest that was confirmed.
    confirmed: SnapshotVersion,
    /// What that one wrote, if it was incremental.
    base: Option<Arc<Base<W>>>,
}

/// What a snapshot knows of those before it, from its taking to its writing.
pub(crate) struct Lineage<W> {
    ledger: Ledger<W>,
    version: SnapshotVersion,
    base: Option<Arc<Base<W>>>,
}

impl<W> Clone for Ledger<W> {
    fn clone(&self) -> Self {
        Ledger(Arc::clone(&self.0))
    }
}

impl<W> Default for Ledger<W> {
    fn default() -> Self {
        Ledger(Arc::new(Mutex::new(Book {
            last: SnapshotVersion::NONE,
            open: BTreeMap::new(),
            confirmed: SnapshotVersion::NONE,
            base: None,
        })))
    }
}

impl<W> Ledger<W> {
    fn book(&self) -> MutexGuard<'_, Book<W>> {
        // Every change is made in one step, so there is nothing half done to find.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger of a backend that was restored, and may go on as if it had taken the snapshot itself.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn restored(home: Home, written: W) -> Self {
        let ledger = Self::default();
        ledger.book().base = Some(Arc::new(Base { version: SnapshotVersion::NONE, written, home }));
        ledger
    }

    /// Takes the next version.
    pub(crate) fn take(&self) -> Lineage<W> {
        let mut book = self.book();
        let version = SnapshotVersion::draw();
        book.last = version;
        book.open.insert(version, None);
        Lineage { ledger: self.clone(), version, base: book.base.clone() }
    }

    /// The checkpoint of a snapshot completed.
    pub(crate) fn confirm(&self, version: SnapshotVersion) {
        let mut book = self.book();
        if version > book.last || version <= book.confirmed {
            return;
        }
        book.base = book.open.get_mut(&version).and_then(Option::take);
        book.confirmed = version;
        book.open.retain(|open, _| *open > version);
    }

    /// The checkpoint of a snapshot was aborted.
    pub(crate) fn reject(&self, version: SnapshotVersion) {
        let mut book = self.book();
        book.open.remove(&version);
        if version == book.confirmed {
            book.base = None;
        }
    }
}

impl<W> Lineage<W> {
    /// The version of the snapshot.
    pub(crate) fn version(&self) -> SnapshotVersion {
        self.version
    }

    /// What the snapshot may refer to where it is written to `home`.
    pub(crate) fn base(&self, home: &Home) -> Option<&Base<W>> {
        self.base.as_deref().filter(|base| base.home == *home)
    }

    /// Remembers what the snapshot wrote, unless it was decided meanwhile.
    pub(crate) fn record(&self, home: Home, written: W) {
        let mut book = self.ledger.book();
        let Some(open) = book.open.get_mut(&self.version) else { return };
        *open = Some(Arc::new(Base { version: self.version, written, home }));
        let written = book.open.values().filter(|open| open.is_some()).count();
        if written > MOST_UNDECIDED
            && let Some(oldest) = book.open.iter().find_map(|(version, open)| open.as_ref().map(|_| *version))
        {
            book.open.remove(&oldest);
        }
    }
}

impl<W> Drop for Lineage<W> {
    fn drop(&mut self) {
        let mut book = self.ledger.book();
        if matches!(book.open.get(&self.version), Some(None)) {
            book.open.remove(&self.version);
        }
    }
}

impl<W> fmt::Debug for Lineage<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.base.as_ref().map(|base| base.version);
        f.debug_struct("Lineage").field("version", &self.version).field("base", &base).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;
    use crate::snapshot::SnapshotTarget;
    use crate::storage::{MemoryStorage, ObjectPath, Storage};

    fn homes() -> (Home, Home) {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 10));
        let home = |path: &str| {
            let random = Arc::new(SeededRandom::new(1));
            SnapshotTarget::new(Arc::clone(&storage), ObjectPath::parse(path).unwrap(), random).home()
        };
        (home("a/chk-1"), home("b/chk-1"))
    }

    fn written(ledger: &Ledger<u32>, home: &Home, number: u32) -> SnapshotVersion {
        let lineage = ledger.take();
        lineage.record(home.clone(), number);
        lineage.version()
    }

    /// What the next snapshot may refer to.
    fn base(ledger: &Ledger<u32>, home: &Home) -> Option<u32> {
        ledger.take().base(home).map(|base| base.written)
    }

    #[test]
    fn only_what_was_confirmed_is_a_base_and_only_at_home() {
        let ((home, other), ledger) = (homes(), Ledger::default());
        let first = written(&ledger, &home, 1);
        assert_eq!(base(&ledger, &home), None);
        ledger.confirm(first);
        assert_eq!(base(&ledger, &home), Some(1));
        assert_eq!(base(&ledger, &other), None);
        let second = written(&ledger, &home, 2);
        ledger.reject(second);
        ledger.confirm(second);
        assert_eq!(base(&ledger, &home), None, "what was aborted is nothing to refer to, whatever is said later");
    }

    #[test]
    fn news_may_come_late_twice_and_out_of_order() {
        let ((home, _), ledger) = (homes(), Ledger::default());
        let [first, second, third] = [1, 2, 3].map(|number| written(&ledger, &home, number));
        ledger.confirm(second);
        ledger.confirm(first);
        ledger.confirm(second);
        ledger.reject(first);
        assert_eq!(base(&ledger, &home), Some(2));
        ledger.reject(third);
        ledger.reject(third);
        assert_eq!(base(&ledger, &home), Some(2));
        ledger.confirm(SnapshotVersion::NEXT);
        ledger.confirm(SnapshotVersion::NONE);
        assert_eq!(base(&ledger, &home), Some(2));
    }

    #[test]
    fn a_snapshot_keeps_the_base_it_was_taken_with() {
        let ((home, _), ledger) = (homes(), Ledger::default());
        ledger.confirm(written(&ledger, &home, 1));
        let taken = ledger.take();
        ledger.confirm(written(&ledger, &home, 2));
        assert_eq!(taken.base(&home).map(|base| base.written), Some(1));
        taken.record(home.clone(), 3);
        ledger.confirm(taken.version());
        assert_eq!(base(&ledger, &home), Some(2), "a confirmation older than the newest changes nothing");
    }

    #[test]
    fn a_checkpoint_that_was_not_incremental_is_no_base_and_neither_is_the_one_before() {
        let ((home, _), ledger) = (homes(), Ledger::default());
        ledger.confirm(written(&ledger, &home, 1));
        let whole = ledger.take().version();
        assert_eq!(base(&ledger, &home), Some(1));
        ledger.confirm(whole);
        assert_eq!(base(&ledger, &home), None);
    }

    #[test]
    fn what_is_rejected_before_it_is_written_stays_forgotten() {
        let ((home, _), ledger) = (homes(), Ledger::default());
        let lineage = ledger.take();
        ledger.reject(lineage.version());
        lineage.record(home.clone(), 1);
        ledger.confirm(lineage.version());
        assert_eq!(base(&ledger, &home), None);
    }

    #[test]
    fn what_was_restored_is_a_base_until_something_is_confirmed() {
        let (home, other) = homes();
        let ledger = Ledger::restored(home.clone(), 7);
        assert_eq!((base(&ledger, &home), base(&ledger, &other)), (Some(7), None));
        ledger.reject(written(&ledger, &home, 8));
        ledger.confirm(SnapshotVersion::NONE);
        assert_eq!(base(&ledger, &home), Some(7));
        ledger.confirm(written(&ledger, &home, 9));
        assert_eq!(base(&ledger, &home), Some(9));
    }

    #[test]
    fn undecided_snapshots_do_not_pile_up() {
        let ((home, _), ledger) = (homes(), Ledger::default());
        for number in 0..1000 {
            written(&ledger, &home, number);
            drop(ledger.take());
        }
        assert_eq!(ledger.book().open.len(), MOST_UNDECIDED);
    }
}
