//! Bugs that trusted systems had, one test each, as far as deciding is concerned; `tests/regressions/README.md` is the
//! register, and says where the other scenarios are tested.

use std::collections::{BTreeMap, BTreeSet};

use millpond::ErrorKind;
use millpond::checkpoint::config::{Config, Retention, Termination};
use millpond::checkpoint::event::{Event, JobFailure, Outcome, Slot, Ticket};
use millpond::checkpoint::gc::{self, Content, Lease};
use millpond::checkpoint::pending::SubtaskSnapshot;
use millpond::checkpoint::restore::{ClaimMode, Fallback, Reading, choose_latest};
use millpond::checkpoint::shared_state::{SharedStateRegistry, View};
use millpond::checkpoint::{Action, Inheritance, Recovery};
use millpond::key_group::MaxParallelism;
use millpond::random::SeededRandom;
use millpond::snapshot::rescale::Rescale;
use millpond::storage::layout::{is_object_name, new_object_name};

use super::job::{Job, Store, id, object, role};

fn uploads(objects: Vec<millpond::format::manifest::ObjectRef>) -> SubtaskSnapshot<()> {
    SubtaskSnapshot { handle: (), uploaded: objects, reused: Vec::new() }
}

/// FLINK-7268: a deletion queued before a restart, carried out after it.
#[test]
fn s_01_a_late_deletion_meets_the_registry_of_the_next_coordinator() {
    let mut store = Store::default();
    let mut old = Job::start(&mut store, Job::config(2), Inheritance::default());
    let f = old.checkpoint(&mut store, &[("f", "F"), ("only-1", "1")], &[]);
    assert_eq!(f, 1);
    old.checkpoint(&mut store, &[], &[object("f", "F")]);
    old.checkpoint(&mut store, &[], &[object("f", "F")]);
    let late = store.plan(&old, 0).unwrap();
    let mut new = Job::recover(&mut store, Job::config(2));
    let c4 = new.checkpoint(&mut store, &[], &[object("f", "F")]);
    assert_eq!(store.plan(&old, 0).unwrap_err().kind(), ErrorKind::Aborted, "the old one is fenced");
    store.carry_out(late);
    store.audit(&[3, c4]);
    assert_eq!(store.names(), ["f"], "only what was exclusive to 1 is gone");
    store.collect(&new);
    store.audit(&[3, c4]);
}

/// FLINK-21351: a savepoint subsumed the base of the next increment.
#[test]
fn s_02_a_savepoint_does_not_subsume_the_base_of_the_next_checkpoint() {
    for disposed in [false, true] {
        let mut store = Store::default();
        let mut job = Job::start(&mut store, Job::config(1), Inheritance::default());
        job.checkpoint(&mut store, &[("x", "X")], &[]);
        let savepoint = job.trigger_savepoint();
        let mut elsewhere = Store::default();
        job.acknowledge(savepoint, 0, SubtaskSnapshot::exclusive(()));
        let actions = job.acknowledge(savepoint, 1, SubtaskSnapshot::exclusive(()));
        job.publish(&mut elsewhere, &actions);
        store.collect(&job);
        if disposed {
            elsewhere.slots.clear();
        }
        let c3 = job.checkpoint(&mut store, &[("y", "Y")], &[object("x", "X")]);
        store.collect(&job);
        assert_eq!(job.kept(), [c3]);
        assert_eq!(job.retired, [id(1)], "the savepoint is never retired");
        let job = Job::recover(&mut store, Job::config(1));
        assert_eq!(store.restore(job.kept()[0]), [("x".into(), "X".into()), ("y".into(), "Y".into())].into());
    }
}

