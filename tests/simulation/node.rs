//! A coordinator and the subtasks that it runs; messages between them are on their way for a while, and come twice.

use std::collections::VecDeque;

use millpond::Result;
use millpond::backend::KeyedSnapshotFormat;
use millpond::checkpoint::Driver;
use millpond::checkpoint::driver::{Completed, Engine, Restore, Setup, Start};
use millpond::checkpoint::event::{Abort, Event, JobFailure, RequestId, Trigger};
use millpond::checkpoint::pending::{Kind, Savepoint, SavepointFormat, Subtask};
use millpond::checkpoint::restart::{Backoff, RestartDecider, RestartStrategy, Verdict};
use millpond::ids::{CheckpointId, OperatorId};
use millpond::random::{RandomSource, SeededRandom};
use millpond::snapshot::{SnapshotTarget, SubtaskReport};
use millpond::storage::ObjectPath;

use super::part::{Counts, OPERATOR, Part, Taken};

/// A message on its way.
enum Mail {
    Trigger { part: usize, trigger: Trigger, target: SnapshotTarget },
    Write { part: usize, trigger: Trigger, target: SnapshotTarget, taken: Taken },
    Acknowledge { id: CheckpointId, subtask: Subtask, report: SubtaskReport },
    Decline { id: CheckpointId, subtask: Subtask },
    End { part: usize, id: CheckpointId, complete: bool },
}

/// What has happened that the world has to know.
#[derive(Debug, Clone)]
pub(super) enum News {
    /// A subtask has taken its snapshot.
    Took {
        id: CheckpointId,
        counts: Counts,
    },
    /// Side effects up to this checkpoint are let out.
    Complete(CheckpointId),
    Savepoint {
        id: CheckpointId,
        directory: ObjectPath,
    },
    Failed(String),
}

#[derive(Default)]
struct Hands {
    triggered: Vec<(Trigger, SnapshotTarget)>,
    ended: Vec<(CheckpointId, bool)>,
    answered: Vec<Completed>,
    failed: Option<String>,
}

impl Engine for Hands {
    fn trigger(&mut self, trigger: &Trigger, target: &SnapshotTarget) {
        self.triggered.push((trigger.clone(), target.clone()));
    }

    fn notify_complete(&mut self, id: CheckpointId) {
        self.ended.push((id, true));
    }

    fn notify_abort(&mut self, id: CheckpointId) {
        self.ended.push((id, false));
    }

    fn answer(&mut self, _: RequestId, result: std::result::Result<Completed, Abort>) {
        self.answered.extend(result.ok());
    }

    fn stop(&mut self, _: CheckpointId) {}

    fn fail(&mut self, failure: &JobFailure) {
        self.failed = Some(failure.to_string());
    }
}

pub(super) struct Node {
    pub(super) number: u64,
    pub(super) driver: Driver,
    /// How far its clock is ahead.
    skew_ms: i64,
    parallelism: u32,
    hands: Hands,
    parts: Vec<Part>,
    mail: VecDeque<Mail>,
    decider: RestartDecider,
    restart_at_ms: Option<i64>,
    random: SeededRandom,
    pub(super) news: Vec<News>,
    requests: u64,
}

pub(super) fn pick(random: &SeededRandom, bound: u64) -> u64 {
    u64::try_from(random.next_u128().unwrap() % u128::from(bound.max(1))).unwrap()
}

fn strategy(random: &SeededRandom) -> RestartStrategy {
    match pick(random, 3) {
        0 => RestartStrategy::FixedDelay { attempts: 3, delay_ms: 20 },
        1 => RestartStrategy::FailureRate { max_failures: 2, interval_ms: 300, delay_ms: 10 },
        _ => RestartStrategy::ExponentialDelay(Backoff { initial_ms: 5, max_ms: 100, ..Backoff::default() }),
    }
}

