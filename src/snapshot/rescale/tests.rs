use proptest::prelude::*;

use super::*;
use crate::ErrorKind;
use crate::key_group::subtask_of_group;

fn rescale(max: u32, old: u32, new: u32) -> Rescale {
    Rescale::new(MaxParallelism::new(max).unwrap(), None, old, new).unwrap()
}

fn range(first: u16, last: u16) -> KeyGroupRange {
    KeyGroupRange::new(KeyGroup(first), KeyGroup(last)).unwrap()
}

fn ranges(max: u32, parallelism: u32) -> Vec<KeyGroupRange> {
    let max = MaxParallelism::new(max).unwrap();
    let parallelism = Parallelism::new(parallelism, max).unwrap();
    (0..parallelism.get()).map(|index| KeyGroupRange::of_subtask(index, parallelism, max).unwrap()).collect()
}

fn list(subtask: u32, elements: u64) -> ListSource {
    ListSource { subtask: SubtaskIndex(subtask), elements }
}

/// The elements a subtask gets, each as (source, position).
fn flat(shares: &[ListShare]) -> Vec<(usize, u64)> {
    shares.iter().flat_map(|share| share.elements.clone().map(|at| (share.source, at))).collect()
}

#[test]
fn another_max_parallelism_is_refused_naming_both() {
    let (recorded, requested) = (MaxParallelism::new(128).unwrap(), MaxParallelism::new(256).unwrap());
    let error = Rescale::new(recorded, Some(requested), 4, 4).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.message().contains("128") && error.message().contains("256"), "{error}");
    assert!(Rescale::new(recorded, Some(recorded), 4, 4).is_ok());
    assert!(Rescale::new(recorded, None, 129, 4).is_err());
    assert!(Rescale::new(recorded, None, 4, 129).is_err());
    assert!(Rescale::new(recorded, None, 4, 0).is_err());
}

