//! SIGINT, SIGTERM and SIGHUP, as something to look at between steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{LabError, Result};

const POLL: Duration = Duration::from_millis(20);

/// Whether somebody wants the command to stop. From [`Interrupt::watch`] on, the signals no longer
/// end the process: it puts away what it has begun first.
#[derive(Debug, Clone, Default)]
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

    /// [`LabError::Interrupted`] once a signal has come.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(LabError::Interrupted) } else { Ok(()) }
    }

    /// Sleeps, and tells of a signal that came meanwhile. For short times.
    pub(crate) fn sleep(&self, duration: Duration) -> Result<()> {
        std::thread::sleep(duration);
        self.check()
    }

    /// Returns when a signal has come.
    pub(crate) async fn wait(&self) {
        while self.check().is_ok() {
            tokio::time::sleep(POLL).await;
        }
    }

    /// As if a signal had come.
    #[cfg(test)]
    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
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
                self.0.store(true, Ordering::Relaxed);
            }
        });
    }
}
