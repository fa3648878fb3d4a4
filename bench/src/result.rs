//! What every saved result says of itself: what it is, where and when it was measured, and the
//! command that measures it again.

use std::env;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rig::Machine;

/// Changes when a saved result can no longer be read.
pub(crate) const FORMAT: u32 = 3;

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
        }
    }
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
    fn commands_can_be_typed_again() {
        assert_eq!(quoted("--dst"), "--dst");
        assert_eq!(quoted("10.0.0.1-10.0.0.9:80"), "10.0.0.1-10.0.0.9:80");
        assert_eq!(quoted("[fd00::1]:80"), "'[fd00::1]:80'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