/// FLINK-24611, FLINK-25395: aborting a checkpoint deleted what its neighbour used.
#[test]
fn s_03_an_aborted_checkpoint_takes_nothing_from_its_neighbour() {
    for moment in 0..4 {
        for worker_fails in [false, true] {
            let mut store = Store::default();
            let mut job = Job::start(&mut store, Job::config(1), Inheritance::default());
            job.checkpoint(&mut store, &[("x", "X")], &[]);
            let (c2, c3) = (job.trigger(), job.trigger());
            let uploaded = vec![store.upload("of-2", "2")];
            let abort = |job: &mut Job| job.decline(c2, 1);
            if moment == 0 {
                abort(&mut job);
            }
            if worker_fails {
                job.decline(c2, 0);
            } else {
                job.acknowledge(c2, 0, uploads(uploaded));
            }
            if moment == 1 {
                abort(&mut job);
            }
            if moment == 2 {
                // The collector is half-way: its plan was made before the abort.
                let plan = store.plan(&job, 0).unwrap();
                abort(&mut job);
                store.carry_out(plan);
            }
            // Worker 0 may not build on what checkpoint 2 uploaded: it uploads again, under another name.
            let again = store.upload("of-3", "2");
            job.finish(&mut store, c3, vec![again], &[object("x", "X")]);
            abort(&mut job);
            store.collect(&job);
            assert_eq!(store.names(), ["of-3", "x"], "moment {moment}, worker fails {worker_fails}");
            store.audit(&[c3]);
            assert_eq!(job.kept(), [c3]);
        }
    }
}

#[test]
fn s_03_what_a_pending_checkpoint_uploaded_cannot_be_built_on() {
    let mut store = Store::default();
    let mut job = Job::start(&mut store, Job::config(1), Inheritance::default());
    let (c1, c2) = (job.trigger(), job.trigger());
    let uploaded = store.upload("of-1", "1");
    job.acknowledge(c1, 0, uploads(vec![uploaded.clone()]));
    let reuse = SubtaskSnapshot { handle: (), uploaded: Vec::new(), reused: vec![uploaded] };
    assert_eq!(job.acknowledge(c2, 0, reuse), [Action::NotifyAbort(id(c2)), refused(c2)]);
}

fn refused(number: u64) -> Action<()> {
    use millpond::checkpoint::event::{Abort, RequestId};
    let reason = "shared object of-1 is taken over, but there is no checkpoint to take it from".to_string();
    assert_eq!(number, 2);
    Action::Answer { request: RequestId(0), result: Err(Abort::Refused { subtask: super::job::subtask(0), reason }) }
}

/// FLINK-26985: a job ate the checkpoint it had been started from.
#[test]
fn s_04_a_borrowed_checkpoint_is_never_touched() {
    for crash_after in 0..4 {
        let mut a = Store::default();
        let mut job_a = Job::start(&mut a, Job::config(1), Inheritance::default());
        job_a.checkpoint(&mut a, &[("from-a", "A")], &[]);
        let source = a.slots[&id(1)].clone().unwrap();
        let before = (a.objects.clone(), a.slots.clone());

        let mut b = Store::default();
        let inheritance = || Inheritance::starting_from(source.clone(), ClaimMode::NoClaim);
        let mut job = Job::start(&mut b, Job::config(1), inheritance());
        for round in 0..4 {
            if round == crash_after {
                job = match b.slots.is_empty() {
                    true => Job::start(&mut b, Job::config(1), inheritance()),
                    false => Job::recover(&mut b, Job::config(1)),
                };
            }
            if round == 0 || b.slots.is_empty() {
                assert_eq!(job.coordinator.recovery(), Recovery::Initial);
                let number = job.trigger();
                let reuse = SubtaskSnapshot { handle: (), uploaded: Vec::new(), reused: vec![object("from-a", "A")] };
                let actions = job.acknowledge(number, 0, reuse);
                assert!(actions.contains(&Action::NotifyAbort(id(number))), "{actions:?}");
            }
            let name = format!("b-{round}");
            let number = job.checkpoint(&mut b, &[(&name, "B")], &[]);
            assert!(number > 1, "ids go on from those of the source");
            b.collect(&job);
            assert_eq!(b.names(), [name], "only its own");
        }
        assert_eq!((a.objects, a.slots), before);
    }
}

