use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ObjectId;

/// Something in an object that is not right or not supported. The rest of the object is in force.
///
/// Shown as `svc.yaml: Service default/web: spec.ports[0].port: Invalid value: 70000: must be
/// between 1 and 65535, inclusive`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// Where the object came from: a file, or the cluster; empty when it is not known.
    pub(crate) origin: Arc<str>,
    /// The object, as `Kind namespace/name`; empty when it is not known.
    pub(crate) object: String,
    /// Path of the field, as `spec.ports[0].port`; empty when it is about the whole object.
    pub(crate) field: String,
    /// What is wrong, and where it helps, what would be right.
    pub(crate) message: String,
}

impl Problem {
    /// What is wrong; where can be added.
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        let (object, field) = Default::default();
        Self { origin: Arc::default(), object, field, message: message.to_string() }
    }

    /// Says where the object came from.
    #[must_use]
    pub(crate) fn origin(self, origin: impl Into<Arc<str>>) -> Self {
        Self { origin: origin.into(), ..self }
    }

    /// Names the object.
    #[must_use]
    pub(crate) fn object(self, object: impl fmt::Display) -> Self {
        Self { object: object.to_string(), ..self }
    }

    /// Names the field.
    #[must_use]
    pub(crate) fn field(self, field: impl fmt::Display) -> Self {
        Self { field: field.to_string(), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&*self.origin, &self.object, &self.field] {
            if !part.is_empty() {
                write!(f, "{part}: ")?;
            }
        }
        // One line each, whatever a parser has to say.
        f.write_str(&self.message.replace('\n', " "))
    }
}

/// Collects the problems of one object while it is read.
#[derive(Default)]
pub(super) struct Reporter {
    origin: Arc<str>,
    object: String,
    problems: Vec<Problem>,
}

impl Reporter {
    pub(super) fn new(origin: Arc<str>, id: &ObjectId) -> Self {
        Self { origin, object: id.to_string(), problems: Vec::new() }
    }

    pub(super) fn report(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem {
            origin: self.origin.clone(),
            object: self.object.clone(),
            field: field.into(),
            message: message.into(),
        });
    }

    /// In the API server's words: `Invalid value: <value>: <why>`.
    pub(super) fn invalid(
        &mut self,
        field: impl Into<String>,
        value: impl fmt::Debug,
        why: impl fmt::Display,
    ) {
        self.report(field, format!("Invalid value: {value:?}: {why}"));
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

/// Reads what must be right as a whole: the first problem, if there is any, is the error.
pub(super) fn strictly<T>(read: impl FnOnce(&mut Reporter) -> T) -> Result<T, Problem> {
    let mut reporter = Reporter::default();
    let value = read(&mut reporter);
    reporter.problems.into_iter().next().map_or(Ok(value), Err)
}
