//! The lab's agent, stopped and started again as the lab had started it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::program::{cannot_run, end, spawn};
use crate::error::{BenchError, Result};
use crate::interrupt::Interrupt;

/// How long it may take to take down what it set up.
const GRACE_S: u64 = 10;

/// The agent's command line and log, and who runs it now.
pub(super) struct Agent {
    words: Vec<OsString>,
    log: File,
    running: Option<Running>,
}

enum Running {
    /// Started by `lab up`, and nobody's child any more.
    Labs(Pid),
    /// Started here.
    Ours(Child),
}

impl Agent {
    /// The agent that a lab started.
    pub(super) fn of(pid: i32) -> Result<Self> {
        let of_process = |name| PathBuf::from(format!("/proc/{pid}/{name}"));
        let line = fs::read(of_process("cmdline")).map_err(|_| BenchError::NoAgent)?;
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let log = OpenOptions::new()
            .append(true)
            .open(of_process("fd/2"))
            .map_err(|_| BenchError::NoAgent)?;
        Ok(Self {
            words: words.map(|word| OsString::from_vec(word.to_vec())).collect(),
            log,
            running: Some(Running::Labs(Pid::from_raw(pid))),
        })
    }

    pub(super) fn runs(&mut self) -> bool {
        self.running.as_mut().is_some_and(Running::runs)
    }

    /// Its process, if it was not stopped.
    pub(super) fn pid(&self) -> Option<u32> {
        Some(self.running.as_ref()?.pid().as_raw().cast_unsigned())
    }

    /// Asks it to end, and waits until it has.
    pub(super) fn stop(&mut self, interrupt: &Interrupt) -> Result<()> {
        let Some(running) = &mut self.running else { return Ok(()) };
        running.signal(Signal::SIGTERM);
        interrupt.wait_until("the agent to end", GRACE_S, || Ok(!running.runs()))?;
        self.running = None;
        Ok(())
    }

    /// As `stop`, without regard to signals; killed if it takes too long.
    pub(super) fn end(&mut self) {
        // The lab's own agent is the lab's to end.
        let Some(Running::Ours(child)) = &mut self.running else { return };
        let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
        end(child, Duration::from_secs(GRACE_S));
    }

    /// Starts it by a command that is to be followed by the agent's own.
    pub(super) fn start(&mut self, on_node: &mut Command) -> Result<()> {
        let log = self.log.try_clone().and_then(|log| Ok((log.try_clone()?, log)));
        let command = on_node.args(&self.words).current_dir("/").stdin(Stdio::null());
        let (out, err) = log.map_err(cannot_run(command))?;
        self.running = Some(Running::Ours(spawn(command.stdout(out).stderr(err))?));
        Ok(())
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        // One that has ended needs no signal.
        let _ = kill(self.pid(), signal);
    }

    fn pid(&self) -> Pid {
        match self {
            Self::Labs(pid) => *pid,
            Self::Ours(child) => Pid::from_raw(child.id().cast_signed()),
        }
    }

    fn runs(&mut self) -> bool {
        match self {
            // Ended, it may wait for its new parent to take note of it.
            Self::Labs(pid) => fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z")),
            Self::Ours(child) => matches!(child.try_wait(), Ok(None)),
        }
    }
}
