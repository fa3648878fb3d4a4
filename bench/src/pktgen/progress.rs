//! How far a trial is, on a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::sender::Load;
use crate::output::grouped;

const STYLE: &str = "{elapsed_precise} {prefix}{wide_bar:.cyan/dim} {msg}";
const NS_PER_MS: u64 = 1_000_000;
const EVERY: Duration = Duration::from_millis(200);

/// A line that moves; nothing where standard error is no terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// As fast as it goes, time is what passes; else packets.
    by_time: bool,
    /// About when the first packet that counts was sent.
    began: Option<Instant>,
    shown: Instant,
    sent: u64,
}

impl Progress {
    /// Of a load. `what` is said before it.
    pub(crate) fn new(what: &'static str, load: &Load) -> Self {
        let planned = load.count.or_else(|| load.pace.due_before(load.duration_ns));
        let of_ms = load.duration_ns / NS_PER_MS;
        let bar = ProgressBar::new(planned.unwrap_or(of_ms)).with_prefix(what);
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style);
        }
        let by_time = planned.is_none();
        Self { bar, by_time, began: None, shown: Instant::now(), sent: 0 }
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
        if sent > 0 && self.began.is_none() {
            self.began = Some(self.shown);
        }
        let passed_ms = self.began.map_or(0, |began| began.elapsed().as_millis() as u64);
        let position = if self.by_time { passed_ms } else { sent };
        self.bar.set_position(position.min(self.bar.length().unwrap_or(position)));
        (self.shown, self.sent) = (Instant::now(), sent);
    }

    /// It is over: the line goes.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}
