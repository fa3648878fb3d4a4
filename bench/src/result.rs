//! What every saved result says of itself: what it is, where and when it was measured, and the
//! command that measures it again.

use std::collections::BTreeMap;
use std::env;
use std::process::Command;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rig::Machine;

/// Changes when a saved result can no longer be read.
pub(crate) const FORMAT: u32 = 3;

/// What a lab runs beside the dataplanes, and how each says its version.
const TOOLS: [(&str, &str); 5] =
    [("iperf3", "-v"), ("iptables", "-V"), ("nft", "-v"), ("nginx", "-v"), ("wrk", "-v")];

/// Stands at the head of every result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// Which measurement.
    pub(crate) benchmark: String,
    /// Of this layout.
    pub(crate) format: u32,
    /// Of this program.
    pub(crate) version: String,
    /// When it began, in UTC.
    pub(crate) began: String,
    /// As it was typed.
    pub(crate) command: String,
    /// Where.
    pub(crate) machine: Machine,
    /// Of a lab: versions of the programs that it measures with and against, those that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tools: Option<BTreeMap<String, String>>,
}

impl Origin {
    /// Now and here.
    pub(crate) fn now(benchmark: &str) -> Self {
        let mut words: Vec<String> = env::args().collect();
        if let Some(program) = words.first_mut() {
            *program = "maglane-bench".to_owned();
        }
        Self {
            benchmark: benchmark.to_owned(),
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            began: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            command: words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
            machine: Machine::now(),
            tools: (benchmark == "lab").then(tools),
        }
    }
}

fn tools() -> BTreeMap<String, String> {
    let version = |(tool, option): (&str, &str)| {
        // Some say it where errors go, and with a status of failure.
        let said = Command::new(tool).arg(option).output().ok()?;
        let said = [said.stdout, said.stderr].concat();
        let line = String::from_utf8_lossy(&said).lines().next()?.to_owned();
        let version = line.split(" Copyright").next()?.trim();
        (!version.is_empty()).then(|| (tool.to_owned(), version.to_owned()))
    };
    TOOLS.into_iter().filter_map(version).collect()
}

/// As a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |one: char| one.is_ascii_alphanumeric() || "-_./:,=+@%".contains(one);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_that_are_there_say_their_version() {
        for (tool, version) in tools() {
            assert!(version.contains(|one: char| one.is_ascii_digit()), "{tool}: {version}");
            assert!(!version.contains("Copyright"), "{tool}: {version}");
        }
    }

    #[test]
    fn commands_can_be_typed_again() {
        assert_eq!(quoted("--dst"), "--dst");
        assert_eq!(quoted("10.0.0.1-10.0.0.9:80"), "10.0.0.1-10.0.0.9:80");
        assert_eq!(quoted("[fd00::1]:80"), "'[fd00::1]:80'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