#[test]
fn s_04_a_claimed_checkpoint_goes_when_nothing_names_it() {
    let mut store = Store::default();
    let mut job = Job::start(&mut store, Job::config(1), Inheritance::default());
    job.checkpoint(&mut store, &[("x", "X"), ("y", "Y")], &[]);
    let source = store.slots[&id(1)].clone().unwrap();
    let mut job = Job::start(&mut store, Job::config(1), Inheritance::starting_from(source, ClaimMode::Claim));
    store.collect(&job);
    assert_eq!(store.names(), ["x", "y"]);
    job.checkpoint(&mut store, &[], &[object("x", "X")]);
    store.collect(&job);
    assert_eq!((store.names(), job.retired.clone()), (vec!["x"], vec![id(1)]));
    job.checkpoint(&mut store, &[("z", "Z")], &[]);
    store.collect(&job);
    assert_eq!(store.names(), ["z"]);
}

/// FLINK-29913, FLINK-29095: the same local file name, two contents.
#[test]
fn s_05_one_local_name_never_becomes_one_object_name() {
    let random = SeededRandom::new(1);
    let names: BTreeSet<String> = (0..1_000).map(|_| new_object_name(&random).unwrap()).collect();
    assert_eq!(names.len(), 1_000);
    assert!(names.iter().all(|name| is_object_name(name)) && !is_object_name("000007.sst"));
    for first_completes_first in [true, false] {
        let mut store = Store::default();
        let mut job = Job::start(&mut store, Job::config(2), Inheritance::default());
        let (c1, c2) = (job.trigger(), job.trigger());
        let (one, two) = (store.upload("random-1", "X"), store.upload("random-2", "Y"));
        let order = if first_completes_first { [(c1, one), (c2, two)] } else { [(c2, two), (c1, one)] };
        for (number, uploaded) in order {
            if job.coordinator.pending().any(|pending| pending == id(number)) {
                job.finish(&mut store, number, vec![uploaded], &[]);
            }
        }
        store.collect(&job);
        store.audit(&job.kept());
    }
}

#[test]
fn s_05_the_same_name_with_another_content_is_refused_before_it_can_complete() {
    let mut store = Store::default();
    let mut job = Job::start(&mut store, Job::config(2), Inheritance::default());
    job.checkpoint(&mut store, &[("000007.sst", "X")], &[]);
    let mut job = Job::recover(&mut store, Job::config(2));
    let number = job.trigger();
    let actions = job.acknowledge(number, 0, uploads(vec![object("000007.sst", "Y")]));
    assert!(actions.contains(&Action::NotifyAbort(id(number))), "{actions:?}");
    store.audit(&[1]);
}

/// FLINK-39964, the part that is a decision: a claimed savepoint lends nothing, so the first checkpoint is self-contained.
#[test]
fn s_07_the_first_checkpoint_after_claiming_a_savepoint_is_self_contained() {
    let mut store = Store::default();
    let mut job = Job::start(&mut store, Job::config(1), Inheritance::default());
    let number = job.trigger_savepoint();
    job.acknowledge(number, 0, SubtaskSnapshot::exclusive(()));
    let actions = job.acknowledge(number, 1, SubtaskSnapshot::exclusive(()));
    job.publish(&mut store, &actions);
    let savepoint = store.slots[&id(number)].clone().unwrap();
    let mut job = Job::start(&mut store, Job::config(1), Inheritance::starting_from(savepoint, ClaimMode::Claim));
    let next = job.trigger();
    let reuse = SubtaskSnapshot { handle: (), uploaded: Vec::new(), reused: vec![object("sst-of-savepoint", "X")] };
    assert!(job.acknowledge(next, 0, reuse).contains(&Action::NotifyAbort(id(next))));
}

/// FLINK-30461, FLINK-28984, FLINK-5229: what a cancelled upload left behind.
#[test]
fn s_08_a_cancelled_upload_leaves_no_orphan_after_the_grace() {
    for uploaded in 0..=16 {
        let mut store = Store::default();
        let mut job = Job::start(&mut store, Job::config(1), Inheritance::default());
        job.checkpoint(&mut store, &[("kept", "K")], &[]);
        let number = job.trigger();
        for file in 0..uploaded {
            store.upload(&format!("{file}"), "part");
        }
        job.decline(number, 0);
        let plan = store.plan(&job, 1_000).unwrap();
        assert!(plan.is_empty(), "too young");
        store.carry_out(plan);
        job.now_ms += 999;
        assert!(store.plan(&job, 1_000).unwrap().is_empty());
        job.now_ms += 1;
        let plan = store.plan(&job, 1_000).unwrap();
        assert_eq!(plan.objects.len(), uploaded);
        store.carry_out(plan);
        assert_eq!(store.names(), ["kept"]);
        store.audit(&[1]);
    }
}

