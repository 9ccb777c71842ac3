//! What a running job tells the demo, one line each on standard output.

use std::fmt;
use std::str::FromStr;

use millpond::{Error, Result};

/// Something that happened in the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// State was restored; so many flights are in it.
    Restored { checkpoint: u64, flights: u64 },
    /// So many flights were read, those in restored state included.
    Progress { flights: u64 },
    /// Barriers of this checkpoint were sent.
    Started { checkpoint: u64 },
    /// This checkpoint will never be complete.
    Aborted { checkpoint: u64 },
    /// Every subtask has acknowledged this checkpoint and its manifest is durable.
    Completed { checkpoint: u64, flights: u64, bytes: u64, millis: u64 },
    /// The job has failed and starts again after this time.
    Restarting { delay_ms: u64 },
    /// The report is written.
    Finished { flights: u64 },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Restored { checkpoint, flights } => write!(f, "restored {checkpoint} {flights}"),
            Event::Progress { flights } => write!(f, "progress {flights}"),
            Event::Started { checkpoint } => write!(f, "started {checkpoint}"),
            Event::Aborted { checkpoint } => write!(f, "aborted {checkpoint}"),
            Event::Restarting { delay_ms } => write!(f, "restarting {delay_ms}"),
            Event::Completed { checkpoint, flights, bytes, millis } => {
                write!(f, "completed {checkpoint} {flights} {bytes} {millis}")
            }
            Event::Finished { flights } => write!(f, "finished {flights}"),
        }
    }
}

impl FromStr for Event {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self> {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let numbers: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        match (name, numbers.as_slice()) {
            ("restored", &[checkpoint, flights]) => Ok(Event::Restored { checkpoint, flights }),
            ("progress", &[flights]) => Ok(Event::Progress { flights }),
            ("started", &[checkpoint]) => Ok(Event::Started { checkpoint }),
            ("completed", &[checkpoint, flights, bytes, millis]) => {
                Ok(Event::Completed { checkpoint, flights, bytes, millis })
            }
            ("aborted", &[checkpoint]) => Ok(Event::Aborted { checkpoint }),
            ("restarting", &[delay_ms]) => Ok(Event::Restarting { delay_ms }),
            ("finished", &[flights]) => Ok(Event::Finished { flights }),
            _ => Err(Error::invalid_input(format!("the job said {line:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_parse_what_they_print() {
        let events = [
            Event::Restored { checkpoint: 3, flights: 9 },
            Event::Progress { flights: 1 },
            Event::Started { checkpoint: 4 },
            Event::Completed { checkpoint: 4, flights: 2, bytes: 3, millis: 5 },
            Event::Aborted { checkpoint: 5 },
            Event::Restarting { delay_ms: 20 },
            Event::Finished { flights: 10 },
        ];
        for event in events {
            assert_eq!(event.to_string().parse::<Event>().unwrap(), event);
        }
        for line in ["", "progress", "progress x", "progress 1 2", "panicked 3"] {
            assert!(line.parse::<Event>().is_err(), "{line:?}");
        }
    }
}
