//! `kubectl`, as people type it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything here takes unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A client that knows one API, and remembers nothing of others.
pub(crate) struct Kubectl {
    kubeconfig: PathBuf,
    home: tempfile::TempDir,
}

/// What it said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl Kubectl {
    pub(crate) fn new(kubeconfig: &Path) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { kubeconfig: kubeconfig.to_owned(), home }
    }

    /// Whether there is one. If not, a line says that the test is skipped.
    pub(crate) fn is_there(test: &str) -> bool {
        let found = Command::new("kubectl").args(["version", "--client"]).output();
        let found = found.is_ok_and(|output| output.status.success());
        if !found {
            eprintln!("SKIPPED {test}: needs kubectl (scripts/setup.sh installs it)");
        }
        found
    }

    /// A command line behind `kubectl`, with the shell's quotes. It begins no sooner than spawned.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("exec kubectl {line}"));
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.home.path());
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        command.stdin(Stdio::null());
        command
    }

    /// Whatever comes of it.
    pub(crate) fn try_run(&self, line: &str) -> Said {
        Said::of(self.command(line).output().expect("sh"))
    }

    /// With something to read from standard input.
    pub(crate) fn try_feed(&self, line: &str, input: &str) -> Said {
        let file = self.home.path().join("stdin");
        // What begins with a brace is read as JSON.
        std::fs::write(&file, format!("---\n{input}")).expect("a file");
        let file = std::fs::File::open(file).expect("a file");
        Said::of(self.command(line).stdin(file).output().expect("sh"))
    }

    /// It works, and without a word of complaint.
    pub(crate) fn run(&self, line: &str) -> String {
        self.try_run(line).fine(line)
    }

    /// As [`Self::run`], with something to read.
    pub(crate) fn feed(&self, line: &str, input: &str) -> String {
        self.try_feed(line, input).fine(line)
    }

    /// It works, and what it says on standard error is returned as well.
    pub(crate) fn warned(&self, line: &str) -> (String, String) {
        let said = self.try_run(line);
        assert_eq!(said.code, 0, "{line}: {said:?}");
        (said.stdout, said.stderr)
    }

    /// It does not work; why not.
    pub(crate) fn refused(&self, line: &str) -> String {
        self.try_run(line).refusal(line)
    }

    /// As [`Self::refused`], with something to read.
    pub(crate) fn feed_refused(&self, line: &str, input: &str) -> String {
        self.try_feed(line, input).refusal(line)
    }

    /// What `get … -o json` says.
    pub(crate) fn json(&self, line: &str) -> Value {
        let said = self.try_run(&format!("{line} -o json"));
        assert_eq!(said.code, 0, "{line}: {said:?}");
        serde_json::from_str(&said.stdout).expect("JSON")
    }

    /// Rows of a table, without its header, each by its words.
    pub(crate) fn rows(&self, line: &str) -> Vec<Vec<String>> {
        let table = self.run(line);
        let rows = table.lines().skip(1);
        rows.map(|row| row.split_whitespace().map(str::to_owned).collect()).collect()
    }
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            code: output.status.code().unwrap_or(-1),
        }
    }

    fn fine(self, line: &str) -> String {
        assert!(self.code == 0 && self.stderr.is_empty(), "kubectl {line}: {self:?}");
        self.stdout
    }

    fn refusal(self, line: &str) -> String {
        assert_ne!(self.code, 0, "kubectl {line}: {self:?}");
        self.stderr
    }
}

/// Waits until something is so.
pub(crate) fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    await_some(what, || is_so().then_some(()));
}

/// Waits for a value.
pub(crate) fn await_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asserts that a text has all of these.
pub(crate) fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

/// Runs of blanks as one: columns are as wide as what stands in them.
pub(crate) fn squeezed(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}
