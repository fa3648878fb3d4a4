use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::program::{Program, end};
use crate::error::{BenchError, Result};

/// How long it may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// A process that forwards: it says `ready` when it does, and ends when its standard input does.
/// Dropped, it is ended.
pub(crate) struct Forwarder {
    program: Program,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Forwarder {
    /// Starts it in the calling thread's namespace, with one line on its standard input if it takes
    /// one, and waits until it is ready.
    ///
    /// # Errors
    /// Why it does not start.
    pub(crate) fn start(command: &mut Command, line: Option<&str>) -> Result<Self> {
        let mut program = Program::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let input = program.child.stdin.take();
        let output = program.child.stdout.take().map(BufReader::new);
        let broken = || program.broken(std::io::ErrorKind::BrokenPipe.into());
        let output = output.ok_or_else(broken)?;
        let mut forwarder = Self { program, input, output };
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

    /// What it answers to one line.
    ///
    /// # Errors
    /// Why it has ended instead.
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
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(1..) => Ok(line.trim().to_owned()),
            _ => Err(self.failure()),
        }
    }

    fn failure(&mut self) -> BenchError {
        drop(self.input.take());
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
        Forwarder::start(Command::new("sh").args(["-c", script]), line)
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
