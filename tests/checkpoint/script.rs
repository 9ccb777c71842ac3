//! Protocol tests that can be read aloud: text files of commands and the actions they must cause.
//!
//! A block is one or more commands, a line of dashes, the expected output, and a blank line; `#` starts a comment. Every
//! command but `config` and the questions begins with the time in milliseconds:
//!
//! ```text
//! config interval=1000 timeout=5000        before anything else; completed=3,4 inherits checkpoints
//! 0 running a/0 a/1 finished=a/1           the job runs with these subtasks
//! 1000 tick
//! 1000 request 7 checkpoint                or: savepoint DIR [canonical|native] [stop|drain]
//! 1005 ack 1 a/0 up=x reuse=y              objects are NAME or NAME:CONTENT
//! 1005 decline 1 a/0 REASON
//! 1005 finish a/0
//! 1005 published 1 committed               or: not-committed, unknown, passed-over; ticket=N for another than the step under way
//! 1005 slot 1 ours                         or: foreign, absent, sealed, unreadable; likewise
//! 1005 job-failed
//! 1005 terminate cancelled                 or: finished, failed, suspended
//! state                                    question: kept, subsumed and pending checkpoints, wake-up time
//! recovery                                 question: what the job would start from
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use millpond::checkpoint::barrier::{Alignment, Delivery};
use millpond::checkpoint::config::{Retention, Termination};
use millpond::checkpoint::event::{JobFailure, Outcome, RequestId, Slot, Ticket};
use millpond::checkpoint::pending::{Kind, Metadata, Savepoint, SavepointFormat, Stop, Subtask, SubtaskSnapshot};
use millpond::checkpoint::{Action, Config, Coordinator, Event, Inheritance, Recovery};
use millpond::codec::Digest;
use millpond::format::manifest::{ObjectRef, ObjectScope};
use millpond::ids::{CheckpointId, OperatorId, SubtaskIndex};

const OPERATORS: [&str; 4] = ["a", "b", "c", "d"];

struct Script {
    config: Config,
    inheritance: Inheritance<String>,
    coordinator: Option<Coordinator<String>>,
    tickets: BTreeMap<CheckpointId, Ticket>,
}

fn subtask(text: &str) -> Subtask {
    let (operator, index) = text.split_once('/').unwrap_or_else(|| panic!("subtask {text:?} is not NAME/INDEX"));
    assert!(OPERATORS.contains(&operator), "operator {operator:?}");
    Subtask { operator: OperatorId::from_uid(operator), index: SubtaskIndex(index.parse().unwrap()) }
}

/// Puts the names of operators back in place of their ids.
fn readable(text: &str) -> String {
    OPERATORS.iter().fold(text.to_string(), |text, name| text.replace(&OperatorId::from_uid(name).to_string(), name))
}

fn object(text: &str) -> ObjectRef {
    let (name, content) = text.split_once(':').unwrap_or((text, text));
    let digest = millpond::codec::digest(content.as_bytes());
    ObjectRef { scope: ObjectScope::Shared, name: name.into(), length: content.len() as u64, digest: Digest(digest.0) }
}

fn options<'a>(words: &[&'a str], key: &str) -> Vec<&'a str> {
    let values = words.iter().filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    values.flat_map(|value| value.split(',')).filter(|value| !value.is_empty()).collect()
}

fn id(text: &str) -> CheckpointId {
    CheckpointId(text.parse().unwrap_or_else(|_| panic!("checkpoint {text:?}")))
}

fn ids(ids: impl IntoIterator<Item = CheckpointId>) -> String {
    let words: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    if words.is_empty() { "-".into() } else { words.join(" ") }
}

fn kind(words: &[&str]) -> Kind {
    if words[0] == "checkpoint" {
        return Kind::Checkpoint;
    }
    assert_eq!(words[0], "savepoint");
    let has = |word| words.contains(&word);
    let format = if has("native") { SavepointFormat::Native } else { SavepointFormat::Canonical };
    let stop = if has("drain") { Some(Stop::Drain) } else { has("stop").then_some(Stop::Suspend) };
    Kind::Savepoint(Savepoint { target: words[1].into(), format, stop })
}