/// FLINK-22494: the metadata was written, but the call returned an error.
#[test]
fn s_09_an_unknown_outcome_converges_and_deletes_nothing() {
    for applied in [true, false] {
        for what_next in ["read", "next checkpoint", "failover"] {
            let mut store = Store::default();
            let mut job = Job::start(&mut store, Job::config(1), Inheritance::default());
            job.checkpoint(&mut store, &[("x", "X")], &[]);
            let c2 = job.trigger();
            let uploaded = store.upload("y", "Y");
            job.acknowledge(c2, 0, uploads(vec![uploaded]));
            let actions = job.acknowledge(c2, 1, SubtaskSnapshot::exclusive(()));
            let [Action::Publish { metadata, ticket, .. }] = &actions[..] else { panic!("{actions:?}") };
            if applied {
                store.store(metadata);
            }
            let actions = job.published(c2, *ticket, Outcome::Unknown { reason: "timeout".into() });
            let [Action::ReadSlot { ticket, .. }] = &actions[..] else { panic!("{actions:?}") };
            store.collect(&job);
            assert_eq!(store.names(), ["x", "y"], "nothing goes before a read decides");
            assert_eq!(job.coordinator.recovery(), Recovery::Undecided(vec![id(c2)]));
            match what_next {
                "read" => {
                    let actions =
                        job.send(Event::SlotRead { id: id(c2), ticket: *ticket, found: store.slot(metadata) });
                    job.publish(&mut store, &actions);
                    assert_eq!(job.kept(), [c2], "there already, or stored by the second attempt");
                }
                "next checkpoint" => {
                    let c3 = job.checkpoint(&mut store, &[("z", "Z")], &[object("x", "X")]);
                    assert!(job.retired.is_empty(), "2 is undecided");
                    let actions =
                        job.send(Event::SlotRead { id: id(c2), ticket: *ticket, found: store.slot(metadata) });
                    job.publish(&mut store, &actions);
                    assert_eq!((job.kept(), job.retired.clone()), (vec![c3], vec![id(1), id(c2)]));
                }
                _ => job = Job::recover(&mut store, Job::config(1)),
            }
            store.collect(&job);
            let latest = if applied || what_next != "failover" { job.kept()[0] } else { 1 };
            assert_eq!(job.kept(), [latest]);
            store.audit(&[latest]);
            assert_eq!(Job::recover(&mut store, Job::config(1)).kept(), [latest], "all coordinators agree");
        }
    }
}

/// FLINK-22502, FLINK-7783, FLINK-5940: recovery dropped what it could not read.
#[test]
fn s_10_recovery_never_drops_what_it_cannot_read() {
    let mut store = Store::default();
    let mut job = Job::start(&mut store, Job::config(3), Inheritance::default());
    for number in 1..=3u64 {
        job.checkpoint(&mut store, &[(&format!("of-{number}"), "X")], &[]);
    }
    let unreadable = |damaged: bool| match damaged {
        true => Reading::Damaged { reason: "wrong digest".into() },
        false => Reading::Unavailable { reason: "timeout".into() },
    };
    for pattern in 1..27u32 {
        let kinds = [pattern % 3, pattern / 3 % 3, pattern / 9];
        let slots: BTreeMap<_, Reading<u64>> = (1..=3u64)
            .zip(kinds)
            .map(|(number, kind)| {
                (id(number), if kind == 0 { Reading::Complete(number) } else { unreadable(kind == 1) })
            })
            .collect();
        let result = choose_latest(slots, id(1), Fallback::Refuse);
        match kinds[2] {
            0 => assert_eq!(result.unwrap().view, View::Partial),
            1 => assert!(matches!(result.unwrap_err().kind(), ErrorKind::Corrupt | ErrorKind::Unavailable)),
            _ => assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable),
        }
        // In no case is anything deleted: the collector refuses the view.
        let mut view = store.view(&job, 0);
        for (number, _) in (1..=3u64).zip(kinds).filter(|(_, kind)| *kind != 0) {
            view.manifests.insert(id(number), Content::Unreadable { reason: "timeout".into() });
        }
        let refused = gc::plan(&view, |name: &String| role(name)).unwrap_err();
        assert!(refused.message().starts_with("nothing is collected"), "{refused}");
    }
    assert!(SharedStateRegistry::new(View::Partial).only_of(id(1)).is_err());
}

