//! Commands that are run to their end.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
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

/// Tells a program something, and listens until it has ended or a signal comes. Neither waits for
/// the other, nor for the threads: they end with the program.
fn converse(interrupt: &Interrupt, program: &mut Program, input: &str) -> Result<String> {
    if let (Some(mut stdin), false) = (program.child.stdin.take(), input.is_empty()) {
        let input = input.to_owned();
        // One that ends without reading says why.
        thread::spawn(move || stdin.write_all(input.as_bytes()));
    }
    let (sender, said) = channel();
    if let Some(mut stdout) = program.child.stdout.take() {
        thread::spawn(move || {
            let mut said = Vec::new();
            let _ = stdout.read_to_end(&mut said);
            sender.send(String::from_utf8_lossy(&said).into_owned())
        });
    }
    loop {
        match said.recv_timeout(POLL) {
            Err(RecvTimeoutError::Timeout) => interrupt.check()?,
            said => return Ok(said.unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &str) -> Result<String> {
        run(Command::new("sh").args(["-c", script]), input)
    }

    #[test]
    fn nobody_waits_for_a_full_pipe() {
        let input = "0123456789abcdef".repeat(1 << 16);
        assert_eq!(shell("cat", &input).expect("all of it"), input);
        let script = "head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero; echo done";
        assert!(shell(script, &input).expect("unread").ends_with("done\n"));
    }

    #[test]
    fn failures_are_told_as_typed() {
        let error = shell("echo out; echo no such rule >&2; exit 2", "").expect_err("a failure");
        assert_eq!(
            error.to_string(),
            "sh -c echo out; echo no such rule >&2; exit 2 failed (exit status: 2): no such rule"
        );
        let error = run(&mut Command::new("no-such-program"), "").expect_err("no program");
        assert!(
            error.to_string().starts_with("cannot run no-such-program: No such file"),
            "{error}"
        );
    }
}