#[test]
fn overlapping_and_impossible_ranges_are_refused() {
    let plan = rescale(10, 2, 3);
    let error = plan.keyed(&[range(0, 4), range(4, 9)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("handles 0 and 1 both claim key group 4"), "{error}");
    assert!(plan.keyed(&[range(3, 4), range(3, 4)]).is_err());
    assert!(plan.keyed(&[range(5, 10)]).unwrap_err().message().contains("max parallelism is 10"));
}

#[test]
fn missing_groups_are_reported() {
    let plan = rescale(10, 2, 2).keyed(&[range(7, 8), range(2, 4)]).unwrap();
    assert_eq!(plan.missing, [range(0, 1), range(5, 6), range(9, 9)]);
    let shares = |source, groups| KeyedShare { source, groups };
    assert_eq!(plan.shares, [vec![shares(1, range(2, 4))], vec![shares(0, range(7, 8))]]);
    assert_eq!(rescale(10, 2, 2).keyed(&[]).unwrap().missing, [range(0, 9)]);
    assert_eq!(rescale(32_768, 1, 1).keyed(&[]).unwrap().missing, [range(0, 32_767)]);
}

#[test]
fn lists_stay_where_they_are_when_nothing_changes() {
    let shares = rescale(8, 3, 3).list(&[list(2, 1), list(0, 5)], 1).unwrap();
    assert_eq!(shares[0], [ListShare { source: 1, elements: 0..5 }]);
    assert_eq!(shares[1], []);
    assert_eq!(shares[2], [ListShare { source: 0, elements: 0..1 }]);
}

#[test]
fn lists_are_cut_into_even_runs() {
    let shares = rescale(8, 2, 3).list(&[list(0, 3), list(1, 4)], 0).unwrap();
    assert_eq!(flat(&shares[0]), [(0, 0), (0, 1), (0, 2)]);
    assert_eq!(flat(&shares[1]), [(1, 0), (1, 1)]);
    assert_eq!(flat(&shares[2]), [(1, 2), (1, 3)]);
    let turned = rescale(8, 2, 3).list(&[list(0, 3), list(1, 4)], 2).unwrap();
    assert_eq!(turned.iter().map(|shares| flat(shares).len()).collect::<Vec<_>>(), [2, 2, 3]);
}

#[test]
fn subtasks_that_did_not_exist_or_come_twice_are_refused() {
    let plan = rescale(8, 2, 3);
    assert!(plan.list(&[list(2, 1)], 0).unwrap_err().message().contains("parallelism 2"));
    assert!(plan.list(&[list(1, 1), list(1, 1)], 0).unwrap_err().message().contains("both of subtask 1"));
    assert!(plan.union(&[SubtaskIndex(5)]).is_err());
    assert!(plan.broadcast(&[SubtaskIndex(0)], SubtaskIndex(3)).is_err());
    assert_eq!(plan.broadcast(&[], SubtaskIndex(0)).unwrap(), None);
    assert!(plan.list(&[list(0, u64::MAX), list(1, 1)], 0).is_err());
    assert!(plan.list_of(SubtaskIndex(3), &[list(0, 4)], 0).unwrap_err().message().contains("subtask 3"));
    assert_eq!(plan.list_of(SubtaskIndex(2), &[list(0, 4)], 0).unwrap(), plan.list(&[list(0, 4)], 0).unwrap()[2]);
}

fn scales() -> impl Strategy<Value = (u32, u32, u32)> {
    let max = prop_oneof![1u32..40, Just(128), Just(1000), Just(32_768)];
    max.prop_flat_map(|max| (Just(max), 1..=max.min(50), 1..=max.min(50)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Disjoint, complete, each group with its owner, each share inside its source.
    #[test]
    fn every_key_group_goes_to_its_owner_once((max, old, new) in scales(), rotate in 0usize..50) {
        let mut sources = ranges(max, old);
        let turn = rotate % sources.len();
        sources.rotate_left(turn);
        let plan = rescale(max, old, new).keyed(&sources).unwrap();
        prop_assert!(plan.missing.is_empty());
        let (bound, parallelism) = (MaxParallelism::new(max).unwrap(), rescale(max, old, new).new_parallelism());
        let mut next = 0u32;
        for (subtask, shares) in (0u32..).zip(&plan.shares) {
            for share in shares {
                prop_assert_eq!(u32::from(share.groups.first().0), next);
                prop_assert_eq!(sources[share.source].intersect(share.groups), Some(share.groups));
                for group in [share.groups.first(), share.groups.last()] {
                    prop_assert_eq!(subtask_of_group(group, parallelism, bound), subtask);
                }
                next = u32::from(share.groups.last().0) + 1;
            }
        }
        prop_assert_eq!(next, max);
    }

    /// Whatever a key hashes to: the subtask that is given its group is the one that records of the key go to.
    #[test]
    fn every_key_is_in_the_range_of_its_subtask((max, old, new) in scales(), hash: u64) {
        let bound = MaxParallelism::new(max).unwrap();
        let scale = rescale(max, old, new);
        let group = bound.group_of_hash(hash);
        let plan = scale.keyed(&ranges(max, old)).unwrap();
        let holds = |shares: &Vec<KeyedShare>| shares.iter().any(|share| share.groups.contains(group));
        let holders: Vec<usize> = (0..plan.shares.len()).filter(|subtask| holds(&plan.shares[*subtask])).collect();
        let owner = subtask_of_group(group, scale.new_parallelism(), bound);
        prop_assert_eq!(&holders, &[usize::try_from(owner).unwrap()]);
        prop_assert!(scale.range_of(SubtaskIndex(owner)).unwrap().contains(group));
    }

    #[test]
    fn there_and_back_is_where_it_was((max, p, q) in scales()) {
        let there = rescale(max, p, q).keyed(&ranges(max, p)).unwrap();
        let snapshots = ranges(max, q);
        for (own, shares) in snapshots.iter().zip(&there.shares) {
            let groups: u64 = shares.iter().map(|share| u64::try_from(share.groups.len()).unwrap()).sum();
            prop_assert_eq!(groups, u64::try_from(own.len()).unwrap());
        }
        let back = rescale(max, q, p).keyed(&snapshots).unwrap();
        for (own, shares) in ranges(max, p).iter().zip(&back.shares) {
            prop_assert_eq!(shares.first().unwrap().groups.first(), own.first());
            prop_assert_eq!(shares.last().unwrap().groups.last(), own.last());
        }
        let same = rescale(max, p, p).keyed(&ranges(max, p)).unwrap();
        for (subtask, shares) in same.shares.iter().enumerate() {
            prop_assert_eq!(shares, &[KeyedShare { source: subtask, groups: ranges(max, p)[subtask] }]);
        }
    }

    /// Sparse sources: what is planned and what is missing add up to everything, and agree with a walk over all groups.
    #[test]
    fn holes_are_neither_filled_nor_lost(held in prop::collection::vec(any::<bool>(), 1..80), new in 1u32..80) {
        let max = u32::try_from(held.len()).unwrap();
        let new = new.min(max);
        let sources: Vec<KeyGroupRange> =
            (0u16..).zip(&held).filter(|(_, held)| **held).map(|(group, _)| range(group, group)).collect();
        let plan = rescale(max, 1, new).keyed(&sources).unwrap();
        let mut found = vec![false; held.len()];
        for share in plan.shares.iter().flatten() {
            for group in share.groups.iter() {
                prop_assert!(!std::mem::replace(&mut found[usize::from(group.0)], true), "{} twice", group);
            }
        }
        prop_assert_eq!(&found, &held);
        for group in plan.missing.iter().flat_map(|missing| missing.iter()) {
            prop_assert!(!std::mem::replace(&mut found[usize::from(group.0)], true));
        }
        prop_assert!(found.iter().all(|found| *found));
    }

    /// Every element once, in the old order, evenly.
    #[test]
    fn list_elements_are_cut_but_not_shuffled(
        counts in prop::collection::vec(0u64..12, 1..8),
        new in 1u32..12,
        turn in 0u32..20,
    ) {
        let old = u32::try_from(counts.len()).unwrap();
        let sources: Vec<ListSource> = (0u32..).zip(&counts).map(|(subtask, count)| list(subtask, *count)).collect();
        let shares = rescale(32, old, new).list(&sources, turn).unwrap();
        let all: Vec<(usize, u64)> = shares.iter().flat_map(|shares| flat(shares)).collect();
        let expected: Vec<(usize, u64)> =
            counts.iter().enumerate().flat_map(|(source, count)| (0..*count).map(move |at| (source, at))).collect();
        prop_assert_eq!(all, expected);
        prop_assert!(shares.iter().flatten().all(|share| !share.elements.is_empty()));
        if old == new {
            prop_assert!(shares.iter().zip(&counts).all(|(shares, count)| flat(shares).len() as u64 == *count));
        } else {
            let lengths: Vec<usize> = shares.iter().map(|shares| flat(shares).len()).collect();
            prop_assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1);
        }
    }

    /// An evenly spread list comes back as it was.
    #[test]
    fn an_even_list_survives_there_and_back(total in 0u64..60, p in 1u32..10, q in 1u32..10) {
        let even = |shares: &[Vec<ListShare>]| -> Vec<ListSource> {
            (0u32..).zip(shares).map(|(subtask, shares)| list(subtask, flat(shares).len() as u64)).collect()
        };
        let start = even(&rescale(32, 32, p).list(&[list(0, total)], 0).unwrap());
        let there = even(&rescale(32, p, q).list(&start, 0).unwrap());
        let back = even(&rescale(32, q, p).list(&there, 0).unwrap());
        prop_assert_eq!(back, start);
    }

    #[test]
    fn union_and_broadcast_reach_everybody(old in 1u32..9, new in 1u32..9, reversed: bool) {
        let mut sources: Vec<SubtaskIndex> = (0..old).map(SubtaskIndex).collect();
        if reversed {
            sources.reverse();
        }
        let plan = rescale(16, old, new);
        let read: Vec<SubtaskIndex> = plan.union(&sources).unwrap().into_iter().map(|source| sources[source]).collect();
        prop_assert_eq!(read, (0..old).map(SubtaskIndex).collect::<Vec<_>>());
        for subtask in 0..new {
            let source = plan.broadcast(&sources, SubtaskIndex(subtask)).unwrap().unwrap();
            prop_assert_eq!(sources[source], SubtaskIndex(subtask % old));
        }
    }
}
