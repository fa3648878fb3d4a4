//! What clients send, read as an object of a kind.

use serde_json::{Value, json};

use super::options::FieldValidation;
use crate::apiserver::kinds;
use crate::apiserver::resource::{DecodeError, Resource};
use crate::apiserver::status::Refusal;

/// An object may be this large as JSON, as in etcd.
const LONGEST: usize = 1_572_864;

/// What the real server looks for first.
const GO_TYPE_META: &str = r#"{ APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

/// Reads an object: what is left out is filled in, what the kind does not have is gone. The
/// warnings name it.
pub(super) fn read(
    of: &Resource,
    mut body: Value,
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), Refusal> {
    check_type(of, &mut body)?;
    let decoded =
        (of.decode)(body).map_err(|error| cannot_be_handled(of, &text_of_decode_error(&error)))?;
    let unknown = unknown_fields(&decoded.unknown);
    if validation == FieldValidation::Strict && !unknown.is_empty() {
        return Err(cannot_be_handled(of, &strict_error(&unknown)));
    }
    let mut object = decoded.object;
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    (of.default)(&mut object);
    let warnings = if validation == FieldValidation::Warn { unknown } else { Vec::new() };
    Ok((object, warnings))
}

/// As [`read`], for what became of an object by a patch.
pub(super) fn read_patched(
    of: &Resource,
    patched: Value,
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), Refusal> {
    let text = patched.to_string();
    let refuse = |message: &str| {
        let mut refusal = Refusal::new(
            422,
            "Invalid",
            format!(" \"\" is invalid: patch: Invalid value: {text:?}: {message}"),
        );
        refusal.details = json!({"causes": [{
            "reason": "FieldValueInvalid", "field": "patch",
            "message": format!("Invalid value: {text:?}: {message}"),
        }]});
        refusal
    };
    if !patched.is_object() {
        return Err(refuse("an object is wanted"));
    }
    let (kind, version) = (patched["kind"].clone(), patched["apiVersion"].clone());
    if kind != of.kind || version != of.api_version() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        return Err(refuse(&no_conversion(of, &text(&kind), &text(&version))));
    }
    let decoded = (of.decode)(patched).map_err(|error| refuse(&text_of_decode_error(&error)))?;
    let unknown = unknown_fields(&decoded.unknown);
    if validation == FieldValidation::Strict && !unknown.is_empty() {
        return Err(refuse(&strict_error(&unknown)));
    }
    let mut object = decoded.object;
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    (of.default)(&mut object);
    let warnings = if validation == FieldValidation::Warn { unknown } else { Vec::new() };
    Ok((object, warnings))
}

/// How large an object is; refuses what is larger than the real store takes.
pub(super) fn check_size(object: &Value) -> Result<usize, Refusal> {
    let length = object.to_string().len();
    if length <= LONGEST {
        return Ok(length);
    }
    let message = format!("Request entity too large: limit is {LONGEST}");
    Err(Refusal::new(413, "RequestEntityTooLarge", message))
}

/// `apiVersion` and `kind` may be left out, or must be the kind's.
fn check_type(of: &Resource, body: &mut Value) -> Result<(), Refusal> {
    let Some(fields) = body.as_object_mut() else {
        let of_type = format!("value of type struct {GO_TYPE_META}");
        return Err(unrecognized(of, body, body, &of_type));
    };
    for (field, wanted) in [("apiVersion", of.api_version()), ("kind", of.kind.to_owned())] {
        let given = fields.entry(field).or_insert_with(|| wanted.clone().into());
        match given.as_str() {
            Some("") => *given = wanted.into(),
            Some(_) => {}
            None => {
                let given = given.clone();
                let of_type = format!("struct field .{field} of type string");
                return Err(unrecognized(of, body, &given, &of_type));
            }
        }
    }
    let text = |field: &str| body[field].as_str().unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if version == of.api_version() && kind == of.kind {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "{kind} in version {:?} cannot be handled as a {}: {}",
        version.rsplit('/').next().unwrap_or_default(),
        of.kind,
        no_conversion(of, kind, version)
    )))
}

/// Why something of another kind is none of this, in the words of Go's scheme.
fn no_conversion(of: &Resource, kind: &str, version: &str) -> String {
    let is_it = |each: &&Resource| each.kind == kind && each.api_version() == version;
    if kinds::all().iter().any(|each| is_it(&each)) {
        let group = if of.group.is_empty() { "core" } else { of.group };
        let group = group.split('.').next().unwrap_or_default();
        let version = version.rsplit('/').next().unwrap_or_default();
        format!("converting ({version}.{kind}) to ({group}.{}): unknown conversion", of.kind)
    } else {
        format!(
            "no kind {kind:?} is registered for version {version:?} in scheme \
             \"pkg/api/legacyscheme/scheme.go:30\""
        )
    }
}

/// What cannot be an object of any kind.
fn unrecognized(of: &Resource, body: &Value, value: &Value, go_type_wanted: &str) -> Refusal {
    let text = body.to_string();
    let cut = text.char_indices().map(|(at, _)| at).find(|at| *at >= 30);
    let (start, rest) = text.split_at(cut.unwrap_or(text.len()));
    let summary = if body.is_object() { start.to_owned() } else { hex(start.as_bytes()) };
    let more = if rest.is_empty() { "" } else { " ..." };
    Refusal::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json \
         parse error: json: cannot unmarshal {} into Go {go_type_wanted} ({summary}{more})",
        of.kind,
        go_type(value)
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cannot_be_handled(of: &Resource, message: &str) -> Refusal {
    Refusal::bad_request(format!(
        "{} in version {:?} cannot be handled as a {}: {message}",
        of.kind, of.version, of.kind
    ))
}

fn text_of_decode_error(error: &DecodeError) -> String {
    if error.field.is_empty() {
        error.message.clone()
    } else {
        format!("{}: {}", error.field, error.message)
    }
}

fn unknown_fields(paths: &[String]) -> Vec<String> {
    paths.iter().map(|path| format!("unknown field {path:?}")).collect()
}

fn strict_error(unknown: &[String]) -> String {
    format!("strict decoding error: {}", unknown.join(", "))
}

/// What Go's JSON calls a value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