/// `latest` is the ticket of the step under way, for reports that do not name another.
fn event(words: &[&str], latest: impl Fn(CheckpointId) -> Ticket) -> Event<String> {
    let reason = || "storage says no".to_string();
    let rest = &words[1..];
    let ticket =
        || options(rest, "ticket").first().map_or_else(|| latest(id(rest[0])), |text| Ticket(text.parse().unwrap()));
    match words[0] {
        "tick" => Event::Tick,
        "running" => Event::Running {
            subtasks: rest.iter().filter(|word| !word.contains('=')).map(|word| subtask(word)).collect(),
            finished: options(rest, "finished").into_iter().map(subtask).collect(),
        },
        "request" => Event::Request { request: RequestId(rest[0].parse().unwrap()), kind: kind(&rest[1..]) },
        "ack" => {
            let objects = |key| options(rest, key).into_iter().map(object).collect();
            let snapshot =
                SubtaskSnapshot { handle: rest[1].into(), uploaded: objects("up"), reused: objects("reuse") };
            Event::Acknowledged { id: id(rest[0]), subtask: subtask(rest[1]), snapshot }
        }
        "decline" => Event::Declined { id: id(rest[0]), subtask: subtask(rest[1]), reason: rest[2..].join(" ") },
        "finish" => Event::SubtaskFinished(subtask(rest[0])),
        "published" => {
            let outcome = match rest[1] {
                "committed" => Outcome::Committed,
                "passed-over" => Outcome::PassedOver,
                "not-committed" => Outcome::NotCommitted { reason: reason() },
                "unknown" => Outcome::Unknown { reason: reason() },
                other => panic!("outcome {other:?}"),
            };
            Event::Published { id: id(rest[0]), ticket: ticket(), outcome }
        }
        "slot" => {
            let found = match rest[1] {
                "ours" => Slot::Ours,
                "foreign" => Slot::Foreign,
                "absent" => Slot::Absent,
                "sealed" => Slot::Sealed,
                "unreadable" => Slot::Unreadable { reason: reason() },
                other => panic!("slot {other:?}"),
            };
            Event::SlotRead { id: id(rest[0]), ticket: ticket(), found }
        }
        "job-failed" => Event::JobFailed,
        "terminate" => Event::Terminated(match rest[0] {
            "finished" => Termination::Finished,
            "cancelled" => Termination::Cancelled,
            "failed" => Termination::Failed,
            "suspended" => Termination::Suspended,
            other => panic!("termination {other:?}"),
        }),
        other => panic!("command {other:?}"),
    }
}

fn show_kind(kind: &Kind) -> String {
    match kind {
        Kind::Checkpoint => "checkpoint".into(),
        Kind::Savepoint(Savepoint { target, format, stop }) => {
            let format = match format {
                SavepointFormat::Canonical => "canonical",
                SavepointFormat::Native => "native",
            };
            let stop = match stop {
                None => "",
                Some(Stop::Suspend) => " stop",
                Some(Stop::Drain) => " drain",
            };
            format!("savepoint {target} {format}{stop}")
        }
    }
}

fn show_metadata(metadata: &Metadata<String>) -> String {
    let mut line = ids([metadata.id]);
    for handle in metadata.snapshots.values().map(|snapshot| &snapshot.handle) {
        write!(line, " {handle}").unwrap();
    }
    let finished: Vec<String> = metadata.finished.iter().map(|subtask| readable(&subtask.to_string())).collect();
    if !finished.is_empty() {
        write!(line, " finished={}", finished.join(",")).unwrap();
    }
    let objects: BTreeSet<&str> = metadata.shared().map(|object| object.name.as_str()).collect();
    if !objects.is_empty() {
        write!(line, " objects={}", objects.into_iter().collect::<Vec<_>>().join(",")).unwrap();
    }
    line
}

fn show(action: &Action<String>) -> String {
    match action {
        Action::Trigger(trigger) => {
            let alignment = match trigger.barrier.alignment {
                Alignment::Aligned => "aligned".to_string(),
                Alignment::AlignedUntil { deadline_ms } => format!("aligned-until-{deadline_ms}"),
                Alignment::Unaligned => "unaligned".to_string(),
            };
            format!(
                "trigger {} {} {alignment} base={}",
                trigger.barrier.id,
                show_kind(&trigger.kind),
                ids(trigger.base)
            )
        }
        Action::Publish { metadata, attempt, .. } => format!("publish {} attempt={attempt}", show_metadata(metadata)),
        Action::ReadSlot { metadata, .. } => format!("read-slot {}", metadata.id),
        Action::SealSlot { metadata, .. } => format!("seal-slot {}", metadata.id),
        Action::NotifyComplete(id) => format!("notify-complete {id}"),
        Action::NotifyAbort(id) => format!("notify-abort {id}"),
        Action::Answer { request, result: Ok(id) } => format!("answer {} completed {id}", request.0),
        Action::Answer { request, result: Err(abort) } => format!("answer {} failed: {abort}", request.0),
        Action::StopJob(id) => format!("stop-job {id}"),
        Action::FailJob(JobFailure::Fenced { id }) => format!("fail-job fenced by {id}"),
        Action::FailJob(failure) => format!("fail-job {failure}"),
        Action::Retire(retired) => format!("retire {}", ids(retired.iter().copied())),
    }
}

impl Script {
    fn new() -> Self {
        Script {
            config: super::configured(Config::default()),
            inheritance: Inheritance::default(),
            coordinator: None,
            tickets: BTreeMap::new(),
        }
    }

