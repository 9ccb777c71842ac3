//! What became of every state: for people as text, for programs through serde.

use std::fmt;

use serde::Serialize;

/// What became of every operator and state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The operators, in the order of the source.
    pub operators: Vec<OperatorReport>,
}

/// What became of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperatorReport {
    /// Uid, name or id in the source.
    pub operator: String,
    /// Uid, name or id in the result; `None` where the operator was left out.
    pub written_as: Option<String>,
    /// Id in the result, 32 hexadecimal digits.
    pub id: String,
    /// Number of subtasks in the result.
    pub parallelism: u32,
    /// Number of key groups in the result.
    pub max_parallelism: u32,
    /// What else is to be said.
    pub notes: Vec<String>,
    /// The states.
    pub states: Vec<StateReport>,
}

/// What became of a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateReport {
    /// Name in the source.
    pub state: String,
    /// Name in the result.
    pub written_as: String,
    /// Kind, such as `map`; `coordinator` and `raw-operator` are bytes of the operator's own.
    pub kind: String,
    /// Type of its values.
    pub value_type: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Entries written.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// What became of a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "kebab-case")]
pub enum Outcome {
    /// Its entries were understood and written.
    Converted,
    /// Its entries were copied without being understood; the class says of what.
    Carried(String),
    /// It was left out, as asked.
    Dropped,
    /// It has no counterpart; the reason says why.
    Refused(String),
}

impl Report {
    /// States with an outcome of their own kind.
    fn count(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        self.operators.iter().flat_map(|operator| &operator.states).filter(|state| is(&state.outcome)).count()
    }

    /// The states that were refused, with the operator of each.
    pub fn refused(&self) -> impl Iterator<Item = (&OperatorReport, &StateReport, &str)> {
        self.operators.iter().flat_map(|operator| {
            operator.states.iter().filter_map(move |state| match &state.outcome {
                Outcome::Refused(reason) => Some((operator, state, reason.as_str())),
                _ => None,
            })
        })
    }

    /// Entries of all states.
    pub fn entries(&self) -> u64 {
        self.operators.iter().flat_map(|operator| &operator.states).map(|state| state.entries).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for operator in &self.operators {
            let OperatorReport { operator: label, written_as, id: _, parallelism, max_parallelism, notes, states } =
                operator;
            match written_as {
                None => writeln!(f, "operator {label}: left out")?,
                Some(name) => {
                    let renamed = if name == label { String::new() } else { format!(" as {name}") };
                    writeln!(f, "operator {label}{renamed}: parallelism {parallelism} of {max_parallelism}")?;
                }
            }
            notes.iter().try_for_each(|note| writeln!(f, "  note: {note}"))?;
            states.iter().try_for_each(|state| writeln!(f, "  {state}"))?;
        }
        write!(
            f,
            "{} states converted, {} carried opaquely, {} left out, {} refused; {} entries",
            self.count(|outcome| *outcome == Outcome::Converted),
            self.count(|outcome| matches!(outcome, Outcome::Carried(_))),
            self.count(|outcome| *outcome == Outcome::Dropped),
            self.count(|outcome| matches!(outcome, Outcome::Refused(_))),
            self.entries()
        )
    }
}

impl StateReport {
    /// Whether the state belongs to keys.
    pub(super) fn is_keyed(&self) -> bool {
        !["operator-list", "operator-union", "broadcast", "coordinator", "raw-operator"].contains(&self.kind.as_str())
    }
}

impl fmt::Display for StateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StateReport { state, written_as, kind, value_type, outcome, entries, bytes } = self;
        write!(f, "{kind} {state}")?;
        if written_as != state {
            write!(f, " as {written_as}")?;
        }
        write!(f, " of {value_type}: ")?;
        match outcome {
            Outcome::Converted => write!(f, "converted, {entries} entries, {bytes} bytes"),
            Outcome::Carried(class) => write!(f, "carried ({class} is opaque), {entries} entries, {bytes} bytes"),
            Outcome::Dropped => f.write_str("left out"),
            Outcome::Refused(reason) => write!(f, "refused: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_text() {
        let state = |outcome, entries| StateReport {
            state: "s".into(),
            written_as: "t".into(),
            kind: "value".into(),
            value_type: "Long".into(),
            outcome,
            entries,
            bytes: 9,
        };
        let states = vec![state(Outcome::Converted, 2), state(Outcome::Refused("no".into()), 0)];
        let operator = OperatorReport {
            operator: "a".into(),
            written_as: Some("b".into()),
            id: String::new(),
            parallelism: 2,
            max_parallelism: 128,
            notes: Vec::new(),
            states,
        };
        let report = Report { operators: vec![operator] };
        assert_eq!(
            report.to_string(),
            "operator a as b: parallelism 2 of 128\n  value s as t of Long: converted, 2 entries, 9 bytes\n  \
             value s as t of Long: refused: no\n1 states converted, 0 carried opaquely, 0 left out, 1 refused; 2 entries"
        );
        assert_eq!(report.refused().count(), 1);
    }
}