/// FLINK-25486: losing leadership looked like shutting down.
#[test]
fn s_11_a_coordinator_that_goes_away_deletes_nothing() {
    for retention in [Retention::RetainOnCancellation, Retention::DeleteOnCancellation, Retention::None] {
        let mut store = Store::default();
        let config = Config { retention, ..Job::config(1) };
        let mut job = Job::start(&mut store, config, Inheritance::default());
        job.checkpoint(&mut store, &[("x", "X")], &[]);
        job.trigger();
        let actions = job.send(Event::Terminated(Termination::Suspended));
        assert!(!actions.iter().any(|action| matches!(action, Action::Retire(_))), "{retention:?}: {actions:?}");
        store.collect(&job);
        drop(job);
        store.audit(&[1]);
    }
}

/// FLINK-35803, FLINK-36125: discarding twice freed what was in use. Sets instead of counts.
#[test]
fn s_12_forgetting_twice_frees_nothing_in_use() {
    let mut registry = super::registry(View::Complete);
    registry.register(id(1), &[object("segment", "S")]).unwrap();
    registry.register(id(2), &[object("segment", "S")]).unwrap();
    registry.forget(id(1));
    registry.forget(id(1));
    assert_eq!(registry.holders("segment").collect::<Vec<_>>(), [id(2)]);
}

/// Flink's recursive deletion: what the user put beside our files.
#[test]
fn s_13_only_names_of_ours_are_ever_deleted() {
    let mut store = Store::default();
    let mut job = Job::start(&mut store, Job::config(1), Inheritance::default());
    let foreign = ["notes.txt", "chk-1/thesis.pdf", "chk-x/_metadata", "link-to-home", "shared"];
    for name in foreign {
        store.objects.insert(name.into(), "precious".into());
    }
    for round in 0..3 {
        job.checkpoint(&mut store, &[(&format!("x{round}"), "X")], &[]);
        store.collect(&job);
    }
    assert_eq!(store.plan(&job, 0).unwrap().foreign, foreign.len());
    assert!(foreign.iter().all(|name| store.objects.contains_key(*name)));
    assert_eq!(store.objects.len(), foreign.len() + 1);
}

/// SlateDB #1622: a stalled writer used a number that had been collected.
#[test]
fn s_14_a_stalled_writer_learns_that_it_was_passed_over() {
    let mut store = Store::default();
    let mut a = Job::start(&mut store, Job::config(1), Inheritance::default());
    a.checkpoint(&mut store, &[("base", "B")], &[]);
    let stalled = a.trigger();
    let uploaded = store.upload("of-a", "A");
    a.acknowledge(stalled, 0, uploads(vec![uploaded]));
    let actions = a.acknowledge(stalled, 1, SubtaskSnapshot::exclusive(()));
    let [Action::Publish { metadata, ticket, .. }] = &actions[..] else { panic!("{actions:?}") };
    let mut b = Job::recover(&mut store, Job::config(1));
    for round in 0..20 {
        b.checkpoint(&mut store, &[(&format!("b{round}"), "B")], &[]);
        store.collect(&b);
    }
    assert!(store.store(metadata), "its slot is free again: creating alone is no fence");
    assert!(!store.boundary.unwrap().admits(a.epoch, metadata.id));
    let actions = a.published(stalled, *ticket, Outcome::PassedOver);
    assert_eq!(actions.last(), Some(&Action::FailJob(JobFailure::Fenced { id: id(stalled) })));
    assert!(a.send(Event::Tick).is_empty() && a.kept() == [1]);
    let latest = b.kept()[0];
    assert_eq!(Job::recover(&mut store.clone(), Job::config(1)).kept(), [latest], "the latest is still B's");
    store.collect(&b);
    assert!(!store.slots.contains_key(&id(stalled)), "what it left is collected");
    store.audit(&[latest]);
}

