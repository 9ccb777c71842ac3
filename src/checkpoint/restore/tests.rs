use super::*;
use crate::ErrorKind;

fn id(id: u64) -> CheckpointId {
    CheckpointId(id)
}

fn slots(readings: &[(u64, Reading<u64>)]) -> BTreeMap<CheckpointId, Reading<u64>> {
    readings.iter().map(|(number, reading)| (id(*number), reading.clone())).collect()
}

fn damaged() -> Reading<u64> {
    Reading::Damaged { reason: "bad digest".into() }
}

fn unavailable() -> Reading<u64> {
    Reading::Unavailable { reason: "timeout".into() }
}

#[test]
fn incomplete_checkpoints_are_invisible_but_their_ids_are_used() {
    let latest = choose_latest(
        slots(&[(3, Reading::Complete(30)), (4, Reading::Complete(40)), (5, Reading::Absent), (6, Reading::Sealed)]),
        id(1),
        Fallback::Refuse,
    );
    let latest = latest.unwrap();
    assert_eq!(latest.chosen, Some((id(4), 40)));
    assert_eq!(latest.older, [(id(3), 30)]);
    assert_eq!((latest.next_id, latest.view), (id(7), View::Complete));
    let none = choose_latest::<u64>(BTreeMap::new(), id(1), Fallback::Refuse).unwrap();
    assert_eq!((none.chosen, none.next_id), (None, id(1)));
    let collected = choose_latest(slots(&[(4, Reading::Complete(4))]), id(20), Fallback::Refuse).unwrap();
    assert_eq!(collected.next_id, id(20), "5 to 19 were used and collected");
}

#[test]
fn a_generated_id_depends_on_shape_alone() {
    let source = generated_id(&[], 0);
    assert_eq!(source, generated_id(&[], 0));
    let ids = [
        source,
        generated_id(&[], 1),
        generated_id(&[source], 0),
        generated_id(&[source], 1),
        generated_id(&[source, source], 0),
        generated_id(&[OperatorId::from_uid("x")], 0),
    ];
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    assert_eq!(source.to_string(), GOLDEN, "ids are stored: they must never change");
}

const GOLDEN: &str = "60eaf59cdf5b32972c09c6a3e77f933b";

fn recorded(uid: &str, states: &[&str]) -> RecordedOperator {
    let states = states.iter().map(|state| (*state).to_string()).collect();
    RecordedOperator { id: OperatorId::from_uid(uid), uid: Some(uid.into()), states }
}

fn program(uid: &str) -> ProgramOperator {
    ProgramOperator { id: OperatorId::from_uid(uid), uid: Some(uid.into()), name: uid.into() }
}

#[test]
fn order_does_not_matter_and_new_operators_start_empty() {
    let snapshot = [recorded("a", &["x"]), recorded("b", &["y"]), recorded("stateless", &[])];
    let matching = match_operators(&snapshot, &[program("b"), program("new"), program("a")], false).unwrap();
    assert_eq!(matching.restored, [(0, 2), (1, 0)]);
    assert_eq!(matching.new, [1]);
    assert!(matching.non_restored.is_empty() && matching.warnings.is_empty());
}

#[test]
fn state_that_nobody_takes_is_refused_with_a_list_or_reported() {
    let snapshot = [
        recorded("a", &["x"]),
        recorded("gone", &["counts", "timers"]),
        RecordedOperator { uid: None, ..recorded("nameless", &["z"]) },
    ];
    let error = match_operators(&snapshot, &[program("a")], false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.message().contains("operator \"gone\" (states counts, timers); operator "), "{error}");
    assert!(error.message().contains(&OperatorId::from_uid("nameless").to_string()), "{error}");
    assert_eq!(match_operators(&snapshot, &[program("a")], true).unwrap().non_restored, [1, 2]);
}

#[test]
fn ids_are_unique_and_generated_ones_are_pointed_out() {
    let error = match_operators(&[], &[program("a"), ProgramOperator { name: "b".into(), ..program("a") }], false);
    assert!(error.unwrap_err().message().contains("\"a\" and \"b\" have the same id"));
    let nameless = ProgramOperator { id: generated_id(&[], 0), uid: None, name: "map".into() };
    let matching = match_operators(&[], &[nameless], false).unwrap();
    assert!(matching.warnings[0].contains("\"map\" has no uid"), "{:?}", matching.warnings);
}

/// S-10: every combination of three retained checkpoints being fine, unreadable now, damaged, or never complete.
#[test]
fn every_combination_of_unreadable_checkpoints() {
    let kinds = [Reading::Complete(0), unavailable(), damaged(), Reading::Absent];
    for pattern in 0..64usize {
        let readings: Vec<Reading<u64>> = (0..3).map(|at| kinds[pattern >> (2 * at) & 3].clone()).collect();
        let given = slots(&[(5, readings[0].clone()), (6, readings[1].clone()), (7, readings[2].clone())]);
        let newest_first = || given.iter().rev().filter(|(_, reading)| **reading != Reading::Absent);
        for fallback in [Fallback::Refuse, Fallback::NewestIntact] {
            let result = choose_latest(given.clone(), id(1), fallback);
            // What has to be passed over before the newest intact one.
            let before: Vec<_> =
                newest_first().take_while(|(_, reading)| !matches!(reading, Reading::Complete(_))).collect();
            let intact = newest_first().find(|(_, reading)| matches!(reading, Reading::Complete(_)));
            if before.iter().any(|(_, reading)| **reading == unavailable()) {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable, "{given:?}");
            } else if !before.is_empty() && (fallback == Fallback::Refuse || intact.is_none()) {
                let error = result.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{given:?}");
                assert!(
                    intact.is_none_or(|(id, _)| error.message().contains(&format!("intact ones: {id}"))),
                    "{error}"
                );
            } else {
                let latest = result.unwrap();
                assert_eq!(latest.chosen.map(|(id, _)| id), intact.map(|(id, _)| *id), "{given:?}");
                assert_eq!(latest.passed_over.len(), before.len());
                let unclear = readings.iter().any(|reading| *reading == damaged() || *reading == unavailable());
                assert_eq!(latest.view == View::Partial, unclear, "{given:?}");
            }
        }
    }
}
