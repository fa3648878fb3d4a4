//! How far a trial is, on a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::schedule::Pace;
use super::sender::Load;
use crate::output::grouped;

const STYLE: &str = "{elapsed_precise} {wide_bar:.cyan/dim} {msg}";
const EVERY: Duration = Duration::from_millis(200);

/// A line that moves; nothing where standard error is no terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    shown: Instant,
    sent: u64,
}

impl Progress {
    /// Of a load.
    pub(crate) fn new(load: &Load) -> Self {
        let planned = load.count.or_else(|| load.pace.due_before(load.duration_ns));
        // As fast as it goes, time is what passes.
        let length = match (planned, load.pace) {
            (None, Pace::Max) => load.duration_ns / 1_000_000,
            (planned, _) => planned.unwrap_or(0),
        };
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style);
        }
        Self { bar, shown: Instant::now(), sent: 0 }
    }

    /// Packets sent and received so far.
    pub(crate) fn show(&mut self, [sent, received]: [u64; 2]) {
        let since = self.shown.elapsed();
        if since < EVERY {
            return;
        }
        let pps = sent.saturating_sub(self.sent) as f64 / since.as_secs_f64();
        self.bar.set_message(format!(
            "{} sent, {} received, {:.3} Mpps",
            grouped(sent),
            grouped(received),
            pps / 1e6
        ));
        self.bar.set_position(sent.min(self.bar.length().unwrap_or(sent)));
        (self.shown, self.sent) = (Instant::now(), sent);
    }

    /// It is over: the line goes.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}
