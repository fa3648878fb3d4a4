//! Lists: whole or in pages, of now or of a while ago.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::object::Object;
use super::options::ListOptions;
use super::selector::Selector;
use super::state::{Kind, State, prefix};
use super::{List, Place, Registry};
use crate::apiserver::resource::FieldError;
use crate::apiserver::status::Refusal;

/// Which revision a list shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// The latest, which must not be older than this.
    Latest { not_before: u64 },
    /// This one.
    Exactly(u64),
}

/// Where a list begins.
struct Start {
    at: At,
    key: String,
    /// Whether a page was given before.
    continues: bool,
}

pub(super) fn list(
    registry: &Registry,
    place: Place<'_>,
    options: &ListOptions,
) -> Result<List, Refusal> {
    let selector = Selector::parse(place.of, &options.label_selector, &options.field_selector)?;
    let prefix = prefix(Some(place.namespace));
    let start = start(options, &prefix)?;
    registry.read(|state| {
        let kind = &state.kinds[place.kind];
        let revision = revision(state, start.at)?;
        let limit = usize::try_from(options.limit).unwrap_or(usize::MAX);
        let limit = if limit == 0 { usize::MAX } else { limit };
        let (items, rest) = page(kind, revision, &start.key, &prefix, &selector, limit)
            .ok_or_else(|| expired(start.continues))?;
        let last = rest.as_ref().and_then(|_| items.last());
        let continue_token = last.map(|last| token(last, revision)).unwrap_or_default();
        // What a selector would leave is not counted by the real server either.
        let remaining = rest.filter(|_| selector.is_empty());
        Ok(List { items, revision, continue_token, remaining })
    })
}

/// Refuses what cannot be asked of a list.
fn validate(options: &ListOptions) -> Result<(), Refusal> {
    let mut errors = Vec::new();
    let (version, wanted) = (&options.resource_version, &options.resource_version_match);
    let field = "resourceVersionMatch";
    if !wanted.is_empty() {
        if version.is_empty() {
            let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            errors.push(FieldError::forbidden(field, detail));
        }
        if !options.continue_token.is_empty() {
            let detail = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(FieldError::forbidden(field, detail));
        }
        if wanted != "Exact" && wanted != "NotOlderThan" {
            let supported = ["", "Exact", "NotOlderThan"];
            errors.push(FieldError::not_supported(field, &json!(wanted), &supported));
        }
        if wanted == "Exact" && version == "0" {
            let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(FieldError::forbidden(field, detail));
        }
    }
    if options.send_initial_events.is_some() {
        let detail = "sendInitialEvents is forbidden for list";
        errors.push(FieldError::forbidden("sendInitialEvents", detail));
    }
    refuse(&errors)
}

/// Refuses options in the real words, if anything is wrong with them.
pub(super) fn refuse(errors: &[FieldError]) -> Result<(), Refusal> {
    if errors.is_empty() { Ok(()) } else { Err(Refusal::invalid_options("ListOptions", errors)) }
}

fn start(options: &ListOptions, prefix: &str) -> Result<Start, Refusal> {
    validate(options)?;
    let version = parse_version(&options.resource_version)?;
    if !options.continue_token.is_empty() {
        if version != 0 {
            return Err(Refusal::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let (at, key) = read_token(&options.continue_token)?;
        return Ok(Start { at, key: key.max(prefix.to_owned()), continues: true });
    }
    let exactly = match options.resource_version_match.as_str() {
        "Exact" => true,
        "NotOlderThan" => false,
        _ => options.limit > 0 && version > 0,
    };
    let at = if exactly { At::Exactly(version) } else { At::Latest { not_before: version } };
    Ok(Start { at, key: prefix.to_owned(), continues: false })
}

/// `resourceVersion`; 0 when there is none.
pub(super) fn parse_version(text: &str) -> Result<u64, Refusal> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        Refusal::bad_request(format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: \
             invalid syntax"
        ))
    })
}

fn revision(state: &State, at: At) -> Result<u64, Refusal> {
    let (revision, asked) = match at {
        At::Latest { not_before } => (state.revision, not_before),
        At::Exactly(revision) => (revision, revision),
    };
    if asked <= state.revision { Ok(revision) } else { Err(too_large(asked, state.revision)) }
}

/// 504: a client has seen what this server has not, and asks again without a version.
pub(super) fn too_large(asked: u64, revision: u64) -> Refusal {
    let message = format!("Timeout: Too large resource version: {asked}, current: {revision}");
    let details = json!({
        "retryAfterSeconds": 1,
        "causes": [{
            "reason": "ResourceVersionTooLarge", "message": "Too large resource version",
        }],
    });
    Refusal { details, ..Refusal::new(504, "Timeout", message) }
}

fn expired(continues: bool) -> Refusal {
    Refusal::expired(if continues {
        "The provided continue parameter is too old to display a consistent list result. You must \
         start a new list without the continue parameter."
    } else {
        "The resourceVersion for the provided list is too old."
    })
}

/// Some objects of a revision from a key on, and how many follow them if any do; none when the
/// revision is forgotten.
pub(super) fn page(
    kind: &Kind,
    revision: u64,
    from: &str,
    prefix: &str,
    selector: &Selector,
    limit: usize,
) -> Option<(Vec<Object>, Option<u64>)> {
    let mut objects = kind
        .objects_at(revision, from)?
        .take_while(|(key, _)| key.starts_with(prefix))
        .filter(|(_, object)| selector.matches(object));
    let items: Vec<_> = objects.by_ref().take(limit).map(|(_, object)| object.clone()).collect();
    let rest = objects.count() as u64;
    Some((items, (rest > 0).then_some(rest)))
}

/// The key after an object's.
pub(super) fn key_after(object: &Object) -> String {
    format!("{}\0", super::state::key(object.namespace(), object.name()))
}

/// As the real server writes it, so that what reads it there reads it here.
fn token(last: &Object, revision: u64) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": key_after(last)});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn read_token(token: &str) -> Result<(At, String), Refusal> {
    let refuse =
        |detail: &str| Refusal::bad_request(format!("continue key is not valid: {detail}"));
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|error| refuse(&error.to_string()))?;
    let token: Value =
        serde_json::from_slice(&bytes).map_err(|error| refuse(&error.to_string()))?;
    if token["v"] != "meta.k8s.io/v1" {
        return Err(refuse("server does not recognize this encoded version"));
    }
    let revision = token["rv"].as_u64().filter(|revision| *revision > 0).ok_or_else(|| {
        refuse("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
    })?;
    let key = token["start"]
        .as_str()
        .filter(|key| !key.is_empty())
        .ok_or_else(|| refuse("encoded start key empty (version meta.k8s.io/v1)"))?;
    Ok((At::Exactly(revision), key.to_owned()))
}
