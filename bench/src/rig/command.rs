//! Commands that are run to their end.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::program::{Program, end};
use crate::error::Result;
use crate::interrupt::Interrupt;

/// How soon a signal ends a command.
const POLL: Duration = Duration::from_millis(20);

/// As one would type it, for messages.
pub(crate) fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end, with this on its standard input. Returns what it printed.
pub(crate) fn run(command: &mut Command, input: &str) -> Result<String> {
    run_until(&Interrupt::default(), command, input)
}

/// As [`run`], but ends the command when a signal comes.
pub(crate) fn run_until(
    interrupt: &Interrupt,
    command: &mut Command,
    input: &str,
) -> Result<String> {
    interrupt.check()?;
    let mut program = Program::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let said = converse(interrupt, &mut program, input)
        .inspect_err(|_| end(&mut program.child, Duration::ZERO))?;
    program.finish()?;
    Ok(said)
}

/// `ip`, in the calling thread's namespace.
pub(crate) fn ip(words: &str) -> Result<()> {
    run(Command::new("ip").args(words.split(' ')), "").map(drop)
}

/// Tells a program something, and listens until it has ended or a signal comes.
fn converse(interrupt: &Interrupt, program: &mut Program, input: &str) -> Result<String> {
    let (stdin, stdout) = (program.child.stdin.take(), program.child.stdout.take());
    let (sender, said) = channel();
    let input = input.to_owned();
    // Not waited for after a signal: it ends with the program.
    thread::spawn(move || sender.send(tell(stdin, &input, stdout)));
    loop {
        match said.recv_timeout(POLL) {
            Err(RecvTimeoutError::Timeout) => interrupt.check()?,
            said => return Ok(said.unwrap_or_default()),
        }
    }
}

fn tell(stdin: Option<ChildStdin>, input: &str, stdout: Option<ChildStdout>) -> String {
    if let Some(mut stdin) = stdin {
        // One that ends without reading says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let mut said = Vec::new();
    if let Some(mut stdout) = stdout {
        let _ = stdout.read_to_end(&mut said);
    }
    String::from_utf8_lossy(&said).into_owned()
}
