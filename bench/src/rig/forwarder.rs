use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::program::{Program, end};
use crate::error::Result;

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
            Some(line) => forwarder.ask(line),
            None => forwarder.answer(),
        };
        if ready == "ready" {
            return Ok(forwarder);
        }
        drop(forwarder.input.take());
        Err(forwarder.program.failure())
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.program.child.id()
    }

    /// What it answers to one line; nothing when it has ended.
    pub(crate) fn ask(&mut self, line: &str) -> String {
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

    fn answer(&mut self) -> String {
        let mut line = String::new();
        let _ = self.output.read_line(&mut line);
        line.trim().to_owned()
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.input.take());
        end(&mut self.program.child, GRACE);
    }
}
