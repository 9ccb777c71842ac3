use proptest::prelude::*;

use super::*;
use crate::checkpoint::pending::Kind;

fn metadata(id: u64) -> Arc<Metadata<()>> {
    Arc::new(Metadata {
        id: CheckpointId(id),
        kind: Kind::Checkpoint,
        triggered_at_ms: 0,
        snapshots: BTreeMap::new(),
        finished: BTreeSet::new(),
    })
}

#[test]
fn a_late_one_is_subsumed_at_once() {
    let mut completed = CompletedCheckpoints::new(1);
    completed.add(metadata(2));
    completed.add(metadata(1));
    assert_eq!(completed.latest().unwrap().id, CheckpointId(2));
    assert_eq!(completed.subsumed().collect::<Vec<_>>(), [CheckpointId(1)]);
    completed.add(metadata(1));
    assert_eq!(completed.ids().collect::<Vec<_>>(), [CheckpointId(2)]);
}

proptest! {
    /// The newest k are kept, nothing in use is retired, nothing is retired twice, nothing is forgotten.
    #[test]
    fn the_newest_are_kept(
        retained in 1u32..5,
        adds in prop::collection::vec((1u64..20, prop::collection::btree_set(1u64..20, 0..3)), 0..30),
    ) {
        let mut completed = CompletedCheckpoints::new(retained);
        let (mut seen, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for (id, in_use) in adds {
            if gone.contains(&id) {
                continue;
            }
            completed.add(metadata(id));
            seen.insert(id);
            let retired = completed.retire(|id| in_use.contains(&id.0));
            for id in retired {
                prop_assert!(!in_use.contains(&id.0) && gone.insert(id.0));
            }
            let kept: BTreeSet<u64> = completed.ids().map(|id| id.0).collect();
            let waiting: BTreeSet<u64> = completed.subsumed().map(|id| id.0).collect();
            let newest: BTreeSet<u64> = seen.iter().rev().take(usize::try_from(retained).unwrap()).copied().collect();
            prop_assert_eq!(&kept, &newest);
            prop_assert_eq!(kept.len() + waiting.len() + gone.len(), seen.len());
        }
        completed.subsume_all();
        completed.retire(|_| false);
        prop_assert!(completed.latest().is_none() && completed.subsumed().next().is_none());
    }
}
