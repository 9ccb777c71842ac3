//! Everything that a snapshot holds, in the form of the ground truth.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use millpond::error::{ErrorKind, Result};
use millpond::flink::{KeyedReader, OperatorReader, SnapshotReader};
use millpond::format::flink::Value;
use millpond::format::flink::header::{KeyedKind, StateInfo, StateType};
use millpond::format::flink::metadata::Distribution;

use crate::format::flink::text;

/// State name and kind, as the ground truth calls it.
pub(crate) type StateKey = (String, &'static str);

/// Elements by state and subtask.
pub(crate) type Elements = BTreeMap<String, BTreeMap<u32, Vec<String>>>;

/// What was found in the keyed and operator state of an operator.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    /// Lines of entries, in the order of the files.
    pub(crate) keyed: BTreeMap<StateKey, Vec<String>>,
    /// Elements by state and subtask.
    pub(crate) operator: Elements,
    /// Why keyed state (other than raw timers) is missing.
    pub(crate) not_covered: BTreeSet<String>,
}

pub(crate) fn dump(snapshot: &SnapshotReader) -> Result<BTreeMap<String, Dump>> {
    let mut dumps = BTreeMap::new();
    for operator in snapshot.operators() {
        let mut dump = Dump::default();
        dump.keyed_state(operator)?;
        dump.operator_state(operator)?;
        dumps.insert(operator.description().id.to_string(), dump);
    }
    Ok(dumps)
}

impl Dump {
    fn keyed_state(&mut self, operator: OperatorReader<'_>) -> Result<()> {
        let reader = operator.keyed()?;
        assert!(reader.gaps().is_empty(), "{reader:?}");
        assert_eq!(reader.unreadable().next(), None, "{reader:?}");
        for (position, state) in reader.states().iter().enumerate() {
            let lines = self.keyed.entry(state_key(state)).or_default();
            let visited = reader.visit(
                operator.max_parallelism().all_groups(),
                &|state| state == position,
                &mut |spot, _, entry| {
                    lines.extend(entry.flatten().iter().map(|entry| text::entry(entry, spot.group.0)));
                    Ok(ControlFlow::Continue(()))
                },
            );
            match visited {
                Err(error) if error.kind() == ErrorKind::Incompatible => {
                    self.not_covered.insert(error.message().to_owned());
                }
                visited => assert!(visited?.is_continue()),
            }
        }
        if reader.states().is_empty()
            && let Err(error) = reader.visit(operator.max_parallelism().all_groups(), &|_| true, &mut |_, _, _| {
                unreachable!("an entry without a state")
            })
        {
            assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
            self.not_covered.insert(error.message().to_owned());
        }
        Ok(())
    }

    fn operator_state(&mut self, operator: OperatorReader<'_>) -> Result<()> {
        self.operator = operator_elements(operator)?;
        Ok(())
    }
}

/// The entries of a keyed state; `None` if the reader knows no such state.
pub(crate) fn keyed_lines(reader: &KeyedReader<'_>, key: &(String, &str)) -> Result<Option<Vec<String>>> {
    let is_wanted = |state: &StateInfo| (state.name.as_str(), state_key(state).1) == (key.0.as_str(), key.1);
    let Some(position) = reader.states().iter().position(is_wanted) else { return Ok(None) };
    let mut lines = Vec::new();
    let groups = reader.operator().max_parallelism().all_groups();
    let flow = reader.visit(groups, &|state| state == position, &mut |spot, _, entry| {
        lines.extend(entry.flatten().iter().map(|entry| text::entry(entry, spot.group.0)));
        Ok(ControlFlow::Continue(()))
    })?;
    assert!(flow.is_continue());
    Ok(Some(lines))
}

/// Elements of operator state by state and subtask.
pub(crate) fn operator_elements(operator: OperatorReader<'_>) -> Result<Elements> {
    let mut found = Elements::new();
    for subtask in operator.operator_state()? {
        let index = subtask.subtask.0;
        for state in subtask.states() {
            found.entry(state.name.clone()).or_default().entry(index).or_default();
        }
        for element in subtask.elements() {
            let element = element?;
            let elements = found.entry(element.state.to_owned()).or_default().entry(index).or_default();
            match (element.distribution, &element.value) {
                (Distribution::Broadcast, Value::Map(entries)) => elements.push(text::pairs(entries)),
                (_, value) => elements.push(text::value(value)),
            }
        }
    }
    Ok(found)
}

fn state_key(state: &StateInfo) -> StateKey {
    let kind = match (state.state_type, state.keyed_kind()) {
        (StateType::PriorityQueue, _) if state.name.starts_with("_timer_state/event_") => "event-timers",
        (StateType::PriorityQueue, _) => "processing-timers",
        (_, KeyedKind::List) => "list",
        (_, KeyedKind::Map) => "map",
        (_, KeyedKind::Reducing) => "reducing",
        (_, KeyedKind::Aggregating) => "aggregating",
        _ => "value",
    };
    (state.name.clone(), kind)
}