impl Node {
    /// Takes the job over. Also gives what it starts from.
    pub(super) fn open(setup: Setup, number: u64, seed: u64, now_ms: i64, skew_ms: i64) -> Result<(Self, Counts)> {
        let parallelism = setup.job.operators()[0].parallelism.get();
        let opened = Driver::open(setup, now_ms + skew_ms)?;
        let random = SeededRandom::new(seed);
        let decider = RestartDecider::new(strategy(&random)).unwrap();
        let mut node = Node {
            number,
            driver: opened.driver,
            skew_ms,
            parallelism,
            hands: Hands::default(),
            parts: Vec::new(),
            mail: VecDeque::new(),
            decider,
            restart_at_ms: None,
            random,
            news: Vec::new(),
            requests: 0,
        };
        let from = match opened.start {
            Start::From(restore) => Some(restore),
            Start::Empty => None,
            Start::Undecided(ids) => panic!("{ids:?} are undecided at the start"),
        };
        let counts = node.start(from.as_ref(), now_ms)?;
        Ok((node, counts))
    }

    fn start(&mut self, from: Option<&Restore>, now_ms: i64) -> Result<Counts> {
        let snapshot = from.map(Restore::open).transpose()?;
        let parts = (0..self.parallelism).map(|index| Part::new(index, self.parallelism, snapshot.as_ref()));
        self.parts = parts.collect::<Result<_>>()?;
        self.mail.clear();
        self.restart_at_ms = None;
        self.driver.running(now_ms + self.skew_ms, from, &mut self.hands);
        self.sort_out(now_ms);
        Ok(self.counts())
    }

    pub(super) fn counts(&self) -> Counts {
        self.parts.iter().flat_map(Part::counts).collect()
    }

    pub(super) fn is_done(&self) -> bool {
        !self.parts.is_empty() && self.parts.iter().all(Part::is_done)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.mail.is_empty() && self.restart_at_ms.is_none()
    }

    pub(super) fn process(&mut self) {
        for part in &mut self.parts {
            part.process();
        }
    }

    pub(super) fn step(&mut self, now_ms: i64) {
        self.driver.step(now_ms + self.skew_ms, &mut self.hands);
        self.sort_out(now_ms);
    }

    pub(super) fn fail(&mut self, now_ms: i64) {
        self.driver.handle(now_ms + self.skew_ms, Event::JobFailed, &mut self.hands);
        self.hands.failed = Some("its subtasks died".to_owned());
        self.sort_out(now_ms);
    }

    pub(super) fn request(&mut self, now_ms: i64, savepoint: bool) {
        self.requests += 1;
        let format = if self.requests.is_multiple_of(2) { SavepointFormat::Canonical } else { SavepointFormat::Native };
        let kind = match savepoint {
            true => Kind::Savepoint(Savepoint { target: String::new(), format, stop: None }),
            false => Kind::Checkpoint,
        };
        self.driver.request(now_ms + self.skew_ms, RequestId(self.requests), kind, &mut self.hands);
        self.sort_out(now_ms);
    }

    /// Restarts the job if it is time; gives what it goes on from.
    pub(super) fn restart(&mut self, now_ms: i64) -> Option<Result<Counts>> {
        if self.restart_at_ms.is_none_or(|at_ms| at_ms > now_ms) || self.driver.is_passed_over() {
            return None;
        }
        let from = match self.driver.start() {
            Ok(Start::Undecided(_)) => return None,
            Ok(Start::Empty) => None,
            Ok(Start::From(restore)) => Some(restore),
            Err(error) => return Some(Err(error)),
        };
        Some(self.start(from.as_ref(), now_ms))
    }

