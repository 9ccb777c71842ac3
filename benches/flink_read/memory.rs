//! The most memory that was held while something ran.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes; 0 where the system does not tell.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Peak {
    /// Held besides mapped files.
    pub(crate) anonymous: u64,
    /// Resident, mapped files included, since the process began.
    pub(crate) resident: u64,
}

/// Looks at the memory of this process until it is stopped.
pub(crate) struct Watch {
    /// Dropped to end the watch.
    running: Sender<()>,
    thread: JoinHandle<u64>,
}

impl Watch {
    pub(crate) fn start() -> Self {
        let (running, ended) = channel();
        let thread = std::thread::spawn(move || {
            let mut most = status("RssAnon:");
            while ended.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
                most = most.max(status("RssAnon:"));
            }
            most
        });
        Watch { running, thread }
    }

    pub(crate) fn stop(self) -> Peak {
        drop(self.running);
        Peak { anonymous: self.thread.join().unwrap_or_default(), resident: status("VmHWM:") }
    }
}

/// A line of the status of this process, in bytes.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kib| kib * 1024)
}
