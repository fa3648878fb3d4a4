//! Programs that the harness starts. Ctrl-C on the terminal reaches none of them: who started one
//! ends it, in order, and what was cut short is not taken for a failure.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::error::{BenchError, Result};
use crate::interrupt::Interrupt;

/// How soon a signal ends a command.
const POLL: Duration = Duration::from_millis(20);

/// Starts a command, in a process group of its own.
pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
    command.process_group(0).spawn().map_err(cannot_run(command))
}

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
    // In a file: nobody reads a second pipe meanwhile.
    let mut errors = tempfile::tempfile().map_err(cannot_run(command))?;
    let stderr = errors.try_clone().map_err(cannot_run(command))?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
    let mut child = spawn(command)?;
    let said = converse(interrupt, &mut child, input);
    if said.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(cannot_run(command))?;
    let said = said?;
    if status.success() {
        return Ok(said);
    }
    Err(BenchError::Failed { command: typed(command), status, message: message(&mut errors) })
}

/// What a command wrote to this file.
pub(crate) fn message(errors: &mut File) -> String {
    let mut message = Vec::new();
    let _ = errors.rewind().and_then(|()| errors.read_to_end(&mut message));
    String::from_utf8_lossy(&message).trim().to_owned()
}

/// Tells a command something, and listens until it has ended or a signal comes.
fn converse(interrupt: &Interrupt, child: &mut Child, input: &str) -> Result<String> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (sender, said) = channel();
    let input = input.to_owned();
    // Not waited for after a signal: it ends with the command.
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

fn cannot_run(command: &Command) -> impl FnOnce(io::Error) -> BenchError {
    let command = typed(command);
    move |cause| BenchError::Run { command, cause }
}
