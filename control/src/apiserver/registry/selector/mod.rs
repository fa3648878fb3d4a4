//! Which objects a list or a watch is about: label selectors (k8s.io/apimachinery/pkg/labels) and
//! field selectors (k8s.io/apimachinery/pkg/fields).

mod labels;

use self::labels::Requirement;
use super::object::Object;
use crate::apiserver::resource::Resource;
use crate::apiserver::status::Refusal;

/// What an object must be to be selected.
#[derive(Clone, Default, Debug)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Clone, Debug)]
struct FieldRequirement {
    field: Field,
    value: String,
    /// `!=`.
    differs: bool,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Name,
    Namespace,
    /// Of the kind's selectable fields.
    Numbered(usize),
}

impl Selector {
    /// Reads what a client asks for.
    pub(super) fn parse(of: &Resource, labels: &str, fields: &str) -> Result<Self, Refusal> {
        let labels = labels::parse(labels).map_err(Refusal::bad_request)?;
        let fields = parse_fields(of, fields).map_err(Refusal::bad_request)?;
        Ok(Self { labels, fields })
    }

    /// Whether everything is selected.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object is selected.
    pub(super) fn matches(&self, object: &Object) -> bool {
        self.labels.iter().all(|requirement| requirement.matches(object.label(requirement.key())))
            && self.fields.iter().all(|requirement| {
                let value = match requirement.field {
                    Field::Name => object.name(),
                    Field::Namespace => object.namespace(),
                    // What is left out is false to those who ask for a truth.
                    Field::Numbered(index) if object.field(index).is_empty() => {
                        if requirement.value == "false" { "false" } else { "" }
                    }
                    Field::Numbered(index) => object.field(index),
                };
                (value == requirement.value) != requirement.differs
            })
    }
}

fn parse_fields(of: &Resource, text: &str) -> Result<Vec<FieldRequirement>, String> {
    let mut requirements = Vec::new();
    for term in terms(text) {
        let Some((name, differs, value)) = operator(term) else {
            return Err(format!("invalid selector: '{text}'; can't understand '{term}'"));
        };
        let field = match name {
            "metadata.name" => Field::Name,
            "metadata.namespace" => Field::Namespace,
            _ => {
                let index = of.selectable_fields.iter().position(|field| *field == name);
                Field::Numbered(index.ok_or_else(|| not_supported(of, name))?)
            }
        };
        requirements.push(FieldRequirement { field, value: unescape(value)?, differs });
    }
    Ok(requirements)
}

fn not_supported(of: &Resource, name: &str) -> String {
    if of.selectable_fields.is_empty() {
        format!(
            "{name:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        )
    } else {
        format!("field label not supported: {name}")
    }
}

/// The parts between commas that no backslash stands in front of.
fn terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms.retain(|term| !term.is_empty());
    terms
}

/// Name, whether the operator is `!=`, value.
fn operator(term: &str) -> Option<(&str, bool, &str)> {
    term.char_indices().find_map(|(at, _)| {
        [("!=", true), ("==", false), ("=", false)].into_iter().find_map(|(operator, differs)| {
            let value = term[at..].strip_prefix(operator)?;
            Some((&term[..at], differs, value))
        })
    })
}

fn unescape(text: &str) -> Result<String, String> {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => value.push(escaped),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(format!(
                        "invalid field selector: invalid escape sequence: \\{other}"
                    ));
                }
            },
            ',' | '=' => {
                return Err(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(character)
                ));
            }
            _ => value.push(character),
        }
    }
    Ok(value)
}
