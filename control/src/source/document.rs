//! One text into documents, with the line on which each begins.

use serde_json::Value;

/// A YAML document or a JSON value of a manifest.
#[derive(Debug)]
pub(crate) struct Document {
    /// The first line of the document, counted from 1.
    pub(crate) line: usize,
    /// Its content, or what is wrong with it.
    pub(crate) content: Result<Value, SyntaxError>,
}

/// Text that is neither YAML nor JSON.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SyntaxError {
    /// The line in the whole text, counted from 1.
    pub(crate) line: usize,
    /// What the parser says.
    pub(crate) message: String,
}

/// Splits a text into its documents. They are split before they are parsed, so that a broken one
/// does not hide those that follow. Empty documents are left out.
pub(crate) fn documents(text: &str) -> Vec<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let after = offset + line.len();
        if let Some(rest) = marker(line) {
            push(&text[start..offset], start_line, &mut documents);
            (start, start_line) = if rest.is_empty() {
                (after, index + 2)
            } else {
                (after - line.len() + 3, index + 1)
            };
        }
        offset = after;
    }
    push(&text[start..], start_line, &mut documents);
    documents
}

/// A line that begins a document (YAML 1.2, section 9.1.2): `---`, perhaps with content behind it,
/// which is returned. A `...` that ends one counts as well.
fn marker(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("---").or_else(|| line.strip_prefix("..."))?;
    let begins = rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']);
    begins.then(|| rest.trim()).map(|rest| if rest.starts_with('#') { "" } else { rest })
}

fn push(text: &str, line: usize, documents: &mut Vec<Document>) {
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with(['#', '%']);
    if text.lines().all(blank) {
        return;
    }
    if text.trim_start().starts_with('{')
        && let Ok(values) = json_stream(text)
    {
        documents.extend(values.into_iter().map(|value| Document { line, content: Ok(value) }));
        return;
    }
    let lead = text.lines().take_while(|line| blank(line)).count();
    documents.push(Document { line: line + lead, content: yaml(text, line) });
}

/// JSON values, one after another.
fn json_stream(text: &str) -> serde_json::Result<Vec<Value>> {
    serde_json::Deserializer::from_str(text).into_iter().collect()
}

fn yaml(text: &str, first_line: usize) -> Result<Value, SyntaxError> {
    let error = |error: serde_yaml_ng::Error| {
        let place = error.location();
        let line = first_line + place.as_ref().map_or(0, |place| place.line().saturating_sub(1));
        SyntaxError { line, message: message(&error.to_string(), first_line) }
    };
    let mut value: serde_yaml_ng::Value = serde_yaml_ng::from_str(text).map_err(error)?;
    value.apply_merge().map_err(error)?;
    serde_yaml_ng::from_value(value).map_err(error)
}

/// The parser's words: `PROBLEM at line L column C, CONTEXT at line L column C`. It counts from the
/// document's beginning, and the problem's own line is told beside its words.
fn message(words: &str, first_line: usize) -> String {
    let Some((problem, rest)) = words.split_once(" at line ") else { return words.to_owned() };
    let Some((_, context)) = rest.split_once(", ") else { return problem.to_owned() };
    let (context, place) = context.split_once(" at line ").unwrap_or((context, ""));
    match place.split(' ').next().unwrap_or_default().parse::<usize>() {
        Ok(line) => {
            format!("{problem}, {context} from line {}", (first_line - 1).saturating_add(line))
        }
        Err(_) => format!("{problem}, {context}"),
    }
}
