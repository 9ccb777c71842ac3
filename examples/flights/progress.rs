//! A progress bar for a person at a terminal; nothing anywhere else.

use std::io::{IsTerminal, Write};

const WIDTH: u64 = 40;

/// Draws on standard error, if that is a terminal.
#[derive(Debug)]
pub(crate) struct ProgressBar {
    total: u64,
    shown: bool,
}

impl ProgressBar {
    /// A bar of this many steps, not drawn yet.
    pub(crate) fn new(total: u64) -> Self {
        ProgressBar { total: total.max(1), shown: false }
    }

    /// Draws the bar at this step.
    pub(crate) fn show(&mut self, done: u64) {
        let mut stderr = std::io::stderr();
        if !stderr.is_terminal() {
            return;
        }
        let done = done.min(self.total);
        let filled = done * WIDTH / self.total;
        let bar: String = (0..WIDTH).map(|cell| if cell < filled { '#' } else { '.' }).collect();
        // A bar that cannot be drawn is no reason to stop the work it shows.
        let _ = write!(stderr, "\r  [{bar}] {:3} %", done * 100 / self.total);
        let _ = stderr.flush();
        self.shown = true;
    }

    /// Wipes the bar, so that a line can be printed in its place.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr(), "\r{:width$}\r", "", width = 52);
        }
    }
}