    fn configure(&mut self, words: &[&str]) -> String {
        let number = |key| options(words, key).first().map(|value| value.parse::<u64>().unwrap());
        let small = |key, default: u32| number(key).map_or(default, |value| u32::try_from(value).unwrap());
        let retention = match options(words, "retention").first() {
            None | Some(&"retain") => Retention::RetainOnCancellation,
            Some(&"delete") => Retention::DeleteOnCancellation,
            Some(&"none") => Retention::None,
            Some(other) => panic!("retention {other:?}"),
        };
        self.config = super::configured(Config {
            interval_ms: number("interval"),
            delivery: if words.contains(&"at-least-once") { Delivery::AtLeastOnce } else { Delivery::ExactlyOnce },
            min_pause_ms: number("min-pause").unwrap_or(0),
            timeout_ms: number("timeout").unwrap_or(600_000),
            tolerable_failures: small("tolerable", 0),
            max_concurrent: small("concurrent", 1),
            retained: small("retained", 1),
            retention,
            unaligned: words.contains(&"unaligned"),
            aligned_timeout_ms: number("aligned-timeout"),
            ..Config::default()
        });
        for text in options(words, "completed") {
            let (number, objects) = text.split_once('+').unwrap_or((text, ""));
            let mut snapshot = SubtaskSnapshot::exclusive("a/0".to_string());
            snapshot.uploaded.extend(objects.split('+').filter(|name| !name.is_empty()).map(object));
            self.inheritance.completed.push(Metadata {
                id: id(number),
                kind: Kind::Checkpoint,
                triggered_at_ms: 0,
                snapshots: [(subtask("a/0"), snapshot)].into(),
                finished: BTreeSet::new(),
            });
            self.inheritance.next_id = self.inheritance.next_id.max(id(number).next());
        }
        match self.config.validate() {
            Ok(()) => "ok\n".into(),
            Err(error) => format!("{error}\n"),
        }
    }

    fn coordinator(&mut self) -> &mut Coordinator<String> {
        self.coordinator.get_or_insert_with(|| Coordinator::new(self.config.clone(), self.inheritance.clone()).unwrap())
    }

    fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "config" => return self.configure(&words),
            "state" => return self.state(),
            "recovery" => {
                return match self.coordinator().recovery() {
                    Recovery::Initial => "initial\n".into(),
                    Recovery::From(metadata) => format!("from {} {}\n", metadata.id, show_kind(&metadata.kind)),
                    Recovery::Undecided(undecided) => format!("undecided {}\n", ids(undecided)),
                };
            }
            _ => {}
        }
        let now_ms = words[0].parse().unwrap_or_else(|_| panic!("time {:?}", words[0]));
        let event = event(&words[1..], |id| self.tickets.get(&id).copied().unwrap_or(Ticket(0)));
        let actions = self.coordinator().handle(now_ms, event);
        for action in &actions {
            if let Action::Publish { metadata, ticket, .. }
            | Action::ReadSlot { metadata, ticket }
            | Action::SealSlot { metadata, ticket } = action
            {
                self.tickets.insert(metadata.id, *ticket);
            }
        }
        actions.iter().map(|action| readable(&show(action)) + "\n").collect()
    }

    fn state(&mut self) -> String {
        let coordinator = self.coordinator();
        let (kept, subsumed) = (ids(coordinator.completed().ids()), ids(coordinator.completed().subsumed()));
        let wake = coordinator.wake_at_ms().map_or("-".into(), |ms| ms.to_string());
        format!("kept {kept} | subsumed {subsumed} | pending {} | wake {wake}\n", ids(coordinator.pending()))
    }
}

/// Runs a script and compares every block.
fn check(name: &str, text: &str) {
    let mut script = Script::new();
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')).peekable();
    while lines.peek().is_some() {
        let (mut commands, mut expected, mut first) = (Vec::new(), String::new(), 0);
        for (number, line) in lines.by_ref() {
            if line.starts_with("----") {
                break;
            }
            if !line.trim().is_empty() {
                first = if commands.is_empty() { number + 1 } else { first };
                commands.push(line);
            }
        }
        for (_, line) in lines.by_ref() {
            if line.trim().is_empty() {
                break;
            }
            expected += line.trim();
            expected.push('\n');
        }
        let found: String = commands.iter().map(|command| script.run(command)).collect();
        let found = if found.is_empty() && !commands.is_empty() { "nothing\n".to_string() } else { found };
        if !commands.is_empty() {
            assert_eq!(found, expected, "{name}, line {first}: {commands:?}\nfound:\n{found}");
        }
    }
}

macro_rules! scripts {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name), include_str!(concat!(stringify!($name), ".txt")));
            }
        )*

        /// What the bank of mistakes tries (see `checkpoint::bank`).
        #[cfg(feature = "test-util")]
        pub(super) const CASES: &[(&str, fn())] = &[$((stringify!($name), $name)),*];
    };
}

scripts! {
    one_checkpoint
    schedule
    failures
    overdue
    publication
    retention
    savepoints
    stop_with_savepoint
    finished_subtasks
    concurrent
    reuse
    unaligned
    job_failure
    termination
    fenced
}
