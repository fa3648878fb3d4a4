//! What form of answer a client wants: the `Accept` header
//! (k8s.io/apiserver/pkg/endpoints/handlers/negotiation).
//!
//! Clients of Go ask for protobuf first and take JSON as well, kubectl asks for a Table first.

use hyper::HeaderMap;
use hyper::header::{ACCEPT, USER_AGENT};

use super::query::Query;
use super::refusals;
use crate::apiserver::status::Refusal;

/// How an answer is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Encoding {
    Json,
    /// JSON with line breaks.
    PrettyJson,
    Yaml,
}

/// What becomes of objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// They are written as they are.
    Whole,
    /// Rows for people.
    Table(Rows),
    /// Nothing but their metadata.
    Metadata,
}

/// What stands beside the cells of a row (`?includeObject=`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rows {
    None,
    Metadata,
    Object,
}

/// What a client gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Form {
    pub(super) encoding: Encoding,
    pub(super) shape: Shape,
}

impl Encoding {
    /// `Content-Type`.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::PrettyJson => "application/json",
            Self::Yaml => "application/yaml",
        }
    }
}

/// One of the things that a client accepts.
pub(super) struct Clause<'a> {
    /// `application/json`.
    pub(super) media_type: &'a str,
    params: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl Clause<'_> {
    /// Value of a parameter, as of `as=Table`; empty when it is not there.
    pub(super) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(each, _)| *each == name).map_or("", |(_, value)| value)
    }

    /// Whether it covers JSON.
    pub(super) fn is_json(&self) -> bool {
        matches!(self.media_type, "application/json" | "application/*" | "*/*")
    }
}

/// What a client accepts, what it likes best first; without a header it is anything.
pub(super) fn clauses(headers: &HeaderMap) -> Vec<Clause<'_>> {
    let texts: Vec<_> =
        headers.get_all(ACCEPT).iter().filter_map(|text| text.to_str().ok()).collect();
    let mut clauses: Vec<_> = texts
        .iter()
        .flat_map(|text| text.split(','))
        .filter(|clause| !clause.trim().is_empty())
        .map(clause)
        .filter(|clause| clause.quality > 0.0)
        .collect();
    if texts.is_empty() {
        clauses.push(clause("*/*"));
    }
    clauses.sort_by(|one, other| other.quality.total_cmp(&one.quality));
    clauses
}

fn clause(text: &str) -> Clause<'_> {
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let params: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
    let quality = params.iter().find(|(name, _)| *name == "q");
    let quality = quality.and_then(|(_, value)| value.parse().ok()).unwrap_or(1.0);
    Clause { media_type, params, quality }
}

/// Of an object, a list, or (with `streaming`) a watch.
///
/// # Errors
/// 406, when nothing of what the client accepts can be made.
pub(super) fn form(headers: &HeaderMap, query: &Query, streaming: bool) -> Result<Form, Refusal> {
    for clause in clauses(headers) {
        let Some(shape) = shape(&clause, query)? else { continue };
        let encoding = match clause.media_type {
            "application/yaml" if !streaming => Encoding::Yaml,
            _ if !clause.is_json() => continue,
            _ if !streaming && pretty(headers, query) => Encoding::PrettyJson,
            _ => Encoding::Json,
        };
        return Ok(Form { encoding, shape });
    }
    Err(refusals::not_acceptable(if streaming {
        "application/json;stream=watch"
    } else {
        "application/json, application/yaml"
    }))
}

/// Of an answer that is no object and has but one shape.
pub(super) fn encoding(headers: &HeaderMap, query: &Query) -> Result<Encoding, Refusal> {
    Ok(form(headers, query, false)?.encoding)
}

/// None when the clause asks for something that is not made here.
fn shape(clause: &Clause<'_>, query: &Query) -> Result<Option<Shape>, Refusal> {
    let of_meta = clause.param("g") == "meta.k8s.io" && clause.param("v") == "v1";
    Ok(match clause.param("as") {
        "" => Some(Shape::Whole),
        "Table" if of_meta => Some(Shape::Table(rows(query)?)),
        "PartialObjectMetadata" | "PartialObjectMetadataList" if of_meta => Some(Shape::Metadata),
        _ => None,
    })
}

fn rows(query: &Query) -> Result<Rows, Refusal> {
    match query.get("includeObject") {
        None | Some("" | "Metadata") => Ok(Rows::Metadata),
        Some("None") => Ok(Rows::None),
        Some("Object") => Ok(Rows::Object),
        Some(other) => {
            Err(Refusal::bad_request(format!("unrecognized includeObject value: {other:?}")))
        }
    }
}

/// Asked for, or for people who type.
fn pretty(headers: &HeaderMap, query: &Query) -> bool {
    if let Some(asked) = query.get("pretty").filter(|asked| !asked.is_empty()) {
        return matches!(asked, "1" | "t" | "T" | "true" | "TRUE" | "True");
    }
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|typed| agent.starts_with(typed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: &str, query: &str, streaming: bool) -> Result<Form, u16> {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        let query = Query::parse(&format!("/?{query}").parse().unwrap()).unwrap();
        form(&headers, &query, streaming).map_err(|refusal| refusal.code)
    }

    #[test]
    fn the_first_that_can_be_made_is_taken() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        let metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
        let json = Encoding::Json;
        for (accept, query, expected) in [
            ("", "", Ok((json, Shape::Whole))),
            ("*/*", "", Ok((json, Shape::Whole))),
            ("application/vnd.kubernetes.protobuf,application/json", "", Ok((json, Shape::Whole))),
            ("application/vnd.kubernetes.protobuf", "", Err(406)),
            ("application/cbor, application/json;q=0.9", "", Ok((json, Shape::Whole))),
            ("application/json;q=0", "", Err(406)),
            ("text/html", "", Err(406)),
            (table, "", Ok((json, Shape::Table(Rows::Metadata)))),
            (table, "includeObject=Object", Ok((json, Shape::Table(Rows::Object)))),
            (table, "includeObject=None", Ok((json, Shape::Table(Rows::None)))),
            (table, "includeObject=Some", Err(400)),
            ("application/json;as=Table;v=v2;g=meta.k8s.io", "", Err(406)),
            (metadata, "", Ok((json, Shape::Metadata))),
            ("application/yaml", "", Ok((Encoding::Yaml, Shape::Whole))),
            (
                "application/yaml;q=0.5,application/json",
                "pretty=true",
                Ok((Encoding::PrettyJson, Shape::Whole)),
            ),
        ] {
            let expected = expected.map(|(encoding, shape)| Form { encoding, shape });
            assert_eq!(negotiated(accept, query, false), expected, "{accept} {query}");
        }
    }

    #[test]
    fn a_watch_is_json() {
        let form = negotiated("application/json;stream=watch", "pretty=true", true).unwrap();
        assert_eq!(form.encoding, Encoding::Json);
        assert_eq!(negotiated("application/yaml", "", true), Err(406));
        assert_eq!(
            negotiated("application/vnd.kubernetes.protobuf;stream=watch", "", true),
            Err(406)
        );
    }
}