/// SlateDB #1029: a collector ate what was uploaded but not yet published.
#[test]
fn s_15_what_is_uploaded_but_not_published_survives_the_greediest_collector() {
    for skew_ms in [0, 600_000, -600_000] {
        let mut store = Store::default();
        let mut job = Job::start(&mut store, Job::config(1), Inheritance::default());
        job.checkpoint(&mut store, &[("x", "X")], &[]);
        let number = job.trigger();
        let uploaded = store.upload("f", "F");
        job.acknowledge(number, 0, uploads(vec![uploaded]));
        for _ in 0..5 {
            job.now_ms += skew_ms;
            store.collect(&job);
        }
        let actions = job.acknowledge(number, 1, SubtaskSnapshot::exclusive(()));
        store.collect(&job);
        job.publish(&mut store, &actions);
        store.collect(&job);
        assert_eq!((job.kept(), store.names()), (vec![number], vec!["f"]));
        store.audit(&[number]);
    }
}

/// SlateDB #604, Materialize #18228: a collector under a slow reader.
#[test]
fn s_16_a_lease_protects_a_slow_reader_until_it_expires() {
    let mut store = Store::default();
    let mut job = Job::start(&mut store, Job::config(1), Inheritance::default());
    let slow = job.checkpoint(&mut store, &[("a", "A"), ("b", "B")], &[]);
    store.leases.push(Lease { id: id(slow), expires_ms: 5_000 });
    for round in 0..25 {
        job.checkpoint(&mut store, &[(&format!("n{round}"), "N")], &[]);
        store.collect(&job);
        assert_eq!(store.restore(slow).len(), 2, "round {round}");
    }
    job.now_ms = 5_000;
    store.collect(&job);
    assert!(!store.slots.contains_key(&id(slow)), "expired leases do not last");
    assert_eq!(store.names(), ["n24"]);
}

/// object_store #852, #830: what the many answers of a conditional create mean. A refusal certainly stored nothing, a
/// timeout may have; the slot decides.
#[test]
fn s_17_every_refused_create_is_decided_by_reading_the_slot() {
    let refusal = |reason: &str| Outcome::NotCommitted { reason: reason.into() };
    let answers = [
        refusal("409 conflict"),
        refusal("412 precondition failed"),
        refusal("304 not modified"),
        refusal("precondition"),
        Outcome::Unknown { reason: "timeout".into() },
    ];
    for answer in answers {
        for found in [Slot::Absent, Slot::Ours, Slot::Foreign] {
            let mut store = Store::default();
            let mut job = Job::start(&mut store, Job::config(1), Inheritance::default());
            let number = job.trigger();
            job.acknowledge(number, 0, SubtaskSnapshot::exclusive(()));
            job.acknowledge(number, 1, SubtaskSnapshot::exclusive(()));
            let actions = job.published(number, Ticket(1), answer.clone());
            assert!(matches!(actions[..], [Action::ReadSlot { ticket: Ticket(2), .. }]), "{answer:?}: {actions:?}");
            let actions = job.send(Event::SlotRead { id: id(number), ticket: Ticket(2), found: found.clone() });
            match found {
                Slot::Absent => job.publish(&mut store, &actions),
                Slot::Ours => assert!(actions.contains(&Action::NotifyComplete(id(number)))),
                _ => assert!(matches!(actions[..], [.., Action::FailJob(JobFailure::Fenced { .. })]), "{actions:?}"),
            }
            let expected: &[u64] = if found == Slot::Foreign { &[] } else { &[number] };
            assert_eq!(job.kept(), expected, "{answer:?} {found:?}");
        }
    }
}

/// FLINK-40113: a silent change of max parallelism.
#[test]
fn s_27_another_max_parallelism_is_an_error_that_names_both() {
    let max = |max| MaxParallelism::new(max).unwrap();
    for requested in [64, 256] {
        let error = Rescale::new(max(128), Some(max(requested)), 4, 4).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert!(error.message().contains("128") && error.message().contains(&requested.to_string()), "{error}");
    }
    assert!(Rescale::new(max(128), Some(max(128)), 4, 7).is_ok());
}

