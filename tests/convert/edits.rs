//! What is changed on the way.

use millpond::backend::{BackendConfig, KeyedSnapshotFormat};
use millpond::convert::{Edits, Format, Options, Report, TtlEdit};
use millpond::ids::OperatorId;
use millpond::snapshot::Entry;
use millpond::{ErrorKind, Result};

use super::job::{EmptyDirectory, Stored, filled, options, text};

fn source() -> Stored {
    Stored::of(&mut filled(&BackendConfig::default(), 2, 16), KeyedSnapshotFormat::Native)
}

fn edited(source: &Stored, edits: Edits, scratch: &EmptyDirectory) -> Result<(Stored, Report)> {
    source.convert(&Options { edits, ..options(Format::Canonical, &scratch.path()) })
}

fn entries(stored: &Stored, state: &str, scratch: &EmptyDirectory) -> Vec<Entry> {
    let (mut entries, reader) = (Vec::new(), stored.open(&scratch.path()));
    let operator = reader.operators().next().unwrap();
    operator
        .state(state)
        .unwrap()
        .entries(|entry| {
            entries.push(entry);
            Ok(std::ops::ControlFlow::Continue(()))
        })
        .unwrap();
    entries
}

#[test]
fn an_operator_gets_another_uid() {
    let (scratch, source) = (EmptyDirectory::new(), source());
    let rename = |new: &str| Edits { rename_uids: vec![("operator".to_owned(), new.to_owned())], ..Edits::default() };
    let (renamed, report) = edited(&source, rename("departures"), &scratch).unwrap();
    let manifest = renamed.manifest();
    assert_eq!(manifest.operators[0].uid.as_deref(), Some("departures"));
    assert_eq!(manifest.operators[0].id, OperatorId::from_uid("departures"));
    assert_eq!(report.operators[0].renamed_to.as_deref(), Some("departures"));
    assert_eq!(renamed.content(&scratch.path()), source.content(&scratch.path()));
    let by_id =
        Edits { rename_uids: vec![(manifest.operators[0].id.to_string(), "operator".to_owned())], ..Edits::default() };
    let (back, _) = edited(&renamed, by_id, &scratch).unwrap();
    let (canonical, _) = edited(&source, Edits::default(), &scratch).unwrap();
    assert_eq!(back.manifest().keyed_digest().unwrap(), canonical.manifest().keyed_digest().unwrap());
    scratch.check();
}

#[test]
fn states_and_operators_are_left_out() {
    let (scratch, source) = (EmptyDirectory::new(), source());
    let names = ["map", "split", "broadcast"];
    let drop = names.map(|state| format!("operator/{state}").parse().unwrap());
    let (less, report) = edited(&source, Edits { drop_states: drop.into(), ..Edits::default() }, &scratch).unwrap();
    let mut expected = source.content(&scratch.path());
    names.iter().for_each(|name| drop_entries(&mut expected, name));
    assert_eq!(less.content(&scratch.path()), expected);
    let mut dropped = names.to_vec();
    dropped.sort_unstable();
    assert_eq!(report.operators[0].dropped_states, dropped);
    let none = Edits { drop_operators: vec!["operator".to_owned()], ..Edits::default() };
    let (nothing, report) = edited(&source, none, &scratch).unwrap();
    assert!(nothing.manifest().operators.is_empty());
    assert_eq!(report.dropped_operators, ["operator"]);
}

fn drop_entries<V>(content: &mut std::collections::BTreeMap<String, V>, name: &str) {
    assert!(content.remove(name).is_some());
}

/// Values, list elements and map entries get their stamps and lose them; everything else stays.
#[test]
fn s_33_time_to_live_is_added_and_removed() {
    let (scratch, source) = (EmptyDirectory::new(), source());
    let add = ["value", "list", "map"].map(|state| (format!("operator/{state}").parse().unwrap(), 77));
    let (stamped, report) = edited(&source, Edits { set_ttl: add.into(), ..Edits::default() }, &scratch).unwrap();
    let ttl = |name: &str| report.operators[0].states.iter().find(|state| state.state == name).unwrap().ttl;
    assert_eq!((ttl("value"), ttl("expiring")), (Some(TtlEdit::Set), None));
    for state in ["value", "list", "map"] {
        let (before, after) = (entries(&source, state, &scratch), entries(&stamped, state, &scratch));
        assert_eq!(before.len(), after.len());
        for entry in &after {
            let stamps = if state == "list" { list_length(entry) } else { 1 };
            assert_eq!(entry.stamps, vec![77; stamps], "{entry:?}");
            let same = |other: &&Entry| (&other.key, &other.user_key) == (&entry.key, &entry.user_key);
            assert_eq!(before.iter().find(same).unwrap().value, entry.value);
        }
    }
    let remove = ["value", "list", "map", "expiring", "expiring-list"];
    let drop_ttl = remove.map(|state| format!("operator/{state}").parse().unwrap()).into();
    let (bare, _) = edited(&stamped, Edits { drop_ttl, ..Edits::default() }, &scratch).unwrap();
    assert!(bare.manifest().operators[0].states.iter().all(|state| !state.timed));
    for state in ["value", "list", "map"] {
        assert_eq!(bare.content(&scratch.path())[state], source.content(&scratch.path())[state]);
    }
    assert!(entries(&bare, "expiring-list", &scratch).iter().all(|entry| entry.stamps.is_empty()));
}

fn list_length(entry: &Entry) -> usize {
    match &entry.value {
        millpond::serializer::Value::List(elements) => elements.len(),
        other => panic!("{other:?} is no list"),
    }
}

/// An edit that does nothing is a mistake, and says what there is.
#[test]
fn edits_that_do_not_fit_are_refused() {
    let (scratch, source) = (EmptyDirectory::new(), source());
    let state = |name: &str| name.parse().unwrap();
    let cases = [
        (Edits { rename_uids: vec![("nobody".into(), "x".into())], ..Edits::default() }, "the snapshot has operator"),
        (Edits { drop_operators: vec!["nobody".into()], ..Edits::default() }, "\"nobody\""),
        (
            Edits { drop_states: vec![state("operator/none")], ..Edits::default() },
            "the operator has broadcast, expiring",
        ),
        (Edits { set_ttl: vec![(state("operator/timers"), 0)], ..Edits::default() }, "timer state has no time to live"),
        (Edits { set_ttl: vec![(state("operator/split"), 0)], ..Edits::default() }, "operator-list state has no time"),
        (Edits { set_ttl: vec![(state("operator/expiring"), 0)], ..Edits::default() }, "already"),
        (
            Edits { drop_ttl: vec![state("operator/value")], ..Edits::default() },
            "no time to live that could be dropped",
        ),
        (Edits { drop_ttl: vec![state("operator/expiring"); 2], ..Edits::default() }, "changed twice"),
    ];
    for (edits, expected) in cases {
        let error = edited(&source, edits.clone(), &scratch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{edits:?}: {error}");
        assert!(text(&error).contains(expected), "{edits:?}: {error}");
    }
    for (parallelism, max_parallelism, expected) in [(Some(17), None, "17"), (None, Some(1), "2"), (None, Some(0), "0")]
    {
        let options = Options { parallelism, max_parallelism, ..options(Format::Canonical, &scratch.path()) };
        let error = source.convert(&options).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && text(&error).contains(expected), "{error}");
    }
    scratch.check();
}
