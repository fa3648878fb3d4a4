use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{BenchError, Result};

const POLL: Duration = Duration::from_millis(20);

/// Whether somebody wants the harness to stop. From [`Interrupt::watch`] on, signals no longer end
/// the process: it puts the lab away first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to listen, on a thread of its own, for as long as the process lives.
    pub(crate) fn watch() -> Self {
        let interrupt = Self::default();
        let flag = interrupt.clone();
        let (ready, installed) = std::sync::mpsc::channel();
        std::thread::spawn(move || flag.listen(&ready));
        // Without handlers the signals do what they always do; nothing else is lost.
        let _ = installed.recv();
        interrupt
    }

    /// [`BenchError::Interrupted`] once a signal has come.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(BenchError::Interrupted) } else { Ok(()) }
    }

    /// As a signal does.
    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Sleeps, but not beyond a signal.
    pub(crate) fn sleep(&self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        loop {
            self.check()?;
            match end.checked_duration_since(Instant::now()) {
                None => return Ok(()),
                Some(left) => std::thread::sleep(left.min(POLL)),
            }
        }
    }

    /// Waits until something is so, a signal comes, or so many seconds are over.
    pub(crate) fn wait_until(
        &self,
        what: &str,
        seconds: u64,
        mut is_so: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while !is_so()? {
            if Instant::now() >= deadline {
                return Err(BenchError::TooSlow { what: what.to_owned(), seconds });
            }
            self.sleep(POLL)?;
        }
        Ok(())
    }

    fn listen(&self, ready: &std::sync::mpsc::Sender<()>) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        runtime.block_on(async {
            let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
            let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
                return;
            };
            let _ = ready.send(());
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                self.raise();
            }
        });
    }
}
