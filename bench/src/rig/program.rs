use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use super::command::typed;
use crate::error::{BenchError, Result};

/// Starts a command, in a process group of its own: Ctrl-C on the terminal does not reach it. Who
/// started it ends it, in order, and what was cut short is not taken for a failure.
pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
    command.process_group(0).spawn().map_err(cannot_run(command))
}

/// Waits for one that was asked to end; kills it if it takes too long.
pub(crate) fn end(child: &mut Child, patience: Duration) {
    let deadline = Instant::now() + patience;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A program that runs, and can say why it does not any more.
pub(crate) struct Program {
    /// Its process.
    pub(crate) child: Child,
    command: String,
    /// What it says on standard error. In a file: nobody reads a pipe meanwhile.
    errors: File,
}

impl Program {
    /// Starts it.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let errors = tempfile::tempfile().map_err(cannot_run(command))?;
        let stderr = errors.try_clone().map_err(cannot_run(command))?;
        let child = spawn(command.stderr(stderr))?;
        Ok(Self { child, command: typed(command), errors })
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// How it ended, and what it said.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(self.failure()),
            Err(cause) => Err(self.broken(cause)),
        }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it failed.
    pub(crate) fn finish(&mut self) -> Result<()> {
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(self.failure()),
        }
    }

    /// Waits until it has ended, which is not what it should have done.
    pub(crate) fn failure(&mut self) -> BenchError {
        let status = match self.child.wait() {
            Ok(status) => status,
            Err(cause) => return self.broken(cause),
        };
        let mut said = Vec::new();
        let _ = self.errors.rewind().and_then(|()| self.errors.read_to_end(&mut said));
        let message = String::from_utf8_lossy(&said).trim().to_owned();
        BenchError::Failed { command: self.command.clone(), status, message }
    }

    /// It cannot be talked to, or not be waited for.
    pub(crate) fn broken(&self, cause: io::Error) -> BenchError {
        BenchError::Run { command: self.command.clone(), cause }
    }
}

/// The kernel did not start it.
pub(super) fn cannot_run(command: &Command) -> impl FnOnce(io::Error) -> BenchError + use<> {
    let command = typed(command);
    move |cause| BenchError::Run { command, cause }
}