/// The register has every test of this file; `tests/tidy` sees to the other direction.
#[test]
fn the_register_lists_every_scenario_here() {
    let register = include_str!("../regressions/README.md");
    let source = include_str!("scenarios.rs");
    let tests: Vec<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("fn s_"))
        .map(|rest| rest.split('(').next().unwrap_or(rest))
        .collect();
    assert!(tests.len() >= 18);
    for test in &tests {
        assert!(register.contains(&format!("`s_{test}`")), "s_{test} is not in the register");
    }
    for number in 1..=39 {
        assert!(register.contains(&format!("| S-{number:02} |")), "S-{number:02} is not in the register");
    }
}

/// What the bank of mistakes tries (see `checkpoint::bank`).
#[cfg(feature = "test-util")]
pub(super) const CASES: &[(&str, fn())] = &[
    (
        "s_01_a_late_deletion_meets_the_registry_of_the_next_coordinator",
        s_01_a_late_deletion_meets_the_registry_of_the_next_coordinator,
    ),
    (
        "s_02_a_savepoint_does_not_subsume_the_base_of_the_next_checkpoint",
        s_02_a_savepoint_does_not_subsume_the_base_of_the_next_checkpoint,
    ),
    (
        "s_03_an_aborted_checkpoint_takes_nothing_from_its_neighbour",
        s_03_an_aborted_checkpoint_takes_nothing_from_its_neighbour,
    ),
    (
        "s_03_what_a_pending_checkpoint_uploaded_cannot_be_built_on",
        s_03_what_a_pending_checkpoint_uploaded_cannot_be_built_on,
    ),
    ("s_04_a_borrowed_checkpoint_is_never_touched", s_04_a_borrowed_checkpoint_is_never_touched),
    ("s_04_a_claimed_checkpoint_goes_when_nothing_names_it", s_04_a_claimed_checkpoint_goes_when_nothing_names_it),
    ("s_05_one_local_name_never_becomes_one_object_name", s_05_one_local_name_never_becomes_one_object_name),
    (
        "s_05_the_same_name_with_another_content_is_refused_before_it_can_complete",
        s_05_the_same_name_with_another_content_is_refused_before_it_can_complete,
    ),
    (
        "s_07_the_first_checkpoint_after_claiming_a_savepoint_is_self_contained",
        s_07_the_first_checkpoint_after_claiming_a_savepoint_is_self_contained,
    ),
    (
        "s_08_a_cancelled_upload_leaves_no_orphan_after_the_grace",
        s_08_a_cancelled_upload_leaves_no_orphan_after_the_grace,
    ),
    ("s_09_an_unknown_outcome_converges_and_deletes_nothing", s_09_an_unknown_outcome_converges_and_deletes_nothing),
    ("s_10_recovery_never_drops_what_it_cannot_read", s_10_recovery_never_drops_what_it_cannot_read),
    ("s_11_a_coordinator_that_goes_away_deletes_nothing", s_11_a_coordinator_that_goes_away_deletes_nothing),
    ("s_12_forgetting_twice_frees_nothing_in_use", s_12_forgetting_twice_frees_nothing_in_use),
    ("s_13_only_names_of_ours_are_ever_deleted", s_13_only_names_of_ours_are_ever_deleted),
    ("s_14_a_stalled_writer_learns_that_it_was_passed_over", s_14_a_stalled_writer_learns_that_it_was_passed_over),
    (
        "s_15_what_is_uploaded_but_not_published_survives_the_greediest_collector",
        s_15_what_is_uploaded_but_not_published_survives_the_greediest_collector,
    ),
    ("s_16_a_lease_protects_a_slow_reader_until_it_expires", s_16_a_lease_protects_a_slow_reader_until_it_expires),
    (
        "s_17_every_refused_create_is_decided_by_reading_the_slot",
        s_17_every_refused_create_is_decided_by_reading_the_slot,
    ),
    (
        "s_27_another_max_parallelism_is_an_error_that_names_both",
        s_27_another_max_parallelism_is_an_error_that_names_both,
    ),
];
