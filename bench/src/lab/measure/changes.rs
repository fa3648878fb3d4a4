//! Backends that change: how long it takes, and what it costs those who send meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Bench;
use crate::error::{BenchError, Result};
use crate::lab::book::Book;
use crate::lab::metric::{CHURN_EVERY_MS, Metric};
use crate::lab::subject::{Running, Subject};
use crate::pktgen::{Pace, TrialResult, Wait};

/// Changes of a backend for one figure, their median.
const CHANGES: usize = 7;

impl Bench<'_> {
    pub(super) fn changes(
        &self,
        subject: &Subject,
        running: &mut Running<'_>,
        book: &mut Book<'_>,
    ) -> Result<()> {
        if self.args.measures(Metric::Change) {
            let mut times = Vec::new();
            for number in 1..=CHANGES {
                times.push(running.change(backends(number))?);
            }
            times.sort();
            let median = times.get(CHANGES / 2).copied().unwrap_or_default();
            book.note(subject, Metric::Change, median.as_secs_f64() * 1e3);
        }
        if self.args.measures(Metric::Churn) {
            self.churn(subject, running, book)?;
        }
        Ok(())
    }

    fn churn(
        &self,
        subject: &Subject,
        running: &mut Running<'_>,
        book: &mut Book<'_>,
    ) -> Result<()> {
        let mut session = self.session(subject, Wait::Busy)?;
        let pace = Pace::Even { pps: self.args.rate };
        let over = AtomicBool::new(false);
        let (outcome, changes) = thread::scope(|scope| {
            let churn = scope.spawn(|| change_on_schedule(running, &over));
            let outcome = self.trial(&mut session, pace, self.args.seconds, None);
            over.store(true, Ordering::Relaxed);
            let changes = churn.join().map_err(|_| BenchError::Panicked)??;
            Ok::<_, BenchError>((outcome?, changes))
        })?;
        let forward = TrialResult::of(&outcome).forward;
        // Lost packets over the offered rate: so long was nothing forwarded.
        let blocked_ms = forward.lost_share * self.args.seconds * 1e3;
        book.note_churn(subject, blocked_ms, changes);
        Ok(())
    }
}

/// Begins a change whenever one is due; who is slower changes without a pause. Returns how many.
fn change_on_schedule(running: &mut Running<'_>, over: &AtomicBool) -> Result<usize> {
    let every = Duration::from_millis(CHURN_EVERY_MS);
    let (mut due, mut changes) = (Instant::now(), 0);
    while !over.load(Ordering::Relaxed) {
        running.change(backends(changes))?;
        changes += 1;
        let now = Instant::now();
        due = (due + every).max(now);
        thread::sleep(due - now);
    }
    Ok(changes)
}

/// Two or three, in turn.
fn backends(number: usize) -> usize {
    2 + (number + 1) % 2
}
