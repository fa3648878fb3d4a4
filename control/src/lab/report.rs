//! What a command has to tell: what changed, what could not be done, and what to know.

use super::objects::Name;
use crate::model::Problem;

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is new.
    Created,
    /// It was there, and is different now.
    Configured,
    /// It is as it was.
    Unchanged,
    /// It is no more.
    Deleted,
}

impl Change {
    /// As kubectl says it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
        }
    }
}

/// Filled by a command while it works, whether it succeeds or not.
#[derive(Debug)]
pub(crate) struct Report {
    /// In the order in which it was done.
    pub(crate) changes: Vec<(Name, Change)>,
    /// Any of them makes the command's exit code 1.
    pub(crate) problems: Vec<Problem>,
    /// Not wrong, but worth a line.
    pub(crate) warnings: Vec<Problem>,
    progress: fn(&str),
}

impl Report {
    /// An empty one; `progress` is told each step as it begins.
    pub(crate) fn new(progress: fn(&str)) -> Self {
        Self { changes: Vec::new(), problems: Vec::new(), warnings: Vec::new(), progress }
    }

    /// A step begins.
    pub(crate) fn step(&self, what: &str) {
        (self.progress)(what);
    }
}