    /// Delivers one of the oldest messages, perhaps twice.
    pub(super) fn deliver(&mut self, now_ms: i64) {
        let at = usize::try_from(pick(&self.random, 4)).unwrap().min(self.mail.len().saturating_sub(1));
        let Some(mail) = self.mail.remove(at) else { return };
        let twice = pick(&self.random, 12) == 0;
        match mail {
            Mail::Trigger { part, trigger, target } => {
                let id = trigger.barrier.id;
                let Some(own) = self.parts.get_mut(part) else { return };
                if own.newest() > Some(id) {
                    // Barriers do not pass each other: this one is out of date.
                    let subtask = Subtask { operator: OperatorId::from_uid(OPERATOR), index: own.index() };
                    return self.mail.push_back(Mail::Decline { id, subtask });
                }
                let taken = own.take(id);
                self.news.push(News::Took { id, counts: taken.counts.clone() });
                self.mail.push_back(Mail::Write { part, trigger, target, taken });
            }
            Mail::Write { part, trigger, target, taken } => self.write(part, &trigger, &target, taken),
            Mail::Acknowledge { id, subtask, report } => {
                if twice {
                    self.mail.push_back(Mail::Acknowledge { id, subtask, report: report.clone() });
                }
                self.driver.acknowledge(now_ms + self.skew_ms, id, subtask, vec![report], &mut self.hands);
            }
            Mail::Decline { id, subtask } => {
                let event = Event::Declined { id, subtask, reason: "it could not be written".to_owned() };
                self.driver.handle(now_ms + self.skew_ms, event, &mut self.hands);
            }
            Mail::End { part, id, complete } => {
                if let Some(own) = self.parts.get_mut(part) {
                    own.end(id, complete);
                }
                if twice {
                    self.mail.push_back(Mail::End { part, id, complete });
                }
            }
        }
        self.sort_out(now_ms);
    }

    fn write(&mut self, part: usize, trigger: &Trigger, target: &SnapshotTarget, taken: Taken) {
        let Some(own) = self.parts.get(part) else { return };
        let id = trigger.barrier.id;
        let subtask = Subtask { operator: OperatorId::from_uid(OPERATOR), index: own.index() };
        let format = match &trigger.kind {
            Kind::Savepoint(savepoint) if savepoint.format == SavepointFormat::Native => KeyedSnapshotFormat::Native,
            Kind::Savepoint(_) => KeyedSnapshotFormat::Canonical,
            Kind::Checkpoint => KeyedSnapshotFormat::Incremental,
        };
        self.mail.push_back(match own.write(taken, target, format) {
            Ok(report) => Mail::Acknowledge { id, subtask, report },
            Err(_) => Mail::Decline { id, subtask },
        });
    }

    /// Puts what the driver asked for on its way.
    fn sort_out(&mut self, now_ms: i64) {
        for (trigger, target) in std::mem::take(&mut self.hands.triggered) {
            for part in 0..self.parts.len() {
                self.mail.push_back(Mail::Trigger { part, trigger: trigger.clone(), target: target.clone() });
            }
        }
        for (id, complete) in std::mem::take(&mut self.hands.ended) {
            if complete {
                self.news.push(News::Complete(id));
            }
            (0..self.parts.len()).for_each(|part| self.mail.push_back(Mail::End { part, id, complete }));
        }
        for Completed { id, directory, .. } in std::mem::take(&mut self.hands.answered) {
            if !directory.as_str().contains('/') {
                self.news.push(News::Savepoint { id, directory });
            }
        }
        if let Some(reason) = self.hands.failed.take() {
            self.news.push(News::Failed(reason));
            self.parts.clear();
            self.mail.clear();
            let random = pick(&self.random, u64::MAX);
            self.restart_at_ms = match self.decider.on_failure(now_ms, random) {
                Verdict::Restart { delay_ms } => Some(now_ms + i64::try_from(delay_ms).unwrap()),
                Verdict::GiveUp(_) => Some(i64::MAX),
            };
        }
    }

    /// Whether it has given up, and somebody has to start the program again.
    pub(super) fn is_over(&self) -> bool {
        self.driver.is_passed_over() || self.restart_at_ms == Some(i64::MAX)
    }
}
