//! What is wrong with one object of a manifest: one line, and the others go on.

use std::fmt;

/// One line: file, object, field, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The manifest, if it came from one.
    pub(crate) file: Option<String>,
    /// The object, as `Service default/web`.
    pub(crate) object: Option<String>,
    /// The field's path, as `spec.clusterIP`.
    pub(crate) field: Option<String>,
    /// What is wrong, and what to do if that is known.
    pub(crate) message: String,
}

impl Problem {
    /// About a whole file.
    pub(crate) fn with_file(file: &str, message: impl fmt::Display) -> Self {
        let message = message.to_string();
        Self { file: Some(file.to_owned()), object: None, field: None, message }
    }

    /// About an object; file and field can be added.
    pub(crate) fn with_object(object: impl fmt::Display, message: impl fmt::Display) -> Self {
        let message = message.to_string();
        Self { file: None, object: Some(object.to_string()), field: None, message }
    }

    /// From nobody's manifest: the agent's words.
    pub(crate) fn plain(message: impl fmt::Display) -> Self {
        Self { file: None, object: None, field: None, message: message.to_string() }
    }

    /// Names the field.
    #[must_use]
    pub(crate) fn field(mut self, field: impl fmt::Display) -> Self {
        self.field = Some(field.to_string());
        self
    }

    /// Names the file.
    #[must_use]
    pub(crate) fn file(mut self, file: &str) -> Self {
        self.file = Some(file.to_owned());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.file, &self.object, &self.field].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        // One line each, whatever a parser has to say.
        f.write_str(&self.message.replace('\n', " "))
    }
}
