use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};

use super::program::{Program, end};
use crate::error::{BenchError, Result};
use crate::interrupt::Interrupt;

/// How long it may take to end.
const GRACE: Duration = Duration::from_secs(10);
/// How long it may take to be ready, or to answer.
const PATIENCE_S: u64 = 30;
/// How often an answer's waiting looks whether somebody wants it to stop.
const LOOK_MS: u16 = 100;

/// A process that forwards: it says `ready` when it does, and ends when its standard input does.
/// Dropped, it is ended.
pub(crate) struct Forwarder {
    program: Program,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    interrupt: Interrupt,
}

impl Forwarder {
    /// Starts it in the calling thread's namespace, with one line on its standard input if it takes
    /// one, and waits until it is ready.
    ///
    /// # Errors
    /// Why it does not start, or that a signal came.
    pub(crate) fn start(
        command: &mut Command,
        line: Option<&str>,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let mut program = Program::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let input = program.child.stdin.take();
        let output = program.child.stdout.take().map(BufReader::new);
        let broken = || program.broken(std::io::ErrorKind::BrokenPipe.into());
        let output = output.ok_or_else(broken)?;
        let mut forwarder = Self { program, input, output, interrupt: interrupt.clone() };
        let ready = match line {
            Some(line) => forwarder.ask(line)?,
            None => forwarder.answer()?,
        };
        if ready == "ready" { Ok(forwarder) } else { Err(forwarder.failure()) }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.program.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// How it ended, and what it said.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.program.check()
    }

    /// What it answers to one line.
    ///
    /// # Errors
    /// Why it has ended instead, that it does not answer, or that a signal came.
    pub(crate) fn ask(&mut self, line: &str) -> Result<String> {
        if let Some(input) = &mut self.input {
            // One that has ended does not answer.
            let _ = writeln!(input, "{line}");
        }
        self.answer()
    }

    /// Has it end. Returns what else it said.
    ///
    /// # Errors
    /// When it failed.
    pub(crate) fn stop(mut self) -> Result<String> {
        drop(self.input.take());
        let mut said = String::new();
        let read = self.output.read_to_string(&mut said);
        self.program.finish()?;
        read.map_err(|cause| self.program.broken(cause))?;
        Ok(said)
    }

    fn answer(&mut self) -> Result<String> {
        let deadline = Instant::now() + Duration::from_secs(PATIENCE_S);
        while self.output.buffer().is_empty() && !self.says_something() {
            self.interrupt.check()?;
            if Instant::now() >= deadline {
                let what = "the forwarder to answer".to_owned();
                return Err(BenchError::TooSlow { what, seconds: PATIENCE_S });
            }
        }
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(1..) => Ok(line.trim().to_owned()),
            _ => Err(self.failure()),
        }
    }

    /// Whether there is something to read, its end included, or soon is.
    fn says_something(&self) -> bool {
        let mut output = [PollFd::new(self.output.get_ref().as_fd(), PollFlags::POLLIN)];
        // A signal that cuts it short is looked at by who asks.
        poll(&mut output, LOOK_MS).is_ok_and(|ready| ready > 0)
    }

    fn failure(&mut self) -> BenchError {
        drop(self.input.take());
        end(&mut self.program.child, GRACE);
        self.program.failure()
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.input.take());
        end(&mut self.program.child, GRACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str, line: Option<&str>) -> Result<Forwarder> {
        Forwarder::start(Command::new("sh").args(["-c", script]), line, &Interrupt::default())
    }

    #[test]
    fn one_that_does_not_answer_is_left_at_a_signal() {
        let interrupt = Interrupt::default();
        let signal = interrupt.clone();
        let start = Instant::now();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            signal.raise();
        });
        let error = Forwarder::start(&mut Command::new("cat"), None, &interrupt).err();
        assert!(matches!(error, Some(BenchError::Interrupted)), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(PATIENCE_S));
    }

    #[test]
    fn one_that_has_ended_is_seen() {
        let mut forwarder = start("echo ready; echo no more >&2; exit 5", None).expect("ready");
        let deadline = Instant::now() + GRACE;
        while forwarder.check().is_ok() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let error = forwarder.check().expect_err("it ended").to_string();
        assert!(error.ends_with(" failed (exit status: 5): no more"), "{error}");
    }

    #[test]
    fn one_is_asked_and_ends_with_its_input() {
        let script = "read first; echo ready; read second; echo $first $second; cat; echo rest";
        let mut forwarder = start(script, Some("one")).expect("it is ready");
        assert_eq!(forwarder.ask("two").expect("an answer"), "one two");
        assert_eq!(forwarder.stop().expect("the rest"), "rest\n");
    }

    #[test]
    fn one_that_ends_says_why() {
        let failed = |script: &str| {
            let error = start(script, None).err().expect("it ended");
            assert!(error.to_string().ends_with(" failed (exit status: 3): no queue"), "{error}");
        };
        failed("echo no queue >&2; exit 3");
        failed("echo not yet; cat; echo no queue >&2; exit 3");
        let mut forwarder = start("echo ready; read line; echo gone >&2; exit 4", None);
        let error = forwarder.as_mut().expect("it is ready").ask("change").expect_err("it ended");
        assert!(error.to_string().ends_with(" failed (exit status: 4): gone"), "{error}");
    }
}
