use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::error::{BenchError, Result};

/// A command that Ctrl-C on the terminal does not reach: who started it ends it, in order.
pub(super) fn own_group(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.process_group(0);
    command
}

/// As one would type it, for messages.
pub(super) fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end. Returns what it printed.
pub(crate) fn run_command(command: &mut Command) -> Result<String> {
    run(command, "")
}

/// Runs a command to its end, with this on its standard input. Returns what it printed.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    run(command, input)
}

/// Runs a command to its end, with this on its standard input. Returns what it printed.
pub(super) fn run(command: &mut Command, input: &str) -> Result<String> {
    let text = typed(command);
    let failed = |cause| BenchError::Run { command: text.clone(), cause };
    let stdio = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = stdio.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading says why below.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(BenchError::Failed { command: text, status: output.status, message })
}
